//! Formats from data: sums are exact; after each layer one rounding to nearest, saturating.

use super::fit;
use crate::fixed::{Fixed, Format, Overflow, Rounding};
use crate::hls4ml;
use crate::import::{FloatOp, Network};
use crate::ir::{Accumulator, Dense, Input, Layer, Op, Program, Range, ScaleShift, range};
use baler_codec::bundle::Transform;
use baler_codec::{Error, Result};

/// Rows that are enough to choose formats on.
pub const CALIBRATED_ROWS: usize = 4096;

/// Bits of every tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Of the input.
    pub input: u32,
    /// Of the weights of each dense layer, in order.
    pub weights: Vec<u32>,
    /// Of what each dense layer gives on (after its activation), in order.
    pub activations: Vec<u32>,
}

impl Widths {
    /// The same bits for every weight and for every value.
    pub fn uniform(network: &Network, weights: u32, values: u32) -> Self {
        let n = network.layers.iter().filter(|layer| matches!(layer.op, FloatOp::Dense { .. })).count();
        Self { input: values, weights: vec![weights; n], activations: vec![values; n] }
    }
}

/// A program of `network` with formats that suit `rows` of (transformed) input best.
///
/// Where the model fixes formats itself (QONNX `Quant`), those are taken.
///
/// # Errors
/// No rows, values that are not finite, widths that do not exist.
pub fn calibrated(
    name: &str,
    network: &Network,
    transforms: &[Transform],
    rows: &[Vec<f64>],
    widths: &Widths,
) -> Result<Program> {
    if rows.is_empty() {
        return Err(Error::invalid("no rows to calibrate formats on: name a file of data"));
    }
    let n_dense = Widths::uniform(network, 1, 1).weights.len();
    if widths.weights.len() != n_dense || widths.activations.len() != n_dense {
        return Err(Error::invalid(format!(
            "{} widths of weights and {} of activations: expected {n_dense} of each",
            widths.weights.len(),
            widths.activations.len()
        )));
    }
    let traces: Vec<Vec<Vec<f64>>> = rows.iter().map(|row| network.trace(row)).collect();
    let values_of = |i: usize| -> Vec<f64> { traces.iter().flat_map(|trace| trace[i].iter().copied()).collect() };
    let mut builder = Builder::new(network, rows, widths)?;
    let mut i = builder.n_taken;
    let mut n_dense = 0;
    while i < network.layers.len() {
        let layer = &network.layers[i];
        let context = |e: Error| e.context(format_args!("layer {:?}", layer.name));
        let next = |k: usize| network.layers.get(i + k).map(|layer| &layer.op);
        let last_width = || *widths.activations.get(n_dense.max(1) - 1).unwrap_or(&widths.input);
        let mut n_taken = 1;
        let (op, formats) = match &layer.op {
            FloatOp::Dense { weights, biases, weight_format } => {
                let dense = builder.dense(weights, biases, *weight_format, widths.weights[n_dense]).map_err(context)?;
                let (width, n) = (widths.activations[n_dense], dense.biases.len());
                n_dense += 1;
                // A cast to an unsigned format that saturates at zero is ReLU: both in one.
                let unsigned = |formats: &[Format]| formats.iter().all(|f| !f.is_signed());
                let formats = match (next(1), next(2)) {
                    (Some(FloatOp::Relu), Some(FloatOp::Quant(formats))) if unsigned(formats) => {
                        n_taken = 3;
                        formats.clone()
                    }
                    (Some(FloatOp::Quant(formats)), _) => {
                        n_taken = 2;
                        formats.clone()
                    }
                    (Some(FloatOp::Relu), _) => {
                        n_taken = 2;
                        vec![fit::format(&values_of(i + 1), width, false).map_err(context)?; n]
                    }
                    (Some(FloatOp::LeakyRelu(_) | FloatOp::Tanh | FloatOp::Sigmoid), _) => {
                        builder.lossless(&dense).map_err(context)?
                    }
                    _ => vec![fit::format(&values_of(i), width, true).map_err(context)?; n],
                };
                (Op::Dense(dense), formats)
            }
            other => {
                let n = builder.formats.len();
                let formats = match next(1) {
                    Some(FloatOp::Quant(formats)) => {
                        n_taken = 2;
                        formats.clone()
                    }
                    _ => {
                        let is_signed = !matches!(other, FloatOp::Relu | FloatOp::Sigmoid);
                        vec![fit::format(&values_of(i), last_width(), is_signed).map_err(context)?; n]
                    }
                };
                match other {
                    FloatOp::Quant(formats) => (Op::Cast, formats.clone()),
                    other => (
                        elementwise(other, widths.weights.iter().copied().max().unwrap_or(8)).map_err(context)?,
                        formats,
                    ),
                }
            }
        };
        builder.push(Layer { name: layer.name.clone(), op, formats })?;
        i += n_taken;
    }
    let input = Input { formats: builder.input, transforms: transforms.to_vec() };
    Program::new(name, input, builder.layers)
}

/// What `op`, no dense layer, becomes; factors get `bits`.
fn elementwise(op: &FloatOp, bits: u32) -> Result<Op> {
    Ok(match op {
        FloatOp::Relu => Op::Relu,
        FloatOp::LeakyRelu(alpha) => {
            let (alpha, alpha_format) = hls4ml::slope(*alpha)?;
            Op::LeakyRelu { alpha, alpha_format }
        }
        FloatOp::Tanh => Op::Table(hls4ml::table("tanh", hls4ml::TABLE_SIZE, hls4ml::TABLE_FORMAT.parse()?)?),
        FloatOp::Sigmoid => Op::Table(hls4ml::table("sigmoid", hls4ml::TABLE_SIZE, hls4ml::TABLE_FORMAT.parse()?)?),
        FloatOp::ScaleShift { scales, shifts } => {
            let (scale_format, scales) = integers(scales, bits)?;
            let (shift_format, shifts) = integers(shifts, 2 * bits)?;
            Op::ScaleShift(ScaleShift { scale_format, shift_format, scales, shifts })
        }
        FloatOp::Dense { .. } | FloatOp::Quant(_) => return Err(Error::invalid("not an element-wise operation")),
    })
}

/// Numbers rounded to the format of `bits` that suits them best; the format is given without modes, as it is not cast to.
fn integers(values: &[f64], bits: u32) -> Result<(Format, Vec<i64>)> {
    let format = fit::format(values, bits, true)?;
    let raw = values.iter().map(|&v| Ok(Fixed::from_f64(v, format)?.raw() as i64)).collect::<Result<_>>()?;
    Ok((format.with_modes(Rounding::Trn, Overflow::Wrap)?, raw))
}

struct Builder {
    input: Vec<Format>,
    layers: Vec<Layer>,
    /// Of the last layer.
    formats: Vec<Format>,
    ranges: Vec<Range>,
    /// Layers of the network that the input took in.
    n_taken: usize,
}

impl Builder {
    fn new(network: &Network, rows: &[Vec<f64>], widths: &Widths) -> Result<Self> {
        let (input, n_taken) = match &network.layers[0].op {
            FloatOp::Quant(formats) => (formats.clone(), 1),
            _ => {
                let values: Vec<f64> = rows.iter().flatten().copied().collect();
                (vec![fit::format(&values, widths.input, false)?; network.n_inputs], 0)
            }
        };
        Ok(Self { formats: input.clone(), ranges: range::of_formats(&input), input, layers: Vec::new(), n_taken })
    }

    fn dense(&self, weights: &[Vec<f64>], biases: &[f64], fixed: Option<Format>, bits: u32) -> Result<Dense> {
        let flat: Vec<f64> = weights.iter().flatten().copied().collect();
        let (weight_format, raw) = match fixed {
            None => integers(&flat, bits)?,
            Some(format) => {
                let raw = flat.iter().map(|&w| Ok(Fixed::from_f64(w, format)?.raw() as i64)).collect::<Result<_>>()?;
                (format, raw)
            }
        };
        let mut dense = Dense {
            weight_format,
            bias_format: Format::signed(1, 1)?,
            accumulator: Accumulator::Exact,
            weights: raw.chunks(self.formats.len()).map(<[i64]>::to_vec).collect(),
            biases: vec![0; biases.len()],
        };
        // On the grid of the products a bias costs no alignment.
        let finest = self.formats.iter().map(|f| f.fraction_bits()).max().unwrap_or(0) + weight_format.fraction_bits();
        (dense.bias_format, dense.biases) = fit::exact(biases, finest)?;
        Ok(dense)
    }

    /// Formats that hold every sum of `dense` as it is.
    fn lossless(&self, dense: &Dense) -> Result<Vec<Format>> {
        let any = vec![Format::signed(64, 32)?; dense.biases.len()];
        let layer = Layer { name: String::new(), op: Op::Dense(dense.clone()), formats: any };
        let ranges = range::of_layer(&layer, &self.formats, &self.ranges)?;
        let bits = ranges.exact.iter().map(|r| r.bits() + u32::from(!r.is_signed())).max().unwrap_or(1);
        let format = Format::signed(bits, bits as i32 - ranges.fraction_bits[0])?;
        Ok(vec![format; dense.biases.len()])
    }

    fn push(&mut self, layer: Layer) -> Result<()> {
        self.ranges = range::of_layer(&layer, &self.formats, &self.ranges)?.output;
        self.formats.clone_from(&layer.formats);
        self.layers.push(layer);
        Ok(())
    }
}
