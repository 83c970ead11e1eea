//! What networks of this family are trained on: the very inputs that the codec will give them.

use super::neighbours::{self, FRACTION_BITS, Neighbours};
use crate::predict::fitted::{self, ROUND, Scan, Site, Visit};
use crate::simd;
use std::convert::Infallible;

/// Values that a network of the family autoregressive is given for each position.
pub const N_INPUTS: usize = neighbours::N_INPUTS;

/// Positions of a field, with what the network knows of them and what it is to say.
///
/// The network gives two numbers. With them the integer at a position has a logistic distribution whose mean is the linear
/// prediction plus `output[0] * unit`, and whose scale is `2^output[1] * unit`, in steps.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Rows of [`N_INPUTS`].
    pub inputs: Vec<f32>,
    /// The integer minus its linear prediction, in steps.
    pub above_linear: Vec<f32>,
    /// The unit of the inputs, in steps.
    pub unit: Vec<f32>,
    /// Its logarithm to base 2, as the codec takes it.
    pub log2_unit: Vec<f32>,
}

impl Samples {
    /// Adds each position of an array of integers for which `wanted` is true.
    ///
    /// `q` holds the integers in C order of `shape`: multiples of twice the bound.
    pub fn add(&mut self, q: &[i32], shape: &[usize], wanted: impl FnMut(usize) -> bool) {
        let extents = fitted::extents_of(shape);
        let weights = fitted::fit(q, &extents, 1 << 13, |_| true);
        let visit = Collects { neighbours: Neighbours::new(&extents), wanted, samples: self };
        let Ok(()) = simd::run(Scan { values: &mut q.to_vec(), extents: &extents, weights: &weights, visit });
    }
}

struct Collects<'a, W> {
    neighbours: Neighbours,
    wanted: W,
    samples: &'a mut Samples,
}

impl<W: FnMut(usize) -> bool> Visit<i32> for Collects<'_, W> {
    type Error = Infallible;

    #[inline(always)]
    fn visit(&mut self, values: &[i32], site: &Site) -> Result<i32, Infallible> {
        let value = values[site.i];
        if (self.wanted)(site.i) {
            let (inputs, unit) = self.neighbours.inputs(values, site);
            let linear = site.sum.wrapping_sub(ROUND) as f64 / f64::from(1u32 << fitted::FRACTION_BITS);
            let fraction = 1.0 / (1 << FRACTION_BITS) as f32;
            self.samples.inputs.extend(inputs.iter().map(|&v| f32::from(v) * fraction));
            self.samples.above_linear.push((i64::from(value).wrapping_sub(site.anchor) as f64 - linear) as f32);
            self.samples.unit.push((unit.steps() as f64 / 65536.0) as f32);
            self.samples.log2_unit.push(unit.log2() as f32 * fraction);
        }
        Ok(value)
    }
}
