//! Which tables code which rows: classes of contexts put together until each table pays for itself.

use crate::entropy::rans::{Counts, N_TOKENS};

/// Tables at most: their look-ups have to stay in the cache.
pub(super) const MOST: usize = 24;
/// Rows that contexts are put together by.
const SAMPLE: usize = 1 << 14;
const ROUNDS: usize = 5;

/// The table of each context, and how often each table's tokens occur.
pub(super) struct Assignment {
    pub of_context: Vec<u8>,
    pub counts: Vec<Counts>,
    /// What all tokens and tables take, about.
    pub bits: f64,
}

impl Assignment {
    /// Of rows, each with a context below `n_contexts` and a token.
    ///
    /// Lloyd's algorithm, a distance being the bits that a context's tokens take by a table.
    pub fn of(contexts: &[u16], tokens: &[u8], n_contexts: usize) -> Self {
        let stride = tokens.len().div_ceil(SAMPLE).max(1);
        let sample = || contexts.iter().zip(tokens).step_by(stride).map(|(&c, &t)| (usize::from(c), usize::from(t)));
        // At first contexts with like tokens are together.
        let mut sums = vec![(0u32, 0u32); n_contexts];
        for (c, t) in sample() {
            sums[c].0 += t as u32;
            sums[c].1 += 1;
        }
        let mut rising: Vec<usize> = (0..n_contexts).collect();
        let mean = |c: usize| f64::from(sums[c].0) / f64::from(sums[c].1.max(1));
        rising.sort_by(|&a, &b| mean(a).total_cmp(&mean(b)));
        let n_sampled = tokens.len().div_ceil(stride);
        let mut of_context = vec![0u8; n_contexts];
        let mut above = 0;
        for c in rising {
            of_context[c] = (above * MOST / n_sampled.max(1)).min(MOST - 1) as u8;
            above += sums[c].1 as usize;
        }
        let mut bits = vec![[0f32; MOST]; n_contexts];
        let mut lengths = vec![[0f32; MOST]; N_TOKENS];
        for _ in 0..ROUNDS {
            let mut counts = vec![[0u32; N_TOKENS]; MOST];
            for (c, t) in sample() {
                counts[usize::from(of_context[c])][t] += 1;
            }
            for (k, counts) in counts.iter().enumerate() {
                // A quarter of each token has been seen before the first.
                let total = (counts.iter().sum::<u32>() as f32 + N_TOKENS as f32 / 4.0).log2();
                for (length, &count) in lengths.iter_mut().zip(counts) {
                    length[k] = total - (count as f32 + 0.25).log2();
                }
            }
            bits.iter_mut().for_each(|b| *b = [0.0; MOST]);
            for (c, t) in sample() {
                for (bits, length) in bits[c].iter_mut().zip(&lengths[t]) {
                    *bits += length;
                }
            }
            for (k, bits) in of_context.iter_mut().zip(&bits) {
                let least = (0..MOST).min_by(|&a, &b| bits[a].total_cmp(&bits[b])).expect("there are tables");
                if bits[least] < bits[usize::from(*k)] {
                    *k = least as u8;
                }
            }
        }
        let mut counts = vec![[0u32; N_TOKENS]; MOST];
        for (&c, &t) in contexts.iter().zip(tokens) {
            counts[usize::from(of_context[usize::from(c)])][usize::from(t)] += 1;
        }
        Self { of_context, counts, bits: 0.0 }.merged()
    }

    /// The two tables that lose least by it become one, as long as that takes fewer bits.
    fn merged(mut self) -> Self {
        let costs = Costs::new();
        let used = |counts: &Counts| N_TOKENS - counts.iter().rev().take_while(|&&n| n == 0).count();
        let n_tokens = self.counts.iter().map(used).max().unwrap_or(0);
        let n = self.counts.len();
        let mut names: Vec<usize> = (0..n).collect();
        let mut live: Vec<usize> = (0..n).filter(|&k| used(&self.counts[k]) > 0).collect();
        let mut own: Vec<f64> =
            self.counts.iter().map(|counts| costs.table(counts[..n_tokens].iter().copied())).collect();
        let gain = |counts: &[Counts], own: &[f64], a: usize, b: usize| {
            let (first, second) = (&counts[a][..n_tokens], &counts[b][..n_tokens]);
            own[a] + own[b] - costs.table(first.iter().zip(second).map(|(a, b)| a + b))
        };
        let mut gains = vec![vec![f64::NEG_INFINITY; n]; n];
        for (i, &a) in live.iter().enumerate() {
            for &b in &live[i + 1..] {
                gains[a][b] = gain(&self.counts, &own, a, b);
            }
        }
        while live.len() > 1 {
            let pairs = live.iter().enumerate().flat_map(|(i, &a)| live[i + 1..].iter().map(move |&b| (a, b)));
            let (a, b) = pairs.max_by(|p, q| gains[p.0][p.1].total_cmp(&gains[q.0][q.1])).expect("two are left");
            if gains[a][b] <= 0.0 {
                break;
            }
            let second = self.counts[b];
            self.counts[a].iter_mut().zip(second).for_each(|(a, b)| *a += b);
            own[a] = costs.table(self.counts[a][..n_tokens].iter().copied());
            live.retain(|&k| k != b);
            names.iter_mut().filter(|n| **n == b).for_each(|n| *n = a);
            for &k in live.iter().filter(|&&k| k != a) {
                gains[a.min(k)][a.max(k)] = gain(&self.counts, &own, a.min(k), a.max(k));
            }
        }
        let place = |k: usize| live.iter().position(|&l| l == k).unwrap_or(0) as u8;
        let places: Vec<u8> = names.into_iter().map(place).collect();
        self.of_context.iter_mut().for_each(|k| *k = places[usize::from(*k)]);
        self.counts = live.iter().map(|&k| self.counts[k]).collect();
        let changes = self.of_context.windows(2).filter(|pair| pair[0] != pair[1]).count();
        self.bits = live.iter().map(|&k| own[k]).sum::<f64>() + changes as f64 * CHANGE_BITS;
        self
    }
}

/// What it takes to say that a context's table is another than that of the one before.
const CHANGE_BITS: f64 = 6.0;

/// Logarithms of small numbers at hand.
struct Costs {
    /// `n log2 n`.
    products: Vec<f64>,
}

impl Costs {
    fn new() -> Self {
        Self { products: (0..1024u32).map(|n| Self::product(n)).collect() }
    }

    fn product(n: u32) -> f64 {
        if n == 0 { 0.0 } else { f64::from(n) * f64::from(n).log2() }
    }

    /// Bits that tokens of these counts take with a table of their own, and the table.
    fn table(&self, counts: impl Iterator<Item = u32>) -> f64 {
        /// What a frequency takes, near enough.
        const ENTRY: f64 = 5.0;
        let product = |n: u32| self.products.get(n as usize).copied().unwrap_or_else(|| Self::product(n));
        let (mut sum, mut bits) = (0, 16.0);
        for count in counts.filter(|&count| count > 0) {
            sum += count;
            bits += ENTRY - product(count);
        }
        if sum == 0 { 0.0 } else { bits + product(sum) }
    }
}
