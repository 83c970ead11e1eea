//! Quantisation-aware training: the encoder computes as its fixed-point program will, so that the weights find places
//! where rounding does little harm, and the decoder learns what it will be given.
//!
//! Weights, inputs, what each layer gives and latents are rounded to formats of a power of two, chosen as
//! `baler fpga compile` chooses them: those with the smallest squared error, on up to [`FITTED_TILES`] tiles, anew before
//! each epoch. Gradients pass rounding as if it had not been done (Bengio, Leonard and Courville, "Estimating or propagating
//! gradients through stochastic neurons", 2013) and stop where a value saturates.

use super::parameters::to_host;
use crate::onnx::Weights;
use baler_codec::{Error, Result};
use burn::tensor::Tensor;

/// Tiles that are enough to choose formats on.
pub(super) const FITTED_TILES: usize = 4096;

/// Values of a tensor looked at, at most: evenly spaced ones of more.
const MAX_VALUES: usize = 1 << 16;

/// Integer bits tried below those that hold the largest value: what is saturated may cost less than a coarse grid.
const TRIED: i32 = 5;

/// A format: the integers from `least` to `most`, times `step`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Grid {
    step: f32,
    least: f32,
    most: f32,
}

impl Grid {
    /// The format of `bits` with the smallest squared error on `values`.
    fn fit(values: &[f32], bits: u8, must_be_signed: bool) -> Self {
        let is_signed = must_be_signed || values.iter().any(|v| *v < 0.0);
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        // 2^n is above the largest value.
        let n = if largest > 0.0 { largest.log2().floor().clamp(-100.0, 100.0) as i32 + 1 } else { 0 };
        let magnitude_bits = i32::from(bits) - i32::from(is_signed);
        let most = 2f32.powi(magnitude_bits) - 1.0;
        let least = if is_signed { -most - 1.0 } else { 0.0 };
        let spacing = values.len().div_ceil(MAX_VALUES).max(1);
        let error = |grid: &Self| -> f64 {
            values.iter().step_by(spacing).map(|&v| f64::from(grid.integer(v) * grid.step - v).powi(2)).sum()
        };
        let grids = (n - TRIED..=n).rev().map(|m| Self { step: 2f32.powi(m - magnitude_bits), least, most });
        // Of equal ones the coarsest.
        let best =
            grids.map(|grid| (error(&grid), grid)).reduce(|best, other| if other.0 < best.0 { other } else { best });
        best.map_or(Self { step: 1.0, least, most }, |(_, grid)| grid)
    }

    fn integer(self, v: f32) -> f32 {
        (v / self.step + 0.5).floor().clamp(self.least, self.most)
    }

    fn round<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let inside = x.clamp(self.least * self.step, self.most * self.step);
        let plain = inside.clone().detach();
        let rounded = (plain.clone() / self.step + 0.5).floor() * self.step;
        inside + (rounded - plain)
    }
}

/// The formats of an encoder, in the order in which a pass comes to them.
#[derive(Clone, Debug)]
pub(super) struct FixedPoint {
    /// Of weights, of values.
    bits: [u8; 2],
    grids: Vec<Grid>,
    /// The one that comes next; none while formats are chosen.
    next: Option<usize>,
}

impl FixedPoint {
    /// For the pass that chooses formats: it rounds weights, and leaves values as they are.
    pub fn choosing(bits: [u8; 2]) -> Self {
        Self { bits, grids: Vec::new(), next: None }
    }

    /// For passes with the formats chosen.
    pub fn chosen(self) -> Self {
        Self { next: Some(0), ..self }
    }

    /// Weights as the program has them.
    pub fn weight<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        let grid = self.grid(&x, self.bits[0], true);
        grid.round(x)
    }

    /// What a layer gives, as the program has it. Latents, and values that can be below zero, must be signed.
    pub fn value(&mut self, x: Tensor<2>, must_be_signed: bool) -> Tensor<2> {
        let is_choosing = self.next.is_none();
        let grid = self.grid(&x, self.bits[1], must_be_signed);
        if is_choosing { x } else { grid.round(x) }
    }

    fn grid<const D: usize>(&mut self, x: &Tensor<D>, bits: u8, must_be_signed: bool) -> Grid {
        if let Some(next) = &mut self.next {
            *next += 1;
            return self.grids[*next - 1];
        }
        let grid = Grid::fit(&to_host(x.clone()), bits, must_be_signed);
        self.grids.push(grid);
        grid
    }
}

/// Weights as they are written: the program's integers, and their step.
pub(super) fn store(values: &[f32], bits: u8) -> Result<Weights> {
    if let Some(v) = values.iter().find(|v| !v.is_finite()) {
        return Err(Error::model(format!("a weight is {v}: training has diverged; try a lower learning rate")));
    }
    let grid = Grid::fit(values, bits, true);
    let integers = values.iter().map(|&v| grid.integer(v));
    let (scales, axis) = (vec![grid.step], 0);
    Ok(match bits {
        ..=8 => Weights::I8 { values: integers.map(|v| v as i8).collect(), scales, axis },
        _ => Weights::I16 { values: integers.map(|v| v as i16).collect(), scales, axis },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_hand() {
        let of = |values: &[f32], bits, signed| {
            let grid = Grid::fit(values, bits, signed);
            (grid.step, grid.least, grid.most)
        };
        assert_eq!(of(&[0.0625, 0.9375], 4, false), (0.0625, 0.0, 15.0));
        assert_eq!(of(&[-0.5, 0.4375], 4, false), (0.0625, -8.0, 7.0));
        assert_eq!(of(&[3.0, 1.0], 4, true), (0.5, -8.0, 7.0));
        assert_eq!(of(&[0.0], 4, false), (0.0625, 0.0, 15.0));
        // One outlier among many small values is saturated.
        let many: Vec<f32> = (0..1000).map(|i| (i % 16) as f32 / 16.0).chain([1.0]).collect();
        assert_eq!(of(&many, 4, false), (0.0625, 0.0, 15.0));
    }

    #[test]
    fn what_is_stored_is_on_the_grid() {
        let Weights::I8 { values, scales, .. } = store(&[0.3, -0.26, 0.1, 0.0], 3).unwrap() else { panic!() };
        assert_eq!((values, scales), (vec![2, -2, 1, 0], vec![0.125]));
        assert!(store(&[f32::NAN], 4).is_err());
    }
}
