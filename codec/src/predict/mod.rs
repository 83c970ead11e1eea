//! Predictors: differences of integers and of floats along axes, interpolation of values; and the integers that are left, to bits.

pub(crate) mod fitted;
pub(crate) mod floating;
pub(crate) mod interpolate;
pub(crate) mod lorenzo;
pub(crate) mod search;
pub(crate) mod stream;
