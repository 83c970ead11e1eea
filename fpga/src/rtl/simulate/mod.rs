//! The Verilog, simulated: every row through the streams, or through a kernel and memory, compared with the plain
//! interpreter.
//!
//! | file | what |
//! |---|---|
//! | `verilator.rs` | compiled: a process that takes batches of rows; `harness.cpp`, `kernel.cpp` drive it |
//! | `icarus.rs` | interpreted: the self-checking test bench `bench.v` |

mod icarus;
mod verilator;

pub use icarus::test_bench;
pub use verilator::{Around, Verilated};

use super::Design;
use crate::ir::Program;
use baler_codec::{Error, ErrorKind, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// A simulator of Verilog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Compiles the design to C++: millions of rows.
    Verilator,
    /// Interprets it, with the self-checking test bench: thousands.
    Icarus,
}

/// What happens to a design while it is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Both sides of the stream wait at random.
    pub stalls: bool,
    /// Registers flip at random, as radiation does it: of one copy, if there are three. In the test bench of a pipeline
    /// only, thus with [`Tool::Icarus`].
    pub upsets: bool,
}

/// What a simulation has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Rows compared.
    pub n_rows: usize,
    /// Rows that differ.
    pub n_mismatches: usize,
    /// The first that does, in words.
    pub first: Option<String>,
    /// Rows of the largest batch, and the clock cycles it took; unknown of [`Tool::Icarus`].
    pub largest_batch: Option<(usize, u64)>,
}

/// Of tools that are missing or fail.
pub(in crate::rtl) fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::RuntimeMissing, message)
}

impl Tool {
    /// Its name on the command line.
    pub fn program(self) -> &'static str {
        match self {
            Tool::Verilator => "verilator",
            Tool::Icarus => "iverilog",
        }
    }
}

/// Compares `design` with `program`, `n_rows` rows, in `folder`, which exists.
///
/// # Errors
/// If a tool is missing or fails.
pub fn simulate(
    program: &Program,
    design: &Design,
    tool: Tool,
    n_rows: usize,
    trouble: Trouble,
    folder: &Path,
) -> Result<Outcome> {
    match tool {
        Tool::Verilator => verilator::compare(program, design, &Around::Stream, n_rows, trouble.stalls, folder),
        Tool::Icarus => icarus::compare(program, design, n_rows, trouble, folder),
    }
}

/// The same of the kernel for XRT ([`shell`](super::shell)), by Verilator: rows from a memory that is slow at random with
/// `stalls`, and back into it.
///
/// # Errors
/// If a tool is missing or fails, if there is no such kernel, and if it breaks a rule of AXI or writes where it must not.
pub fn simulate_kernel(
    program: &Program,
    design: &Design,
    bus_bits: u32,
    n_rows: usize,
    stalls: bool,
    folder: &Path,
) -> Result<Outcome> {
    let around = Around::Kernel { name: super::shell::kernel_name(program), bus_bits };
    verilator::compare(program, design, &around, n_rows, stalls, folder)
}

/// Runs a tool; what it said, or that it is missing, or what it complained of.
pub(in crate::rtl) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => failed(format!("{name} is not installed (Debian's package has its name)")),
        _ => failed(format!("{name}: {e}")),
    })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned() + &said;
    let tail: Vec<&str> = complaint.lines().rev().take(12).collect();
    Err(failed(format!("{name} failed: {}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"))))
}
