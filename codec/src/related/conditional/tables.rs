//! Which tables code which rows: classes of contexts put together until each table pays for itself.

use super::some_rows;
use crate::entropy::rans::{Counts, N_TOKENS};
use crate::simd::{self, Kernel};
use std::sync::LazyLock;

/// Tables at most: their look-ups have to stay in the cache.
pub(super) const MOST: usize = 24;
/// Rows that contexts are put together by, for each context; and in all.
const ROWS_PER_CONTEXT: usize = 24;
/// A table has to serve so many rows to be worth a trial.
const ROWS_PER_TABLE: usize = 384;
const MIN_ROWS: usize = 1 << 12;
const MAX_ROWS: usize = 1 << 14;

/// How well it is known which contexts are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pains {
    /// To compare plans for so many rows by some of them.
    Few(usize),
    /// To code a column.
    All,
}

impl Pains {
    fn rounds_and_rows(self, n_contexts: usize) -> (usize, usize) {
        match self {
            Self::Few(_) => (2, MIN_ROWS),
            Self::All => (3, (n_contexts * ROWS_PER_CONTEXT).clamp(MIN_ROWS, MAX_ROWS)),
        }
    }
}

/// The table of each context, and how often each table's tokens occur.
pub(super) struct Assignment {
    pub of_context: Vec<u8>,
    pub counts: Vec<Counts>,
    /// What all tokens take, about,
    pub token_bits: f64,
    /// and the tables and which context has which.
    pub table_bits: f64,
}

impl Assignment {
    /// Of rows, each with a context below `n_contexts` and a token.
    pub fn of(contexts: &[u16], tokens: &[u8], n_contexts: usize, pains: Pains) -> Self {
        let (n_rounds, n_rows) = pains.rounds_and_rows(n_contexts);
        let rows: Vec<(u16, u8)> = some_rows(tokens.len(), n_rows).map(|row| (contexts[row], tokens[row])).collect();
        let n_tables = (tokens.len() / ROWS_PER_TABLE).clamp(1, MOST).min(n_contexts);
        let of_context = if n_tables > 1 {
            let lloyd = Lloyd { rows: &rows, n_contexts, n_tables, n_rounds };
            // A vector's worth of tables, or two, or all.
            match n_tables {
                0..=8 => simd::run(InLanes::<8>(lloyd)),
                9..=16 => simd::run(InLanes::<16>(lloyd)),
                _ => simd::run(InLanes::<MOST>(lloyd)),
            }
        } else {
            vec![0; n_contexts]
        };
        let mut counts = vec![[0u32; N_TOKENS]; n_tables];
        for (&c, &t) in contexts.iter().zip(tokens) {
            counts[usize::from(of_context[usize::from(c)])][usize::from(t)] += 1;
        }
        Self { of_context, counts, token_bits: 0.0, table_bits: 0.0 }.merged()
    }

    /// The two tables that lose least by it become one, as long as that takes fewer bits.
    fn merged(mut self) -> Self {
        let products = &PRODUCTS[..];
        let used = |counts: &Counts| N_TOKENS - counts.iter().rev().take_while(|&&n| n == 0).count();
        let n_tokens = self.counts.iter().map(used).max().unwrap_or(0);
        let n = self.counts.len();
        let mut names: Vec<usize> = (0..n).collect();
        let mut live: Vec<usize> = (0..n).filter(|&k| used(&self.counts[k]) > 0).collect();
        let mut own: Vec<f64> =
            self.counts.iter().map(|counts| bits(counts[..n_tokens].iter().copied(), products)).collect();
        let gain = |counts: &[Counts], own: &[f64], a: usize, b: usize| {
            let (first, second) = (&counts[a][..n_tokens], &counts[b][..n_tokens]);
            own[a] + own[b] - bits(first.iter().zip(second).map(|(a, b)| a + b), products)
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
            own[a] = bits(self.counts[a][..n_tokens].iter().copied(), products);
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
        let tables: f64 = self.counts.iter().map(table_bits).sum();
        self.token_bits = live.iter().map(|&k| own[k]).sum::<f64>() - tables;
        self.table_bits = tables + changes as f64 * CHANGE_BITS;
        self
    }
}

/// Lloyd's algorithm, the distance of a context from a table being the bits that its tokens take.
struct Lloyd<'a> {
    /// Context and token.
    rows: &'a [(u16, u8)],
    n_contexts: usize,
    n_tables: usize,
    n_rounds: usize,
}

/// The same for at most so many tables.
struct InLanes<'a, const LANES: usize>(Lloyd<'a>);

impl<const LANES: usize> Kernel for InLanes<'_, LANES> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn run(self) -> Vec<u8> {
        let Lloyd { rows, n_contexts, n_tables, n_rounds } = self.0;
        let logarithms = &*LOGARITHMS;
        let n_tokens = rows.iter().map(|row| usize::from(row.1) + 1).max().unwrap_or(0);
        let mut of_context = by_mean(rows, n_contexts, n_tables);
        let mut lengths = [[0f32; LANES]; N_TOKENS];
        let mut bits = vec![0f32; n_contexts * LANES];
        for _ in 0..n_rounds {
            let mut counts = [[0u16; LANES]; N_TOKENS];
            let mut sums = [0u16; LANES];
            for &(context, token) in rows {
                let table = usize::from(of_context[usize::from(context)]);
                counts[usize::from(token)][table] += 1;
                sums[table] += 1;
            }
            let totals = sums.map(|sum| (f32::from(sum) + N_TOKENS as f32 / 4.0).log2());
            for (lengths, counts) in lengths.iter_mut().zip(&counts[..n_tokens]) {
                for ((length, &count), total) in lengths.iter_mut().zip(counts).zip(totals) {
                    *length = total - logarithms[usize::from(count)];
                }
            }
            bits.fill(0.0);
            let (bits, _) = bits.as_chunks_mut::<LANES>();
            for &(context, token) in rows {
                for (bits, length) in bits[usize::from(context)].iter_mut().zip(&lengths[usize::from(token)]) {
                    *bits += length;
                }
            }
            for (table, bits) in of_context.iter_mut().zip(bits) {
                let least = bits[..n_tables].iter().fold(f32::INFINITY, |least, &b| if b < least { b } else { least });
                if least < bits[usize::from(*table)] {
                    *table = bits.iter().position(|&b| b == least).unwrap_or(0) as u8;
                }
            }
        }
        // Those without rows are like their neighbours, which takes least to say.
        let bits = bits.as_chunks::<LANES>().0;
        for context in 1..n_contexts {
            if bits[context] == [0.0; LANES] {
                of_context[context] = of_context[context - 1];
            }
        }
        of_context
    }
}

/// Contexts with like tokens together, about equally many rows to a table.
fn by_mean(rows: &[(u16, u8)], n_contexts: usize, n_tables: usize) -> Vec<u8> {
    let mut sums = vec![(0u32, 0u32); n_contexts];
    for &(context, token) in rows {
        let (sum, n) = &mut sums[usize::from(context)];
        (*sum, *n) = (*sum + u32::from(token), *n + 1);
    }
    let mean = |context: usize| f64::from(sums[context].0) / f64::from(sums[context].1.max(1));
    let mut rising: Vec<(f64, usize)> = (0..n_contexts).map(|context| (mean(context), context)).collect();
    rising.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut tables = vec![0; n_contexts];
    let mut below = 0;
    for (_, context) in rising {
        tables[context] = (below * n_tables / rows.len().max(1)).min(n_tables - 1) as u8;
        below += sums[context].1 as usize;
    }
    tables
}

/// What it takes to say that a context's table is another than that of the one before.
const CHANGE_BITS: f64 = 6.0;

/// Of counts of [`Lloyd`]: `log2 (n + 1/4)`, as if a quarter of each token had been seen before the first.
static LOGARITHMS: LazyLock<Vec<f32>> = LazyLock::new(|| (0..=MAX_ROWS).map(|n| (n as f32 + 0.25).log2()).collect());

/// `n log2 n` for small n.
static PRODUCTS: LazyLock<Vec<f64>> = LazyLock::new(|| (0..4096).map(product).collect());

fn product(n: u32) -> f64 {
    if n == 0 { 0.0 } else { f64::from(n) * f64::from(n).log2() }
}

/// What a table takes by itself, and for each token, near enough.
const TABLE_BITS: f64 = 16.0;
const ENTRY_BITS: f64 = 5.0;

fn table_bits(counts: &Counts) -> f64 {
    TABLE_BITS + counts.iter().filter(|&&count| count > 0).count() as f64 * ENTRY_BITS
}

/// Bits that tokens of these counts take with a table of their own, and the table.
#[inline(always)]
fn bits(counts: impl Iterator<Item = u32>, products: &[f64]) -> f64 {
    let product = |n: u32| products.get(n as usize).copied().unwrap_or_else(|| product(n));
    let (mut sum, mut bits) = (0, TABLE_BITS);
    for count in counts {
        sum += count;
        bits += if count > 0 { ENTRY_BITS - product(count) } else { 0.0 };
    }
    if sum == 0 { 0.0 } else { bits + product(sum) }
}
