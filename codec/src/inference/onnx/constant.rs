//! Constant tensors of a graph: initialisers, `Constant` nodes, and what can be computed from them at load.

use super::proto::Tensor;
use crate::error::{Error, Result};
use half::f16;
use std::rc::Rc;

/// Element types by their ONNX number.
pub mod element {
    /// 32 bits.
    pub const FLOAT: i64 = 1;
    /// Integers of 8 bits, from 0.
    pub const UINT8: i64 = 2;
    /// Integers of 8 bits, either sign.
    pub const INT8: i64 = 3;
    /// Integers of 16 bits, from 0.
    pub const UINT16: i64 = 4;
    /// Integers of 16 bits, either sign.
    pub const INT16: i64 = 5;
    /// Integers of 32 bits, either sign.
    pub const INT32: i64 = 6;
    /// Integers of 64 bits, either sign.
    pub const INT64: i64 = 7;
    /// One byte.
    pub const BOOL: i64 = 9;
    /// 16 bits, binary16.
    pub const FLOAT16: i64 = 10;
    /// 64 bits.
    pub const DOUBLE: i64 = 11;
    /// Integers of 32 bits, from 0.
    pub const UINT32: i64 = 12;
    /// Integers of 64 bits, from 0.
    pub const UINT64: i64 = 13;

    /// What ONNX calls the type.
    pub fn name(element: i64) -> String {
        let name = match element {
            FLOAT => "float",
            UINT8 => "uint8",
            INT8 => "int8",
            UINT16 => "uint16",
            INT16 => "int16",
            INT32 => "int32",
            INT64 => "int64",
            8 => "string",
            BOOL => "bool",
            FLOAT16 => "float16",
            DOUBLE => "double",
            UINT32 => "uint32",
            UINT64 => "uint64",
            16 => "bfloat16",
            other => return format!("element type {other}"),
        };
        name.to_owned()
    }
}

/// Values, in the widest type of their kind. `float16` becomes `f32` exactly.
#[derive(Clone, Debug)]
pub enum Data {
    /// `float`, `float16`.
    Floats(Vec<f32>),
    /// `double`.
    Doubles(Vec<f64>),
    /// Integers and `bool`.
    Ints(Vec<i64>),
}

/// A constant tensor.
#[derive(Clone, Debug)]
pub struct Constant {
    /// Extents.
    pub dims: Vec<usize>,
    /// Element type by its ONNX number.
    pub element: i64,
    /// Elements in C order.
    pub data: Rc<Data>,
}

impl Constant {
    /// Reads a tensor; an error does not name it.
    pub fn read(tensor: Tensor<'_>) -> Result<Self> {
        if tensor.external {
            return Err(Error::unsupported(
                "its data are in another file (external data): save the model as one file, with its weights inside",
            ));
        }
        let dims = dims(&tensor.dims)?;
        let len = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(|| Error::model("too large"))?;
        let element = tensor.data_type;
        let data = match tensor.raw {
            Some(raw) => from_raw(raw, element)?,
            None => match element {
                element::FLOAT => Data::Floats(tensor.floats),
                element::DOUBLE => Data::Doubles(tensor.doubles),
                element::FLOAT16 => {
                    Data::Floats(tensor.ints.iter().map(|&bits| f16::from_bits(bits as u16).to_f32()).collect())
                }
                element::UINT8
                | element::INT8
                | element::UINT16
                | element::INT16
                | element::INT32
                | element::INT64
                | element::BOOL
                | element::UINT32
                | element::UINT64 => Data::Ints(tensor.ints),
                other => return Err(unsupported_element(other)),
            },
        };
        let found = match &data {
            Data::Floats(v) => v.len(),
            Data::Doubles(v) => v.len(),
            Data::Ints(v) => v.len(),
        };
        if found != len {
            return Err(Error::model(format!("has {found} values: its shape {dims:?} has {len}")));
        }
        Ok(Self { dims, element, data: Rc::new(data) })
    }

    /// A constant of 32-bit floats.
    pub fn floats(dims: Vec<usize>, values: Vec<f32>) -> Self {
        Self { dims, element: element::FLOAT, data: Rc::new(Data::Floats(values)) }
    }

    /// A constant of 64-bit integers.
    pub fn ints(dims: Vec<usize>, values: Vec<i64>) -> Self {
        Self { dims, element: element::INT64, data: Rc::new(Data::Ints(values)) }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match &*self.data {
            Data::Floats(v) => v.len(),
            Data::Doubles(v) => v.len(),
            Data::Ints(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its values, where they are 32-bit floats.
    pub fn as_floats(&self) -> Result<&[f32]> {
        match &*self.data {
            Data::Floats(values) if self.element == element::FLOAT => Ok(values),
            _ => Err(Error::unsupported(format!(
                "a constant is {}: expected float; convert it by Cast or DequantizeLinear",
                element::name(self.element)
            ))),
        }
    }

    /// Its values, where they are integers.
    pub fn as_ints(&self) -> Result<&[i64]> {
        match &*self.data {
            Data::Ints(values) => Ok(values),
            _ => Err(Error::model(format!("a constant is {}: expected integers", element::name(self.element)))),
        }
    }

    /// The same values in another shape of as many.
    pub fn reshaped(&self, dims: Vec<usize>) -> Self {
        Self { dims, ..self.clone() }
    }

    /// The values at these places, in a new shape.
    pub fn gathered(&self, dims: Vec<usize>, map: &[u32]) -> Self {
        let data = match &*self.data {
            Data::Floats(v) => Data::Floats(map.iter().map(|&i| v[i as usize]).collect()),
            Data::Doubles(v) => Data::Doubles(map.iter().map(|&i| v[i as usize]).collect()),
            Data::Ints(v) => Data::Ints(map.iter().map(|&i| v[i as usize]).collect()),
        };
        Self { dims, element: self.element, data: Rc::new(data) }
    }

    /// The values converted to `to`; each conversion rounds to nearest once.
    pub fn cast(&self, to: i64) -> Result<Self> {
        let data = match (&*self.data, to) {
            (Data::Floats(v), element::FLOAT) => Data::Floats(v.clone()),
            (Data::Floats(v), element::DOUBLE) => Data::Doubles(v.iter().map(|&x| f64::from(x)).collect()),
            (Data::Floats(v), element::FLOAT16) => Data::Floats(v.iter().map(|&x| f16::from_f32(x).to_f32()).collect()),
            (Data::Doubles(v), element::FLOAT) => Data::Floats(v.iter().map(|&x| x as f32).collect()),
            (Data::Doubles(v), element::DOUBLE) => Data::Doubles(v.clone()),
            (Data::Ints(v), element::FLOAT) => Data::Floats(v.iter().map(|&x| x as f32).collect()),
            (Data::Ints(v), element::DOUBLE) => Data::Doubles(v.iter().map(|&x| x as f64).collect()),
            (Data::Ints(v), element::INT64) => Data::Ints(v.clone()),
            _ => {
                return Err(Error::unsupported(format!(
                    "conversion of a constant from {} to {}",
                    element::name(self.element),
                    element::name(to)
                )));
            }
        };
        Ok(Self { dims: self.dims.clone(), element: to, data: Rc::new(data) })
    }
}

fn unsupported_element(element: i64) -> Error {
    Error::unsupported(format!(
        "has elements of type {}; supported: float, double, float16, bool and integers of 8 to 64 bits",
        element::name(element)
    ))
}

/// Extents of a constant: none negative.
pub fn dims(dims: &[i64]) -> Result<Vec<usize>> {
    dims.iter()
        .map(|&d| usize::try_from(d))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::model(format!("the shape {dims:?} has a negative extent")))
}

fn from_raw(raw: &[u8], element: i64) -> Result<Data> {
    fn each<const N: usize, T>(raw: &[u8], f: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
        let (elements, rest) = raw.as_chunks::<N>();
        if !rest.is_empty() {
            return Err(Error::model(format!("has {} bytes: expected a multiple of {N}", raw.len())));
        }
        Ok(elements.iter().map(|bytes| f(*bytes)).collect())
    }
    Ok(match element {
        element::FLOAT => Data::Floats(each(raw, f32::from_le_bytes)?),
        element::DOUBLE => Data::Doubles(each(raw, f64::from_le_bytes)?),
        element::FLOAT16 => Data::Floats(each(raw, |b| f16::from_le_bytes(b).to_f32())?),
        element::UINT8 | element::BOOL => Data::Ints(each(raw, |[b]| i64::from(b))?),
        element::INT8 => Data::Ints(each(raw, |[b]| i64::from(b as i8))?),
        element::UINT16 => Data::Ints(each(raw, |b| i64::from(u16::from_le_bytes(b)))?),
        element::INT16 => Data::Ints(each(raw, |b| i64::from(i16::from_le_bytes(b)))?),
        element::INT32 => Data::Ints(each(raw, |b| i64::from(i32::from_le_bytes(b)))?),
        element::UINT32 => Data::Ints(each(raw, |b| i64::from(u32::from_le_bytes(b)))?),
        element::INT64 | element::UINT64 => Data::Ints(each(raw, i64::from_le_bytes)?),
        other => return Err(unsupported_element(other)),
    })
}
