//! What is measured: arrays and tables, whole or in part.

use crate::failure::{Failure, InFile, Result};
use crate::format::{Array, Source, open, table};
use baler_codec::Dtype;
use clap::ValueEnum;
use std::ops::Range;
use std::path::Path;

/// One array in memory, or a table of columns of one type.
pub struct Set {
    pub name: String,
    /// Its shape is that of the rows below.
    pub array: Array,
    /// Which rows of the array in the file these are.
    pub rows: Range<u64>,
    /// The last axis holds columns.
    pub columns: bool,
    /// Values in C order and the byte order of `array`.
    pub values: Vec<u8>,
}

/// Whether an array is a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColumnsArg {
    /// Where its columns have names: Baler's .npz with `names`, .csv, Parquet
    Auto,
    /// Every array of two dimensions is
    Yes,
    /// None is
    No,
}

/// The rows (indices of the first axis) to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    All,
    Rows(u64, Option<u64>),
    First(f64),
    Last(f64),
}

impl Part {
    /// `A..B`, `A..`, `..B`.
    pub fn rows(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("expected A..B, rows A to B - 1 counted from 0, not {text:?}");
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        let number =
            |s: &str, default| if s.is_empty() { Ok(default) } else { s.parse().map(Some).map_err(|_| wrong()) };
        Ok(Part::Rows(number(from, Some(0))?.unwrap_or(0), number(to, None)?))
    }

    /// `first:SHARE`, `last:SHARE`.
    pub fn share(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("expected first:SHARE or last:SHARE, as last:0.5, not {text:?}");
        let (which, share) = text.split_once(':').ok_or_else(wrong)?;
        let share: f64 = share.parse().ok().filter(|s| *s > 0.0 && *s <= 1.0).ok_or_else(wrong)?;
        match which {
            "first" => Ok(Part::First(share)),
            "last" => Ok(Part::Last(share)),
            _ => Err(wrong()),
        }
    }

    /// The rows, of `n`. `first:s` and `last:1-s` share no row.
    fn of(self, n: u64) -> Result<Range<u64>> {
        let cut = |share: f64| ((n as f64 * share).round() as u64).min(n);
        let range = match self {
            Part::All => 0..n,
            Part::Rows(from, to) => from..to.unwrap_or(n),
            Part::First(share) => 0..cut(share),
            // 1 - 0.9 is not quite 0.1: without this the two would round to different rows.
            Part::Last(share) => cut(((1.0 - share) * 1e12).round() / 1e12)..n,
        };
        if range.start >= range.end || range.end > n {
            return Err(Failure::usage(format!(
                "rows {}..{} of {n}: there is nothing to measure",
                range.start, range.end
            )));
        }
        Ok(range)
    }
}

/// The arrays of a file, in memory.
pub fn load(path: &Path, part: Part, columns: ColumnsArg) -> Result<Vec<Set>> {
    let source = open(path)?;
    let n_arrays = source.arrays().iter().filter(|a| a.value_bytes() > 0).count();
    let mut sets = Vec::new();
    for (i, array) in source.arrays().iter().enumerate() {
        let name = if n_arrays == 1 { stem(path) } else { format!("{}:{}", stem(path), array.shown_name()) };
        if array.value_bytes() > 0 {
            sets.push(load_one(&*source, i, name, part, columns).in_file(path)?);
        }
    }
    if sets.is_empty() {
        return Err(Failure::usage(format!("{}: no array of numbers to measure", path.display())));
    }
    Ok(sets)
}

fn load_one(source: &dyn Source, i: usize, name: String, part: Part, columns: ColumnsArg) -> Result<Set> {
    let mut array = source.arrays()[i].clone();
    let is_table = match columns {
        ColumnsArg::Yes => array.shape.len() == 2,
        ColumnsArg::No => false,
        ColumnsArg::Auto => table::column_names(source, i).is_some(),
    };
    let rows = if array.shape.is_empty() { 0..1 } else { part.of(array.rows()).map_err(|f| f.context(&name))? };
    let mut values = Vec::new();
    source.read(i, &mut |input| {
        let row_bytes = array.row_bytes();
        std::io::copy(&mut std::io::Read::take(&mut *input, rows.start * row_bytes), &mut std::io::sink())?;
        values.resize(((rows.end - rows.start) * row_bytes) as usize, 0);
        Ok(input.read_exact(&mut values)?)
    })?;
    if let Some(n) = array.shape.first_mut() {
        *n = rows.end - rows.start;
    }
    // Peers know no fill values: those are values like any other here.
    array.fill = None;
    Ok(Set { name, array, rows, columns: is_table, values })
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Set {
    pub fn value_bytes(&self) -> u64 {
        self.values.len() as u64
    }

    pub fn shape(&self) -> Vec<usize> {
        self.array.shape.iter().map(|&n| n as usize).collect()
    }

    pub fn dtype(&self) -> Dtype {
        self.array.dtype
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_no_row() {
        for n in [1u64, 2, 3, 7, 100, 27515] {
            for share in [0.1, 0.3, 0.5, 0.7] {
                let (first, last) = (Part::First(share).of(n), Part::Last(1.0 - share).of(n));
                if let (Ok(first), Ok(last)) = (first, last) {
                    assert_eq!(first.end, last.start, "{n} {share}");
                    assert_eq!(last.end, n);
                }
            }
        }
        assert_eq!(Part::rows("3..8").unwrap().of(10).ok(), Some(3..8));
        assert_eq!(Part::rows("3..").unwrap().of(10).ok(), Some(3..10));
        assert!(Part::rows("3..11").unwrap().of(10).is_err());
        assert!(Part::rows("5..5").unwrap().of(10).is_err());
        assert!(Part::rows("5").is_err() && Part::share("middle:0.5").is_err() && Part::share("last:0").is_err());
    }
}
