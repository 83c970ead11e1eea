//! One chunk through the codec, in the form HDF5 calls a filter in.
//!
//! HDF5 calls filters on several threads and, since a decoder may lie in a dataset of the same file, again from within
//! a call: nothing is kept here between calls, and no lock is held while HDF5 is called.

use crate::bundles;
use crate::cd_values::Request;
use crate::h5::{Api, api_of};
use crate::set_local::params;
use baler_codec::bundle::{Bundle, BundleId};
use baler_codec::{Bound, Error, Limits, ModelChoice, Params, Registry, Result, decode, encode};
use libc::{c_uint, c_void, size_t};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once, OnceLock};

/// `H5Z_FLAG_OPTIONAL`: a chunk for which the filter returns 0 is stored as it is.
const FLAG_OPTIONAL: c_uint = 0x0001;
/// `H5Z_FLAG_REVERSE`: decode.
const FLAG_REVERSE: c_uint = 0x0100;

/// `H5Z_func_t`, with the caller's return address: the number of valid bytes now in `*buf`, or 0 for failure.
///
/// # Safety
/// As HDF5 documents: `cd_values` holds `cd_nelmts` words; `*buf` was allocated by the calling library, holds
/// `*buf_size` bytes, `nbytes` of them valid.
pub(crate) unsafe extern "C" fn filter_from(
    flags: c_uint,
    cd_nelmts: size_t,
    cd_values: *const c_uint,
    nbytes: size_t,
    buf_size: *mut size_t,
    buf: *mut *mut c_void,
    return_address: usize,
) -> size_t {
    keep_memory();
    let api = api_of(return_address).ok();
    let reading = flags & FLAG_REVERSE != 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        if cd_values.is_null() && cd_nelmts > 0 || buf.is_null() || buf_size.is_null() {
            return Err(Error::invalid("HDF5 passed a null pointer"));
        }
        // SAFETY: not null unless empty, and HDF5 vouches for the length.
        let words = if cd_nelmts == 0 { &[] } else { unsafe { std::slice::from_raw_parts(cd_values, cd_nelmts) } };
        // SAFETY: buf and buf_size are not null; *buf holds nbytes valid bytes. *buf_size is only what was allocated.
        let (input, allocated) = unsafe {
            let (start, allocated) = (*buf, *buf_size);
            if start.is_null() || nbytes == 0 || nbytes > allocated {
                return Err(Error::corrupt(format!("a chunk of {nbytes} bytes in a buffer of {allocated}")));
            }
            (std::slice::from_raw_parts(start.cast::<u8>(), nbytes), allocated)
        };
        let output = if reading {
            match left_out_values(words) {
                Some(zeros) => zeros,
                None => decode_chunk(words, input, &bundles::decoding_registry(api))?,
            }
        } else {
            let output = if values_follow() {
                LEFT_OUT.to_vec()
            } else {
                ChunkEncoder::new(words, &|id| bundles::find(api, id))?.encode(input)?
            };
            if flags & FLAG_OPTIONAL != 0 && output.len() >= nbytes {
                // Not smaller: HDF5 keeps the chunk as it is, which costs nothing and is within every bound.
                return Ok(0);
            }
            output
        };
        // SAFETY: the pointers are valid, input is not used any more.
        unsafe { hand_over(api, &output, allocated, buf_size, buf) }
    }));
    let doing = if reading { "reading" } else { "writing" };
    let message = match result {
        Ok(Ok(len)) => return len,
        Ok(Err(error)) => format!("Baler filter, {doing} a chunk of {nbytes} bytes: {error}"),
        Err(_) => format!("Baler filter, {doing} a chunk of {nbytes} bytes: internal error (a panic)"),
    };
    if let Some(api) = api {
        api.push_error(line!(), &message);
    }
    0
}

/// Has the allocator keep what one chunk gave back for the next.
///
/// The GNU C library learns from the blocks that a program frees: up to the size of the largest it does not ask the system for
/// each anew, and keeps twice that. A chunk takes dozens of a few megabytes, and fresh pages for each are up to a sixth of the
/// time. So one large block is freed, of which no page was ever touched. Where the user has set these sizes nothing is learnt.
fn keep_memory() {
    /// Below the most that is learnt from, 32 MiB with what the library adds.
    const BLOCK_BYTES: usize = 31 << 20;
    static FREED: Once = Once::new();
    FREED.call_once(|| {
        let mut block = Vec::<u8>::new();
        // Where there is not as much, there is nothing to keep.
        let _ = block.try_reserve_exact(BLOCK_BYTES);
        drop(black_box(block));
    });
}

/// The environment variable by which a program that runs another one (h5repack) takes over its chunks: it holds that
/// program's process number.
///
/// In a child of that process the filter writes [`LEFT_OUT`] for every chunk and reads zeros. The program then puts the
/// chunks there itself (`H5Dwrite_chunk`), on as many threads as it likes. The number makes sure that the variable means
/// nothing to anyone else who comes across it.
pub const VALUES_FOLLOW: &str = "BALER_HDF5_VALUES_FOLLOW";
/// What stands for a chunk that is still to come. Whoever decodes it gets an error.
pub const LEFT_OUT: [u8; 8] = *b"LEFT OUT";

/// Whether the process that started this one puts the chunks into the file afterwards.
fn values_follow() -> bool {
    static PARENT: OnceLock<Option<u32>> = OnceLock::new();
    let parent = PARENT.get_or_init(|| std::env::var(VALUES_FOLLOW).ok()?.parse().ok());
    parent.is_some_and(|id| id == std::os::unix::process::parent_id())
}

/// Zeros for the values of a chunk, where nobody will look at them.
fn left_out_values(words: &[u32]) -> Option<Vec<u8>> {
    if !values_follow() {
        return None;
    }
    Some(vec![0; Request::from_words(words).ok()?.array?.len_bytes().ok()?])
}

/// A chunk as the filter writes it, for programs that store chunks themselves (`H5Dwrite_chunk`): the same bytes.
///
/// `words` are the dataset's `cd_values` as HDF5 stored them. Unlike the filter, this does not fall back on a lossless
/// chunk: nothing is lost by an error here.
///
/// # Errors
/// Those of [`baler_codec::encode`], or of words that say nothing of type and shape.
pub fn encode_chunk(words: &[u32], values: &[u8]) -> Result<Vec<u8>> {
    let request = Request::from_words(words)?;
    let params = chunk_params(&request, values)?;
    encode(&params, values, &bundles::encoding_registry(&|id| bundles::find(None, id), &request)?)
}

/// Writes the chunks of one dataset as the filter does, for any number of threads at once.
pub struct ChunkEncoder {
    request: Request,
    /// An error where the models that were asked for are not to be had.
    registry: Result<Registry>,
}

impl ChunkEncoder {
    /// `words` are the dataset's `cd_values` as HDF5 stored them; `find` gives the bundle with an id, in full.
    ///
    /// # Errors
    /// Words that are not of this filter.
    pub fn new(words: &[u32], find: &dyn Fn(&BundleId) -> Result<Arc<Bundle>>) -> Result<Self> {
        let request = Request::from_words(words)?;
        let registry = bundles::encoding_registry(find, &request);
        Ok(Self { request, registry })
    }

    /// The chunk for these values: as asked, or if that cannot be done, which is told of, without a model.
    ///
    /// What can go wrong was looked at when the dataset was created. By now a program's data are at stake, and HDF5 2.0
    /// crashes when a filter fails while a file is closed: if nothing else will do the chunk is kept without loss, which
    /// is within every bound.
    ///
    /// # Errors
    /// Values that are not those of a chunk.
    pub fn encode(&self, values: &[u8]) -> Result<Vec<u8>> {
        let mut params = chunk_params(&self.request, values)?;
        let failed = match &self.registry {
            Ok(registry) => match encode(&params, values, registry) {
                Ok(stream) => return Ok(stream),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        let message = format!("a chunk is not written as asked, but without a model and within the bound: {failed}");
        bundles::warnings().tell(&failed, &message);
        params.model = ModelChoice::None;
        params.check_decode = false;
        if params.bound == Bound::Latent {
            params.bound = Bound::Lossless;
        }
        encode(&params, values, &Registry::new()).or_else(|_| {
            params.bound = Bound::Lossless;
            encode(&params, values, &Registry::new())
        })
    }
}

/// What the codec is asked for a chunk with these values.
fn chunk_params(request: &Request, values: &[u8]) -> Result<Params> {
    let mut params = params(request)?;
    let expected = params.n_values()? * params.dtype.size_bytes();
    if values.len() != expected {
        return Err(Error::invalid(format!(
            "expected {expected} bytes for {:?} {}: another filter has changed them",
            params.shape, params.dtype
        )));
    }
    if params.fill.is_none() && params.bound != Bound::Lossless {
        params.padding = padding(&params.shape, params.dtype.size_bytes(), values);
    }
    Ok(params)
}

/// How many of the last entries along each axis are all zero bytes.
///
/// A chunk that sticks out of its dataset is padded with the fill value, zero unless a user has set one (then it is
/// declared in any case), and a filter is not told which chunks these are. Padding must not count in the range that a
/// bound is relative to; and when the dataset grows into it, it must be the fill value exactly. Where real data ends in
/// zeros, taking them for padding only means that they come back exactly.
fn padding(shape: &[usize], size_bytes: usize, values: &[u8]) -> Vec<usize> {
    let Some((&row, outer)) = shape.split_last() else { return Vec::new() };
    if values.is_empty() {
        return vec![0; shape.len()];
    }
    // Entries along each axis up to the last that is not all zeros: something is left, or this is no padding.
    let mut used = vec![1; shape.len()];
    let rows = values.chunks_exact(row * size_bytes).enumerate();
    for (r, bytes) in rows.rev() {
        if used == shape {
            break;
        }
        // Whole rows without a test for each byte: most have something, or nothing at all.
        if bytes.iter().fold(0, |all, &byte| all | byte) == 0 {
            continue;
        }
        let last = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0) / size_bytes;
        let mut rest = r;
        for (used, &extent) in used.iter_mut().zip(outer).rev() {
            *used = (*used).max(rest % extent + 1);
            rest /= extent;
        }
        used[outer.len()] = used[outer.len()].max(last + 1);
    }
    shape.iter().zip(used).map(|(extent, used)| extent - used).collect()
}

/// The values of a chunk, with models of `registry`; for programs too that read chunks past the filter (`H5Dread_chunk`).
///
/// Only the header in the chunk says how: `words`, the dataset's `cd_values`, are what was asked for when it was written,
/// and tools rewrite them. But they do say how many bytes HDF5 will read from the result, whatever the chunk holds.
///
/// # Errors
/// Those of [`baler_codec::decode`], or of a chunk that is not what `words` say.
pub fn decode_chunk(words: &[u32], stream: &[u8], registry: &Registry) -> Result<Vec<u8>> {
    let mut limits = Limits::default();
    let array = Request::from_words(words)?.array;
    if let Some(array) = &array {
        limits.max_output_bytes = array.len_bytes()?;
    }
    let decoded = decode(stream, registry, &limits)?;
    if let Some(array) = array
        && (decoded.dtype != array.dtype
            || (decoded.byte_order != array.byte_order && array.dtype.size_bytes() > 1)
            || decoded.values.len() != array.len_bytes()?)
    {
        return Err(Error::corrupt(format!(
            "the chunk holds {:?} {} ({:?}-endian), the dataset expects {:?} {} ({:?}-endian): it belongs elsewhere",
            decoded.shape, decoded.dtype, decoded.byte_order, array.shape, array.dtype, array.byte_order
        )));
    }
    Ok(decoded.values)
}

/// Puts `output` into HDF5's buffer, a larger one if need be.
///
/// # Safety
/// `*buf` must be memory of the calling library with `allocated` bytes.
unsafe fn hand_over(
    api: Option<&'static Api>,
    output: &[u8],
    allocated: usize,
    buf_size: *mut size_t,
    buf: *mut *mut c_void,
) -> Result<usize> {
    if output.len() > allocated {
        // The library's own allocator, since the library will free it. Where that cannot be reached it is malloc:
        // HDF5 uses that itself unless it was built to check its memory.
        let larger = match api {
            // SAFETY: plain allocation, not cleared.
            Some(api) => unsafe { (api.H5allocate_memory)(output.len(), 0) },
            // SAFETY: plain allocation.
            None => unsafe { libc::malloc(output.len()) },
        };
        if larger.is_null() {
            return Err(Error::new(
                baler_codec::ErrorKind::LimitExceeded,
                format!("no memory for {} bytes", output.len()),
            ));
        }
        // SAFETY: the old buffer is the library's, from the same allocator, and nobody uses it any more.
        unsafe {
            match api {
                Some(api) => {
                    (api.H5free_memory)(*buf);
                }
                None => libc::free(*buf),
            }
            *buf = larger;
            *buf_size = output.len();
        }
    }
    // SAFETY: *buf now holds at least output.len() bytes, and output is memory of ours.
    unsafe { std::ptr::copy_nonoverlapping(output.as_ptr(), (*buf).cast::<u8>(), output.len()) };
    Ok(output.len())
}

#[cfg(test)]
mod tests {
    use super::padding;

    #[test]
    fn padding_is_found_along_every_axis() {
        let (shape, size_bytes) = ([3, 4, 5], 2);
        let full = vec![1u8; 3 * 4 * 5 * size_bytes];
        assert_eq!(padding(&shape, size_bytes, &full), [0, 0, 0]);
        for axis in 0..3 {
            for n in 1..=2 {
                let mut padded = full.clone();
                for (i, value) in padded.chunks_exact_mut(size_bytes).enumerate() {
                    let index = [i / 20, i / 5 % 4, i % 5];
                    if index[axis] >= shape[axis] - n {
                        value.fill(0);
                    }
                }
                let mut expected = [0; 3];
                expected[axis] = n;
                assert_eq!(padding(&shape, size_bytes, &padded), expected);
                // One value left: no padding.
                *padded.last_mut().unwrap() = 1;
                assert_eq!(padding(&shape, size_bytes, &padded), [0, 0, 0], "axis {axis}");
            }
        }
        assert_eq!(padding(&[1, 1], 1, &[0]), [0, 0]);
        assert_eq!(padding(&[2], 1, &[5, 0]), [1]);
        assert_eq!(padding(&[3, 2], 1, &[0; 6]), [2, 1]);
        assert_eq!(padding(&[5, 0], 4, &[]), [0, 0]);
        assert_eq!(padding(&[], 1, &[0]), [0usize; 0]);
    }
}
