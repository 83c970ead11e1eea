//! `baler simulate events`.

use crate::failure::{Failure, InFile, Result};
use crate::outcome::{Outcome, bytes};
use crate::output::Output;
use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use baler_models::simulate::{EVENT_COLUMNS, Events};
use clap::Args;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows that are in memory at a time; row groups are sixteen times as long.
const BATCH_ROWS: u64 = 1 << 16;

/// A Parquet table of events, Z bosons decaying into two muons: 17 columns of float32 and the event's number. Memory does not
/// grow with the rows
#[derive(Args, Debug)]
pub struct EventsArgs {
    /// .parquet
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Events
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    rows: u64,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
}

impl EventsArgs {
    pub fn run(&self) -> Result<Outcome> {
        let (output, file) = Output::create(&self.output, self.force)?;
        let mut fields = vec![Field::new("event", DataType::Int64, false)];
        fields.extend(EVENT_COLUMNS.map(|name| Field::new(name, DataType::Float32, false)));
        let schema = Arc::new(Schema::new(fields));
        let failed = |e: &dyn std::fmt::Display| Failure::runtime(e.to_string());
        let level = ZstdLevel::try_new(3).map_err(|e| failed(&e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(16 * BATCH_ROWS as usize))
            .build();
        let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(|e| failed(&e))?;
        let mut events = Events::new(self.seed);
        let mut done = 0;
        while done < self.rows {
            let n = BATCH_ROWS.min(self.rows - done);
            let mut columns: Vec<Vec<f32>> = EVENT_COLUMNS.iter().map(|_| Vec::with_capacity(n as usize)).collect();
            for _ in 0..n {
                columns.iter_mut().zip(events.row()).for_each(|(column, v)| column.push(v));
            }
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((done..done + n).map(|i| i as i64)));
            let floats = columns.into_iter().map(|c| Arc::new(Float32Array::from(c)) as ArrayRef);
            let batch = RecordBatch::try_new(schema.clone(), std::iter::once(numbers).chain(floats).collect());
            writer.write(&batch.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
            done += n;
        }
        writer.close().map_err(|e| failed(&e))?;
        output.commit()?;
        let size = std::fs::metadata(&self.output).in_file(&self.output)?.len();
        let text =
            format!("{}: {done} events, {} columns, {}", self.output.display(), EVENT_COLUMNS.len() + 1, bytes(size));
        Ok(Outcome::new(text, json!({ "output": self.output.display().to_string(), "rows": done, "bytes": size })))
    }
}
