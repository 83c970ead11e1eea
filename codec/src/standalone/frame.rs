//! Frames: the unit of a file. A tag, a length, a payload, and checksums seeded with the place in the file, so that a
//! frame that was moved or repeated is as visible as one that was damaged.

use super::error::{Error, Result};
use std::io::{Read, Write};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// One array's header; its chunks follow.
    Array,
    /// One encoded chunk.
    Chunk,
    /// A decoder-only bundle.
    Model,
    /// Bytes kept as they were.
    Blob,
    /// Every frame before it; the last one.
    Index,
}

impl Tag {
    const ALL: [Tag; 5] = [Tag::Array, Tag::Chunk, Tag::Model, Tag::Blob, Tag::Index];

    pub(super) fn bytes(self) -> [u8; 4] {
        *match self {
            Tag::Array => b"ARRY",
            Tag::Chunk => b"CHNK",
            Tag::Model => b"MODL",
            Tag::Blob => b"BLOB",
            Tag::Index => b"INDX",
        }
    }

    fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.bytes() == bytes)
    }
}

/// Bytes of a frame around its payload: tag, length, check of both; check of the payload.
pub(super) const FRAME_OVERHEAD_BYTES: u64 = 4 + 8 + 4 + 8;

/// What the index says of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) tag: Tag,
    pub(super) offset: u64,
    pub(super) payload_bytes: u64,
    pub(super) check: u64,
}

/// Bytes of one [`Entry`] in the index.
pub(super) const ENTRY_BYTES: usize = 4 + 8 + 8 + 8;

impl Entry {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.tag.bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(self.payload_bytes.to_le_bytes());
        out.extend(self.check.to_le_bytes());
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> u64 {
        self.payload_bytes + FRAME_OVERHEAD_BYTES
    }
}

fn head_check(head: &[u8], offset: u64) -> u32 {
    (xxh3_64_with_seed(head, offset) & 0xffff_ffff) as u32
}

/// Writes one frame whose payload is the concatenation of `parts`, at `offset` of the file.
pub(super) fn write_frame(out: &mut impl Write, tag: Tag, offset: u64, parts: &[&[u8]]) -> Result<Entry> {
    let payload = parts.concat();
    let mut head = [0u8; 16];
    head[..4].copy_from_slice(&tag.bytes());
    head[4..12].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let check = head_check(&head[..12], offset);
    head[12..].copy_from_slice(&check.to_le_bytes());
    let check = xxh3_64_with_seed(&payload, offset);
    out.write_all(&head)?;
    out.write_all(&payload)?;
    out.write_all(&check.to_le_bytes())?;
    Ok(Entry { tag, offset, payload_bytes: payload.len() as u64, check })
}

/// Reads the frame at `offset` of the file. Memory grows with what is read, never with what a length claims.
pub(super) fn read_frame(input: &mut impl Read, offset: u64) -> Result<(Entry, Vec<u8>)> {
    let mut head = [0u8; 16];
    input.read_exact(&mut head)?;
    let (tag, payload_bytes, check) = (take::<4>(&head, 0), u64::from_le_bytes(take(&head, 4)), take(&head, 12));
    if head_check(&head[..12], offset) != u32::from_le_bytes(check) {
        return Err(damaged(offset));
    }
    let tag = Tag::from_bytes(tag).ok_or_else(|| {
        Error::Codec(crate::Error::unsupported(format!(
            "frame {:?} at byte {offset} is of a kind this version does not know: update Baler",
            String::from_utf8_lossy(&tag)
        )))
    })?;
    let mut payload = Vec::new();
    input.by_ref().take(payload_bytes).read_to_end(&mut payload)?;
    let mut tail = [0u8; 8];
    input.read_exact(&mut tail)?;
    let check = u64::from_le_bytes(tail);
    if xxh3_64_with_seed(&payload, offset) != check {
        return Err(damaged(offset));
    }
    Ok((Entry { tag, offset, payload_bytes, check }, payload))
}

fn damaged(offset: u64) -> Error {
    Error::corrupt(format!("the checksum of the frame at byte {offset} does not match: the file is damaged"))
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0u8; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// Reads fixed-width fields off a payload; running out is an error that names the field.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(payload: &'a [u8], what: &'static str) -> Self {
        Self { rest: payload, what }
    }

    pub(super) fn bytes(&mut self, n: usize, field: &str) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or_else(|| {
            Error::corrupt(format!("{}: {field} needs {n} bytes, {} are left", self.what, self.rest.len()))
        })?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N]> {
        Ok(take(self.bytes(N, field)?, 0))
    }

    pub(super) fn u8(&mut self, field: &str) -> Result<u8> {
        Ok(self.array::<1>(field)?[0])
    }

    pub(super) fn flag(&mut self, field: &str) -> Result<bool> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            v => Err(Error::corrupt(format!("{}: {field} is {v}: expected 0 or 1", self.what))),
        }
    }

    pub(super) fn u64(&mut self, field: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    pub(super) fn f64(&mut self, field: &str) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array(field)?))
    }

    /// A length in 16 bits and that much UTF-8.
    pub(super) fn text(&mut self, field: &str) -> Result<String> {
        let n = u16::from_le_bytes(self.array(field)?);
        let bytes = self.bytes(usize::from(n), field)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Error::corrupt(format!("{}: {field} is not UTF-8", self.what)))
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Error::corrupt(format!("{}: {} bytes too many", self.what, self.rest.len())))
    }
}

/// The counterpart of [`Fields::text`].
pub(super) fn write_text(out: &mut Vec<u8>, text: &str, what: &str) -> Result<()> {
    let n = u16::try_from(text.len()).map_err(|_| {
        Error::Codec(crate::Error::invalid(format!("{what} has {} bytes: at most 65535 are possible", text.len())))
    })?;
    out.extend(n.to_le_bytes());
    out.extend(text.as_bytes());
    Ok(())
}
