//! The blocks compiled for the vectors of this machine, and the multiply-add of pairs of 16-bit integers.
//!
//! The code of `block.rs` is compiled three times; only the multiply-add is written with intrinsics. All of it is integer
//! arithmetic that cannot overflow (`plan.rs`), so no path can give other bits.
#![allow(unsafe_code, reason = "vector instructions need it; each block says why it is sound")]

use super::block::{self, Scratch};
use super::plan::{Lane, Plan};
use super::{Port, ROWS};
use baler_codec::Result;
use std::fmt;

/// Outputs that share the loading of inputs in one multiply-add.
pub const OUTPUTS: usize = 4;

pub const PORTABLE: u8 = 0;
#[cfg(target_arch = "x86_64")]
const AVX2: u8 = 1;
#[cfg(target_arch = "x86_64")]
const AVX512: u8 = 2;

/// Which vectors are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// What every processor of this kind has.
    Portable,
    /// 256 bits.
    Avx2,
    /// 512 bits, with the instructions on 16-bit integers.
    Avx512,
}

impl Path {
    /// Every path.
    pub const ALL: [Path; 3] = [Path::Portable, Path::Avx2, Path::Avx512];

    /// The fastest that this machine has.
    pub fn best() -> Self {
        Self::ALL.into_iter().rfind(|path| path.is_available()).unwrap_or(Path::Portable)
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Path::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx2")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Path::Avx2 | Path::Avx512 => false,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Path::Portable => "portable",
            Path::Avx2 => "avx2",
            Path::Avx512 => "avx512",
        })
    }
}

/// All rows, block by block. `path` is available.
pub fn run<T: Lane, P: Port>(path: Path, plan: &Plan<T>, input: &[P], output: &mut [P]) -> Result<()> {
    match path {
        Path::Portable => blocks::<T, P, PORTABLE>(plan, input, output),
        // SAFETY: the caller chose a path that `Path::is_available` has confirmed.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { blocks_avx2(plan, input, output) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { blocks_avx512(plan, input, output) },
        #[cfg(not(target_arch = "x86_64"))]
        Path::Avx2 | Path::Avx512 => blocks::<T, P, PORTABLE>(plan, input, output),
    }
}

#[inline(always)]
fn blocks<T: Lane, P: Port, const MADD: u8>(plan: &Plan<T>, input: &[P], output: &mut [P]) -> Result<()> {
    let mut scratch = Scratch::new(plan);
    let (n_in, n_out) = (plan.inputs.len(), plan.n_outputs);
    let blocks = input.chunks(ROWS * n_in).zip(output.chunks_mut(ROWS * n_out));
    for (b, (input, output)) in blocks.enumerate() {
        block::run::<T, P, MADD>(plan, &mut scratch, b * ROWS, input, output)?;
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn blocks_avx2<T: Lane, P: Port>(plan: &Plan<T>, input: &[P], output: &mut [P]) -> Result<()> {
    blocks::<T, P, AVX2>(plan, input, output)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn blocks_avx512<T: Lane, P: Port>(plan: &Plan<T>, input: &[P], output: &mut [P]) -> Result<()> {
    blocks::<T, P, AVX512>(plan, input, output)
}

/// Adds to each of up to `OUTPUTS` sums the products of its `n_pairs` pairs of weights with the pairs of `x`. Only called
/// from code that is compiled for `MADD`.
#[inline(always)]
pub fn madd<const MADD: u8>(weights: &[i32], n_pairs: usize, x: &[i32], sums: &mut [[i32; ROWS]]) {
    match MADD {
        // SAFETY: `blocks_avx512` and `blocks_avx2` alone name these, and run only where they are available.
        #[cfg(target_arch = "x86_64")]
        AVX512 if sums.len() == OUTPUTS => unsafe { madd_avx512::<OUTPUTS>(weights, n_pairs, x, sums) },
        #[cfg(target_arch = "x86_64")]
        AVX512 => {
            for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(n_pairs)) {
                // SAFETY: as above.
                unsafe { madd_avx512::<1>(weights, n_pairs, x, std::slice::from_mut(sum)) };
            }
        }
        #[cfg(target_arch = "x86_64")]
        AVX2 => {
            for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(n_pairs)) {
                // SAFETY: as above.
                unsafe { madd_avx2(weights, n_pairs, x, sum) };
            }
        }
        _ => {
            for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(n_pairs)) {
                for (&w, x) in weights.iter().zip(x.chunks_exact(ROWS)) {
                    let (low, high) = (i32::from(w as i16), w >> 16);
                    for (sum, &x) in sum.iter_mut().zip(x) {
                        *sum = sum.wrapping_add(i32::from(x as i16) * low).wrapping_add((x >> 16) * high);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn madd_avx512<const N: usize>(weights: &[i32], n_pairs: usize, x: &[i32], sums: &mut [[i32; ROWS]]) {
    use std::arch::x86_64::*;
    const VECTORS: usize = ROWS / 16;
    assert!(weights.len() == N * n_pairs && x.len() >= n_pairs * ROWS && sums.len() == N);
    // SAFETY: each sum has VECTORS vectors of 16 integers; unaligned loads and stores are allowed.
    let load = |at: &[i32], v: usize| unsafe { _mm512_loadu_si512(at.as_ptr().add(16 * v).cast()) };
    let mut accumulators = [[_mm512_setzero_si512(); VECTORS]; N];
    for (accumulators, sum) in accumulators.iter_mut().zip(&*sums) {
        for (v, a) in accumulators.iter_mut().enumerate() {
            *a = load(sum, v);
        }
    }
    for (p, x) in x.chunks_exact(ROWS).take(n_pairs).enumerate() {
        let vectors: [__m512i; VECTORS] = std::array::from_fn(|v| load(x, v));
        for (n, accumulators) in accumulators.iter_mut().enumerate() {
            let w = _mm512_set1_epi32(weights[n * n_pairs + p]);
            for (a, x) in accumulators.iter_mut().zip(vectors) {
                *a = _mm512_add_epi32(*a, _mm512_madd_epi16(x, w));
            }
        }
    }
    for (accumulators, sum) in accumulators.iter().zip(sums) {
        for (v, a) in accumulators.iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm512_storeu_si512(sum.as_mut_ptr().add(16 * v).cast(), *a) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn madd_avx2(weights: &[i32], n_pairs: usize, x: &[i32], sum: &mut [i32; ROWS]) {
    use std::arch::x86_64::*;
    const VECTORS: usize = ROWS / 8;
    assert!(weights.len() == n_pairs && x.len() >= n_pairs * ROWS);
    // SAFETY: a sum has VECTORS vectors of 8 integers; unaligned loads and stores are allowed.
    let load = |at: &[i32], v: usize| unsafe { _mm256_loadu_si256(at.as_ptr().add(8 * v).cast()) };
    let mut accumulators: [__m256i; VECTORS] = std::array::from_fn(|v| load(sum, v));
    for (&w, x) in weights.iter().zip(x.chunks_exact(ROWS)) {
        let w = _mm256_set1_epi32(w);
        for (v, a) in accumulators.iter_mut().enumerate() {
            *a = _mm256_add_epi32(*a, _mm256_madd_epi16(load(x, v), w));
        }
    }
    for (v, a) in accumulators.iter().enumerate() {
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(sum.as_mut_ptr().add(8 * v).cast(), *a) };
    }
}
