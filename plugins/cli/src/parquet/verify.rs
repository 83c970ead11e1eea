//! `baler parquet verify`.

use super::files::{Shared, Table};
use crate::args::ThreadArgs;
use crate::failure::{Code, Failure, InFile, Result};
use crate::outcome::Outcome;
use baler_arrow::parquet::{ColumnCheck, verify_files};
use baler_arrow::{Limit, Ranges};
use baler_codec::standalone::map_all;
use baler_codec::{Bound, Check, ValueQuantiser};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Reads original and encoded table again and compares every value: encoded columns within their bounds, all else exactly
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The original file or folder
    #[arg(value_name = "ORIGINAL")]
    original: PathBuf,
    /// The encoded file or folder
    #[arg(value_name = "ENCODED")]
    encoded: PathBuf,
    #[command(flatten)]
    threads: ThreadArgs,
}

impl VerifyArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        let table = Table::new(&self.original, &self.encoded)?;
        let progress = Shared::new("verifying", table.input_bytes(), quiet);
        let found = map_all(self.threads.n_threads(), &table.pairs, |pair| {
            let found = verify_files(&pair.input, &pair.output).in_file(&pair.output)?;
            progress.add(pair.bytes);
            Ok::<_, Failure>(found)
        })?;
        let mut ranges = Ranges::default();
        let mut columns: BTreeMap<String, ColumnCheck> = BTreeMap::new();
        let mut differences = Vec::new();
        let mut rows = 0;
        for (file, pair) in found.iter().zip(&table.pairs) {
            rows += file.n_rows;
            ranges.merge(&file.ranges);
            differences.extend(file.differences.iter().map(|d| format!("{}: {d}", pair.output.display())));
            for (name, check) in &file.columns {
                let all =
                    columns.entry(name.clone()).or_insert(ColumnCheck { bound: check.bound, found: Check::default() });
                all.found.n_values += check.found.n_values;
                all.found.n_broken += check.found.n_broken;
                all.found.max_error = all.found.max_error.max(check.found.max_error);
                all.found.max_error_over_bound = all.found.max_error_over_bound.max(check.found.max_error_over_bound);
            }
        }
        // A bound relative to the range was resolved when the table was encoded: it has to be that of this table.
        for column in found.iter().flat_map(|f| &f.documents).flat_map(|d| d.columns()) {
            let Some(range) = ranges.get(&column.path).filter(|_| matches!(column.asked, Limit::Rel(_))) else {
                continue;
            };
            let resolved = ValueQuantiser::resolve(column.asked.bound(), range.min, range.max);
            if let (Bound::Abs(kept), Some(Bound::Abs(allowed))) = (column.bound.bound(), resolved)
                && kept > allowed
            {
                let text = format!(
                    "column {}: {} of these values' range is abs {allowed:e}, but abs {kept:e} was kept: the range then was {:e} \
                     to {:e}, that of a larger table",
                    column.name(),
                    column.asked.bound(),
                    column.range[0],
                    column.range[1]
                );
                if !differences.contains(&text) {
                    differences.push(text);
                }
            }
        }
        if columns.is_empty() && differences.is_empty() {
            return Err(Failure::usage("the second table has no encoded column: there is nothing to verify"));
        }
        let is_kept = differences.is_empty() && columns.values().all(|c| c.found.is_kept());
        let mut text = format!("{}: {rows} rows compared", if is_kept { "kept" } else { "BROKEN" });
        for (name, ColumnCheck { bound, found }) in &columns {
            text += &format!(
                "\n  {name}: {bound}; largest error {:e}, {:.4} of what is allowed{}",
                found.max_error,
                found.max_error_over_bound,
                if found.is_kept() { String::new() } else { format!("; {} value(s) BROKEN", found.n_broken) }
            );
        }
        for difference in &differences {
            text += &format!("\n  {difference}");
        }
        let json = json!({
            "kept": is_kept,
            "rows": rows,
            "columns": columns.iter().map(|(name, c)| json!({
                "column": name,
                "bound": c.bound.to_string(),
                "values": c.found.n_values,
                "broken": c.found.n_broken,
                "max_error": c.found.max_error,
                "max_error_over_bound": c.found.max_error_over_bound,
            })).collect::<Vec<_>>(),
            "differences": differences,
        });
        let mut outcome = Outcome::new(text, json);
        outcome.failed = (!is_kept).then_some(Code::BoundBroken);
        Ok(outcome)
    }
}
