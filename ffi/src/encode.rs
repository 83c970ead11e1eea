//! Encoding.

use crate::codec::baler_codec;
use crate::guard::guard;
use crate::memory::{Output, bytes, shared, sized};
use crate::params::baler_params;
use crate::status::{Failure, baler_status};
use std::ffi::c_void;

/// Writes to `*size` how many bytes a chunk with these parameters takes at most, whatever the values.
///
/// `BALER_STATUS_UNSUPPORTED` where the size depends on the model: for `BALER_BOUND_LATENT`, and for outliers kept in a
/// chunk with its decoder; `baler_encode` will tell.
///
/// Threads: any.
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
        size.write(&[::baler_codec::encode_bound(&params)?])
    })
}

/// Encodes one chunk: `values_len` bytes at `values`, in C order, to at most `out_capacity` bytes at `out`.
///
/// `*out_len` becomes the length of the chunk. With `BALER_STATUS_BUFFER_TOO_SMALL` it is the length the chunk would
/// have, and `out` is as it was: `baler_encode_bound` bytes are always enough. After any other failure both are as they
/// were. The same arguments give the same bytes, on every thread and machine with the same models.
///
/// Threads: any, many at once with one codec.
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
        let chunk = ::baler_codec::encode(&params, values, &codec.registry())?;
        hand_over(&chunk, &out, &out_len, "the chunk")
    })
}

/// Copies a result to the caller, or says how long it is.
pub(crate) fn hand_over(result: &[u8], out: &Output<u8>, out_len: &Output<usize>, what: &str) -> Result<(), Failure> {
    out_len.write(&[result.len()])?;
    if result.len() > out.capacity() {
        return Err(Failure::new(
            baler_status::BufferTooSmall,
            format!("out has room for {} bytes: {what} takes {}", out.capacity(), result.len()),
        ));
    }
    out.write(result)
}
