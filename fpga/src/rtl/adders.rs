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

use crate::ir::Range;
use baler_codec::{Error, Result};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

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
                Value::Sum(Sum { a, b, shift, form }) => {
                    let (a, b) = (found[a], found[b] << shift);
                    match form {
                        Form::Plus => a + b,
                        Form::Minus => a - b,
                        Form::Reverse => b - a,
                    }
                }
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

/// The digits of `weight` in canonical signed form, lowest first: places and whether they count negative.
fn signed_digits(weight: i128) -> Vec<(u32, bool)> {
    let mut digits = Vec::new();
    let (mut rest, mut place) = (weight, 0);
    while rest != 0 {
        let zeros = rest.trailing_zeros();
        rest >>= zeros;
        place += zeros;
        // ...01 stays a one; ...11 becomes minus one with a carry.
        let is_negative = rest & 3 == 3;
        digits.push((place, is_negative));
        rest += if is_negative { 1 } else { -1 };
    }
    digits
}

/// A value of the graph, shifted and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    value: usize,
    shift: u32,
    is_negative: bool,
}

/// Two terms of a row: `a ± (b << distance)`, whatever the row shifts and signs it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Pattern {
    a: usize,
    b: usize,
    distance: u32,
    is_difference: bool,
}

impl Pattern {
    fn of(x: Term, y: Term) -> Self {
        let (a, b) = if (x.shift, x.value) <= (y.shift, y.value) { (x, y) } else { (y, x) };
        Self { a: a.value, b: b.value, distance: b.shift - a.shift, is_difference: a.is_negative != b.is_negative }
    }

    fn sum(self) -> Sum {
        let form = if self.is_difference { Form::Minus } else { Form::Plus };
        Sum { a: self.a, b: self.b, shift: self.distance, form }
    }
}

/// What a pattern is worth. None is best for every matrix, so each is tried.
#[derive(Clone, Copy)]
enum Score {
    /// Adders it saves.
    Adders,
    /// Bits of the adders it saves.
    Bits,
    /// Adders, weighed by the bits in which the operands overlap: those that do not only widen what comes after.
    Overlap,
}

impl Score {
    const ALL: [Score; 3] = [Score::Adders, Score::Bits, Score::Overlap];
}

/// Most pairs of terms that are looked at. Beyond it the inputs are split into blocks that share nothing.
const MAX_PAIRS: usize = 8_000_000;

struct Builder {
    graph: AdderGraph,
    score: Score,
    /// Per value, what it takes of each input, and its constant.
    forms: Vec<(Vec<i128>, i128)>,
    /// Per value, the block of inputs it is made of.
    blocks: Vec<usize>,
    known: HashMap<Value, usize>,
    rows: Vec<Vec<Term>>,
    /// Per row, the sum of `2^depth` over its terms.
    kraft: Vec<u64>,
    depth_limit: u32,
    biases: Vec<i128>,
    inputs: Vec<Range>,
    counts: HashMap<Pattern, u32>,
    queue: BinaryHeap<(u64, Reverse<Pattern>)>,
}

impl Builder {
    fn new(weights: &[Vec<i128>], biases: &[i128], inputs: &[Range], slack: u32, score: Score) -> Self {
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

    fn build(mut self) -> AdderGraph {
        self.share();
        for j in 0..self.rows.len() {
            let output = self.sum_up(j);
            self.graph.outputs.push(output);
        }
        self.graph
    }

    /// The number of a value, which is new unless it has been computed before.
    fn add(&mut self, value: Value, block: usize) -> usize {
        if let Some(&number) = self.known.get(&value) {
            return number;
        }
        let n = self.inputs.len();
        let (form, depth) = match value {
            Value::Input(i) => ((0..n).map(|k| i128::from(k == i)).collect(), 0),
            Value::Constant(_) => (vec![0; n], 0),
            Value::Sum(Sum { a, b, shift, form }) => {
                let combine = |a: i128, b: i128| match form {
                    Form::Plus => a + (b << shift),
                    Form::Minus => a - (b << shift),
                    Form::Reverse => (b << shift) - a,
                };
                let (fa, fb) = (&self.forms[a].0, &self.forms[b].0);
                let depth = self.graph.depths[a].max(self.graph.depths[b]) + 1;
                (fa.iter().zip(fb).map(|(&a, &b)| combine(a, b)).collect::<Vec<_>>(), depth)
            }
        };
        let constant = match value {
            Value::Input(_) => 0,
            Value::Constant(c) => c,
            Value::Sum(Sum { a, b, shift, form }) => {
                let (a, b) = (self.forms[a].1, self.forms[b].1 << shift);
                match form {
                    Form::Plus => a + b,
                    Form::Minus => a - b,
                    Form::Reverse => b - a,
                }
            }
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

    /// Takes out patterns, the best first, until none saves anything.
    fn share(&mut self) {
        for j in 0..self.rows.len() {
            for i in 0..self.rows[j].len() {
                for k in 0..i {
                    self.count(self.rows[j][i], self.rows[j][k], true);
                }
            }
        }
        self.queue =
            self.counts.iter().filter(|(_, n)| **n > 1).map(|(p, n)| (self.worth(*p, *n), Reverse(*p))).collect();
        while let Some((worth, Reverse(pattern))) = self.queue.pop() {
            let n = self.counts.get(&pattern).copied().unwrap_or(0);
            if n < 2 {
                continue;
            }
            let current = self.worth(pattern, n);
            if current == worth {
                self.take_out(pattern);
            } else if current < worth {
                self.queue.push((current, Reverse(pattern)));
            }
        }
    }

    fn worth(&self, pattern: Pattern, count: u32) -> u64 {
        let width = |value: usize| self.graph.ranges[value].bits();
        let (a, b) = (width(pattern.a), width(pattern.b));
        let weight = match self.score {
            Score::Adders => 1,
            Score::Bits => a.saturating_sub(pattern.distance).max(b) + 1,
            Score::Overlap => a.min(b + pattern.distance).saturating_sub(pattern.distance) + 1,
        };
        u64::from(count - 1) * u64::from(weight)
    }

    /// One pair of terms of a row more, or one less.
    fn count(&mut self, x: Term, y: Term, is_new: bool) {
        if self.blocks[x.value] != self.blocks[y.value] {
            return;
        }
        let count = self.counts.entry(Pattern::of(x, y)).or_insert(0);
        *count = if is_new { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Computes `pattern` once and puts it into each row that has it and room for its depth.
    fn take_out(&mut self, pattern: Pattern) {
        let depth = |value: usize| self.graph.depths[value];
        let new_depth = depth(pattern.a).max(depth(pattern.b)) + 1;
        let growth = (1u64 << new_depth) - (1 << depth(pattern.a)) - (1 << depth(pattern.b));
        let mut places = Vec::new();
        for j in 0..self.rows.len() {
            let row = &self.rows[j];
            let mut used = vec![false; row.len()];
            let mut kraft = self.kraft[j];
            for i in 0..row.len() {
                if used[i] || row[i].value != pattern.a || kraft + growth > 1 << self.depth_limit {
                    continue;
                }
                let partner = Term {
                    value: pattern.b,
                    shift: row[i].shift + pattern.distance,
                    is_negative: row[i].is_negative != pattern.is_difference,
                };
                if let Some(k) = (0..row.len()).find(|&k| k != i && !used[k] && row[k] == partner) {
                    (used[i], used[k]) = (true, true);
                    kraft += growth;
                    places.push((j, row[i], row[k]));
                }
            }
        }
        if places.len() < 2 {
            // Rows only become fuller: this pattern will not pay later either.
            self.counts.insert(pattern, 0);
            return;
        }
        let value = self.add(Value::Sum(pattern.sum()), self.blocks[pattern.a]);
        for (j, a, b) in places {
            for term in [a, b] {
                let place = self.rows[j].iter().position(|t| *t == term).expect("found above");
                self.rows[j].swap_remove(place);
                for k in 0..self.rows[j].len() {
                    self.count(self.rows[j][k], term, false);
                }
            }
            let term = Term { value, ..a };
            for k in 0..self.rows[j].len() {
                let other = self.rows[j][k];
                self.count(other, term, true);
                let found = Pattern::of(other, term);
                let count = self.counts.get(&found).copied().unwrap_or(0);
                if count > 1 {
                    self.queue.push((self.worth(found, count), Reverse(found)));
                }
            }
            self.rows[j].push(term);
            self.kraft[j] += growth;
        }
    }

    /// What is left of a row, as a tree: always the pair that costs fewest bits of those that keep the depth.
    fn sum_up(&mut self, j: usize) -> (usize, u32) {
        let mut terms = std::mem::take(&mut self.rows[j]);
        if self.biases[j] != 0 {
            let shift = self.biases[j].trailing_zeros();
            let value = self.add(Value::Constant(self.biases[j] >> shift), 0);
            terms.push(Term { value, shift, is_negative: false });
        }
        let mut kraft = self.kraft[j];
        while terms.len() > 1 {
            let (x, y) = self.cheapest_pair(&terms, kraft);
            let second = terms.remove(y);
            let first = terms.remove(x);
            let depth = |term: Term| self.graph.depths[term.value];
            kraft -= (1 << depth(first)) + (1 << depth(second));
            let (low, high) = if first.shift <= second.shift { (first, second) } else { (second, first) };
            // With equal shifts either may be the negative one.
            let (low, high) = if low.shift == high.shift && low.is_negative { (high, low) } else { (low, high) };
            let is_last = terms.is_empty();
            let (form, is_negative) = match (low.is_negative == high.is_negative, low.is_negative) {
                (true, sign) => (Form::Plus, sign),
                (false, true) if is_last => (Form::Reverse, false),
                (false, sign) => (Form::Minus, sign),
            };
            let sum = Sum { a: low.value, b: high.value, shift: high.shift - low.shift, form };
            let value = self.add(Value::Sum(sum), 0);
            kraft += 1 << self.graph.depths[value];
            terms.push(Term { value, shift: low.shift, is_negative });
        }
        match terms.pop() {
            None => (self.add(Value::Constant(0), 0), 0),
            Some(Term { value, shift, is_negative: false }) => (value, shift),
            Some(Term { value, shift, is_negative: true }) => {
                let zero = self.add(Value::Constant(0), 0);
                (self.add(Value::Sum(Sum { a: zero, b: value, shift: 0, form: Form::Minus }), 0), shift)
            }
        }
    }

    fn cheapest_pair(&self, terms: &[Term], kraft: u64) -> (usize, usize) {
        let mut best = (u64::MAX, 0, 1);
        for y in 1..terms.len() {
            for x in 0..y {
                let (a, b) = (terms[x], terms[y]);
                let (da, db) = (self.graph.depths[a.value], self.graph.depths[b.value]);
                if kraft - (1 << da) - (1 << db) + (1 << (da.max(db) + 1)) > 1 << self.depth_limit {
                    continue;
                }
                let top = |t: Term| self.graph.ranges[t.value].bits() + t.shift;
                let bits = top(a).max(top(b)) - a.shift.max(b.shift).min(top(a).max(top(b)));
                let is_known = self.known.contains_key(&Value::Sum(Pattern::of(a, b).sum()));
                let cost = if is_known { 0 } else { u64::from(bits) << 8 | u64::from(da.max(db)) };
                if cost < best.0 {
                    best = (cost, x, y);
                }
            }
        }
        (best.1, best.2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Random;
    use super::*;

    #[test]
    fn digits_are_canonical() {
        for weight in (-300..300).chain([i128::from(i64::MIN), i128::from(i64::MAX), 0x5555, 0x7ffe]) {
            let digits = signed_digits(weight);
            let value: i128 = digits.iter().map(|&(place, neg)| (1 << place) * if neg { -1 } else { 1 }).sum();
            assert_eq!(value, weight);
            assert!(digits.windows(2).all(|d| d[1].0 > d[0].0 + 1), "{weight}: {digits:?}");
        }
    }

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
