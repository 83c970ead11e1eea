//! Integers to bits: each from its highest bit down, every bit with a probability mixed from several contexts.
//!
//! A context and the bits of the value so far choose an adaptive probability; the logits of these are added with weights
//! that are learned too, one set for each bit's place, as in [`crate::entropy::mixing`].

use super::Bins;
use super::predict::Prediction;
use crate::entropy::mixing::{self, Counter, MAX_LOGIT, MAX_SEEN, TABLES, Tables};
use crate::entropy::range::{BitCoder, Decoder, Encoder};
use crate::error::{Error, Result};

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
}

/// How values become bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The smallest value.
    pub base: i64,
    /// Bits of the largest value above `base`.
    pub n_levels: u32,
    /// The lowest of them that are coded as they are.
    pub n_raw: u32,
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

struct Mixer {
    slots: Vec<Counter>,
    /// Hashes keep this many bits: a shift to the right.
    shift: u32,
    /// In 1/65536, a set for each level.
    weights: Vec<[i32; MAX_CONTEXTS]>,
    n_contexts: usize,
    at: [usize; MAX_CONTEXTS],
    logits: [i32; MAX_CONTEXTS],
}

impl Mixer {
    fn new(n_values: usize, n_contexts: usize) -> Self {
        // 32 slots for each value while that fits a cache.
        let bits = (n_values.max(1).ilog2() + 6).clamp(12, 20);
        Self {
            slots: vec![0; 1 << bits],
            shift: 64 - bits,
            weights: vec![[(65536 * 3 / 2 / n_contexts) as i32; MAX_CONTEXTS]; 64],
            n_contexts,
            at: [0; MAX_CONTEXTS],
            logits: [0; MAX_CONTEXTS],
        }
    }

    #[inline(always)]
    fn bit<C: BitCoder>(
        &mut self,
        coder: &mut C,
        tables: &Tables,
        contexts: &[u64; MAX_CONTEXTS],
        node: u64,
        level: usize,
        bit: bool,
    ) -> bool {
        let n = self.n_contexts;
        let weights = &mut self.weights[level];
        let node = node.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut sum = 0i64;
        for k in 0..n {
            let at = ((contexts[k] ^ node).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> self.shift) as usize;
            let slot = self.slots[at];
            let logit = i32::from(tables.logit[(mixing::probability(slot) >> 4) as usize]);
            self.at[k] = at;
            self.logits[k] = (logit * TRUST[mixing::seen(slot) as usize]) >> 8;
            sum += i64::from(self.logits[k]) * i64::from(weights[k]);
        }
        let mixed = (sum >> 16).clamp(-i64::from(MAX_LOGIT), i64::from(MAX_LOGIT)) as i32;
        let p = tables.probability[(mixed + MAX_LOGIT) as usize];
        let bit = coder.decide(p.into(), bit);
        let error = (i32::from(bit) << 16) - i32::from(p);
        for ((weight, &logit), &at) in weights.iter_mut().zip(&self.logits).zip(&self.at).take(n) {
            let step = (i64::from(logit) * i64::from(error) + (1 << (RATE_SHIFT - 1))) >> RATE_SHIFT;
            *weight = weight.saturating_add(step as i32);
            mixing::update(&mut self.slots[at], bit, MAX_SEEN);
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
fn process<C: BitCoder>(coder: &mut C, values: &mut [i64], classes: &[u8], shape: Shape, given: &Contexts<'_>) {
    let tables = &*TABLES;
    let Shape { base, n_levels, n_raw } = shape;
    let parent = |k: usize| given.parents.get(k).copied();
    let n_fixed = if given.parents.is_empty() && given.prediction.is_none() { 3 } else { 5 };
    let n_contexts = n_fixed + given.parents.len();
    let n_coded = if classes.is_empty() { values.len() } else { classes.iter().filter(|&&c| c == 0).count() };
    let mut mixer = Mixer::new(n_coded, n_contexts);
    let (mut last, mut before) = (0u64, 0u64);
    for (row, value) in values.iter_mut().enumerate() {
        if classes.get(row).is_some_and(|&c| c != 0) {
            continue;
        }
        let centre = given.prediction.map_or(0, |p| p.centre[row]);
        let fine = |k: usize| parent(k).map_or(0, |b| u64::from(b.fine(row)));
        let coarse = |k: usize| parent(k).map_or(0, |b| u64::from(b.coarse(row)));
        let both = coarse(0) * 32 + given.pair.map_or(0, |b| u64::from(b.coarse(row)));
        let mut contexts = [0; MAX_CONTEXTS];
        contexts[0] = hash(0, 0);
        contexts[1] = hash(1, last);
        let (sure, fraction) =
            given.prediction.map_or((0, 0), |p| (u64::from(p.spread[row]), u64::from(p.fraction[row])));
        if given.prediction.is_some() {
            contexts[2] = hash(2, sure * 8 + fraction);
            contexts[3] = hash(3, sure);
            contexts[4] = hash(4, sure * 32 + coarse(0));
        } else {
            contexts[2] = hash(2, (last >> 2) << 32 | before >> 2);
            contexts[3] = hash(3, both);
            contexts[4] = hash(4, both * 32 + coarse(1) / 4);
        }
        for k in 0..given.parents.len() {
            contexts[n_fixed + k] = hash(5 + k as u64, fine(k));
        }
        let v = if C::DECODES { 0 } else { value.wrapping_sub(centre).wrapping_sub(base) as u64 };
        let mut node = 1u64;
        let mut found = 0u64;
        for level in (n_raw..n_levels).rev() {
            let depth = n_levels - 1 - level;
            let path = if depth < WHOLE_PATHS { node } else { 1 << 32 | u64::from(depth) << 8 | node & 3 };
            let bit = mixer.bit(coder, tables, &contexts, path, depth as usize, v >> level & 1 == 1);
            node = node << 1 | u64::from(bit);
            found = found << 1 | u64::from(bit);
        }
        let mut left = n_raw;
        while left > 0 {
            let n = left.min(16);
            left -= n;
            found = found << n | coder.raw(n, v >> left & ((1 << n) - 1));
        }
        if C::DECODES {
            *value = (found as i64).wrapping_add(base).wrapping_add(centre);
        }
        (before, last) = (last, found);
    }
}

impl Shape {
    /// The shape that fits these values; those with a class other than 0 are not coded.
    pub fn of(values: &[i64], classes: &[u8], centre: Option<&[i64]>) -> Self {
        let coded = (0..values.len()).filter(|&i| classes.get(i).is_none_or(|&c| c == 0));
        let distances: Vec<i64> = coded.map(|i| values[i].wrapping_sub(centre.map_or(0, |c| c[i]))).collect();
        let base = distances.iter().copied().min().unwrap_or(0);
        let mut used = 0u64;
        let mut ones = [0usize; 64];
        for d in &distances {
            let v = d.wrapping_sub(base) as u64;
            used |= v;
            ones.iter_mut().enumerate().for_each(|(level, n)| *n += (v >> level & 1) as usize);
        }
        let n_levels = 64 - used.leading_zeros();
        // Low bits that are 1 as often as 0 carry nothing that contexts could find, far below the highest ones.
        let n = distances.len() as f64;
        let is_balanced = |level: u32| (ones[level as usize] as f64 - n / 2.0).abs() <= 2.0 * n.sqrt() / 2.0;
        let n_raw = (0..n_levels.saturating_sub(WHOLE_PATHS)).take_while(|&level| is_balanced(level)).count() as u32;
        Self { base, n_levels, n_raw }
    }
}

/// Encodes the values whose class is 0.
pub(crate) fn encode(values: &[i64], classes: &[u8], shape: Shape, given: &Contexts<'_>) -> Vec<u8> {
    let mut coder = Encoder::new();
    process(&mut coder, &mut values.to_vec(), classes, shape, given);
    coder.finish()
}

/// Decodes `n` values; those with a class other than 0 are left at 0.
pub(crate) fn decode(payload: &[u8], n: usize, classes: &[u8], shape: Shape, given: &Contexts<'_>) -> Result<Vec<i64>> {
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
        let packed = encode(values, classes, shape, given);
        let back = decode(&packed, values.len(), classes, shape, given).unwrap();
        for (i, v) in values.iter().enumerate().filter(|&(i, _)| classes.get(i).is_none_or(|&c| c == 0)) {
            assert_eq!(back[i], *v, "row {i} of {shape:?}");
        }
        packed.len()
    }

    #[test]
    fn any_integers_come_back() {
        let nothing = Contexts { parents: Vec::new(), pair: None, prediction: None };
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
        let with = Contexts { parents: vec![&bins, &bins, &bins], pair: Some(&bins), prediction: None };
        let digits: Vec<i64> = noise.iter().map(|v| v % 10).collect();
        assert!(round_trip(&digits, &[], &with) * 8 < round_trip(&digits, &[], &nothing));
    }

    #[test]
    fn millions_of_equal_values_take_next_to_nothing_and_come_back() {
        let mut values = vec![3i64; 5_000_000];
        values[4_000_000] = 4;
        let nothing = Contexts { parents: Vec::new(), pair: None, prediction: None };
        assert!(round_trip(&values, &[], &nothing) < 200);
        let shape = Shape { base: 0, n_levels: 1, n_raw: 0 };
        assert!(decode(&[], 1 << 30, &[], shape, &nothing).is_err());
    }
}
