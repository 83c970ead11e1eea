//! Formulas that give one column from others: `sqrt(1*x4^2 + 1*x3^2 + 0.011164)`.
//!
//! A formula is an outer function of a sum of terms; a term is a coefficient times functions of single columns. Columns are
//! `x0`, `x1`, ... in the order of the table. The text form is what a manifest holds, the binary one what a chunk holds.
//! Values are binary64, computed as written here from left to right with the functions of [`crate::elementary`], so that
//! every machine gets the same bits.

use crate::elementary;
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};
use std::fmt;
use std::str::FromStr;

/// Terms of a formula, and factors of a term, at most.
const MAX_TERMS: usize = 32;
const MAX_FACTORS: usize = 6;

macro_rules! functions {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $id:literal $variant:ident $text:literal |$x:ident| $value:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The value at `x`.
            pub fn apply(self, x: f64) -> f64 {
                match self { $($name::$variant => { let $x = x; $value })* }
            }

            /// The values at each of `xs`, put in their place.
            #[inline(always)]
            pub(super) fn apply_all(self, xs: &mut [f64]) {
                match self { $($name::$variant => xs.iter_mut().for_each(|x| { let $x = *x; *x = $value }),)* }
            }

            fn id(self) -> u8 {
                match self { $($name::$variant => $id,)* }
            }

            fn text(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

functions! {
    /// A function of one column. The ids reach disk.
    Function {
        /// The value itself.
        0 Identity "" |x| x,
        /// Its square.
        1 Square "sq" |x| x * x,
        /// 1 / x.
        2 Reciprocal "inv" |x| 1.0 / x,
        /// Square root of the magnitude.
        3 Root "root" |x| x.abs().sqrt(),
        /// Sine.
        4 Sin "sin" |x| elementary::sin(x),
        /// Cosine.
        5 Cos "cos" |x| elementary::cos(x),
        /// Exponential function.
        6 Exp "exp" |x| elementary::exp(x),
        /// Hyperbolic sine.
        7 Sinh "sinh" |x| elementary::sinh(x),
        /// Hyperbolic cosine.
        8 Cosh "cosh" |x| elementary::cosh(x),
        /// Natural logarithm of the magnitude.
        9 Log "log" |x| elementary::ln(x.abs()),
        /// Magnitude.
        10 Abs "abs" |x| x.abs(),
    }
}

functions! {
    /// The function around the sum. The ids reach disk.
    Outer {
        /// The sum itself.
        0 Identity "" |x| x,
        /// Square root; negative sums count as 0.
        1 Sqrt "sqrt" |x| if x > 0.0 { x.sqrt() } else { 0.0 },
        /// Inverse hyperbolic sine.
        2 Asinh "asinh" |x| elementary::asinh(x),
        /// Exponential function.
        3 Exp "exp" |x| elementary::exp(x),
        /// Natural logarithm.
        4 Ln "log" |x| elementary::ln(x),
        /// 1 / x.
        5 Reciprocal "inv" |x| 1.0 / x,
    }
}

impl Outer {
    /// The function that undoes it: what a target becomes, so that the rest is a sum.
    pub fn inverse(self, y: f64) -> f64 {
        match self {
            Outer::Identity => y,
            Outer::Sqrt => y * y,
            Outer::Asinh => elementary::sinh(y),
            Outer::Exp => elementary::ln(y),
            Outer::Ln => elementary::exp(y),
            Outer::Reciprocal => 1.0 / y,
        }
    }
}

/// A coefficient times functions of columns; a constant if there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Finite.
    pub coefficient: f64,
    /// Functions of columns, multiplied from left to right.
    pub factors: Vec<(Function, usize)>,
}

/// One column from others. `Display` and `FromStr` are inverses of each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// The function around the sum.
    pub outer: Outer,
    /// The sum, from left to right.
    pub terms: Vec<Term>,
}

impl Formula {
    /// The columns it takes, rising, each once.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = self.terms.iter().flat_map(|t| t.factors.iter().map(|&(_, c)| c)).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The value where column `c` has the value `x(c)`.
    pub fn value(&self, x: impl Fn(usize) -> f64) -> f64 {
        let mut sum = 0.0;
        for term in &self.terms {
            let mut product = term.coefficient;
            for &(function, column) in &term.factors {
                product *= function.apply(x(column));
            }
            sum += product;
        }
        self.outer.apply(sum)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u8(self.outer.id());
        out.u8(self.terms.len() as u8);
        for term in &self.terms {
            out.f64(term.coefficient);
            out.u8(term.factors.len() as u8);
            for &(function, column) in &term.factors {
                out.u8(function.id());
                out.varint(column as u64);
            }
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>, n_columns: usize) -> Result<Self> {
        let outer = by_id(Outer::ALL, Outer::id, input.u8("an outer function")?)?;
        let n_terms = usize::from(input.u8("the number of terms")?);
        let mut terms = Vec::new();
        for _ in 0..n_terms {
            let coefficient = input.f64("a coefficient")?;
            let n_factors = usize::from(input.u8("the number of factors")?);
            let mut factors = Vec::new();
            for _ in 0..n_factors {
                let function = by_id(Function::ALL, Function::id, input.u8("a function")?)?;
                factors.push((function, input.size("a column")?));
            }
            terms.push(Term { coefficient, factors });
        }
        let formula = Formula { outer, terms };
        formula.check(n_columns).map_err(Error::corrupt)?;
        Ok(formula)
    }

    /// Checks it against a table of this many columns.
    pub fn check(&self, n_columns: usize) -> std::result::Result<(), String> {
        if !(1..=MAX_TERMS).contains(&self.terms.len()) {
            return Err(format!("a formula of {} terms: expected 1 to {MAX_TERMS}", self.terms.len()));
        }
        for term in &self.terms {
            if !term.coefficient.is_finite() {
                return Err(format!("the coefficient {} is not finite", term.coefficient));
            }
            if term.factors.len() > MAX_FACTORS {
                return Err(format!("a term of {} factors: at most {MAX_FACTORS}", term.factors.len()));
            }
        }
        match self.columns().last() {
            Some(&c) if c >= n_columns => Err(format!("column x{c} of a table of {n_columns}")),
            _ => Ok(()),
        }
    }
}

fn by_id<T: Copy>(all: &[T], id_of: fn(T) -> u8, id: u8) -> Result<T> {
    all.iter().copied().find(|&f| id_of(f) == id).ok_or_else(|| Error::corrupt(format!("function {id} is unknown")))
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.outer.text();
        write!(f, "{name}{}", if name.is_empty() { "" } else { "(" })?;
        for (i, term) in self.terms.iter().enumerate() {
            write!(f, "{}{}", if i > 0 { " + " } else { "" }, term.coefficient)?;
            for (function, column) in &term.factors {
                match function.text() {
                    "" => write!(f, "*x{column}")?,
                    name => write!(f, "*{name}(x{column})")?,
                }
            }
        }
        f.write_str(if name.is_empty() { "" } else { ")" })
    }
}

impl FromStr for Formula {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = |what: &str| format!("formula {text:?}: {what}");
        let text = text.trim();
        let named = Outer::ALL.iter().find_map(|&outer| {
            let inner = text.strip_prefix(outer.text())?.strip_prefix('(')?.strip_suffix(')')?;
            (outer != Outer::Identity).then_some((outer, inner))
        });
        let (outer, sum) = named.unwrap_or((Outer::Identity, text));
        let mut terms = Vec::new();
        for term in sum.split(" + ") {
            let mut parts = term.trim().split('*');
            let first = parts.next().unwrap_or_default();
            let coefficient: f64 =
                first.parse().map_err(|_| wrong(&format!("{first:?} is no number; each term begins with one")))?;
            let mut factors = Vec::new();
            for part in parts {
                let (function, argument) = match part.strip_suffix(')').and_then(|p| p.split_once('(')) {
                    None => (Function::Identity, part),
                    Some((name, argument)) => {
                        let known = Function::ALL.iter().find(|f| f.text() == name && **f != Function::Identity);
                        (*known.ok_or_else(|| wrong(&format!("{name:?} is no function known here")))?, argument)
                    }
                };
                let column = argument.strip_prefix('x').and_then(|c| c.parse().ok());
                factors
                    .push((function, column.ok_or_else(|| wrong(&format!("{argument:?} is no column such as x0")))?));
            }
            terms.push(Term { coefficient, factors });
        }
        let formula = Formula { outer, terms };
        formula.check(usize::MAX).map_err(|e| wrong(&e))?;
        Ok(formula)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_come_back() {
        for text in
            ["1*x4*cos(x6)", "sqrt(1*sq(x4) + 1*sq(x3) + 0.011164)", "-2.5e-3", "asinh(1*x3*inv(x4))", "log(3*x0)"]
        {
            let formula: Formula = text.parse().unwrap();
            assert_eq!(formula.to_string().parse::<Formula>().unwrap(), formula);
            let mut out = Writer::default();
            formula.write(&mut out);
            assert_eq!(Formula::read(&mut Reader::new(&out.bytes), 7).unwrap(), formula);
            for cut in 0..out.bytes.len() {
                assert!(Formula::read(&mut Reader::new(&out.bytes[..cut]), 7).is_err());
            }
            if !formula.columns().is_empty() {
                assert!(Formula::read(&mut Reader::new(&out.bytes), 0).is_err());
            }
        }
        for bad in ["", "x1", "1*y", "1*sin(x)", "1*foo(x1)", "NaN*x1", "sqrt(1*x1", "1*x1 + ", "1*sin(x1"] {
            assert!(bad.parse::<Formula>().is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_those_of_the_formula() {
        let formula: Formula = "sqrt(1*sq(x0) + 1*sq(x1) + 9)".parse().unwrap();
        assert_eq!(formula.value(|c| [2.0, 6.0][c]), 7.0);
        assert_eq!(formula.columns(), [0, 1]);
        for outer in Outer::ALL {
            for y in [0.3, 1.0, 2.5] {
                assert!((outer.apply(outer.inverse(y)) - y).abs() < 1e-14, "{outer:?} {y}");
            }
        }
    }
}
