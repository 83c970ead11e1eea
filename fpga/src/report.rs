//! What a program costs, from the program alone: operations, widths, cycles. Look-up tables and registers are counted by
//! synthesis, not here.

use crate::fixed::{Format, signed_digits};
use crate::ir::{Op, Program};

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerCost {
    /// Its name and kind: `fc1 (dense)`.
    pub name: String,
    /// Values in and out.
    pub shape: (usize, usize),
    /// Multiplications by weights that are not zero.
    pub multiplications: usize,
    /// Additions of shifted inputs where weights are written in canonical signed digits, each output on its own: an upper
    /// bound, which common subexpressions lower by about half.
    pub adders: usize,
    /// Bits of the widest exact sum.
    pub sum_bits: u32,
    /// Of the output, with how many elements have it.
    pub formats: Vec<(Format, usize)>,
    /// Elements whose cast can overflow.
    pub may_overflow: usize,
}

/// The cost of each layer.
pub fn layers(program: &Program) -> Vec<LayerCost> {
    let layers = program.layers().iter().zip(program.ranges()).enumerate();
    let terms = |factor: i64| signed_digits(factor.into()).len();
    layers
        .map(|(i, (layer, ranges))| {
            let n_in = program.formats_before(i).len();
            let (mut multiplications, mut adders) = (0, 0);
            match &layer.op {
                Op::Dense(dense) => {
                    for (row, &bias) in dense.weights.iter().zip(&dense.biases) {
                        multiplications += row.iter().filter(|&&w| w != 0).count();
                        let terms = row.iter().map(|&w| terms(w)).sum::<usize>();
                        adders += (terms + usize::from(bias != 0)).saturating_sub(1);
                    }
                }
                Op::LeakyRelu { alpha, .. } => {
                    multiplications = n_in;
                    adders = n_in * terms(*alpha).saturating_sub(1);
                }
                Op::ScaleShift(affine) => {
                    multiplications = affine.scales.iter().filter(|&&s| s != 0).count();
                    adders = affine.scales.iter().map(|&s| terms(s)).sum();
                }
                Op::Cast | Op::Relu | Op::Table(_) => {}
            }
            LayerCost {
                name: format!("{} ({})", layer.name, layer.op.kind()),
                shape: (n_in, layer.formats.len()),
                multiplications,
                adders,
                sum_bits: ranges.partial.iter().map(|r| r.bits()).max().unwrap_or(0),
                formats: layer.formats.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect(),
                may_overflow: ranges.may_overflow.iter().filter(|&&may| may).count(),
            }
        })
        .collect()
}
