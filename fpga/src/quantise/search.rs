//! The fewest bits within an error budget.

use super::calibrated::{CALIBRATED_ROWS, Widths, calibrated};
use super::measure::{Errors, Measured, Sample, measure};
use crate::import::Network;
use crate::ir::Program;
use baler_codec::{Error, ErrorKind, Result};

/// Widths that are tried for all tensors together, and the least that one is lowered to.
const WIDEST: u32 = 18;
const NARROWEST: u32 = 3;
/// Rows that a candidate is measured on, at most.
const MEASURED_ROWS: usize = 8192;

/// A program within the budget.
#[derive(Clone, Debug)]
pub struct Found {
    /// The program.
    pub program: Program,
    /// Its widths.
    pub widths: Widths,
    /// What it was measured to lose, on the rows the search has seen.
    pub errors: Errors,
    /// Programs that were tried.
    pub n_tried: usize,
}

/// Looks for the program with the least bits with which no figure of the sample's metrics grows by more than `budget` of what
/// the float network gives (without a decoder: whose latents are off by at most `budget` of their size): first one width for
/// everything, then tensor by tensor, those with the most weights first. `weight_bits` fixes the width of weights.
///
/// # Errors
/// No rows; a budget that even 18 bits miss, with what they reach.
pub fn search(
    name: &str,
    network: &Network,
    sample: &Sample<'_>,
    budget: f64,
    weight_bits: Option<u32>,
) -> Result<Found> {
    if !(budget >= 0.0 && budget.is_finite()) {
        return Err(Error::invalid(format!("a budget of {budget}: expected a finite number from 0 on")));
    }
    let n = network.n_inputs;
    let rows = sample.spaced_rows(n, CALIBRATED_ROWS);
    let measured: Vec<f32> = sample.spaced(n, MEASURED_ROWS).flatten().copied().collect();
    let sample = Sample { values: &measured, ..sample.clone() };
    let mut n_tried = 0;
    let mut attempt = |widths: &Widths| -> Result<(Program, Errors, f64)> {
        n_tried += 1;
        let program = calibrated(name, network, sample.transforms, &rows, widths)?;
        let errors = measure(network, &program, &sample)?;
        let latents = errors.latents_rms / errors.latents_size.max(f64::MIN_POSITIVE);
        let excess = errors.metrics.iter().map(Measured::growth).reduce(f64::max).unwrap_or(latents);
        Ok((program, errors, excess))
    };
    let mut best = None;
    let mut reached = f64::INFINITY;
    // One width for everything, from below.
    for bits in NARROWEST..=WIDEST {
        let widths = Widths::uniform(network, weight_bits.unwrap_or(bits), bits);
        let (program, errors, excess) = attempt(&widths)?;
        reached = reached.min(excess);
        if excess <= budget {
            best = Some((program, errors, widths));
            break;
        }
    }
    let Some((mut program, mut errors, mut widths)) = best else {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            format!(
                "no program of up to {WIDEST} bits is within the budget of {budget}: the best one exceeds the float \
                     network's error by {reached:.4}; allow more"
            ),
        ));
    };
    // Bit by bit, the costliest tensors first.
    for tensor in tensors(network, weight_bits.is_none()) {
        while *width(&mut widths, tensor) > NARROWEST {
            let mut fewer = widths.clone();
            *width(&mut fewer, tensor) -= 1;
            let (candidate, measured, excess) = attempt(&fewer)?;
            if excess > budget {
                break;
            }
            (program, errors, widths) = (candidate, measured, fewer);
        }
    }
    Ok(Found { program, widths, errors, n_tried })
}

#[derive(Clone, Copy)]
enum Tensor {
    Input,
    Weights(usize),
    Activations(usize),
}

fn width(widths: &mut Widths, tensor: Tensor) -> &mut u32 {
    match tensor {
        Tensor::Input => &mut widths.input,
        Tensor::Weights(i) => &mut widths.weights[i],
        Tensor::Activations(i) => &mut widths.activations[i],
    }
}

/// Tensors in the order in which bits are taken from them: weights by their number, then values.
fn tensors(network: &Network, with_weights: bool) -> Vec<Tensor> {
    let sizes = network.layers.iter().filter_map(|layer| match &layer.op {
        crate::import::FloatOp::Dense { weights, .. } => Some(weights.iter().map(Vec::len).sum::<usize>()),
        _ => None,
    });
    let mut dense: Vec<(usize, usize)> = sizes.enumerate().collect();
    let values = (0..dense.len()).map(Tensor::Activations).chain([Tensor::Input]);
    let values: Vec<Tensor> = values.collect();
    dense.sort_by_key(|&(_, size)| std::cmp::Reverse(size));
    let weights = dense.into_iter().filter(|_| with_weights).map(|(i, _)| Tensor::Weights(i));
    weights.chain(values).collect()
}
