//! Encoding the columns of a table: each as a part of its own, or given columns before it (methods 6 and 11).

use super::read::decode_part;
use super::write::{self, Auction, Winner, with_method};
use crate::bound::Promise;
use crate::candidate::{self, Exceptions, Part, Target, numbers};
use crate::element::Elements;
use crate::entropy;
use crate::error::Result;
use crate::params::{Dtype, Effort};
use crate::predict::search::bits_per_value;
use crate::predict::stream::{self, Ints};
use crate::quantize::{Quantised, quantise};
use crate::related::conditional::{self, Kind, Plan, Survey};
use crate::related::{self, Columns, Decoded, Formula};
use crate::special::{Gaps, Specials};
use std::collections::BTreeMap;
use std::ops::Range;

/// Tables with more columns, or fewer rows, are not searched for parents.
const MAX_COLUMNS: usize = 256;
const MIN_ROWS: usize = 64;
/// Rows that formulas are judged by.
const SAMPLE_ROWS: usize = 2048;
/// A formula has to save this part of a column's bits.
const MIN_SAVING: f64 = 0.1;
/// From this part on, coding without the formula is not tried.
const SURE_SAVING: f64 = 0.5;
/// The part of its uncertainty that a decoded value is off by, typically: a uniform error's root mean square is 0.58 of
/// the largest.
const TYPICAL: f64 = 0.6;

/// A column as it is coded.
struct Column {
    promise: Promise,
    specials: Specials,
    quantised: Quantised,
}

impl Column {
    fn part<'a>(&'a self, elements: Elements<'a>, shape: &'a [usize], effort: Effort) -> Part<'a> {
        Part { elements, shape, specials: &self.specials, promise: self.promise, effort, keep_outliers: false }
    }

    /// Which search for something smaller by itself is worth its time where `len_bytes` have been reached: by what
    /// differences from row to row and what repeats would save.
    fn search_alone(&self, len_bytes: usize, original: Elements<'_>) -> Search {
        /// Rows from the middle; for what takes longer.
        const ROWS: usize = 1 << 13;
        const FEW_ROWS: usize = 1 << 11;
        /// Coders with contexts get below the distribution of differences.
        const OF_DISTRIBUTION: f64 = 0.9;
        /// Where differences take so much less, the column is a field of one axis.
        const SMOOTH: f64 = 0.6;
        /// Tables in front weigh less on the whole than on some rows.
        const OF_SAMPLE: f64 = 0.93;
        /// What a match finder saves beyond the distribution is repeats.
        const OF_REPEATS: f64 = 0.85;
        let q = &self.quantised.q;
        let n = q.len().min(ROWS);
        let start = (q.len() - n) / 2;
        let rows = (start..start + n).filter(|&row| !self.specials.is_masked(row));
        let some: Vec<i64> = rows.map(|row| q.get(row)).collect();
        let differences: Vec<i64> = some.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        let reached = len_bytes as f64 / q.len() as f64 * n as f64;
        let by_differences = bits_per_value(&differences) / 8.0 * differences.len() as f64;
        // Numbers of few digits may take less as they are.
        let numbers_len = || {
            let size = original.dtype.size_bytes();
            let start = (original.len() - original.len().min(FEW_ROWS)) / 2 * size;
            let few = &original.bytes[start..][..original.len().min(FEW_ROWS) * size];
            numbers::sample_len(Elements::new(original.dtype, few), Effort::Default) as f64 / few.len() as f64
        };
        if reached > n as f64 * 1.25 && numbers_len() * 0.95 * (original.bytes.len() as f64) < len_bytes as f64 {
            return Search::Repeats;
        }
        // Where hardly anything is left, no search pays for itself, and where little is left, none of what takes long.
        if by_differences < reached * SMOOTH && reached * 16.0 > n as f64 {
            return if reached * 4.0 > n as f64 { Search::Whole } else { Search::Repeats };
        }
        // They may lie anywhere.
        let repeats_pay = || {
            let repeats = entropy::repeats_len(q) as f64;
            let distribution = q.bits_per_value() / 8.0 * q.len() as f64;
            repeats * OF_REPEATS < len_bytes as f64 && repeats < distribution * OF_REPEATS
        };
        if entropy::has_repeats(q) && repeats_pay() {
            Search::Repeats
        } else if by_differences * OF_DISTRIBUTION < reached && self.quick_len(start..start + n) * OF_SAMPLE < reached {
            Search::Quick
        } else {
            Search::None
        }
    }

    /// Bytes that some of the rows take by the quickest coders.
    fn quick_len(&self, rows: Range<usize>) -> f64 {
        let some: Ints = rows.clone().map(|row| self.quantised.q.get(row)).collect();
        let classes = self.specials.classes.get(rows.clone()).unwrap_or_default();
        stream::encode(&some, &[some.len()], classes, Effort::Fast).len() as f64
    }

    /// What a reader gets from the quantised integers.
    fn reconstruct(&self, original: Elements<'_>) -> Vec<u8> {
        let dtype = original.dtype;
        let mut out = vec![0; original.bytes.len()];
        self.quantised.quantiser.decode_all(dtype, &self.quantised.q, &mut out);
        let mut target = Target { dtype, out: &mut out };
        Exceptions::of(original, &self.quantised.exceptions).restore(&mut target);
        target.restore(&self.specials);
        out
    }
}

/// A search for the smallest way to code a column by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Search {
    None,
    /// By the quickest candidate and the quickest coders.
    Quick,
    /// By the quickest candidates and any coder.
    Repeats,
    Whole,
}

/// Encodes every column; `promise` is that of all, or `None` where each resolves the bound for itself.
pub(super) fn encode(
    auction: &Auction<'_>,
    n_columns: usize,
    rows: &[usize],
    promise: Option<Promise>,
) -> Result<Vec<Winner>> {
    let dtype = auction.params.dtype;
    let effort = auction.params.effort;
    let n_rows: usize = rows.iter().product();
    let mut bytes = write::columns(auction.canonical, dtype.size_bytes(), n_columns);
    let allows = |method| auction.params.candidates.allow(method);
    let is_related = effort != Effort::Fast
        && (allows(candidate::RELATED) || allows(candidate::CONDITIONAL))
        && (2..=MAX_COLUMNS).contains(&n_columns)
        && n_rows >= MIN_ROWS
        && promise != Some(Promise::None);
    if !is_related {
        return bytes
            .into_iter()
            .enumerate()
            .map(|(c, bytes)| {
                let gaps = auction.params.gaps_of_column(c);
                let promise = promise.unwrap_or_else(|| auction.promise_of_column(c, &bytes, &gaps));
                auction.part(&bytes, rows, &gaps, promise, n_columns == 1)
            })
            .collect();
    }
    let mut decoded = Decoded::new(n_columns);
    let columns: Vec<Column> = bytes
        .iter()
        .enumerate()
        .map(|(c, bytes)| {
            let gaps = auction.params.gaps_of_column(c);
            let promise = promise.unwrap_or_else(|| auction.promise_of_column(c, bytes, &gaps));
            let specials = auction.specials(bytes, &gaps, promise);
            let elements = Elements::new(dtype, bytes);
            let quantised = quantise_column(elements, &specials, promise);
            let column = Column { promise, specials, quantised };
            decoded.put(c, dtype, &column.reconstruct(elements));
            column
        })
        .collect();
    let formulas = choose_formulas(&columns, &decoded, dtype, n_rows, auction.formulas(n_columns))?;
    let order = related::order(n_columns, |c| formulas[c].as_ref().map_or(Vec::new(), |f| f.formula.columns()))?;

    let mut surveys = Surveys::new(&decoded, n_columns, n_rows)?;
    let mut winners: Vec<Option<Winner>> = (0..n_columns).map(|_| None).collect();
    for (place, &c) in order.iter().enumerate() {
        let column = &columns[c];
        // Nobody asks for them after this.
        let bytes = std::mem::take(&mut bytes[c]);
        let part = column.part(Elements::new(dtype, &bytes), rows, effort);
        let mut given: Option<Winner> = None;
        if !column.quantised.q.is_constant(&column.specials.classes) {
            let formula = formulas[c].as_ref().map(|chosen| {
                let uncertainty = |p: usize| TYPICAL * columns[p].quantised.quantiser.uncertainty();
                let deltas = chosen.formula.columns().into_iter().map(uncertainty).collect();
                (chosen.formula.clone(), deltas, chosen.saving)
            });
            let keep = |given: &mut Option<Winner>, method, payload| {
                let coded = with_method(method, payload);
                match given {
                    Some(given) => given.keep_smaller(coded, None),
                    None => *given = Some(Winner::new(coded)),
                }
            };
            if allows(candidate::CONDITIONAL) {
                let plans = surveys.plans(c, &order[..place], column, &decoded, formula.clone())?;
                if let Some(payload) = conditional::encode(&part, &column.quantised, &plans, &decoded)? {
                    keep(&mut given, candidate::CONDITIONAL, payload);
                }
            }
            // Mixed contexts gain a little and take ten times as long.
            if allows(candidate::RELATED) && (effort == Effort::Max || given.is_none()) {
                for way in ways(c, &order[..place], &decoded, n_rows, formula)? {
                    let payload = related::encode(&part, &column.quantised, &way, &decoded)?;
                    keep(&mut given, candidate::RELATED, payload);
                }
            }
        }
        let search = match &given {
            Some(given) if effort != Effort::Max => column.search_alone(given.bytes.len(), part.elements),
            _ => Search::Whole,
        };
        let winner = match (given, search) {
            (Some(given), Search::None) => given,
            (given, search) => {
                let effort = if search == Search::Quick { Effort::Fast } else { effort };
                let mut alone =
                    auction.part_of(&Part { effort, ..part }, &column.quantised, false, search != Search::Whole)?;
                given.into_iter().for_each(|given| alone.keep_smaller(given.bytes, None));
                alone
            }
        };
        // Those after it see what readers will see.
        if !matches!(winner.bytes[0], candidate::RELATED | candidate::CONDITIONAL | candidate::QUANTISED) {
            let mut out = vec![0; bytes.len()];
            decode_part(&winner.bytes, None, rows, &mut Target { dtype, out: &mut out })?;
            decoded.put(c, dtype, &out);
        }
        winners[c] = Some(winner);
    }
    Ok(winners.into_iter().flatten().collect())
}

/// A column as integers: within the promise, or exactly where its values have so few bits that this takes no more.
fn quantise_column(elements: Elements<'_>, specials: &Specials, promise: Promise) -> Quantised {
    /// Rows that both ways are judged by.
    const ROWS: usize = 1024;
    let quantised = quantise(elements, specials, promise);
    if !elements.dtype.is_float() || promise == Promise::Exact {
        return quantised;
    }
    let rows: Vec<usize> = related::some_rows(elements.len(), ROWS).filter(|&r| !specials.is_masked(r)).collect();
    let used = rows.iter().fold(0, |used, &row| used | elements.bits(row));
    if rows.is_empty() || used.trailing_zeros() == 0 {
        return quantised;
    }
    let size = elements.dtype.size_bytes();
    let some: Vec<u8> = rows.iter().flat_map(|&row| &elements.bytes[row * size..][..size]).copied().collect();
    let some = Elements::new(elements.dtype, &some);
    let exact = quantise(some, &Specials::find(some, &Gaps::of_value(None)), Promise::Exact);
    let bits_of_rows = |quantised: &Quantised| spacing_bits(rows.iter().map(|&row| quantised.q.get(row)).collect());
    let bits = bits_of_rows(&quantised);
    if spacing_bits((0..rows.len()).map(|k| exact.q.get(k)).collect()) >= bits {
        return quantised;
    }
    let exact = quantise(elements, specials, Promise::Exact);
    if bits_of_rows(&exact) < bits { exact } else { quantised }
}

/// Bits that integers like these take by themselves, by the distances of those that lie near each other (O. Vasicek, "A test
/// for normality based on sample entropy", 1976).
fn spacing_bits(mut some: Vec<i64>) -> f64 {
    some.sort_unstable();
    let near = (some.len() / 64).clamp(1, 16);
    let density = some.len() as f64 / near as f64;
    let bits = some.windows(near + 1).map(|w| (w[near].wrapping_sub(w[0]) as u64 as f64 * density + 1.0).log2());
    bits.sum::<f64>() / (some.len() - near).max(1) as f64
}

/// Classes of a parent beside a formula.
const FEW_CLASSES: usize = 8;

/// What is known of the columns, and of their differences if any of them comes in runs.
struct Surveys {
    plain: Survey,
    differences: Option<Survey>,
    n_columns: usize,
    n_rows: usize,
}

impl Surveys {
    fn new(decoded: &Decoded, n_columns: usize, n_rows: usize) -> Result<Self> {
        Ok(Self { plain: Survey::new(decoded, n_columns, n_rows, false)?, differences: None, n_columns, n_rows })
    }

    /// Ways to code a column by static tables.
    fn plans(
        &mut self,
        target: usize,
        candidates: &[usize],
        column: &Column,
        decoded: &Decoded,
        formula: Option<(Formula, Vec<f64>, f64)>,
    ) -> Result<Vec<Plan>> {
        let classes = &column.specials.classes;
        let q = |row| column.quantised.q.get(row);
        let mut plans = self.plain.plans(target, candidates, q, classes, decoded)?;
        if self.plain.comes_in_runs(target, decoded)? {
            let survey = match self.differences.take() {
                Some(survey) => survey,
                None => Survey::new(decoded, self.n_columns, self.n_rows, true)?,
            };
            let difference = |row: usize| q(row).wrapping_sub(q(row.saturating_sub(1)));
            plans.extend(self.differences.insert(survey).plans(target, candidates, difference, classes, decoded)?);
        }
        if let Some((formula, deltas, _)) = formula {
            // By itself, and in a few classes of the column that says most.
            let parent = plans.first().and_then(|plan| plan.parents.first()).map(|&(column, _)| (column, FEW_CLASSES));
            for parents in [Some(Vec::new()), parent.map(|parent| vec![parent])].into_iter().flatten() {
                let kind = Kind::Formula(formula.clone(), deltas.clone());
                plans.push(Plan { kind, are_differences: false, parents });
            }
        }
        Ok(plans)
    }
}

/// Ways to code a column by mixed contexts.
fn ways(
    target: usize,
    candidates: &[usize],
    decoded: &Decoded,
    n_rows: usize,
    formula: Option<(Formula, Vec<f64>, f64)>,
) -> Result<Vec<Columns>> {
    for &c in candidates.iter().chain([&target]) {
        decoded.bins(c)?;
    }
    let parents = related::choose_parents(target, candidates, |c| decoded.bins(c).expect("looked at before"), n_rows);
    let mut ways = Vec::new();
    // What a formula saves, the parents may save as well: only one that saves most of the bits is sure to be the best.
    if !parents.columns.is_empty() && formula.as_ref().is_none_or(|f| f.2 < SURE_SAVING) {
        ways.push(Columns { parents: parents.clone(), formula: None });
    }
    if let Some((formula, deltas, _)) = formula {
        ways.push(Columns { parents, formula: Some((formula, deltas)) });
    }
    Ok(ways)
}

/// A formula, and the part of the column's bits that it saves.
struct Chosen {
    formula: Formula,
    saving: f64,
}

/// For each column the formula that saves most, if any saves enough; no circles.
fn choose_formulas(
    columns: &[Column],
    decoded: &Decoded,
    dtype: Dtype,
    n_rows: usize,
    offered: Vec<(usize, Formula)>,
) -> Result<Vec<Option<Chosen>>> {
    let sample: Vec<usize> = (0..n_rows).step_by(n_rows.div_ceil(SAMPLE_ROWS)).collect();
    let mut judged = Vec::new();
    for (target, formula) in offered {
        let column = &columns[target];
        let some: Vec<usize> = sample.iter().copied().filter(|&r| !column.specials.is_masked(r)).collect();
        let plain: Vec<i64> = some.iter().map(|&row| column.quantised.q.get(row)).collect();
        let mut parents = BTreeMap::new();
        for c in formula.columns() {
            let values = decoded.values(c)?;
            parents.insert(c, some.iter().map(|&row| values[row]).collect::<Vec<f64>>());
        }
        let mut positions = related::values_of(&formula, |c| &parents[&c], some.len());
        column.quantised.quantiser.positions(dtype, &mut positions);
        let distance = |(&q, &position): (&i64, &f64)| {
            if position.abs() < 1e15 { q.wrapping_sub((position + 0.5).floor() as i64) } else { q }
        };
        let distances: Vec<i64> = plain.iter().zip(&positions).map(distance).collect();
        if plain.is_empty() {
            continue;
        }
        let (before, after) = (bits_per_value(&plain), bits_per_value(&distances));
        if before - after > MIN_SAVING * before {
            judged.push((before - after, target, Chosen { formula, saving: 1.0 - after / before }));
        }
    }
    judged.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut chosen: Vec<Option<Chosen>> = columns.iter().map(|_| None).collect();
    for (_, target, formula) in judged {
        if chosen[target].is_none() {
            chosen[target] = Some(formula);
            let needs = |c: usize| chosen[c].as_ref().map_or(Vec::new(), |f| f.formula.columns());
            if related::order(columns.len(), needs).is_err() {
                chosen[target] = None;
            }
        }
    }
    Ok(chosen)
}
