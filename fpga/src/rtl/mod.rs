//! Verilog of a program.
//!
//! | module | what |
//! |---|---|
//! | [`adders`] | a constant matrix as additions and shifts |
//! | `lower.rs` | the program's layers as operations on integers |
//! | [`net`] | those operations, with the exact range of each |
//! | [`schedule`] | which happens in which clock cycle |
//! | `verilog.rs` | the text |
//! | [`reuse`] | the other way: multipliers that are used again, weights that can be changed |
//! | `mac.rs` | a dense layer of that kind |
//! | [`stream`] | AXI4-Stream around it |
//! | [`shell`] | a kernel for XRT around that: control registers, movers, kernel.xml |
//! | [`simulate`] | Verilator and Icarus against the plain interpreter |
//! | [`synth`] | what yosys and nextpnr make of it |
//! | [`tmr`] | three copies and their majority |
//! | [`vectors`] | rows to try designs with |

pub mod adders;
mod lower;
mod mac;
pub mod net;
pub mod reuse;
pub mod schedule;
pub mod shell;
pub mod simulate;
pub mod stream;
pub mod synth;
pub mod tmr;
pub mod vectors;
mod verilog;

pub use verilog::Port;

use crate::ir::Program;
use baler_codec::{Error, Result};
use net::Net;
use schedule::Schedule;

/// What multiplies by the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Shifts and additions, shared between outputs ([`adders`]): no multipliers, a row in every cycle.
    #[default]
    ShiftAdd,
    /// One multiplier (DSP slice) for each weight, a row in every cycle.
    Dsp,
    /// Multipliers that are used again: a row every so many cycles.
    Reuse(usize),
    /// As [`Mode::Reuse`], with weights and biases that can be changed while the hardware stays.
    Reloadable(usize),
}

impl Mode {
    /// Cycles from one row to the next.
    pub fn interval(self) -> usize {
        match self {
            Mode::ShiftAdd | Mode::Dsp => 1,
            Mode::Reuse(n) | Mode::Reloadable(n) => n,
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mode::ShiftAdd => f.write_str("shift-add"),
            Mode::Dsp => f.write_str("dsp"),
            Mode::Reuse(n) => write!(f, "reuse={n}"),
            Mode::Reloadable(n) => write!(f, "reloadable={n}"),
        }
    }
}

impl std::str::FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!(
                "mode {text:?}: expected shift-add, dsp, reuse=N, reloadable or reloadable=N, with N cycles from row to row"
            ))
        };
        let (name, n) = text.split_once('=').map_or((text, None), |(name, n)| (name, Some(n)));
        let interval = n.map(|n| n.parse().ok().filter(|n| (1..=1 << 16).contains(n)).ok_or_else(wrong)).transpose()?;
        match (name, interval) {
            ("shift-add", None) => Ok(Mode::ShiftAdd),
            ("dsp", None) => Ok(Mode::Dsp),
            ("reuse", Some(n)) => Ok(Mode::Reuse(n)),
            ("reloadable", n) => Ok(Mode::Reloadable(n.unwrap_or(1))),
            _ => Err(wrong()),
        }
    }
}

/// How hardware is made of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What multiplies.
    pub mode: Mode,
    /// Levels of logic (an adder, a limit) in one clock cycle, at least 1: more of them make the latency shorter and the
    /// clock slower.
    pub levels: usize,
    /// Levels that sums may be deeper than they must be, so that more of them are shared.
    pub slack: u32,
    /// Whether each row says if any value was outside the range of its format.
    pub has_status: bool,
    /// Whether there are three copies and a vote, against radiation ([`tmr`]).
    pub has_copies: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { mode: Mode::ShiftAdd, levels: 2, slack: 0, has_status: false, has_copies: false }
    }
}

/// Hardware of a program: text, and what is known of it.
#[derive(Clone, Debug)]
pub struct Design {
    /// The module that takes rows.
    pub top: String,
    /// Verilog 2005.
    pub text: String,
    /// What goes in.
    pub input: Port,
    /// What comes out.
    pub output: Port,
    /// Clock cycles from a row to its output.
    pub latency: usize,
    /// Clock cycles from one row to the next.
    pub interval: usize,
    /// Adders, outside of multipliers.
    pub n_adders: usize,
    /// Their bits.
    pub adder_bits: u64,
    /// Bits of pipeline registers.
    pub register_bits: u64,
    /// Multipliers by weights.
    pub n_multipliers: usize,
    /// Whether each row says if any value was outside the range of its format.
    pub has_status: bool,
    /// Whether it says when the next row may enter; without, that is always.
    pub has_ready: bool,
    /// Whether it has a port for parameters.
    pub is_reloadable: bool,
    /// Whether it is three copies and their majority.
    pub has_copies: bool,
    /// Names of a pipeline's registers within the top module (those of one copy), for tests that upset them.
    pub registers: Vec<String>,
}

/// Makes the hardware.
///
/// # Errors
/// Operations that hardware does not have, and wires of more than 126 bits. The message names the layer.
pub fn generate(program: &Program, options: &Options) -> Result<Design> {
    let single = generate_single(program, options)?;
    Ok(if options.has_copies { tmr::triplicate(single) } else { single })
}

fn generate_single(program: &Program, options: &Options) -> Result<Design> {
    if options.levels == 0 {
        return Err(Error::invalid("0 levels of logic in a clock cycle: expected at least 1"));
    }
    if let Mode::Reuse(interval) | Mode::Reloadable(interval) = options.mode {
        return reuse::generate(program, options, interval);
    }
    let mut net = lower::lower(program, options)?;
    if !options.has_status {
        net.set_outputs(net.outputs()[..program.output_len()].to_vec());
        net = net.pruned();
    }
    let schedule = Schedule::new(&net, options.levels);
    let (input, output) = (Port::of(program.formats_before(0)), Port::of(program.output_formats()));
    let top = module_name(program.name());
    let pipeline = verilog::Pipeline {
        net: &net,
        schedule: &schedule,
        module: &top,
        input: &input,
        output: &output,
        has_status: options.has_status,
    };
    let (n_adders, adder_bits) = adders_of(&net);
    let (text, registers) = (pipeline.text(), pipeline.registers());
    Ok(Design {
        text,
        top,
        latency: schedule.latency(),
        interval: 1,
        n_adders,
        adder_bits,
        register_bits: schedule.register_bits(&net),
        n_multipliers: net.nodes().iter().filter(|node| matches!(node.op, net::Op::Multiply(..))).count(),
        has_status: options.has_status,
        has_ready: false,
        is_reloadable: false,
        has_copies: false,
        registers,
        input,
        output,
    })
}

fn adders_of(net: &Net) -> (usize, u64) {
    let bits = net.nodes().iter().filter_map(|node| match node.op {
        net::Op::Sum(sum) => Some(u64::from(adders::adder_bits(node.range, sum))),
        _ => None,
    });
    bits.fold((0, 0), |(n, sum), bits| (n + 1, sum + bits))
}

/// An identifier of Verilog and C++.
pub(crate) fn module_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    format!("baler_{plain}")
}

#[cfg(test)]
mod lower_tests;

#[cfg(test)]
pub(crate) mod tests {
    use crate::ir::Range;

    /// A small generator of random numbers (splitmix64), so that every run sees the same.
    pub(crate) struct Random(u64);

    impl Random {
        pub(crate) fn new(seed: u64) -> Self {
            Self(seed)
        }

        pub(crate) fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }

        pub(crate) fn within(&mut self, range: Range) -> i128 {
            let wide = u128::from(self.next()) << 64 | u128::from(self.next());
            match ((range.high - range.low) as u128).checked_add(1) {
                Some(n) => range.low + (wide % n) as i128,
                None => wide as i128,
            }
        }
    }
}
