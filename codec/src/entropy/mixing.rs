//! Logistic mixing: the probability of a decision from several adaptive ones.
//!
//! Each context keeps an adaptive probability; the logits of those that apply are added with weights that are
//! learnt as the values go by (Mahoney, "Adaptive weighing of context models for lossless data compression", 2005).
//! Contexts that say nothing here lose their weight, so that many can be tried at once. Integers throughout: encoder
//! and decoder run the same code and agree on every machine.

use super::context::{N_TOKENS, n_extra, token, token_base};
use super::range::BitCoder;
use std::sync::LazyLock;

/// Logits are in 1/256 and lie within +-[`MAX_LOGIT`].
pub(crate) const MAX_LOGIT: i32 = 3071;

/// Probabilities in 1/65536 from logits, and back.
pub(crate) struct Tables {
    /// `floor(65536 / (1 + e^(-x / 256)))`, at least 1, for x from -[`MAX_LOGIT`].
    pub probability: Vec<u16>,
    /// For a probability of `16 k` to `16 k + 15`: the least x whose probability is at least `16 k + 8`.
    pub logit: Vec<i16>,
}

pub(crate) static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    // e^(1/256) by its series and powers of it by multiplication: no libm, the same everywhere. No entry comes so near an
    // integer that rounding could matter (a test says so).
    let mut base = 1.0;
    for k in (1..12).rev() {
        base = 1.0 + base / (256.0 * f64::from(k));
    }
    let mut powers = vec![1.0f64];
    for _ in 0..MAX_LOGIT {
        powers.push(powers[powers.len() - 1] * base);
    }
    let probability: Vec<u16> = (-MAX_LOGIT..=MAX_LOGIT)
        .map(|x| {
            let power = powers[x.unsigned_abs() as usize];
            let p = if x < 0 { 65536.0 / (1.0 + power) } else { 65536.0 * power / (1.0 + power) };
            (p as u32).clamp(1, 65535) as u16
        })
        .collect();
    let logit = (0..4096u32)
        .map(|k| (probability.partition_point(|&p| u32::from(p) < 16 * k + 8) as i32 - MAX_LOGIT) as i16)
        .collect();
    Tables { probability, logit }
});

/// `65536 / (n + 1.5)`: how far an adaptive probability moves after n observations.
const RATES: [u32; MAX_SEEN as usize + 1] = {
    let mut rates = [0; MAX_SEEN as usize + 1];
    let mut n = 0;
    while n < rates.len() {
        rates[n] = 2 * 65536 / (2 * n as u32 + 3);
        n += 1;
    }
    rates
};
pub(crate) const MAX_SEEN: u32 = 255;

/// An adaptive probability: 22 bits above 10 of observations so far; the top bit flipped, so that all zeros is one half.
pub(crate) type Counter = u32;

#[inline(always)]
pub(crate) fn probability(counter: Counter) -> u32 {
    (counter ^ 1 << 31) >> 16
}

/// Observations so far, at most [`MAX_SEEN`].
#[inline(always)]
pub(crate) fn seen(counter: Counter) -> u32 {
    counter & 1023
}

#[inline(always)]
pub(crate) fn update(counter: &mut Counter, bit: bool, max_seen: u32) {
    let n = *counter & 1023;
    let p = i64::from((*counter ^ 1 << 31) >> 10);
    let target = if bit { (1 << 22) - 1 } else { 0 };
    let p = p + (((target - p) * i64::from(RATES[n as usize])) >> 16);
    *counter = ((p as u32) << 10 ^ 1 << 31) | (n + u32::from(n < max_seen));
}

/// Decisions `token > j` for j from here up share their probabilities.
const N_STEPS: usize = 48;
/// Kinds of decision that have weights of their own: the first, those walking up, those walking down.
const N_KINDS: usize = 3;
/// Expected tokens that have weights of their own.
const N_EXPECTED: usize = 24;

/// Weights are in 1/65536.
const FIRST_WEIGHT: i32 = 16000;
const MAX_WEIGHT: i32 = 1 << 20;
const RATE_SHIFT: u32 = 16;

/// Codes integers, each under `K` contexts at once.
pub(crate) struct Values<const K: usize> {
    tables: &'static Tables,
    /// For each set of contexts: `[context][up or down][step]`.
    counters: [Vec<Counter>; K],
    weights: Vec<[i32; K]>,
    extra: [Counter; N_TOKENS],
    signs: Vec<Counter>,
}

/// What is known before a value is coded.
pub(crate) struct Known<const K: usize> {
    /// Its context in each set.
    pub contexts: [usize; K],
    /// The token to expect.
    pub expected: usize,
    /// The context of its sign.
    pub sign: usize,
}

impl<const K: usize> Values<K> {
    pub fn new(n_contexts: [usize; K], n_signs: usize) -> Self {
        Self {
            tables: &TABLES,
            counters: n_contexts.map(|n| vec![0; n * 2 * N_STEPS]),
            weights: vec![[FIRST_WEIGHT; K]; N_KINDS * N_EXPECTED],
            extra: [0; N_TOKENS],
            signs: vec![0; n_signs],
        }
    }

    /// Codes one value.
    #[inline(always)]
    pub fn code<C: BitCoder>(&mut self, coder: &mut C, value: i64, known: &Known<K>) -> i64 {
        let magnitude = value.unsigned_abs();
        let target = token(magnitude);
        let mut t = known.expected;
        if self.decide(coder, known, 0, t, target > t) {
            t += 1;
            while t < N_TOKENS - 1 && self.decide(coder, known, 1, t, target > t) {
                t += 1;
            }
        } else {
            while t > 0 && !self.decide(coder, known, 2, t - 1, target > t - 1) {
                t -= 1;
            }
        }
        let mut bits = n_extra(t);
        let mut low = magnitude & ((1u64 << bits) - 1);
        let mut found = 0;
        if bits > 0 {
            bits -= 1;
            found = u64::from(single(coder, &mut self.extra[t], low >> bits == 1));
            low &= (1u64 << bits) - 1;
            while bits > 0 {
                let n = bits.min(16);
                bits -= n;
                found = found << n | coder.raw(n, low >> bits & ((1 << n) - 1));
            }
        }
        let magnitude = if C::DECODES { token_base(t).wrapping_add(found) } else { magnitude };
        let is_negative = magnitude != 0 && single(coder, &mut self.signs[known.sign], value < 0);
        if is_negative { (magnitude as i64).wrapping_neg() } else { magnitude as i64 }
    }

    /// Decides whether the token is above `step`.
    #[inline(always)]
    fn decide<C: BitCoder>(&mut self, coder: &mut C, known: &Known<K>, kind: usize, step: usize, bit: bool) -> bool {
        let down = usize::from(kind == 2);
        let at: [usize; K] = known.contexts.map(|c| (2 * c + down) * N_STEPS + step.min(N_STEPS - 1));
        let weights = &mut self.weights[kind * N_EXPECTED + known.expected.min(N_EXPECTED - 1)];
        let mut logits = [0i32; K];
        let mut sum = 0i64;
        for k in 0..K {
            logits[k] = i32::from(self.tables.logit[(probability(self.counters[k][at[k]]) >> 4) as usize]);
            sum += i64::from(logits[k]) * i64::from(weights[k]);
        }
        let logit = (sum >> 16).clamp(-i64::from(MAX_LOGIT), i64::from(MAX_LOGIT)) as i32;
        let p = self.tables.probability[(logit + MAX_LOGIT) as usize];
        let bit = coder.decide(u64::from(p), bit);
        let error = (i32::from(bit) << 16) - i32::from(p);
        for k in 0..K {
            let step = (i64::from(logits[k]) * i64::from(error) + (1 << (RATE_SHIFT - 1))) >> RATE_SHIFT;
            weights[k] = (weights[k] + step as i32).clamp(-MAX_WEIGHT, MAX_WEIGHT);
            update(&mut self.counters[k][at[k]], bit, MAX_SEEN);
        }
        bit
    }
}

/// A decision with one adaptive probability.
#[inline(always)]
pub(crate) fn single<C: BitCoder>(coder: &mut C, counter: &mut Counter, bit: bool) -> bool {
    let bit = coder.decide(u64::from(probability(*counter).max(1)), bit);
    update(counter, bit, MAX_SEEN);
    bit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_those_of_the_format() {
        for (k, &p) in TABLES.probability.iter().enumerate() {
            let exact = 65536.0 / (1.0 + (-(k as f64 - f64::from(MAX_LOGIT)) / 256.0).exp());
            assert_eq!(f64::from(p), exact.floor().clamp(1.0, 65535.0));
            assert!(k == MAX_LOGIT as usize || (exact - exact.round()).abs() > 1e-6, "{k}: {exact}");
        }
        assert_eq!((TABLES.logit[0], TABLES.logit[2048], TABLES.logit[4095]), (-2306, 1, 2307));
    }
}
