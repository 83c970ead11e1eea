//! zstd over the fewest whole bytes that hold every value less the smallest, as they are or as byte planes.
//!
//! Where values repeat in runs or rows (sentinels of tables, masked areas, flat video), a match finder sees what a
//! memoryless coder cannot.

use super::{Int, bytes};
use crate::error::{Error, Result};
use crate::params::Effort;
use crate::simd::{self, Kernel};
use crate::wire::{Reader, Writer};

/// zstd's level at the default effort: the highest that searches no trees where there are less than 256 KiB.
pub(super) const DEFAULT_LEVEL: i32 = 9;

/// The smallest value, and the bytes that hold every distance from it: 1, 2, 4 or 8.
fn base_and_width<I: Int>(values: &[I]) -> (i64, usize) {
    let base = values.iter().copied().min().map_or(0, I::to_i64);
    let width = match values.iter().copied().max().map_or(0, |v| v.to_i64().wrapping_sub(base) as u64) {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    (base, width)
}

/// Bytes at a quick level, to judge whether a slow one is worth its time.
pub(super) fn quick_len<I: Int>(values: &[I], planes: bool, level: i32) -> usize {
    let (base, width) = base_and_width(values);
    if planes && width == 1 {
        return usize::MAX;
    }
    bytes::zstd_compress(&serialise(values, base, width, planes), level).map_or(usize::MAX, |z| z.len())
}

/// Whether a good part of the values comes again, anywhere: whether a match finder is worth a trial.
///
/// Windows that begin where the values themselves say so are the same wherever they lie (U. Manber, "Finding similar files
/// in a large file system", 1994).
pub(super) fn has_repeats<I: Int>(values: &[I]) -> bool {
    simd::run(Repeats { values })
}

struct Repeats<'a, I> {
    values: &'a [I],
}

impl<I: Int> Kernel for Repeats<'_, I> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        const WINDOW: usize = 24;
        /// A window begins by so many values, as residuals are often of two or three kinds only.
        const FIRST: usize = 4;
        const BEGIN_BITS: u32 = 5;
        const TABLE_BITS: u32 = 12;
        /// One in so many.
        const PART: usize = 16;
        /// So many windows tell, however many values are alike.
        const ENOUGH: usize = 1 << 10;
        const BLOCK: usize = 256;
        let values = self.values;
        let hash = |v: I| (v.to_i64() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut seen = vec![0u64; 1 << TABLE_BITS];
        let (mut n_windows, mut n_again) = (0, 0);
        let n_begins = (values.len() + 1).saturating_sub(WINDOW);
        for start in (0..n_begins).step_by(BLOCK) {
            let block = start..n_begins.min(start + BLOCK);
            // In 32 bits, so that many are hashed at once.
            let mut hashes = [0u32; BLOCK + FIRST - 1];
            for (hash, v) in hashes.iter_mut().zip(&values[start..]) {
                *hash = (v.to_i64() as u32).wrapping_mul(0x9E37_79B9);
            }
            let begins: [bool; BLOCK] = std::array::from_fn(|k| {
                let [a, b, c, d] = std::array::from_fn(|n| hashes[k + n]);
                (a ^ b.rotate_left(7) ^ c.rotate_left(15) ^ d.rotate_left(23)) >> (u32::BITS - BEGIN_BITS) == 1
            });
            for at in block.zip(begins).filter(|&(_, begin)| begin).map(|(at, _)| at) {
                let window = &values[at..at + WINDOW];
                let whole = window
                    .iter()
                    .fold(0u64, |sum, &v| (sum.rotate_left(23) ^ hash(v)).wrapping_mul(0xC2B2_AE3D_27D4_EB4F));
                let place = &mut seen[(whole >> (u64::BITS - TABLE_BITS)) as usize];
                n_again += usize::from(*place == whole);
                n_windows += 1;
                *place = whole;
            }
        }
        // Values of which hardly any window is one of those may all be alike.
        n_windows < (values.len() >> (BEGIN_BITS + 3)).min(ENOUGH) || n_again * PART > n_windows
    }
}

fn serialise<I: Int>(values: &[I], base: i64, width: usize, planes: bool) -> Vec<u8> {
    match width {
        1 => serialise_as::<I, 1>(values, base, planes),
        2 => serialise_as::<I, 2>(values, base, planes),
        4 => serialise_as::<I, 4>(values, base, planes),
        _ => serialise_as::<I, 8>(values, base, planes),
    }
}

fn serialise_as<I: Int, const WIDTH: usize>(values: &[I], base: i64, are_planes: bool) -> Vec<u8> {
    let n = values.len();
    let word = |v: &I| v.to_i64().wrapping_sub(base).to_le_bytes();
    let mut out = vec![0; n * WIDTH];
    if are_planes {
        for b in 0..WIDTH {
            out[b * n..][..n].iter_mut().zip(values).for_each(|(o, v)| *o = word(v)[b]);
        }
    } else {
        let words = out.as_chunks_mut::<WIDTH>().0;
        words.iter_mut().zip(values).for_each(|(o, v)| o.copy_from_slice(&word(v)[..WIDTH]));
    }
    out
}

pub(super) fn encode<I: Int>(values: &[I], planes: bool, effort: Effort) -> Vec<u8> {
    let (base, width) = base_and_width(values);
    if planes && width == 1 {
        // The same bytes as without planes: let that one win.
        return vec![0; values.len() + 64];
    }
    let data = serialise(values, base, width, planes);
    let level = match effort {
        Effort::Fast => 3,
        Effort::Default => DEFAULT_LEVEL,
        Effort::Max => 19,
    };
    let mut out = Writer::default();
    out.u8(width as u8);
    out.varint_signed(base);
    out.raw(&bytes::pack(&data, level));
    out.bytes
}

pub(super) fn decode<I: Int>(payload: &[u8], n: usize, planes: bool) -> Result<Vec<I>> {
    let mut input = Reader::new(payload);
    let width = usize::from(input.u8("the width of the values")?);
    if !matches!(width, 1 | 2 | 4 | 8) {
        return Err(Error::corrupt(format!("values of {width} bytes: expected 1, 2, 4 or 8")));
    }
    let base = input.varint_signed("the smallest value")?;
    let len = n.checked_mul(width).ok_or_else(|| Error::corrupt("the values do not fit the address space"))?;
    let data = bytes::unpack(input.rest(), len)?;
    if data.len() != len {
        return Err(Error::corrupt(format!("{} bytes instead of {n} values of {width} bytes", data.len())));
    }
    match width {
        1 => deserialise::<I, 1>(&data, base, planes),
        2 => deserialise::<I, 2>(&data, base, planes),
        4 => deserialise::<I, 4>(&data, base, planes),
        _ => deserialise::<I, 8>(&data, base, planes),
    }
}

fn deserialise<I: Int, const WIDTH: usize>(data: &[u8], base: i64, are_planes: bool) -> Result<Vec<I>> {
    let n = data.len() / WIDTH;
    let words = data.as_chunks::<WIDTH>().0;
    let planes: [&[u8]; WIDTH] = std::array::from_fn(|b| &data[b * n..][..n]);
    let mut values = vec![I::default(); n];
    let mut all_fit = true;
    for (i, value) in values.iter_mut().enumerate() {
        let mut word = [0; 8];
        word[..WIDTH].copy_from_slice(&if are_planes { planes.map(|plane| plane[i]) } else { words[i] });
        match I::from_i64(base.wrapping_add(i64::from_le_bytes(word))) {
            Some(v) => *value = v,
            None => all_fit = false,
        }
    }
    if all_fit { Ok(values) } else { Err(Error::corrupt("a value does not fit its width")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_seen_wherever_they_lie() {
        let noise = |i: usize| ((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50) as i32;
        let apart: Vec<i32> = (0..40_000).map(noise).collect();
        assert!(!has_repeats(&apart));
        // A tenth of it comes again, at no distance that is known.
        let mut again = apart.clone();
        again.copy_within(1003..5003, 31_117);
        assert!(has_repeats(&again));
        assert!(has_repeats(&[7i64; 1000]) && !has_repeats::<i32>(&[]));
    }
}
