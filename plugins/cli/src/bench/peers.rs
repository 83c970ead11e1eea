//! The other compressors, measured by `peers.py` in the user's Python.

use super::data::Set;
use super::results::{BoundName, Failed, Measured};
use crate::check::Ranges;
use crate::failure::{Failure, Result};
use crate::format::Sink;
use crate::format::npy::NpySink;
use baler_codec::Bound;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const SCRIPT: &str = include_str!("peers.py");
/// Which Python, where `--python` does not say.
const PYTHON_VARIABLE: &str = "BALER_PYTHON";
/// HDF5 chunks of the peers that are filters.
const CHUNK_MIB: u64 = 4;
/// Seconds one peer may take for one bound.
const TIMEOUT_S: u64 = 600;

/// A Python and the script, on disk for as long as this lives.
pub struct Python {
    program: PathBuf,
    folder: TempDir,
}

/// What to run on one array.
pub struct Job<'a> {
    pub set: &'a Set,
    pub bounds: &'a [Bound],
    /// `None`: all of them.
    pub names: Option<&'a [String]>,
    pub repeat: usize,
    /// Our own filter through h5py: its parameters for each of the first bounds.
    pub filter: Option<Filter>,
}

/// Our HDF5 filter.
pub struct Filter {
    pub id: i32,
    pub cd_values: Vec<Vec<u32>>,
    /// Folders of the plugin and of the model.
    pub environment: Vec<(&'static str, PathBuf)>,
}

/// What came back for one array.
#[derive(Default)]
pub struct Found {
    pub results: Vec<Measured>,
    pub failed: Vec<Failed>,
    /// Versions of the Python packages.
    pub packages: BTreeMap<String, String>,
}

/// A line of the script.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Versions { versions: BTreeMap<String, String> },
    Ok(Box<OkLine>),
    Failed(Failed),
}

#[derive(Deserialize)]
struct OkLine {
    codec: String,
    bound: BoundName,
    bytes: u64,
    ratio: f64,
    encode_mb_s: Option<f64>,
    decode_mb_s: Option<f64>,
    error_over_bound: Option<f64>,
    bound_kept: bool,
    non_finite_kept: Option<bool>,
    psnr: Option<f64>,
}

impl Python {
    /// `--python`, else `BALER_PYTHON`, else `python3`.
    pub fn choose(named: Option<&Path>) -> Result<Self> {
        let variable = std::env::var_os(PYTHON_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
        let program = named.map(Path::to_owned).or(variable).unwrap_or_else(|| "python3".into());
        let folder = tempfile::Builder::new().prefix("baler-bench-").tempdir()?;
        std::fs::write(folder.path().join("peers.py"), SCRIPT)?;
        Ok(Self { program, folder })
    }

    /// Measures one array; `progress` is told each result.
    pub fn measure(&self, job: &Job<'_>, progress: &mut dyn FnMut(&str)) -> Result<Found> {
        let array = self.folder.path().join("array.npy");
        write_npy(job.set, &array)?;
        let mut ranges = Ranges::new(&job.set.array, job.set.columns);
        ranges.add(&job.set.values);
        let bounds: Vec<Value> = job
            .bounds
            .iter()
            .enumerate()
            .map(|(i, &bound)| {
                let absolute: Vec<f64> = (0..ranges.n_columns())
                    .map(|column| match bound {
                        Bound::Rel(rel) => ranges.share(column, rel),
                        Bound::Abs(abs) => abs,
                        _ => 0.0,
                    })
                    .collect();
                let mut named = json!(BoundName::from(bound));
                named["absolute"] = json!(absolute);
                if let Some(words) = job.filter.as_ref().and_then(|f| f.cd_values.get(i)) {
                    named["cd_values"] = json!(words);
                }
                named
            })
            .collect();
        let text = json!({
            "array": array,
            "columns": job.set.columns,
            "bounds": bounds,
            "peers": job.names,
            "repeat": job.repeat,
            "timeout_s": TIMEOUT_S,
            "chunk_mib": CHUNK_MIB,
            "scratch": self.folder.path(),
            "filter": job.filter.as_ref().map(|f| f.id),
        });
        let file = self.folder.path().join("job.json");
        std::fs::write(&file, text.to_string())?;
        let environment = job.filter.as_ref().map_or(&[][..], |f| &f.environment);
        let mut found = Found::default();
        self.lines(&["run".into(), file.into_os_string()], environment, &mut |line| match line {
            Line::Versions { versions } => found.packages = versions,
            Line::Ok(ok) => {
                progress(&ok.codec);
                found.results.push(ok.measured());
            }
            Line::Failed(failed) => {
                progress(&failed.codec);
                found.failed.push(failed);
            }
        })?;
        Ok(found)
    }

    /// Runs the script and hands out its lines.
    fn lines(
        &self,
        arguments: &[std::ffi::OsString],
        environment: &[(&str, PathBuf)],
        with: &mut dyn FnMut(Line),
    ) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg(self.folder.path().join("peers.py")).args(arguments);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| {
            Failure::runtime(format!(
                "{} cannot be run: {e}; name a Python with --python or {PYTHON_VARIABLE}, or --peers none",
                self.program.display()
            ))
        })?;
        // Whatever libraries print must not fill the pipe and stop the script.
        let errors = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stderr.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
            let line = line?;
            let parsed = serde_json::from_str(&line);
            with(parsed.map_err(|e| Failure::runtime(format!("peers.py printed {line:?}: {e}")))?);
        }
        let status = child.wait()?;
        let errors = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        let last = errors.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it gave no reason");
        Err(Failure::runtime(format!("{} peers.py ({status}): {last}", self.program.display())))
    }
}

impl OkLine {
    fn measured(self) -> Measured {
        Measured {
            codec: self.codec,
            bound: self.bound,
            bytes: self.bytes,
            model_bytes: 0,
            ratio: self.ratio,
            ratio_with_model: self.ratio,
            encode_mb_s: self.encode_mb_s,
            decode_mb_s: self.decode_mb_s,
            error_over_bound: self.error_over_bound,
            bound_kept: self.bound_kept,
            non_finite_kept: self.non_finite_kept,
            psnr: self.psnr,
            seen: None,
            candidates: BTreeMap::new(),
            models: Vec::new(),
            auction: Vec::new(),
        }
    }
}

fn write_npy(set: &Set, path: &Path) -> Result<()> {
    let mut array = set.array.clone();
    // As the values lie in memory: what all codecs here are given.
    array.reversed_axes = false;
    let mut sink = Box::new(NpySink::create(path, true)?);
    sink.array(&array)?;
    sink.values(&set.values)?;
    sink.finish()
}

/// The progress of a run where nobody draws bars: one dot a result.
pub fn dots(quiet: bool) -> impl FnMut(&str) {
    move |_| {
        if !quiet {
            eprint!(".");
            let _ = std::io::stderr().flush();
        }
    }
}
