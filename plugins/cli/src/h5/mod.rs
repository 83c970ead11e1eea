//! `baler h5`: HDF5 files through our filter. The system's own h5repack copies what is in a file; the chunks of our filter are
//! put there by this program, on all processors.

pub mod args;
mod fill;
mod left_out;
pub mod repack;
pub mod restore;
mod tool;

pub use tool::plugin_folder;

use crate::args::EncodeArgs;
use crate::failure::{Failure, Result};
use crate::models::Models;
use crate::outcome::Outcome;
use baler_codec::{Bound, ModelChoice};
use baler_hdf5::cd_values::Request;
use clap::{Args, Subcommand};

/// HDF5 and netCDF-4 files through our filter
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    h5repack -f \"$(baler h5 args --rel 1e-3)\" in.h5 out.h5     # with HDF5_PLUGIN_PATH set to the plugin's folder\n  \
    baler h5 repack in.h5 out.h5 --rel 1e-3                    # the same in one go, and checked\n  \
    baler h5 restore out.h5 plain.h5")]
pub struct H5Args {
    #[command(subcommand)]
    command: H5Command,
}

#[derive(Debug, Subcommand)]
enum H5Command {
    Args(args::ArgsArgs),
    Repack(repack::RepackArgs),
    Restore(restore::RestoreArgs),
}

impl H5Args {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        match &self.command {
            H5Command::Args(args) => args.run(),
            H5Command::Repack(args) => args.run(quiet),
            H5Command::Restore(args) => args.run(quiet),
        }
    }
}

/// The filter's parameters for flags and a bound.
pub fn request(encode: &EncodeArgs, bound: Bound) -> Result<Request> {
    let (_, model) = Models::choose(&encode.model)?;
    if bound == Bound::Latent && !matches!(model, ModelChoice::Bundle(_)) {
        return Err(Failure::usage("--latent stores the latents of a model: name one with --model"));
    }
    Ok(Request {
        per_column: encode.columns,
        check_decode: encode.check,
        model,
        effort: encode.effort.into(),
        ..Request::new(bound)
    })
}
