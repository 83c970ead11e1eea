//! `baler verify`: reads both files again and checks the bound without the encoder's help.

use crate::args::{BoundArgs, FileArgs, ThreadArgs, fill_value};
use crate::check::{Checker, Ranges, Verdict};
use crate::compress::bound_json;
use crate::failure::{Code, Failure, InFile, Result};
use crate::format::baler::{Event, visit};
use crate::format::{Array, Promise, Source, for_each_block, open};
use crate::models::Models;
use crate::outcome::{Outcome, number};
use crate::progress::Progress;
use baler_codec::Bound;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

/// Checks that a compressed file keeps its bound
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler verify field.npy field.baler             # against the bound in the file\n  \
    baler verify run.h5 run-small.h5 --rel 1e-3    # against a bound of your own\n  \
    baler verify field.npy restored.npy --abs 0.01\n\n\
    Exit code 0: kept; 3: broken. Comparisons are exact; NaN, infinities, -0.0 and fill values must come back bit for \
    bit.")]
pub struct VerifyArgs {
    /// What was compressed: .npy, .npz, .h5 or .nc
    original: PathBuf,
    /// What it became: .baler, .h5, or any of the plain formats
    compressed: PathBuf,
    #[command(flatten)]
    bound: BoundArgs,
    /// The last axis holds the columns of a table
    #[arg(long)]
    columns: bool,
    /// The fill value that was declared
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    fill: Option<String>,
    #[command(flatten)]
    threads: ThreadArgs,
    /// Only this array; may be repeated
    #[arg(long = "array", value_name = "NAME")]
    arrays: Vec<String>,
}

impl VerifyArgs {
    pub fn run(&self, quiet: bool) -> Result<Outcome> {
        let asked = match self.bound.optional()? {
            Some(bound) => Some(Promise { bound, per_column: self.columns }),
            None if self.columns => return Err(Failure::usage("--columns goes with a bound, as --rel 1e-3 --columns")),
            None => None,
        };
        let files = FileArgs { force: false, arrays: self.arrays.clone() };
        let comparison = Comparison {
            original: &self.original,
            compressed: &self.compressed,
            files: &files,
            models: &Models::standard(),
            fill: self.fill.as_deref(),
            threads: self.threads.n_threads(),
            quiet,
        };
        let checks = comparison.run(&|_| asked, None)?;
        Ok(report(&self.original, &self.compressed, &checks))
    }
}

/// One array's outcome.
pub struct ArrayCheck {
    /// As the original has it, with the fill value that counts.
    pub array: Array,
    pub promise: Promise,
    pub verdict: Verdict,
}

/// What [`Comparison::run`] goes through, for who wants to see more of it than the verdict.
pub enum Seen<'a> {
    /// An array begins. `source` and `i` are where the original is.
    Array { source: &'a dyn Source, i: usize, array: &'a Array, decoded: &'a Array, ranges: &'a Ranges },
    /// The same values of both, whole rows.
    Values { original: &'a [u8], decoded: &'a [u8] },
    /// Chunks and models of the compressed file.
    Stored(&'a Event<'a>),
}

/// A look at what is compared.
pub type Watch<'a> = &'a mut dyn FnMut(Seen<'_>) -> Result<()>;

/// Two files to compare.
pub struct Comparison<'a> {
    pub original: &'a Path,
    pub compressed: &'a Path,
    /// Which arrays.
    pub files: &'a FileArgs,
    /// What decodes.
    pub models: &'a Models,
    /// The fill value that was declared, where the files do not say.
    pub fill: Option<&'a str>,
    pub threads: usize,
    pub quiet: bool,
}

impl Comparison<'_> {
    /// Compares every array of `compressed` with its namesake in `original`, under the bound that `asked` gives or the file
    /// promises.
    pub fn run(
        &self,
        asked: &dyn Fn(&Array) -> Option<Promise>,
        mut watch: Option<Watch<'_>>,
    ) -> Result<Vec<ArrayCheck>> {
        let &Self { original, compressed, files, models, fill, threads, quiet } = self;
        let source = open(original)?;
        files.check_names(source.arrays())?;
        let wanted: Vec<usize> = (0..source.arrays().len()).filter(|&i| files.wants(&source.arrays()[i])).collect();
        let total: u64 = wanted.iter().map(|&i| source.arrays()[i].value_bytes()).sum();
        let mut progress = Progress::new("verifying", total, quiet);
        let mut checks: Vec<ArrayCheck> = Vec::new();
        let mut seen = Vec::new();
        // The compressed side sets the pace; the original is read beside it by a thread of its own.
        let mut current: Option<(Checker, ArrayCheck, Beside)> = None;
        std::thread::scope(|scope| {
            let result = visit(compressed, models, threads, &mut |event| {
                match event {
                    Event::Array(decoded) => {
                        finish(&mut current, &mut checks).in_file(original)?;
                        let Some(i) = namesake(source.arrays(), decoded, &wanted) else { return Ok(()) };
                        seen.push(i);
                        let mut array = source.arrays()[i].clone();
                        if (array.dtype, &array.shape) != (decoded.dtype, &decoded.shape) {
                            return Err(Failure::damaged(format!(
                                "{}: {} where the original has {}",
                                array.shown_name(),
                                decoded.describe(),
                                array.describe()
                            )));
                        }
                        array.fill = match fill {
                            Some(text) => Some(fill_value(text, array.dtype, array.byte_order)?),
                            None => array.fill.or_else(|| native_fill(decoded, source.arrays()[i].byte_order)),
                        };
                        let promise = asked(decoded).or(decoded.promise).ok_or_else(|| {
                            Failure::usage(format!(
                                "{} promises no bound for {:?}: name one, as --abs 0.01 or --lossless",
                                compressed.display(),
                                decoded.shown_name()
                            ))
                        })?;
                        let mut ranges = Ranges::new(&array, promise.per_column);
                        let needs_ranges =
                            matches!(promise.bound, Bound::Rel(_) | Bound::Psnr(_)) || promise.per_column;
                        if needs_ranges || watch.is_some() {
                            source.read(i, &mut |input| {
                                for_each_block(&array, input, &mut |block| {
                                    ranges.add(block);
                                    Ok(())
                                })
                            })?;
                        }
                        if let Some(watch) = &mut watch {
                            let source = &*source;
                            watch(Seen::Array { source, i, array: &array, decoded, ranges: &ranges })?;
                        }
                        let checker = Checker::new(&array, decoded.byte_order, promise.bound, ranges);
                        let check = ArrayCheck { array, promise, verdict: Verdict::default() };
                        let beside = Beside::start(scope, original.to_owned(), i);
                        current = Some((checker, check, beside));
                    }
                    Event::Values(decoded) => {
                        if let Some((checker, _, beside)) = &mut current {
                            let mut values = vec![0; decoded.len()];
                            beside.read_exact(&mut values)?;
                            checker.add(&values, decoded)?;
                            if let Some(watch) = &mut watch {
                                watch(Seen::Values { original: &values, decoded })?;
                            }
                            progress.add(decoded.len() as u64);
                        }
                    }
                    _ => {
                        // Chunks of arrays that are not compared are nobody's.
                        let is_wanted = current.is_some() || matches!(event, Event::Model { .. });
                        if let (Some(watch), true) = (&mut watch, is_wanted) {
                            watch(Seen::Stored(&event))?;
                        }
                    }
                }
                Ok(())
            });
            // Dropping the reader of a thread that still has values ends that thread.
            let finished = result.and_then(|()| finish(&mut current, &mut checks).in_file(original));
            current = None;
            finished
        })?;
        for &i in &wanted {
            if !seen.contains(&i) {
                return Err(Failure::damaged(format!(
                    "{}: array {:?} of the original is missing",
                    compressed.display(),
                    source.arrays()[i].shown_name()
                )));
            }
        }
        if checks.is_empty() {
            return Err(Failure::usage(format!("{}: no arrays of numbers to verify", original.display())));
        }
        Ok(checks)
    }
}

/// A fill value the compressed file declares, in the original's byte order.
fn native_fill(decoded: &Array, byte_order: baler_codec::ByteOrder) -> Option<Vec<u8>> {
    let mut fill = decoded.fill.clone()?;
    if decoded.byte_order != byte_order {
        fill.reverse();
    }
    Some(fill)
}

/// The array of the original that an array of the compressed file stands for: of the same name, or the only one.
fn namesake(originals: &[Array], decoded: &Array, wanted: &[usize]) -> Option<usize> {
    let by_name = wanted.iter().copied().find(|&i| originals[i].shown_name() == decoded.shown_name());
    match originals {
        [_] if by_name.is_none() => wanted.first().copied(),
        _ => by_name,
    }
}

fn finish(current: &mut Option<(Checker, ArrayCheck, Beside)>, checks: &mut Vec<ArrayCheck>) -> Result<()> {
    let Some((checker, mut check, mut beside)) = current.take() else { return Ok(()) };
    check.verdict = checker.finish();
    if check.verdict.n_values * check.array.dtype.size_bytes() as u64 != check.array.value_bytes() {
        return Err(Failure::damaged(format!("{}: values are missing", check.array.shown_name())));
    }
    beside.end()?;
    checks.push(check);
    Ok(())
}

/// Reads an array in a thread, for a consumer that wants to pull.
struct Beside {
    blocks: Receiver<Result<Vec<u8>>>,
    block: Vec<u8>,
    used: usize,
}

impl Beside {
    fn start<'scope>(scope: &'scope std::thread::Scope<'scope, '_>, path: PathBuf, i: usize) -> Self {
        let (send, blocks) = sync_channel(2);
        scope.spawn(move || {
            let result = open(&path).and_then(|source| {
                let array = source.arrays()[i].clone();
                source.read(i, &mut |input| {
                    for_each_block(&array, input, &mut |block| {
                        // The consumer gave up: so does this.
                        send.send(Ok(block.to_vec())).map_err(|_| Failure::runtime("given up"))
                    })
                })
            });
            if let Err(failure) = result {
                let _ = send.send(Err(failure));
            }
        });
        Self { blocks, block: Vec::new(), used: 0 }
    }

    fn read_exact(&mut self, out: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < out.len() {
            if self.used == self.block.len() {
                let next =
                    self.blocks.recv().unwrap_or_else(|_| Err(Failure::damaged("the original has fewer values")));
                self.block = next?;
                self.used = 0;
            }
            let n = (out.len() - done).min(self.block.len() - self.used);
            out[done..done + n].copy_from_slice(&self.block[self.used..self.used + n]);
            self.used += n;
            done += n;
        }
        Ok(())
    }

    /// Whether the original ended well: some formats compare a checksum there.
    fn end(&mut self) -> Result<()> {
        match self.blocks.recv() {
            Ok(Err(failure)) => Err(failure),
            _ => Ok(()),
        }
    }
}

/// What people and programs are told.
pub fn report(original: &Path, compressed: &Path, checks: &[ArrayCheck]) -> Outcome {
    let is_kept = checks.iter().all(|c| c.verdict.n_broken == 0);
    let mut text = String::new();
    for check in checks {
        let v = &check.verdict;
        let word = if v.n_broken > 0 { "BROKEN" } else { "kept" };
        text += &format!(
            "{}: {word}, {}{}, largest error {:.6e}",
            check.array.shown_name(),
            check.promise.bound,
            if check.promise.per_column { " per column" } else { "" },
            v.max_error
        );
        if !matches!(check.promise.bound, Bound::Lossless | Bound::Latent) {
            text += &format!(" = {:.6} of the bound", v.max_error_over_bound);
        }
        if v.psnr.is_finite() {
            text += &format!(", {:.2} dB", v.psnr);
        }
        text += &format!(", {} values", v.n_values);
        if v.n_special > 0 {
            text += &format!(" ({} special)", v.n_special);
        }
        if v.n_broken > 0 {
            text += &format!("\n  {} values break it", v.n_broken);
        }
        if let Some((i, x, y)) = v.first_broken {
            text += &format!("; the first is value {i}: {x:e} became {y:e}");
        }
        text.push('\n');
    }
    text += if is_kept { "the bound is kept" } else { "THE BOUND IS BROKEN" };
    let json = json!({
        "original": original.display().to_string(),
        "compressed": compressed.display().to_string(),
        "kept": is_kept,
        "arrays": checks.iter().map(ArrayCheck::json).collect::<Vec<_>>(),
    });
    Outcome { text, json, failed: (!is_kept).then_some(Code::BoundBroken) }
}

impl ArrayCheck {
    fn json(&self) -> Value {
        let v = &self.verdict;
        json!({
            "name": self.array.shown_name(),
            "bound": bound_json(self.promise.bound, self.promise.per_column),
            "kept": v.n_broken == 0,
            "values": v.n_values,
            "special_values": v.n_special,
            "broken_values": v.n_broken,
            "first_broken": v.first_broken.map(|(i, x, y)| json!([i, number(x), number(y)])),
            "max_error": number(v.max_error),
            "max_error_over_bound": number(v.max_error_over_bound),
            "psnr": number(v.psnr),
        })
    }
}
