//! Eight 16-bit integers and four 32-bit sums at a time: what a step of the network is made of.
//!
//! On x86-64 with the instructions that every such processor has (SSE2), elsewhere plain. Both compute the same integers.

#![allow(unsafe_code)]

#[cfg(not(target_arch = "x86_64"))]
pub(super) use plain::*;
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::*;

/// Bits that sums have more below the point than words.
const SHIFT: i32 = 12;

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use super::SHIFT;
    use std::arch::x86_64::*;

    /// Eight 16-bit integers.
    pub(in super::super) type Words = __m128i;
    /// Four 32-bit integers.
    pub(in super::super) type Sums = __m128i;

    #[inline(always)]
    pub(in super::super) fn words([a, b, c, d, e, f, g, h]: [i16; 8]) -> Words {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { _mm_set_epi16(h, g, f, e, d, c, b, a) }
    }

    #[inline(always)]
    pub(in super::super) fn sums([a, b, c, d]: [i32; 4]) -> Sums {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { _mm_set_epi32(d, c, b, a) }
    }

    /// The first two of four.
    #[inline(always)]
    pub(in super::super) fn first_two(v: Sums) -> [i32; 2] {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { [_mm_cvtsi128_si32(v), _mm_cvtsi128_si32(_mm_shuffle_epi32::<1>(v))] }
    }

    /// Each pair of words four times.
    #[inline(always)]
    pub(in super::super) fn spread(v: Words) -> [Words; 4] {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe {
            [
                _mm_shuffle_epi32::<0b00_00_00_00>(v),
                _mm_shuffle_epi32::<0b01_01_01_01>(v),
                _mm_shuffle_epi32::<0b10_10_10_10>(v),
                _mm_shuffle_epi32::<0b11_11_11_11>(v),
            ]
        }
    }

    /// `sum + x0 * w0 + x1 * w1` of each pair, modulo 2^32.
    #[inline(always)]
    pub(in super::super) fn multiply_add(sum: Sums, x: Words, w: Words) -> Sums {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { _mm_add_epi32(sum, _mm_madd_epi16(x, w)) }
    }

    /// `max(0, min(32767, sum >> 12))` of eight sums.
    #[inline(always)]
    pub(in super::super) fn relu(low: Sums, high: Sums) -> Words {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe {
            let words = _mm_packs_epi32(_mm_srai_epi32::<SHIFT>(low), _mm_srai_epi32::<SHIFT>(high));
            _mm_max_epi16(words, _mm_setzero_si128())
        }
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::SHIFT;

    pub(in super::super) type Words = [i16; 8];
    pub(in super::super) type Sums = [i32; 4];

    #[inline(always)]
    pub(in super::super) fn words(v: [i16; 8]) -> Words {
        v
    }

    #[inline(always)]
    pub(in super::super) fn sums(v: [i32; 4]) -> Sums {
        v
    }

    #[inline(always)]
    pub(in super::super) fn first_two([a, b, ..]: Sums) -> [i32; 2] {
        [a, b]
    }

    #[inline(always)]
    pub(in super::super) fn spread([a, b, c, d, e, f, g, h]: Words) -> [Words; 4] {
        [[a, b, a, b, a, b, a, b], [c, d, c, d, c, d, c, d], [e, f, e, f, e, f, e, f], [g, h, g, h, g, h, g, h]]
    }

    #[inline(always)]
    pub(in super::super) fn multiply_add(mut sum: Sums, x: Words, w: Words) -> Sums {
        for (i, sum) in sum.iter_mut().enumerate() {
            let product = |k: usize| i32::from(x[k]) * i32::from(w[k]);
            *sum = sum.wrapping_add(product(2 * i)).wrapping_add(product(2 * i + 1));
        }
        sum
    }

    #[inline(always)]
    pub(in super::super) fn relu(low: Sums, high: Sums) -> Words {
        let word = |sum: i32| (sum >> SHIFT).clamp(0, i32::from(i16::MAX)) as i16;
        std::array::from_fn(|i| word(if i < 4 { low[i] } else { high[i - 4] }))
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{plain, sse2};

    #[test]
    fn both_compute_the_same() {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            [i16::MIN, i16::MAX, (state >> 40) as i16, (state >> 48) as i16][(state >> 33) as usize & 3]
        };
        for _ in 0..2000 {
            let (x, w): ([i16; 8], [i16; 8]) = (std::array::from_fn(|_| next()), std::array::from_fn(|_| next()));
            let start: [i32; 4] = std::array::from_fn(|i| i32::from(x[i]) << 16 | i32::from(w[i]) & 0xffff);
            let slow =
                plain::spread(plain::words(x)).map(|x| plain::multiply_add(plain::sums(start), x, plain::words(w)));
            let fast = sse2::spread(sse2::words(x)).map(|x| sse2::multiply_add(sse2::sums(start), x, sse2::words(w)));
            for k in 0..4 {
                assert_eq!(sse2::first_two(fast[k]), plain::first_two(slow[k]));
            }
            let slow = plain::relu(slow[0], slow[1]);
            let fast = sse2::relu(fast[0], fast[1]);
            // Seen through products with one.
            for k in 0..4 {
                let one = |at: usize| -> [i16; 8] { std::array::from_fn(|i| i16::from(i == at)) };
                for at in 0..2 {
                    let slow = plain::multiply_add(plain::sums([0; 4]), plain::spread(slow)[k], one(at));
                    let fast = sse2::multiply_add(sse2::sums([0; 4]), sse2::spread(fast)[k], sse2::words(one(at)));
                    assert_eq!(sse2::first_two(fast), plain::first_two(slow));
                }
            }
        }
    }
}
