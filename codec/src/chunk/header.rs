//! The head of a chunk.

use crate::bundle::BundleId;
use crate::error::{Error, ErrorKind, Result};
use crate::params::{Bound, ByteOrder, Dtype, MAX_RANK};
use crate::wire::{Reader, Writer};

pub(super) const MAGIC: [u8; 4] = *b"BALR";
pub(super) const VERSION: u8 = 1;

const FLAG_BIG_ENDIAN: u8 = 1;
const FLAG_COLUMNS: u8 = 1 << 1;
const FLAG_MODEL: u8 = 1 << 2;
const FLAG_EMBEDDED: u8 = 1 << 3;
const FLAG_PER_COLUMN: u8 = 1 << 4;
const KNOWN_FLAGS: u8 = (1 << 5) - 1;

/// What a chunk says of itself before its parts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// Element type of the decoded array.
    pub dtype: Dtype,
    /// Byte order of the decoded array.
    pub byte_order: ByteOrder,
    /// Extents, slowest axis first.
    pub shape: Vec<usize>,
    /// What the writer promised.
    pub bound: Bound,
    /// Whether the bound is meant of each column.
    pub per_column: bool,
    /// Whether each column of the last axis is a part of its own.
    pub is_columnar: bool,
    /// The bundle needed to decode.
    pub model: Option<BundleId>,
    /// Whether that bundle's decoder lies in the chunk.
    pub is_embedded: bool,
}

impl Header {
    /// Number of values; the shape was checked when it was read.
    pub fn n_values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of the decoded array.
    pub fn len_bytes(&self) -> usize {
        self.n_values() * self.dtype.size_bytes()
    }

    /// Shape of one part, and how many there are: none if there are no values.
    pub(super) fn parts(&self) -> (Vec<usize>, usize) {
        match self.shape.split_last() {
            _ if self.shape.contains(&0) => (Vec::new(), 0),
            Some((&n_columns, rows)) if self.is_columnar => (rows.to_vec(), n_columns),
            _ => (self.shape.clone(), 1),
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.raw(&MAGIC);
        out.u8(VERSION);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.u8(flag(self.byte_order == ByteOrder::Big, FLAG_BIG_ENDIAN)
            | flag(self.is_columnar, FLAG_COLUMNS)
            | flag(self.model.is_some(), FLAG_MODEL)
            | flag(self.is_embedded, FLAG_EMBEDDED)
            | flag(self.per_column, FLAG_PER_COLUMN));
        out.u8(self.dtype as u8);
        let (kind, value) = self.bound.to_wire();
        out.u8(kind);
        out.f64(value);
        out.u8(self.shape.len() as u8);
        for &extent in &self.shape {
            out.varint(extent as u64);
        }
        if let Some(model) = &self.model {
            out.raw(&model.0);
        }
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self> {
        if input.raw(4, "the magic number")? != MAGIC {
            return Err(Error::corrupt("this is not a Baler chunk: it does not begin with BALR"));
        }
        let version = input.u8("the version")?;
        if version != VERSION {
            return Err(Error::new(
                ErrorKind::Version,
                format!("chunk format version {version}: this build reads version {VERSION}; use a newer Baler"),
            ));
        }
        let flags = input.u8("the flags")?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(Error::corrupt(format!("flags {flags:#04x}: unknown bits are set")));
        }
        let is_set = |flag: u8| flags & flag != 0;
        if is_set(FLAG_EMBEDDED) && !is_set(FLAG_MODEL) {
            return Err(Error::corrupt("an embedded decoder without a model"));
        }
        let id = input.u8("the dtype")?;
        let dtype = Dtype::from_id(id).ok_or_else(|| Error::corrupt(format!("dtype {id} is unknown")))?;
        let kind = input.u8("the kind of bound")?;
        let bound = Bound::from_wire(kind, input.f64("the bound")?).map_err(|e| Error::corrupt(e.message()))?;
        let rank = usize::from(input.u8("the rank")?);
        if rank > MAX_RANK {
            return Err(Error::corrupt(format!("{rank} axes: at most {MAX_RANK} are allowed")));
        }
        let mut shape = Vec::with_capacity(rank);
        for _ in 0..rank {
            shape.push(input.size("an extent")?);
        }
        shape
            .iter()
            .try_fold(dtype.size_bytes(), |p, &e| p.checked_mul(e))
            .filter(|&len| isize::try_from(len).is_ok())
            .ok_or_else(|| Error::corrupt(format!("shape {shape:?} does not fit the address space")))?;
        if is_set(FLAG_COLUMNS) && rank == 0 {
            return Err(Error::corrupt("columns without an axis"));
        }
        let model = if is_set(FLAG_MODEL) {
            let mut id = [0; 16];
            id.copy_from_slice(input.raw(16, "the model's id")?);
            Some(BundleId(id))
        } else {
            None
        };
        Ok(Self {
            dtype,
            byte_order: if is_set(FLAG_BIG_ENDIAN) { ByteOrder::Big } else { ByteOrder::Little },
            shape,
            bound,
            per_column: is_set(FLAG_PER_COLUMN),
            is_columnar: is_set(FLAG_COLUMNS),
            model,
            is_embedded: is_set(FLAG_EMBEDDED),
        })
    }
}
