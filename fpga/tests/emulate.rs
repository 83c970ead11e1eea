//! Promise: the emulator gives the integers of the reference, whatever lanes and vectors compute.

mod common;

use baler_fpga::emulate::{Emulator, Path};
use baler_fpga::ir::Program;
use common::Random;

/// Every path that there is, on rows of which the last block is not full.
fn compare(program: &Program, rows: usize, random: &mut Random) {
    let input: Vec<i64> = (0..rows).flat_map(|_| random.row(program)).collect();
    let expected: Vec<i64> =
        input.chunks(program.input_len()).flat_map(|row| program.reference(row).unwrap()).collect();
    let emulator = Emulator::new(program);
    let wide = emulator.clone().widened();
    for emulator in [emulator, wide.clone(), wide.widened()] {
        for path in Path::ALL.into_iter().filter(|path| path.is_available()) {
            let emulator = emulator.clone().with_path(path).unwrap();
            let mut output = vec![0i64; expected.len()];
            emulator.run(rows, &input, &mut output).unwrap();
            assert!(output == expected, "{} by {}", program.to_json(), emulator.describe());
        }
    }
}

#[test]
fn random_programs_of_every_kind() {
    let n = std::env::var("BALER_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut random = Random(3);
    for i in 0..n {
        let widths = [2..=8, 2..=16, 4..=30, 20..=50][i % 4].clone();
        let program = common::program(&mut random, widths, i % 3 == 0);
        compare(&program, 1 + random.below(150), &mut random);
    }
}

#[test]
fn dense_networks_run_in_16_bit_pairs() {
    let mut random = Random(4);
    for (sizes, width, expected) in [
        (&[24, 16, 8][..], 8, "32-bit lanes, 2 of 2"),
        (&[24, 64, 32, 14], 8, "32-bit lanes, 3 of 3"),
        (&[15, 7, 3], 12, "32-bit lanes, 2 of 2"),
        (&[16, 20, 10, 8], 16, "64-bit lanes"),
    ] {
        let program = common::dense_relu(&mut random, sizes, width);
        let words = Emulator::new(&program).describe();
        assert!(words.starts_with(expected), "{sizes:?} at {width} bits: {words}");
        compare(&program, 200, &mut random);
    }
}

#[test]
fn every_type_of_port() {
    let mut random = Random(5);
    let program = common::tiny(&mut random);
    let emulator = Emulator::new(&program);
    let input: Vec<i64> = (0..100).flat_map(|_| random.row(&program)).collect();
    let mut expected = vec![0i64; 800];
    emulator.run(100, &input, &mut expected).unwrap();
    macro_rules! same {
        ($($t:ty),*) => {$(
            let narrow: Vec<$t> = input.iter().map(|&v| v as $t).collect();
            let mut output = vec![0 as $t; 800];
            emulator.run(100, &narrow, &mut output).unwrap();
            assert!(output.iter().map(|&v| i64::from(v)).eq(expected.iter().copied()));
        )*};
    }
    same!(i8, i16, i32);
}

#[test]
fn wrong_rows_are_named() {
    let mut random = Random(6);
    let program = common::tiny(&mut random);
    let emulator = Emulator::new(&program);
    let mut input = vec![0i64; 70 * 24];
    input[66 * 24 + 5] = 128;
    let mut output = vec![0i64; 70 * 8];
    let error = emulator.run(70, &input, &mut output).unwrap_err().to_string();
    assert!(error.contains("row 66, input 5: integer 128"), "{error}");
    input[66 * 24 + 5] = 1 << 40;
    assert!(emulator.run(70, &input, &mut output).unwrap_err().to_string().contains("row 66, input 5"));
    assert!(emulator.run(69, &input, &mut output).is_err());
    let wide = common::dense_relu(&mut random, &[4, 3], 12);
    let error = Emulator::new(&wide).run(1, &[0i8; 4], &mut [0i8; 3]).unwrap_err().to_string();
    assert!(error.contains("integers of 8 bits"), "{error}");
}

#[test]
fn floats_are_quantised_as_the_reference_does_it() {
    let mut random = Random(7);
    for i in 0..100 {
        let program = common::program(&mut random, 2..=30, i % 2 == 0);
        let program = if i % 4 == 0 { common::tiny(&mut random) } else { program };
        let n = program.input_len();
        let values: Vec<f32> = (0..40 * n)
            .map(|k| match k % 5 {
                0 => f32::from_bits(random.bits() as u32),
                1 => (random.between(-600, 600) as f32) / 128.0,
                _ => (random.between(-1_000_000, 1_000_000) as f32) * 1e-5,
            })
            .map(|v| if v.is_finite() { v } else { 0.5 })
            .collect();
        let mut raw = vec![0i64; values.len()];
        Emulator::new(&program).quantise(40, &values, &mut raw).unwrap();
        for (values, raw) in values.chunks(n).zip(raw.chunks(n)) {
            assert_eq!(program.input().quantise_transformed(values).unwrap(), raw);
        }
        let mut latents = vec![0f32; 40 * program.output_len()];
        Emulator::new(&program).encode(40, &values, &mut latents).unwrap();
        let first = program.dequantise(&program.reference(&raw[..n]).unwrap()).unwrap();
        assert!(first.iter().zip(&latents).all(|(a, b)| *a as f32 == *b));
    }
    let tiny = common::tiny(&mut random);
    let mut values = vec![0f32; 48];
    values[30] = f32::NAN;
    let error = Emulator::new(&tiny).quantise(2, &values, &mut [0i64; 48]).unwrap_err().to_string();
    assert!(error.contains("row 1, value 6"), "{error}");
}
