//! The one error type of this crate.

use arrow_schema::ArrowError;
use baler_codec::ErrorKind;
use std::fmt;

/// What went wrong, by who has to act.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A bound, a column, a document: see the kind of [`baler_codec::Error`].
    Codec(baler_codec::Error),
    /// A file could not be read or written.
    Io(std::io::Error),
    /// Arrow refused an array or a batch.
    Arrow(ArrowError),
    /// Parquet refused a file.
    #[cfg(feature = "parquet")]
    Parquet(parquet::errors::ParquetError),
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A wrong argument.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Codec(baler_codec::Error::invalid(message))
    }

    /// Damaged data.
    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::Codec(baler_codec::Error::corrupt(message))
    }

    /// A document that is nowhere to be found.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::Codec(baler_codec::Error::new(ErrorKind::ModelMissing, message))
    }

    /// The kind of a [`Error::Codec`].
    pub fn codec_kind(&self) -> Option<ErrorKind> {
        match self {
            Error::Codec(e) => Some(e.kind()),
            _ => None,
        }
    }

    /// The same error with `context: ` before its message.
    #[must_use]
    pub fn context(self, context: impl fmt::Display) -> Self {
        match self {
            Error::Codec(e) => Error::Codec(e.context(context)),
            Error::Io(e) => Error::Io(std::io::Error::new(e.kind(), format!("{context}: {e}"))),
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Codec(e) => e.fmt(f),
            Error::Io(e) => e.fmt(f),
            Error::Arrow(e) => e.fmt(f),
            #[cfg(feature = "parquet")]
            Error::Parquet(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<baler_codec::Error> for Error {
    fn from(e: baler_codec::Error) -> Self {
        Error::Codec(e)
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Error::Io(e)
    }
}

impl From<ArrowError> for Error {
    fn from(e: ArrowError) -> Self {
        Error::Arrow(e)
    }
}

#[cfg(feature = "parquet")]
impl From<parquet::errors::ParquetError> for Error {
    fn from(e: parquet::errors::ParquetError) -> Self {
        Error::Parquet(e)
    }
}

impl From<Error> for ArrowError {
    fn from(e: Error) -> Self {
        match e {
            Error::Arrow(e) => e,
            other => ArrowError::ExternalError(Box::new(other)),
        }
    }
}
