//! Choosing the parameters of a table: bounds, lattices, and formulas that make columns smaller.

use crate::document::{Code, Column, Document, Float, Limit, Mode, Parameters, Steps, WHOLE_BYTE};
use crate::encode::{ValueRange, zigzag};
use crate::error::{Error, Result};
use crate::options::{Options, of_metadata};
use crate::real::{Real, float_of, with_real};
use crate::tree::{self, Rows};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use baler_codec::ValueQuantiser;
use baler_codec::bundle::Family;
use baler_codec::relation::Formula;
use baler_codec::standalone::map_all;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A formula has to save this part of a column's bytes: predicted columns lose their statistics, and cost time.
const MIN_SAVING: f64 = 0.1;
/// Tables with more columns are not searched for formulas (those of bundles are tried all the same).
const MAX_SEARCHED: usize = 32;
/// Rows that formulas and layouts are judged by.
const SAMPLE_ROWS: usize = 1 << 15;
/// Values of [`Column::low_bits`] that are tried.
const LOW_BITS: [u32; 5] = [8, 7, 6, 5, 4];

/// What the ordinary values of each column of floats span, nested ones included, by path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranges {
    found: BTreeMap<Vec<String>, ValueRange>,
}

impl Ranges {
    /// Takes the finite values of a batch in.
    pub fn observe(&mut self, batch: &RecordBatch) -> Result<()> {
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            each_leaf(field, array, &mut |path, float, leaf| {
                let range = self.found.entry(path.to_vec()).or_insert(ValueRange::EMPTY);
                each_value(float, leaf, &mut |v| {
                    if v.is_finite() {
                        range.add(v);
                    }
                });
            })?;
        }
        Ok(())
    }

    /// States the range of a column.
    pub fn insert(&mut self, path: Vec<String>, range: ValueRange) {
        self.found.entry(path).or_insert(ValueRange::EMPTY).merge(range);
    }

    /// Takes those of another part of the table in.
    pub fn merge(&mut self, other: &Ranges) {
        for (path, range) in &other.found {
            self.insert(path.clone(), *range);
        }
    }

    /// The range of a column.
    pub fn get(&self, path: &[String]) -> Option<ValueRange> {
        self.found.get(path).copied()
    }
}

/// A column that is left as it is, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// Its path.
    pub column: String,
    /// The reason.
    pub reason: String,
}

/// Chooses the parameters for a table from what is asked, the range of each column and a sample of its rows.
///
/// # Errors
/// For a column that is named and is not there, is no column of floats, or is a key; if nothing is left to encode.
pub fn plan(
    schema: &Schema,
    ranges: &Ranges,
    sample: &RecordBatch,
    options: &Options,
) -> Result<(Document, Vec<LeftOut>)> {
    let mut columns = Vec::new();
    let mut left_out = Vec::new();
    let mut seen = Vec::new();
    let of_schema = of_metadata(schema.metadata())?;
    tree::fields(schema.fields(), &mut |path, field| {
        let name = path.join(".");
        seen.push(name.clone());
        match column(&name, path, field, of_schema, ranges, options)? {
            Ok(column) => columns.push(column),
            Err(Some(reason)) => left_out.push(LeftOut { column: name, reason }),
            Err(None) => {}
        }
        Ok(None)
    })?;
    for name in options.columns.keys().chain(&options.only) {
        if !seen.contains(name) {
            return Err(Error::invalid(format!("no column {name}; there are: {}", seen.join(", "))));
        }
    }
    if columns.is_empty() {
        let why: Vec<String> = left_out.iter().map(|l| format!("{}: {}", l.column, l.reason)).collect();
        return Err(Error::invalid(format!(
            "no column to encode. {}",
            if why.is_empty() {
                "Name a bound, such as rel:1e-3, for a table with columns of floats".into()
            } else {
                why.join("; ")
            }
        )));
    }
    let values = decoded_values(&columns, sample)?;
    if !options.no_prediction {
        predict(&mut columns, &values, options.n_threads)?;
    }
    lay_out(&mut columns, &values, options.n_threads)?;
    Ok((Document::new(&Parameters::new(options.request(), columns))?, left_out))
}

/// The plain column of a leaf, or why it is left (`None`: nobody asked).
fn column(
    name: &str,
    path: &[String],
    field: &Field,
    of_schema: Option<Option<Limit>>,
    ranges: &Ranges,
    options: &Options,
) -> Result<std::result::Result<Column, Option<String>>> {
    let named = options.columns.contains_key(name) || options.only.iter().any(|n| n == name);
    let is_own_key = field.metadata().contains_key("baler.key").then(|| "its field is marked baler.key".to_owned());
    let key = options.keys.get(name).or_else(|| options.keys.get(&path[0])).cloned().or(is_own_key);
    if let Some(reason) = key {
        if named && options.columns.get(name) != Some(&None) {
            return Err(Error::invalid(format!(
                "column {name} is not encoded: {reason}, so its values must stay exact"
            )));
        }
        return Ok(Err(float_of(field.data_type()).map(|_| reason)));
    }
    let Some(dtype) = float_of(field.data_type()) else {
        if named && options.columns.get(name) != Some(&None) {
            return Err(Error::invalid(format!(
                "column {name} is of type {}: only floats are encoded",
                field.data_type()
            )));
        }
        return Ok(Err(None));
    };
    if !options.only.is_empty() && !named {
        return Ok(Err(Some("not named".into())));
    }
    let asked = match options.columns.get(name) {
        Some(limit) => Some(*limit),
        None => of_metadata(field.metadata())?.or(options.bound.map(Some)).or(of_schema),
    };
    let Some(Some(asked)) = asked else { return Ok(Err(Some("no bound is asked for".into()))) };
    let Some(range) = ranges.get(path).filter(|r| !r.is_empty()) else {
        return Ok(Err(Some("no finite value of it is known".into())));
    };
    let largest = range.min.abs().max(range.max.abs());
    let Some(bound) = ValueQuantiser::resolve(asked.bound(), range.min, range.max) else {
        return Ok(Err(Some("all its values are equal: a share of their range is nothing".into())));
    };
    let Some(quantiser) = ValueQuantiser::new(dtype.dtype(), bound, largest)? else {
        return Ok(Err(Some(format!("{bound} is finer than {} is near {largest:e}", dtype.dtype()))));
    };
    let place = |v: f64| quantiser.nearest(v).unwrap_or(0);
    let (base, last) = (place(range.min), place(range.max));
    let code = if last.abs_diff(base) < 1 << 30 { Code::Int32 } else { Code::Int64 };
    Ok(Ok(Column {
        path: path.to_vec(),
        dtype,
        nullable: field.is_nullable(),
        code,
        asked,
        bound: Limit::of(bound)?,
        lattice: Steps::from(quantiser.lattice()),
        mode: Mode::Plain { base },
        low_bits: WHOLE_BYTE,
        range: [range.min, range.max],
    }))
}

/// Values of the top-level columns of a sample as readers will see them; empty for the others.
fn decoded_values(columns: &[Column], sample: &RecordBatch) -> Result<Vec<Vec<f64>>> {
    let sample = sample.slice(0, sample.num_rows().min(SAMPLE_ROWS));
    let plain = Document::new(&Parameters::new(String::new(), columns.to_vec()))?;
    let values = |(c, column): (usize, &Column)| match (&column.path[..], sample.column_by_name(&column.path[0])) {
        ([_], Some(array)) if float_of(array.data_type()) == Some(column.dtype) => {
            let mut values = Vec::with_capacity(array.len());
            let quantiser = &plain.quantisers[c];
            each_place(column.dtype, array, &mut |v| {
                values.push(v.map_or(f64::NAN, |v| quantiser.quantise(v).map_or(v, |q| quantiser.decode(q))));
            });
            values
        }
        _ => Vec::new(),
    };
    Ok(columns.iter().enumerate().map(values).collect())
}

/// A way to predict a column.
struct Candidate {
    column: usize,
    formula: Formula,
    bundle: Option<String>,
    saved: f64,
}

/// Lets formulas take over columns where they save enough, those first that save most; no circles.
fn predict(columns: &mut [Column], values: &[Vec<f64>], n_threads: usize) -> Result<()> {
    let plain = Document::new(&Parameters::new(String::new(), columns.to_vec()))?;
    let judge = |(column, formula, bundle): (usize, Formula, Option<String>)| -> Result<Option<Candidate>> {
        let takes = formula.columns();
        if values[column].is_empty() || takes.is_empty() || takes.iter().any(|&p| p == column || values[p].is_empty()) {
            return Ok(None);
        }
        let quantiser = &plain.quantisers[column];
        let Mode::Plain { base } = plain.columns()[column].mode else { return Ok(None) };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (row, &v) in values[column].iter().enumerate() {
            let Some(q) = quantiser.quantise(v) else { continue };
            let centre = quantiser.nearest(formula.value(|p| values[p][row])).unwrap_or(0);
            before.push(q.wrapping_sub(base));
            after.push(zigzag(q.wrapping_sub(centre)));
        }
        let (before, after) = (size(&before)? as f64, size(&after)? as f64);
        let saves_enough = after < before * (1.0 - MIN_SAVING);
        Ok(saves_enough.then_some(Candidate { column, formula, bundle, saved: before - after }))
    };
    let judged = map_all(n_threads, offered(columns, values, n_threads), judge)?;
    let mut judged: Vec<Candidate> = judged.into_iter().flatten().collect();
    judged.sort_by(|a, b| b.saved.total_cmp(&a.saved));
    let mut formulas: Vec<Option<Formula>> = vec![None; columns.len()];
    for candidate in judged {
        let c = candidate.column;
        if formulas[c].is_some() {
            continue;
        }
        formulas[c] = Some(candidate.formula);
        match (&formulas[c], crate::document::order(&formulas)) {
            (Some(formula), Ok(_)) => {
                columns[c].mode = Mode::Predict { formula: formula.to_string(), bundle: candidate.bundle };
            }
            _ => formulas[c] = None,
        }
    }
    Ok(())
}

/// Chooses for each column what the lowest byte of its codes holds, and where plain codes start. Parquet keeps bytes of equal weight
/// together and Zstandard codes each by its frequencies alone: what one byte says should be independent of the other, and neither
/// nearly constant nor all noise.
fn lay_out(columns: &mut [Column], values: &[Vec<f64>], n_threads: usize) -> Result<()> {
    let document = Document::new(&Parameters::new(String::new(), columns.to_vec()))?;
    let found = map_all(n_threads, 0..columns.len(), |c| smallest_layout(&document, &columns[c], c, values))?;
    for (column, (low_bits, moved_up)) in columns.iter_mut().zip(found) {
        column.low_bits = low_bits;
        if let Mode::Plain { base } = &mut column.mode {
            *base = base.saturating_sub(moved_up);
        }
    }
    Ok(())
}

/// Bits of the lowest byte, and how far below its base the codes of column `c` start.
fn smallest_layout(document: &Document, column: &Column, c: usize, values: &[Vec<f64>]) -> Result<(u32, i64)> {
    let centres = document.centres(c, values[c].len(), |parent| &values[parent]);
    let base = match column.mode {
        Mode::Plain { base } => Some(base),
        Mode::Predict { .. } => None,
    };
    let integer = |(row, &v): (usize, &f64)| {
        let q = document.quantisers[c].quantise(v)?;
        Some(centres.as_ref().map_or_else(|| q.wrapping_sub(base.unwrap_or(0)), |p| zigzag(q.wrapping_sub(p[row]))))
    };
    let integers: Vec<i64> = values[c].iter().enumerate().filter_map(integer).collect();
    let (mut smallest, mut best) = (size(&integers)?, (column.low_bits, 0));
    // One byte is one byte.
    if integers.iter().all(|integer| (0..=0xff).contains(integer)) {
        return Ok(best);
    }
    let place = |v: f64| document.quantisers[c].nearest(v).unwrap_or(0);
    let largest = place(column.range[1]).saturating_sub(place(column.range[0])).saturating_mul(2);
    for low_bits in LOW_BITS {
        let candidate = Column { low_bits, ..column.clone() };
        // Codes of all values have to fit, those of residuals of either sign too.
        if low_bits < WHOLE_BYTE && candidate.spread(largest).is_none_or(|code| code >= 1 << 30) {
            continue;
        }
        for quarter in 0..if base.is_some() { 4 } else { 1 } {
            let up = quarter << low_bits >> 2;
            let codes: Option<Vec<i64>> = integers.iter().map(|i| candidate.spread(i.wrapping_add(up))).collect();
            let Some(codes) = codes else { continue };
            let found = size(&codes)?;
            if found < smallest {
                (smallest, best) = (found, (low_bits, up));
            }
        }
    }
    Ok(best)
}

/// Formulas that may fit: of the built-in bundles and the user's, by the names of the columns; without any, what a search of
/// the sample finds.
fn offered(columns: &[Column], values: &[Vec<f64>], n_threads: usize) -> Vec<(usize, Formula, Option<String>)> {
    let mut offered = Vec::new();
    let place = |name: &str| columns.iter().position(|c| c.path.len() == 1 && c.path[0] == name);
    for bundle in baler_models::standard_sources().iter().flat_map(|source| source.list()) {
        let manifest = bundle.manifest();
        let Some(predictor) = manifest.predictor.as_ref().filter(|_| manifest.family == Family::Predictor) else {
            continue;
        };
        let places: Vec<Option<usize>> = predictor.columns.iter().map(|name| place(name)).collect();
        for entry in &predictor.formulas {
            let Some(column) = places.get(entry.column).copied().flatten() else { continue };
            let mut formula = entry.formula.clone();
            let mut factors = formula.terms.iter_mut().flat_map(|t| &mut t.factors);
            if factors.all(|f| places.get(f.1).copied().flatten().map(|p| f.1 = p).is_some()) {
                offered.push((column, formula, Some(bundle.id().to_string())));
            }
        }
    }
    let searched: Vec<usize> = (0..values.len()).filter(|&c| !values[c].is_empty()).collect();
    // A search takes seconds; what a bundle was trained on was searched then.
    if offered.is_empty() && (2..=MAX_SEARCHED).contains(&searched.len()) {
        let table: Vec<Vec<f64>> = searched.iter().map(|&c| values[c].clone()).collect();
        for found in baler_models::relations::search(&table, n_threads) {
            let mut formula = found.formula;
            formula.terms.iter_mut().flat_map(|t| &mut t.factors).for_each(|f| f.1 = searched[f.1]);
            offered.push((searched[found.column], formula, None));
        }
    }
    offered
}

/// Bytes of codes as Parquet keeps them: bytes of equal weight together, Zstandard at its fastest, which looks for the fewest repeats.
fn size(codes: &[i64]) -> Result<usize> {
    let mut planes = vec![0u8; codes.len() * 4];
    for (i, code) in codes.iter().enumerate() {
        for (plane, byte) in code.to_le_bytes()[..4].iter().enumerate() {
            planes[plane * codes.len() + i] = *byte;
        }
    }
    // Pages of large tables give each byte a block of Zstandard's, with frequencies of its own.
    let block = if codes.len() < SAMPLE_ROWS { planes.len() } else { codes.len() };
    let sizes = planes.chunks(block.max(1)).map(|block| zstd::bulk::compress(block, 1).map(|bytes| bytes.len()));
    Ok(sizes.sum::<std::io::Result<usize>>()?)
}

/// Visits every leaf of floats of a column, and gives what remains: the same column with zeros in their places.
pub(crate) fn each_leaf(
    field: &Arc<Field>,
    array: &ArrayRef,
    visit: &mut dyn FnMut(&[String], Float, &ArrayRef),
) -> Result<ArrayRef> {
    // Leaves become what they are not, so that the walk reaches every one of them.
    let fields = arrow_schema::Fields::from(vec![field.clone()]);
    let to = tree::fields(&fields, &mut |_, leaf| {
        let other = arrow_schema::DataType::Int32;
        Ok(float_of(leaf.data_type()).map(|_| leaf.clone().with_data_type(other).with_nullable(true)))
    })?;
    let mut path = vec![field.name().clone()];
    tree::array(array, field, &to[0], &mut path, &Rows::TOP, &mut |path, from, _, leaf, _| {
        if let Some(float) = float_of(from.data_type()) {
            visit(path, float, leaf);
        }
        Ok(tree::narrow(vec![0; leaf.len()], None))
    })
}

fn each_value(float: Float, array: &ArrayRef, visit: &mut dyn FnMut(f64)) {
    each_place(float, array, &mut |v| v.into_iter().for_each(&mut *visit));
}

fn each_place(float: Float, array: &ArrayRef, visit: &mut dyn FnMut(Option<f64>)) {
    fn typed<T: Real>(array: &ArrayRef, visit: &mut dyn FnMut(Option<f64>)) {
        for v in array.as_primitive::<T>() {
            visit(v.map(T::to_f64));
        }
    }
    with_real!(float, T => typed::<T>(array, visit));
}
