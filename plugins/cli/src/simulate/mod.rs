//! `baler simulate`: data that anybody can make again. One file for each kind.

mod cells;
mod cylinder;
#[cfg(feature = "parquet")]
mod events;
mod jets;
mod moessbauer;

use crate::failure::{Failure, Result};
use crate::format::{Array, Format, Sink, npy, npz};
use crate::outcome::{Outcome, bytes};
use baler_codec::{ByteOrder, Dtype};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::Path;

/// Computes data to try things with: a flow, camera frames, tables
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler simulate cylinder -o flow.npy --frames 60\n  \
    baler simulate moessbauer -o frames.npy --spots spots.npz\n  \
    baler simulate jets -o jets.npz --rows 100000\n  \
    baler simulate events -o events.parquet --rows 1000000")]
pub struct SimulateArgs {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    Cylinder(cylinder::CylinderArgs),
    Moessbauer(moessbauer::MoessbauerArgs),
    Jets(jets::JetsArgs),
    Cells(cells::CellsArgs),
    #[cfg(feature = "parquet")]
    Events(events::EventsArgs),
}

impl SimulateArgs {
    pub fn run(&self) -> Result<Outcome> {
        match &self.kind {
            Kind::Cylinder(args) => args.run(),
            Kind::Moessbauer(args) => args.run(),
            Kind::Jets(args) => args.run(),
            Kind::Cells(args) => args.run(),
            #[cfg(feature = "parquet")]
            Kind::Events(args) => args.run(),
        }
    }
}

/// Writes one array of little-endian `values`, in the format that the file's name says. `names` are those of a table's
/// columns: the member `names` of a `.npz`, as Baler has it; other formats have no place for them.
pub fn write(
    path: &Path,
    force: bool,
    dtype: Dtype,
    shape: &[usize],
    values: &[u8],
    names: &[&str],
) -> Result<Outcome> {
    let mut sink: Box<dyn Sink> = match Format::of_name(path)? {
        Format::Npy => Box::new(npy::NpySink::create(path, force)?),
        Format::Npz => Box::new(npz::NpzSink::create(path, force)?),
        #[cfg(feature = "hdf5")]
        Format::Hdf5 => {
            use crate::format::hdf5::{Hdf5Sink, Layout};
            Box::new(Hdf5Sink::create(path, force, Layout::Contiguous)?)
        }
        _ => return Err(Failure::usage("the output is a plain array: .npy, .npz or .h5")),
    };
    let array = Array {
        name: String::new(),
        dtype,
        byte_order: ByteOrder::Little,
        shape: shape.iter().map(|&n| n as u64).collect(),
        reversed_axes: false,
        fill: None,
        promise: None,
    };
    sink.array(&array)?;
    sink.values(values)?;
    if !names.is_empty() && Format::of_name(path)? == Format::Npz {
        sink.blob("names", &npy::text_array(names))?;
    }
    sink.finish()?;
    let text = format!("{}: {}, {}", path.display(), array.describe(), bytes(array.value_bytes()));
    let json = json!({
        "output": path.display().to_string(),
        "shape": array.shape,
        "dtype": array.dtype.name(),
        "value_bytes": array.value_bytes(),
    });
    Ok(Outcome::new(text, json))
}
