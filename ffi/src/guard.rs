//! What stands between Rust and the caller at every entry point.

use crate::status::{Failure, baler_status, remember};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body of an entry point: a block of type `Result<T, Failure>`.
///
/// `guard!({ ... })` gives a status, for bodies of `Result<(), Failure>`; `guard!(fallback, { ... })` gives the value,
/// or `fallback` if the body fails. Either way a failure's message is kept for `baler_last_error`, and a panic is the
/// failure [`baler_status::Internal`] instead of the end of the process.
macro_rules! guard {
    ($body:block) => {
        match $crate::guard::run(move || $body) {
            Ok(()) => $crate::status::baler_status::Ok,
            Err(status) => status,
        }
    };
    ($fallback:expr, $body:block) => {
        $crate::guard::run(move || $body).unwrap_or($fallback)
    };
}
pub(crate) use guard;

/// The working half of [`guard!`].
pub(crate) fn run<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, baler_status> {
    // Unwind safety: a codec and a model are replaced whole or not at all; a reader or writer that a call leaves by a panic
    // has its lock poisoned, which every later call finds out.
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(failure)) => failure,
        Err(payload) => {
            let failure =
                Failure::new(baler_status::Internal, format!("a defect of Baler: {}", text(payload.as_ref())));
            // Dropping a payload can panic in its turn, and nothing would catch that.
            std::mem::forget(payload);
            failure
        }
    };
    remember(&failure);
    Err(failure.status)
}

fn text(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a panic without a message",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn a_panic_becomes_a_status() {
        let status = guard!({ if true { panic!("seven of {}", 9) } else { Ok(()) } });
        assert_eq!(status, baler_status::Internal);
        // SAFETY: the pointer is a C string of this thread, and nothing failed since.
        let message = unsafe { CStr::from_ptr(crate::baler_last_error()) };
        assert!(message.to_str().unwrap().contains("seven of 9"));
        assert_eq!(guard!(3, { if true { panic!() } else { Ok(4) } }), 3);
    }
}
