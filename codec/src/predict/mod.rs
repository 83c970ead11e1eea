//! Arrays of integers to bits: differences along axes, then entropy coding.

pub(crate) mod lorenzo;
pub(crate) mod search;
pub(crate) mod stream;
