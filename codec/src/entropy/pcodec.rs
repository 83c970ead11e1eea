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
        refuse_unpaid::<T>(rest, n)?;
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

/// pco allocates a dictionary, of up to 256 MiB, and the window that differences look back in, of up to 128, before it looks
/// whether the input is long enough. No writer of chunks makes the one, nor the other for many more numbers than there are.
///
/// A chunk of pco's begins with a byte for the type of the numbers and 24 bits for how many there are. Then, the least
/// significant bit first: 4 bits of mode, with a number of the type behind modes 1 and 2 and a byte behind 3; 4 bits for the
/// kind of differences; and for kind 2 the window's logarithm less 1, of 5 bits.
fn refuse_unpaid<T>(chunk: &[u8], n: usize) -> Result<()> {
    const DICTIONARY: usize = 4;
    const LOOKS_BACK: usize = 2;
    let bits = |from: usize, n: usize| {
        let bit = |at: usize| chunk.get(at / 8).map_or(0, |byte| usize::from(byte >> (at % 8) & 1));
        (0..n).map(|k| bit(from + k) << k).sum::<usize>()
    };
    let mode = bits(32, 4);
    if mode == DICTIONARY {
        return Err(Error::corrupt("pco with a dictionary, which no writer makes"));
    }
    let differences = 36 + [0, 8 * size_of::<T>(), 8 * size_of::<T>(), 8].get(mode).copied().unwrap_or(0);
    if bits(differences, 4) == LOOKS_BACK {
        let window = 1usize << (1 + bits(differences + 4, 5)).min(usize::BITS as usize - 1);
        if window > 2 * n.max(LEAST_WINDOW) {
            return Err(Error::corrupt(format!("pco looks {window} numbers back among {n}")));
        }
    }
    Ok(())
}

/// pco's writer looks no farther back.
const LEAST_WINDOW: usize = 1 << 15;

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

    #[test]
    fn windows_far_beyond_the_numbers_are_refused() {
        let values: Vec<i64> = (0..9000).map(|i| i * i % 1009).collect();
        for mode in [ModeSpec::Classic, ModeSpec::TryIntMult(3)] {
            let config = ChunkConfig::default().with_mode_spec(mode).with_delta_spec(DeltaSpec::TryLookback);
            let bytes = simple_compress(&values, &config).unwrap();
            assert_eq!(decode::<i64>(&bytes, values.len()).unwrap(), values);
            let mut n_refused = 0;
            for (at, bit) in (0..30).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                n_refused +=
                    usize::from(decode::<i64>(&bad, 9000).is_err_and(|e| e.to_string().contains("back among")));
            }
            assert!(n_refused > 0);
        }
    }
}
