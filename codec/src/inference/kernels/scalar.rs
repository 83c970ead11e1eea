//! Any machine: one value at a time, fused multiply-add in software. The reference all others must equal.

use super::generic::{self, Simd};
use super::{Lanes, Linear, PANEL};
use crate::inference::softfma;

struct Scalar;

impl Simd for Scalar {
    type V = f32;
    const LANES: usize = 1;
    const VECTORS: usize = 4;
    const CHANNELS: usize = 1;

    #[inline(always)]
    unsafe fn splat(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> f32 {
        // SAFETY: the caller has a value at `from`.
        unsafe { *from }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: f32) {
        // SAFETY: the caller has room for a value at `to`.
        unsafe { *to = v }
    }

    #[inline(always)]
    unsafe fn fma(a: f32, b: f32, c: f32) -> f32 {
        softfma::fma(a, b, c)
    }
}

/// # Safety
/// As [`generic::linear`].
pub(super) unsafe fn linear(linear: &Linear, lanes: Lanes, n_blocks: usize, x: &[f32], out: &mut [f32]) {
    // SAFETY: as the caller's.
    unsafe { generic::linear::<Scalar, 4, PANEL>(linear, lanes, n_blocks, x, out) }
}

/// Rows of a square of four by four to its columns.
///
/// # Safety
/// Four values are at each of four rows of `from`, and room for as many at those of `to`.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn transpose_square(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    for i in 0..4 {
        for j in 0..4 {
            // SAFETY: as the caller's.
            unsafe { *to.add(j * to_stride + i) = *from.add(i * from_stride + j) };
        }
    }
}
