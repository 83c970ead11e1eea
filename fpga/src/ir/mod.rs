//! A program: what a fixed-point encoder computes, to the bit.
//!
//! Every path (scalar interpreter, vector emulator, Verilog, HLS C++, devices) is made from a [`Program`] and must give
//! the integers of [`Program::reference`].
//!
//! ```text
//! raw values --transforms--> f32 --cast--> integers --layer--> integers --layer--> ... latents
//! ```
//!
//! A layer computes an exact result and casts it, element by element, into the formats it names: bits are lost nowhere
//! else (but for [`Accumulator::Stepwise`]). Convolutions are dense layers with many zeros.
//!
//! | file | what |
//! |---|---|
//! | `layer.rs` | the operations |
//! | `reference.rs` | the plain interpreter: the definition |
//! | `range.rs` | intervals of every value, which prove how wide an accumulator must be |
//! | `json.rs` | the file format and the digest |

mod input;
mod json;
mod layer;
pub(crate) mod range;
mod reference;

pub use input::Input;
pub use json::{FORMAT, MAX_BYTES};
pub use layer::{Accumulator, Dense, Layer, Op, ScaleShift, Table};
pub use range::{LayerRanges, Range};
pub use reference::Trace;

use crate::fixed::Format;
use baler_codec::{Error, Result};

/// The most values that a program's input or one of its layers has.
pub const MAX_VALUES: usize = 1 << 16;

/// The most bits of what enters and leaves a program, of a weight and of an entry of a table: they are `i64`.
pub const MAX_PORT_WIDTH: u32 = 63;

/// A fixed-point encoder; valid by construction.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    name: String,
    input: Input,
    layers: Vec<Layer>,
    /// Of each layer.
    ranges: Vec<LayerRanges>,
}

impl Program {
    /// A program of these layers, each fed by the one before.
    ///
    /// # Errors
    /// Shapes that do not fit together, integers outside their formats, formats wider than [`MAX_PORT_WIDTH`] where
    /// `i64` is needed, and sums that 127 bits may not hold. The message names the layer.
    pub fn new(name: impl Into<String>, input: Input, layers: Vec<Layer>) -> Result<Self> {
        let name = name.into();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return Err(Error::model(format!(
                "program name {name:?}: expected 1 to 64 ASCII letters, digits, '.', '_' or '-'"
            )));
        }
        input.validate().map_err(|e| e.context("input"))?;
        if layers.is_empty() {
            return Err(Error::model("the program has no layers: expected at least one"));
        }
        let mut formats = &input.formats;
        let mut values = range::of_formats(formats);
        let mut ranges = Vec::with_capacity(layers.len());
        for (i, layer) in layers.iter().enumerate() {
            let context = |e: Error| e.context(format_args!("layer {i} {:?}", layer.name));
            layer.validate(formats).map_err(context)?;
            let of_layer = range::of_layer(layer, formats, &values).map_err(context)?;
            values.clone_from(&of_layer.output);
            ranges.push(of_layer);
            formats = &layer.formats;
        }
        Ok(Self { name, input, layers, ranges })
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How values come in.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// The layers in order; at least one.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What values each layer can have, for every input there is.
    pub fn ranges(&self) -> &[LayerRanges] {
        &self.ranges
    }

    /// Formats of what enters layer `i`.
    pub fn formats_before(&self, i: usize) -> &[Format] {
        if i == 0 { &self.input.formats } else { &self.layers[i - 1].formats }
    }

    /// Values in one row of input.
    pub fn input_len(&self) -> usize {
        self.input.formats.len()
    }

    /// Values in one row of output.
    pub fn output_len(&self) -> usize {
        self.output_formats().len()
    }

    /// Formats of the output.
    pub fn output_formats(&self) -> &[Format] {
        &self.layers[self.layers.len() - 1].formats
    }

    /// Multiplications by weights that are not zero, for one row.
    pub fn multiplications(&self) -> usize {
        let of_layer = |layer: &Layer| match &layer.op {
            Op::Dense(dense) => dense.weights.iter().flatten().filter(|&&w| w != 0).count(),
            Op::ScaleShift(_) | Op::LeakyRelu { .. } => layer.formats.len(),
            Op::Cast | Op::Relu | Op::Table(_) => 0,
        };
        self.layers.iter().map(of_layer).sum()
    }

    /// The same program with every [`Accumulator::Stepwise`] that loses nothing for any input replaced by
    /// [`Accumulator::Exact`]: the integers are the same, the hardware is free to choose the order of sums.
    #[must_use]
    pub fn with_exact_accumulators(mut self) -> Self {
        for (layer, ranges) in self.layers.iter_mut().zip(&self.ranges) {
            if let Op::Dense(dense) = &mut layer.op
                && ranges.is_exact
            {
                dense.accumulator = Accumulator::Exact;
            }
        }
        self
    }

    /// The numbers that integers of the output stand for: `raw * 2^-F`, rounded to the nearest double.
    ///
    /// # Errors
    /// If `output` is not a row of output.
    pub fn dequantise(&self, output: &[i64]) -> Result<Vec<f64>> {
        check_len("output", self.output_len(), output.len())?;
        output
            .iter()
            .zip(self.output_formats())
            .map(|(&raw, &format)| Ok(crate::fixed::Fixed::new(raw.into(), format)?.to_f64()))
            .collect()
    }
}

fn check_len(what: &str, expected: usize, found: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} has {found} values: expected {expected}")))
}

/// Checks that there are values, not too many, and that each is narrow enough for `i64` where that is asked.
fn check_formats(formats: &[Format], max_width: u32) -> Result<()> {
    if !(1..=MAX_VALUES).contains(&formats.len()) {
        return Err(Error::model(format!("{} values: expected 1 to {MAX_VALUES}", formats.len())));
    }
    match formats.iter().find(|format| format.width() > max_width) {
        None => Ok(()),
        Some(format) => Err(Error::unsupported(format!("{format}: expected {max_width} bits at most"))),
    }
}
