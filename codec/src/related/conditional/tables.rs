//! Which tables code which rows: classes of contexts put together until each table pays for itself.

use crate::entropy::rans::{Counts, N_TOKENS};

/// Tables at most: their look-ups have to stay in the cache.
pub(super) const MOST: usize = 24;
/// Rows that classes are put together by.
const SAMPLE: usize = 1 << 15;
const ROUNDS: usize = 6;

/// The table of each context, and how often each table's tokens occur.
pub(super) struct Assignment {
    pub of_context: Vec<u8>,
    pub counts: Vec<Counts>,
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
        Self { of_context, counts }.merged()
    }

    /// The two tables that lose least by it become one, as long as that takes fewer bits.
    fn merged(mut self) -> Self {
        let mut names: Vec<usize> = (0..self.counts.len()).collect();
        let mut live: Vec<usize> = names.iter().copied().filter(|&k| self.counts[k].iter().any(|&n| n > 0)).collect();
        let mut own: Vec<f64> = self.counts.iter().map(bits).collect();
        let gain = |counts: &[Counts], own: &[f64], a: usize, b: usize| {
            let together: Counts = std::array::from_fn(|t| counts[a][t] + counts[b][t]);
            own[a] + own[b] - bits(&together)
        };
        let mut gains = vec![vec![f64::NEG_INFINITY; names.len()]; names.len()];
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
            self.counts[a] = std::array::from_fn(|t| self.counts[a][t] + self.counts[b][t]);
            own[a] = bits(&self.counts[a]);
            live.retain(|&k| k != b);
            names.iter_mut().filter(|n| **n == b).for_each(|n| *n = a);
            for &k in &live {
                if k != a {
                    gains[a.min(k)][a.max(k)] = gain(&self.counts, &own, a.min(k), a.max(k));
                }
            }
        }
        let place = |k: usize| live.iter().position(|&l| l == k).unwrap_or(0) as u8;
        self.of_context.iter_mut().for_each(|k| *k = place(names[usize::from(*k)]));
        self.counts = live.iter().map(|&k| self.counts[k]).collect();
        self
    }
}

/// Bits that tokens of these counts take with a table of their own, and the table.
fn bits(counts: &Counts) -> f64 {
    /// What a frequency takes, near enough.
    const ENTRY: f64 = 5.0;
    let n: u32 = counts.iter().sum();
    if n == 0 {
        return 0.0;
    }
    let total = f64::from(n).log2();
    let used = counts.iter().filter(|&&c| c > 0);
    used.map(|&c| f64::from(c) * (total - f64::from(c).log2()) + ENTRY).sum::<f64>() + 16.0
}
