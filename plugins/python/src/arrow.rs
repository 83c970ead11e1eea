//! Tables: streams of Arrow record batches and Parquet files, values to codes and back.
//!
//! Batches cross as capsules of the C data interface, without a copy. A stream does its work in whoever pulls it; pyarrow,
//! Polars and DuckDB pull without Python's lock.

use crate::error::{invalid, raise};
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, SchemaRef};
use baler_arrow::parquet::{
    BalerParquetReaderBuilder, BalerParquetWriter, FileOptions, InputFile, Profile, decode_file, encode_file,
    judged_rows, properties, ranges_of_file, sample_of_files, sorted_columns,
};
use baler_arrow::{
    Checked, Comparison, Decoder, Documents, Encoder, Error, FOLDER, Mode, Options, Ranges, document_ids, parse_limit,
};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyDict};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows that parameters are chosen by, and rows that are coded at a time.
const SAMPLE_ROWS: usize = 1 << 15;

type Left = Vec<(String, String)>;

/// The exception for an error of the tables.
fn raise_table(py: Python<'_>, error: Error) -> PyErr {
    match error {
        Error::Codec(e) => raise(py, &e),
        Error::Io(e) => e.into(),
        // An error of ours on its way through Arrow's iterators.
        Error::Arrow(ArrowError::ExternalError(inner)) => match inner.downcast::<Error>() {
            Ok(ours) => raise_table(py, *ours),
            Err(other) => PyOSError::new_err(other.to_string()),
        },
        other => raise(py, &baler_codec::Error::corrupt(other.to_string())),
    }
}

/// Runs `work` without Python's lock.
fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Error> + Send) -> PyResult<T> {
    py.detach(work).map_err(|e| raise_table(py, e))
}

/// What the codes of a table stand for. Immutable; its id names its bytes.
#[pyclass(frozen, module = "baler._baler")]
pub(crate) struct Document(Arc<baler_arrow::Document>);

#[pymethods]
impl Document {
    /// Of the bytes of `_baler/<id>`.
    #[new]
    fn new(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        Ok(Self(Arc::new(baler_arrow::Document::parse(bytes).map_err(|e| raise_table(py, e))?)))
    }

    #[getter]
    fn id(&self) -> String {
        self.0.id().to_string()
    }

    #[getter]
    fn bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.bytes())
    }

    /// `(path, mode)` of each column.
    #[getter]
    fn columns(&self) -> Vec<(Vec<String>, &'static str)> {
        let mode = |mode: &Mode| if matches!(mode, Mode::Plain { .. }) { "plain" } else { "predict" };
        self.0.columns().iter().map(|c| (c.path.clone(), mode(&c.mode))).collect()
    }

    /// The columns that a column follows from.
    fn parents(&self, column: &str) -> BTreeSet<String> {
        self.0.parents(column)
    }

    /// The codes that meet a condition; see `baler_arrow::Document::code_range`.
    fn code_range(&self, py: Python<'_>, column: &str, comparison: &str, limit: f64) -> PyResult<Option<(i64, i64)>> {
        let comparison = match comparison {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            "==" => Comparison::Equal,
            ">=" => Comparison::GreaterOrEqual,
            ">" => Comparison::Greater,
            other => return Err(invalid(py, format!("comparison {other:?}: expected <, <=, ==, >= or >"))),
        };
        Ok(self.0.code_range(&[column], comparison, limit).map(|codes| codes.into_inner()))
    }

    /// Writes `_baler/<id>` into a folder.
    fn save(&self, py: Python<'_>, folder: PathBuf) -> PyResult<PathBuf> {
        detached(py, || self.0.save(&folder))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        Ok((py.get_type::<Self>().into_any(), (self.bytes(py),)))
    }

    fn __repr__(&self) -> String {
        format!("<baler.arrow.Document {}: {} columns>", self.0.id(), self.0.columns().len())
    }
}

/// Record batches, to be pulled once.
#[pyclass(frozen, module = "baler._baler")]
pub(crate) struct Stream {
    schema: SchemaRef,
    batches: Mutex<Option<Box<dyn RecordBatchReader + Send>>>,
}

impl Stream {
    fn new(batches: Box<dyn RecordBatchReader + Send>) -> Self {
        Self { schema: batches.schema(), batches: Mutex::new(Some(batches)) }
    }
}

#[pymethods]
impl Stream {
    /// The schema that is asked for is a wish, which the interface allows to pass over.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner).take();
        let batches = batches.ok_or_else(|| invalid(py, "the stream was read before: it can be read once"))?;
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(batches), c"arrow_array_stream")
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(self.schema.as_ref()).map_err(|e| raise_table(py, e.into()))?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }
}

/// The batches behind an object with `__arrow_c_stream__`.
fn import(data: &Bound<'_, PyAny>) -> PyResult<Checked<RecordBatchStreamReader>> {
    let py = data.py();
    let Some(method) = data.getattr_opt("__arrow_c_stream__")? else {
        let kind = data.get_type();
        return Err(invalid(
            py,
            format!("{kind} has no __arrow_c_stream__: pass a table or reader of pyarrow, Polars, DuckDB"),
        ));
    };
    let capsule = method.call0()?;
    let pointer = capsule.cast::<PyCapsule>()?.pointer_checked(Some(c"arrow_array_stream"))?;
    // SAFETY: a capsule of this name holds an ArrowArrayStream, which the consumer may move out; what stays behind is marked
    // as released. Python's lock is held.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.as_ptr().cast()) };
    RecordBatchStreamReader::try_new(stream).map(Checked).map_err(|e| raise_table(py, e.into()))
}

/// Which columns to encode, and how well; `python/baler/arrow.py` documents each.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct TableOptions {
    bound: Option<String>,
    bounds: BTreeMap<String, String>,
    columns: Vec<String>,
    keys: Vec<String>,
    predict: bool,
}

impl TableOptions {
    fn options(&self) -> Result<Options, Error> {
        let bound = self.bound.as_deref().map(parse_limit).transpose()?.flatten();
        let limits = self.bounds.iter().map(|(name, text)| Ok((name.clone(), parse_limit(text)?)));
        Ok(Options {
            bound,
            columns: limits.collect::<Result<_, Error>>()?,
            only: self.columns.clone(),
            keys: self.keys.iter().map(|name| (name.clone(), "it is a key".to_owned())).collect(),
            no_prediction: !self.predict,
            n_threads: 1,
        })
    }
}

fn planned(
    schema: &arrow_schema::Schema,
    ranges: &Ranges,
    sample: &RecordBatch,
    options: &Options,
) -> Result<(Document, Left), Error> {
    let (document, left_out) = baler_arrow::plan(schema, ranges, sample, options)?;
    let left_out = left_out.into_iter().map(|left| (left.column, left.reason)).collect();
    Ok((Document(Arc::new(document)), left_out))
}

/// Chooses the parameters of a table by its values; reads all of it, and keeps a sample.
#[pyfunction]
pub(crate) fn plan_stream(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    options: TableOptions,
) -> PyResult<(Document, Left)> {
    let batches = import(data)?;
    detached(py, || {
        let schema = batches.schema();
        let mut ranges = Ranges::default();
        // Pieces evenly over the table: every `stride`-th, twice as far apart whenever there are too many.
        let (mut sample, mut stride, mut n_seen) = (Vec::new(), 1, 0_usize);
        for batch in batches {
            let batch = batch?;
            ranges.observe(&batch)?;
            for offset in (0..batch.num_rows()).step_by(SAMPLE_ROWS / 16) {
                if n_seen % stride == 0 {
                    sample.push(batch.slice(offset, (batch.num_rows() - offset).min(SAMPLE_ROWS / 16)));
                }
                n_seen += 1;
                if sample.len() == 32 {
                    let mut keep = [true, false].into_iter().cycle();
                    sample.retain(|_| keep.next() == Some(true));
                    stride *= 2;
                }
            }
        }
        let sample = arrow_select::concat::concat_batches(&schema, &sample)?;
        planned(&schema, &ranges, &sample, &options.options()?)
    })
}

/// Chooses the parameters of a table of Parquet files, by their statistics where these suffice. A document in `_baler` of the
/// output `folder` that was asked for with the same options is taken again.
#[pyfunction]
pub(crate) fn plan_files(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    options: TableOptions,
    folder: PathBuf,
) -> PyResult<(Document, Left)> {
    detached(py, || {
        let mut options = options.options()?;
        for path in &paths {
            for column in sorted_columns(path).map_err(|e| e.context(path.display()))? {
                options.keys.entry(column).or_insert_with(|| "the rows are sorted by it".into());
            }
        }
        if let Some(document) = earlier_document(&folder, &options.request()) {
            return Ok((Document(Arc::new(document)), Left::new()));
        }
        let mut ranges = Ranges::default();
        for path in &paths {
            ranges.merge(&ranges_of_file(path).map_err(|e| e.context(path.display()))?);
        }
        let chosen: BTreeSet<usize> = (0..3).map(|i| i * paths.len() / 3).collect();
        let chosen: Vec<&Path> = chosen.into_iter().filter_map(|i| paths.get(i).map(PathBuf::as_path)).collect();
        let sample = sample_of_files(&chosen, SAMPLE_ROWS, options.n_threads)?;
        planned(&sample.schema(), &ranges, &sample, &options)
    })
}

/// The only document of this request in `_baler` of a folder: of several nobody could tell which was meant.
fn earlier_document(folder: &Path, request: &str) -> Option<baler_arrow::Document> {
    let entries = std::fs::read_dir(folder.join(FOLDER)).ok()?.flatten();
    let documents = entries.filter_map(|entry| {
        let document = baler_arrow::Document::parse(&std::fs::read(entry.path()).ok()?).ok()?;
        (entry.file_name() == *document.id().to_string() && document.parameters().request == request)
            .then_some(document)
    });
    let mut found: Vec<_> = documents.take(2).collect();
    if found.len() == 1 { found.pop() } else { None }
}

/// Values to codes.
#[pyfunction]
pub(crate) fn encode_stream(py: Python<'_>, data: &Bound<'_, PyAny>, document: &Document) -> PyResult<Stream> {
    let batches = import(data)?;
    let encoder = Encoder::new(document.0.clone(), &batches.schema()).map_err(|e| raise_table(py, e))?;
    let schema = encoder.schema().clone();
    let encoded = batches.map(move |batch| Ok(encoder.encode(&batch?)?.batch));
    Ok(Stream::new(Box::new(RecordBatchIterator::new(encoded, schema))))
}

/// Codes to values. `documents` come first, then those of the schema, beside `folder`, of the standard places. Reads the
/// first batch at once: its rows say what they were encoded with.
#[pyfunction]
pub(crate) fn decode_stream(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    documents: Vec<PyRef<'_, Document>>,
    folder: Option<PathBuf>,
    columns: Option<Vec<String>>,
) -> PyResult<Stream> {
    let mut batches = import(data)?;
    let documents: Vec<_> = documents.iter().map(|d| d.0.clone()).collect();
    detached(py, || {
        let first = batches.next().transpose()?;
        // `beside` looks at the parent of a file.
        let mut known = folder.map_or_else(Documents::standard, |folder| Documents::beside(&folder.join("file")));
        let mut ids: Vec<_> = documents.iter().map(|d| d.id()).collect();
        documents.into_iter().for_each(|document| known.add(document));
        if let Some(batch) = &first {
            ids.extend(document_ids(batch)?);
        }
        let mut decoder = Decoder::new(&batches.schema(), known, &ids)?;
        let all = decoder.schema().clone();
        let wanted = match columns {
            Some(names) => names.iter().map(|name| all.index_of(name)).collect::<Result<Vec<_>, _>>()?,
            None => (0..all.fields().len()).collect(),
        };
        let schema = Arc::new(all.project(&wanted)?);
        let decoded = first.map(Ok).into_iter().chain(batches);
        let decoded = decoded.map(move |batch| decoder.decode(&batch?)?.project(&wanted));
        Ok(Stream::new(Box::new(RecordBatchIterator::new(decoded, schema))))
    })
}

/// What the footer and rows of a Parquet file say: `documents`, `source`, and the `ranges` of decoded values by column and
/// row group.
#[pyfunction]
pub(crate) fn parquet_info<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let (documents, source, ranges) = detached(py, || {
        let places = Documents::beside(&path);
        let reader = BalerParquetReaderBuilder::try_new(InputFile::open(&path)?, places.clone())
            .map_err(|e| e.context(path.display()))?;
        let footer = reader.footer();
        let mut documents = Vec::new();
        for id in &footer.ids {
            let own = footer.document.as_ref().filter(|d| d.id() == *id).cloned();
            documents.push(match own {
                Some(document) => document,
                None => {
                    let column = reader.column_names().join(", ");
                    places.find(id, &column).map_err(|e| e.context(path.display()))?
                }
            });
        }
        let mut ranges = BTreeMap::new();
        for (name, groups) in footer.statistics.iter().flat_map(|s| &s.columns) {
            let pair = |r: &baler_arrow::ValueRange| (!r.is_empty()).then_some((r.min, r.max));
            ranges.insert(name.clone(), groups.iter().map(pair).collect::<Vec<_>>());
        }
        Ok((documents, footer.source.clone(), ranges))
    })?;
    let info = PyDict::new(py);
    let documents = documents.into_iter().map(|d| Py::new(py, Document(d)));
    info.set_item("documents", documents.collect::<PyResult<Vec<_>>>()?)?;
    info.set_item("source", source)?;
    info.set_item("ranges", ranges)?;
    Ok(info)
}

/// How Parquet files are written.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct ParquetOptions {
    profile: String,
    zstd_level: i32,
    threads: usize,
    row_group_rows: Option<usize>,
    source: Option<String>,
}

impl ParquetOptions {
    fn profile(&self) -> Profile {
        match self.profile.as_str() {
            "archive" => Profile::Archive,
            "conservative" => Profile::Conservative,
            _ => Profile::Lake,
        }
    }

    fn of_file(&self) -> FileOptions {
        FileOptions {
            profile: self.profile(),
            zstd_level: self.zstd_level,
            n_threads: self.threads,
            source: self.source.clone(),
        }
    }
}

/// Writes values as a Parquet file of codes; gives the number of rows.
#[pyfunction]
pub(crate) fn write_parquet(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    path: PathBuf,
    document: &Document,
    options: ParquetOptions,
) -> PyResult<u64> {
    let mut batches = import(data)?;
    detached(py, || {
        let new = if options.profile() == Profile::Archive { Encoder::archive } else { Encoder::new };
        let encoder = new(document.0.clone(), &batches.schema())?;
        let first = batches.next().transpose()?.unwrap_or_else(|| RecordBatch::new_empty(batches.schema()));
        let n_judged = judged_rows(first.num_columns()).min(first.num_rows());
        let sample = encoder.encode(&first.slice(0, n_judged))?.batch;
        let mut chosen = properties(&sample, options.profile(), options.zstd_level, 1)?;
        if options.row_group_rows.is_some() {
            chosen = chosen.into_builder().set_max_row_group_row_count(options.row_group_rows).build();
        }
        let mut writer =
            BalerParquetWriter::try_new(File::create(&path)?, encoder, chosen)?.with_source(options.source);
        for batch in std::iter::once(Ok(first)).chain(batches) {
            let batch = batch?;
            for offset in (0..batch.num_rows()).step_by(SAMPLE_ROWS) {
                writer.write(&batch.slice(offset, (batch.num_rows() - offset).min(SAMPLE_ROWS)))?;
            }
        }
        let (file, report) = writer.finish()?;
        file.sync_all()?;
        Ok(report.n_rows)
    })
}

/// Encodes a Parquet file; gives the number of rows.
#[pyfunction]
pub(crate) fn encode_parquet(
    py: Python<'_>,
    input: PathBuf,
    output: PathBuf,
    document: &Document,
    options: ParquetOptions,
) -> PyResult<u64> {
    detached(py, || {
        let (file, report) = encode_file(&input, File::create(&output)?, &document.0, &options.of_file(), &|_| {})?;
        file.sync_all()?;
        Ok(report.n_rows)
    })
}

/// Decodes a Parquet file; gives the number of rows.
#[pyfunction]
pub(crate) fn decode_parquet(
    py: Python<'_>,
    input: PathBuf,
    output: PathBuf,
    options: ParquetOptions,
) -> PyResult<u64> {
    detached(py, || {
        let places = Documents::beside(&input);
        let (file, report) = decode_file(&input, File::create(&output)?, &places, &options.of_file(), &|_| {})?;
        file.sync_all()?;
        Ok(report.n_rows)
    })
}
