//! Runs the real program, as a user would: files in, files and exit codes out.

mod bench;
mod errors;
#[cfg(feature = "hdf5")]
mod hdf5;
mod models;
#[cfg(feature = "train")]
mod outliers;
#[cfg(feature = "parquet")]
mod parquet;
mod project;
mod report;
mod round_trip;
mod support;
mod tables;
#[cfg(feature = "train")]
mod train;
