//! `baler fpga simulate`: the Verilog against the interpreter.

use super::rtl::{DesignArgs, KernelArgs, describe};
use crate::failure::{Code, Failure, InFile, Result};
use crate::outcome::{Outcome, number};
use baler_fpga::rtl::simulate::{Tool, Trouble, simulate, simulate_kernel};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ToolName {
    Verilator,
    Iverilog,
}

/// Simulates the Verilog, compares every row with the interpreter; the exit code is 3 if one differs
#[derive(Args, Debug)]
pub struct SimulateArgs {
    #[command(flatten)]
    design: DesignArgs,
    #[command(flatten)]
    kernel: KernelArgs,
    /// What simulates: verilator compiles the design and takes millions of rows, iverilog interprets it
    #[arg(long, value_enum, default_value_t = ToolName::Verilator)]
    tool: ToolName,
    /// Rows: directed ones, then random ones
    #[arg(long, visible_alias = "rows", default_value_t = 10_000, value_name = "N")]
    vectors: usize,
    /// Both sides of the stream wait at random; with --xrt every channel of the memory
    #[arg(long)]
    stalls: bool,
    /// Registers flip at random, those of one copy with --tmr (iverilog; modes shift-add and dsp)
    #[arg(long)]
    upsets: bool,
    /// Keep the simulation's files in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl SimulateArgs {
    pub fn run(&self) -> Result<Outcome> {
        let (program, design) = self.design.generate()?;
        let temporary = tempfile::tempdir().in_file(Path::new("a temporary folder"))?;
        let folder = self.keep.as_deref().unwrap_or(temporary.path());
        std::fs::create_dir_all(folder).in_file(folder)?;
        let tool = match self.tool {
            ToolName::Verilator => Tool::Verilator,
            ToolName::Iverilog => Tool::Icarus,
        };
        let trouble = Trouble { stalls: self.stalls, upsets: self.upsets };
        let start = Instant::now();
        let found = match self.kernel.bus_bits() {
            None => simulate(&program, &design, tool, self.vectors, trouble, folder)?,
            Some(_) if tool != Tool::Verilator || self.upsets => {
                return Err(Failure::usage("--xrt is simulated by verilator, without --upsets"));
            }
            Some(bus_bits) => simulate_kernel(&program, &design, bus_bits, self.vectors, self.stalls, folder)?,
        };
        let seconds = start.elapsed().as_secs_f64();
        let (mut text, mut json) = describe(&design, self.design.mode());
        text +=
            &format!("\n{}: {} rows, {} mismatches, {seconds:.1} s", tool.program(), found.n_rows, found.n_mismatches);
        if let Some((rows, cycles)) = found.largest_batch {
            let per_cycle = rows as f64 / cycles.max(1) as f64;
            text += &format!("\n  {rows} rows at once in {cycles} cycles: {per_cycle:.3} rows a cycle");
            json["rows_per_cycle"] = number(per_cycle);
        }
        if let Some(first) = &found.first {
            text += &format!("\n  first: {first}");
        }
        json["tool"] = tool.program().into();
        json["rows"] = found.n_rows.into();
        json["mismatches"] = found.n_mismatches.into();
        json["first_mismatch"] = found.first.clone().into();
        let mut outcome = Outcome::new(text, json);
        outcome.failed = (found.n_mismatches > 0).then_some(Code::BoundBroken);
        Ok(outcome)
    }
}
