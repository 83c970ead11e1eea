//! What went wrong, and the exit code that says so to scripts.

use crate::output::OutputError;
use baler_codec::{ErrorKind, standalone};
use std::fmt;
use std::io;
use std::path::Path;

/// Exit codes. `docs/cli.md` and `--help` list them; never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Anything without a code of its own: files, devices, other programs.
    Runtime = 1,
    /// The command line is wrong. The parser of the command line uses the same number.
    Usage = 2,
    /// The bound is broken.
    BoundBroken = 3,
    /// The input is damaged, cut, or not what its name says.
    Damaged = 4,
    /// A model is needed that is not there or cannot be used.
    Model = 5,
}

impl Code {
    /// For the JSON report of an error.
    pub fn name(self) -> &'static str {
        match self {
            Code::Runtime => "runtime",
            Code::Usage => "usage",
            Code::BoundBroken => "bound-broken",
            Code::Damaged => "damaged",
            Code::Model => "model",
        }
    }
}

/// An error on its way to the user.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    /// Of an output, which the message names: it is not the fault of the file that was being read meanwhile.
    is_of_output: bool,
}

/// Shorthand for everything in this program that can fail.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), is_of_output: false }
    }

    pub fn runtime(message: impl Into<String>) -> Self {
        Self::new(Code::Runtime, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new(Code::Damaged, message)
    }

    /// The same failure, of writing this file, whatever was read meanwhile.
    #[must_use]
    pub fn of_output(self, path: &Path) -> Self {
        if self.is_of_output {
            return self;
        }
        Self { message: format!("cannot write {}: {}", path.display(), self.message), is_of_output: true, ..self }
    }

    /// The same failure with `context: ` before its message, unless it is of an output.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        if self.is_of_output {
            return self;
        }
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl From<baler_codec::Error> for Failure {
    fn from(e: baler_codec::Error) -> Self {
        let code = match e.kind() {
            ErrorKind::InvalidArgument => Code::Usage,
            ErrorKind::Corrupt => Code::Damaged,
            ErrorKind::ModelMissing | ErrorKind::ModelInvalid => Code::Model,
            _ => Code::Runtime,
        };
        Self::new(code, e.to_string())
    }
}

impl From<standalone::Error> for Failure {
    fn from(e: standalone::Error) -> Self {
        match e {
            standalone::Error::Codec(e) => e.into(),
            standalone::Error::Io(e) => e.into(),
            other => Self::runtime(other.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        if e.get_ref().is_some_and(|inner| inner.is::<OutputError>()) {
            return Self { is_of_output: true, ..Self::runtime(e.to_string()) };
        }
        match e.kind() {
            io::ErrorKind::UnexpectedEof => Self::damaged("the file ends early: it was cut"),
            // What the zip reader says of a wrong checksum.
            io::ErrorKind::InvalidData => Self::damaged(e.to_string()),
            _ => Self::runtime(e.to_string()),
        }
    }
}

/// Names the file in whatever goes wrong with it.
pub trait InFile<T> {
    /// The same result, with the file in its message.
    fn in_file(self, path: &Path) -> Result<T>;
}

impl<T, E: Into<Failure>> InFile<T> for std::result::Result<T, E> {
    fn in_file(self, path: &Path) -> Result<T> {
        self.map_err(|e| e.into().context(path.display()))
    }
}
