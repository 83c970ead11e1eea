//! Encoders that our own engine has no operators for, run by an ONNX Runtime of the host.

use super::Encoder;
use crate::error::{Error, ErrorKind, Result};

/// An encoder run by ONNX Runtime; `why` is what kept our own engine from running it.
pub fn encoder(_bytes: &[u8], why: &Error) -> Result<Box<dyn Encoder>> {
    Err(Error::new(ErrorKind::RuntimeMissing, why.message()))
}
