//! pcodec (<https://github.com/pcodec/pcodec>): binned, tANS-coded numbers.

use super::{Hints, Int};
use crate::error::{Error, Result};
use crate::params::Effort;
use pco::data_types::Number;
use pco::standalone::{DecompressorItem, FileDecompressor, simple_compress};
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
    let of_pco = |e: pco::errors::PcoError| Error::corrupt(format!("pco: {e}"));
    let (file, mut rest) = FileDecompressor::new(payload).map_err(of_pco)?;
    let mut values = vec![T::default(); n];
    let mut left = &mut values[..];
    loop {
        refuse_dictionary(rest)?;
        let DecompressorItem::Chunk(mut chunk) = file.chunk_decompressor(rest).map_err(of_pco)? else { break };
        let Some((some, after)) = left.split_at_mut_checked(chunk.n()) else {
            return Err(Error::corrupt(format!("pco gave more than {n} numbers")));
        };
        chunk.read(some).map_err(of_pco)?;
        (left, rest) = (after, chunk.into_src());
    }
    if !left.is_empty() {
        return Err(Error::corrupt(format!("pco gave {} numbers instead of {n}", n - left.len())));
    }
    Ok(values)
}

/// pco allocates a dictionary, of up to 256 MiB, before it looks whether the input is long enough. No writer of chunks makes
/// one. A chunk of pco's begins with a byte for the type of the numbers and 24 bits for how many there are; the low four bits
/// of what follows are the mode.
fn refuse_dictionary(chunk: &[u8]) -> Result<()> {
    const DICTIONARY: u8 = 4;
    match chunk.get(4) {
        Some(mode) if mode & 15 == DICTIONARY => Err(Error::corrupt("pco with a dictionary, which no writer makes")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pco::standalone::FileCompressor;

    #[test]
    fn several_pages_come_back_and_dictionaries_are_refused() {
        let values: Vec<i32> = (0..600_000).map(|i| i % 1000 * 7).collect();
        let bytes = encode_numbers(&values, Effort::Fast);
        assert_eq!(decode::<i32>(&bytes, values.len()).unwrap(), values);
        for wrong in [values.len() - 1, values.len() + 1] {
            assert!(decode::<i32>(&bytes, wrong).is_err());
        }
        // In the second chunk, too.
        let few: Vec<i32> = values[..6000].iter().map(|v| (v % 35).wrapping_mul(0x1234_5677)).collect();
        let config = ChunkConfig::default().with_mode_spec(ModeSpec::TryDict);
        for n_plain in [0, 1000] {
            let file = FileCompressor::default();
            let mut bytes = file.write_header(Vec::new()).unwrap();
            if n_plain > 0 {
                bytes =
                    file.chunk_compressor(&values[..n_plain], &ChunkConfig::default()).unwrap().write(bytes).unwrap();
            }
            bytes = file.chunk_compressor(&few, &config).unwrap().write(bytes).unwrap();
            let bytes = file.write_footer(bytes).unwrap();
            let refused = decode::<i32>(&bytes, n_plain + few.len()).unwrap_err();
            assert!(refused.to_string().contains("dictionary"), "{refused}");
        }
    }
}
