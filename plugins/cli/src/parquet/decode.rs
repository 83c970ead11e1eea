//! `baler parquet decode`.

use super::files::{Shared, Table, share_threads, write_whole};
use crate::args::ThreadArgs;
use crate::failure::{Failure, InFile, Result};
use crate::outcome::{Outcome, bytes};
use baler_arrow::Documents;
use baler_arrow::parquet::{FileOptions, decode_file};
use baler_codec::standalone::map_all;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Writes the values back as ordinary Parquet files
#[derive(Args, Debug)]
#[command(
    after_help = "What the codes stand for is in the file, beside it or beside its table in _baler/, in BALER_MODEL_PATH, or in \
    the user's folder of models; after a rewrite by another program the id in each row is enough."
)]
pub struct DecodeArgs {
    /// An encoded file, or a folder of them
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file or folder to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    threads: ThreadArgs,
    /// Replace files that are there
    #[arg(long, short)]
    force: bool,
}

impl DecodeArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        let table = Table::new(&self.input, &self.output)?;
        let progress = Shared::new("decoding", table.input_bytes(), quiet);
        let (of_files, n_threads) = share_threads(self.threads.n_threads(), table.pairs.len());
        let done = map_all(of_files, &table.pairs, |pair| {
            let changed = |path: &std::path::Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
            // Under its name a file is whole: one that is newer than its source was finished by an earlier run.
            if table.is_folder && !self.force && changed(&pair.output) > changed(&pair.input) {
                return Ok((0, false));
            }
            let report = write_whole(&pair.output, self.force || table.is_folder, |file| {
                let options = FileOptions { n_threads, ..FileOptions::default() };
                decode_file(&pair.input, file, &Documents::beside(&pair.input), &options, &|_| {}).in_file(&pair.input)
            })?;
            progress.add(pair.bytes);
            Ok::<_, Failure>((report.n_rows, true))
        })?;
        let rows: u64 = done.iter().map(|d| d.0).sum();
        let before = done.iter().filter(|d| !d.1).count();
        let text = format!(
            "{}: {rows} rows from {}, {} file(s){}",
            self.output.display(),
            bytes(table.input_bytes()),
            done.len(),
            if before > 0 { format!(", {before} of them done before") } else { String::new() }
        );
        let json = json!({
            "output": self.output.display().to_string(), "rows": rows, "files": done.len(), "files_done_before": before,
        });
        Ok(Outcome::new(text, json))
    }
}
