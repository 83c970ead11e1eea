//! C ABI of Baler: `libbaler.so`, `libbaler.a` and `include/baler.h`; `include/baler.hpp` is C++ over it.
//!
//! | module | what |
//! |---|---|
//! | `status` | error numbers, the last message of each thread |
//! | `guard` | the one macro around every entry point: no panic leaves the library |
//! | `memory` | every step from a raw pointer to something safe |
//! | `codec` | the codec handle, and the models it knows |
//! | `model` | models: opened, described, stored |
//! | `params` | `baler_params` |
//! | `encode`, `decode` | one chunk |
//! | `stream` | arrays larger than memory, through functions of the caller |
//! | `arrow` | tables as Arrow C streams (feature `arrow`, on by default) |
//!
//! # Rules of the interface
//! - The caller allocates every buffer. A buffer that is too small is [`baler_status::BufferTooSmall`], and the length
//!   that would do is written to `out_len`; nothing else is. There is no hook for allocators: handles and scratch memory
//!   come from Rust's global allocator, and nothing that it allocates is freed by the caller but through `_free`.
//! - Every pointer is checked for NULL and for the alignment of its type, every buffer for its length, and inputs and
//!   outputs for overlap. `values`, chunks and outputs are bytes and need no alignment.
//! - Structures begin with their own size, so that later versions can append members: those a caller does not know
//!   are taken as zero, those the library does not know must be zero.
//! - Numbers of statuses, dtypes, bounds, byte orders and efforts are permanent. `docs/abi.md` is the whole policy, and
//!   `abi/0.c` the record that the tests hold the library to.
//! - Every function may be called from any thread. One codec may be used by many threads at once, one reader or writer
//!   by one at a time; a `_free` comes after all other calls.
//!
//! `examples/` holds whole programs. The header is written by cbindgen; `tests/header.rs` holds it to the code.

#![allow(non_camel_case_types, reason = "the names are those of the C header")]

#[cfg(feature = "arrow")]
mod arrow;
mod codec;
mod decode;
mod encode;
mod guard;
mod memory;
mod model;
mod params;
mod status;
mod stream;

#[cfg(feature = "arrow")]
pub use arrow::{baler_arrow_decode_stream, baler_arrow_encode_stream, baler_arrow_options};
pub use codec::{
    baler_codec, baler_codec_add_folder, baler_codec_add_model, baler_codec_free, baler_codec_models, baler_codec_new,
    baler_codec_new_bare, baler_codec_set_device, baler_codec_set_warning, baler_warning_fn,
};
pub use decode::{BALER_MAX_RANK, baler_chunk_info, baler_chunk_info_t, baler_decode};
pub use encode::{baler_encode, baler_encode_bound};
pub use model::{
    baler_model, baler_model_field, baler_model_find, baler_model_free, baler_model_info, baler_model_info_t,
    baler_model_open, baler_model_parse, baler_model_text, baler_model_write,
};
pub use params::{baler_bound, baler_byte_order, baler_dtype, baler_effort, baler_outliers, baler_params};
pub use status::{baler_last_error, baler_last_status, baler_status, baler_version};
pub use stream::*;
