//! `baler fpga`: encoders as fixed-point programs. One file for each subcommand.

mod check_vectors;
mod compile;
mod emulate;
mod hls;
mod report;
mod rows;
mod rtl;
mod simulate;
mod synth;

use crate::failure::{Failure, InFile, Result};
use crate::outcome::Outcome;
use baler_fpga::ir::Program;
use clap::{Args, Subcommand};
use std::io::Read;
use std::path::Path;

/// Fixed-point encoders for FPGAs: programs, emulation, checks
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler fpga compile jets.bundle --data jets.npz --budget 0.02 -o jets.fixed.json\n  \
    baler fpga emulate jets.fixed.json --data jets.npz -o codes.npy\n  \
    baler fpga report jets.fixed.json\n  \
    baler fpga check-vectors vectors/*.json\n  \
    baler fpga rtl jets.fixed.json -o verilog\n  \
    baler fpga simulate jets.fixed.json --tool verilator --vectors 1000000")]
pub struct FpgaArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compile(compile::CompileArgs),
    Emulate(emulate::EmulateArgs),
    Report(report::ReportArgs),
    CheckVectors(check_vectors::CheckVectorsArgs),
    Hls(hls::HlsArgs),
    Rtl(rtl::RtlArgs),
    Simulate(simulate::SimulateArgs),
    Synth(synth::SynthArgs),
}

impl FpgaArgs {
    pub fn run(&self) -> Result<Outcome> {
        match &self.command {
            Command::Compile(args) => args.run(),
            Command::Emulate(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::CheckVectors(args) => args.run(),
            Command::Hls(args) => args.run(),
            Command::Rtl(args) => args.run(),
            Command::Simulate(args) => args.run(),
            Command::Synth(args) => args.run(),
        }
    }
}

/// A text file of at most `max_bytes`.
fn read_text(path: &Path, max_bytes: usize) -> Result<String> {
    let mut text = String::new();
    let mut file = crate::format::open_file(path)?.take(max_bytes as u64 + 1);
    file.read_to_string(&mut text).in_file(path)?;
    if text.len() > max_bytes {
        return Err(Failure::damaged(format!("{}: more than {max_bytes} bytes", path.display())));
    }
    Ok(text)
}

/// A program from its file.
fn read_program(path: &Path) -> Result<Program> {
    Program::from_json(&read_text(path, baler_fpga::ir::MAX_BYTES)?).in_file(path)
}
