//! `manifest.toml`: what a bundle is for, how values become network inputs, and how finely latents are kept.

use crate::error::{Error, ErrorKind, Result};
use crate::params::MAX_RANK;
use serde::{Deserialize, Serialize};

/// The manifest format this build reads and writes.
pub const FORMAT: u32 = 1;
/// The most values one latent vector may stand for.
pub const MAX_TILE_VALUES: usize = 1 << 24;
/// The most latents a tile may have.
pub const MAX_LATENTS: usize = 1 << 20;

/// The manifest of a bundle. Unknown keys are refused, except inside `[training]` and `[metrics]`, which are free.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: u32,
    /// What users type and files are called: ASCII letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// How the model predicts.
    pub family: Family,
    /// One or two sentences.
    pub description: String,
    /// SPDX licence expression of the weights.
    pub license: String,
    /// What one latent vector stands for.
    pub input: Input,
    /// The latent vector.
    pub latents: Latents,
    /// How it was trained; free.
    #[serde(default)]
    pub training: toml::Table,
    /// What it reached; free.
    #[serde(default)]
    pub metrics: toml::Table,
}

/// How a model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// An encoder gives latents, a decoder gives values from them.
    Autoencoder,
}

/// What one latent vector stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Extents of the block of values that one latent vector stands for: the trailing axes of the array.
    pub tile: Vec<usize>,
    /// How values become network inputs.
    pub normalisation: Normalisation,
}

/// How values become network inputs: `input = (value - offset) / scale`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Normalisation {
    /// The same offset and scale for every chunk.
    Fixed {
        /// Subtracted first.
        offset: f64,
        /// Divided by next; above zero.
        scale: f64,
    },
    /// `offset` is the chunk's minimum, `scale` its maximum minus its minimum; both are stored in the chunk.
    Range,
    /// `offset` is the mean of each tile, stored per tile as a further latent in steps of the residual; `scale` as for
    /// `range`.
    Tile,
}

/// The latent vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latents {
    /// Its length: the encoder's output, the decoder's input.
    pub count: usize,
    /// Recommended quantisation step of each latent.
    pub step: Vec<f64>,
}

impl Manifest {
    /// Parses and validates.
    pub fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|e| wrong(format!("not TOML: {e}")))?;
        // Format and family first: a bundle from the future gets that said, not a list of unknown keys.
        match table.get("format").and_then(toml::Value::as_integer) {
            Some(f) if f == i64::from(FORMAT) => {}
            Some(f) if f > i64::from(FORMAT) => {
                return Err(Error::new(
                    ErrorKind::Version,
                    format!("manifest.toml: format = {f}, this version reads {FORMAT}: a newer version is needed"),
                ));
            }
            Some(f) => return Err(wrong(format!("format = {f}: expected {FORMAT}"))),
            None => return Err(wrong(format!("the line `format = {FORMAT}` is missing"))),
        }
        match table.get("family").and_then(toml::Value::as_str) {
            Some("autoencoder") | None => {}
            Some(other) => {
                return Err(Error::unsupported(format!(
                    "manifest.toml: family = {other:?} is not supported by this version; it has: \"autoencoder\""
                )));
            }
        }
        let manifest: Manifest = toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end()))?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The manifest as TOML text.
    pub fn to_toml(&self) -> Result<String> {
        self.validate()?;
        toml::to_string(self).map_err(|e| wrong(e.to_string()))
    }

    /// Number of values one latent vector stands for.
    pub fn tile_values(&self) -> usize {
        self.input.tile.iter().product()
    }

    /// Checks every value; [`Manifest::parse`] has done so.
    pub fn validate(&self) -> Result<()> {
        if self.format != FORMAT {
            return Err(wrong(format!("format = {}: expected {FORMAT}", self.format)));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if self.name.is_empty() || self.name.len() > 64 || self.name.starts_with('.') || !self.name.bytes().all(plain) {
            return Err(wrong(format!(
                "name = {:?}: expected 1 to 64 ASCII letters, digits, '.', '_' or '-', not starting with '.'",
                self.name
            )));
        }
        if self.license.trim().is_empty() {
            return Err(wrong("license is empty: expected an SPDX expression, such as \"CC-BY-4.0\""));
        }
        let tile = &self.input.tile;
        let values = tile.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
        if tile.is_empty()
            || tile.len() > MAX_RANK
            || !values.is_some_and(|values| (1..=MAX_TILE_VALUES).contains(&values))
        {
            return Err(wrong(format!(
                "input.tile = {tile:?}: expected 1 to {MAX_RANK} extents of at least 1, {MAX_TILE_VALUES} values at most"
            )));
        }
        if let Normalisation::Fixed { offset, scale } = self.input.normalisation
            && !(offset.is_finite() && scale.is_finite() && scale > 0.0)
        {
            return Err(wrong(format!(
                "input.normalisation: offset = {offset}, scale = {scale}: expected finite numbers, scale above 0"
            )));
        }
        let Latents { count, step } = &self.latents;
        if !(1..=MAX_LATENTS).contains(count) {
            return Err(wrong(format!("latents.count = {count}: expected 1 to {MAX_LATENTS}")));
        }
        if step.len() != *count {
            return Err(wrong(format!("latents.step has {} entries: expected latents.count = {count}", step.len())));
        }
        if let Some((i, s)) = step.iter().enumerate().find(|(_, s)| !(s.is_finite() && **s > 0.0)) {
            return Err(wrong(format!("latents.step[{i}] = {s}: expected a finite number above 0")));
        }
        Ok(())
    }
}

fn wrong(message: impl std::fmt::Display) -> Error {
    Error::model(format!("manifest.toml: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
format = 1
name = "dense-test"
family = "autoencoder"
description = "A test."
license = "CC0-1.0"
[input]
tile = [2, 3]
normalisation = { kind = "fixed", offset = 0.0, scale = 1.0 }
[latents]
count = 2
step = [0.5, 0.25]
[training]
anything = "goes"
"#;

    #[test]
    fn parses_and_writes_back() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!(manifest.tile_values(), 6);
        assert_eq!(Manifest::parse(&manifest.to_toml().unwrap()).unwrap(), manifest);
        for kind in ["range", "tile"] {
            let text = GOOD.replace("kind = \"fixed\", offset = 0.0, scale = 1.0", &format!("kind = \"{kind}\""));
            let manifest = Manifest::parse(&text).unwrap();
            assert_eq!(Manifest::parse(&manifest.to_toml().unwrap()).unwrap(), manifest);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("format = 1", "format = 0", ErrorKind::ModelInvalid, "expected 1"),
            ("format = 1", "format = 2", ErrorKind::Version, "newer version"),
            ("format = 1", "", ErrorKind::ModelInvalid, "missing"),
            ("\"autoencoder\"", "\"predictor\"", ErrorKind::Unsupported, "autoencoder"),
            ("dense-test", "../etc", ErrorKind::ModelInvalid, "name"),
            ("dense-test", "a/b", ErrorKind::ModelInvalid, "name"),
            ("CC0-1.0", " ", ErrorKind::ModelInvalid, "SPDX"),
            ("[2, 3]", "[]", ErrorKind::ModelInvalid, "input.tile"),
            ("[2, 3]", "[2, 0]", ErrorKind::ModelInvalid, "input.tile"),
            ("[2, 3]", "[4294967296, 4294967296]", ErrorKind::ModelInvalid, "input.tile"),
            ("[2, 3]", "[-1]", ErrorKind::ModelInvalid, "tile"),
            ("scale = 1.0", "scale = 0.0", ErrorKind::ModelInvalid, "scale above 0"),
            ("scale = 1.0", "scale = nan", ErrorKind::ModelInvalid, "scale above 0"),
            ("kind = \"fixed\"", "kind = \"magic\"", ErrorKind::ModelInvalid, "magic"),
            ("count = 2", "count = 3", ErrorKind::ModelInvalid, "expected latents.count = 3"),
            ("0.25]", "0.0]", ErrorKind::ModelInvalid, "latents.step[1]"),
            ("[training]", "[trainings]", ErrorKind::ModelInvalid, "trainings"),
            ("tile =", "tiles =", ErrorKind::ModelInvalid, "tiles"),
        ];
        for (from, to, kind, says) in cases {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let error = Manifest::parse(&text).unwrap_err();
            assert_eq!(error.kind(), kind, "{to}: {error}");
            assert!(error.message().contains(says), "{to}: {error}");
        }
    }
}
