//! Parquet files: projection, row groups, stale footers, missing documents.
#![cfg(feature = "parquet")]

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, Float32Array, Int64Array, RecordBatch, RecordBatchReader};
use baler_arrow::parquet::{
    BalerParquetReaderBuilder, BalerParquetWriter, FileOptions, InputFile, Profile, encode_file, properties,
    ranges_of_file, sorted_columns, verify_files,
};
use baler_arrow::{Comparison, Documents, Encoder, Options, Ranges, parse_limit, plan};
use baler_models::simulate::{EVENT_COLUMNS, Events};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const GROUP_ROWS: usize = 1000;

fn events(n: usize) -> RecordBatch {
    let mut events = Events::new(1);
    let mut columns: Vec<Vec<f32>> = vec![Vec::new(); EVENT_COLUMNS.len()];
    for _ in 0..n {
        columns.iter_mut().zip(events.row()).for_each(|(c, v)| c.push(v));
    }
    // Sorted by mass, so that row groups differ.
    let mut order: Vec<u64> = (0..n as u64).collect();
    order.sort_by(|&a, &b| columns[16][a as usize].total_cmp(&columns[16][b as usize]));
    let number: ArrayRef = Arc::new(Int64Array::from_iter_values(0..n as i64));
    let floats =
        EVENT_COLUMNS.iter().zip(columns).map(|(name, c)| (*name, Arc::new(Float32Array::from(c)) as ArrayRef));
    let batch = RecordBatch::try_from_iter(std::iter::once(("event", number)).chain(floats)).unwrap();
    arrow_select::take::take_record_batch(&batch, &arrow_array::UInt64Array::from(order)).unwrap()
}

/// The original and the encoded file, in a folder.
fn encoded(options: &Options) -> (TempDir, PathBuf, PathBuf, RecordBatch) {
    let folder = tempfile::tempdir().unwrap();
    let batch = events(4 * GROUP_ROWS);
    let original = folder.path().join("original.parquet");
    let plain = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP_ROWS)).build();
    let mut writer = ArrowWriter::try_new(File::create(&original).unwrap(), batch.schema(), Some(plain)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut ranges = Ranges::default();
    ranges.observe(&batch).unwrap();
    assert_eq!(ranges_of_file(&original).unwrap(), ranges);
    let document = Arc::new(plan(&batch.schema(), &ranges, &batch, options).unwrap().0);
    document.save(folder.path()).unwrap();
    let encoder = Encoder::new(document, &batch.schema()).unwrap();
    let sample = encoder.encode(&batch.slice(0, 500)).unwrap().batch;
    let properties = properties(&sample, Profile::Lake, 3, 2).unwrap().into_builder();
    let properties = properties.set_max_row_group_row_count(Some(GROUP_ROWS)).build();
    let path = folder.path().join("codes.parquet");
    let mut writer = BalerParquetWriter::try_new(File::create(&path).unwrap(), encoder, properties).unwrap();
    for start in (0..batch.num_rows()).step_by(700) {
        writer.write(&batch.slice(start, 700.min(batch.num_rows() - start))).unwrap();
    }
    let (_, report) = writer.finish().unwrap();
    assert_eq!((report.n_rows, report.n_row_groups), (4 * GROUP_ROWS as u64, 4));
    (folder, original, path, batch)
}

fn options(bound: &str) -> Options {
    Options { bound: parse_limit(bound).unwrap(), ..Options::default() }
}

fn open(path: &Path, documents: Documents) -> BalerParquetReaderBuilder<InputFile> {
    BalerParquetReaderBuilder::try_new(InputFile::open(path).unwrap(), documents).unwrap()
}

#[test]
fn projections_read_what_they_need() {
    let (_folder, original, path, batch) = encoded(&options("rel:1e-4"));
    let found = verify_files(&original, &path).unwrap();
    assert!(found.is_kept(), "{found:?}");
    assert_eq!((found.n_rows, found.columns.len()), (4 * GROUP_ROWS as u64, 17));
    assert!(open(&path, Documents::new()).footer().document.is_some());
    for name in batch.schema().fields().iter().map(|f| f.name().clone()) {
        let reader = open(&path, Documents::new()).with_columns(&[&name]).with_row_groups(vec![2]).build().unwrap();
        assert_eq!(reader.schema().fields().len(), 1);
        let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), GROUP_ROWS, "{name}");
        assert_eq!(read[0].column(0).data_type(), batch.column_by_name(&name).unwrap().data_type());
    }
    let error = open(&path, Documents::new()).with_columns(&["nope"]).build().err().unwrap().to_string();
    assert!(error.contains("no column nope"), "{error}");
}

#[test]
fn row_groups_are_pruned_and_none_too_many() {
    // M is predicted or not: by our statistics the first, by those of the codes the second.
    for no_prediction in [false, true] {
        let (_folder, _, path, _) = encoded(&Options { no_prediction, ..options("rel:1e-3") });
        let mut pruned = 0;
        for limit in [60.0, 88.0, 91.2, 93.0, 130.0] {
            for comparison in [Comparison::Less, Comparison::GreaterOrEqual, Comparison::Equal] {
                let kept = open(&path, Documents::new()).row_groups_where("M", comparison, limit).unwrap();
                pruned += 4 - kept.len();
                for group in (0..4).filter(|g| !kept.contains(g)) {
                    let reader = open(&path, Documents::new()).with_columns(&["M"]).with_row_groups(vec![group]);
                    for batch in reader.build().unwrap() {
                        let batch = batch.unwrap();
                        let values = batch.column(0).as_primitive::<Float32Type>();
                        assert!(values.values().iter().all(|&v| !comparison.holds(f64::from(v), limit)), "{limit}");
                    }
                }
            }
        }
        assert!(pruned > 20, "{pruned}");
    }
}

/// Rewrites the codes with the footer's pairs kept, as pyarrow does, or dropped.
fn rewritten(path: &Path, to: &Path, keep: bool) {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let pairs = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let pairs = pairs.into_iter().filter(|p| keep && p.key != "ARROW:schema").collect();
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    let bare: Vec<arrow_schema::Field> = batches[0]
        .schema()
        .fields()
        .iter()
        .map(|f| arrow_schema::Field::new(f.name(), f.data_type().clone(), true))
        .collect();
    let schema = Arc::new(arrow_schema::Schema::new(bare));
    let properties =
        WriterProperties::builder().set_key_value_metadata(Some(pairs)).set_max_row_group_row_count(Some(GROUP_ROWS));
    let mut writer = ArrowWriter::try_new(File::create(to).unwrap(), schema.clone(), Some(properties.build())).unwrap();
    // In another order: statistics of the old row groups would be wrong.
    for batch in batches.iter().rev() {
        writer.write(&RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).unwrap()).unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn rewritten_files_are_decoded_and_stale_statistics_ignored() {
    // Short documents are in the footer's pairs too.
    let only = ["pt1", "phi1", "M"].map(String::from).to_vec();
    let (folder, _, path, batch) = encoded(&Options { only, ..options("rel:1e-3") });
    for keep in [true, false] {
        let other = folder.path().join("rewritten.parquet");
        rewritten(&path, &other, keep);
        let reader = open(&other, Documents::beside(&other));
        assert_eq!(reader.footer().statistics, None);
        assert_eq!(reader.footer().document.is_some(), keep);
        let rows: usize = reader.build().unwrap().map(|b| b.unwrap().num_rows()).sum();
        assert_eq!(rows, batch.num_rows());
    }
    // Away from everything: which id, for which column, and where it was looked for.
    let lonely = tempfile::tempdir().unwrap();
    let alone = lonely.path().join("rewritten.parquet");
    rewritten(&path, &alone, false);
    let reader = open(&alone, Documents::beside(&alone));
    let id = reader.footer().ids[0];
    let error = reader.build().err().unwrap();
    assert_eq!(error.codec_kind(), Some(baler_codec::ErrorKind::ModelMissing));
    let error = error.to_string();
    for part in [&id.to_string(), "column", &lonely.path().join("_baler").display().to_string(), "BALER_MODEL_PATH"] {
        assert!(error.contains(part), "{error}");
    }
    // A file of that name and other content is passed over.
    std::fs::create_dir(lonely.path().join("_baler")).unwrap();
    std::fs::write(lonely.path().join("_baler").join(id.to_string()), "{}").unwrap();
    let error = open(&alone, Documents::beside(&alone)).build().err().unwrap().to_string();
    assert!(error.contains("passed over"), "{error}");
    std::fs::copy(folder.path().join("_baler").join(id.to_string()), lonely.path().join("_baler").join(id.to_string()))
        .unwrap();
    assert!(open(&alone, Documents::beside(&alone)).build().is_ok());
}

#[test]
fn sorted_columns_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sorted.parquet");
    let sorting = parquet::file::metadata::SortingColumn { column_idx: 17, descending: false, nulls_first: false };
    let properties = WriterProperties::builder().set_sorting_columns(Some(vec![sorting])).build();
    let batch = events(100);
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert_eq!(sorted_columns(&path).unwrap(), ["M"]);
}

#[test]
fn archives_are_files_of_blocks() {
    let (folder, original, codes, batch) = encoded(&Options { no_prediction: true, ..options("rel:1e-4") });
    let document = open(&codes, Documents::new()).footer().document.clone().unwrap();
    let path = folder.path().join("archive.parquet");
    let file = FileOptions { profile: Profile::Archive, ..FileOptions::default() };
    encode_file(&original, File::create(&path).unwrap(), &document, &file, &|_| {}).unwrap();
    let found = verify_files(&original, &path).unwrap();
    assert!(found.is_kept() && found.columns.len() == document.columns().len(), "{found:?}");
    let n_bytes = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(n_bytes(&path) < n_bytes(&codes), "{} {}", n_bytes(&path), n_bytes(&codes));
    // A row group on its own, a column on its own, and no row group left out by conditions.
    let reader = open(&path, Documents::new());
    assert_eq!(reader.row_groups_where("M", Comparison::Greater, 1e9).unwrap().len(), 4);
    let rows: Vec<_> =
        reader.with_row_groups(vec![2]).with_columns(&["event"]).build().unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), GROUP_ROWS);
    let name = document.columns()[1].name();
    let mut reader = open(&path, Documents::new()).with_row_groups(vec![1]).with_columns(&[&name]).build().unwrap();
    assert_eq!(reader.schema().fields().len(), 1);
    assert_eq!(reader.next().unwrap().unwrap().num_rows(), GROUP_ROWS);
    // The other way to write one, block by block.
    let encoder = Encoder::archive(document, &batch.schema()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP_ROWS)).build();
    let again = folder.path().join("again.parquet");
    let mut writer = BalerParquetWriter::try_new(File::create(&again).unwrap(), encoder, properties).unwrap();
    for start in (0..batch.num_rows()).step_by(700) {
        writer.write(&batch.slice(start, 700.min(batch.num_rows() - start))).unwrap();
    }
    assert_eq!(writer.finish().unwrap().1.n_row_groups, 4);
    assert!(verify_files(&original, &again).unwrap().is_kept());
}
