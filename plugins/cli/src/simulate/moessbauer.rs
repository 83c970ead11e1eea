//! `baler simulate moessbauer`.

use super::write;
use crate::failure::Result;
use crate::outcome::Outcome;
use crate::output::refuse_overwrite;
use baler_codec::Dtype;
use baler_models::simulate::{Camera, SPOT_COLUMNS, moessbauer};
use clap::Args;
use std::path::PathBuf;

/// Frames of a camera with few bright spots on a noisy background: frames x ny x nx of uint16
#[derive(Args, Debug)]
pub struct MoessbauerArgs {
    /// .npy, .npz or .h5
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Also write the true spots, a table of float32 with the columns frame, y, x, electrons: .npz, .npy or .h5
    #[arg(long, value_name = "FILE")]
    spots: Option<PathBuf>,
    /// Frames to take
    #[arg(long, default_value_t = Camera::default().frames)]
    frames: usize,
    /// Rows of a frame
    #[arg(long, default_value_t = Camera::default().ny)]
    ny: usize,
    /// Columns of a frame
    #[arg(long, default_value_t = Camera::default().nx)]
    nx: usize,
    /// Mean number of spots in a frame
    #[arg(long, value_name = "N", default_value_t = Camera::default().spots)]
    spots_per_frame: f32,
    /// Electrons a pixel of the background in the middle of the frame
    #[arg(long, value_name = "N", default_value_t = Camera::default().background)]
    background: f32,
    /// Standard deviation of the read-out noise, in electrons
    #[arg(long, value_name = "N", default_value_t = Camera::default().read_noise)]
    read_noise: f32,
    /// Seed of everything random
    #[arg(long, default_value_t = Camera::default().seed)]
    seed: u64,
    /// Replace the outputs if they are there
    #[arg(long, short)]
    force: bool,
}

impl MoessbauerArgs {
    pub fn run(&self) -> Result<Outcome> {
        for path in [Some(&self.output), self.spots.as_ref()].into_iter().flatten() {
            refuse_overwrite(path, self.force)?;
        }
        let camera = Camera {
            frames: self.frames,
            ny: self.ny,
            nx: self.nx,
            spots: self.spots_per_frame,
            background: self.background,
            read_noise: self.read_noise,
            seed: self.seed,
            ..Camera::default()
        };
        let exposure = moessbauer(&camera)?;
        let values: Vec<u8> = exposure.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let shape = [camera.frames, camera.ny, camera.nx];
        let mut outcome = write(&self.output, self.force, Dtype::U16, &shape, &values, &[])?;
        if let Some(path) = &self.spots {
            let rows = exposure.spots.iter().map(|s| [s.frame as f32, s.y, s.x, s.electrons]);
            let table: Vec<u8> = rows.flatten().flat_map(f32::to_le_bytes).collect();
            let shape = [exposure.spots.len(), SPOT_COLUMNS.len()];
            let spots = write(path, self.force, Dtype::F32, &shape, &table, &SPOT_COLUMNS)?;
            outcome.text = format!("{}\n{}", outcome.text, spots.text);
            outcome.json["spots"] = spots.json;
        }
        Ok(outcome)
    }
}
