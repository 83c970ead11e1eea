//! Errors of reading and writing files: the codec's own, or the device's.

use crate::error::{Error as CodecError, ErrorKind};
use std::fmt;
use std::io;

/// Why a file could not be read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The content or the request is at fault.
    Codec(CodecError),
    /// The device underneath failed.
    Io(io::Error),
}

/// Shorthand for results of this module.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The kind of a codec error; `None` if the device failed.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Error::Codec(e) => Some(e.kind()),
            Error::Io(_) => None,
        }
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        CodecError::corrupt(message).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Codec(e) => e.fmt(f),
            Error::Io(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Codec(e) => Some(e),
            Error::Io(e) => Some(e),
        }
    }
}

impl From<CodecError> for Error {
    fn from(e: CodecError) -> Self {
        Error::Codec(e)
    }
}

/// A file that ends early is damaged; everything else the device reports is handed on.
impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        if e.kind() == io::ErrorKind::UnexpectedEof {
            return Error::corrupt("the file ends early: it was cut, or its writer did not finish");
        }
        Error::Io(e)
    }
}
