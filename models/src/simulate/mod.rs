//! Fields that anybody can make again: a small flow solver, and random fields with the spectra of nature.
//!
//! Training data, demonstrations and tests use these where no measured data may be assumed. Everything follows from the
//! arguments: the same call gives the same bits on one machine (other machines differ at most in rounding).

mod flow;
mod random;

pub use flow::{Cylinder, Quantity, cylinder};
pub use random::{Random, power_law};
