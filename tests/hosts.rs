//! Trials of the programs that Baler plugs into: the real tools, run as their users run them.
//!
//! A trial whose program is not installed is reported as ignored, with what it needs in its name.
//!
//! The HDF5 trials need h5repack and friends (package hdf5-tools), a C compiler and libhdf5's headers (libhdf5-dev),
//! nccopy (netcdf-bin), and a Python with numpy and h5py: `BALER_PYTHON`, or `.venv/bin/python` in the checkout. Those of the
//! report need chromium and the program `baler`, those of the reference decoder the packages that it names, those of Python
//! the wheel (`plugins/python/build dev`), those of ROOT that and the packages root and uproot, those of Parquet the program
//! and a Python with pyarrow, duckdb, polars and deltalake, those of the engines the wheel, a Python with these, pandas, dask,
//! distributed and pyspark, and Java.

#[path = "hosts/bench.rs"]
mod bench;
#[path = "hosts/devices/mod.rs"]
mod devices;
#[path = "hosts/engines/mod.rs"]
mod engines;
#[path = "hosts/fpga/mod.rs"]
mod fpga;
#[path = "hosts/hdf5/mod.rs"]
mod hdf5;
#[path = "hosts/network.rs"]
mod network;
#[path = "hosts/parquet/mod.rs"]
mod parquet;
#[path = "hosts/python/mod.rs"]
mod python;
#[path = "hosts/reference.rs"]
mod reference;
#[path = "hosts/report.rs"]
mod report;
#[path = "hosts/root.rs"]
mod root;

use bench::Bench;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::sync::Arc;

/// The trials of one host.
type Trials = fn(&Arc<Bench>) -> Vec<Trial>;

/// One line per host.
const HOSTS: &[Trials] = &[
    devices::trials,
    engines::trials,
    fpga::trials,
    hdf5::trials,
    network::trials,
    parquet::trials,
    python::trials,
    reference::trials,
    report::trials,
    root::trials,
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // The one trial that a runner asks for which gives each a process of its own.
    let only = arguments.filter.clone().filter(|_| arguments.exact);
    let bench = match Bench::new(only) {
        Ok(bench) => Arc::new(bench),
        Err(message) => {
            eprintln!("hosts: {message}");
            return ExitCode::FAILURE;
        }
    };
    libtest_mimic::run(&arguments, HOSTS.iter().flat_map(|trials| trials(&bench)).collect()).exit_code()
}
