//! Arrays of Python: whatever has the buffer protocol goes in, numpy arrays come out.

use crate::error::{invalid, raise};
use baler_codec::{ByteOrder, Dtype, Error};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// For the end of each refusal.
const SUPPORTED: &str = "supported are float16, float32, float64 and integers of 8, 16, 32 and 64 bits, signed or \
                         unsigned, in either byte order";

/// An array whose memory Python holds, in C order.
pub(crate) struct Array {
    buffer: PyUntypedBuffer,
    pub dtype: Dtype,
    pub byte_order: ByteOrder,
    pub shape: Vec<usize>,
}

impl Array {
    /// The array behind `object`, without a copy if it is in C order, else of one copy.
    pub fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        if object.getattr_opt("ndim")?.is_some_and(|rank| rank.extract().is_ok_and(|rank: usize| rank == 0)) {
            // pyo3 takes no buffer without axes; with one it is the same memory.
            let one = py.import("numpy")?.call_method1("reshape", (object, (1,)))?;
            return Ok(Self { shape: Vec::new(), ..Self::new(&one)? });
        }
        let buffer = PyUntypedBuffer::get(object).map_err(|reason| {
            invalid(py, format!("{} has no buffer of numbers ({reason}): {SUPPORTED}", type_name(object)))
        })?;
        if !buffer.is_c_contiguous() {
            drop(buffer);
            return Self::new(&py.import("numpy")?.call_method1("ascontiguousarray", (object,))?);
        }
        let format = buffer.format().to_string_lossy();
        let Some((dtype, byte_order)) = dtype_of(&format, buffer.item_size()) else {
            let (name, size_bytes) = (type_name(object), buffer.item_size());
            let what = format!("{name} holds elements of format {format:?}, {size_bytes} bytes each: {SUPPORTED}");
            return Err(raise(py, &Error::unsupported(what)));
        };
        let shape = buffer.shape().to_vec();
        Ok(Self { buffer, dtype, byte_order, shape })
    }

    /// The values. Python code must not change them meanwhile; no call of the module does.
    pub fn bytes(&self) -> &[u8] {
        bytes_of(&self.buffer)
    }
}

/// Any contiguous buffer, as bytes.
pub(crate) struct Bytes(PyUntypedBuffer);

impl Bytes {
    /// The bytes behind `object`; `what` names it in errors.
    pub fn new(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Self> {
        let py = object.py();
        let buffer = PyUntypedBuffer::get(object);
        let buffer = buffer.map_err(|_| invalid(py, format!("{what} is a {}: expected bytes", type_name(object))))?;
        if !buffer.is_c_contiguous() {
            return Err(invalid(py, format!("{what} is not contiguous in memory: pass bytes(...) of it")));
        }
        Ok(Self(buffer))
    }

    /// The bytes. As with [`Array::bytes`], nobody may change them meanwhile.
    pub fn bytes(&self) -> &[u8] {
        bytes_of(&self.0)
    }
}

fn bytes_of(buffer: &PyUntypedBuffer) -> &[u8] {
    if buffer.len_bytes() == 0 {
        return &[];
    }
    // SAFETY: the exporter keeps a contiguous buffer of this length alive and in place until the buffer is released,
    // which takes the borrowed value. That no other thread writes to it is asked of the caller in the documentation.
    unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes()) }
}

/// The element type of a format of the `struct` module.
///
/// The size is the buffer's: that of `l` depends on the platform and on the prefix.
fn dtype_of(format: &str, size_bytes: usize) -> Option<(Dtype, ByteOrder)> {
    let native = if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };
    let (byte_order, letter) = match format.as_bytes() {
        [letter] | [b'@' | b'=', letter] => (native, letter),
        [b'<', letter] => (ByteOrder::Little, letter),
        [b'>' | b'!', letter] => (ByteOrder::Big, letter),
        _ => return None,
    };
    let dtype = match (letter, size_bytes) {
        (b'e', 2) => Dtype::F16,
        (b'f', 4) => Dtype::F32,
        (b'd', 8) => Dtype::F64,
        (b'b', 1) => Dtype::I8,
        (b'B', 1) => Dtype::U8,
        (b'h', 2) => Dtype::I16,
        (b'H', 2) => Dtype::U16,
        (b'i' | b'l' | b'q' | b'n', 4) => Dtype::I32,
        (b'I' | b'L' | b'Q' | b'N', 4) => Dtype::U32,
        (b'i' | b'l' | b'q' | b'n', 8) => Dtype::I64,
        (b'I' | b'L' | b'Q' | b'N', 8) => Dtype::U64,
        _ => return None,
    };
    Some((dtype, if size_bytes == 1 { ByteOrder::Little } else { byte_order }))
}

/// numpy's name with its byte order: `<f4`.
pub(crate) fn typestr(dtype: Dtype, byte_order: ByteOrder) -> String {
    let order = match (dtype.size_bytes(), byte_order) {
        (1, _) => '|',
        (_, ByteOrder::Little) => '<',
        (_, ByteOrder::Big) => '>',
    };
    let kind = match dtype {
        Dtype::F16 | Dtype::F32 | Dtype::F64 => 'f',
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => 'i',
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => 'u',
    };
    format!("{order}{kind}{}", dtype.size_bytes())
}

/// The decoded values as a new numpy array, or copied to `out`, which is then returned.
pub(crate) fn give<'py>(
    py: Python<'py>,
    (dtype, byte_order, shape): (Dtype, ByteOrder, &[usize]),
    values: &[u8],
    out: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (object, array) = if let Some(object) = out {
        let buffer = PyUntypedBuffer::get(&object);
        if buffer.is_ok_and(|buffer| !buffer.is_c_contiguous()) {
            return Err(invalid(py, "out is not in C order: the values can be written to no copy of it"));
        }
        let array = Array::new(&object)?;
        if array.buffer.readonly() {
            return Err(invalid(py, "out is read-only: expected an array that can be written to"));
        }
        if (array.dtype, array.byte_order, array.shape.as_slice()) != (dtype, byte_order, shape) {
            let (expected, found) = (typestr(dtype, byte_order), typestr(array.dtype, array.byte_order));
            let found = format!("{found} of shape {:?}", array.shape);
            return Err(invalid(py, format!("out is {found}: the chunk holds {expected} of shape {shape:?}")));
        }
        (object, array)
    } else {
        let shape = PyTuple::new(py, shape)?;
        let object = py.import("numpy")?.call_method1("empty", (shape, typestr(dtype, byte_order)))?;
        let array = Array::new(&object)?;
        (object, array)
    };
    assert_eq!(array.buffer.len_bytes(), values.len(), "type and shape agree");
    if !values.is_empty() {
        // SAFETY: the buffer is writable, contiguous and as long as `values`, which is memory of ours; Python's lock
        // is held. `array` is no copy of `object`, which is in C order.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), array.buffer.buf_ptr().cast::<u8>(), values.len()) };
    }
    Ok(object)
}

/// The class of an object, for messages.
fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "the object".into(), |name| name.to_string())
}
