//! Exact inference: the same bits on every machine.
