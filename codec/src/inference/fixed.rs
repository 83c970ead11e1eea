//! Encoders in fixed point, run by what the host has: an emulator or a device.

use super::Encoder;
use crate::error::Result;
use std::sync::Arc;

/// Runs the fixed-point programs of bundles. This crate knows neither their form nor a device; `baler-fpga` has both, and
/// a host hands it over by [`crate::Registry::set_fixed_engine`].
///
/// The program defines the latents: whatever an engine computes with, and whatever fails meanwhile, it gives the same
/// integers, so that files do not depend on the machine that wrote them. A latent is handed on as the 32-bit float nearest
/// to its exact value (itself, up to 24 bits).
pub trait FixedEngine: Send + Sync {
    /// The encoder of a program, `encoder.fixed.json` of a bundle with this SHA-256. Asked for with every chunk: an engine
    /// keeps what it has loaded.
    fn encoder(&self, digest: &[u8; 32], program: &[u8]) -> Result<Arc<dyn Encoder>>;
}
