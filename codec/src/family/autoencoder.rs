//! Method 4: an autoencoder predicts tiles from a few latents; the residual makes the bound hold.
//!
//! ```text
//! values -> tiles -> (x - offset) / scale -> encoder -> latents -> integers ---------> stream
//!                                                                      |
//!                            prediction <- offset + scale * y <- decoder (exact)
//! values - prediction -> integers of step 2 * bound -> stream
//! ```
//!
//! The encoder may run anywhere: what it gives is stored. The decoder runs on [`Network`]'s exact arithmetic, here and in
//! the reader, and everything after it is IEEE 754 double precision in a fixed order, so that reader and writer see the
//! same prediction to the last bit.

use super::Family;
use crate::bound::{Promise, within_abs};
use crate::bundle::{Bundle, Family as FamilyName, Normalisation};
use crate::candidate::{AUTOENCODER, Exceptions, Part, Target};
use crate::element::{bits_to_f64, f64_to_bits, put_bits};
use crate::error::{Error, Result};
use crate::inference::Network;
use crate::params::{Dtype, Effort};
use crate::predict::search::bits_per_value;
use crate::predict::stream::{self, Ints};
use crate::quantize::half_step;
use crate::special::Specials;
use crate::wire::{Reader, Writer};

/// See the module's description.
pub(crate) struct Autoencoder;

impl Family for Autoencoder {
    fn method(&self) -> u8 {
        AUTOENCODER
    }

    fn name(&self) -> FamilyName {
        FamilyName::Autoencoder
    }

    fn fits(&self, bundle: &Bundle, dtype: Dtype, shape: &[usize]) -> Result<()> {
        let tile = &bundle.manifest().input.tile;
        let name = &bundle.manifest().name;
        if !dtype.is_float() {
            return Err(Error::invalid(format!("model {name} predicts floating-point values, not {dtype}")));
        }
        if shape.len() < tile.len() || shape[shape.len() - tile.len()..].iter().zip(tile).any(|(s, t)| s < t) {
            return Err(Error::invalid(format!(
                "model {name} predicts tiles of {tile:?}: the last axes of {shape:?} are smaller"
            )));
        }
        Ok(())
    }

    fn encode(&self, bundle: &Bundle, part: &Part<'_>, to_beat: usize) -> Result<Option<Vec<u8>>> {
        if !matches!(part.promise, Promise::Abs(_) | Promise::MeanSquare(_) | Promise::None) {
            return Ok(None);
        }
        let Some(writer) = EncoderSide::new(bundle, part) else { return Ok(None) };
        writer.encode(to_beat)
    }

    fn decode(&self, bundle: &Bundle, payload: &[u8], shape: &[usize], target: &mut Target<'_>) -> Result<()> {
        let (dtype, n) = (target.dtype, target.n_values());
        let mut input = Reader::new(payload);
        let specials = Specials::read(dtype, n, &mut input)?;
        let frame = Frame::read(&mut input)?;
        let exceptions = Exceptions::read(dtype.size_bytes(), n, &mut input)?;
        self.fits(bundle, dtype, shape).map_err(|e| Error::corrupt(e.message().to_owned()))?;
        let tiling = Tiling::new(shape, &bundle.manifest().input.tile);
        let latents = Latents::read(&mut input, bundle, &tiling, frame)?;
        let tiles: Vec<usize> = (0..tiling.n_tiles()).collect();
        let mut predicted = vec![0.0; n];
        predict(bundle, &tiling, frame, &latents, &tiles, |_, i, p| predicted[i] = p)?;
        let size = dtype.size_bytes();
        if frame.step > 0.0 {
            let residual = stream::decode(input.rest(), n, &specials.classes)?;
            for (i, &p) in predicted.iter().enumerate() {
                put_bits(target.out, size, i, f64_to_bits(dtype, p + residual.get(i) as f64 * frame.step));
            }
        } else {
            input.finish("the latents")?;
            for (i, &p) in predicted.iter().enumerate() {
                put_bits(target.out, size, i, f64_to_bits(dtype, p));
            }
        }
        exceptions.restore(target);
        target.restore(&specials);
        Ok(())
    }
}

/// The numbers that place network outputs among values.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Frame {
    offset: f64,
    scale: f64,
    /// Step of the residual; 0 where there is none.
    step: f64,
    /// Step of the tiles' means, in values; 0 where tiles have none.
    mean_step: f64,
    /// The latents' steps are the manifest's times this.
    latent_factor: f64,
}

impl Frame {
    fn write(self, out: &mut Writer) {
        for v in [self.offset, self.scale, self.step, self.mean_step, self.latent_factor] {
            out.f64(v);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let mut next = |what| {
            let v = input.f64(what)?;
            if v.is_finite() { Ok(v) } else { Err(Error::corrupt(format!("{what} is {v}"))) }
        };
        Ok(Self {
            offset: next("the offset")?,
            scale: next("the scale")?,
            step: next("the residual's step")?,
            mean_step: next("the means' step")?,
            latent_factor: next("the latents' factor")?,
        })
    }
}

/// An array cut into tiles along its last axes. Tiles that reach over the edge repeat the last value inside.
struct Tiling {
    /// Extents of the axes that are cut, and of a tile.
    extents: Vec<usize>,
    tile: Vec<usize>,
    /// Tiles along each cut axis.
    grid: Vec<usize>,
    /// Product of the axes before.
    n_frames: usize,
    lattice: Vec<usize>,
}

impl Tiling {
    fn new(shape: &[usize], tile: &[usize]) -> Self {
        let (lead, extents) = shape.split_at(shape.len() - tile.len());
        let grid: Vec<usize> = extents.iter().zip(tile).map(|(e, t)| e.div_ceil(*t)).collect();
        Self {
            extents: extents.to_vec(),
            tile: tile.to_vec(),
            n_frames: lead.iter().product(),
            lattice: lead.iter().chain(&grid).copied().collect(),
            grid,
        }
    }

    fn n_tiles(&self) -> usize {
        self.n_frames * self.grid.iter().product::<usize>()
    }

    fn tile_values(&self) -> usize {
        self.tile.iter().product()
    }

    /// Calls `visit(place in the tile, position in the array, whether the place lies inside)` for one tile.
    fn visit(&self, tile: usize, mut visit: impl FnMut(usize, usize, bool)) {
        let per_frame: usize = self.grid.iter().product();
        let base = tile / per_frame * self.extents.iter().product::<usize>();
        let mut corner = vec![0; self.grid.len()];
        let mut rest = tile % per_frame;
        for axis in (0..self.grid.len()).rev() {
            corner[axis] = rest % self.grid[axis] * self.tile[axis];
            rest /= self.grid[axis];
        }
        let (inner_tile, inner_extent) = (*self.tile.last().unwrap_or(&1), *self.extents.last().unwrap_or(&1));
        let n_rows = self.tile_values() / inner_tile;
        for row in 0..n_rows {
            let (mut rest, mut position, mut stride, mut inside) = (row, 0, inner_extent, true);
            for axis in (0..self.tile.len() - 1).rev() {
                let at = corner[axis] + rest % self.tile[axis];
                rest /= self.tile[axis];
                inside &= at < self.extents[axis];
                position += at.min(self.extents[axis] - 1) * stride;
                stride *= self.extents[axis];
            }
            for k in 0..inner_tile {
                let at = corner[self.tile.len() - 1] + k;
                let x = at.min(inner_extent - 1);
                visit(row * inner_tile + k, base + position + x, inside && at < inner_extent);
            }
        }
    }
}

/// Quantised latents: one integer array over the tiles for each latent, after them one for the means if tiles have any.
struct Latents {
    components: Vec<Ints>,
    has_means: bool,
}

impl Latents {
    fn write(&self, tiling: &Tiling, effort: Effort, out: &mut Writer) {
        // One stream for each component adapts to it; one for all saves heads where there are few tiles.
        let apart: Vec<Vec<u8>> =
            self.components.iter().map(|c| stream::encode(c, &tiling.lattice, &[], effort)).collect();
        let n_tiles = tiling.n_tiles();
        let joined: Vec<i64> = self.components.iter().flat_map(|c| (0..n_tiles).map(|i| c.get(i))).collect();
        let shape: Vec<usize> = std::iter::once(self.components.len()).chain([n_tiles]).collect();
        let together = stream::encode(&Ints::from_i64(joined), &shape, &[], effort);
        let apart_len: usize = apart.iter().map(|s| s.len() + 1 + usize::from(s.len() > 127)).sum();
        if together.len() < apart_len {
            out.u8(1);
            out.block(&together);
        } else {
            out.u8(0);
            for stream in &apart {
                out.block(stream);
            }
        }
    }

    fn read(input: &mut Reader<'_>, bundle: &Bundle, tiling: &Tiling, frame: Frame) -> Result<Self> {
        let has_means = matches!(bundle.manifest().input.normalisation, Normalisation::Tile);
        if has_means != (frame.mean_step > 0.0) {
            return Err(Error::corrupt("the chunk and the model disagree on whether tiles have means"));
        }
        let n_components = bundle.manifest().latents.count + usize::from(has_means);
        let n_tiles = tiling.n_tiles();
        let components = match input.u8("the layout of the latents")? {
            0 => (0..n_components)
                .map(|_| stream::decode(input.block("a latent")?, n_tiles, &[]))
                .collect::<Result<Vec<_>>>()?,
            1 => {
                let n = n_tiles.checked_mul(n_components).ok_or_else(|| Error::corrupt("too many latents"))?;
                let all = stream::decode(input.block("the latents")?, n, &[])?;
                (0..n_components).map(|c| Ints::I64((0..n_tiles).map(|i| all.get(c * n_tiles + i)).collect())).collect()
            }
            layout => return Err(Error::corrupt(format!("latent layout {layout} is unknown"))),
        };
        Ok(Self { components, has_means })
    }
}

/// Tiles decoded at once: activations of small networks stay in the second-level cache.
const TILES_AT_ONCE: usize = 1024;

/// Calls `visit(tile's index in tiles, position, prediction)` for every value of `tiles`.
fn predict(
    bundle: &Bundle,
    tiling: &Tiling,
    frame: Frame,
    latents: &Latents,
    tiles: &[usize],
    mut visit: impl FnMut(usize, usize, f64),
) -> Result<()> {
    let decoder: &Network = bundle.decoder()?;
    let steps: Vec<f64> = bundle.manifest().latents.step.iter().map(|s| s * frame.latent_factor).collect();
    let (n_latents, n_out) = (steps.len(), tiling.tile_values());
    let (mut z, mut y) = (Vec::new(), Vec::new());
    for (block, tiles) in tiles.chunks(TILES_AT_ONCE).enumerate() {
        z.clear();
        for &t in tiles {
            z.extend((0..n_latents).map(|c| (latents.components[c].get(t) as f64 * steps[c]) as f32));
        }
        y.resize(tiles.len() * n_out, 0.0);
        decoder.run(tiles.len(), &z, &mut y)?;
        for (k, (&t, y)) in tiles.iter().zip(y.chunks_exact(n_out)).enumerate() {
            let mut offset = frame.offset;
            if latents.has_means {
                offset += latents.components[n_latents].get(t) as f64 * frame.mean_step;
            }
            tiling.visit(t, |place, position, inside| {
                if inside {
                    let p = offset + f64::from(y[place]) * frame.scale;
                    visit(block * TILES_AT_ONCE + k, position, if p.is_finite() { p } else { 0.0 });
                }
            });
        }
    }
    Ok(())
}

/// What encoding keeps at hand.
struct EncoderSide<'a> {
    bundle: &'a Bundle,
    part: &'a Part<'a>,
    tiling: Tiling,
    /// Special values repeat the ordinary one before, so that the network never sees them.
    values: Vec<f64>,
    frame: Frame,
    /// Largest error a residual may leave, for [`Promise::Abs`] and [`Promise::MeanSquare`].
    allowed: f64,
}

/// Values of the tiles that steps are chosen by.
const SAMPLE_VALUES: usize = 1 << 16;

impl<'a> EncoderSide<'a> {
    fn new(bundle: &'a Bundle, part: &'a Part<'a>) -> Option<Self> {
        let mut values = part.elements.to_f64();
        let is_ordinary = |i: usize, v: f64| !part.specials.is_masked(i) && v.is_finite();
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for (i, &v) in values.iter().enumerate().filter(|&(i, &v)| is_ordinary(i, v)) {
            debug_assert!(is_ordinary(i, v));
            min = min.min(v);
            max = max.max(v);
        }
        if min > max {
            return None;
        }
        let mut last = min;
        for (i, v) in values.iter_mut().enumerate() {
            if is_ordinary(i, *v) {
                last = *v;
            }
            *v = last;
        }
        let (offset, scale) = match bundle.manifest().input.normalisation {
            Normalisation::Fixed { offset, scale } => (offset, scale),
            Normalisation::Range | Normalisation::Tile => (min, max - min),
        };
        if !(scale.is_finite() && scale > 0.0 && offset.is_finite()) {
            return None;
        }
        let has_means = matches!(bundle.manifest().input.normalisation, Normalisation::Tile);
        let (allowed, step) = match part.promise {
            Promise::Abs(abs) => (abs, 2.0 * half_step(part.dtype(), min.abs().max(max.abs()), abs)?),
            // Errors of sqrt(ms) at the most keep the mean for certain.
            Promise::MeanSquare(ms) => (ms.sqrt(), 2.0 * half_step(part.dtype(), min.abs().max(max.abs()), ms.sqrt())?),
            _ => (f64::INFINITY, 0.0),
        };
        let mean_step = match (has_means, step > 0.0) {
            (false, _) => 0.0,
            (true, true) => step,
            (true, false) => scale / 4096.0,
        };
        let frame = Frame { offset, scale, step, mean_step, latent_factor: 1.0 };
        let tiling = Tiling::new(part.shape, &bundle.manifest().input.tile);
        Some(Self { bundle, part, tiling, values, frame, allowed })
    }

    fn encode(mut self, to_beat: usize) -> Result<Option<Vec<u8>>> {
        let n_tiles = self.tiling.n_tiles();
        if n_tiles == 0 {
            return Ok(None);
        }
        let n_sample = (SAMPLE_VALUES / self.tiling.tile_values()).clamp(1, n_tiles);
        let sample: Vec<usize> = (0..n_sample).map(|k| k * n_tiles / n_sample).collect();
        let (means, latents) = self.run_encoder(&sample)?;
        if self.frame.step > 0.0 {
            let estimate_bits = self.choose_latent_factor(&sample, &means, &latents)?;
            let estimate = estimate_bits / 8.0 * n_tiles as f64 / n_sample as f64;
            // The estimate knows nothing of contexts, which save most where nearly all residuals are zero.
            if self.part.effort != Effort::Max && estimate * 0.4 > to_beat as f64 {
                return Ok(None);
            }
        }
        let all: Vec<usize> = (0..n_tiles).collect();
        let (means, latents) = if n_sample == n_tiles { (means, latents) } else { self.run_encoder(&all)? };
        let latents = self.quantise_latents(&means, &latents, self.frame.latent_factor);
        let (residual, exceptions) = self.residual(&latents)?;
        let mut out = Writer::default();
        self.part.specials.write(self.part.dtype(), &mut out);
        self.frame.write(&mut out);
        Exceptions::write(self.part.elements, &exceptions, &mut out);
        latents.write(&self.tiling, self.part.effort, &mut out);
        if let Some(residual) = residual {
            out.raw(&stream::encode(&residual, self.part.shape, &self.part.specials.classes, self.part.effort));
        }
        Ok(Some(out.bytes))
    }

    /// Quantised means, and latents (tile by tile).
    fn run_encoder(&self, tiles: &[usize]) -> Result<(Vec<i64>, Vec<f32>)> {
        let encoder = self.bundle.encoder()?;
        let (n_in, n_latents) = (self.tiling.tile_values(), self.bundle.manifest().latents.count);
        let mut means = Vec::new();
        let mut latents = vec![0.0; tiles.len() * n_latents];
        let mut x = vec![0.0f32; TILES_AT_ONCE.min(tiles.len()) * n_in];
        for (tiles, z) in tiles.chunks(TILES_AT_ONCE).zip(latents.chunks_mut(TILES_AT_ONCE * n_latents)) {
            for (&t, x) in tiles.iter().zip(x.chunks_exact_mut(n_in)) {
                let mut offset = self.frame.offset;
                if self.frame.mean_step > 0.0 {
                    let mut sum = 0.0;
                    self.tiling.visit(t, |_, i, _| sum += self.values[i] - self.frame.offset);
                    let mean = (sum / n_in as f64 / self.frame.mean_step).round_ties_even().clamp(-9e15, 9e15) as i64;
                    means.push(mean);
                    offset += mean as f64 * self.frame.mean_step;
                }
                self.tiling.visit(t, |place, i, _| x[place] = ((self.values[i] - offset) / self.frame.scale) as f32);
            }
            encoder.encode(tiles.len(), &x[..tiles.len() * n_in], z)?;
        }
        Ok((means, latents))
    }

    /// `latents` in tile order become one integer array for each component.
    fn quantise_latents(&self, means: &[i64], latents: &[f32], factor: f64) -> Latents {
        let steps = &self.bundle.manifest().latents.step;
        let n_latents = steps.len();
        let mut components: Vec<Ints> = steps
            .iter()
            .enumerate()
            .map(|(c, step)| {
                let inverse = 1.0 / (step * factor);
                let q = |z: f32| (f64::from(z) * inverse).round_ties_even().clamp(-9e15, 9e15) as i64;
                Ints::from_i64(latents.iter().skip(c).step_by(n_latents).map(|&z| q(z)).collect())
            })
            .collect();
        let has_means = self.frame.mean_step > 0.0;
        if has_means {
            components.push(Ints::from_i64(means.to_vec()));
        }
        Latents { components, has_means }
    }

    /// Sets the factor that gives the fewest bits for the sampled tiles, and returns those.
    fn choose_latent_factor(&mut self, sample: &[usize], means: &[i64], latents: &[f32]) -> Result<f64> {
        let mut best = (f64::INFINITY, 0);
        let mut known = std::collections::BTreeMap::new();
        let mut next = 0i32;
        loop {
            let bits = self.estimate_bits(sample, means, latents, f64::from(next).exp2())?;
            known.insert(next, bits);
            if bits < best.0 {
                best = (bits, next);
            }
            // Climb from the best one to whichever side is not known yet.
            match [best.1 + 1, best.1 - 1].into_iter().find(|e| !known.contains_key(e) && e.abs() <= 12) {
                Some(e) => next = e,
                None => break,
            }
        }
        self.frame.latent_factor = f64::from(best.1).exp2();
        Ok(best.0)
    }

    fn estimate_bits(&self, sample: &[usize], means: &[i64], latents: &[f32], factor: f64) -> Result<f64> {
        let quantised = self.quantise_latents(means, latents, factor);
        let mut bits: f64 = quantised
            .components
            .iter()
            .map(|c| match c {
                Ints::I32(v) => bits_per_value(v) * v.len() as f64,
                Ints::I64(v) => bits_per_value(v) * v.len() as f64,
            })
            .sum();
        let frame = Frame { latent_factor: factor, ..self.frame };
        let mut residual = Vec::with_capacity(sample.len() * self.tiling.tile_values());
        let in_order: Vec<usize> = (0..sample.len()).collect();
        // The sample's latents lie in sample order: predict with those indices, then look up the tiles' values.
        let decoder = self.bundle.decoder()?;
        let steps: Vec<f64> = self.bundle.manifest().latents.step.iter().map(|s| s * factor).collect();
        let n_out = self.tiling.tile_values();
        let mut y = vec![0.0f32; in_order.len().min(TILES_AT_ONCE) * n_out];
        for block in in_order.chunks(TILES_AT_ONCE) {
            let z: Vec<f32> = block
                .iter()
                .flat_map(|&k| {
                    let (components, steps) = (&quantised.components, &steps);
                    (0..steps.len()).map(move |c| (components[c].get(k) as f64 * steps[c]) as f32)
                })
                .collect();
            decoder.run(block.len(), &z, &mut y[..block.len() * n_out])?;
            for (&k, y) in block.iter().zip(y.chunks_exact(n_out)) {
                let mean = means.get(k).map_or(0.0, |&m| m as f64 * frame.mean_step);
                self.tiling.visit(sample[k], |place, i, inside| {
                    if inside && !self.part.specials.is_masked(i) {
                        let p = frame.offset + mean + f64::from(y[place]) * frame.scale;
                        let r = (self.values[i] - p) / frame.step;
                        residual.push(if r.is_finite() {
                            r.round_ties_even().clamp(-9e15, 9e15) as i64
                        } else {
                            1 << 53
                        });
                    }
                });
            }
        }
        bits += bits_per_value(&residual) * residual.len() as f64;
        Ok(bits)
    }

    /// The residual, and the positions where even with it the promise is not kept.
    fn residual(&self, latents: &Latents) -> Result<(Option<Ints>, Vec<usize>)> {
        let dtype = self.part.dtype();
        let all: Vec<usize> = (0..self.tiling.n_tiles()).collect();
        let mut predicted = vec![0.0; self.values.len()];
        predict(self.bundle, &self.tiling, self.frame, latents, &all, |_, i, p| predicted[i] = p)?;
        let is_ordinary = crate::special::special_test(dtype, None);
        let mut exceptions = Vec::new();
        if self.frame.step == 0.0 {
            // Latents alone promise nothing of ordinary values; special ones without a class are kept all the same.
            exceptions.extend(
                (0..self.values.len())
                    .filter(|&i| !self.part.specials.is_masked(i) && is_ordinary(self.part.elements.bits(i))),
            );
            return Ok((None, exceptions));
        }
        let step = self.frame.step;
        let mut residual = vec![0i64; self.values.len()];
        for (i, (&x, &p)) in self.values.iter().zip(&predicted).enumerate() {
            if self.part.specials.is_masked(i) {
                continue;
            }
            let r = ((x - p) / step).round_ties_even();
            let y = bits_to_f64(dtype, f64_to_bits(dtype, p + r * step));
            let kept = r.abs() < 9e15
                && y.is_finite()
                && !is_ordinary(self.part.elements.bits(i))
                && within_abs(y, x, self.allowed);
            if kept {
                residual[i] = r as i64;
            } else {
                exceptions.push(i);
            }
        }
        Ok((Some(Ints::from_i64(residual)), exceptions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_position_once() {
        for (shape, tile) in [
            (vec![3, 10, 7], vec![4, 3]),
            (vec![5], vec![2]),
            (vec![2, 3, 4, 5], vec![2, 2, 2]),
            (vec![50, 50], vec![50, 50]),
        ] {
            let tiling = Tiling::new(&shape, &tile);
            let n: usize = shape.iter().product();
            let mut seen = vec![0; n];
            for t in 0..tiling.n_tiles() {
                let mut places = 0;
                tiling.visit(t, |place, i, inside| {
                    assert_eq!(place, places);
                    places += 1;
                    seen[i] += usize::from(inside);
                });
                assert_eq!(places, tiling.tile_values());
            }
            assert!(seen.iter().all(|&s| s == 1), "{shape:?} {tile:?}");
        }
    }
}
