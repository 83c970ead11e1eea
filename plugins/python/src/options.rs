//! The keywords of `compress` and of the filter.

use crate::array::{Array, typestr};
use crate::error::{invalid, raise};
use baler_codec::bundle::MemorySource;
use baler_codec::{Bound as Promise, BundleId, ByteOrder, Dtype, Effort, ModelChoice, Params, Registry};
use pyo3::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// The value of a bound: one, or one for each column of the last axis.
#[derive(FromPyObject)]
enum Value {
    One(f64),
    Each(Vec<f64>),
}

/// What `compress` and the filter are asked for; `python/baler/options.py` documents each.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Options<'py> {
    abs: Option<Value>,
    rel: Option<Value>,
    pw_rel: Option<Value>,
    psnr: Option<Value>,
    lossless: bool,
    latent: bool,
    per_column: bool,
    model: Option<String>,
    effort: String,
    fill: Option<Bound<'py, PyAny>>,
    embed: bool,
    check: bool,
}

impl Options<'_> {
    /// The one bound that is named, and its values for the columns where there are several.
    fn bound(&self, py: Python<'_>) -> PyResult<(Promise, &[f64])> {
        type WithValue = fn(f64) -> Promise;
        let with_value: [(&Option<Value>, WithValue); 4] = [
            (&self.abs, Promise::Abs),
            (&self.rel, Promise::Rel),
            (&self.pw_rel, Promise::PwRel),
            (&self.psnr, Promise::Psnr),
        ];
        let mut named: Vec<(Promise, &[f64])> = Vec::new();
        for (value, bound) in with_value {
            match value {
                Some(Value::One(value)) => named.push((bound(*value), &[])),
                Some(Value::Each(values)) => named.push((bound(0.0), values)),
                None => {}
            }
        }
        named.extend(self.lossless.then_some((Promise::Lossless, [].as_slice())));
        named.extend(self.latent.then_some((Promise::Latent, [].as_slice())));
        match named[..] {
            [one] => Ok(one),
            [] => Err(invalid(py, "no bound: name one of abs, rel, pw_rel, psnr, lossless=True, latent=True")),
            _ => {
                let names: Vec<&str> = named.iter().map(|(bound, _)| bound.name()).collect();
                Err(invalid(py, format!("several bounds, {}: name one", names.join(" and "))))
            }
        }
    }

    fn effort(&self, py: Python<'_>) -> PyResult<Effort> {
        match self.effort.as_str() {
            "fast" => Ok(Effort::Fast),
            "default" => Ok(Effort::Default),
            "max" => Ok(Effort::Max),
            other => Err(invalid(py, format!("effort {other:?}: expected \"fast\", \"default\" or \"max\""))),
        }
    }

    /// The models that take part, and the registry that has them.
    fn model(&self, py: Python<'_>, registry: &Registry) -> PyResult<(ModelChoice, Registry)> {
        let mut registry = registry.clone();
        let choice = match self.model.as_deref() {
            Some("auto") => ModelChoice::Auto,
            None | Some("none") => ModelChoice::None,
            Some(path) if path.ends_with(".bundle") || path.contains(std::path::MAIN_SEPARATOR) => {
                let bundle = baler_models::zoo::read_bundle(Path::new(path)).map_err(|e| raise(py, &e))?;
                let id = bundle.id();
                registry.add_source(Arc::new(MemorySource::new(vec![Arc::new(bundle)])));
                ModelChoice::Bundle(id)
            }
            Some(text) => ModelChoice::Bundle(py.detach(|| registry.named(text)).map_err(|e| raise(py, &e))?.id()),
        };
        Ok((choice, registry))
    }

    /// The fill value as the bytes of one element.
    fn fill(&self, py: Python<'_>, dtype: Dtype, byte_order: ByteOrder) -> PyResult<Option<Vec<u8>>> {
        let Some(fill) = &self.fill else { return Ok(None) };
        let name = typestr(dtype, byte_order);
        let wrong = |e: PyErr| invalid(py, format!("fill {fill} is no value of {name}: {e}"));
        let value = py.import("numpy")?.call_method1("array", (fill, &name)).map_err(wrong)?;
        if !dtype.is_float() && !value.eq(fill)? {
            return Err(invalid(py, format!("fill {fill} is no value of {name}: it would become {value}")));
        }
        let value = Array::new(&value)?;
        if !value.shape.is_empty() {
            return Err(invalid(py, format!("fill has shape {:?}: expected one value", value.shape)));
        }
        Ok(Some(value.bytes().to_vec()))
    }

    /// The codec's parameters for an array, and the registry that has the models.
    pub fn params(&self, py: Python<'_>, array: &Array, registry: &Registry) -> PyResult<(Params, Registry)> {
        let (bound, columns) = self.bound(py)?;
        let mut params = Params::new(array.dtype, &array.shape, bound);
        if !columns.is_empty() {
            params.set_column_bounds(bound.to_wire().0, columns).map_err(|e| raise(py, &e))?;
        }
        let (model, registry) = self.model(py, registry)?;
        params.byte_order = array.byte_order;
        params.per_column |= self.per_column;
        params.fill = self.fill(py, array.dtype, array.byte_order)?;
        params.effort = self.effort(py)?;
        params.model = model;
        params.embed = self.embed;
        params.check_decode = self.check;
        Ok((params, registry))
    }

    /// What the HDF5 filter is asked, before it knows the dataset.
    pub fn request(&self, py: Python<'_>) -> PyResult<baler_hdf5::cd_values::Request> {
        let (model, _) = self.model(py, &standard())?;
        let (bound, columns) = self.bound(py)?;
        if !columns.is_empty() {
            return Err(invalid(
                py,
                "the words of the filter hold one value for a bound: one for each column is for compress",
            ));
        }
        bound.validate().map_err(|e| raise(py, &e))?;
        let mut request = baler_hdf5::cd_values::Request::new(bound);
        request.per_column = self.per_column;
        request.effort = self.effort(py)?;
        request.model = model;
        request.embed = self.embed;
        request.check_decode = self.check;
        Ok(request)
    }

    /// The same for chunks of a known type and shape, in a store that has no place for decoders.
    pub fn request_for(
        &self,
        py: Python<'_>,
        (dtype, byte_order, shape): (Dtype, ByteOrder, &[usize]),
    ) -> PyResult<baler_hdf5::cd_values::Request> {
        let mut request = self.request(py)?;
        let extents: Vec<u64> = if shape.is_empty() { vec![1] } else { shape.iter().map(|&n| n as u64).collect() };
        let shape = baler_hdf5::cd_values::merge_leading_axes(&extents).map_err(|e| raise(py, &e))?;
        let fill = self.fill(py, dtype, byte_order)?;
        request.array = Some(baler_hdf5::cd_values::Array { dtype, byte_order, shape, fill });
        if let ModelChoice::Bundle(id) = request.model {
            request.embed |= !is_builtin(&id);
        }
        Ok(request)
    }
}

/// Every place where models are looked for.
pub(crate) fn standard() -> Registry {
    let mut registry = Registry::with_sources(baler_models::standard_sources());
    registry.set_fixed_engine(baler_fpga::offload::host());
    registry
}

/// Whether every reader has this model.
pub(crate) fn is_builtin(id: &BundleId) -> bool {
    baler_models::builtin().find(id).is_ok_and(|found| found.is_some())
}
