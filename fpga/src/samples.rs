//! Programs to try generators of hardware with: small ones that have every operation, and the sizes that papers give.
//!
//! Weights are uniform in `±1.7 / sqrt(inputs)`, as of layers that have been trained a little; the same in every run.

use crate::fixed::Format;
use crate::ir::{Accumulator, Dense, Input, Layer, Op, Program, ScaleShift, Table};

/// 8 bits, 7 of them after the point, rounded half up, saturated.
const INT8: &str = "ap_fixed<8,1,AP_RND,AP_SAT>";

/// 24-16-8 with rectifiers, all of 8 bits.
pub fn tiny() -> Program {
    chain("tiny", &[24, 16, 8], "ap_fixed<8,1>", INT8)
}

/// Baler's first FPGA prototype, 16-20-10-8 with rectifiers, all of `ap_fixed<16,8>`.
pub fn prototype() -> Program {
    chain("prototype", &[16, 20, 10, 8], "ap_fixed<16,8>", "ap_fixed<16,8>")
}

/// That prototype's encoder and decoder, 16-20-10-8-10-20-16.
pub fn autoencoder() -> Program {
    chain("autoencoder", &[16, 20, 10, 8, 10, 20, 16], "ap_fixed<16,8>", "ap_fixed<16,8>")
}

/// The smallest chain that has all parts of one: 6-5-3.
pub fn smallest() -> Program {
    chain("smallest", &[6, 5, 3], "ap_fixed<8,1>", INT8)
}

/// Small programs that have every operation, every way to sum, and formats of many kinds.
pub fn every_operation() -> Vec<Program> {
    let mut random = Random(6);
    let mut programs = vec![smallest()];
    // Inputs on different grids.
    let mixed = ["fixed<8,3>", "ufixed<5,7>", "fixed<6,-1>", "ufixed<4,4>"].map(format);
    programs.push(program("mixed", mixed.into(), vec![dense(&mut random, 4, 3, "fixed<8,1>", "fixed<9,5,RND_CONV>")]));
    for accumulator in ["fixed<10,4>", "fixed<10,4,RND,SAT>", "fixed<9,5,TRN_ZERO,SAT_SYM>", "fixed<10,4,RND,WRAP_SM>"]
    {
        let mut layer = dense(&mut random, 5, 3, "fixed<8,1>", "fixed<7,3,RND,SAT>");
        if let Op::Dense(dense) = &mut layer.op {
            dense.accumulator = Accumulator::Stepwise(format(accumulator));
        }
        programs.push(program("stepwise", vec![format("fixed<8,3>"); 5], vec![layer]));
    }
    let three = || vec![format("fixed<8,3>"); 3];
    for (alpha, alpha_format) in [(3, "ufixed<8,-3>"), (5, "ufixed<4,4>"), (0, "ufixed<8,0>")] {
        let layers = vec![
            dense(&mut random, 3, 3, "fixed<8,1>", "fixed<16,5>"),
            each(Op::LeakyRelu { alpha, alpha_format: format(alpha_format) }, 3, "fixed<8,3,RND,SAT>"),
            each(Op::Cast, 3, "ufixed<6,2,TRN,SAT_ZERO>"),
        ];
        programs.push(program("leaky", three(), layers));
    }
    for (span, n, from) in [(8, 64, "fixed<12,4>"), (16, 48, "fixed<9,6,RND,SAT>"), (4, 32, "fixed<5,7>")] {
        let entries = (0..n).map(|i: i64| (i - n / 2) * 3).collect();
        let table = Table { function: "ramp".to_owned(), span, entry_format: format("fixed<9,2>"), entries };
        let layers =
            vec![dense(&mut random, 3, 2, "fixed<8,1>", from), each(Op::Table(table), 2, "fixed<7,1,RND,SAT>")];
        programs.push(program("table", three(), layers));
    }
    let affine = ScaleShift {
        scale_format: format("fixed<8,2>"),
        shift_format: format("fixed<8,4>"),
        scales: vec![-17, 0, 64],
        shifts: vec![100, -3, 0],
    };
    programs.push(program("affine", three(), vec![each(Op::ScaleShift(affine), 3, "fixed<9,4,RND,SAT>")]));
    programs
}

/// Dense layers of these sizes with rectifiers between them.
fn chain(name: &str, sizes: &[usize], weights: &str, values: &str) -> Program {
    let mut random = Random(5);
    let mut layers = Vec::new();
    for (k, size) in sizes.windows(2).enumerate() {
        layers.push(dense(&mut random, size[0], size[1], weights, values));
        if k + 2 < sizes.len() {
            layers.push(each(Op::Relu, size[1], values));
        }
    }
    program(name, vec![format(values); sizes[0]], layers)
}

fn program(name: &str, inputs: Vec<Format>, layers: Vec<Layer>) -> Program {
    Program::new(name, Input::plain(inputs), layers).expect("a valid sample")
}

fn format(text: &str) -> Format {
    text.parse().expect("a valid format")
}

fn dense(random: &mut Random, n_in: usize, n_out: usize, weights: &str, to: &str) -> Layer {
    let weight_format = format(weights);
    let scale = 1.7 / (n_in as f64).sqrt() * f64::from(1 << weight_format.fraction_bits());
    let mut weight = || (random.symmetric() * scale).round() as i64;
    let weights = (0..n_out).map(|_| (0..n_in).map(|_| weight()).collect()).collect();
    let biases = (0..n_out).map(|_| weight()).collect();
    let accumulator = Accumulator::Exact;
    let op = Op::Dense(Dense { weight_format, bias_format: weight_format, accumulator, weights, biases });
    each(op, n_out, to)
}

fn each(op: Op, n: usize, to: &str) -> Layer {
    Layer { name: op.kind().to_owned(), op, formats: vec![format(to); n] }
}

/// splitmix64.
struct Random(u64);

impl Random {
    /// From -1 to 1.
    fn symmetric(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / f64::from(1u32 << 26) / f64::from(1u32 << 26) - 1.0
    }
}
