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

mod encode;
mod latents;
mod score;
mod tiling;

use super::{Family, Task};
use crate::bound::Promise;
use crate::bundle::{Bundle, Family as FamilyName, Normalisation, Transform};
use crate::candidate::{AUTOENCODER, Exceptions, Target};
use crate::element::{number_to_bits, put_bits};
use crate::error::{Error, Result};
use crate::inference::Network;
use crate::params::Dtype;
use crate::predict::stream;
use crate::registry::Registry;
use crate::special::Specials;
use crate::wire::{Reader, Writer};
pub(crate) use encode::EncoderSide;
use latents::Latents;
use tiling::Tiling;

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
        if !dtype.is_float() && dtype.size_bytes() > 4 {
            return Err(Error::invalid(format!(
                "model {name} predicts floating-point values and integers of up to 32 bits, not {dtype}"
            )));
        }
        if shape.len() < tile.len() || shape[shape.len() - tile.len()..].iter().zip(tile).any(|(s, t)| s < t) {
            return Err(Error::invalid(format!(
                "model {name} predicts tiles of {tile:?}: the last axes of {shape:?} are smaller"
            )));
        }
        if matches!(bundle.manifest().input.normalisation, Normalisation::Columns { .. }) && shape.last() != tile.last()
        {
            return Err(Error::invalid(format!(
                "model {name} is for tables of {} columns: the last axis of {shape:?} is another",
                tile[tile.len() - 1]
            )));
        }
        Ok(())
    }

    fn encode(&self, bundle: &Bundle, registry: &Registry, task: &Task<'_>, to_beat: usize) -> Result<Option<Vec<u8>>> {
        let part = task.part;
        let is_exact_float = part.promise == Promise::Exact && part.dtype().is_float();
        if is_exact_float || matches!(part.promise, Promise::PwRel(_)) {
            return Ok(None);
        }
        match task.filled().and_then(|filled| EncoderSide::new(bundle, registry, part, filled)) {
            Some(side) => side.encode(to_beat),
            None => Ok(None),
        }
    }

    fn decode(&self, bundle: &Bundle, payload: &[u8], shape: &[usize], target: &mut Target<'_>) -> Result<()> {
        let (dtype, n) = (target.dtype, target.n_values());
        let mut input = Reader::new(payload);
        let specials = Specials::read(dtype, n, &mut input)?;
        let frame = Frame::read(&mut input)?;
        let exceptions = Exceptions::read(dtype.size_bytes(), n, &mut input)?;
        self.fits(bundle, dtype, shape).map_err(|e| Error::corrupt(e.message().to_owned()))?;
        let tiling = Tiling::new(shape, &bundle.manifest().input.tile);
        frame.fits(&bundle.manifest().input.normalisation)?;
        let latents = Latents::read(&mut input, bundle, &tiling)?;
        let tiles: Vec<usize> = (0..tiling.n_tiles()).collect();
        let mut predicted = vec![0.0; n];
        predict(bundle, &tiling, frame, &latents, &tiles, |_, i, p| predicted[i] = p)?;
        let size = dtype.size_bytes();
        if frame.step > 0.0 {
            let residual = stream::decode(input.rest(), n, &specials.classes)?;
            for (i, &p) in predicted.iter().enumerate() {
                put_bits(target.out, size, i, number_to_bits(dtype, p + residual.get(i) as f64 * frame.step));
            }
        } else {
            input.finish("the latents")?;
            for (i, &p) in predicted.iter().enumerate() {
                put_bits(target.out, size, i, number_to_bits(dtype, p));
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

    /// Whether the numbers are what the bundle's normalisation makes of them.
    fn fits(self, normalisation: &Normalisation) -> Result<()> {
        if matches!(normalisation, Normalisation::Tile) != (self.mean_step > 0.0) {
            return Err(Error::corrupt("the chunk and the model disagree on whether tiles have means"));
        }
        if matches!(normalisation, Normalisation::Columns { .. }) && (self.offset, self.scale) != (0.0, 1.0) {
            return Err(Error::corrupt(format!(
                "offset {} and scale {} with a model whose columns have their own: expected 0 and 1",
                self.offset, self.scale
            )));
        }
        Ok(())
    }
}

/// How one tile's network outputs become predictions.
#[derive(Clone, Copy)]
enum Outputs<'a> {
    /// The same for every place.
    Affine { offset: f64, scale: f64 },
    /// By the place's column.
    Columns(&'a [Transform]),
}

impl<'a> Outputs<'a> {
    /// `mean`: the tile's, in steps, where tiles have one.
    fn new(bundle: &'a Bundle, frame: Frame, mean: Option<i64>) -> Self {
        match &bundle.manifest().input.normalisation {
            Normalisation::Columns { columns } => Outputs::Columns(columns),
            _ => {
                let offset = mean.map_or(frame.offset, |mean| frame.offset + mean as f64 * frame.mean_step);
                Outputs::Affine { offset, scale: frame.scale }
            }
        }
    }

    /// The prediction at a place of the tile.
    #[inline]
    fn value(self, place: usize, y: f32) -> f64 {
        let p = match self {
            Outputs::Affine { offset, scale } => offset + f64::from(y) * scale,
            Outputs::Columns(columns) => columns[place % columns.len()].inverse(f64::from(y)),
        };
        if p.is_finite() { p } else { 0.0 }
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
            let outputs = Outputs::new(bundle, frame, latents.mean(t));
            tiling.visit(t, |place, position, inside| {
                if inside {
                    visit(block * TILES_AT_ONCE + k, position, outputs.value(place, y[place]));
                }
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_must_be_what_the_normalisation_makes_of_it() {
        let good = Frame { offset: 0.0, scale: 1.0, step: 0.5, mean_step: 0.0, latent_factor: 1.0 };
        let columns = Normalisation::Columns { columns: vec![Transform::Constant { value: 1.0 }] };
        let cases = [
            (good, &columns, true),
            (Frame { offset: 1.0, ..good }, &columns, false),
            (Frame { scale: 2.0, ..good }, &columns, false),
            (Frame { mean_step: 1.0, ..good }, &columns, false),
            (Frame { offset: 1.0, scale: 2.0, ..good }, &Normalisation::Range, true),
            (Frame { mean_step: 1.0, ..good }, &Normalisation::Range, false),
            (Frame { mean_step: 1.0, ..good }, &Normalisation::Tile, true),
            (good, &Normalisation::Tile, false),
        ];
        for (frame, normalisation, fits) in cases {
            assert_eq!(frame.fits(normalisation).is_ok(), fits, "{frame:?} {normalisation:?}");
        }
    }
}
