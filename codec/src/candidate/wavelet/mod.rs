//! Method 7: wavelet coefficients in equal steps, and what is left of the values. Floating point under an absolute bound.
//!
//! A coefficient's error spreads over many values, where errors of many coefficients add up to something normal: steps
//! above the bound keep it nearly everywhere, and the few values beyond get a correction. The idea of corrections is
//! SPERR's (Li, Lindstrom, Clyne, IPDPS 2023, doi:10.1109/IPDPS54959.2023.00104). At bounds that are loose for the data
//! this beats prediction, whose errors are each as large as the bound.

mod bands;
mod choose;
mod coefficients;
mod transform;

use super::{Exceptions, Part, Target, interpolated};
use crate::bound::{Promise, within_abs};
use crate::element::{Elements, bits_to_f64, f64_to_bits, put_f64};
use crate::entropy::{Beside, Int};
use crate::error::{Error, Result};
use crate::params::{Dtype, Effort};
use crate::predict::lorenzo::working_extents;
use crate::predict::stream::{self, Ints};
use crate::quantize::half_step;
use crate::simd::{self, Kernel};
use crate::special::Specials;
use crate::wire::{Reader, Writer};
use choose::{Sample, Transformed};
use coefficients::Coder;
use transform::{AXES, Group, Layout};

/// Corrections from here up are exceptions: `r as f64` is exact with room to spare.
const MAX_CORRECTION: f64 = (1u64 << 51) as f64;

/// Set in the number of groups where rANS codes the coefficients.
const RANS: u8 = 0x80;

/// What is transformed: all values about the middle of their range.
struct Centred {
    values: Vec<f64>,
    offset: f64,
    /// The largest magnitude there is.
    most: f64,
}

impl Centred {
    fn of(part: &Part<'_>) -> Option<Self> {
        let mut values = part.elements.to_numbers();
        let (min, max) = interpolated::fill_special(&mut values, part.specials)?;
        let offset = 0.5 * min + 0.5 * max;
        values.iter_mut().for_each(|v| *v -= offset);
        Some(Self { values, offset, most: min.abs().max(max.abs()) })
    }
}

/// The bound of what can be coded so.
fn bound(part: &Part<'_>) -> Option<f64> {
    let Promise::Abs(abs) = part.promise else { return None };
    (part.dtype().is_float() && part.n_values() >= 64).then_some(abs)
}

/// About the bytes that a part takes but for what is written once, if that may be fewer than `to_beat`.
pub(crate) fn quick_len(part: &Part<'_>, to_beat: usize) -> Option<usize> {
    let abs = bound(part)?;
    let Centred { values, most, .. } = Centred::of(part)?;
    let step = 2.0 * half_step(part.dtype(), most, abs)?;
    let extents = transform::pad(&working_extents(part.shape));
    let plan = choose::plan(&Sample::all(values, extents), step, to_beat, part.effort)?;
    Some(plan.bytes as usize)
}

/// Encodes if a sample says that may take fewer than `to_beat` bytes.
pub(crate) fn encode(part: &Part<'_>, to_beat: usize) -> Option<Vec<u8>> {
    let abs = bound(part)?;
    // Made wherever it is needed, as it is the largest thing there is.
    let Centred { values, offset, most } = Centred::of(part)?;
    let step = 2.0 * half_step(part.dtype(), most, abs)?;
    let extents = transform::pad(&working_extents(part.shape));
    let sample = Sample::cut(&values, extents, part.effort);
    drop(values);
    let plan = choose::plan(&sample, step, to_beat, part.effort)?;
    drop(sample);

    let coefficient_step = step * plan.factor;
    // What the plan promised for a block may not hold for the whole.
    let is_too_long = |bits: f64, corrections: f64| {
        part.effort != Effort::Max && (bits / 8.0 + corrections) * plan.share > to_beat as f64
    };
    let centred = || Some(Centred::of(part)?.values);
    let transformed = choose::transform(centred, extents, &plan, coefficient_step, is_too_long)?;
    let Transformed { groups, layout, mut q, mut values, bits } = transformed;
    dequantise(&q, coefficient_step, &mut values);
    layout.inverse(&mut values);

    let dtype = part.dtype();
    let (corrections, exceptions) = corrections(part, &values, offset, step, abs);
    if is_too_long(bits, corrections.bits_per_value() * corrections.len() as f64 / 8.0) {
        return None;
    }
    drop(values);

    let mut out = Writer::default();
    part.specials.write(dtype, &mut out);
    out.f64(offset);
    out.f64(step);
    out.f64(coefficient_step);
    for extent in extents {
        out.varint(extent as u64);
    }
    let (coder, coefficients) = coefficients::encode(&mut q, &layout, part.effort);
    drop(q);
    out.u8(groups.len() as u8 | if coder == Coder::Rans { RANS } else { 0 });
    for group in &groups {
        out.u8(group.axes);
        out.u8(group.n_levels);
    }
    Exceptions::write(part.elements, &exceptions, &mut out);
    out.block(&coefficients);
    let beside = Beside::Bytes(coefficients.len());
    out.raw(&stream::encode_beside(&corrections, part.shape, &part.specials.classes, part.effort, beside));
    Some(out.bytes)
}

/// Steps from `offset + values` to the values of the part, and the positions where no step leads there.
fn corrections(part: &Part<'_>, values: &[f64], offset: f64, step: f64, abs: f64) -> (Ints, Vec<usize>) {
    let dtype = part.dtype();
    if let Some(plain) = simd::run(Plain { part, values, offset, step, abs }) {
        return (Ints::I32(plain), Vec::new());
    }
    let is_special = crate::special::special_test(dtype, None);
    let mut corrections = Ints::zeros(values.len());
    let mut exceptions = Vec::new();
    for (i, &v) in values.iter().enumerate().filter(|&(i, _)| !part.specials.is_masked(i)) {
        let (x, y) = (part.elements.value(i), offset + v);
        let r = ((x - y) / step).round_ties_even();
        let decoded = bits_to_f64(dtype, f64_to_bits(dtype, y + r * step));
        let is_kept = r.abs() <= MAX_CORRECTION && decoded.is_finite() && within_abs(decoded, x, abs);
        if is_kept && !is_special(part.elements.bits(i)) {
            corrections.set(i, r as i64);
        } else {
            exceptions.push(i);
        }
    }
    (corrections, exceptions)
}

/// The commonest case: corrections that are narrow, and keep the bound with certainty for every value.
struct Plain<'a> {
    part: &'a Part<'a>,
    values: &'a [f64],
    offset: f64,
    step: f64,
    abs: f64,
}

impl Kernel for Plain<'_> {
    type Output = Option<Vec<i32>>;

    #[inline(always)]
    fn run(self) -> Option<Vec<i32>> {
        const BLOCK: usize = 1024;
        let Self { part, values, offset, step, abs } = self;
        let dtype = part.dtype();
        let is_narrow = match dtype {
            Dtype::F32 => true,
            Dtype::F64 => false,
            _ => return None,
        };
        let mut corrections = vec![0i32; values.len()];
        let mut exact = [0.0; BLOCK];
        let blocks = corrections.chunks_mut(BLOCK).zip(values.chunks(BLOCK));
        let bytes = part.elements.bytes.chunks(BLOCK * dtype.size_bytes());
        for (k, ((corrections, values), bytes)) in blocks.zip(bytes).enumerate() {
            Elements::new(dtype, bytes).read_numbers(&mut exact[..values.len()]);
            if !part.specials.classes.is_empty() {
                let classes = &part.specials.classes[k * BLOCK..];
                for ((x, &v), _) in exact.iter_mut().zip(values).zip(classes).filter(|(_, class)| **class != 0) {
                    *x = offset + v;
                }
            }
            let mut is_kept = true;
            for ((correction, &x), &v) in corrections.iter_mut().zip(&exact).zip(values) {
                let y = offset + v;
                *correction = ((x - y) / step).round_ties_even() as i32;
                let decoded = y + f64::from(*correction) * step;
                let decoded = if is_narrow { f64::from(decoded as f32) } else { decoded };
                // False for NaN, and for what did not fit.
                is_kept &= (decoded - x).abs() < abs;
            }
            if !is_kept {
                return None;
            }
        }
        Some(corrections)
    }
}

pub(crate) fn decode(payload: &[u8], target: &mut Target<'_>) -> Result<()> {
    let (dtype, n) = (target.dtype, target.n_values());
    let mut input = Reader::new(payload);
    let specials = Specials::read(dtype, n, &mut input)?;
    let (offset, step) = (input.f64("the offset")?, input.f64("the step")?);
    let coefficient_step = input.f64("the step of the coefficients")?;
    let mut extents = [0; AXES];
    for extent in &mut extents {
        *extent = input.size("an extent")?;
    }
    let n_groups = input.u8("the number of groups of axes")?;
    let coder = if n_groups & RANS == 0 { Coder::Mixed } else { Coder::Rans };
    let n_groups = usize::from(n_groups & !RANS);
    let groups = input.raw(2 * n_groups, "the groups of axes")?;
    let groups: Vec<Group> = groups.chunks_exact(2).map(|g| Group { axes: g[0], n_levels: g[1] }).collect();
    let product = extents.iter().try_fold(1usize, |p, &e| p.checked_mul(e));
    let (union, sum) = groups.iter().fold((0u8, 0u32), |(u, s), g| (u | g.axes, s + u32::from(g.axes)));
    if !dtype.is_float()
        || product != Some(n)
        || n_groups > AXES
        || union >> AXES != 0
        || sum != u32::from(union)
        || ![offset, step, coefficient_step].iter().all(|v| v.is_finite())
    {
        return Err(Error::corrupt(format!(
            "wavelets over {extents:?} by {groups:?} in steps of {coefficient_step} and {step} from {offset} for {n} \
             values of {dtype}"
        )));
    }
    let layout = Layout::new(extents, &groups);
    let exceptions = Exceptions::read(dtype.size_bytes(), n, &mut input)?;
    let q = coefficients::decode(coder, input.block("the wavelet coefficients")?, &layout, n)?;
    let mut values = vec![0.0; n];
    dequantise(&q, coefficient_step, &mut values);
    drop(q);
    layout.inverse(&mut values);
    let corrections = stream::decode(input.rest(), n, &specials.classes)?;
    match &corrections {
        Ints::I32(corrections) => {
            simd::run(Corrected { dtype, values: &values, corrections, offset, step, out: target.out });
        }
        Ints::I64(corrections) => {
            simd::run(Corrected { dtype, values: &values, corrections, offset, step, out: target.out });
        }
    }
    exceptions.restore(target);
    target.restore(&specials);
    Ok(())
}

/// The values: what the transform gives, moved by as many steps as it is off.
struct Corrected<'a, I> {
    dtype: Dtype,
    values: &'a [f64],
    corrections: &'a [I],
    offset: f64,
    step: f64,
    out: &'a mut [u8],
}

impl<I: Int> Kernel for Corrected<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { dtype, values, corrections, offset, step, out } = self;
        let corrected = |(v, r): (&f64, &I)| offset + v + r.to_i64() as f64 * step;
        put_f64(dtype, values.iter().zip(corrections).map(corrected), out);
    }
}

fn dequantise(q: &[i32], step: f64, values: &mut [f64]) {
    for (v, &q) in values.iter_mut().zip(q) {
        *v = f64::from(q) * step;
    }
}
