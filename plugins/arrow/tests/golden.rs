//! Tables of earlier releases, read for ever. `tests/golden/lake-1` was written by
//!
//! ```sh
//! baler simulate events -o events.parquet --rows 400
//! baler parquet encode events.parquet tests/golden/lake-1/codes.parquet --rel 1e-3
//! baler parquet decode tests/golden/lake-1/codes.parquet tests/golden/lake-1/values.parquet
//! ```
//!
//! and `bare.parquet` from the codes by DuckDB, which keeps nothing but the columns; `lake-2` with `--rel 1e-4`, and once more with
//! `--profile archive`.
#![cfg(feature = "parquet")]

use arrow_array::{Array, RecordBatch};
use baler_arrow::Documents;
use baler_arrow::parquet::{BalerParquetReaderBuilder, InputFile};
use std::path::Path;

fn read(name: &str) -> RecordBatch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name);
    let file = InputFile::open(&path).unwrap();
    let reader = BalerParquetReaderBuilder::try_new(file, Documents::beside(&path)).unwrap();
    let mut batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    batches.remove(0)
}

fn same(codes: &str, values: &str) {
    let (decoded, values) = (read(codes), read(values));
    assert_eq!((values.num_rows(), values.num_columns()), (400, 18));
    for (c, field) in values.schema().fields().iter().enumerate() {
        let column = decoded.column_by_name(field.name()).unwrap();
        assert!(column.to_data() == values.column(c).to_data(), "{codes}: {}", field.name());
    }
}

#[test]
fn codes_of_format_1_are_read() {
    same("lake-1/codes.parquet", "lake-1/values.parquet");
    same("lake-1/bare.parquet", "lake-1/values.parquet");
}

#[test]
fn codes_and_archives_of_format_2_are_read() {
    same("lake-2/codes.parquet", "lake-2/values.parquet");
    same("lake-2/archive.parquet", "lake-2/archive-values.parquet");
}
