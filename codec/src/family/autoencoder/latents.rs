//! Quantised latents on their way into the chunk and back.

use super::Tiling;
use crate::bundle::{Bundle, Normalisation};
use crate::error::{Error, Result};
use crate::params::Effort;
use crate::predict::stream::{self, Ints};
use crate::wire::{Reader, Writer};

/// Quantised latents: one integer array over the tiles for each latent, after them one for the means if tiles have any.
pub(super) struct Latents {
    pub components: Vec<Ints>,
    pub has_means: bool,
}

impl Latents {
    /// The mean of a tile in steps, if tiles have means.
    pub fn mean(&self, tile: usize) -> Option<i64> {
        if self.has_means { self.components.last().map(|means| means.get(tile)) } else { None }
    }

    pub fn write(&self, tiling: &Tiling, effort: Effort, out: &mut Writer) {
        // One stream for each component adapts to it; one for all saves heads where there are few tiles.
        let apart: Vec<Vec<u8>> =
            self.components.iter().map(|c| stream::encode(c, &tiling.lattice, &[], effort)).collect();
        let n_tiles = tiling.n_tiles();
        let joined: Vec<i64> = self.components.iter().flat_map(|c| (0..n_tiles).map(|i| c.get(i))).collect();
        let shape: Vec<usize> = std::iter::once(self.components.len()).chain([n_tiles]).collect();
        let together = stream::encode(&joined.into_iter().collect(), &shape, &[], effort);
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

    pub fn read(input: &mut Reader<'_>, bundle: &Bundle, tiling: &Tiling) -> Result<Self> {
        let has_means = matches!(bundle.manifest().input.normalisation, Normalisation::Tile);
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
