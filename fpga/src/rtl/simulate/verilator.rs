//! A design compiled by Verilator, in its streams or in a kernel.

use super::{Outcome, Tool, failed, run};
use crate::ir::{Program, Trace};
use crate::rtl::stream::{self, pack, row_bytes, unpack};
use crate::rtl::{Design, Port, shell, vectors::Vectors};
use baler_codec::{Error, Result};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What a design is simulated in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Around {
    /// Its AXI4-Streams.
    Stream,
    /// The kernel for XRT, with a memory.
    Kernel {
        /// The kernel's module.
        name: String,
        /// Bits of the memory bus.
        bus_bits: u32,
    },
}

impl Around {
    fn module(&self, design: &Design) -> String {
        match self {
            Around::Stream => stream::module(design),
            Around::Kernel { name, .. } => name.clone(),
        }
    }

    /// Verilog, and the C++ that drives it.
    fn sources(&self, design: &Design) -> Result<[String; 2]> {
        let mut verilog = design.text.clone() + &stream::text(design);
        let module = format!("V{}", self.module(design));
        let harness = match self {
            Around::Stream => {
                let defines = if design.is_reloadable { "#define RELOADABLE\n" } else { "" };
                let harness = include_str!("harness.cpp")
                    .replace("MODULE", &module)
                    .replace("ROW_IN", &row_bytes(&design.input).to_string())
                    .replace("ROW_OUT", &row_bytes(&design.output).to_string());
                defines.to_owned() + &harness
            }
            Around::Kernel { name, bus_bits } => {
                verilog += &shell::text(design, name, *bus_bits)?;
                include_str!("kernel.cpp")
                    .replace("MODULE", &module)
                    .replace("BUS_BYTES", &(bus_bits / 8).to_string())
                    .replace("N_IN", &design.input.widths.len().to_string())
                    .replace("N_OUT", &design.output.widths.len().to_string())
            }
        };
        Ok([verilog, harness])
    }

    /// What rows look like to the process.
    fn ports<'a>(&self, design: &'a Design) -> [Cow<'a, Port>; 2] {
        let words =
            |port: &Port| Port { widths: vec![32; port.widths.len()], is_signed: vec![true; port.widths.len()] };
        [&design.input, &design.output].map(|port| match self {
            Around::Stream => Cow::Borrowed(port),
            Around::Kernel { .. } => Cow::Owned(words(port)),
        })
    }

    /// Whether the status comes with each row; else with each batch.
    fn has_row_status(&self) -> bool {
        *self == Around::Stream
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
    around: Around,
    cycles: u64,
}

impl Verilated {
    /// Compiles `design` in `folder`, which exists, and starts it. With `stall_seed` above 0, whatever is around it waits
    /// at random.
    ///
    /// # Errors
    /// If Verilator or a C++ compiler is missing or fails: what it said.
    pub fn build(design: &Design, around: &Around, folder: &Path, stall_seed: u64) -> Result<Self> {
        let [verilog, harness] = &around.sources(design)?;
        for (name, text) in [("design.v", verilog), ("harness.cpp", harness)] {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|e| failed(format!("{}: {e}", path.display())))?;
        }
        let mut verilator = Command::new(Tool::Verilator.program());
        verilator.args(["--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert"]);
        // The design is text of our own; what Verilator would warn of is meant.
        verilator.args(["-Wno-fatal", "-Wno-lint", "-Wno-style", "-CFLAGS", "-O1", "-Mdir", "verilated"]);
        verilator.args(["--top-module", &around.module(design), "-o", "simulation", "design.v", "harness.cpp"]);
        run(verilator.current_dir(folder))?;
        Self::start(design, around, folder, stall_seed)
    }

    /// Starts what [`Verilated::build`] has compiled of the same design in `folder`.
    ///
    /// # Errors
    /// If there is nothing, or it cannot be run.
    pub fn start(design: &Design, around: &Around, folder: &Path, stall_seed: u64) -> Result<Self> {
        let mut child = Command::new(folder.join("verilated/simulation"))
            .arg(stall_seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("the compiled simulation: {e}")))?;
        let (to, from) = (child.stdin.take(), child.stdout.take().expect("piped"));
        Ok(Self { child, to, from, design: design.clone(), around: around.clone(), cycles: 0 })
    }

    /// Names what [`Verilated::build`] compiles: another design, or another version of this library, has another key.
    ///
    /// # Errors
    /// As [`shell::text`] for kernels.
    pub fn key(design: &Design, around: &Around) -> Result<String> {
        let mut digest = Sha256::new();
        around.sources(design)?.iter().for_each(|text| digest.update(text));
        Ok(digest.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The design that runs.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// Clock cycles that the last batch took: from the first row offered to the last one taken, of a kernel from its start to
    /// its end.
    pub fn cycles(&self) -> u64 {
        self.cycles
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
    /// without status; of a kernel, whether one of the batch was).
    ///
    /// # Errors
    /// If the process has ended.
    pub fn run(&mut self, rows: &[Vec<i64>]) -> Result<Vec<(Vec<i64>, bool)>> {
        let ended = |e: std::io::Error| failed(format!("the simulation has ended: {e}"));
        let n = u32::try_from(rows.len()).map_err(|_| Error::invalid("a batch of 2^32 rows or more"))?;
        let [input, output] = self.around.ports(&self.design);
        let mut bytes = n.to_le_bytes().to_vec();
        rows.iter().for_each(|row| pack(&input, row, &mut bytes));
        let to = self.to.as_mut().expect("open until dropped");
        to.write_all(&bytes).and_then(|()| to.flush()).map_err(ended)?;
        let row_len = row_bytes(&output) + 1;
        let mut found = vec![0; rows.len() * row_len];
        let mut cycles = [0; 8];
        self.from.read_exact(&mut found).and_then(|()| self.from.read_exact(&mut cycles)).map_err(ended)?;
        self.cycles = u64::from_le_bytes(cycles);
        let row = |bytes: &[u8]| (unpack(&output, &bytes[..row_len - 1]), bytes[row_len - 1] != 0);
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

/// Compares a design with its program.
pub(super) fn compare(
    program: &Program,
    design: &Design,
    around: &Around,
    n_rows: usize,
    stalls: bool,
    folder: &Path,
) -> Result<Outcome> {
    // Of several lengths: a kernel's last beats differ.
    const BATCHES: [usize; 4] = [1 << 14, 1000, 1, 77];
    let seed = u64::from(stalls) * 88_172_645_463_325_252;
    let mut verilated = Verilated::build(design, around, folder, seed)?;
    let mut sizes = BATCHES.into_iter().cycle();
    let mut vectors = Vectors::new(program, 1);
    let mut outcome = Outcome { n_rows: 0, n_mismatches: 0, first: None, largest_batch: None };
    while outcome.n_rows < n_rows {
        let size = sizes.next().unwrap_or(1).min(n_rows - outcome.n_rows);
        let rows: Vec<Vec<i64>> = vectors.by_ref().take(size).collect();
        let traces = rows.iter().map(|row| program.trace(row)).collect::<Result<Vec<_>>>()?;
        let overflows = |trace: &Trace| design.has_status && trace.overflows.iter().any(|&n| n > 0);
        let any = traces.iter().any(overflows);
        for ((row, trace), (found, status)) in rows.iter().zip(&traces).zip(verilated.run(&rows)?) {
            let expected: Vec<i64> = trace.layers.last().into_iter().flatten().map(|&v| v as i64).collect();
            let overflow = if around.has_row_status() { overflows(trace) } else { any };
            if found != expected || status != overflow {
                outcome.n_mismatches += 1;
                outcome.first.get_or_insert_with(|| {
                    format!("row {row:?}: found {found:?}, overflow {status}; expected {expected:?}, {overflow}")
                });
            }
        }
        outcome.n_rows += rows.len();
        if outcome.largest_batch.is_none_or(|(n, _)| n < rows.len()) {
            outcome.largest_batch = Some((rows.len(), verilated.cycles()));
        }
    }
    Ok(outcome)
}
