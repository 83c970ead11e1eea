//! `baler decompress` and `baler convert`: arrays into plain files.

use crate::args::{FileArgs, ThreadArgs};
use crate::failure::{Failure, Result};
use crate::format::baler::{Event, visit, visit_source};
use crate::format::{Array, Format, Sink, file_bytes, npy, npz, open_columns};
use crate::models::Models;
use crate::outcome::{Outcome, bytes, count};
use crate::output::refuse_overwrite;
use crate::progress::Progress;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Restores the arrays of a compressed file
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler decompress field.baler field.npy\n  \
    baler decompress events.baler events.npz\n  \
    baler decompress run.h5 field.npy --array flow/speed    # one dataset of an HDF5 file\n  \
    baler decompress run.h5 plain.h5                        # the same as `baler h5 restore`")]
pub struct DecompressArgs {
    /// .baler, .h5 or .nc
    input: PathBuf,
    /// .npy, .npz or .h5
    output: PathBuf,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    files: FileArgs,
}

impl DecompressArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        refuse_overwrite(&self.output, self.files.force)?;
        match (Format::of_file(&self.input)?, Format::of_name(&self.output)?) {
            #[cfg(feature = "hdf5")]
            (Format::Hdf5, Format::Hdf5) => {
                crate::h5::restore::RestoreArgs::new(&self.input, &self.output, self.threads, &self.files).run(quiet)
            }
            (Format::Baler | Format::Hdf5, _) => {
                copy(&self.input, &self.output, &self.files, "decompressing", quiet, &mut |with| {
                    visit(&self.input, &Models::standard(), self.threads.n_threads(), with)
                })
            }
            _ => Err(Failure::usage(format!(
                "{} is not compressed: `baler convert` changes between plain formats",
                self.input.display()
            ))),
        }
    }
}

/// Changes between plain formats; nothing is compressed
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler convert field.npy field.h5          # dataset `data`, for h5repack and friends\n  \
    baler convert run.nc one.npy --array temperature\n  \
    baler convert events.parquet events.npz --columns-named pt,eta,phi\n  \
    baler convert table.csv table.npy\n\n\
    Tables (.csv, Parquet) become an array rows x columns: float32 where that holds every value, else float64. Names of \
    columns go into a .npz, as its member `names`.")]
pub struct ConvertArgs {
    /// .npy, .npz, .h5, .nc, .csv or .parquet
    input: PathBuf,
    /// .npy, .npz or .h5
    output: PathBuf,
    /// Columns of a .csv or Parquet table, in this order; by default all that hold floats (.csv: numbers)
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    columns_named: Vec<String>,
    #[command(flatten)]
    files: FileArgs,
}

impl ConvertArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        refuse_overwrite(&self.output, self.files.force)?;
        match Format::of_file(&self.input)? {
            Format::Csv | Format::Parquet => {
                let source = open_columns(&self.input, &self.columns_named)?;
                // Only an archive has room for the names of columns.
                let names = Format::of_name(&self.output)? == Format::Npz;
                let left_out = source.left_out();
                let mut report = copy(&self.input, &self.output, &self.files, "converting", quiet, &mut |with| {
                    visit_source(&*source, &mut |event| match event {
                        Event::Blob { .. } if !names => Ok(()),
                        event => with(event),
                    })
                })?;
                if !left_out.is_empty() {
                    report.text += &format!("\n  left out: {}", left_out.join(", "));
                }
                report.json["left_out"] = left_out.into();
                Ok(report)
            }
            _ if !self.columns_named.is_empty() => {
                Err(Failure::usage(format!("{}: --columns-named is for .csv and Parquet", self.input.display())))
            }
            _ => copy(&self.input, &self.output, &self.files, "converting", quiet, &mut |with| {
                visit(&self.input, &Models::standard(), 1, with)
            }),
        }
    }
}

/// Hands every [`Event`] of a file to what it is given.
type Visit<'a> = &'a mut dyn FnMut(&mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()>;

/// Every array asked for, from a file of any format into a plain one.
fn copy(
    input: &Path,
    output: &Path,
    files: &FileArgs,
    what: &'static str,
    quiet: bool,
    visit: Visit<'_>,
) -> Result<Outcome> {
    let mut sink = create(output, files.force)?;
    let mut progress = Progress::new(what, 0, quiet);
    let (mut arrays, mut wanted) = (Vec::<Array>::new(), false);
    let (mut names, mut total) = (Vec::new(), 0);
    visit(&mut |event| {
        match event {
            Event::Array(array) => {
                wanted = files.wants(array);
                arrays.push(array.clone());
                if wanted {
                    names.push(array.shown_name().to_owned());
                    total += array.value_bytes();
                    progress.grow(array.value_bytes());
                    sink.array(array)?;
                }
            }
            Event::Values(block) if wanted => {
                progress.add(block.len() as u64);
                sink.values(block)?;
            }
            Event::Blob { name, bytes } if files.arrays.is_empty() => sink.blob(name, bytes)?,
            _ => {}
        }
        Ok(())
    })?;
    files.check_names(&arrays)?;
    sink.finish()?;
    let text = format!(
        "{}: {}, {} ({})",
        output.display(),
        bytes(total),
        count(names.len() as u64, "array"),
        names.join(", ")
    );
    let json = json!({
        "input": input.display().to_string(),
        "output": output.display().to_string(),
        "arrays": names,
        "value_bytes": total,
        "output_bytes": file_bytes(output)?,
    });
    Ok(Outcome::new(text, json))
}

/// A plain file of the format its name says.
fn create(path: &Path, force: bool) -> Result<Box<dyn Sink>> {
    match Format::of_name(path)? {
        Format::Npy => Ok(Box::new(npy::NpySink::create(path, force)?)),
        Format::Npz => Ok(Box::new(npz::NpzSink::create(path, force)?)),
        #[cfg(feature = "hdf5")]
        Format::Hdf5 => {
            use crate::format::hdf5::{Hdf5Sink, Layout};
            Ok(Box::new(Hdf5Sink::create(path, force, Layout::Contiguous)?))
        }
        #[cfg(not(feature = "hdf5"))]
        Format::Hdf5 => Err(crate::format::without_hdf5(path)),
        Format::Baler => Err(Failure::usage("a .baler holds compressed arrays: use `baler compress` with a bound")),
        Format::Csv | Format::Parquet => Err(Failure::usage(format!(
            "{}: tables are read from .csv and Parquet, and written as .npz, .h5 or .npy",
            path.display()
        ))),
    }
}
