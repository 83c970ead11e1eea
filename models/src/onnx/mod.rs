//! Writes ONNX: the few operators that the models made here are built of, as one chain of layers.
//!
//! ```text
//! input [N, ...] -> layer -> layer -> ... -> output [N, ...]
//! ```
//!
//! The files are plain ONNX: `onnx.checker` accepts them and any runtime runs them. Weights may be stored as 8- or
//! 16-bit integers; a `DequantizeLinear` node then gives them back as floats, `w = scale * integer`.
//!
//! Specification: <https://onnx.ai/onnx/repo-docs/IR.html>, operators in <https://onnx.ai/onnx/operators/>.

mod proto;

use baler_codec::{Error, Result};
use proto::Message;

/// Weights as they are stored. Always in C order of the tensor's shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// `scale * integer`, with one scale, or one for each index of axis `axis`.
    I8 {
        /// The integers.
        values: Vec<i8>,
        /// The scales.
        scales: Vec<f32>,
        /// The axis that the scales belong to.
        axis: usize,
    },
    /// As `I8`, with 16 bits.
    I16 {
        /// The integers.
        values: Vec<i16>,
        /// The scales.
        scales: Vec<f32>,
        /// The axis that the scales belong to.
        axis: usize,
    },
}

impl Weights {
    /// `values` of `shape` in `bits` (8, 16 or 32) with one scale for each index of `axis` (`None`: one in all), each
    /// rounded to the nearest multiple.
    pub fn quantise(values: &[f32], shape: &[usize], axis: Option<usize>, bits: u8) -> Result<Self> {
        let limit = match bits {
            8 => 127.0f32,
            16 => 32767.0,
            32 => return Ok(Weights::F32(values.to_vec())),
            _ => return Err(Error::invalid(format!("weights of {bits} bits: 8, 16 and 32 are known"))),
        };
        let channels = axis.map_or(1, |a| shape[a]);
        let inner: usize = axis.map_or(values.len().max(1), |a| shape[a + 1..].iter().product());
        let channel = |i: usize| (i / inner) % channels;
        let mut largest = vec![0f32; channels];
        for (i, &v) in values.iter().enumerate() {
            if !v.is_finite() {
                return Err(Error::model(format!(
                    "weight {i} is {v}: training has diverged; try a lower learning rate"
                )));
            }
            largest[channel(i)] = largest[channel(i)].max(v.abs());
        }
        let scales: Vec<f32> = largest.iter().map(|&m| if m > 0.0 { m / limit } else { 1.0 }).collect();
        let integers = values.iter().enumerate().map(|(i, &v)| (v / scales[channel(i)]).round().clamp(-limit, limit));
        let axis = axis.unwrap_or(0);
        Ok(match bits {
            8 => Weights::I8 { values: integers.map(|v| v as i8).collect(), scales, axis },
            _ => Weights::I16 { values: integers.map(|v| v as i16).collect(), scales, axis },
        })
    }

    /// The floats these weights stand for, given the tensor's shape.
    pub fn to_f32(&self, shape: &[usize]) -> Vec<f32> {
        let scaled = |scales: &[f32], axis: usize, integer: &dyn Fn(usize) -> f32, n: usize| -> Vec<f32> {
            let inner: usize = if scales.len() == 1 { n.max(1) } else { shape[axis + 1..].iter().product() };
            (0..n).map(|i| integer(i) * scales[(i / inner) % scales.len()]).collect()
        };
        match self {
            Weights::F32(values) => values.clone(),
            Weights::I8 { values, scales, axis } => scaled(scales, *axis, &|i| f32::from(values[i]), values.len()),
            Weights::I16 { values, scales, axis } => scaled(scales, *axis, &|i| f32::from(values[i]), values.len()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Weights::F32(values) => values.len(),
            Weights::I8 { values, .. } => values.len(),
            Weights::I16 { values, .. } => values.len(),
        }
    }
}

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else `slope * x`.
    LeakyRelu(f32),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// Geometry of a convolution of 1 to 3 spatial axes: one number in each list for each axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Extents of the kernel.
    pub kernel: Vec<usize>,
    /// Steps.
    pub stride: Vec<usize>,
    /// Padding before and after each axis.
    pub padding: Vec<usize>,
    /// Only for the transposed convolution: places added after the last.
    pub output_padding: Vec<usize>,
}

impl Conv {
    /// One place to one place: a matrix over channels.
    pub fn pointwise(inputs: usize, outputs: usize, axes: usize) -> Self {
        let (one, zero) = (vec![1; axes], vec![0; axes]);
        Self { inputs, outputs, kernel: one.clone(), stride: one, padding: zero.clone(), output_padding: zero }
    }

    /// Shape of the output (channels first, without the batch), or `None` where `input` does not fit.
    pub fn output_shape(&self, input: &[usize], transposed: bool) -> Option<Vec<usize>> {
        let (&channels, extents) = input.split_first()?;
        if channels != self.inputs || extents.len() != self.kernel.len() {
            return None;
        }
        let mut shape = vec![self.outputs];
        for (axis, &n) in extents.iter().enumerate() {
            let (k, s, p) = (self.kernel[axis], self.stride[axis], self.padding[axis]);
            shape.push(match transposed {
                true => (n.checked_sub(1)? * s + k + self.output_padding[axis]).checked_sub(2 * p)?,
                false => (n + 2 * p).checked_sub(k)? / s + 1,
            });
        }
        Some(shape)
    }
}

/// One layer of a chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// `y = W x + b`: `Gemm`, with `W` of shape `[outputs, inputs]`.
    Dense {
        /// Input length.
        inputs: usize,
        /// Output length.
        outputs: usize,
        /// Shape `[outputs, inputs]`.
        weight: Weights,
        /// Shape `[outputs]`. `None` for no bias.
        bias: Option<Weights>,
    },
    /// `Conv`, weight of shape `[outputs, inputs, kernel...]`.
    Conv {
        /// Geometry.
        conv: Conv,
        /// The kernel.
        weight: Weights,
        /// Shape `[outputs]`. `None` for no bias.
        bias: Option<Weights>,
    },
    /// `ConvTranspose`, weight of shape `[inputs, outputs, kernel...]`.
    ConvTranspose {
        /// Geometry.
        conv: Conv,
        /// The kernel.
        weight: Weights,
        /// Shape `[outputs]`. `None` for no bias.
        bias: Option<Weights>,
    },
    /// An activation function, value by value.
    Activation(Activation),
    /// Generalised divisive normalisation over channels, `x / sqrt(beta + gamma . x^2)`, or times that root:
    /// `Mul`, `Conv`, `Sqrt`, `Div` (or `Mul`).
    Gdn {
        /// Channels, the first axis.
        channels: usize,
        /// Axes after them, 1 to 3.
        axes: usize,
        /// Shape `[channels, channels]`.
        gamma: Weights,
        /// Shape `[channels]`.
        beta: Weights,
        /// Times the root instead of divided by it.
        inverse: bool,
    },
    /// `Reshape` to this shape, without the batch axis.
    Reshape(Vec<usize>),
    /// `Transpose`: axis i of the output is axis `order[i]` of the input; the batch axis is 0 and stays.
    Transpose(Vec<usize>),
}

const FLOAT: i64 = 1;
const INT8: i64 = 3;
const INT16: i64 = 5;
const INT64: i64 = 7;

/// Writes a chain of layers as an ONNX file. Shapes are without the batch axis, which is symbolic (`N`).
///
/// The opset is 13, or 21 where 16-bit weights need it. An error names the first layer whose weights do not have the
/// length that its shape asks for.
pub fn write(name: &str, input_shape: &[usize], output_shape: &[usize], layers: &[Layer]) -> Result<Vec<u8>> {
    let mut graph = Graph { nodes: Vec::new(), initialisers: Vec::new(), opset: 13, value: "input".into() };
    for (index, layer) in layers.iter().enumerate() {
        graph.layer(index, layer, index + 1 == layers.len()).map_err(|e| e.context(format!("layer {index}")))?;
    }
    if layers.is_empty() {
        return Err(Error::invalid("a network needs at least one layer"));
    }

    let mut message = Message::default();
    for node in &graph.nodes {
        message.message(1, node);
    }
    message.string(2, name);
    for initialiser in &graph.initialisers {
        message.message(5, initialiser);
    }
    message.message(11, &value_info("input", input_shape));
    message.message(12, &value_info("output", output_shape));

    let mut opset = Message::default();
    opset.string(1, "").int(2, graph.opset);
    let mut model = Message::default();
    // IR version 7 is that of opset 13 and 10 that of opset 21: the oldest runtimes that know the operators will do.
    model.int(1, if graph.opset > 13 { 10 } else { 7 });
    model.string(2, "baler").string(3, env!("CARGO_PKG_VERSION")).message(7, &message).message(8, &opset);
    Ok(model.into_bytes())
}

fn value_info(name: &str, shape: &[usize]) -> Message {
    let mut dims = Message::default();
    let mut batch = Message::default();
    batch.string(2, "N");
    dims.message(1, &batch);
    for &extent in shape {
        let mut dim = Message::default();
        dim.int(1, extent as i64);
        dims.message(1, &dim);
    }
    let mut tensor = Message::default();
    tensor.int(1, FLOAT).message(2, &dims);
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut info = Message::default();
    info.string(1, name).message(2, &kind);
    info
}

struct Graph {
    nodes: Vec<Message>,
    initialisers: Vec<Message>,
    opset: i64,
    /// Name of the value that the last node gave.
    value: String,
}

impl Graph {
    fn layer(&mut self, index: usize, layer: &Layer, last: bool) -> Result<()> {
        let output = if last { "output".to_string() } else { format!("value_{index}") };
        let mut inputs = vec![self.value.clone()];
        let mut attributes = Vec::new();
        let op = match layer {
            Layer::Dense { inputs: n_in, outputs: n_out, weight, bias } => {
                inputs.push(self.weights(&format!("weight_{index}"), &[*n_out, *n_in], weight)?);
                if let Some(bias) = bias {
                    inputs.push(self.weights(&format!("bias_{index}"), &[*n_out], bias)?);
                }
                attributes.push(attribute_int("transB", 1));
                "Gemm"
            }
            Layer::Conv { conv, weight, bias } | Layer::ConvTranspose { conv, weight, bias } => {
                let transposed = matches!(layer, Layer::ConvTranspose { .. });
                let [first, second] =
                    if transposed { [conv.inputs, conv.outputs] } else { [conv.outputs, conv.inputs] };
                let shape = [&[first, second], &conv.kernel[..]].concat();
                inputs.push(self.weights(&format!("weight_{index}"), &shape, weight)?);
                if let Some(bias) = bias {
                    inputs.push(self.weights(&format!("bias_{index}"), &[conv.outputs], bias)?);
                }
                attributes.push(attribute_ints("kernel_shape", &conv.kernel));
                attributes.push(attribute_ints("strides", &conv.stride));
                attributes.push(attribute_ints("pads", &conv.padding.repeat(2)));
                if transposed {
                    attributes.push(attribute_ints("output_padding", &conv.output_padding));
                }
                if transposed { "ConvTranspose" } else { "Conv" }
            }
            Layer::Activation(activation) => match activation {
                Activation::Relu => "Relu",
                Activation::LeakyRelu(slope) => {
                    attributes.push(attribute_float("alpha", *slope));
                    "LeakyRelu"
                }
                Activation::Tanh => "Tanh",
                Activation::Sigmoid => "Sigmoid",
            },
            Layer::Gdn { channels, axes, gamma, beta, inverse } => {
                let shape = [&[*channels; 2][..], &vec![1; *axes]].concat();
                let gamma = self.weights(&format!("gamma_{index}"), &shape, gamma)?;
                let beta = self.weights(&format!("beta_{index}"), &[*channels], beta)?;
                let [squares, sums, root] = ["squares", "sums", "root"].map(|what| format!("{what}_{index}"));
                let x = self.value.clone();
                self.node("Mul", &format!("square_{index}"), &[x.clone(), x], &squares, Vec::new());
                self.node("Conv", &format!("sum_{index}"), &[squares, gamma, beta], &sums, Vec::new());
                self.node("Sqrt", &format!("sqrt_{index}"), &[sums], &root, Vec::new());
                inputs.push(root);
                if *inverse { "Mul" } else { "Div" }
            }
            Layer::Reshape(shape) => {
                // 0 keeps the extent of that axis: the batch passes through.
                let extents: Vec<i64> = std::iter::once(0).chain(shape.iter().map(|&n| n as i64)).collect();
                let bytes = extents.iter().flat_map(|n| n.to_le_bytes()).collect();
                inputs.push(self.tensor(&format!("shape_{index}"), &[extents.len()], INT64, bytes));
                "Reshape"
            }
            Layer::Transpose(order) => {
                attributes.push(attribute_ints("perm", order));
                "Transpose"
            }
        };
        self.node(op, &format!("{}_{index}", op.to_lowercase()), &inputs, &output, attributes);
        self.value = output;
        Ok(())
    }

    /// Adds weights, and where they are integers the node that turns them into floats. Returns the name of the floats.
    fn weights(&mut self, name: &str, shape: &[usize], weights: &Weights) -> Result<String> {
        let expected: usize = shape.iter().product();
        if weights.len() != expected {
            return Err(Error::invalid(format!("{name}: {} values, shape {shape:?} needs {expected}", weights.len())));
        }
        let (kind, bytes, scales, axis) = match weights {
            Weights::F32(values) => {
                return Ok(self.tensor(name, shape, FLOAT, floats(values)));
            }
            Weights::I8 { values, scales, axis } => {
                (INT8, values.iter().flat_map(|v| v.to_le_bytes()).collect(), scales, *axis)
            }
            Weights::I16 { values, scales, axis } => {
                self.opset = 21;
                (INT16, values.iter().flat_map(|v| v.to_le_bytes()).collect(), scales, *axis)
            }
        };
        let per_axis = scales.len() != 1;
        if per_axis && shape.get(axis) != Some(&scales.len()) {
            return Err(Error::invalid(format!("{name}: {} scales for axis {axis} of {shape:?}", scales.len())));
        }
        let integers = self.tensor(&format!("{name}_integers"), shape, kind, bytes);
        let scale_shape: &[usize] = if per_axis { &[scales.len()] } else { &[] };
        let scale = self.tensor(&format!("{name}_scale"), scale_shape, FLOAT, floats(scales));
        let attributes = if per_axis { vec![attribute_int("axis", axis as i64)] } else { Vec::new() };
        self.node("DequantizeLinear", &format!("dequantize_{name}"), &[integers, scale], name, attributes);
        Ok(name.to_string())
    }

    fn tensor(&mut self, name: &str, shape: &[usize], kind: i64, raw: Vec<u8>) -> String {
        let mut tensor = Message::default();
        for &extent in shape {
            tensor.int(1, extent as i64);
        }
        tensor.int(2, kind).string(8, name).bytes(9, &raw);
        self.initialisers.push(tensor);
        name.to_string()
    }

    fn node(&mut self, op: &str, name: &str, inputs: &[String], output: &str, attributes: Vec<Message>) {
        let mut node = Message::default();
        for input in inputs {
            node.string(1, input);
        }
        node.string(2, output).string(3, name).string(4, op);
        for attribute in &attributes {
            node.message(5, attribute);
        }
        self.nodes.push(node);
    }
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

// `AttributeProto.type`: FLOAT = 1, INT = 2, INTS = 7.

fn attribute_float(name: &str, value: f32) -> Message {
    let mut attribute = Message::default();
    attribute.string(1, name).float(2, value).int(20, 1);
    attribute
}

fn attribute_int(name: &str, value: i64) -> Message {
    let mut attribute = Message::default();
    attribute.string(1, name).int(3, value).int(20, 2);
    attribute
}

fn attribute_ints(name: &str, values: &[usize]) -> Message {
    let mut attribute = Message::default();
    attribute.string(1, name);
    for &value in values {
        attribute.int(8, value as i64);
    }
    attribute.int(20, 7);
    attribute
}
