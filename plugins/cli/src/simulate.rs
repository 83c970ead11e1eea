//! `baler simulate`: fields that anybody can make again.

use crate::failure::{Failure, Result};
use crate::format::{Array, Format, Sink, npy, npz};
use crate::outcome::{Outcome, bytes};
use crate::output::refuse_overwrite;
use baler_codec::{ByteOrder, Dtype};
use baler_models::simulate::{Cylinder, Quantity, cylinder};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::path::PathBuf;

/// Computes a flow field to try things with
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  baler simulate cylinder -o flow.npy --frames 60")]
pub struct SimulateArgs {
    #[command(subcommand)]
    flow: Flow,
}

#[derive(Debug, Subcommand)]
enum Flow {
    /// The vortex street behind a cylinder, by the lattice-Boltzmann method: frames x ny x nx of float32
    Cylinder(CylinderArgs),
}

#[derive(Args, Debug)]
struct CylinderArgs {
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

impl SimulateArgs {
    pub fn run(&self) -> Result<Outcome> {
        let Flow::Cylinder(args) = &self.flow;
        refuse_overwrite(&args.output, args.force)?;
        let setup = Cylinder {
            nx: args.nx,
            ny: args.ny,
            frames: args.frames,
            steps_between: args.steps_between,
            reynolds: args.reynolds,
            seed: args.seed,
            quantity: args.quantity.into(),
            ..Cylinder::default()
        };
        let mut sink: Box<dyn Sink> = match Format::of_name(&args.output)? {
            Format::Npy => Box::new(npy::NpySink::create(&args.output, args.force)?),
            Format::Npz => Box::new(npz::NpzSink::create(&args.output, args.force)?),
            #[cfg(feature = "hdf5")]
            Format::Hdf5 => {
                use crate::format::hdf5::{Hdf5Sink, Layout};
                Box::new(Hdf5Sink::create(&args.output, args.force, Layout::Contiguous)?)
            }
            _ => return Err(Failure::usage("the output is a plain array: .npy, .npz or .h5")),
        };
        let values: Vec<u8> = cylinder(&setup)?.iter().flat_map(|v| v.to_le_bytes()).collect();
        let array = Array {
            name: String::new(),
            dtype: Dtype::F32,
            byte_order: ByteOrder::Little,
            shape: [setup.frames, setup.ny, setup.nx].map(|n| n as u64).to_vec(),
            reversed_axes: false,
            fill: None,
            promise: None,
        };
        sink.array(&array)?;
        sink.values(&values)?;
        sink.finish()?;
        let text = format!("{}: {}, {}", args.output.display(), array.describe(), bytes(array.value_bytes()));
        let json = json!({
            "output": args.output.display().to_string(),
            "shape": array.shape,
            "dtype": array.dtype.name(),
            "value_bytes": array.value_bytes(),
        });
        Ok(Outcome::new(text, json))
    }
}
