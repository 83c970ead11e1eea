//! Which of Parquet's encodings each column takes.

use crate::error::{Error, Result};
use arrow_array::RecordBatch;
use baler_codec::standalone::map_all;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnDescriptor, ColumnPath};

/// What readers the file is meant for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The smallest of dictionary, delta and byte stream split for each column; readers of Parquet 2.11 (2024) and later.
    #[default]
    Lake,
    /// Dictionary and plain only: any reader.
    Conservative,
    /// Values of a row group in one block of the codec's ([`crate::Encoder::archive`]): the fewest bytes, no conditions on values.
    Archive,
}

/// Rows in a data page: bytes of equal weight of 32-bit codes fill a block of Zstandard's, and page indexes still prune.
const PAGE_ROWS: usize = 1 << 17;
/// In bytes, of values of 64 bits too.
const PAGE_BYTES: usize = PAGE_ROWS * 8;
/// What a level of Zstandard has to save to be worth its time: a part of what level 1 makes.
const MIN_SAVING: f64 = 1.0 / 256.0;

/// Encodings that level 1 leaves this much larger than the best are not tried at a higher level.
const NEAR: f64 = 1.25;

/// How a column is written.
type Way = (Option<Encoding>, ZstdLevel);

/// Properties for encoded batches like `sample`, tried out on `n_threads` threads: each column's encoding and level of Zstandard (1 or `zstd_level`) chosen by its size in
/// it: where bytes are mostly noise, looking for repeats finds chance ones, which cost more than they save.
pub fn properties(
    sample: &RecordBatch,
    profile: Profile,
    zstd_level: i32,
    n_threads: usize,
) -> Result<WriterProperties> {
    let (fast, asked) = (ZstdLevel::try_new(1)?, ZstdLevel::try_new(zstd_level)?);
    let base = |level: ZstdLevel| {
        WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_data_page_size_limit(PAGE_BYTES)
            .set_created_by(concat!("baler ", env!("CARGO_PKG_VERSION")).to_owned())
    };
    if sample.num_rows() == 0 {
        return Ok(base(asked).build());
    }
    let encodings: &[Option<Encoding>] = match profile {
        Profile::Lake | Profile::Archive => {
            &[None, Some(Encoding::BYTE_STREAM_SPLIT), Some(Encoding::DELTA_BINARY_PACKED)]
        }
        Profile::Conservative => &[None],
    };
    let schema = &ArrowSchemaConverter::new().convert(&sample.schema())?;
    let columns = schema.columns();
    let leaves = |field| (0..columns.len()).filter(move |&c| schema.get_column_root_idx(c) == field);
    // What each leaf takes by each way that fits it. Each field by itself, so that threads share them out evenly.
    let sizes = |ways: Vec<(usize, Way)>| -> Result<Vec<(usize, Way, i64)>> {
        let of_field = |(field, (encoding, level)): (usize, Way)| {
            let fit = |&c: &usize| is_fit(&columns[c], encoding);
            let chosen = leaves(field).filter(fit);
            let chosen = chosen.fold(base(level), |builder, c| with(builder, columns[c].path(), encoding));
            let found = leaves(field).zip(leaf_sizes(&sample.project(&[field])?, chosen.build())?);
            Ok::<_, Error>(found.filter(|(c, _)| fit(c)).map(|(c, size)| (c, (encoding, level), size)).collect())
        };
        let found: Vec<Vec<_>> = map_all(n_threads, ways, of_field)?;
        Ok(found.into_iter().flatten().collect())
    };
    let fields = 0..sample.num_columns();
    let quick = sizes(fields.flat_map(|field| encodings.iter().map(move |&e| (field, (e, fast)))).collect())?;
    let mut best: Vec<(f64, Way)> = vec![(f64::INFINITY, (None, fast)); columns.len()];
    let keep_smaller = |best: &mut [(f64, Way)], found: &[(usize, Way, i64)], weight: f64| {
        for &(c, way, size) in found {
            if size as f64 * weight < best[c].0 {
                best[c] = (size as f64 * weight, way);
            }
        }
    };
    keep_smaller(&mut best, &quick, 1.0);
    if asked != fast {
        let is_near = |&&(c, _, size): &&(usize, Way, i64)| size as f64 <= best[c].0 * NEAR;
        let near = quick.iter().filter(is_near);
        let mut ways: Vec<_> = near.map(|&(c, (e, _), _)| (schema.get_column_root_idx(c), (e, asked))).collect();
        ways.dedup();
        keep_smaller(&mut best, &sizes(ways)?, 1.0 + MIN_SAVING);
    }
    let chosen = columns.iter().zip(best).fold(base(asked), |builder, (column, (_, (encoding, level)))| {
        with(builder, column.path(), encoding).set_column_compression(column.path().clone(), Compression::ZSTD(level))
    });
    Ok(chosen.build())
}

/// `None`: a dictionary, as long as it is short.
fn with(builder: WriterPropertiesBuilder, path: &ColumnPath, encoding: Option<Encoding>) -> WriterPropertiesBuilder {
    match encoding {
        None => builder,
        Some(encoding) => {
            builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path.clone(), encoding)
        }
    }
}

fn is_fit(column: &ColumnDescriptor, encoding: Option<Encoding>) -> bool {
    match (encoding, column.physical_type()) {
        (None, _) | (Some(_), Type::INT32 | Type::INT64) => true,
        (Some(encoding), Type::FLOAT | Type::DOUBLE) => encoding == Encoding::BYTE_STREAM_SPLIT,
        _ => false,
    }
}

/// Bytes of each leaf.
fn leaf_sizes(sample: &RecordBatch, properties: WriterProperties) -> Result<Vec<i64>> {
    let mut writer = ArrowWriter::try_new(Vec::new(), sample.schema(), Some(properties))?;
    writer.write(sample)?;
    let metadata = writer.close()?;
    let n = metadata.file_metadata().schema_descr().num_columns();
    Ok((0..n).map(|c| metadata.row_groups().iter().map(|g| g.column(c).compressed_size()).sum()).collect())
}
