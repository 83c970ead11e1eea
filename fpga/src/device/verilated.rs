//! `verilated`: the Verilog of the program, compiled by Verilator, as a device: the hardware's own registers and handshakes
//! in the loop. The simulation is a process of its own.
//!
//! Settings: `mode`, as `baler fpga rtl --mode` has it; `stalls=SEED`, both sides of the stream wait at random;
//! `cache=FOLDER`, where compiled simulations are kept for the next process (without it each compiles its own, which takes
//! seconds).

use super::{Capabilities, Driver, Engine, Fault, Settings, fits_words, queue};
use crate::ir::Program;
use crate::rtl::simulate::{Around, Tool, Verilated as Simulation};
use crate::rtl::{Design, Mode, Options, generate, reuse};
use baler_codec::Error;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) struct Verilated;

impl Driver for Verilated {
    fn name(&self) -> &'static str {
        "verilated"
    }

    fn about(&self) -> &'static str {
        "the program's Verilog, compiled by Verilator when it is loaded: verilated:mode=shift-add,cache=FOLDER"
    }

    fn probe(&self) -> Result<String, Fault> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        for name in [Tool::Verilator.program(), "g++", "make"] {
            if !std::env::split_paths(&path).any(|folder| folder.join(name).is_file()) {
                return Err(Fault::absent(format!("{name} is not installed: apt-get install verilator g++ make")));
            }
        }
        Ok("Verilator".into())
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn open(&self, settings: &mut Settings) -> Result<Box<dyn Engine>, Fault> {
        self.probe()?;
        let mode = settings.take("mode", "shift-add, dsp, reuse=N or reloadable=N")?.unwrap_or_default();
        let stalls = settings.take("stalls", "an integer")?.unwrap_or(0);
        let cache = settings.take("cache", "a folder")?;
        settings.finish("mode, stalls, cache")?;
        Ok(Box::new(Opened { options: Options { mode, ..Options::default() }, stalls, cache, loaded: None }))
    }
}

struct Opened {
    options: Options,
    /// Seed; 0 for none.
    stalls: u64,
    cache: Option<PathBuf>,
    loaded: Option<Loaded>,
}

struct Loaded {
    simulation: Simulation,
    digest: [u8; 32],
    row_lens: (usize, usize),
}

/// What a tool or the simulation complains of.
fn dead(e: Error) -> Fault {
    Fault::dead(e.to_string())
}

impl Opened {
    /// Compiles the design, or finds what was compiled before, and starts it.
    fn start(&self, design: &Design) -> Result<Simulation, Fault> {
        let Some(cache) = &self.cache else {
            // What runs needs its files no more.
            let folder = Folder::new(&std::env::temp_dir())?;
            return Simulation::build(design, &Around::Stream, &folder.0, self.stalls).map_err(dead);
        };
        let kept = cache.join(Simulation::key(design, &Around::Stream).map_err(dead)?);
        if !kept.exists() {
            // Only what is whole gets its name; whoever is second finds the other's.
            let folder = Folder::new(cache)?;
            drop(Simulation::build(design, &Around::Stream, &folder.0, 0).map_err(dead)?);
            if let Err(e) = std::fs::rename(&folder.0, &kept)
                && !kept.exists()
            {
                return Err(Fault::absent(format!("{}: {e}", kept.display())));
            }
        }
        Simulation::start(design, &Around::Stream, &kept, self.stalls).map_err(dead)
    }
}

impl Engine for Opened {
    fn capabilities(&self) -> Capabilities {
        // At the 5 ns that the designs are made for.
        let latency = |loaded: &Loaded| Duration::from_nanos(5 * loaded.simulation.design().latency as u64);
        Capabilities {
            unit: format!("Verilator, {}", self.options.mode),
            program: self.loaded.as_ref().map(|loaded| loaded.digest),
            max_rows: 1 << 16,
            queue: queue::QUEUE,
            alignment: 1,
            zero_copy: false,
            latency: self.loaded.as_ref().map(latency),
        }
    }

    fn check(&self, program: &Program) -> Result<(), Fault> {
        fits_words(program)
    }

    fn load(&mut self, program: &Arc<Program>) -> Result<(), Fault> {
        let unsupported = |e: Error| Fault::unsupported(e.to_string());
        self.loaded = None;
        let design = generate(program, &self.options).map_err(unsupported)?;
        let mut simulation = self.start(&design)?;
        if let Mode::Reloadable(interval) = self.options.mode {
            let words = reuse::words(program, interval).map_err(unsupported)?;
            if !simulation.load(&words).map_err(dead)? {
                return Err(Fault::dead("the design found another CRC of its weights"));
            }
        }
        let row_lens = (program.input_len(), program.output_len());
        self.loaded = Some(Loaded { simulation, digest: program.digest(), row_lens });
        Ok(())
    }

    fn alloc(&mut self, _rows: usize) -> Result<(), Fault> {
        Ok(())
    }

    fn run(&mut self, rows: usize, input: &[i32], output: &mut [i32]) -> Result<usize, Fault> {
        let loaded = self.loaded.as_mut().ok_or_else(|| Fault::dead("no program is loaded"))?;
        let (n_in, n_out) = loaded.row_lens;
        let batch: Vec<Vec<i64>> =
            input.chunks_exact(n_in).take(rows).map(|row| row.iter().map(|&x| x.into()).collect()).collect();
        let results = loaded.simulation.run(&batch).map_err(dead)?;
        for ((values, _), to) in results.iter().zip(output.chunks_exact_mut(n_out)) {
            to.iter_mut().zip(values).for_each(|(to, &value)| *to = value as i32);
        }
        Ok(results.len())
    }

    fn health(&mut self) -> Result<(), Fault> {
        match &mut self.loaded {
            Some(loaded) => loaded.simulation.run(&[]).map(|_| ()).map_err(dead),
            None => Ok(()),
        }
    }
}

/// A folder to compile in, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    /// For this user alone, and new: whatever lies there already is somebody else's.
    fn new(within: &Path) -> Result<Self, Fault> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = within.join(format!("baler-verilated-{}-{n}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700).create(&path).map_err(|e| Fault::absent(format!("{}: {e}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Renamed, or of no use any more.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
