//! Encoded Parquet tables in DataFusion: SQL over values, DataFusion's own Parquet scan below.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> datafusion::error::Result<()> {
//! use baler_datafusion::BalerTable;
//! use datafusion::prelude::SessionContext;
//! use std::sync::Arc;
//!
//! let context = SessionContext::new();
//! context.register_table("events", Arc::new(BalerTable::open(&context, "lake/").await?))?;
//! context.sql("SELECT avg(px) FROM events WHERE energy > 180").await?.show().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! |---|---|
//! | `table` | the provider: which columns and conditions the scan of codes gets |
//! | `condition` | a condition on values as one on codes |
//! | `decode` | the plan's node that turns codes into values |
//! | `bridge` | batches from DataFusion's version of Arrow to ours and back |
//!
//! Columns that a query does not use are not read, nor are row groups and pages that cannot meet its conditions: those on plain columns become conditions on codes, those on
//! columns that are not encoded pass as they are. Predicted columns bring those that they follow from.

mod bridge;
mod condition;
mod decode;
mod table;

pub use table::BalerTable;
