//! A query over an encoded table: `sql TABLE QUERY...`. The table is a file or a folder, its name in queries `events`.

use baler_datafusion::BalerTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(table) = arguments.next() else {
        return Err(DataFusionError::Configuration("expected: sql TABLE QUERY...".into()));
    };
    let context = SessionContext::new();
    context.register_table("events", Arc::new(BalerTable::open(&context, table).await?))?;
    for query in arguments {
        context.sql(&query).await?.show().await?;
    }
    Ok(())
}
