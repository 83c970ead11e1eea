//! Pairs of terms that occur in several places are computed once.

use super::Value;
use super::builder::{Builder, Pattern, Score, Term};
use std::cmp::Reverse;

impl Builder {
    /// Takes out patterns, the best first, until none saves anything.
    pub(super) fn share(&mut self) {
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
}
