//! `baler fpga check-vectors`: reference vectors of other implementations.

use crate::failure::{Code, InFile, Result};
use crate::outcome::Outcome;
use baler_fpga::vectors;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// The longest file of vectors that is read.
const MAX_BYTES: usize = 1 << 30;

/// Computes reference vectors and compares every integer of every layer; the exit code is 3 at the first difference
#[derive(Args, Debug)]
#[command(
    after_help = "Files: models with the integers of their layers, or tables of casts (docs/fpga.md, section Vectors)."
)]
pub struct CheckVectorsArgs {
    /// Files of vectors (.json)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl CheckVectorsArgs {
    pub fn run(&self) -> Result<Outcome> {
        let mut lines = Vec::new();
        let mut reports = Vec::new();
        let (mut n_values, mut n_mismatches) = (0, 0);
        for path in &self.files {
            let checked = vectors::check(&super::read_text(path, MAX_BYTES)?).in_file(path)?;
            let layers: Vec<String> = checked.counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
            lines.push(format!(
                "{}: {} values, {} mismatches ({})",
                path.display(),
                checked.n_values(),
                checked.n_mismatches,
                layers.join(", ")
            ));
            if let Some(words) = &checked.first_mismatch {
                lines.push(format!("  first: {words}"));
            }
            n_values += checked.n_values();
            n_mismatches += checked.n_mismatches;
            reports.push(json!({
                "file": path.display().to_string(),
                "name": checked.name,
                "values": checked.n_values(),
                "mismatches": checked.n_mismatches,
                "first_mismatch": checked.first_mismatch,
            }));
        }
        lines.push(format!("{} files, {n_values} values, {n_mismatches} mismatches", self.files.len()));
        let json = json!({ "files": reports, "values": n_values, "mismatches": n_mismatches });
        let mut outcome = Outcome::new(lines.join("\n"), json);
        outcome.failed = (n_mismatches > 0).then_some(Code::BoundBroken);
        Ok(outcome)
    }
}
