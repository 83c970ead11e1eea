//! The instruction sets there are kernels for.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// A set of kernels. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SimdPath {
    /// x86-64 with AVX-512F.
    Avx512,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// Any x86-64; fused multiply-add in software.
    Sse2,
    /// AArch64.
    Neon,
    /// Any machine; fused multiply-add in software.
    Scalar,
}

impl SimdPath {
    /// Every path, fastest first.
    pub const ALL: [SimdPath; 5] = [SimdPath::Avx512, SimdPath::Avx2, SimdPath::Neon, SimdPath::Sse2, SimdPath::Scalar];

    /// Whether this host can run it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx512 => is_x86_feature_detected!("avx512f") && SimdPath::Avx2.is_available(),
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            SimdPath::Sse2 => true,
            #[cfg(target_arch = "aarch64")]
            SimdPath::Neon => true,
            SimdPath::Scalar => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// The paths this host can run, fastest first.
    pub fn available() -> Vec<SimdPath> {
        Self::ALL.into_iter().filter(|path| path.is_available()).collect()
    }

    /// The path that [`super::super::Network::run`] takes: the one named by the environment variable `BALER_SIMD` if
    /// this host has it (see [`SimdPath::from_env`]), else the fastest. Decided once per process.
    pub fn best() -> SimdPath {
        static BEST: OnceLock<SimdPath> = OnceLock::new();
        *BEST.get_or_init(|| match Self::from_env() {
            Ok(Some(path)) => path,
            _ => Self::available()[0],
        })
    }

    /// What the environment variable `BALER_SIMD` asks for: nothing if it is not set or empty, an error if it names
    /// no path or one this host lacks.
    pub fn from_env() -> Result<Option<SimdPath>> {
        let name = std::env::var("BALER_SIMD").unwrap_or_default();
        if name.is_empty() {
            return Ok(None);
        }
        let path: SimdPath = name.parse().map_err(|e: Error| e.context("BALER_SIMD"))?;
        if !path.is_available() {
            let names: Vec<_> = Self::available().iter().map(|path| path.name()).collect();
            return Err(Error::invalid(format!("BALER_SIMD: this machine has no {path}; it has {}", names.join(", "))));
        }
        Ok(Some(path))
    }

    /// `avx512`, `avx2`, `sse2`, `neon`, `scalar`.
    pub fn name(self) -> &'static str {
        match self {
            SimdPath::Avx512 => "avx512",
            SimdPath::Avx2 => "avx2",
            SimdPath::Sse2 => "sse2",
            SimdPath::Neon => "neon",
            SimdPath::Scalar => "scalar",
        }
    }
}

impl fmt::Display for SimdPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SimdPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|path| path.name() == text).ok_or_else(|| {
            Error::invalid(format!("instruction set {text:?}: expected avx512, avx2, sse2, neon or scalar"))
        })
    }
}

/// Whether [`SimdPath::best`] has fused multiply-add in hardware. Without it results are the same and several times
/// slower, which a program may want to say once.
pub fn has_fma() -> bool {
    matches!(SimdPath::best(), SimdPath::Avx512 | SimdPath::Avx2 | SimdPath::Neon)
}
