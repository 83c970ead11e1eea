//! Errors of the codec as Python's exceptions, which `baler/errors.py` defines.

use baler_codec::{Error, ErrorKind};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The name of the exception for a kind of error.
fn class_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidArgument => "ArgumentError",
        ErrorKind::Unsupported => "UnsupportedError",
        ErrorKind::Corrupt => "CorruptError",
        ErrorKind::Version => "VersionError",
        ErrorKind::ModelMissing => "ModelMissingError",
        ErrorKind::ModelInvalid => "ModelInvalidError",
        ErrorKind::RuntimeMissing => "RuntimeMissingError",
        ErrorKind::LimitExceeded => "LimitError",
        _ => "Error",
    }
}

/// The exception for `error`.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let class = py.import("baler.errors").and_then(|errors| errors.getattr(class_name(error.kind())));
    let exception = class.and_then(|class| class.call1((error.message(),)));
    exception.map_or_else(|_| PyRuntimeError::new_err(error.message().to_owned()), PyErr::from_value)
}

/// A wrong argument.
pub(crate) fn invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    raise(py, &Error::invalid(message))
}

/// Runs `work` without Python's lock. A panic, which would be a fault of ours, becomes a RuntimeError in pyo3.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Error> + Send) -> PyResult<T> {
    py.detach(work).map_err(|error| raise(py, &error))
}
