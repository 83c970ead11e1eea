//! What an ONNX pair does not say: how values become its inputs, and how finely its latents are to be kept.
//!
//! Each usual normalisation is tried on data of the kind the pair was trained on, and the one with the smallest error is
//! taken; then latent steps are chosen as after a training ([`crate::steps`]).

use super::{Options, tile_of};
use crate::steps::{self, decode_all};
use crate::tiling::cut;
use baler_codec::bundle::{Normalisation, Transform};
use baler_codec::inference::{Encoder, Network, encoder_from_onnx};
use baler_codec::{Error, Result};

/// More tiles than this, evenly spaced, tell nothing more.
const MOST_TILES: usize = 4096;
/// Rows with no more values than this are those of a table.
const MOST_COLUMNS: usize = 256;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Every normalisation that was tried and its error: root mean square, as part of the range of the data (for columns:
    /// of each column's, on the mean). The first is the one taken.
    pub tried: Vec<(&'static str, f64)>,
    /// Error of the one taken, and its largest one.
    pub rms_error: f64,
    /// Largest error of the one taken, as part of the range.
    pub max_error: f64,
    /// Root mean square error with latents quantised by the steps chosen.
    pub quantised_rms_error: f64,
    /// Tiles it was measured on.
    pub tiles: usize,
}

/// Sets `normalisation` and `step` of the options from data in C order, of the given shape, whose trailing axes the tile
/// cuts. With `normalisation` given only the steps are chosen. Errors: data that the tile does not fit into, or that hold
/// no finite tile; an encoder that cannot run here.
pub fn calibrate(
    encoder: &[u8],
    decoder: &[u8],
    options: &mut Options,
    normalisation: Option<Normalisation>,
    data: &[f32],
    shape: &[usize],
) -> Result<Calibration> {
    let decoder = Network::from_onnx(decoder).map_err(|e| e.context("decoder"))?;
    let encoder = encoder_from_onnx(encoder).map_err(|e| e.context("encoder"))?;
    let tile = options.tile.clone().unwrap_or_else(|| tile_of(&decoder));
    let d: usize = tile.iter().product();
    let fits = tile.len() <= shape.len() && shape[shape.len() - tile.len()..].iter().zip(&tile).all(|(n, t)| n >= t);
    if d != decoder.output_len() || d != encoder.input_len() || encoder.output_len() != decoder.input_len() {
        return Err(Error::model(format!(
            "a tile of {tile:?}, an encoder from {} to {} values and a decoder from {} to {} do not fit each other",
            encoder.input_len(),
            encoder.output_len(),
            decoder.input_len(),
            decoder.output_len()
        )));
    }
    if !fits || shape.iter().product::<usize>() != data.len() {
        return Err(Error::invalid(format!(
            "calibration: a tile of {tile:?} does not fit into the trailing axes of {} values of shape {shape:?}; \
             name the model's tile",
            data.len()
        )));
    }
    let mut tiles = cut(data, shape, &tile);
    tiles.retain(|tile| tile.iter().all(|v| v.is_finite()));
    let every = tiles.len().div_ceil(MOST_TILES).max(1);
    let values: Vec<f32> = tiles.into_iter().step_by(every).flatten().collect();
    if values.is_empty() {
        return Err(Error::invalid("calibration: every tile has a gap (NaN or infinite)"));
    }
    let is_table = matches!(shape, [_, columns] if tile == [*columns] && *columns <= MOST_COLUMNS);
    let pair = Pair { encoder: &*encoder, decoder: &decoder, values: &values, columns: if is_table { d } else { 1 } };
    let candidates = match normalisation {
        Some(normalisation) => vec![("as given", normalisation)],
        None => pair.candidates(is_table),
    };
    let mut tried = Vec::new();
    for (name, normalisation) in candidates {
        tried.push((name, pair.errors(&normalisation, None)?, normalisation));
    }
    tried.sort_by(|a, b| a.1[0].total_cmp(&b.1[0]));
    let (_, [rms_error, max_error], best) = &tried[0];
    if !rms_error.is_finite() {
        return Err(Error::model("calibration: the pair gives no finite values for these data, however normalised"));
    }
    let inputs = pair.inputs(best);
    let step = steps::choose(&decoder, &inputs, &pair.encode(&inputs)?)?;
    let [quantised_rms_error, _] = pair.errors(best, Some(&step))?;
    let calibration = Calibration {
        rms_error: *rms_error,
        max_error: *max_error,
        quantised_rms_error,
        tiles: values.len() / d,
        tried: tried.iter().map(|(name, errors, _)| (*name, errors[0])).collect(),
    };
    (options.normalisation, options.step) = (best.clone(), step);
    Ok(calibration)
}

/// The pair, and what it is tried on.
struct Pair<'a> {
    encoder: &'a dyn Encoder,
    decoder: &'a Network,
    /// Tiles of values, one after the other.
    values: &'a [f32],
    /// Columns whose ranges count apart; 1 where there is only one range.
    columns: usize,
}

impl Pair<'_> {
    /// Minimum, maximum, mean and standard deviation of each `n`-th value.
    fn statistics(&self, n: usize) -> Vec<[f64; 4]> {
        (0..n)
            .map(|c| {
                let column = || self.values.iter().skip(c).step_by(n).map(|v| f64::from(*v));
                let count = column().count() as f64;
                let mean = column().sum::<f64>() / count;
                let variance = column().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
                [
                    column().fold(f64::INFINITY, f64::min),
                    column().fold(f64::NEG_INFINITY, f64::max),
                    mean,
                    variance.sqrt(),
                ]
            })
            .collect()
    }

    /// What people train with.
    fn candidates(&self, is_table: bool) -> Vec<(&'static str, Normalisation)> {
        type Choice = fn([f64; 4]) -> [f64; 2];
        const CHOICES: [(&str, &str, Choice); 3] = [
            ("min-max to 0..1", "min-max of each column", |[min, max, ..]| [min, max - min]),
            ("min-max to -1..1", "min-max of each column to -1..1", |[min, max, ..]| {
                [(min + max) / 2.0, (max - min) / 2.0]
            }),
            ("standard score", "standard score of each column", |[.., mean, deviation]| [mean, deviation]),
        ];
        let mut all = vec![("as they are", Normalisation::Fixed { offset: 0.0, scale: 1.0 })];
        let whole = self.statistics(1)[0];
        for (name, of_columns, choice) in CHOICES {
            let [offset, scale] = choice(whole);
            if scale > 0.0 {
                all.push((name, Normalisation::Fixed { offset, scale }));
            }
            if is_table {
                let columns = self.statistics(self.columns).into_iter().map(|column| match choice(column) {
                    [offset, scale] if scale > 0.0 => Transform::Linear { offset, scale },
                    _ => Transform::Constant { value: column[0] },
                });
                all.push((of_columns, Normalisation::Columns { columns: columns.collect() }));
            }
        }
        all
    }

    fn inputs(&self, normalisation: &Normalisation) -> Vec<f32> {
        let places = (0..self.values.len()).map(|i| i % self.columns);
        self.values
            .iter()
            .zip(places)
            .map(|(v, c)| self.transform(normalisation, c).forward(f64::from(*v)) as f32)
            .collect()
    }

    /// Of one column.
    fn transform(&self, normalisation: &Normalisation, column: usize) -> Transform {
        match normalisation {
            Normalisation::Columns { columns } => columns[column % columns.len()],
            Normalisation::Fixed { offset, scale } => Transform::Linear { offset: *offset, scale: *scale },
            // Of a chunk or a tile: the range of what is here stands for it.
            _ => {
                let [min, max, ..] = self.statistics(1)[0];
                Transform::Linear { offset: min, scale: (max - min).max(f64::MIN_POSITIVE) }
            }
        }
    }

    fn encode(&self, inputs: &[f32]) -> Result<Vec<f32>> {
        let rows = inputs.len() / self.encoder.input_len();
        let mut z = vec![0f32; rows * self.encoder.output_len()];
        self.encoder.encode(rows, inputs, &mut z)?;
        Ok(z)
    }

    /// Root mean square and largest error in parts of the range.
    fn errors(&self, normalisation: &Normalisation, steps: Option<&[f64]>) -> Result<[f64; 2]> {
        let mut z = self.encode(&self.inputs(normalisation))?;
        if let Some(steps) = steps {
            for (v, step) in z.iter_mut().zip(steps.iter().cycle()) {
                *v = ((f64::from(*v) / step).round_ties_even() * step) as f32;
            }
        }
        let decoded = decode_all(self.decoder, &z)?;
        let transforms: Vec<Transform> = (0..self.columns).map(|c| self.transform(normalisation, c)).collect();
        // A constant column has no range to measure an error by.
        let range = |&[min, max, ..]: &[f64; 4]| if max > min { max - min } else { f64::INFINITY };
        let ranges: Vec<f64> = self.statistics(self.columns).iter().map(range).collect();
        let (mut sum, mut largest) = (0.0, 0f64);
        for (i, (x, y)) in self.values.iter().zip(&decoded).enumerate() {
            let c = i % self.columns;
            let error = (f64::from(*x) - transforms[c].inverse(f64::from(*y))) / ranges[c];
            sum += error * error;
            largest = largest.max(error.abs());
        }
        Ok([(sum / self.values.len() as f64).sqrt(), largest])
    }
}
