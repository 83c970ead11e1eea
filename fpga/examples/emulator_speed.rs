//! How fast the emulator is on one core, beside a plain loop in C:
//! `cargo run --release -p baler-fpga --example emulator_speed`.
//!
//! Networks of 24-16-8 and 24-64-32-14 with weights and values of 8 bits, ReLU between, exact sums, rounded and saturated.
//! The C program has the same weights as constants and is compiled by `cc -O3 -march=native`; its outputs are compared.

#[path = "../tests/common/mod.rs"]
mod common;

use baler_fpga::emulate::{Emulator, Path};
use baler_fpga::ir::{Op, Program};
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROWS: usize = 1 << 16;

fn main() -> Result<(), Box<dyn Error>> {
    let mut random = common::Random(1);
    for sizes in [&[24, 16, 8][..], &[24, 64, 32, 14]] {
        let program = common::dense_relu(&mut random, sizes, 8);
        let rows: Vec<i64> = (0..ROWS).flat_map(|_| random.row(&program)).collect();
        let input: Vec<i8> = rows.iter().map(|&v| v as i8).collect();
        let mut output = vec![0i8; ROWS * program.output_len()];
        println!("{sizes:?}, million rows a second on one core:");
        let expected = rows.chunks(program.input_len()).take(200).flat_map(|row| program.reference(row).unwrap());
        let expected: Vec<i8> = expected.map(|v| v as i8).collect();
        for path in Path::ALL.into_iter().filter(|path| path.is_available()) {
            let emulator = Emulator::new(&program).with_path(path)?;
            let seconds = best(|| emulator.run(ROWS, &input, &mut output))?;
            assert!(output.starts_with(&expected));
            println!("  {:<60} {:8.2}", emulator.describe(), ROWS as f64 / seconds / 1e6);
        }
        match in_c(&program, &input, &output) {
            Ok(million) => println!("  {:<60} {million:8.2}", "plain loop in C, cc -O3 -march=native"),
            Err(why) => println!("  no C compiler: {why}"),
        }
    }
    Ok(())
}

/// Seconds of the fastest of some runs: others are slowed by what else the machine does.
fn best(mut run: impl FnMut() -> baler_codec::Result<()>) -> baler_codec::Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        run()?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(least)
}

/// Million rows a second of the C program, whose outputs must be `expected`.
fn in_c(program: &Program, input: &[i8], expected: &[i8]) -> Result<f64, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("baler-emulator-speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (source, binary) = (folder.join("plain.c"), folder.join("plain"));
    std::fs::write(&source, c_source(program))?;
    let status = Command::new("cc").args(["-O3", "-march=native", "-o"]).arg(&binary).arg(&source).status()?;
    if !status.success() {
        return Err("cc failed".into());
    }
    let mut child =
        Command::new(&binary).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let bytes: Vec<u8> = input.iter().map(|&v| v as u8).collect();
    let mut stdin = child.stdin.take().ok_or("no input")?;
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer failed")??;
    std::fs::remove_dir_all(&folder)?;
    if !output.stdout.iter().map(|&v| v as i8).eq(expected.iter().copied()) {
        return Err("its outputs differ".into());
    }
    Ok(String::from_utf8(output.stderr)?.trim().parse::<f64>()? / 1e6)
}

fn c_source(program: &Program) -> String {
    let mut text = String::from("#include <stdio.h>\n#include <stdint.h>\n#include <stdlib.h>\n#include <time.h>\n");
    let mut body = String::new();
    let mut before = "x".to_owned();
    for (k, layer) in program.layers().iter().enumerate() {
        let Op::Dense(dense) = &layer.op else { unreachable!("dense layers only") };
        let (n_in, n_out) = (dense.weights[0].len(), dense.weights.len());
        let list = |values: &mut dyn Iterator<Item = &i64>| values.map(i64::to_string).collect::<Vec<_>>().join(",");
        writeln!(
            text,
            "static const int8_t w{k}[{n_out}][{n_in}] = {{{}}};",
            list(&mut dense.weights.iter().flatten())
        )
        .unwrap();
        let fraction = dense.fraction_bits(program.formats_before(k));
        let biases: Vec<i64> =
            dense.biases.iter().map(|b| b << (fraction - dense.bias_format.fraction_bits())).collect();
        writeln!(text, "static const int32_t b{k}[{n_out}] = {{{}}};", list(&mut biases.iter())).unwrap();
        let to = layer.formats[0];
        let shift = fraction - to.fraction_bits();
        writeln!(
            body,
            "  int32_t y{k}[{n_out}];\n  for (int j = 0; j < {n_out}; j++) {{\n    int32_t s = b{k}[j];\n    \
             for (int i = 0; i < {n_in}; i++) s += w{k}[j][i] * {before}[i];\n    s = (s + {}) >> {shift};\n    \
             y{k}[j] = s < {} ? {} : s > {} ? {} : s;\n  }}",
            1 << (shift - 1),
            to.min_raw(),
            to.min_raw(),
            to.max_raw(),
            to.max_raw()
        )
        .unwrap();
        before = format!("y{k}");
    }
    let (n_in, n_out) = (program.input_len(), program.output_len());
    writeln!(
        text,
        "static void row(const int8_t *x, int8_t *y) {{\n{body}  for (int j = 0; j < {n_out}; j++) y[j] = {before}[j];\n}}\n\
         int main(void) {{\n  size_t n = {ROWS};\n  int8_t *x = malloc(n * {n_in}), *y = malloc(n * {n_out});\n  \
         if (fread(x, {n_in}, n, stdin) != n) return 1;\n  double best = 1e9;\n  for (int k = 0; k < 20; k++) {{\n    \
         struct timespec a, b;\n    clock_gettime(CLOCK_MONOTONIC, &a);\n    \
         for (size_t r = 0; r < n; r++) row(x + r * {n_in}, y + r * {n_out});\n    clock_gettime(CLOCK_MONOTONIC, &b);\n    \
         double t = (b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec);\n    if (t < best) best = t;\n  }}\n  \
         fprintf(stderr, \"%f\\n\", n / best);\n  return fwrite(y, {n_out}, n, stdout) == n ? 0 : 1;\n}}"
    )
    .unwrap();
    text
}
