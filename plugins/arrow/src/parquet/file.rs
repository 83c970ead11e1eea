//! Whole files, row group by row group, on several threads.

use super::input::InputFile;
use super::profile::{Profile, properties};
use super::reader::BalerParquetReaderBuilder;
use super::writer::{BalerParquetWriter, FileWriter, Group, GroupWriter, MAX_BLOCK_ROWS, Report};
use crate::document::Document;
use crate::encode::{Encoder, ValueRange};
use crate::error::{Error, Result};
use crate::find::Documents;
use crate::plan::Ranges;
use crate::real::float_of;
use arrow_array::RecordBatch;
use baler_codec::standalone::{map_all, map_in_order};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics as ParquetStatistics;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Rows that are read, coded and compressed at a time.
const BATCH_ROWS: usize = 1 << 15;
/// Larger row groups are divided.
const MAX_GROUP_ROWS: usize = 1 << 20;

/// How files are written.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// Encodings of the columns.
    pub profile: Profile,
    /// Level of Zstandard, 1 to 22. Reading costs the same at each; above 9 writing costs more than it saves.
    pub zstd_level: i32,
    /// Threads; row groups are what they share out.
    pub n_threads: usize,
    /// Where the file comes from, for its footer.
    pub source: Option<String>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { profile: Profile::Lake, zstd_level: 9, n_threads: 1, source: None }
    }
}

/// Rows that [`super::properties`] should see: a page of a table that is not wide.
pub fn judged_rows(n_columns: usize) -> usize {
    ((1 << 22) / n_columns.max(1)).clamp(BATCH_ROWS, 1 << 17)
}

fn open(path: &Path) -> Result<(InputFile, ArrowReaderMetadata)> {
    let input = InputFile::open(path)?;
    let metadata = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new())
        .map_err(|e| Error::corrupt(format!("{}: {e}", path.display())))?;
    Ok((input, metadata))
}

/// What the floats of a file span: from its statistics where they say so, otherwise from its values.
pub fn ranges_of_file(path: &Path) -> Result<Ranges> {
    let (input, metadata) = open(path)?;
    let mut ranges = Ranges::default();
    let mut unsure = Vec::new();
    for (c, column) in metadata.parquet_schema().columns().iter().enumerate() {
        let [name] = column.path().parts() else {
            unsure.push(c);
            continue;
        };
        let Ok(field) = metadata.schema().field_with_name(name) else { continue };
        if float_of(field.data_type()).is_none() {
            continue;
        }
        let mut range = ValueRange::EMPTY;
        let known = metadata.metadata().row_groups().iter().all(|group| {
            let (min, max) = match group.column(c).statistics() {
                Some(ParquetStatistics::Float(s)) => (s.min_opt().map(|&v| v.into()), s.max_opt().map(|&v| v.into())),
                Some(ParquetStatistics::Double(s)) => (s.min_opt().copied(), s.max_opt().copied()),
                _ => (None, None),
            };
            // Infinities hide what the finite values span.
            let (Some(min), Some(max)) = (min.filter(|v: &f64| v.is_finite()), max.filter(|v: &f64| v.is_finite()))
            else {
                return false;
            };
            range.add(min);
            range.add(max);
            true
        });
        if known && !range.is_empty() {
            ranges.insert(vec![name.clone()], range);
        } else {
            unsure.push(c);
        }
    }
    if !unsure.is_empty() {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata);
        let mask = ProjectionMask::leaves(builder.parquet_schema(), unsure);
        for batch in builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()? {
            ranges.observe(&batch?)?;
        }
    }
    Ok(ranges)
}

/// Some rows of each of several files of one table, from up to four row groups of each, read on `n_threads` threads.
///
/// # Errors
/// Where the columns of a file are not those of the first one.
pub fn sample_of_files(paths: &[&Path], n_rows: usize, n_threads: usize) -> Result<RecordBatch> {
    joined(&parts_of_files(paths, n_rows, n_threads, |part| Ok(part.clone()))?)
}

/// What `make` makes of each part of [`sample_of_files`].
fn parts_of_files(
    paths: &[&Path],
    n_rows: usize,
    n_threads: usize,
    make: impl Fn(&RecordBatch) -> Result<RecordBatch> + Sync,
) -> Result<Vec<RecordBatch>> {
    let mut schema = None;
    let mut parts = Vec::new();
    for path in paths {
        let (input, metadata) = open(path)?;
        let schema = schema.get_or_insert_with(|| metadata.schema().clone());
        if metadata.schema().fields() != schema.fields() {
            return Err(Error::invalid(format!(
                "{}: its columns are not those of {}",
                path.display(),
                paths[0].display()
            )));
        }
        let n_groups = metadata.metadata().num_row_groups();
        let mut groups: Vec<usize> = (0..4).map(|i| i * n_groups / 4).filter(|&g| g < n_groups).collect();
        groups.dedup();
        let n = n_rows.div_ceil(groups.len().max(1) * paths.len());
        parts.extend(groups.into_iter().map(|group| (input.clone(), metadata.clone(), group, n)));
    }
    let schema = schema.ok_or_else(|| Error::invalid("no file to take a sample of"))?;
    let read = |(input, metadata, group, n): (InputFile, ArrowReaderMetadata, usize, usize)| {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata);
        let batches = builder.with_row_groups(vec![group]).with_limit(n).with_batch_size(n.max(1)).build()?;
        let batches = batches.map(|batch| make(&RecordBatch::try_new(schema.clone(), batch?.columns().to_vec())?));
        batches.collect::<Result<Vec<_>>>()
    };
    let mut parts: Vec<RecordBatch> = map_all(n_threads, parts, read)?.into_iter().flatten().collect();
    // A table without rows has a schema too.
    if parts.is_empty() {
        parts.push(make(&RecordBatch::new_empty(schema.clone()))?);
    }
    Ok(parts)
}

/// One batch of several of one schema.
fn joined(parts: &[RecordBatch]) -> Result<RecordBatch> {
    Ok(arrow_select::concat::concat_batches(parts[0].schema_ref(), parts)?)
}

/// Columns that the file says its rows are sorted by.
pub fn sorted_columns(path: &Path) -> Result<Vec<String>> {
    let (_, metadata) = open(path)?;
    let mut names = Vec::new();
    for group in metadata.metadata().row_groups() {
        for sorting in group.sorting_columns().into_iter().flatten() {
            let column =
                usize::try_from(sorting.column_idx).ok().and_then(|c| metadata.parquet_schema().columns().get(c));
            let name = column.map(|c| c.path().parts().join("."));
            names.extend(name.filter(|n| !names.contains(n)));
        }
    }
    Ok(names)
}

/// Encodes a file. `output` gets the whole Parquet file; row groups stay as they are, unless very large. `progress` is told
/// of rows that are done. The sidecar is the caller's: [`Document::save`].
pub fn encode_file<W: Write + Send>(
    input: &Path,
    output: W,
    document: &Arc<Document>,
    options: &FileOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(W, Report)> {
    let (file, metadata) = open(input)?;
    let (encoder, max_rows) = match options.profile {
        Profile::Archive => (Encoder::archive(document.clone(), metadata.schema())?, MAX_BLOCK_ROWS),
        _ => (Encoder::new(document.clone(), metadata.schema())?, MAX_GROUP_ROWS),
    };
    let n_sample = judged_rows(metadata.schema().fields().len());
    let encode = |part: &RecordBatch| Ok(encoder.encode(part)?.batch);
    let sample = joined(&parts_of_files(&[input], n_sample, options.n_threads, encode)?)?;
    let properties = properties(&sample, options.profile, options.zstd_level, options.n_threads)?;
    let mut writer =
        BalerParquetWriter::try_new(output, encoder.clone(), properties)?.with_source(options.source.clone());
    let pieces = pieces(&metadata, max_rows);
    let groups = writer.groups();
    let work = |index: usize| -> Result<Group> {
        let mut group = GroupWriter::new(&groups, encoder.schema(), index)?;
        let mut batches = pieces[index].read(&file, &metadata)?;
        let schema = arrow_array::RecordBatchReader::schema(&batches);
        // A block of an archive is one batch.
        let whole = encoder.is_archive().then(|| {
            let all = batches.by_ref().collect::<std::result::Result<Vec<_>, _>>()?;
            arrow_select::concat::concat_batches(&schema, &all)
        });
        for batch in whole.into_iter().chain(batches) {
            let encoded = encoder.encode(&batch?)?;
            group.write(&encoded.batch, &encoded.ranges)?;
            progress(encoded.batch.num_rows() as u64);
        }
        group.finish()
    };
    let mut indices = 0..pieces.len();
    map_in_order(options.n_threads, || Ok(indices.next()), work, |group| writer.append(group))?;
    writer.finish()
}

/// Decodes a file into an ordinary one; see [`encode_file`].
pub fn decode_file<W: Write + Send>(
    input: &Path,
    output: W,
    documents: &Documents,
    options: &FileOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(W, Report)> {
    let (file, metadata) = open(input)?;
    let reader = |groups: Vec<usize>| {
        BalerParquetReaderBuilder::with_metadata(file.clone(), metadata.clone(), documents.clone())
            .map(|b| b.with_row_groups(groups).with_batch_size(BATCH_ROWS))
    };
    let schema = arrow_array::RecordBatchReader::schema(&reader(Vec::new())?.build()?);
    let level = parquet::basic::ZstdLevel::try_new(options.zstd_level)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut writer = FileWriter::new(output, &schema, properties)?;
    let groups = writer.groups();
    let work = |index: usize| -> Result<Group> {
        let mut group = GroupWriter::new(&groups, &schema, index)?;
        for batch in reader(vec![index])?.build()? {
            let batch = batch?;
            group.write(&batch, &[])?;
            progress(batch.num_rows() as u64);
        }
        group.finish()
    };
    let mut indices = 0..metadata.metadata().num_row_groups();
    map_in_order(options.n_threads, || Ok(indices.next()), work, |group| writer.append(group))?;
    writer.finish()
}

/// Rows that become one row group.
struct Piece {
    group: usize,
    skip: usize,
    n_rows: usize,
    is_whole: bool,
}

fn pieces(metadata: &ArrowReaderMetadata, max_rows: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (group, rows) in metadata.metadata().row_groups().iter().enumerate() {
        let rows = usize::try_from(rows.num_rows()).unwrap_or(0);
        for skip in (0..rows).step_by(max_rows) {
            pieces.push(Piece { group, skip, n_rows: max_rows.min(rows - skip), is_whole: rows <= max_rows });
        }
    }
    pieces
}

impl Piece {
    fn read(
        &self,
        input: &InputFile,
        metadata: &ArrowReaderMetadata,
    ) -> Result<parquet::arrow::arrow_reader::ParquetRecordBatchReader> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input.clone(), metadata.clone());
        let selection = RowSelection::from(vec![RowSelector::skip(self.skip), RowSelector::select(self.n_rows)]);
        let builder = builder.with_row_groups(vec![self.group]).with_batch_size(BATCH_ROWS);
        Ok(if self.is_whole { builder.build()? } else { builder.with_row_selection(selection).build()? })
    }
}
