//! Plain code compiled for any machine and for the wider vectors of newer ones, chosen at run time. It is the same code,
//! integers and IEEE 754 operations in a fixed order, so the results are the same to the last bit.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use crate::inference::SimdPath;

/// Says that this machine has AVX2 and the bit instructions that came with it.
#[derive(Clone, Copy)]
pub(crate) struct Wide(());

impl Wide {
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if matches!(SimdPath::best(), SimdPath::Avx512 | SimdPath::Avx2)
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
        {
            return Some(Self(()));
        }
        None
    }

    /// Whether there is all that every processor with AVX-512 but the first ones has, too.
    #[cfg(target_arch = "x86_64")]
    fn has_avx512(self) -> bool {
        SimdPath::best() == SimdPath::Avx512
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
    }

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
            fn avx2<K: Kernel>(kernel: K) -> K::Output {
                kernel.run()
            }
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512<K: Kernel>(kernel: K) -> K::Output {
                kernel.run()
            }
            if K::GAINS_BY_AVX512 && self.has_avx512() {
                // SAFETY: all that the function is compiled for was just found.
                return unsafe { avx512(kernel) };
            }
            // SAFETY: a `Wide` exists only where `detect` found what the function is compiled for.
            unsafe { avx2(kernel) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        kernel.run()
    }
}

/// Work that is worth compiling for wider vectors.
pub(crate) trait Kernel {
    type Output;
    /// Whether it is compiled for AVX-512 as well. That is measured: most kernels gain nothing, and some lose.
    const GAINS_BY_AVX512: bool = false;

    /// Has to be `#[inline(always)]`, as has what it calls: a function on its own is compiled for any machine. That is
    /// why this is a trait and not a closure.
    fn run(self) -> Self::Output;
}

/// Runs a kernel, compiled for the vectors of this machine.
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    match Wide::detect() {
        Some(wide) => wide.run(kernel),
        None => kernel.run(),
    }
}
