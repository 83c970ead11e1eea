//! Pretrained bundles: the zoo built into the library, folders of bundles, and where new ones come from.
//!
//! | module | what |
//! |---|---|
//! | [`zoo`] | built-in bundles, folders of `*.bundle` files, the user's folder |
//! | [`import()`] | an ONNX pair made elsewhere becomes a bundle, or an error that says what is wrong with it |
//! | [`fingerprint`] | hashes of training rows, so that no benchmark measures a model on them |
//! | [`onnx`] | writes the ONNX files of the bundles made here |
//! | [`quantiles`] | of training data, in the manifest: how other data are seen to drift from them |
//! | [`simulate`] | flows, random fields, camera frames, tables: training data that anybody can make again |
//! | [`energy`] | joules of a piece of work, from the processor's counters or an estimate that says so |
//! | `train` | trains bundles (cargo feature `train`) |
//! | `report` | figures, tables and the HTML page of a compression (cargo feature `report`) |
//!
//! **Architecture invariant:** nothing outside the feature `train` pulls a machine-learning framework into the build:
//! plugins that only read and write data link this crate.

pub mod energy;
pub mod fingerprint;
pub mod import;
pub mod onnx;
pub mod quantiles;
pub mod relations;
#[cfg(feature = "report")]
pub mod report;
pub mod simulate;
mod steps;
mod tiling;
#[cfg(feature = "train")]
pub mod train;
pub mod zoo;

pub use import::import;
pub use zoo::{builtin, directory, install, standard_sources, user_dir};
