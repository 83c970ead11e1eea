//! Reading a file from its first byte to its last, and holding it to its index.

use super::error::{Error, Result};
use super::frame::{ENTRY_BYTES, Entry, Fields, Tag, read_frame};
use super::header::{ArrayHeader, Container, END_MAGIC, FILE_HEADER_BYTES, TRAILER_BYTES, VERSION, parse_file_header};
use crate::bundle::BundleId;
use std::io::Read;
use std::ops::Range;

/// The most a [`Item::Blob`] may hold: names and other small members.
const MAX_BLOB_BYTES: u64 = 1 << 28;

/// One encoded chunk and its place in its array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Entries of the first axis.
    pub rows: Range<u64>,
    /// What [`crate::decode`] takes.
    pub stream: Vec<u8>,
}

/// What a file holds, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// An array begins; its chunks follow in order.
    Array(ArrayHeader),
    /// The next chunk of the array.
    Chunk(Chunk),
    /// A decoder-only bundle, before the chunks that need it.
    Model {
        /// The id it was stored under; [`crate::bundle::Bundle::parse`] computes the true one.
        id: BundleId,
        /// The packed bundle.
        packed: Vec<u8>,
    },
    /// Bytes kept as they were.
    Blob {
        /// The name of the member.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// Reads a file from anything that gives bytes; nothing is sought, so a pipe will do.
pub struct Reader<R: Read> {
    input: R,
    container: Container,
    offset: u64,
    seen: Vec<Entry>,
    /// The array being read, and the chunks seen of it.
    open: Option<(ArrayHeader, u64)>,
    finished: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the file header.
    pub fn new(mut input: R) -> Result<Self> {
        let mut head = [0u8; FILE_HEADER_BYTES as usize];
        input.read_exact(&mut head)?;
        let container = parse_file_header(&head)?;
        Ok(Self { input, container, offset: FILE_HEADER_BYTES, seen: Vec::new(), open: None, finished: false })
    }

    /// What the arrays came out of.
    pub fn container(&self) -> Container {
        self.container
    }

    /// The version of the format.
    pub fn version(&self) -> u8 {
        VERSION
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.offset
    }

    /// The next item; `None` once the whole file has been read and agrees with its index.
    pub fn next_item(&mut self) -> Result<Option<Item>> {
        if self.finished {
            return Ok(None);
        }
        let (entry, payload) = read_frame(&mut self.input, self.offset)?;
        self.offset += entry.frame_bytes();
        if matches!(entry.tag, Tag::Array | Tag::Blob | Tag::Index) {
            self.close_array()?;
        }
        let item = match entry.tag {
            Tag::Array => {
                let header = ArrayHeader::parse(&payload)?;
                self.open = Some((header.clone(), 0));
                Item::Array(header)
            }
            Tag::Chunk => self.chunk(payload)?,
            Tag::Model => {
                let mut f = Fields::new(&payload, "model");
                let id = BundleId(f.array("id")?);
                Item::Model { id, packed: f.rest().to_vec() }
            }
            Tag::Blob => blob(&payload)?,
            Tag::Index => {
                self.finish(entry, &payload)?;
                return Ok(None);
            }
        };
        self.seen.push(entry);
        Ok(Some(item))
    }

    fn chunk(&mut self, mut payload: Vec<u8>) -> Result<Item> {
        let mut f = Fields::new(&payload, "chunk");
        let rows = f.u64("first row")?..f.u64("end row")?;
        let Some((header, done)) = &mut self.open else {
            return Err(Error::corrupt("a chunk before any array header"));
        };
        let expected = header.chunk_rows(*done);
        if expected.as_ref() != Some(&rows) {
            return Err(Error::corrupt(format!(
                "array {:?}: chunk of rows {rows:?}, expected {expected:?}",
                header.name
            )));
        }
        *done += 1;
        payload.drain(..16);
        Ok(Item::Chunk(Chunk { rows, stream: payload }))
    }

    fn close_array(&mut self) -> Result<()> {
        if let Some((header, done)) = self.open.take() {
            let expected = header.n_chunks();
            if done != expected {
                return Err(Error::corrupt(format!("array {:?} has {done} of its {expected} chunks", header.name)));
            }
        }
        Ok(())
    }

    fn finish(&mut self, index: Entry, payload: &[u8]) -> Result<()> {
        let mut expected = Vec::with_capacity(self.seen.len() * ENTRY_BYTES);
        for entry in &self.seen {
            entry.write(&mut expected);
        }
        if payload != expected {
            return Err(Error::corrupt(
                "the index does not list the frames that are there: the file was put together wrongly",
            ));
        }
        let mut trailer = [0u8; TRAILER_BYTES as usize];
        self.input.read_exact(&mut trailer)?;
        self.offset += TRAILER_BYTES;
        let expected = [&index.offset.to_le_bytes()[..], &self.offset.to_le_bytes(), &END_MAGIC].concat();
        if trailer[..] != expected {
            return Err(Error::corrupt("the end of the file is damaged"));
        }
        if self.input.read(&mut [0u8; 1])? != 0 {
            return Err(Error::corrupt("bytes after the end: the file was appended to"));
        }
        self.finished = true;
        Ok(())
    }
}

fn blob(payload: &[u8]) -> Result<Item> {
    let mut f = Fields::new(payload, "member");
    let name = f.text("name")?;
    let n_bytes = f.u64("size")?;
    if n_bytes > MAX_BLOB_BYTES {
        return Err(crate::Error::new(
            crate::ErrorKind::LimitExceeded,
            format!("member {name:?} of {n_bytes} bytes: at most {MAX_BLOB_BYTES} are allowed"),
        )
        .into());
    }
    let mut bytes = Vec::new();
    zstd::Decoder::with_buffer(f.rest())
        .and_then(|d| d.take(n_bytes + 1).read_to_end(&mut bytes))
        .map_err(|e| Error::corrupt(format!("member {name:?}: {e}")))?;
    if bytes.len() as u64 != n_bytes {
        return Err(Error::corrupt(format!("member {name:?}: {} bytes, expected {n_bytes}", bytes.len())));
    }
    Ok(Item::Blob { name, bytes })
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::*;
    use crate::params::{Bound, ByteOrder, Dtype};

    fn array(name: &str, shape: &[u64], rows_per_chunk: u64) -> ArrayHeader {
        ArrayHeader {
            name: name.into(),
            dtype: Dtype::U8,
            byte_order: ByteOrder::Little,
            shape: shape.to_vec(),
            reversed_axes: false,
            rows_per_chunk,
            bound: Bound::Lossless,
            per_column: false,
            abs_bound: None,
            fill: None,
        }
    }

    /// Two arrays, a model, a blob, an empty array; the streams are opaque here.
    fn sample() -> (Vec<u8>, Vec<Item>) {
        let items = vec![
            Item::Array(array("data", &[5, 2], 2)),
            Item::Chunk(Chunk { rows: 0..2, stream: vec![1, 2, 3, 4] }),
            Item::Model { id: BundleId([7; 16]), packed: b"decoder".to_vec() },
            Item::Chunk(Chunk { rows: 2..4, stream: vec![5; 9] }),
            Item::Chunk(Chunk { rows: 4..5, stream: vec![] }),
            Item::Blob { name: "names".into(), bytes: b"px py pz ".repeat(9) },
            Item::Array(array("empty", &[0, 7], 1)),
        ];
        let mut w = Writer::new(Vec::new(), Container::Npz).unwrap();
        for item in &items {
            match item {
                Item::Array(h) => w.array(h).unwrap(),
                Item::Chunk(c) => w.chunk(c.rows.clone(), &c.stream).unwrap(),
                Item::Model { id, packed } => assert!(w.model(*id, packed).unwrap() && !w.model(*id, packed).unwrap()),
                Item::Blob { name, bytes } => w.blob(name, bytes).unwrap(),
            }
        }
        let (bytes, n) = w.finish().unwrap();
        assert_eq!(bytes.len() as u64, n);
        (bytes, items)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Item>> {
        let mut reader = Reader::new(bytes)?;
        let mut items = Vec::new();
        while let Some(item) = reader.next_item()? {
            items.push(item);
        }
        Ok(items)
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, items) = sample();
        assert_eq!(read(&bytes).unwrap(), items);
    }

    #[test]
    fn every_bit_flip_is_an_error() {
        let (mut bytes, _) = sample();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn every_cut_and_every_appended_byte_is_an_error() {
        let (bytes, _) = sample();
        for n in 0..bytes.len() {
            assert!(read(&bytes[..n]).is_err(), "cut at {n}");
        }
        assert!(read(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_frame_of_another_file_at_the_same_place_is_an_error() {
        let one = |stream: &[u8]| {
            let mut w = Writer::new(Vec::new(), Container::Npy).unwrap();
            w.array(&array("", &[2], 2)).unwrap();
            w.chunk(0..2, stream).unwrap();
            w.finish().unwrap().0
        };
        let (a, b) = (one(&[1, 2]), one(&[3, 4]));
        let start = a.iter().zip(&b).position(|(x, y)| x != y).unwrap();
        let stitched = [&a[..start], &b[start..start + 10], &a[start + 10..]].concat();
        assert!(stitched != a && read(&a).is_ok() && read(&b).is_ok());
        assert!(read(&stitched).unwrap_err().to_string().contains("index"), "frame checks pass, the index must not");
    }

    #[test]
    fn a_length_is_not_believed() {
        let (bytes, _) = sample();
        let mut head = bytes[..16].to_vec();
        let mut frame = b"CHNK".to_vec();
        frame.extend(u64::MAX.to_le_bytes());
        let check = xxhash_rust::xxh3::xxh3_64_with_seed(&frame, 16) as u32;
        frame.extend(check.to_le_bytes());
        head.extend(frame);
        assert_eq!(read(&head).unwrap_err().kind(), Some(crate::ErrorKind::Corrupt));
    }

    #[test]
    fn a_newer_file_says_so() {
        let (mut bytes, _) = sample();
        bytes[8] = VERSION + 1;
        assert_eq!(read(&bytes).unwrap_err().kind(), Some(crate::ErrorKind::Version));
    }

    #[test]
    fn chunks_out_of_order_are_refused_by_the_writer() {
        let mut w = Writer::new(Vec::new(), Container::Npy).unwrap();
        assert!(w.chunk(0..2, &[]).is_err());
        w.array(&array("", &[4], 2)).unwrap();
        assert!(w.chunk(2..4, &[]).is_err());
        w.chunk(0..2, &[]).unwrap();
        assert!(w.finish().is_err(), "a chunk is missing");
    }
}
