//! SSE2: every x86-64. Fused multiply-add is made from double precision, as in [`crate::inference::softfma`].

use super::generic::{self, Simd};
use super::{Lanes, Linear};
use std::arch::x86_64::*;

struct Sse2;

impl Simd for Sse2 {
    type V = __m128;
    const LANES: usize = 4;
    const VECTORS: usize = 2;
    const CHANNELS: usize = 2;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m128 {
        // SAFETY: every x86-64 has SSE2.
        unsafe { _mm_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m128 {
        // SAFETY: the caller has 4 values at `from`.
        unsafe { _mm_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m128) {
        // SAFETY: the caller has room for 4 values at `to`.
        unsafe { _mm_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m128, b: __m128, c: __m128) -> __m128 {
        // SAFETY: every x86-64 has SSE2.
        unsafe {
            let low = fma_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b), _mm_cvtps_pd(c));
            let high = |v| _mm_cvtps_pd(_mm_movehl_ps(v, v));
            let high = fma_pd(high(a), high(b), high(c));
            _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high))
        }
    }
}

/// `a * b + c` of `f32` values, rounded to odd in `f64`.
#[inline(always)]
unsafe fn fma_pd(a: __m128d, b: __m128d, c: __m128d) -> __m128d {
    // SAFETY: every x86-64 has SSE2.
    unsafe {
        let product = _mm_mul_pd(a, b);
        let sum = _mm_add_pd(product, c);
        let virtual_c = _mm_sub_pd(sum, product);
        let error = _mm_add_pd(_mm_sub_pd(product, _mm_sub_pd(sum, virtual_c)), _mm_sub_pd(c, virtual_c));
        let zero = _mm_setzero_pd();
        // -1 in each lane whose sum is inexact (a NaN error is neither above nor below zero) ...
        let below = _mm_castpd_si128(_mm_cmplt_pd(error, zero));
        let above = _mm_castpd_si128(_mm_cmpgt_pd(error, zero));
        let inexact = _mm_or_si128(below, above);
        // ... and even: bit 0 of the sum, moved up and compared through the 32-bit lanes SSE2 has.
        let odd = _mm_and_si128(_mm_castpd_si128(sum), _mm_set1_epi64x(1));
        let even = _mm_sub_epi64(odd, _mm_set1_epi64x(1));
        // +1 where error and sum have the same sign (towards larger magnitude), else -1.
        let sum_below = _mm_castpd_si128(_mm_cmplt_pd(sum, zero));
        let step = _mm_or_si128(_mm_xor_si128(below, sum_below), _mm_set1_epi64x(1));
        let fix = _mm_and_si128(_mm_and_si128(inexact, even), step);
        _mm_castsi128_pd(_mm_add_epi64(_mm_castpd_si128(sum), fix))
    }
}

/// # Safety
/// As [`generic::linear`].
pub(super) unsafe fn linear(linear: &Linear, lanes: Lanes, n_blocks: usize, x: &[f32], out: &mut [f32]) {
    // SAFETY: as the caller's.
    unsafe { generic::linear::<Sse2, 2, 4>(linear, lanes, n_blocks, x, out) }
}

/// Rows of a square of four by four to its columns.
///
/// # Safety
/// Four values are at each of four rows of `from`, and room for as many at those of `to`.
#[inline(always)]
pub(super) unsafe fn transpose_square(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    // SAFETY: as the caller's; every x86-64 has SSE2.
    unsafe {
        let row = |i: usize| _mm_loadu_ps(from.add(i * from_stride));
        let (mut a, mut b, mut c, mut d) = (row(0), row(1), row(2), row(3));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (j, column) in [a, b, c, d].into_iter().enumerate() {
            _mm_storeu_ps(to.add(j * to_stride), column);
        }
    }
}
