//! NEON: every AArch64.

use super::generic::{self, Simd};
use super::{Lanes, Linear};
use std::arch::aarch64::*;

struct Neon;

impl Simd for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;
    const VECTORS: usize = 4;
    const CHANNELS: usize = 6;

    #[inline(always)]
    unsafe fn splat(value: f32) -> float32x4_t {
        // SAFETY: every AArch64 target of Rust's standard library has NEON.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        // SAFETY: the caller has 4 values at `from`.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: float32x4_t) {
        // SAFETY: the caller has room for 4 values at `to`.
        unsafe { vst1q_f32(to, v) }
    }

    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: every AArch64 target of Rust's standard library has NEON.
        unsafe { vfmaq_f32(c, a, b) }
    }
}

/// # Safety
/// As [`generic::linear`].
pub(super) unsafe fn linear(linear: &Linear, lanes: Lanes, n_blocks: usize, x: &[f32], out: &mut [f32]) {
    // SAFETY: as the caller's.
    unsafe { generic::linear::<Neon, 4, 4>(linear, lanes, n_blocks, x, out) }
}
