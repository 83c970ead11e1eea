//! The command `baler`: one file of this folder per subcommand, `format/` for the files arrays come from and go to.
//!
//! **Architecture invariant:** a host like any other: files and words of users become `baler_codec` calls, and no
//! knowledge of coding lives here.

mod args;
mod auction;
mod bench;
mod check;
mod compress;
#[cfg(feature = "train")]
mod curves;
mod dataset;
mod decompress;
mod diagnose;
mod drift;
mod failure;
mod format;
mod fpga;
#[cfg(feature = "hdf5")]
mod h5;
mod import_project;
mod info;
mod memory;
mod models;
mod new;
mod outcome;
mod outliers;
mod output;
#[cfg(feature = "parquet")]
mod parquet;
mod progress;
mod project;
mod report;
mod simulate;
mod stream;
mod train;
mod train_log;
mod verify;

use clap::{Parser, Subcommand};
use serde_json::json;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "Examples:
  baler compress field.npy field.baler --rel 1e-3     # largest error: 0.1 % of the range
  baler verify field.npy field.baler                  # read both again, compare exactly
  baler info field.baler                              # sizes, candidates, models, hash
  baler decompress field.baler back.npy
  baler compress field.npy field.h5 --abs 0.01        # for any HDF5 program with our plugin
  h5repack -f \"$(baler h5 args --rel 1e-3)\" in.h5 out.h5
  baler parquet encode lake/ small/ --rel 1e-3        # a table of Parquet files; rows stay rows
  baler new flows cylinder; baler train --project flows cylinder    # a project: data, settings, results in one place

Exit codes: 0 all is well; 1 a file, a device or another program failed; 2 the command line is wrong; 3 the bound is
broken; 4 the input is damaged; 5 a model is missing or cannot be used.";

/// Error-bounded compression of scientific arrays with pretrained models
#[derive(Debug, Parser)]
#[command(name = "baler", version, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object instead of text, errors included
    #[arg(long, global = true)]
    json: bool,
    /// No progress bars
    #[arg(long, short, global = true)]
    quiet: bool,
    /// All arguments from WORKSPACE/PROJECT/config.toml: train, compress, decompress, verify, report, diagnose, info
    // Written out by `project::expand` before any parsing; here for the help.
    #[arg(id = "project-form", long = "project", global = true, num_args = 2,
          value_names = ["WORKSPACE", "PROJECT"])]
    _project: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Compress(compress::CompressArgs),
    Decompress(decompress::DecompressArgs),
    Verify(verify::VerifyArgs),
    Info(info::InfoArgs),
    Report(report::ReportArgs),
    Convert(decompress::ConvertArgs),
    Models(models::ModelsArgs),
    Outliers(outliers::OutliersArgs),
    #[cfg(feature = "hdf5")]
    H5(h5::H5Args),
    Fpga(fpga::FpgaArgs),
    #[cfg(feature = "parquet")]
    Parquet(parquet::ParquetArgs),
    Simulate(simulate::SimulateArgs),
    Stream(Box<stream::StreamArgs>),
    Train(Box<train::TrainArgs>),
    Bench(bench::BenchArgs),
    Diagnose(diagnose::DiagnoseArgs),
    New(new::NewArgs),
    ImportProject(import_project::ImportProjectArgs),
}

fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let has = |flag: &str| typed.iter().any(|a| a == flag);
    let (json, quiet) = (has("--json"), has("--quiet") || has("-q") || has("--json"));
    let lines = match project::expand(typed.clone()) {
        Ok(lines) => lines,
        Err(failure) => return print(Err(failure), json),
    };
    for line in &lines {
        if *line != typed && !quiet {
            eprintln!("$ {}", project::shown(line));
        }
        let cli = Cli::parse_from(line);
        // A benchmark is fair to its peers in other processes.
        if !matches!(cli.command, Command::Bench(_)) {
            memory::keep();
        }
        let code = print(run(&cli), cli.json);
        if code != ExitCode::SUCCESS {
            return code;
        }
    }
    ExitCode::SUCCESS
}

fn run(cli: &Cli) -> failure::Result<outcome::Outcome> {
    let quiet = cli.quiet || cli.json;
    match &cli.command {
        Command::Compress(args) => args.run(quiet),
        Command::Decompress(args) => args.run(quiet),
        Command::Verify(args) => args.run(quiet),
        Command::Info(args) => args.run(quiet),
        Command::Report(args) => args.run(quiet),
        Command::Convert(args) => args.run(quiet),
        Command::Models(args) => args.run(),
        Command::Outliers(args) => args.run(quiet),
        #[cfg(feature = "hdf5")]
        Command::H5(args) => args.run(quiet),
        Command::Fpga(args) => args.run(),
        #[cfg(feature = "parquet")]
        Command::Parquet(args) => args.run(quiet),
        Command::Simulate(args) => args.run(),
        Command::Stream(args) => args.run(),
        Command::Train(args) => args.run(quiet),
        Command::Bench(args) => args.run(quiet),
        Command::Diagnose(args) => args.run(),
        Command::New(args) => args.run(),
        Command::ImportProject(args) => args.run(),
    }
}

/// Prints what came of a command, and says it as an exit code.
fn print(result: failure::Result<outcome::Outcome>, as_json: bool) -> ExitCode {
    let (line, code) = match result {
        Ok(outcome) => {
            let line = if as_json { outcome.json.to_string() } else { outcome.text };
            (line, outcome.failed.map_or(0, |code| code as u8))
        }
        Err(failure) => {
            let code = failure.code as u8;
            eprintln!("baler: {}", failure.message);
            if !as_json {
                return ExitCode::from(code);
            }
            let error = json!({ "code": code, "kind": failure.code.name(), "message": failure.message });
            (json!({ "error": error }).to_string(), code)
        }
    };
    if line.is_empty() {
        return ExitCode::from(code);
    }
    // A reader that closed the pipe has what it wanted.
    let _ = writeln!(std::io::stdout(), "{line}");
    ExitCode::from(code)
}
