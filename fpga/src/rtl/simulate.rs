//! The Verilog, simulated: every row through the stream, compared with the plain interpreter.

use super::stream::{self, pack, row_bytes, unpack};
use super::{Design, vectors::Vectors};
use crate::ir::Program;
use baler_codec::{Error, ErrorKind, Result};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

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
}

/// Of tools that are missing or fail.
pub(super) fn failed(message: impl Into<String>) -> Error {
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

/// A design compiled by Verilator: a process that takes batches of rows.
#[derive(Debug)]
pub struct Verilated {
    child: Child,
    /// Dropped first, to end the process.
    to: Option<ChildStdin>,
    from: ChildStdout,
    design: Design,
}

impl Verilated {
    /// Compiles `design` in `folder`, which exists, and starts it. With `stall_seed` above 0, both sides of the stream
    /// wait at random.
    ///
    /// # Errors
    /// If Verilator or a C++ compiler is missing or fails: what it said.
    pub fn build(design: &Design, folder: &Path, stall_seed: u64) -> Result<Self> {
        let module = stream::module(design);
        let file = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).map_err(|e| failed(format!("{}: {e}", folder.join(name).display())))
        };
        file("design.v", &(design.text.clone() + &stream::text(design)))?;
        let defines = if design.is_reloadable { "#define RELOADABLE\n" } else { "" };
        let harness = include_str!("harness.cpp")
            .replace("MODULE", &format!("V{module}"))
            .replace("ROW_IN", &row_bytes(&design.input).to_string())
            .replace("ROW_OUT", &row_bytes(&design.output).to_string());
        file("harness.cpp", &(defines.to_owned() + &harness))?;
        let mut verilator = Command::new("verilator");
        verilator.args(["--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert"]);
        // The design is text of our own; what Verilator would warn of is meant.
        verilator.args(["-Wno-fatal", "-Wno-lint", "-Wno-style", "-CFLAGS", "-O1", "-Mdir", "verilated"]);
        verilator.args(["--top-module", &module, "-o", "simulation", "design.v", "harness.cpp"]);
        run(verilator.current_dir(folder))?;
        let mut child = Command::new(folder.join("verilated/simulation"))
            .arg(stall_seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("the compiled simulation: {e}")))?;
        let (to, from) = (child.stdin.take(), child.stdout.take().expect("piped"));
        Ok(Self { child, to, from, design: design.clone() })
    }

    /// The design that runs.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// Writes parameters, as [`words`](super::reuse::words) gives them, into a reloadable design; whether their CRC is
    /// right.
    ///
    /// # Errors
    /// If the design has constant parameters, or the process has ended.
    pub fn load(&mut self, words: &[u32]) -> Result<bool> {
        if !self.design.is_reloadable {
            return Err(Error::invalid("parameters for a design that has its own: expected one of mode reloadable"));
        }
        let bytes: Vec<u8> = [u32::MAX, words.len() as u32].iter().chain(words).flat_map(|w| w.to_le_bytes()).collect();
        let to = self.to.as_mut().expect("open until dropped");
        let mut good = [0];
        let answer = to.write_all(&bytes).and_then(|()| to.flush()).and_then(|()| self.from.read_exact(&mut good));
        answer.map_err(|e| failed(format!("the simulation has ended: {e}")))?;
        Ok(good[0] != 0)
    }

    /// A batch: of each row its output, and whether a value was outside the range of its format (false from a design
    /// without status).
    ///
    /// # Errors
    /// If the process has ended.
    pub fn run(&mut self, rows: &[Vec<i64>]) -> Result<Vec<(Vec<i64>, bool)>> {
        let ended = |e: std::io::Error| failed(format!("the simulation has ended: {e}"));
        let n = u32::try_from(rows.len()).map_err(|_| Error::invalid("a batch of 2^32 rows or more"))?;
        let mut bytes = n.to_le_bytes().to_vec();
        rows.iter().for_each(|row| pack(&self.design.input, row, &mut bytes));
        let to = self.to.as_mut().expect("open until dropped");
        to.write_all(&bytes).and_then(|()| to.flush()).map_err(ended)?;
        let row_len = row_bytes(&self.design.output) + 1;
        let mut found = vec![0; rows.len() * row_len];
        self.from.read_exact(&mut found).map_err(ended)?;
        let row = |bytes: &[u8]| (unpack(&self.design.output, &bytes[..row_len - 1]), bytes[row_len - 1] != 0);
        Ok(found.chunks_exact(row_len).map(row).collect())
    }
}

impl Drop for Verilated {
    fn drop(&mut self) {
        // It ends with its input.
        self.to = None;
        let _ = self.child.wait();
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
        Tool::Verilator => verilator(program, design, n_rows, trouble, folder),
        Tool::Icarus => icarus(program, design, n_rows, trouble, folder),
    }
}

fn verilator(program: &Program, design: &Design, n_rows: usize, trouble: Trouble, folder: &Path) -> Result<Outcome> {
    const BATCH: usize = 1 << 14;
    let mut verilated = Verilated::build(design, folder, u64::from(trouble.stalls) * 88_172_645_463_325_252)?;
    let mut vectors = Vectors::new(program, 1);
    let mut outcome = Outcome { n_rows: 0, n_mismatches: 0, first: None };
    while outcome.n_rows < n_rows {
        let rows: Vec<Vec<i64>> = vectors.by_ref().take(BATCH.min(n_rows - outcome.n_rows)).collect();
        for (row, (found, status)) in rows.iter().zip(verilated.run(&rows)?) {
            let trace = program.trace(row)?;
            let expected: Vec<i64> = trace.layers.last().into_iter().flatten().map(|&v| v as i64).collect();
            let overflows = design.has_status && trace.overflows.iter().any(|&n| n > 0);
            if found != expected || status != overflows {
                outcome.n_mismatches += 1;
                outcome.first.get_or_insert_with(|| {
                    format!("row {row:?}: found {found:?}, overflow {status}; expected {expected:?}, {overflows}")
                });
            }
        }
        outcome.n_rows += rows.len();
    }
    Ok(outcome)
}

fn icarus(program: &Program, design: &Design, n_rows: usize, trouble: Trouble, folder: &Path) -> Result<Outcome> {
    for (name, text) in test_bench(program, design, n_rows, trouble)? {
        std::fs::write(folder.join(&name), text).map_err(|e| failed(format!("{name}: {e}")))?;
    }
    let files = ["-g2005", "-Wno-timescale", "-o", "bench.vvp", "-s", "testbench", "design.v", "bench.v"];
    run(Command::new("iverilog").args(files).current_dir(folder))?;
    let said = run(Command::new("vvp").args(["-n", "bench.vvp"]).current_dir(folder))?;
    let strange = || failed(format!("the test bench did not come to its end: {}", said.trim()));
    let last = said.lines().rfind(|line| line.ends_with(" mismatches")).ok_or_else(strange)?;
    let mut numbers = last.split(' ').filter_map(|word| word.parse::<usize>().ok());
    let (Some(n_got), Some(n_wrong)) = (numbers.next(), numbers.next()) else { return Err(strange()) };
    if n_got != n_rows {
        return Err(failed(format!("{n_got} of {n_rows} rows came out of the design")));
    }
    let first = said.lines().find(|line| line.starts_with("row ")).map(str::to_owned);
    Ok(Outcome { n_rows, n_mismatches: n_wrong, first })
}

/// The files of the self-checking test bench, for any simulator: the design, the bench, rows and what they must become.
///
/// # Errors
/// Never for rows of the program's own; the interpreter's signature has it.
pub fn test_bench(
    program: &Program,
    design: &Design,
    n_rows: usize,
    trouble: Trouble,
) -> Result<Vec<(String, String)>> {
    let (mut inputs, mut expected) = (String::new(), String::new());
    let line = |port, row: &[i64], to: &mut String| {
        let mut bytes = Vec::new();
        pack(port, row, &mut bytes);
        bytes.iter().rev().for_each(|byte| to.push_str(&format!("{byte:02x}")));
        to.push('\n');
    };
    for row in Vectors::new(program, 1).take(n_rows) {
        line(&design.input, &row, &mut inputs);
        line(&design.output, &program.reference(&row)?, &mut expected);
    }
    let bench = include_str!("bench.v")
        .replace("TOP_stream", &stream::module(design))
        .replace("N_ROWS", &n_rows.to_string())
        .replace("IN_TOP", &(row_bytes(&design.input) * 8 - 1).to_string())
        .replace("OUT_TOP", &(row_bytes(&design.output) * 8 - 1).to_string())
        .replace("STALLS", if trouble.stalls { "1" } else { "0" })
        .replace("LOAD_PORTS", if design.is_reloadable { ", .load_begin(1'b0), .load_valid(1'b0)" } else { "" })
        .replace("INJECT", &if trouble.upsets { upsets(design)? } else { String::new() });
    let design = design.text.clone() + &stream::text(design);
    Ok([("design.v", design), ("bench.v", bench), ("inputs.hex", inputs), ("expected.hex", expected)]
        .map(|(name, text)| (name.to_owned(), text))
        .into())
}

/// Verilog that flips registers: eight of them, spread over the pipeline.
fn upsets(design: &Design) -> Result<String> {
    let n = design.registers.len();
    if n == 0 {
        return Err(Error::unsupported("upsets of this mode: expected shift-add or dsp"));
    }
    let flip = |k: usize| {
        let name = format!("dut.core.{}", design.registers[k * (n - 1) / 7]);
        format!("    if (random[{}:{}] == 0) {name} = ~{name};\n", 3 * k + 4, 3 * k)
    };
    let flips: String = (0..8).map(flip).collect();
    Ok(format!("  always @(negedge clk) if (resetn) begin\n{flips}  end"))
}

/// Runs a tool; what it said, or that it is missing, or what it complained of.
pub(super) fn run(command: &mut Command) -> Result<String> {
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
