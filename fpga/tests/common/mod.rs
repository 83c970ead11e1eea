//! Random programs and rows, for every test that compares a path with the reference.
#![allow(dead_code, reason = "each test uses a part")]

use baler_fpga::fixed::{Format, Overflow, Rounding};
use baler_fpga::ir::{Accumulator, Dense, Input, Layer, Op, Program, ScaleShift, Table};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// 0 to `n - 1`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    pub fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as usize) as i32
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// An integer of `format`; its ends and zero more often than chance has them.
    pub fn raw(&mut self, format: Format) -> i64 {
        let (min, max) = (format.min_raw() as i64, format.max_raw() as i64);
        match self.below(8) {
            0 => min,
            1 => max,
            2 => 0,
            _ => (i128::from(min) + i128::from(self.bits()) % (i128::from(max) - i128::from(min) + 1)) as i64,
        }
    }

    pub fn format(&mut self, width: u32) -> Format {
        let is_signed = self.below(4) > 0;
        let integer_bits = self.between(-2, width as i32 + 2);
        let base = if is_signed { Format::signed(width, integer_bits) } else { Format::unsigned(width, integer_bits) };
        let overflow = match self.pick(&Overflow::ALL) {
            Overflow::WrapSm if !is_signed => Overflow::Wrap,
            overflow => overflow,
        };
        base.unwrap().with_modes(self.pick(&Rounding::ALL), overflow).unwrap()
    }

    pub fn row(&mut self, program: &Program) -> Vec<i64> {
        program.input().formats.iter().map(|&format| self.raw(format)).collect()
    }
}

/// A program of up to five layers of every kind. `widths` are those of the formats between layers; with
/// `is_uniform` all elements of a layer have one format.
pub fn program(random: &mut Random, widths: std::ops::RangeInclusive<u32>, is_uniform: bool) -> Program {
    let width = |random: &mut Random| random.between(*widths.start() as i32, *widths.end() as i32) as u32;
    let formats = |random: &mut Random, n: usize| -> Vec<Format> {
        let w = width(random);
        let one = random.format(w);
        (0..n)
            .map(|_| {
                if is_uniform {
                    one
                } else {
                    let w = width(random);
                    random.format(w)
                }
            })
            .collect()
    };
    let n_inputs = 1 + random.below(12);
    let input = Input::plain(formats(random, n_inputs));
    let mut n = n_inputs;
    let mut before = input.formats.clone();
    let mut layers: Vec<Layer> = Vec::new();
    for i in 0..1 + random.below(5) {
        let narrow = before.iter().all(|f| f.width() <= 40 && f.integer_bits() <= 20);
        let op = match random.below(if narrow { 9 } else { 5 }) {
            0 => Op::Cast,
            1 => Op::Relu,
            2 => Op::LeakyRelu { alpha: 153, alpha_format: Format::unsigned(8, -1).unwrap() },
            3 => {
                let (scale_format, shift_format) = (Format::signed(8, 2).unwrap(), Format::signed(10, 5).unwrap());
                let scales = (0..n).map(|_| random.raw(scale_format)).collect();
                let shifts = (0..n).map(|_| random.raw(shift_format)).collect();
                Op::ScaleShift(ScaleShift { scale_format, shift_format, scales, shifts })
            }
            4 if narrow => {
                let entry_format = Format::signed(10, 2).unwrap();
                let entries = (0..64).map(|_| random.raw(entry_format)).collect();
                Op::Table(Table { function: "noise".into(), span: random.pick(&[1, 8, 12]), entry_format, entries })
            }
            _ => {
                let n_outputs = 1 + random.below(20);
                let weight_format = Format::signed(random.pick(&[2, 4, 8, 16]), random.between(-1, 3)).unwrap();
                let bias_format = Format::signed(12, random.between(1, 6)).unwrap();
                let accumulator = match random.below(4) {
                    0 => {
                        let width = random.pick(&[8, 14, 24]);
                        Accumulator::Stepwise(random.format(width))
                    }
                    _ => Accumulator::Exact,
                };
                let sparse = random.below(3) == 0;
                let weight = |random: &mut Random| match sparse && random.below(2) == 0 {
                    true => 0,
                    false => random.raw(weight_format),
                };
                let weights = (0..n_outputs).map(|_| (0..n).map(|_| weight(random)).collect()).collect();
                let biases = (0..n_outputs).map(|_| random.raw(bias_format)).collect();
                n = n_outputs;
                Op::Dense(Dense { weight_format, bias_format, accumulator, weights, biases })
            }
        };
        let layer = Layer { name: format!("{}{i}", op.kind()), op, formats: formats(random, n) };
        before.clone_from(&layer.formats);
        layers.push(layer);
    }
    Program::new("random", input, layers).unwrap()
}

/// 24-16-8 as the prototype has it: weights and activations of 8 bits, rounded and saturated, ReLU between,
/// exact sums.
pub fn tiny(random: &mut Random) -> Program {
    dense_relu(random, &[24, 16, 8], 8)
}

/// Dense layers with ReLU between them: weights and activations of `width` bits.
pub fn dense_relu(random: &mut Random, sizes: &[usize], width: u32) -> Program {
    let with = |format: baler_codec::Result<Format>| format.unwrap().with_modes(Rounding::Rnd, Overflow::Sat).unwrap();
    let (weight_format, bias_format) = (Format::signed(width, 1).unwrap(), Format::signed(2 * width, 4).unwrap());
    let (signed, unsigned) = (with(Format::signed(width, 3)), with(Format::unsigned(width, 3)));
    let mut layers = Vec::new();
    for (i, pair) in sizes.windows(2).enumerate() {
        // Weights about 1/sqrt(n): the mean of a few uniform numbers, scaled.
        let scale = (pair[0] as f64).sqrt().recip();
        let limit = f64::from(1u32 << (width - 1));
        let mut weight = || {
            let unit = (random.bits() >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0;
            ((unit * 1.7 * scale * limit) as i64).clamp(-(limit as i64), limit as i64 - 1)
        };
        let weights = (0..pair[1]).map(|_| (0..pair[0]).map(|_| weight()).collect()).collect();
        let biases = (0..pair[1]).map(|_| weight()).collect();
        let dense = Dense { weight_format, bias_format, accumulator: Accumulator::Exact, weights, biases };
        let is_last = i + 2 == sizes.len();
        // The cast of the dense layer is ReLU's: one rounding for both.
        let formats = vec![if is_last { signed } else { unsigned }; pair[1]];
        layers.push(Layer { name: format!("fc{}", i + 1), op: Op::Dense(dense), formats });
    }
    Program::new("dense", Input::plain(vec![signed; sizes[0]]), layers).unwrap()
}
