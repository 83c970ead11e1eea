//! `baler h5 repack`: h5repack with our filter, a bound that is meant of whole datasets, and a check of the outcome.

use super::fill::Filling;
use super::{request, tool};
use crate::args::{DeviceArgs, EncodeArgs, FileArgs, ThreadArgs};
use crate::compress::{Tally, bound_json, decoders, resolve_bound_for_hdf5, span_of};
use crate::failure::{Failure, InFile, Result};
use crate::format::hdf5::{Hdf5Source, chunk_shape};
use crate::format::{Array, Format, Promise, Source, file_bytes};
use crate::models::{Models, extents};
use crate::outcome::{Outcome, Sizes, bytes, number};
use crate::output::Output;
use crate::verify::Comparison;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Chunks below this are worth a word: headers and statistics are paid for each.
const SMALL_CHUNK_BYTES: u64 = 32 << 10;

/// Compresses the datasets of an HDF5 file, keeping everything else in it
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler h5 repack in.h5 out.h5 --rel 1e-3\n  \
    baler h5 repack in.nc out.nc --abs 0.01 --array temperature\n  \
    baler h5 repack in.h5 out.h5 --lossless --chunk 1x512x512\n\n\
    The system's h5repack copies groups, attributes and types that are no numbers; the chunks are encoded on all processors, \
    and are those that the filter makes. Then the result is reopened and the bound checked. Relative bounds are of each \
    dataset.")]
pub struct RepackArgs {
    /// HDF5 or netCDF-4 file
    input: PathBuf,
    /// Where to write
    output: PathBuf,
    #[command(flatten)]
    encode: EncodeArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Extents of a chunk; by default those of the dataset, or a few MiB along its first axis
    #[arg(long, value_name = "NxN")]
    chunk: Option<String>,
    /// Skip the comparison with the input at the end
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    files: FileArgs,
}

impl RepackArgs {
    /// As `baler compress` asks for it.
    pub fn new(input: &Path, output: &Path, encode: &EncodeArgs, threads: ThreadArgs, files: &FileArgs) -> Self {
        Self {
            input: input.to_owned(),
            output: output.to_owned(),
            encode: encode.clone(),
            device: DeviceArgs::default(),
            chunk: None,
            no_verify: false,
            threads,
            files: files.clone(),
        }
    }

    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        if Format::of_file(&self.input)? != Format::Hdf5 {
            return Err(Failure::usage(format!(
                "{} is no HDF5 file: `baler compress` takes .npy and .npz",
                self.input.display()
            )));
        }
        self.device.apply()?;
        let bound = self.encode.bound.bound()?;
        let chunk = self.chunk.as_deref().map(extents).transpose()?;
        let (models, _) = Models::choose(&self.encode.model)?;
        let source = Hdf5Source::open(&self.input)?;
        self.files.check_names(source.arrays())?;
        let mut arguments = Vec::new();
        let mut wanted: Vec<Array> = Vec::new();
        for (i, array) in source.arrays().iter().enumerate() {
            if !self.files.wants(array) || array.shape.is_empty() || array.value_bytes() == 0 {
                continue;
            }
            // h5repack separates names with commas and ends them with a colon.
            if array.name.contains([',', ':']) {
                return Err(Failure::usage(format!(
                    "dataset {:?}: h5repack takes no comma or colon in a name",
                    array.name
                )));
            }
            let span = span_of(&source, i, array, bound, self.encode.columns)?;
            let request = request(&self.encode, resolve_bound_for_hdf5(bound, self.encode.columns, &span))?;
            arguments.extend(["-f".into(), format!("/{}:{}", array.name, request.ud_argument(true)?)]);
            let layout = match (&chunk, source.chunk_shape(i)?) {
                (Some(asked), _) => Some(fit_chunk(asked, array)?),
                (None, Some(_)) => None,
                (None, None) => Some(chunk_shape(array)),
            };
            if let Some(layout) = layout {
                let layout: Vec<String> = layout.iter().map(usize::to_string).collect();
                arguments.extend(["-l".into(), format!("/{}:CHUNK={}", array.name, layout.join("x"))]);
            }
            wanted.push(array.clone());
        }
        if wanted.is_empty() {
            return Err(Failure::usage(format!("{}: no datasets of numbers to compress", self.input.display())));
        }
        let (output, placeholder) = Output::create(&self.output, self.files.force)?;
        drop(placeholder);
        drop(source);
        let threads = self.threads.n_threads();
        let filling = Filling { input: &self.input, output: output.path(), models: &models, threads, quiet };
        let asked = |name: &str| wanted.iter().any(|array| array.name == name);
        let follow = filling.leaves_out(&asked)?;
        tool::h5repack(&arguments, &self.input, output.path(), models.folder.as_deref(), follow.as_deref())?;
        if follow.is_some() {
            filling.run(&asked)?;
        }
        let (results, model_bytes) = inspect(output.path(), &wanted)?;
        let checks = if self.no_verify || bound == baler_codec::Bound::Latent {
            Vec::new()
        } else {
            let promise = Promise { bound, per_column: self.encode.columns };
            let names = FileArgs { force: false, arrays: wanted.iter().map(|a| a.name.clone()).collect() };
            Comparison {
                original: &self.input,
                compressed: output.path(),
                files: &names,
                models: &Models::standard(),
                fill: None,
                threads,
                quiet,
            }
            .run(&|_| Some(promise), None)?
        };
        if checks.iter().any(|c| c.verdict.n_broken > 0) {
            // Nothing that broke its promise is given a name.
            return Ok(crate::verify::report(&self.input, &self.output, &checks));
        }
        output.commit()?;
        self.report(bound, &models, &results, model_bytes, &checks)
    }

    fn report(
        &self,
        bound: baler_codec::Bound,
        models: &Models,
        results: &[(Array, Tally)],
        model_bytes: u64,
        checks: &[crate::verify::ArrayCheck],
    ) -> Result<Outcome> {
        let embedded: u64 = results.iter().map(|(_, t)| t.embedded_bytes).sum();
        // Chunks and models only: what else is in the file is no matter of ours.
        let sizes = Sizes {
            value_bytes: results.iter().map(|(a, _)| a.value_bytes()).sum(),
            stored_bytes: results.iter().map(|(_, t)| t.stored_bytes).sum::<u64>() + model_bytes,
            model_bytes: model_bytes + embedded,
            decoder_bytes: decoders(models, results),
        };
        let worst = checks.iter().map(|c| c.verdict.max_error_over_bound).fold(0.0, f64::max);
        let mut text = format!("{}: {} at {bound}", self.output.display(), sizes.text());
        for (array, tally) in results {
            text += &format!("\n  {}: {}", array.name, tally.text());
        }
        for (array, tally) in results {
            let chunk_bytes = array.value_bytes() / tally.n_chunks.max(1);
            if tally.n_chunks > 1 && chunk_bytes < SMALL_CHUNK_BYTES {
                let better: Vec<String> = chunk_shape(array).iter().map(usize::to_string).collect();
                text += &format!(
                    "\nhint: the chunks of {} hold {} each; --chunk {} would give the encoder more to find",
                    array.name,
                    bytes(chunk_bytes),
                    better.join("x")
                );
            }
        }
        if !checks.is_empty() {
            text += &format!("\nthe bound is kept: largest error {worst:.6} of it");
        }
        let mut json = json!({
            "input": self.input.display().to_string(),
            "output": self.output.display().to_string(),
            "bound": bound_json(bound, self.encode.columns),
            "output_bytes": file_bytes(&self.output)?,
            "verified": !checks.is_empty(),
            "max_error_over_bound": number(worst),
            "arrays": results.iter().map(|(a, t)| t.report(a)).collect::<Vec<_>>(),
        });
        sizes.put(&mut json);
        Ok(Outcome::new(text, json))
    }
}

/// Whether every dataset went through our filter, and what came of it; bytes of the models in the file.
fn inspect(path: &Path, wanted: &[Array]) -> Result<(Vec<(Array, Tally)>, u64)> {
    let source = Hdf5Source::open(path)?;
    let mut results = Vec::new();
    for array in wanted {
        let i = source.arrays().iter().position(|a| a.name == array.name);
        let i = i.ok_or_else(|| Failure::runtime(format!("h5repack left out dataset {:?}", array.name)))?;
        if !source.filters(i)?.contains(&baler_hdf5::FILTER_ID) {
            return Err(Failure::runtime(format!(
                "h5repack wrote dataset {:?} without our filter: is HDF5 built with plugins?",
                array.name
            )));
        }
        let mut tally = Tally::default();
        source
            .visit_chunks(i, &mut |description, stored| {
                tally.add_description(description.as_ref(), stored);
                Ok(())
            })
            .in_file(path)?;
        results.push((array.clone(), tally));
    }
    Ok((results, source.models()?.iter().map(|m| m.1).sum()))
}

/// Extents that were asked for, for a dataset of this rank; none larger than the dataset.
fn fit_chunk(asked: &[usize], array: &Array) -> Result<Vec<usize>> {
    if asked.len() != array.shape.len() {
        return Err(Failure::usage(format!(
            "--chunk has {} extents: dataset {:?} has {} axes; name the datasets it is for with --array",
            asked.len(),
            array.name,
            array.shape.len()
        )));
    }
    Ok(asked.iter().zip(&array.shape).map(|(&a, &n)| a.min(n as usize)).collect())
}
