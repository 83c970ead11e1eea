//! Writing encoded tables.

use super::footer::Statistics;
use crate::encode::{Encoder, ValueRange};
use crate::error::Result;
use crate::extension::key;
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use std::io::Write;

/// Documents up to this size are in the footer too, where any program sees them.
const MAX_IN_FOOTER: usize = 2 << 10;

/// Rows of an archive's block: enough for the codec to learn from, few enough for the memory of any reader.
pub(crate) const MAX_BLOCK_ROWS: usize = 1 << 18;
/// Level of Zstandard for documents: they are short, and read often.
const DOCUMENT_LEVEL: i32 = 19;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows.
    pub n_rows: u64,
    /// Row groups.
    pub n_row_groups: usize,
}

/// Writes batches of values as a Parquet file of codes, row groups one after another.
///
/// [`super::properties`] chooses good properties from an encoded sample; [`crate::Document::save`] writes the sidecar.
pub struct BalerParquetWriter<W: Write + Send> {
    encoder: Encoder,
    output: FileWriter<W>,
    group: Option<GroupWriter>,
    /// Rows of an archive's next block.
    waiting: Vec<RecordBatch>,
    max_group_rows: usize,
    n_groups: usize,
    source: Option<String>,
}

impl<W: Write + Send> BalerParquetWriter<W> {
    /// Row groups have `properties.max_row_group_row_count()` rows.
    pub fn try_new(output: W, encoder: Encoder, properties: WriterProperties) -> Result<Self> {
        let most = if encoder.is_archive() { MAX_BLOCK_ROWS } else { usize::MAX };
        let max_group_rows = properties.max_row_group_row_count().unwrap_or(1 << 20).clamp(1, most);
        let output = FileWriter::new(output, encoder.schema(), properties)?;
        Ok(Self { encoder, output, group: None, waiting: Vec::new(), max_group_rows, n_groups: 0, source: None })
    }

    /// States what the file is made from, for the footer.
    #[must_use]
    pub fn with_source(mut self, source: Option<String>) -> Self {
        self.source = source;
        self
    }

    /// What it encodes with.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Makes row groups for [`Self::append`], on any thread.
    pub(crate) fn groups(&self) -> ArrowRowGroupWriterFactory {
        self.output.groups()
    }

    /// Encodes and writes a batch of values.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut rest = batch.clone();
        while self.encoder.is_archive() && rest.num_rows() > 0 {
            let n = rest.num_rows().min(self.max_group_rows - self.n_waiting());
            self.waiting.push(rest.slice(0, n));
            rest = rest.slice(n, rest.num_rows() - n);
            if self.n_waiting() == self.max_group_rows {
                self.flush()?;
            }
        }
        while rest.num_rows() > 0 {
            let group = match &mut self.group {
                Some(group) => group,
                none => none.insert(GroupWriter::new(&self.output.groups(), self.encoder.schema(), self.n_groups)?),
            };
            let n = rest.num_rows().min(self.max_group_rows - group.n_rows);
            let encoded = self.encoder.encode(&rest.slice(0, n))?;
            group.write(&encoded.batch, &encoded.ranges)?;
            rest = rest.slice(n, rest.num_rows() - n);
            if group.n_rows == self.max_group_rows {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn n_waiting(&self) -> usize {
        self.waiting.iter().map(RecordBatch::num_rows).sum()
    }

    /// Ends the row group.
    pub fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if let Some(first) = waiting.first() {
            let rows = arrow_select::concat::concat_batches(first.schema_ref(), &waiting)?;
            let group =
                self.group.insert(GroupWriter::new(&self.output.groups(), self.encoder.schema(), self.n_groups)?);
            group.write(&self.encoder.encode(&rows)?.batch, &[])?;
        }
        match self.group.take() {
            Some(group) => self.append(group.finish()?),
            None => Ok(()),
        }
    }

    /// Appends a finished row group.
    pub(crate) fn append(&mut self, group: Group) -> Result<()> {
        self.n_groups += 1;
        self.output.append(group)
    }

    /// Writes the document and the footer, and gives the output back.
    pub fn finish(mut self) -> Result<(W, Report)> {
        self.flush()?;
        let Self { encoder, mut output, source, .. } = self;
        let document = encoder.document();
        let offset = output.writer.bytes_written();
        let packed = zstd::bulk::compress(document.bytes(), DOCUMENT_LEVEL)?;
        output.writer.write_all(&packed)?;
        output.pair(key::ID, document.id().to_string());
        output.pair(key::OFFSET, offset.to_string());
        output.pair(key::LENGTH, packed.len().to_string());
        if document.bytes().len() <= MAX_IN_FOOTER {
            output.pair(key::DOCUMENT, String::from_utf8_lossy(document.bytes()).into_owned());
        }
        if !encoder.is_archive() {
            output.pair(key::STATISTICS, Statistics::to_json(document, &output.rows_and_ranges));
        }
        if let Some(source) = source {
            output.pair(key::SOURCE, source);
        }
        output.finish()
    }
}

/// A Parquet file to which finished row groups are appended.
pub(crate) struct FileWriter<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    schema: SchemaRef,
    rows_and_ranges: Vec<(usize, Vec<ValueRange>)>,
}

impl<W: Write + Send> FileWriter<W> {
    pub fn new(output: W, schema: &SchemaRef, properties: WriterProperties) -> Result<Self> {
        // The stored Arrow schema keeps types and metadata of fields; what concerns the file goes into the footer once.
        let mut metadata = schema.metadata().clone();
        metadata.retain(|k, _| !key::ALL.contains(&k.as_str()));
        let stored = Schema::new_with_metadata(schema.fields().clone(), metadata.clone());
        let options = ArrowWriterOptions::new().with_properties(properties);
        let schema = SchemaRef::new(stored);
        let writer = ArrowWriter::try_new_with_options(output, schema.clone(), options)?;
        let (writer, _) = writer.into_serialized_writer()?;
        let mut new = Self { writer, schema, rows_and_ranges: Vec::new() };
        for (k, v) in metadata.iter() {
            new.pair(k, v.clone());
        }
        Ok(new)
    }

    pub fn groups(&self) -> ArrowRowGroupWriterFactory {
        ArrowRowGroupWriterFactory::new(&self.writer, self.schema.clone())
    }

    fn pair(&mut self, key: &str, value: String) {
        self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }

    pub fn append(&mut self, group: Group) -> Result<()> {
        let mut row_group = self.writer.next_row_group()?;
        for chunk in group.chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        self.rows_and_ranges.push((group.n_rows, group.ranges));
        Ok(())
    }

    pub fn finish(self) -> Result<(W, Report)> {
        let n_rows = self.rows_and_ranges.iter().map(|g| g.0 as u64).sum();
        let report = Report { n_rows, n_row_groups: self.rows_and_ranges.len() };
        // Writes the footer.
        Ok((self.writer.into_inner()?, report))
    }
}

/// Compresses one row group in memory.
pub struct GroupWriter {
    schema: SchemaRef,
    columns: Vec<ArrowColumnWriter>,
    ranges: Vec<ValueRange>,
    n_rows: usize,
}

/// A compressed row group.
pub struct Group {
    chunks: Vec<ArrowColumnChunk>,
    ranges: Vec<ValueRange>,
    n_rows: usize,
}

impl GroupWriter {
    pub(crate) fn new(groups: &ArrowRowGroupWriterFactory, schema: &SchemaRef, index: usize) -> Result<Self> {
        let columns = groups.create_column_writers(index)?;
        Ok(Self { schema: schema.clone(), columns, ranges: Vec::new(), n_rows: 0 })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch, ranges: &[ValueRange]) -> Result<()> {
        let mut columns = self.columns.iter_mut();
        for (field, array) in self.schema.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, array)? {
                if let Some(column) = columns.next() {
                    column.write(&leaf)?;
                }
            }
        }
        self.ranges.resize(ranges.len(), ValueRange::EMPTY);
        self.ranges.iter_mut().zip(ranges).for_each(|(all, new)| all.merge(*new));
        self.n_rows += batch.num_rows();
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Group> {
        let chunks = self.columns.into_iter().map(ArrowColumnWriter::close).collect::<std::result::Result<_, _>>()?;
        Ok(Group { chunks, ranges: self.ranges, n_rows: self.n_rows })
    }
}
