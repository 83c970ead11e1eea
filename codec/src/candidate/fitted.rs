//! Method 8: quantised integers and the residual of a prediction fitted to them. Where few integers occur (values on a
//! lattice of their own, a detector's lookup table), their ranks stand for them.

use super::{Exceptions, Part, Target, occurring};
use crate::entropy::Int;
use crate::error::Result;
use crate::params::Effort;
use crate::predict::fitted::{self, Weights};
use crate::predict::lorenzo::MAX_AXES;
use crate::predict::stream::{self, Ints};
use crate::quantize::{Quantised, Quantiser};
use crate::special::Specials;
use crate::wire::{Reader, Writer};
use std::convert::Infallible;

/// Encodes if an estimate says that may take fewer than `to_beat` bytes.
pub(crate) fn encode(part: &Part<'_>, quantised: &Quantised, to_beat: usize) -> Option<Vec<u8>> {
    // Weights take a hundred bytes or so. Wide integers are bits of floats or keys, not samples of a field.
    let Ints::I32(q) = &quantised.q else { return None };
    if q.len() < 256 {
        return None;
    }
    let extents = fitted::extents_of(part.shape);
    let mut best = Prediction::new(q, &extents, part);
    let occurring = occurring_in(q);
    if !occurring.is_empty() {
        let ranked = Prediction::new(&occurring::ranks(q, &occurring), &extents, part);
        // About a byte for each.
        let bits = ranked.bits + 8.0 * occurring.len() as f64;
        if bits < best.bits {
            best = Prediction { occurring, ..ranked };
        }
    }
    // The estimate knows nothing of contexts, which save most where nearly all residuals are zero.
    // In a column contexts find less.
    let least_share = if extents[2] > 1 { 0.6 } else { 0.9 };
    if part.effort != Effort::Max && best.bits / 8.0 * least_share > to_beat as f64 {
        return None;
    }

    let mut out = Writer::default();
    part.specials.write(part.dtype(), &mut out);
    quantised.quantiser.write(&mut out);
    Exceptions::write(part.elements, &quantised.exceptions, &mut out);
    fitted::write_extents(&extents, &mut out);
    occurring::write(&best.occurring, &mut out);
    fitted::write_weights(&best.weights, &mut out);
    out.raw(&stream::encode_plain(&best.residual, part.shape, &part.specials.classes, part.effort));
    Some(out.bytes)
}

/// Bytes that the weights take, about.
pub(crate) fn weight_bytes(shape: &[usize]) -> usize {
    fitted::sets(&fitted::extents_of(shape)).map(|set| fitted::n_taps(set) * 5 / 2).sum()
}

/// What is coded, and its bits without contexts.
struct Prediction {
    weights: Weights,
    residual: Ints,
    bits: f64,
    /// The integers that ranks stand for; empty if there are no ranks.
    occurring: Vec<i64>,
}

impl Prediction {
    fn new(q: &[i32], extents: &[usize; MAX_AXES], part: &Part<'_>) -> Self {
        let specials = part.specials;
        let n_samples = match part.effort {
            Effort::Max => 1 << 14,
            Effort::Default => 1 << 13,
            // Nothing but what the auction compares.
            Effort::Fast => 1 << 11,
        };
        let weights = fitted::fit(q, extents, n_samples, |i| !specials.is_masked(i));
        let residual = if specials.classes.is_empty() {
            fitted::residual(q, extents, &weights)
        } else {
            masked_residual(q.to_vec(), extents, &weights, specials)
        };
        let residual = match residual {
            Some(narrow) => Ints::I32(narrow),
            None => {
                let wide = q.iter().map(|&q| i64::from(q)).collect();
                let residual = masked_residual(wide, extents, &weights, specials);
                residual.expect("64 bits hold everything").into_iter().collect()
            }
        };
        let bits = residual.bits_per_value() * residual.len() as f64;
        Self { weights, residual, bits, occurring: Vec::new() }
    }
}

/// What is left of the values, of which those taken out hold their prediction; `None` where either does not fit.
fn masked_residual<I: Int>(
    mut values: Vec<I>,
    extents: &[usize; MAX_AXES],
    weights: &Weights,
    specials: &Specials,
) -> Option<Vec<I>> {
    let mut residual = vec![I::default(); values.len()];
    let done = fitted::scan(&mut values, extents, weights, |i, v, prediction| {
        if specials.is_masked(i) {
            return I::from_i64(prediction).ok_or(());
        }
        residual[i] = I::from_i64(v.to_i64().wrapping_sub(prediction)).ok_or(())?;
        Ok(v)
    });
    done.is_ok().then_some(residual)
}

/// The integers that occur, rising, if they are few and far between.
fn occurring_in(q: &[i32]) -> Vec<i64> {
    const MOST: usize = 1 << 14;
    let some = occurring::find_near(q, MOST.min(q.len() / 8));
    let range = some.last().zip(some.first()).map_or(0, |(max, min)| max - min);
    if (some.len() as i64) * 5 / 4 < range { some } else { Vec::new() }
}

pub(crate) fn decode(payload: &[u8], target: &mut Target<'_>) -> Result<()> {
    let n = target.n_values();
    let mut input = Reader::new(payload);
    let specials = Specials::read(target.dtype, n, &mut input)?;
    let quantiser = Quantiser::read(target.dtype, &mut input)?;
    let exceptions = Exceptions::read(target.dtype.size_bytes(), n, &mut input)?;
    let extents = fitted::read_extents(n, &mut input)?;
    let occurring = occurring::read(n, &mut input)?;
    let weights = fitted::read_weights(&extents, &mut input)?;
    let residual = stream::decode(input.rest(), n, &specials.classes)?;
    let mut values = undo(residual, &extents, &weights, &specials);
    if !occurring.is_empty() {
        values = occurring::of_ranks(values, &occurring);
    }
    quantiser.decode_all(target.dtype, &values, target.out);
    exceptions.restore(target);
    target.restore(&specials);
    Ok(())
}

/// The values that left this residual, in its place.
fn undo(residual: Ints, extents: &[usize; MAX_AXES], weights: &Weights, specials: &Specials) -> Ints {
    // Values have taken the place of residuals before this position.
    let mut n_done = 0;
    let mut wide = match residual {
        Ints::I32(mut narrow) => {
            let result = fitted::scan(&mut narrow, extents, weights, |i, residual, prediction| {
                n_done = i;
                let residual = if specials.is_masked(i) { 0 } else { i64::from(residual) };
                i32::try_from(prediction.wrapping_add(residual))
            });
            if result.is_ok() {
                return Ints::I32(narrow);
            }
            narrow.into_iter().map(i64::from).collect()
        }
        Ints::I64(wide) => wide,
    };
    let Ok(()) = fitted::scan(&mut wide, extents, weights, |i, there, prediction| {
        let residual = if specials.is_masked(i) { 0 } else { there };
        Ok::<_, Infallible>(if i < n_done { there } else { prediction.wrapping_add(residual) })
    });
    Ints::I64(wide)
}
