//! The emulator: programs on a processor, many rows at once, with the integers of [`Program::reference`].
//!
//! ```text
//! rows -> blocks of 64, element by element -> per layer: sums, cast -> rows
//! ```
//!
//! Lanes are rows, so every element of a layer is one loop without dependencies. The ranges of the program
//! ([`Program::ranges`]) decide the integers: 32-bit lanes where no product, sum or cast can leave them, with 16-bit
//! multiply-add of pairs of inputs where values and weights fit; 64-bit lanes else; and the reference itself for what is
//! wider. All give the same bits, and so does every vector width.
//!
//! | file | what |
//! |---|---|
//! | `plan.rs` | a program as steps for lanes of one width, if its ranges allow that |
//! | `block.rs` | one block of rows through all steps |
//! | `cast.rs` | rounding and overflow of a lane |
//! | `simd.rs` | the same code compiled for AVX-512 and AVX2, and the multiply-add of pairs |
//! | `quantise.rs` | floats to the integers of the input |
//! | `cycles.rs` | latency, interval, stalls and depths of queues of the hardware |

mod block;
mod cast;
mod cycles;
mod plan;
mod quantise;
mod simd;

pub use cycles::{Flow, Link, Stream, Timing, timing};
pub use simd::Path;

use crate::ir::Program;
use baler_codec::{Error, Result};
use plan::Plan;

/// Rows of a block.
const ROWS: usize = 64;

/// An integer type that rows come and go in.
pub trait Port: Copy + Default + Into<i64> + TryFrom<i64> + Send + Sync + private::Sealed {
    /// Its bits.
    const BITS: u32;
    /// The low bits.
    fn truncate(value: i64) -> Self;
}

mod private {
    use super::plan::Plan;
    use super::{Path, Result};

    /// Runs plans with rows of one type; here and not generic, so that it is compiled once, in this crate.
    pub trait Sealed: Sized {
        fn narrow(path: Path, plan: &Plan<i32>, input: &[Self], output: &mut [Self]) -> Result<()>;
        fn wide(path: Path, plan: &Plan<i64>, input: &[Self], output: &mut [Self]) -> Result<()>;
    }
}

macro_rules! port {
    ($($t:ty),*) => {$(
        impl private::Sealed for $t {
            fn narrow(path: Path, plan: &Plan<i32>, input: &[Self], output: &mut [Self]) -> Result<()> {
                simd::run(path, plan, input, output)
            }
            fn wide(path: Path, plan: &Plan<i64>, input: &[Self], output: &mut [Self]) -> Result<()> {
                simd::run(path, plan, input, output)
            }
        }
        impl Port for $t {
            const BITS: u32 = <$t>::BITS;
            #[inline(always)]
            fn truncate(value: i64) -> Self {
                value as $t
            }
        }
    )*};
}
port!(i8, i16, i32, i64);

/// A program ready to run.
#[derive(Clone, Debug)]
pub struct Emulator {
    program: Program,
    plan: Lanes,
    path: Path,
}

#[derive(Clone, Debug)]
enum Lanes {
    Narrow(Plan<i32>),
    Wide(Plan<i64>),
    Reference,
}

impl Emulator {
    /// The emulator of a program, by the widest vectors of this machine.
    pub fn new(program: &Program) -> Self {
        let plan = match (Plan::new(program), Plan::new(program)) {
            (Some(narrow), _) => Lanes::Narrow(narrow),
            (None, Some(wide)) => Lanes::Wide(wide),
            (None, None) => Lanes::Reference,
        };
        Self { program: program.clone(), plan, path: Path::best() }
    }

    /// The same with another vector width, for tests.
    ///
    /// # Errors
    /// If this machine has no such vectors.
    pub fn with_path(mut self, path: Path) -> Result<Self> {
        if !path.is_available() {
            return Err(Error::invalid(format!("this machine has no {path}")));
        }
        self.path = path;
        Ok(self)
    }

    /// The same with 64-bit lanes, or with the reference where they do not suffice; for tests.
    #[must_use]
    pub fn widened(mut self) -> Self {
        self.plan = match self.plan {
            Lanes::Narrow(_) => Plan::new(&self.program).map_or(Lanes::Reference, Lanes::Wide),
            Lanes::Wide(_) | Lanes::Reference => Lanes::Reference,
        };
        self
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What computes: `32-bit lanes, 2 of 2 dense layers by 16-bit pairs, avx512`.
    pub fn describe(&self) -> String {
        match &self.plan {
            Lanes::Narrow(plan) => {
                let (pairs, dense) = plan.n_dense_by_pairs();
                format!("32-bit lanes, {pairs} of {dense} dense layers by 16-bit pairs, {}", self.path)
            }
            Lanes::Wide(_) => format!("64-bit lanes, {}", self.path),
            Lanes::Reference => "the reference, 128 bits".to_owned(),
        }
    }

    /// Computes `rows` rows of raw integers; `input` and `output` hold them one after the other.
    ///
    /// # Errors
    /// Wrong lengths, integers outside the formats of the input (with their row), and a type of output that does not hold
    /// every value of the program's.
    pub fn run<P: Port>(&self, rows: usize, input: &[P], output: &mut [P]) -> Result<()> {
        let (n_in, n_out) = (self.program.input_len(), self.program.output_len());
        for (what, n, found) in [("input", n_in, input.len()), ("output", n_out, output.len())] {
            if rows.checked_mul(n) != Some(found) {
                return Err(Error::invalid(format!("{what} has {found} values: expected {rows} rows of {n}")));
            }
        }
        let last = &self.program.ranges()[self.program.layers().len() - 1];
        if let Some(range) = last.output.iter().find(|range| !range.fits_signed(P::BITS)) {
            return Err(Error::invalid(format!(
                "outputs from {} to {} in integers of {} bits: choose wider ones",
                range.low,
                range.high,
                P::BITS
            )));
        }
        match &self.plan {
            Lanes::Narrow(plan) => P::narrow(self.path, plan, input, output),
            Lanes::Wide(plan) => P::wide(self.path, plan, input, output),
            Lanes::Reference => self.run_reference(input, output),
        }
    }

    fn run_reference<P: Port>(&self, input: &[P], output: &mut [P]) -> Result<()> {
        let (n_in, n_out) = (self.program.input_len(), self.program.output_len());
        let rows = input.chunks_exact(n_in).zip(output.chunks_exact_mut(n_out)).enumerate();
        for (r, (from, to)) in rows {
            let row: Vec<i64> = from.iter().map(|&v| v.into()).collect();
            let computed = self.program.reference(&row).map_err(|e| e.context(format_args!("row {r}")))?;
            to.iter_mut().zip(computed).for_each(|(to, v)| *to = P::truncate(v));
        }
        Ok(())
    }
}
