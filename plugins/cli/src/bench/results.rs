//! What a run found, and the JSON it is kept in (`"schema": "baler-bench-1"`).

use crate::failure::{Failure, InFile, Result};
use baler_codec::Bound;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What every file of results begins with.
pub const SCHEMA: &str = "baler-bench-1";
/// Ours, through the codec.
pub const OURS: &str = "baler";
/// Ours, through h5py and the HDF5 filter.
pub const OURS_H5: &str = "baler-h5";

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bench {
    pub schema: String,
    pub machine: Machine,
    pub sets: Vec<SetResults>,
    /// What a reader should know: models left out, peers that could not be run.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Where and with what it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub system: String,
    pub baler: String,
    /// As `--model` said.
    pub model: String,
    pub effort: String,
    /// Versions of the peers' Python packages.
    #[serde(default)]
    pub packages: BTreeMap<String, String>,
}

/// One array, or one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetResults {
    pub name: String,
    pub shape: Vec<u64>,
    pub dtype: String,
    /// The last axis holds the columns of a table, each with a bound of its own range.
    #[serde(default)]
    pub columns: bool,
    /// First row measured and the one after the last.
    #[serde(default)]
    pub rows: [u64; 2],
    pub raw_bytes: u64,
    pub results: Vec<Measured>,
    /// Those that gave no figures.
    #[serde(default)]
    pub failed: Vec<Failed>,
    /// Ours without one candidate (`--ablate`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ablation: Vec<Ablated>,
}

/// What ours comes to without one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ablated {
    pub candidate: String,
    pub bound: BoundName,
    pub bytes: u64,
}

/// A bound, as JSON has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoundName {
    /// `rel`, `abs` or `lossless`.
    pub kind: String,
    /// 0 for lossless.
    pub value: f64,
}

impl From<Bound> for BoundName {
    fn from(bound: Bound) -> Self {
        Self { kind: bound.name().into(), value: bound.to_wire().1 }
    }
}

impl BoundName {
    /// `rel 1e-3`.
    pub fn text(&self) -> String {
        if self.kind == "lossless" { self.kind.clone() } else { format!("{} {:e}", self.kind, self.value) }
    }
}

/// Whether the model that won had seen the data it is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// No row of the data is among the fingerprints of its training data.
    No,
    /// Some row is.
    Yes,
    /// Its manifest has no fingerprint.
    Unknown,
}

/// What one codec made of one array at one bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub codec: String,
    pub bound: BoundName,
    pub bytes: u64,
    /// Bytes of the decoder that reading needs, in `bytes` or not.
    #[serde(default)]
    pub model_bytes: u64,
    /// Raw bytes over `bytes`.
    pub ratio: f64,
    /// Raw bytes over `bytes + model_bytes`.
    pub ratio_with_model: f64,
    /// MB (1e6 bytes) of raw values for each second of processor time, median.
    pub encode_mb_s: Option<f64>,
    pub decode_mb_s: Option<f64>,
    /// Largest error as a share of the bound, measured on the decoded values; none for lossless.
    pub error_over_bound: Option<f64>,
    /// Whether every value keeps the bound.
    #[serde(default = "yes")]
    pub bound_kept: bool,
    /// Whether every NaN and infinity came back; none where there are none.
    pub non_finite_kept: Option<bool>,
    /// dB; none where nothing was lost. Tables: over columns scaled to a range of 1.
    pub psnr: Option<f64>,
    /// Of ours, where a model won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Of ours: which candidates won, and how many parts each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub candidates: BTreeMap<String, u64>,
    /// Of ours: names of the models that won.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Of ours: what the auction found, part by part (`-v`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auction: Vec<String>,
}

fn yes() -> bool {
    true
}

/// A codec that gave no figures for an array and a bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    pub codec: String,
    pub bound: BoundName,
    /// `n/a` (cannot take such data), `missing` (a package is not there), `error`, `crash`, `timeout`.
    pub status: String,
    pub why: String,
}

impl Measured {
    pub fn is_ours(&self) -> bool {
        self.codec == OURS || self.codec == OURS_H5
    }

    /// Counts the model that won for `other`.
    pub fn with_model_of(&mut self, other: &Self) {
        let raw = self.ratio * self.bytes as f64;
        self.model_bytes = other.model_bytes;
        self.ratio_with_model = raw / (self.bytes + self.model_bytes) as f64;
        self.seen = other.seen;
        self.models.clone_from(&other.models);
        self.candidates.clone_from(&other.candidates);
    }

    /// Whether it kept what was asked: only then does it count as anybody's best.
    pub fn is_sound(&self) -> bool {
        self.bound_kept && self.non_finite_kept != Some(false)
    }
}

impl SetResults {
    /// The bounds in the order measured.
    pub fn bounds(&self) -> Vec<BoundName> {
        let mut bounds: Vec<BoundName> = Vec::new();
        for bound in self.results.iter().map(|r| &r.bound).chain(self.failed.iter().map(|f| &f.bound)) {
            if !bounds.contains(bound) {
                bounds.push(bound.clone());
            }
        }
        bounds
    }

    /// Ours through the codec, or else through HDF5.
    pub fn ours(&self, bound: &BoundName) -> Option<&Measured> {
        let named = |name: &str| self.results.iter().find(|r| r.codec == name && r.bound == *bound);
        named(OURS).or_else(|| named(OURS_H5))
    }

    /// The peer with the fewest bytes of those that kept the bound and every value that is no number. One that loses
    /// nothing keeps every bound.
    pub fn best_peer(&self, bound: &BoundName) -> Option<&Measured> {
        self.results
            .iter()
            .filter(|r| !r.is_ours() && r.is_sound() && (r.bound == *bound || r.bound.kind == "lossless"))
            .min_by_key(|r| r.bytes)
    }
}

/// Reads a file of results.
pub fn read(path: &Path) -> Result<Bench> {
    let text = std::fs::read_to_string(path).in_file(path)?;
    let wrong = |what: String| Failure::damaged(format!("{}: {what}", path.display()));
    let bench: Bench =
        serde_json::from_str(&text).map_err(|e| wrong(format!("no results of `baler bench -o` ({SCHEMA}): {e}")))?;
    if bench.schema != SCHEMA {
        return Err(wrong(format!("schema {:?}: this version reads {SCHEMA:?}", bench.schema)));
    }
    Ok(bench)
}
