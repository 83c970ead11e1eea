//! SQL over an encoded folder: answers, and what the plans say of columns and conditions.

use baler_arrow::parquet::{FileOptions, Profile, encode_file, ranges_of_file, sample_of_files};
use baler_arrow::{Document, Limit, Options, Ranges, plan};
use baler_arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use baler_datafusion::BalerTable;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Float32Type, Float64Type, Int64Type, UInt64Type};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ABS: f64 = 0.01;
const ROWS: usize = 40_000;
const FILES: usize = 4;
const QUERY: &str =
    "SELECT count(*), sum(event), avg(px), max(pt) FROM events WHERE energy > 180 AND energy < 220 AND event < 21000";

/// Energy grows with time: its statistics prune. `px` follows from `pt` and `phi`.
fn events(first: usize, n: usize) -> RecordBatch {
    let noise = |i: usize, k: u64| {
        let mixed = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(k.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    };
    let rows = first..first + n;
    let pt = |i| 20.0 - 15.0 * (1.0 - noise(i, 1)).ln();
    let phi = |i| 6.2 * noise(i, 2) - 3.1;
    // The first row's weight is NaN, every eleventh is null.
    let weight = |i| if i == 1 { Some(f64::NAN) } else { (i % 11 != 0).then(|| noise(i, 3)) };
    let columns: [(&str, ArrayRef); 7] = [
        ("event", Arc::new(Int64Array::from_iter_values(rows.clone().map(|i| i as i64)))),
        ("energy", Arc::new(Float64Array::from_iter_values(rows.clone().map(|i| i as f64 / 100.0 + noise(i, 4))))),
        ("pt", Arc::new(Float32Array::from_iter_values(rows.clone().map(|i| pt(i) as f32)))),
        ("phi", Arc::new(Float32Array::from_iter_values(rows.clone().map(|i| phi(i) as f32)))),
        (
            "px",
            Arc::new(Float32Array::from_iter_values(
                rows.clone().map(|i| (f64::from(pt(i) as f32) * f64::from(phi(i) as f32).cos()) as f32),
            )),
        ),
        ("weight", Arc::new(Float64Array::from_iter(rows.clone().map(weight)))),
        ("detector", Arc::new(StringArray::from_iter_values(rows.map(|i| format!("detector {}", i % 7))))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Two years of files, as values and encoded.
fn lake(folder: &Path) -> (PathBuf, PathBuf, Arc<Document>) {
    let (original, small) = (folder.join("lake"), folder.join("small"));
    let mut pairs = Vec::new();
    for i in 0..FILES {
        let name = format!("year={}", 2025 + i / 2);
        for root in [&original, &small] {
            std::fs::create_dir_all(root.join(&name)).unwrap();
        }
        let file = format!("{name}/{i}.parquet");
        pairs.push((original.join(&file), small.join(&file)));
        write(&pairs[i].0, &events(i * ROWS / FILES, ROWS / FILES));
    }
    let mut ranges = Ranges::default();
    pairs.iter().for_each(|pair| ranges.merge(&ranges_of_file(&pair.0).unwrap()));
    let sample = sample_of_files(&[&pairs[0].0], 1 << 14, 1).unwrap();
    let options = Options { bound: Some(Limit::Abs(ABS)), ..Options::default() };
    let (document, _) = plan(&sample.schema(), &ranges, &sample, &options).unwrap();
    let document = Arc::new(document);
    document.save(&small).unwrap();
    for (one, other) in &pairs {
        encode_file(one, File::create(other).unwrap(), &document, &FileOptions::default(), &|_| {}).unwrap();
    }
    (original, small, document)
}

fn write(path: &Path, batch: &RecordBatch) {
    let properties =
        our_parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(2500)).build();
    let mut writer =
        our_parquet::arrow::ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties))
            .unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Count, sum, mean, largest value of one row.
async fn answer(context: &SessionContext, query: &str) -> Result<(i64, i64, f64, f32)> {
    let batches = context.sql(query).await?.collect().await?;
    let row = &batches[0];
    let largest = row.column(3).as_primitive::<Float32Type>();
    let largest = if largest.is_empty() { f32::NAN } else { largest.value(0) };
    let (count, sum) = (row.column(0).as_primitive::<Int64Type>(), row.column(1).as_primitive::<Int64Type>());
    Ok((count.value(0), sum.value(0), row.column(2).as_primitive::<Float64Type>().value(0), largest))
}

async fn explained(context: &SessionContext, query: &str) -> Result<String> {
    let batches = context.sql(query).await?.collect().await?;
    Ok(pretty_format_batches(&batches)?.to_string())
}

async fn opened(path: &Path) -> Result<SessionContext> {
    let context = SessionContext::new();
    context.register_table("events", Arc::new(BalerTable::open(&context, path).await?))?;
    Ok(context)
}

#[tokio::test]
async fn answers_are_those_of_the_values() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (original, small, document) = lake(folder.path());
    assert_eq!(document.parents("px").into_iter().collect::<Vec<_>>(), ["phi", "pt"]);
    let (exact, found) = (opened(&original).await?, opened(&small).await?);
    let (a, b) = (answer(&exact, QUERY).await?, answer(&found, QUERY).await?);
    // Rows whose energy is within the bound of an end may fall on the other side of it.
    let near = "SELECT count(*), sum(event), avg(px), max(pt) FROM events WHERE abs(energy - 180) <= 0.01 OR abs(energy - 220) <= 0.01";
    let n_near = answer(&exact, near).await?.0;
    assert!((a.0 - b.0).abs() <= n_near && a.0 > 2000, "{a:?} {b:?} {n_near}");
    assert!((a.3 - b.3).abs() <= 1.001 * ABS as f32, "{a:?} {b:?}");
    // The same rows, named by what is not encoded.
    let same =
        "SELECT count(*), sum(event), avg(px), max(pt) FROM events WHERE event BETWEEN 18000 AND 20999 AND year = 2025";
    let (a, b) = (answer(&exact, same).await?, answer(&found, same).await?);
    assert_eq!((a.0, a.1), (b.0, b.1));
    assert!((a.2 - b.2).abs() <= ABS, "{a:?} {b:?}");
    Ok(())
}

#[tokio::test]
async fn plans_show_projection_and_pushdown() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_, small, _) = lake(folder.path());
    let context = opened(&small).await?;
    let plan = explained(&context, &format!("EXPLAIN {QUERY}")).await?;
    println!("{plan}");
    let scan = plan.lines().find(|line| line.contains("DataSourceExec")).unwrap();
    assert!(!scan.contains("weight") && !scan.contains("detector"), "{scan}");
    for column in ["event", "energy", "pt", "phi", "px", "_baler_model", "_baler_exact"] {
        assert!(scan.contains(column), "{column} {scan}");
    }
    assert!(
        scan.contains("energy@") && scan.contains("event@0 < 21000") && scan.contains("pruning_predicate"),
        "{scan}"
    );
    assert!(plan.contains("BalerDecodeExec: columns=[event, energy, pt, px]"), "{plan}");

    // Of 16 row groups of 2,500 events those with energies of 180 to 220 are left, before the event: two of the files' eight.
    let analyzed = explained(&context, &format!("EXPLAIN ANALYZE {QUERY}")).await?;
    let scan = analyzed.lines().find(|line| line.contains("DataSourceExec")).unwrap();
    println!("{scan}");
    assert!(scan.contains("row_groups_pruned_statistics=8 total → 2 matched"), "{scan}");

    // A predicted column gives no condition on codes, one that is not encoded passes, nothing is read that is not needed.
    let plan =
        explained(&context, "EXPLAIN SELECT event FROM events WHERE px > 10 AND detector = 'detector 3'").await?;
    let scan = plan.lines().find(|line| line.contains("DataSourceExec")).unwrap();
    assert!(scan.contains("predicate=detector@") && !scan.contains("px@"), "{scan}");
    let plan = explained(&context, "EXPLAIN SELECT count(detector) FROM events WHERE year = 2026").await?;
    assert!(!plan.contains("_baler_model") && plan.contains("year=2026") && !plan.contains("year=2025"), "{plan}");
    Ok(())
}

#[tokio::test]
async fn special_values_and_nulls() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_, small, _) = lake(folder.path());
    let context = opened(&small).await?;
    let count = async |condition: &str| -> Result<u64> {
        let query = format!("SELECT CAST(count(*) AS BIGINT UNSIGNED) FROM events WHERE {condition}");
        let batches = context.sql(&query).await?.collect().await?;
        Ok(batches[0].column(0).as_primitive::<UInt64Type>().value(0))
    };
    assert_eq!(count("weight IS NULL").await?, ROWS.div_ceil(11) as u64);
    // NaN is the largest of all values to DataFusion.
    assert_eq!(count("weight > 5").await?, 1);
    assert_eq!(count("energy > 1e9").await?, 0);
    assert_eq!(count("true").await?, ROWS as u64);
    assert_eq!(count("5 < weight OR event = 7").await?, 2);
    assert_eq!(count("event < 10 LIMIT 3").await?, 10);
    let limited = context.sql("SELECT px FROM events LIMIT 3").await?.collect().await?;
    assert_eq!(limited.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
    Ok(())
}

#[tokio::test]
async fn archives_are_read_whole() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (original, _, document) = lake(folder.path());
    let options = FileOptions { profile: Profile::Archive, ..FileOptions::default() };
    let archive = folder.path().join("0.parquet");
    encode_file(&original.join("year=2025/0.parquet"), File::create(&archive)?, &document, &options, &|_| {}).unwrap();
    let context = opened(&archive).await?;
    let (count, sum, ..) =
        answer(&context, "SELECT count(*), sum(event), avg(px), max(pt) FROM events WHERE event >= 9000").await?;
    assert_eq!((count, sum), (1000, (9000..10_000).sum()));
    let exact = answer(
        &opened(&original).await?,
        "SELECT count(*), sum(event), avg(px), max(pt) FROM events WHERE event < 10000",
    )
    .await?;
    let found = answer(&context, "SELECT count(*), sum(event), avg(px), max(pt) FROM events").await?;
    assert!((exact.2 - found.2).abs() <= ABS && (exact.3 - found.3).abs() <= 1.001 * ABS as f32, "{exact:?} {found:?}");
    Ok(())
}

#[tokio::test]
async fn a_missing_document_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let error = opened(folder.path()).await.err().unwrap().to_string();
    assert!(error.contains("no *.parquet file"), "{error}");
    let table = folder.path().join("plain.parquet");
    write(&table, &events(0, 100));
    let context = opened(&table).await?;
    assert_eq!(answer(&context, "SELECT count(*), sum(event), avg(px), max(pt) FROM events").await?.0, 100);
    std::fs::write(&table, b"no table")?;
    assert!(opened(&table).await.is_err());
    Ok(())
}
