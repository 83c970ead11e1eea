//! Error-bounded compression of scientific arrays with pretrained models: bytes in, bytes out.
//!
//! [`encode`] takes one chunk of an array and a [`Bound`]; [`decode`] gives it back so that every value keeps that bound
//! in its own dtype, on every machine the same bits. NaN (with payload), infinities, -0.0 and a declared fill value come
//! back bit for bit, and a chunk with a single bit changed is an error.
//!
//! ```
//! use baler_codec::{Bound, Dtype, Limits, Params, Registry, decode, encode};
//!
//! let field: Vec<f32> = (0..64 * 64).map(|i| ((i / 64) as f32 * 0.1).sin() + (i % 64) as f32 * 0.01).collect();
//! let bytes: Vec<u8> = field.iter().flat_map(|v| v.to_le_bytes()).collect();
//!
//! let params = Params::new(Dtype::F32, &[64, 64], Bound::Abs(1e-3));
//! let chunk = encode(&params, &bytes, &Registry::new())?;
//! let back = decode(&chunk, &Registry::new(), &Limits::default())?;
//!
//! assert!(chunk.len() * 4 < bytes.len());
//! for (a, b) in bytes.chunks(4).zip(back.values.chunks(4)) {
//!     let (a, b) = (f32::from_le_bytes(a.try_into().unwrap()), f32::from_le_bytes(b.try_into().unwrap()));
//!     assert!((f64::from(a) - f64::from(b)).abs() <= 1e-3);
//! }
//! # Ok::<(), baler_codec::Error>(())
//! ```
//!
//! The crate knows no host, no file and no device. The stream is specified in `FORMAT.md`.

#![deny(unsafe_code)]

mod bound;
pub mod bundle;
mod candidate;
mod chunk;
mod element;
mod elementary;
mod entropy;
pub mod error;
mod family;
pub mod inference;
#[doc(hidden)]
pub mod kernels;
mod outliers;
pub mod params;
mod predict;
mod quantize;
mod registry;
mod related;
mod simd;
mod special;
pub mod standalone;
mod wire;

pub use bound::{Check, check};
pub use bundle::{Bundle, BundleId, BundleSource};
pub use chunk::{
    Cost, Decoded, Description, Header, Limits, PartDescription, decode, decode_header, describe, encode, encode_bound,
    explain,
};
pub use error::{Error, ErrorKind, Result};
pub use outliers::{TileScores, score_tiles};
pub use params::{Bound, ByteOrder, Candidates, Dtype, Effort, ModelChoice, Params};
pub use quantize::{Lattice, ValueQuantiser};
pub use registry::{Registry, Warnings};

/// What networks of bundles of the family `autoregressive` are trained on.
pub mod autoregressive {
    pub use crate::family::autoregressive::{N_INPUTS, Samples};
}

/// Formulas that give one column of a table from others: what bundles of the family `predictor` hold.
pub mod relation {
    pub use crate::related::{Formula, Function, Outer, Term};
}
