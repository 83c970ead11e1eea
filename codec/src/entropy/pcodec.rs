//! pcodec (<https://github.com/pcodec/pcodec>): binned, tANS-coded numbers.

use super::{Hints, Int};
use crate::error::{Error, Result};
use crate::params::Effort;
use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress_into};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

/// pco's own level; above 8 it searches longer and finds no more in residuals.
fn level(effort: Effort) -> usize {
    match effort {
        Effort::Fast => 4,
        Effort::Default => 8,
        Effort::Max => 12,
    }
}

/// In numbers it finds a little more, as quickly.
fn number_level(effort: Effort) -> usize {
    level(effort).max(if effort == Effort::Fast { 0 } else { 9 })
}

pub(super) fn encode<I: Int>(values: &[I], hints: Hints<'_>) -> Vec<u8> {
    let mut config = ChunkConfig::default().with_compression_level(level(hints.effort));
    if hints.is_residual {
        config = config.with_mode_spec(ModeSpec::Classic).with_delta_spec(DeltaSpec::NoOp);
    }
    simple_compress(values, &config).expect("pco takes any integers with a fixed configuration")
}

/// Numbers of any pco type, with pco's own choice of mode and differences.
pub(crate) fn encode_numbers<T: Number>(values: &[T], effort: Effort) -> Vec<u8> {
    let config = ChunkConfig::default().with_compression_level(number_level(effort)).with_enable_8_bit(true);
    simple_compress(values, &config).expect("pco takes any numbers with a fixed configuration")
}

/// Decodes exactly `n` numbers.
pub(crate) fn decode<T: Number + Default + Clone>(payload: &[u8], n: usize) -> Result<Vec<T>> {
    // pco spends a few bits on each batch of 256 even if all are equal, and at least a byte on each chunk of 2^24.
    if n / (1 << 20) > payload.len() {
        return Err(Error::corrupt(format!("{} bytes of pco cannot hold {n} numbers", payload.len())));
    }
    let mut values = vec![T::default(); n];
    let progress = simple_decompress_into(payload, &mut values).map_err(|e| Error::corrupt(format!("pco: {e}")))?;
    if progress.n_processed != n || !progress.finished {
        return Err(Error::corrupt(format!("pco gave {} numbers instead of {n}", progress.n_processed)));
    }
    Ok(values)
}
