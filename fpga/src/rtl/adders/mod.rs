//! A product of a constant matrix and a vector, as a graph of additions and shifts.
//!
//! Each weight is written in canonical signed digits (no two neighbours are non-zero), so a row of the matrix becomes a
//! sum of inputs, shifted and signed. Then the pair of terms `a ± (b << d)` that saves most is taken out of every row it
//! occurs in and computed once, until no pair occurs twice; what is left of each row is summed in a tree. This is
//! distributed arithmetic as of da4ml (arXiv 2507.04535), with greedy elimination of two-term patterns (Hosangadi,
//! Fallah, Kastner 2005).
//!
//! Depth is bounded throughout. Terms of depths `d_i` fit into a binary tree of depth `D` exactly if
//! `sum 2^d_i <= 2^D` (Kraft's inequality), so a pair is taken out of a row only while that row's sum stays within
//! the bound: sharing never makes the pipeline longer.
//!
//! | file | what |
//! |---|---|
//! | `builder.rs` | a graph while it grows: rows of terms, and the values they refer to |
//! | `share.rs` | pairs that occur in several places are taken out |
//! | `tree.rs` | what is left of a row |

mod builder;
mod share;
mod tree;

use crate::ir::Range;
use baler_codec::{Error, Result};
use builder::{Builder, Score};

/// How the two operands of a [`Sum`] are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// `a + (b << shift)`: the low bits of `a` pass by the adder.
    Plus,
    /// `a - (b << shift)`: likewise.
    Minus,
    /// `(b << shift) - a`: as wide as its result.
    Reverse,
}

impl Form {
    /// What becomes of `a` and of `b`, which is shifted already.
    fn apply(self, a: i128, b: i128) -> i128 {
        match self {
            Form::Plus => a + b,
            Form::Minus => a - b,
            Form::Reverse => b - a,
        }
    }
}

/// One adder. Operands are numbers of values of the [`AdderGraph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sum {
    /// The operand that is not shifted.
    pub a: usize,
    /// The operand that is shifted up.
    pub b: usize,
    /// By how many bits.
    pub shift: u32,
    /// Signs.
    pub form: Form,
}

/// What a value of an [`AdderGraph`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Element of the vector.
    Input(usize),
    /// A constant, for biases.
    Constant(i128),
    /// Computed from earlier values.
    Sum(Sum),
}

/// A matrix-vector product as additions; made by [`AdderGraph::new`].
#[derive(Clone, Debug)]
pub struct AdderGraph {
    values: Vec<Value>,
    /// Exact: of the linear form that the value is, not of its operands' ranges.
    ranges: Vec<Range>,
    depths: Vec<u32>,
    /// Per row, the value and the bits it is shifted up by.
    outputs: Vec<(usize, u32)>,
}

impl AdderGraph {
    /// The graph of `weights * x + biases` for `x` within `inputs`.
    ///
    /// `weights[j]` is row `j`: what output `j` takes of each input. The depth of each output is at most that of a
    /// balanced tree of the digits of the row with most of them, plus `slack`: more of it allows more sharing.
    ///
    /// # Errors
    /// If a row has not as many weights as there are inputs, or a sum may pass 126 bits.
    pub fn new(weights: &[Vec<i128>], biases: &[i128], inputs: &[Range], slack: u32) -> Result<Self> {
        if weights.len() != biases.len() {
            return Err(Error::invalid(format!("{} rows of weights, but {} biases", weights.len(), biases.len())));
        }
        for (j, row) in weights.iter().enumerate() {
            if row.len() != inputs.len() {
                return Err(Error::invalid(format!("row {j} has {} weights for {} inputs", row.len(), inputs.len())));
            }
            let too_wide = || Error::unsupported(format!("row {j} of a matrix: its sums may pass 126 bits"));
            let magnitude = row.iter().zip(inputs).try_fold(biases[j].unsigned_abs(), |sum, (w, x)| {
                let largest = x.low.unsigned_abs().max(x.high.unsigned_abs()).max(1);
                // Digits may stand one place above the weight's own highest bit.
                sum.checked_add(w.unsigned_abs().checked_mul(2)?.checked_mul(largest)?)
            });
            if magnitude.is_none_or(|m| m >= 1 << 125) {
                return Err(too_wide());
            }
        }
        let candidates = Score::ALL.map(|score| Builder::new(weights, biases, inputs, slack, score).build());
        // The first of equals, so that the result does not depend on how `min_by_key` breaks ties.
        Ok(candidates
            .into_iter()
            .reduce(|best, next| if next.bits() < best.bits() { next } else { best })
            .expect("some"))
    }

    /// Every value, operands before what is made of them.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The exact range of a value.
    pub fn range(&self, value: usize) -> Range {
        self.ranges[value]
    }

    /// Adders between the inputs and a value, at most.
    pub fn depth(&self, value: usize) -> u32 {
        self.depths[value]
    }

    /// Per row, the value and the bits it is shifted up by.
    pub fn outputs(&self) -> &[(usize, u32)] {
        &self.outputs
    }

    /// The sums.
    pub fn sums(&self) -> impl Iterator<Item = (usize, Sum)> + '_ {
        self.values.iter().enumerate().filter_map(|(i, v)| if let Value::Sum(sum) = v { Some((i, *sum)) } else { None })
    }

    /// How many adders there are.
    pub fn n_adders(&self) -> usize {
        self.sums().count()
    }

    /// Bits of all adders: what they cost in carry chains, about one LUT each.
    pub fn bits(&self) -> u64 {
        self.sums().map(|(i, sum)| u64::from(adder_bits(self.ranges[i], sum))).sum()
    }

    /// The product for one vector: the definition that hardware must equal.
    ///
    /// # Panics
    /// If `inputs` has not as many elements as the graph.
    pub fn evaluate(&self, inputs: &[i128]) -> Vec<i128> {
        let mut found: Vec<i128> = Vec::with_capacity(self.values.len());
        for value in &self.values {
            found.push(match *value {
                Value::Input(i) => inputs[i],
                Value::Constant(c) => c,
                Value::Sum(Sum { a, b, shift, form }) => form.apply(found[a], found[b] << shift),
            });
        }
        self.outputs.iter().map(|&(value, shift)| found[value] << shift).collect()
    }
}

/// Bits of the carry chain of a sum with this range.
pub(super) fn adder_bits(range: Range, sum: Sum) -> u32 {
    let passed_by = if sum.form == Form::Reverse { 0 } else { sum.shift };
    range.bits().saturating_sub(passed_by).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Random;
    use super::*;
    use crate::fixed::signed_digits;

    fn check(weights: &[Vec<i128>], biases: &[i128], inputs: &[Range], slack: u32, random: &mut Random) -> AdderGraph {
        let graph = AdderGraph::new(weights, biases, inputs, slack).unwrap();
        let extremes = [inputs.iter().map(|r| r.low).collect(), inputs.iter().map(|r| r.high).collect()];
        let vectors = (0..50).map(|_| inputs.iter().map(|r| random.within(*r)).collect::<Vec<_>>()).chain(extremes);
        for x in vectors {
            let expected: Vec<i128> = weights
                .iter()
                .zip(biases)
                .map(|(row, bias)| row.iter().zip(&x).map(|(w, x)| w * x).sum::<i128>() + bias)
                .collect();
            assert_eq!(graph.evaluate(&x), expected);
        }
        // The ranges are exact: each end is reached by some vector, and no value is beyond.
        for (j, &(value, shift)) in graph.outputs().iter().enumerate() {
            let exact = weights[j]
                .iter()
                .zip(inputs)
                .fold(Range::of(biases[j]), |sum, (w, x)| sum.plus(x.times(*w).unwrap()).unwrap());
            assert_eq!((graph.range(value).low << shift, graph.range(value).high << shift), (exact.low, exact.high));
        }
        let n_terms = |(row, bias): (&Vec<i128>, &i128)| {
            row.iter().map(|w| signed_digits(*w).len()).sum::<usize>() + usize::from(*bias != 0)
        };
        let most = weights.iter().zip(biases).map(n_terms).max().unwrap_or(0).max(1);
        let limit = most.next_power_of_two().trailing_zeros() + slack + 1;
        assert!(graph.outputs().iter().all(|&(value, _)| graph.depth(value) <= limit));
        graph
    }

    #[test]
    fn evaluates_to_the_product() {
        let mut random = Random::new(1);
        for case in 0..40 {
            let (n_in, n_out) = (1 + case % 9, 1 + case % 5);
            let bits = 1 + (case as u32 * 7) % 20;
            let mut weight = || random.within(Range { low: -(1 << bits), high: 1 << bits });
            let weights: Vec<Vec<i128>> = (0..n_out).map(|_| (0..n_in).map(|_| weight()).collect()).collect();
            let biases: Vec<i128> = (0..n_out).map(|j| if j % 2 == 0 { weight() } else { 0 }).collect();
            let inputs: Vec<Range> = (0..n_in)
                .map(|i| if i % 3 == 0 { Range { low: 0, high: 200 } } else { Range { low: -128, high: 127 } })
                .collect();
            check(&weights, &biases, &inputs, case as u32 % 3, &mut random);
        }
    }

    #[test]
    fn corners() {
        let mut random = Random::new(2);
        let byte = Range { low: -128, high: 127 };
        check(&[vec![0, 0], vec![-1, 0], vec![-8, 0], vec![0, 3]], &[0, 0, 5, -7], &[byte; 2], 0, &mut random);
        check(&[vec![-1, -1], vec![-3, -5]], &[0, 0], &[byte; 2], 0, &mut random);
        check(&[vec![5, 7]], &[1], &[Range::of(0), byte], 0, &mut random);
        check(&[vec![]], &[-4], &[], 0, &mut random);
        assert!(AdderGraph::new(&[vec![1]], &[0], &[], 0).is_err());
        assert!(AdderGraph::new(&[vec![1 << 120]], &[0], &[byte], 0).is_err());
    }

    #[test]
    fn shares_what_repeats() {
        let mut random = Random::new(3);
        let byte = Range { low: -128, high: 127 };
        // 5 x + 5 y twice, once negated and shifted: 5 (x + y) takes two adders, and the negation one.
        let graph = check(&[vec![5, 5], vec![-20, -20]], &[0, 0], &[byte; 2], 1, &mut random);
        assert!(graph.n_adders() <= 3, "{} adders", graph.n_adders());
    }

    #[test]
    fn a_layer_of_24_to_16_in_fewer_than_two_thirds_of_the_adders() {
        let mut random = Random::new(4);
        let byte = Range { low: -128, high: 127 };
        let weights: Vec<Vec<i128>> = (0..16).map(|_| (0..24).map(|_| random.within(byte)).collect()).collect();
        let naive: usize = weights.iter().map(|r| r.iter().map(|w| signed_digits(*w).len()).sum::<usize>() - 1).sum();
        let graph = check(&weights, &[0; 16], &[byte; 24], 0, &mut random);
        assert!(graph.n_adders() * 3 < naive * 2, "{} of {naive} adders", graph.n_adders());
    }
}
