//! Plain bytes: stored, or zstd. For masks, positions, and chunks that nothing else fits.

use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// The largest expansion zstd can have: a block of 128 KiB from a few bytes. Anything beyond is a lie.
const MAX_ZSTD_EXPANSION: usize = 128 * 1024;

/// Compresses with zstd at `level`, or stores where that is no smaller.
pub(crate) fn pack(data: &[u8], level: i32) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(data.len() as u64);
    match zstd_compress(data, level) {
        Some(packed) if packed.len() < data.len() => {
            out.u8(1);
            out.raw(&packed);
        }
        _ => {
            out.u8(0);
            out.raw(data);
        }
    }
    out.bytes
}

/// The inverse of [`pack`]; refuses more than `max_len` bytes.
pub(crate) fn unpack(packed: &[u8], max_len: usize) -> Result<Vec<u8>> {
    let mut input = Reader::new(packed);
    let len = input.size("the length of a byte block")?;
    if len > max_len {
        return Err(Error::corrupt(format!("a byte block claims {len} bytes: at most {max_len} can be needed")));
    }
    match input.u8("the coder of a byte block")? {
        0 if input.rest().len() == len => Ok(input.rest().to_vec()),
        0 => Err(Error::corrupt(format!("a stored block has {} bytes instead of {len}", input.rest().len()))),
        1 => zstd_decompress(input.rest(), len),
        coder => Err(Error::corrupt(format!("byte coder {coder} is unknown"))),
    }
}

/// One zstd frame without checksum and content size: the chunk has both.
pub(crate) fn zstd_compress(data: &[u8], level: i32) -> Option<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(level).ok()?;
    compressor.include_contentsize(false).ok()?;
    compressor.include_checksum(false).ok()?;
    compressor.include_dictid(false).ok()?;
    compressor.compress(data).ok()
}

/// Decompresses exactly `len` bytes.
pub(crate) fn zstd_decompress(data: &[u8], len: usize) -> Result<Vec<u8>> {
    if len / MAX_ZSTD_EXPANSION > data.len() {
        return Err(Error::corrupt(format!("{} bytes of zstd cannot hold {len} bytes", data.len())));
    }
    let out = zstd::bulk::decompress(data, len).map_err(|e| Error::corrupt(format!("zstd: {e}")))?;
    if out.len() != len {
        return Err(Error::corrupt(format!("zstd gave {} bytes instead of {len}", out.len())));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_refuses_lies() {
        for data in [vec![], vec![7u8; 5000], (0..=255).collect::<Vec<u8>>()] {
            let packed = pack(&data, 3);
            assert_eq!(unpack(&packed, data.len()).unwrap(), data);
            if !data.is_empty() {
                assert!(unpack(&packed, data.len() - 1).is_err());
            }
            for cut in 0..packed.len() {
                assert!(unpack(&packed[..cut], data.len()).is_err(), "cut at {cut}");
            }
        }
    }
}
