//! The self-checking test bench, for any simulator, and Icarus to run it.

use super::{Outcome, Trouble, failed, run};
use crate::ir::Program;
use crate::rtl::stream::{self, pack, row_bytes};
use crate::rtl::{Design, vectors::Vectors};
use baler_codec::{Error, Result};
use std::path::Path;
use std::process::Command;

/// Compares a design with its program.
pub(super) fn compare(
    program: &Program,
    design: &Design,
    n_rows: usize,
    trouble: Trouble,
    folder: &Path,
) -> Result<Outcome> {
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
    Ok(Outcome { n_rows, n_mismatches: n_wrong, first, largest_batch: None })
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
    let text = design.text.clone() + &stream::text(design);
    Ok([("design.v", text), ("bench.v", bench), ("inputs.hex", inputs), ("expected.hex", expected)]
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
