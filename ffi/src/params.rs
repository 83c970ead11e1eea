//! Parameters from C.

use crate::memory::{Versioned, bytes, slice, text};
use crate::status::Failure;
use ::baler_codec::params::MAX_RANK;
use ::baler_codec::{Bound, ByteOrder, Dtype, Effort, ModelChoice, Params};
use std::ffi::{c_char, c_void};

/// Element types, for `baler_params.dtype`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum baler_dtype {
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

/// Byte orders of the caller's array, for `baler_params.byte_order`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum baler_byte_order {
    /// Least significant byte first.
    Little = 0,
    /// Most significant byte first.
    Big = 1,
}

/// Kinds of bound, for `baler_params.bound_kind`. `x` is a value, `x'` what it decodes to.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum baler_bound {
    /// `x' = x`, bit for bit. `bound_value` must be 0.
    Lossless = 0,
    /// `|x' - x| <= bound_value`.
    Abs = 1,
    /// `|x' - x| <= bound_value * (max - min)` over the chunk.
    Rel = 2,
    /// `|x' - x| <= bound_value * |x|`.
    PwRel = 3,
    /// Peak signal-to-noise ratio of the chunk of at least `bound_value` dB.
    Psnr = 4,
    /// A model's latents alone: a fixed size, no bound. `bound_value` must be 0.
    Latent = 5,
}

/// How long to search, for `baler_params.effort`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum baler_effort {
    /// All candidates, chosen from samples.
    Default = 0,
    /// The cheapest candidates only.
    Fast = 1,
    /// All candidates, each encoded in full.
    Max = 2,
}

/// What to encode and how well. Set everything to zero, then `struct_size`, then what you want.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct baler_params {
    /// `sizeof(baler_params)`.
    pub struct_size: usize,
    /// A `baler_dtype`.
    pub dtype: u32,
    /// A `baler_byte_order`.
    pub byte_order: u32,
    /// Number of axes, at most 32; 0 means one value.
    pub rank: usize,
    /// `rank` extents, slowest axis first (C order).
    pub shape: *const u64,
    /// A `baler_bound`.
    pub bound_kind: u32,
    /// 0, or 1: the last axis holds the columns of a table, and the bound is meant of each column.
    pub per_column: u32,
    /// The bound itself.
    pub bound_value: f64,
    /// The fill value, one element in `byte_order`, restored bit for bit; NULL for none.
    pub fill: *const c_void,
    /// Bytes at `fill`: the size of one element, or 0 for none.
    pub fill_len: usize,
    /// NULL: every model that fits takes part. `"none"`: no model. 32 hexadecimal digits: the model of this id.
    pub model: *const c_char,
    /// A `baler_effort`.
    pub effort: u32,
    /// 0, or 1: decode the finished chunk and compare before handing it over.
    pub check_decode: u32,
    /// NULL, or the value of the bound for each column of a table, 0 for one without loss: then `bound_value` must be 0
    /// and `per_column` 1.
    pub column_bounds: *const f64,
    /// Numbers at `column_bounds`: the extent of the last axis, or 0 for none.
    pub n_column_bounds: usize,
    /// 0, or 1: put the decoder of the model that is used into the chunk, so that it opens anywhere.
    pub embed: u32,
    /// A `baler_outliers`.
    pub outliers: u32,
}

/// What becomes of the tiles that a model's density takes for outliers, for `baler_params.outliers`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum baler_outliers {
    /// Stored exactly under `BALER_BOUND_LATENT`, like the others under any other bound.
    Default = 0,
    /// Stored exactly; `model` must name a model that has a density.
    Keep = 1,
    /// Stored like the others.
    Ignore = 2,
}

// SAFETY: `repr(C)`, begins with `struct_size`, plain numbers and pointers without padding.
unsafe impl Versioned for baler_params {
    const SIZES: &'static [usize] = &[80, 104];
}

impl baler_params {
    /// The codec's parameters.
    ///
    /// # Safety
    /// The pointers are NULL or point to as much as the members beside them say.
    pub(crate) unsafe fn to_codec(self) -> Result<Params, Failure> {
        let unknown = |what: &str, number: u32| Failure::invalid(format!("params: {what} {number} is unknown"));
        let dtype = u8::try_from(self.dtype).ok().and_then(Dtype::from_id);
        let dtype = dtype.ok_or_else(|| unknown("dtype", self.dtype))?;
        // SAFETY: the caller's promise.
        let column_bounds = unsafe { slice(self.column_bounds, self.n_column_bounds, "params: column_bounds") }?;
        let kind = u8::try_from(self.bound_kind).map_err(|_| unknown("bound_kind", self.bound_kind))?;
        let bound = if column_bounds.is_empty() { Bound::from_wire(kind, self.bound_value)? } else { Bound::Lossless };
        if self.bound_value != 0.0 && matches!(bound, Bound::Lossless | Bound::Latent) {
            // A forgotten bound_kind must not pass for a wish.
            let why = if column_bounds.is_empty() { "the bound takes none" } else { "column_bounds is set" };
            let value = self.bound_value;
            return Err(Failure::invalid(format!("params: bound_value is {value} and {why}: set it to 0")));
        }
        if self.rank > MAX_RANK {
            return Err(Failure::invalid(format!("params: rank is {}, at most {MAX_RANK}", self.rank)));
        }
        // SAFETY: the caller's promise.
        let shape = unsafe { slice(self.shape, self.rank, "params: shape") }?;
        let shape: Result<Vec<usize>, _> = shape.iter().map(|&extent| usize::try_from(extent)).collect();
        let shape = shape.map_err(|_| Failure::invalid("params: an extent does not fit the address space"))?;

        let mut params = Params::new(dtype, &shape, bound);
        params.byte_order = match self.byte_order {
            0 => ByteOrder::Little,
            1 => ByteOrder::Big,
            other => return Err(unknown("byte_order", other)),
        };
        params.effort = match self.effort {
            0 => Effort::Default,
            1 => Effort::Fast,
            2 => Effort::Max,
            other => return Err(unknown("effort", other)),
        };
        params.per_column = switch(self.per_column, "per_column")?;
        params.check_decode = switch(self.check_decode, "check_decode")?;
        params.embed = switch(self.embed, "embed")?;
        params.keep_outliers = match self.outliers {
            0 => None,
            1 => Some(true),
            2 => Some(false),
            other => return Err(unknown("outliers", other)),
        };
        if self.fill_len > 0 {
            if self.fill_len != dtype.size_bytes() {
                let expected = dtype.size_bytes();
                return Err(Failure::invalid(format!("params: fill_len is {}: expected {expected}", self.fill_len)));
            }
            // SAFETY: the caller's promise.
            params.fill = Some(unsafe { bytes(self.fill, self.fill_len, "params: fill") }?.to_vec());
        } else if !self.fill.is_null() {
            return Err(Failure::invalid("params: fill is set and fill_len is 0"));
        }
        // SAFETY: the caller's promise.
        params.model = match unsafe { text(self.model, "params: model") }? {
            None => ModelChoice::Auto,
            Some("none") => ModelChoice::None,
            Some(id) => ModelChoice::Bundle(id.parse()?),
        };
        if !column_bounds.is_empty() {
            if !params.per_column {
                return Err(Failure::invalid("params: column_bounds needs per_column = 1"));
            }
            params.set_column_bounds(kind, column_bounds)?;
        } else if !self.column_bounds.is_null() {
            return Err(Failure::invalid("params: column_bounds is set and n_column_bounds is 0"));
        }
        params.validate()?;
        Ok(params)
    }
}

fn switch(number: u32, name: &str) -> Result<bool, Failure> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Failure::invalid(format!("params: {name} is {number}: expected 0 or 1"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_codec() {
        use baler_dtype as d;
        let all = [d::F16, d::F32, d::F64, d::I8, d::I16, d::I32, d::I64, d::U8, d::U16, d::U32, d::U64];
        assert_eq!(all.map(|d| d as u32), Dtype::ALL.map(|d| d as u32));
        use baler_bound as b;
        for (ours, theirs) in [
            (b::Lossless, Bound::Lossless),
            (b::Abs, Bound::Abs(0.5)),
            (b::Rel, Bound::Rel(0.5)),
            (b::PwRel, Bound::PwRel(0.5)),
            (b::Psnr, Bound::Psnr(0.5)),
            (b::Latent, Bound::Latent),
        ] {
            assert_eq!(ours as u32, u32::from(theirs.to_wire().0));
        }
    }
}
