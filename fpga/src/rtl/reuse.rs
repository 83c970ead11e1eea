//! Designs whose multipliers are used again: dense layers as [`Mac`] modules, what lies between them as pipelines.
//!
//! Rows follow each other at a distance of `interval` cycles, and each module has a fixed latency, so no row ever meets
//! another and nothing has to wait inside.
//!
//! With parameters that can be changed (`reloadable`), the formats of weights and biases are what is fixed: every wire is
//! wide enough for any parameters of those formats. They are written through a port, 32 bits at a time, in the order of
//! [`words`], and then their CRC-32; rows enter only while the last parameters written had the right one.

use super::lower::{Lowering, Wire};
use super::mac::{Mac, Plan};
use super::schedule::Schedule;
use super::verilog::{Pipeline, Port, literal};
use super::{Design, Mode, Options, adders_of, module_name};
use crate::fixed::Format;
use crate::ir::{Accumulator, Dense, Op, Program, Range};
use baler_codec::{Error, Result};
use std::fmt::Write as _;

/// A module of the chain.
struct Link {
    module: String,
    text: String,
    latency: usize,
    output_bits: u32,
    has_status: bool,
    is_mac: bool,
}

pub(super) fn generate(program: &Program, options: &Options, interval: usize) -> Result<Design> {
    if !(1..=1 << 16).contains(&interval) {
        return Err(Error::invalid(format!("an interval of {interval} cycles: expected 1 to 65536")));
    }
    let top = module_name(program.name());
    let is_reloadable = matches!(options.mode, Mode::Reloadable(_));
    let mut chain: Vec<Link> = Vec::new();
    let mut sizes = (0, 0, 0);
    let mut n_multipliers = 0;
    let mut n_words = 0;
    let mut layer = 0;
    while layer < program.layers().len() {
        let name = |what: &str| format!("{top}_{what}_{layer}");
        let first = layer;
        let mut lowering = Lowering::new(program, options);
        let mut input = Port::of(program.formats_before(layer));
        let mut wires: Vec<Wire>;
        if let Op::Dense(dense) = &program.layers()[layer].op {
            let totals = totals(program, layer, dense, is_reloadable)
                .map_err(|e| e.context(format_args!("layer {layer} {:?}", program.layers()[layer].name)))?;
            let module = name("dense");
            let formats = program.formats_before(layer);
            let shifts = shifts(dense, formats);
            let mac = Mac {
                module: &module,
                dense,
                plan: Plan::new(formats.len(), dense.biases.len(), interval),
                input: &input,
                shifts: &shifts,
                bias_shift: (dense.fraction_bits(formats) - dense.bias_format.fraction_bits()).unsigned_abs(),
                totals,
                first_word: is_reloadable.then_some(n_words),
            };
            n_words += if is_reloadable { mac.words()?.len() } else { 0 };
            n_multipliers += mac.plan.n_multipliers();
            let n_out = dense.biases.len();
            let sum_bits = mac.sum_bits();
            chain.push(Link {
                text: mac.text(),
                latency: mac.plan.latency(),
                output_bits: sum_bits * n_out as u32,
                has_status: false,
                is_mac: true,
                module,
            });
            input = Port { widths: vec![sum_bits; n_out], is_signed: vec![true; n_out] };
            let range = |j: usize| if is_reloadable { totals } else { program.ranges()[layer].exact[j] };
            wires = (0..n_out).map(|j| Wire { id: lowering.net.input(j, range(j)), is_rounded: false }).collect();
            for (j, wire) in wires.iter_mut().enumerate() {
                *wire = lowering.after_sum(layer, j, wire.id, dense.fraction_bits(formats), false)?;
            }
            layer += 1;
        } else {
            wires = lowering.inputs_of_formats(layer);
        }
        while layer < program.layers().len() && !matches!(program.layers()[layer].op, Op::Dense(_)) {
            wires = lowering.layer(layer, &wires)?;
            layer += 1;
        }
        let mut net = lowering.finish(&wires);
        if !options.has_status {
            net.set_outputs(net.outputs()[..wires.len()].to_vec());
            net = net.pruned();
        }
        let schedule = Schedule::new(&net, options.levels);
        let output = Port::of(&program.layers()[layer - 1].formats);
        let module = format!("{top}_cast_{first}");
        let pipeline = Pipeline {
            net: &net,
            schedule: &schedule,
            module: &module,
            input: &input,
            output: &output,
            has_status: options.has_status,
        };
        let (n, bits) = adders_of(&net);
        sizes = (sizes.0 + n, sizes.1 + bits, sizes.2 + schedule.register_bits(&net));
        chain.push(Link {
            text: pipeline.text(),
            latency: schedule.latency(),
            output_bits: output.bits(),
            has_status: options.has_status,
            is_mac: false,
            module,
        });
    }
    let (input, output) = (Port::of(program.formats_before(0)), Port::of(program.output_formats()));
    let latency = chain.iter().map(|link| link.latency).sum();
    let mut text: String = chain.iter().map(|link| link.text.as_str()).collect();
    text += &assemble(&top, &chain, &input, options, interval, is_reloadable.then_some(n_words));
    Ok(Design {
        top,
        text,
        input,
        output,
        latency,
        interval,
        n_adders: sizes.0,
        adder_bits: sizes.1,
        register_bits: sizes.2,
        n_multipliers,
        has_status: options.has_status,
        has_ready: true,
        is_reloadable,
        has_copies: false,
        registers: Vec::new(),
    })
}

/// The parameters of `program` as a reloadable design with this interval takes them, and their CRC-32.
///
/// # Errors
/// If weights or biases have more than 32 bits.
pub fn words(program: &Program, interval: usize) -> Result<Vec<u32>> {
    let mut words = Vec::new();
    for (i, layer) in program.layers().iter().enumerate() {
        let Op::Dense(dense) = &layer.op else { continue };
        let formats = program.formats_before(i);
        let mac = Mac {
            module: "",
            dense,
            plan: Plan::new(formats.len(), dense.biases.len(), interval),
            input: &Port::of(formats),
            shifts: &[],
            bias_shift: 0,
            totals: Range::of(0),
            first_word: Some(0),
        };
        words.extend(mac.words()?);
    }
    let crc = words.iter().flat_map(|w| w.to_le_bytes()).fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    });
    words.push(!crc);
    Ok(words)
}

/// The range of every total of a dense layer, partial ones too.
fn totals(program: &Program, layer: usize, dense: &Dense, is_reloadable: bool) -> Result<Range> {
    let ranges = &program.ranges()[layer];
    if !ranges.is_exact || is_reloadable && dense.accumulator != Accumulator::Exact {
        return Err(Error::unsupported(
            "an accumulator that loses bits: multipliers are used again with exact sums only (shift-add and dsp take both)",
        ));
    }
    if !is_reloadable {
        return Ok(ranges.partial.iter().copied().fold(Range::of(0), Range::hull));
    }
    let all = |f: Format| Range { low: f.min_raw(), high: f.max_raw() };
    let formats = program.formats_before(layer);
    let weights = all(dense.weight_format);
    let fraction = dense.fraction_bits(formats);
    let bias = all(dense.bias_format).shifted_up(fraction - dense.bias_format.fraction_bits());
    let mut sum = bias.map(Range::with_zero);
    for (&format, shift) in formats.iter().zip(shifts(dense, formats)) {
        let x = all(format);
        let product = x.times(weights.low).zip(x.times(weights.high)).map(|(a, b)| a.hull(b));
        let product = product.and_then(|p| p.shifted_up(shift as i32));
        sum = sum.zip(product).and_then(|(sum, product)| sum.plus(product.with_zero()));
    }
    sum.filter(|s| s.bits() <= 126).ok_or_else(|| Error::unsupported("sums of more than 126 bits for some weights"))
}

/// By how many bits each input is shifted up so that all products are on the grid of the sums.
fn shifts(dense: &Dense, formats: &[Format]) -> Vec<u32> {
    let fraction = dense.fraction_bits(formats) - dense.weight_format.fraction_bits();
    formats.iter().map(|f| (fraction - f.fraction_bits()).unsigned_abs()).collect()
}

/// The top: modules in a chain, the pace of rows, the port for parameters.
fn assemble(
    top: &str,
    chain: &[Link],
    input: &Port,
    options: &Options,
    interval: usize,
    n_words: Option<usize>,
) -> String {
    let latency: usize = chain.iter().map(|link| link.latency).sum();
    let output_bits = chain.last().map_or(1, |link| link.output_bits);
    let mut out = String::new();
    let _ = write!(
        out,
        "
// {latency} cycles from input to output, a row every {interval}.
module {top} (
  input wire clk,
  input wire rst,{load}
  input wire in_valid,
  output wire in_ready,
  input wire [{in_top}:0] in_data,
  output wire out_valid,
  output wire [{out_top}:0] out_data{status}
);
  // Cycles until the next row may enter.
  reg [16:0] pause;
  always @(posedge clk) pause <= rst ? 17'd0 : in_valid ? {wait} : pause == 0 ? 17'd0 : pause - 1'b1;
  wire valid_0 = in_valid;
  wire [{in_top}:0] data_0 = in_data;
",
        in_top = input.bits() - 1,
        out_top = output_bits - 1,
        wait = literal(interval as i128 - 1, 17),
        load = if n_words.is_some() {
            "\n  input wire load_begin,\n  input wire load_valid,\n  output wire load_ready,\n  input wire [31:0] load_data,\n  \
             output reg load_good,"
        } else {
            ""
        },
        status = if options.has_status { ",\n  output wire out_overflow" } else { "" },
    );
    match n_words {
        None => out.push_str("  assign in_ready = pause == 0;\n"),
        Some(n_words) => {
            let _ = write!(
                out,
                "
  // Parameters: {n_words} words, then their CRC-32.
  function [31:0] crc_of;
    input [31:0] crc;
    input [31:0] word;
    integer i;
    begin
      crc_of = crc ^ word;
      for (i = 0; i < 32; i = i + 1) crc_of = (crc_of >> 1) ^ (crc_of[0] ? 32'hedb88320 : 32'd0);
    end
  endfunction
  reg loading;
  reg [31:0] load_at, crc;
  // Cycles until the last row has left: parameters wait for it.
  reg [31:0] rest;
  initial begin
    load_good = 1'b1;
    loading = 1'b0;
  end
  assign load_ready = loading & rest == 0;
  wire load_takes = load_valid & load_ready;
  wire load_writes = load_takes & load_at != {n_words};
  always @(posedge clk) begin
    rest <= rst ? 0 : in_valid ? {latency} : rest == 0 ? 0 : rest - 1'b1;
    if (load_begin) begin
      loading <= 1'b1;
      load_good <= 1'b0;
      load_at <= 0;
      crc <= 32'hffffffff;
    end else if (load_takes) begin
      load_at <= load_at + 1'b1;
      crc <= crc_of(crc, load_data);
      if (~load_writes) begin
        loading <= 1'b0;
        load_good <= load_data == ~crc;
      end
    end
  end
  assign in_ready = pause == 0 & load_good & ~load_begin;
"
            );
        }
    }
    let mut done = 0;
    let mut states = Vec::new();
    for (k, link) in chain.iter().enumerate() {
        done += link.latency;
        let load = if link.is_mac && n_words.is_some() {
            ".load_valid(load_writes), .load_at(load_at), .load_data(load_data), "
        } else {
            ""
        };
        let status = if link.has_status { format!(", .out_overflow(overflow_{k})") } else { String::new() };
        let _ = write!(
            out,
            "
  wire valid_{next};
  wire [{top}:0] data_{next};
  {module} part_{k} (.clk(clk), .rst(rst), {load}.in_valid(valid_{k}), .in_data(data_{k}), .out_valid(valid_{next}), .out_data(data_{next}){status});
",
            next = k + 1,
            top = link.output_bits - 1,
            module = link.module,
        );
        if link.has_status {
            // Each part's status waits until the row leaves the last one.
            let wait = latency - done;
            let _ = writeln!(out, "  wire overflow_{k};");
            if wait == 0 {
                states.push(format!("overflow_{k}"));
            } else {
                let _ = writeln!(
                    out,
                    "  reg [{wait}:1] late_{k};\n  always @(posedge clk) late_{k} <= {{late_{k}, overflow_{k}}};"
                );
                states.push(format!("late_{k}[{wait}]"));
            }
        }
    }
    let n = chain.len();
    let _ = write!(out, "\n  assign out_valid = valid_{n};\n  assign out_data = data_{n};\n");
    if options.has_status {
        let _ = writeln!(out, "  assign out_overflow = {};", states.join(" | "));
    }
    out.push_str("endmodule\n");
    out
}
