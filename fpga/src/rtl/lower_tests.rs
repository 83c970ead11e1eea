//! The operations give the integers of the plain interpreter.

use super::tests::Random;
use super::{Mode, Options, lower};
use crate::fixed::{Format, Overflow, Rounding};
use crate::ir::{Accumulator, Dense, Input, Layer, Op, Program, Range};
use crate::samples;

/// Random rows and the ends of every range.
fn rows(program: &Program, n: usize) -> Vec<Vec<i64>> {
    let mut random = Random::new(9);
    let formats = program.formats_before(0);
    let ends = |pick: fn(&Format) -> i128| formats.iter().map(|f| pick(f) as i64).collect::<Vec<_>>();
    let mut rows = vec![ends(|f| f.min_raw()), ends(|f| f.max_raw()), vec![0; formats.len()]];
    for _ in 0..n {
        let range = |f: &Format| Range { low: f.min_raw(), high: f.max_raw() };
        rows.push(formats.iter().map(|f| random.within(range(f)) as i64).collect());
    }
    rows
}

fn check(program: &Program, options: &Options) {
    let net = lower::lower(program, options).unwrap_or_else(|e| panic!("{}: {e}", program.name()));
    for row in rows(program, 200) {
        let inputs: Vec<i128> = row.iter().map(|&x| x.into()).collect();
        let found = net.evaluate(&inputs);
        let trace = program.trace(&row).unwrap();
        let (status, outputs) = found.split_last().unwrap();
        assert_eq!(outputs, trace.layers.last().unwrap(), "{} {options:?} of {row:?}", program.name());
        assert_eq!(*status != 0, trace.overflows.iter().any(|&n| n > 0), "{} {options:?} of {row:?}", program.name());
    }
}

#[test]
fn every_kind_of_layer_in_both_arithmetics() {
    for program in samples::every_operation() {
        for mode in [Mode::ShiftAdd, Mode::Dsp] {
            check(&program, &Options { mode, ..Options::default() });
        }
    }
}

/// Every pair of modes, between formats of every relation of points and signs.
#[test]
fn every_cast() {
    let mut layers = vec![("fixed<9,4>", "fixed<5,3,"), ("ufixed<9,4>", "fixed<5,3,"), ("fixed<9,4>", "ufixed<4,4,")];
    layers.extend([("fixed<6,3>", "fixed<9,3,"), ("ufixed<6,6>", "ufixed<3,8,"), ("fixed<6,-2>", "fixed<4,7,")]);
    for (from, to) in layers {
        let mut formats = Vec::new();
        for rounding in Rounding::ALL {
            for overflow in Overflow::ALL {
                formats.extend(format!("{to}{rounding},{overflow}>").parse::<Format>());
            }
        }
        let input = Input::plain(vec![from.parse().unwrap(); formats.len()]);
        for (name, op) in [("cast", Op::Cast), ("relu", Op::Relu)] {
            let layer = Layer { name: name.to_owned(), op, formats: formats.clone() };
            let program = Program::new(name, input.clone(), vec![layer]).unwrap();
            check(&program, &Options::default());
        }
    }
}

#[test]
fn a_half_joins_the_bias() {
    // Rounding half up in the dense layer and, after a wide one, in the rectifier: no adder of its own in either.
    let count = |formats: [&str; 2]| {
        let weight_format = "fixed<8,1>".parse().unwrap();
        let weights = vec![vec![3, 5], vec![7, -1]];
        let accumulator = Accumulator::Exact;
        let dense = Dense { weight_format, bias_format: weight_format, accumulator, weights, biases: vec![1, 1] };
        let layers = [Op::Dense(dense), Op::Relu].into_iter().zip(formats);
        let layers = layers.map(|(op, to)| Layer { name: String::new(), op, formats: vec![to.parse().unwrap(); 2] });
        let layers = layers.collect();
        let input = Input::plain(vec!["fixed<8,1>".parse().unwrap(); 2]);
        let program = Program::new("half", input, layers).unwrap();
        check(&program, &Options::default());
        super::generate(&program, &Options::default()).unwrap().n_adders
    };
    let without = count(["fixed<8,1,TRN,SAT>", "ufixed<7,0>"]);
    assert_eq!(count(["fixed<8,1,RND,SAT>", "ufixed<7,0>"]), without);
    assert_eq!(count(["fixed<30,10>", "ufixed<7,0,RND,SAT>"]), without);
}
