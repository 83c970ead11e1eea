//! `baler parquet encode`.

use super::files::{Pair, Shared, Table, fingerprint, remove_unfinished, share_threads, write_whole};
use crate::args::ThreadArgs;
use crate::failure::{Failure, InFile, Result};
use crate::outcome::{Outcome, bytes, ratio};
use baler_arrow::parquet::{
    BalerParquetReaderBuilder, FileOptions, InputFile, Profile, encode_file, ranges_of_file, sample_of_files,
    sorted_columns,
};
use baler_arrow::{
    Column, Document, Documents, FOLDER, LeftOut, Limit, Mode, Options, Ranges, mantissa_bits, parse_limit, plan,
};
use baler_codec::standalone::map_all;
use baler_codec::{Bound, ValueQuantiser};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows that the parameters are chosen by.
const SAMPLE_ROWS: usize = 1 << 15;

/// Encodes columns of floats within a bound; every other column stays as it is
#[derive(Args, Debug)]
#[command(
    after_help = "A folder is encoded file by file below the output folder. A run that was killed is continued by the same \
    command: finished files are not done again.\nColumns may name their own bounds in the metadata of their fields: baler.abs, \
    baler.rel, baler.pw_rel, baler.bits, baler.lossless, baler.key."
)]
pub struct EncodeArgs {
    /// A Parquet file, or a folder of them (year=2026/...)
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file or folder to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    bound: TableBoundArgs,
    /// Encode these columns only (jets.pt: a field of a struct or list); by default every column of floats that is no key
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    columns: Vec<String>,
    /// A bound of its own for a column: energy=rel:1e-4, m=bits:10, id=lossless; may be repeated
    #[arg(long = "column", value_name = "NAME=BOUND")]
    column: Vec<String>,
    /// Columns by which rows are found or joined: never encoded. Those that a file is sorted by, and those of partitions, are
    /// keys anyway
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    keys: Vec<String>,
    /// Predict no column from others: larger, faster, and statistics of every column prune
    #[arg(long)]
    no_prediction: bool,
    /// Which readers the files are for
    #[arg(long, value_enum, default_value_t = ProfileArg::Lake)]
    profile: ProfileArg,
    /// Level of Zstandard
    #[arg(long, value_name = "N", default_value_t = FileOptions::default().zstd_level, value_parser = clap::value_parser!(i32).range(1..=22))]
    level: i32,
    #[command(flatten)]
    threads: ThreadArgs,
    /// Replace files that were not made from these
    #[arg(long, short)]
    force: bool,
}

#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
struct TableBoundArgs {
    /// Largest absolute error
    #[arg(long, value_name = "X", help_heading = "Bound of every column (one of these)")]
    abs: Option<f64>,
    /// Largest error relative to the range (max - min) of the column in the whole table
    #[arg(long, value_name = "X", help_heading = "Bound of every column (one of these)")]
    rel: Option<f64>,
    /// Largest error of each value relative to that value
    #[arg(long, value_name = "X", help_heading = "Bound of every column (one of these)")]
    pw_rel: Option<f64>,
    /// Round to this many bits of the mantissa
    #[arg(long, value_name = "N", help_heading = "Bound of every column (one of these)")]
    bits: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProfileArg {
    /// The smallest of Parquet's encodings for each column; readers of 2024 and later
    Lake,
    /// Dictionary and plain only; any reader
    Conservative,
    /// A block for each row group instead of codes: the fewest bytes, read whole, no conditions on values; other programs see booleans
    Archive,
}

impl EncodeArgs {
    fn options(&self, table: &Table) -> Result<Options> {
        let bound = match (self.bound.abs, self.bound.rel, self.bound.pw_rel, self.bound.bits) {
            (Some(v), ..) => Some(Limit::of(Bound::Abs(v))?),
            (_, Some(v), ..) => Some(Limit::of(Bound::Rel(v))?),
            (_, _, Some(v), _) => Some(Limit::of(Bound::PwRel(v))?),
            (.., Some(n)) => Some(mantissa_bits(n)?),
            _ => None,
        };
        let mut options = Options {
            bound,
            only: self.columns.clone(),
            no_prediction: self.no_prediction || self.profile == ProfileArg::Archive,
            n_threads: self.threads.n_threads(),
            ..Options::default()
        };
        for text in &self.column {
            let (name, limit) = text.split_once('=').ok_or_else(|| {
                Failure::usage(format!("--column {text}: expected NAME=BOUND, such as energy=rel:1e-4"))
            })?;
            options.columns.insert(name.to_owned(), parse_limit(limit)?);
            if !self.columns.is_empty() && !self.columns.iter().any(|c| c == name) {
                options.only.push(name.to_owned());
            }
        }
        for key in &self.keys {
            options.keys.insert(key.clone(), "it is a key".into());
        }
        for column in &table.partition_columns {
            options.keys.insert(column.clone(), "the table is partitioned by it".into());
        }
        for pair in &table.pairs {
            for column in sorted_columns(&pair.input).in_file(&pair.input)? {
                options.keys.entry(column).or_insert_with(|| "the rows are sorted by it".into());
            }
        }
        Ok(options)
    }

    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        let table = Table::new(&self.input, &self.output)?;
        let options = self.options(&table)?;
        let n_threads = self.threads.n_threads();
        let each = map_all(n_threads, &table.pairs, |pair| ranges_of_file(&pair.input).in_file(&pair.input))?;
        let mut ranges = Ranges::default();
        each.iter().for_each(|r| ranges.merge(r));
        let (document, left_out) = match earlier_document(&table, &options.request(), &ranges) {
            Some(document) => (document, Vec::new()),
            None => choose(&table, &options, &ranges)?,
        };
        // First of all: whatever becomes of this run, files that name the document can be decoded.
        let saved = document.save(&table.output_folder)?;
        saved.parent().iter().for_each(|folder| remove_unfinished(folder, &saved));
        let progress = Shared::new("encoding", table.input_bytes(), quiet);
        let (of_files, of_groups) = share_threads(n_threads, table.pairs.len());
        let done = map_all(of_files, &table.pairs, |pair| self.one(pair, &table, &document, of_groups, &progress))?;
        let n_done_before = done.iter().filter(|d| !d.is_new).count();
        let (before, after) = (table.input_bytes(), done.iter().map(|d| d.bytes).sum::<u64>());
        let rows: u64 = done.iter().map(|d| d.n_rows).sum();
        let predicted = document.columns().iter().filter(|c| matches!(c.mode, Mode::Predict { .. })).count();
        let mut text = format!(
            "{}: {} -> {}, ratio {:.2}; {rows} rows, {} file(s){}; {} column(s) encoded, {predicted} of them predicted; \
             document {}",
            self.output.display(),
            bytes(before),
            bytes(after),
            ratio(before, after),
            done.len(),
            if n_done_before > 0 { format!(", {n_done_before} of them done before") } else { String::new() },
            document.columns().len(),
            document.id(),
        );
        for left in &left_out {
            text += &format!("\n  {} stays as it is: {}", left.column, left.reason);
        }
        let json = json!({
            "output": self.output.display().to_string(),
            "input_bytes": before,
            "output_bytes": after,
            "ratio": ratio(before, after),
            "rows": rows,
            "files": done.len(),
            "files_done_before": n_done_before,
            "document": document.id().to_string(),
            "columns": document.columns().len(),
            "predicted_columns": predicted,
            "left_out": left_out.iter().map(|l| json!({ "column": l.column, "reason": l.reason })).collect::<Vec<_>>(),
        });
        Ok(Outcome::new(text, json))
    }

    fn one(
        &self,
        pair: &Pair,
        table: &Table,
        document: &Arc<Document>,
        n_threads: usize,
        progress: &Shared,
    ) -> Result<Done> {
        let source = fingerprint(&pair.input)?;
        let earlier = finished(&pair.output);
        if let Some(earlier) = &earlier
            && (&earlier.source, &earlier.document) == (&Some(source.clone()), &Some(document.id().to_string()))
        {
            progress.add(pair.bytes);
            return Ok(Done { bytes: file_len(&pair.output)?, n_rows: earlier.n_rows, is_new: false });
        }
        // In a folder of ours, a file made from an earlier state of its source gives way to the new one.
        let force = self.force || (table.is_folder && earlier.is_some_and(|e| e.source.is_some()));
        let n_rows = std::sync::atomic::AtomicU64::new(0);
        let total_rows = n_rows_of(&pair.input)?.max(1);
        let report = write_whole(&pair.output, force, |file| {
            let options = FileOptions {
                profile: match self.profile {
                    ProfileArg::Lake => Profile::Lake,
                    ProfileArg::Conservative => Profile::Conservative,
                    ProfileArg::Archive => Profile::Archive,
                },
                zstd_level: self.level,
                n_threads,
                source: Some(source),
            };
            let share = |rows: u64| (u128::from(rows) * u128::from(pair.bytes) / u128::from(total_rows)) as u64;
            let advance = |rows: u64| {
                let before = n_rows.fetch_add(rows, std::sync::atomic::Ordering::Relaxed);
                progress.add(share(before + rows) - share(before));
            };
            encode_file(&pair.input, file, document, &options, &advance).in_file(&pair.input)
        })?;
        Ok(Done { bytes: file_len(&pair.output)?, n_rows: report.n_rows, is_new: true })
    }
}

struct Done {
    bytes: u64,
    n_rows: u64,
    is_new: bool,
}

/// What an output that is there says of itself.
struct Finished {
    source: Option<String>,
    document: Option<String>,
    n_rows: u64,
}

fn finished(path: &Path) -> Option<Finished> {
    let reader = BalerParquetReaderBuilder::try_new(InputFile::open(path).ok()?, Documents::new()).ok()?;
    Some(Finished {
        source: reader.footer().source.clone(),
        document: reader.footer().document.as_ref().map(|d| d.id().to_string()),
        n_rows: u64::try_from(reader.metadata().metadata().file_metadata().num_rows()).unwrap_or(0),
    })
}

fn n_rows_of(path: &Path) -> Result<u64> {
    let reader = InputFile::open(path).and_then(|f| BalerParquetReaderBuilder::try_new(f, Documents::new()));
    let reader = reader.in_file(path)?;
    Ok(u64::try_from(reader.metadata().metadata().file_metadata().num_rows()).unwrap_or(0))
}

fn file_len(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).in_file(path)?.len())
}

/// The document that an earlier run over a folder left in the output folder, if it was asked for the same and still gives what
/// it promised: a range that has grown makes its bounds tighter, never looser.
fn earlier_document(table: &Table, request: &str, ranges: &Ranges) -> Option<Arc<Document>> {
    if !table.is_folder {
        return None;
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(table.output_folder.join(FOLDER)).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let document = std::fs::read(entry.path()).ok().and_then(|bytes| Document::parse(&bytes).ok());
        found.extend(document.filter(|d| {
            let is_kept = |c: &Column| {
                let range = ranges.get(&c.path);
                match (c.asked, c.bound.bound()) {
                    (Limit::Rel(_), Bound::Abs(kept)) => range
                        .and_then(|r| ValueQuantiser::resolve(c.asked.bound(), r.min, r.max))
                        .is_some_and(|allowed| matches!(allowed, Bound::Abs(allowed) if kept <= allowed)),
                    _ => range.is_some(),
                }
            };
            d.id().to_string() == name && d.parameters().request == request && d.columns().iter().all(is_kept)
        }));
    }
    // Of several nobody can tell which was meant.
    if found.len() == 1 { found.pop().map(Arc::new) } else { None }
}

/// Chooses the parameters from what the table's values span and some of its rows.
fn choose(table: &Table, options: &Options, ranges: &Ranges) -> Result<(Arc<Document>, Vec<LeftOut>)> {
    let n = table.pairs.len();
    let chosen: BTreeSet<usize> = (0..3).map(|i| i * n / 3).collect();
    let paths: Vec<&Path> = chosen.into_iter().map(|i| table.pairs[i].input.as_path()).collect();
    let sample = sample_of_files(&paths, SAMPLE_ROWS, options.n_threads)?;
    let (document, left_out) = plan(&sample.schema(), ranges, &sample, options)?;
    Ok((Arc::new(document), left_out))
}
