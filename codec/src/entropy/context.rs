//! An adaptive binary range coder conditioned on the values around.
//!
//! Residuals of a field are small where its neighbours' residuals are small: what a memoryless coder codes with one
//! distribution falls apart into many narrow ones. Each value is coded in three steps:
//!
//! 1. Its magnitude's *token*: 0 to 3 themselves, then two tokens to each power of two (as in JPEG XL's hybrid
//!    integers, ISO/IEC 18181-1 C.3.3, here with one explicit mantissa bit). The decision `token > j` is coded for j
//!    from the token expected here, walking up until it fails or down until it holds, so that about two decisions
//!    suffice at any scale.
//! 2. The mantissa bits below the token, the top one adaptive, the others at one bit each.
//! 3. The sign, conditioned on the signs of the nearest neighbours.
//!
//! Every decision has its own adaptive probability: the mean of a fast and a slow moving average (as in VVC, ITU-T H.266
//! 9.3.4.3). The arithmetic is all integer; encoder and decoder run the same code.

use super::Int;
use super::int::Coded;
use super::range::{Bit, BitCoder, Decoder, Encoder};
use crate::error::{Error, Result};

/// Which value lies beside which: the lattice of all values, of which only those with class 0 are coded.
#[derive(Clone, Copy)]
pub(crate) struct Lattice<'a> {
    /// Extents, slowest axis first; their product is the number of positions.
    pub extents: &'a [usize],
    /// One class for each position, or empty where all are coded.
    pub classes: &'a [u8],
}

impl Lattice<'_> {
    /// Extents of the last two axes, 1 for those that are not there.
    pub(super) fn row_and_column(&self) -> (usize, usize) {
        let from_last = |k: usize| self.extents.iter().rev().nth(k).map_or(1, |&e| e.max(1));
        (from_last(0), from_last(1))
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Model

/// Tokens of magnitudes up to 2^63, that of `i64::MIN`: 4 below 4, then 2 for each power of two.
pub(super) const N_TOKENS: usize = 4 + 2 * 62;
/// Contexts in which all near neighbours are at most 2: each triple of them on its own.
const N_SMALL: usize = 27;
/// Contexts of the weighted mean of the neighbours, two to each power of two.
const N_LARGE: usize = 48;

#[inline(always)]
pub(crate) const fn token(magnitude: u64) -> usize {
    if magnitude < 4 {
        return magnitude as usize;
    }
    let top = magnitude.ilog2();
    2 * top as usize + (magnitude >> (top - 1) & 1) as usize
}

/// The bits below a token's top two: how many there are.
#[inline(always)]
pub(super) fn n_extra(token: usize) -> u32 {
    if token < 4 { 0 } else { token as u32 / 2 - 1 }
}

#[inline(always)]
pub(super) fn token_base(token: usize) -> u64 {
    if token < 4 { token as u64 } else { (2 + (token as u64 & 1)) << (token / 2 - 1) }
}

struct Model {
    /// `token > j`, by context; walking up and walking down apart.
    tokens: Vec<[[Bit; N_TOKENS]; 2]>,
    extra: [Bit; N_TOKENS],
    sign: [Bit; 27],
}

/// Neighbours' magnitudes are clamped here, so that their weighted sum fits 32 bits.
const MAX_NEIGHBOUR: u64 = 1 << 26;

impl Model {
    fn new() -> Self {
        Self {
            tokens: vec![[[Bit::new(); N_TOKENS]; 2]; N_SMALL + N_LARGE],
            extra: [Bit::new(); N_TOKENS],
            sign: [Bit::new(); 27],
        }
    }

    /// Codes one value with `context`, expecting a token near `expected`.
    #[inline(always)]
    fn value<C: BitCoder, I: Int>(
        &mut self,
        coder: &mut C,
        value: I,
        context: usize,
        expected: usize,
        signs: usize,
    ) -> Result<I> {
        let v = value.to_i64();
        let magnitude = v.unsigned_abs();
        let target = token(magnitude);
        let [up, down] = &mut self.tokens[context];
        let mut t = expected;
        if coder.bit(&mut up[t], target > t) {
            t += 1;
            while t < N_TOKENS - 1 && coder.bit(&mut up[t], target > t) {
                t += 1;
            }
        } else {
            while t > 0 && !coder.bit(&mut down[t - 1], target > t - 1) {
                t -= 1;
            }
        }
        let mut bits = n_extra(t);
        let mut low = magnitude & ((1u64 << bits) - 1);
        let mut found = 0;
        if bits > 0 {
            bits -= 1;
            found = u64::from(coder.bit(&mut self.extra[t], low >> bits == 1));
            low &= (1u64 << bits) - 1;
            while bits > 0 {
                let n = bits.min(16);
                bits -= n;
                found = found << n | coder.raw(n, low >> bits & ((1 << n) - 1));
            }
        }
        let magnitude = if C::DECODES { token_base(t) + found } else { magnitude };
        let negative = magnitude != 0 && coder.bit(&mut self.sign[signs], v < 0);
        if !C::DECODES {
            return Ok(value);
        }
        let v = if negative { (magnitude as i64).wrapping_neg() } else { magnitude as i64 };
        I::from_i64(v).ok_or_else(|| Error::corrupt("a residual does not fit its width"))
    }
}

/// One neighbour: clamped magnitude and sign in a word, so that one load brings both.
pub(super) type Near = i32;

#[inline(always)]
pub(crate) fn near<I: Int>(v: I) -> Near {
    v.to_i64().clamp(-(MAX_NEIGHBOUR as i64), MAX_NEIGHBOUR as i64) as i32
}

#[inline(always)]
pub(super) fn sign_index(v: Near) -> usize {
    (v.signum() + 1) as usize
}

/// Runs the model over all coded positions. The encoder reads `values`, the decoder fills them.
fn process<C: BitCoder, I: Int>(coder: &mut C, values: &mut impl Coded<I>, lattice: Lattice<'_>) -> Result<()> {
    let (nx, ny) = lattice.row_and_column();
    let n = if lattice.classes.is_empty() { values.len() } else { lattice.classes.len() };
    // A loop of its own for each kind of neighbourhood.
    match (ny > 1, n > nx * ny) {
        (false, false) => process_kind::<C, I, _, false, false>(coder, values, lattice),
        (true, false) => process_kind::<C, I, _, true, false>(coder, values, lattice),
        (false, true) => process_kind::<C, I, _, false, true>(coder, values, lattice),
        (true, true) => process_kind::<C, I, _, true, true>(coder, values, lattice),
    }
}

fn process_kind<C: BitCoder, I: Int, V: Coded<I>, const ROWS: bool, const PLANES: bool>(
    coder: &mut C,
    values: &mut V,
    lattice: Lattice<'_>,
) -> Result<()> {
    let classes = lattice.classes;
    let (nx, ny) = lattice.row_and_column();
    let plane = nx * ny;
    let n = if classes.is_empty() { values.len() } else { classes.len() };
    // Two planes of neighbours with a margin of two on each side of a row and one row above, all zero at first: a
    // position outside the lattice is a neighbour of value zero.
    let stride = nx + 4;
    let mut previous: Vec<Near> = vec![0; if PLANES { stride * (ny + 2) } else { 0 }];
    let mut current: Vec<Near> = vec![0; stride * (ny + 2)];
    let mut model = Model::new();
    let mut next = 0;
    for plane_start in (0..n).step_by(plane.max(1)) {
        if plane_start > 0 {
            std::mem::swap(&mut previous, &mut current);
        }
        for y in 0..ny {
            let row_start = plane_start + y * nx;
            if row_start >= n {
                break;
            }
            let row = (y + 1) * stride + 2;
            // A row of the plane before the previous one still lies here.
            current[row..row + nx].fill(0);
            for x in 0..nx.min(n - row_start) {
                if !classes.is_empty() && classes[row_start + x] != 0 {
                    continue;
                }
                let at = row + x;
                let (w, ww) = (current[at - 1], current[at - 2]);
                let (north, nw, ne) = (current[at - stride], current[at - stride - 1], current[at - stride + 1]);
                let (before, east, south) =
                    if PLANES { (previous[at], previous[at + 1], previous[at + stride]) } else { (0, 0, 0) };
                let (m, m2) = (w.unsigned_abs(), ww.unsigned_abs());
                let mut energy = 3 * m + m2;
                let mut weight_log2 = 2;
                let (a, b, c);
                if ROWS {
                    energy += 2 * north.unsigned_abs() + nw.unsigned_abs() + ne.unsigned_abs();
                    weight_log2 = 3;
                }
                if PLANES {
                    energy += 2 * before.unsigned_abs() + east.unsigned_abs() + south.unsigned_abs();
                    energy = if ROWS { energy - (energy >> 2) - (energy >> 4) } else { energy };
                    weight_log2 = 3;
                }
                if ROWS && PLANES {
                    (a, b, c) = (w, north, before);
                } else if ROWS {
                    (a, b, c) = (w, north, ne);
                } else if PLANES {
                    (a, b, c) = (w, before, east);
                } else {
                    (a, b, c) = (w, ww, if x > 2 { current[at - 3] } else { 0 });
                }
                // Twice the weighted mean: half steps still tell contexts of small values apart.
                let scaled = energy >> (weight_log2 - 1);
                let (a_size, b_size, c_size) = (a.unsigned_abs(), b.unsigned_abs(), c.unsigned_abs());
                let (context, expected) = if scaled <= 3 && a_size <= 2 && b_size <= 2 && c_size <= 2 {
                    ((a_size * 9 + b_size * 3 + c_size) as usize, 0)
                } else {
                    let level = token(u64::from(scaled)).min(N_LARGE - 1);
                    (N_SMALL + level, token(u64::from(scaled / 2)))
                };
                let signs = sign_index(a) * 9 + sign_index(b) * 3 + sign_index(c);
                let value = model.value(coder, values.get(next), context, expected, signs)?;
                if C::DECODES {
                    values.put(next, value);
                }
                current[at] = near(value);
                next += 1;
            }
        }
    }
    debug_assert_eq!(next, values.len());
    Ok(())
}

pub(crate) fn encode<I: Int>(values: &[I], lattice: Lattice<'_>) -> Vec<u8> {
    let mut coder = Encoder::new();
    process(&mut coder, &mut { values }, lattice).expect("encoding reads its values only");
    coder.finish()
}

pub(super) fn decode<I: Int>(payload: &[u8], n: usize, lattice: Lattice<'_>) -> Result<Vec<I>> {
    let mut coder = Decoder::new(payload);
    // A value costs at least 2^-10 bits; with fewer bytes than that the stream cannot hold them.
    if n >> 13 > payload.len() + 8 {
        return Err(Error::corrupt(format!("{} bytes of range coding cannot hold {n} values", payload.len())));
    }
    let mut values = vec![I::default(); n];
    process(&mut coder, &mut &mut values[..], lattice)?;
    coder.finish()?;
    Ok(values)
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
        let packed = encode(values, lattice);
        assert_eq!(decode::<I>(&packed, values.len(), lattice).unwrap(), values);
        packed.len()
    }

    #[test]
    fn tokens_cover_every_magnitude() {
        let mut powers: Vec<u64> = (0..64).flat_map(|s| [1u64 << s, (1u64 << s) - 1, (1u64 << s) + 1]).collect();
        powers.retain(|&m| m <= 1 << 63);
        for m in powers {
            let t = token(m);
            let bits = n_extra(t);
            assert_eq!(token_base(t) + (m & ((1u64 << bits) - 1)), m);
            assert!(t < N_TOKENS || m == 1 << 63, "{m}");
        }
    }

    #[test]
    fn all_ranks_masks_and_extremes() {
        let mut seed = 42;
        for (extents, n) in
            [(vec![5000], 5000), (vec![50, 100], 5000), (vec![4, 25, 50], 5000), (vec![2, 2, 25, 50], 5000)]
        {
            for spread in [1u64, 3, 100, 1 << 20, u64::MAX >> 1] {
                let values: Vec<i64> =
                    (0..n).map(|_| (noise(&mut seed) % spread) as i64 - (spread / 2) as i64).collect();
                round_trip(&values, &extents, &[]);
                let classes: Vec<u8> = (0..n).map(|_| u8::from(noise(&mut seed).is_multiple_of(3))).collect();
                let coded: Vec<i64> = values.iter().zip(&classes).filter(|(_, c)| **c == 0).map(|(v, _)| *v).collect();
                round_trip(&coded, &extents, &classes);
            }
        }
        round_trip(&[i32::MIN, i32::MAX, 0, -1, 1, i32::MIN], &[6], &[]);
        round_trip(&[i64::MIN + 1, i64::MAX, 0, -1, 1], &[5], &[]);
        round_trip(&[i64::MIN, 0, i64::MIN], &[3], &[]);
        round_trip::<i32>(&[], &[0], &[]);
        round_trip(&[7i32], &[], &[]);
    }

    #[test]
    fn comes_near_the_entropy() {
        let mut seed = 7;
        // One in 64 values is not zero: 0.116 bits each, and half a bit for where they differ in sign.
        let values: Vec<i32> = (0..200_000).map(|_| i32::from(noise(&mut seed).is_multiple_of(64))).collect();
        let bits = 8.0 * round_trip(&values, &[200_000], &[]) as f64 / 200_000.0;
        assert!(bits < 0.128, "{bits}");
        let values: Vec<i32> = (0..200_000).map(|_| (noise(&mut seed) % 256) as i32 - 128).collect();
        let bits = 8.0 * round_trip(&values, &[200_000], &[]) as f64 / 200_000.0;
        assert!(bits < 8.25, "{bits}");
    }

    #[test]
    fn damage_is_an_error_or_other_values_but_never_a_crash() {
        let mut seed = 3;
        let values: Vec<i64> = (0..300).map(|_| (noise(&mut seed) >> (noise(&mut seed) % 60)) as i64).collect();
        let lattice = Lattice { extents: &[300], classes: &[] };
        let packed = encode(&values, lattice);
        for i in 0..packed.len() {
            for flip in [1u8, 2, 16, 128, 255] {
                let mut bad = packed.clone();
                bad[i] ^= flip;
                let _ = decode::<i64>(&bad, 300, lattice);
                let _ = decode::<i32>(&bad, 300, lattice);
            }
            let _ = decode::<i64>(&packed[..i], 300, lattice);
        }
    }
}
