//! The encoder's side of method 4.

use super::{Frame, Latents, Outputs, TILES_AT_ONCE, Tiling, predict};
use crate::bound::{Promise, within_abs};
use crate::bundle::{Bundle, Normalisation};
use crate::candidate::{Exceptions, Part};
use crate::element::{bits_to_number, number_to_bits};
use crate::error::Result;
use crate::family::Filled;
use crate::params::Effort;
use crate::predict::search::bits_per_value;
use crate::predict::stream::{self, Ints};
use crate::quantize::half_step;
use crate::registry::Registry;
use crate::related::some_rows;
use crate::wire::Writer;
use std::borrow::Cow;

/// What encoding keeps at hand.
pub(crate) struct EncoderSide<'a> {
    pub(super) bundle: &'a Bundle,
    registry: &'a Registry,
    pub(super) part: &'a Part<'a>,
    pub(super) tiling: Tiling,
    /// Where each column has its own normalisation, special values are the column's middle.
    values: Cow<'a, [f64]>,
    frame: Frame,
    /// Largest error a residual may leave; infinite for latents alone.
    allowed: f64,
}

/// Values of the tiles that steps are chosen by.
const SAMPLE_VALUES: usize = 1 << 16;

impl<'a> EncoderSide<'a> {
    pub fn new(bundle: &'a Bundle, registry: &'a Registry, part: &'a Part<'a>, filled: &'a Filled) -> Option<Self> {
        let (min, max) = (filled.min, filled.max);
        let mut values = Cow::Borrowed(&filled.values[..]);
        if let (true, Normalisation::Columns { columns }) = (filled.have_gaps, &bundle.manifest().input.normalisation) {
            let is_gap = |i: usize| part.specials.is_masked(i) || !part.elements.value(i).is_finite();
            for (i, value) in values.to_mut().iter_mut().enumerate().filter(|(i, _)| is_gap(*i)) {
                *value = columns[i % columns.len()].inverse(0.0);
            }
        }
        let (offset, scale) = match bundle.manifest().input.normalisation {
            Normalisation::Fixed { offset, scale } => (offset, scale),
            Normalisation::Range | Normalisation::Tile => (min, max - min),
            Normalisation::Columns { .. } => (0.0, 1.0),
        };
        if !(scale.is_finite() && scale > 0.0 && offset.is_finite()) {
            return None;
        }
        let has_means = matches!(bundle.manifest().input.normalisation, Normalisation::Tile);
        let allowed = match part.promise {
            Promise::Abs(abs) => abs,
            // Errors of sqrt(ms) at the most keep the mean for certain.
            Promise::MeanSquare(ms) => ms.sqrt(),
            Promise::Exact => 0.0,
            Promise::PwRel(_) | Promise::None => f64::INFINITY,
        };
        let step = match allowed.is_finite() {
            true if part.dtype().is_float() => 2.0 * half_step(part.dtype(), min.abs().max(max.abs()), allowed)?,
            // floor(allowed) on either side, and the value itself: sums are rounded to integers.
            true => 2.0 * allowed.floor() + 1.0,
            false => 0.0,
        };
        if !step.is_finite() {
            return None;
        }
        let mean_step = match (has_means, step > 0.0) {
            (false, _) => 0.0,
            (true, true) => step,
            (true, false) => scale / 4096.0,
        };
        let frame = Frame { offset, scale, step, mean_step, latent_factor: 1.0 };
        let tiling = Tiling::new(part.shape, &bundle.manifest().input.tile);
        Some(Self { bundle, registry, part, tiling, values, frame, allowed })
    }

    pub fn encode(mut self, to_beat: usize) -> Result<Option<Vec<u8>>> {
        let n_tiles = self.tiling.n_tiles();
        if n_tiles == 0 {
            return Ok(None);
        }
        if self.frame.step > 0.0 {
            // Models that have nothing to do with the values cost little: a few tiles rule them out. The estimate knows
            // nothing of contexts and differences, which make up for more the fewer bits a value takes.
            let is_sparse = to_beat < self.part.n_values() / 4;
            let margin = if is_sparse { 1.15 } else { 1.03 };
            let mut exponent = self.first_exponent()?;
            for (sample_values, margin) in [(SAMPLE_VALUES / 16, 1.6), (SAMPLE_VALUES, margin)] {
                let n_sample = (sample_values / self.tiling.tile_values()).clamp(1, n_tiles);
                let sample: Vec<usize> = some_rows(n_tiles, n_sample).collect();
                let (means, latents) = self.run_encoder(&sample)?;
                let bits;
                (bits, exponent) = self.choose_latent_factor(&sample, &means, &latents, exponent)?;
                let estimate = bits / 8.0 * n_tiles as f64 / sample.len() as f64;
                if self.part.effort != Effort::Max && estimate > margin * to_beat as f64 {
                    return Ok(None);
                }
            }
        }
        let all: Vec<usize> = (0..n_tiles).collect();
        let (mut means, mut latents) = self.run_encoder(&all)?;
        let is_kept = self.keep_outliers(&mut means, &mut latents)?;
        let latents = self.quantise_latents(&means, &latents, self.frame.latent_factor);
        let (residual, exceptions) = self.residual(&latents, &is_kept)?;
        let mut out = Writer::default();
        self.part.specials.write(self.part.dtype(), &mut out);
        self.frame.write(&mut out);
        Exceptions::write(self.part.elements, &exceptions, &mut out);
        latents.write(&self.tiling, self.part.effort, &mut out);
        if let Some(residual) = residual {
            out.raw(&stream::encode_beside_network(
                &residual,
                self.part.shape,
                &self.part.specials.classes,
                self.part.effort,
            ));
        }
        Ok(Some(out.bytes))
    }

    /// Quantised means, and latents (tile by tile).
    pub(super) fn run_encoder(&self, tiles: &[usize]) -> Result<(Vec<i64>, Vec<f32>)> {
        let encoder = self.registry.encoder(self.bundle)?;
        let (n_in, n_latents) = (self.tiling.tile_values(), self.bundle.manifest().latents.count);
        let mut means = Vec::new();
        let mut latents = vec![0.0; tiles.len() * n_latents];
        let mut x = vec![0.0f32; TILES_AT_ONCE.min(tiles.len()) * n_in];
        for (tiles, z) in tiles.chunks(TILES_AT_ONCE).zip(latents.chunks_mut(TILES_AT_ONCE * n_latents)) {
            for (&t, x) in tiles.iter().zip(x.chunks_exact_mut(n_in)) {
                means.extend(self.inputs(t, x));
            }
            encoder.encode(tiles.len(), &x[..tiles.len() * n_in], z)?;
        }
        Ok((means, latents))
    }

    /// The network's inputs for one tile; its mean in steps, if tiles have means.
    pub(super) fn inputs(&self, tile: usize, x: &mut [f32]) -> Option<i64> {
        if let Normalisation::Columns { columns } = &self.bundle.manifest().input.normalisation {
            self.tiling.visit(tile, |place, i, _| {
                x[place] = columns[place % columns.len()].forward(self.values[i]) as f32;
            });
            return None;
        }
        let mut offset = self.frame.offset;
        let mean = (self.frame.mean_step > 0.0).then(|| {
            let mut sum = 0.0;
            self.tiling.visit(tile, |_, i, _| sum += self.values[i] - self.frame.offset);
            let mean = sum / x.len() as f64;
            (mean / self.frame.mean_step).round_ties_even().clamp(-9e15, 9e15) as i64
        });
        offset += mean.map_or(0.0, |mean| mean as f64 * self.frame.mean_step);
        self.tiling.visit(tile, |place, i, _| x[place] = ((self.values[i] - offset) / self.frame.scale) as f32);
        mean
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
                latents.iter().skip(c).step_by(n_latents).map(|&z| q(z)).collect()
            })
            .collect();
        let has_means = self.frame.mean_step > 0.0;
        if has_means {
            components.push(means.iter().copied().collect());
        }
        Latents { components, has_means }
    }

    /// Sets the factor that gives the fewest bits for the sampled tiles, and returns those and its exponent; the search
    /// begins at `first`.
    fn choose_latent_factor(
        &mut self,
        sample: &[usize],
        means: &[i64],
        latents: &[f32],
        first: i32,
    ) -> Result<(f64, i32)> {
        let mut best = (f64::INFINITY, 0);
        let mut known = std::collections::BTreeMap::new();
        let mut next = first;
        loop {
            let bits = self.estimate_bits(sample, means, latents, f64::from(next).exp2())?;
            known.insert(next, bits);
            if bits < best.0 {
                best = (bits, next);
            }
            // Climb from the best one to whichever side is not known yet.
            match [best.1 + 1, best.1 - 1].into_iter().find(|e| !known.contains_key(e) && (e - first).abs() <= 12) {
                Some(e) => next = e,
                None => break,
            }
        }
        self.frame.latent_factor = f64::from(best.1).exp2();
        Ok(best)
    }

    /// Exponent of the factor at which a step of a latent moves a tile by about a step of the residual, where a search may
    /// begin: far from it all factors are equally bad, and nothing says which way to go. 0 where columns have scales of
    /// their own.
    fn first_exponent(&self) -> Result<i32> {
        if matches!(self.bundle.manifest().input.normalisation, Normalisation::Columns { .. }) {
            return Ok(0);
        }
        let steps = &self.bundle.manifest().latents.step;
        let (n_latents, n_out) = (steps.len(), self.tiling.tile_values());
        // Row 0 has no latent set, row 1 + c latent c alone.
        // A few are enough, and one of the largest tile is all that memory should be asked for.
        let n = n_latents.min(32).min((1 << 22) / n_out).max(1);
        let mut z = vec![0.0f32; (n + 1) * n_latents];
        for c in 0..n {
            z[(c + 1) * n_latents + c] = steps[c] as f32;
        }
        let mut y = vec![0.0f32; (n + 1) * n_out];
        self.bundle.decoder()?.run(n + 1, &z, &mut y)?;
        let (rest, moved) = y.split_at(n_out);
        let lengths = moved.chunks_exact(n_out).map(|tile| {
            tile.iter().zip(rest).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt() * self.frame.scale
        });
        let logs: Vec<f64> = lengths.map(f64::log2).filter(|l| l.is_finite()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        Ok((self.frame.step.log2() - mean).clamp(-60.0, 60.0).round() as i32)
    }

    fn estimate_bits(&self, sample: &[usize], means: &[i64], latents: &[f32], factor: f64) -> Result<f64> {
        let quantised = self.quantise_latents(means, latents, factor);
        let mut bits: f64 = quantised
            .components
            .iter()
            .map(|c| {
                let values: Vec<i64> = (0..sample.len()).map(|i| c.get(i)).collect();
                let differences: Vec<i64> = values.windows(2).map(|w| w[1] - w[0]).collect();
                let apart = bits_per_value(&values) * values.len() as f64;
                // Tiles that lie side by side have latents alike.
                if differences.is_empty() {
                    apart
                } else {
                    apart.min(bits_per_value(&differences) * values.len() as f64)
                }
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
                let outputs = Outputs::new(self.bundle, frame, means.get(k).copied());
                self.tiling.visit(sample[k], |place, i, inside| {
                    if inside && !self.part.specials.is_masked(i) {
                        let r = (self.values[i] - outputs.value(place, y[place])) / frame.step;
                        residual.push(if r.is_finite() {
                            r.round_ties_even().clamp(-9e15, 9e15) as i64
                        } else {
                            1 << 53
                        });
                    }
                });
            }
        }
        bits += local_bits(&residual).min(bits_per_value(&residual) * residual.len() as f64);
        Ok(bits)
    }

    /// The residual, and the positions of what is kept exactly: where even with it the promise is not kept, and where
    /// `is_kept` says so (empty: nowhere).
    fn residual(&self, latents: &Latents, is_kept: &[bool]) -> Result<(Option<Ints>, Vec<usize>)> {
        let dtype = self.part.dtype();
        let all: Vec<usize> = (0..self.tiling.n_tiles()).collect();
        let mut predicted = vec![0.0; self.values.len()];
        predict(self.bundle, &self.tiling, self.frame, latents, &all, |_, i, p| predicted[i] = p)?;
        let is_special = crate::special::special_test(dtype, None);
        let is_kept = |i: usize| is_kept.get(i).copied().unwrap_or(false);
        let mut exceptions = Vec::new();
        if self.frame.step == 0.0 {
            // Latents alone promise nothing of ordinary values; special ones without a class are kept all the same.
            exceptions.extend((0..self.values.len()).filter(|&i| {
                !self.part.specials.is_masked(i) && (is_kept(i) || is_special(self.part.elements.bits(i)))
            }));
            return Ok((None, exceptions));
        }
        let step = self.frame.step;
        let mut residual = Ints::zeros(self.values.len());
        for (i, (&x, &p)) in self.values.iter().zip(&predicted).enumerate() {
            if self.part.specials.is_masked(i) {
                continue;
            }
            let r = ((x - p) / step).round_ties_even();
            let y = bits_to_number(dtype, number_to_bits(dtype, p + r * step));
            let kept = r.abs() < 9e15
                && y.is_finite()
                && !is_special(self.part.elements.bits(i))
                && !is_kept(i)
                && within_abs(y, x, self.allowed);
            if kept {
                residual.set(i, r as i64);
            } else {
                exceptions.push(i);
            }
        }
        Ok((Some(residual), exceptions))
    }
}

/// Bits of residuals for a coder that knows how large they are around here: runs of 16, each coded as a geometric
/// distribution of both signs with the run's own mean magnitude.
fn local_bits(residual: &[i64]) -> f64 {
    const RUN: usize = 16;
    let bits = |run: &[i64]| {
        let mean = run.iter().map(|r| r.unsigned_abs() as f64).sum::<f64>() / run.len() as f64;
        if mean == 0.0 {
            return 0.0;
        }
        // p(r) = (1 - t) / (1 + t) t^|r| has the mean magnitude 2 t / (1 - t^2).
        let t = ((1.0 + mean * mean).sqrt() - 1.0) / mean;
        run.len() as f64 * (((1.0 + t) / (1.0 - t)).log2() - mean * t.log2())
    };
    residual.chunks(RUN).map(bits).sum()
}
