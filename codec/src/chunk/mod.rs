//! The chunk: the unit a host hands over; independent and self-checking. Specified byte by byte in `FORMAT.md`.

mod classical;
mod describe;
mod explain;
mod header;
mod read;
mod table;
mod write;

pub use describe::{Description, PartDescription, describe};
pub use explain::{Cost, explain};
pub use read::{Decoded, Limits, decode, decode_header};
pub use write::{encode, encode_bound};

pub use header::Header;

/// Bytes of the checksum at the end: XXH3-64 of everything before.
const CHECKSUM_BYTES: usize = 8;

/// The checksum of a chunk's bytes.
fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
