//! A program as an OpenCL C kernel: one work-item per row, integers only, so that every device gives the same.

use super::super::{Fault, fits_words};
use crate::fixed::{Format, Overflow, Rounding};
use crate::ir::{Accumulator, Dense, Op, Program, Range};
use std::fmt::Write;

/// The most values of a layer: they lie in a work-item's private memory.
const MAX_PRIVATE: usize = 4096;

/// The kernel, and the bytes of its tables.
pub(super) struct Source {
    pub text: String,
    pub constant_bytes: usize,
}

/// The kernel of a program; the name is `encode`.
pub(super) fn write(program: &Program) -> Result<Source, Fault> {
    fits_words(program)?;
    let widest = program.layers().iter().map(|layer| layer.formats.len()).chain([program.input_len()]).max();
    if widest.unwrap_or(0) > MAX_PRIVATE {
        return Err(Fault::unsupported(format!("a layer of {} values: {MAX_PRIVATE} at most", widest.unwrap_or(0))));
    }
    let mut kernel = Kernel { constants: String::new(), constant_bytes: 0, body: String::new(), indent: 1 };
    let n_in = program.input_len();
    kernel.line("size_t row = get_global_id(0);");
    kernel.line("if (row >= rows) return;");
    kernel.line(&format!("int v0[{n_in}];"));
    kernel.line(&format!("for (int i = 0; i < {n_in}; i++) v0[i] = in[row * {n_in} + i];"));
    for (i, layer) in program.layers().iter().enumerate() {
        kernel.layer(program, i).map_err(|why| Fault::unsupported(format!("layer {i} {:?}: {why}", layer.name)))?;
    }
    let (n_layers, n_out) = (program.layers().len(), program.output_len());
    kernel.line(&format!("for (int j = 0; j < {n_out}; j++) out[row * {n_out} + j] = (int)v{n_layers}[j];"));
    let text = format!(
        "{}__kernel void encode(__global const int *in, __global int *out, uint rows) {{\n{}}}\n",
        kernel.constants, kernel.body
    );
    Ok(Source { text, constant_bytes: kernel.constant_bytes })
}

struct Kernel {
    constants: String,
    constant_bytes: usize,
    body: String,
    indent: usize,
}

/// Integers of C that a layer computes in.
#[derive(Clone, Copy, PartialEq)]
struct Word {
    name: &'static str,
    unsigned: &'static str,
    bits: u32,
}

const INT: Word = Word { name: "int", unsigned: "uint", bits: 32 };
const LONG: Word = Word { name: "long", unsigned: "ulong", bits: 64 };

impl Kernel {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.body, "{:width$}{text}", "", width = 2 * self.indent);
    }

    /// `v{i + 1}` from `v{i}`.
    fn layer(&mut self, program: &Program, i: usize) -> Result<(), String> {
        let layer = &program.layers()[i];
        let ranges = &program.ranges()[i];
        let inputs = program.formats_before(i);
        let n = layer.formats.len();
        let word = word(program, i)?;
        let result = if ranges.output.iter().all(|range| range.fits_signed(32)) { INT } else { LONG };
        self.line(&format!("{} v{}[{n}];", result.name, i + 1));
        let casts: Vec<(i32, Format, bool)> =
            (0..n).map(|j| (ranges.fraction_bits[j], layer.formats[j], ranges.may_overflow[j])).collect();
        if let Op::Dense(dense) = &layer.op {
            self.dense_constants(i, dense, inputs, ranges.is_exact, word);
        }
        // Elements alike share a loop; for most layers that is one.
        let mut start = 0;
        while start < n {
            let alike =
                |j: usize| casts[j] == casts[start] && (matches!(layer.op, Op::Dense(_)) || inputs[j] == inputs[start]);
            let end = (start..n).find(|&j| !alike(j)).unwrap_or(n);
            self.line(&format!("for (int j = {start}; j < {end}; j++) {{"));
            self.indent += 1;
            self.exact(
                &layer.op,
                i,
                inputs,
                inputs[start.min(inputs.len() - 1)].fraction_bits(),
                ranges.is_exact,
                word,
            )?;
            let (fraction, to, may_overflow) = casts[start];
            self.cast("s", word, fraction, to, may_overflow);
            self.line(&format!("v{}[j] = ({})s;", i + 1, result.name));
            self.indent -= 1;
            self.line("}");
            start = end;
        }
        Ok(())
    }

    fn dense_constants(&mut self, i: usize, dense: &Dense, inputs: &[Format], is_exact: bool, word: Word) {
        let fraction = dense.fraction_bits(inputs);
        // An exact sum takes its shifts in the weights.
        let shift = |x: &Format| match (dense.accumulator, is_exact) {
            (Accumulator::Stepwise(_), false) => 0,
            _ => fraction - dense.weight_format.fraction_bits() - x.fraction_bits(),
        };
        let weights =
            dense.weights.iter().flat_map(|row| row.iter().zip(inputs).map(|(&w, x)| i128::from(w) << shift(x)));
        let weights: Vec<i128> = weights.collect();
        let biases: Vec<i128> = match (dense.accumulator, is_exact) {
            (Accumulator::Stepwise(to), false) => {
                let of =
                    |&b: &i64| crate::fixed::Fixed::from_grid(b.into(), dense.bias_format.fraction_bits(), to).raw();
                dense.biases.iter().map(of).collect()
            }
            _ => {
                dense.biases.iter().map(|&b| i128::from(b) << (fraction - dense.bias_format.fraction_bits())).collect()
            }
        };
        self.table(&format!("w{i}"), word, &weights);
        self.table(&format!("b{i}"), word, &biases);
    }

    fn table(&mut self, name: &str, word: Word, values: &[i128]) {
        self.constant_bytes += values.len() * word.bits as usize / 8;
        let _ = write!(self.constants, "__constant {} {name}[{}] = {{", word.name, values.len());
        for (k, v) in values.iter().enumerate() {
            let separator = if k == 0 { "" } else { "," };
            let _ = write!(self.constants, "{separator}{}", literal(*v, word));
        }
        self.constants.push_str("};\n");
    }

    /// Declares `s`, the result of element `j` before the cast.
    fn exact(
        &mut self,
        op: &Op,
        i: usize,
        inputs: &[Format],
        fraction: i32,
        is_exact: bool,
        word: Word,
    ) -> Result<(), String> {
        let t = word.name;
        match op {
            Op::Dense(dense) => {
                let n = inputs.len();
                self.line(&format!("{t} s = b{i}[j];"));
                match dense.accumulator {
                    Accumulator::Stepwise(to) if !is_exact => {
                        // A loop for each run of inputs on one grid: the order of the sum is part of its meaning.
                        let mut start = 0;
                        for run in inputs.chunk_by(|a, b| a.fraction_bits() == b.fraction_bits()) {
                            let fraction = dense.weight_format.fraction_bits() + run[0].fraction_bits();
                            self.line(&format!("for (int i = {start}; i < {}; i++) {{", start + run.len()));
                            self.indent += 1;
                            self.line(&format!("{t} p = w{i}[j * {n} + i] * ({t})v{i}[i];"));
                            self.cast("p", word, fraction, to, true);
                            self.line("s += p;");
                            self.cast("s", word, to.fraction_bits(), to, true);
                            self.indent -= 1;
                            self.line("}");
                            start += run.len();
                        }
                    }
                    _ => self.line(&format!("for (int i = 0; i < {n}; i++) s += w{i}[j * {n} + i] * ({t})v{i}[i];")),
                }
            }
            Op::Cast => self.line(&format!("{t} s = v{i}[j];")),
            Op::Relu => self.line(&format!("{t} s = v{i}[j] > 0 ? v{i}[j] : 0;")),
            Op::LeakyRelu { alpha_format, alpha } => {
                // Both sides on the finer grid.
                let own = alpha_format.fraction_bits();
                let finest = (fraction + own).max(fraction);
                let below = literal(i128::from(*alpha) << (finest - fraction - own), word);
                let above = literal(1 << (finest - fraction), word);
                self.line(&format!("{t} s = v{i}[j];"));
                self.line(&format!("s *= s > 0 ? {above} : {below};"));
            }
            Op::Table(table) => {
                if !(-20..=30).contains(&fraction) {
                    return Err(format!("a table of values with {fraction} fraction bits"));
                }
                let n = table.entries.len();
                let entries: Vec<i128> = table.entries.iter().map(|&e| e.into()).collect();
                if !self.constants.contains(&format!(" t{i}[")) {
                    self.table(&format!("t{i}"), word, &entries);
                }
                let (up, down) = (1i64 << (-fraction).max(0), 1i64 << fraction.max(0));
                self.line(&format!("long k = (long)v{i}[j] * {n} / {} * {up} / {down} + {};", table.span, n / 2));
                self.line(&format!("{t} s = t{i}[clamp(k, 0L, {}L)];", n - 1));
            }
            Op::ScaleShift(affine) => {
                let (of_scale, of_shift) = (affine.scale_format.fraction_bits(), affine.shift_format.fraction_bits());
                // Each element's factor and summand on the grid of its result.
                let on_grid = |(x, (&scale, &shift)): (&Format, (&i64, &i64))| {
                    let product = x.fraction_bits() + of_scale;
                    let finest = product.max(of_shift);
                    (i128::from(scale) << (finest - product), i128::from(shift) << (finest - of_shift))
                };
                let both = inputs.iter().zip(affine.scales.iter().zip(&affine.shifts)).map(on_grid);
                let (scales, shifts): (Vec<i128>, Vec<i128>) = both.unzip();
                if !self.constants.contains(&format!(" w{i}[")) {
                    self.table(&format!("w{i}"), word, &scales);
                    self.table(&format!("b{i}"), word, &shifts);
                }
                self.line(&format!("{t} s = w{i}[j] * ({t})v{i}[j] + b{i}[j];"));
            }
        }
        Ok(())
    }

    /// Rounds `name`, an integer with `fraction` bits, to the grid of `to`, and brings it into its range.
    fn cast(&mut self, name: &str, word: Word, fraction: i32, to: Format, may_overflow: bool) {
        let t = word.name;
        let drop = fraction - to.fraction_bits();
        if drop < 0 {
            self.line(&format!("{name} = ({t})(({}){name} << {});", word.unsigned, -drop));
        } else if drop > 0 {
            let half = format!("(({name} >> {}) & 1)", drop - 1);
            let rest = if drop > 1 {
                format!("(({name} & {}) != 0)", literal((1 << (drop - 1)) - 1, word))
            } else {
                "0".into()
            };
            let up = match to.rounding() {
                Rounding::Trn => None,
                Rounding::Rnd => Some(half),
                Rounding::TrnZero => Some(format!("(({name} < 0) & ({half} | {rest}))")),
                Rounding::RndZero => Some(format!("({half} & (({name} < 0) | {rest}))")),
                Rounding::RndMinInf => Some(format!("({half} & {rest})")),
                Rounding::RndInf => Some(format!("({half} & (({name} >= 0) | {rest}))")),
                Rounding::RndConv => Some(format!("({half} & ((({name} >> {drop}) & 1) | {rest}))")),
            };
            let up = up.map_or(String::new(), |up| format!(" + {up}"));
            self.line(&format!("{name} = ({name} >> {drop}){up};"));
        }
        if !may_overflow {
            return;
        }
        let (min, max) = (literal(to.min_raw(), word), literal(to.max_raw(), word));
        match to.overflow() {
            Overflow::Sat => self.line(&format!("{name} = clamp({name}, ({t}){min}, ({t}){max});")),
            Overflow::SatSym => {
                let min = if to.is_signed() { literal(-to.max_raw(), word) } else { min };
                self.line(&format!("{name} = clamp({name}, ({t}){min}, ({t}){max});"));
            }
            Overflow::SatZero => self.line(&format!("if ({name} < {min} || {name} > {max}) {name} = 0;")),
            Overflow::Wrap | Overflow::WrapSm => {
                let unused = word.bits - to.width();
                let sign = if to.is_signed() { word.name } else { word.unsigned };
                let wrapped = format!("({t})(({sign})(({}){name} << {unused}) >> {unused})", word.unsigned);
                if to.overflow() == Overflow::Wrap {
                    self.line(&format!("{name} = {wrapped};"));
                } else {
                    self.line(&format!(
                        "if ({name} < {min} || {name} > {max}) {{ int c = ({name} >> {}) & 1; {name} = {wrapped}; \
                         if (c != ({name} < 0)) {name} = ~{name}; }}",
                        to.width()
                    ));
                }
            }
        }
    }
}

/// The narrowest integers that hold everything layer `i` meets on its way.
fn word(program: &Program, i: usize) -> Result<Word, String> {
    let layer = &program.layers()[i];
    let ranges = &program.ranges()[i];
    let inputs = program.formats_before(i);
    let mut bits = 0;
    let mut see =
        |range: Range, up: i32| bits = bits.max(range.bits() + u32::from(!range.is_signed()) + up.max(0) as u32);
    for (j, &to) in layer.formats.iter().enumerate() {
        // One more for what rounding adds, one for the bit that is looked at above the format.
        let up = to.fraction_bits() - ranges.fraction_bits[j];
        see(ranges.exact[j], up + 1);
        see(ranges.partial[j], 0);
        see(Range { low: to.min_raw(), high: to.max_raw() }, 1);
        if (ranges.fraction_bits[j] - to.fraction_bits()).max(up) > 30 {
            see(Range { low: -(1 << 32), high: 0 }, 0);
        }
        if (ranges.fraction_bits[j] - to.fraction_bits()).max(up) > 60 {
            return Err(format!("a shift by {} bits", (ranges.fraction_bits[j] - to.fraction_bits()).max(up)));
        }
    }
    if let Op::Dense(dense) = &layer.op {
        if let (Accumulator::Stepwise(to), false) = (dense.accumulator, ranges.is_exact) {
            let widest = inputs.iter().map(|x| x.width()).max().unwrap_or(0) + dense.weight_format.width();
            let finest = inputs.iter().map(|x| x.fraction_bits()).max().unwrap_or(0);
            let up = to.fraction_bits() - finest - dense.weight_format.fraction_bits();
            if up.abs() > 60 {
                return Err(format!("a shift by {} bits", up.abs()));
            }
            see(Range { low: -(1 << widest.min(120)), high: 0 }, up.max(0) + 1);
            see(Range { low: to.min_raw(), high: to.max_raw() }, 2);
            if up.abs() > 30 {
                see(Range { low: -(1 << 32), high: 0 }, 0);
            }
        } else {
            let fraction = dense.fraction_bits(inputs);
            for x in inputs {
                let up = fraction - dense.weight_format.fraction_bits() - x.fraction_bits();
                see(Range { low: dense.weight_format.min_raw(), high: dense.weight_format.max_raw() }, up);
            }
        }
    }
    if let Op::ScaleShift(affine) = &layer.op {
        // The product alone may be larger than the sum.
        for (x, fraction) in inputs.iter().zip(&ranges.fraction_bits) {
            let widest = (x.width() + affine.scale_format.width()).min(120);
            let up = fraction - x.fraction_bits() - affine.scale_format.fraction_bits();
            see(Range { low: -(1 << widest), high: 0 }, up);
        }
    }
    match bits {
        0..=32 => Ok(INT),
        33..=64 => Ok(LONG),
        _ => Err(format!("{bits} bits: the kernel has 64")),
    }
}

fn literal(value: i128, word: Word) -> String {
    // The lowest integer has no literal of its own.
    match (word == LONG, value) {
        (true, v) if v == i128::from(i64::MIN) => "(-9223372036854775807L - 1)".into(),
        (true, v) => format!("{v}L"),
        (false, v) if v == i128::from(i32::MIN) => "(-2147483647 - 1)".into(),
        (false, v) => v.to_string(),
    }
}
