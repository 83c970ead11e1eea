//! From an ONNX encoder to a chain of layers in floating point: what `quantise` makes a program of.
//!
//! | file | what |
//! |---|---|
//! | `graph.rs` | walks the nodes; anything but a chain of known operators is refused by node name |
//! | `operators.rs` | one function for each operator |
//! | `convolution.rs` | convolutions as dense layers with many zeros |

mod convolution;
mod graph;
mod operators;

use crate::fixed::Format;
use baler_codec::{Error, Result};

/// A chain of layers, each fed by the one before; weights as the file has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Values in one row of input.
    pub n_inputs: usize,
    /// At least one.
    pub layers: Vec<FloatLayer>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatLayer {
    /// Of the node it comes from.
    pub name: String,
    /// What it computes.
    pub op: FloatOp,
}

/// The operations of [`Op`](crate::ir::Op), before anything is rounded.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatOp {
    /// `y_j = b_j + sum over i of w_ji x_i`, with the format of the weights where the model fixes one.
    Dense {
        /// One row for each output.
        weights: Vec<Vec<f64>>,
        /// One for each output.
        biases: Vec<f64>,
        /// From a QONNX `Quant` node.
        weight_format: Option<Format>,
    },
    /// `max(x, 0)`.
    Relu,
    /// `x` above 0, else this times `x`.
    LeakyRelu(f64),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `s_i x_i + t_i`.
    ScaleShift {
        /// The factors.
        scales: Vec<f64>,
        /// The summands.
        shifts: Vec<f64>,
    },
    /// The values rounded to these formats, one for each element: a QONNX `Quant` node.
    Quant(Vec<Format>),
}

impl Network {
    /// Reads an encoder from ONNX: Gemm, MatMul, Add, Sub, Mul and Div with constants, Conv over one or two axes,
    /// BatchNormalization, Relu, LeakyRelu, Tanh, Sigmoid, QONNX Quant, and what only changes shapes.
    ///
    /// Normalisations and factors are folded into the dense layer before or after them, where there is one.
    ///
    /// # Errors
    /// Anything else, by the name of its node.
    pub fn from_onnx(bytes: &[u8]) -> Result<Self> {
        let mut network = graph::read(bytes)?;
        network.fold();
        if network.layers.is_empty() {
            return Err(Error::unsupported("the encoder has no layers: expected at least one"));
        }
        Ok(network)
    }

    /// Values in one row of output.
    pub fn n_outputs(&self) -> usize {
        self.layers.iter().fold(self.n_inputs, |n, layer| layer.n_outputs(n))
    }

    /// What every layer gives for one row, in binary64; the last is the output. `row` has [`Network::n_inputs`] values.
    pub fn trace(&self, row: &[f64]) -> Vec<Vec<f64>> {
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let input = values.last().map_or(row, Vec::as_slice);
            values.push(layer.op.apply(input));
        }
        values
    }

    /// Joins scales and shifts with the dense layers beside them, whose weights are not fixed to a format.
    fn fold(&mut self) {
        let mut folded: Vec<FloatLayer> = Vec::with_capacity(self.layers.len());
        for layer in std::mem::take(&mut self.layers) {
            match (folded.last_mut().map(|last| &mut last.op), layer.op) {
                (
                    Some(FloatOp::Dense { weights, biases, weight_format: None }),
                    FloatOp::ScaleShift { scales, shifts },
                ) => {
                    for (((row, bias), scale), shift) in weights.iter_mut().zip(biases).zip(scales).zip(shifts) {
                        row.iter_mut().for_each(|w| *w *= scale);
                        *bias = *bias * scale + shift;
                    }
                }
                // A bias of its own keeps weights that are fixed as they are.
                (Some(FloatOp::Dense { biases, .. }), FloatOp::ScaleShift { scales, shifts })
                    if scales.iter().all(|&s| s == 1.0) =>
                {
                    biases.iter_mut().zip(shifts).for_each(|(bias, shift)| *bias += shift);
                }
                (
                    Some(FloatOp::ScaleShift { scales, shifts }),
                    FloatOp::Dense { mut weights, mut biases, weight_format: None },
                ) => {
                    for (row, bias) in weights.iter_mut().zip(&mut biases) {
                        *bias += row.iter().zip(shifts.iter()).map(|(w, t)| w * t).sum::<f64>();
                        row.iter_mut().zip(scales.iter()).for_each(|(w, s)| *w *= s);
                    }
                    folded.pop();
                    folded.push(FloatLayer {
                        name: layer.name,
                        op: FloatOp::Dense { weights, biases, weight_format: None },
                    });
                }
                (_, op) => folded.push(FloatLayer { name: layer.name, op }),
            }
        }
        self.layers = folded;
    }
}

impl FloatLayer {
    /// Values it gives for `n` that enter.
    pub fn n_outputs(&self, n: usize) -> usize {
        match &self.op {
            FloatOp::Dense { biases, .. } => biases.len(),
            _ => n,
        }
    }
}

impl FloatOp {
    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let each = |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| f(x)).collect();
        match self {
            FloatOp::Dense { weights, biases, .. } => {
                let dot = |row: &Vec<f64>| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
                weights.iter().zip(biases).map(|(row, bias)| bias + dot(row)).collect()
            }
            FloatOp::Relu => each(&|x| x.max(0.0)),
            FloatOp::LeakyRelu(alpha) => each(&|x| if x > 0.0 { x } else { alpha * x }),
            FloatOp::Tanh => each(&f64::tanh),
            FloatOp::Sigmoid => each(&|x| 1.0 / (1.0 + (-x).exp())),
            FloatOp::ScaleShift { scales, shifts } => {
                x.iter().zip(scales).zip(shifts).map(|((x, s), t)| x * s + t).collect()
            }
            FloatOp::Quant(_) => x.to_vec(),
        }
    }
}
