//! Promises: programs survive JSON, hostile JSON is refused with words, values stay within the ranges that are proven,
//! and the reference computes what can be computed by hand.

mod common;

use baler_codec::bundle::Transform;
use baler_fpga::fixed::{Fixed, Format};
use baler_fpga::ir::{Accumulator, Dense, Input, Layer, Op, Program, Table};
use common::Random;

fn format(text: &str) -> Format {
    text.parse().unwrap()
}

fn by_hand() -> Program {
    let dense = Dense {
        weight_format: format("fixed<4,2>"),
        bias_format: format("fixed<4,3>"),
        accumulator: Accumulator::Exact,
        weights: vec![vec![3, -2], vec![0, 7]],
        biases: vec![1, -4],
    };
    let input = Input {
        formats: vec![format("fixed<6,3,RND,SAT>"); 2],
        transforms: vec![Transform::Linear { offset: 1.0, scale: 2.0 }, Transform::Linear { offset: 0.1, scale: 0.3 }],
    };
    let layers = vec![
        Layer { name: "fc".into(), op: Op::Dense(dense), formats: vec![format("fixed<8,4,RND,SAT>"); 2] },
        Layer {
            name: "relu".into(),
            op: Op::Relu,
            formats: vec![format("ufixed<4,2,TRN,SAT>"), format("ufixed<3,2>")],
        },
    ];
    Program::new("by-hand", input, layers).unwrap()
}

#[test]
fn a_row_by_hand() {
    let program = by_hand();
    // (6 - 1) / 2 = 2.5 -> 20; (-0.2 - 0.1) / 0.3 = -1 -> -8 (in eighths).
    let row = program.input().quantise(&[6.0, -0.2]).unwrap();
    assert_eq!(row, [20, -8]);
    // In 32nds: 3 * 20 + 2 * 8 + 16 = 92, 7 * -8 - 4 * 16 = -120; in 16ths: 46, -60.
    let trace = program.trace(&row).unwrap();
    assert_eq!(trace.layers, [vec![46, -60], vec![11, 0]]);
    assert_eq!(trace.overflows, [0, 0]);
    assert_eq!(program.dequantise(&program.reference(&row).unwrap()).unwrap(), [2.75, 0.0]);
    assert!(program.input().quantise(&[f64::NAN, 0.0]).unwrap_err().to_string().contains("value 0"));
    assert!(program.reference(&[32, 0]).unwrap_err().to_string().contains("input 0"));
    assert!(program.reference(&[0]).is_err());
}

#[test]
fn tables_are_indexed_towards_zero() {
    let table =
        Table { function: "id".into(), span: 8, entry_format: format("fixed<12,12>"), entries: (0..16).collect() };
    // Sixteenths; two bins to a unit.
    let found = [-1000, -64, -9, -8, -7, 0, 7, 8, 63, 64].map(|raw| table.index(raw, 4));
    assert_eq!(found, [0, 0, 7, 7, 8, 8, 8, 9, 15, 15]);
    assert_eq!([-2, -1, 0, 1, 2].map(|raw| table.index(raw, -1)), [0, 4, 8, 12, 15]);
}

#[test]
fn json_there_and_back() {
    let mut random = Random(1);
    let programs = (0..200).map(|i| common::program(&mut random, 2..=30, i % 2 == 0)).chain([by_hand()]);
    for program in programs {
        let json = program.to_json();
        let again = Program::from_json(&json).unwrap_or_else(|e| panic!("{e}\n{json}"));
        assert_eq!(again, program);
        assert_eq!(again.to_json(), json);
        let spaced = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&json).unwrap()).unwrap();
        assert_eq!(Program::from_json(&spaced).unwrap().digest(), program.digest());
    }
    assert_eq!(by_hand().digest_hex(), "0944058eb758d1cae1a8657298e3914da7fe8284e2ca5d74d116b2786987e8a6");
}

#[test]
fn hostile_json_is_refused() {
    let good = by_hand().to_json();
    let cases = [
        ("", "", "not a fixed-point program"),
        ("\"format\":1", "\"format\":2", "reads format 1"),
        ("\"name\":\"by-hand\"", "\"name\":\"../x\"", "program name"),
        ("\"name\":\"by-hand\"", "\"name\":\"by-hand\",\"extra\":1", "extra"),
        ("ap_fixed<6,3,AP_RND,AP_SAT,0>\",2", "ap_fixed<6,3,AP_RND,AP_SAT,0>\",4000000000", "a run of 4000000000"),
        ("ap_fixed<6,3,AP_RND,AP_SAT,0>\",2", "ap_fixed<6,3,AP_RND,AP_SAT,0>\",0", "a run of 0"),
        ("ap_fixed<6,3", "ap_fixed<64,3", "63 bits"),
        ("ap_fixed<6,3", "ap_fixed<6,x", "I is not a number"),
        ("[[3,-2],[0,7]]", "[[3,-2],[0]]", "weights of one output"),
        ("[[3,-2],[0,7]]", "[[3,-2]]", "rows of weights"),
        ("[[3,-2],[0,7]]", "[[3,-2],[0,8]]", "weight 8 is outside"),
        ("[[3,-2],[0,7]]", "[[3,-2],[0,0.5]]", "not a fixed-point program"),
        ("[1,-4]", "[1,-9]", "bias -9 is outside"),
        ("\"exact\"", "\"sloppy\"", "sloppy"),
        ("\"relu\"}", "\"softmax\"}", "softmax"),
        ("\"1e0\"", "\"inf\"", "finite number"),
        ("\"1e0\"", "1.0", "as text"),
        ("\"2e0\"", "\"0e0\"", "above 0"),
        ("ap_fixed<4,3,", "ap_fixed<4,2000,", "127 bits"),
    ];
    for (from, to, expected) in cases {
        assert!(good.contains(from), "{from}");
        let bad = if from.is_empty() { String::new() } else { good.replacen(from, to, 1) };
        let error = Program::from_json(&bad).unwrap_err().to_string();
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
    for cut in 0..good.len() {
        assert!(Program::from_json(&good[..cut]).is_err());
    }
}

/// Ranges hold for random rows and for the ends of every input; `is_exact` means what it says.
#[test]
fn values_stay_within_proven_ranges() {
    let mut random = Random(2);
    let mut n_exact_stepwise = 0;
    for i in 0..300 {
        let program = common::program(&mut random, 2..=24, i % 2 == 0);
        let exact = program.clone().with_exact_accumulators();
        n_exact_stepwise += usize::from(exact != program);
        for _ in 0..20 {
            let row = random.row(&program);
            let trace = program.trace(&row).unwrap();
            assert_eq!(exact.trace(&row).unwrap(), trace);
            for ((values, ranges), overflows) in trace.layers.iter().zip(program.ranges()).zip(&trace.overflows) {
                for (value, range) in values.iter().zip(&ranges.output) {
                    assert!(
                        (range.low..=range.high).contains(value),
                        "{value} outside {range:?} in\n{}",
                        program.to_json()
                    );
                }
                assert!(*overflows <= ranges.may_overflow.iter().filter(|&&may| may).count());
            }
        }
    }
    assert!(n_exact_stepwise > 0);
}

/// An accumulator that is wide enough loses nothing, and one bit less is seen.
#[test]
fn exact_accumulators_are_recognised() {
    let dense = |accumulator: &str| {
        let dense = Dense {
            weight_format: format("fixed<4,4>"),
            bias_format: format("fixed<4,4>"),
            accumulator: Accumulator::Stepwise(format(accumulator)),
            weights: vec![vec![7, 7, 2]],
            biases: vec![7],
        };
        let layer = Layer { name: "fc".into(), op: Op::Dense(dense), formats: vec![format("fixed<16,16>")] };
        // Sums lie between -128 and 119, with the bias counted where it helps.
        Program::new("p", Input::plain(vec![format("fixed<4,4>"); 3]), vec![layer]).unwrap().ranges()[0].clone()
    };
    assert!(dense("fixed<8,8>").is_exact);
    assert!(!dense("fixed<8,8,TRN,SAT_SYM>").is_exact);
    assert!(!dense("fixed<7,7,TRN,SAT>").is_exact);
    assert!(!dense("fixed<8,9>").is_exact);
    assert!(dense("fixed<12,10>").is_exact);
    assert!(!dense("ufixed<20,20>").is_exact);
    assert_eq!((dense("fixed<8,8>").partial[0].low, dense("fixed<8,8>").partial[0].high), (-128, 119));
    assert_eq!(Fixed::new(-128, format("fixed<8,8>")).unwrap().raw(), -128);
}
