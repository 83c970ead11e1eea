//! Integers to bits: each from its highest bit down, every bit with a probability mixed from several contexts.
//!
//! A context and the bits of the value so far choose an adaptive probability; the logits of these are added with weights
//! that are learned too, one set for each bit's place, as in [`crate::entropy::mixing`].

use super::Bins;
use super::predict::Prediction;
use crate::entropy::mixing::{self, Counter, MAX_LOGIT, MAX_SEEN, TABLES, Tables};
use crate::entropy::range::{BitCoder, Decoder, Encoder};
use crate::error::{Error, Result};
use crate::simd::{self, Kernel};

/// Contexts at most.
const MAX_CONTEXTS: usize = 8;
/// Bits from the top of a value that are told apart by all bits before them; lower ones by the two before only.
const WHOLE_PATHS: u32 = 14;
/// How slowly weights learn.
const RATE_SHIFT: u32 = 15;

/// What the values of a column are coded with.
pub(crate) struct Contexts<'a> {
    /// The strongest first, at most three.
    pub parents: Vec<&'a Bins>,
    /// Taken together with the first parent.
    pub pair: Option<&'a Bins>,
    /// Values are distances from its centres.
    pub prediction: Option<&'a Prediction>,
    /// Whether the rows before are contexts.
    pub has_rows: bool,
}

impl Contexts<'_> {
    /// Whether there is anything but the column itself.
    fn is_given(&self) -> bool {
        !self.parents.is_empty() || self.prediction.is_some()
    }

    fn uses_rows(&self) -> bool {
        self.has_rows || !self.is_given()
    }

    fn n_contexts(&self) -> usize {
        let fixed = if self.prediction.is_some() { 4 } else { 1 + 2 * usize::from(self.is_given()) };
        let rows = match (self.uses_rows(), self.prediction.is_some()) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => 2,
        };
        fixed + rows + self.parents.len()
    }
}

/// How values become bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The smallest value.
    pub base: i64,
    /// Bits of the largest value above `base`.
    pub n_levels: u32,
    /// The lowest of them that are coded as they are.
    pub n_raw: u32,
    /// Where few values occur: all of them above `base`, rising; ranks are coded.
    pub occurring: Vec<i64>,
    /// The commonest value or rank, where one decision tells it from all others.
    pub mode: Option<u64>,
    /// Whether the probabilities of decisions that follow on each other lie side by side. The first streams had each for
    /// itself.
    pub is_grouped: bool,
}

/// Trust in a probability after n observations, 256 n / (n + 3).
const TRUST: [i32; MAX_SEEN as usize + 1] = {
    let mut trust = [0; MAX_SEEN as usize + 1];
    let mut n = 0;
    while n < trust.len() {
        trust[n] = 256 * n as i32 / (n as i32 + 3);
        n += 1;
    }
    trust
};

/// The decision whether a value is the commonest has weights of its own, beside those of the 64 levels.
const MODE_LEVEL: usize = 64;
/// Levels whose decisions lie side by side in the table of slots, and the slots that they take.
const GROUP_LEVELS: u32 = 3;
const GROUP_SLOTS: usize = 1 << GROUP_LEVELS;

struct Mixer<const N: usize> {
    slots: Vec<Counter>,
    /// Hashes keep this many bits: a shift to the right.
    shift: u32,
    /// In 1/65536, a set for each level.
    weights: Vec<[i32; N]>,
    /// Where the slots of the contexts begin.
    start: [usize; N],
}

impl<const N: usize> Mixer<N> {
    fn new(n_values: usize, group_slots: usize) -> Self {
        // 32 slots for each value while that fits a cache.
        let bits = (n_values.max(1).ilog2() + 6).clamp(12, 20);
        Self {
            slots: vec![0; 1 << bits],
            shift: 64 - bits + group_slots.ilog2(),
            weights: vec![[(65536 * 3 / 2 / N) as i32; N]; MODE_LEVEL + 1],
            start: [0; N],
        }
    }

    /// Looks up where the slots of the contexts begin.
    #[inline(always)]
    fn find(&mut self, contexts: &[u64; N], path: u64, group_slots: usize) {
        let path = path.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for (start, context) in self.start.iter_mut().zip(contexts) {
            *start = ((context ^ path).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> self.shift) as usize * group_slots;
        }
    }

    /// A decision by the slots `at` places after those that [`Self::find`] found.
    #[inline(always)]
    fn bit<C: BitCoder>(&mut self, coder: &mut C, tables: &Tables, at: usize, level: usize, bit: bool) -> bool {
        let weights = &mut self.weights[level];
        let mut logits = [0i32; N];
        let mut sum = 0i64;
        for k in 0..N {
            let slot = self.slots[self.start[k] + at];
            let logit = i32::from(tables.logit[(mixing::probability(slot) >> 4) as usize]);
            logits[k] = (logit * TRUST[mixing::seen(slot) as usize]) >> 8;
            sum += i64::from(logits[k]) * i64::from(weights[k]);
        }
        let mixed = (sum >> 16).clamp(-i64::from(MAX_LOGIT), i64::from(MAX_LOGIT)) as i32;
        let p = tables.probability[(mixed + MAX_LOGIT) as usize];
        let bit = coder.decide(p.into(), bit);
        let error = (i32::from(bit) << 16) - i32::from(p);
        for k in 0..N {
            let step = (i64::from(logits[k]) * i64::from(error) + (1 << (RATE_SHIFT - 1))) >> RATE_SHIFT;
            weights[k] = weights[k].saturating_add(step as i32);
            mixing::update(&mut self.slots[self.start[k] + at], bit, MAX_SEEN);
        }
        bit
    }
}

/// A context's number and value in one word, spread over all bits.
#[inline(always)]
fn hash(number: u64, value: u64) -> u64 {
    (value.wrapping_add(number << 56).wrapping_add(1)).wrapping_mul(0xA076_1D64_78BD_642F).rotate_left(29)
}

/// Runs over all rows whose class is 0. The encoder reads `values`, the decoder fills them.
fn process<C: BitCoder>(coder: &mut C, values: &mut [i64], classes: &[u8], shape: &Shape, given: &Contexts<'_>) {
    match given.n_contexts() {
        3 => simd::run(Process::<C, 3> { coder, values, classes, shape, given }),
        4 => simd::run(Process::<C, 4> { coder, values, classes, shape, given }),
        5 => simd::run(Process::<C, 5> { coder, values, classes, shape, given }),
        6 => simd::run(Process::<C, 6> { coder, values, classes, shape, given }),
        7 => simd::run(Process::<C, 7> { coder, values, classes, shape, given }),
        _ => simd::run(Process::<C, MAX_CONTEXTS> { coder, values, classes, shape, given }),
    }
}

struct Process<'a, C, const N: usize> {
    coder: &'a mut C,
    values: &'a mut [i64],
    classes: &'a [u8],
    shape: &'a Shape,
    given: &'a Contexts<'a>,
}

impl<C: BitCoder, const N: usize> Kernel for Process<'_, C, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { coder, values, classes, shape, given } = self;
        let tables = &*TABLES;
        let &Shape { base, n_levels, n_raw, ref occurring, mode, is_grouped } = shape;
        let group_slots = if is_grouped { GROUP_SLOTS } else { 1 };
        let (is_given, has_rows) = (given.is_given(), given.uses_rows());
        let parent = |k: usize| given.parents.get(k).copied();
        let n_coded = if classes.is_empty() { values.len() } else { classes.iter().filter(|&&c| c == 0).count() };
        let mut mixer = Mixer::<N>::new(n_coded, group_slots);
        let (mut last, mut before) = (0u64, 0u64);
        for (row, value) in values.iter_mut().enumerate() {
            if classes.get(row).is_some_and(|&c| c != 0) {
                continue;
            }
            let centre = given.prediction.map_or(0, |p| p.centre[row]);
            let fine = |k: usize| parent(k).map_or(0, |b| u64::from(b.fine(row)));
            let coarse = |k: usize| parent(k).map_or(0, |b| u64::from(b.coarse(row)));
            let both = coarse(0) * 32 + given.pair.map_or(0, |b| u64::from(b.coarse(row)));
            let (mut contexts, mut n) = ([0; N], 0);
            let mut push = |number: u64, value: u64| {
                contexts[n] = hash(number, value);
                n += 1;
            };
            push(0, 0);
            if has_rows {
                push(1, last);
            }
            if let Some(p) = given.prediction {
                let (sure, fraction) = (u64::from(p.spread[row]), u64::from(p.fraction[row]));
                push(2, sure * 8 + fraction);
                push(3, sure);
                push(4, sure * 32 + coarse(0));
            } else {
                if has_rows {
                    push(2, (last >> 2) << 32 | before >> 2);
                }
                if is_given {
                    push(3, both);
                    push(4, both * 32 + coarse(1) / 4);
                }
            }
            for k in 0..given.parents.len() {
                push(5 + k as u64, fine(k));
            }
            let v = if C::DECODES { 0 } else { shape.code_of(value.wrapping_sub(centre)) };
            // The commonest value has the place beside the first bit, whose path is 1.
            mixer.find(&contexts, 1, group_slots);
            let mut found = 0u64;
            let mode = mode.filter(|&mode| mixer.bit(coder, tables, 0, MODE_LEVEL, v == mode));
            if let Some(mode) = mode {
                found = mode;
            } else {
                let (mut node, mut at) = (1u64, 1);
                for level in (n_raw..n_levels).rev() {
                    let depth = n_levels - 1 - level;
                    if depth > 0 && (!is_grouped || depth.is_multiple_of(GROUP_LEVELS)) {
                        let is_whole = depth < WHOLE_PATHS;
                        let path = if is_whole { node } else { 1 << 32 | u64::from(depth) << 8 | node & 3 };
                        mixer.find(&contexts, path, group_slots);
                        at = 1;
                    }
                    let slot = if is_grouped { at } else { 0 };
                    let bit = mixer.bit(coder, tables, slot, depth as usize, v >> level & 1 == 1);
                    node = node << 1 | u64::from(bit);
                    at = (at << 1 | usize::from(bit)) % GROUP_SLOTS;
                    found = found << 1 | u64::from(bit);
                }
                let mut left = n_raw;
                while left > 0 {
                    let n = left.min(16);
                    left -= n;
                    found = found << n | coder.raw(n, v >> left & ((1 << n) - 1));
                }
            }
            if C::DECODES {
                // A damaged stream can give any rank.
                let above = match occurring.len().checked_sub(1) {
                    Some(most) => occurring[usize::try_from(found).unwrap_or(most).min(most)],
                    None => found as i64,
                };
                *value = above.wrapping_add(base).wrapping_add(centre);
            }
            (before, last) = (last, found);
        }
    }
}

impl Shape {
    /// The shape that fits these values; those with a class other than 0 are not coded.
    pub fn of(values: &[i64], classes: &[u8], centre: Option<&[i64]>) -> Self {
        let coded = (0..values.len()).filter(|&i| classes.get(i).is_none_or(|&c| c == 0));
        let mut above: Vec<i64> = coded.map(|i| values[i].wrapping_sub(centre.map_or(0, |c| c[i]))).collect();
        let base = above.iter().copied().min().unwrap_or(0);
        above.iter_mut().for_each(|v| *v = v.wrapping_sub(base));
        let mut shape =
            Self { base, n_levels: bits_of(&above), n_raw: 0, occurring: Vec::new(), mode: None, is_grouped: true };
        let counts = counts(&above);
        if !counts.is_empty() {
            let n_levels = 64 - (counts.len() as u64 - 1).leading_zeros();
            if n_levels < shape.n_levels && counts.len() <= above.len() / ROWS_PER_RANK {
                shape.n_levels = n_levels;
                shape.occurring = counts.iter().map(|&(v, _)| v as i64).collect();
            }
        }
        let (mode, count) =
            counts.iter().enumerate().max_by_key(|(_, c)| c.1).map_or((0, 0), |(rank, &(v, count))| {
                (if shape.occurring.is_empty() { v } else { rank as u64 }, count)
            });
        // Its rows take one decision, all others one more.
        if count * shape.n_levels as usize > 2 * above.len() && shape.n_levels > 1 && mode < u64::MAX {
            shape.mode = Some(mode);
        }
        if shape.occurring.is_empty() {
            shape.n_raw = n_raw(&above, shape.n_levels);
        }
        shape
    }

    /// What is coded for a value less its centre.
    #[inline(always)]
    pub fn code_of(&self, v: i64) -> u64 {
        let above = v.wrapping_sub(self.base) as u64;
        if self.occurring.is_empty() { above } else { self.occurring.partition_point(|&o| (o as u64) < above) as u64 }
    }
}

/// Ranks stand for values where this many rows share one, on average.
const ROWS_PER_RANK: usize = 64;

/// Each value with the rows that have it, rising; nothing where they are too many to be worth it.
fn counts(values: &[i64]) -> Vec<(u64, usize)> {
    const MOST: usize = 1 << 14;
    if bits_of(values) > 14 {
        let mut counts = std::collections::BTreeMap::new();
        for &v in values {
            *counts.entry(v as u64).or_insert(0) += 1;
            if counts.len() > MOST {
                return Vec::new();
            }
        }
        return counts.into_iter().collect();
    }
    let mut counts = vec![0; MOST];
    values.iter().for_each(|&v| counts[v as usize] += 1);
    counts.into_iter().enumerate().filter(|c| c.1 > 0).map(|(v, count)| (v as u64, count)).collect()
}

/// Bits of the largest of these numbers without sign.
fn bits_of(values: &[i64]) -> u32 {
    64 - values.iter().fold(0u64, |used, &v| used | v as u64).leading_zeros()
}

/// Low bits that are 1 as often as 0 carry nothing that contexts could find, far below the highest ones.
fn n_raw(values: &[i64], n_levels: u32) -> u32 {
    let n = values.len() as f64;
    let is_balanced = |level: u32| {
        let ones = values.iter().filter(|&&v| v >> level & 1 == 1).count();
        (ones as f64 - n / 2.0).abs() <= 2.0 * n.sqrt() / 2.0
    };
    (0..n_levels.saturating_sub(WHOLE_PATHS)).take_while(|&level| is_balanced(level)).count() as u32
}

/// Encodes the values whose class is 0.
pub(crate) fn encode(values: &[i64], classes: &[u8], shape: &Shape, given: &Contexts<'_>) -> Vec<u8> {
    let mut coder = Encoder::new();
    process(&mut coder, &mut values.to_vec(), classes, shape, given);
    coder.finish()
}

/// Decodes `n` values; those with a class other than 0 are left at 0.
pub(crate) fn decode(
    payload: &[u8],
    n: usize,
    classes: &[u8],
    shape: &Shape,
    given: &Contexts<'_>,
) -> Result<Vec<i64>> {
    // A decision takes 2^-15.5 bits at least; with fewer bytes than that the stream cannot hold the values.
    if shape.n_levels > 0 && n >> 19 > payload.len() + 8 {
        return Err(Error::corrupt(format!("{} bytes of range coding cannot hold {n} values", payload.len())));
    }
    let mut coder = Decoder::new(payload);
    let mut values = vec![0; n];
    process(&mut coder, &mut values, classes, shape, given);
    coder.finish()?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(values: &[i64], classes: &[u8], given: &Contexts<'_>) -> usize {
        let shape = Shape::of(values, classes, given.prediction.map(|p| &p.centre[..]));
        let packed = encode(values, classes, &shape, given);
        let back = decode(&packed, values.len(), classes, &shape, given).unwrap();
        for (i, v) in values.iter().enumerate().filter(|&(i, _)| classes.get(i).is_none_or(|&c| c == 0)) {
            assert_eq!(back[i], *v, "row {i} of {shape:?}");
        }
        packed.len()
    }

    #[test]
    fn any_integers_come_back() {
        let nothing = Contexts { parents: Vec::new(), pair: None, prediction: None, has_rows: true };
        let extremes = [i64::MIN, i64::MAX, 0, -1, 1, i64::MIN + 1, 7];
        round_trip(&extremes, &[], &nothing);
        round_trip(&extremes, &[0, 1, 0, 2, 0, 0, 0], &nothing);
        round_trip(&[], &[], &nothing);
        round_trip(&[5], &[], &nothing);
        let noise: Vec<i64> =
            (0..3000u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (i % 60)) as i64).collect();
        round_trip(&noise, &[], &nothing);
        let parent: Vec<f64> = noise.iter().map(|&v| (v % 10) as f64).collect();
        let bins = Bins::new(&parent);
        let with = Contexts { parents: vec![&bins, &bins, &bins], pair: Some(&bins), prediction: None, has_rows: true };
        let digits: Vec<i64> = noise.iter().map(|v| v % 10).collect();
        assert!(round_trip(&digits, &[], &with) * 8 < round_trip(&digits, &[], &nothing));
    }

    #[test]
    fn millions_of_equal_values_take_next_to_nothing_and_come_back() {
        let mut values = vec![3i64; 5_000_000];
        values[4_000_000] = 4;
        let nothing = Contexts { parents: Vec::new(), pair: None, prediction: None, has_rows: true };
        assert!(round_trip(&values, &[], &nothing) < 200);
        let shape = Shape { base: 0, n_levels: 1, n_raw: 0, occurring: Vec::new(), mode: None, is_grouped: true };
        assert!(decode(&[], 1 << 30, &[], &shape, &nothing).is_err());
    }
}
