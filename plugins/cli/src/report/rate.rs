//! The rate-distortion curve: some rows of an array, encoded at several bounds.

use super::compare::Sample;
use crate::check::Numbers;
use crate::failure::Result;
use crate::models::Models;
use crate::outcome::ratio;
use baler_codec::{Bound, Limits, ModelChoice, Params, decode, describe, encode};
use baler_models::report::{RateDistortion, RatePoint};

/// Encodes and decodes the sample at each bound, relative to the range of the whole array (of each column, for tables).
pub fn measure(sample: &Sample, bounds: &[f64], models: &Models, model: ModelChoice) -> Result<RateDistortion> {
    let array = &sample.array;
    let mut shape: Vec<usize> = array.shape.iter().map(|&n| n as usize).collect();
    let n_rows = sample.rows.end - sample.rows.start;
    if let Some(first) = shape.first_mut() {
        *first = n_rows as usize;
    }
    let raw_bytes = sample.bytes.len() as u64;
    let numbers = Numbers::new(array, 1);
    let mut x = Vec::new();
    numbers.read(&sample.bytes, array.byte_order, true, &mut x);
    let mut points = Vec::new();
    for &rel_bound in bounds {
        // Of the whole array, whatever the range of these rows.
        let abs = rel_bound * sample.range;
        let bound = match sample.per_column {
            true => Bound::Rel(rel_bound),
            false if abs > 0.0 && abs.is_finite() => Bound::Abs(abs),
            false => Bound::Lossless,
        };
        let mut params = Params::new(array.dtype, &shape, bound);
        params.byte_order = array.byte_order;
        params.per_column = sample.per_column;
        params.fill.clone_from(&array.fill);
        params.model = model;
        let stream = encode(&params, &sample.bytes, models.registry())?;
        let back = decode(&stream, models.registry(), &Limits::default())?;
        let mut y = Vec::with_capacity(x.len());
        numbers.read(&back.values, array.byte_order, false, &mut y);
        let used = describe(&stream)?.header.model.map(|id| id.to_string());
        let decoder_bytes = models.decoder_bytes(&used);
        let bytes = stream.len() as u64;
        points.push(RatePoint {
            rel_bound,
            bytes,
            decoder_bytes,
            ratio: ratio(raw_bytes, bytes),
            ratio_with_model: ratio(raw_bytes, bytes + decoder_bytes),
            bits_per_value: bytes as f64 * 8.0 / x.len() as f64,
            psnr: psnr(&x, &y, sample.range),
        });
    }
    Ok(RateDistortion {
        array: array.shown_name().to_owned(),
        rows: [sample.rows.start, sample.rows.end],
        is_whole: n_rows == array.rows(),
        raw_bytes,
        points,
        peers: Vec::new(),
    })
}

/// In dB; `None` where nothing differs.
fn psnr(x: &[f64], y: &[f64], range: f64) -> Option<f64> {
    let finite = || x.iter().zip(y).filter(|(x, _)| x.is_finite());
    let squares: f64 = finite().map(|(x, y)| (y - x) * (y - x)).sum();
    let db = 20.0 * range.log10() - 10.0 * (squares / finite().count() as f64).log10();
    db.is_finite().then_some(db)
}
