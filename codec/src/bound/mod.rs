//! What a bound means for two values, decided exactly.
//!
//! Rounding may never turn a broken bound into a kept one, so the comparisons here do not trust a rounded difference:
//! a floating-point subtraction is monotone, therefore a rounded difference *below* the bound proves it, and one *equal*
//! to the bound is settled by the rounding error itself (Knuth's TwoSum, TAOCP vol. 2, 4.2.2).

mod check;

pub use check::{Check, check};

use crate::params::Bound;

/// A bound resolved for one part: what must hold for each of its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Promise {
    /// `x' = x` in all bits.
    Exact,
    /// `|x' - x| <= abs`.
    Abs(f64),
    /// `|x' - x| <= rel * |x|`.
    PwRel(f64),
    /// The mean of `(x' - x)^2` is at most this.
    MeanSquare(f64),
    /// Nothing at all ([`Bound::Latent`]).
    None,
}

impl Promise {
    /// Resolves a bound against the smallest and largest ordinary value.
    pub fn resolve(bound: Bound, min: f64, max: f64) -> Self {
        // Written so that it does not overflow for values near +-1.8e308.
        let share_of_range = |share: f64| max * share - min * share;
        let positive = |abs: f64| if abs > 0.0 { Promise::Abs(abs.min(f64::MAX)) } else { Promise::Exact };
        match bound {
            Bound::Lossless => Promise::Exact,
            Bound::Abs(abs) => Promise::Abs(abs),
            Bound::Rel(rel) => positive(share_of_range(rel)),
            Bound::PwRel(rel) => Promise::PwRel(rel),
            Bound::Psnr(db) => {
                let rms = share_of_range(10f64.powf(-db / 20.0));
                let mean_square = rms * rms;
                if mean_square > 0.0 && mean_square.is_finite() {
                    Promise::MeanSquare(mean_square)
                } else if rms > 0.0 {
                    // The square leaves the range of f64; a bound on each value promises the same.
                    Promise::Abs(rms.min(f64::MAX))
                } else {
                    Promise::Exact
                }
            }
            Bound::Latent => Promise::None,
        }
    }
}

/// Whether `|a - b| <= bound`, exactly, for finite numbers.
#[inline]
pub(crate) fn within_abs(a: f64, b: f64, bound: f64) -> bool {
    let difference = a - b;
    let size = difference.abs();
    size < bound || (size == bound && two_sum_error(a, -b, difference) * difference.signum() <= 0.0)
}

/// The part of `a + b` that `sum`, its rounded value, lost.
#[inline]
fn two_sum_error(a: f64, b: f64, sum: f64) -> f64 {
    let b_part = sum - a;
    let a_part = sum - b_part;
    (a - a_part) + (b - b_part)
}

/// Whether `|a - x| <= rel * |x|`, exactly, for finite numbers.
#[inline]
pub(crate) fn within_pw_rel(a: f64, x: f64, rel: f64) -> bool {
    if a == x {
        return true;
    }
    let allowed = rel * x.abs();
    let size = (a - x).abs();
    if allowed < f64::MIN_POSITIVE / f64::EPSILON {
        // The product may have lost bits below the smallest subnormal: ask for a margin of two of them.
        return size + 2.0 * f64::from_bits(1) <= allowed;
    }
    // `a` within a factor of two of `x` makes the subtraction exact (Sterbenz); beyond that the bound is broken, since
    // rel < 1 ... except below x / 2, where a rounded difference is still monotone.
    size < allowed || (size == allowed && (a - x) + x == a && rel.mul_add(x.abs(), -allowed) >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_settled_exactly() {
        assert!(within_abs(1.5, 1.0, 0.5));
        assert!(!within_abs(1.5 + f64::EPSILON, 1.0, 0.5));
        // 1e16 + 1 is not representable: the difference of 1e16 and -1 rounds to 1e16.
        assert!(!within_abs(1e16, -1.0, 1e16));
        assert!(within_abs(1e16, 1.0, 1e16));
        assert!(!within_abs(1.7e308, -1.7e308, f64::MAX));
        assert!(within_abs(-1.5, -1.0, 0.5) && within_abs(-1.0, -1.5, 0.5));
        assert!(!within_abs(-1e16, 1.0, 1e16));
    }

    #[test]
    fn pointwise_relative_keeps_zero_and_subnormals() {
        assert!(within_pw_rel(0.0, 0.0, 1e-3));
        assert!(!within_pw_rel(5e-324, 0.0, 0.5));
        assert!(!within_pw_rel(5e-324 * 3.0, 5e-324 * 2.0, 0.25));
        assert!(within_pw_rel(1.0 + 1e-3 - 1e-10, 1.0, 1e-3));
        assert!(!within_pw_rel(1.0 + 1e-3 + 1e-10, 1.0, 1e-3));
        assert!(within_pw_rel(-2.5, -2.0, 0.25));
    }

    #[test]
    fn ranges_near_the_largest_number_do_not_overflow() {
        let Promise::Abs(abs) = Promise::resolve(Bound::Rel(1e-3), -1.7e308, 1.7e308) else { panic!() };
        assert!((abs / 3.4e305 - 1.0).abs() < 1e-12);
        assert_eq!(Promise::resolve(Bound::Rel(1e-3), 2.0, 2.0), Promise::Exact);
        assert_eq!(Promise::resolve(Bound::Psnr(60.0), 2.0, 2.0), Promise::Exact);
        assert!(matches!(Promise::resolve(Bound::Psnr(60.0), -1e200, 1e200), Promise::Abs(_)));
    }
}
