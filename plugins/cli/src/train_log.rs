//! `X.train.json`, the log that `baler train` leaves beside the bundle `X.bundle`.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// The schema's name; others are not read.
pub const SCHEMA: &str = "baler-train-1";

/// Where the log of a bundle is.
pub fn path_of(bundle: &Path) -> PathBuf {
    bundle.with_extension("train.json")
}

/// The log of a bundle, if it is there and of that bundle.
pub fn of_bundle(bundle: &Path, id: &str) -> Option<Value> {
    let log: Value = serde_json::from_slice(&std::fs::read(path_of(bundle)).ok()?).ok()?;
    (log["schema"] == SCHEMA && log["bundle_id"] == id).then_some(log)
}
