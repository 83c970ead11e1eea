//! Integers to bits and back. One file per coder; the encoder tries those that can win and writes the number of the
//! smallest before its bytes.
//!
//! | id | coder | good at |
//! |---|---|---|
//! | 0 | [`CONSTANT`]: one value | residuals that are all zero |
//! | 1 | [`PCO`]: pcodec | most distributions, fast |
//! | 2 | [`NARROW`]: zstd over the fewest bytes that hold the values | repeats: sentinels, sorted keys, flat areas |
//! | 3 | [`SHUFFLED`]: zstd over byte planes | wide values whose high bytes repeat |
//! | 4 | [`CONTEXT`]: adaptive range coder conditioned on neighbours | residuals of fields |
//! | 5 | [`MIXED`]: the same under several contexts at once, slower | residuals of fields at loose bounds |
//! | 6 | [`RANS`]: static tables conditioned on neighbours | residuals of fields, fast |
//! | 7 | [`SPARSE`]: several contexts, but for stretches of zeros | what is empty but for some places |

pub(crate) mod bytes;
pub(crate) mod context;
pub(crate) mod int;
pub(crate) mod mixed;
pub(crate) mod mixing;
mod narrow;
pub(crate) mod pcodec;
pub(crate) mod range;
pub(crate) mod rans;

pub(crate) use int::Int;

use crate::error::{Error, Result};
use crate::params::Effort;
use crate::predict::search;
use crate::predict::stream::Ints;
use crate::wire::{Reader, Writer, unzigzag64, zigzag64};
use context::Lattice;

pub(crate) const CONSTANT: u8 = 0;
pub(crate) const PCO: u8 = 1;
pub(crate) const NARROW: u8 = 2;
pub(crate) const SHUFFLED: u8 = 3;
pub(crate) const CONTEXT: u8 = 4;
pub(crate) const MIXED: u8 = 5;
pub(crate) const RANS: u8 = 6;
pub(crate) const SPARSE: u8 = 7;

/// The name of a coder as reports print it.
pub(crate) fn name(coder: u8) -> &'static str {
    match coder {
        CONSTANT => "constant",
        PCO => "pco",
        NARROW => "zstd",
        SHUFFLED => "shuffle+zstd",
        CONTEXT => "context",
        MIXED => "mixed",
        RANS => "rans",
        SPARSE => "sparse",
        _ => "unknown",
    }
}

/// What the coders may assume of the values.
#[derive(Clone, Copy)]
pub(crate) struct Hints<'a> {
    pub effort: Effort,
    /// The values are differences already: looking for more of them does not pay.
    pub is_residual: bool,
    /// Which value lies beside which.
    pub lattice: Lattice<'a>,
    pub beside: Beside,
}

/// What a part has beside these values, and what a slower coder has to gain therefore.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Beside {
    Nothing,
    /// A network that runs in decoding, too: a slower coder makes little difference.
    Network,
    /// So many bytes: what is gained has to count among them.
    Bytes(usize),
}

/// Encodes with the coder that gives the fewest bytes; from more than [`SAMPLE`] values on, with the one that did so for
/// some of them.
pub(crate) fn encode<I: Int>(values: &[I], hints: Hints<'_>) -> Vec<u8> {
    let Some((&first, rest)) = values.split_first() else {
        return vec![CONSTANT, 0];
    };
    if rest.iter().all(|&v| v == first) {
        let mut out = Writer::default();
        out.u8(CONSTANT);
        out.varint(zigzag64(first.to_i64()));
        return out.bytes;
    }
    match hints.effort {
        Effort::Fast if values.len() < 64 => smallest(values, hints, &[PCO, NARROW]),
        Effort::Fast => smallest(values, hints, &[quick_coder(values, hints)]),
        Effort::Max => smallest(values, hints, &[RANS, CONTEXT, MIXED, SPARSE, PCO, NARROW, SHUFFLED]),
        Effort::Default => smallest_of(values, hints, shortlist(values, hints)),
    }
}

/// The better of the two fast coders, judged from values in the middle.
fn quick_coder<I: Int>(values: &[I], hints: Hints<'_>) -> u8 {
    const FEW: usize = 1 << 13;
    if values.len() < 2 * FEW {
        return PCO;
    }
    let (some, extents) = middle(values, hints.lattice, FEW);
    let lattice = Lattice { extents: &extents, classes: &[] };
    let pco = pcodec::encode(some, Hints { lattice, ..hints }).len();
    // Tables are nothing on the whole.
    let rans = rans::encode(some, lattice).map_or(usize::MAX, |(bytes, head)| bytes.len() - head);
    if rans < pco { RANS } else { PCO }
}

/// Values that coders are compared on.
const SAMPLE: usize = 1 << 15;

/// The coders that may win, and what has been encoded with some coder to find out.
#[derive(Default)]
struct Shortlist {
    /// What takes longest comes last.
    coders: Vec<u8>,
    done: Vec<(u8, Vec<u8>)>,
    /// Bytes that [`NARROW`] takes at least, about, for what the quickest zstd takes; 0 where that is not known.
    least_narrow: f64,
}

/// How much larger the quickest zstd may be than what its higher levels have to beat.
const OF_QUICKEST: f64 = 1.35;

/// Judged from values in the middle.
fn shortlist<I: Int>(values: &[I], hints: Hints<'_>) -> Shortlist {
    if values.len() < 2048 {
        // Little enough to try, but for what takes long to begin.
        let context = context::encode(values, hints.lattice);
        let mut coders = vec![CONTEXT, PCO];
        if narrow::quick_len(values, false, 3) <= context.len() + context.len() / 4 {
            coders.push(NARROW);
        }
        return Shortlist { coders, done: vec![(CONTEXT, context)], least_narrow: 0.0 };
    }
    let (some, extents) = middle(values, hints.lattice, SAMPLE);
    let n = some.len();
    if some.iter().all(|v| *v == some[0]) {
        // What there is lies elsewhere.
        let coder = if some[0] == I::default() { SPARSE } else { CONTEXT };
        let least_narrow = 0.7 * narrow::quick_len(values, false, 1) as f64;
        return Shortlist { coders: vec![coder, NARROW], least_narrow, ..Shortlist::default() };
    }
    let lattice = Lattice { extents: &extents, classes: &[] };
    let mut done = Vec::new();
    let context = context::encode(some, lattice);
    let context_len = context.len();
    // The tables in front weigh less on the whole than on some of it.
    let share = n as f64 / values.len() as f64;
    let is_all = n == values.len() && lattice.row_and_column() == hints.lattice.row_and_column();
    let rans = rans::encode(some, lattice);
    let rans_len =
        rans.as_ref().map_or(usize::MAX, |(bytes, head)| bytes.len() - (*head as f64 * (1.0 - share)) as usize);
    if is_all {
        done.push((CONTEXT, context));
        done.extend(rans.map(|(bytes, _)| (RANS, bytes)));
    }
    let contexts = rans_len.min(context_len);
    // pco does not get much below the entropy of single values, and takes as long as all coders so far.
    let pco = (search::bits_per_value(some) / 8.0 * n as f64) as usize;
    let pco = if pco <= contexts + contexts / 8 {
        pcodec::encode(some, Hints { effort: Effort::Fast, lattice, ..hints }).len()
    } else {
        pco
    };
    let best = contexts.min(pco);
    let mut coders = Vec::new();
    // Contexts see less of what is around in a sample than in the whole.
    if contexts <= pco + pco / 8 {
        // The context coder takes three times as long: it has to gain something.
        let beside = if let Beside::Bytes(n) = hints.beside { (n as f64 * share) as usize } else { 0 };
        let least_gain = if hints.beside == Beside::Network { 0 } else { (context_len + beside) / 25 };
        let coder = if rans_len <= context_len + least_gain { RANS } else { CONTEXT };
        // Mixing takes ten times as long for each decision, which matters little where a value takes hardly an eighth of a bit,
        // and nothing where there are zeros and little else. It learns more slowly than a sample shows.
        let is_empty = mixed::empty_share(some) > 0.75;
        let enough = if is_empty { contexts + contexts / 8 } else { contexts.saturating_sub((contexts + beside) / 25) };
        let sparse = (is_empty || contexts < n / 64).then(|| mixed::encode::<I, true>(some, lattice));
        match sparse.filter(|sparse| sparse.len() < enough) {
            Some(sparse) => {
                coders.push(SPARSE);
                done.extend(is_all.then_some((SPARSE, sparse)));
            }
            None => coders.push(coder),
        }
    }
    if pco < contexts - contexts / 32 {
        coders.push(PCO);
    }
    // zstd's high levels take longer than all else together, so lower ones say whether they are worth it.
    let near = best + best / 32;
    let some_len = |level| narrow::quick_len(some, false, level);
    let whole_len = |level| narrow::quick_len(values, false, level) as f64;
    let repeats_nearby = || {
        narrow::has_repeats(some)
            && some_len(1) <= best + best / 2
            && some_len(5) <= best + best / 4
            && some_len(narrow::DEFAULT_LEVEL) <= best
    };
    // Whole blocks may come again farther away than the sample reaches: what the quickest zstd takes for all.
    let repeats_afar = || {
        let best = best as f64 * values.len() as f64 / n as f64;
        let is_worth_it = n < values.len() && narrow::has_repeats(values);
        let quickest = is_worth_it.then(|| whole_len(1)).filter(|&quickest| quickest <= best * OF_QUICKEST)?;
        (whole_len(3) * some_len(narrow::DEFAULT_LEVEL) as f64 <= best * some_len(3) as f64).then_some(quickest)
    };
    let planes = || {
        let planes = |level| narrow::quick_len(some, true, level);
        planes(1) <= near + near / 4 && planes(7) <= near && planes(7) < some_len(7)
    };
    let mut least_narrow = 0.0;
    if planes() {
        coders.push(SHUFFLED);
    } else if repeats_nearby() {
        least_narrow = 0.95 * whole_len(1) * some_len(narrow::DEFAULT_LEVEL) as f64 / some_len(1) as f64;
        coders.push(NARROW);
    } else if let Some(quickest) = repeats_afar() {
        least_narrow = quickest / OF_QUICKEST;
        coders.push(NARROW);
    }
    Shortlist { coders, done, least_narrow }
}

/// About so many values from the middle, whole planes or at least whole rows if that can be, and their extents.
fn middle<'a, I: Int>(values: &'a [I], lattice: Lattice<'_>, most: usize) -> (&'a [I], [usize; 3]) {
    let n = values.len().min(most);
    let (nx, ny) = lattice.row_and_column();
    // Where values are left out, rows are not known by their lengths.
    let is_whole = lattice.classes.is_empty();
    let unit = [nx * ny, nx].into_iter().find(|&unit| is_whole && unit > 0 && 2 * unit <= n).unwrap_or(1);
    let n = n / unit * unit;
    let start = (values.len() - n) / 2 / unit * unit;
    let extents = if unit == nx * ny { [n / unit, ny, nx] } else { [1, n / unit, unit] };
    let extents = if unit == 1 { [1, 1, n] } else { extents };
    (&values[start..start + n], extents)
}

/// Encodes with the one of these coders that gives the fewest bytes.
pub(crate) fn smallest<I: Int>(values: &[I], hints: Hints<'_>, coders: &[u8]) -> Vec<u8> {
    smallest_of(values, hints, Shortlist { coders: coders.to_vec(), ..Shortlist::default() })
}

/// The same where some coders may have encoded the values already.
fn smallest_of<I: Int>(values: &[I], hints: Hints<'_>, shortlist: Shortlist) -> Vec<u8> {
    let Shortlist { coders, mut done, least_narrow } = shortlist;
    let mut best: Option<Vec<u8>> = None;
    for coder in coders {
        let least = best.as_ref().map_or(usize::MAX, Vec::len);
        // High levels take long.
        if coder == NARROW && least_narrow > least as f64 {
            continue;
        }
        let done = done.iter().position(|d| d.0 == coder).map(|at| done.swap_remove(at).1);
        let Some(payload) = done.or_else(|| encode_with(coder, values, hints)) else { continue };
        if payload.len() + 1 < least {
            best = Some(with_id(coder, payload));
        }
    }
    best.unwrap_or_else(|| with_id(CONTEXT, context::encode(values, hints.lattice)))
}

/// What a coder makes of values, if it takes them.
fn encode_with<I: Int>(coder: u8, values: &[I], hints: Hints<'_>) -> Option<Vec<u8>> {
    Some(match coder {
        PCO => pcodec::encode(values, hints),
        NARROW => narrow::encode(values, false, hints.effort),
        SHUFFLED => narrow::encode(values, true, hints.effort),
        MIXED => mixed::encode::<I, false>(values, hints.lattice),
        SPARSE => mixed::encode::<I, true>(values, hints.lattice),
        RANS => rans::encode(values, hints.lattice)?.0,
        _ => context::encode(values, hints.lattice),
    })
}

/// Whether values may repeat more than by chance.
pub(crate) fn has_repeats(values: &Ints) -> bool {
    match values {
        Ints::I32(v) => narrow::has_repeats(v),
        Ints::I64(v) => narrow::has_repeats(v),
    }
}

/// Bytes that the values take at little cost where they repeat.
pub(crate) fn repeats_len(values: &Ints) -> usize {
    match values {
        Ints::I32(v) => narrow::quick_len(v, false, 1),
        Ints::I64(v) => narrow::quick_len(v, false, 1),
    }
}

fn with_id(coder: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 1);
    out.push(coder);
    out.extend_from_slice(&payload);
    out
}

/// Decodes `n` values that [`encode`] wrote; `payload` ends where the values end.
pub(crate) fn decode<I: Int>(payload: &[u8], n: usize, lattice: Lattice<'_>) -> Result<Vec<I>> {
    let mut input = Reader::new(payload);
    let values = match input.u8("an entropy coder")? {
        CONSTANT => {
            let v = unzigzag64(input.varint("a constant")?);
            input.finish("a constant")?;
            let v = I::from_i64(v).ok_or_else(|| Error::corrupt(format!("the constant {v} does not fit its width")))?;
            vec![v; n]
        }
        PCO => pcodec::decode(input.rest(), n)?,
        NARROW => narrow::decode(input.rest(), n, false)?,
        SHUFFLED => narrow::decode(input.rest(), n, true)?,
        CONTEXT => context::decode(input.rest(), n, lattice)?,
        MIXED => mixed::decode::<I, false>(input.rest(), n, lattice)?,
        SPARSE => mixed::decode::<I, true>(input.rest(), n, lattice)?,
        RANS => rans::decode(input.rest(), n, lattice)?,
        coder => return Err(Error::corrupt(format!("entropy coder {coder} is unknown"))),
    };
    debug_assert_eq!(values.len(), n);
    Ok(values)
}
