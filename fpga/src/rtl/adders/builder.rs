//! A graph while it grows: rows of terms, and the values they refer to.

use super::{AdderGraph, Form, Sum, Value};
use crate::fixed::signed_digits;
use crate::ir::Range;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// A value of the graph, shifted and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) value: usize,
    pub(super) shift: u32,
    pub(super) is_negative: bool,
}

/// Two terms of a row: `a ± (b << distance)`, whatever the row shifts and signs it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pattern {
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) distance: u32,
    pub(super) is_difference: bool,
}

impl Pattern {
    pub(super) fn of(x: Term, y: Term) -> Self {
        let (a, b) = if (x.shift, x.value) <= (y.shift, y.value) { (x, y) } else { (y, x) };
        Self { a: a.value, b: b.value, distance: b.shift - a.shift, is_difference: a.is_negative != b.is_negative }
    }

    pub(super) fn sum(self) -> Sum {
        let form = if self.is_difference { Form::Minus } else { Form::Plus };
        Sum { a: self.a, b: self.b, shift: self.distance, form }
    }
}

/// What a pattern is worth. None is best for every matrix, so each is tried.
#[derive(Clone, Copy)]
pub(super) enum Score {
    /// Adders it saves.
    Adders,
    /// Bits of the adders it saves.
    Bits,
    /// Adders, weighed by the bits in which the operands overlap: those that do not only widen what comes after.
    Overlap,
}

impl Score {
    pub(super) const ALL: [Score; 3] = [Score::Adders, Score::Bits, Score::Overlap];
}

/// Most pairs of terms that are looked at. Beyond it the inputs are split into blocks that share nothing.
const MAX_PAIRS: usize = 8_000_000;

/// A graph while it grows.
pub(super) struct Builder {
    pub(super) graph: AdderGraph,
    pub(super) score: Score,
    /// Per value, what it takes of each input, and its constant.
    pub(super) forms: Vec<(Vec<i128>, i128)>,
    /// Per value, the block of inputs it is made of.
    pub(super) blocks: Vec<usize>,
    pub(super) known: HashMap<Value, usize>,
    pub(super) rows: Vec<Vec<Term>>,
    /// Per row, the sum of `2^depth` over its terms.
    pub(super) kraft: Vec<u64>,
    pub(super) depth_limit: u32,
    pub(super) biases: Vec<i128>,
    pub(super) inputs: Vec<Range>,
    pub(super) counts: HashMap<Pattern, u32>,
    pub(super) queue: BinaryHeap<(u64, Reverse<Pattern>)>,
}

impl Builder {
    pub(super) fn new(weights: &[Vec<i128>], biases: &[i128], inputs: &[Range], slack: u32, score: Score) -> Self {
        let rows: Vec<Vec<Term>> = weights
            .iter()
            .map(|row| {
                let digits = |(value, &weight): (usize, &i128)| {
                    let term = move |(shift, is_negative)| Term { value, shift, is_negative };
                    signed_digits(weight).into_iter().map(term)
                };
                row.iter().enumerate().filter(|&(i, _)| inputs[i] != Range::of(0)).flat_map(digits).collect()
            })
            .collect();
        let n_terms = |(row, bias): (&Vec<Term>, &i128)| row.len() + usize::from(*bias != 0);
        let kraft: Vec<u64> = rows.iter().zip(biases).map(|r| n_terms(r) as u64).collect();
        let most = kraft.iter().copied().max().unwrap_or(0).max(1);
        let pairs: usize = rows.iter().map(|r| r.len() * r.len() / 2).sum();
        let n_blocks = pairs.div_ceil(MAX_PAIRS).max(1);
        let n = inputs.len();
        let mut builder = Self {
            graph: AdderGraph { values: Vec::new(), ranges: Vec::new(), depths: Vec::new(), outputs: Vec::new() },
            score,
            forms: Vec::new(),
            blocks: Vec::new(),
            known: HashMap::new(),
            rows,
            kraft,
            depth_limit: most.next_power_of_two().trailing_zeros() + slack,
            biases: biases.to_vec(),
            inputs: inputs.to_vec(),
            counts: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        for i in 0..n {
            builder.add(Value::Input(i), i * n_blocks / n);
        }
        builder
    }

    pub(super) fn build(mut self) -> AdderGraph {
        self.share();
        for j in 0..self.rows.len() {
            let output = self.sum_up(j);
            self.graph.outputs.push(output);
        }
        self.graph
    }

    /// The number of a value, which is new unless it has been computed before.
    pub(super) fn add(&mut self, value: Value, block: usize) -> usize {
        if let Some(&number) = self.known.get(&value) {
            return number;
        }
        let n = self.inputs.len();
        let (form, depth) = match value {
            Value::Input(i) => ((0..n).map(|k| i128::from(k == i)).collect(), 0),
            Value::Constant(_) => (vec![0; n], 0),
            Value::Sum(Sum { a, b, shift, form }) => {
                let (fa, fb) = (&self.forms[a].0, &self.forms[b].0);
                let depth = self.graph.depths[a].max(self.graph.depths[b]) + 1;
                (fa.iter().zip(fb).map(|(&a, &b)| form.apply(a, b << shift)).collect::<Vec<_>>(), depth)
            }
        };
        let constant = match value {
            Value::Input(_) => 0,
            Value::Constant(c) => c,
            Value::Sum(Sum { a, b, shift, form }) => form.apply(self.forms[a].1, self.forms[b].1 << shift),
        };
        let mut terms = form.iter().zip(&self.inputs);
        let range = terms.try_fold(Range::of(constant), |sum, (&w, &x)| sum.plus(x.times(w)?));
        let range = range.expect("sums of at most 126 bits, as `new` has checked");
        let number = self.graph.values.len();
        self.graph.values.push(value);
        self.graph.ranges.push(range);
        self.graph.depths.push(depth);
        self.forms.push((form, constant));
        self.blocks.push(block);
        self.known.insert(value, number);
        number
    }
}
