//! What a caller asks for: element type, shape, bound, and which models may be used.

use crate::bundle::BundleId;
use crate::candidate;
use crate::error::{Error, Result};
use crate::special::Gaps;
use std::fmt;

/// The element type of an array. The numbers reach disk: never reuse or reorder them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Dtype {
    /// IEEE 754 binary16.
    F16 = 1,
    /// IEEE 754 binary32.
    F32 = 2,
    /// IEEE 754 binary64.
    F64 = 3,
    /// Two's complement, 8 bits.
    I8 = 4,
    /// Two's complement, 16 bits.
    I16 = 5,
    /// Two's complement, 32 bits.
    I32 = 6,
    /// Two's complement, 64 bits.
    I64 = 7,
    /// Unsigned, 8 bits.
    U8 = 8,
    /// Unsigned, 16 bits.
    U16 = 9,
    /// Unsigned, 32 bits.
    U32 = 10,
    /// Unsigned, 64 bits.
    U64 = 11,
}

impl Dtype {
    /// Every element type, in the order of its number on disk.
    pub const ALL: [Dtype; 11] = [
        Dtype::F16,
        Dtype::F32,
        Dtype::F64,
        Dtype::I8,
        Dtype::I16,
        Dtype::I32,
        Dtype::I64,
        Dtype::U8,
        Dtype::U16,
        Dtype::U32,
        Dtype::U64,
    ];

    /// The type with this number on disk.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|d| *d as u8 == id)
    }

    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Dtype::I8 | Dtype::U8 => 1,
            Dtype::F16 | Dtype::I16 | Dtype::U16 => 2,
            Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
            Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
        }
    }

    /// Whether this is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F16 | Dtype::F32 | Dtype::F64)
    }

    /// The name numpy uses: `float32`, `uint8`, ...
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F16 => "float16",
            Dtype::F32 => "float32",
            Dtype::F64 => "float64",
            Dtype::I8 => "int8",
            Dtype::I16 => "int16",
            Dtype::I32 => "int32",
            Dtype::I64 => "int64",
            Dtype::U8 => "uint8",
            Dtype::U16 => "uint16",
            Dtype::U32 => "uint32",
            Dtype::U64 => "uint64",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The byte order of the caller's array; [`crate::decode`] gives back the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Least significant byte first.
    #[default]
    Little,
    /// Most significant byte first.
    Big,
}

/// What may differ between a value and its decoded self. In each formula `x` is the value, `x'` the decoded one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// `x' = x`, bit for bit.
    Lossless,
    /// `|x' - x| <= abs`.
    Abs(f64),
    /// `|x' - x| <= rel * (max - min)` over the finite, not filled values of the chunk (of the column with
    /// [`Params::per_column`]).
    Rel(f64),
    /// `|x' - x| <= pw_rel * |x|` for each value; zeros stay zero.
    PwRel(f64),
    /// `20 log10(max - min) - 10 log10(mean (x' - x)^2) >= psnr` dB over the chunk.
    Psnr(f64),
    /// The model's latents alone: a fixed size, **no bound**. Needs a model.
    Latent,
}

impl Bound {
    /// The number of this kind of bound on disk, and its value (0 where it has none).
    pub fn to_wire(self) -> (u8, f64) {
        match self {
            Bound::Lossless => (0, 0.0),
            Bound::Abs(v) => (1, v),
            Bound::Rel(v) => (2, v),
            Bound::PwRel(v) => (3, v),
            Bound::Psnr(v) => (4, v),
            Bound::Latent => (5, 0.0),
        }
    }

    /// The bound with this number and value; an error names what is wrong with it.
    pub fn from_wire(kind: u8, value: f64) -> Result<Self> {
        let bound = match kind {
            0 => Bound::Lossless,
            1 => Bound::Abs(value),
            2 => Bound::Rel(value),
            3 => Bound::PwRel(value),
            4 => Bound::Psnr(value),
            5 => Bound::Latent,
            _ => {
                return Err(Error::unsupported(format!(
                    "bound kind {kind} is unknown; known: 0 lossless, 1 abs, 2 rel, 3 pw_rel, 4 psnr, 5 latent"
                )));
            }
        };
        bound.validate()?;
        Ok(bound)
    }

    /// The same kind of bound with another value; 0 is no loss.
    pub(crate) fn with_value(self, value: f64) -> Self {
        match self {
            _ if value == 0.0 => Bound::Lossless,
            Bound::Abs(_) => Bound::Abs(value),
            Bound::Rel(_) => Bound::Rel(value),
            Bound::PwRel(_) => Bound::PwRel(value),
            Bound::Psnr(_) => Bound::Psnr(value),
            Bound::Lossless | Bound::Latent => self,
        }
    }

    /// Checks the value: finite, above zero (`rel` and `pw_rel` also below 1, `psnr` at most 400 dB).
    pub fn validate(self) -> Result<()> {
        let (what, value, below) = match self {
            Bound::Lossless | Bound::Latent => return Ok(()),
            Bound::Abs(v) => ("abs", v, f64::INFINITY),
            Bound::Rel(v) => ("rel", v, 1.0),
            Bound::PwRel(v) => ("pw_rel", v, 1.0),
            Bound::Psnr(v) => ("psnr", v, 400.0),
        };
        if value.is_finite() && value > 0.0 && value < below {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "bound {what} = {value}: expected a finite number above 0{}; for no loss at all ask for lossless",
            if below.is_finite() { format!(" and below {below}") } else { String::new() }
        )))
    }

    /// The name users know: `lossless`, `abs`, `rel`, `pw_rel`, `psnr`, `latent`.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Lossless => "lossless",
            Bound::Abs(_) => "abs",
            Bound::Rel(_) => "rel",
            Bound::PwRel(_) => "pw_rel",
            Bound::Psnr(_) => "psnr",
            Bound::Latent => "latent",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Lossless | Bound::Latent => f.write_str(self.name()),
            Bound::Abs(v) | Bound::Rel(v) | Bound::PwRel(v) | Bound::Psnr(v) => write!(f, "{} {v:e}", self.name()),
        }
    }
}

/// Which models take part in the auction of candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelChoice {
    /// None: classical candidates only.
    None,
    /// Every bundle of the registry that fits the array.
    #[default]
    Auto,
    /// This bundle; it must fit. Classical candidates still win where they are smaller (not under
    /// [`Bound::Latent`]).
    Bundle(BundleId),
}

/// How long the encoder may search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// The cheapest candidates only.
    Fast,
    /// All candidates are tried on a sample, and the whole is encoded with the one that was smallest there, by coders that are
    /// quick to decode.
    #[default]
    Default,
    /// All candidates and all coders, each encoded in full: up to a few per cent smaller, tens of times slower to write, and
    /// slower to read where a slow coder wins.
    Max,
}

/// Which candidates take part in the auction: all, unless somebody wants to know what each is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// One bit for each method.
    allowed: u32,
}

impl Default for Candidates {
    fn default() -> Self {
        Self { allowed: u32::MAX }
    }
}

impl Candidates {
    /// The candidates that can be left out.
    pub fn names() -> impl Iterator<Item = &'static str> {
        candidate::OPTIONAL.iter().map(|(name, _)| *name)
    }

    /// The same without the candidate of this name.
    pub fn without(self, name: &str) -> Result<Self> {
        Ok(Self { allowed: self.allowed & !Self::bit(name)? })
    }

    /// The candidate of this name alone.
    pub fn only(name: &str) -> Result<Self> {
        Ok(Self { allowed: Self::bit(name)? })
    }

    /// Whether the candidate of this name takes part.
    pub fn has(self, name: &str) -> bool {
        Self::bit(name).is_ok_and(|bit| self.allowed & bit != 0)
    }

    fn bit(name: &str) -> Result<u32> {
        let found = candidate::OPTIONAL.iter().find(|(n, _)| *n == name);
        found.map(|(_, method)| 1 << method).ok_or_else(|| {
            let names: Vec<&str> = Self::names().collect();
            Error::invalid(format!("no candidate {name:?}; there are: {}", names.join(", ")))
        })
    }

    pub(crate) fn allow(self, method: u8) -> bool {
        self.allowed >> method & 1 == 1
    }
}

/// What [`crate::encode`] is asked to do with one chunk.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// Element type.
    pub dtype: Dtype,
    /// Byte order of the caller's bytes.
    pub byte_order: ByteOrder,
    /// Extent of each axis, slowest first (C order). Empty means one value.
    pub shape: Vec<usize>,
    /// The promise.
    pub bound: Bound,
    /// The last axis holds the columns of a table: `rel`, `pw_rel` and `psnr` are then meant of each column.
    pub per_column: bool,
    /// With [`Params::per_column`]: the value of the bound for each column, 0 for one without loss. The kind is that of
    /// `bound`, whose own value is then what chunks say of themselves: no smaller than any of these. Empty: `bound` is
    /// meant of all columns.
    pub column_bounds: Vec<f64>,
    /// A declared fill value, as the bytes of one element in `byte_order`: restored bit for bit, and left out of
    /// ranges.
    pub fill: Option<Vec<u8>>,
    /// How many of the last entries along each axis are padding, as HDF5 puts around a chunk that sticks out of its
    /// dataset: zeros there are restored bit for bit and left out of ranges, as those that are not there are values. Empty:
    /// no padding.
    pub padding: Vec<usize>,
    /// Which models take part.
    pub model: ModelChoice,
    /// How long to search.
    pub effort: Effort,
    /// Which candidates take part.
    pub candidates: Candidates,
    /// Store the tiles that the bundle's density takes for outliers exactly, instead of with the others. `None`: under
    /// [`Bound::Latent`] only. `Some(true)`: under any bound that a model serves; the bundle must be named, have a
    /// density, and be the one that encodes.
    pub keep_outliers: Option<bool>,
    /// Put the decoder of the winning bundle into the chunk, so that it opens anywhere.
    pub embed: bool,
    /// Decode the finished chunk and compare it with the input before handing it over.
    pub check_decode: bool,
}

/// The most axes an array may have.
pub const MAX_RANK: usize = 32;

impl Params {
    /// Little-endian `dtype` array of `shape` within `bound`; everything else at its default.
    pub fn new(dtype: Dtype, shape: &[usize], bound: Bound) -> Self {
        Self {
            dtype,
            byte_order: ByteOrder::Little,
            shape: shape.to_vec(),
            bound,
            per_column: false,
            column_bounds: Vec::new(),
            fill: None,
            padding: Vec::new(),
            model: ModelChoice::Auto,
            effort: Effort::Default,
            candidates: Candidates::default(),
            keep_outliers: None,
            embed: false,
            check_decode: false,
        }
    }

    /// Number of values, or an error if it overflows.
    pub fn n_values(&self) -> Result<usize> {
        n_values(&self.shape)
    }

    /// Asks for one bound of the kind of `kind` for each column, 0 for one without loss: [`Params::bound`],
    /// [`Params::per_column`] and [`Params::column_bounds`] at once.
    ///
    /// # Errors
    /// [`crate::ErrorKind::InvalidArgument`] for a kind without value, or values that are none of that kind.
    pub fn set_column_bounds(&mut self, kind: u8, values: &[f64]) -> Result<()> {
        let largest = values.iter().copied().fold(0.0, f64::max);
        let bound = if kind == Bound::Psnr(0.0).to_wire().0 {
            // The more decibels, the less loss: what holds for all columns is the smallest.
            let least = values.iter().copied().filter(|&v| v > 0.0).fold(f64::INFINITY, f64::min);
            if least.is_finite() { Bound::from_wire(kind, least)? } else { Bound::Lossless }
        } else if largest > 0.0 {
            Bound::from_wire(kind, largest)?
        } else {
            Bound::Lossless
        };
        (self.bound, self.per_column, self.column_bounds) = (bound, true, values.to_vec());
        self.validate()
    }

    /// What is promised of a column.
    pub(crate) fn bound_of(&self, column: usize) -> Bound {
        match self.column_bounds.get(column) {
            None => self.bound,
            Some(&value) => self.bound.with_value(value),
        }
    }

    /// What of the array no bound is meant of.
    pub(crate) fn gaps(&self) -> Gaps {
        Gaps::new(self.fill_bits(), &self.shape, &self.padding)
    }

    /// The same of one column of a table.
    pub(crate) fn gaps_of_column(&self, column: usize) -> Gaps {
        let (Some((&n_columns, rows)), Some((&n_padding, padding))) =
            (self.shape.split_last(), self.padding.split_last())
        else {
            return Gaps::of_value(self.fill_bits());
        };
        if column + n_padding >= n_columns {
            // All of the column.
            let n_rows = rows.iter().product();
            return Gaps::new(self.fill_bits(), &[n_rows], &[n_rows]);
        }
        Gaps::new(self.fill_bits(), rows, padding)
    }

    /// The bits of the declared fill value, whatever the byte order.
    fn fill_bits(&self) -> Option<u64> {
        let mut bytes = self.fill.clone()?;
        if self.byte_order == ByteOrder::Big {
            bytes.reverse();
        }
        bytes.resize(8, 0);
        Some(bytes.iter().rev().fold(0, |bits, &b| bits << 8 | u64::from(b)))
    }

    /// Checks everything that can be checked without the values.
    pub fn validate(&self) -> Result<()> {
        self.bound.validate()?;
        if self.shape.len() > MAX_RANK {
            return Err(Error::invalid(format!("{} axes: at most {MAX_RANK} are supported", self.shape.len())));
        }
        let n = self.n_values()?;
        if n.checked_mul(self.dtype.size_bytes()).is_none_or(|b| isize::try_from(b).is_err()) {
            return Err(Error::invalid(format!(
                "shape {:?} of {} does not fit the address space",
                self.shape, self.dtype
            )));
        }
        if let Some(fill) = &self.fill
            && fill.len() != self.dtype.size_bytes()
        {
            return Err(Error::invalid(format!(
                "the fill value has {} bytes: expected {} for {}",
                fill.len(),
                self.dtype.size_bytes(),
                self.dtype
            )));
        }
        if !self.padding.is_empty()
            && (self.padding.len() != self.shape.len() || self.padding.iter().zip(&self.shape).any(|(p, n)| p > n))
        {
            return Err(Error::invalid(format!(
                "padding {:?}: expected no more than each axis has of shape {:?}, or nothing",
                self.padding, self.shape
            )));
        }
        if self.keep_outliers == Some(true)
            && (self.per_column || matches!(self.bound, Bound::Lossless | Bound::PwRel(_)))
        {
            return Err(Error::invalid(
                "keep_outliers goes with the bounds abs, rel, psnr and latent, and not with per_column",
            ));
        }
        if self.per_column && self.shape.is_empty() {
            return Err(Error::invalid("per_column needs at least one axis: the last one holds the columns"));
        }
        self.validate_column_bounds()
    }

    fn validate_column_bounds(&self) -> Result<()> {
        if self.column_bounds.is_empty() {
            return Ok(());
        }
        let n_columns = self.shape.last().copied().unwrap_or(0);
        if !self.per_column || self.column_bounds.len() != n_columns {
            return Err(Error::invalid(format!(
                "{} bounds of columns: expected per_column and one for each of the {n_columns} columns",
                self.column_bounds.len()
            )));
        }
        let loosest = |a: f64, b: f64| if matches!(self.bound, Bound::Psnr(_)) { a >= b } else { a <= b };
        for (column, &value) in self.column_bounds.iter().enumerate() {
            if value == 0.0 {
                continue;
            }
            self.bound.with_value(value).validate().map_err(|e| e.context(format_args!("column {column}")))?;
            if matches!(self.bound, Bound::Lossless | Bound::Latent) || !loosest(value, self.bound.to_wire().1) {
                return Err(Error::invalid(format!(
                    "column {column} has the bound {value:e}, and the chunk would say {}: use set_column_bounds",
                    self.bound
                )));
            }
        }
        Ok(())
    }
}

/// Product of the extents, or an error if it overflows.
pub(crate) fn n_values(shape: &[usize]) -> Result<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &extent| n.checked_mul(extent))
        .ok_or_else(|| Error::invalid(format!("shape {shape:?}: the number of values overflows")))
}
