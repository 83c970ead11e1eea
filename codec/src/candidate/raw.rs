//! Method 0: the bytes themselves, stored or zstd.

use super::{Part, Target};
use crate::entropy::bytes;
use crate::error::{Error, Result};

pub(crate) fn encode(part: &Part<'_>) -> Vec<u8> {
    bytes::pack(part.elements.bytes, 3)
}

pub(crate) fn decode(payload: &[u8], target: &mut Target<'_>) -> Result<()> {
    let raw = bytes::unpack(payload, target.out.len())?;
    if raw.len() != target.out.len() {
        return Err(Error::corrupt(format!("{} raw bytes instead of {}", raw.len(), target.out.len())));
    }
    target.out.copy_from_slice(&raw);
    Ok(())
}
