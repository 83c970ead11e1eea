//! What is left of a row becomes a tree.

use super::builder::{Builder, Pattern, Term};
use super::{Form, Sum, Value};

impl Builder {
    /// What is left of a row, as a tree: always the pair that costs fewest bits of those that keep the depth.
    pub(super) fn sum_up(&mut self, j: usize) -> (usize, u32) {
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
