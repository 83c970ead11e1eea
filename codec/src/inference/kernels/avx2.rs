//! AVX2 with FMA.

use super::generic::{self, Simd};
use super::{Lanes, Linear};
use crate::inference::activation::Unary;
use std::arch::x86_64::*;

struct Avx2;

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    const VECTORS: usize = 2;
    const CHANNELS: usize = 6;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        // SAFETY: the caller has the instruction set.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: the caller has the instruction set, and 8 values at `from`.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m256) {
        // SAFETY: the caller has the instruction set, and room for 8 values at `to`.
        unsafe { _mm256_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the caller has the instruction set.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
}

/// # Safety
/// As [`generic::linear`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn linear(linear: &Linear, lanes: Lanes, n_blocks: usize, x: &[f32], out: &mut [f32]) {
    // SAFETY: as the caller's.
    unsafe { generic::linear::<Avx2, 2, 2>(linear, lanes, n_blocks, x, out) }
}

/// Activations, compiled for this instruction set.
#[target_feature(enable = "avx2,fma")]
pub(super) fn unary(op: &Unary, values: &mut [f32]) {
    op.apply(values);
}
