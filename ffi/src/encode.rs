//! Parameters from C, and encoding.

use crate::guard::guard;
use crate::handle::{Output, baler_codec, bytes, shared, sized, slice, text};
use crate::status::{Failure, baler_status};
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
}

impl baler_params {
    /// The codec's parameters.
    ///
    /// # Safety
    /// The pointers are NULL or point to as much as the members beside them say.
    unsafe fn to_codec(self) -> Result<Params, Failure> {
        let unknown = |what: &str, number: u32| Failure::invalid(format!("params: {what} {number} is unknown"));
        let dtype = u8::try_from(self.dtype).ok().and_then(Dtype::from_id);
        let dtype = dtype.ok_or_else(|| unknown("dtype", self.dtype))?;
        let kind = u8::try_from(self.bound_kind).map_err(|_| unknown("bound_kind", self.bound_kind))?;
        let bound = Bound::from_wire(kind, self.bound_value)?;
        if matches!(bound, Bound::Lossless | Bound::Latent) && self.bound_value != 0.0 {
            // A forgotten bound_kind must not pass for a wish.
            return Err(Failure::invalid(format!(
                "params: bound_value is {} and the bound {bound} takes none: set bound_kind, or bound_value to 0",
                self.bound_value
            )));
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

/// Writes to `*size` how many bytes a chunk with these parameters takes at most, whatever the values.
///
/// `BALER_STATUS_UNSUPPORTED` for `BALER_BOUND_LATENT`: its size depends on the model; `baler_encode` will tell.
///
/// # Safety
/// Unless NULL, `params` points to a structure of the size it gives of itself, whose pointers are valid, and `size` to
/// a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_encode_bound(params: *const baler_params, size: *mut usize) -> baler_status {
    guard!({
        // SAFETY: the caller's promise.
        let size = unsafe { Output::new(size, 1, "size") }?;
        // SAFETY: the caller's promise; the structure is plain and begins with its size.
        let params = unsafe { sized(params, "params")?.to_codec() }?;
        size.write(&[largest_chunk(&params)?])
    })
}

/// The chunk's head, a part for each column that may be coded on its own, and the values as they are.
fn largest_chunk(params: &Params) -> Result<usize, Failure> {
    const VARINT: usize = 10;
    // Magic number, version, flags, dtype, bound, rank; the model's id; the checksum.
    const HEAD: usize = 4 + 1 + 1 + 1 + (1 + 8) + 1 + 16 + 8;
    // Length, method; of raw values: their length, a flag.
    const PART: usize = VARINT + 1 + VARINT + 1;
    // The most columns of an array that the codec takes apart unasked.
    const MAX_COLUMNS_UNASKED: usize = 256;
    if params.bound == Bound::Latent {
        return Err(Failure::new(
            baler_status::Unsupported,
            "the bound `latent` has no largest size before the model is known: baler_encode tells it",
        ));
    }
    let n_columns = match params.shape.last() {
        Some(&n) if params.per_column => n,
        Some(&n) => n.clamp(1, MAX_COLUMNS_UNASKED),
        None => 1,
    };
    let n_values = params.n_values()?;
    let parts = if n_values == 0 { Some(0) } else { n_columns.checked_mul(PART) };
    (n_values * params.dtype.size_bytes())
        .checked_add(HEAD + params.shape.len() * VARINT)
        .and_then(|len| len.checked_add(parts?))
        .ok_or_else(|| Failure::invalid("params: a chunk of this shape does not fit the address space"))
}

/// Encodes one chunk: `values_len` bytes at `values`, in C order, to at most `out_capacity` bytes at `out`.
///
/// `*out_len` becomes the length of the chunk. With `BALER_STATUS_BUFFER_TOO_SMALL` it is the length the chunk would
/// have, and `out` is as it was: `baler_encode_bound` bytes are always enough. After any other failure both are as they
/// were. The same arguments give the same bytes, on every thread and machine with the same models.
///
/// # Safety
/// Unless refused, every pointer is valid for what the argument beside it says, and nobody changes the inputs during the
/// call. `values` needs no alignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_encode(
    codec: *const baler_codec,
    params: *const baler_params,
    values: *const c_void,
    values_len: usize,
    out: *mut c_void,
    out_capacity: usize,
    out_len: *mut usize,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for these and the next.
        let codec = unsafe { shared(codec, "codec") }?;
        // SAFETY: as above; the structure is plain and begins with its size.
        let params = unsafe { sized(params, "params")?.to_codec() }?;
        // SAFETY: as above.
        let values = unsafe { bytes(values, values_len, "values") }?;
        // SAFETY: as above.
        let out = unsafe { Output::new(out.cast::<u8>(), out_capacity, "out") }?;
        // SAFETY: as above.
        let out_len = unsafe { Output::new(out_len, 1, "out_len") }?;
        out.disjoint_from(values, "values")?;
        out.disjoint_from_output(&out_len)?;
        out_len.disjoint_from(values, "values")?;
        let chunk = ::baler_codec::encode(&params, values, &codec.registry)?;
        hand_over(&chunk, &out, &out_len)
    })
}

/// Copies a result to the caller, or says how long it is.
pub(crate) fn hand_over(result: &[u8], out: &Output<u8>, out_len: &Output<usize>) -> Result<(), Failure> {
    out_len.write(&[result.len()])?;
    if result.len() > out.capacity() {
        return Err(Failure::new(
            baler_status::BufferTooSmall,
            format!("out has room for {} bytes: the chunk takes {}", out.capacity(), result.len()),
        ));
    }
    out.write(result)
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
