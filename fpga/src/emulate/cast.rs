//! Rounding and overflow of a lane: what `Fixed::from_grid` does, without its width.

use super::plan::Lane;
use crate::fixed::{Format, Overflow, Rounding};

/// A cast from one grid to a format, for lanes that hold everything on the way.
#[derive(Clone, Copy, Debug)]
pub struct Cast<T> {
    /// Bits dropped; below zero, bits appended.
    dropped: i32,
    rounding: Rounding,
    /// `None` where no value can be outside.
    overflow: Option<Overflow>,
    width: u32,
    is_signed: bool,
    min: T,
    max: T,
}

impl<T: Lane> Cast<T> {
    /// The cast of values within `bits` bits; none if lanes of `T` do not hold it.
    pub fn new(fraction_bits: i32, bits: u32, to: Format, may_overflow: bool) -> Option<Self> {
        let dropped = fraction_bits - to.fraction_bits();
        let fits =
            if dropped > 0 { dropped.unsigned_abs() < T::BITS - 1 } else { bits + dropped.unsigned_abs() <= T::BITS };
        // Where nothing is outside, the limits of the format do not matter.
        let limit =
            |raw: i128| if may_overflow { T::from_i128(raw) } else { Some(T::from_i128(raw).unwrap_or_default()) };
        if !fits || bits > T::BITS || may_overflow && to.width() >= T::BITS {
            return None;
        }
        let lowest = if to.overflow() == Overflow::SatSym && to.is_signed() { -to.max_raw() } else { to.min_raw() };
        Some(Self {
            dropped,
            rounding: to.rounding(),
            overflow: may_overflow.then_some(to.overflow()),
            width: to.width(),
            is_signed: to.is_signed(),
            min: limit(lowest)?,
            max: limit(to.max_raw())?,
        })
    }

    /// Casts every lane.
    #[inline(always)]
    pub fn apply(&self, lanes: &mut [T]) {
        if self.dropped < 0 {
            let n = self.dropped.unsigned_abs();
            lanes.iter_mut().for_each(|v| *v = v.shl(n));
        } else if self.dropped > 0 {
            self.round(lanes);
        }
        if let Some(overflow) = self.overflow {
            self.fit(overflow, lanes);
        }
    }

    #[inline(always)]
    fn round(&self, lanes: &mut [T]) {
        let d = self.dropped.unsigned_abs();
        let (zero, one) = (T::default(), T::from_i64(1));
        let below = one.shl(d - 1).minus(one);
        // Each arm is a loop of its own: one of them is vectorised, none decides in a lane.
        macro_rules! up {
            ($v:ident, $floor:ident, $half:ident, $rest:ident => $up:expr) => {
                for v in lanes.iter_mut() {
                    let $v = *v;
                    let $floor = $v.shr(d);
                    let $half = $v.shr(d - 1).and(one);
                    let $rest = one.minus(T::is_zero($v.and(below)));
                    *v = $floor.plus($up);
                }
            };
        }
        let negative = |v: T| v.shr(T::BITS - 1).and(one);
        match self.rounding {
            Rounding::Trn => lanes.iter_mut().for_each(|v| *v = v.shr(d)),
            Rounding::Rnd => up!(v, floor, half, rest => { let _ = (v, rest); half }),
            Rounding::TrnZero => up!(v, floor, half, rest => negative(v).and(half.or(rest))),
            Rounding::RndZero => up!(v, floor, half, rest => half.and(negative(v).or(rest))),
            Rounding::RndMinInf => up!(v, floor, half, rest => { let _ = v; half.and(rest) }),
            Rounding::RndInf => up!(v, floor, half, rest => half.and(one.minus(negative(v)).or(rest))),
            Rounding::RndConv => up!(v, floor, half, rest => { let _ = v; half.and(floor.and(one).or(rest)) }),
        }
        debug_assert!(zero <= one);
    }

    #[inline(always)]
    fn fit(&self, overflow: Overflow, lanes: &mut [T]) {
        let (min, max) = (self.min, self.max);
        let unused = T::BITS - self.width;
        let mask = T::from_i64(-1).shl(self.width);
        let wrap = |v: T| if self.is_signed { v.shl(unused).shr(unused) } else { v.minus(v.and(mask)) };
        match overflow {
            Overflow::Sat | Overflow::SatSym => lanes.iter_mut().for_each(|v| *v = (*v).max(min).min(max)),
            Overflow::SatZero => {
                for v in lanes.iter_mut() {
                    *v = if *v < min || *v > max { T::default() } else { *v };
                }
            }
            Overflow::Wrap if self.is_signed => lanes.iter_mut().for_each(|v| *v = v.shl(unused).shr(unused)),
            Overflow::Wrap => lanes.iter_mut().for_each(|v| *v = wrap(*v)),
            Overflow::WrapSm => {
                for v in lanes.iter_mut() {
                    if *v < min || *v > max {
                        let wrapped = wrap(*v);
                        let cut_off = v.shr(self.width).and(T::from_i64(1)) != T::default();
                        *v = if cut_off == (wrapped < T::default()) { wrapped } else { wrapped.not() };
                    }
                }
            }
        }
    }
}
