//! The candidates that need no model, and which of them to encode a part with.
//!
//! Encoding with each would take the time of all. A block from the middle says nearly as well which is the smallest, so at
//! the default effort all are tried on that, and the whole part is encoded with one.

use crate::bound::Promise;
use crate::candidate::{self, Part, fitted, floating, interpolated, numbers, quantised, wavelet};
use crate::element::Elements;
use crate::params::{Candidates, Effort};
use crate::predict::lorenzo::working_extents;
use crate::quantize::{Quantised, quantise};

/// One of the candidates.
pub(super) struct Classical {
    pub method: u8,
    /// The payload, if an estimate says that it may take fewer bytes than the last argument.
    pub encode: fn(&Part<'_>, &Quantised, usize) -> Option<Vec<u8>>,
    /// Bytes that it takes for a sample, if that is known sooner.
    quick_len: Option<fn(&Part<'_>, usize) -> Option<usize>>,
    /// Bytes that it takes however many values there are.
    overhead: fn(&[usize]) -> usize,
    /// What its bytes are multiplied by when samples are compared: slow ones have to gain something.
    handicap: f64,
    /// How much larger than the smallest its bytes for a sample may be for the whole to be tried: more than 1 for what
    /// gains with the extents.
    margin: fn(Promise) -> f64,
}

/// Bytes of what coders write in front, about: not to be scaled up from a block.
const TABLES: usize = 100;

/// The quickest first.
const CLASSICAL: [Classical; 6] = [
    Classical {
        method: candidate::QUANTISED,
        encode: |part, quantised, _| Some(quantised::encode(part, quantised)),
        quick_len: None,
        overhead: |_| TABLES,
        handicap: 1.0,
        // Without a bound, values at the edges of the sample weigh more: few neighbours predict all their bits.
        margin: |promise| if promise == Promise::Exact { 1.05 } else { 1.0 },
    },
    Classical {
        method: candidate::FLOATING,
        encode: |part, _, to_beat| floating::encode(part, to_beat),
        quick_len: None,
        overhead: |_| TABLES,
        handicap: 1.0,
        margin: |_| 1.05,
    },
    Classical {
        method: candidate::NUMBERS,
        encode: |part, _, to_beat| numbers_pay(part, to_beat).then(|| numbers::encode(part)).flatten(),
        quick_len: None,
        overhead: |_| TABLES,
        handicap: 1.0,
        margin: |_| 1.3,
    },
    Classical {
        method: candidate::FITTED,
        encode: fitted::encode,
        quick_len: None,
        overhead: |shape| fitted::weight_bytes(shape) + TABLES,
        handicap: 1.01,
        margin: |_| 1.0,
    },
    Classical {
        method: candidate::INTERPOLATED,
        encode: |part, _, to_beat| interpolated::encode(part, to_beat),
        quick_len: None,
        overhead: |_| TABLES,
        handicap: 1.02,
        margin: |_| 1.0,
    },
    Classical {
        method: candidate::WAVELET,
        encode: |part, _, to_beat| wavelet::encode(part, to_beat),
        quick_len: Some(wavelet::quick_len),
        overhead: |_| 0,
        handicap: 1.03,
        margin: |_| 1.15,
    },
];

/// What is compared on samples by the quick coders: the others would gain alike.
const QUICK: [u8; 3] = [candidate::QUANTISED, candidate::FITTED, candidate::INTERPOLATED];

/// Parts with fewer values are encoded with every candidate.
const MIN_SAMPLED: usize = 1 << 14;

/// Whether hardly anything is left of a part where `len` bytes stand for `whole`: samples and estimates say nothing of such
/// parts.
pub(super) fn is_nearly_empty(len: f64, whole: usize) -> bool {
    len * 256.0 < whole as f64
}

/// The candidates that take no longer than the coder behind them.
pub(super) fn quickest(allowed: Candidates) -> Vec<&'static Classical> {
    let quick = [candidate::QUANTISED, candidate::FLOATING, candidate::NUMBERS];
    CLASSICAL.iter().filter(|c| quick.contains(&c.method) && allowed.allow(c.method)).collect()
}

/// The candidates that a part of this size is worth, the quickest first.
fn allowed(part: &Part<'_>, allowed: Candidates) -> Vec<&'static Classical> {
    let mut tried: Vec<&Classical> = CLASSICAL.iter().filter(|c| allowed.allow(c.method)).collect();
    match part.effort {
        Effort::Fast => tried.retain(|c| matches!(c.method, candidate::QUANTISED | candidate::NUMBERS)),
        // Wavelets take long to begin and gain with the extents.
        Effort::Default if part.n_values() < 4096 && tried.len() > 1 => {
            tried.retain(|c| c.method != candidate::WAVELET);
        }
        _ => {}
    }
    tried
}

/// The candidates to encode a part with.
pub(super) fn shortlist(part: &Part<'_>, candidates: Candidates) -> Vec<&'static Classical> {
    let tried = allowed(part, candidates);
    if part.effort == Effort::Default && part.n_values() >= MIN_SAMPLED && tried.len() > 1 {
        return smallest_of_sample(part, &tried).unwrap_or(tried);
    }
    tried
}

/// The candidate with the fewest bytes for a block, and what may come to fewer after all; `None` if no block says anything.
fn smallest_of_sample(part: &Part<'_>, tried: &[&'static Classical]) -> Option<Vec<&'static Classical>> {
    // From the middle, unless there is nothing.
    const PLACES: [(usize, usize); 5] = [(1, 2), (1, 4), (3, 4), (1, 8), (7, 8)];
    PLACES.into_iter().find_map(|place| smallest_of_block(part, tried, place, place == PLACES[0]))
}

/// The same for the block at this fraction of each axis.
fn smallest_of_block(
    part: &Part<'_>,
    tried: &[&'static Classical],
    place: (usize, usize),
    is_middle: bool,
) -> Option<Vec<&'static Classical>> {
    let (starts, shape) = sample(part, place);
    let row = shape.last().map_or(1, |&e| e);
    let bytes = part.elements.of_rows(&starts, row);
    let elements = Elements::new(part.dtype(), &bytes);
    let specials = part.specials.of_rows(&starts, row);
    let scale = part.n_values() as f64 / elements.len() as f64;
    let whole = part.elements.bytes.len();
    let part = Part { elements, shape: &shape, specials: &specials, ..*part };
    let quantised = quantise(elements, &specials, part.promise);
    if quantised.q.is_constant(&specials.classes) {
        return None;
    }
    let mut least = f64::INFINITY;
    let mut costs = Vec::new();
    for &candidate in tried {
        let overhead = (candidate.overhead)(&shape);
        // Estimates by which candidates give up are a little off.
        let to_beat = (least * (candidate.margin)(part.promise) * 1.05 / scale) as usize;
        let to_beat = to_beat.saturating_add(overhead);
        let len = match candidate.quick_len {
            Some(quick_len) => quick_len(&part, to_beat),
            None => {
                let effort = if QUICK.contains(&candidate.method) { Effort::Fast } else { part.effort };
                (candidate.encode)(&Part { effort, ..part }, &quantised, to_beat).map(|payload| payload.len())
            }
        };
        let Some(len) = len else { continue };
        // Where that is most of it, there is too little to tell.
        let overhead = if overhead < len / 2 { overhead } else { 0 };
        let bytes = (overhead as f64 + (len - overhead) as f64 * scale) * candidate.handicap;
        least = least.min(bytes);
        costs.push((bytes, candidate));
    }
    let bytes_of = |method| costs.iter().find(|c| c.1.method == method).map(|c| c.0);
    // Far from powers of two differences of integers and of floats are the same.
    if let (Some(integers), Some(floats)) = (bytes_of(candidate::QUANTISED), bytes_of(candidate::FLOATING))
        && (integers - floats).abs() < integers * 2e-4
    {
        costs.retain(|c| c.1.method != candidate::FLOATING);
    }
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Where hardly anything is left, the block has seen hardly anything; one from elsewhere says little of the whole.
    let is_rest = is_nearly_empty(least, whole);
    let is_tried = |&(k, &(bytes, c)): &(usize, &(f64, &'static Classical))| {
        let margin = if is_rest { 1.1 } else { (c.margin)(part.promise) };
        k == 0 || bytes < least * margin || (c.method == candidate::QUANTISED && (is_rest || !is_middle))
    };
    let near: Vec<_> = costs.iter().enumerate().filter(is_tried).map(|(_, &(_, c))| c).collect();
    (!near.is_empty()).then_some(near)
}

/// A block of some ten thousand values, as even as the part allows: where its rows start, and its shape.
fn sample(part: &Part<'_>, (nth, of): (usize, usize)) -> (Vec<usize>, Vec<usize>) {
    let extents = working_extents(part.shape);
    // Along one axis a block sees least.
    let (share, least) = if extents.len() == 1 { (4, 1 << 13) } else { (16, 1 << 12) };
    let wanted = (part.n_values() / share).clamp(least, 1 << 15);
    let mut cut = extents.clone();
    while cut.iter().product::<usize>() > wanted * 3 / 2 {
        // Rows are cut last: what lies at their ends is predicted worse.
        let length = |a: usize| if a + 1 == cut.len() { cut[a].div_ceil(4) } else { cut[a] };
        let longest = (0..cut.len()).max_by_key(|&a| length(a)).expect("there are axes");
        cut[longest] = cut[longest].div_ceil(2);
    }
    let n_rows: usize = cut.iter().rev().skip(1).product();
    let start_of = |row: usize| {
        let (mut rest, mut stride, mut start) = (row, 1, 0);
        for axis in (0..cut.len()).rev() {
            let at = if axis + 1 == cut.len() { 0 } else { rest % cut[axis] };
            rest = if axis + 1 == cut.len() { rest } else { rest / cut[axis] };
            start += (at + (extents[axis] - cut[axis]) * nth / of) * stride;
            stride *= extents[axis];
        }
        start
    };
    ((0..n_rows).map(start_of).collect(), cut)
}

/// Whether the lossless numbers may beat what is there, judged from some of them: values with few digits or steps of
/// their own.
fn numbers_pay(part: &Part<'_>, to_beat: usize) -> bool {
    // Under a bound they win by digits and steps alone, which few values show.
    let most = if part.promise == Promise::Exact { 1 << 14 } else { 1 << 12 };
    if part.promise == Promise::Exact && part.n_values() <= 1 << 16 {
        return true;
    }
    if part.effort == Effort::Fast {
        return false;
    }
    let n = part.n_values().min(most);
    let size = part.dtype().size_bytes();
    let start = (part.n_values() - n) / 2 * size;
    let some = Elements::new(part.dtype(), &part.elements.bytes[start..start + n * size]);
    if part.promise != Promise::Exact && to_beat < part.n_values() && all_differ(some) {
        return false;
    }
    let expected = numbers::sample_len(some, part.effort) as f64 * part.n_values() as f64 / n as f64;
    expected < to_beat as f64 * 1.1
}

/// Whether nearly all of some thousand values, and nearly all distances from one to the next, occur once: such values have
/// about as many bits as their number, 10, and more than the byte each that they would have to stay below.
fn all_differ(some: Elements<'_>) -> bool {
    const FEW: usize = 1 << 10;
    let n = some.len().min(FEW);
    let values: Vec<f64> = Elements::new(some.dtype, &some.bytes[..n * some.dtype.size_bytes()]).to_numbers();
    let n_distinct = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        values.len()
    };
    let differences = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
    n_distinct(differences) > n * 7 / 8 && n_distinct(values) > n * 7 / 8
}
