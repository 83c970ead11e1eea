//! Which tiles of an array are not like those a bundle was trained on.

use crate::bound::Promise;
use crate::bundle::Bundle;
use crate::candidate::Part;
use crate::element::{Elements, swap_order};
use crate::error::{Error, Result};
use crate::family;
use crate::family::autoencoder::EncoderSide;
use crate::params::Params;
use crate::registry::Registry;
use crate::special::Specials;

/// Scores of the tiles of an array, by the density of a bundle ([`crate::bundle::Density`]).
#[derive(Clone, Debug, PartialEq)]
pub struct TileScores {
    /// Extents of a tile: the trailing axes of the array.
    pub tile: Vec<usize>,
    /// Extents of the array of tiles; as many axes as the array has.
    pub lattice: Vec<usize>,
    /// In C order of the lattice; about 1 for a tile like those trained on, infinity where it cannot be told.
    pub scores: Vec<f64>,
    /// Tiles with a higher score are outliers.
    pub threshold: f64,
}

impl TileScores {
    /// Coordinates in the array of the first value of tile `i`.
    pub fn corner(&self, i: usize) -> Vec<usize> {
        let mut rest = i;
        let mut corner = vec![0; self.lattice.len()];
        let whole = self.lattice.len() - self.tile.len();
        for axis in (0..self.lattice.len()).rev() {
            let step = if axis < whole { 1 } else { self.tile[axis - whole] };
            corner[axis] = rest % self.lattice[axis] * step;
            rest /= self.lattice[axis];
        }
        corner
    }

    /// Indices of the outliers, the highest score first.
    pub fn outliers(&self) -> Vec<usize> {
        let mut found: Vec<usize> = (0..self.scores.len()).filter(|&i| self.scores[i] > self.threshold).collect();
        found.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]));
        found
    }
}

/// Scores the tiles of an array: `values` holds `params.shape` elements of `params.dtype` in C order and
/// `params.byte_order`; `params.fill` and `params.padding` count as gaps. Gaps have no part in a tile's error. Nothing else of `params` is
/// used; of `registry` what runs encoders.
///
/// # Errors
/// [`crate::ErrorKind::InvalidArgument`] if the bundle does not fit the array or has no density,
/// [`crate::ErrorKind::ModelMissing`] if this copy of the bundle has no encoder.
pub fn score_tiles(bundle: &Bundle, params: &Params, values: &[u8], registry: &Registry) -> Result<TileScores> {
    params.validate()?;
    let manifest = bundle.manifest();
    let Some(density) = &manifest.density else {
        return Err(Error::invalid(format!(
            "model {} has no density, so nothing is an outlier to it: train it with one",
            manifest.name
        )));
    };
    let family = family::of(bundle).ok_or_else(|| Error::unsupported("the model's family is unknown to this build"))?;
    family.fits(bundle, params.dtype, &params.shape)?;
    let expected = params.n_values()? * params.dtype.size_bytes();
    if values.len() != expected {
        return Err(Error::invalid(format!("{} bytes of values: expected {expected}", values.len())));
    }
    let mut canonical = values.to_vec();
    swap_order(&mut canonical, params.dtype, params.byte_order);
    let elements = Elements::new(params.dtype, &canonical);
    let specials = Specials::find(elements, &params.gaps());
    let (shape, promise, effort) = (&params.shape[..], Promise::None, params.effort);
    let part = Part { elements, shape, specials: &specials, promise, effort, keep_outliers: true };
    EncoderSide::score_all(bundle, registry, &part).map(|(lattice, scores)| TileScores {
        tile: manifest.input.tile.clone(),
        lattice,
        scores,
        threshold: density.threshold,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_know_where_they_lie() {
        let scores = TileScores {
            tile: vec![8, 5],
            lattice: vec![2, 3, 4],
            scores: (0..24).map(f64::from).collect(),
            threshold: 21.0,
        };
        assert_eq!(scores.corner(0), [0, 0, 0]);
        assert_eq!(scores.corner(23), [1, 16, 15]);
        assert_eq!(scores.corner(13), [1, 0, 5]);
        assert_eq!(scores.outliers(), [23, 22]);
    }
}
