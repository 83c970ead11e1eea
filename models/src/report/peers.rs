//! What `baler bench` measured of other programs.

use super::statistics::finite;
use serde::{Deserialize, Serialize};

/// Schema this reads.
const SCHEMA: &str = "baler-bench-1";

/// One program on one array.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Peer {
    /// Its name.
    pub codec: String,
    /// At each bound that was measured, largest files first.
    pub points: Vec<PeerPoint>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerPoint {
    /// `abs`, `rel`, ...
    pub bound_kind: String,
    /// Of the bound.
    pub bound: Option<f64>,
    /// raw / compressed.
    pub ratio: f64,
    /// Compressed bits for each value.
    pub bits_per_value: f64,
    /// In dB.
    pub psnr: Option<f64>,
}

/// Results of a run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Peers {
    schema: String,
    sets: Vec<Set>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Set {
    name: String,
    shape: Vec<u64>,
    dtype: String,
    raw_bytes: u64,
    results: Vec<Measurement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Measurement {
    codec: String,
    bound: BoundOf,
    bytes: u64,
    psnr: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct BoundOf {
    kind: String,
    value: Option<f64>,
}

impl Peers {
    /// Reads the results of a run.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let peers: Self = serde_json::from_str(text).map_err(|e| format!("no results of `baler bench`: {e}"))?;
        if peers.schema != SCHEMA {
            let found = &peers.schema;
            return Err(format!("no results of `baler bench`: expected \"schema\": {SCHEMA:?}, found {found:?}"));
        }
        Ok(peers)
    }

    /// What was measured on an array of this shape and element type; among several, on the one of this name.
    pub fn of(&self, name: &str, shape: &[u64], dtype: &str) -> Vec<Peer> {
        let same = |s: &&Set| s.shape == shape && s.dtype == dtype;
        let named = |s: &&Set| !s.name.is_empty() && (name.contains(&s.name) || s.name.contains(name));
        let set = self.sets.iter().filter(same).find(named).or_else(|| self.sets.iter().find(same));
        let Some(set) = set else { return Vec::new() };
        let n_values: u64 = shape.iter().product();
        let mut peers: Vec<Peer> = Vec::new();
        for m in set.results.iter().filter(|m| m.bytes > 0 && n_values > 0) {
            let point = PeerPoint {
                bound_kind: m.bound.kind.clone(),
                bound: m.bound.value,
                ratio: set.raw_bytes as f64 / m.bytes as f64,
                bits_per_value: m.bytes as f64 * 8.0 / n_values as f64,
                psnr: m.psnr.and_then(finite),
            };
            match peers.iter_mut().find(|p| p.codec == m.codec) {
                Some(peer) => peer.points.push(point),
                None => peers.push(Peer { codec: m.codec.clone(), points: vec![point] }),
            }
        }
        for peer in &mut peers {
            peer.points.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
        }
        peers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"schema":"baler-bench-1","machine":{},"sets":[
        {"name":"other","shape":[4,4],"dtype":"float32","raw_bytes":64,"results":[]},
        {"name":"field","shape":[4,4],"dtype":"float32","raw_bytes":64,"results":[
            {"codec":"sz3","bound":{"kind":"rel","value":0.01},"bytes":8,"psnr":50.5},
            {"codec":"sz3","bound":{"kind":"rel","value":0.001},"bytes":16},
            {"codec":"zfp","bound":{"kind":"rel","value":0.001},"bytes":0}]}]}"#;

    #[test]
    fn peers_are_found_by_shape_type_and_name() {
        let peers = Peers::parse(RUN).unwrap();
        let found = peers.of("field", &[4, 4], "float32");
        assert_eq!((found.len(), &*found[0].codec), (1, "sz3"));
        let p = &found[0].points;
        assert_eq!((p[0].ratio, p[0].bits_per_value, p[0].psnr), (4.0, 8.0, None));
        assert_eq!((p[1].ratio, p[1].bits_per_value, p[1].psnr), (8.0, 4.0, Some(50.5)));
        assert!(peers.of("field", &[4, 4], "float64").is_empty());
        assert!(Peers::parse("{}").is_err());
    }
}
