//! Reference vectors: what another implementation computed, layer by layer, beside what [`Program::trace`] does.
//!
//! A file holds one model of hls4ml with the integers of every layer, or a table of casts; `docs/fpga.md`, section
//! Vectors, describes both. From a model's file only types, weights, biases, slopes and the raw inputs make the program;
//! the integers of the layers are compared with, never read to compute. Tables are computed here, and the file's compared
//! with them.

use crate::fixed::{Fixed, Format};
use crate::hls4ml;
use crate::ir::{Accumulator, Dense, Input, Layer, Op, Program};
use baler_codec::{Error, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What came of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The model's name, or `casts`.
    pub name: String,
    /// Values compared, by the name of their layer.
    pub counts: Vec<(String, usize)>,
    /// Values that differ.
    pub n_mismatches: usize,
    /// The first of them, in words.
    pub first_mismatch: Option<String>,
}

impl Checked {
    fn new(name: String) -> Self {
        Self { name, counts: Vec::new(), n_mismatches: 0, first_mismatch: None }
    }

    /// Values compared in all.
    pub fn n_values(&self) -> usize {
        self.counts.iter().map(|(_, n)| n).sum()
    }

    fn compare(&mut self, found: i128, expected: i128, place: impl FnOnce() -> String) {
        if found != expected {
            self.n_mismatches += 1;
            self.first_mismatch.get_or_insert_with(|| format!("{}: expected {expected}, found {found}", place()));
        }
    }
}

/// Computes everything that a file of vectors holds, and compares.
///
/// # Errors
/// Text that is no such file, and models with what programs cannot express; the message names the layer.
pub fn check(text: &str) -> Result<Checked> {
    let wrong = |e: serde_json::Error| Error::model(format!("not a file of reference vectors: {e}"));
    if text.trim_start().starts_with('[') {
        let table: Vec<CastFile> = serde_json::from_str(text).map_err(wrong)?;
        return check_casts(&table);
    }
    let file: ModelFile = serde_json::from_str(text).map_err(wrong)?;
    check_model(&file, &inputs(text)?)
}

/// The program of a model's file, without the numbers that it is to be compared with.
///
/// # Errors
/// As [`check`].
pub fn program(text: &str) -> Result<Program> {
    let file: ModelFile =
        serde_json::from_str(text).map_err(|e| Error::model(format!("not a model of reference vectors: {e}")))?;
    file.program()
}

/// The rows of raw input of a model's file.
///
/// # Errors
/// If there are none.
pub fn inputs(text: &str) -> Result<Vec<Vec<f64>>> {
    // Read from the text: the parser of JSON may miss a double by its last bit, which the grid would show.
    let key = "\"input_f64\"";
    let missing = || Error::model("not a file of reference vectors: no rows of numbers in input_f64");
    let after_key =
        text.split(key).skip(1).map(str::trim_start).find(|rest| rest.starts_with(':')).ok_or_else(missing)?;
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let mut depth = 0;
    for token in after_key[1..].split_inclusive(['[', ']', ',']) {
        let (number, end) = token.split_at(token.len() - 1);
        if !number.trim().is_empty() {
            let row = rows.last_mut().filter(|_| depth == 2).ok_or_else(missing)?;
            row.push(number.trim().parse().map_err(|_| missing())?);
        }
        match end {
            "[" => {
                depth += 1;
                if depth == 2 {
                    rows.push(Vec::new());
                }
            }
            "]" if depth == 1 => return if rows.is_empty() { Err(missing()) } else { Ok(rows) },
            "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth > 2 {
            break;
        }
    }
    Err(missing())
}

/// Source integers count up by one from `first_src_int`.
#[derive(Deserialize)]
struct CastFile {
    src: Format,
    dst: Format,
    first_src_int: i64,
    dst_ints: Vec<i128>,
}

fn check_casts(table: &[CastFile]) -> Result<Checked> {
    let mut checked = Checked::new("casts".to_owned());
    let mut n = 0;
    for CastFile { src, dst, first_src_int, dst_ints } in table {
        for (raw, &expected) in (i128::from(*first_src_int)..).zip(dst_ints) {
            let found = Fixed::new(raw, *src)?.cast(*dst).raw();
            checked.compare(found, expected, || format!("integer {raw} of {src} cast to {dst}"));
        }
        n += dst_ints.len();
    }
    checked.counts.push((format!("{} pairs of types", table.len()), n));
    Ok(checked)
}

#[derive(Deserialize)]
struct ModelFile {
    name: String,
    layers: Vec<LayerFile>,
    #[serde(rename = "input_f64")]
    _inputs: IgnoredAny,
}

#[derive(Deserialize)]
struct LayerFile {
    name: String,
    kind: String,
    result_type: Format,
    ints: Vec<Vec<i128>>,
    n_in: Option<usize>,
    n_out: Option<usize>,
    weight_type: Option<Format>,
    bias_type: Option<Format>,
    accum_type: Option<Format>,
    weight_ints_in_major: Option<Vec<i64>>,
    bias_ints: Option<Vec<i64>>,
    activation: Option<String>,
    param: Option<f64>,
    param_type: Option<Format>,
    param_int: Option<i64>,
    table_type: Option<Format>,
    table_size: Option<usize>,
    table_ints: Option<Vec<i128>>,
}

impl ModelFile {
    fn program(&self) -> Result<Program> {
        let Some((input, layers)) = self.layers.split_first().filter(|(first, _)| first.kind == "Input") else {
            return Err(Error::model("the first layer is not of kind Input"));
        };
        // Only the length of a row is taken from what is to be compared with.
        let mut n = input.ints.first().map_or(0, Vec::len);
        let formats = vec![input.result_type; n];
        let mut made = Vec::with_capacity(layers.len());
        for layer in layers {
            let layer = layer.layer(n).map_err(|e| e.context(format_args!("layer {:?}", layer.name)))?;
            n = layer.formats.len();
            made.push(layer);
        }
        Program::new(plain_name(&self.name), Input::plain(formats), made)
    }
}

/// A name that programs may have.
fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let name: String = name.chars().take(64).map(plain).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

impl LayerFile {
    fn layer(&self, n_in: usize) -> Result<Layer> {
        let (op, n) = match self.kind.as_str() {
            "Dense" => {
                let dense = self.dense(n_in)?;
                let n = dense.biases.len();
                (Op::Dense(dense), n)
            }
            "Activation" | "ParametrizedActivation" | "HardActivation" | "Softmax" => (self.activation()?, n_in),
            other => {
                return Err(Error::unsupported(format!(
                    "kind {other:?}: supported are Input, Dense, Activation and ParametrizedActivation"
                )));
            }
        };
        Ok(Layer { name: self.name.clone(), op, formats: vec![self.result_type; n] })
    }

    fn dense(&self, n_in: usize) -> Result<Dense> {
        let flat = need(&self.weight_ints_in_major, "weight_ints_in_major")?;
        let n_out = self.n_out.unwrap_or(flat.len() / n_in.max(1));
        if self.n_in.is_some_and(|n| n != n_in) || n_in.checked_mul(n_out) != Some(flat.len()) {
            return Err(Error::model(format!(
                "{} weights, n_in = {:?}, n_out = {n_out}: expected {n_in} inputs, and as many weights as their product",
                flat.len(),
                self.n_in
            )));
        }
        let weight_format = *need(&self.weight_type, "weight_type")?;
        Ok(Dense {
            weight_format,
            bias_format: self.bias_type.unwrap_or(weight_format),
            accumulator: Accumulator::Stepwise(*need(&self.accum_type, "accum_type")?),
            weights: (0..n_out).map(|j| (0..n_in).map(|i| flat[i * n_out + j]).collect()).collect(),
            biases: self.bias_ints.clone().unwrap_or_else(|| vec![0; n_out]),
        })
    }

    fn activation(&self) -> Result<Op> {
        let name = self.activation.as_deref().unwrap_or(&self.kind).to_ascii_lowercase().replace('_', "");
        Ok(match name.as_str() {
            "linear" => Op::Cast,
            "relu" => Op::Relu,
            // Keras' layer ReLU arrives so: above a threshold of zero it is the same.
            "thresholdedrelu" if self.param.unwrap_or(0.0) == 0.0 && self.param_int.unwrap_or(0) == 0 => Op::Relu,
            "leakyrelu" => Op::LeakyRelu {
                alpha: *need(&self.param_int, "param_int")?,
                alpha_format: *need(&self.param_type, "param_type")?,
            },
            "tanh" | "sigmoid" => Op::Table(hls4ml::table(
                &name,
                self.table_size.unwrap_or(hls4ml::TABLE_SIZE),
                self.table_type.map_or_else(|| hls4ml::TABLE_FORMAT.parse(), Ok)?,
            )?),
            other => {
                return Err(Error::unsupported(format!(
                    "activation {other:?}: supported are linear, relu, leakyrelu, tanh and sigmoid"
                )));
            }
        })
    }
}

fn need<'a, T>(field: &'a Option<T>, name: &str) -> Result<&'a T> {
    field.as_ref().ok_or_else(|| Error::model(format!("{name} is missing")))
}

fn check_model(file: &ModelFile, inputs: &[Vec<f64>]) -> Result<Checked> {
    let program = file.program()?;
    let mut checked = Checked::new(file.name.clone());
    for (layer, of) in file.layers[1..].iter().zip(program.layers()) {
        let (Some(expected), Op::Table(table)) = (&layer.table_ints, &of.op) else { continue };
        check_len(expected.len(), table.entries.len(), || format!("layer {:?}: table_ints", layer.name))?;
        for (i, (&found, &expected)) in table.entries.iter().zip(expected).enumerate() {
            checked.compare(found.into(), expected, || format!("layer {:?}: entry {i} of its table", layer.name));
        }
        checked.counts.push((format!("{} (table)", layer.name), expected.len()));
    }
    for layer in &file.layers {
        check_len(layer.ints.len(), inputs.len(), || format!("layer {:?}: rows", layer.name))?;
    }
    let mut counts = vec![0; file.layers.len()];
    for (r, row) in inputs.iter().enumerate() {
        let integers = program.input().quantise(row).map_err(|e| e.context(format_args!("row {r}")))?;
        let computed = program.trace(&integers)?.layers;
        let first: Vec<i128> = integers.into_iter().map(i128::from).collect();
        for ((layer, found), count) in file.layers.iter().zip(std::iter::once(&first).chain(&computed)).zip(&mut counts)
        {
            let expected = &layer.ints[r];
            check_len(expected.len(), found.len(), || format!("layer {:?}: row {r}", layer.name))?;
            for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
                let place = || format!("layer {:?} ({}), row {r}, element {i}", layer.name, layer.result_type);
                checked.compare(found, expected, place);
            }
            *count += expected.len();
        }
    }
    checked.counts.extend(file.layers.iter().map(|layer| layer.name.clone()).zip(counts));
    Ok(checked)
}

fn check_len(found: usize, expected: usize, what: impl FnOnce() -> String) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::model(format!("{}: {found} values, expected {expected}", what())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = r#"{"name": "by hand", "input_f64" : [[0.5, -1.0], [1e-1, 0.25]],
        "layers": [
          {"name": "x", "kind": "Input", "result_type": "ap_fixed<6,3>", "ints": [[4, -8], [0, 2]]},
          {"name": "fc", "kind": "Dense", "result_type": "ap_fixed<8,4>", "accum_type": "ap_fixed<16,8>",
           "weight_type": "ap_fixed<4,2>", "bias_type": "ap_fixed<4,2>", "n_in": 2, "n_out": 1,
           "weight_ints_in_major": [2, -1], "bias_ints": [3], "ints": [[20], [11]]},
          {"name": "act", "kind": "Activation", "activation": "relu", "result_type": "ap_ufixed<4,2>",
           "ints": [[5], [2]]}]}"#;

    #[test]
    fn a_model_by_hand() {
        let checked = check(MODEL).unwrap();
        assert_eq!((checked.n_values(), checked.n_mismatches), (8, 0), "{checked:?}");
        let one_off = check(&MODEL.replace("[[20], [11]]", "[[20], [12]]")).unwrap();
        assert_eq!(one_off.n_mismatches, 1);
        let words = one_off.first_mismatch.unwrap();
        assert!(
            words.contains("\"fc\"") && words.contains("row 1") && words.contains("expected 12, found 11"),
            "{words}"
        );
    }

    #[test]
    fn what_is_not_there_is_said() {
        for (from, to, expected) in [
            ("\"relu\"", "\"softmax\"", "activation \"softmax\""),
            ("\"Activation\"", "\"Conv1D\"", "kind \"Conv1D\""),
            ("\"accum_type\"", "\"other_type\"", "accum_type is missing"),
            ("[2, -1]", "[2]", "1 weights"),
            ("[[0.5, -1.0], [1e-1, 0.25]]", "[]", "no rows"),
            ("[[0.5, -1.0], [1e-1, 0.25]]", "[[0.5, -1.0]]", "rows: 2 values, expected 1"),
            ("[[0.5, -1.0], [1e-1, 0.25]]", "[[0.5], [0.25]]", "row 0"),
            ("ap_fixed<16,8>", "ap_fixed<16,8,XX>", "rounding mode"),
            ("\"Input\"", "\"Dense\"", "not of kind Input"),
        ] {
            let error = check(&MODEL.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{from} -> {to}: {error}");
        }
        assert!(check("").is_err() && check("[1]").is_err() && check("{}").is_err());
    }

    #[test]
    fn casts_by_hand() {
        let text = r#"[{"src": "ap_fixed<3,3>", "dst": "ap_fixed<2,2,AP_TRN,AP_SAT>", "first_src_int": -4,
                        "dst_ints": [-2, -2, -2, -1, 0, 1, 1, 0]}]"#;
        let checked = check(text).unwrap();
        assert_eq!((checked.n_values(), checked.n_mismatches), (8, 1));
        assert!(checked.first_mismatch.unwrap().contains("integer 3"));
    }
}
