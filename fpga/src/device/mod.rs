//! Devices that run fixed-point programs. One file each, and one line in [`DEVICES`].
//!
//! ```text
//! Driver (a file of this folder)  probe: is it here, and if not, why      open: an Engine
//! Engine (the opened unit)        blocking calls: check, load, alloc, run, health
//! Device (queue.rs)               the engine on a thread of its own: bounded queue, tickets, timeouts, reset
//! ```
//!
//! A driver is written in blocking calls; everything a host needs to stay alive beside a device that hangs, dies or
//! disappears is in [`Device`] and written once. What a device gives is not trusted either: [`crate::offload`] compares.
//!
//! A row goes in as 32-bit integers in the formats of the program's input and comes back in those of its output.

mod emulator;
mod guest;
mod mock;
mod opencl;
mod queue;
mod verilated;
pub mod xrt;

pub use queue::{Batch, Device, Refused, Ticket};

use crate::ir::Program;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Every kind of device.
pub const DEVICES: &[&dyn Driver] =
    &[&emulator::Emulator, &mock::Mock, &opencl::OpenCl, &verilated::Verilated, &xrt::Xrt];

/// A kind of device.
pub trait Driver: Sync {
    /// What users call it.
    fn name(&self) -> &'static str;

    /// One line for people.
    fn about(&self) -> &'static str;

    /// What there is of it on this machine; why there is none, if there is none. Never aborts, never hangs.
    fn probe(&self) -> Result<String, Fault>;

    /// For how long opening it and loading a program may take.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Opens a unit. What `settings` does not know is refused there.
    fn open(&self, settings: &mut Settings) -> Result<Box<dyn Engine>, Fault>;
}

/// A unit that was opened: blocking calls from one thread. Dropping it closes it.
pub trait Engine {
    /// What it can do; after [`Engine::load`] with what was loaded.
    fn capabilities(&self) -> Capabilities;

    /// Why it cannot run a program, if it cannot.
    fn check(&self, program: &Program) -> Result<(), Fault>;

    /// Makes a program that passed [`Engine::check`] the one to run.
    fn load(&mut self, program: &Arc<Program>) -> Result<(), Fault>;

    /// Makes sure that batches of so many rows have their place on the device.
    fn alloc(&mut self, rows: usize) -> Result<(), Fault>;

    /// Runs the program on `rows` rows; gives how many of them are done, from the first on.
    fn run(&mut self, rows: usize, input: &[i32], output: &mut [i32]) -> Result<usize, Fault>;

    /// Whether it answers.
    fn health(&mut self) -> Result<(), Fault>;
}

/// What a device can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The unit, in its maker's words.
    pub unit: String,
    /// Digest of the program that is loaded.
    pub program: Option<[u8; 32]>,
    /// Rows one batch may have.
    pub max_rows: usize,
    /// Batches that may wait beside the one that runs.
    pub queue: usize,
    /// What its buffers are aligned to, in bytes.
    pub alignment: usize,
    /// Whether it works in the host's memory.
    pub zero_copy: bool,
    /// From submitting one row to its result, where that is known beforehand.
    pub latency: Option<Duration>,
}

/// What can be wrong with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// There is none, or a part of it is missing.
    Absent,
    /// It cannot run this program.
    Unsupported,
    /// No room for a buffer.
    OutOfMemory,
    /// No answer in time.
    Late,
    /// It reported an error, or is gone.
    Dead,
    /// It did fewer rows than it was given.
    Partial,
    /// It gave other integers than the program does.
    Wrong,
}

impl FaultKind {
    /// Every kind, in the order of counters.
    pub const ALL: [FaultKind; 7] = [
        FaultKind::Absent,
        FaultKind::Unsupported,
        FaultKind::OutOfMemory,
        FaultKind::Late,
        FaultKind::Dead,
        FaultKind::Partial,
        FaultKind::Wrong,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Absent => "absent",
            FaultKind::Unsupported => "unsupported",
            FaultKind::OutOfMemory => "out_of_memory",
            FaultKind::Late => "late",
            FaultKind::Dead => "dead",
            FaultKind::Partial => "partial",
            FaultKind::Wrong => "wrong",
        }
    }
}

/// Why a device did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The details.
    pub message: String,
}

impl Fault {
    /// A fault.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// There is no such device here.
    pub fn absent(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Absent, message)
    }

    /// The device cannot run the program.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Unsupported, message)
    }

    /// The device reported an error.
    pub fn dead(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Dead, message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl std::error::Error for Fault {}

/// The driver of this name.
///
/// # Errors
/// Lists the names there are.
pub fn driver(name: &str) -> Result<&'static dyn Driver, Fault> {
    DEVICES.iter().copied().find(|driver| driver.name() == name).ok_or_else(|| {
        let names: Vec<&str> = DEVICES.iter().map(|driver| driver.name()).collect();
        Fault::absent(format!("device {name:?}: expected one of {}", names.join(", ")))
    })
}

/// Settings of a device, `key=value,key=value`, each used once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// Reads them. A key without a value has the value `1`.
    pub fn parse(text: &str) -> Self {
        let pair = |item: &str| match item.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), value.trim().to_owned()),
            None => (item.trim().to_owned(), "1".to_owned()),
        };
        Self(text.split(',').filter(|item| !item.trim().is_empty()).map(pair).collect())
    }

    /// Takes the value of a key.
    ///
    /// # Errors
    /// The value cannot be read; `expected` says what it should be.
    pub fn take<T: std::str::FromStr>(&mut self, key: &str, expected: &str) -> Result<Option<T>, Fault> {
        let Some(i) = self.0.iter().position(|(k, _)| k == key) else { return Ok(None) };
        let (_, value) = self.0.remove(i);
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Fault::absent(format!("{key}={value}: expected {expected}"))),
        }
    }

    /// An error if something is left over.
    pub fn finish(&self, known: &str) -> Result<(), Fault> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(Fault::absent(format!("setting {key:?} is unknown; there are: {known}"))),
        }
    }
}

/// Whether every value that enters or leaves a program is one of 32 bits: what devices are given.
pub fn fits_words(program: &Program) -> Result<(), Fault> {
    let formats = program.input().formats.iter().chain(program.output_formats());
    match formats.into_iter().find(|f| f.width() + u32::from(!f.is_signed()) > 32) {
        None => Ok(()),
        Some(format) => Err(Fault::unsupported(format!("{format} at its boundary: values of up to 32 bits with sign"))),
    }
}
