//! Tiles that the bundle's density takes for outliers. The encoder's own affair: what is kept exactly is in the chunk like
//! any other exception.

use super::encode::EncoderSide;
use super::{TILES_AT_ONCE, Tiling};
use crate::bundle::{Bundle, Density};
use crate::candidate::Part;
use crate::error::Result;
use crate::family::Filled;
use crate::registry::Registry;

impl EncoderSide<'_> {
    /// Extents of the array of tiles, and the score of each. The bundle must have a density.
    pub fn score_all(bundle: &Bundle, registry: &Registry, part: &Part<'_>) -> Result<(Vec<usize>, Vec<f64>)> {
        let tiling = Tiling::new(part.shape, &bundle.manifest().input.tile);
        let n_tiles = tiling.n_tiles();
        let filled = Filled::of(part);
        let side = filled.as_ref().and_then(|filled| EncoderSide::new(bundle, registry, part, filled));
        let (Some(side), Some(density)) = (side, &bundle.manifest().density) else {
            // Nothing but gaps, or one value throughout.
            return Ok((tiling.lattice, vec![0.0; n_tiles]));
        };
        let mut scores = Vec::with_capacity(n_tiles);
        let all: Vec<usize> = (0..n_tiles).collect();
        for tiles in all.chunks(TILES_AT_ONCE) {
            let (_, latents) = side.run_encoder(tiles)?;
            side.score(density, tiles, &latents, &mut scores)?;
        }
        Ok((tiling.lattice, scores))
    }

    /// Finds the outliers where they are to be kept: tells for each value whether it is one's (empty: none is), and gives
    /// those tiles the latents of the tile before, which cost least.
    pub(super) fn keep_outliers(&self, means: &mut [i64], latents: &mut [f32]) -> Result<Vec<bool>> {
        let manifest = self.bundle.manifest();
        let Some(density) = manifest.density.as_ref().filter(|_| self.part.keep_outliers) else {
            return Ok(Vec::new());
        };
        let (n_tiles, k) = (self.tiling.n_tiles(), manifest.latents.count);
        let all: Vec<usize> = (0..n_tiles).collect();
        let mut scores = Vec::with_capacity(n_tiles);
        for (tiles, z) in all.chunks(TILES_AT_ONCE).zip(latents.chunks(TILES_AT_ONCE * k)) {
            self.score(density, tiles, z, &mut scores)?;
        }
        if scores.iter().all(|s| *s <= density.threshold) {
            return Ok(Vec::new());
        }
        let mut is_kept = vec![false; self.part.n_values()];
        let mut before: Vec<f32> = density.mean.iter().map(|m| *m as f32).collect();
        let mut mean_before = None;
        for t in 0..n_tiles {
            let z = &mut latents[t * k..(t + 1) * k];
            if scores[t] <= density.threshold {
                before.copy_from_slice(z);
                mean_before = means.get(t).copied();
                continue;
            }
            z.copy_from_slice(&before);
            if let (Some(mean), Some(before)) = (means.get_mut(t), mean_before) {
                *mean = before;
            }
            self.tiling.visit(t, |_, i, inside| is_kept[i] |= inside);
        }
        Ok(is_kept)
    }

    /// Appends the scores of `tiles`, whose latents are given.
    fn score(&self, density: &Density, tiles: &[usize], latents: &[f32], scores: &mut Vec<f64>) -> Result<()> {
        let (d, k) = (self.tiling.tile_values(), self.bundle.manifest().latents.count);
        let mut x = vec![0f32; d];
        let mut y = vec![0f32; tiles.len() * d];
        self.bundle.decoder()?.run(tiles.len(), latents, &mut y)?;
        for ((&t, z), y) in tiles.iter().zip(latents.chunks_exact(k)).zip(y.chunks_exact(d)) {
            self.inputs(t, &mut x);
            let (mut squares, mut n) = (0.0, 0u32);
            self.tiling.visit(t, |place, i, inside| {
                if inside && !self.part.specials.is_masked(i) {
                    squares += f64::from(x[place] - y[place]).powi(2);
                    n += 1;
                }
            });
            let rms_error = (squares / f64::from(n.max(1))).sqrt();
            scores.push(density.score(z, rms_error));
        }
        Ok(())
    }
}
