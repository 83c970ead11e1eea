//! The operations of a program.

use super::{MAX_PORT_WIDTH, check_formats};
use crate::fixed::{Format, MAX_WIDTH};
use baler_codec::{Error, Result};
use serde::{Deserialize, Serialize};

/// One step: an exact result for each element, cast to that element's format.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// For people and for names in generated code; not necessarily unique.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// One for each element of the output: where the exact result is rounded and brought into range.
    pub formats: Vec<Format>,
}

/// What a layer computes before the cast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// `y_j = b_j + sum over i of w_ji x_i`.
    Dense(Dense),
    /// `y_i = x_i`.
    Cast,
    /// `y_i = x_i` above 0, else 0.
    Relu,
    /// `y_i = x_i` above 0, else `alpha x_i`.
    LeakyRelu {
        /// The raw integer of the slope, at least 0.
        alpha: i64,
        /// Of the slope.
        alpha_format: Format,
    },
    /// A function by look-up.
    Table(Table),
    /// `y_i = s_i x_i + t_i`: batch normalisation that could not be folded into a dense layer.
    ScaleShift(ScaleShift),
}

/// A dense layer: a matrix of integers times a vector, plus a vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Of all weights.
    pub weight_format: Format,
    /// Of all biases.
    pub bias_format: Format,
    /// How products are summed.
    pub accumulator: Accumulator,
    /// `weights[j][i]` is the raw integer from input `i` to output `j`.
    pub weights: Vec<Vec<i64>>,
    /// One raw integer for each output.
    pub biases: Vec<i64>,
}

/// How the products of a dense layer are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accumulator {
    /// Nothing is lost: the sum is the exact one, in any order.
    Exact,
    /// hls4ml's: each product is cast to this format; the sum begins with the bias cast to it, takes the products in the
    /// order of the inputs, and is cast to it after each.
    Stepwise(Format),
}

/// A function by look-up, as hls4ml indexes it.
///
/// The table covers `[-span/2, span/2)`: of a value `x` with `F` fraction bits and integer `r`, the index is
/// `trunc(trunc(r * n / span) / 2^F) + n / 2`, with `n` entries, both divisions towards zero, limited to `0..n`. (The bin
/// about zero is therefore twice as wide as the others.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What it tabulates, for people: `tanh`, `sigmoid`.
    pub function: String,
    /// Width of the domain.
    pub span: u32,
    /// Of all entries.
    pub entry_format: Format,
    /// Raw integers; their number is even.
    pub entries: Vec<i64>,
}

/// A factor and a summand for each element.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleShift {
    /// Of all factors.
    pub scale_format: Format,
    /// Of all summands.
    pub shift_format: Format,
    /// Raw integers of the factors.
    pub scales: Vec<i64>,
    /// Raw integers of the summands.
    pub shifts: Vec<i64>,
}

impl Op {
    /// The name in files.
    pub fn kind(&self) -> &'static str {
        match self {
            Op::Dense(_) => "dense",
            Op::Cast => "cast",
            Op::Relu => "relu",
            Op::LeakyRelu { .. } => "leaky_relu",
            Op::Table(_) => "table",
            Op::ScaleShift(_) => "scale_shift",
        }
    }
}

impl Table {
    /// Where the value of integer `raw` with `fraction_bits` is looked up.
    pub fn index(&self, raw: i128, fraction_bits: i32) -> usize {
        let n = self.entries.len() as i128;
        let scaled = raw * n / i128::from(self.span);
        let whole = match fraction_bits {
            0..=126 => scaled / (1 << fraction_bits),
            127.. => 0,
            // Layers with more integer bits than this are refused, so that nothing is shifted out.
            _ => scaled << fraction_bits.unsigned_abs().min(63),
        };
        (whole + n / 2).clamp(0, n - 1) as usize
    }
}

/// The widest input of a table and the most integer bits of one: its index is an `int` in hls4ml's code.
const MAX_TABLE_INPUT: (u32, i32) = (64, 20);

impl Layer {
    /// Checks the layer against the formats of its input.
    pub(super) fn validate(&self, inputs: &[Format]) -> Result<()> {
        if self.name.len() > 256 || self.name.chars().any(char::is_control) {
            return Err(Error::model("its name is too long or has control characters"));
        }
        check_formats(&self.formats, MAX_WIDTH)?;
        let n = self.formats.len();
        match &self.op {
            Op::Dense(dense) => {
                check_count("rows of weights", dense.weights.len(), n)?;
                check_count("biases", dense.biases.len(), n)?;
                check_integers("bias", &dense.biases, dense.bias_format)?;
                for row in &dense.weights {
                    check_count("weights of one output", row.len(), inputs.len())?;
                    check_integers("weight", row, dense.weight_format)?;
                }
                let widest = inputs.iter().map(|format| format.width()).max().unwrap_or(0);
                if widest + dense.weight_format.width() > MAX_WIDTH {
                    return Err(Error::unsupported(format!(
                        "products of {widest} and {} bits: expected {MAX_WIDTH} bits at most",
                        dense.weight_format.width()
                    )));
                }
                return Ok(());
            }
            Op::Cast | Op::Relu => {}
            Op::LeakyRelu { alpha, .. } if *alpha < 0 => {
                return Err(Error::unsupported(format!("a slope of raw integer {alpha}: expected at least 0")));
            }
            Op::LeakyRelu { alpha, alpha_format } => check_integers("slope", &[*alpha], *alpha_format)?,
            Op::Table(table) => {
                if table.span == 0 || table.entries.len() < 2 || !table.entries.len().is_multiple_of(2) {
                    return Err(Error::model(format!(
                        "a table of {} entries over a span of {}: expected an even number of entries, and a span above 0",
                        table.entries.len(),
                        table.span
                    )));
                }
                check_integers("entry", &table.entries, table.entry_format)?;
                let (width, integer_bits) = MAX_TABLE_INPUT;
                if let Some(format) = inputs.iter().find(|f| f.width() > width || f.integer_bits() > integer_bits) {
                    return Err(Error::unsupported(format!(
                        "a table of {format}: expected {width} bits at most, and {integer_bits} before the point"
                    )));
                }
            }
            Op::ScaleShift(affine) => {
                check_count("factors", affine.scales.len(), n)?;
                check_count("summands", affine.shifts.len(), n)?;
                check_integers("factor", &affine.scales, affine.scale_format)?;
                check_integers("summand", &affine.shifts, affine.shift_format)?;
            }
        }
        check_count("elements", n, inputs.len())
    }
}

fn check_count(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::model(format!("{found} {what}: expected {expected}")))
}

fn check_integers(what: &str, raw: &[i64], format: Format) -> Result<()> {
    check_formats(&[format], MAX_PORT_WIDTH)?;
    let (min, max) = (format.min_raw(), format.max_raw());
    match raw.iter().find(|&&raw| !(min..=max).contains(&i128::from(raw))) {
        None => Ok(()),
        Some(raw) => Err(Error::model(format!("{what} {raw} is outside {format}: expected {min} to {max}"))),
    }
}
