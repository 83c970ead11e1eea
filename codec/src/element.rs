//! Elements as bits: conversions between the bytes of each dtype and the two number types the codec works in, `f64` for
//! floating-point dtypes (exact for all three) and `i64` for integers.
//!
//! `u64` is mapped to `i64` by flipping the top bit, which keeps order and differences.

use crate::params::{ByteOrder, Dtype};
use crate::predict::stream::Ints;
use crate::simd::{self, Kernel};

/// The values of one part, as canonical (little-endian) bytes.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a> {
    pub dtype: Dtype,
    pub bytes: &'a [u8],
}

impl<'a> Elements<'a> {
    pub fn new(dtype: Dtype, bytes: &'a [u8]) -> Self {
        debug_assert_eq!(bytes.len() % dtype.size_bytes(), 0);
        Self { dtype, bytes }
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size_bytes()
    }

    /// The bits of element `i`, zero-extended.
    pub fn bits(&self, i: usize) -> u64 {
        let size = self.dtype.size_bytes();
        let mut word = [0; 8];
        word[..size].copy_from_slice(&self.bytes[i * size..(i + 1) * size]);
        u64::from_le_bytes(word)
    }

    /// The bytes of some rows: of `n` elements from each of `starts`.
    pub fn of_rows(&self, starts: &[usize], n: usize) -> Vec<u8> {
        let size = self.dtype.size_bytes();
        let mut bytes = Vec::with_capacity(starts.len() * n * size);
        for start in starts {
            bytes.extend_from_slice(&self.bytes[start * size..][..n * size]);
        }
        bytes
    }

    /// All elements of an integer dtype, in an order-preserving signed width that holds any of them.
    pub fn to_ints(self) -> Ints {
        match self.dtype {
            Dtype::I8 => Ints::I32(self.bytes.iter().map(|&b| i32::from(b as i8)).collect()),
            Dtype::U8 => Ints::I32(self.bytes.iter().map(|&b| i32::from(b)).collect()),
            Dtype::I16 => Ints::I32(self.words::<2>().map(|w| i32::from(i16::from_le_bytes(w))).collect()),
            Dtype::U16 => Ints::I32(self.words::<2>().map(|w| i32::from(u16::from_le_bytes(w))).collect()),
            Dtype::I32 => Ints::I32(self.words::<4>().map(i32::from_le_bytes).collect()),
            Dtype::U32 => Ints::I64(self.words::<4>().map(|w| i64::from(u32::from_le_bytes(w))).collect()),
            Dtype::I64 => Ints::I64(self.words::<8>().map(i64::from_le_bytes).collect()),
            Dtype::U64 => Ints::I64(self.words::<8>().map(|w| (u64::from_le_bytes(w) ^ (1 << 63)) as i64).collect()),
            _ => unreachable!("a floating-point dtype has no integers"),
        }
    }

    /// All elements as numbers: exact but for integers beyond 2^53, which round.
    pub fn to_numbers(self) -> Vec<f64> {
        let mut numbers = vec![0.0; self.len()];
        self.read_numbers(&mut numbers);
        numbers
    }

    /// The first elements, as many as `out` holds, as numbers.
    #[inline(always)]
    pub fn read_numbers(self, out: &mut [f64]) {
        fn read<const N: usize>(out: &mut [f64], bytes: &[u8], number: impl Fn([u8; N]) -> f64) {
            out.iter_mut().zip(bytes.as_chunks().0).for_each(|(o, &w)| *o = number(w));
        }
        let bytes = self.bytes;
        match self.dtype {
            Dtype::F16 => read(out, bytes, |w| f16_to_f64(u16::from_le_bytes(w))),
            Dtype::F32 => read(out, bytes, |w| f32::from_le_bytes(w).into()),
            Dtype::F64 => read(out, bytes, f64::from_le_bytes),
            Dtype::I8 => read(out, bytes, |w| i8::from_le_bytes(w).into()),
            Dtype::U8 => read(out, bytes, |w| u8::from_le_bytes(w).into()),
            Dtype::I16 => read(out, bytes, |w| i16::from_le_bytes(w).into()),
            Dtype::U16 => read(out, bytes, |w| u16::from_le_bytes(w).into()),
            Dtype::I32 => read(out, bytes, |w| i32::from_le_bytes(w).into()),
            Dtype::U32 => read(out, bytes, |w| u32::from_le_bytes(w).into()),
            Dtype::I64 => read(out, bytes, |w| i64::from_le_bytes(w) as f64),
            Dtype::U64 => read(out, bytes, |w| u64::from_le_bytes(w) as f64),
        }
    }

    /// Element `i` as a number: exact but for integers beyond 2^53, which round.
    pub fn value(&self, i: usize) -> f64 {
        bits_to_number(self.dtype, self.bits(i))
    }

    /// `|a - b|` of element `i` of two integer arrays, exactly; nothing for floating point.
    pub fn integer_distance(&self, other: Elements<'_>, i: usize) -> Option<u64> {
        let (a, b) = (self.bits(i), other.bits(i));
        match self.dtype {
            d if d.is_float() => None,
            Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => Some(a.abs_diff(b)),
            d => Some(sign_extend(d, a).abs_diff(sign_extend(d, b))),
        }
    }

    pub fn words<const N: usize>(self) -> impl Iterator<Item = [u8; N]> + use<'a, N> {
        self.bytes.chunks_exact(N).map(|c| {
            let mut w = [0; N];
            w.copy_from_slice(c);
            w
        })
    }
}

/// Smallest and largest of the finite ones among numbers; `None` if there is none.
pub(crate) fn extremes(values: &[f64]) -> Option<(f64, f64)> {
    struct Extremes<'a>(&'a [f64]);

    impl Kernel for Extremes<'_> {
        type Output = (f64, f64);

        #[inline(always)]
        fn run(self) -> Self::Output {
            /// Kept apart until the end, so that no comparison waits for the one before.
            const LANES: usize = 8;
            let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
            let mut add = |lane: usize, v: f64| {
                // False for NaN.
                let is_finite = v.abs() < f64::INFINITY;
                min[lane] = if is_finite && v < min[lane] { v } else { min[lane] };
                max[lane] = if is_finite && v > max[lane] { v } else { max[lane] };
            };
            let (blocks, rest) = self.0.as_chunks::<LANES>();
            for block in blocks {
                for (lane, &v) in block.iter().enumerate() {
                    add(lane, v);
                }
            }
            rest.iter().for_each(|&v| add(0, v));
            (min.into_iter().fold(f64::INFINITY, f64::min), max.into_iter().fold(f64::NEG_INFINITY, f64::max))
        }
    }

    let (min, max) = simd::run(Extremes(values));
    (min <= max).then_some((min, max))
}

/// Rounds numbers to the nearest values of a floating-point dtype, ties to even.
#[inline(always)]
pub(crate) fn put_f64(dtype: Dtype, values: impl Iterator<Item = f64>, out: &mut [u8]) {
    match dtype {
        Dtype::F32 => {
            for (w, v) in out.as_chunks_mut().0.iter_mut().zip(values) {
                *w = (v as f32).to_le_bytes();
            }
        }
        Dtype::F64 => {
            for (w, v) in out.as_chunks_mut().0.iter_mut().zip(values) {
                *w = v.to_le_bytes();
            }
        }
        _ => values.enumerate().for_each(|(i, v)| put_bits(out, dtype.size_bytes(), i, f64_to_bits(dtype, v))),
    }
}

/// Smallest and largest value of an integer dtype in the codec's `i64`.
pub(crate) fn integer_range(dtype: Dtype) -> (i64, i64) {
    match dtype {
        Dtype::I8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
        Dtype::U8 => (0, i64::from(u8::MAX)),
        Dtype::I16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Dtype::U16 => (0, i64::from(u16::MAX)),
        Dtype::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Dtype::U32 => (0, i64::from(u32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// The bits of an integer dtype for a value within [`integer_range`].
#[inline]
pub(crate) fn i64_to_bits(dtype: Dtype, v: i64) -> u64 {
    match dtype {
        Dtype::U64 => v as u64 ^ (1 << 63),
        _ => v as u64 & low_mask(dtype),
    }
}

/// The number that the low bits of a signed dtype stand for.
fn sign_extend(dtype: Dtype, bits: u64) -> i64 {
    let unused = 64 - 8 * dtype.size_bytes();
    ((bits << unused) as i64) >> unused
}

/// Ones in the bits an element of this dtype has.
#[inline]
pub(crate) fn low_mask(dtype: Dtype) -> u64 {
    u64::MAX >> (64 - 8 * dtype.size_bytes())
}

/// Rounds to the nearest value of a floating-point dtype, ties to even, and gives its bits.
pub(crate) fn f64_to_bits(dtype: Dtype, v: f64) -> u64 {
    match dtype {
        Dtype::F16 => u64::from(f64_to_f16(v)),
        Dtype::F32 => u64::from((v as f32).to_bits()),
        _ => v.to_bits(),
    }
}

/// The value of the bits of any dtype: exact but for integers beyond 2^53, which round.
pub(crate) fn bits_to_number(dtype: Dtype, bits: u64) -> f64 {
    match dtype {
        d if d.is_float() => bits_to_f64(d, bits),
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => bits as f64,
        d => sign_extend(d, bits) as f64,
    }
}

/// The bits of the element next to a number; integers round half to even and keep to the ends of their type.
pub(crate) fn number_to_bits(dtype: Dtype, v: f64) -> u64 {
    if dtype.is_float() {
        return f64_to_bits(dtype, v);
    }
    let (min, max) = integer_range(dtype);
    i64_to_bits(dtype, (v.round_ties_even() as i64).clamp(min, max))
}

/// The value of the bits of a floating-point dtype, exactly.
pub(crate) fn bits_to_f64(dtype: Dtype, bits: u64) -> f64 {
    match dtype {
        Dtype::F16 => f16_to_f64(bits as u16),
        Dtype::F32 => f64::from(f32::from_bits(bits as u32)),
        _ => f64::from_bits(bits),
    }
}

/// Explicit mantissa bits of a floating-point dtype.
pub(crate) fn mantissa_bits(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F16 => 10,
        Dtype::F32 => 23,
        _ => 52,
    }
}

/// The sign bit of a floating-point dtype.
pub(crate) fn sign_bit(dtype: Dtype) -> u64 {
    1 << (8 * dtype.size_bytes() - 1)
}

/// The bits of positive infinity: every finite magnitude is below.
pub(crate) fn infinity_bits(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::F16 => 0x7c00,
        Dtype::F32 => 0x7f80_0000,
        _ => 0x7ff0_0000_0000_0000,
    }
}

/// Writes the low bytes of `bits` as element `i` of `out`.
#[inline]
pub(crate) fn put_bits(out: &mut [u8], size: usize, i: usize, bits: u64) {
    out[i * size..(i + 1) * size].copy_from_slice(&bits.to_le_bytes()[..size]);
}

/// Swaps every element between little- and big-endian in place.
pub(crate) fn swap_order(bytes: &mut [u8], dtype: Dtype, order: ByteOrder) {
    if order == ByteOrder::Big && dtype.size_bytes() > 1 {
        for element in bytes.chunks_exact_mut(dtype.size_bytes()) {
            element.reverse();
        }
    }
}

/// binary16 to f64, exact. Ours rather than a library's because those go by way of f32 hardware where it is there.
fn f16_to_f64(h: u16) -> f64 {
    let sign = u64::from(h >> 15) << 63;
    let (exponent, mantissa) = (u64::from(h >> 10 & 0x1f), u64::from(h & 0x3ff));
    match exponent {
        0 => {
            let magnitude = mantissa as f64 * f64::from_bits((1023 - 24) << 52);
            f64::from_bits(magnitude.to_bits() | sign)
        }
        31 => f64::from_bits(sign | 0x7ff << 52 | mantissa << 42),
        _ => f64::from_bits(sign | (exponent + 1023 - 15) << 52 | mantissa << 42),
    }
}

/// f64 to binary16, to nearest, ties to even, in one rounding (by way of f32 it would round twice).
fn f64_to_f16(v: f64) -> u16 {
    let bits = v.to_bits();
    let sign = (bits >> 48) as u16 & 0x8000;
    let magnitude = bits & !(1 << 63);
    if magnitude > 0x7ff << 52 {
        return sign | 0x7e00;
    }
    let exponent = (magnitude >> 52) as i32 - 1023;
    if exponent > 15 {
        return sign | 0x7c00;
    }
    if exponent < -25 {
        return sign;
    }
    let mantissa = (magnitude & ((1 << 52) - 1)) | 1 << 52;
    // Normal numbers keep 10 of the 52 bits; each step below the smallest normal exponent loses one more.
    let drop = 42 + (-14 - exponent).max(0) as u32;
    let kept = mantissa >> drop;
    let rest = mantissa & ((1 << drop) - 1);
    let half = 1u64 << (drop - 1);
    let rounded = kept + u64::from(rest > half || (rest == half && kept & 1 == 1));
    // A carry out of the mantissa moves on into the exponent, which is right, up to infinity.
    let base = if exponent >= -14 { ((exponent + 15) as u64) << 10 } else { 0 };
    let implicit = if exponent >= -14 { 1 << 10 } else { 0 };
    sign | (base + rounded - implicit) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_survives_f64() {
        for h in 0..=u16::MAX {
            let v = f16_to_f64(h);
            if v.is_nan() {
                assert!(f64_to_f16(v) & 0x7c00 == 0x7c00 && f64_to_f16(v) & 0x3ff != 0);
            } else {
                assert_eq!(f64_to_f16(v), h, "{h:#06x} = {v}");
            }
        }
    }

    #[test]
    fn f16_rounds_once_to_nearest_even() {
        assert_eq!(f64_to_f16(65519.999), 0x7bff);
        assert_eq!(f64_to_f16(65520.0), 0x7c00);
        assert_eq!(f64_to_f16(1.0 + f64::powi(2.0, -11)), 0x3c00);
        // Halfway in f32 precision, above halfway in f64: rounding by way of f32 would give 0x3c00.
        assert_eq!(f64_to_f16(1.0 + f64::powi(2.0, -11) + f64::powi(2.0, -40)), 0x3c01);
        assert_eq!(f64_to_f16(1.0 + 3.0 * f64::powi(2.0, -11)), 0x3c02);
        assert_eq!(f64_to_f16(f64::powi(2.0, -25)), 0);
        assert_eq!(f64_to_f16(f64::powi(2.0, -25) * 1.0001), 1);
        assert_eq!(f64_to_f16(-f64::powi(2.0, -24)), 0x8001);
        assert_eq!(f64_to_f16(f64::powi(2.0, -14) * (1.0 - f64::powi(2.0, -12))), 0x0400);
    }
}
