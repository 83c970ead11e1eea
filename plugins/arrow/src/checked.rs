//! Batches of other programs.

use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

/// Batches that another program hands over. Offsets, dictionary keys and text are checked, which Arrow's C interfaces take on trust: what
/// comes after may rely on them.
#[derive(Debug)]
pub struct Checked<R>(pub R);

impl<R: Iterator<Item = Result<RecordBatch, ArrowError>>> Iterator for Checked<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let checked = |batch: RecordBatch| {
            batch.columns().iter().try_for_each(|column| column.to_data().validate_full())?;
            Ok(batch)
        };
        self.0.next().map(|batch| batch.and_then(checked))
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Checked<R> {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }
}
