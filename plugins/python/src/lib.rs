//! `baler._baler`: what the Python package `baler` calls.
//!
//! | module | what |
//! |---|---|
//! | `arrow` | tables: Arrow streams and Parquet files |
//! | `array` | the buffer protocol in, numpy out |
//! | `options` | keywords as [`baler_codec::Params`], or as the words of the HDF5 filter |
//! | `codec` | the class `Codec`: encode, decode, look into chunks, list models |
//! | `hdf5` | the filter: its class for `H5Zregister`, and single chunks as it writes and reads them |
//! | `error` | errors as exceptions |
//!
//! The package in `python/baler` has the documented interface; this module only does what Python cannot.
//!
//! **Architecture invariant:** values are read and written without Python's lock, and nothing here keeps a reference to
//! an object of the caller.

mod array;
mod arrow;
mod codec;
mod error;
mod hdf5;
mod options;

use pyo3::prelude::*;

#[pymodule]
fn _baler(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("FILTER_ID", baler_hdf5::FILTER_ID)?;
    module.add_class::<codec::Codec>()?;
    module.add_class::<arrow::Document>()?;
    module.add_class::<arrow::Stream>()?;
    for function in [
        wrap_pyfunction!(arrow::plan_stream, module)?,
        wrap_pyfunction!(arrow::plan_files, module)?,
        wrap_pyfunction!(arrow::encode_stream, module)?,
        wrap_pyfunction!(arrow::decode_stream, module)?,
        wrap_pyfunction!(arrow::parquet_info, module)?,
        wrap_pyfunction!(arrow::write_parquet, module)?,
        wrap_pyfunction!(arrow::encode_parquet, module)?,
        wrap_pyfunction!(arrow::decode_parquet, module)?,
        wrap_pyfunction!(hdf5::filter_class, module)?,
        wrap_pyfunction!(hdf5::request_words, module)?,
        wrap_pyfunction!(hdf5::array_words, module)?,
        wrap_pyfunction!(hdf5::encode_chunk, module)?,
        wrap_pyfunction!(hdf5::decode_chunk, module)?,
    ] {
        module.add_function(function)?;
    }
    Ok(())
}
