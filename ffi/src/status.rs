//! Error numbers, and the message behind the last of them.

use ::baler_codec::{Error, ErrorKind, standalone};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

/// What a call came to. The numbers are permanent. The message is in `baler_last_error`.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum baler_status {
    /// Done.
    Ok = 0,
    /// An argument is wrong: fix the call.
    InvalidArgument = 1,
    /// Well formed, but this version does not handle it.
    Unsupported = 2,
    /// The chunk is damaged, cut or no chunk: distrust the file.
    Corrupt = 3,
    /// The chunk was written by a newer version: update the reader.
    Version = 4,
    /// A model is needed that was not found: fetch it.
    ModelMissing = 5,
    /// A model was found but cannot be used.
    ModelInvalid = 6,
    /// A runtime of the host is needed and not there: install it.
    RuntimeMissing = 7,
    /// More memory or time would be needed than is allowed.
    LimitExceeded = 8,
    /// The output buffer is too small; `*out_len` says what it takes.
    BufferTooSmall = 9,
    /// A defect of the library; please report it with the message.
    Internal = 10,
    /// No failure: a stream holds no more arrays, and all of it is as it was written.
    End = 11,
    /// The caller's function that reads or writes the bytes of a stream said that it failed.
    Io = 12,
}

/// Why a call fails: the number for the caller, the message for people.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: baler_status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: baler_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(baler_status::InvalidArgument, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidArgument => baler_status::InvalidArgument,
            ErrorKind::Unsupported => baler_status::Unsupported,
            ErrorKind::Corrupt => baler_status::Corrupt,
            ErrorKind::Version => baler_status::Version,
            ErrorKind::ModelMissing => baler_status::ModelMissing,
            ErrorKind::ModelInvalid => baler_status::ModelInvalid,
            ErrorKind::RuntimeMissing => baler_status::RuntimeMissing,
            ErrorKind::LimitExceeded => baler_status::LimitExceeded,
            _ => baler_status::Internal,
        };
        Self::new(status, error.message())
    }
}

impl From<standalone::Error> for Failure {
    fn from(error: standalone::Error) -> Self {
        match error {
            standalone::Error::Codec(error) => error.into(),
            standalone::Error::Io(error) => Self::new(baler_status::Io, error.to_string()),
            other => Self::new(baler_status::Internal, other.to_string()),
        }
    }
}

thread_local! {
    static LAST: RefCell<(baler_status, CString)> = RefCell::new((baler_status::Ok, CString::default()));
}

/// Keeps a failure for [`baler_last_error`] and [`baler_last_status`].
pub(crate) fn remember(failure: &Failure) {
    let message = CString::new(failure.message.replace('\0', "?")).unwrap_or_default();
    // A thread that is ending has no message any more: it can still get its status.
    let _ = LAST.try_with(|last| last.replace((failure.status, message)));
}

/// The status of the last call that failed on this thread; `BALER_STATUS_OK` if none did. For functions that give a
/// handle and no status.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn baler_last_status() -> baler_status {
    crate::guard::guard!(baler_status::Internal, {
        Ok(LAST.try_with(|last| last.borrow().0).unwrap_or(baler_status::Internal))
    })
}

/// The message of the last call that failed on this thread, in UTF-8; empty if none did.
///
/// The text belongs to the library and stays until the next failing call on the same thread.
///
/// Threads: any; each has a message of its own.
#[unsafe(no_mangle)]
pub extern "C" fn baler_last_error() -> *const c_char {
    crate::guard::guard!(c"".as_ptr(), {
        Ok(LAST.try_with(|last| last.borrow().1.as_ptr()).unwrap_or_else(|_| c"".as_ptr()))
    })
}

/// The version of the library, such as `0.1.0`. The text is there as long as the library.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn baler_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version without zero bytes"),
    };
    crate::guard::guard!(c"".as_ptr(), { Ok(VERSION.as_ptr()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What compiled programs rely on: a change here breaks them.
    #[test]
    fn numbers_are_permanent() {
        let kinds = [
            (ErrorKind::InvalidArgument, 1),
            (ErrorKind::Unsupported, 2),
            (ErrorKind::Corrupt, 3),
            (ErrorKind::Version, 4),
            (ErrorKind::ModelMissing, 5),
            (ErrorKind::ModelInvalid, 6),
            (ErrorKind::RuntimeMissing, 7),
            (ErrorKind::LimitExceeded, 8),
        ];
        for (kind, number) in kinds {
            assert_eq!(Failure::from(Error::new(kind, "")).status as i32, number);
        }
        use baler_status as s;
        let others = [s::Ok, s::BufferTooSmall, s::Internal, s::End, s::Io];
        assert_eq!(others.map(|s| s as i32), [0, 9, 10, 11, 12]);
    }

    #[test]
    fn messages_survive_zero_bytes() {
        remember(&Failure::new(baler_status::Version, "one\0two"));
        assert_eq!(baler_last_status(), baler_status::Version);
        // SAFETY: the pointer is a C string of this thread, and nothing failed since.
        assert_eq!(unsafe { CStr::from_ptr(baler_last_error()) }, c"one?two");
    }
}
