//! The HDF5 filter, in this process: its class, and single chunks as it writes and reads them.

use crate::array::{Bytes, give};
use crate::codec::Codec;
use crate::error::{detached, raise};
use crate::options::Options;
use baler_codec::{ByteOrder, Dtype, Error};
use baler_hdf5::cd_values::Request;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// The address of the filter's `H5Z_class2_t`, for `H5Zregister`. It is a constant of this module, which Python never
/// unloads.
#[pyfunction]
pub(crate) fn filter_class() -> usize {
    std::ptr::from_ref(baler_hdf5::class()).addr()
}

/// The words a program passes to HDF5.
#[pyfunction]
pub(crate) fn request_words<'py>(py: Python<'py>, options: Options<'py>) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, words_of(py, &options.request(py)?)?)
}

/// The words of chunks of this type (`<f4`) and shape, as HDF5 would store them; decoders go into the chunks.
#[pyfunction]
pub(crate) fn array_words<'py>(
    py: Python<'py>,
    options: Options<'py>,
    dtype: &str,
    shape: Vec<usize>,
) -> PyResult<Bound<'py, PyTuple>> {
    let all = Dtype::ALL.into_iter().flat_map(|dtype| [(dtype, ByteOrder::Little), (dtype, ByteOrder::Big)]);
    let Some((dtype, byte_order)) = all.into_iter().find(|&(d, order)| crate::array::typestr(d, order) == dtype) else {
        return Err(raise(
            py,
            &Error::unsupported(format!("elements of type {dtype}: expected one like <f4, >i2 or |u1")),
        ));
    };
    PyTuple::new(py, words_of(py, &options.request_for(py, (dtype, byte_order, &shape))?)?)
}

fn words_of(py: Python<'_>, request: &Request) -> PyResult<Vec<u32>> {
    request.to_words().map_err(|e| raise(py, &e))
}

/// A chunk as the filter writes it for these words, given the bytes of its values; `None` if it would be no smaller and
/// `optional` is set: such a chunk is stored as it is.
#[pyfunction]
pub(crate) fn encode_chunk<'py>(
    py: Python<'py>,
    words: Vec<u32>,
    values: &Bound<'py, PyAny>,
    optional: bool,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let values = Bytes::new(values, "the chunk's values")?;
    let bytes = values.bytes();
    let chunk = detached(py, || baler_hdf5::encode_chunk(&words, bytes))?;
    Ok((!optional || chunk.len() < bytes.len()).then(|| PyBytes::new(py, &chunk)))
}

/// The values of a chunk as a numpy array of the type and shape that the words say.
#[pyfunction]
pub(crate) fn decode_chunk<'py>(
    py: Python<'py>,
    words: Vec<u32>,
    chunk: &Bound<'py, PyAny>,
    codec: &Codec,
) -> PyResult<Bound<'py, PyAny>> {
    let chunk = Bytes::new(chunk, "the chunk")?;
    let request = Request::from_words(&words).map_err(|e| raise(py, &e))?;
    let Some(array) = request.array else {
        return Err(raise(py, &Error::invalid("the words say nothing of type and shape: HDF5 did not complete them")));
    };
    let (stream, registry) = (chunk.bytes(), codec.registry());
    let values = detached(py, || baler_hdf5::decode_chunk(&words, stream, registry))?;
    give(py, (array.dtype, array.byte_order, &array.shape), &values, None)
}
