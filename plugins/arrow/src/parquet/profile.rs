//! Which of Parquet's encodings each column takes.

use crate::error::Result;
use arrow_array::RecordBatch;
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
}

/// Rows in a data page: long enough for Zstandard, short enough for page indexes to prune.
const PAGE_ROWS: usize = 1 << 16;

/// Properties for encoded batches like `sample`, each column's encoding chosen by its size in it.
pub fn properties(sample: &RecordBatch, profile: Profile, zstd_level: i32) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(zstd_level)?;
    let base = || {
        WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_created_by(concat!("baler ", env!("CARGO_PKG_VERSION")).to_owned())
    };
    if profile == Profile::Conservative || sample.num_rows() == 0 {
        return Ok(base().build());
    }
    let schema = ArrowSchemaConverter::new().convert(&sample.schema())?;
    let columns = schema.columns();
    let mut smallest: Vec<(i64, Option<Encoding>)> =
        sizes(sample, base().build())?.into_iter().map(|s| (s, None)).collect();
    for encoding in [Encoding::BYTE_STREAM_SPLIT, Encoding::DELTA_BINARY_PACKED] {
        let chosen = columns.iter().filter(|c| is_fit(c, encoding)).fold(base(), |b, c| with(b, c.path(), encoding));
        for (best, size) in smallest.iter_mut().zip(sizes(sample, chosen.build())?) {
            if size < best.0 {
                *best = (size, Some(encoding));
            }
        }
    }
    let chosen = columns.iter().zip(smallest).fold(base(), |builder, (column, (_, encoding))| match encoding {
        Some(encoding) if is_fit(column, encoding) => with(builder, column.path(), encoding),
        _ => builder,
    });
    Ok(chosen.build())
}

fn with(builder: WriterPropertiesBuilder, path: &ColumnPath, encoding: Encoding) -> WriterPropertiesBuilder {
    builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path.clone(), encoding)
}

fn is_fit(column: &ColumnDescriptor, encoding: Encoding) -> bool {
    match column.physical_type() {
        Type::INT32 | Type::INT64 => true,
        Type::FLOAT | Type::DOUBLE => encoding == Encoding::BYTE_STREAM_SPLIT,
        _ => false,
    }
}

/// Bytes of each column.
fn sizes(sample: &RecordBatch, properties: WriterProperties) -> Result<Vec<i64>> {
    let mut writer = ArrowWriter::try_new(Vec::new(), sample.schema(), Some(properties))?;
    writer.write(sample)?;
    let metadata = writer.close()?;
    let n = metadata.file_metadata().schema_descr().num_columns();
    Ok((0..n).map(|c| metadata.row_groups().iter().map(|g| g.column(c).compressed_size()).sum()).collect())
}
