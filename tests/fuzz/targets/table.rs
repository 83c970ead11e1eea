//! Encoded tables: their documents, batches of codes that rewriters may have changed, and Parquet files that hold both.

use super::{MIB, Target, as_it_is};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow_schema::{Field, Schema};
use baler_arrow::parquet::{BalerParquetReaderBuilder, BalerParquetWriter, Profile, properties};
use baler_arrow::{
    Code, Decoder, Document, Documents, EXACT_COLUMN, Encoder, Limit, MODEL_COLUMN, Options, Ranges, key, plan,
};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// A document, and bytes that stand for the codes of its columns, their nulls, and the values beside them.
pub const TARGET: Target = Target { name: "table", seeds: documents, mend: as_it_is, run: decode, memory };

/// Whole files.
pub const PARQUET: Target = Target { name: "parquet", seeds: files, mend: as_it_is, run: read, memory: file_memory };

/// A formula's terms are looked at for every row, and JSON is read twice.
fn memory(len: usize) -> usize {
    256 * len + MIB
}

/// The `parquet` crate takes the sizes of pages from their headers.
fn file_memory(len: usize) -> usize {
    1024 * len + 64 * MIB
}

/// Momentum and angle, what follows from them, single and double, with NaN and nulls.
fn batch(rows: usize) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let pt = |i: usize| 20.0 + (i * 37 % 101) as f64 * 0.5;
    let phi = |i: usize| (i * 13 % 63) as f64 * 0.1 - 3.1;
    let pick = |i: usize, v: f64| if i % 50 == 7 { f64::NAN } else { v };
    let px: ArrayRef = Arc::new(Float64Array::from_iter_values((0..rows).map(|i| pick(i, pt(i) * phi(i).cos()))));
    let single = (0..rows).map(|i| (i % 11 != 3).then_some(pt(i) as f32));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("pt", Arc::new(Float32Array::from_iter(single))),
        ("phi", Arc::new(Float64Array::from_iter_values((0..rows).map(phi)))),
        ("px", px),
    ];
    RecordBatch::try_from_iter(columns)
}

fn encoder(rows: usize, bound: Limit) -> Result<(RecordBatch, Encoder), baler_arrow::Error> {
    let batch = batch(rows)?;
    let mut ranges = Ranges::default();
    ranges.observe(&batch)?;
    let options = Options { bound: Some(bound), ..Options::default() };
    let (document, _) = plan(&batch.schema(), &ranges, &batch, &options)?;
    let encoder = Encoder::new(Arc::new(document), &batch.schema())?;
    Ok((batch, encoder))
}

const BOUNDS: [Limit; 3] = [Limit::Abs(0.01), Limit::Rel(1e-6), Limit::PwRel(1e-3)];

fn documents() -> Vec<Vec<u8>> {
    let texts = BOUNDS.iter().filter_map(|&bound| {
        let document = encoder(400, bound).ok()?.1.document().bytes().to_vec();
        let n = u16::try_from(document.len()).ok()?;
        Some([&n.to_le_bytes()[..], &document, &[1, 0, 3, 7, 200, 0, 0, 90, 66, 255]].concat())
    });
    texts.collect()
}

fn decode(input: &[u8]) -> Result<String, String> {
    let Some((len, rest)) = input.split_first_chunk::<2>() else { return Ok("short".into()) };
    let (text, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*len))));
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(e) => return Ok(e.to_string()),
    };
    let again = Document::new(document.parameters()).map_err(|e| format!("its own parameters: {e}"))?;
    if again.parameters() != document.parameters() && !text.windows(3).any(|w| w.eq_ignore_ascii_case(b"nan")) {
        return Err("a document changes when it is written again".into());
    }
    Ok(codes(&document, rest)
        .and_then(|batch| {
            let mut decoder = Decoder::new(&batch.schema(), Documents::new(), &[])?;
            let decoded = decoder.decode(&batch)?;
            Ok(format!("{} columns", decoded.num_columns()))
        })
        .unwrap_or_else(|e| e.to_string()))
}

/// Codes of the top-level columns of a document; the bytes are taken round and round.
fn codes(document: &Document, bytes: &[u8]) -> Result<RecordBatch, baler_arrow::Error> {
    const ROWS: usize = 24;
    let mut bytes = bytes.iter().copied().chain([0]).collect::<Vec<_>>().into_iter().cycle();
    let mut byte = move || bytes.next().unwrap_or_default();
    let mut word = {
        let mut byte = byte.clone();
        move |n: usize| (0..n).fold(0u64, |word, _| word << 8 | u64::from(byte())) as i64
    };
    let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
    for column in document.columns().iter().filter(|c| c.path.len() == 1).take(16) {
        let wide: Vec<Option<i64>> = (0..ROWS).map(|_| Some(word(8)).filter(|code| code % 5 != 2)).collect();
        let array: ArrayRef = match column.code {
            Code::Int32 => Arc::new(wide.iter().map(|c| c.map(|c| c as i32)).collect::<Int32Array>()),
            Code::Int64 => Arc::new(wide.into_iter().collect::<Int64Array>()),
        };
        columns.push((Field::new(&column.path[0], array.data_type().clone(), true), array));
    }
    let exact = (0..ROWS).map(|_| {
        let n = byte() as usize % 20;
        (n > 9).then(|| (0..n).map(|_| byte()).collect::<Vec<u8>>())
    });
    let exact: ArrayRef = Arc::new(exact.collect::<BinaryArray>());
    let id = document.id().to_string();
    let named =
        (0..ROWS).map(|_| if byte() % 16 == 3 { None } else { Some(&id[..id.len() - usize::from(byte() == 9)]) });
    let named: Vec<Option<&str>> = named.collect();
    let ids: ArrayRef = if byte() % 2 == 0 {
        Arc::new(named.into_iter().collect::<StringArray>())
    } else {
        Arc::new(named.into_iter().collect::<DictionaryArray<Int32Type>>())
    };
    for (name, array) in [(EXACT_COLUMN, exact), (MODEL_COLUMN, ids)] {
        if byte() % 8 != 5 {
            columns.push((Field::new(name, array.data_type().clone(), true), array));
        }
    }
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let text = String::from_utf8_lossy(document.bytes()).into_owned();
    let metadata = [(key::DOCUMENT.to_owned(), text), (key::ID.to_owned(), id.clone())];
    let schema = Schema::new_with_metadata(fields, metadata.into_iter().collect::<HashMap<_, _>>());
    Ok(RecordBatch::try_new(Arc::new(schema), arrays)?)
}

fn files() -> Vec<Vec<u8>> {
    let made = |bound, profile| -> Result<Vec<u8>, baler_arrow::Error> {
        let (batch, encoder) = encoder(300, bound)?;
        let sample = encoder.encode(&batch)?.batch;
        let mut writer = BalerParquetWriter::try_new(Vec::new(), encoder, properties(&sample, profile, 1, 1)?)?;
        writer.write(&batch)?;
        Ok(writer.finish()?.0)
    };
    let all = BOUNDS.into_iter().flat_map(|b| [(b, Profile::Lake), (b, Profile::Conservative)]);
    all.filter_map(|(bound, profile)| made(bound, profile).ok()).collect()
}

fn read(input: &[u8]) -> Result<String, String> {
    let read = || -> Result<usize, baler_arrow::Error> {
        let builder = BalerParquetReaderBuilder::try_new(Bytes::copy_from_slice(input), Documents::new())?;
        let mut rows = 0;
        for batch in builder.with_batch_size(64).build()? {
            rows += batch?.num_rows();
            if rows > 1 << 16 {
                break;
            }
        }
        Ok(rows)
    };
    Ok(read().map_or_else(|e| e.to_string(), |rows| format!("{} rows", rows.min(301))))
}
