//! A program beside the network it was made from.

use super::metric::{Metric, RMS, Rows, growth};
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
    /// What is asked of the decoded values.
    pub metrics: &'a [Metric],
}

impl<'a> Sample<'a> {
    /// At most so many rows of `n` values, evenly spaced.
    pub fn spaced(&self, n: usize, most: usize) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let step = (self.values.len() / n).div_ceil(most).max(1);
        self.values.chunks_exact(n).step_by(step)
    }

    /// The same as doubles.
    pub fn spaced_rows(&self, n: usize, most: usize) -> Vec<Vec<f64>> {
        self.spaced(n, most).map(|row| row.iter().map(|&v| v.into()).collect()).collect()
    }
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
    /// What the metrics asked for say; none without decoder.
    pub metrics: Vec<Measured>,
    /// For each layer: casts that met a value outside their format, as a part of all. Of the first rows.
    pub overflows: Vec<f64>,
}

/// What a metric says of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The metric's name.
    pub name: &'static str,
    /// Of what is decoded from float latents.
    pub float: Vec<f64>,
    /// Of what is decoded from fixed-point latents.
    pub fixed: Vec<f64>,
}

impl Measured {
    /// By how much the worst figure grows: 0.02 is 2 %.
    pub fn growth(&self) -> f64 {
        growth(&self.float, &self.fixed)
    }
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
        metrics: Vec::new(),
        overflows: overflows.iter().zip(casts).map(|(&n, of)| n as f64 / of as f64).collect(),
    };
    if let Some(decoder) = sample.decoder {
        let mut decoded = [vec![0f32; rows * n_in], vec![0f32; rows * n_in]];
        for (latents, decoded) in [&float, &fixed].into_iter().zip(&mut decoded) {
            decoder.run(rows, latents, decoded)?;
        }
        let back = |values: &[f32]| -> Vec<f64> {
            let of = |i: usize, v: f32| sample.transforms.get(i % n_in).map_or(v.into(), |t| t.inverse(v.into()));
            values.iter().enumerate().map(|(i, &v)| of(i, v)).collect()
        };
        let truth = back(sample.values);
        let values = decoded.each_ref().map(|decoded| back(decoded));
        let [float, fixed] = [0, 1].map(|which| Rows {
            n: n_in,
            inputs: [sample.values, &decoded[which]],
            values: [&truth, &values[which]],
        });
        (errors.float_rms, errors.fixed_rms) = ((RMS.figures)(&float)[0], (RMS.figures)(&fixed)[0]);
        errors.columns = (0..n_in).map(|c| column(c, [&float, &fixed])).collect();
        for metric in sample.metrics {
            let (float, fixed) = ((metric.figures)(&float), (metric.figures)(&fixed));
            if float.is_empty() || fixed.is_empty() {
                let message = format!("metric {} has nothing to say of these rows of {n_in} values", metric.name);
                return Err(Error::invalid(message));
            }
            errors.metrics.push(Measured { name: metric.name, float, fixed });
        }
    }
    Ok(errors)
}

pub(super) fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), v| (sum + v * v, n + 1));
    (sum / n.max(1) as f64).sqrt()
}

fn column(c: usize, rows: [&Rows<'_>; 2]) -> ColumnError {
    let mut error = ColumnError::default();
    for (which, rows) in rows.into_iter().enumerate() {
        error.residual_rms[which] = rms(rows.column(c).map(|(truth, decoded)| decoded - truth));
        let responses = rows.responses(c);
        let mean = responses.iter().sum::<f64>() / responses.len().max(1) as f64;
        error.response_mean[which] = mean - 1.0;
        error.response_rms[which] = rms(responses.iter().map(|r| r - mean));
    }
    error
}
