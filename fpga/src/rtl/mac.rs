//! A dense layer with multipliers that are used again: a row every `interval` cycles.
//!
//! ```text
//! cycle   0: the row is kept             x <= row
//!      p+1: phase p picks an input       a <= x[..], w <= weights[p]
//!      p+2: product <= a * w
//!      p+3: sum     <= products of the unit
//!      p+4: total   <= (first phase of an output ? bias : total) + sum
//! ```
//! A unit computes `n_slots` outputs one after the other, each in `n_phases` phases, with `n_lanes` multipliers.
//! Weights and biases are memories: constant, or written through a port.

use super::verilog::{Port, literal};
use crate::ir::{Dense, Range};
use baler_codec::{Error, Result};
use std::fmt::Write as _;

/// How a dense layer is spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Multipliers of a unit.
    pub(super) n_lanes: usize,
    /// Phases an output takes.
    pub(super) n_phases: usize,
    /// Outputs a unit computes in turn.
    pub(super) n_slots: usize,
    /// Units.
    pub(super) n_units: usize,
}

impl Plan {
    pub(super) fn new(n_in: usize, n_out: usize, interval: usize) -> Self {
        let n_lanes = n_in.div_ceil(interval);
        let n_phases = n_in.div_ceil(n_lanes);
        let n_slots = (interval / n_phases).clamp(1, n_out);
        Self { n_lanes, n_phases, n_slots, n_units: n_out.div_ceil(n_slots) }
    }

    fn depth(self) -> usize {
        self.n_slots * self.n_phases
    }

    /// Cycles from a row to its sums.
    pub(super) fn latency(self) -> usize {
        self.depth() + 4
    }

    pub(super) fn n_multipliers(self) -> usize {
        self.n_units * self.n_lanes
    }
}

/// A dense layer as such a module.
pub(super) struct Mac<'a> {
    pub(super) module: &'a str,
    pub(super) dense: &'a Dense,
    pub(super) plan: Plan,
    /// What comes in, and by how many bits each element is shifted up to the common grid.
    pub(super) input: &'a Port,
    pub(super) shifts: &'a [u32],
    pub(super) bias_shift: u32,
    /// Of every total, partial ones too.
    pub(super) totals: Range,
    /// Where this layer's memories begin in the stream of parameters; nothing if they are constant.
    pub(super) first_word: Option<usize>,
}

/// One memory of a module: its name, and its words in order.
struct Memory {
    name: String,
    bits: u32,
    words: Vec<i64>,
}

impl Mac<'_> {
    /// Bits of each sum that comes out; all are signed.
    pub(super) fn sum_bits(&self) -> u32 {
        self.totals.bits() + u32::from(!self.totals.is_signed())
    }

    fn memories(&self) -> Vec<Memory> {
        let Plan { n_lanes, n_phases, n_slots, n_units } = self.plan;
        let n_in = self.input.widths.len();
        let mut memories = Vec::new();
        for unit in 0..n_units {
            let row = |slot: usize| self.dense.weights.get(unit * n_slots + slot);
            for lane in 0..n_lanes {
                let word = |at: usize| {
                    let i = at % n_phases * n_lanes + lane;
                    row(at / n_phases).filter(|_| i < n_in).map_or(0, |row| row[i])
                };
                let words = (0..self.plan.depth()).map(word).collect();
                memories.push(Memory {
                    name: format!("w_{unit}_{lane}"),
                    bits: self.dense.weight_format.width(),
                    words,
                });
            }
            let bias = |slot: usize| self.dense.biases.get(unit * n_slots + slot).copied().unwrap_or(0);
            let words = (0..n_slots).map(bias).collect();
            memories.push(Memory { name: format!("b_{unit}"), bits: self.dense.bias_format.width(), words });
        }
        memories
    }

    /// The parameters in the order in which the port takes them.
    ///
    /// # Errors
    /// If one has more than 32 bits.
    pub(super) fn words(&self) -> Result<Vec<u32>> {
        if self.dense.weight_format.width().max(self.dense.bias_format.width()) > 32 {
            return Err(Error::unsupported("weights or biases of more than 32 bits through the port for parameters"));
        }
        Ok(self.memories().into_iter().flat_map(|m| m.words).map(|w| w as u32).collect())
    }

    /// The module.
    pub(super) fn text(&self) -> String {
        let Plan { n_lanes, n_phases, n_slots, n_units } = self.plan;
        let (n_in, n_out) = (self.input.widths.len(), self.dense.biases.len());
        let aligned = |i: usize| self.input.widths[i] + u32::from(!self.input.is_signed[i]) + self.shifts[i];
        let x_bits = (0..n_in).map(aligned).max().unwrap_or(1);
        let (w_bits, sum_bits) = (self.dense.weight_format.width(), self.sum_bits());
        let w_bits = w_bits + u32::from(!self.dense.weight_format.is_signed());
        let depth = self.plan.depth();
        let bits_of = |n: usize| (n.max(2) - 1).ilog2() + 1;
        let (phase_bits, slot_bits) = (bits_of(n_phases), bits_of(n_slots));
        let at_bits = bits_of(depth);
        let mut out = String::new();
        let load_ports = "\n  input wire load_valid,\n  input wire [31:0] load_at,\n  input wire [31:0] load_data,";
        let _ = write!(
            out,
            "
// {n_in} to {n_out}: {n_units} units of {n_lanes} multipliers, {n_slots} outputs each, {n_phases} phases an output.
module {module} (
  input wire clk,
  input wire rst,{load}
  input wire in_valid,
  input wire [{in_top}:0] in_data,
  output reg out_valid,
  output wire [{out_top}:0] out_data
);
  reg [{in_top}:0] x;
  reg busy, busy_a, busy_p, busy_s;
  reg [{phase_top}:0] phase, phase_a, phase_p, phase_s;
  reg [{slot_top}:0] slot, slot_a, slot_p, slot_s;
  reg [{at_top}:0] at;
  wire last_phase = phase == {last_phase};
  wire last_slot = slot == {last_slot};
  always @(posedge clk) begin
    if (in_valid) x <= in_data;
    busy <= rst ? 1'b0 : in_valid | (busy & ~(last_phase & last_slot));
    phase <= in_valid | last_phase ? 0 : phase + 1'b1;
    slot <= in_valid ? 0 : last_phase ? slot + 1'b1 : slot;
    at <= in_valid ? 0 : at + 1'b1;
    {{busy_a, phase_a, slot_a}} <= {{busy & ~rst, phase, slot}};
    {{busy_p, phase_p, slot_p}} <= {{busy_a & ~rst, phase_a, slot_a}};
    {{busy_s, phase_s, slot_s}} <= {{busy_p & ~rst, phase_p, slot_p}};
    out_valid <= busy_s & ~rst & phase_s == {last_phase} & slot_s == {last_slot};
  end
",
            module = self.module,
            load = if self.first_word.is_some() { load_ports } else { "" },
            in_top = self.input.bits() - 1,
            out_top = n_out as u32 * sum_bits - 1,
            phase_top = phase_bits - 1,
            slot_top = slot_bits - 1,
            at_top = at_bits - 1,
            last_phase = literal(n_phases as i128 - 1, phase_bits),
            last_slot = literal(n_slots as i128 - 1, slot_bits),
        );
        let offsets = self.input.offsets();
        for lane in 0..n_lanes {
            let _ =
                write!(out, "\n  reg signed [{}:0] a_{lane};\n  always @(posedge clk)\n    case (phase)\n", x_bits - 1);
            for phase in 0..n_phases {
                let i = phase * n_lanes + lane;
                if i >= n_in {
                    continue;
                }
                let top = offsets[i] + self.input.widths[i] - 1;
                let fill = x_bits - self.input.widths[i] - self.shifts[i];
                let sign = if self.input.is_signed[i] { format!("x[{top}]") } else { "1'b0".to_owned() };
                let mut parts = vec![format!("x[{top}:{}]", offsets[i])];
                if fill > 0 {
                    parts.insert(0, format!("{{{fill}{{{sign}}}}}"));
                }
                if self.shifts[i] > 0 {
                    parts.push(format!("{}'d0", self.shifts[i]));
                }
                let _ = writeln!(out, "      {phase_bits}'d{phase}: a_{lane} <= {{{}}};", parts.join(", "));
            }
            let _ = writeln!(out, "      default: a_{lane} <= 0;\n    endcase");
        }
        let mut first_word = self.first_word.unwrap_or(0);
        for memory in self.memories() {
            let Memory { name, bits, words } = memory;
            let _ = writeln!(out, "\n  reg [{}:0] {name} [0:{}];\n  initial begin", bits - 1, words.len() - 1);
            for (i, &word) in words.iter().enumerate() {
                let _ = writeln!(out, "    {name}[{i}] = {};", literal(word.into(), bits));
            }
            out.push_str("  end\n");
            if self.first_word.is_some() {
                let end = first_word + words.len();
                let _ = writeln!(
                    out,
                    "  always @(posedge clk)\n    if (load_valid & load_at >= {first_word} & load_at < {end}) \
                     {name}[load_at - {first_word}] <= load_data[{}:0];",
                    bits - 1
                );
                first_word = end;
            }
        }
        // Unsigned parameters get a zero for a sign.
        let sign = |is_signed: bool, name: &str| {
            if is_signed { format!("$signed({name})") } else { format!("$signed({{1'b0, {name}}})") }
        };
        let product_bits = x_bits + w_bits;
        for unit in 0..n_units {
            for lane in 0..n_lanes {
                let weight = sign(self.dense.weight_format.is_signed(), &format!("w_{unit}_{lane}[at]"));
                let _ = write!(
                    out,
                    "
  reg signed [{w_top}:0] k_{unit}_{lane};
  (* use_dsp = \"yes\" *) reg signed [{p_top}:0] p_{unit}_{lane};
  always @(posedge clk) begin
    k_{unit}_{lane} <= {weight};
    p_{unit}_{lane} <= a_{lane} * k_{unit}_{lane};
  end
",
                    w_top = w_bits - 1,
                    p_top = product_bits - 1,
                );
            }
            let sum: Vec<String> = (0..n_lanes).map(|lane| format!("p_{unit}_{lane}")).collect();
            let bias = sign(self.dense.bias_format.is_signed(), &format!("b_{unit}[slot_s]"));
            let _ = write!(
                out,
                "
  reg signed [{top}:0] s_{unit}, t_{unit};
  wire signed [{top}:0] b_{unit}_now = {bias};
  wire signed [{top}:0] t_{unit}_next = (phase_s == 0 ? b_{unit}_now <<< {bias_shift} : t_{unit}) + s_{unit};
  always @(posedge clk) begin
    s_{unit} <= {sum};
    t_{unit} <= t_{unit}_next;
  end
",
                top = sum_bits - 1,
                bias_shift = self.bias_shift,
                sum = sum.join(" + "),
            );
        }
        // The last output of each unit is its running total, the others are kept.
        let mut parts = Vec::new();
        for j in 0..n_out {
            let (unit, slot) = (j / n_slots, j % n_slots);
            if slot + 1 == n_slots {
                parts.push(format!("t_{unit}"));
                continue;
            }
            let _ = write!(
                out,
                "
  reg signed [{}:0] r_{j};
  always @(posedge clk) if (phase_s == {} & slot_s == {}) r_{j} <= t_{unit}_next;
",
                sum_bits - 1,
                literal(n_phases as i128 - 1, phase_bits),
                literal(slot as i128, slot_bits),
            );
            parts.push(format!("r_{j}"));
        }
        parts.reverse();
        let _ = write!(out, "\n  assign out_data = {{{}}};\nendmodule\n", parts.join(", "));
        out
    }
}
