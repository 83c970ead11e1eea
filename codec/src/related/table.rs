//! One column as method 6: what it needs, and the payload.
//!
//! | field | |
//! |---|---|
//! | parents | number (u8, at most 3), then each column (varint) |
//! | pair | column + 1 (varint), 0 for none |
//! | formula | a block: empty, or the formula and an f64 for each of its columns |
//! | special values, quantiser, exceptions | as in method 2 |
//! | smallest integer | varint, signed |
//! | levels, raw levels | u8, u8; the highest bit of the first is set but for the first streams, which lack the next three |
//! | rows before | u8: 1 if they are contexts |
//! | values that occur | above the smallest, as in method 8 |
//! | commonest value or rank | varint, plus 1; 0 for none |
//! | the rest | range coder |

use super::coder::{self, Contexts, Shape};
use super::conditional::Classes;
use super::parents::{MAX_PARENTS, Parents};
use super::predict::Prediction;
use super::{Bins, Formula};
use crate::candidate::{Exceptions, Part, Target, occurring};
use crate::element::Elements;
use crate::error::{Error, Result};
use crate::params::Dtype;
use crate::predict::stream::Ints;
use crate::quantize::{Quantised, Quantiser};
use crate::special::Specials;
use crate::wire::{Reader, Writer};
use std::cell::OnceCell;

/// Set in the number of levels where [`Shape::is_grouped`].
const GROUPED: u8 = 0x80;

/// What a column asks of one decoded before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    Classes,
    Values,
}

/// Decoded columns, as those after them see them.
pub(crate) struct Decoded {
    columns: Vec<Option<Column>>,
}

/// A decoded column and what those after it ask of it.
pub(crate) struct Column {
    values: Vec<f64>,
    bins: OnceCell<Bins>,
    classes: OnceCell<Classes>,
    differences: OnceCell<Box<Column>>,
}

impl Column {
    fn new(values: Vec<f64>) -> Self {
        Self { values, bins: OnceCell::new(), classes: OnceCell::new(), differences: OnceCell::new() }
    }

    pub fn values(&self) -> &[f64] {
        &self.values
    }

    pub fn classes(&self) -> &Classes {
        self.classes.get_or_init(|| Classes::new(&self.values))
    }
}

impl Decoded {
    pub fn new(n_columns: usize) -> Self {
        Self { columns: (0..n_columns).map(|_| None).collect() }
    }

    /// A column has been decoded: little-endian elements.
    pub fn put(&mut self, column: usize, dtype: Dtype, bytes: &[u8]) {
        self.columns[column] = Some(Column::new(Elements::new(dtype, bytes).to_numbers()));
    }

    /// The same where only its classes will be asked for.
    pub fn put_classes(&mut self, column: usize, dtype: Dtype, bytes: &[u8]) {
        let classes = Classes::of(Elements::new(dtype, bytes)).into();
        self.columns[column] = Some(Column { classes, ..Column::new(Vec::new()) });
    }

    /// Nobody will ask for a column any more.
    pub fn forget(&mut self, column: usize) {
        self.columns[column] = None;
    }

    /// A decoded column.
    pub fn plain(&self, column: usize) -> Result<&Column> {
        let column_or_none = self.columns.get(column).and_then(Option::as_ref);
        column_or_none.ok_or_else(|| Error::corrupt(format!("column {column} is needed before it is decoded")))
    }

    /// It, or its differences.
    pub fn look(&self, column: usize, are_differences: bool) -> Result<&Column> {
        if are_differences { self.differences(column) } else { self.plain(column) }
    }

    /// Its differences from row to row, the first of them 0.
    pub fn differences(&self, column: usize) -> Result<&Column> {
        let column = self.plain(column)?;
        Ok(column.differences.get_or_init(|| {
            let before = column.values.iter().take(1).chain(&column.values);
            Box::new(Column::new(column.values.iter().zip(before).map(|(v, before)| v - before).collect()))
        }))
    }

    /// The values of a decoded column.
    pub fn values(&self, column: usize) -> Result<&[f64]> {
        Ok(&self.plain(column)?.values)
    }

    /// Its bins.
    pub fn bins(&self, column: usize) -> Result<&Bins> {
        let column = self.plain(column)?;
        Ok(column.bins.get_or_init(|| Bins::new(&column.values)))
    }
}

/// What a column is coded with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Columns {
    pub parents: Parents,
    /// The formula, and how far each of its columns may be from its true value.
    pub formula: Option<(Formula, Vec<f64>)>,
}

impl Columns {
    /// Every column that has to be decoded before, some perhaps twice.
    pub fn needed(&self) -> Vec<usize> {
        let formula = self.formula.iter().flat_map(|(f, _)| f.columns());
        self.parents.columns.iter().copied().chain(self.parents.pair).chain(formula).collect()
    }

    fn write(&self, out: &mut Writer) {
        out.u8(self.parents.columns.len() as u8);
        for &column in &self.parents.columns {
            out.varint(column as u64);
        }
        out.varint(self.parents.pair.map_or(0, |c| c as u64 + 1));
        write_formula(self.formula.as_ref().map(|(formula, deltas)| (formula, &deltas[..])), out);
    }

    fn read(input: &mut Reader<'_>, n_columns: usize) -> Result<Self> {
        let n_parents = usize::from(input.u8("the number of parents")?);
        if n_parents > MAX_PARENTS {
            return Err(Error::corrupt(format!("{n_parents} parents: at most {MAX_PARENTS} are allowed")));
        }
        let columns = (0..n_parents).map(|_| input.size("a parent")).collect::<Result<Vec<_>>>()?;
        let pair = input.size("a parent")?.checked_sub(1);
        if pair.is_some() && columns.is_empty() {
            return Err(Error::corrupt("a pair of parents without a first one"));
        }
        let formula = read_formula(input, n_columns)?;
        Ok(Self { parents: Parents { columns, pair, has_rows: true }, formula })
    }

    /// Looks everything up, and hands it to `with`.
    fn resolve<T>(
        &self,
        decoded: &Decoded,
        quantiser: Quantiser,
        dtype: Dtype,
        n: usize,
        with: impl FnOnce(&Contexts<'_>) -> T,
    ) -> Result<T> {
        let prediction = match &self.formula {
            None => None,
            Some((formula, deltas)) => {
                for column in formula.columns() {
                    decoded.values(column)?;
                }
                let values = |c: usize| decoded.values(c).unwrap_or_default();
                Some(Prediction::new(formula, deltas, values, quantiser, dtype, n))
            }
        };
        let parents = self.parents.columns.iter().map(|&c| decoded.bins(c)).collect::<Result<Vec<_>>>()?;
        let pair = self.parents.pair.map(|c| decoded.bins(c)).transpose()?;
        Ok(with(&Contexts { parents, pair, prediction: prediction.as_ref(), has_rows: self.parents.has_rows }))
    }
}

/// Writes a formula, if there is one, and how far each of its columns may be from its true value.
pub(super) fn write_formula(formula: Option<(&Formula, &[f64])>, out: &mut Writer) {
    let mut block = Writer::default();
    if let Some((formula, deltas)) = formula {
        formula.write(&mut block);
        deltas.iter().for_each(|&d| block.f64(d));
    }
    out.block(&block.bytes);
}

/// Reads what [`write_formula`] wrote.
pub(super) fn read_formula(input: &mut Reader<'_>, n_columns: usize) -> Result<Option<(Formula, Vec<f64>)>> {
    let mut block = Reader::new(input.block("a formula")?);
    if block.rest().is_empty() {
        return Ok(None);
    }
    let formula = Formula::read(&mut block, n_columns)?;
    let deltas = formula.columns().iter().map(|_| block.f64("an uncertainty")).collect::<Result<Vec<_>>>()?;
    block.finish("a formula")?;
    Ok(Some((formula, deltas)))
}

/// Encodes a column whose parents have been decoded.
pub(crate) fn encode(part: &Part<'_>, quantised: &Quantised, columns: &Columns, decoded: &Decoded) -> Result<Vec<u8>> {
    let mut out = Writer::default();
    columns.write(&mut out);
    part.specials.write(part.dtype(), &mut out);
    quantised.quantiser.write(&mut out);
    Exceptions::write(part.elements, &quantised.exceptions, &mut out);
    let q: Vec<i64> = (0..quantised.q.len()).map(|i| quantised.q.get(i)).collect();
    let classes = &part.specials.classes;
    columns.resolve(decoded, quantised.quantiser, part.dtype(), q.len(), |given| {
        let shape = Shape::of(&q, classes, given.prediction.map(|p| &p.centre[..]));
        out.varint_signed(shape.base);
        out.u8(shape.n_levels as u8 | GROUPED);
        out.u8(shape.n_raw as u8);
        out.u8(u8::from(given.has_rows));
        occurring::write(&shape.occurring, &mut out);
        out.varint(shape.mode.map_or(0, |mode| mode + 1));
        out.raw(&coder::encode(&q, classes, &shape, given));
    })?;
    Ok(out.bytes)
}

/// The columns that a payload needs, some perhaps twice.
pub(crate) fn parents_of(payload: &[u8], n_columns: usize) -> Result<Vec<(usize, Need)>> {
    let needed = Columns::read(&mut Reader::new(payload), n_columns)?.needed();
    Ok(needed.into_iter().map(|c| (c, Need::Values)).collect())
}

/// What a payload says of itself, for reports.
pub(crate) fn summarise(payload: &[u8], n_columns: usize) -> Result<String> {
    let columns = Columns::read(&mut Reader::new(payload), n_columns)?;
    let parents: Vec<String> = columns.parents.columns.iter().map(usize::to_string).collect();
    let formula = columns.formula.map(|(formula, _)| format!(" = {formula}")).unwrap_or_default();
    Ok(format!("{}{formula}", parents.join(",")).trim_start().to_owned())
}

/// Decodes a column whose parents have been decoded.
pub(crate) fn decode(payload: &[u8], n_columns: usize, decoded: &Decoded, target: &mut Target<'_>) -> Result<()> {
    let n = target.n_values();
    let mut input = Reader::new(payload);
    let mut columns = Columns::read(&mut input, n_columns)?;
    let specials = Specials::read(target.dtype, n, &mut input)?;
    let quantiser = Quantiser::read(target.dtype, &mut input)?;
    let exceptions = Exceptions::read(target.dtype.size_bytes(), n, &mut input)?;
    let base = input.varint_signed("the smallest integer")?;
    let levels = input.u8("the levels")?;
    let n_raw = u32::from(input.u8("the raw levels")?);
    let (n_levels, is_grouped) = (u32::from(levels & !GROUPED), levels & GROUPED != 0);
    if n_levels > 64 || n_raw > n_levels {
        return Err(Error::corrupt(format!("{n_raw} raw levels of {n_levels}: at most 64, and no more raw than all")));
    }
    let mut shape = Shape { base, n_levels, n_raw, occurring: Vec::new(), mode: None, is_grouped };
    if is_grouped {
        columns.parents.has_rows = match input.u8("whether the rows before say something")? {
            0 => false,
            1 => true,
            other => return Err(Error::corrupt(format!("{other} where 0 or 1 says whether rows before are contexts"))),
        };
        shape.occurring = occurring::read(n, &mut input)?;
        shape.mode = input.varint("the commonest value")?.checked_sub(1);
    }
    let q = columns.resolve(decoded, quantiser, target.dtype, n, |given| {
        coder::decode(input.rest(), n, &specials.classes, &shape, given)
    })??;
    quantiser.decode_all(target.dtype, &Ints::I64(q), target.out);
    exceptions.restore(target);
    target.restore(&specials);
    Ok(())
}
