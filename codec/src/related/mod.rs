//! Methods 6 and 11: a column of a table, given columns decoded before it.
//!
//! Columns of a table are seldom independent: some follow from others by a formula (energies from momenta), some are
//! undefined for the same rows, most are a little wider or narrower where another one is large. A column coded here names
//! its *parents*, columns that the reader has decoded by then, and uses them in two ways:
//!
//! - A [`Formula`] of parents predicts the value; what is coded is the distance to it. How exact the prediction can be is
//!   known too: the parents are known to within their bounds only, and how far that moves the formula's value is a
//!   context (`predict.rs`).
//! - The integer is coded bit by bit, its highest bit first, each with a probability mixed from several adaptive ones:
//!   given nothing, the row before, each parent's value, pairs of them (`coder.rs`).
//!
//! Both learn while they code, so a reader needs no model. Formulas come from bundles of the family `predictor`, and are
//! written into the chunk; parents are chosen from the values (`parents.rs`).
//!
//! The mixing of adaptive binary probabilities follows M. Mahoney, "Adaptive weighing of context models for lossless data
//! compression" (2005); choosing parents by conditional entropy, C. Chow and C. Liu, "Approximating discrete probability
//! distributions with dependence trees" (1968).

mod bins;
mod coder;
pub(crate) mod conditional;
pub(crate) mod formula;
mod order;
mod parents;
mod predict;
mod table;

pub(crate) use bins::Bins;
pub(crate) use conditional::some_rows;
pub use formula::{Formula, Function, Outer, Term};
pub(crate) use order::order;
pub(crate) use parents::choose as choose_parents;
pub(crate) use predict::values_of;
pub(crate) use table::{Columns, Decoded, Need, decode, encode, parents_of, summarise};
