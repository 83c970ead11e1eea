//! `baler import-project`: a project of Python Baler becomes one of ours.
//!
//! Its configuration is a Python file that sets attributes: `c.epochs = 25`. It is read as text, line by line, and never
//! run: literals are understood, anything else is listed as not understood. What every option becomes is in [`MAPPING`].

use crate::failure::{Failure, InFile, Result};
use crate::format::{Array, open};
use crate::new::{create, template};
use crate::outcome::Outcome;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Makes a project of one of Python Baler's: its configuration and its data
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler import-project baler/workspaces/CFD_workspace/CFD_project_animation -o flows\n  \
    baler train --project flows CFD_project_animation\n\n\
    The Python file is read, never run. Data stay where they are unless --copy is given. Options without a counterpart \
    are listed, with the reason, on the screen and in the new config.toml.")]
pub struct ImportProjectArgs {
    /// Folder of the Python project, or its *_config.py
    project: PathBuf,
    /// The workspace to make or to add to; by default the name of the Python workspace, in the current folder
    #[arg(long, short, value_name = "WORKSPACE")]
    output: Option<PathBuf>,
    /// Copy the data into the workspace
    #[arg(long)]
    copy: bool,
}

/// A Python literal.
#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Number(f64),
    Bool(bool),
    Text(String),
    List(Vec<Literal>),
    None,
}

/// What becomes of an option, in words; `*` is any name with this beginning.
const MAPPING: &[(&str, &str)] = &[
    ("input_path", "[data] files"),
    ("path_before_pre_processing", "nothing: pre-processing is the user's own"),
    ("data_dimension", "tile: a row of a table, or a whole frame"),
    ("compression_ratio", "latents = ceil(values of a tile / ratio)"),
    ("number_of_columns", "nothing: it had no effect, the data say it"),
    ("latent_space_size", "nothing: it had no effect, compression_ratio says it"),
    ("model_name", "architecture"),
    ("model_type", "nothing: the architecture says it"),
    ("epochs", "epochs"),
    ("lr", "learning_rate"),
    ("batch_size", "batch"),
    ("test_size", "validation"),
    ("early_stopping", "early_stop; unlike there the best weights are kept"),
    ("early_stopping_patience", "early_stop"),
    ("min_delta", "min_delta"),
    ("lr_scheduler", "schedule = \"plateau\""),
    ("lr_scheduler_patience", "plateau_patience"),
    ("apply_normalization", "nothing: normalisation is chosen from the data, and frozen in the bundle"),
    ("custom_norm", "nothing: it switched normalisation off"),
    ("type_list", "nothing: arrays come back in the type they had"),
    ("convert_to_blocks", "tile, cut in space instead of flat memory"),
    ("extra_compression", "nothing: latents and residuals are always entropy-coded"),
    ("save_error_bounded_deltas", "[compress] bound = \"pw_rel\", kept for every value"),
    ("error_bounded_requirement", "[compress] value, as a part instead of per cent"),
    ("intermittent_model_saving", "checkpoint"),
    ("intermittent_saving_patience", "checkpoint_epochs"),
    ("separate_model_saving", "nothing: a bundle holds encoder and decoder apart, and a file only the decoder"),
    ("activation_extraction", "nothing: the training log always has them (`baler diagnose`)"),
    ("deterministic_algorithm", "seed: every training is reproducible"),
    ("custom_loss_function", "loss"),
    ("compress_to_latent_space", "nothing: the only model with it could not be run"),
    ("l1", "nothing: the term was never added to the loss; weight_l1 adds one"),
    ("reg_param", "nothing: the term was never added to the loss; weight_l1 is its factor"),
    ("RHO", "nothing: the term was never added to the loss; sparsity_rho and sparsity_weight are"),
    ("mse_avg", "nothing: it was never read; loss = \"mse\""),
    ("mse_sum", "loss = \"mse-sum\", what was always used"),
    ("emd", "nothing: it gave an empty loss; loss = \"emd\" works"),
    ("l1_loss", "nothing: it was never read; loss = \"l1\""),
];

/// Options of hls4ml, which wrote the whole autoencoder as HLS for one board.
const HLS4ML: [&str; 15] = [
    "default_reuse_factor",
    "default_precision",
    "Strategy",
    "Part",
    "ClockPeriod",
    "IOType",
    "InputShape",
    "ProjectName",
    "OutputDir",
    "InputData",
    "OutputPredictions",
    "csim",
    "synth",
    "cosim",
    "export",
];

impl ImportProjectArgs {
    pub fn run(&self) -> Result<Outcome> {
        let file = config_file(&self.project)?;
        let text = std::fs::read_to_string(&file).in_file(&file)?;
        let (options, not_understood) = parse(&text);
        if options.is_empty() {
            return Err(Failure::usage(format!(
                "{}: no line like `c.epochs = 25`: is this a configuration of Python Baler?",
                file.display()
            )));
        }
        let name = project_name(&file);
        let workspace = match &self.output {
            Some(workspace) => workspace.clone(),
            None => PathBuf::from(python_workspace(&file).and_then(Path::file_name).unwrap_or("imported".as_ref())),
        };
        let data = find_data(&options, &file)?;
        let extents = extents(&data)?;
        let imported = Imported::new(&options, &extents)?;
        let files = match self.copy {
            true => PathBuf::from("data").join(data.file_name().unwrap_or_default()),
            false => std::path::absolute(&data).in_file(&data)?,
        };
        let mut notes = imported.notes.clone();
        notes.extend(not_understood.iter().map(|line| format!("not understood, so left out: {line}")));
        let config = imported.config(&name, &files, &file, &notes);
        let path = create(&workspace, &name, &config)?;
        if self.copy {
            let to = workspace.join(&files);
            std::fs::copy(&data, &to).in_file(&to)?;
        }
        let mut report = format!("{}: project {name} of {}", path.display(), file.display());
        for (from, to) in &imported.taken {
            report += &format!("\n  {from} -> {to}");
        }
        for note in &notes {
            report += &format!("\n  note: {note}");
        }
        report += &format!("\nnow: baler train --project {} {name}", workspace.display());
        let json = json!({
            "config": path.display().to_string(),
            "workspace": workspace.display().to_string(),
            "project": name,
            "data": files.display().to_string(),
            "options": imported.taken,
            "notes": notes,
        });
        Ok(Outcome::new(report, json))
    }
}

/// The new configuration in the making.
#[derive(Default)]
struct Imported {
    /// Lines of `[train.options]`.
    options: Vec<(String, String)>,
    /// Lines of `[compress]` in the place of the defaults.
    compress: Vec<(String, String)>,
    /// From -> to, for people.
    taken: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Imported {
    fn new(from: &BTreeMap<String, Literal>, extents: &[usize]) -> Result<Self> {
        let mut to = Self::default();
        let number = |key: &str| match from.get(key) {
            Some(Literal::Number(v)) => Some(*v),
            _ => None,
        };
        let is_on = |key: &str| from.get(key) == Some(&Literal::Bool(true));
        let text = |key: &str| match from.get(key) {
            Some(Literal::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        let tile: Vec<usize> = match (from.get("convert_to_blocks"), extents) {
            (Some(Literal::List(blocks)), _) if blocks.len() == 3 => {
                blocks[1..].iter().map(|b| if let Literal::Number(n) = b { *n as usize } else { 0 }).collect()
            }
            (_, [_, rest @ ..]) if !rest.is_empty() => rest[rest.len().saturating_sub(2)..].to_vec(),
            (_, [n]) => vec![*n],
            _ => Vec::new(),
        };
        to.set("convert_to_blocks", "tile", format!("{tile:?}"), from);
        let features: usize = tile.iter().product();
        if let Some(ratio) = number("compression_ratio").filter(|r| *r >= 1.0) {
            let latents = ((features as f64 / ratio).ceil() as usize).max(1);
            to.set("compression_ratio", "latents", latents.to_string(), from);
            if text("model_name").is_some_and(|m| m.starts_with("Conv")) {
                to.notes.push(format!(
                    "compression_ratio = {ratio} is the ratio of values to latents; convolutions in Python Baler gave \
                     other numbers of latents than this asks for"
                ));
            }
        }
        if let Some(model) = text("model_name") {
            match architecture(model) {
                Some(name) => to.set("model_name", "architecture", format!("{name:?}"), from),
                None => to.notes.push(format!(
                    "model_name = {model:?} has no counterpart ({}); without the key the architecture is \"dense\"",
                    if model == "TransformerAE" {
                        "it could not be constructed"
                    } else {
                        "it is not one of its models"
                    }
                )),
            }
        }
        for (key, ours) in [("epochs", "epochs"), ("batch_size", "batch")] {
            if let Some(n) = number(key) {
                to.set(key, ours, format!("{}", n as u64), from);
            }
        }
        if let Some(rate) = number("lr") {
            to.set("lr", "learning_rate", float(rate), from);
        }
        if let Some(part) = number("test_size") {
            to.set("test_size", "validation", float(part), from);
            to.options.push(("test".into(), "0.0".into()));
        }
        if is_on("early_stopping") {
            let patience = number("early_stopping_patience").unwrap_or(100.0);
            to.set("early_stopping_patience", "early_stop", format!("{}", patience as u64), from);
            if let Some(delta) = number("min_delta") {
                to.set("min_delta", "min_delta", float(delta), from);
            }
        }
        if is_on("lr_scheduler") {
            to.set("lr_scheduler", "schedule", "\"plateau\"".into(), from);
            if let Some(patience) = number("lr_scheduler_patience") {
                to.set("lr_scheduler_patience", "plateau_patience", format!("{}", patience as u64), from);
            }
        } else {
            to.set("lr_scheduler", "schedule", "\"constant\"".into(), from);
        }
        match (from.get("custom_loss_function"), text("custom_loss_function")) {
            (_, Some("loss_function_swae")) => to.set("custom_loss_function", "loss", "\"swae\"".into(), from),
            (_, Some(other)) if !other.is_empty() => {
                to.notes.push(format!(
                    "custom_loss_function = {other:?} has no counterpart (only loss_function_swae was recognised); the \
                     loss is \"mse-sum\""
                ));
                to.options.push(("loss".into(), "\"mse-sum\"".into()));
            }
            _ => to.options.push(("loss".into(), "\"mse-sum\"".into())),
        }
        if is_on("intermittent_model_saving") {
            to.set("intermittent_model_saving", "checkpoint", "\"training.checkpoint\"".into(), from);
            if let Some(n) = number("intermittent_saving_patience") {
                to.set("intermittent_saving_patience", "checkpoint_epochs", format!("{}", n as u64), from);
            }
        }
        if is_on("save_error_bounded_deltas") {
            let percent = number("error_bounded_requirement").unwrap_or(1.0);
            to.compress.push(("bound".into(), "\"pw_rel\"".into()));
            to.compress.push(("value".into(), float(percent / 100.0)));
            to.taken.push((
                format!("error_bounded_requirement = {percent} (%)"),
                format!("[compress] bound = \"pw_rel\", value = {}", float(percent / 100.0)),
            ));
        } else {
            to.compress.push(("bound".into(), "\"latent\"".into()));
            to.taken
                .push(("save_error_bounded_deltas is off".into(), "[compress] bound = \"latent\": no bound".into()));
        }
        let taken: Vec<&str> = to.taken.iter().map(|(from, _)| from.split(' ').next().unwrap_or("")).collect();
        let mut notes = Vec::new();
        for key in from.keys().filter(|key| !taken.contains(&key.as_str()) && *key != "input_path") {
            if let Some((_, becomes)) = MAPPING.iter().find(|(name, _)| name == key) {
                if let Some(why) = becomes.strip_prefix("nothing: ") {
                    notes.push(format!("{key}: {why}"));
                }
            } else if !HLS4ML.contains(&key.as_str()) {
                notes.push(format!("{key}: not an option of Python Baler that is known here; left out"));
            }
        }
        if from.keys().any(|key| HLS4ML.contains(&key.as_str())) {
            notes.push(
                "options of hls4ml (Part, ClockPeriod, ...): hardware is made from the bundle's ONNX encoder, not by the \
                 project; see docs/architecture.md, folder fpga"
                    .into(),
            );
        }
        to.notes.extend(notes);
        Ok(to)
    }

    /// Takes an option over, where it is there or follows from the data.
    fn set(&mut self, key: &str, ours: &str, value: String, from: &BTreeMap<String, Literal>) {
        let source = match from.get(key) {
            Some(literal) => format!("{key} = {}", show(literal)),
            None => format!("{key} is not set"),
        };
        self.taken.push((source, format!("{ours} = {value}")));
        self.options.push((ours.into(), value));
    }

    fn config(&self, name: &str, files: &Path, source: &Path, notes: &[String]) -> String {
        let lines = |pairs: &[(String, String)]| pairs.iter().map(|(k, v)| format!("{k} = {v}\n")).collect::<String>();
        let mut options = format!("# From {}:\n{}", source.display(), lines(&self.options));
        for note in notes {
            options += &format!("# note: {note}\n");
        }
        options.push('\n');
        let mut text = template(name, &options);
        text = text.replace("family = \"auto\"", "family = \"autoencoder\"");
        let files = toml::Value::Array(vec![files.display().to_string().into()]);
        text = text.replace("files = [\"data\"]", &format!("files = {files}"));
        let at = text.find("[compress]").unwrap_or(text.len());
        let (before, compress) = text.split_at(at);
        let mut compress = compress.to_owned();
        for (key, value) in &self.compress {
            let old = compress.lines().find(|l| l.starts_with(&format!("{key} ="))).unwrap_or_default().to_owned();
            compress = compress.replacen(&old, &format!("{key} = {value}"), 1);
        }
        format!("{before}{compress}")
    }
}

fn architecture(model: &str) -> Option<&'static str> {
    Some(match model {
        "AE" => "ae",
        "CFD_dense_AE" => "cfd-dense",
        "AE_Dropout_BN" => "ae-dropout-bn",
        "FPGA_prototype_model" => "fpga-prototype",
        "Conv_AE" => "conv2d",
        "Conv_AE_GDN" => "conv2d-gdn",
        "Conv_AE_3D" => "conv3d",
        "PJ_Conv_AE" => "pj-conv",
        _ => return None,
    })
}

/// `*_config.py` of a project, wherever in it the path points.
fn config_file(path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    for folder in [path.join("config"), path.to_owned()] {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let is_config = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().ends_with("_config.py"));
        let mut found: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(is_config).collect();
        found.sort();
        match &found[..] {
            [] => {}
            [one] => return Ok(one.clone()),
            more => {
                return Err(Failure::usage(format!(
                    "{}: {} files *_config.py: name one of them",
                    folder.display(),
                    more.len()
                )));
            }
        }
    }
    Err(Failure::usage(format!(
        "{}: no *_config.py here or in its folder config: expected a project of Python Baler",
        path.display()
    )))
}

fn project_name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.strip_suffix("_config").unwrap_or(&stem);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.chars().map(|c| if plain(c) { c } else { '-' }).take(64).collect()
}

/// WORKSPACE of `WORKSPACE/PROJECT/config/PROJECT_config.py`.
fn python_workspace(file: &Path) -> Option<&Path> {
    file.parent()?.parent()?.parent()
}

/// The file that `input_path` names. It was relative to where `baler` was run: some folder above the project.
fn find_data(options: &BTreeMap<String, Literal>, file: &Path) -> Result<PathBuf> {
    let Some(Literal::Text(input)) = options.get("input_path") else {
        return Err(Failure::usage(format!(
            "{}: no line `c.input_path = \"...\"` that names the data",
            file.display()
        )));
    };
    let absolute = std::path::absolute(file).in_file(file)?;
    let workspace_data = python_workspace(&absolute).map(|w| w.join("data"));
    let name = Path::new(input).file_name().unwrap_or_default();
    let beside = workspace_data.iter().map(|data| data.join(name));
    let candidates = absolute.ancestors().skip(1).map(|folder| folder.join(input)).chain(beside);
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Failure::runtime(format!(
            "{}: the data {input:?} are not there, neither from a folder above the project nor in its workspace's data",
            file.display()
        ))
    })
}

/// Shape of the array `data`, or of the only one.
fn extents(data: &Path) -> Result<Vec<usize>> {
    let source = open(data)?;
    let arrays = source.arrays();
    let array: Option<&Array> = arrays.iter().find(|a| a.shown_name() == "data").or(arrays.first());
    let array = array.ok_or_else(|| Failure::usage(format!("{}: no array of numbers", data.display())))?;
    Ok(array.shape.iter().map(|&n| n as usize).collect())
}

/// The options, and the lines that set one to something which is no literal.
fn parse(text: &str) -> (BTreeMap<String, Literal>, Vec<String>) {
    let (mut options, mut not_understood) = (BTreeMap::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = without_comment(line).trim().to_owned();
        // A list over several lines.
        while line.contains('=') && open_brackets(&line) > 0 {
            let Some(more) = lines.next() else { break };
            line.push(' ');
            line.push_str(without_comment(more).trim());
        }
        let Some((target, value)) = line.split_once('=') else { continue };
        let target = target.split(':').next().unwrap_or(target).trim();
        let Some((object, key)) = target.split_once('.') else { continue };
        let is_name = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name(object) || !is_name(key) || value.starts_with('=') {
            continue;
        }
        match literal(value.trim()) {
            Some(value) => {
                options.insert(key.to_owned(), value);
            }
            None => not_understood.push(line),
        }
    }
    (options, not_understood)
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (i, c) in line.char_indices() {
        match (c, quote) {
            (_, Some(q)) if c == q => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('#', None) => return &line[..i],
            _ => {}
        }
    }
    line
}

/// Brackets that a line opens and does not close, outside of quotes.
fn open_brackets(line: &str) -> i32 {
    let (mut depth, mut quote) = (0, None);
    for c in line.chars() {
        match (c, quote) {
            (_, Some(q)) if c == q => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('[' | '(', None) => depth += 1,
            (']' | ')', None) => depth -= 1,
            _ => {}
        }
    }
    depth
}

/// A number, truth value, text or list of those.
fn literal(text: &str) -> Option<Literal> {
    let text = text.trim();
    match text {
        "True" => return Some(Literal::Bool(true)),
        "False" => return Some(Literal::Bool(false)),
        "None" => return Some(Literal::None),
        _ => {}
    }
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return (!inner.contains([quote, '\\'])).then(|| Literal::Text(inner.to_owned()));
        }
    }
    let inside = |open, close| text.strip_prefix(open).and_then(|t: &str| t.strip_suffix(close));
    if let Some(inner) = inside('[', ']').or_else(|| inside('(', ')')) {
        let items = inner.split(',').map(str::trim).filter(|item| !item.is_empty());
        return items.map(literal).collect::<Option<Vec<_>>>().map(Literal::List);
    }
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    text.replace('_', "").parse().ok().filter(|v: &f64| starts && v.is_finite()).map(Literal::Number)
}

fn show(literal: &Literal) -> String {
    match literal {
        Literal::Number(v) => v.to_string(),
        Literal::Bool(true) => "True".into(),
        Literal::Bool(false) => "False".into(),
        Literal::Text(text) => format!("{text:?}"),
        Literal::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Literal::None => "None".into(),
    }
}

/// A number that TOML takes for a float.
fn float(v: f64) -> String {
    format!("{v:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_is_read_as_text() {
        let text = "# comment\ndef set_config(c):\n    c.epochs = 25  # passes\n    c.lr=1e-3\n    c.name = 'a # b'\n    \
                    config.blocks: list = [1,\n        25, 25]\n    c.flag = True\n    c.path = os.getcwd()\n    if c.x == 3:\n        pass\n    c.big = 1_000\n";
        let (options, not_understood) = parse(text);
        assert_eq!(options["epochs"], Literal::Number(25.0));
        assert_eq!(options["lr"], Literal::Number(1e-3));
        assert_eq!(options["name"], Literal::Text("a # b".into()));
        assert_eq!(options["blocks"], Literal::List([1.0, 25.0, 25.0].map(Literal::Number).to_vec()));
        assert_eq!((&options["flag"], &options["big"]), (&Literal::Bool(true), &Literal::Number(1000.0)));
        assert_eq!(not_understood, ["c.path = os.getcwd()"]);
        assert!(!options.contains_key("x"));
    }

    #[test]
    fn odd_literals_are_not_understood() {
        for text in ["", "inf", "nan", "a", "[1, a]", "'a' + 'b'", "\"a\\n\"", "1 + 2", "{}"] {
            assert_eq!(literal(text), None, "{text}");
        }
    }
}
