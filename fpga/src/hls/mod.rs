//! HLS C++ of a program, for Vivado and Vitis HLS: types and operations of `ap_fixed.h`.
//!
//! Elements with the same format lie in one array. A layer's arrays are `v<layer>_<run>`, those of the input `v0_<run>`.
//! The C++ compiles with g++ against any `ap_types` headers, such as those in hls4ml's package, and gives the bits of
//! the interpreter.

use crate::fixed::Format;
use crate::ir::{Accumulator, Dense, Layer, Op, Program};
use crate::rtl::vectors::Vectors;
use baler_codec::{Error, Result};
use std::fmt::Write as _;

/// The files `NAME.h`, `NAME.cpp` and `NAME_test.cpp`, and `rows.txt` with `n_rows` rows for the test.
///
/// # Errors
/// Weights, biases or entries that a double does not hold (more than 53 bits).
pub fn generate(program: &Program, n_rows: usize) -> Result<Vec<(String, String)>> {
    let name = crate::rtl::module_name(program.name());
    let mut rows = String::new();
    for row in Vectors::new(program, 1).take(n_rows) {
        let words: Vec<String> = row.iter().chain(&program.reference(&row)?).map(i64::to_string).collect();
        rows += &words.join(" ");
        rows.push('\n');
    }
    let test = include_str!("test.cpp")
        .replace("NAME", &name)
        .replace("N_IN", &program.input_len().to_string())
        .replace("N_OUT", &program.output_len().to_string());
    Ok(vec![
        (format!("{name}.h"), header(program, &name)),
        (format!("{name}.cpp"), source(program, &name)?),
        (format!("{name}_test.cpp"), test),
        ("rows.txt".to_owned(), rows),
    ])
}

/// Elements with one format, side by side.
#[derive(Clone, Copy)]
struct Run {
    format: Format,
    first: usize,
    n: usize,
}

fn runs(formats: &[Format]) -> Vec<Run> {
    let chunks = formats.chunk_by(|a, b| a == b);
    chunks
        .scan(0, |first, run| {
            Some(Run { format: run[0], first: std::mem::replace(first, *first + run.len()), n: run.len() })
        })
        .collect()
}

/// Where element `j` lies among the arrays of `layer` (0 for the input).
fn element(layer: usize, runs: &[Run], j: usize) -> String {
    let k = runs.iter().rposition(|run| run.first <= j).unwrap_or(0);
    format!("v{layer}_{k}[{}]", j - runs[k].first)
}

fn ports(program: &Program) -> Vec<String> {
    let port = |layer: usize, formats: &[Format], of: &str| {
        let of_run = |(k, run): (usize, &Run)| format!("{of}{} v{layer}_{k}[{}]", run.format, run.n);
        runs(formats).iter().enumerate().map(of_run).collect::<Vec<_>>()
    };
    let mut ports = port(0, program.formats_before(0), "const ");
    ports.extend(port(program.layers().len(), program.output_formats(), ""));
    ports
}

fn header(program: &Program, name: &str) -> String {
    format!(
        "#pragma once\n#include \"ap_fixed.h\"\n\n// {}: {} values to {}.\nvoid {name}({});\n\n\
         // The same on integers: a value is its integer times 2^-(W-I).\nvoid {name}_raw(const long long *in, long long *out);\n",
        program.name(),
        program.input_len(),
        program.output_len(),
        ports(program).join(", ")
    )
}

fn source(program: &Program, name: &str) -> Result<String> {
    let mut out =
        format!("#include \"{name}.h\"\n\nvoid {name}({}) {{\n#pragma HLS PIPELINE II=1\n", ports(program).join(", "));
    let n_layers = program.layers().len();
    for (k, run) in runs(program.formats_before(0)).iter().enumerate() {
        let _ = writeln!(out, "#pragma HLS ARRAY_PARTITION variable=v0_{k} complete // {}", run.n);
    }
    for k in 0..runs(program.output_formats()).len() {
        let _ = writeln!(out, "#pragma HLS ARRAY_PARTITION variable=v{n_layers}_{k} complete");
    }
    for (index, layer) in program.layers().iter().enumerate() {
        let _ = writeln!(out, "\n  // {}: {}", layer.name.replace('\\', "/"), layer.op.kind());
        if index + 1 < n_layers {
            for (k, run) in runs(&layer.formats).iter().enumerate() {
                let (to, format, n) = (index + 1, run.format, run.n);
                let _ = writeln!(
                    out,
                    "  {format} v{to}_{k}[{n}];\n#pragma HLS ARRAY_PARTITION variable=v{to}_{k} complete"
                );
            }
        }
        match &layer.op {
            Op::Dense(dense) => self::dense(&mut out, program, index, dense)?,
            _ => elementwise(&mut out, program, index, layer)?,
        }
    }
    out.push_str("}\n");
    raw(&mut out, program, name);
    Ok(out)
}

/// The function on integers.
fn raw(out: &mut String, program: &Program, name: &str) {
    let (inputs, outputs) = (runs(program.formats_before(0)), runs(program.output_formats()));
    let last = program.layers().len();
    let _ = writeln!(out, "\nvoid {name}_raw(const long long *in, long long *out) {{");
    let mut arguments = Vec::new();
    for (layer, of) in [(0, &inputs), (last, &outputs)] {
        for (k, run) in of.iter().enumerate() {
            let _ = writeln!(out, "  {} v{layer}_{k}[{}];", run.format, run.n);
            arguments.push(format!("v{layer}_{k}"));
        }
    }
    for (k, Run { format, first, n }) in inputs.iter().enumerate() {
        let top = format.width() - 1;
        let _ = writeln!(
            out,
            "  for (int i = 0; i < {n}; i++) v0_{k}[i].range({top}, 0) = ap_int<64>(in[{first} + i]).range({top}, 0);"
        );
    }
    let _ = writeln!(out, "  {name}({});", arguments.join(", "));
    for (k, Run { format, first, n }) in outputs.iter().enumerate() {
        let width = format.width();
        let integer = if format.is_signed() { "ap_int" } else { "ap_uint" };
        let _ = writeln!(
            out,
            "  for (int i = 0; i < {n}; i++) {{\n    {integer}<{width}> raw = v{last}_{k}[i].range({}, 0);\n    \
             out[{first} + i] = raw.to_int64();\n  }}",
            width - 1
        );
    }
    out.push_str("}\n");
}

/// The number `raw * 2^-F` as a literal that a compiler reads as exactly that.
fn number(raw: i64, format: Format) -> Result<String> {
    if raw.unsigned_abs() >= 1 << 53 {
        return Err(Error::unsupported(format!("a constant of {format} with more than 53 bits in HLS C++")));
    }
    // Powers of two and integers of 53 bits: every step is exact.
    let half = format.fraction_bits() / 2;
    Ok(format!("{:e}", raw as f64 * 2f64.powi(-half) * 2f64.powi(half - format.fraction_bits())))
}

fn numbers(raw: &[i64], format: Format) -> Result<String> {
    Ok(raw.iter().map(|&r| number(r, format)).collect::<Result<Vec<_>>>()?.join(", "))
}

fn dense(out: &mut String, program: &Program, index: usize, dense: &Dense) -> Result<()> {
    let formats = program.formats_before(index);
    let (inputs, outputs) = (runs(formats), runs(&program.layers()[index].formats));
    let (n_in, n_out) = (formats.len(), dense.biases.len());
    let accumulator = match dense.accumulator {
        Accumulator::Stepwise(format) => format,
        Accumulator::Exact => {
            // Wide enough for every partial sum.
            let ranges = &program.ranges()[index];
            let width = ranges.partial.iter().map(|r| r.bits()).max().unwrap_or(1) + 1;
            Format::signed(width, width as i32 - dense.fraction_bits(formats))?
        }
    };
    let (w, b) = (dense.weight_format, dense.bias_format);
    let rows: Vec<String> =
        dense.weights.iter().map(|row| Ok(format!("    {{{}}}", numbers(row, w)?))).collect::<Result<_>>()?;
    let _ = writeln!(out, "  static const {w} w{index}[{n_out}][{n_in}] = {{\n{}}};", rows.join(",\n"));
    let _ = writeln!(out, "  static const {b} b{index}[{n_out}] = {{{}}};", numbers(&dense.biases, b)?);
    for (k, Run { first, n, .. }) in outputs.iter().enumerate() {
        let _ = writeln!(out, "  for (int j = 0; j < {n}; j++) {{\n#pragma HLS UNROLL");
        let _ = writeln!(out, "    {accumulator} sum = b{index}[{first} + j];");
        for (l, run) in inputs.iter().enumerate() {
            let _ = writeln!(
                out,
                "    for (int i = 0; i < {}; i++) {{\n#pragma HLS UNROLL\n      {accumulator} product = v{index}_{l}[i] * \
                 w{index}[{first} + j][{} + i];\n      sum = sum + product;\n    }}",
                run.n, run.first
            );
        }
        let _ = writeln!(out, "    v{}_{k}[j] = sum;\n  }}", index + 1);
    }
    Ok(())
}

fn elementwise(out: &mut String, program: &Program, index: usize, layer: &Layer) -> Result<()> {
    let (inputs, outputs) = (runs(program.formats_before(index)), runs(&layer.formats));
    match &layer.op {
        Op::Table(table) => {
            let entries = numbers(&table.entries, table.entry_format)?;
            let n = table.entries.len();
            let _ = writeln!(out, "  static const {} t{index}[{n}] = {{{entries}}};", table.entry_format);
        }
        Op::LeakyRelu { alpha, alpha_format } => {
            let _ = writeln!(out, "  static const {alpha_format} alpha{index} = {};", number(*alpha, *alpha_format)?);
        }
        Op::ScaleShift(affine) => {
            let n = affine.scales.len();
            let (s, t) = (affine.scale_format, affine.shift_format);
            let _ = writeln!(out, "  static const {s} s{index}[{n}] = {{{}}};", numbers(&affine.scales, s)?);
            let _ = writeln!(out, "  static const {t} t{index}[{n}] = {{{}}};", numbers(&affine.shifts, t)?);
        }
        Op::Dense(_) | Op::Cast | Op::Relu => {}
    }
    for (j, to) in layer.formats.iter().enumerate() {
        let (x, y) = (element(index, &inputs, j), element(index + 1, &outputs, j));
        let line = match &layer.op {
            Op::Dense(_) | Op::Cast => format!("{y} = {x};"),
            Op::Relu => format!("if ({x} > 0) {y} = {x}; else {y} = 0;"),
            Op::LeakyRelu { .. } => format!("if ({x} > 0) {y} = {x}; else {y} = {to}(alpha{index} * {x});"),
            Op::Table(table) => {
                let (n, span) = (table.entries.len(), table.span);
                format!(
                    "{{ int at = (int)({x} * {n} / {span}) + {}; {y} = t{index}[at < 0 ? 0 : at > {top} ? {top} : at]; }}",
                    n / 2,
                    top = n - 1
                )
            }
            Op::ScaleShift(_) => format!("{y} = {x} * s{index}[{j}] + t{index}[{j}];"),
        };
        let _ = writeln!(out, "  {line}");
    }
    Ok(())
}
