//! `baler fpga rtl`: Verilog.

use crate::failure::{InFile, Result};
use crate::outcome::{Outcome, bytes};
use baler_fpga::ir::Program;
use baler_fpga::rtl::simulate::{self, Trouble};
use baler_fpga::rtl::{self, Design, Mode, Options, shell};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What hardware is made of which program: for every subcommand that makes some.
#[derive(Args, Debug)]
pub struct DesignArgs {
    /// A program (.json), or a model with one: a .bundle file or a name
    program: PathBuf,
    /// What multiplies: shift-add, dsp, reuse=N (a row every N cycles), reloadable or reloadable=N (weights that change)
    #[arg(long, default_value = "shift-add")]
    mode: Mode,
    /// Adders in a row within one clock cycle
    #[arg(long, default_value_t = Options::default().levels)]
    levels: usize,
    /// Levels that sums may be deeper, to share more
    #[arg(long, default_value_t = Options::default().slack)]
    slack: u32,
    /// With an output that says if a value of the row was outside the range of its format
    #[arg(long)]
    status: bool,
    /// Three copies and a vote, against radiation
    #[arg(long)]
    tmr: bool,
}

impl DesignArgs {
    pub fn generate(&self) -> Result<(Program, Design)> {
        let program = super::read_program(&self.program)?;
        let options = Options {
            mode: self.mode,
            levels: self.levels,
            slack: self.slack,
            has_status: self.status,
            has_copies: self.tmr,
        };
        let design = rtl::generate(&program, &options).in_file(&self.program)?;
        Ok((program, design))
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }
}

/// What is known of a design before synthesis.
pub fn describe(design: &Design, mode: Mode) -> (String, Value) {
    let text = format!(
        "{}: {mode}, {} cycles, interval {}, {} adders of {} bits in all, {} multipliers, {} register bits",
        design.top,
        design.latency,
        design.interval,
        design.n_adders,
        design.adder_bits,
        design.n_multipliers,
        design.register_bits
    );
    let json = json!({
        "top": design.top,
        "mode": mode.to_string(),
        "latency_cycles": design.latency,
        "interval_cycles": design.interval,
        "adders": design.n_adders,
        "adder_bits": design.adder_bits,
        "multipliers": design.n_multipliers,
        "register_bits": design.register_bits,
    });
    (text, json)
}

/// The kernel for XRT around a design.
#[derive(Args, Debug)]
pub struct KernelArgs {
    /// With the kernel for XRT's shells around it: control registers, movers between memory and streams
    #[arg(long)]
    xrt: bool,
    /// With --xrt: bits of the memory bus
    #[arg(long, default_value_t = shell::BUS_BITS, requires = "xrt")]
    bus: u32,
}

impl KernelArgs {
    /// Bits of the bus, if there is to be a kernel.
    pub fn bus_bits(&self) -> Option<u32> {
        self.xrt.then_some(self.bus)
    }
}

/// Writes Verilog: the design, its AXI4-Stream wrapper, and a self-checking test bench with rows; with --xrt the kernel too
#[derive(Args, Debug)]
pub struct RtlArgs {
    #[command(flatten)]
    design: DesignArgs,
    /// Folder for the files
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    kernel: KernelArgs,
    /// Rows of the test bench
    #[arg(long, default_value_t = 1000, value_name = "N")]
    vectors: usize,
}

impl RtlArgs {
    pub fn run(&self) -> Result<Outcome> {
        let (program, design) = self.design.generate()?;
        std::fs::create_dir_all(&self.output).in_file(&self.output)?;
        let mut files = simulate::test_bench(&program, &design, self.vectors, Trouble { stalls: true, upsets: false })?;
        if design.is_reloadable {
            let words = rtl::reuse::words(&program, design.interval)?;
            let lines: String = words.iter().map(|word| format!("{word:08x}\n")).collect();
            files.push(("parameters.hex".to_owned(), lines));
        }
        if let Some(bus_bits) = self.kernel.bus_bits() {
            let name = shell::kernel_name(&program);
            files.push(("kernel.v".to_owned(), shell::text(&design, &name, bus_bits)?));
            files.push(("kernel.xml".to_owned(), shell::xml(&name, bus_bits)));
        }
        let (mut text, mut json) = describe(&design, self.design.mode());
        for (name, content) in &files {
            let path = self.output.join(name);
            std::fs::write(&path, content).in_file(Path::new(&path))?;
            text += &format!("\n{}: {}", path.display(), bytes(content.len() as u64));
        }
        json["files"] = files.iter().map(|(name, _)| name.as_str()).collect();
        Ok(Outcome::new(text, json))
    }
}
