//! What sums are made of: functions of one column, and products of functions of two.

use baler_codec::relation::Function;

/// Above this many columns, pairs are made of fewer functions.
const MANY_COLUMNS: usize = 24;
const FEW_FUNCTIONS: [Function; 5] =
    [Function::Identity, Function::Square, Function::Reciprocal, Function::Sin, Function::Cos];
/// Above this many columns there are no pairs.
const TOO_MANY_COLUMNS: usize = 96;

/// Values of every atom for every row, each scaled to length 1; atoms that are not finite everywhere are left out.
pub(super) struct Atoms {
    pub factors: Vec<Vec<(Function, usize)>>,
    values: Vec<f32>,
    pub n_rows: usize,
}

impl Atoms {
    /// The constant comes first.
    pub fn new(columns: &[Vec<f64>]) -> Self {
        let n = columns.len();
        let n_rows = columns.first().map_or(0, Vec::len);
        let mut atoms = Self { factors: Vec::new(), values: Vec::new(), n_rows };
        atoms.push(vec![], &vec![1.0; n_rows]);
        let applied =
            |function: Function, c: usize| -> Vec<f64> { columns[c].iter().map(|&x| function.apply(x)).collect() };
        for c in 0..n {
            for &function in Function::ALL {
                atoms.push(vec![(function, c)], &applied(function, c));
            }
        }
        let functions = if n > MANY_COLUMNS { &FEW_FUNCTIONS[..] } else { Function::ALL };
        if n > TOO_MANY_COLUMNS {
            return atoms;
        }
        let single: Vec<Vec<Vec<f64>>> =
            (0..n).map(|c| functions.iter().map(|&function| applied(function, c)).collect()).collect();
        for a in 0..n {
            for b in a + 1..n {
                for (&f, x) in functions.iter().zip(&single[a]) {
                    for (&g, y) in functions.iter().zip(&single[b]) {
                        let product: Vec<f64> = x.iter().zip(y).map(|(x, y)| x * y).collect();
                        atoms.push(vec![(f, a), (g, b)], &product);
                    }
                }
            }
        }
        atoms
    }

    fn push(&mut self, factors: Vec<(Function, usize)>, values: &[f64]) {
        let length = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length.is_finite() && length > 1e-100 && values.iter().all(|v| v.abs() < 1e30) {
            self.factors.push(factors);
            self.values.extend(values.iter().map(|v| (v / length) as f32));
        }
    }

    pub fn len(&self) -> usize {
        self.factors.len()
    }

    /// Atom `i`, of length 1.
    pub fn values(&self, i: usize) -> &[f32] {
        &self.values[i * self.n_rows..(i + 1) * self.n_rows]
    }

    pub fn has(&self, i: usize, column: usize) -> bool {
        self.factors[i].iter().any(|&(_, c)| c == column)
    }
}
