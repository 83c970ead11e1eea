//! Which parents a column is coded with, and how, from a sample of the rows.

use super::classes::MOST;
use super::surface::{Located, Surface};
use super::{Kind, Plan, some_rows};
use crate::error::Result;
use crate::related::table::Decoded;
use std::cell::OnceCell;

/// Rows looked at.
const MIN_ROWS: usize = 1024;
const MAX_ROWS: usize = 2048;
/// Classes that columns are compared by.
const CLASSES: usize = 16;
/// The columns that say most are tried in pairs.
const MOST_TRIED: usize = 5;
/// Classes of each parent of a trial's surface.
const PIECES: usize = 8;
/// Bits it takes to learn how often one pair of classes occurs, roughly.
const BITS_TO_LEARN: f64 = 2.0;
/// Rows that pay for a piece of a surface, or a context.
const ROWS_PER_PIECE: usize = 64;
/// A parent, and a second one, have to save so much of a column's bits.
const MIN_SAVING: f64 = 0.005;
const MIN_SECOND_SAVING: f64 = 0.02;

/// The columns whose classes are known.
#[derive(Clone, Copy)]
enum Known {
    Nothing,
    One(usize),
    Two(usize, usize),
}

/// How often each of `N` places occurs; `N` is a power of two.
fn count<const N: usize>(places: impl Iterator<Item = usize>) -> [u16; N] {
    let mut counts = [0; N];
    // All are below `N`, so no look-up is checked.
    places.for_each(|at| counts[at % N] += 1);
    counts
}

/// Columns, or their differences, and what is compared of them: their classes in the sampled rows.
pub(crate) struct Survey {
    rows: Vec<usize>,
    n_rows: usize,
    are_differences: bool,
    /// Of each column.
    classes: Vec<Vec<u8>>,
    /// `n log2 n`.
    products: Vec<f32>,
    /// Of each column, every other of the sampled rows.
    located: Vec<OnceCell<Located>>,
    nowhere: Located,
}

impl Survey {
    /// Of columns that have all been decoded.
    pub fn new(decoded: &Decoded, n_columns: usize, n_rows: usize, are_differences: bool) -> Result<Self> {
        let n = (n_rows / 4).clamp(MIN_ROWS, MAX_ROWS);
        let rows: Vec<usize> = some_rows(n_rows, n).collect();
        let mut classes = Vec::with_capacity(n_columns);
        for column in 0..n_columns {
            let coarse = decoded.look(column, are_differences)?.classes().coarse(CLASSES);
            classes.push(rows.iter().map(|&r| coarse.class(r) as u8).collect());
        }
        let products = (0..=rows.len()).map(|n| n as f32 * (n.max(1) as f32).log2()).collect();
        let located = (0..n_columns).map(|_| OnceCell::new()).collect();
        let nowhere = Located::nowhere(rows.len().div_ceil(2));
        Ok(Self { rows, n_rows, are_differences, classes, products, located, nowhere })
    }

    /// Whether a column's values come again in the row after more often than chance has it.
    pub fn comes_in_runs(&self, column: usize, decoded: &Decoded) -> Result<bool> {
        let values = decoded.values(column)?;
        let n = self.rows.len();
        let again = self.rows.iter().filter(|&&r| r > 0 && values[r] == values[r - 1]).count();
        let mut counts = [0usize; CLASSES];
        self.classes[column].iter().for_each(|&class| counts[usize::from(class)] += 1);
        let by_chance = counts.iter().map(|n| n * n).sum::<usize>() / n.max(1);
        Ok(again > n / 4 && again > by_chance + by_chance / 8)
    }

    /// Bits of a column's classes in the sampled rows where those of others are known, and of learning them.
    fn bits(&self, target: usize, known: Known) -> f64 {
        const PAIRS: usize = CLASSES * CLASSES;
        const TRIPLES: usize = CLASSES * PAIRS;
        let of = |c: usize| self.classes[c].iter().map(|&class| usize::from(class));
        match known {
            Known::Nothing => self.bits_of(&count::<CLASSES>(of(target))),
            Known::One(first) => {
                self.bits_of(&count::<PAIRS>(of(target).zip(of(first)).map(|(class, first)| first * CLASSES + class)))
            }
            Known::Two(first, second) => {
                let rows = of(target).zip(of(first)).zip(of(second));
                self.bits_of(&count::<TRIPLES>(
                    rows.map(|((class, first), second)| first * PAIRS + second * CLASSES + class),
                ))
            }
        }
    }

    /// The same, by how often each class occurs beside each of what is known.
    fn bits_of(&self, joint: &[u16]) -> f64 {
        let product = |n: u16| f64::from(self.products[usize::from(n)]);
        let (mut bits, mut n_pairs) = (0.0, 0);
        for counts in joint.as_chunks::<CLASSES>().0 {
            let sum: u16 = counts.iter().sum();
            if sum > 0 {
                bits += product(sum) - counts.iter().map(|&n| product(n)).sum::<f64>();
                n_pairs += counts.iter().filter(|&&n| n > 0).count();
            }
        }
        bits + n_pairs as f64 * BITS_TO_LEARN * self.rows.len() as f64 / self.n_rows as f64
    }

    /// Ways to code a column that has been quantised to `q` given some of `candidates`: the likeliest one with contexts
    /// alone, and the likeliest one with a surface. `classes` leaves rows out.
    pub fn plans(
        &self,
        target: usize,
        candidates: &[usize],
        q: impl Fn(usize) -> i64,
        classes: &[u8],
        decoded: &Decoded,
    ) -> Result<Vec<Plan>> {
        let are_differences = self.are_differences;
        let alone = self.bits(target, Known::Nothing);
        let mut single: Vec<(f64, usize)> = candidates.iter().map(|&c| (self.bits(target, Known::One(c)), c)).collect();
        single.sort_by(|a, b| a.0.total_cmp(&b.0));
        let best: Vec<usize> = single.iter().take(MOST_TRIED).map(|s| s.1).collect();
        let most = ROWS_PER_PIECE.max(self.n_rows / ROWS_PER_PIECE);
        let mut parents = Vec::new();
        if let Some(&(bits, first)) = single.first().filter(|first| first.0 < (1.0 - MIN_SAVING) * alone) {
            let others = best.iter().filter(|&&c| c != first).map(|&c| (self.bits(target, Known::Two(first, c)), c));
            match others.min_by(|a, b| a.0.total_cmp(&b.0)) {
                Some((both, second)) if both < (1.0 - MIN_SECOND_SAVING) * bits => {
                    parents.extend([(first, (most / 4).min(64)), (second, (most / 4).min(16))]);
                }
                _ => parents.push((first, most.min(MOST))),
            }
        }
        let mut plans = vec![Plan { kind: Kind::Contexts, are_differences, parents }];
        let some = || self.rows.iter().step_by(2).copied();
        let is_coded = |row: usize| classes.get(row).is_none_or(|&c| c == 0);
        let coded = || some().enumerate().filter(|&(_, row)| is_coded(row));
        let middle = coded().next().map_or(0, |(_, row)| q(row));
        let rows: Vec<(usize, f64)> = coded().map(|(k, row)| (k, q(row).wrapping_sub(middle) as f64)).collect();
        let scale = self.n_rows as f64 / self.rows.len() as f64;
        let mut located = Vec::new();
        for &c in &best {
            let column = decoded.look(c, self.are_differences)?;
            let places = || column.classes().coarse_with_places(PIECES, column.values());
            located.push(self.located[c].get_or_init(|| Located::new(&places(), column.values(), some())));
        }
        let estimate = |first: usize, second: Option<usize>| {
            Surface::estimate([located[first], second.map_or(&self.nowhere, |second| located[second])], &rows, scale)
        };
        let trials =
            (0..best.len()).flat_map(|k| [None].into_iter().chain((k + 1..best.len()).map(Some)).map(move |l| (k, l)));
        let likeliest = trials.map(|(k, l)| (estimate(k, l), k, l)).min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, first, second)) = likeliest {
            let square = 1 << (most.ilog2() / 2).min(5);
            let parents = match second {
                Some(second) => vec![(best[first], square), (best[second], square)],
                None => vec![(best[first], most.min(MOST))],
            };
            plans.push(Plan { kind: Kind::Surface, are_differences, parents });
        }
        Ok(plans)
    }
}
