//! The bundle of [`walsh`](crate::walsh) with a fixed-point encoder: its weights are powers of two, so that it loses little.

use crate::walsh;
use baler_codec::bundle::{Arithmetic, Bundle, EncoderDefinition};
use baler_fpga::fixed::{Format, Overflow, Rounding};
use baler_fpga::ir::{Accumulator, Dense, Input, Layer, Op, Program};

/// The program: inputs and latents of 12 and 16 bits, weights of +-1/64 in two bits.
pub fn program() -> Program {
    let with = |width, integer_bits| {
        let format = Format::signed(width, integer_bits).expect("a format");
        format.with_modes(Rounding::Rnd, Overflow::Sat).expect("a format")
    };
    let weights = walsh::functions().map(|function| function.iter().map(|&w| w as i64).collect()).to_vec();
    let dense = Dense {
        weight_format: Format::signed(2, -4).expect("a format"),
        bias_format: Format::signed(2, 1).expect("a format"),
        accumulator: Accumulator::Exact,
        weights,
        biases: vec![0; 3],
    };
    let layer = Layer { name: "fc".into(), op: Op::Dense(dense), formats: vec![with(16, 2); 3] };
    Program::new("walsh", Input::plain(vec![with(14, 3); 64]), vec![layer]).expect("the program is sound")
}

/// The bundle; another `name` gives another hash.
pub fn bundle(name: &str) -> Bundle {
    with_program(name, program().to_json().into_bytes())
}

/// One whose encoder fails.
pub fn broken(name: &str) -> Bundle {
    with_program(name, b"no program".to_vec())
}

fn with_program(name: &str, program: Vec<u8>) -> Bundle {
    let float = walsh::bundle(name);
    let mut manifest = float.manifest().clone();
    manifest.encoder = Some(EncoderDefinition { arithmetic: Arithmetic::Fixed });
    manifest.format = manifest.least_format();
    let manifest = manifest.to_toml().expect("the manifest is sound");
    Bundle::with_fixed_encoder(&manifest, program, None, float.decoder_onnx().to_vec(), None).expect("the parts fit")
}
