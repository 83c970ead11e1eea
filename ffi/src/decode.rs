//! What a chunk holds, and decoding.

use crate::codec::baler_codec;
use crate::encode::hand_over;
use crate::guard::guard;
use crate::memory::{Output, Versioned, bytes, shared, write_sized};
use crate::status::{Failure, baler_status};
use ::baler_codec::{ByteOrder, ErrorKind, Limits, decode_header};
use std::ffi::c_void;

/// The most axes of an array.
pub const BALER_MAX_RANK: usize = 32;

const _: () = assert!(BALER_MAX_RANK == ::baler_codec::params::MAX_RANK);

/// What a chunk decodes to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct baler_chunk_info_t {
    /// `sizeof(baler_chunk_info_t)`; the caller sets it.
    pub struct_size: usize,
    /// A `baler_dtype`.
    pub dtype: u32,
    /// A `baler_byte_order`.
    pub byte_order: u32,
    /// Number of axes.
    pub rank: usize,
    /// Bytes of the decoded array.
    pub decoded_len: u64,
    /// `rank` extents, slowest axis first; zeros behind them.
    pub shape: [u64; BALER_MAX_RANK],
}

// SAFETY: `repr(C)`, begins with `struct_size`, plain numbers without padding.
unsafe impl Versioned for baler_chunk_info_t {
    const SIZES: &'static [usize] = &[288];
}

/// Reads what a chunk of `chunk_len` bytes decodes to, after checking that every bit of it is as it was written.
/// Needs no model.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `chunk` points to `chunk_len` bytes that nobody changes during the call, and `info` to a structure of
/// the size it gives of itself. `chunk` needs no alignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_chunk_info(
    chunk: *const c_void,
    chunk_len: usize,
    info: *mut baler_chunk_info_t,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise.
        let chunk = unsafe { bytes(chunk, chunk_len, "chunk") }?;
        let header = decode_header(chunk)?;
        let mut shape = [0; BALER_MAX_RANK];
        for (to, &extent) in shape.iter_mut().zip(&header.shape) {
            *to = extent as u64;
        }
        let value = |struct_size| baler_chunk_info_t {
            struct_size,
            dtype: header.dtype as u32,
            byte_order: u32::from(header.byte_order == ByteOrder::Big),
            rank: header.shape.len(),
            decoded_len: header.len_bytes() as u64,
            shape,
        };
        // SAFETY: the caller's promise; the chunk is not read any more, so that the two may even overlap.
        unsafe { write_sized(info, "info", value) }
    })
}

/// Decodes a chunk to at most `out_capacity` bytes at `out`: the array in C order and its own byte order.
///
/// `*out_len` becomes the length of the array. With `BALER_STATUS_BUFFER_TOO_SMALL` it is the length the array has, and
/// `out` is as it was. After any other failure both are as they were. A chunk that claims more than `out_capacity`
/// bytes is refused before any memory is taken for them.
///
/// Threads: any, many at once with one codec.
///
/// # Safety
/// Unless refused, every pointer is valid for what the argument beside it says, and nobody changes the inputs during the
/// call. Neither `chunk` nor `out` needs any alignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_decode(
    codec: *const baler_codec,
    chunk: *const c_void,
    chunk_len: usize,
    out: *mut c_void,
    out_capacity: usize,
    out_len: *mut usize,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for this and the next.
        let codec = unsafe { shared(codec, "codec") }?;
        // SAFETY: as above.
        let chunk = unsafe { bytes(chunk, chunk_len, "chunk") }?;
        // SAFETY: as above.
        let out = unsafe { Output::new(out.cast::<u8>(), out_capacity, "out") }?;
        // SAFETY: as above.
        let out_len = unsafe { Output::new(out_len, 1, "out_len") }?;
        out.disjoint_from(chunk, "chunk")?;
        out.disjoint_from_output(&out_len)?;
        out_len.disjoint_from(chunk, "chunk")?;
        match ::baler_codec::decode(chunk, &codec.registry(), &Limits { max_output_bytes: out_capacity }) {
            Ok(decoded) => hand_over(&decoded.values, &out, &out_len, "the array"),
            Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                let needed = decode_header(chunk)?.len_bytes();
                if needed <= out_capacity {
                    return Err(error.into());
                }
                out_len.write(&[needed])?;
                Err(Failure::new(
                    baler_status::BufferTooSmall,
                    format!("out has room for {out_capacity} bytes: the array takes {needed}"),
                ))
            }
            Err(error) => Err(error.into()),
        }
    })
}
