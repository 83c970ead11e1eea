//! The one error type of this crate: a kind that tells the caller what to do, and a message with the numbers in it.

use std::fmt;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument is wrong: fix the call.
    InvalidArgument,
    /// The input is well formed, but this build or this version does not handle it.
    Unsupported,
    /// The stream or bundle is damaged, cut or not ours: distrust the file.
    Corrupt,
    /// The stream was written by a newer version of the format: update the reader.
    Version,
    /// A bundle is needed that no source has: fetch the model.
    ModelMissing,
    /// A bundle or ONNX graph was found but cannot be used: fix the model.
    ModelInvalid,
    /// A host runtime (ONNX Runtime, a device) is needed and not there: install it.
    RuntimeMissing,
    /// The output would be larger than the caller allows.
    LimitExceeded,
}

/// An error: its [`ErrorKind`], and a message that says what was expected, what was found and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A wrong argument.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// A damaged stream.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Something this build does not handle.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A model that cannot be used.
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ModelInvalid, message)
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with `context: ` before its message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
