//! Tables of Apache Parquet: columns become an array rows x columns of one type. Cargo feature `parquet`.
//!
//! Columns of floats are taken by default; integers and truth values where they are asked for and every value is exact in
//! the array's type: float32 where all floats are, else float64. What is null becomes NaN.

use super::npy::text_array;
use super::{Array, Source, open_file};
use crate::failure::{Failure, InFile, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array as ArrowArray, RecordBatch};
use arrow_schema::DataType;
use baler_codec::standalone::Container;
use baler_codec::{ByteOrder, Dtype};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8192;

/// The table in a file.
pub struct ParquetSource {
    path: PathBuf,
    /// Positions of the columns among those of the file, in the order of the table.
    columns: Vec<usize>,
    arrays: [Array; 1],
    blobs: Vec<(String, Vec<u8>)>,
    left_out: Vec<String>,
}

impl ParquetSource {
    /// `asked` are names; none: every column of floats.
    pub fn open(path: &Path, asked: &[String]) -> Result<Self> {
        Self::opened(path, asked).in_file(path)
    }

    fn opened(path: &Path, asked: &[String]) -> Result<Self> {
        let reader = builder(path)?;
        let fields = reader.schema().fields().clone();
        let names: Vec<String> = fields.iter().map(|f| f.name().clone()).collect();
        let columns = match asked {
            [] => (0..fields.len()).filter(|&i| fields[i].data_type().is_floating()).collect(),
            _ => super::table::positions(&names, asked)?,
        };
        let with_types = || fields.iter().map(|f| format!("{} ({})", f.name(), f.data_type())).collect::<Vec<_>>();
        if columns.is_empty() {
            return Err(Failure::usage(format!(
                "no column of floats; name columns of integers with --columns-named: {}",
                with_types().join(", ")
            )));
        }
        if let Some(&i) = columns.iter().find(|&&i| !is_number(fields[i].data_type())) {
            return Err(Failure::usage(format!(
                "column {} holds {}: expected floats, integers or truth values; the columns are: {}",
                names[i],
                fields[i].data_type(),
                with_types().join(", ")
            )));
        }
        let wide = columns.iter().any(|&i| matches!(fields[i].data_type(), DataType::Float64));
        let n_rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
        let kept: Vec<&str> = columns.iter().map(|&i| &*names[i]).collect();
        let array = Array {
            name: "data".into(),
            dtype: if wide { Dtype::F64 } else { Dtype::F32 },
            byte_order: ByteOrder::Little,
            shape: vec![n_rows, kept.len() as u64],
            reversed_axes: false,
            fill: None,
            promise: None,
        };
        let left_out = (0..names.len()).filter(|i| !columns.contains(i)).map(|i| names[i].clone()).collect();
        let blobs = vec![("names".to_owned(), text_array(&kept))];
        Ok(Self { path: path.to_owned(), columns, arrays: [array], blobs, left_out })
    }
}

impl Source for ParquetSource {
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
        let builder = builder(&self.path)?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), self.columns.iter().copied());
        let batches = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(failure)?;
        // Batches come in the order of the file.
        let mut sorted = self.columns.clone();
        sorted.sort_unstable();
        let order = self.columns.iter().filter_map(|c| sorted.binary_search(c).ok()).collect();
        let mut rows = Rows { batches, order, dtype: self.arrays[0].dtype, bytes: Vec::new(), read: 0 };
        with(&mut rows).in_file(&self.path)
    }
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    ParquetRecordBatchReaderBuilder::try_new(open_file(path)?).map_err(failure)
}

fn failure(e: parquet::errors::ParquetError) -> Failure {
    match e {
        parquet::errors::ParquetError::NYI(what) => Failure::runtime(format!("Parquet: not supported: {what}")),
        other => Failure::damaged(format!("Parquet: {other}")),
    }
}

fn is_number(kind: &DataType) -> bool {
    kind.is_floating() || kind.is_integer() || matches!(kind, DataType::Boolean)
}

/// The rows as bytes.
struct Rows {
    batches: ParquetRecordBatchReader,
    /// Which column of a batch each column of the table is.
    order: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
    /// How much of `bytes` was handed out.
    read: usize,
}

impl Read for Rows {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.read == self.bytes.len() {
            let Some(batch) = self.batches.next() else { return Ok(0) };
            let batch = batch.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
            self.fill(&batch)?;
            self.read = 0;
        }
        let n = out.len().min(self.bytes.len() - self.read);
        out[..n].copy_from_slice(&self.bytes[self.read..][..n]);
        self.read += n;
        Ok(n)
    }
}

impl Rows {
    fn fill(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns: Vec<Vec<f64>> = self
            .order
            .iter()
            .map(|&i| column(batch, i, self.dtype == Dtype::F32))
            .collect::<std::result::Result<_, _>>()
            .map_err(io::Error::other)?;
        self.bytes.clear();
        for row in 0..batch.num_rows() {
            for column in &columns {
                match self.dtype {
                    Dtype::F32 => self.bytes.extend((column[row] as f32).to_le_bytes()),
                    _ => self.bytes.extend(column[row].to_le_bytes()),
                }
            }
        }
        Ok(())
    }
}

/// A column as float64, which holds every float exactly; an integer that the array cannot hold is an error.
#[allow(clippy::cast_lossless, reason = "one macro for integers of every width")]
fn column(batch: &RecordBatch, i: usize, single: bool) -> std::result::Result<Vec<f64>, String> {
    let array = batch.column(i);
    macro_rules! values {
        ($kind:ty, $convert:expr) => {
            array.as_primitive::<$kind>().iter().map(|v| v.map_or(f64::NAN, $convert)).collect()
        };
    }
    macro_rules! integers {
        ($kind:ty) => {{
            let limit: i128 = if single { 1 << 24 } else { 1 << 53 };
            for v in array.as_primitive::<$kind>().iter().flatten() {
                if i128::from(v).abs() > limit {
                    return Err(format!(
                        "column {} holds {v}, which float{} cannot hold exactly: leave the column out with \
                         --columns-named",
                        batch.schema().field(i).name(),
                        if single { 32 } else { 64 }
                    ));
                }
            }
            values!($kind, |v| v as f64)
        }};
    }
    Ok(match array.data_type() {
        DataType::Float16 => values!(Float16Type, |v| v.to_f64()),
        DataType::Float32 => values!(Float32Type, f64::from),
        DataType::Float64 => values!(Float64Type, |v| v),
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::UInt8 => integers!(UInt8Type),
        DataType::UInt16 => integers!(UInt16Type),
        DataType::UInt32 => integers!(UInt32Type),
        DataType::UInt64 => integers!(UInt64Type),
        DataType::Boolean => {
            array.as_boolean().iter().map(|v| v.map_or(f64::NAN, |v| f64::from(u8::from(v)))).collect()
        }
        other => return Err(format!("a column of {other}: expected numbers")),
    })
}
