//! Which rows are trained on, and which are held out to measure what came of it.

use crate::failure::{Failure, Result};
use std::ops::Range;

/// Of a table without other wish, one row in this many is held out; of other data the last of this many parts.
const HELD_OUT: usize = 10;

/// Tables with fewer rows are trained on whole.
const LEAST_ROWS: usize = 100;

/// A division of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// All are trained on; the model is for these very data.
    All,
    /// These are trained on, the rest is held out.
    Rows(Range<usize>),
    /// All but every tenth.
    Tenths,
}

/// What the command line says of it.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    pub offline: bool,
    pub part: Option<f64>,
    pub rows: Option<&'a str>,
}

impl Split {
    /// `least` rows at least are held out or none: fewer do not fill a tile.
    pub fn choose(wish: &Wish<'_>, n_rows: usize, is_table: bool, least: usize) -> Result<Self> {
        if wish.offline {
            return Ok(Split::All);
        }
        if let Some(part) = wish.part {
            if !(part > 0.0 && part < 1.0) {
                return Err(Failure::usage(format!("--train-part {part}: expected a part above 0 and below 1")));
            }
            let end = (n_rows as f64 * part).round() as usize;
            return Self::of_rows(0..end, n_rows);
        }
        if let Some(text) = wish.rows {
            let bad = || Failure::usage(format!("--train-rows {text}: expected rows like 0..5000"));
            let (start, end) = text.split_once("..").ok_or_else(bad)?;
            let start = if start.is_empty() { 0 } else { start.parse().map_err(|_| bad())? };
            let end = if end.is_empty() { n_rows } else { end.parse().map_err(|_| bad())? };
            return Self::of_rows(start..end, n_rows);
        }
        let held = n_rows / HELD_OUT;
        Ok(match is_table {
            true if n_rows >= LEAST_ROWS => Split::Tenths,
            false if held >= least.max(1) => Split::Rows(0..n_rows - held),
            _ => Split::All,
        })
    }

    fn of_rows(rows: Range<usize>, n_rows: usize) -> Result<Self> {
        if rows.start >= rows.end || rows.end > n_rows {
            return Err(Failure::usage(format!(
                "rows {}..{} to train on: the data have {n_rows} rows, and at least one is needed",
                rows.start, rows.end
            )));
        }
        Ok(if rows.len() == n_rows { Split::All } else { Split::Rows(rows) })
    }

    /// Whether row `i` is trained on.
    pub fn trains_on(&self, i: usize) -> bool {
        match self {
            Split::All => true,
            Split::Rows(rows) => rows.contains(&i),
            Split::Tenths => i % HELD_OUT != HELD_OUT - 1,
        }
    }

    /// The rows trained on, from the first to the one after the last.
    pub fn extent(&self, n_rows: usize) -> [usize; 2] {
        match self {
            Split::Rows(rows) => [rows.start, rows.end],
            _ => [0, n_rows],
        }
    }

    /// What is measured: the rows held out, or all where none are.
    pub fn measured(&self, n_rows: usize) -> String {
        match self {
            Split::All => "the very data".into(),
            Split::Tenths => "every tenth row, held out".into(),
            Split::Rows(r) if r.start == 0 => format!("rows {}..{n_rows}, held out", r.end),
            Split::Rows(r) if r.end == n_rows => format!("rows 0..{}, held out", r.start),
            Split::Rows(r) => format!("rows 0..{} and {}..{n_rows}, held out", r.start, r.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(part: Option<f64>, rows: Option<&str>, n: usize, is_table: bool) -> Result<Split> {
        Split::choose(&Wish { offline: false, part, rows }, n, is_table, 8)
    }

    #[test]
    fn rows_are_divided() {
        let ok = |r: Result<Split>| r.unwrap_or_else(|f| panic!("{}", f.message));
        assert_eq!(ok(choose(Some(0.5), None, 11, false)), Split::Rows(0..6));
        assert_eq!(ok(choose(None, Some("3..5"), 11, false)), Split::Rows(3..5));
        assert_eq!(ok(choose(None, Some("..5"), 11, false)), Split::Rows(0..5));
        assert_eq!(ok(choose(None, None, 1000, true)), Split::Tenths);
        assert_eq!(ok(choose(None, None, 100, false)), Split::Rows(0..90));
        assert_eq!(ok(choose(None, None, 60, false)), Split::All, "six rows do not fill a tile of eight");
        assert_eq!((0..1000).filter(|&i| Split::Tenths.trains_on(i)).count(), 900);
        for (part, rows) in [(Some(1.5), None), (None, Some("5..3")), (None, Some("0..12")), (None, Some("x..3"))] {
            assert!(choose(part, rows, 11, false).is_err(), "{part:?} {rows:?}");
        }
    }
}
