//! Programs as JSON, and their digest.
//!
//! ```json
//! {"format": 1, "name": "tiny",
//!  "input": {"formats": [["ap_fixed<8,1,AP_RND,AP_SAT,0>", 24]], "transforms": [{"kind": "linear", "offset": "0e0", "scale": "2.5e1"}, ...]},
//!  "layers": [{"name": "fc1", "formats": [["ap_fixed<8,1,AP_RND,AP_SAT,0>", 16]],
//!              "op": {"kind": "dense", "weight_format": ..., "bias_format": ..., "accumulator": "exact", "weights": [[...], ...], "biases": [...]}}]}
//! ```
//!
//! Formats are written in runs, `[format, how many]`; the numbers of transforms as text, so that every reader gives the
//! same double. The canonical form is what [`Program::to_json`] writes: no spaces, keys in this order.

use super::{Input, Layer, MAX_VALUES, Op, Program};
use crate::fixed::Format;
use baler_codec::bundle::Transform;
use baler_codec::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The version of the file format; this build reads no other.
pub const FORMAT: u32 = 1;

/// The longest file that is read.
pub const MAX_BYTES: usize = 64 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramFile {
    format: u32,
    name: String,
    input: InputFile,
    layers: Vec<LayerFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputFile {
    formats: Vec<(Format, usize)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    transforms: Vec<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerFile {
    name: String,
    formats: Vec<(Format, usize)>,
    op: Op,
}

impl Program {
    /// The canonical JSON.
    pub fn to_json(&self) -> String {
        let file = ProgramFile {
            format: FORMAT,
            name: self.name.clone(),
            input: InputFile {
                formats: to_runs(&self.input.formats),
                transforms: self.input.transforms.iter().map(to_text).collect(),
            },
            layers: self
                .layers
                .iter()
                .map(|layer| LayerFile {
                    name: layer.name.clone(),
                    formats: to_runs(&layer.formats),
                    op: layer.op.clone(),
                })
                .collect(),
        };
        serde_json::to_string(&file).expect("a program has text keys and finite numbers only")
    }

    /// Reads and checks a program.
    ///
    /// # Errors
    /// Anything that is not a valid program of this [`FORMAT`]; the message says where.
    pub fn from_json(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::model(format!("a program of {} bytes: expected {MAX_BYTES} at most", text.len())));
        }
        // The version first: a program from the future gets that said, not a list of unknown keys.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let wrong = |e: serde_json::Error| Error::model(format!("not a fixed-point program: {e}"));
        let version: Version = serde_json::from_str(text).map_err(wrong)?;
        if version.format != FORMAT {
            return Err(Error::new(
                ErrorKind::Version,
                format!("a fixed-point program of format {}: this version reads format {FORMAT}", version.format),
            ));
        }
        let file: ProgramFile = serde_json::from_str(text).map_err(wrong)?;
        let transforms = file.input.transforms.into_iter().map(from_text).collect::<Result<Vec<_>>>()?;
        let formats = from_runs(file.input.formats).map_err(|e| e.context("input"))?;
        let layers = file
            .layers
            .into_iter()
            .map(|LayerFile { name, formats, op }| {
                let formats = from_runs(formats).map_err(|e| e.context(format_args!("layer {name:?}")))?;
                Ok(Layer { name, op, formats })
            })
            .collect::<Result<_>>()?;
        Program::new(file.name, Input { formats, transforms }, layers)
    }

    /// SHA-256 of the canonical JSON: equal for programs that are equal in every number and name.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_json()).into()
    }

    /// [`Program::digest`] as 64 hexadecimal digits.
    pub fn digest_hex(&self) -> String {
        self.digest().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn to_runs(formats: &[Format]) -> Vec<(Format, usize)> {
    formats.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

fn from_runs(runs: Vec<(Format, usize)>) -> Result<Vec<Format>> {
    let mut formats = Vec::new();
    for (format, n) in runs {
        if n == 0 || n > MAX_VALUES - formats.len() {
            return Err(Error::model(format!("a run of {n} formats: expected 1 to {MAX_VALUES} in all")));
        }
        formats.extend(std::iter::repeat_n(format, n));
    }
    Ok(formats)
}

/// A transform with its numbers as text: the digits that identify the double, in scientific notation.
fn to_text(transform: &Transform) -> Value {
    let mut value = serde_json::to_value(transform).expect("a transform has text keys and finite numbers only");
    for field in value.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        if let Some(number) = field.as_f64() {
            *field = Value::String(format!("{number:e}"));
        }
    }
    value
}

fn from_text(mut value: Value) -> Result<Transform> {
    for (key, field) in value.as_object_mut().into_iter().flatten() {
        if key == "kind" {
            continue;
        }
        let number = field.as_str().and_then(|text| text.parse::<f64>().ok()).and_then(serde_json::Number::from_f64);
        *field = Value::Number(number.ok_or_else(|| {
            Error::model(format!(
                "input: {key} = {field} of a transform: expected a finite number as text, such as \"2.5e1\""
            ))
        })?);
    }
    serde_json::from_value(value).map_err(|e| Error::model(format!("input: a transform: {e}")))
}
