//! Error-bounded compression of scientific arrays with pretrained models: bytes in, bytes out.

pub mod bundle;
pub mod error;
pub mod inference;
pub mod params;

pub use error::{Error, ErrorKind, Result};
pub use params::{Bound, ByteOrder, Dtype, Effort, ModelChoice, Params};
