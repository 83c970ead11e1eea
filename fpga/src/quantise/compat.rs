//! hls4ml's types and rules: programs with the bits of its C simulation.

use crate::fixed::Format;
use crate::hls4ml;
use crate::import::{FloatOp, Network};
use crate::ir::{Accumulator, Dense, Input, Layer, Op, Program, ScaleShift};
use baler_codec::Result;
use baler_codec::bundle::Transform;

/// What hls4ml's configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compat {
    /// Of weights, biases, inputs and what activations give: its default precision.
    pub precision: Format,
    /// Of accumulators and of what dense layers give; `None` is `auto`, a type inferred wide enough to lose nothing.
    pub accumulator: Option<Format>,
}

/// A program of `network` as hls4ml 1.3 would compute it (strategy Latency or Resource, `io_parallel`).
///
/// # Errors
/// Types wider than there are.
pub fn compat(name: &str, network: &Network, transforms: &[Transform], how: Compat) -> Result<Program> {
    let input = Input { formats: vec![how.precision; network.n_inputs], transforms: transforms.to_vec() };
    let mut before = how.precision;
    let mut n = network.n_inputs;
    let mut layers = Vec::with_capacity(network.layers.len());
    for layer in &network.layers {
        let (op, format) =
            lower(&layer.op, n, before, how).map_err(|e| e.context(format_args!("layer {:?}", layer.name)))?;
        n = layer.n_outputs(n);
        let formats = match &layer.op {
            FloatOp::Quant(formats) => formats.clone(),
            _ => vec![format; n],
        };
        before = formats[0];
        layers.push(Layer { name: layer.name.clone(), op, formats });
    }
    Program::new(name, input, layers)
}

fn lower(op: &FloatOp, n_in: usize, before: Format, how: Compat) -> Result<(Op, Format)> {
    let precision = how.precision;
    let integers = |values: &[f64], format: Format| {
        values.iter().map(|&v| hls4ml::weight(v, format)).collect::<Result<Vec<i64>>>()
    };
    Ok(match op {
        FloatOp::Dense { weights, biases, weight_format } => {
            let weight_format = weight_format.unwrap_or(precision);
            let accumulator = match how.accumulator {
                Some(format) => format,
                None => inferred(weight_format, before, precision, n_in)?,
            };
            let weights = weights.iter().map(|row| integers(row, weight_format)).collect::<Result<_>>()?;
            let dense = Dense {
                weight_format,
                bias_format: precision,
                accumulator: Accumulator::Stepwise(accumulator),
                weights,
                biases: integers(biases, precision)?,
            };
            (Op::Dense(dense), accumulator)
        }
        FloatOp::Relu => (Op::Relu, precision),
        FloatOp::LeakyRelu(alpha) => {
            let (alpha, alpha_format) = hls4ml::slope(*alpha)?;
            (Op::LeakyRelu { alpha, alpha_format }, precision)
        }
        FloatOp::Tanh | FloatOp::Sigmoid => {
            let function = if *op == FloatOp::Tanh { "tanh" } else { "sigmoid" };
            (Op::Table(hls4ml::table(function, hls4ml::TABLE_SIZE, hls4ml::TABLE_FORMAT.parse()?)?), precision)
        }
        FloatOp::ScaleShift { scales, shifts } => {
            let (scales, shifts) = (integers(scales, precision)?, integers(shifts, precision)?);
            let affine = ScaleShift { scale_format: precision, shift_format: precision, scales, shifts };
            (Op::ScaleShift(affine), precision)
        }
        FloatOp::Quant(formats) => (Op::Cast, formats[0]),
    })
}

/// The accumulator that hls4ml infers: exact for every input.
fn inferred(weight: Format, input: Format, bias: Format, n_in: usize) -> Result<Format> {
    let growth = usize::BITS as i32 - n_in.saturating_sub(1).leading_zeros() as i32;
    let fraction = weight.fraction_bits() + input.fraction_bits();
    let integer_bits = (weight.integer_bits() + input.integer_bits() + growth).max(bias.integer_bits()) + 1;
    let width = integer_bits + fraction.max(bias.fraction_bits());
    Format::signed(u32::try_from(width).unwrap_or(0), integer_bits)
}
