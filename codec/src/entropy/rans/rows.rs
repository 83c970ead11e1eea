//! Values to tokens and back, row by row, whoever says what lies around each.

use super::tables::{Counts, Lookup, OfEnergy, Tables};
use super::{
    BitReader, BitWriter, DIRECT_BITS, MAX_BITS, MAX_NEIGHBOUR, MAX_VALUES_PER_BYTE_LOG2, N_CLASSES, N_DIRECT,
    N_TOKENS, States, class, encode_tokens, n_extra, near, token, token_base,
};
use crate::entropy::Int;
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer, unzigzag64, zigzag64};
use std::slice;

/// What rows and planes before a value add to the energy around it, and to the sum. Energies are at most `8 << 20`.
pub(crate) type Base = (u32, i32);

/// All ones where a value is coded with its sign turned: where the values around add up to less than zero. What follows
/// a rise then looks like what follows a fall.
#[inline(always)]
fn turn(around: i32) -> i64 {
    i64::from(around >> 31)
}

/// Gathers the tokens of all rows, for tables are counted before anything is written.
pub(crate) struct RowEncoder {
    /// Of each class, in two by turns, so that no count is read just after it was written.
    counts: Vec<[Counts; 2]>,
    /// Of each value, class and token.
    coded: Vec<(u8, u8)>,
    extra: BitWriter,
    /// All zigzag values, or-ed.
    largest: u64,
}

impl RowEncoder {
    /// For so many values.
    pub fn new(n: usize) -> Self {
        Self {
            counts: vec![[[0; N_TOKENS]; 2]; N_CLASSES],
            coded: Vec::with_capacity(n),
            extra: BitWriter::default(),
            largest: 0,
        }
    }

    /// Takes as many values as the row has positions with class 0, and puts them where they lie into `current`, as neighbours
    /// of what follows.
    #[inline(always)]
    pub fn row<I: Int>(&mut self, base: &[Base], classes: &[u8], current: &mut [i32], values: &mut slice::Iter<'_, I>) {
        if classes.is_empty() {
            let (there, rest) = values.as_slice().split_at(current.len());
            // The one number whose opposite is wide.
            if let Some(there) = I::narrow(there).filter(|there| !there.contains(&i32::MIN)) {
                *values = rest.iter();
                self.narrow_row(base, current, there);
                return;
            }
        }
        let (mut w, mut ww) = (0i32, 0i32);
        for (x, (current, &(energy, around))) in current.iter_mut().zip(base).enumerate() {
            if !classes.is_empty() && classes[x] != 0 {
                (w, ww) = (0, w);
                continue;
            }
            let v = values.next().expect("a value for each position").to_i64();
            let turn = turn(around + w);
            let z = zigzag64((v ^ turn).wrapping_sub(turn));
            self.largest |= z;
            let k = class(energy + 3 * w.unsigned_abs() + ww.unsigned_abs());
            let t = token(z & ((1 << MAX_BITS) - 1));
            self.counts[k][0][t] += 1;
            self.coded.push((k as u8, t as u8));
            let bits = n_extra(t);
            if bits > 0 {
                self.extra.push(z & ((1 << bits) - 1), bits);
            }
            (w, ww) = (near(v), w);
            *current = w;
        }
    }

    /// [`Self::row`] of values that are all coded, in vectors but for what is counted and written.
    #[inline(always)]
    fn narrow_row(&mut self, base: &[Base], current: &mut [i32], values: &[i32]) {
        let (values, rest) = values.as_chunks::<LANES>();
        let (current, current_rest) = current.as_chunks_mut::<LANES>();
        let mut near = [0; 2 + LANES];
        for (current, (values, base)) in current.iter_mut().zip(values.iter().zip(base.as_chunks().0)) {
            let (all, codes) = codes(&mut near, base, values);
            current.copy_from_slice(&near[2..]);
            self.keep(&all, &codes);
        }
        if !rest.is_empty() {
            let n = rest.len();
            let (mut last, mut last_base) = ([0; LANES], [(0, 0); LANES]);
            last[..n].copy_from_slice(rest);
            last_base[..n].copy_from_slice(&base[values.len() * LANES..][..n]);
            let (all, codes) = codes(&mut near, &last_base, &last);
            current_rest.copy_from_slice(&near[2..2 + n]);
            self.keep(&all[..n], &codes[..n]);
        }
    }

    /// Counts zigzag values by their classes and tokens, and writes what tokens leave of them.
    #[inline(always)]
    fn keep(&mut self, all: &[u32], codes: &[(u8, u8)]) {
        for (x, &(k, t)) in codes.iter().enumerate() {
            self.counts[usize::from(k)][x % 2][usize::from(t)] += 1;
        }
        self.coded.extend_from_slice(codes);
        let largest = all.iter().fold(0, |all, z| all | z);
        self.largest |= u64::from(largest);
        if u64::from(largest) < N_DIRECT {
            return;
        }
        for (&z, &(_, t)) in all.iter().zip(codes) {
            let bits = n_extra(t.into());
            if bits > 0 {
                self.extra.push(u64::from(z) & ((1 << bits) - 1), bits);
            }
        }
    }

    /// The payload and how many bytes of it are tables; unless a value is too large or nearly all are alike.
    pub fn finish(self) -> Option<(Vec<u8>, usize)> {
        if self.largest >> MAX_BITS != 0 || self.coded.is_empty() {
            return None;
        }
        let sums = |[a, b]: &[Counts; 2]| std::array::from_fn(|t| a[t] + b[t]);
        let counts: Vec<Counts> = self.counts.iter().map(sums).collect();
        let tables = Tables::from_counts(&counts);
        let mut out = Writer::default();
        tables.write(&mut out);
        let head = out.bytes.len();
        out.block(&self.extra.finish());
        let of_table = |&(class, token): &(u8, u8)| (tables.of_class[usize::from(class)], token);
        encode_tokens(&tables.tables, self.coded.iter().map(of_table), &mut out);
        (self.coded.len() >> MAX_VALUES_PER_BYTE_LOG2 <= out.bytes.len()).then_some((out.bytes, head))
    }
}

/// Values that are coded at once.
const LANES: usize = 16;

/// Zigzag values, and their classes and tokens. `near` holds the two neighbours before, and takes in what these are as
/// neighbours.
#[inline(always)]
fn codes(
    near: &mut [i32; 2 + LANES],
    base: &[Base; LANES],
    values: &[i32; LANES],
) -> ([u32; LANES], [(u8, u8); LANES]) {
    (near[0], near[1]) = (near[LANES], near[LANES + 1]);
    let limit = MAX_NEIGHBOUR as i32;
    near[2..].iter_mut().zip(values).for_each(|(near, &v)| *near = v.clamp(-limit, limit));
    let (mut all, mut classes, mut tokens) = ([0; LANES], [0; LANES], [0; LANES]);
    for x in 0..LANES {
        let ((energy, around), w, ww) = (base[x], near[x + 1], near[x]);
        let turn = (around + w) >> 31;
        let v = (values[x] ^ turn) - turn;
        all[x] = ((v << 1) ^ (v >> 31)) as u32;
        classes[x] = class_of(energy + 3 * w.unsigned_abs() + ww.unsigned_abs());
        tokens[x] = token_of(all[x]);
    }
    (all, std::array::from_fn(|x| (classes[x], tokens[x])))
}

/// [`class`], by the exponent of a float and the two bits below.
#[inline(always)]
fn class_of(energy: u32) -> u8 {
    // Below 2^24, and exact therefore.
    let bits = ((energy + 4) as i32 as f32).to_bits();
    ((bits >> 21) - 4 * 127 - 8) as u8
}

/// [`token`], alike.
#[inline(always)]
fn token_of(z: u32) -> u8 {
    // The bit eight below the highest is cleared, so that rounding never reaches those that count.
    let bits = ((z & !(z >> 8)) as f32).to_bits();
    let large = (bits >> 21).wrapping_sub(4 * (127 + DIRECT_BITS) - N_DIRECT as u32);
    (if u64::from(z) < N_DIRECT { z } else { large }) as u8
}

/// Tokens are named by the number that they stand for where it is a zigzag value: nothing but a sign is left to do then.
const fn unzigzag_token(token: u8) -> u8 {
    (token >> 1) ^ (token & 1).wrapping_neg()
}

/// The least zigzag value of each name, and the bits stored beside it.
static LARGE: [(u64, u32); 1 << u8::BITS] = {
    let mut large = [(0, 0); 1 << u8::BITS];
    let mut token = 0;
    while token < N_TOKENS {
        large[unzigzag_token(token as u8) as usize] = (token_base(token), n_extra(token));
        token += 1;
    }
    large
};

/// Reads the rows again.
pub(crate) struct RowDecoder<'a> {
    of_energy: OfEnergy,
    lookup: Lookup,
    extra: BitReader<'a>,
    states: States<'a>,
    is_wide: bool,
}

impl<'a> RowDecoder<'a> {
    /// Refuses what is shorter than the encoder makes anything of `n` values: a value can take no bits at all, and nobody
    /// should take memory for `n` values before.
    pub fn new(payload: &'a [u8], n: usize) -> Result<Self> {
        if n >> MAX_VALUES_PER_BYTE_LOG2 > payload.len() {
            return Err(Error::corrupt(format!("{} bytes of rANS cannot hold {n} values", payload.len())));
        }
        let mut input = Reader::new(payload);
        let tables = Tables::read(&mut input)?;
        let extra = BitReader::new(input.block("the stored bits")?);
        let states = States::read(&mut input)?;
        let (of_energy, lookup) = (OfEnergy::new(&tables), Lookup::new(&tables.tables, unzigzag_token));
        Ok(Self { of_energy, lookup, extra, states, is_wide: false })
    }

    /// See [`RowEncoder::row`].
    #[inline(always)]
    pub fn row<I: Int>(
        &mut self,
        base: &[Base],
        classes: &[u8],
        current: &mut [i32],
        values: &mut slice::IterMut<'_, I>,
    ) -> Result<()> {
        let Self { of_energy, lookup, is_wide, .. } = self;
        let (mut extra, mut states) = (self.extra, self.states);
        let (mut w, mut ww) = (0i32, 0i32);
        for (x, (current, &(energy, around))) in current.iter_mut().zip(base).enumerate() {
            if !classes.is_empty() && classes[x] != 0 {
                (w, ww) = (0, w);
                continue;
            }
            let Some(value) = values.next() else { return Err(Error::corrupt("more values than expected")) };
            // What the next value waits for comes first: its neighbour by way of class and token.
            let table = of_energy.table(energy + 3 * w.unsigned_abs() + ww.unsigned_abs());
            let name = states.token(lookup, table);
            let turn = around.wrapping_add(w) >> 31;
            ww = w;
            let direct = i32::from(name as i8);
            if (-(N_DIRECT as i32) / 2..N_DIRECT as i32 / 2).contains(&direct) {
                w = (direct ^ turn) - turn;
                *value = I::from_i32(w);
            } else {
                let (base, bits) = LARGE[usize::from(name)];
                let z = base + extra.take(bits);
                let turn = i64::from(turn);
                let v = (unzigzag64(z) ^ turn) - turn;
                match I::from_i64(v) {
                    Some(v) => *value = v,
                    None => *is_wide = true,
                }
                w = near(v);
            }
            *current = w;
            states.advance(lookup, table, name);
        }
        (self.extra, self.states) = (extra, states);
        Ok(())
    }

    /// An error unless everything has been read.
    pub fn finish(self) -> Result<()> {
        if self.is_wide {
            return Err(Error::corrupt("a value does not fit its width"));
        }
        self.states.finish()?;
        self.extra.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_of_floats_give_classes_and_tokens() {
        let edges = |bits: u32| {
            (0..bits).flat_map(|k| [1u64 << k, (1u64 << k) * 5 / 4, (1u64 << k) * 3 / 2, (1u64 << k) * 7 / 4])
        };
        for energy in (0..5000).chain(edges(23).flat_map(|v| v.saturating_sub(3)..v + 3)).chain([12 << 20]) {
            assert_eq!(usize::from(class_of(energy as u32)), class(energy as u32), "{energy}");
        }
        for z in (0..5000).chain(edges(32).flat_map(|v| v.saturating_sub(3)..v + 3)).chain([u32::MAX.into()]) {
            assert_eq!(usize::from(token_of(z as u32)), token(z), "{z}");
        }
    }

    #[test]
    fn values_at_once_are_coded_as_one_by_one() {
        let mut seed = 9u64;
        let mut noise = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        };
        for n in [1, 2, 15, 16, 17, 31, 100] {
            let (mut at_once, mut one_by_one) = (RowEncoder::new(3 * n), RowEncoder::new(3 * n));
            for spread in [3, 1 << 12, 1 << 31] {
                let values: Vec<i32> = (0..n).map(|_| (noise() % spread) as i32 - (spread / 2) as i32).collect();
                let base: Vec<Base> = (0..n).map(|_| (noise() as u32 % (8 << 20), noise() as i32 % 4 - 2)).collect();
                let mut current = [vec![0; n], vec![0; n]];
                at_once.row(&base, &[], &mut current[0], &mut values.iter());
                // All are coded where classes say so, too.
                one_by_one.row(&base, &vec![0; n], &mut current[1], &mut values.iter());
                assert_eq!(current[0], current[1]);
            }
            assert!(at_once.coded == one_by_one.coded && at_once.largest == one_by_one.largest);
            assert_eq!(at_once.finish(), one_by_one.finish(), "{n}");
        }
    }
}
