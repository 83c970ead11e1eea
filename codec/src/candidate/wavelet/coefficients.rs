//! Quantised wavelet coefficients to bits: sub-band by sub-band from the coarsest, each given its neighbours, the same place
//! one level coarser, and the sub-bands of its level that came before.
//!
//! Two coders: rANS with a table for each class of what is around, and the context coder that mixes six predictions of
//! each decision. The second takes ten times as long and gains where coefficients are few.

use super::bands::{Around, Band, MARGIN, bands, size};
use super::transform::{AXES, Layout, strides};
use crate::entropy::context::token;
use crate::entropy::mixed::{coarse, fine};
use crate::entropy::mixing::{Known, Values};
use crate::entropy::range::{BitCoder, Decoder, Encoder};
use crate::entropy::rans::{RowDecoder, RowEncoder};
use crate::error::{Error, Result};
use crate::params::Effort;
use crate::predict::search::Distribution;
use crate::simd::{self, Kernel};

const K: usize = 6;
const N_LOW: usize = 12;
const N_CONTEXTS: [usize; K] = [96, N_LOW * N_LOW * N_LOW, 96 * 16, 20 * 20, 20 * 20, 12 * 16 * 16];

/// Codes with mixed contexts, or decodes.
struct Mixed<'a, C> {
    coder: &'a mut C,
    q: &'a mut [i32],
    layout: &'a Layout,
}

impl<C: BitCoder> Kernel for Mixed<'_, C> {
    type Output = Result<()>;

    #[inline(always)]
    fn run(self) -> Result<()> {
        mixed(self.coder, self.q, self.layout)
    }
}

#[inline(always)]
fn mixed<C: BitCoder>(coder: &mut C, q: &mut [i32], layout: &Layout) -> Result<()> {
    let row_stride = strides(layout.extents)[2];
    let mut model = Values::<K>::new(N_CONTEXTS, 16 * 9);
    let mut around = Around::new(layout);
    for band in bands(layout) {
        for at in band.rows() {
            let row = around.start_row(q, &band, at);
            around.keep_rows(q, &band, at);
            let (mut w, mut ww) = (0u32, 0u32);
            let mut w_sign = 1;
            for d in 0..band.row_len() {
                let local = u64::from(3 * w + ww + around.near[d]);
                let (up, beside) = (u64::from(around.parent[d]), u64::from(around.sibling[d]));
                let all = 4 * local + up + 2 * beside;
                let expected = token(all >> 6);
                let low = |v: u32| token(u64::from(v)).min(N_LOW - 1);
                let north_sign = if at[2] > 0 { q[row + d - row_stride].signum() + 1 } else { 1 };
                let known = Known {
                    contexts: [
                        fine(all >> 2),
                        (low(w) * N_LOW + low(around.north[d + MARGIN])) * N_LOW + low(around.before[d + MARGIN]),
                        fine(up) * 16 + band.bits,
                        coarse(local) * 20 + coarse(up),
                        coarse(local) * 20 + coarse(beside),
                        (band.level.min(11) * 16 + band.bits) * 16 + coarse(all >> 3).min(15),
                    ],
                    expected,
                    sign: band.bits * 9 + (w_sign * 3 + north_sign) as usize,
                };
                // What was never written is not read: fresh memory would be had twice, first as zeros that all processes share,
                // and changing that interrupts the other threads.
                let value = if C::DECODES { 0 } else { i64::from(q[row + d]) };
                let value = model.code(coder, value, &known);
                if C::DECODES {
                    q[row + d] = i32::try_from(value)
                        .map_err(|_| Error::corrupt("a wavelet coefficient does not fit 32 bits"))?;
                }
                ww = w;
                w = size(q[row + d]);
                w_sign = q[row + d].signum() + 1;
            }
        }
    }
    Ok(())
}

/// Bits that coefficients take with a distribution for each band, and half a logarithm of their number for each class
/// (J. Rissanen, "Modeling by shortest data description", 1978): bands of a few coefficients are not for nothing.
pub(super) fn estimate(q: &[i32], layout: &Layout) -> f64 {
    let around = Around::new(layout);
    let of_band = |band: Band| {
        let mut values = Distribution::default();
        for at in band.rows() {
            values.add(&q[around.row(&band, at)..][..band.row_len()]);
        }
        values.bits_per_value() * values.n() as f64 + 0.5 * values.n_classes() as f64 * (values.n() as f64 + 1.0).log2()
    };
    bands(layout).into_iter().map(of_band).sum()
}

/// How coefficients are coded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Coder {
    Mixed,
    Rans,
}

struct EncodeRans<'a> {
    q: &'a [i32],
    layout: &'a Layout,
}

impl Kernel for EncodeRans<'_> {
    type Output = Option<(Vec<u8>, usize)>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { q, layout } = self;
        let mut around = Around::new(layout);
        let mut encoder = RowEncoder::new(q.len());
        let mut coded = vec![0; layout.extents[AXES - 1]];
        for band in bands(layout) {
            let n = band.row_len();
            for at in band.rows() {
                let row = around.start_row(q, &band, at);
                encoder.row(around.base(q, &band, at), &[], &mut coded[..n], &mut q[row..row + n].iter());
            }
        }
        encoder.finish()
    }
}

struct DecodeRans<'a> {
    payload: &'a [u8],
    layout: &'a Layout,
    n: usize,
}

impl Kernel for DecodeRans<'_> {
    type Output = Result<Vec<i32>>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { payload, layout, n } = self;
        let mut decoder = RowDecoder::new(payload, n)?;
        let mut around = Around::new(layout);
        let mut q = vec![0; n];
        let mut coded = vec![0; layout.extents[AXES - 1]];
        for band in bands(layout) {
            let n = band.row_len();
            for at in band.rows() {
                let row = around.start_row(&q, &band, at);
                decoder.row(around.base(&q, &band, at), &[], &mut coded[..n], &mut q[row..row + n].iter_mut())?;
            }
        }
        decoder.finish()?;
        Ok(q)
    }
}

fn encode_mixed(q: &mut [i32], layout: &Layout) -> Vec<u8> {
    let mut coder = Encoder::new();
    simd::run(Mixed { coder: &mut coder, q, layout }).expect("encoding reads its values only");
    coder.finish()
}

/// Whether coefficients are so few that mixed contexts may gain more than their time.
fn is_sparse(rans_len: usize, n: usize) -> bool {
    rans_len < n / 9
}

/// The coder to take and its bytes: the smallest, or the quick one unless the slow one gains a tenth.
pub(super) fn encode(q: &mut [i32], layout: &Layout, effort: Effort) -> (Coder, Vec<u8>) {
    let Some((rans, _)) = simd::run(EncodeRans { q, layout }) else { return (Coder::Mixed, encode_mixed(q, layout)) };
    let is_max = effort == Effort::Max;
    let enough = if is_max { rans.len() } else { rans.len() - rans.len() / 10 };
    let mixes = is_max || is_sparse(rans.len(), q.len());
    let mixed = mixes.then(|| encode_mixed(q, layout)).filter(|mixed| mixed.len() < enough);
    mixed.map_or((Coder::Rans, rans), |mixed| (Coder::Mixed, mixed))
}

/// Bytes of some coefficients but for the tables, which are little where there are many.
pub(super) fn quick_len(q: &mut [i32], layout: &Layout) -> Option<usize> {
    let (rans, head) = simd::run(EncodeRans { q, layout })?;
    let len = rans.len() - head;
    Some(if is_sparse(len, q.len()) { len.min(encode_mixed(q, layout).len()) } else { len })
}

pub(super) fn decode(coder: Coder, payload: &[u8], layout: &Layout, n: usize) -> Result<Vec<i32>> {
    if coder == Coder::Rans {
        return simd::run(DecodeRans { payload, layout, n });
    }
    // A decision takes 2^-15.5 bits at least.
    if n >> 19 > payload.len() + 8 {
        return Err(Error::corrupt(format!("{} bytes cannot hold {n} wavelet coefficients", payload.len())));
    }
    let mut coder = Decoder::new(payload);
    let mut q = vec![0; n];
    simd::run(Mixed { coder: &mut coder, q: &mut q, layout })?;
    coder.finish()?;
    Ok(q)
}

#[cfg(test)]
mod tests {
    use super::super::transform::Group;
    use super::*;

    fn noise(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    fn layout(extents: [usize; AXES], groups: &[u8]) -> Layout {
        let groups: Vec<Group> = groups.iter().map(|&axes| Group { axes, n_levels: 5 }).collect();
        Layout::new(extents, &groups)
    }

    fn both(q: &[i32], layout: &Layout) -> [(Coder, Vec<u8>); 2] {
        let rans = simd::run(EncodeRans { q, layout }).unwrap().0;
        [(Coder::Rans, rans), (Coder::Mixed, encode_mixed(&mut q.to_vec(), layout))]
    }

    #[test]
    fn all_shapes_and_extremes_by_both_coders() {
        let mut seed = 5;
        for extents in [[1, 1, 1, 1], [1, 1, 1, 300], [1, 1, 20, 31], [1, 9, 10, 11], [5, 6, 7, 8], [40, 1, 30, 1]] {
            for groups in [&[][..], &[0b1111], &[0b1000], &[0b0001, 0b1110], &[1, 2, 4, 8]] {
                for spread in [1u64, 2, 200, 1 << 24, 1 << 32] {
                    let layout = layout(extents, groups);
                    let n = extents.iter().product();
                    let q: Vec<i32> = (0..n).map(|_| (noise(&mut seed) % spread) as u32 as i32).collect();
                    for (coder, bytes) in both(&q, &layout) {
                        assert_eq!(decode(coder, &bytes, &layout, n).unwrap(), q, "{extents:?} {groups:?} {coder:?}");
                    }
                }
            }
        }
        let q = [i32::MIN, i32::MAX, 0, -1, 1, i32::MIN, i32::MAX, i32::MAX];
        let layout = layout([1, 1, 1, 8], &[0b1000]);
        for (coder, bytes) in both(&q, &layout) {
            assert_eq!(decode(coder, &bytes, &layout, 8).unwrap(), q);
        }
    }

    #[test]
    fn rans_knows_what_is_around() {
        let mut seed = 11;
        let layout = layout([1, 1, 256, 256], &[0b1100]);
        // Large coefficients lie in one corner of every band.
        let spread = |i: usize| if i / 256 % 64 < 32 && i % 64 < 32 { 65 } else { 3 };
        let q: Vec<i32> = (0..1 << 16).map(|i| (noise(&mut seed) % spread(i)) as i32 - spread(i) as i32 / 2).collect();
        let [(_, rans), (_, mixed)] = both(&q, &layout);
        let bits = estimate(&q, &layout);
        assert!((rans.len() as f64) < bits / 8.0 * 0.9, "{} {bits}", rans.len());
        assert!(rans.len() < mixed.len() * 21 / 20, "{} {}", rans.len(), mixed.len());
        assert_eq!(encode(&mut q.clone(), &layout, Effort::Default), (Coder::Rans, rans.clone()));
        assert!(quick_len(&mut q.clone(), &layout).unwrap() < rans.len());
        let max = encode(&mut q.clone(), &layout, Effort::Max);
        assert_eq!(max.1.len(), rans.len().min(mixed.len()));
    }

    #[test]
    fn few_coefficients_are_mixed_where_that_gains() {
        let layout = layout([1, 1, 128, 128], &[0b1100]);
        let mut q = vec![0; 1 << 14];
        q[5000] = 100;
        q[9000] = -7;
        let [(_, rans), (_, mixed)] = both(&q, &layout);
        assert!(mixed.len() < rans.len() / 2);
        assert!(quick_len(&mut q, &layout).unwrap() <= mixed.len());
        assert_eq!(encode(&mut q, &layout, Effort::Default), (Coder::Mixed, mixed));
    }

    #[test]
    fn nearly_nothing_is_left_to_the_mixed_coder() {
        let layout = layout([1, 1, 1 << 11, 1 << 13], &[0b1100]);
        let mut q = vec![0; 1 << 24];
        let (coder, bytes) = encode(&mut q, &layout, Effort::Default);
        assert_eq!(coder, Coder::Mixed);
        // As few bytes in place of rANS's are refused before memory is taken for the coefficients.
        assert!(decode(Coder::Rans, &bytes, &layout, usize::MAX >> 8).is_err());
        assert!(decode(Coder::Mixed, &bytes, &layout, usize::MAX >> 8).is_err());
    }

    #[test]
    fn damage_is_an_error_or_other_values_but_never_a_crash() {
        let mut seed = 3;
        let layout = layout([1, 2, 12, 20], &[0b0010, 0b1100]);
        let q: Vec<i32> = (0..480).map(|_| (noise(&mut seed) as i32) >> (noise(&mut seed) % 32)).collect();
        for (coder, bytes) in both(&q, &layout) {
            for i in 0..bytes.len() {
                for flip in [1u8, 2, 16, 128, 255] {
                    let mut bad = bytes.clone();
                    bad[i] ^= flip;
                    let _ = decode(coder, &bad, &layout, 480);
                }
                let cut = decode(coder, &bytes[..i], &layout, 480);
                assert!(cut.is_err() || coder == Coder::Mixed);
            }
        }
    }
}
