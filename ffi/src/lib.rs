//! C ABI of Baler: `libbaler.so`, `libbaler.a` and `include/baler.h`.
//!
//! | module | what |
//! |---|---|
//! | `status` | error numbers, the last message of each thread |
//! | `guard` | the one macro around every entry point: no panic leaves the library |
//! | `handle` | the codec handle, and every step from a raw pointer to something safe |
//! | `encode` | `baler_params`, `baler_encode_bound`, `baler_encode` |
//! | `decode` | `baler_chunk_info_t`, `baler_chunk_info`, `baler_decode` |
//!
//! # Rules of the interface
//! - The caller allocates every buffer. A buffer that is too small is [`baler_status::BufferTooSmall`], and the length
//!   that would do is written to `out_len`; nothing else is.
//! - Every pointer is checked for NULL and for the alignment of its type, every buffer for its length, and inputs and
//!   outputs for overlap. `values`, chunks and outputs are bytes and need no alignment.
//! - Structures begin with their own size, so that later versions can append members: those a caller does not know
//!   are taken as zero, those the library does not know must be zero.
//! - Numbers of statuses, dtypes, bounds, byte orders and efforts are permanent.
//! - Every function may be called from any thread. One handle may be used by many threads at once; only
//!   [`baler_codec_free`] must come after all of them.
//!
//! `examples/roundtrip.c` is a whole program. The header is written by cbindgen; `tests/header.rs` holds it to the code.

#![allow(non_camel_case_types, reason = "the names are those of the C header")]

mod decode;
mod encode;
mod guard;
mod handle;
mod status;

pub use decode::{BALER_MAX_RANK, baler_chunk_info, baler_chunk_info_t, baler_decode};
pub use encode::{
    baler_bound, baler_byte_order, baler_dtype, baler_effort, baler_encode, baler_encode_bound, baler_params,
};
pub use handle::{baler_codec, baler_codec_free, baler_codec_new};
pub use status::{baler_last_error, baler_status, baler_version};
