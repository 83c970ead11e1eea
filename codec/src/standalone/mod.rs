//! A small file format over chunks, for tools and tests: named arrays, each split along its first axis.
//!
//! Hosts with a container of their own (HDF5, Parquet) embed chunks directly and have no use for this module. The bytes
//! are specified in `codec/FORMAT-STANDALONE.md`.
//!
//! - [`Writer`] and [`Reader`] stream over [`std::io::Write`] and [`std::io::Read`]: memory holds a few chunks, never the
//!   file. Every byte of a file is covered by a checksum, and the index at its end by all of them, so a file that was cut,
//!   damaged or stitched together is an error.
//! - [`encode_array`] and [`decode_items`] put chunks through [`crate::encode`] and [`crate::decode`] on several threads.
//! - [`Span`] measures a whole array before it is split, so that a bound relative to the range of the values is a promise
//!   about the array and not about each chunk.

mod decode;
mod encode;
mod error;
mod frame;
mod header;
mod parallel;
mod reader;
mod span;
#[cfg(test)]
mod tests;
mod writer;

pub use decode::{DecodedItem, FileModels, decode_chunk, decode_items};
pub use encode::{EncodeOptions, EncodedChunk, chunk_params, encode_array};
pub use error::{Error, Result};
pub use header::{ArrayHeader, Container, DEFAULT_CHUNK_BYTES, rows_per_chunk};
pub use parallel::{map_all, map_in_order};
pub use reader::{Chunk, Item, Reader};
pub use span::{Span, resolve_bound};
pub use writer::Writer;
