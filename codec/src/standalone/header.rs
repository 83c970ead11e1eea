//! The header of the file and of each array in it.

use super::error::{Error, Result};
use super::frame::{Fields, write_text};
use super::span::{Span, resolve_bound};
use crate::params::{Bound, ByteOrder, Dtype, MAX_RANK, Params};
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// Starts every file. The first byte is no text, the last two show a transfer that rewrote line ends.
pub(super) const MAGIC: [u8; 8] = *b"\x8aBALER\r\n";
/// Ends every file.
pub(super) const END_MAGIC: [u8; 8] = *b"BALEREND";
/// The version this module writes, and the newest it reads.
pub(super) const VERSION: u8 = 1;
/// Bytes before the first frame.
pub(super) const FILE_HEADER_BYTES: u64 = 16;
/// Bytes after the last frame.
pub(super) const TRAILER_BYTES: u64 = 24;

/// What the arrays were stored in before, so that they can go back there. The numbers reach disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Container {
    /// One `.npy` file.
    Npy = 1,
    /// A `.npz` archive.
    Npz = 2,
    /// An HDF5 or netCDF-4 file.
    Hdf5 = 3,
}

impl Container {
    fn from_id(id: u8) -> Option<Self> {
        [Self::Npy, Self::Npz, Self::Hdf5].into_iter().find(|c| *c as u8 == id)
    }

    /// `npy`, `npz` or `hdf5`.
    pub fn name(self) -> &'static str {
        match self {
            Container::Npy => "npy",
            Container::Npz => "npz",
            Container::Hdf5 => "hdf5",
        }
    }
}

pub(super) fn file_header(container: Container) -> [u8; FILE_HEADER_BYTES as usize] {
    let mut head = [0u8; FILE_HEADER_BYTES as usize];
    head[..8].copy_from_slice(&MAGIC);
    head[8] = VERSION;
    head[9] = container as u8;
    let check = (xxh3_64(&head[..12]) & 0xffff_ffff) as u32;
    head[12..].copy_from_slice(&check.to_le_bytes());
    head
}

pub(super) fn parse_file_header(head: &[u8; FILE_HEADER_BYTES as usize]) -> Result<Container> {
    if head[..8] != MAGIC {
        return Err(Error::corrupt(format!(
            "not a .baler file: it starts with {:02x?}, expected {MAGIC:02x?}",
            &head[..8]
        )));
    }
    if head[8] > VERSION {
        return Err(Error::Codec(crate::Error::new(
            crate::ErrorKind::Version,
            format!("file format version {}: this build reads up to {VERSION}; update Baler", head[8]),
        )));
    }
    let check = (xxh3_64(&head[..12]) & 0xffff_ffff) as u32;
    if head[8] == 0 || head[10..12] != [0, 0] || check.to_le_bytes() != head[12..] {
        return Err(Error::corrupt("the file header's checksum does not match: the file is damaged"));
    }
    Container::from_id(head[9])
        .ok_or_else(|| Error::Codec(crate::Error::unsupported(format!("container kind {} is unknown", head[9]))))
}

/// One array of a file: what it is, how it is split, and what was promised.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayHeader {
    /// Its name: the member of a `.npz`, the path of an HDF5 dataset; empty for `.npy`.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Byte order of the values handed in and given back.
    pub byte_order: ByteOrder,
    /// Extents, slowest axis first, of the values as they lie in memory.
    pub shape: Vec<u64>,
    /// The owner sees the axes the other way round (numpy's `fortran_order`).
    pub reversed_axes: bool,
    /// Entries of the first axis in every chunk but the last.
    pub rows_per_chunk: u64,
    /// The bound as it was asked, meant of the whole array.
    pub bound: Bound,
    /// The bound is meant of each column (last axis) of a table.
    pub per_column: bool,
    /// `bound` as an absolute error, where it is one number for the whole array.
    pub abs_bound: Option<f64>,
    /// The declared fill value: one element in `byte_order`.
    pub fill: Option<Vec<u8>>,
}

impl ArrayHeader {
    /// Extent of the first axis: what chunks are cut from. A single value counts as one row.
    pub fn rows(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Bytes of one entry of the first axis.
    pub fn row_bytes(&self) -> u64 {
        self.shape.iter().skip(1).product::<u64>() * self.dtype.size_bytes() as u64
    }

    /// The same with [`ArrayHeader::abs_bound`] as values of this span make it.
    pub fn resolved(mut self, whole: &Span) -> Self {
        self.abs_bound = match resolve_bound(self.bound, self.per_column, whole, whole) {
            Bound::Abs(abs) => Some(abs),
            _ => None,
        };
        self
    }

    /// Bytes of all values.
    pub fn value_bytes(&self) -> u64 {
        self.rows() * self.row_bytes()
    }

    /// Shape as the owner sees it.
    pub fn owner_shape(&self) -> Vec<u64> {
        let mut shape = self.shape.clone();
        if self.reversed_axes {
            shape.reverse();
        }
        shape
    }

    /// Number of chunks. Empty arrays have none.
    pub fn n_chunks(&self) -> u64 {
        if self.value_bytes() == 0 { 0 } else { self.rows().div_ceil(self.rows_per_chunk) }
    }

    /// The rows of chunk `i`.
    pub fn chunk_rows(&self, i: u64) -> Option<Range<u64>> {
        let start = (i < self.n_chunks()).then(|| i * self.rows_per_chunk)?;
        Some(start..self.rows().min(start.saturating_add(self.rows_per_chunk)))
    }

    /// Shape of a chunk of these rows.
    pub(super) fn chunk_shape(&self, rows: &Range<u64>) -> Vec<usize> {
        let mut shape: Vec<usize> = self.shape.iter().map(|&n| n as usize).collect();
        if let Some(first) = shape.first_mut() {
            *first = (rows.end - rows.start) as usize;
        }
        shape
    }

    /// Everything later arithmetic relies on: sizes that fit, a bound that is one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::InvalidArgument`] says what does not fit.
    pub fn validate(&self) -> crate::Result<()> {
        if self.shape.len() > MAX_RANK {
            return Err(crate::Error::invalid(format!("{} axes: at most {MAX_RANK} are supported", self.shape.len())));
        }
        let shape: Vec<usize> =
            self.shape
                .iter()
                .map(|&n| usize::try_from(n))
                .collect::<std::result::Result<_, _>>()
                .map_err(|_| crate::Error::invalid(format!("shape {:?} does not fit the address space", self.shape)))?;
        // An extent of zero would hide an overflow of the others.
        let beyond_zeros: Vec<usize> = shape.iter().map(|&n| n.max(1)).collect();
        let mut params = Params::new(self.dtype, &beyond_zeros, self.bound);
        params.per_column = self.per_column;
        params.fill.clone_from(&self.fill);
        params.validate()?;
        if self.rows_per_chunk == 0 {
            return Err(crate::Error::invalid("0 rows a chunk: expected at least 1"));
        }
        Ok(())
    }

    pub(super) fn to_payload(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        write_text(&mut out, &self.name, "the array's name")?;
        out.push(self.dtype as u8);
        out.push(u8::from(self.byte_order == ByteOrder::Big));
        out.push(u8::from(self.reversed_axes));
        out.push(self.shape.len() as u8);
        for extent in &self.shape {
            out.extend(extent.to_le_bytes());
        }
        out.extend(self.rows_per_chunk.to_le_bytes());
        let (kind, value) = self.bound.to_wire();
        out.push(kind);
        out.extend(value.to_le_bytes());
        out.push(u8::from(self.per_column));
        out.push(u8::from(self.abs_bound.is_some()));
        out.extend(self.abs_bound.unwrap_or(0.0).to_le_bytes());
        let fill = self.fill.as_deref().unwrap_or(&[]);
        out.push(fill.len() as u8);
        out.extend(fill);
        Ok(out)
    }

    pub(super) fn parse(payload: &[u8]) -> Result<Self> {
        let mut f = Fields::new(payload, "array header");
        let name = f.text("name")?;
        let dtype = f.u8("element type")?;
        let dtype = Dtype::from_id(dtype)
            .ok_or_else(|| crate::Error::unsupported(format!("array {name:?}: element type {dtype} is unknown")))?;
        let byte_order = if f.flag("byte order")? { ByteOrder::Big } else { ByteOrder::Little };
        let reversed_axes = f.flag("reversed axes")?;
        let rank = f.u8("rank")?;
        let shape = (0..rank).map(|_| f.u64("shape")).collect::<Result<_>>()?;
        let rows_per_chunk = f.u64("rows per chunk")?;
        let (kind, value) = (f.u8("bound kind")?, f.f64("bound")?);
        let bound = Bound::from_wire(kind, value)?;
        let per_column = f.flag("per column")?;
        let (has_abs, abs) = (f.flag("has absolute bound")?, f.f64("absolute bound")?);
        let fill_bytes = f.u8("fill size")?;
        let fill = f.bytes(usize::from(fill_bytes), "fill value")?;
        let header = Self {
            name,
            dtype,
            byte_order,
            shape,
            reversed_axes,
            rows_per_chunk,
            bound,
            per_column,
            abs_bound: has_abs.then_some(abs),
            fill: (fill_bytes > 0).then(|| fill.to_vec()),
        };
        f.finish()?;
        header.validate().map_err(|e| Error::corrupt(format!("array header: {e}")))?;
        Ok(header)
    }
}

/// Size of a chunk when nothing else is asked: large enough for models and statistics to pay, small enough to spread over
/// threads and to read in part.
pub const DEFAULT_CHUNK_BYTES: u64 = 8 << 20;

/// Rows of a chunk of about `target_bytes`, all of equal size as far as that goes: 17 MiB in chunks of 8 become three of
/// 5.7 and not two and a scrap.
pub fn rows_per_chunk(rows: u64, row_bytes: u64, target_bytes: u64) -> u64 {
    let most = (target_bytes / row_bytes.max(1)).max(1);
    let chunks = rows.div_ceil(most).max(1);
    rows.div_ceil(chunks).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> ArrayHeader {
        ArrayHeader {
            name: "run/temperature".into(),
            dtype: Dtype::F32,
            byte_order: ByteOrder::Big,
            shape: vec![10, 3, 4],
            reversed_axes: true,
            rows_per_chunk: 4,
            bound: Bound::Rel(1e-3),
            per_column: false,
            abs_bound: Some(0.25),
            fill: Some(vec![0, 1, 2, 3]),
        }
    }

    #[test]
    fn array_header_survives() {
        for h in [header(), ArrayHeader { fill: None, abs_bound: None, shape: vec![], ..header() }] {
            assert_eq!(ArrayHeader::parse(&h.to_payload().unwrap()).unwrap(), h);
        }
    }

    #[test]
    fn every_cut_of_an_array_header_is_an_error() {
        let bytes = header().to_payload().unwrap();
        for n in 0..bytes.len() {
            assert!(ArrayHeader::parse(&bytes[..n]).is_err(), "cut at {n}");
        }
        assert!(ArrayHeader::parse(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn absurd_shapes_are_refused() {
        for shape in [vec![u64::MAX, 2], vec![1 << 40, 1 << 40], vec![0, u64::MAX, u64::MAX], vec![1; 33]] {
            let h = ArrayHeader { shape, ..header() };
            assert!(ArrayHeader::parse(&h.to_payload().unwrap()).is_err());
        }
    }

    #[test]
    fn chunks_cover_every_row_once() {
        let h = header();
        let rows = |h: &ArrayHeader| (0..h.n_chunks() + 1).map_while(|i| h.chunk_rows(i)).collect::<Vec<_>>();
        assert_eq!(rows(&h), [0..4, 4..8, 8..10]);
        assert_eq!(rows(&ArrayHeader { shape: vec![5, 0], ..header() }), []);
        let scalar = rows(&ArrayHeader { shape: vec![], ..header() });
        assert!(scalar.len() == 1 && scalar[0] == (0..1));
    }

    #[test]
    fn chunks_are_of_even_size() {
        assert_eq!(rows_per_chunk(17, 1 << 20, 8 << 20), 6);
        assert_eq!(rows_per_chunk(1, 1 << 30, 8 << 20), 1);
        assert_eq!(rows_per_chunk(0, 0, 8 << 20), 1);
        assert_eq!(rows_per_chunk(100, 8, 8 << 20), 100);
    }
}
