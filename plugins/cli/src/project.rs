//! Projects: a folder with data and a `config.toml`, and the commands that run from it.
//!
//! ```text
//! WORKSPACE/data/                    what is trained on and compressed
//! WORKSPACE/PROJECT/config.toml      every option, with its meaning
//! WORKSPACE/PROJECT/output/          PROJECT.bundle, PROJECT.train.json, report.html
//!                         compressed/ decompressed/ tables/
//! ```
//!
//! `--project WORKSPACE PROJECT` stands for the arguments that the configuration holds: the command line is written out in
//! full, shown, and run as any other. So a project can do nothing that the commands cannot.

use crate::failure::{Failure, InFile, Result};
use crate::format::{Format, files};
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The configuration's file name.
pub const CONFIG: &str = "config.toml";

/// Commands that have a project form.
const COMMANDS: [&str; 7] = ["train", "compress", "decompress", "verify", "report", "diagnose", "info"];

/// `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    data: DataConfig,
    train: TrainConfig,
    compress: CompressConfig,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DataConfig {
    /// Files and folders, relative to the workspace.
    files: Vec<PathBuf>,
    array: String,
    columns: Vec<String>,
    max_rows: u64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { files: vec!["data".into()], array: String::new(), columns: Vec::new(), max_rows: 0 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TrainConfig {
    mode: String,
    family: String,
    train_part: Option<f64>,
    train_rows: String,
    /// Read by `baler train --config`.
    options: toml::Table,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CompressConfig {
    bound: String,
    value: f64,
    columns: bool,
    model: String,
    effort: String,
}

impl Default for CompressConfig {
    fn default() -> Self {
        Self { bound: "rel".into(), value: 1e-3, columns: false, model: "own".into(), effort: "default".into() }
    }
}

/// A project that is there.
struct Project {
    workspace: PathBuf,
    name: String,
    config: Config,
}

/// Command lines in the place of one with `--project WORKSPACE PROJECT`; any other is handed back as it is.
pub fn expand(line: Vec<OsString>) -> Result<Vec<Vec<OsString>>> {
    let Some(at) = line.iter().position(|a| a == "--project") else { return Ok(vec![line]) };
    let Some(command) = line.get(1).filter(|c| COMMANDS.iter().any(|known| c == known)) else {
        return Err(Failure::usage(format!(
            "--project goes with a command, before it nothing else: baler COMMAND --project WORKSPACE PROJECT; COMMAND is one of {}",
            COMMANDS.join(", ")
        )));
    };
    let [workspace, name] = line.get(at + 1..at + 3).unwrap_or_default() else {
        return Err(Failure::usage("--project needs two names: --project WORKSPACE PROJECT"));
    };
    let project = Project::open(Path::new(workspace), &name.to_string_lossy())?;
    let extra: Vec<OsString> = line[2..at].iter().chain(&line[at + 3..]).cloned().collect();
    let mut lines = project.lines(&command.to_string_lossy())?;
    let has_force = extra.iter().any(|a| a == "--force" || a == "-f");
    for arguments in &mut lines {
        // What a project makes it may make again.
        if !has_force && !matches!(&*arguments[0].to_string_lossy(), "verify" | "info" | "diagnose") {
            arguments.push("--force".into());
        }
        arguments.extend(extra.iter().cloned());
        arguments.insert(0, line[0].clone());
    }
    Ok(lines)
}

/// A command line as one would type it.
pub fn shown(line: &[OsString]) -> String {
    let words = line.iter().skip(1).map(|word| {
        let word = word.to_string_lossy();
        if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }
    });
    format!("baler {}", words.collect::<Vec<_>>().join(" "))
}

impl Project {
    fn open(workspace: &Path, name: &str) -> Result<Self> {
        let path = workspace.join(name).join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Failure::runtime(format!(
                "cannot read {}: {e}; `baler new {} {name}` makes a project",
                path.display(),
                workspace.display()
            ))
        })?;
        let config = toml::from_str(&text).map_err(|e| Failure::usage(e.to_string().trim_end())).in_file(&path)?;
        Ok(Self { workspace: workspace.to_owned(), name: name.to_owned(), config })
    }

    fn output(&self, name: impl AsRef<Path>) -> PathBuf {
        self.workspace.join(&self.name).join("output").join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.output(format!("{}.bundle", self.name))
    }

    /// The data, folders opened up.
    fn data(&self) -> Result<Vec<PathBuf>> {
        let paths: Vec<PathBuf> = self.config.data.files.iter().map(|f| self.workspace.join(f)).collect();
        if paths.is_empty() {
            return Err(Failure::usage(format!("{CONFIG} names no data: files = [] under [data]")));
        }
        files(&paths)
    }

    /// What is compressed: the data, tables in text or Parquet converted first.
    fn plain(&self) -> Result<Vec<(PathBuf, Option<PathBuf>)>> {
        let convert = |file: PathBuf| {
            let table = matches!(Format::of_file(&file), Ok(Format::Csv | Format::Parquet));
            match table {
                true => (self.output("tables").join(stem(&file)).with_extension("npz"), Some(file)),
                false => (file, None),
            }
        };
        Ok(self.data()?.into_iter().map(convert).collect())
    }

    fn lines(&self, command: &str) -> Result<Vec<Vec<OsString>>> {
        let Config { data, train, compress } = &self.config;
        let compressed = |file: &Path| self.output("compressed").join(format!("{}.baler", stem(file)));
        let mut lines = Vec::new();
        match command {
            "train" => {
                let mut line = Line::new("train");
                self.data()?.iter().for_each(|file| line.push(file));
                line.option("-o", self.bundle()).option("--name", &self.name);
                line.option("--config", self.workspace.join(&self.name).join(CONFIG));
                line.given("--array", &data.array).given("--columns-named", &data.columns.join(","));
                if data.max_rows > 0 {
                    line.option("--max-rows", data.max_rows.to_string());
                }
                match train.mode.as_str() {
                    "" | "auto" => {}
                    mode @ ("online" | "offline") => line.push(format!("--{mode}")),
                    mode => {
                        return Err(Failure::usage(format!(
                            "{CONFIG}: mode = {mode:?} under [train]: expected \"auto\", \"online\" or \"offline\""
                        )));
                    }
                }
                if train.family != "auto" {
                    line.given("--family", &train.family);
                }
                if let Some(part) = train.train_part {
                    line.option("--train-part", part.to_string());
                }
                line.given("--train-rows", &train.train_rows);
                lines.push(line.0);
            }
            "compress" => {
                self.refuse_untrained()?;
                for (file, table) in self.plain()? {
                    if let Some(table) = table {
                        let mut line = Line::new("convert");
                        line.push(table);
                        line.push(&file);
                        line.given("--columns-named", &data.columns.join(","));
                        lines.push(line.0);
                    }
                    let mut line = Line::new("compress");
                    line.push(&file);
                    line.push(compressed(&file));
                    match compress.bound.as_str() {
                        "lossless" | "latent" => line.push(format!("--{}", compress.bound)),
                        "abs" | "rel" | "pw_rel" | "psnr" => {
                            line.option(&format!("--{}", compress.bound.replace('_', "-")), compress.value.to_string());
                        }
                        other => {
                            return Err(Failure::usage(format!(
                                "{CONFIG}: bound = {other:?} under [compress]: expected \"abs\", \"rel\", \"pw_rel\", \
                                 \"psnr\", \"lossless\" or \"latent\""
                            )));
                        }
                    }
                    if compress.columns {
                        line.push("--columns");
                    }
                    match compress.model.as_str() {
                        "own" => line.option("--model", self.bundle()),
                        other => line.option("--model", other),
                    };
                    line.option("--effort", &compress.effort).given("--array", &data.array);
                    lines.push(line.0);
                }
            }
            "decompress" | "verify" | "report" => {
                for (file, _) in self.plain()? {
                    let packed = compressed(&file);
                    if !packed.exists() {
                        return Err(Failure::runtime(format!(
                            "{} is not there: `baler compress --project {} {}` makes it",
                            packed.display(),
                            self.workspace.display(),
                            self.name
                        )));
                    }
                    let mut line = Line::new(command);
                    if command == "decompress" {
                        line.push(&packed);
                        line.push(self.output("decompressed").join(file.file_name().unwrap_or_default()));
                    } else {
                        line.push(&file);
                        line.push(&packed);
                    }
                    if command == "report" {
                        line.option("-o", self.output(format!("{}.html", stem(&file))));
                        let log = self.bundle().with_extension("train.json");
                        if log.exists() {
                            line.option("--training", log);
                        }
                    }
                    lines.push(line.0);
                }
            }
            "diagnose" => {
                self.refuse_untrained()?;
                let mut line = Line::new("diagnose");
                line.push(self.bundle());
                self.data()?.iter().for_each(|file| line.push(file));
                line.given("--array", &data.array).given("--columns-named", &data.columns.join(","));
                line.option("--svg", self.output("diagnose.svg"));
                lines.push(line.0);
            }
            _ => {
                let mut made = vec![self.bundle()];
                made.extend(self.plain()?.iter().map(|(file, _)| compressed(file)));
                for file in made.iter().filter(|file| file.exists()) {
                    let mut line = Line::new("info");
                    line.push(file);
                    lines.push(line.0);
                }
                if lines.is_empty() {
                    self.refuse_untrained()?;
                }
            }
        }
        Ok(lines)
    }

    fn refuse_untrained(&self) -> Result<()> {
        if self.config.compress.model == "own" && !self.bundle().exists() {
            return Err(Failure::runtime(format!(
                "{} is not there: `baler train --project {} {}` makes it",
                self.bundle().display(),
                self.workspace.display(),
                self.name
            )));
        }
        Ok(())
    }
}

/// A command line in the making.
struct Line(Vec<OsString>);

impl Line {
    fn new(command: &str) -> Self {
        Self(vec![command.into()])
    }

    fn push(&mut self, word: impl AsRef<Path>) {
        self.0.push(word.as_ref().as_os_str().to_owned());
    }

    fn option(&mut self, flag: &str, value: impl AsRef<Path>) -> &mut Self {
        self.push(flag);
        self.push(value);
        self
    }

    /// Only if it says something.
    fn given(&mut self, flag: &str, value: &str) -> &mut Self {
        if !value.is_empty() {
            self.option(flag, value);
        }
        self
    }
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        let line = words("baler compress a.npy b.baler --rel 1e-3");
        assert_eq!(expand(line.clone()).unwrap_or_else(|f| panic!("{}", f.message)), [line]);
        for line in ["baler simulate --project w p", "baler train --project w", "baler --project w p train"] {
            assert_eq!(expand(words(line)).unwrap_err().code, crate::failure::Code::Usage, "{line}");
        }
    }

    #[test]
    fn the_template_holds_the_defaults() {
        let config: Config = toml::from_str(&crate::new::template("p", "")).unwrap();
        let usual = Config::default();
        assert_eq!(format!("{:?}", config.data), format!("{:?}", usual.data));
        assert_eq!(format!("{:?}", config.compress), format!("{:?}", usual.compress));
        assert_eq!((&*config.train.mode, &*config.train.family), ("auto", "auto"));
    }
}
