//! The text of a pipeline: one module, a wire for each node, registers after each stage.

use super::adders::{Form, Sum};
use super::net::{Id, Net, Node, Op, constant};
use super::schedule::Schedule;
use crate::fixed::Rounding;
use std::fmt::Write as _;

/// One port of a module that carries a row: its elements side by side, the first in the lowest bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Bits of each element.
    pub widths: Vec<u32>,
    /// Whether each is two's complement.
    pub is_signed: Vec<bool>,
}

impl Port {
    /// Elements of these formats.
    pub fn of(formats: &[crate::fixed::Format]) -> Self {
        Self {
            widths: formats.iter().map(|f| f.width()).collect(),
            is_signed: formats.iter().map(|f| f.is_signed()).collect(),
        }
    }

    /// Bits in all.
    pub fn bits(&self) -> u32 {
        self.widths.iter().sum()
    }

    /// Where each element begins.
    pub fn offsets(&self) -> Vec<u32> {
        self.widths.iter().scan(0, |end, w| Some(std::mem::replace(end, *end + w))).collect()
    }
}

/// `value` as a literal of `width` bits.
pub(super) fn literal(value: i128, width: u32) -> String {
    let mask = if width >= 128 { u128::MAX } else { (1 << width) - 1 };
    format!("{width}'h{:x}", value as u128 & mask)
}

/// A pipeline in Verilog.
pub(super) struct Pipeline<'a> {
    pub(super) net: &'a Net,
    pub(super) schedule: &'a Schedule,
    pub(super) module: &'a str,
    pub(super) input: &'a Port,
    pub(super) output: &'a Port,
    /// The net's last output is the overflow status.
    pub(super) has_status: bool,
}

impl Pipeline<'_> {
    /// The module.
    pub(super) fn text(&self) -> String {
        let latency = self.schedule.latency();
        let mut out = String::new();
        let _ = write!(
            out,
            "// {} cycles from input to output, a row in every cycle.\n\
             module {} (\n  input wire clk,\n  input wire rst,\n  input wire in_valid,\n  input wire [{}:0] in_data,\n  \
             output wire out_valid,\n  output wire [{}:0] out_data{}\n);\n",
            latency,
            self.module,
            self.input.bits() - 1,
            self.output.bits() - 1,
            if self.has_status { ",\n  output wire out_overflow" } else { "" },
        );
        self.tables(&mut out);
        for stage in 0..latency {
            self.stage(&mut out, stage);
        }
        self.outputs(&mut out, latency);
        out.push_str("endmodule\n");
        out
    }

    fn tables(&self, out: &mut String) {
        for (number, entries) in self.net.tables().iter().enumerate() {
            let users = self.net.nodes().iter().filter(|n| matches!(n.op, Op::Table(_, t) if t == number));
            let Some(width) = users.map(|n| n.range.bits()).max() else { continue };
            let address = (entries.len() as u64 - 1).checked_ilog2().unwrap_or(0) + 1;
            let _ = write!(
                out,
                "\n  function [{}:0] table_{number};\n    input [{}:0] at;\n    case (at)\n",
                width - 1,
                address - 1
            );
            for (i, &entry) in entries.iter().enumerate() {
                let _ = writeln!(out, "      {address}'d{i}: table_{number} = {};", literal(entry, width));
            }
            let _ = write!(out, "      default: table_{number} = {width}'d0;\n    endcase\n  endfunction\n");
        }
    }

    /// The nodes whose values are in registers after a stage.
    fn kept(&self, stage: usize) -> Vec<Id> {
        let is_kept = |&id: &Id| {
            constant(self.net.range(id)).is_none()
                && self.schedule.stage(id) <= stage
                && self.schedule.last_read(id) > stage
        };
        (0..self.net.nodes().len()).filter(is_kept).collect()
    }

    /// The names of all registers but the chain of `valid`.
    pub(super) fn registers(&self) -> Vec<String> {
        let of_stage = |stage| self.kept(stage).into_iter().map(move |id| format!("n{id}_{stage}"));
        (0..self.schedule.latency()).flat_map(of_stage).collect()
    }

    fn stage(&self, out: &mut String, stage: usize) {
        let _ = writeln!(out, "\n  // Stage {stage}.");
        for (id, node) in self.net.nodes().iter().enumerate() {
            if self.schedule.stage(id) == stage && constant(node.range).is_none() {
                let attribute = if matches!(node.op, Op::Multiply(..)) { "(* use_dsp = \"yes\" *) " } else { "" };
                let _ = writeln!(
                    out,
                    "  {attribute}wire [{}:0] n{id} = {};",
                    node.range.bits() - 1,
                    self.expression(node, stage)
                );
            }
        }
        let kept = self.kept(stage);
        for &id in &kept {
            let _ = writeln!(out, "  reg [{}:0] n{id}_{stage};", self.net.range(id).bits() - 1);
        }
        out.push_str("  always @(posedge clk) begin\n");
        for &id in &kept {
            let _ = writeln!(out, "    n{id}_{stage} <= {};", self.name(id, stage));
        }
        out.push_str("  end\n");
    }

    fn outputs(&self, out: &mut String, latency: usize) {
        let parts: Vec<String> = self
            .output
            .widths
            .iter()
            .zip(self.net.outputs())
            .map(|(&width, &id)| self.bits(id, latency, 0, width))
            .rev()
            .collect();
        let _ = writeln!(out, "\n  assign out_data = {{{}}};", parts.join(", "));
        if self.has_status {
            let status = self.net.outputs()[self.output.widths.len()];
            let _ = writeln!(out, "  assign out_overflow = {};", self.bits(status, latency, 0, 1));
        }
        out.push_str(&valid_chain(latency));
    }

    /// The name of a node's value in a stage.
    fn name(&self, id: Id, stage: usize) -> String {
        if self.schedule.stage(id) == stage { format!("n{id}") } else { format!("n{id}_{}", stage - 1) }
    }

    /// `width` bits of a node's value from bit `from` on, as if its sign went on for ever.
    fn bits(&self, id: Id, stage: usize, from: u32, width: u32) -> String {
        let range = self.net.range(id);
        if let Some(value) = constant(range) {
            return literal(value >> from.min(127), width);
        }
        let name = self.name(id, stage);
        let n = range.bits();
        if from == 0 && width == n {
            return name;
        }
        if from >= n {
            return if range.is_signed() { format!("{{{width}{{{name}[{}]}}}}", n - 1) } else { format!("{width}'d0") };
        }
        let above = (from + width).saturating_sub(n);
        let kept = match (from, width - above) {
            (0, kept) if kept == n => name.clone(),
            (from, 1) => format!("{name}[{from}]"),
            (from, kept) => format!("{name}[{}:{from}]", from + kept - 1),
        };
        match above {
            0 => kept,
            _ if range.is_signed() => format!("{{{{{above}{{{name}[{}]}}}}, {kept}}}", n - 1),
            _ => format!("{{{above}'d0, {kept}}}"),
        }
    }

    fn sign(&self, id: Id, stage: usize) -> String {
        let range = self.net.range(id);
        if range.is_signed() { self.bits(id, stage, range.bits() - 1, 1) } else { "1'b0".to_owned() }
    }

    /// Whether a node is below `limit`; nothing if it never is.
    fn is_below(&self, a: Id, stage: usize, limit: i128) -> Option<String> {
        let range = self.net.range(a);
        if range.low >= limit {
            return None;
        }
        let sign = self.sign(a, stage);
        let place = limit.unsigned_abs().trailing_zeros();
        Some(match limit {
            0 => sign,
            // Below -2^k: negative, and not all bits from k on are ones.
            _ if limit == -(1 << place) => {
                format!("{sign} & ~(&{})", self.bits(a, stage, place, range.bits() - 1 - place))
            }
            _ => format!("$signed({}) < $signed({})", self.extended(a, stage), literal(limit, range.bits() + 1)),
        })
    }

    /// Whether a node is above `limit`; nothing if it never is.
    fn is_above(&self, a: Id, stage: usize, limit: i128) -> Option<String> {
        let range = self.net.range(a);
        if range.high <= limit {
            return None;
        }
        let place = (limit + 1).unsigned_abs().trailing_zeros();
        Some(match limit {
            -1 => format!("~{}", self.sign(a, stage)),
            // Above 2^k - 1: not negative, and some bit from k on is one.
            _ if limit + 1 == 1 << place => {
                let n = range.bits() - u32::from(range.is_signed());
                format!("~{} & (|{})", self.sign(a, stage), self.bits(a, stage, place, n - place))
            }
            _ => format!("$signed({}) > $signed({})", self.extended(a, stage), literal(limit, range.bits() + 1)),
        })
    }

    /// A node with one bit more, which is its sign.
    fn extended(&self, a: Id, stage: usize) -> String {
        self.bits(a, stage, 0, self.net.range(a).bits() + 1)
    }

    fn is_outside(&self, a: Id, stage: usize, low: i128, high: i128) -> String {
        let tests: Vec<String> = [self.is_below(a, stage, low), self.is_above(a, stage, high)]
            .into_iter()
            .flatten()
            .map(|test| format!("({test})"))
            .collect();
        tests.join(" | ")
    }

    fn expression(&self, node: &Node, stage: usize) -> String {
        let width = node.range.bits();
        let bits = |id: Id, from: u32, width: u32| self.bits(id, stage, from, width);
        match &node.op {
            Op::Input(i) => {
                let offset = self.input.offsets()[*i];
                // The range may need fewer bits than the element has.
                format!("in_data[{}:{offset}]", offset + width - 1)
            }
            Op::Constant(c) => literal(*c, width),
            Op::Sum(Sum { a, b, shift, form: Form::Reverse }) => {
                format!("{{{}, {shift}'d0}} - {}", bits(*b, 0, width - shift), bits(*a, 0, width)).replace(", 0'd0", "")
            }
            Op::Sum(Sum { a, shift, .. }) if *shift >= width => bits(*a, 0, width),
            Op::Sum(Sum { a, b, shift, form }) => {
                let sign = if *form == Form::Plus { '+' } else { '-' };
                let sum = format!("{} {sign} {}", bits(*a, *shift, width - shift), bits(*b, 0, width - shift));
                if *shift == 0 { sum } else { format!("{{{sum}, {}}}", bits(*a, 0, *shift)) }
            }
            Op::Multiply(a, weight) => {
                let of_weight = crate::ir::Range::of(*weight).bits() + u32::from(*weight >= 0);
                let signed = literal(*weight, of_weight).replace('\'', "'s");
                format!("$signed({}) * {signed}", self.extended_if_unsigned(*a, stage))
            }
            Op::Up(a, shift) => format!("{{{}, {shift}'d0}}", bits(*a, 0, width - shift)),
            Op::Drop(a, dropped, Rounding::Trn) => bits(*a, *dropped, width),
            Op::Drop(a, dropped, rounding) => {
                let bit = |place| bits(*a, place, 1);
                let (odd, half, negative) = (bit(*dropped), bit(dropped - 1), self.sign(*a, stage));
                let rest = if *dropped > 1 { format!("(|{})", bits(*a, 0, dropped - 1)) } else { "1'b0".to_owned() };
                let up = match rounding {
                    Rounding::Trn | Rounding::Rnd => half,
                    Rounding::TrnZero => format!("{negative} & ({half} | {rest})"),
                    Rounding::RndZero => format!("{half} & ({negative} | {rest})"),
                    Rounding::RndMinInf => format!("{half} & {rest}"),
                    Rounding::RndInf => format!("{half} & (~{negative} | {rest})"),
                    Rounding::RndConv => format!("{half} & ({odd} | {rest})"),
                };
                // Asked as a choice, the bit is as wide as what it is added to.
                format!("{} + (({up}) ? {} : {})", bits(*a, *dropped, width), literal(1, width), literal(0, width))
            }
            Op::Clamp(a) => {
                let mut value = bits(*a, 0, width);
                for (test, limit) in [
                    (self.is_above(*a, stage, node.range.high), node.range.high),
                    (self.is_below(*a, stage, node.range.low), node.range.low),
                ] {
                    if let Some(test) = test {
                        value = format!("({test}) ? {} : ({value})", literal(limit, width));
                    }
                }
                value
            }
            Op::ZeroOutside(a) => {
                let test = self.is_outside(*a, stage, node.range.low, node.range.high);
                format!("({test}) ? {} : {}", literal(0, width), bits(*a, 0, width))
            }
            Op::Wrap(a) => bits(*a, 0, width),
            Op::WrapSignMagnitude(a) => {
                let (cut_off, top) = (bits(*a, width, 1), bits(*a, width - 1, 1));
                format!("{} ^ {{{width}{{{cut_off} ^ {top}}}}}", bits(*a, 0, width))
            }
            Op::Select { x, above, below } => {
                format!("{} ? {} : {}", self.sign(*x, stage), bits(*below, 0, width), bits(*above, 0, width))
            }
            Op::Table(a, number) => {
                let n = self.net.tables()[*number].len() as u64;
                format!("table_{number}({})", bits(*a, 0, (n - 1).checked_ilog2().unwrap_or(0) + 1))
            }
            Op::Outside(a, low, high) => self.is_outside(*a, stage, *low, *high),
            Op::Any(of) => {
                let parts: Vec<String> = of.iter().map(|&id| bits(id, 0, 1)).collect();
                format!("|{{{}}}", parts.join(", "))
            }
        }
    }

    fn extended_if_unsigned(&self, a: Id, stage: usize) -> String {
        let range = self.net.range(a);
        self.bits(a, stage, 0, range.bits() + u32::from(!range.is_signed()))
    }
}

/// `out_valid`: `in_valid`, `latency` cycles later.
pub(super) fn valid_chain(latency: usize) -> String {
    let shifted = if latency == 1 { "in_valid".to_owned() } else { format!("{{valid[{}:0], in_valid}}", latency - 2) };
    format!(
        "\n  reg [{}:0] valid;\n  always @(posedge clk) valid <= rst ? {latency}'d0 : {shifted};\n  assign out_valid = valid[{}];\n",
        latency - 1,
        latency - 1
    )
}
