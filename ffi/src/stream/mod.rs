//! Arrays larger than memory: `.baler` streams, written and read through functions of the caller.

mod reader;
mod writer;

pub use reader::{
    baler_array_info_t, baler_reader, baler_reader_free, baler_reader_new, baler_reader_next, baler_reader_read,
};
pub use writer::{
    baler_writer, baler_writer_array, baler_writer_finish, baler_writer_free, baler_writer_measure, baler_writer_new,
    baler_writer_write,
};

use crate::memory::{Versioned, sized};
use crate::status::{Failure, baler_status};
use std::ffi::c_void;
use std::io;
use std::sync::{Mutex, MutexGuard, TryLockError};

/// Takes the next `len` bytes of a stream. Returns 0, or anything else if it failed: the call that wrote then ends with
/// `BALER_STATUS_IO`. It is called by the thread that calls the library, and must not throw or jump out.
pub type baler_write_fn = Option<unsafe extern "C" fn(context: *mut c_void, bytes: *const c_void, len: usize) -> i32>;

/// Puts up to `capacity` of the next bytes of a stream into `buffer` and sets `*len` to their number, 0 at the end of the
/// stream only. Returns 0, or anything else if it failed. Otherwise as `baler_write_fn`.
pub type baler_read_fn =
    Option<unsafe extern "C" fn(context: *mut c_void, buffer: *mut c_void, capacity: usize, len: *mut usize) -> i32>;

/// How a stream is written or read. Set everything to zero, then `struct_size`, then what you want; NULL is all defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct baler_stream_options {
    /// `sizeof(baler_stream_options)`.
    pub struct_size: usize,
    /// Writing: entries of the first axis in every chunk but the last; 0 for about 8 MiB of values.
    pub rows_per_chunk: u64,
    /// Reading: the most bytes a chunk may decode to; 0 for 4 GiB.
    pub max_chunk_len: u64,
    /// Threads that encode or decode, and chunks in memory at once; 0 for 1. The bytes are the same with any number.
    pub threads: u32,
    /// 0, or 1: the owner of the array sees its axes the other way round (Fortran order). Writing only.
    pub reversed_axes: u32,
}

// SAFETY: `repr(C)`, begins with `struct_size`, plain numbers without padding.
unsafe impl Versioned for baler_stream_options {
    const SIZES: &'static [usize] = &[32];
}

/// The caller's options, or the defaults.
///
/// # Safety
/// As [`sized`], but for NULL.
unsafe fn options(options: *const baler_stream_options) -> Result<baler_stream_options, Failure> {
    const MAX_THREADS: u32 = 1024;
    if options.is_null() {
        let struct_size = size_of::<baler_stream_options>();
        return Ok(baler_stream_options {
            struct_size,
            rows_per_chunk: 0,
            max_chunk_len: 0,
            threads: 1,
            reversed_axes: 0,
        });
    }
    // SAFETY: the caller's promise.
    let mut options = unsafe { sized(options, "options") }?;
    if options.threads > MAX_THREADS {
        return Err(Failure::invalid(format!("options: {} threads: at most {MAX_THREADS}", options.threads)));
    }
    options.threads = options.threads.max(1);
    Ok(options)
}

/// A handle's state, for one call at a time. What failed stays failed: part of the stream is lost.
struct Exclusive<T>(Mutex<Stage<T>>);

enum Stage<T> {
    Open(T),
    Failed(baler_status, String),
}

impl<T> Exclusive<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(Stage::Open(value)))
    }

    fn lock(&self) -> Result<MutexGuard<'_, Stage<T>>, Failure> {
        self.0.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => Failure::invalid("the handle is in use by another call: one thread at a time"),
            TryLockError::Poisoned(_) => {
                Failure::new(baler_status::Internal, "a call on this handle ended by a defect")
            }
        })
    }

    /// Runs `body`. After an error that is not of the argument's making, later calls get that error again.
    fn run<U>(&self, body: impl FnOnce(&mut T) -> Result<U, Failure>) -> Result<U, Failure> {
        let mut stage = self.lock()?;
        let result = match &mut *stage {
            Stage::Open(value) => body(value),
            Stage::Failed(status, message) => {
                return Err(Failure::new(*status, format!("the stream failed before: {message}")));
            }
        };
        if let Err(failure) = &result
            && !matches!(
                failure.status,
                baler_status::InvalidArgument | baler_status::BufferTooSmall | baler_status::End
            )
        {
            *stage = Stage::Failed(failure.status, failure.message.clone());
        }
        result
    }
}

/// The failure of a function of the caller.
fn callback_failed(what: &str, code: i32) -> io::Error {
    io::Error::other(format!("the function that {what} the stream's bytes returned {code}"))
}
