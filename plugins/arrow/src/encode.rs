//! Record batches of values to record batches of codes.

use crate::archive::{self, BLOCK_COLUMN, ROW_COLUMN};
use crate::document::{Code, Document, Mode};
use crate::error::{Error, Result};
use crate::exact::ExactBuilder;
use crate::extension::{EXACT_COLUMN, MODEL_COLUMN, key, mark};
use crate::real::{Real, arrow_type, with_real};
use crate::tree::{self, Rows};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Encodes batches of one schema with one document. Batches are independent of each other: any thread, any order.
#[derive(Clone, Debug)]
pub struct Encoder {
    document: Arc<Document>,
    input: SchemaRef,
    output: SchemaRef,
    is_archive: bool,
}

/// An encoded batch.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// In the schema of [`Encoder::schema`].
    pub batch: RecordBatch,
    /// For each column of the document what its decoded values span; nothing of archives.
    pub ranges: Vec<ValueRange>,
}

/// Smallest and largest value, NaN and nulls left out; min > max if there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueRange {
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl ValueRange {
    /// Of nothing.
    pub const EMPTY: ValueRange = ValueRange { min: f64::INFINITY, max: f64::NEG_INFINITY };

    /// Takes another value in; NaN is none.
    pub fn add(&mut self, v: f64) {
        self.min = self.min.min(v);
        self.max = self.max.max(v);
    }

    /// Takes another range in.
    pub fn merge(&mut self, other: ValueRange) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Whether there is no value in it.
    pub fn is_empty(&self) -> bool {
        self.min > self.max
    }
}

impl Encoder {
    /// # Errors
    /// Where the schema lacks a column of the document or holds another type there, and for tables that are encoded already.
    pub fn new(document: Arc<Document>, schema: &Schema) -> Result<Self> {
        Self::with(document, schema, false)
    }

    /// An encoder to an archive: each batch becomes one block, which is read whole, in the place of codes. Top-level columns only.
    ///
    /// # Errors
    /// As [`Self::new`], and where a column of the document is nested.
    pub fn archive(document: Arc<Document>, schema: &Schema) -> Result<Self> {
        Self::with(document, schema, true)
    }

    fn with(document: Arc<Document>, schema: &Schema, is_archive: bool) -> Result<Self> {
        for name in [MODEL_COLUMN, EXACT_COLUMN, ROW_COLUMN, BLOCK_COLUMN] {
            if schema.column_with_name(name).is_some() {
                return Err(Error::invalid(format!("the table has a column {name}: it is encoded already")));
            }
        }
        let mut found = vec![false; document.columns().len()];
        let mut fields = tree::fields(schema.fields(), &mut |path, field| {
            let Some(c) = document.position(path) else { return Ok(None) };
            let column = &document.columns()[c];
            if *field.data_type() != arrow_type(column.dtype) {
                return Err(Error::invalid(format!(
                    "column {} is of type {}: document {} was made for {}",
                    column.name(),
                    field.data_type(),
                    document.id(),
                    arrow_type(column.dtype)
                )));
            }
            found[c] = true;
            let kind = match column.code {
                Code::Int32 => DataType::Int32,
                Code::Int64 => DataType::Int64,
            };
            let metadata = mark(field.metadata(), &document, c);
            Ok(Some(Field::new(field.name(), kind, true).with_metadata(metadata)))
        })?
        .to_vec();
        if let Some(c) = found.iter().position(|f| !f) {
            let name = document.columns()[c].name();
            return Err(Error::invalid(format!(
                "the table has no column {name}, which document {} names",
                document.id()
            )));
        }
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let model = Arc::new(Field::new(MODEL_COLUMN, dictionary, true));
        if is_archive {
            fields = archive::fields(&document, schema)?;
            fields.push(model);
        } else {
            fields.push(model);
            fields.push(Arc::new(Field::new(EXACT_COLUMN, DataType::Binary, true)));
        }
        let mut metadata = schema.metadata().clone();
        metadata.insert(key::ID, document.id().to_string());
        metadata.insert(key::DOCUMENT, String::from_utf8_lossy(document.bytes()).into_owned());
        let output = Arc::new(Schema::new_with_metadata(fields, metadata));
        Ok(Self { document, input: Arc::new(schema.clone()), output, is_archive })
    }

    /// Whether batches become blocks.
    pub fn is_archive(&self) -> bool {
        self.is_archive
    }

    /// The document.
    pub fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// Of encoded batches: the columns in their order, codes in the place of values, then [`MODEL_COLUMN`] and
    /// [`EXACT_COLUMN`]. The metadata hold the document.
    pub fn schema(&self) -> &SchemaRef {
        &self.output
    }

    /// Encodes one batch.
    pub fn encode(&self, batch: &RecordBatch) -> Result<Encoded> {
        if batch.schema_ref().fields() != self.input.fields() {
            return Err(Error::invalid("the batch is not of the schema that the encoder was made for"));
        }
        let document = &self.document;
        let n_columns = document.columns().len();
        let n_rows = batch.num_rows();
        let id = StringArray::from(vec![document.id().to_string()]);
        let model: ArrayRef = Arc::new(DictionaryArray::try_new(Int32Array::from_value(0, n_rows), Arc::new(id))?);
        if self.is_archive {
            let batch = archive::encode(document, batch, model, &self.output)?;
            return Ok(Encoded { batch, ranges: Vec::new() });
        }
        let mut exact = ExactBuilder::default();
        let mut ranges = vec![ValueRange::EMPTY; n_columns];
        let mut codes: Vec<Option<ArrayRef>> = vec![None; n_columns];
        let mut decoded: Vec<Vec<f64>> = vec![Vec::new(); n_columns];
        let mut is_parent = vec![false; n_columns];
        for parent in document.formulas.iter().flatten().flat_map(baler_codec::relation::Formula::columns) {
            is_parent[parent] = true;
        }
        for &c in &document.order {
            let [name] = &document.columns()[c].path[..] else { continue };
            let Some(array) = batch.column_by_name(name) else { continue };
            if array.data_type().is_floating() {
                let centres = document.centres(c, n_rows, |parent| decoded[parent].as_slice());
                let leaf = self.leaf(c, array, centres.as_deref(), is_parent[c]);
                leaf.note(c, array, &Rows::TOP, document, &mut exact, &mut ranges);
                codes[c] = Some(leaf.codes);
                decoded[c] = leaf.decoded;
            }
        }
        let mut columns = Vec::with_capacity(self.output.fields().len());
        for ((array, from), to) in batch.columns().iter().zip(self.input.fields()).zip(self.output.fields()) {
            let mut path = vec![from.name().clone()];
            let encoded = tree::array(array, from, to, &mut path, &Rows::TOP, &mut |path, _, _, array, rows| {
                let Some(c) = document.position(path) else { return Ok(array.clone()) };
                if let Some(codes) = &codes[c] {
                    return Ok(codes.clone());
                }
                let leaf = self.leaf(c, array, None, false);
                leaf.note(c, array, rows, document, &mut exact, &mut ranges);
                Ok(leaf.codes)
            })?;
            columns.push(encoded);
        }
        columns.push(model);
        columns.push(Arc::new(exact.finish(n_rows)));
        Ok(Encoded { batch: RecordBatch::try_new(self.output.clone(), columns)?, ranges })
    }

    fn leaf(&self, c: usize, array: &ArrayRef, centres: Option<&[i64]>, want_decoded: bool) -> Leaf {
        with_real!(self.document.columns()[c].dtype, T => self.typed_leaf(c, array.as_primitive::<T>(), centres, want_decoded))
    }

    fn typed_leaf<T: Real>(
        &self,
        c: usize,
        array: &PrimitiveArray<T>,
        centres: Option<&[i64]>,
        want_decoded: bool,
    ) -> Leaf {
        let column = &self.document.columns()[c];
        let quantiser = &self.document.quantisers[c];
        let base = match column.mode {
            Mode::Plain { base } => base,
            Mode::Predict { .. } => 0,
        };
        let limits = match column.code {
            Code::Int32 => i64::from(i32::MIN)..=i64::from(i32::MAX),
            Code::Int64 => i64::MIN..=i64::MAX,
        };
        let n = array.len();
        let mut codes = vec![0i64; n];
        let mut is_code = vec![false; n];
        let mut decoded = if want_decoded { vec![f64::NAN; n] } else { Vec::new() };
        let mut exact = Vec::new();
        let (mut q_min, mut q_max) = (i64::MAX, i64::MIN);
        for (i, &v) in array.values().iter().enumerate() {
            if array.is_null(i) {
                continue;
            }
            let x = T::to_f64(v);
            let found = quantiser.quantise(x).and_then(|q| {
                let integer = match centres {
                    None => q.checked_sub(base)?,
                    Some(centres) => zigzag(q.checked_sub(centres[i])?),
                };
                let code = column.spread(integer)?;
                limits.contains(&code).then_some((q, code))
            });
            match found {
                Some((q, code)) => {
                    (q_min, q_max) = (q_min.min(q), q_max.max(q));
                    codes[i] = code;
                    is_code[i] = true;
                    if want_decoded {
                        decoded[i] = quantiser.decode(q);
                    }
                }
                None => {
                    exact.push((i, T::to_bits(v), x));
                    if want_decoded {
                        decoded[i] = x;
                    }
                }
            }
        }
        let nulls = Some(NullBuffer::from(is_code)).filter(|n| n.null_count() > 0);
        let codes = match column.code {
            Code::Int32 => tree::narrow(codes, nulls),
            Code::Int64 => Arc::new(Int64Array::new(codes.into(), nulls)),
        };
        let mut range = ValueRange::EMPTY;
        if q_min <= q_max {
            range.add(quantiser.decode(q_min));
            range.add(quantiser.decode(q_max));
        }
        Leaf { codes, exact, decoded, range }
    }
}

/// An encoded leaf.
struct Leaf {
    codes: ArrayRef,
    /// Elements without a code: position, bits, value.
    exact: Vec<(usize, u64, f64)>,
    /// NaN where null; empty if not asked for.
    decoded: Vec<f64>,
    range: ValueRange,
}

impl Leaf {
    /// Writes down what the codes do not hold.
    fn note(
        &self,
        c: usize,
        array: &ArrayRef,
        rows: &Rows,
        document: &Document,
        exact: &mut ExactBuilder,
        ranges: &mut [ValueRange],
    ) {
        debug_assert_eq!(array.len(), self.codes.len());
        let size = document.columns()[c].dtype.dtype().size_bytes();
        ranges[c].merge(self.range);
        for &(element, bits, value) in &self.exact {
            let (row, index) = rows.place(element);
            exact.add(row, c, index, bits, size);
            ranges[c].add(value);
        }
    }
}

impl Document {
    /// The integers next to what the formula of column `c` gives, row by row; 0 where it gives nothing.
    pub(crate) fn centres<'a>(
        &self,
        c: usize,
        n_rows: usize,
        decoded: impl Fn(usize) -> &'a [f64],
    ) -> Option<Vec<i64>> {
        let formula = self.formulas[c].as_ref()?;
        let mut values: Vec<&[f64]> = vec![&[]; self.columns().len()];
        for parent in formula.columns() {
            values[parent] = decoded(parent);
        }
        let quantiser = &self.quantisers[c];
        let centre = |row: usize| quantiser.nearest(formula.value(|p| values[p][row])).unwrap_or(0);
        Some((0..n_rows).map(centre).collect())
    }
}

/// 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
pub(crate) fn zigzag(v: i64) -> i64 {
    (v << 1) ^ (v >> 63)
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(v: i64) -> i64 {
    ((v as u64 >> 1) as i64) ^ -(v & 1)
}
