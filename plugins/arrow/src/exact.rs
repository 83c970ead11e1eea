//! The column `_baler_exact`: values that codes cannot give back, row by row.
//!
//! A row's bytes are entries one after another: position of the column in the document (varint), place of the element
//! among those of its row (varint, 0 outside lists), the value's bits (as many bytes as the type has, little-endian).

use crate::document::Column;
use crate::error::{Error, Result};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray};
use arrow_schema::DataType;
use std::collections::BTreeMap;

/// Collects the entries of a batch.
#[derive(Default)]
pub(crate) struct ExactBuilder {
    rows: BTreeMap<usize, Vec<u8>>,
}

impl ExactBuilder {
    pub fn add(&mut self, row: usize, column: usize, index: usize, bits: u64, size: usize) {
        let bytes = self.rows.entry(row).or_default();
        put_varint(bytes, column);
        put_varint(bytes, index);
        bytes.extend_from_slice(&bits.to_le_bytes()[..size]);
    }

    pub fn finish(&self, n_rows: usize) -> BinaryArray {
        BinaryArray::from_iter((0..n_rows).map(|row| self.rows.get(&row)))
    }
}

/// An entry of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    pub row: usize,
    pub index: usize,
    pub bits: u64,
}

/// The entries of a batch, column by column.
pub(crate) fn parse(array: &ArrayRef, columns: &[Column]) -> Result<Vec<Vec<Entry>>> {
    let mut entries = vec![Vec::new(); columns.len()];
    if array.null_count() == array.len() {
        return Ok(entries);
    }
    let corrupt = |row: usize| Error::corrupt(format!("{}, row {row}: cut or damaged", crate::extension::EXACT_COLUMN));
    let mut parse_row = |row: usize, mut bytes: &[u8]| -> Result<()> {
        while !bytes.is_empty() {
            let column = take_varint(&mut bytes).filter(|&c| c < columns.len()).ok_or_else(|| corrupt(row))?;
            let index = take_varint(&mut bytes).ok_or_else(|| corrupt(row))?;
            let (bits, rest) =
                bytes.split_at_checked(columns[column].dtype.dtype().size_bytes()).ok_or_else(|| corrupt(row))?;
            bytes = rest;
            let bits = bits.iter().rev().fold(0, |word, &b| word << 8 | u64::from(b));
            entries[column].push(Entry { row, index, bits });
        }
        Ok(())
    };
    macro_rules! each {
        ($array:expr) => {{
            let array = $array;
            for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
                parse_row(row, array.value(row))?;
            }
        }};
    }
    match array.data_type() {
        DataType::Binary => each!(array.as_binary::<i32>()),
        DataType::LargeBinary => each!(array.as_binary::<i64>()),
        DataType::BinaryView => each!(array.as_binary_view()),
        other => {
            return Err(Error::corrupt(format!(
                "{} is of type {other}: expected binary",
                crate::extension::EXACT_COLUMN
            )));
        }
    }
    Ok(entries)
}

fn put_varint(out: &mut Vec<u8>, mut v: usize) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut v = 0u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        v |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(v).ok();
        }
    }
    None
}
