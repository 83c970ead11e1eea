//! Record batches of codes to record batches of values.

use crate::archive::{BLOCK_COLUMN, ROW_COLUMN, Unpacker};
use crate::document::{Document, DocumentId, Mode};
use crate::encode::unzigzag;
use crate::error::{Error, Result};
use crate::exact::{self, Entry};
use crate::extension::{CodeType, EXACT_COLUMN, MODEL_COLUMN, key, unmark};
use crate::find::Documents;
use crate::real::{Real, arrow_type, with_real};
use crate::tree::{self, Rows};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decodes batches of one schema. Rows may be of different documents, as after a merge of files.
#[derive(Clone, Debug)]
pub struct Decoder {
    input: SchemaRef,
    output: SchemaRef,
    documents: Documents,
    loaded: BTreeMap<DocumentId, Arc<Document>>,
    /// Of rows where no column says it.
    default: Option<DocumentId>,
    /// Of an archive.
    archive: Option<Unpacker>,
}

impl Decoder {
    /// `ids` are those that the rows will name, as far as they are known ([`document_ids`] of the first batch): after a
    /// rewrite that dropped all metadata, the schema alone does not say what is encoded.
    ///
    /// A table that is not encoded passes unchanged.
    ///
    /// # Errors
    /// A document that is missing, codes of another type than the document says, a predicted column without those that it
    /// follows from.
    pub fn new(schema: &Schema, mut documents: Documents, ids: &[DocumentId]) -> Result<Self> {
        if let Some(text) = schema.metadata().get(key::DOCUMENT) {
            documents.add(Arc::new(Document::parse(text.as_bytes())?));
        }
        let mut marked = None;
        let mut first_column = None;
        tree::fields(schema.fields(), &mut |path, field| {
            if let Some((_, id)) = CodeType::of(field)? {
                marked = Some(id);
                first_column.get_or_insert_with(|| path.join("."));
            }
            Ok(None)
        })?;
        let stated = schema.metadata().get(key::ID).map(|id| id.parse::<DocumentId>()).transpose()?;
        let default = marked.or(stated);
        let mut loaded = BTreeMap::new();
        for id in ids.iter().chain(&default) {
            if !loaded.contains_key(id) {
                let column = first_column.as_deref().unwrap_or(MODEL_COLUMN);
                loaded.insert(*id, documents.find(id, column)?);
            }
        }
        if loaded.is_empty() && schema.column_with_name(MODEL_COLUMN).is_some() {
            return Err(Error::invalid(format!(
                "nothing but the rows of {MODEL_COLUMN} says which document this table was encoded with: hand over the ids \
                 of its first batch"
            )));
        }
        let is_archive = !loaded.is_empty() && schema.column_with_name(BLOCK_COLUMN).is_some();
        if is_archive && loaded.len() > 1 {
            return Err(Error::invalid("archives of several documents in one table: decode each by itself"));
        }
        let mut decoder = Self {
            input: Arc::new(schema.clone()),
            output: Arc::new(schema.clone()),
            documents,
            loaded,
            default,
            archive: is_archive.then(Unpacker::default),
        };
        decoder.output = Arc::new(decoder.output_schema()?);
        Ok(decoder)
    }

    /// Of the batches to decode.
    pub fn input(&self) -> SchemaRef {
        self.input.clone()
    }

    /// Of decoded batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.output
    }

    /// The documents met so far.
    pub fn documents(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.loaded.values()
    }

    fn output_schema(&self) -> Result<Schema> {
        let fields = tree::fields(self.input.fields(), &mut |path, field| {
            let mut changed: Option<Field> = None;
            for document in self.loaded.values() {
                let Some(c) = position(document, path, field) else { continue };
                let column = &document.columns()[c];
                if *field.data_type() == DataType::Boolean {
                    if self.archive.is_none() {
                        return Err(Error::invalid(format!(
                            "column {} is archived: read {BLOCK_COLUMN} and {ROW_COLUMN} too",
                            path.join(".")
                        )));
                    }
                    let archived = field.clone().with_data_type(arrow_type(column.dtype));
                    changed = Some(archived);
                    continue;
                }
                if !matches!(field.data_type(), DataType::Int32 | DataType::Int64) {
                    return Err(Error::corrupt(format!(
                        "column {} is of type {}: document {} holds codes of int32 or int64 there; was it computed with, or \
                         merged with a table that is not encoded?",
                        path.join("."),
                        field.data_type(),
                        document.id()
                    )));
                }
                let kind = arrow_type(column.dtype);
                // Rewriters that drop the marks may have added rows of nulls, as outer joins do.
                let is_marked = CodeType::of(field)?.is_some();
                let nullable = column.nullable || !is_marked || changed.as_ref().is_some_and(Field::is_nullable);
                if changed.as_ref().is_some_and(|f| *f.data_type() != kind) {
                    return Err(Error::corrupt(format!(
                        "column {} has values of different types in the documents of this table",
                        path.join(".")
                    )));
                }
                changed = Some(Field::new(field.name(), kind, nullable).with_metadata(unmark(field.metadata())));
            }
            Ok(changed)
        })?;
        let is_ours = |f: &Field| is_ours(f.name());
        let fields: Vec<_> = fields.iter().filter(|f| self.loaded.is_empty() || !is_ours(f)).cloned().collect();
        let mut metadata = self.input.metadata().clone();
        metadata.retain(|k, _| !key::ALL.contains(&k.as_str()));
        Ok(Schema::new_with_metadata(fields, metadata))
    }

    /// Decodes one batch.
    pub fn decode(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        if batch.schema_ref().fields() != self.input.fields() {
            return Err(Error::invalid("the batch is not of the schema that the decoder was made for"));
        }
        if let (Some(archive), Some(document)) = (&mut self.archive, self.loaded.values().next()) {
            return archive.decode(document, batch, &self.output);
        }
        if self.loaded.is_empty() {
            // A batch without columns has rows all the same.
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            return Ok(RecordBatch::try_new_with_options(self.output.clone(), batch.columns().to_vec(), &options)?);
        }
        let mut groups: BTreeMap<Option<DocumentId>, Vec<u64>> = BTreeMap::new();
        match batch.column_by_name(MODEL_COLUMN) {
            None => {
                groups.insert(self.default, Vec::new());
            }
            Some(column) => {
                let rows = RowIds::new(column)?;
                if let Some(single) = rows.single()? {
                    groups.insert(single, Vec::new());
                } else {
                    for row in 0..batch.num_rows() {
                        groups.entry(rows.id(row)?).or_default().push(row as u64);
                    }
                }
            }
        }
        if let (1, Some((id, _))) = (groups.len(), groups.first_key_value()) {
            return self.decode_rows(batch, *id);
        }
        let mut parts = Vec::new();
        let mut places = vec![(0, 0); batch.num_rows()];
        for (id, rows) in groups {
            rows.iter().enumerate().for_each(|(i, &row)| places[row as usize] = (parts.len(), i));
            let part = arrow_select::take::take_record_batch(batch, &UInt64Array::from(rows))?;
            parts.push(self.decode_rows(&part, id)?);
        }
        Ok(arrow_select::interleave::interleave_record_batch(&parts.iter().collect::<Vec<_>>(), &places)?)
    }

    /// Rows of one document; of none, where no column may have codes.
    fn decode_rows(&mut self, batch: &RecordBatch, id: Option<DocumentId>) -> Result<RecordBatch> {
        let document = match id {
            Some(id) => match self.loaded.get(&id) {
                Some(document) => Some(document.clone()),
                None => {
                    let document = self.documents.find(&id, MODEL_COLUMN)?;
                    self.loaded.insert(id, document.clone());
                    if self.output_schema()?.fields() != self.output.fields() {
                        return Err(Error::invalid(format!(
                            "document {id} changes the types of columns: hand it over with the first ids"
                        )));
                    }
                    Some(document)
                }
            },
            None => None,
        };
        let mut rows = BatchDecoder::new(document.as_deref(), batch)?;
        let mut columns = Vec::with_capacity(self.output.fields().len());
        let mut targets = self.output.fields().iter();
        for (array, from) in batch.columns().iter().zip(self.input.fields()) {
            if from.name() == MODEL_COLUMN || from.name() == EXACT_COLUMN {
                continue;
            }
            let Some(to) = targets.next() else { continue };
            let mut path = vec![from.name().clone()];
            columns.push(tree::array(array, from, to, &mut path, &Rows::TOP, &mut |path, from, to, array, places| {
                rows.leaf(path, from, to, array, places)
            })?);
        }
        Ok(RecordBatch::try_new(self.output.clone(), columns)?)
    }
}

/// Whether a column is there for decoding alone.
pub(crate) fn is_ours(name: &str) -> bool {
    [MODEL_COLUMN, EXACT_COLUMN, ROW_COLUMN, BLOCK_COLUMN].contains(&name)
}

/// The column of a document that a leaf is: by what it says of itself, or by its name.
fn position(document: &Document, path: &[String], field: &Field) -> Option<usize> {
    match CodeType::of(field) {
        Ok(Some((code, _))) => document.position(&code.column),
        _ => document.position(path),
    }
}

/// Decodes the leaves of one batch.
struct BatchDecoder<'a> {
    document: Option<&'a Document>,
    n_rows: usize,
    exact: Option<Vec<Vec<Entry>>>,
    /// Decoded top-level columns, by position in the document, and their values for formulas.
    top: Vec<Option<ArrayRef>>,
    values: Vec<Vec<f64>>,
    /// Codes of the top-level columns.
    codes: Vec<Option<ArrayRef>>,
}

impl<'a> BatchDecoder<'a> {
    fn new(document: Option<&'a Document>, batch: &RecordBatch) -> Result<Self> {
        let n = document.map_or(0, |d| d.columns().len());
        let mut codes = vec![None; n];
        let mut exact = None;
        if let Some(document) = document {
            let schema = batch.schema();
            for (field, array) in schema.fields().iter().zip(batch.columns()) {
                if !field.data_type().is_nested()
                    && let Some(c) = position(document, std::slice::from_ref(field.name()), field)
                {
                    codes[c] = Some(array.clone());
                }
            }
            if let Some(column) = batch.column_by_name(EXACT_COLUMN) {
                exact = Some(exact::parse(column, document.columns())?);
            }
        }
        Ok(Self { document, n_rows: batch.num_rows(), exact, top: vec![None; n], values: vec![Vec::new(); n], codes })
    }

    fn leaf(&mut self, path: &[String], from: &Field, to: &Field, array: &ArrayRef, places: &Rows) -> Result<ArrayRef> {
        let name = || path.join(".");
        let Some(document) = self.document else {
            if array.null_count() < array.len() {
                return Err(Error::corrupt(format!("column {} has codes in rows without {MODEL_COLUMN}", name())));
            }
            return Ok(new_null_array(to.data_type(), array.len()));
        };
        let Some(c) = position(document, path, from) else {
            return Err(Error::corrupt(format!(
                "column {} holds codes, but document {} of its rows does not know it",
                name(),
                document.id()
            )));
        };
        if document.columns()[c].path.len() == 1 && !from.data_type().is_nested() && self.codes[c].is_some() {
            return self.top(c);
        }
        self.typed(c, array, None, places)
    }

    /// A top-level column, after those that it follows from.
    fn top(&mut self, c: usize) -> Result<ArrayRef> {
        let Some(document) = self.document else { return Err(Error::corrupt("no document")) };
        // Depth first, with a stack of our own.
        let mut waiting = vec![c];
        while let Some(&next) = waiting.last() {
            if self.top[next].is_some() {
                waiting.pop();
                continue;
            }
            let parents = document.formulas[next].as_ref().map_or(Vec::new(), |f| f.columns());
            let missing: Vec<usize> = parents.iter().copied().filter(|&p| self.top[p].is_none()).collect();
            if !missing.is_empty() {
                if let Some(&absent) = missing.iter().find(|&&p| self.codes[p].is_none()) {
                    let column = |c: usize| document.columns()[c].name();
                    return Err(Error::invalid(format!(
                        "column {} is predicted from {}, which is not there: read it too",
                        column(next),
                        column(absent)
                    )));
                }
                waiting.extend(missing);
                continue;
            }
            for &parent in &parents {
                if self.values[parent].is_empty()
                    && let Some(array) = &self.top[parent]
                {
                    self.values[parent] = numbers(array, document.columns()[parent].dtype);
                }
            }
            let centres = document.centres(next, self.n_rows, |p| self.values[p].as_slice());
            let Some(codes) = self.codes[next].clone() else { return Err(Error::corrupt("no codes")) };
            self.top[next] = Some(self.typed(next, &codes, centres.as_deref(), &Rows::TOP)?);
        }
        self.top[c].clone().ok_or_else(|| Error::corrupt("a column was not decoded"))
    }

    fn typed(&self, c: usize, codes: &ArrayRef, centres: Option<&[i64]>, places: &Rows) -> Result<ArrayRef> {
        let Some(document) = self.document else { return Err(Error::corrupt("no document")) };
        let column = &document.columns()[c];
        match codes.data_type() {
            DataType::Int32 => {
                let codes = codes.as_primitive::<Int32Type>();
                with_real!(column.dtype, T => self.values_of::<T>(document, c, codes.len(), codes.nulls(), |i| i64::from(codes.value(i)), centres, places))
            }
            DataType::Int64 => {
                let codes = codes.as_primitive::<Int64Type>();
                with_real!(column.dtype, T => self.values_of::<T>(document, c, codes.len(), codes.nulls(), |i| codes.value(i), centres, places))
            }
            other => Err(Error::corrupt(format!("column {} is of type {other}: expected codes", column.name()))),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one call for each type of codes")]
    fn values_of<T: Real>(
        &self,
        document: &Document,
        c: usize,
        n: usize,
        nulls: Option<&NullBuffer>,
        code: impl Fn(usize) -> i64,
        centres: Option<&[i64]>,
        places: &Rows,
    ) -> Result<ArrayRef> {
        let column = &document.columns()[c];
        let quantiser = &document.quantisers[c];
        let integer = |i: usize| column.gather(code(i));
        let mut values: Vec<T::Native> = match (&column.mode, centres) {
            (Mode::Plain { base }, _) => {
                (0..n).map(|i| T::from_f64(quantiser.decode(integer(i).wrapping_add(*base)))).collect()
            }
            (Mode::Predict { .. }, Some(centres)) => {
                (0..n).map(|i| T::from_f64(quantiser.decode(centres[i].wrapping_add(unzigzag(integer(i)))))).collect()
            }
            (Mode::Predict { .. }, None) => {
                return Err(Error::corrupt(format!(
                    "column {} is predicted, but nested in another one",
                    column.name()
                )));
            }
        };
        let Some(nulls) = nulls.filter(|n| n.null_count() > 0) else {
            return Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), None)));
        };
        let Some(exact) = &self.exact else {
            return Err(Error::invalid(format!(
                "column {} has rows without a code, and {EXACT_COLUMN}, which tells nulls from special values, is not there: \
                 read it too",
                column.name()
            )));
        };
        let mut is_valid: Vec<bool> = nulls.iter().collect();
        for entry in &exact[c] {
            let element = places.element(entry.row, entry.index).filter(|&e| e < n && nulls.is_null(e));
            let element = element.ok_or_else(|| {
                Error::corrupt(format!(
                    "{EXACT_COLUMN}, row {}: an exact value of column {} has no empty place",
                    entry.row,
                    column.name()
                ))
            })?;
            values[element] = T::from_bits(entry.bits);
            is_valid[element] = true;
        }
        let nulls = Some(NullBuffer::from(is_valid)).filter(|n| n.null_count() > 0);
        Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
    }
}

/// The values of a decoded column, NaN where null.
fn numbers(array: &ArrayRef, dtype: crate::document::Float) -> Vec<f64> {
    fn typed<T: Real>(array: &PrimitiveArray<T>) -> Vec<f64> {
        (0..array.len()).map(|i| if array.is_null(i) { f64::NAN } else { T::to_f64(array.value(i)) }).collect()
    }
    with_real!(dtype, T => typed(array.as_primitive::<T>()))
}

/// The ids of [`MODEL_COLUMN`] in a batch, each once.
///
/// # Errors
/// Where the column is not of strings, or holds something else than ids.
pub fn document_ids(batch: &RecordBatch) -> Result<Vec<DocumentId>> {
    let Some(column) = batch.column_by_name(MODEL_COLUMN) else { return Ok(Vec::new()) };
    let rows = RowIds::new(column)?;
    let mut found = Vec::new();
    if let Some(single) = rows.single()? {
        return Ok(single.into_iter().collect());
    }
    for row in 0..column.len() {
        if let Some(id) = rows.id(row)?
            && !found.contains(&id)
        {
            found.push(id);
        }
    }
    Ok(found)
}

/// The id of each row, whatever kind of string column a rewriter made of it.
struct RowIds {
    /// The id of each distinct text, parsed once.
    ids: Vec<DocumentId>,
    /// Row to position in `ids`.
    keys: Vec<Option<usize>>,
}

impl RowIds {
    fn new(column: &ArrayRef) -> Result<Self> {
        let parse = |text: &str| -> Result<DocumentId> {
            text.parse().map_err(|e: baler_codec::Error| Error::Codec(e.context(MODEL_COLUMN)))
        };
        let mut ids = Vec::new();
        let mut keys = Vec::with_capacity(column.len());
        let mut last: Option<(String, usize)> = None;
        let mut push = |text: Option<&str>| -> Result<()> {
            keys.push(match text {
                None => None,
                Some(text) => Some(match &last {
                    Some((same, k)) if same == text => *k,
                    _ => {
                        let id = parse(text)?;
                        let k = ids.iter().position(|i| *i == id).unwrap_or_else(|| {
                            ids.push(id);
                            ids.len() - 1
                        });
                        last = Some((text.to_owned(), k));
                        k
                    }
                }),
            });
            Ok(())
        };
        macro_rules! each {
            ($array:expr) => {{
                let array = $array;
                for row in 0..array.len() {
                    push(array.is_valid(row).then(|| array.value(row)))?;
                }
            }};
        }
        match column.data_type() {
            DataType::Utf8 => each!(column.as_string::<i32>()),
            DataType::LargeUtf8 => each!(column.as_string::<i64>()),
            DataType::Utf8View => each!(column.as_string_view()),
            DataType::Dictionary(..) => {
                let dictionary = column.as_any_dictionary();
                let distinct = Self::new(dictionary.values())?;
                let rows = dictionary.normalized_keys();
                let key = |row: usize| column.is_valid(row).then(|| distinct.keys.get(rows[row]).copied()?).flatten();
                let keys = (0..column.len()).map(key).collect();
                return Ok(Self { ids: distinct.ids, keys });
            }
            other => return Err(Error::corrupt(format!("{MODEL_COLUMN} is of type {other}: expected strings"))),
        }
        Ok(Self { ids, keys })
    }

    /// The one id of all rows (`Some(None)`: all null), if there is only one.
    fn single(&self) -> Result<Option<Option<DocumentId>>> {
        let Some(&first) = self.keys.first() else { return Ok(Some(self.ids.first().copied())) };
        Ok(self.keys.iter().all(|k| *k == first).then(|| first.map(|k| self.ids[k])))
    }

    fn id(&self, row: usize) -> Result<Option<DocumentId>> {
        Ok(self.keys[row].map(|k| self.ids[k]))
    }
}
