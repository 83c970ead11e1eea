//! `baler train`: a bundle of one's own.

use crate::failure::{Failure, Result};
use crate::report::Report;
use clap::Args;
use std::path::PathBuf;

/// Trains a model on data (needs a build with the feature `train`)
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  baler train runs.npy -o flow.bundle && baler models add flow.bundle")]
pub struct TrainArgs {
    /// .npy, .npz, .h5 or .nc
    data: PathBuf,
    /// Where to write the bundle
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

impl TrainArgs {
    pub fn run(&self) -> Result<Report> {
        Err(Failure::runtime(format!(
            "cannot train on {} into {}: this baler was built without training, which needs a machine-learning \
             framework; build it with `cargo build --release -p baler-cli --features train`",
            self.data.display(),
            self.output.display()
        )))
    }
}
