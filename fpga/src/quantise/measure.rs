//! A program beside the network it was made from.

use crate::emulate::Emulator;
use crate::import::Network;
use crate::ir::Program;
use baler_codec::bundle::Transform;
use baler_codec::{Error, Result, inference};

/// Rows to measure on, as the network gets them.
#[derive(Clone, Debug)]
pub struct Sample<'a> {
    /// Transformed values, one row after the other.
    pub values: &'a [f32],
    /// How columns were transformed; none if they were not.
    pub transforms: &'a [Transform],
    /// What turns latents into (transformed) values; without it only latents are compared.
    pub decoder: Option<&'a inference::Network>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Errors {
    /// Rows.
    pub rows: usize,
    /// Root mean square of fixed minus float latents.
    pub latents_rms: f64,
    /// Root mean square of the float latents themselves.
    pub latents_size: f64,
    /// Root mean square error of what is decoded from float latents, in units of the network's inputs; 0 without decoder.
    pub float_rms: f64,
    /// The same from fixed-point latents.
    pub fixed_rms: f64,
    /// Of each column, in units of the data.
    pub columns: Vec<ColumnError>,
    /// For each layer: casts that met a value outside their format, as a part of all. Of the first rows.
    pub overflows: Vec<f64>,
}

/// How well a column comes back, in its own units: float, then fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColumnError {
    /// Root mean square of decoded minus true (the residual).
    pub residual_rms: [f64; 2],
    /// Mean of decoded over true minus 1 (the response), where the true value is not 0.
    pub response_mean: [f64; 2],
    /// Root mean square of the response about its mean: the resolution.
    pub response_rms: [f64; 2],
}

/// Rows whose overflows are counted, by the plain interpreter.
const COUNTED_ROWS: usize = 512;

/// Runs network and program on `sample`.
///
/// # Errors
/// Lengths that do not fit, values that are not finite.
pub fn measure(network: &Network, program: &Program, sample: &Sample<'_>) -> Result<Errors> {
    let (n_in, n_out) = (network.n_inputs, network.n_outputs());
    if program.input_len() != n_in || program.output_len() != n_out || !sample.values.len().is_multiple_of(n_in) {
        return Err(Error::invalid(format!(
            "a program of {} to {} values, {} values: expected rows of {n_in} to {n_out}",
            program.input_len(),
            program.output_len(),
            sample.values.len()
        )));
    }
    let rows = sample.values.len() / n_in;
    if rows == 0 {
        return Err(Error::invalid("no rows to measure on"));
    }
    let mut fixed = vec![0f32; rows * n_out];
    Emulator::new(program).encode(rows, sample.values, &mut fixed)?;
    let mut float = Vec::with_capacity(rows * n_out);
    let mut row = vec![0f64; n_in];
    for values in sample.values.chunks_exact(n_in) {
        row.iter_mut().zip(values).for_each(|(x, &v)| *x = v.into());
        float.extend(network.trace(&row).pop().unwrap_or_default().into_iter().map(|v| v as f32));
    }
    let mut overflows = vec![0; program.layers().len()];
    let counted = rows.min(COUNTED_ROWS);
    for values in sample.values.chunks_exact(n_in).take(counted) {
        let trace = program.trace(&program.input().quantise_transformed(values)?)?;
        overflows.iter_mut().zip(&trace.overflows).for_each(|(n, of_row)| *n += of_row);
    }
    let casts = program.layers().iter().map(|layer| counted * layer.formats.len());
    let mut errors = Errors {
        rows,
        latents_rms: rms(fixed.iter().zip(&float).map(|(a, b)| f64::from(a - b))),
        latents_size: rms(float.iter().map(|&v| v.into())),
        float_rms: 0.0,
        fixed_rms: 0.0,
        columns: Vec::new(),
        overflows: overflows.iter().zip(casts).map(|(&n, of)| n as f64 / of as f64).collect(),
    };
    if let Some(decoder) = sample.decoder {
        let mut decoded = [vec![0f32; rows * n_in], vec![0f32; rows * n_in]];
        for (latents, decoded) in [&float, &fixed].into_iter().zip(&mut decoded) {
            decoder.run(rows, latents, decoded)?;
        }
        let of = |decoded: &[f32]| rms(decoded.iter().zip(sample.values).map(|(a, b)| f64::from(a - b)));
        (errors.float_rms, errors.fixed_rms) = (of(&decoded[0]), of(&decoded[1]));
        errors.columns = (0..n_in).map(|c| column(c, n_in, sample, &decoded)).collect();
    }
    Ok(errors)
}

fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), v| (sum + v * v, n + 1));
    (sum / n.max(1) as f64).sqrt()
}

fn column(c: usize, n: usize, sample: &Sample<'_>, decoded: &[Vec<f32>; 2]) -> ColumnError {
    let back = |v: f32| sample.transforms.get(c).map_or(v.into(), |t| t.inverse(v.into()));
    let truth: Vec<f64> = sample.values.iter().skip(c).step_by(n).map(|&v| back(v)).collect();
    let mut error = ColumnError::default();
    for (which, decoded) in decoded.iter().enumerate() {
        let found: Vec<f64> = decoded.iter().skip(c).step_by(n).map(|&v| back(v)).collect();
        error.residual_rms[which] = rms(found.iter().zip(&truth).map(|(f, t)| f - t));
        let responses: Vec<f64> =
            found.iter().zip(&truth).filter(|(_, t)| **t != 0.0).map(|(f, t)| f / t - 1.0).collect();
        let mean = responses.iter().sum::<f64>() / responses.len().max(1) as f64;
        error.response_mean[which] = mean;
        error.response_rms[which] = rms(responses.iter().map(|r| r - mean));
    }
    error
}
