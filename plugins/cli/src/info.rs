//! `baler info`: what a file holds, and what it came to.

use crate::args::ThreadArgs;
use crate::auction;
use crate::compress::{Tally, bound_json};
use crate::failure::{Failure, Result};
use crate::format::baler::{Event, visit};
use crate::format::{Array, Format, Source, file_bytes, open};
use crate::models::Models;
use crate::outcome::{Outcome, Sizes, bytes};
use crate::progress::Progress;
use baler_codec::Description;
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Shows what a file holds: sizes, bound, candidates, models, hash of the values
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler info field.baler\n  \
    baler info field.baler -v --against field.npy     # what each candidate would have cost\n  \
    baler info run.h5 --json\n  \
    baler info flow.bundle             # a model: sizes, manifest, figures of its training\n\n\
    The hash is SHA-256 of the decoded values in C order and the byte order of the array (HDF5: little-endian): equal \
    on every machine.")]
pub struct InfoArgs {
    /// .baler, .h5, .nc, .npy, .npz, .csv, .parquet or .bundle
    file: PathBuf,
    /// Chunk by chunk and part by part: what it is stored as
    #[arg(long, short)]
    verbose: bool,
    /// The file it was made of: with -v also what each candidate alone would take
    #[arg(long, value_name = "ORIGINAL", requires = "verbose")]
    against: Option<PathBuf>,
    #[command(flatten)]
    threads: ThreadArgs,
}

struct Entry {
    array: Array,
    tally: Tally,
    hash: Sha256,
    chunks: Vec<Description>,
}

impl InfoArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        if crate::models::is_bundle(&self.file) {
            return crate::models::info(&self.file);
        }
        let format = Format::of_file(&self.file)?;
        let total_bytes = file_bytes(&self.file)?;
        let mut entries: Vec<Entry> = Vec::new();
        let (mut models, mut blobs) = (Vec::new(), Vec::new());
        let mut progress = Progress::new("reading", 0, quiet);
        let reach = Models::standard();
        visit(&self.file, &reach, self.threads.n_threads(), &mut |event| {
            match event {
                Event::Array(array) => {
                    progress.grow(array.value_bytes());
                    entries.push(Entry {
                        array: array.clone(),
                        tally: Tally::default(),
                        hash: Sha256::new(),
                        chunks: Vec::new(),
                    });
                }
                Event::Chunk { description, stored_bytes } => {
                    if let Some(entry) = entries.last_mut() {
                        entry.tally.add_description(description.as_ref(), stored_bytes);
                        entry.chunks.extend(description.filter(|_| self.verbose));
                    }
                }
                Event::Values(values) => {
                    if let Some(entry) = entries.last_mut() {
                        progress.add(values.len() as u64);
                        entry.hash.update(values);
                    }
                }
                Event::Model { id, stored_bytes } => models.push((id, stored_bytes)),
                Event::Blob { name, bytes } => blobs.push((name.to_owned(), bytes.len() as u64)),
            }
            Ok(())
        })?;
        let value_bytes: u64 = entries.iter().map(|e| e.array.value_bytes()).sum();
        let embedded: u64 = entries.iter().map(|e| e.tally.embedded_bytes).sum();
        let model_bytes = models.iter().map(|m| m.1).sum::<u64>() + embedded;
        let used: BTreeSet<&String> = entries.iter().flat_map(|e| &e.tally.models).collect();
        let decoder_bytes = reach.decoder_bytes(used);
        let sizes = Sizes { value_bytes, stored_bytes: total_bytes, model_bytes, decoder_bytes };
        let mut text = format!("{}: {}, {}", self.file.display(), format_name(format), sizes.text());
        let mut arrays = Vec::new();
        let original = self.against.as_deref().map(open).transpose()?;
        for Entry { array, tally, hash, chunks } in entries {
            let hash = hex(&hash.finalize());
            text += &format!("\n  {}: {}", array.shown_name(), array.describe());
            if let Some(promise) = array.promise {
                let per_column = if promise.per_column { " per column" } else { "" };
                text += &format!("\n    bound   {}{per_column}\n    stored  {}", promise.bound, tally.text());
                for model in &tally.models {
                    text += &format!("\n    model   {model}");
                }
            }
            text += &format!("\n    sha256  {hash}");
            let mut json = tally.report(&array);
            if self.verbose {
                let auctions = auctions(&array, &chunks, original.as_deref(), &reach)?;
                for (i, (chunk, parts)) in chunks.iter().zip(&auctions).enumerate() {
                    text += &format!("\n    chunk {i}: {} -> {} B", chunk.header.len_bytes(), chunk.len_bytes);
                    parts.iter().for_each(|line| text += &format!("\n      {line}"));
                }
                json["auctions"] = json!(auctions);
            }
            json["sha256"] = hash.into();
            json["bound"] = array.promise.map_or(Value::Null, |p| bound_json(p.bound, p.per_column));
            arrays.push(json);
        }
        for (id, stored) in &models {
            text += &format!("\n  model {id}: {}", bytes(*stored));
        }
        for (name, n) in &blobs {
            text += &format!("\n  {name}: {} kept as they are", bytes(*n));
        }
        let mut json = json!({
            "file": self.file.display().to_string(),
            "format": format_name(format),
            "arrays": arrays,
            "models": models.iter().map(|(id, n)| json!({ "id": id, "stored_bytes": n })).collect::<Vec<_>>(),
            "members": blobs.iter().map(|(name, n)| json!({ "name": name, "bytes": n })).collect::<Vec<_>>(),
        });
        sizes.put(&mut json);
        Ok(Outcome::new(text, json))
    }
}

/// The lines of each chunk; with costs where the original is there.
fn auctions(
    array: &Array,
    chunks: &[Description],
    original: Option<&dyn Source>,
    models: &Models,
) -> Result<Vec<Vec<String>>> {
    let mut costs = vec![Vec::new(); chunks.len()];
    if let Some(source) = original {
        let named = source.arrays().iter().position(|a| a.shown_name() == array.shown_name());
        let i = named.ok_or_else(|| Failure::usage(format!("the original has no array {:?}", array.shown_name())))?;
        costs = auction::costs(chunks, array, source, i, models)?;
    }
    Ok(chunks.iter().zip(&costs).map(|(chunk, costs)| auction::lines(chunk, costs)).collect())
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Baler => "baler",
        Format::Npy => "npy",
        Format::Npz => "npz",
        Format::Hdf5 => "hdf5",
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
