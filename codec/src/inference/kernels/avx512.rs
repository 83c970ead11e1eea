//! AVX-512F.

use super::generic::{self, Simd};
use super::{Lanes, Linear};
use crate::inference::activation::Unary;
use std::arch::x86_64::*;

struct Avx512;

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    const VECTORS: usize = 2;
    const CHANNELS: usize = 6;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        // SAFETY: the caller has the instruction set.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller has the instruction set, and 16 values at `from`.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m512) {
        // SAFETY: the caller has the instruction set, and room for 16 values at `to`.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the caller has the instruction set.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
}

/// # Safety
/// As [`generic::linear`].
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn linear(linear: &Linear, lanes: Lanes, n_blocks: usize, x: &[f32], out: &mut [f32]) {
    // SAFETY: as the caller's.
    unsafe { generic::linear::<Avx512, 2, 1>(linear, lanes, n_blocks, x, out) }
}

/// Activations, compiled for this instruction set.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) fn unary(op: &Unary, values: &mut [f32]) {
    op.apply(values);
}
