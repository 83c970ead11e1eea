//! Archives: the values of a row group in one block of the codec's own chunks, which its first row holds. Fewer bytes than codes, for
//! tables that are kept rather than queried: rows cannot be read without the block, and programs that know nothing of it see booleans.

use crate::document::{Document, Limit};
use crate::error::{Error, Result};
use crate::real::{Real, with_real};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Int64Array, PrimitiveArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use baler_codec::{Limits, Params, Registry};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The binary column that holds a block in the first row of each row group.
pub const BLOCK_COLUMN: &str = "_baler_block";
/// The column of integers that says of each row where it stands in which block.
pub const ROW_COLUMN: &str = "_baler_row";
/// Values of a block take at most this much.
const MAX_BLOCK_BYTES: usize = 1 << 30;

/// Fields of an archive: the columns of the document are booleans, which say whether there is a value.
pub(crate) fn fields(document: &Document, schema: &Schema) -> Result<Vec<Arc<Field>>> {
    let mut fields = Vec::with_capacity(schema.fields().len() + 3);
    for field in schema.fields() {
        let archived = document.position(&[field.name()]);
        let kind = archived.map_or_else(|| field.data_type().clone(), |_| DataType::Boolean);
        fields.push(Arc::new(field.as_ref().clone().with_data_type(kind)));
    }
    if let Some(nested) = document.columns().iter().find(|column| column.path.len() > 1) {
        return Err(Error::invalid(format!(
            "column {} is nested: archives hold top-level columns of floats; leave it as it is, with the bound lossless",
            nested.name()
        )));
    }
    fields.push(Arc::new(Field::new(ROW_COLUMN, DataType::Int64, false)));
    fields.push(Arc::new(Field::new(BLOCK_COLUMN, DataType::Binary, true)));
    Ok(fields)
}

/// Packs a row group; `model` is the column of ids.
pub(crate) fn encode(
    document: &Document,
    batch: &RecordBatch,
    model: ArrayRef,
    output: &SchemaRef,
) -> Result<RecordBatch> {
    let n_rows = batch.num_rows();
    let block = pack(document, batch)?;
    let first = mark(&block);
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(output.fields().len());
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        columns.push(match document.position(&[field.name()]) {
            Some(_) => Arc::new(BooleanArray::new(BooleanBuffer::new_set(n_rows), array.nulls().cloned())),
            None => array.clone(),
        });
    }
    columns.push(Arc::new(Int64Array::from_iter_values((0..n_rows as i64).map(|row| first | row))));
    columns.push(Arc::new(BinaryArray::from_iter((0..n_rows).map(|row| (row == 0).then_some(&block[..])))));
    columns.push(model);
    Ok(RecordBatch::try_new(output.clone(), columns)?)
}

/// The upper 32 bits of a row's entry in [`ROW_COLUMN`]: 31 bits of the block's hash.
fn mark(block: &[u8]) -> i64 {
    let digest = Sha256::digest(block);
    let bits = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
    i64::from(bits >> 1) << 32
}

/// Positions in the document of the columns of each chunk: those of one type and kind of bound.
fn parts(document: &Document) -> Vec<Vec<usize>> {
    let mut parts: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
    for (c, column) in document.columns().iter().enumerate() {
        let is_relative = matches!(column.bound, Limit::PwRel(_));
        parts.entry((column.dtype.dtype().size_bytes(), is_relative)).or_default().push(c);
    }
    parts.into_values().collect()
}

fn registry() -> Registry {
    Registry::with_sources(baler_models::standard_sources())
}

/// A block: for each part the length of its chunk (64 bits, little-endian) and the chunk, an array of rows by columns.
fn pack(document: &Document, batch: &RecordBatch) -> Result<Vec<u8>> {
    let registry = registry();
    let n_rows = batch.num_rows();
    let mut block = Vec::new();
    for part in parts(document) {
        let columns: Vec<_> = part.iter().map(|&c| &document.columns()[c]).collect();
        let (dtype, n_columns) = (columns[0].dtype, columns.len());
        let size = dtype.dtype().size_bytes();
        let n_bytes = n_rows * n_columns * size;
        if n_bytes > MAX_BLOCK_BYTES {
            return Err(Error::invalid(format!(
                "{n_bytes} bytes in a row group, at most {MAX_BLOCK_BYTES}: write fewer rows in each"
            )));
        }
        let mut values = vec![0; n_bytes];
        for (j, column) in columns.iter().enumerate() {
            let array = batch.column_by_name(&column.path[0]).ok_or_else(|| Error::corrupt("a column is not there"))?;
            with_real!(dtype, T => place::<T>(array, &mut values, j * size, n_columns * size));
        }
        let bounds = columns.iter().map(|column| match column.bound {
            Limit::Abs(v) | Limit::Rel(v) | Limit::PwRel(v) => v,
        });
        let mut params = Params::new(dtype.dtype(), &[n_rows, n_columns], columns[0].bound.bound());
        params.set_column_bounds(params.bound.to_wire().0, &bounds.collect::<Vec<_>>())?;
        let chunk = baler_codec::encode(&params, &values, &registry)?;
        block.extend((chunk.len() as u64).to_le_bytes());
        block.extend(chunk);
    }
    Ok(block)
}

/// Writes the values of a column in steps of `stride` bytes; a null repeats what was before it.
fn place<T: Real>(array: &ArrayRef, values: &mut [u8], start: usize, stride: usize) {
    let mut bits = 0;
    for (i, value) in array.as_primitive::<T>().iter().enumerate() {
        bits = value.map_or(bits, T::to_bits);
        let size = size_of::<T::Native>();
        values[start + i * stride..][..size].copy_from_slice(&bits.to_le_bytes()[..size]);
    }
}

/// A block that was read.
#[derive(Debug)]
struct Block {
    mark: i64,
    n_rows: usize,
    /// Of each part the values, rows by columns.
    parts: Vec<Vec<u8>>,
}

impl Block {
    fn open(bytes: &[u8], document: &Document) -> Result<Self> {
        let corrupt = |what: &str| Error::corrupt(format!("{BLOCK_COLUMN}: {what}"));
        let registry = registry();
        let limits = Limits { max_output_bytes: MAX_BLOCK_BYTES };
        let mut rest = bytes;
        let mut found = Self { mark: mark(bytes), n_rows: 0, parts: Vec::new() };
        for (i, part) in parts(document).into_iter().enumerate() {
            let (length, after) = rest.split_first_chunk().ok_or_else(|| corrupt("it is cut"))?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|&length| length <= after.len());
            let (chunk, after) = after.split_at(length.ok_or_else(|| corrupt("it is cut"))?);
            rest = after;
            let decoded =
                baler_codec::decode(chunk, &registry, &limits).map_err(|e| Error::Codec(e.context(BLOCK_COLUMN)))?;
            let dtype = document.columns()[part[0]].dtype.dtype();
            let n_rows = match decoded.shape[..] {
                [n_rows, n_columns] if n_columns == part.len() && (i == 0 || n_rows == found.n_rows) => n_rows,
                _ => return Err(corrupt("its shape is not that of the table")),
            };
            if decoded.dtype != dtype || decoded.byte_order != baler_codec::ByteOrder::Little {
                return Err(corrupt("its values are of another type"));
            }
            found.n_rows = n_rows;
            found.parts.push(decoded.values);
        }
        if rest.is_empty() { Ok(found) } else { Err(corrupt("there are bytes after its end")) }
    }
}

/// Reads archived rows, in the order of the file or what a filter left of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unpacker {
    block: Option<Arc<Block>>,
}

impl Unpacker {
    /// Values in the place of booleans.
    pub fn decode(&mut self, document: &Document, batch: &RecordBatch, output: &SchemaRef) -> Result<RecordBatch> {
        let ours = |name| batch.column_by_name(name).map(|column| column.as_ref());
        let (Some(rows), Some(blocks)) = (
            ours(ROW_COLUMN).and_then(|column| column.as_primitive_opt::<Int64Type>()),
            ours(BLOCK_COLUMN).and_then(|column| column.as_binary_opt::<i32>()),
        ) else {
            return Err(Error::invalid(format!(
                "{ROW_COLUMN} and {BLOCK_COLUMN} are not there as int64 and binary: read them too"
            )));
        };
        let mut places: Vec<(Arc<Block>, usize)> = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            if blocks.is_valid(row) {
                self.block = Some(Arc::new(Block::open(blocks.value(row), document)?));
            }
            let entry = rows.value(row);
            let index = (entry & 0xffff_ffff) as usize;
            match self.block.as_ref().filter(|block| block.mark == entry & !0xffff_ffff && index < block.n_rows) {
                Some(block) => places.push((block.clone(), index)),
                None => {
                    return Err(Error::invalid(
                        "rows of an archive without the row before them that holds their block: row groups are read whole, and \
                         cannot be sorted or filtered before they are decoded",
                    ));
                }
            }
        }
        let mut arrays: BTreeMap<&str, ArrayRef> = BTreeMap::new();
        for (p, part) in parts(document).iter().enumerate() {
            for (j, &c) in part.iter().enumerate() {
                let column = &document.columns()[c];
                let Some(present) = batch.column_by_name(&column.path[0]) else { continue };
                let nulls = present.nulls().cloned();
                let array = with_real!(column.dtype, T => values::<T>(&places, p, j, part.len(), nulls));
                arrays.insert(&column.path[0], array);
            }
        }
        let column = |field: &Arc<Field>| {
            let found = arrays.get(field.name().as_str()).or_else(|| batch.column_by_name(field.name()));
            found.cloned().ok_or_else(|| Error::corrupt(format!("no column {}", field.name())))
        };
        Ok(RecordBatch::try_new(output.clone(), output.fields().iter().map(column).collect::<Result<_>>()?)?)
    }
}

fn values<T: Real>(
    places: &[(Arc<Block>, usize)],
    part: usize,
    j: usize,
    n_columns: usize,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let size = size_of::<T::Native>();
    let value = |(block, row): &(Arc<Block>, usize)| {
        let mut bits = [0; 8];
        bits[..size].copy_from_slice(&block.parts[part][(row * n_columns + j) * size..][..size]);
        T::from_bits(u64::from_le_bytes(bits))
    };
    let values: Vec<T::Native> = places.iter().map(value).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
}
