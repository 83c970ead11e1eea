//! Quantised wavelet coefficients to bits: sub-band by sub-band from the coarsest, each under contexts from its
//! neighbours, from the same place one level coarser, and from the sub-bands of its level that came before.

use super::transform::{AXES, Layout, Level, strides};
use crate::entropy::context::token;
use crate::entropy::mixed::{coarse, fine};
use crate::entropy::mixing::{Known, Values};
use crate::entropy::range::{BitCoder, Decoder, Encoder};
use crate::error::{Error, Result};
use crate::predict::search::Distribution;
use crate::simd::{self, Kernel};

const K: usize = 6;
const N_LOW: usize = 12;
const N_CONTEXTS: [usize; K] = [96, N_LOW * N_LOW * N_LOW, 96 * 16, 20 * 20, 20 * 20, 12 * 16 * 16];

/// Start and extents within the array.
type Place = ([usize; AXES], [usize; AXES]);

/// One box of coefficients that are coded together.
struct Band {
    place: Place,
    /// Which half of each axis, and the level, for the contexts.
    bits: usize,
    level: usize,
    /// Boxes one level coarser whose coefficients lie at the same places, and the axes along which they are half as long.
    parents: Vec<(Place, [bool; AXES])>,
    /// Boxes of this level that came before.
    siblings: Vec<Place>,
}

/// The bands of one group of axes, in the order they are coded.
fn group_bands(extents: [usize; AXES], levels: &[Level]) -> Vec<Band> {
    let place = levels.last().and_then(|l| l.band(0)).unwrap_or(([0; AXES], extents));
    let mut bands = vec![Band { place, bits: 0, level: levels.len(), parents: Vec::new(), siblings: Vec::new() }];
    for (l, level) in levels.iter().enumerate().rev() {
        let mut siblings = Vec::new();
        for bits in 1..1 << AXES {
            let Some(place) = level.band(bits) else { continue };
            let parent = levels.get(l + 1).and_then(|p| Some((p.band(bits)?, p.split)));
            let parents = parent.into_iter().collect();
            bands.push(Band { place, bits, level: l, parents, siblings: siblings.clone() });
            siblings.push(place);
        }
    }
    bands
}

/// All bands in the order they are coded: for each of the first group, all of the others.
fn bands(layout: &Layout) -> Vec<Band> {
    // A group leaves the axes of the others alone, so that its boxes are whole there.
    let cut = |(s, e): Place, (t, f): Place| -> Place {
        (std::array::from_fn(|a| s[a].max(t[a])), std::array::from_fn(|a| e[a].min(f[a])))
    };
    let mut bands = group_bands(layout.extents, &[]);
    for levels in &layout.groups {
        let group = group_bands(layout.extents, levels);
        let pairs = bands.iter().flat_map(|f| group.iter().map(move |s| (f, s)));
        bands = pairs
            .map(|(f, s)| {
                let mut parents: Vec<_> = s.parents.iter().map(|&(p, split)| (cut(f.place, p), split)).collect();
                parents.extend(f.parents.iter().map(|&(p, split)| (cut(p, s.place), split)));
                Band {
                    place: cut(f.place, s.place),
                    bits: f.bits | s.bits,
                    level: f.level + s.level,
                    parents,
                    siblings: s.siblings.iter().map(|&p| cut(f.place, p)).collect(),
                }
            })
            .collect();
    }
    bands
}

/// Sizes of one row of neighbours with a margin on either side, so that there are always some to the left and right.
const MARGIN: usize = 2;

fn process<C: BitCoder>(coder: &mut C, q: &mut [i32], layout: &Layout) -> Result<()> {
    simd::run(Process { coder, q, layout })
}

struct Process<'a, C> {
    coder: &'a mut C,
    q: &'a mut [i32],
    layout: &'a Layout,
}

impl<C: BitCoder> Kernel for Process<'_, C> {
    type Output = Result<()>;

    #[inline(always)]
    fn run(self) -> Result<()> {
        process_plain(self.coder, self.q, self.layout)
    }
}

#[inline(always)]
fn process_plain<C: BitCoder>(coder: &mut C, q: &mut [i32], layout: &Layout) -> Result<()> {
    let strides = strides(layout.extents);
    let mut model = Values::<K>::new(N_CONTEXTS, 16 * 9);
    let row_of = |at: [usize; AXES]| at[0] * strides[0] + at[1] * strides[1] + at[2] * strides[2] + at[3];
    for band in bands(layout) {
        let (origin, [ea, eb, ec, ed]) = band.place;
        let (mut around, mut parent, mut sibling) = (vec![0u32; ed], vec![0u32; ed], vec![0u32; ed]);
        let mut north = vec![0u32; ed + 2 * MARGIN];
        let mut before = vec![0u32; ed + 2 * MARGIN];
        for a in 0..ea {
            for b in 0..eb {
                for c in 0..ec {
                    let at =
                        |a: usize, b: usize, c: usize| row_of([origin[0] + a, origin[1] + b, origin[2] + c, origin[3]]);
                    let load = |row: &mut [u32], from: Option<usize>| match from {
                        Some(from) => {
                            for (r, v) in row[MARGIN..MARGIN + ed].iter_mut().zip(&q[from..from + ed]) {
                                *r = size(*v);
                            }
                        }
                        None => row.fill(0),
                    };
                    load(&mut north, (c > 0).then(|| at(a, b, c - 1)));
                    for d in 0..ed {
                        around[d] = 2 * north[d + 2] + north[d + 1] + north[d + 3];
                    }
                    // The slab before along each slower axis.
                    load(&mut before, (b > 0).then(|| at(a, b - 1, c)));
                    for d in 0..ed {
                        around[d] += 2 * before[d + 2] + before[d + 1] + before[d + 3];
                    }
                    for from in [
                        (b > 0 && c + 1 < ec).then(|| at(a, b - 1, c + 1)),
                        (b > 0 && c > 0).then(|| at(a, b - 1, c - 1)),
                        (a > 0).then(|| at(a - 1, b, c)),
                        (c > 1).then(|| at(a, b, c - 2)),
                    ]
                    .into_iter()
                    .flatten()
                    {
                        for (r, v) in around.iter_mut().zip(&q[from..from + ed]) {
                            *r += size(*v);
                        }
                    }
                    parent.fill(0);
                    for &((start, extents), split) in &band.parents {
                        let at = [a, b, c];
                        let near: [usize; 3] =
                            std::array::from_fn(|k| (at[k] >> u32::from(split[k])).min(extents[k] - 1));
                        let mut add = |at: [usize; 3], weight: u32| {
                            let from = row_of([start[0] + at[0], start[1] + at[1], start[2] + at[2], start[3]]);
                            let row = &q[from..from + extents[3]];
                            for (d, p) in parent.iter_mut().enumerate() {
                                let k = (d >> u32::from(split[3])).min(extents[3] - 1);
                                *p += weight
                                    * (2 * size(row[k])
                                        + size(row[k.saturating_sub(1)])
                                        + size(row[(k + 1).min(extents[3] - 1)]));
                            }
                        };
                        add(near, 2);
                        for k in 1..3 {
                            if near[k] > 0 {
                                add(std::array::from_fn(|j| near[j] - usize::from(j == k)), 1);
                            }
                            if near[k] + 1 < extents[k] {
                                add(std::array::from_fn(|j| near[j] + usize::from(j == k)), 1);
                            }
                        }
                    }
                    sibling.fill(0);
                    for (start, extents) in &band.siblings {
                        let at: [usize; 3] = std::array::from_fn(|k| [a, b, c][k].min(extents[k] - 1));
                        let from = row_of([start[0] + at[0], start[1] + at[1], start[2] + at[2], start[3]]);
                        let row = &q[from..from + extents[3]];
                        for (d, s) in sibling.iter_mut().enumerate() {
                            let k = d.min(extents[3] - 1);
                            *s += 2 * size(row[k])
                                + size(row[k.saturating_sub(1)])
                                + size(row[(k + 1).min(extents[3] - 1)]);
                        }
                    }
                    let row = at(a, b, c);
                    let (mut w, mut ww) = (0u32, 0u32);
                    let mut w_sign = 1;
                    for d in 0..ed {
                        let local = u64::from(3 * w + ww + around[d]);
                        let (up, beside) = (u64::from(parent[d]), u64::from(sibling[d]));
                        let all = 4 * local + up + 2 * beside;
                        let expected = token(all >> 6);
                        let low = |v: u32| token(u64::from(v)).min(N_LOW - 1);
                        let north_sign = if c > 0 { q[row + d - strides[2]].signum() + 1 } else { 1 };
                        let known = Known {
                            contexts: [
                                fine(all >> 2),
                                (low(w) * N_LOW + low(north[d + 2])) * N_LOW + low(before[d + 2]),
                                fine(up) * 16 + band.bits,
                                coarse(local) * 20 + coarse(up),
                                coarse(local) * 20 + coarse(beside),
                                (band.level.min(11) * 16 + band.bits) * 16 + coarse(all >> 3).min(15),
                            ],
                            expected,
                            sign: band.bits * 9 + (w_sign * 3 + north_sign) as usize,
                        };
                        let value = model.code(coder, i64::from(q[row + d]), &known);
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
        }
    }
    Ok(())
}

/// Neighbours count as no larger than this, so that sums of them fit.
const MAX_SIZE: u32 = 1 << 20;

#[inline(always)]
fn size(v: i32) -> u32 {
    v.unsigned_abs().min(MAX_SIZE)
}

/// Bits that coefficients take with a distribution for each band.
pub(super) fn estimate(q: &[i32], layout: &Layout) -> f64 {
    let strides = strides(layout.extents);
    let mut total = 0.0;
    for band in bands(layout) {
        let (start, [ea, eb, ec, ed]) = band.place;
        let mut values = Distribution::default();
        for a in start[0]..start[0] + ea {
            for b in start[1]..start[1] + eb {
                for c in start[2]..start[2] + ec {
                    let row = a * strides[0] + b * strides[1] + c * strides[2] + start[3];
                    values.add(&q[row..row + ed]);
                }
            }
        }
        total += values.bits_per_value() * values.n() as f64;
    }
    total
}

pub(super) fn encode(q: &mut [i32], layout: &Layout) -> Vec<u8> {
    let mut coder = Encoder::new();
    process(&mut coder, q, layout).expect("encoding reads its values only");
    coder.finish()
}

pub(super) fn decode(payload: &[u8], layout: &Layout, n: usize) -> Result<Vec<i32>> {
    // A decision takes 2^-15.5 bits at least.
    if n >> 19 > payload.len() + 8 {
        return Err(Error::corrupt(format!("{} bytes cannot hold {n} wavelet coefficients", payload.len())));
    }
    let mut coder = Decoder::new(payload);
    let mut q = vec![0; n];
    process(&mut coder, &mut q, layout)?;
    coder.finish()?;
    Ok(q)
}
