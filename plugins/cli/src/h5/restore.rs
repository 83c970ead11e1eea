//! `baler h5 restore`: a file without our filter, for readers that have no plugin.

use super::fill::Filling;
use super::tool;
use crate::args::{FileArgs, ThreadArgs};
use crate::failure::{Failure, Result};
use crate::format::hdf5::{Hdf5Source, remove_models};
use crate::format::{Source, file_bytes};
use crate::models::Models;
use crate::outcome::{Outcome, bytes, count};
use crate::output::Output;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Decompresses the datasets of an HDF5 file, keeping everything else in it
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  baler h5 restore small.h5 plain.h5")]
pub struct RestoreArgs {
    /// HDF5 or netCDF-4 file
    input: PathBuf,
    /// Where to write
    output: PathBuf,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    files: FileArgs,
}

impl RestoreArgs {
    /// As `baler decompress` asks for it.
    pub fn new(input: &Path, output: &Path, threads: ThreadArgs, files: &FileArgs) -> Self {
        Self { input: input.to_owned(), output: output.to_owned(), threads, files: files.clone() }
    }

    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        let source = Hdf5Source::open(&self.input)?;
        self.files.check_names(source.arrays())?;
        let mut names = Vec::new();
        let mut all = true;
        for (i, array) in source.arrays().iter().enumerate() {
            if source.filters(i)?.contains(&baler_hdf5::FILTER_ID) {
                if self.files.wants(array) {
                    names.push(array.name.clone());
                } else {
                    all = false;
                }
            }
        }
        if names.is_empty() {
            return Err(Failure::usage(format!("{}: no dataset went through our filter", self.input.display())));
        }
        let arguments: Vec<String> = names.iter().flat_map(|name| ["-f".to_owned(), format!("/{name}:NONE")]).collect();
        let (output, placeholder) = Output::create(&self.output, self.files.force)?;
        drop((placeholder, source));
        let (models, threads) = (Models::standard(), self.threads.n_threads());
        let filling = Filling { input: &self.input, output: output.path(), models: &models, threads, quiet };
        let asked = |name: &str| names.iter().any(|n| n == name);
        let follow = filling.leaves_out(&asked)?;
        tool::h5repack(&arguments, &self.input, output.path(), None, follow.as_deref())?;
        if follow.is_some() {
            filling.run(&asked)?;
        }
        if all {
            remove_models(output.path())?;
        }
        let restored = Hdf5Source::open(output.path())?;
        for (i, array) in restored.arrays().iter().enumerate() {
            if names.contains(&array.name) && restored.filters(i)?.contains(&baler_hdf5::FILTER_ID) {
                return Err(Failure::runtime(format!("h5repack left dataset {:?} as it was", array.name)));
            }
        }
        drop(restored);
        output.commit()?;
        let n_bytes = file_bytes(&self.output)?;
        let text = format!(
            "{}: {}, {} restored ({})",
            self.output.display(),
            bytes(n_bytes),
            count(names.len() as u64, "dataset"),
            names.join(", ")
        );
        let json = json!({
            "input": self.input.display().to_string(),
            "output": self.output.display().to_string(),
            "arrays": names,
            "output_bytes": n_bytes,
        });
        Ok(Outcome::new(text, json))
    }
}
