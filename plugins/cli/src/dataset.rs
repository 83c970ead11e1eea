//! Data to train on: arrays of any file this program reads, several files and folders of them, one after the other.
//!
//! ```text
//! files, folders -> one array each -> same type and shape but for axis 0 -> rows (a part, or evenly spaced) -> bytes
//! ```
//!
//! A *row* is what one index of axis 0 names: an event of a table, a frame of a film, a line of an image.

use crate::failure::{Failure, InFile, Result};
use crate::format::{Array, Format, Source, files, for_each_block, open_columns, table};
use baler_codec::{ByteOrder, Dtype};
use std::path::{Path, PathBuf};

/// More than this is not kept in memory: rows are left out, evenly spaced.
const MOST_BYTES: u64 = 1 << 30;

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// Files and folders, in this order; files of a folder by name.
    pub paths: &'a [PathBuf],
    /// Name of the array, where a file has several.
    pub array: Option<&'a str>,
    /// Columns of a table, by name; empty: all that fit.
    pub columns: &'a [String],
    /// At most this many rows, evenly spaced.
    pub most_rows: Option<u64>,
}

/// Rows in memory, of the type they have in the files.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "for training and its log"))]
pub struct Dataset {
    /// Type and shape of what is here. The name is that of the first file's array.
    pub array: Array,
    /// The values, in C order.
    pub bytes: Vec<u8>,
    /// Names of the columns: the last axis. Empty where the data are no table with names.
    pub columns: Vec<String>,
    /// Whether rows are events of a table: independent of each other.
    pub is_table: bool,
    /// Where it came from.
    pub parts: Vec<Part>,
    /// Rows there were, where not all were kept.
    pub sampled_from: Option<u64>,
    /// Rows of a table that were left out because a value is missing.
    pub rows_with_gaps: u64,
}

/// One file's share.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "for the log of a training"))]
pub struct Part {
    pub path: PathBuf,
    pub array: String,
    pub shape: Vec<u64>,
    pub dtype: Dtype,
}

impl Dataset {
    /// Reads what is asked for.
    pub fn read(request: &Request<'_>) -> Result<Self> {
        let files = files(request.paths)?;
        let mut sources = Vec::with_capacity(files.len());
        for path in &files {
            sources.push(Opened::open(path, request)?);
        }
        let first = &sources[0];
        for other in &sources[1..] {
            first.check_same(other)?;
        }
        let n_rows: u64 = sources.iter().map(|s| s.array().rows()).sum();
        let row_bytes = first.row_bytes();
        let most_rows = request.most_rows.unwrap_or(u64::MAX).min((MOST_BYTES / row_bytes.max(1)).max(1));
        let kept_rows = n_rows.min(most_rows);
        let mut dataset = Self {
            array: Array { promise: None, ..first.array().clone() },
            bytes: Vec::new(),
            columns: first.columns.clone().unwrap_or_default(),
            is_table: first.is_table,
            parts: Vec::new(),
            sampled_from: (kept_rows < n_rows).then_some(n_rows),
            rows_with_gaps: 0,
        };
        let mut row = 0u64;
        for source in &sources {
            // Row r is kept where floor(r * kept / n) is a new number: evenly spaced, the first among them.
            source.for_each_row(&mut |values| {
                let place = |r: u64| (u128::from(r) * u128::from(kept_rows)).div_ceil(u128::from(n_rows));
                let keep = place(row) < place(row + 1);
                row += 1;
                if !keep {
                    return;
                }
                if dataset.is_table && has_gap(source.array(), values) {
                    dataset.rows_with_gaps += 1;
                } else {
                    dataset.bytes.extend_from_slice(values);
                }
            })?;
            dataset.parts.push(Part {
                path: source.path.clone(),
                array: source.array().shown_name().to_owned(),
                shape: source.array().shape.clone(),
                dtype: source.array().dtype,
            });
        }
        if let Some(last) = dataset.array.shape.last_mut()
            && first.picks.is_some()
        {
            *last = dataset.columns.len() as u64;
        }
        if let Some(rows) = dataset.array.shape.first_mut() {
            *rows = dataset.bytes.len() as u64 / row_bytes.max(1);
        }
        if dataset.bytes.is_empty() {
            return Err(Failure::usage(match dataset.rows_with_gaps {
                0 => format!("{}: no numbers to train on", files[0].display()),
                n => format!("all {n} rows have gaps (NaN): choose columns without, with --columns-named"),
            }));
        }
        Ok(dataset)
    }

    /// Values as training sees them: float32, gaps as NaN.
    pub fn to_f32(&self, bytes: &[u8]) -> Vec<f32> {
        to_f32(&self.array, bytes)
    }
}

/// A file with the array of it that is meant.
struct Opened {
    path: PathBuf,
    source: Box<dyn Source>,
    i: usize,
    columns: Option<Vec<String>>,
    /// Columns to take of each row, where not all are.
    picks: Option<Vec<usize>>,
    is_table: bool,
}

impl Opened {
    fn open(path: &Path, request: &Request<'_>) -> Result<Self> {
        let is_text_or_parquet = matches!(Format::of_file(path)?, Format::Csv | Format::Parquet);
        let source = open_columns(path, request.columns)?;
        let arrays = source.arrays();
        let names = || arrays.iter().map(Array::shown_name).collect::<Vec<_>>().join(", ");
        let wanted = |a: &Array| match request.array {
            Some(name) => name.trim_start_matches('/') == a.shown_name(),
            None => a.value_bytes() > 0,
        };
        let chosen: Vec<usize> = (0..arrays.len()).filter(|&i| wanted(&arrays[i])).collect();
        // Baler's own layout: the table is called `data`, whatever else there is.
        let data = chosen.iter().find(|&&i| arrays[i].name == "data" && chosen.len() > 1);
        let i = match (&chosen[..], data) {
            (&[i], _) | (_, Some(&i)) => i,
            ([], _) if arrays.is_empty() => {
                return Err(Failure::usage(format!("{}: no numbers to train on", path.display())));
            }
            ([], _) => {
                let asked = request.array.map(|n| format!("no array {n:?}")).unwrap_or("no values".into());
                return Err(Failure::usage(format!("{}: {asked}; there are: {}", path.display(), names())));
            }
            _ => {
                return Err(Failure::usage(format!(
                    "{}: expected one array to train on; name it with --array: {}",
                    path.display(),
                    names()
                )));
            }
        };
        if arrays[i].shape.is_empty() {
            return Err(Failure::usage(format!("{}: a single value cannot be trained on", path.display())));
        }
        let mut columns = table::column_names(&*source, i);
        let mut picks = None;
        if !is_text_or_parquet && !request.columns.is_empty() {
            let Some(names) = &columns else {
                return Err(Failure::usage(format!(
                    "{}: --columns-named is for tables with names: Parquet, .csv, or .npz with `data` and `names`",
                    path.display()
                )));
            };
            let taken = table::positions(names, request.columns).in_file(path)?;
            columns = Some(taken.iter().map(|&i| names[i].clone()).collect());
            picks = Some(taken);
        }
        let is_table = columns.is_some();
        Ok(Self { path: path.to_owned(), source, i, columns, picks, is_table })
    }

    fn array(&self) -> &Array {
        &self.source.arrays()[self.i]
    }

    fn row_bytes(&self) -> u64 {
        match &self.picks {
            Some(picks) => (picks.len() * self.array().dtype.size_bytes()) as u64,
            None => self.array().row_bytes(),
        }
    }

    fn check_same(&self, other: &Self) -> Result<()> {
        let (a, b) = (self.array(), other.array());
        let same = a.dtype == b.dtype
            && a.byte_order == b.byte_order
            && a.reversed_axes == b.reversed_axes
            && a.shape[1..] == b.shape[1..];
        if !same {
            return Err(Failure::usage(format!(
                "{} holds {}, {} holds {}: files that are trained on together have the same type and, but for the first \
                 axis, the same shape",
                self.path.display(),
                a.describe(),
                other.path.display(),
                b.describe()
            )));
        }
        if self.columns != other.columns {
            let list = |c: &Option<Vec<String>>| c.as_ref().map_or("none".into(), |c| c.join(", "));
            return Err(Failure::usage(format!(
                "{} has other columns than {}: {} against {}",
                other.path.display(),
                self.path.display(),
                list(&other.columns),
                list(&self.columns)
            )));
        }
        Ok(())
    }

    fn for_each_row(&self, with: &mut dyn FnMut(&[u8])) -> Result<()> {
        let array = self.array();
        let (row_bytes, size) = (array.row_bytes() as usize, array.dtype.size_bytes());
        let mut picked = Vec::new();
        self.source.read(self.i, &mut |input| {
            for_each_block(array, input, &mut |block| {
                for row in block.chunks_exact(row_bytes.max(1)) {
                    match &self.picks {
                        None => with(row),
                        Some(picks) => {
                            picked.clear();
                            picks.iter().for_each(|&c| picked.extend_from_slice(&row[c * size..][..size]));
                            with(&picked);
                        }
                    }
                }
                Ok(())
            })
        })
    }
}

/// Whether a value is NaN, infinite or the fill value.
fn has_gap(array: &Array, row: &[u8]) -> bool {
    to_f32(array, row).iter().any(|v| !v.is_finite())
}

/// Values as float32, which training computes in; the fill value a file declares becomes NaN.
pub fn to_f32(array: &Array, bytes: &[u8]) -> Vec<f32> {
    let convert = |b: &[u8]| match array.fill.as_deref() {
        Some(fill) if fill == b => f32::NAN,
        _ => element_f32(array, b),
    };
    bytes.chunks_exact(array.dtype.size_bytes()).map(convert).collect()
}

fn element_f32(array: &Array, bytes: &[u8]) -> f32 {
    let mut word = [0u8; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    if array.byte_order == ByteOrder::Big {
        word[..bytes.len()].reverse();
    }
    let bits = u64::from_le_bytes(word);
    match array.dtype {
        Dtype::F16 => half::f16::from_bits(bits as u16).to_f32(),
        Dtype::F32 => f32::from_bits(bits as u32),
        Dtype::F64 => f64::from_bits(bits) as f32,
        Dtype::I8 => f32::from(bits as i8),
        Dtype::I16 => f32::from(bits as i16),
        Dtype::I32 => bits as i32 as f32,
        Dtype::I64 => bits as i64 as f32,
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => bits as f32,
    }
}
