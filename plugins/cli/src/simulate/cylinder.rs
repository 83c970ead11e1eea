//! `baler simulate cylinder`.

use super::write;
use crate::failure::Result;
use crate::outcome::Outcome;
use crate::output::refuse_overwrite;
use baler_codec::Dtype;
use baler_models::simulate::{Cylinder, Quantity, cylinder};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The vortex street behind a cylinder, by the lattice-Boltzmann method: frames x ny x nx of float32
#[derive(Args, Debug)]
pub struct CylinderArgs {
    /// .npy, .npz or .h5
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Frames to keep
    #[arg(long, default_value_t = Cylinder::default().frames)]
    frames: usize,
    /// Cells along the flow
    #[arg(long, default_value_t = Cylinder::default().nx)]
    nx: usize,
    /// Cells across the flow
    #[arg(long, default_value_t = Cylinder::default().ny)]
    ny: usize,
    /// Time steps from one frame to the next
    #[arg(long, default_value_t = Cylinder::default().steps_between)]
    steps_between: usize,
    /// Reynolds number of the cylinder's diameter
    #[arg(long, default_value_t = Cylinder::default().reynolds)]
    reynolds: f64,
    /// What the frames show
    #[arg(long, value_enum, default_value_t = Shown::Speed)]
    quantity: Shown,
    /// Seed of the disturbance that starts the shedding
    #[arg(long, default_value_t = Cylinder::default().seed)]
    seed: u64,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shown {
    Speed,
    Vorticity,
    VelocityX,
    VelocityY,
    Pressure,
}

impl From<Shown> for Quantity {
    fn from(shown: Shown) -> Self {
        match shown {
            Shown::Speed => Quantity::Speed,
            Shown::Vorticity => Quantity::Vorticity,
            Shown::VelocityX => Quantity::VelocityX,
            Shown::VelocityY => Quantity::VelocityY,
            Shown::Pressure => Quantity::Pressure,
        }
    }
}

impl CylinderArgs {
    pub fn run(&self) -> Result<Outcome> {
        refuse_overwrite(&self.output, self.force)?;
        let setup = Cylinder {
            nx: self.nx,
            ny: self.ny,
            frames: self.frames,
            steps_between: self.steps_between,
            reynolds: self.reynolds,
            seed: self.seed,
            quantity: self.quantity.into(),
            ..Cylinder::default()
        };
        let values: Vec<u8> = cylinder(&setup)?.iter().flat_map(|v| v.to_le_bytes()).collect();
        write(&self.output, self.force, Dtype::F32, &[setup.frames, setup.ny, setup.nx], &values, &[])
    }
}
