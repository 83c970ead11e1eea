//! Tables as text: one row a line, cells apart by `,`, `;`, tab, `|` or blanks, with a line of names or without.
//!
//! The file is read twice, once to check every cell and once for each use of the values; memory holds a line. A table is
//! an array rows x columns of one type: float32 where that gives back every number as it is written, else float64.

use super::npy::text_array;
use super::{Array, Source, open_file};
use crate::failure::{Failure, InFile, Result};
use baler_codec::standalone::Container;
use baler_codec::{ByteOrder, Dtype};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A line of a table is a few kilobytes; a file without line ends is no table.
const MAX_LINE_BYTES: u64 = 1 << 24;

/// The table in a file.
pub struct CsvSource {
    path: PathBuf,
    layout: Layout,
    arrays: [Array; 1],
    blobs: Vec<(String, Vec<u8>)>,
    left_out: Vec<String>,
}

/// How lines become rows.
#[derive(Clone, Debug)]
struct Layout {
    delimiter: Delimiter,
    /// Lines before the first row: one of names, or none.
    has_names: bool,
    /// Cells of a line.
    n_cells: usize,
    /// Which of them are columns of the table, in its order.
    columns: Vec<usize>,
    /// A name for each cell.
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delimiter {
    Char(char),
    Blanks,
}

impl CsvSource {
    /// Opens and checks all of it. `columns` are names or numbers from 0; none: every column that holds numbers.
    pub fn open(path: &Path, columns: &[String]) -> Result<Self> {
        Self::checked(path, columns).in_file(path)
    }

    fn checked(path: &Path, asked: &[String]) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let (_, first) = lines.next()?.ok_or_else(|| Failure::damaged("no line with text: expected a table"))?;
        let first = first.trim_start_matches('\u{feff}').trim_start_matches('#').trim().to_owned();
        let delimiter = Delimiter::of(&first);
        let cells = delimiter.split(&first)?;
        let has_names = cells.iter().any(|c| number(c).is_none());
        let names: Vec<String> = match has_names {
            true => cells.iter().map(|c| c.trim().to_owned()).collect(),
            false => (0..cells.len()).map(|i| i.to_string()).collect(),
        };
        let n_cells = cells.len();
        let (line, row) = match has_names {
            true => lines.next()?.ok_or_else(|| Failure::damaged("a line of names and no row"))?,
            false => (1, &*first),
        };
        let row = delimiter.split(row).map_err(|f| f.context(format!("line {line}")))?;
        let numeric = |i: usize| row.get(i).is_some_and(|c| number(c).is_some());
        let mut left_out = Vec::new();
        let columns = if asked.is_empty() {
            left_out.extend((0..n_cells).filter(|&i| !numeric(i)).map(|i| names[i].clone()));
            (0..n_cells).filter(|&i| numeric(i)).collect::<Vec<_>>()
        } else {
            super::table::positions(&names, asked)?
        };
        if columns.is_empty() {
            return Err(Failure::usage(format!("no column holds numbers; the columns are: {}", names.join(", "))));
        }
        let layout = Layout { delimiter, has_names, n_cells, columns, names };
        let (mut n_rows, mut single) = (0u64, true);
        let mut rows = Rows::new(path, layout.clone(), Dtype::F64)?;
        while let Some(values) = rows.next()? {
            n_rows += 1;
            single = single && values.iter().all(|&v| is_single(v));
        }
        let dtype = if single { Dtype::F32 } else { Dtype::F64 };
        let kept: Vec<&str> = layout.columns.iter().map(|&i| &*layout.names[i]).collect();
        let array = Array {
            name: "data".into(),
            dtype,
            byte_order: ByteOrder::Little,
            shape: vec![n_rows, kept.len() as u64],
            reversed_axes: false,
            fill: None,
            promise: None,
        };
        let blobs = vec![("names".to_owned(), text_array(&kept))];
        Ok(Self { path: path.to_owned(), layout, arrays: [array], blobs, left_out })
    }
}

impl Source for CsvSource {
    fn container(&self) -> Container {
        Container::Npz
    }

    fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    fn blobs(&self) -> &[(String, Vec<u8>)] {
        &self.blobs
    }

    fn left_out(&self) -> &[String] {
        &self.left_out
    }

    fn read(&self, _i: usize, with: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        with(&mut Rows::new(&self.path, self.layout.clone(), self.arrays[0].dtype)?).in_file(&self.path)
    }
}

impl Delimiter {
    /// The one that cuts the line into the most cells.
    fn of(line: &str) -> Self {
        let count = |d: char| line.matches(d).count();
        let best = [',', ';', '\t', '|'].into_iter().max_by_key(|&d| (count(d), d == ',')).unwrap_or(',');
        match count(best) {
            0 if line.contains(' ') => Delimiter::Blanks,
            0 => Delimiter::Char(','),
            _ => Delimiter::Char(best),
        }
    }

    /// The cells of a line, quotes taken off.
    fn split(self, line: &str) -> Result<Vec<Cow<'_, str>>> {
        let Delimiter::Char(d) = self else {
            return Ok(line.split_whitespace().map(Cow::Borrowed).collect());
        };
        let mut cells = Vec::new();
        let mut rest = line;
        loop {
            if let Some(quoted) = rest.trim_start().strip_prefix('"') {
                let (mut text, mut after) = (String::new(), quoted);
                loop {
                    let Some(end) = after.find('"') else { return Err(Failure::damaged("a quote that does not end")) };
                    text.push_str(&after[..end]);
                    after = &after[end + 1..];
                    // Two quotes stand for one.
                    let Some(more) = after.strip_prefix('"') else { break };
                    text.push('"');
                    after = more;
                }
                cells.push(Cow::Owned(text));
                match after.find(d) {
                    Some(at) => rest = &after[at + d.len_utf8()..],
                    None => return Ok(cells),
                }
            } else {
                match rest.find(d) {
                    Some(at) => {
                        cells.push(Cow::Borrowed(&rest[..at]));
                        rest = &rest[at + d.len_utf8()..];
                    }
                    None => {
                        cells.push(Cow::Borrowed(rest));
                        return Ok(cells);
                    }
                }
            }
        }
    }
}

/// The number in a cell; what is not there is NaN.
fn number(cell: &str) -> Option<f64> {
    let cell = cell.trim();
    match cell {
        "" | "NA" | "N/A" | "na" | "null" | "NULL" | "None" => Some(f64::NAN),
        "true" | "True" | "TRUE" => Some(1.0),
        "false" | "False" | "FALSE" => Some(0.0),
        _ => cell.parse().ok(),
    }
}

/// Whether the shortest decimal that names the float32 next to `v` is `v`: a number written with float32's digits.
fn is_single(v: f64) -> bool {
    let single = v as f32;
    f64::from(single) == v || v.is_nan() || single.to_string().parse() == Ok(v)
}

/// Lines that hold something, with their numbers, comments left out.
struct Lines {
    input: BufReader<File>,
    text: String,
    /// Counted from 1.
    line: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        Ok(Self { input: BufReader::with_capacity(1 << 18, open_file(path)?), text: String::new(), line: 0 })
    }

    fn next(&mut self) -> Result<Option<(u64, &str)>> {
        loop {
            self.text.clear();
            let n = (&mut self.input).take(MAX_LINE_BYTES).read_line(&mut self.text).map_err(|e| match e.kind() {
                io::ErrorKind::InvalidData => Failure::damaged(format!("line {} is no text (UTF-8)", self.line + 1)),
                _ => e.into(),
            })?;
            if n == 0 {
                return Ok(None);
            }
            if n as u64 == MAX_LINE_BYTES {
                return Err(Failure::damaged(format!("line {} does not end: this is no table", self.line + 1)));
            }
            self.line += 1;
            let text = self.text.trim();
            let comment = text.starts_with('#') && self.line > 1;
            if !text.is_empty() && !comment {
                break;
            }
        }
        Ok(Some((self.line, self.text.trim_end_matches(['\r', '\n']))))
    }
}

/// The rows as numbers, and as bytes through [`Read`].
struct Rows {
    lines: Lines,
    layout: Layout,
    dtype: Dtype,
    values: Vec<f64>,
    bytes: Vec<u8>,
    /// How much of `bytes` was handed out.
    read: usize,
}

impl Rows {
    fn new(path: &Path, layout: Layout, dtype: Dtype) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        if layout.has_names {
            lines.next()?;
        }
        Ok(Self { lines, layout, dtype, values: Vec::new(), bytes: Vec::new(), read: 0 })
    }

    fn next(&mut self) -> Result<Option<&[f64]>> {
        let Layout { delimiter, n_cells, columns, names, .. } = &self.layout;
        let Some((line, text)) = self.lines.next()? else { return Ok(None) };
        let cells = delimiter.split(text).map_err(|f| f.context(format!("line {line}")))?;
        if cells.len() != *n_cells {
            return Err(Failure::damaged(format!("line {line} has {} cells: expected {n_cells}", cells.len())));
        }
        self.values.clear();
        for &i in columns {
            let cell = if line == 1 { cells[i].trim_start_matches(['\u{feff}', '#']) } else { &*cells[i] };
            self.values.push(number(cell).ok_or_else(|| {
                let mut shown: String = cell.chars().take(40).collect();
                if shown.len() < cell.len() {
                    shown.push_str("...");
                }
                Failure::damaged(format!(
                    "line {line}, column {} ({}): {shown:?} is no number; choose other columns with --columns-named, or \
                     mend the cell (empty, NA and nan are gaps)",
                    i + 1,
                    names[i]
                ))
            })?);
        }
        Ok(Some(&self.values))
    }
}

impl Read for Rows {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.bytes.len() {
            self.read = 0;
            self.bytes.clear();
            while self.bytes.len() < 1 << 16 && self.next().map_err(|f| io::Error::other(f.message))?.is_some() {
                for &v in &self.values {
                    match self.dtype {
                        Dtype::F32 => self.bytes.extend((v as f32).to_le_bytes()),
                        _ => self.bytes.extend(v.to_le_bytes()),
                    }
                }
            }
        }
        let n = out.len().min(self.bytes.len() - self.read);
        out[..n].copy_from_slice(&self.bytes[self.read..][..n]);
        self.read += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_quotes() {
        let split = |line| {
            let cells = Delimiter::of(line).split(line).unwrap_or_else(|f| panic!("{}", f.message));
            cells.into_iter().map(Cow::into_owned).collect::<Vec<_>>()
        };
        assert_eq!(split("a,\"b,\"\"c\"\"\",d"), ["a", "b,\"c\"", "d"]);
        assert_eq!(split("1;2;;"), ["1", "2", "", ""]);
        assert_eq!(split("1  2\t3").len(), 2, "a tab wins over blanks");
        assert_eq!(split("1  2 3"), ["1", "2", "3"]);
        assert!(Delimiter::Char(',').split("1,\"2").is_err());
    }

    #[test]
    fn numbers_are_single_where_their_digits_are() {
        assert!([0.1, 1e-3, 123456.0, f64::NAN, f64::INFINITY, 3.25e30].into_iter().all(is_single));
        assert!([0.123456789, 16777217.0, 1e300].into_iter().all(|v| !is_single(v)));
        assert_eq!(number(" -1.5e3 "), Some(-1500.0));
        assert_eq!(number("x"), None);
    }
}
