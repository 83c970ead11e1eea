//! Range asymmetric numeral systems (Duda, arXiv:1311.2540) with static tables, one for each size of the values around.
//!
//! What the context coder learns bit by bit is counted beforehand here and written in front: one table look-up a value
//! instead of a handful of binary decisions. Each value is zigzag-coded and split into a *token* and bits that are stored
//! as they are; the token is coded by the table of its neighbours' *class*, the logarithm of a weighted sum of their
//! magnitudes. Four states take turns, so that their steps overlap. All arithmetic is integer.

mod bits;
mod neighbours;
mod rows;
mod states;
mod tables;

pub(crate) use bits::{BitReader, BitWriter};
pub(crate) use rows::{Base, RowDecoder, RowEncoder};
pub(crate) use states::{States, encode_tokens};
pub(crate) use tables::{Counts, Lookup, Table};

use super::Int;
use super::context::Lattice;
use crate::error::{Error, Result};
use crate::simd::{self, Kernel};
use neighbours::{Planes, rows};
use std::marker::PhantomData;

/// Zigzag values below this are tokens themselves; from here up there are four tokens to each power of two.
const N_DIRECT: u64 = 32;
const DIRECT_BITS: u32 = N_DIRECT.ilog2();
/// Zigzag values are below `1 << MAX_BITS`.
const MAX_BITS: u32 = 44;
pub(crate) const N_TOKENS: usize = N_DIRECT as usize + 4 * (MAX_BITS - DIRECT_BITS) as usize;

/// Neighbours' magnitudes are clamped here.
const MAX_NEIGHBOUR: u32 = 1 << 20;
/// Classes of [`class`].
const N_CLASSES: usize = class(12 * MAX_NEIGHBOUR) + 1;
/// A stream has at least a byte for this many values, or is refused before memory is taken for them.
pub(crate) const MAX_VALUES_PER_BYTE_LOG2: u32 = 16;

#[inline(always)]
fn token(z: u64) -> usize {
    if z < N_DIRECT {
        return z as usize;
    }
    let top = z.ilog2();
    N_DIRECT as usize + 4 * (top - DIRECT_BITS) as usize + (z >> (top - 2) & 3) as usize
}

/// Bits stored beside a token.
#[inline(always)]
const fn n_extra(token: usize) -> u32 {
    if token < N_DIRECT as usize { 0 } else { DIRECT_BITS - 2 + (token as u32 - N_DIRECT as u32) / 4 }
}

/// The least zigzag value of a token.
const fn token_base(token: usize) -> u64 {
    if token < N_DIRECT as usize { token as u64 } else { (4 + (token as u64 & 3)) << n_extra(token) }
}

/// Four classes to each power of two.
#[inline(always)]
const fn class(energy: u32) -> usize {
    let v = energy + 4;
    let top = v.ilog2();
    (4 * top + (v >> (top - 2) & 3)) as usize - 8
}

/// As a neighbour.
#[inline(always)]
fn near(v: i64) -> i32 {
    v.clamp(-i64::from(MAX_NEIGHBOUR), i64::from(MAX_NEIGHBOUR)) as i32
}

/// Encodes, unless a value is too large or nearly all are alike: the payload, and how many bytes of it are tables.
pub(crate) fn encode<I: Int>(values: &[I], lattice: Lattice<'_>) -> Option<(Vec<u8>, usize)> {
    simd::run(Encode { values, lattice })
}

struct Encode<'a, I> {
    values: &'a [I],
    lattice: Lattice<'a>,
}

impl<I: Int> Kernel for Encode<'_, I> {
    type Output = Option<(Vec<u8>, usize)>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { values, lattice } = self;
        let classes = lattice.classes;
        let n = if classes.is_empty() { values.len() } else { classes.len() };
        let mut planes = Planes::new(lattice, n);
        let mut encoder = RowEncoder::new(values.len());
        let mut rest = values.iter();
        for (y, start, len) in rows(&planes, n) {
            let row = planes.start_row(y);
            let classes = if classes.is_empty() { classes } else { &classes[start..start + len] };
            encoder.row(&planes.base, classes, &mut planes.current[row..row + len], &mut rest);
        }
        encoder.finish()
    }
}

/// Decodes `n` values; refuses what the encoder makes of none, before it takes memory.
pub(super) fn decode<I: Int>(payload: &[u8], n: usize, lattice: Lattice<'_>) -> Result<Vec<I>> {
    simd::run(Decode { payload, n, lattice, values: PhantomData::<I> })
}

struct Decode<'a, I> {
    payload: &'a [u8],
    n: usize,
    lattice: Lattice<'a>,
    values: PhantomData<I>,
}

impl<I: Int> Kernel for Decode<'_, I> {
    type Output = Result<Vec<I>>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { payload, n, lattice, .. } = self;
        let mut decoder = RowDecoder::new(payload, n)?;
        let classes = lattice.classes;
        let n_positions = if classes.is_empty() { n } else { classes.len() };
        let mut planes = Planes::new(lattice, n_positions);
        let mut values = vec![I::default(); n];
        let mut rest = values.iter_mut();
        for (y, start, len) in rows(&planes, n_positions) {
            let row = planes.start_row(y);
            let classes = if classes.is_empty() { classes } else { &classes[start..start + len] };
            decoder.row(&planes.base, classes, &mut planes.current[row..row + len], &mut rest)?;
        }
        if rest.next().is_some() {
            return Err(Error::corrupt("fewer values than expected"));
        }
        decoder.finish()?;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    fn round_trip<I: Int + std::fmt::Debug>(values: &[I], extents: &[usize], classes: &[u8]) -> usize {
        let lattice = Lattice { extents, classes };
        let packed = encode(values, lattice).unwrap().0;
        assert_eq!(decode::<I>(&packed, values.len(), lattice).unwrap(), values);
        packed.len()
    }

    #[test]
    fn tokens_cover_every_value() {
        for z in (0..MAX_BITS).flat_map(|s| [1u64 << s, (1u64 << s) - 1, (1u64 << s) + 1, (1u64 << s) * 3 / 2]) {
            let t = token(z);
            let base = token_base(t);
            assert!(t < N_TOKENS && base <= z && z - base < 1 << n_extra(t), "{z}");
        }
        for energy in 1..5000 {
            assert!((0..=1).contains(&(class(energy) - class(energy - 1))));
        }
        assert_eq!(class(0), 0);
    }

    #[test]
    fn all_ranks_masks_and_extremes() {
        let mut seed = 42;
        for extents in [vec![2000], vec![40, 50], vec![4, 10, 50], vec![2, 2, 10, 50], vec![1000, 2], vec![20, 1, 100]]
        {
            for spread in [1u64, 2, 3, 100, 1 << 20, 1 << 43] {
                let values: Vec<i64> =
                    (0..2000).map(|_| (noise(&mut seed) % spread) as i64 - (spread / 2) as i64).collect();
                round_trip(&values, &extents, &[]);
                let classes: Vec<u8> = (0..2000).map(|_| u8::from(noise(&mut seed).is_multiple_of(3))).collect();
                let coded: Vec<i64> = values.iter().zip(&classes).filter(|(_, c)| **c == 0).map(|(v, _)| *v).collect();
                round_trip(&coded, &extents, &classes);
            }
        }
        round_trip(&[i32::MIN, i32::MAX, 0, -1, 1, i32::MIN], &[6], &[]);
        round_trip(&[7i32], &[], &[]);
        for outside in [i64::MAX, i64::MIN, 1 << 43] {
            assert!(encode(&[0, outside], Lattice { extents: &[2], classes: &[] }).is_none());
        }
        assert!(encode::<i32>(&[], Lattice { extents: &[0], classes: &[] }).is_none());
        assert!(encode(&vec![0i32; 1 << 24], Lattice { extents: &[1 << 24], classes: &[] }).is_none());
    }

    #[test]
    fn comes_near_the_entropy() {
        let mut seed = 7;
        let values: Vec<i32> = (0..200_000).map(|_| i32::from(noise(&mut seed).is_multiple_of(64))).collect();
        let bits = 8.0 * round_trip(&values, &[200_000], &[]) as f64 / 200_000.0;
        assert!(bits < 0.122, "{bits}");
        let values: Vec<i32> = (0..200_000).map(|_| (noise(&mut seed) % 256) as i32 - 128).collect();
        let bits = 8.0 * round_trip(&values, &[200_000], &[]) as f64 / 200_000.0;
        assert!(bits < 8.05, "{bits}");
        // Calm and lively rows take turns.
        let values: Vec<i32> =
            (0..200_000).map(|i| (noise(&mut seed) % if i / 10_000 % 2 == 0 { 2 } else { 64 }) as i32).collect();
        let bits = 8.0 * round_trip(&values, &[400, 500], &[]) as f64 / 200_000.0;
        assert!(bits < 4.0, "{bits}");
    }

    #[test]
    fn damage_is_an_error_or_other_values_but_never_a_crash() {
        let mut seed = 3;
        let values: Vec<i64> = (0..600).map(|_| (noise(&mut seed) >> (21 + noise(&mut seed) % 43)) as i64).collect();
        let lattice = Lattice { extents: &[20, 30], classes: &[] };
        let packed = encode(&values, lattice).unwrap().0;
        for i in 0..packed.len() {
            for flip in [1u8, 2, 16, 128, 255] {
                let mut bad = packed.clone();
                bad[i] ^= flip;
                let _ = decode::<i64>(&bad, 600, lattice);
                let _ = decode::<i32>(&bad, 600, lattice);
            }
            assert!(decode::<i64>(&packed[..i], 600, lattice).is_err());
        }
    }
}
