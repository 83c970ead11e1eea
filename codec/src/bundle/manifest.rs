//! `manifest.toml`: what a bundle is for, how values become network inputs, and how finely latents are kept.

use super::density::Density;
use super::transform::Transform;
use crate::error::{Error, ErrorKind, Result};
use crate::params::MAX_RANK;
use crate::related::Formula;
use serde::{Deserialize, Serialize};

/// The newest manifest format; this build reads all up to it. What is new in 2: [`Normalisation::Columns`] and
/// [`Manifest::density`]; in 3: [`Manifest::encoder`]; in 4: [`Family::Autoregressive`].
pub const FORMAT: u32 = 4;
/// The most values one latent vector may stand for.
pub const MAX_TILE_VALUES: usize = 1 << 24;
/// The most latents a tile may have.
pub const MAX_LATENTS: usize = 1 << 20;

/// The manifest of a bundle. Unknown keys are refused, except inside `[training]` and `[metrics]`, which are free.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1, or higher for what is new in it ([`Manifest::least_format`]).
    pub format: u32,
    /// What users type and files are called: ASCII letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// How the model predicts.
    pub family: Family,
    /// One or two sentences.
    pub description: String,
    /// SPDX licence expression of the weights.
    pub license: String,
    /// What one latent vector stands for; left out by the families `predictor` and `autoregressive`.
    #[serde(default, skip_serializing_if = "Input::is_left_out")]
    pub input: Input,
    /// The latent vector; left out by the families `predictor` and `autoregressive`.
    #[serde(default, skip_serializing_if = "Latents::is_left_out")]
    pub latents: Latents,
    /// For the family `predictor`, and there only. Format 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictor: Option<Predictor>,
    /// What computes latents, where it is not `encoder.onnx` in floating point. Format 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderDefinition>,
    /// How probable tiles are; without it there are no outliers. Format 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub density: Option<Density>,
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
    /// Formulas give columns of a table from others. Chunks hold the formulas they use: readers need no bundle. Format 2.
    Predictor,
    /// A small network predicts each value of a field from the values around that were decoded before it, and how far off
    /// that is. No latents, no encoder. Format 4.
    Autoregressive,
}

/// What computes latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderDefinition {
    /// The arithmetic that defines the latents.
    pub arithmetic: Arithmetic,
}

/// An encoder's arithmetic, where the manifest names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Arithmetic {
    /// The fixed-point program `encoder.fixed.json`: whatever computes it gives the same latents.
    Fixed,
}

/// How columns of a table follow from others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predictor {
    /// Names of the table's columns, for people; their number is what counts.
    pub columns: Vec<String>,
    /// What was found, any number for each column. An encoder takes those that save most on the values before it.
    pub formulas: Vec<ColumnFormula>,
}

/// A formula for one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnFormula {
    /// The column it gives, from 0.
    pub column: usize,
    /// The text form of a [`Formula`], with the other columns as `x0`, `x1`, ...
    #[serde(with = "formula_text")]
    pub formula: Formula,
}

mod formula_text {
    use crate::related::Formula;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(formula: &Formula, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(formula)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Formula, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// What one latent vector stands for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Extents of the block of values that one latent vector stands for: the trailing axes of the array.
    pub tile: Vec<usize>,
    /// How values become network inputs.
    pub normalisation: Normalisation,
}

impl Input {
    fn is_left_out(&self) -> bool {
        self.tile.is_empty()
    }
}

/// How values become network inputs: `input = (value - offset) / scale`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    #[default]
    Range,
    /// `offset` is the mean of each tile, stored per tile as a further latent in steps of the residual; `scale` as for
    /// `range`.
    Tile,
    /// Each place of the tile's last axis has a transform of its own. For tables: the tile takes in the array's whole last
    /// axis. Format 2.
    Columns {
        /// One for each place.
        columns: Vec<Transform>,
    },
}

/// The latent vector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latents {
    /// Its length: the encoder's output, the decoder's input.
    pub count: usize,
    /// Recommended quantisation step of each latent.
    pub step: Vec<f64>,
}

impl Latents {
    fn is_left_out(&self) -> bool {
        self.count == 0
    }
}

impl Manifest {
    /// Parses and validates.
    pub fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().map_err(|e| wrong(format!("not TOML: {e}")))?;
        // Format and family first: a bundle from the future gets that said, not a list of unknown keys.
        match table.get("format").and_then(toml::Value::as_integer) {
            Some(f) if (1..=i64::from(FORMAT)).contains(&f) => {}
            Some(f) if f > i64::from(FORMAT) => {
                return Err(Error::new(
                    ErrorKind::Version,
                    format!(
                        "manifest.toml: format = {f}, this version reads up to {FORMAT}: a newer version is needed"
                    ),
                ));
            }
            Some(f) => return Err(wrong(format!("format = {f}: expected 1 to {FORMAT}"))),
            None => return Err(wrong(format!("the line `format = {FORMAT}` is missing"))),
        }
        match table.get("family").and_then(toml::Value::as_str) {
            Some("autoencoder" | "predictor" | "autoregressive") | None => {}
            Some(other) => {
                return Err(Error::unsupported(format!(
                    "manifest.toml: family = {other:?} is not supported by this version; it has: \"autoencoder\", \
                     \"predictor\", \"autoregressive\""
                )));
            }
        }
        let manifest: Manifest = toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end()))?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The lowest format that has everything this manifest uses: what a writer puts into [`Manifest::format`].
    pub fn least_format(&self) -> u32 {
        match self.input.normalisation {
            _ if self.family == Family::Autoregressive => 4,
            _ if self.encoder.is_some() => 3,
            _ if self.family == Family::Predictor => 2,
            Normalisation::Columns { .. } => 2,
            _ if self.density.is_some() => 2,
            Normalisation::Fixed { .. } | Normalisation::Range | Normalisation::Tile => 1,
        }
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
        let least = self.least_format();
        if !(least..=FORMAT).contains(&self.format) {
            return Err(wrong(format!(
                "format = {}: expected {least} to {FORMAT}, for what the manifest uses",
                self.format
            )));
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
        match (self.family, &self.predictor) {
            (Family::Predictor, _) if self.encoder.is_some() => Err(wrong("the family predictor has no [encoder]")),
            (Family::Predictor, _) if self.density.is_some() => Err(wrong("the family predictor has no [density]")),
            (Family::Predictor, Some(predictor)) => predictor.validate(self),
            (Family::Predictor, None) => Err(wrong("the family predictor needs a table [predictor]")),
            (_, Some(_)) => Err(wrong("[predictor] is for the family predictor")),
            (Family::Autoregressive, None) => {
                let left_out = self.input.is_left_out() && self.latents.is_left_out();
                if !left_out || self.encoder.is_some() || self.density.is_some() {
                    return Err(wrong("the family autoregressive has no [input], [latents], [encoder] and [density]"));
                }
                Ok(())
            }
            (_, None) => self.validate_tiles(),
        }
    }

    /// What families that code tiles by latents need.
    fn validate_tiles(&self) -> Result<()> {
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
        match &self.input.normalisation {
            Normalisation::Fixed { offset, scale } => {
                if !(offset.is_finite() && scale.is_finite() && *scale > 0.0) {
                    return Err(wrong(format!(
                        "input.normalisation: offset = {offset}, scale = {scale}: expected finite numbers, scale above 0"
                    )));
                }
            }
            Normalisation::Columns { columns } => {
                let places = tile.last().copied().unwrap_or(0);
                if columns.len() != places {
                    return Err(wrong(format!(
                        "input.normalisation.columns has {} entries: expected {places}, the tile's last extent",
                        columns.len()
                    )));
                }
                for (i, column) in columns.iter().enumerate() {
                    column
                        .validate()
                        .map_err(|e| wrong(format!("input.normalisation.columns[{i}], {}: {e}", column.kind())))?;
                }
            }
            Normalisation::Range | Normalisation::Tile => {}
        }
        let Latents { count, step } = &self.latents;
        if !(1..=MAX_LATENTS).contains(count) {
            return Err(wrong(format!("latents.count = {count}: expected 1 to {MAX_LATENTS}")));
        }
        if step.len() != *count {
            return Err(wrong(format!("latents.step has {} entries: expected latents.count = {count}", step.len())));
        }
        if let Some(density) = &self.density {
            density.validate(*count).map_err(|e| wrong(format!("density: {e}")))?;
        }
        if let Some((i, s)) = step.iter().enumerate().find(|(_, s)| !(s.is_finite() && **s > 0.0)) {
            return Err(wrong(format!("latents.step[{i}] = {s}: expected a finite number above 0")));
        }
        Ok(())
    }
}

impl Predictor {
    /// Columns a table may have.
    const MAX_COLUMNS: usize = 4096;

    fn validate(&self, manifest: &Manifest) -> Result<()> {
        if !(manifest.input.is_left_out() && manifest.latents.is_left_out()) {
            return Err(wrong("the family predictor has no [input] and no [latents]"));
        }
        let n = self.columns.len();
        if !(2..=Self::MAX_COLUMNS).contains(&n) {
            return Err(wrong(format!("predictor.columns has {n} names: expected 2 to {}", Self::MAX_COLUMNS)));
        }
        for (i, ColumnFormula { column, formula }) in self.formulas.iter().enumerate() {
            let of = |e: String| wrong(format!("predictor.formulas[{i}]: {e}"));
            formula.check(n).map_err(of)?;
            if *column >= n || formula.columns().contains(column) {
                return Err(of(format!("column {column} of {n} from columns {:?}", formula.columns())));
            }
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
            ("format = 1", "format = 5", ErrorKind::Version, "newer version"),
            ("format = 1", "", ErrorKind::ModelInvalid, "missing"),
            ("\"autoencoder\"", "\"oracle\"", ErrorKind::Unsupported, "autoencoder"),
            ("\"autoencoder\"", "\"predictor\"", ErrorKind::ModelInvalid, "expected 2"),
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

    const COLUMNS: &str = r#"
format = 2
name = "table"
family = "autoencoder"
description = "A test."
license = "CC0-1.0"
[input]
tile = [5]
[input.normalisation]
kind = "columns"
columns = [
    { kind = "linear", offset = 1.0, scale = 2.0 },
    { kind = "asinh", centre = 0.0, width = 0.5, offset = 0.0, scale = 3.0 },
    { kind = "log", origin = -1.0, offset = 0.25, scale = 1.5 },
    { kind = "angle", period = 360.0, begin = 0.0, low = 90.0, offset = 180.0, scale = 100.0 },
    { kind = "constant", value = 7.0 },
]
[latents]
count = 1
step = [1.0]
[density]
threshold = 3.5
quantile = 0.999
error = { mean = -4.0, deviation = 0.5 }
mean = [0.25]
deviation = [8.0]
whitening = [[1.0]]
"#;

    #[test]
    fn columns_and_densities_are_of_format_2() {
        let manifest = Manifest::parse(COLUMNS).unwrap();
        let only_density = Manifest {
            input: Input { normalisation: Normalisation::Range, ..manifest.input.clone() },
            ..manifest.clone()
        };
        let neither = Manifest { density: None, ..only_density.clone() };
        assert_eq!([&manifest, &only_density, &neither].map(Manifest::least_format), [2, 2, 1]);
        assert_eq!(Manifest::parse(&manifest.to_toml().unwrap()).unwrap(), manifest);
        assert!(Manifest { format: 1, ..manifest }.to_toml().is_err());
        // What format 1 has may be written as 2.
        let old = Manifest::parse(&GOOD.replace("format = 1", "format = 2")).unwrap();
        assert_eq!((old.format, old.least_format()), (2, 1));
    }

    #[test]
    fn says_what_is_wrong_with_columns() {
        let cases = [
            ("format = 2", "format = 1", "expected 2"),
            ("tile = [5]", "tile = [3, 4]", "columns has 5 entries: expected 4"),
            ("tile = [5]", "tile = [6]", "columns has 5 entries: expected 6"),
            ("scale = 2.0", "scale = 0.0", "columns[0], linear: scale = 0: expected a finite number above 0"),
            ("width = 0.5", "width = -0.5", "columns[1], asinh: width"),
            ("width = 0.5", "width = inf", "columns[1], asinh: width"),
            ("width = 0.5, ", "", "width"),
            ("origin = -1.0", "origin = nan", "columns[2], log: origin"),
            ("period = 360.0", "period = 0.0", "columns[3], angle: period"),
            ("low = 90.0", "low = 360.0", "columns[3], angle: low = 360"),
            ("low = 90.0", "low = -1.0", "columns[3], angle: low = -1"),
            ("value = 7.0", "value = inf", "columns[4], constant: value"),
            ("value = 7.0", "value = 7.0, scale = 1.0", "scale"),
            ("kind = \"log\"", "kind = \"sqrt\"", "sqrt"),
            ("threshold = 3.5", "threshold = -1.0", "density: threshold = -1"),
            ("mean = [0.25]", "mean = [0.25, 0.5]", "density: mean has 2 entries: expected latents.count = 1"),
            ("[[1.0]]", "[[1.0, 2.0]]", "density: whitening"),
            ("deviation = 0.5 }", "deviation = 0.5, kind = 1 }", "kind"),
            ("quantile = 0.999", "quantil = 0.999", "quantil"),
        ];
        for (from, to, says) in cases {
            let text = COLUMNS.replacen(from, to, 1);
            assert_ne!(text, COLUMNS);
            let error = Manifest::parse(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ModelInvalid, "{to}: {error}");
            assert!(error.message().contains(says), "{to}: {error}");
        }
    }

    #[test]
    fn an_autoregressive_model_has_a_network_and_nothing_else() {
        let text =
            "format = 4\nname = \"waves\"\nfamily = \"autoregressive\"\ndescription = \"\"\nlicense = \"CC0-1.0\"\n";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(Manifest::parse(&manifest.to_toml().unwrap()).unwrap(), manifest);
        assert!(
            Manifest::parse(&text.replace("format = 4", "format = 3")).unwrap_err().message().contains("expected 4")
        );
        let with_latents = format!("{text}[latents]\ncount = 1\nstep = [1.0]\n");
        assert!(Manifest::parse(&with_latents).unwrap_err().message().contains("no [input]"));
    }

    const PREDICTOR: &str = r#"
format = 2
name = "kinematics"
family = "predictor"
description = "A test."
license = "CC0-1.0"
[predictor]
columns = ["pt", "phi", "px"]
[[predictor.formulas]]
column = 2
formula = "1*x0*cos(x1)"
"#;

    #[test]
    fn a_predictor_has_formulas_and_nothing_else() {
        let manifest = Manifest::parse(PREDICTOR).unwrap();
        assert_eq!(manifest.predictor.as_ref().unwrap().formulas[0].formula.columns(), [0, 1]);
        assert_eq!(Manifest::parse(&manifest.to_toml().unwrap()).unwrap(), manifest);
        let cases = [
            ("format = 2", "format = 1", "expected 2"),
            ("column = 2", "column = 0", "column 0 of 3"),
            ("column = 2", "column = 3", "column 3 of 3"),
            ("x0*", "x7*", "x7"),
            ("cos(", "cost(", "cost"),
            ("[predictor]", "[latents]\ncount = 1\nstep = [1.0]\n[predictor]", "no [latents]"),
            ("family = \"predictor\"", "family = \"autoencoder\"", "[predictor] is for"),
            ("[\"pt\", \"phi\", \"px\"]", "[\"pt\"]", "expected 2 to"),
        ];
        for (from, to, says) in cases {
            let error = Manifest::parse(&PREDICTOR.replacen(from, to, 1)).unwrap_err();
            assert!(error.message().contains(says), "{to}: {error}");
        }
        let without = &PREDICTOR[..PREDICTOR.find("[predictor]").unwrap()];
        assert!(Manifest::parse(without).unwrap_err().message().contains("needs a table"));
    }
}
