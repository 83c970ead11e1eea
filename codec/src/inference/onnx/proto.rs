//! A reader of the few protobuf messages an ONNX file is made of.
//!
//! Hostile input is the normal case: every length is checked against the bytes that are there, nothing is allocated
//! on a number alone, and the depth of messages is fixed by the functions below, so nothing recurses. Subgraphs,
//! sparse tensors, functions and external data are not read: a node that needs them fails in the importer by name.

use crate::error::{Error, Result};

/// `ModelProto`, as far as we need it.
#[derive(Debug, Default)]
pub struct Model<'a> {
    /// Version of the file format.
    pub ir_version: i64,
    /// Operator set imports: domain and version.
    pub opsets: Vec<(&'a str, i64)>,
    /// The graph; files without one are no models.
    pub graph: Option<Graph<'a>>,
}

/// `GraphProto`.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    /// In an order in which they can be run.
    pub nodes: Vec<Node<'a>>,
    /// Constants by name.
    pub initialisers: Vec<Tensor<'a>>,
    /// In old files initialisers are among them.
    pub inputs: Vec<ValueInfo<'a>>,
    /// What the graph gives.
    pub outputs: Vec<ValueInfo<'a>>,
}

/// `NodeProto`.
#[derive(Debug, Default)]
pub struct Node<'a> {
    /// Names of values; empty where an optional one is left out.
    pub inputs: Vec<&'a str>,
    /// Names of values.
    pub outputs: Vec<&'a str>,
    /// May be empty.
    pub name: &'a str,
    /// The operator.
    pub op: &'a str,
    /// Whose operator it is; empty for ONNX's own.
    pub domain: &'a str,
    /// Settings.
    pub attributes: Vec<Attribute<'a>>,
}

/// `AttributeProto`. The field that counts follows from the operator, not from `type`, which old writers leave out.
#[derive(Debug, Default)]
pub struct Attribute<'a> {
    /// Its name.
    pub name: &'a str,
    /// A float.
    pub f: Option<f32>,
    /// An integer.
    pub i: Option<i64>,
    /// A string.
    pub s: Option<&'a [u8]>,
    /// A tensor.
    pub t: Option<Tensor<'a>>,
    /// Floats.
    pub floats: Vec<f32>,
    /// Integers.
    pub ints: Vec<i64>,
}

/// `TensorProto`: raw or typed data, in line.
#[derive(Clone, Debug, Default)]
pub struct Tensor<'a> {
    /// Its name.
    pub name: &'a str,
    /// Extents.
    pub dims: Vec<i64>,
    /// Element type by its ONNX number.
    pub data_type: i64,
    /// Elements as bytes, little-endian.
    pub raw: Option<&'a [u8]>,
    /// Elements of type float.
    pub floats: Vec<f32>,
    /// Elements of integer types.
    pub ints: Vec<i64>,
    /// Elements of type double.
    pub doubles: Vec<f64>,
    /// Whether the elements are in another file.
    pub external: bool,
}

/// `ValueInfoProto` with a tensor type.
#[derive(Debug, Default)]
pub struct ValueInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// Element type by its ONNX number.
    pub elem_type: i64,
    /// `None` where the file gives no shape.
    pub shape: Option<Vec<Dim<'a>>>,
}

/// One axis of a [`ValueInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim<'a> {
    /// A fixed extent.
    Value(i64),
    /// A symbolic one, perhaps without a name.
    Param(&'a str),
}

enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

struct Fields<'a> {
    rest: &'a [u8],
}

fn bad(what: &str) -> Error {
    Error::model(format!("not a valid ONNX file: {what}"))
}

fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or_else(|| bad("cut inside a number"))?;
        *rest = tail;
        if shift == 63 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(bad("a number has more than 64 bits"))
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = varint(&mut self.rest)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(self.fixed()?),
            2 => {
                let len = varint(&mut self.rest)?;
                let len = usize::try_from(len).map_err(|_| bad("a length is out of range"))?;
                let (head, tail) = self.rest.split_at_checked(len).ok_or_else(|| bad("cut inside a field"))?;
                self.rest = tail;
                Value::Bytes(head)
            }
            5 => Value::Fixed32(self.fixed()?),
            other => return Err(bad(&format!("wire type {other}"))),
        };
        Ok(Some((key >> 3, value)))
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or_else(|| bad("cut inside a field"))?;
        self.rest = tail;
        Ok(*head)
    }
}

fn for_each_field<'a>(bytes: &'a [u8], mut each: impl FnMut(u64, Value<'a>) -> Result<()>) -> Result<()> {
    let mut fields = Fields { rest: bytes };
    while let Some((number, value)) = fields.next()? {
        each(number, value)?;
    }
    Ok(())
}

impl<'a> Value<'a> {
    fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Value::Bytes(b) => Ok(b),
            _ => Err(bad("a field has the wrong wire type")),
        }
    }

    fn str(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| bad("a name is not UTF-8"))
    }

    fn int(self) -> Result<i64> {
        match self {
            Value::Varint(v) => Ok(v as i64),
            _ => Err(bad("a field has the wrong wire type")),
        }
    }

    /// One `int64`-like element, or many packed ones.
    fn push_ints(self, out: &mut Vec<i64>) -> Result<()> {
        match self {
            Value::Varint(v) => out.push(v as i64),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    out.push(varint(&mut packed)? as i64);
                }
            }
            _ => return Err(bad("a field has the wrong wire type")),
        }
        Ok(())
    }

    fn push_floats(self, out: &mut Vec<f32>) -> Result<()> {
        match self {
            Value::Fixed32(b) => out.push(f32::from_le_bytes(b)),
            Value::Bytes(packed) => {
                let (elements, []) = packed.as_chunks::<4>() else { return Err(bad("cut inside packed floats")) };
                out.extend(elements.iter().map(|b| f32::from_le_bytes(*b)));
            }
            _ => return Err(bad("a field has the wrong wire type")),
        }
        Ok(())
    }

    fn push_doubles(self, out: &mut Vec<f64>) -> Result<()> {
        match self {
            Value::Fixed64(b) => out.push(f64::from_le_bytes(b)),
            Value::Bytes(packed) => {
                let (elements, []) = packed.as_chunks::<8>() else { return Err(bad("cut inside packed doubles")) };
                out.extend(elements.iter().map(|b| f64::from_le_bytes(*b)));
            }
            _ => return Err(bad("a field has the wrong wire type")),
        }
        Ok(())
    }
}

impl<'a> Model<'a> {
    /// Reads a whole ONNX file.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut model = Model::default();
        for_each_field(bytes, |number, value| {
            match number {
                1 => model.ir_version = value.int()?,
                7 => model.graph = Some(Graph::read(value.bytes()?)?),
                8 => {
                    let (mut domain, mut version) = ("", 0);
                    for_each_field(value.bytes()?, |number, value| {
                        match number {
                            1 => domain = value.str()?,
                            2 => version = value.int()?,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    model.opsets.push((domain, version));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(model)
    }
}

impl<'a> Graph<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut graph = Graph::default();
        for_each_field(bytes, |number, value| {
            match number {
                1 => graph.nodes.push(Node::read(value.bytes()?)?),
                5 => graph.initialisers.push(Tensor::read(value.bytes()?)?),
                11 => graph.inputs.push(ValueInfo::read(value.bytes()?)?),
                12 => graph.outputs.push(ValueInfo::read(value.bytes()?)?),
                15 => return Err(Error::unsupported("the graph has sparse initialisers, which are not supported")),
                _ => {}
            }
            Ok(())
        })?;
        Ok(graph)
    }
}

impl<'a> Node<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut node = Node::default();
        for_each_field(bytes, |number, value| {
            match number {
                1 => node.inputs.push(value.str()?),
                2 => node.outputs.push(value.str()?),
                3 => node.name = value.str()?,
                4 => node.op = value.str()?,
                5 => node.attributes.push(Attribute::read(value.bytes()?)?),
                7 => node.domain = value.str()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut attribute = Attribute::default();
        for_each_field(bytes, |number, value| {
            match number {
                1 => attribute.name = value.str()?,
                2 => match value {
                    Value::Fixed32(b) => attribute.f = Some(f32::from_le_bytes(b)),
                    _ => return Err(bad("a field has the wrong wire type")),
                },
                3 => attribute.i = Some(value.int()?),
                4 => attribute.s = Some(value.bytes()?),
                5 => attribute.t = Some(Tensor::read(value.bytes()?)?),
                7 => value.push_floats(&mut attribute.floats)?,
                8 => value.push_ints(&mut attribute.ints)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(attribute)
    }
}

impl<'a> Tensor<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut tensor = Tensor::default();
        for_each_field(bytes, |number, value| {
            match number {
                1 => value.push_ints(&mut tensor.dims)?,
                2 => tensor.data_type = value.int()?,
                4 => value.push_floats(&mut tensor.floats)?,
                5 | 7 | 11 => value.push_ints(&mut tensor.ints)?,
                8 => tensor.name = value.str()?,
                9 => tensor.raw = Some(value.bytes()?),
                10 => value.push_doubles(&mut tensor.doubles)?,
                13 => tensor.external = true,
                14 => tensor.external |= value.int()? != 0,
                _ => {}
            }
            Ok(())
        })?;
        Ok(tensor)
    }
}

impl<'a> ValueInfo<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut info = ValueInfo::default();
        for_each_field(bytes, |number, value| {
            match number {
                1 => info.name = value.str()?,
                2 => for_each_field(value.bytes()?, |number, value| match number {
                    1 => info.read_tensor_type(value.bytes()?),
                    _ => Ok(()),
                })?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(info)
    }

    fn read_tensor_type(&mut self, bytes: &'a [u8]) -> Result<()> {
        for_each_field(bytes, |number, value| {
            match number {
                1 => self.elem_type = value.int()?,
                2 => {
                    let mut dims = Vec::new();
                    for_each_field(value.bytes()?, |number, value| {
                        if number == 1 {
                            let mut dim = Dim::Param("");
                            for_each_field(value.bytes()?, |number, value| {
                                match number {
                                    1 => dim = Dim::Value(value.int()?),
                                    2 => dim = Dim::Param(value.str()?),
                                    _ => {}
                                }
                                Ok(())
                            })?;
                            dims.push(dim);
                        }
                        Ok(())
                    })?;
                    self.shape = Some(dims);
                }
                _ => {}
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        let read = |bytes: &[u8]| varint(&mut &bytes[..]);
        assert_eq!(read(&[0x96, 0x01]).unwrap(), 150);
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).unwrap(), u64::MAX);
        assert!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).is_err());
        assert!(read(&[0x80]).is_err());
    }

    #[test]
    fn lengths_are_checked() {
        // Field 7 (graph), length 100, one byte there.
        assert!(Model::read(&[0x3a, 100, 0]).is_err());
        assert!(Model::read(&[0x3b]).is_err());
        assert!(Model::read(&[]).unwrap().graph.is_none());
    }
}
