//! Rows to try a design with: directed ones, then random ones.

use crate::fixed::Format;
use crate::ir::Program;

/// Rows of integers for a program, without end; the same for the same seed.
#[derive(Clone, Debug)]
pub struct Vectors {
    formats: Vec<Format>,
    n_given: usize,
    state: u64,
}

impl Vectors {
    /// Rows for `program`.
    pub fn new(program: &Program, seed: u64) -> Self {
        Self { formats: program.formats_before(0).to_vec(), n_given: 0, state: seed }
    }

    /// splitmix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Any value of the format's range.
    fn anything(&mut self, format: Format) -> i64 {
        let bits = self.random() >> (64 - format.width());
        (format.min_raw() + i128::from(bits)) as i64
    }

    /// Directed rows: everything at an end of its range, at zero or beside it; then one element at a time.
    fn directed(&mut self, k: usize) -> Option<Vec<i64>> {
        let ends = |f: &Format| [f.min_raw(), f.max_raw(), 0, 1, -1].map(|v| v.clamp(f.min_raw(), f.max_raw()) as i64);
        let all =
            |pick: &dyn Fn(usize) -> usize| self.formats.iter().enumerate().map(|(i, f)| ends(f)[pick(i)]).collect();
        let n = self.formats.len();
        match k {
            0..5 => Some(all(&|_| k)),
            5 => Some(all(&|i| i % 2)),
            6 => Some(all(&|i| 1 - i % 2)),
            _ if k - 7 < 2 * n => Some(all(&|i| if i == (k - 7) / 2 { (k - 7) % 2 } else { 2 })),
            _ => None,
        }
    }
}

impl Iterator for Vectors {
    type Item = Vec<i64>;

    fn next(&mut self) -> Option<Vec<i64>> {
        self.n_given += 1;
        if let Some(row) = self.directed(self.n_given - 1) {
            return Some(row);
        }
        // Every fourth row is one of ends of ranges: sums reach their own ends, and everything saturates.
        let is_extreme = self.n_given.is_multiple_of(4);
        let formats = self.formats.clone();
        let row = formats.into_iter().map(|f| {
            if !is_extreme {
                return self.anything(f);
            }
            let ends = [f.min_raw(), f.max_raw()];
            ends[(self.random() & 1) as usize] as i64
        });
        Some(row.collect())
    }
}
