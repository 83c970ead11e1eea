//! Comparing a decoded table with its original, value by value.

use super::input::InputFile;
use super::reader::BalerParquetReaderBuilder;
use crate::document::{Document, Limit};
use crate::error::{Error, Result};
use crate::find::Documents;
use crate::plan::{Ranges, each_leaf};
use crate::real::{Real, with_real};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use baler_codec::{Bound, Check, Params, check};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What was found about one encoded column.
#[derive(Clone, Debug)]
pub struct ColumnCheck {
    /// The bound that each value has to keep.
    pub bound: Bound,
    /// Errors, and how many values break the bound.
    pub found: Check,
}

/// What was found about a file.
#[derive(Debug, Default)]
pub struct Verification {
    /// Rows compared.
    pub n_rows: u64,
    /// Encoded columns.
    pub columns: BTreeMap<String, ColumnCheck>,
    /// Everything else that is not as it was: columns left alone, nulls, the number of rows.
    pub differences: Vec<String>,
    /// What the original's values span.
    pub ranges: Ranges,
    /// What was decoded with.
    pub documents: Vec<Arc<Document>>,
}

impl Verification {
    /// Whether everything is as promised.
    pub fn is_kept(&self) -> bool {
        self.differences.is_empty() && self.columns.values().all(|c| c.found.is_kept())
    }

    fn differ(&mut self, what: String) {
        // The first few tell what is wrong; millions would only fill memory.
        if self.differences.len() < 20 && !self.differences.contains(&what) {
            self.differences.push(what);
        }
    }
}

/// Reads both files and compares them: encoded columns within the bound, all else exactly, in the same order of rows.
pub fn verify_files(original: &Path, encoded: &Path) -> Result<Verification> {
    let open = |path: &Path| -> Result<_> {
        BalerParquetReaderBuilder::try_new(InputFile::open(path)?, Documents::beside(path))
            .map(|b| b.with_batch_size(1 << 16))
    };
    let mut found = Verification::default();
    let original = open(original)?;
    if original.is_encoded() {
        return Err(Error::invalid("the first file is encoded itself: name the original first"));
    }
    let (mut a, mut b) = (original.build()?, open(encoded)?.build()?);
    found.documents = b.documents().cloned().collect();
    let (mut left, mut right): (Option<RecordBatch>, Option<RecordBatch>) = (None, None);
    loop {
        let fill = |slot: &mut Option<RecordBatch>, reader: &mut dyn Iterator<Item = _>| -> Result<bool> {
            while slot.as_ref().is_none_or(|b| b.num_rows() == 0) {
                match reader.next() {
                    Some(batch) => *slot = Some(batch?),
                    None => return Ok(false),
                }
            }
            Ok(true)
        };
        let (more_left, more_right) = (fill(&mut left, &mut a)?, fill(&mut right, &mut b)?);
        let (Some(x), Some(y), true, true) = (&left, &right, more_left, more_right) else {
            if more_left != more_right {
                found.differ(format!("one file ends after {} rows, the other has more", found.n_rows));
            }
            return Ok(found);
        };
        let n = x.num_rows().min(y.num_rows());
        found.ranges.observe(&x.slice(0, n))?;
        compare(&x.slice(0, n), &y.slice(0, n), &mut found)?;
        found.n_rows += n as u64;
        (left, right) = (Some(x.slice(n, x.num_rows() - n)), Some(y.slice(n, y.num_rows() - n)));
    }
}

fn compare(original: &RecordBatch, decoded: &RecordBatch, found: &mut Verification) -> Result<()> {
    for (field, a) in original.schema().fields().iter().zip(original.columns()) {
        let name = field.name();
        let Some(b) = decoded.column_by_name(name) else {
            found.differ(format!("column {name} is not there"));
            continue;
        };
        let is_encoded = found.documents.iter().any(|d| d.columns().iter().any(|c| c.path[0] == *name));
        if !is_encoded {
            if !arrow_same(a, b) {
                found.differ(format!("column {name}, which was not encoded, differs in rows from {} on", found.n_rows));
            }
            continue;
        }
        let decoded_schema = decoded.schema();
        let b_field = Arc::new(decoded_schema.field_with_name(name)?.clone());
        let mut leaves: [BTreeMap<String, ArrayRef>; 2] = Default::default();
        let mut collect = |i: usize, field: &Arc<arrow_schema::Field>, array: &ArrayRef| {
            each_leaf(field, array, &mut |path, _, leaf| {
                leaves[i].insert(path.join("."), leaf.clone());
            })
        };
        let same_frame = arrow_same(&collect(0, field, a)?, &collect(1, &b_field, b)?);
        if !same_frame {
            found.differ(format!(
                "column {name}: lists, structs or other fields differ in rows from {} on",
                found.n_rows
            ));
            continue;
        }
        let [originals, decodeds] = leaves;
        for (path, a) in originals {
            let bounds = found.documents.iter().flat_map(|d| d.columns()).filter(|c| c.name() == path);
            // Of several documents the loosest: which row has which was settled by the decoder.
            let limit = bounds.map(|c| (c.dtype, c.bound)).reduce(|a, b| if size(b.1) > size(a.1) { b } else { a });
            let b = decodeds.get(&path).filter(|b| a.data_type() == b.data_type() && a.nulls() == b.nulls());
            let Some(b) = b else {
                found.differ(format!("column {path}: type or nulls differ in rows from {} on", found.n_rows));
                continue;
            };
            let Some((dtype, limit)) = limit else {
                if !arrow_same(&a, b) {
                    found.differ(format!(
                        "column {path}, which was not encoded, differs in rows from {} on",
                        found.n_rows
                    ));
                }
                continue;
            };
            let (x, y) = with_real!(dtype, T => (bytes::<T>(&a), bytes::<T>(b)));
            let bound = limit.bound();
            let params = Params::new(dtype.dtype(), &[x.len() / dtype.dtype().size_bytes()], bound);
            let new = check(&params, &x, &y)?;
            let entry = found.columns.entry(path).or_insert(ColumnCheck { bound, found: Check::default() });
            let total = &mut entry.found;
            total.first_broken = total.first_broken.or(new.first_broken.map(|i| i + total.n_values));
            total.n_values += new.n_values;
            total.n_broken += new.n_broken;
            total.max_error = total.max_error.max(new.max_error);
            total.max_error_over_bound = total.max_error_over_bound.max(new.max_error_over_bound);
        }
    }
    Ok(())
}

fn size(limit: Limit) -> f64 {
    match limit {
        Limit::Abs(v) | Limit::Rel(v) | Limit::PwRel(v) => v,
    }
}

/// Equal bit for bit, whatever lies under nulls.
fn arrow_same(a: &ArrayRef, b: &ArrayRef) -> bool {
    a.len() == b.len() && a.to_data() == b.to_data()
}

/// Little-endian bytes of the values that are not null.
fn bytes<T: Real>(array: &ArrayRef) -> Vec<u8> {
    let size = size_of::<T::Native>();
    let values = array.as_primitive::<T>().iter().flatten();
    values.flat_map(|v| T::to_bits(v).to_le_bytes().into_iter().take(size)).collect()
}
