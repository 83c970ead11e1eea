//! `baler simulate cells`.

use super::write;
use crate::failure::Result;
use crate::outcome::Outcome;
use crate::output::refuse_overwrite;
use baler_codec::Dtype;
use baler_models::simulate::{CELLS, cells};
use clap::Args;
use std::path::PathBuf;

/// Trigger cells of calorimeter modules, each row divided by its sum: rows x 48 of float32
#[derive(Args, Debug)]
pub struct CellsArgs {
    /// .npz, .npy or .h5
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Modules
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    rows: u32,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
}

impl CellsArgs {
    pub fn run(&self) -> Result<Outcome> {
        refuse_overwrite(&self.output, self.force)?;
        let rows = self.rows as usize;
        let values: Vec<u8> = cells(rows, self.seed).iter().flat_map(|v| v.to_le_bytes()).collect();
        write(&self.output, self.force, Dtype::F32, &[rows, CELLS], &values, &[])
    }
}
