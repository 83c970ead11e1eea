//! Method 5: multi-level interpolation from decoded values, and the residual. Floating point under an absolute bound.

use super::{Exceptions, Part, Target};
use crate::bound::{Promise, within_abs};
use crate::element::{bits_to_f64, extremes, f64_to_bits, put_f64};
use crate::error::{Error, Result};
use crate::params::{Dtype, Effort};
use crate::predict::interpolate::{AXES, Plan, Points, RUN, Visit, walk};
use crate::predict::lorenzo::working_extents;
use crate::predict::search::bits_per_value;
use crate::predict::stream::{self, Ints};
use crate::quantize::half_step;
use crate::special::{Specials, special_test};
use crate::wire::{Reader, Writer};

/// Residuals from here up are exceptions: `r as f64` is exact with room to spare.
const MAX_RESIDUAL: f64 = (1u64 << 51) as f64;

/// Encodes if the estimate says that may take fewer than `to_beat` bytes.
pub(crate) fn encode(part: &Part<'_>, to_beat: usize) -> Option<Vec<u8>> {
    let Promise::Abs(abs) = part.promise else { return None };
    if !part.dtype().is_float() || part.n_values() < 64 {
        return None;
    }
    let mut values = part.elements.to_numbers();
    let (min, max) = fill_special(&mut values, part.specials)?;
    let step = 2.0 * half_step(part.dtype(), min.abs().max(max.abs()), abs)?;
    let begin = values[0];
    let extents = Plan::pad(&working_extents(part.shape));
    let (plan, bits) = choose_plan(&values, extents, begin, step, part.effort);
    // The estimate knows nothing of contexts, which save most where nearly all residuals are zero.
    if part.effort != Effort::Max && bits * values.len() as f64 / 8.0 * 0.6 > to_beat as f64 {
        return None;
    }

    let dtype = part.dtype();
    let steps = plan.steps(step);
    let (mut residual, mut exceptions) = (Ints::zeros(values.len()), Vec::new());
    let quantise = Quantise { part, abs, steps: &steps, residual: &mut residual, exceptions: &mut exceptions };
    walk(&plan, &mut values, begin, quantise);
    drop(values);
    exceptions.sort_unstable();

    let mut out = Writer::default();
    part.specials.write(dtype, &mut out);
    out.f64(begin);
    out.f64(step);
    for extent in plan.extents {
        out.varint(extent as u64);
    }
    out.u8(plan.first_axis as u8 | if plan.fastest_first { 0x80 } else { 0 });
    out.u8(plan.step_codes.len() as u8);
    out.raw(&plan.step_codes);
    Exceptions::write(part.elements, &exceptions, &mut out);
    out.raw(&stream::encode_plain(&residual, part.shape, &part.specials.classes, part.effort));
    Some(out.bytes)
}

pub(crate) fn decode(payload: &[u8], target: &mut Target<'_>) -> Result<()> {
    let (dtype, n) = (target.dtype, target.n_values());
    let mut input = Reader::new(payload);
    let specials = Specials::read(dtype, n, &mut input)?;
    let (begin, step) = (input.f64("the first prediction")?, input.f64("the step")?);
    let mut extents = [0; AXES];
    for extent in &mut extents {
        *extent = input.size("an extent")?;
    }
    let order = input.u8("the order of the axes")?;
    let n_levels = usize::from(input.u8("the number of levels")?);
    let step_codes = input.raw(n_levels, "the levels' steps")?.to_vec();
    let plan = Plan { extents, first_axis: usize::from(order & 0x7f), fastest_first: order & 0x80 != 0, step_codes };
    let product = extents.iter().try_fold(1usize, |p, &e| p.checked_mul(e));
    if !dtype.is_float()
        || product != Some(n)
        || plan.first_axis >= AXES
        || n_levels != Plan::n_levels(&extents, plan.first_axis)
        || !(begin.is_finite() && step.is_finite() && step > 0.0)
    {
        return Err(Error::corrupt(format!(
            "interpolation by {plan:?} from {begin} in steps of {step} of {n} {dtype}"
        )));
    }
    let exceptions = Exceptions::read(dtype.size_bytes(), n, &mut input)?;
    let residual = stream::decode(input.rest(), n, &specials.classes)?;
    let steps = plan.steps(step);
    let mut values = vec![0.0; n];
    walk(&plan, &mut values, begin, Restore { specials: &specials, residual: &residual, steps: &steps });
    put_f64(dtype, values.into_iter(), target.out);
    exceptions.restore(target);
    target.restore(&specials);
    Ok(())
}

/// Residuals and decoded values of a part.
struct Quantise<'a, 'b> {
    part: &'a Part<'b>,
    abs: f64,
    steps: &'a [f64],
    residual: &'a mut Ints,
    exceptions: &'a mut Vec<usize>,
}

impl Visit for Quantise<'_, '_> {
    #[inline(always)]
    fn visit(&mut self, points: Points, values: &mut [f64], predictions: &[f64], level: usize) {
        match self.part.dtype() {
            Dtype::F32 => self.visit_as(points, values, predictions, level, |y| f64::from(y as f32)),
            Dtype::F64 => self.visit_as(points, values, predictions, level, |y| y),
            dtype => {
                let stored = |y| bits_to_f64(dtype, f64_to_bits(dtype, y));
                self.visit_as(points, values, predictions, level, stored);
            }
        }
    }
}

impl Quantise<'_, '_> {
    /// `stored` gives what is left of a number in the dtype.
    #[inline(always)]
    fn visit_as(
        &mut self,
        points: Points,
        values: &mut [f64],
        predictions: &[f64],
        level: usize,
        stored: impl Fn(f64) -> f64,
    ) {
        let step = self.steps[level];
        // NaN where the value cannot be kept within the bound.
        let mut residual = [0.0; RUN];
        for ((x, prediction), residual) in values.iter_mut().zip(predictions).zip(&mut residual) {
            let r = ((*x - prediction) / step).round_ties_even();
            let y = prediction + r * step;
            let decoded = stored(y);
            let is_kept = (r.abs() <= MAX_RESIDUAL) & decoded.is_finite() & within_abs(decoded, *x, self.abs);
            *residual = if is_kept { r } else { f64::NAN };
            *x = y;
        }
        let Part { specials, elements, .. } = self.part;
        let is_special = special_test(elements.dtype, None);
        for (k, (y, prediction)) in values.iter_mut().zip(predictions).enumerate() {
            let (i, r) = (points.place(k), residual[k]);
            if !r.is_nan() && (specials.classes.is_empty() || !specials.is_masked(i) && !is_special(elements.bits(i))) {
                self.residual.set(i, r as i64);
            } else {
                *y = *prediction;
                if !specials.is_masked(i) {
                    self.exceptions.push(i);
                }
            }
        }
    }
}

/// Values from residuals. Special values and exceptions hold their prediction, whatever the residual says of the former.
struct Restore<'a> {
    specials: &'a Specials,
    residual: &'a Ints,
    steps: &'a [f64],
}

impl Visit for Restore<'_> {
    #[inline(always)]
    fn visit(&mut self, points: Points, values: &mut [f64], predictions: &[f64], level: usize) {
        let step = self.steps[level];
        for (k, (value, prediction)) in values.iter_mut().zip(predictions).enumerate() {
            let i = points.place(k);
            let restored = prediction + self.residual.get(i) as f64 * step;
            *value = if self.specials.is_masked(i) { *prediction } else { restored };
        }
    }
}

/// Residuals alone, of whatever size.
struct Estimate<'a> {
    residual: &'a mut [i64],
    steps: &'a [f64],
}

impl Visit for Estimate<'_> {
    #[inline(always)]
    fn visit(&mut self, points: Points, values: &mut [f64], predictions: &[f64], level: usize) {
        let step = self.steps[level];
        for (k, (value, prediction)) in values.iter_mut().zip(predictions).enumerate() {
            let r = ((*value - prediction) / step).round_ties_even().clamp(-MAX_RESIDUAL, MAX_RESIDUAL);
            self.residual[points.place(k)] = r as i64;
            *value = prediction + r * step;
        }
    }
}

/// Special values take the one before, so that estimates do not see them; smallest and largest of the others.
pub(super) fn fill_special(values: &mut [f64], specials: &Specials) -> Option<(f64, f64)> {
    if specials.classes.is_empty() {
        return extremes(values);
    }
    for (v, _) in values.iter_mut().zip(&specials.classes).filter(|(_, class)| **class != 0) {
        *v = f64::NAN;
    }
    let (min, max) = extremes(values)?;
    let mut last = min;
    for v in values {
        if v.is_finite() {
            last = *v;
        }
        *v = last;
    }
    Some((min, max))
}

/// Values of the block that plans are compared on.
const MAX_SAMPLE: usize = 1 << 16;
const MIN_SAMPLE: usize = 1 << 12;

/// The plan with the fewest bits, and those for each value: first the axes, then the steps of the levels.
fn choose_plan(values: &[f64], extents: [usize; AXES], begin: f64, step: f64, effort: Effort) -> (Plan, f64) {
    let size = if effort == Effort::Max { MAX_SAMPLE } else { (values.len() / 4).clamp(MIN_SAMPLE, MAX_SAMPLE) };
    let (sample, sample_extents) = cut_sample(values, extents, size);
    let plan = |extents: [usize; AXES], axes: (usize, bool), growth: Growth| Plan {
        extents,
        first_axis: axes.0,
        fastest_first: axes.1,
        step_codes: (0..Plan::n_levels(&extents, axes.0)).map(|l| growth.code(l)).collect(),
    };
    let bits = |axes, growth| estimate(&sample, &plan(sample_extents, axes, growth), begin, step);
    let n_leading = extents.iter().take_while(|&&e| e == 1).count().min(AXES - 1);
    let choices = (n_leading..AXES).flat_map(|first| [(first, false), (first, true)]);
    let (axes, _) = least(choices, |&axes| bits(axes, GROWTHS[0]));
    let n_growths = if effort == Effort::Fast { 1 } else { GROWTHS.len() };
    let (growth, bits) = least(GROWTHS.into_iter().take(n_growths), |&growth| bits(axes, growth));
    (plan(extents, axes, growth), bits)
}

fn least<T>(choices: impl Iterator<Item = T>, cost: impl Fn(&T) -> f64) -> (T, f64) {
    let with_cost = choices.map(|choice| {
        let cost = cost(&choice);
        (choice, cost)
    });
    with_cost.min_by(|a, b| a.1.total_cmp(&b.1)).expect("there is at least one choice")
}

/// Steps on level `l`, counted from 0, are divided by `min(by^l, most)`.
#[derive(Clone, Copy)]
struct Growth {
    by: f64,
    most: f64,
}

/// What is tried, the usual one first.
const GROWTHS: [Growth; 4] = [
    Growth { by: 1.25, most: 2.0 },
    Growth { by: 1.0, most: 1.0 },
    Growth { by: 1.5, most: 3.0 },
    Growth { by: 2.0, most: 4.0 },
];

impl Growth {
    fn code(self, level: usize) -> u8 {
        ((self.by.powi(level as i32).min(self.most) - 1.0) * 16.0).round() as u8
    }
}

fn estimate(sample: &[f64], plan: &Plan, begin: f64, step: f64) -> f64 {
    let steps = plan.steps(step);
    let mut values = sample.to_vec();
    let mut residual = vec![0i64; values.len()];
    walk(plan, &mut values, begin, Estimate { residual: &mut residual, steps: &steps });
    bits_per_value(&residual)
}

/// The block of extents `cut` in the middle of an array.
pub(super) fn middle_block(values: &[f64], extents: [usize; AXES], cut: [usize; AXES]) -> Vec<f64> {
    let start: [usize; AXES] = std::array::from_fn(|a| (extents[a] - cut[a]) / 2);
    let mut block = Vec::with_capacity(cut.iter().product());
    for a in start[0]..start[0] + cut[0] {
        for b in start[1]..start[1] + cut[1] {
            for c in start[2]..start[2] + cut[2] {
                let row = ((a * extents[1] + b) * extents[2] + c) * extents[3] + start[3];
                block.extend_from_slice(&values[row..row + cut[3]]);
            }
        }
    }
    block
}

/// A block of about `size` values from the middle, cut along the slowest axes only.
fn cut_sample(values: &[f64], extents: [usize; AXES], size: usize) -> (Vec<f64>, [usize; AXES]) {
    let mut cut = extents;
    for axis in 0..AXES {
        while cut.iter().product::<usize>() > size && cut[axis] > 16 {
            cut[axis] = cut[axis].div_ceil(2);
        }
    }
    (middle_block(values, extents, cut), cut)
}
