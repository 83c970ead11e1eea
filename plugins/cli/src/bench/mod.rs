//! `baler bench`: ours and the compressors people use instead, on the same arrays, in one run.

mod ablate;
mod compare;
mod data;
mod held_out;
mod ours;
mod peers;
mod plot;
mod results;
mod table;

use crate::args::EffortArg;
use crate::failure::{Code, Failure, Result};
use crate::models::Models;
use crate::outcome::{Outcome, count};
use crate::output::{Output, refuse_overwrite};
use baler_codec::{Bound, Candidates, ModelChoice};
use clap::Args;
use data::{ColumnsArg, Part, Set};
use held_out::{Admitted, admit};
use peers::{Filter, Job, Python, dots};
use results::{Bench, BoundName, Failed, Machine, OURS, OURS_H5, SCHEMA, SetResults};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Measures ours and other compressors on arrays
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler bench field.npy                                 # rel 1e-2 to 1e-5, every peer\n  \
    baler bench runs/ --rel 1e-3 -o bench.json --plot rd.svg\n  \
    baler bench events.npz --model my.bundle --part last:0.5   # rows the model has not seen\n  \
    baler bench runs/ --peers none --baseline bench.json --compare bench.json\n\n\
    The peers need Python packages: python3 -m pip install numpy h5py hdf5plugin pysz zfpy pcodec fpzip zstandard \
    blosc2; what is missing is reported and left out. docs/benchmarks.md has the protocol.")]
pub struct BenchArgs {
    /// Files or folders of them: .npy, .npz, HDF5, netCDF-4, Parquet, .csv
    #[arg(required = true, value_name = "FILE_OR_FOLDER")]
    inputs: Vec<PathBuf>,
    /// Bounds relative to the range of the array, or of each column; 1e-2,1e-3,1e-4,1e-5 if no bound is named
    #[arg(long, value_name = "X,X", value_delimiter = ',')]
    rel: Vec<f64>,
    /// Absolute bounds
    #[arg(long, value_name = "X,X", value_delimiter = ',')]
    abs: Vec<f64>,
    /// No loss at all, too
    #[arg(long)]
    lossless: bool,
    /// Which arrays are tables: their columns have bounds of their own
    #[arg(long, value_enum, default_value_t = ColumnsArg::Auto)]
    columns: ColumnsArg,
    /// `auto` (every model that fits), `none`, the name or id of a model, or a .bundle file
    #[arg(long, value_name = "MODEL", default_value = "auto")]
    model: String,
    /// How long ours searches for the smallest encoding
    #[arg(long, value_enum, default_value_t = EffortArg::Default)]
    effort: EffortArg,
    /// Leave these candidates out of our auction; -v names them
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    without: Vec<String>,
    /// Ours once more without each candidate in turn: what it is worth
    #[arg(long)]
    ablate: bool,
    /// What each candidate alone would take, part by part
    #[arg(long, short)]
    verbose: bool,
    /// Only rows A to B - 1 (indices of the first axis), for ours and for the peers
    #[arg(long, value_name = "A..B", value_parser = Part::rows, conflicts_with = "part")]
    rows: Option<Part>,
    /// Only the first or the last part of the rows: last:0.5
    #[arg(long, value_name = "WHICH:SHARE", value_parser = Part::share)]
    part: Option<Part>,
    /// Measure models on what they were trained on, and mark the results
    #[arg(long)]
    allow_seen: bool,
    /// `all`, `none`, or names (as a --table shows them)
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', default_value = "all")]
    peers: Vec<String>,
    /// Take the peers' figures from an earlier run's file instead of running them
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// The Python to run the peers with; by default that of BALER_PYTHON, else python3
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Timings to take the median of
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeat: u16,
    /// Write the results here, as JSON
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output if it is there
    #[arg(long, short)]
    force: bool,
    /// Write rate and distortion of every codec here, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// An earlier run's file: exit code 1 if ours became larger by 0.5 % or slower by 20 %
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Ours through h5py and the HDF5 plugin, too
    #[cfg(feature = "hdf5")]
    #[arg(long)]
    through_h5: bool,
    /// Every codec, not only the best
    #[arg(long)]
    table: bool,
    /// Tables in Markdown
    #[arg(long)]
    markdown: bool,
}

impl BenchArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        for output in self.output.iter().chain(&self.plot) {
            refuse_overwrite(output, self.force)?;
        }
        let bounds = self.bounds()?;
        let baseline = self.baseline.as_deref().map(results::read).transpose()?;
        let before = self.compare.as_deref().map(results::read).transpose()?;
        let python = Python::choose(self.python.as_deref())?;
        let (models, choice) = Models::choose(&self.model)?;
        let part = self.rows.or(self.part).unwrap_or(Part::All);
        let mut bench = Bench { schema: SCHEMA.into(), machine: self.machine(), sets: Vec::new(), notes: Vec::new() };
        for file in crate::format::files(&self.inputs)? {
            for set in data::load(&file, part, self.columns)? {
                if !quiet {
                    eprint!("{} ", set.name);
                }
                let results =
                    self.set(&set, &bounds, (&models, choice), &python, baseline.as_ref(), &mut bench, quiet)?;
                bench.sets.push(results);
                if !quiet {
                    eprintln!();
                }
            }
        }
        let json = serde_json::to_string_pretty(&bench).map_err(|e| Failure::runtime(e.to_string()))?;
        self.write(self.output.as_deref(), &json)?;
        self.write(self.plot.as_deref(), &plot::svg(&bench.sets))?;
        let worse = before.map(|before| compare::regressions(&before, &bench, baseline.is_none())).unwrap_or_default();
        self.outcome(&bench, &worse)
    }

    fn write(&self, path: Option<&Path>, text: &str) -> Result<()> {
        let Some(path) = path else { return Ok(()) };
        let (output, mut file) = Output::create(path, self.force)?;
        file.write_all(text.as_bytes())?;
        output.commit()
    }

    fn bounds(&self) -> Result<Vec<Bound>> {
        let mut rel = self.rel.clone();
        if rel.is_empty() && self.abs.is_empty() && !self.lossless {
            rel = vec![1e-2, 1e-3, 1e-4, 1e-5];
        }
        let mut bounds: Vec<Bound> = rel.into_iter().map(Bound::Rel).collect();
        bounds.extend(self.abs.iter().copied().map(Bound::Abs));
        bounds.extend(self.lossless.then_some(Bound::Lossless));
        bounds.iter().try_for_each(|b| b.validate())?;
        Ok(bounds)
    }

    /// Ours and the peers on one array.
    #[expect(clippy::too_many_arguments, reason = "what one run has in common; a struct would only rename it")]
    fn set(
        &self,
        set: &Set,
        bounds: &[Bound],
        (models, choice): (&Models, ModelChoice),
        python: &Python,
        baseline: Option<&Bench>,
        bench: &mut Bench,
        quiet: bool,
    ) -> Result<SetResults> {
        let admitted = admit(models, choice, set, self.allow_seen)?;
        bench.notes.extend(admitted.notes.iter().cloned());
        let mut found = SetResults {
            name: set.name.clone(),
            shape: set.array.shape.clone(),
            dtype: set.dtype().name().into(),
            columns: set.columns,
            rows: [set.rows.start, set.rows.end],
            raw_bytes: set.value_bytes(),
            ..SetResults::default()
        };
        let mut dot = dots(quiet);
        for &bound in bounds {
            self.ours(set, bound, &admitted, &mut found)?;
            dot(OURS);
        }
        if let Some(baseline) = baseline {
            take_peers(baseline, &mut found, &mut bench.notes);
        }
        let all = self.peers == ["all"];
        let names = match baseline {
            None if all => None,
            None if self.peers != ["none"] => Some(&self.peers[..]),
            _ => Some(&[][..]),
        };
        let filter = self.filter(bounds, set, &admitted, models)?;
        if names == Some(&[]) && filter.is_none() {
            return Ok(found);
        }
        // What loses nothing keeps every bound: it has to be measured to be the best at any.
        let mut all_bounds = bounds.to_vec();
        if !bounds.contains(&Bound::Lossless) {
            all_bounds.push(Bound::Lossless);
        }
        match python.measure(&Job { set, bounds: &all_bounds, names, repeat: self.repeat.into(), filter }, &mut dot) {
            Ok(peers) => {
                for mut result in peers.results {
                    // The plugin holds the same auction; the reader in Python cannot see who won.
                    if let Some(ours) = found.ours(&result.bound).filter(|_| result.codec == OURS_H5) {
                        result.with_model_of(ours);
                    }
                    found.results.push(result);
                }
                found.failed.extend(peers.failed);
                bench.machine.packages.extend(peers.packages);
            }
            Err(failure) if all => bench.notes.push(format!("{}: no peers: {}", set.name, failure.message)),
            Err(failure) => return Err(failure),
        }
        Ok(found)
    }

    fn ours(&self, set: &Set, bound: Bound, admitted: &Admitted, found: &mut SetResults) -> Result<()> {
        let candidates = self.without.iter().try_fold(Candidates::default(), |all, name| all.without(name))?;
        let settings = ours::Settings {
            explain: self.verbose,
            effort: self.effort.into(),
            candidates,
            repeat: self.repeat.into(),
        };
        match ours::measure(set, bound, admitted, &settings) {
            Ok(measured) => {
                if self.ablate {
                    found.ablation.extend(ablate::ablate(set, bound, admitted, &settings, &measured)?);
                }
                found.results.push(measured);
            }
            // A model that does not fit this array is a result like a peer's.
            Err(f) if f.code == Code::Usage || f.code == Code::Model => found.failed.push(Failed {
                codec: OURS.into(),
                bound: bound.into(),
                status: "n/a".into(),
                why: f.message,
            }),
            Err(f) => return Err(f.context(&set.name)),
        }
        Ok(())
    }

    /// Our filter for h5py, if it was asked for.
    #[cfg(feature = "hdf5")]
    fn filter(&self, bounds: &[Bound], set: &Set, admitted: &Admitted, models: &Models) -> Result<Option<Filter>> {
        if !self.through_h5 {
            return Ok(None);
        }
        // The plugin finds models by itself: where one has to stay out, all do.
        let model = if admitted.notes.is_empty() { admitted.choice } else { ModelChoice::None };
        let words = |&bound: &Bound| {
            let request = baler_hdf5::cd_values::Request {
                per_column: set.columns,
                model,
                effort: self.effort.into(),
                ..baler_hdf5::cd_values::Request::new(bound)
            };
            request.to_words()
        };
        let mut environment = vec![("HDF5_PLUGIN_PATH", crate::h5::plugin_folder()?)];
        environment.extend(models.folder.clone().map(|folder| (baler_models::zoo::PATH_VARIABLE, folder)));
        let cd_values = bounds.iter().map(words).collect::<std::result::Result<_, _>>()?;
        Ok(Some(Filter { id: baler_hdf5::FILTER_ID, cd_values, environment }))
    }

    #[cfg(not(feature = "hdf5"))]
    fn filter(&self, _: &[Bound], _: &Set, _: &Admitted, _: &Models) -> Result<Option<Filter>> {
        Ok(None)
    }

    fn machine(&self) -> Machine {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split_once(": "));
        Machine {
            processor: model.map_or(std::env::consts::ARCH, |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            system: std::env::consts::OS.into(),
            baler: env!("CARGO_PKG_VERSION").into(),
            model: self.model.clone(),
            effort: format!("{:?}", self.effort).to_lowercase(),
            packages: Default::default(),
        }
    }

    fn outcome(&self, bench: &Bench, worse: &[String]) -> Result<Outcome> {
        let style = if self.markdown { table::Style::Markdown } else { table::Style::Text };
        let mut text = table::summary(bench, style);
        if self.ablate {
            text += &format!("\n\n{}", ablate::summary(bench));
        }
        if self.table || self.verbose {
            text = format!("{}\n{text}", table::details(bench, style).trim_start());
        }
        if let Some(old) = &self.compare {
            let count = count(worse.len() as u64, "result");
            text += &format!("\n{count} worse than in {}", old.display());
            worse.iter().for_each(|line| text += &format!("\n  {line}"));
        }
        let mut json = serde_json::to_value(bench).map_err(|e| Failure::runtime(e.to_string()))?;
        if self.compare.is_some() {
            json["worse"] = worse.into();
        }
        let mut outcome = Outcome::new(text, json);
        if bench.sets.iter().flat_map(|s| &s.results).any(|r| r.is_ours() && !r.is_sound()) {
            outcome.failed = Some(Code::BoundBroken);
        } else if !worse.is_empty() {
            outcome.failed = Some(Code::Runtime);
        }
        Ok(outcome)
    }
}

/// The peers' results for the same array from another run.
fn take_peers(baseline: &Bench, found: &mut SetResults, notes: &mut Vec<String>) {
    let Some(other) = baseline.sets.iter().find(|s| s.name == found.name) else {
        notes.push(format!("{}: not in the baseline", found.name));
        return;
    };
    let what = |s: &SetResults| {
        let columns = if s.columns { ", by column" } else { "" };
        format!("rows {}..{} of {:?} {}{columns}", s.rows[0], s.rows[1], s.shape, s.dtype)
    };
    if what(other) != what(found) {
        notes.push(format!(
            "{}: the baseline has {}, this is {}: its peers are left out",
            found.name,
            what(other),
            what(found)
        ));
        return;
    }
    let wanted: Vec<BoundName> = found.bounds();
    let of_use = |bound: &BoundName| wanted.contains(bound) || bound.kind == "lossless";
    found.results.extend(other.results.iter().filter(|r| !r.is_ours() && of_use(&r.bound)).cloned());
    found.failed.extend(other.failed.iter().filter(|f| of_use(&f.bound)).cloned());
}
