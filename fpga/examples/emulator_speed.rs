//! How fast the emulator is on one core, beside a plain loop in C and a C simulation with hls4ml's types:
//! `cargo run --release -p baler-fpga --example emulator_speed -- AP_TYPES`, where `AP_TYPES` is the folder of `ap_fixed.h`:
//! `hls4ml/templates/vivado/ap_types` of `pip install --no-deps hls4ml==1.3.0`. Without it that line is left out.
//!
//! Networks of 24-16-8 and 24-64-32-14 with weights and values of 8 bits, ReLU between, exact sums, rounded and saturated.
//! The C program has the same weights as constants and is compiled by `cc -O3 -march=native`; its outputs are compared. The C
//! simulation is the HLS C++ of `baler fpga hls`, loop for loop what hls4ml generates for dense layers, compiled by
//! `c++ -O3 -march=native` against the headers that hls4ml simulates with.

#[path = "../tests/common/mod.rs"]
mod common;

use baler_fpga::emulate::{Emulator, Path};
use baler_fpga::ir::{Op, Program};
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path as FilePath;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROWS: usize = 1 << 16;

/// Rows of the C simulation, which is slow.
const SIMULATED_ROWS: usize = 1 << 12;

fn main() -> Result<(), Box<dyn Error>> {
    let headers = std::env::args().nth(1);
    let mut random = common::Random(1);
    for sizes in [&[24, 16, 8][..], &[24, 64, 32, 14]] {
        let program = common::dense_relu(&mut random, sizes, 8);
        let rows: Vec<i64> = (0..ROWS).flat_map(|_| random.row(&program)).collect();
        let input: Vec<i8> = rows.iter().map(|&v| v as i8).collect();
        let mut output = vec![0i8; ROWS * program.output_len()];
        println!("{sizes:?}, million rows a second on one core:");
        let expected = rows.chunks(program.input_len()).take(200).flat_map(|row| program.reference(row).unwrap());
        let expected: Vec<i8> = expected.map(|v| v as i8).collect();
        let mut fastest = 0.0;
        let mut line = |what: &str, million: f64| {
            fastest = f64::max(fastest, million);
            println!("  {what:<60} {million:8.3} (the emulator is {:.1} times as fast)", fastest / million);
        };
        for path in Path::ALL.into_iter().filter(|path| path.is_available()) {
            let emulator = Emulator::new(&program).with_path(path)?;
            let seconds = best(|| emulator.run(ROWS, &input, &mut output))?;
            assert!(output.starts_with(&expected));
            line(&emulator.describe(), ROWS as f64 / seconds / 1e6);
        }
        let source = c_source(&program);
        match compiled(&["cc"], &[("plain.c", source)], ROWS, program.output_len(), &input, &output) {
            Ok(million) => line("plain loop in C, cc -O3 -march=native", million),
            Err(why) => println!("  no plain loop in C: {why}"),
        }
        let Some(headers) = &headers else { continue };
        let folder = FilePath::new(headers).canonicalize()?;
        let compiler = ["c++", "-std=c++14", "-w", "-I", folder.to_str().ok_or("a path that is no text")?];
        match compiled(&compiler, &hls_sources(&program)?, SIMULATED_ROWS, program.output_len(), &input, &output) {
            Ok(million) => line("C simulation with ap_fixed, c++ -O3 -march=native", million),
            Err(why) => println!("  no C simulation: {why}"),
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

/// Million rows a second of a program in C or C++ that reads `rows` rows of bytes, runs them some times, writes what came of
/// them, and how many rows a second it did to standard error. Its outputs must be the first of `expected`.
fn compiled(
    compiler: &[&str],
    sources: &[(&str, String)],
    rows: usize,
    n_out: usize,
    input: &[i8],
    expected: &[i8],
) -> Result<f64, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("baler-emulator-speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut command = Command::new(compiler[0]);
    command.args(&compiler[1..]).args(["-O3", "-march=native", "-o", "run"]).current_dir(&folder);
    for (name, text) in sources {
        std::fs::write(folder.join(name), text)?;
        if !name.ends_with(".h") {
            command.arg(name);
        }
    }
    if !command.status()?.success() {
        return Err(format!("{} failed", compiler[0]).into());
    }
    let mut child =
        Command::new(folder.join("run")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let n_in = input.len() / ROWS;
    let bytes: Vec<u8> = input[..rows * n_in].iter().map(|&v| v as u8).collect();
    let mut stdin = child.stdin.take().ok_or("no input")?;
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer failed")??;
    std::fs::remove_dir_all(&folder)?;
    if !output.stdout.iter().map(|&v| v as i8).eq(expected[..rows * n_out].iter().copied()) {
        return Err("its outputs differ".into());
    }
    Ok(String::from_utf8(output.stderr)?.trim().parse::<f64>()? / 1e6)
}

/// The HLS C++ of a program, and a program around it.
fn hls_sources(program: &Program) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    let files = baler_fpga::hls::generate(program, 0)?;
    let name = files[0].0.trim_end_matches(".h").to_owned();
    let text = |end: &str| files.iter().find(|(file, _)| file == &format!("{name}{end}")).map(|(_, text)| text.clone());
    let header = text(".h").ok_or("no header")?;
    let body = text(".cpp").ok_or("no source")?.replace(&format!("{name}.h"), "net.h");
    let (n_in, n_out) = (program.input_len(), program.output_len());
    let main = format!(
        "#include \"net.h\"\n#include <stdio.h>\n#include <stdint.h>\n#include <stdlib.h>\n#include <time.h>\n\
         int main() {{\n  const size_t n = {SIMULATED_ROWS};\n  int8_t *x = (int8_t *)malloc(n * {n_in}), *y = (int8_t \
         *)malloc(n * {n_out});\n  if (fread(x, {n_in}, n, stdin) != n) return 1;\n  double best = 1e9;\n  \
         for (int k = 0; k < 5; k++) {{\n    struct timespec a, b;\n    clock_gettime(CLOCK_MONOTONIC, &a);\n    \
         for (size_t r = 0; r < n; r++) {{\n      long long in[{n_in}], out[{n_out}];\n      \
         for (int i = 0; i < {n_in}; i++) in[i] = x[r * {n_in} + i];\n      {name}_raw(in, out);\n      \
         for (int j = 0; j < {n_out}; j++) y[r * {n_out} + j] = out[j];\n    }}\n    clock_gettime(CLOCK_MONOTONIC, &b);\n    \
         double t = (b.tv_sec - a.tv_sec) + 1e-9 * (b.tv_nsec - a.tv_nsec);\n    if (t < best) best = t;\n  }}\n  \
         fprintf(stderr, \"%f\\n\", n / best);\n  return fwrite(y, {n_out}, n, stdout) == n ? 0 : 1;\n}}\n"
    );
    Ok(vec![("net.h", header), ("net.cpp", body), ("main.cpp", main)])
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
