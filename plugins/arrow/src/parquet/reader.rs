//! Reading encoded tables.

use super::footer::Footer;
use crate::archive::{BLOCK_COLUMN, ROW_COLUMN};
use crate::decode::Decoder;
use crate::decode::is_ours;
use crate::document::Document;
use crate::error::{Error, Result};
use crate::extension::{CodeType, EXACT_COLUMN, MODEL_COLUMN};
use crate::find::Documents;
use crate::predicate::Comparison;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics as ParquetStatistics;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Opens a Parquet file, encoded or not, to be read as values.
pub struct BalerParquetReaderBuilder<T: ChunkReader + Clone + 'static> {
    input: T,
    metadata: ArrowReaderMetadata,
    footer: Footer,
    documents: Documents,
    columns: Option<Vec<String>>,
    row_groups: Option<Vec<usize>>,
    batch_rows: usize,
}

impl<T: ChunkReader + Clone + 'static> BalerParquetReaderBuilder<T> {
    /// `documents` are looked for where the file does not hold them itself.
    pub fn try_new(input: T, documents: Documents) -> Result<Self> {
        caught(|| {
            let metadata = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new())?;
            Self::with_metadata(input, metadata, documents)
        })
    }

    /// The same with metadata that are loaded already.
    pub fn with_metadata(input: T, metadata: ArrowReaderMetadata, mut documents: Documents) -> Result<Self> {
        let footer = Footer::read(input.clone(), &metadata)?;
        if let Some(document) = &footer.document {
            documents.add(document.clone());
        }
        Ok(Self { input, metadata, footer, documents, columns: None, row_groups: None, batch_rows: 8192 })
    }

    /// What the file says of itself.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Parquet's own metadata.
    pub fn metadata(&self) -> &ArrowReaderMetadata {
        &self.metadata
    }

    /// Whether the file holds codes.
    pub fn is_encoded(&self) -> bool {
        !self.footer.ids.is_empty()
    }

    /// Reads these top-level columns only, in the order of the file.
    #[must_use]
    pub fn with_columns(mut self, names: &[impl AsRef<str>]) -> Self {
        self.columns = Some(names.iter().map(|n| n.as_ref().to_owned()).collect());
        self
    }

    /// Reads these row groups only.
    #[must_use]
    pub fn with_row_groups(mut self, row_groups: Vec<usize>) -> Self {
        self.row_groups = Some(row_groups);
        self
    }

    /// Rows of a batch, at most.
    #[must_use]
    pub fn with_batch_size(mut self, rows: usize) -> Self {
        self.batch_rows = rows;
        self
    }

    /// Row groups in which a row may meet `column <comparison> limit`; of a column that no statistics are known for, all.
    pub fn row_groups_where(&self, column: &str, comparison: Comparison, limit: f64) -> Result<Vec<usize>> {
        let metadata = self.metadata.metadata();
        let all = 0..metadata.num_row_groups();
        if let Some(ranges) = self.footer.statistics.as_ref().and_then(|s| s.columns.get(column)) {
            let meets = |g: &usize| {
                let range = ranges[*g];
                !range.is_empty() && comparison.may_hold(range.min, range.max, limit)
            };
            return Ok(all.filter(meets).collect());
        }
        let [id] = self.footer.ids[..] else { return Ok(all.collect()) };
        let document = self.documents.find(&id, column)?;
        let leaf =
            |name: &str| self.metadata.parquet_schema().columns().iter().position(|c| c.path().parts() == [name]);
        let (Some(c), Some(exact), Some(codes)) =
            (leaf(column), leaf(EXACT_COLUMN), document.code_range(&[column], comparison, limit))
        else {
            return Ok(all.collect());
        };
        let meets = |g: &usize| {
            let group = metadata.row_group(*g);
            let (min, max) = match group.column(c).statistics() {
                Some(ParquetStatistics::Int32(s)) => (s.min_opt().map(|&v| v.into()), s.max_opt().map(|&v| v.into())),
                Some(ParquetStatistics::Int64(s)) => (s.min_opt().copied(), s.max_opt().copied()),
                _ => (None, None),
            };
            let overlaps = match (min, max) {
                (Some(min), Some(max)) => !codes.is_empty() && min <= *codes.end() && max >= *codes.start(),
                _ => true,
            };
            let n_rows = u64::try_from(group.num_rows()).ok();
            let nulls = |c: usize| group.column(c).statistics().and_then(ParquetStatistics::null_count_opt);
            let only_codes = nulls(c) == Some(0) || (n_rows.is_some() && nulls(exact) == n_rows);
            overlaps || !only_codes
        };
        Ok(all.filter(meets).collect())
    }

    /// The names of all columns of values.
    pub fn column_names(&self) -> Vec<String> {
        let is_ours = |n: &String| self.is_encoded() && is_ours(n);
        self.metadata.schema().fields().iter().map(|f| f.name().clone()).filter(|n| !is_ours(n)).collect()
    }

    /// Those of the columns that may hold codes, for people: the marked ones, or, where marks are gone, whatever has integers.
    fn maybe_coded(&self, names: &[String]) -> String {
        let fields: Vec<_> = self.metadata.schema().fields().iter().filter(|f| names.contains(f.name())).collect();
        let is_marked = |field: &&&Arc<Field>| CodeType::of(field).is_ok_and(|found| found.is_some());
        let has_integers = |field: &&&Arc<Field>| {
            let text = field.data_type().to_string();
            text.contains("Int32") || text.contains("Int64")
        };
        let mut found: Vec<&str> = fields.iter().filter(is_marked).map(|f| f.name().as_str()).collect();
        if found.is_empty() {
            found = fields.iter().filter(has_integers).map(|f| f.name().as_str()).collect();
        }
        if found.is_empty() { MODEL_COLUMN.to_owned() } else { found.join(" or ") }
    }

    /// Starts reading.
    pub fn build(self) -> Result<BalerParquetReader> {
        let asked = match &self.columns {
            Some(names) => names.clone(),
            None => self.column_names(),
        };
        let fields = self.metadata.schema().fields();
        if let Some(unknown) = asked.iter().find(|n| !fields.iter().any(|f| f.name() == *n)) {
            return Err(Error::invalid(format!("no column {unknown}; there are: {}", self.column_names().join(", "))));
        }
        let mut needed: BTreeSet<String> = asked.iter().cloned().collect();
        let mut documents: Vec<Arc<Document>> = Vec::new();
        for id in &self.footer.ids {
            let document = self.documents.find(id, &self.maybe_coded(&asked))?;
            for name in &asked {
                needed.extend(document.parents(name));
            }
            documents.push(document);
        }
        let is_code = |name: &String| documents.iter().any(|d| d.columns().iter().any(|c| c.path[0] == *name));
        if needed.iter().any(is_code) {
            needed.extend([MODEL_COLUMN, EXACT_COLUMN, ROW_COLUMN, BLOCK_COLUMN].map(str::to_owned));
        }
        let is_encoded = self.is_encoded();
        let positions: Vec<usize> = (0..fields.len()).filter(|&i| needed.contains(fields[i].name())).collect();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.input, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), positions);
        let mut builder = builder.with_projection(mask).with_batch_size(self.batch_rows);
        if let Some(row_groups) = self.row_groups {
            builder = builder.with_row_groups(row_groups);
        }
        let batches = caught(|| Ok(builder.build()?))?;
        // The reader's schema has no metadata of the file.
        let metadata = self.metadata.schema().metadata().clone();
        let schema = Schema::new_with_metadata(batches.schema().fields().clone(), metadata);
        let any_codes = needed.contains(MODEL_COLUMN);
        let ids: &[_] = if any_codes { &self.footer.ids } else { &[] };
        let decoder = if any_codes || !is_encoded {
            Decoder::new(&schema, self.documents, ids)?
        } else {
            Decoder::new(&Schema::new(schema.fields().clone()), self.documents, ids)?
        };
        let wanted: Vec<usize> = (0..decoder.schema().fields().len())
            .filter(|&i| asked.contains(decoder.schema().field(i).name()))
            .collect();
        let schema = Arc::new(decoder.schema().project(&wanted)?);
        Ok(BalerParquetReader { batches: Some(batches), decoder, wanted, schema })
    }
}

/// What `work` gives. Over some damaged files the arithmetic of the `parquet` crate panics: that is an error like any other.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let damaged = || Err(Error::corrupt("the Parquet file is damaged: what it says of its pages cannot be"));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| damaged())
}

/// Batches of values.
pub struct BalerParquetReader {
    /// None after an error.
    batches: Option<ParquetRecordBatchReader>,
    decoder: Decoder,
    wanted: Vec<usize>,
    schema: SchemaRef,
}

impl BalerParquetReader {
    /// The documents that the rows are decoded with.
    pub fn documents(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.decoder.documents()
    }

    fn decoded(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let schema = self.decoder.input();
        let batch = RecordBatch::try_new(schema, batch.columns().to_vec())?;
        Ok(self.decoder.decode(&batch)?.project(&self.wanted)?)
    }
}

impl Iterator for BalerParquetReader {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batches = self.batches.as_mut()?;
        let batch = caught(|| Ok(batches.next().transpose()?)).transpose()?;
        let decoded = batch.and_then(|batch| self.decoded(batch));
        if decoded.is_err() {
            self.batches = None;
        }
        Some(decoded.map_err(ArrowError::from))
    }
}

impl RecordBatchReader for BalerParquetReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
