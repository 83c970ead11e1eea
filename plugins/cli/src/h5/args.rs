//! `baler h5 args`: the argument h5repack takes.

use super::request;
use crate::args::EncodeArgs;
use crate::compress::bound_json;
use crate::failure::Result;
use crate::outcome::Outcome;
use clap::Args;
use serde_json::json;

/// Prints the argument of `h5repack -f` for a bound
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    h5repack -f \"$(baler h5 args --rel 1e-3)\" in.h5 out.h5\n  \
    h5repack -f \"temperature:$(baler h5 args --abs 0.01)\" in.nc out.nc    # one dataset\n\n\
    The filter sees chunks: a relative bound is relative to the range of each chunk. `baler h5 repack` makes it one of \
    the whole dataset.")]
pub struct ArgsArgs {
    #[command(flatten)]
    encode: EncodeArgs,
}

impl ArgsArgs {
    pub fn run(&self) -> Result<Outcome> {
        let bound = self.encode.bound.bound()?;
        let request = request(&self.encode, bound)?;
        // Mandatory: with the plugin missing, h5repack then fails instead of writing an unfiltered file.
        let ud = request.ud_argument(true)?;
        let json = json!({
            "ud": ud,
            "filter": baler_hdf5::FILTER_ID,
            "cd_values": request.to_words()?,
            "bound": bound_json(bound, self.encode.columns),
        });
        Ok(Outcome::new(ud, json))
    }
}
