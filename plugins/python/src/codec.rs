//! The class `Codec`.

use crate::array::{Array, Bytes, give, typestr};
use crate::error::{detached, raise};
use crate::options::{Options, is_builtin, standard};
use baler_codec::bundle::{Bundle, MemorySource};
use baler_codec::{Limits, Registry, Warnings, decode, describe, encode};
use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Encodes and decodes chunks with the models it knows. Any number of threads may use one at once.
#[pyclass(frozen, module = "baler._baler")]
pub(crate) struct Codec {
    registry: Registry,
    /// What the encoder has told and Python has not heard yet.
    told: Arc<Mutex<Vec<String>>>,
}

impl Codec {
    /// Where its models are.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

#[pymethods]
impl Codec {
    /// The models that are always found, those of these files and folders, and packed ones.
    #[new]
    fn new(py: Python<'_>, paths: Vec<PathBuf>, packed: Vec<Bound<'_, PyBytes>>) -> PyResult<Self> {
        let mut registry = standard();
        let mut bundles = Vec::new();
        for path in paths {
            if path.is_dir() {
                registry.add_source(baler_models::directory(path));
            } else {
                bundles.push(baler_models::zoo::read_bundle(&path).map_err(|e| raise(py, &e))?);
            }
        }
        for bytes in packed {
            bundles.push(Bundle::parse(bytes.as_bytes()).map_err(|e| raise(py, &e))?);
        }
        registry.add_source(Arc::new(MemorySource::new(bundles.into_iter().map(Arc::new).collect())));
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        registry.set_warnings(Arc::new(Warnings::new(move |message| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_owned());
        })));
        Ok(Self { registry, told })
    }

    /// One chunk.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyAny>,
        options: Options<'py>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let array = Array::new(array)?;
        let (params, registry) = options.params(py, &array, &self.registry)?;
        let values = array.bytes();
        let chunk = detached(py, || encode(&params, values, &registry))?;
        for message in std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner)) {
            let message = CString::new(message.replace('\0', "?")).unwrap_or_default();
            PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &message, 2)?;
        }
        Ok(PyBytes::new(py, &chunk))
    }

    /// Its array, in the type and byte order of the one that went in.
    fn decode<'py>(
        &self,
        py: Python<'py>,
        chunk: &Bound<'py, PyAny>,
        out: Option<Bound<'py, PyAny>>,
        max_bytes: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let chunk = Bytes::new(chunk, "the chunk")?;
        let stream = chunk.bytes();
        let mut limits = Limits::default();
        limits.max_output_bytes = max_bytes.unwrap_or(limits.max_output_bytes);
        let decoded = detached(py, || decode(stream, &self.registry, &limits))?;
        give(py, (decoded.dtype, decoded.byte_order, &decoded.shape), &decoded.values, out)
    }

    /// What a chunk says of itself.
    fn info<'py>(&self, py: Python<'py>, chunk: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        let chunk = Bytes::new(chunk, "the chunk")?;
        let stream = chunk.bytes();
        let found = detached(py, || describe(stream))?;
        let (header, info) = (found.header, PyDict::new(py));
        info.set_item("dtype", typestr(header.dtype, header.byte_order))?;
        info.set_item("shape", PyTuple::new(py, &header.shape)?)?;
        info.set_item("n_values", header.n_values())?;
        info.set_item("decoded_bytes", header.len_bytes())?;
        info.set_item("encoded_bytes", found.len_bytes)?;
        let (_, value) = header.bound.to_wire();
        info.set_item("bound", (header.bound.name(), (value != 0.0).then_some(value)))?;
        info.set_item("per_column", header.per_column)?;
        info.set_item("model", header.model.map(|id| id.to_string()))?;
        info.set_item("embedded_bytes", found.embedded_bytes)?;
        let parts = found.parts.iter().map(|part| {
            let entry = PyDict::new(py);
            entry.set_item("candidate", part.candidate)?;
            entry.set_item("bytes", part.len_bytes)?;
            entry.set_item("detail", &part.detail)?;
            Ok(entry)
        });
        info.set_item("parts", PyList::new(py, parts.collect::<PyResult<Vec<_>>>()?)?)?;
        Ok(info)
    }

    /// Every model that is found.
    fn models<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let bundles = py.detach(|| self.registry.list());
        let described = bundles.iter().map(|bundle| {
            let (manifest, entry) = (bundle.manifest(), PyDict::new(py));
            entry.set_item("name", &manifest.name)?;
            entry.set_item("id", bundle.id().to_string())?;
            entry.set_item("family", format!("{:?}", manifest.family).to_lowercase())?;
            entry.set_item("description", &manifest.description)?;
            entry.set_item("license", &manifest.license)?;
            entry.set_item("tile", PyTuple::new(py, &manifest.input.tile)?)?;
            entry.set_item("decoder_bytes", bundle.decoder_bytes())?;
            entry.set_item("builtin", is_builtin(&bundle.id()))?;
            Ok(entry)
        });
        described.collect()
    }

    /// The packed bundle of this name or id: what a `.bundle` file holds.
    fn model_bytes<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
        let bundle = detached(py, || self.registry.named(name))?;
        Ok(PyBytes::new(py, &bundle.to_bytes(baler_codec::bundle::Contents::Full)))
    }
}
