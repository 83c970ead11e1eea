//! A mutation fuzzer on stable Rust: damaged, forged and random inputs for everything that reads what others wrote.
//!
//! ```text
//! cargo run -p baler-tests --bin fuzz -- chunk --seconds 60      # or all; --seed N for another course
//! cargo run -p baler-tests --bin fuzz -- chunk --replay FILE     # one input again
//! ```
//!
//! An input may be refused, or read as something else; it may not panic, take more memory than its target says, or more
//! than [`MOST_SECONDS`] of processor time. What does is kept in `target/fuzz/<target>/`; once mended, it goes to
//! `tests/fuzz/corpus/<target>/`, which every run begins with. Instead of coverage, the fuzzer looks at what is said: an
//! input that draws an error message not seen before becomes one that others are made from.

mod memory;
mod mutate;
mod targets;

use mutate::Mutator;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// Processor time that one input may take, in seconds.
const MOST_SECONDS: f64 = 5.0;
/// A process that spends this much processor time on one input is ended.
const HANGS_AFTER: Duration = Duration::from_secs(60);
/// Or this much time, on a machine that may have others to serve.
const WAITS_AT_MOST: Duration = Duration::from_secs(600);
/// Inputs that others are made from.
const MOST_PARENTS: usize = 2000;
/// Largest input made.
const MOST_BYTES: usize = 1 << 16;

struct Options {
    seconds: f64,
    seed: u64,
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("fuzz: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<bool, String> {
    let mut options = Options { seconds: 10.0, seed: 1, replay: None };
    let mut names = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--seconds" => options.seconds = value()?.parse().map_err(|e| format!("--seconds: {e}"))?,
            "--seed" => options.seed = value()?.parse().map_err(|e| format!("--seed: {e}"))?,
            "--replay" => options.replay = Some(value()?.into()),
            _ => names.push(argument),
        }
    }
    let known = || TARGETS.iter().map(|t| t.name).collect::<Vec<_>>().join(", ");
    let chosen: Vec<&Target> = TARGETS.iter().filter(|t| names.iter().any(|n| n == t.name || n == "all")).collect();
    if chosen.is_empty() || names.iter().any(|n| n != "all" && !TARGETS.iter().any(|t| t.name == n)) {
        return Err(format!("expected all, or some of {}", known()));
    }
    // What a panic says is kept for the report.
    std::panic::set_hook(Box::new(|info| *PANIC.lock().unwrap_or_else(|e| e.into_inner()) = info.to_string()));
    watch();
    let mut is_sound = true;
    for target in chosen {
        is_sound &= Session::new(target, &options)?.run(&options)?;
    }
    Ok(is_sound)
}

static PANIC: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());
/// Milliseconds since [`START`] at which the input at hand began; 0 for none.
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// Milliseconds of processor time until then.
static SPENT_BEFORE: AtomicU64 = AtomicU64::new(0);
static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

/// Ends the process if an input hangs.
fn watch() {
    std::sync::LazyLock::force(&START);
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let began = BEGAN.load(Ordering::Relaxed);
            let now = START.elapsed().as_millis() as u64;
            let spent = ((processor_seconds() * 1e3) as u64).saturating_sub(SPENT_BEFORE.load(Ordering::Relaxed));
            let is_over = |ms: u64, most: Duration| ms > most.as_millis() as u64;
            if began != 0 && (is_over(spent, HANGS_AFTER) || is_over(now.saturating_sub(began), WAITS_AT_MOST)) {
                eprintln!("fuzz: an input hangs: see /dev/shm/baler-fuzz-*, or `current` in the target's folder");
                std::process::exit(3);
            }
        }
    });
}

struct Session<'a> {
    target: &'a Target,
    folder: PathBuf,
    /// The input at hand; in memory where there is such a folder, as some disks wait for every file that is replaced.
    current: PathBuf,
    parents: Vec<Vec<u8>>,
    seen: BTreeSet<String>,
    executions: u64,
    failures: u64,
    /// Over all inputs: peak memory above what the target's rule gives for nothing, and seconds.
    most_memory: usize,
    most_seconds: f64,
    /// The input that took the most memory.
    hungriest: Vec<u8>,
}

impl<'a> Session<'a> {
    fn new(target: &'a Target, options: &Options) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no checkout")?;
        let built = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let folder = built.join("fuzz").join(target.name);
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut parents = Vec::new();
        if let Some(path) = &options.replay {
            parents.push(std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?);
        } else {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
            let mut paths: Vec<PathBuf> =
                std::fs::read_dir(corpus).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                parents.push(std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?);
            }
            parents.extend((target.seeds)());
        }
        let memory = Path::new("/dev/shm");
        let current = if memory.is_dir() {
            memory.join(format!("baler-fuzz-{}-{}", target.name, std::process::id()))
        } else {
            folder.join("current")
        };
        Ok(Self {
            target,
            folder,
            current,
            parents,
            seen: BTreeSet::new(),
            executions: 0,
            failures: 0,
            most_memory: 0,
            hungriest: Vec::new(),
            most_seconds: 0.0,
        })
    }

    fn run(mut self, options: &Options) -> Result<bool, String> {
        let begin = Instant::now();
        let given = self.parents.clone();
        for input in &given {
            self.execute(input)?;
        }
        let n_given = self.executions;
        if options.replay.is_none() {
            let mut mutator = Mutator::new(options.seed);
            while begin.elapsed().as_secs_f64() < options.seconds {
                let mut input = mutator.child(&self.parents, MOST_BYTES);
                // Behind a wrong checksum everything ends at once, so most inputs get the right one.
                if mutator.chance(15, 16) {
                    (self.target.mend)(&mut input);
                }
                if self.execute(&input)? && self.parents.len() < MOST_PARENTS {
                    self.parents.push(input);
                }
            }
        }
        let _ = std::fs::remove_file(&self.current);
        std::fs::write(self.folder.join("hungriest"), &self.hungriest).map_err(|e| e.to_string())?;
        println!(
            "{}: {} inputs of the corpus, {} executions in {:.0} s, {} different answers, {} failures; at most {:.1} MiB, {:.2} s",
            self.target.name,
            n_given,
            self.executions,
            begin.elapsed().as_secs_f64(),
            self.seen.len(),
            self.failures,
            self.most_memory as f64 / f64::from(1 << 20),
            self.most_seconds,
        );
        Ok(self.failures == 0)
    }

    /// Runs one input; whether its answer is new.
    fn execute(&mut self, input: &[u8]) -> Result<bool, String> {
        // For the case that nothing is left of the process to tell.
        std::fs::write(&self.current, input).map_err(|e| e.to_string())?;
        SPENT_BEFORE.store((processor_seconds() * 1e3) as u64, Ordering::Relaxed);
        BEGAN.store((START.elapsed().as_millis() as u64).max(1), Ordering::Relaxed);
        let measure = memory::Measure::begin();
        let begin = processor_seconds();
        let answer = catch_unwind(AssertUnwindSafe(|| (self.target.run)(input)));
        let seconds = processor_seconds() - begin;
        let peak = measure.peak();
        BEGAN.store(0, Ordering::Relaxed);
        self.executions += 1;
        if peak > self.most_memory {
            self.most_memory = peak;
            self.hungriest = input.to_vec();
        }
        self.most_seconds = self.most_seconds.max(seconds);
        let allowed = (self.target.memory)(input.len());
        let failure = match &answer {
            Err(_) => Some(format!("panic: {}", PANIC.lock().unwrap_or_else(|e| e.into_inner()))),
            Ok(Err(fault)) => Some(fault.clone()),
            _ if peak > allowed => {
                Some(format!("{peak} bytes of memory for {} of input: at most {allowed}", input.len()))
            }
            _ if seconds > MOST_SECONDS => Some(format!("{seconds:.1} s of processor time")),
            Ok(Ok(_)) => None,
        };
        let answer = failure.clone().or_else(|| answer.ok().and_then(Result::ok)).unwrap_or_default();
        let is_new = self.seen.insert(shape_of(&answer));
        if let Some(failure) = failure {
            self.failures += 1;
            if is_new {
                let path = self.folder.join(format!("failure-{:016x}", xxhash_rust::xxh3::xxh3_64(input)));
                std::fs::write(&path, input).map_err(|e| e.to_string())?;
                println!("{}: {failure}\n  {}", self.target.name, path.display());
            }
        }
        Ok(is_new)
    }
}

/// Processor seconds of this process.
fn processor_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// A message without its numbers, and without what it quotes of the input.
fn shape_of(message: &str) -> String {
    let mut shape = String::new();
    let mut quote = None;
    for c in message.chars().take(200) {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None if "\"`'".contains(c) => quote = Some(c),
            None if c.is_ascii_digit() && shape.ends_with('0') => {}
            None if c.is_ascii_digit() => shape.push('0'),
            None if c.is_ascii() => shape.push(c),
            None => {}
        }
    }
    shape
}
