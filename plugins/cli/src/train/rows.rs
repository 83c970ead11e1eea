//! What training asks of a [`Dataset`].

use crate::dataset::Dataset;
use crate::format::Array;
use baler_codec::{ByteOrder, Dtype};
use serde_json::{Value, json};

impl Dataset {
    /// Values that were made, not read.
    pub fn of_values(values: &[f32], shape: &[usize]) -> Self {
        let array = Array {
            name: String::new(),
            dtype: Dtype::F32,
            byte_order: ByteOrder::Little,
            shape: shape.iter().map(|&n| n as u64).collect(),
            reversed_axes: false,
            fill: None,
            promise: None,
        };
        Self {
            array,
            bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            columns: Vec::new(),
            is_table: false,
            parts: Vec::new(),
            sampled_from: None,
            rows_with_gaps: 0,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.array.rows() as usize
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> usize {
        self.array.row_bytes() as usize
    }

    /// Values of one row.
    pub fn row_len(&self) -> usize {
        self.row_bytes() / self.array.dtype.size_bytes()
    }

    /// The shape, of `rows` rows.
    pub fn shape(&self, rows: usize) -> Vec<usize> {
        let mut shape: Vec<usize> = self.array.shape.iter().map(|&n| n as usize).collect();
        if let Some(first) = shape.first_mut() {
            *first = rows;
        }
        shape
    }

    /// Rows for which `keep` holds, as they are.
    pub fn select(&self, keep: &dyn Fn(usize) -> bool) -> Vec<u8> {
        let rows = self.bytes.chunks_exact(self.row_bytes()).enumerate();
        rows.filter(|(i, _)| keep(*i)).flat_map(|(_, row)| row).copied().collect()
    }

    /// One line of what was read, where that is not simply one whole file; for people.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.parts.len() > 1 {
            notes.push(format!("{} files, one after the other: {}", self.parts.len(), self.array.describe()));
        }
        if let Some(n) = self.sampled_from {
            notes.push(format!("{} of {n} rows, evenly spaced", self.array.rows() + self.rows_with_gaps));
        }
        if self.rows_with_gaps > 0 {
            notes.push(format!("{} rows with gaps left out, {} kept", self.rows_with_gaps, self.array.rows()));
        }
        notes
    }

    /// The parts for JSON, with the rows of each that lie in `rows` of the whole, where no rows were left out.
    pub fn parts_json(&self, rows: [usize; 2]) -> Value {
        let is_whole = rows == [0, self.rows()];
        let is_exact = self.sampled_from.is_none() && self.rows_with_gaps == 0;
        let mut start = 0;
        let parts = self.parts.iter().map(|part| {
            let n = part.shape.first().copied().unwrap_or(1) as usize;
            let within = |row: usize| row.clamp(start, start + n) - start;
            let here = if is_whole { [0, n] } else { rows.map(within) };
            start += n;
            let mut json = json!({
                "path": part.path.display().to_string(),
                "array": part.array,
                "shape": part.shape,
                "dtype": part.dtype.name(),
            });
            if is_whole || is_exact {
                json["rows"] = here.to_vec().into();
            }
            json
        });
        parts.collect()
    }
}
