//! Writing a file, frame by frame.

use super::error::{Error, Result};
use super::frame::{Entry, Tag, write_frame, write_text};
use super::header::{ArrayHeader, Container, END_MAGIC, FILE_HEADER_BYTES, TRAILER_BYTES, file_header};
use crate::bundle::BundleId;
use std::io::Write;
use std::ops::Range;

/// Writes a file to anything that takes bytes; nothing is sought, so a pipe will do.
///
/// A file is complete only after [`Writer::finish`]: without it, readers report a cut file.
pub struct Writer<W: Write> {
    out: W,
    offset: u64,
    index: Vec<Entry>,
    models: Vec<BundleId>,
    model_bytes: u64,
    /// The array being written, and the chunks it still needs, in order.
    open: Option<(ArrayHeader, u64)>,
}

impl<W: Write> Writer<W> {
    /// Starts a file of arrays that came out of `container`.
    pub fn new(mut out: W, container: Container) -> Result<Self> {
        out.write_all(&file_header(container))?;
        Ok(Self { out, offset: FILE_HEADER_BYTES, index: Vec::new(), models: Vec::new(), model_bytes: 0, open: None })
    }

    fn frame(&mut self, tag: Tag, parts: &[&[u8]]) -> Result<()> {
        let entry = write_frame(&mut self.out, tag, self.offset, parts)?;
        self.offset += entry.frame_bytes();
        self.index.push(entry);
        Ok(())
    }

    /// Starts an array; its chunks follow in order.
    pub fn array(&mut self, header: &ArrayHeader) -> Result<()> {
        self.close_array()?;
        header.validate()?;
        self.frame(Tag::Array, &[&header.to_payload()?])?;
        self.open = Some((header.clone(), 0));
        Ok(())
    }

    /// The next chunk of the array: its rows and what [`crate::encode`] made of them.
    pub fn chunk(&mut self, rows: Range<u64>, stream: &[u8]) -> Result<()> {
        let Some((header, done)) = &mut self.open else {
            return Err(crate::Error::invalid("a chunk before any array: call Writer::array first").into());
        };
        let expected = header.chunk_rows(*done);
        if expected.as_ref() != Some(&rows) {
            return Err(crate::Error::invalid(format!("chunk of rows {rows:?}: expected {expected:?}")).into());
        }
        *done += 1;
        self.frame(Tag::Chunk, &[&rows.start.to_le_bytes(), &rows.end.to_le_bytes(), stream])
    }

    /// Adds a decoder-only bundle once, before the chunks that need it; returns whether it was new.
    pub fn model(&mut self, id: BundleId, packed: &[u8]) -> Result<bool> {
        if self.models.contains(&id) {
            return Ok(false);
        }
        self.models.push(id);
        let before = self.offset;
        self.frame(Tag::Model, &[&id.0, packed])?;
        self.model_bytes += self.offset - before;
        Ok(true)
    }

    /// Keeps bytes as they are, compressed without loss.
    pub fn blob(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.close_array()?;
        let mut head = Vec::new();
        write_text(&mut head, name, "the member's name")?;
        head.extend((bytes.len() as u64).to_le_bytes());
        let packed = zstd::encode_all(bytes, 19)?;
        self.frame(Tag::Blob, &[&head, &packed])
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.offset
    }

    /// Bytes of those that are models.
    pub fn model_bytes(&self) -> u64 {
        self.model_bytes
    }

    fn close_array(&mut self) -> Result<()> {
        if let Some((header, done)) = self.open.take() {
            let expected = header.n_chunks();
            if done != expected {
                return Err(Error::Codec(crate::Error::invalid(format!(
                    "array {:?} has {done} of its {expected} chunks",
                    header.name
                ))));
            }
        }
        Ok(())
    }

    /// Writes the index and the trailer, and gives back the output, flushed, with the length of the file.
    pub fn finish(mut self) -> Result<(W, u64)> {
        self.close_array()?;
        let mut payload = Vec::new();
        for entry in &self.index {
            entry.write(&mut payload);
        }
        let index_offset = self.offset;
        self.frame(Tag::Index, &[&payload])?;
        let file_bytes = self.offset + TRAILER_BYTES;
        self.out.write_all(&index_offset.to_le_bytes())?;
        self.out.write_all(&file_bytes.to_le_bytes())?;
        self.out.write_all(&END_MAGIC)?;
        self.out.flush()?;
        Ok((self.out, file_bytes))
    }
}
