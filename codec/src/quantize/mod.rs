//! Values to integers within a promise, and back.
//!
//! | id | quantiser | decoded value |
//! |---|---|---|
//! | 0 | [`Quantiser::Bits`] | the float whose sign-magnitude pattern is `q << shift` |
//! | 1 | [`Quantiser::Linear`] | `offset + q * step`, rounded to the dtype |
//! | 2 | [`Quantiser::Integer`] | `offset + q * step`, clamped to the dtype |
//! | 3 | [`Quantiser::Pattern`] | the float whose sign-magnitude pattern is `q * step` |
//!
//! The sign-magnitude pattern of a float is its bits without the sign, negated where the sign is set: an integer that
//! grows with the value. Equal steps in it are equal steps *relative* to the value, to within a factor of two, and need
//! no logarithm.

mod choose;
mod value;

pub(crate) use choose::{Quantised, half_step, quantise};
pub use value::{Lattice, ValueQuantiser};

use crate::element::{
    bits_to_f64, f64_to_bits, i64_to_bits, infinity_bits, integer_range, low_mask, put_bits, put_f64, sign_bit,
};
use crate::entropy::Int;
use crate::error::{Error, Result};
use crate::params::Dtype;
use crate::predict::stream::Ints;
use crate::simd::{self, Kernel};
use crate::wire::{Reader, Writer};

/// How integers stand for values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Quantiser {
    Bits { shift: u32 },
    Linear { offset: f64, step: f64 },
    Integer { offset: i64, step: u64 },
    Pattern { step: u64 },
}

impl Quantiser {
    pub fn write(self, out: &mut Writer) {
        match self {
            Quantiser::Bits { shift } => {
                out.u8(0);
                out.u8(shift as u8);
            }
            Quantiser::Linear { offset, step } => {
                out.u8(1);
                out.f64(offset);
                out.f64(step);
            }
            Quantiser::Integer { offset, step } => {
                out.u8(2);
                out.varint_signed(offset);
                out.varint(step);
            }
            Quantiser::Pattern { step } => {
                out.u8(3);
                out.varint(step);
            }
        }
    }

    pub fn read(dtype: Dtype, input: &mut Reader<'_>) -> Result<Self> {
        let kind = input.u8("a quantiser")?;
        let quantiser = match kind {
            0 => Quantiser::Bits { shift: u32::from(input.u8("a shift")?) },
            1 => Quantiser::Linear { offset: input.f64("an offset")?, step: input.f64("a step")? },
            2 => Quantiser::Integer { offset: input.varint_signed("an offset")?, step: input.varint("a step")? },
            3 => Quantiser::Pattern { step: input.varint("a step")? },
            _ => return Err(Error::corrupt(format!("quantiser {kind} is unknown"))),
        };
        let fits = match quantiser {
            Quantiser::Bits { shift } => dtype.is_float() && shift < 64,
            Quantiser::Linear { offset, step } => {
                dtype.is_float() && offset.is_finite() && step.is_finite() && step > 0.0
            }
            Quantiser::Integer { step, .. } => !dtype.is_float() && step > 0,
            Quantiser::Pattern { step } => dtype.is_float() && step > 0,
        };
        if fits { Ok(quantiser) } else { Err(Error::corrupt(format!("quantiser {quantiser:?} does not fit {dtype}"))) }
    }

    /// The bits of the value that `q` stands for. Total: any `q` gives some value of the dtype.
    #[inline]
    pub fn decode(self, dtype: Dtype, q: i64) -> u64 {
        match self {
            Quantiser::Bits { shift } => pattern_to_bits(dtype, q.wrapping_shl(shift)),
            Quantiser::Linear { offset, step } => f64_to_bits(dtype, offset + q as f64 * step),
            Quantiser::Integer { offset, step } => {
                let (min, max) = integer_range(dtype);
                // In 128 bits: q * step and the sum may pass the range of i64 in between and come back.
                let v = i128::from(offset) + i128::from(q) * i128::from(step);
                i64_to_bits(dtype, v.clamp(i128::from(min), i128::from(max)) as i64)
            }
            Quantiser::Pattern { step } => pattern_to_bits(dtype, q.wrapping_mul(step as i64)),
        }
    }

    /// Where a value lies among the integers, for predictions: `decode` of the nearest integer comes closest to it. NaN
    /// where it lies nowhere.
    pub fn position(self, dtype: Dtype, v: f64) -> f64 {
        let pattern = || bits_to_pattern(dtype, f64_to_bits(dtype, v)) as f64;
        match self {
            _ if v.is_nan() => v,
            Quantiser::Bits { shift } => pattern() / (1u64 << shift) as f64,
            Quantiser::Linear { offset, step } => (v - offset) / step,
            Quantiser::Integer { offset, step } => (v - offset as f64) / step as f64,
            Quantiser::Pattern { step } => pattern() / step as f64,
        }
    }

    /// [`Quantiser::position`] of each of these, put in their place.
    #[inline(always)]
    pub fn positions(self, dtype: Dtype, values: &mut [f64]) {
        let mut linear = |offset: f64, step: f64| values.iter_mut().for_each(|v| *v = (*v - offset) / step);
        match self {
            Quantiser::Linear { offset, step } => linear(offset, step),
            Quantiser::Integer { offset, step } => linear(offset as f64, step as f64),
            _ => values.iter_mut().for_each(|v| *v = self.position(dtype, *v)),
        }
    }

    /// How far a decoded value may be from the true one, where that does not depend on the value.
    pub fn uncertainty(self) -> f64 {
        match self {
            Quantiser::Linear { step, .. } => step / 2.0,
            Quantiser::Integer { step, .. } => (step / 2) as f64,
            Quantiser::Bits { .. } | Quantiser::Pattern { .. } => 0.0,
        }
    }

    /// Decodes all integers into little-endian elements.
    pub fn decode_all(self, dtype: Dtype, q: &Ints, out: &mut [u8]) {
        match q {
            Ints::I32(q) => simd::run(DecodeInts { quantiser: self, dtype, q, out }),
            Ints::I64(q) => simd::run(DecodeInts { quantiser: self, dtype, q, out }),
        }
    }

    /// The commonest cases without a branch for each value.
    #[inline(always)]
    pub fn decode_ints<I: Int>(self, dtype: Dtype, q: &[I], out: &mut [u8]) {
        match (self, dtype) {
            (Quantiser::Linear { offset, step }, Dtype::F32 | Dtype::F64) => {
                put_f64(dtype, q.iter().map(|q| offset + q.to_i64() as f64 * step), out);
            }
            (Quantiser::Integer { offset, step }, _) if step <= i64::MAX as u64 => {
                let (min, max) = integer_range(dtype);
                // Products of 32 bits each stay far from the ends of 64.
                if I::SIZE_BYTES == 4 && step <= 1 << 31 && offset.unsigned_abs() <= 1 << 62 {
                    let value = |q: &I| q.to_i64().wrapping_mul(step as i64).wrapping_add(offset);
                    put_words(dtype, q.iter().map(|q| i64_to_bits(dtype, value(q).clamp(min, max))), out);
                } else {
                    let bits = |q: &I| {
                        let v = q.to_i64().checked_mul(step as i64).and_then(|v| v.checked_add(offset));
                        v.map_or_else(|| self.decode(dtype, q.to_i64()), |v| i64_to_bits(dtype, v.clamp(min, max)))
                    };
                    put_words(dtype, q.iter().map(bits), out);
                }
            }
            _ => {
                let size = dtype.size_bytes();
                q.iter().enumerate().for_each(|(i, q)| put_bits(out, size, i, self.decode(dtype, q.to_i64())));
            }
        }
    }

    /// The decoded value as a number, for floating-point dtypes.
    #[inline]
    pub fn decode_f64(self, dtype: Dtype, q: i64) -> f64 {
        bits_to_f64(dtype, self.decode(dtype, q))
    }
}

struct DecodeInts<'a, I> {
    quantiser: Quantiser,
    dtype: Dtype,
    q: &'a [I],
    out: &'a mut [u8],
}

impl<I: Int> Kernel for DecodeInts<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.quantiser.decode_ints(self.dtype, self.q, self.out);
    }
}

/// Puts the low bits of words into elements.
#[inline(always)]
fn put_words(dtype: Dtype, words: impl Iterator<Item = u64>, out: &mut [u8]) {
    #[inline(always)]
    fn put<const N: usize>(out: &mut [u8], words: impl Iterator<Item = [u8; N]>) {
        // A loop is compiled where it stands, for the vectors of the kernel; `for_each` need not be.
        for (o, word) in out.as_chunks_mut::<N>().0.iter_mut().zip(words) {
            *o = word;
        }
    }
    match dtype.size_bytes() {
        1 => put(out, words.map(|w| (w as u8).to_le_bytes())),
        2 => put(out, words.map(|w| (w as u16).to_le_bytes())),
        4 => put(out, words.map(|w| (w as u32).to_le_bytes())),
        _ => put(out, words.map(u64::to_le_bytes)),
    }
}

/// The sign-magnitude pattern of a float as a signed integer. -0.0 and +0.0 both give 0: -0.0 is a special value.
#[inline]
pub(crate) fn bits_to_pattern(dtype: Dtype, bits: u64) -> i64 {
    let magnitude = (bits & !sign_bit(dtype) & low_mask(dtype)) as i64;
    if bits & sign_bit(dtype) != 0 { -magnitude } else { magnitude }
}

/// The inverse of [`bits_to_pattern`]; magnitudes beyond the dtype's bits are cut.
#[inline]
pub(crate) fn pattern_to_bits(dtype: Dtype, pattern: i64) -> u64 {
    let magnitude = pattern.unsigned_abs() & (sign_bit(dtype) - 1);
    if pattern < 0 { magnitude | sign_bit(dtype) } else { magnitude }
}

/// Whether a magnitude pattern is that of a finite number.
#[inline]
pub(crate) fn is_finite_pattern(dtype: Dtype, magnitude: u64) -> bool {
    magnitude < infinity_bits(dtype)
}
