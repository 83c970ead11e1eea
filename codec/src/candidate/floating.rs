//! Method 10: floats, exactly, after n-dimensional Lorenzo prediction in floating-point arithmetic.

use super::{Part, Target};
use crate::bound::Promise;
use crate::entropy::context::Lattice;
use crate::entropy::{self, Beside, Hints, Int};
use crate::error::{Error, Result};
use crate::params::{Dtype, Effort};
use crate::predict::floating::{Float, Plan};
use crate::predict::lorenzo::working_extents;
use crate::predict::search::bits_per_value;
use crate::predict::stream;
use crate::special::Specials;
use crate::wire::{Reader, Writer};

/// Encodes if an estimate says that may take fewer than `to_beat` bytes.
pub(crate) fn encode(part: &Part<'_>, to_beat: usize) -> Option<Vec<u8>> {
    match (part.promise, part.dtype()) {
        (Promise::Exact, Dtype::F32) => encode_as::<f32>(part, to_beat),
        (Promise::Exact, Dtype::F64) => encode_as::<f64>(part, to_beat),
        _ => None,
    }
}

fn encode_as<F: Float>(part: &Part<'_>, to_beat: usize) -> Option<Vec<u8>> {
    let specials = part.specials;
    let mut words = F::words(part.elements.bytes);
    if !specials.classes.is_empty() {
        repeat_over_masked(&mut words, specials);
    }
    let plans = Plan::shortlist::<F>(&words, &working_extents(part.shape)).into_iter().map(|plan| {
        let residual = plan.residual::<F>(&mut words, |i| specials.is_masked(i));
        let bits = bits_per_value(&residual) * residual.len() as f64;
        (plan, residual, bits)
    });
    let (plan, residual, bits) = plans.min_by(|a, b| a.2.total_cmp(&b.2))?;
    if part.effort != Effort::Max {
        // Along one axis differences of integers do as well.
        let is_linear = plan.orders.iter().filter(|&&o| o > 0).count() < 2;
        // The estimate knows nothing of contexts.
        if is_linear || bits / 8.0 * 0.75 > to_beat as f64 {
            return None;
        }
    }
    drop(words);

    let mut out = Writer::default();
    specials.write(part.dtype(), &mut out);
    out.u8(plan.shift as u8);
    stream::write_head::<F::Word>(&plan.extents, &plan.orders, &mut out);
    let lattice = Lattice { extents: &plan.extents, classes: &specials.classes };
    let hints = Hints { effort: part.effort, is_residual: true, lattice, beside: Beside::Nothing };
    out.raw(&entropy::encode(&residual, hints));
    Some(out.bytes)
}

/// Puts the value before in the place of each that is taken out, so that estimates do not see it.
fn repeat_over_masked<I: Int>(words: &mut [I], specials: &Specials) {
    let mut last = I::default();
    for (i, word) in words.iter_mut().enumerate() {
        if specials.is_masked(i) {
            *word = last;
        }
        last = *word;
    }
}

fn n_coded(n: usize, specials: &Specials) -> usize {
    (0..n).filter(|&i| !specials.is_masked(i)).count()
}

pub(crate) fn decode(payload: &[u8], target: &mut Target<'_>) -> Result<()> {
    match target.dtype {
        Dtype::F32 => decode_as::<f32>(payload, target),
        Dtype::F64 => decode_as::<f64>(payload, target),
        dtype => Err(Error::corrupt(format!("{dtype} predicted as floats: expected float32 or float64"))),
    }
}

fn decode_as<F: Float>(payload: &[u8], target: &mut Target<'_>) -> Result<()> {
    let n = target.n_values();
    let mut input = Reader::new(payload);
    let specials = Specials::read(target.dtype, n, &mut input)?;
    let shift = u32::from(input.u8("a shift")?);
    let (width, extents, orders) = stream::read_head(&mut input, n)?;
    let is_right = usize::from(width) == F::Word::SIZE_BYTES && shift <= F::MAX_SHIFT;
    if !is_right || orders.iter().any(|&order| order > 1) {
        return Err(Error::corrupt(format!(
            "{} in {width} bytes without {shift} bits, predicted with orders {orders:?}",
            target.dtype
        )));
    }
    let plan = Plan { extents, orders, shift };
    let lattice = Lattice { extents: &plan.extents, classes: &specials.classes };
    let mut words: Vec<F::Word> = entropy::decode(input.rest(), n_coded(n, &specials), lattice)?;
    if !specials.classes.is_empty() {
        let mut coded = words.into_iter();
        let spread = specials.classes.iter().map(|&class| if class == 0 { coded.next() } else { None });
        words = spread.map(Option::unwrap_or_default).collect();
    }
    plan.undo::<F>(&mut words, |i| specials.is_masked(i));
    F::put_words(&words, target.out);
    target.restore(&specials);
    Ok(())
}

/// What the head says.
pub(crate) fn summarise(payload: &[u8], dtype: Dtype, n: usize) -> Result<stream::Summary> {
    let mut input = Reader::new(payload);
    Specials::read(dtype, n, &mut input)?;
    input.u8("a shift")?;
    stream::summarise(input.rest(), n)
}
