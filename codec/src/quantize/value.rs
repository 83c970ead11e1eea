//! One value at a time: for hosts that keep every value in a place of its own, such as the rows of a table.
//!
//! The quantiser is fixed before the values are seen, so that any value, alone, becomes an integer and comes back. What a
//! chunk does with special values and exceptions is up to the host here: [`ValueQuantiser::quantise`] names them.

use super::{Quantiser, bits_to_pattern, half_step, is_finite_pattern};
use crate::bound::{Promise, within_abs, within_pw_rel};
use crate::element::{bits_to_f64, f64_to_bits, mantissa_bits};
use crate::error::{Error, Result};
use crate::params::{Bound, Dtype};

/// Where the values that integers stand for lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lattice {
    /// `q * step`, rounded to the dtype.
    Linear {
        /// Finite, above 0.
        step: f64,
    },
    /// The float whose sign-magnitude pattern is `q * step`: equal steps relative to the value, within a factor of two.
    Pattern {
        /// Above 0.
        step: u64,
    },
}

/// Quantises single values of a floating-point dtype within a bound, and checks each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueQuantiser {
    dtype: Dtype,
    quantiser: Quantiser,
    promise: Promise,
    inverse: f64,
}

/// Largest |q|: `q as f64` is exact, with room for differences.
const MAX_Q: f64 = (1u64 << 51) as f64;
/// Added and taken away again, it rounds numbers up to 2^51 to integers, ties to even.
const ROUNDING: f64 = 1.5 * (1u64 << 52) as f64;

impl ValueQuantiser {
    /// The bound that a lattice can serve: relative to the range becomes absolute, others stay. `None` if the range is
    /// empty and nothing but equal values would do.
    pub fn resolve(bound: Bound, min: f64, max: f64) -> Option<Bound> {
        match Promise::resolve(bound, min, max) {
            Promise::Abs(abs) => Some(Bound::Abs(abs)),
            Promise::PwRel(rel) => Some(Bound::PwRel(rel)),
            Promise::Exact | Promise::MeanSquare(_) | Promise::None => None,
        }
    }

    /// The widest lattice for `bound` ([`Bound::Abs`] or [`Bound::PwRel`]) and values up to `largest` in magnitude. `None`
    /// where the bound is finer than the dtype: such values are best left as they are.
    ///
    /// # Errors
    /// For other bounds, and for dtypes that are not floating point.
    pub fn new(dtype: Dtype, bound: Bound, largest: f64) -> Result<Option<Self>> {
        bound.validate()?;
        let lattice = match bound {
            Bound::Abs(abs) if dtype.is_float() => half_step(dtype, largest, abs)
                .map(|half| 2.0 * half)
                .filter(|step| step.is_finite() && largest / step <= MAX_Q)
                .map(|step| Lattice::Linear { step }),
            Bound::PwRel(rel) if dtype.is_float() => {
                let step = (2.0 * rel * (1u64 << mantissa_bits(dtype)) as f64) as u64;
                (step > 1).then_some(Lattice::Pattern { step })
            }
            _ => return Err(unfit(dtype, bound)),
        };
        lattice.map(|lattice| Self::with_lattice(dtype, bound, lattice)).transpose()
    }

    /// The quantiser that a stored lattice belongs to.
    ///
    /// # Errors
    /// Where dtype, bound and lattice do not go together.
    pub fn with_lattice(dtype: Dtype, bound: Bound, lattice: Lattice) -> Result<Self> {
        bound.validate()?;
        let (quantiser, promise, inverse) = match (lattice, bound) {
            (Lattice::Linear { step }, Bound::Abs(abs))
                if dtype.is_float() && step.is_normal() && step > 0.0 && (1.0 / step).is_finite() =>
            {
                (Quantiser::Linear { offset: 0.0, step }, Promise::Abs(abs), 1.0 / step)
            }
            (Lattice::Pattern { step }, Bound::PwRel(rel)) if dtype.is_float() && (1..1 << 62).contains(&step) => {
                (Quantiser::Pattern { step }, Promise::PwRel(rel), 0.0)
            }
            _ => return Err(unfit(dtype, bound).context(format!("{lattice:?}"))),
        };
        Ok(Self { dtype, quantiser, promise, inverse })
    }

    /// The lattice, to be stored.
    pub fn lattice(&self) -> Lattice {
        match self.quantiser {
            Quantiser::Pattern { step } => Lattice::Pattern { step },
            Quantiser::Linear { step, .. } => Lattice::Linear { step },
            Quantiser::Bits { .. } | Quantiser::Integer { .. } => Lattice::Pattern { step: 1 },
        }
    }

    /// The integer of a value of the dtype (given as f64, which holds all of them). `None` where none brings it back within
    /// the bound: NaN, infinities, -0.0, what rounding or the range of the integers forbids. Those have to be kept exactly.
    #[inline]
    pub fn quantise(&self, x: f64) -> Option<i64> {
        let q = match (self.quantiser, self.promise) {
            (Quantiser::Linear { .. }, Promise::Abs(abs)) => {
                let scaled = x * self.inverse;
                if scaled.is_nan() || scaled.abs() > MAX_Q {
                    return None;
                }
                let q = ((scaled + ROUNDING) - ROUNDING) as i64;
                let y = self.decode(q);
                (y.is_finite() && within_abs(y, x, abs)).then_some(q)?
            }
            (Quantiser::Pattern { step }, Promise::PwRel(rel)) => {
                let p = bits_to_pattern(self.dtype, f64_to_bits(self.dtype, x));
                let step = step as i64;
                let magnitude = p.abs().checked_add(step / 2)? / step;
                let is_finite = x.is_finite() && is_finite_pattern(self.dtype, (magnitude * step) as u64);
                let q = if p < 0 { -magnitude } else { magnitude };
                (is_finite && within_pw_rel(self.decode(q), x, rel)).then_some(q)?
            }
            _ => return None,
        };
        let is_negative_zero = x == 0.0 && x.is_sign_negative();
        (!is_negative_zero).then_some(q)
    }

    /// The value of an integer. Total, and it never falls where `q` grows within the range that [`Self::quantise`] uses.
    #[inline]
    pub fn decode(&self, q: i64) -> f64 {
        match (self.quantiser, self.dtype) {
            // The commonest case, without a detour by way of bits.
            (Quantiser::Linear { step, .. }, Dtype::F32) => f64::from((q as f64 * step) as f32),
            _ => self.quantiser.decode_f64(self.dtype, q),
        }
    }

    /// The integer next to any number, if it is not out of reach: where a prediction points. The same on every machine.
    #[inline]
    pub fn nearest(&self, v: f64) -> Option<i64> {
        let position = self.quantiser.position(self.dtype, v);
        // Not so for NaN either.
        (position.abs() <= MAX_Q).then(|| (position + 0.5).floor() as i64)
    }

    /// Rounds a number to the dtype.
    pub fn round(&self, v: f64) -> f64 {
        bits_to_f64(self.dtype, f64_to_bits(self.dtype, v))
    }
}

fn unfit(dtype: Dtype, bound: Bound) -> Error {
    Error::invalid(format!(
        "{dtype} within {bound}: single values are quantised for floating-point dtypes, abs and pw_rel only"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_keeps_its_bound_or_is_named() {
        for (dtype, bound) in
            [(Dtype::F32, Bound::Abs(1e-3)), (Dtype::F64, Bound::Abs(0.3)), (Dtype::F16, Bound::PwRel(0.01))]
        {
            let quantiser = ValueQuantiser::new(dtype, bound, 200.0).unwrap().unwrap();
            let again = ValueQuantiser::with_lattice(dtype, bound, quantiser.lattice()).unwrap();
            assert_eq!(again, quantiser);
            let mut last = f64::NEG_INFINITY;
            for i in -20_000..20_000 {
                let x = quantiser.round(f64::from(i) * 0.01);
                let y = quantiser.decode(quantiser.quantise(x).unwrap());
                let allowed = match bound {
                    Bound::PwRel(rel) => rel * x.abs(),
                    Bound::Abs(abs) => abs,
                    _ => unreachable!(),
                };
                assert!((x - y).abs() <= allowed && y >= last, "{dtype} {bound}: {x} {y}");
                last = y;
            }
            for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0] {
                assert_eq!(quantiser.quantise(x), None, "{x}");
            }
            assert_eq!(quantiser.quantise(0.0).map(|q| quantiser.decode(q).to_bits()), Some(0));
        }
        // A bound that falls between neighbouring floats, values beyond the promised range, the ends of the dtype.
        assert_eq!(ValueQuantiser::new(Dtype::F32, Bound::Abs(1e-9), 200.0).unwrap(), None);
        let quantiser = ValueQuantiser::new(Dtype::F32, Bound::Abs(1e-3), 1.0).unwrap().unwrap();
        assert_eq!(quantiser.quantise(f64::from(f32::MAX)), None);
        let wide = ValueQuantiser::new(Dtype::F64, Bound::PwRel(0.4), 1.0).unwrap().unwrap();
        assert!(wide.quantise(f64::MAX).is_none_or(|q| wide.decode(q).is_finite()));
        assert!(ValueQuantiser::new(Dtype::I32, Bound::Abs(1.0), 1.0).is_err());
        assert!(ValueQuantiser::new(Dtype::F32, Bound::Psnr(60.0), 1.0).is_err());
    }
}
