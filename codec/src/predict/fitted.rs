//! Linear prediction of integers from their neighbours, with weights fitted to the array by least squares.
//!
//! Lorenzo prediction adds up what its neighbours' noise is; a fit takes from each neighbour what it is worth. Neighbours
//! count by their difference from the *anchor*, the nearest value that is always there, so that neither an offset of the
//! array nor a neighbour beyond its edge matters. Weights are integers and so is all arithmetic of the reader.

use super::lorenzo::{MAX_AXES, working_extents};
use crate::entropy::Int;
use crate::error::{Error, Result};
use crate::simd::{self, Kernel};
use crate::wire::{Reader, Writer};
use std::marker::PhantomData;
use std::result::Result as Outcome;

/// Bits of the weights below the point.
pub(crate) const FRACTION_BITS: u32 = 16;
/// No weight has more than this magnitude.
const MAX_WEIGHT: f64 = 64.0;

/// Steps back along each of four axes, slowest first; those along the last two may be forward where a slower one is back.
pub(crate) type Back = [isize; MAX_AXES];

/// Neighbours in the same row and plane, the nearest first.
pub(crate) const IN_PLANE: [Back; 11] = [
    [0, 0, 0, 1],
    [0, 0, 1, 0],
    [0, 0, 1, 1],
    [0, 0, 1, -1],
    [0, 0, 0, 2],
    [0, 0, 2, 0],
    [0, 0, 1, 2],
    [0, 0, 1, -2],
    [0, 0, 2, 1],
    [0, 0, 2, -1],
    [0, 0, 0, 3],
];
/// Those in planes before.
pub(crate) const PLANE_BEFORE: [Back; 14] = [
    [0, 1, 0, 0],
    [0, 1, 0, 1],
    [0, 1, 0, -1],
    [0, 1, 1, 0],
    [0, 1, -1, 0],
    [0, 1, 1, 1],
    [0, 1, 1, -1],
    [0, 1, -1, 1],
    [0, 1, -1, -1],
    [0, 1, 0, 2],
    [0, 1, 0, -2],
    [0, 1, 2, 0],
    [0, 1, -2, 0],
    [0, 2, 0, 0],
];
/// Those in volumes before.
const VOLUME_BEFORE: [Back; 8] =
    [[1, 0, 0, 0], [1, 0, 0, 1], [1, 0, 0, -1], [1, 0, 1, 0], [1, 0, -1, 0], [1, 1, 0, 0], [1, -1, 0, 0], [2, 0, 0, 0]];
const N_TAPS: usize = IN_PLANE.len() + PLANE_BEFORE.len() + VOLUME_BEFORE.len();

/// Weights depend on whether there is a plane before, and a volume before.
pub(crate) const N_SETS: usize = 4;

/// How many neighbours a set has.
pub(crate) fn n_taps(set: usize) -> usize {
    IN_PLANE.len()
        + if set & 1 == 1 { PLANE_BEFORE.len() } else { 0 }
        + if set & 2 == 2 { VOLUME_BEFORE.len() } else { 0 }
}

pub(crate) fn taps(set: usize) -> impl Iterator<Item = Back> {
    let planes = if set & 1 == 1 { &PLANE_BEFORE[..] } else { &[] };
    let volumes = if set & 2 == 2 { &VOLUME_BEFORE[..] } else { &[] };
    IN_PLANE.iter().chain(planes).chain(volumes).copied()
}

/// The sets that positions of these extents belong to.
pub(crate) fn sets(extents: &[usize; MAX_AXES]) -> impl Iterator<Item = usize> + use<> {
    let [has_volumes, has_planes] = [extents[0] > 1, extents[1] > 1];
    (0..N_SETS).filter(move |set| (set & 1 == 0 || has_planes) && (set & 2 == 0 || has_volumes))
}

/// Weights of each set, as many as it has neighbours; none where no position belongs to it.
pub(crate) type Weights = [Vec<i32>; N_SETS];

/// The extents that prediction works along, with 1 for axes that are not there.
pub(crate) fn extents_of(shape: &[usize]) -> [usize; MAX_AXES] {
    let extents = working_extents(shape);
    let mut padded = [1; MAX_AXES];
    padded[MAX_AXES - extents.len()..].copy_from_slice(&extents);
    padded
}

pub(crate) fn write_extents(extents: &[usize; MAX_AXES], out: &mut Writer) {
    extents.iter().for_each(|&extent| out.varint(extent as u64));
}

pub(crate) fn write_weights(weights: &Weights, out: &mut Writer) {
    weights.iter().flatten().for_each(|&weight| out.varint_signed(weight.into()));
}

/// Reads the extents of an array of `n` integers.
pub(crate) fn read_extents(n: usize, input: &mut Reader<'_>) -> Result<[usize; MAX_AXES]> {
    let mut extents = [0; MAX_AXES];
    for extent in &mut extents {
        *extent = input.size("an extent")?;
    }
    if extents.iter().try_fold(1usize, |p, &e| p.checked_mul(e)) != Some(n) {
        return Err(Error::corrupt(format!("extents {extents:?} do not hold {n} integers")));
    }
    Ok(extents)
}

/// Reads the weights of the sets that arrays of these extents have.
pub(crate) fn read_weights(extents: &[usize; MAX_AXES], input: &mut Reader<'_>) -> Result<Weights> {
    let mut weights: Weights = [const { Vec::new() }; N_SETS];
    for set in sets(extents) {
        for _ in 0..n_taps(set) {
            let weight = i32::try_from(input.varint_signed("a weight")?);
            weights[set].push(weight.map_err(|_| Error::corrupt("a weight does not fit 32 bits"))?);
        }
    }
    Ok(weights)
}

/// Visits every position in order: `visit(position, what is there, prediction)` gives the value there.
///
/// A prediction is `anchor + floor((2^15 + sum of weight * (neighbour - anchor)) / 2^16)` modulo 2^64.
pub(crate) fn scan<I: Int, E>(
    values: &mut [I],
    extents: &[usize; MAX_AXES],
    weights: &Weights,
    visit: impl FnMut(usize, I, i64) -> Outcome<I, E>,
) -> Outcome<(), E> {
    simd::run(Scan { values, extents, weights, visit: Predictions(visit, PhantomData) })
}

/// What is done at each position of a [`Scan`].
pub(crate) trait Visit<I> {
    type Error;

    /// The value there, given those before. Has to be `#[inline(always)]`, for what [`Kernel::run`] says.
    fn visit(&mut self, values: &[I], site: &Site) -> Outcome<I, Self::Error>;
}

/// Visits that need nothing but what is there and the prediction.
struct Predictions<F, E>(F, PhantomData<E>);

impl<I: Int, E, F: FnMut(usize, I, i64) -> Outcome<I, E>> Visit<I> for Predictions<F, E> {
    type Error = E;

    #[inline(always)]
    fn visit(&mut self, values: &[I], site: &Site) -> Outcome<I, E> {
        (self.0)(site.i, values[site.i], site.anchor.wrapping_add(site.sum >> FRACTION_BITS))
    }
}

/// One position, when all before it are known.
pub(crate) struct Site {
    /// The position, and its parts: along the axes before the last, along the last.
    pub i: usize,
    pub at: [usize; 3],
    pub x: usize,
    /// Whether all neighbours of its set are there.
    pub has_all: bool,
    /// The nearest value before.
    pub anchor: i64,
    /// [`ROUND`] and what is predicted above the anchor, in 2^-[`FRACTION_BITS`].
    pub sum: i64,
}

/// [`scan`] for what needs more than the prediction.
pub(crate) struct Scan<'a, I, V> {
    pub values: &'a mut [I],
    pub extents: &'a [usize; MAX_AXES],
    pub weights: &'a Weights,
    pub visit: V,
}

impl<I: Int, V: Visit<I>> Kernel for Scan<'_, I, V> {
    type Output = Outcome<(), V::Error>;
    const GAINS_BY_AVX512: bool = true;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let Self { values, extents, weights, mut visit } = self;
        let walk = Walk::new(extents);
        let mut all: [RowTaps; N_SETS] = Default::default();
        for (set, taps) in all.iter_mut().enumerate() {
            taps.find(&walk, set, &weights[set], None);
        }
        let mut some = RowTaps::default();
        // The values of the rows so far in 32 bits, as long as they fit: products of those are one instruction.
        let mut narrow = vec![0i32; if I::narrow(values).is_some() { 0 } else { values.len() }];
        let mut is_narrow = true;
        let mut sums = vec![0i64; extents[3]];
        for (at, row) in rows(extents) {
            let set = walk.set(at);
            let has_all_rows = walk.has_all(at);
            let taps = if has_all_rows {
                &all[set]
            } else {
                some.find(&walk, set, &weights[set], Some(at));
                &some
            };
            let inside = if is_narrow { walk.inside() } else { 0..0 };
            taps.sum_rows_before(I::narrow(values).unwrap_or(&narrow), row, inside.clone(), &mut sums);
            // The values one, two and three before: read back from memory, each would wait for its store.
            let [mut a, mut b, mut c] = [0i64; 3];
            for (x, &sum) in sums.iter().enumerate() {
                let i = row + x;
                let is_inside = inside.contains(&x);
                let (anchor, sum) = if is_inside {
                    let [u, v, w] = taps.in_row;
                    // The nearest last, as it is known last.
                    let sum = sum.wrapping_add(c.wrapping_mul(w)).wrapping_add(b.wrapping_mul(v));
                    (a, sum.wrapping_add(a.wrapping_mul(u)))
                } else {
                    let anchor = walk.anchor(values, at, x, i);
                    (anchor, taps.sum_near_edge(values, extents[3], x, i, anchor))
                };
                let site = Site { i, at, x, has_all: has_all_rows && is_inside, anchor, sum };
                let value = visit.visit(values, &site)?;
                values[i] = value;
                (a, b, c) = (value.to_i64(), a, b);
                if let Some(narrow) = narrow.get_mut(i) {
                    *narrow = value.to_i64() as i32;
                    is_narrow &= i64::from(*narrow) == value.to_i64();
                }
            }
        }
        Ok(())
    }
}

/// Encoder side: what predictions leave of values that are all known, which need not wait for one another. `None` if that does
/// not fit 32 bits.
pub(crate) fn residual(values: &[i32], extents: &[usize; MAX_AXES], weights: &Weights) -> Option<Vec<i32>> {
    simd::run(Residual { values, extents, weights })
}

struct Residual<'a> {
    values: &'a [i32],
    extents: &'a [usize; MAX_AXES],
    weights: &'a Weights,
}

impl Kernel for Residual<'_> {
    type Output = Option<Vec<i32>>;
    const GAINS_BY_AVX512: bool = true;

    #[inline(always)]
    fn run(self) -> Option<Vec<i32>> {
        let Self { values, extents, weights } = self;
        let walk = Walk::new(extents);
        let mut all: [RowTaps; N_SETS] = Default::default();
        for (set, taps) in all.iter_mut().enumerate() {
            taps.find(&walk, set, &weights[set], None);
            taps.join_row();
        }
        let mut some = RowTaps::default();
        let mut sums = vec![0i64; extents[3]];
        let mut residual = vec![0i32; values.len()];
        let mut fits = true;
        for (at, row) in rows(extents) {
            let taps = if walk.has_all(at) {
                &all[walk.set(at)]
            } else {
                some.find(&walk, walk.set(at), &weights[walk.set(at)], Some(at));
                some.join_row();
                &some
            };
            let inside = walk.inside();
            taps.sum_rows_before(values, row, inside.clone(), &mut sums);
            let mut leave = |i: usize, anchor: i64, sum: i64| {
                let left = i64::from(values[i]).wrapping_sub(anchor.wrapping_add(sum >> FRACTION_BITS));
                fits &= i64::from(left as i32) == left;
                left as i32
            };
            for x in (0..inside.start).chain(inside.end..extents[3]) {
                let anchor = walk.anchor(values, at, x, row + x);
                residual[row + x] = leave(row + x, anchor, taps.sum_near_edge(values, extents[3], x, row + x, anchor));
            }
            let there = &mut residual[row + inside.start..row + inside.end];
            for (left, (x, &sum)) in there.iter_mut().zip(inside.clone().zip(&sums[inside])) {
                *left = leave(row + x, i64::from(values[row + x - 1]), sum);
            }
        }
        fits.then_some(residual)
    }
}

/// One half in units of 2^-[`FRACTION_BITS`].
pub(crate) const ROUND: i64 = 1 << (FRACTION_BITS - 1);

/// The neighbours that the values of one row have but for its ends, and their weights.
#[derive(Default)]
struct RowTaps {
    /// What the values one, two and three before are multiplied by. Differences from the anchor, the value before, are
    /// multiplied out, which changes nothing modulo 2^64: the first has what the anchor takes away.
    in_row: [i64; 3],
    /// How far back the neighbours in other rows lie, and their weights.
    before: Vec<(usize, i32)>,
    /// All neighbours: how far back along the row, and in all; weight.
    all: Vec<(isize, usize, i32)>,
}

impl RowTaps {
    /// Those of a set that are there at a row, or all of them.
    fn find(&mut self, walk: &Walk, set: usize, weights: &[i32], at: Option<[usize; 3]>) {
        self.in_row = [0; 3];
        self.before.clear();
        self.all.clear();
        for (tap, &weight) in taps(set).zip(weights) {
            let is_there =
                |a: usize, at: [usize; 3]| at[a].checked_add_signed(-tap[a]).is_some_and(|k| k < walk.extents[a]);
            if !at.is_none_or(|at| (0..3).all(|a| is_there(a, at))) {
                continue;
            }
            let offset = walk.offset(tap) as usize;
            match tap {
                [0, 0, 0, k] => self.in_row[k as usize - 1] += i64::from(weight),
                _ => self.before.push((offset, weight)),
            }
            self.in_row[0] -= i64::from(weight);
            self.all.push((tap[3], offset, weight));
        }
    }

    /// Counts the neighbours in the row among the others: for values that are known.
    fn join_row(&mut self) {
        // Sums of at most as many weights as there are neighbours, which fit.
        self.before.extend((1..).zip(self.in_row).map(|(back, weight)| (back, weight as i32)));
    }

    /// [`ROUND`] and the products of the neighbours of position `i`, the `x`th of its row.
    fn sum_near_edge<I: Int>(&self, values: &[I], extent: usize, x: usize, i: usize, anchor: i64) -> i64 {
        let is_there = |back: isize| x.checked_add_signed(-back).is_some_and(|x| x < extent);
        let there = self.all.iter().filter(|tap| is_there(tap.0));
        there.fold(ROUND, |sum, &(_, offset, weight)| {
            sum.wrapping_add(values[i - offset].to_i64().wrapping_sub(anchor).wrapping_mul(i64::from(weight)))
        })
    }

    /// For each `x` of the row that starts at `row`, [`ROUND`] and the products of neighbours in rows before.
    #[inline(always)]
    fn sum_rows_before(&self, values: &[i32], row: usize, inside: std::ops::Range<usize>, sums: &mut [i64]) {
        const LANES: usize = 16;
        let mut start = inside.start;
        while start + LANES <= inside.end {
            let mut lanes = [ROUND; LANES];
            for &(offset, weight) in &self.before {
                let near: &[i32; LANES] = values[row + start - offset..][..LANES].try_into().expect("as many values");
                for (sum, &v) in lanes.iter_mut().zip(near) {
                    *sum = sum.wrapping_add(i64::from(v).wrapping_mul(i64::from(weight)));
                }
            }
            sums[start..start + LANES].copy_from_slice(&lanes);
            start += LANES;
        }
        for x in start..inside.end {
            sums[x] = self.before.iter().fold(ROUND, |sum, &(offset, weight)| {
                sum.wrapping_add(i64::from(values[row + x - offset]).wrapping_mul(i64::from(weight)))
            });
        }
    }
}

/// Each row: where it is along the axes before the last, and its first position.
#[inline(always)]
fn rows(extents: &[usize; MAX_AXES]) -> impl Iterator<Item = ([usize; 3], usize)> + use<> {
    let [a, b, c, d] = *extents;
    (0..a * b * c).map(move |row| ([row / (b * c), row / c % b, row % c], row * d))
}

pub(crate) struct Walk {
    extents: [usize; MAX_AXES],
    strides: [usize; MAX_AXES],
}

impl Walk {
    pub fn new(extents: &[usize; MAX_AXES]) -> Self {
        let e = *extents;
        Self { extents: e, strides: [e[1] * e[2] * e[3], e[2] * e[3], e[3], 1] }
    }

    /// How far back a neighbour lies: always before the position itself.
    pub fn offset(&self, tap: Back) -> isize {
        (0..MAX_AXES).map(|a| tap[a] * self.strides[a] as isize).sum()
    }

    #[inline(always)]
    fn set(&self, at: [usize; 3]) -> usize {
        usize::from(at[1] > 0) + 2 * usize::from(at[0] > 0)
    }

    /// Whether all rows are there that neighbours of the values of this one lie in.
    #[inline(always)]
    fn has_all(&self, at: [usize; 3]) -> bool {
        let [a, b, c] = at;
        let e = self.extents;
        c >= 2 && c + 2 < e[2] && b != 1 && a != 1 && (a == 0 || (b >= 1 && b + 1 < e[1]))
    }

    /// The part of a row whose neighbours lie within it or the rows beside it.
    #[inline(always)]
    fn inside(&self) -> std::ops::Range<usize> {
        if self.extents[3] > 5 { 3..self.extents[3] - 2 } else { 0..0 }
    }

    pub fn neighbour(&self, at: [usize; 3], x: usize, tap: Back) -> Option<usize> {
        let at = [at[0], at[1], at[2], x];
        let mut i = 0;
        for a in 0..MAX_AXES {
            let k = at[a].checked_add_signed(-tap[a]).filter(|&k| k < self.extents[a])?;
            i += k * self.strides[a];
        }
        Some(i)
    }

    /// The value before along the fastest axis that has one.
    #[inline(always)]
    fn anchor<I: Int>(&self, values: &[I], at: [usize; 3], x: usize, i: usize) -> i64 {
        if x > 0 {
            return values[i - 1].to_i64();
        }
        (0..3).rev().find(|&a| at[a] > 0).map_or(0, |a| values[i - self.strides[a]].to_i64())
    }
}

/// Encoder side: weights from some of the positions.
pub(crate) fn fit<I: Int>(
    values: &[I],
    extents: &[usize; MAX_AXES],
    n_samples: usize,
    is_used: impl Fn(usize) -> bool,
) -> Weights {
    simd::run(Fit { values, extents, n_samples, is_used })
}

struct Fit<'a, I, U> {
    values: &'a [I],
    extents: &'a [usize; MAX_AXES],
    /// Positions of each set that are looked at.
    n_samples: usize,
    is_used: U,
}

impl<I: Int, U: Fn(usize) -> bool> Kernel for Fit<'_, I, U> {
    type Output = Weights;

    #[inline(always)]
    fn run(self) -> Weights {
        /// Of a set of few positions one in so many is looked at: what is left of few is not worth the time.
        const LEAST_STEP: usize = 8;
        /// Where that leaves as many.
        const MIN_SAMPLES: usize = 1 << 10;
        let Self { values, extents, n_samples, is_used } = self;
        let walk = Walk::new(extents);
        let offsets: [Vec<usize>; N_SETS] =
            std::array::from_fn(|set| taps(set).map(|tap| walk.offset(tap) as usize).collect());
        let mut counts = [0usize; N_SETS];
        for (at, _) in rows(extents) {
            counts[walk.set(at)] += extents[3];
        }
        let mut sums: [Normal; N_SETS] = std::array::from_fn(|set| Normal::new(n_taps(set)));
        // Steps of changing length: equal ones could meet the same columns again and again.
        let mut state = 1u32;
        let mut jump = |mean: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1 + (state >> 8) as usize % (2 * mean - 1)
        };
        let mut next = [0usize; N_SETS];
        let mut seen = [0usize; N_SETS];
        for (at, row) in rows(extents) {
            let set = walk.set(at);
            let step = counts[set].div_ceil(n_samples).max((counts[set] / MIN_SAMPLES).min(LEAST_STEP)).max(1);
            let inside = if walk.has_all(at) { walk.inside() } else { 0..0 };
            while next[set] < seen[set] + extents[3] {
                let x = next[set] - seen[set];
                next[set] += jump(step);
                let i = row + x;
                if !is_used(i) {
                    continue;
                }
                let anchor = walk.anchor(values, at, x, i);
                let difference = |k: usize| values[k].to_i64().wrapping_sub(anchor) as f64;
                let mut near = NONE_NEAR;
                if inside.contains(&x) {
                    for (v, offset) in near.as_flattened_mut().iter_mut().zip(&offsets[set]) {
                        *v = difference(i - offset);
                    }
                } else {
                    for (v, tap) in near.as_flattened_mut().iter_mut().zip(taps(set)) {
                        *v = walk.neighbour(at, x, tap).map_or(0.0, difference);
                    }
                }
                sums[set].add(near, difference(i));
            }
            seen[set] += extents[3];
        }
        std::array::from_fn(|set| if counts[set] == 0 { Vec::new() } else { sums[set].solve() })
    }
}

/// A position's neighbours, and zeros up to a whole number of vectors.
type Near = [[f64; LANES]; N_TAPS.div_ceil(LANES)];
const NONE_NEAR: Near = [[0.0; LANES]; N_TAPS.div_ceil(LANES)];
const LANES: usize = 4;

/// Sums of products for least squares.
struct Normal {
    n: usize,
    /// A row for each neighbour, of which those up to itself count.
    products: Vec<Near>,
    targets: Vec<f64>,
    /// Positions not yet added, which is done for some at once: their neighbours, and what is there.
    near: [Near; BATCH],
    target: [f64; BATCH],
    n_waiting: usize,
}

/// Positions that are added at once. Each sum takes them in turn.
const BATCH: usize = 4;

impl Normal {
    fn new(n: usize) -> Self {
        Self {
            n,
            products: vec![NONE_NEAR; n],
            targets: vec![0.0; n],
            near: [NONE_NEAR; BATCH],
            target: [0.0; BATCH],
            n_waiting: 0,
        }
    }

    #[inline(always)]
    fn add(&mut self, near: Near, target: f64) {
        (self.near[self.n_waiting], self.target[self.n_waiting]) = (near, target);
        self.n_waiting += 1;
        if self.n_waiting == BATCH {
            self.add_batch();
        }
    }

    #[inline(always)]
    fn add_batch(&mut self) {
        let mut energy = [0.0; BATCH];
        for k in 0..self.n {
            for (energy, near) in energy.iter_mut().zip(&self.near) {
                let near = near[k / LANES][k % LANES];
                *energy += near * near;
            }
        }
        let mut weights = [0.0; BATCH];
        for ((weight, energy), target) in weights.iter_mut().zip(energy).zip(self.target) {
            // Rare large differences must not decide alone.
            *weight = 1.0 / (1.0 + (energy + target * target).sqrt());
        }
        for (i, (row, sum)) in self.products.iter_mut().zip(&mut self.targets).enumerate() {
            let scaled: [f64; BATCH] = std::array::from_fn(|b| self.near[b][i / LANES][i % LANES] * weights[b]);
            for (scaled, target) in scaled.iter().zip(&self.target) {
                *sum += scaled * target;
            }
            // Arrays of known length, or the compiler does one number at a time.
            for (v, products) in row[..=i / LANES].iter_mut().enumerate() {
                let mut sums = *products;
                for (scaled, near) in scaled.iter().zip(&self.near) {
                    let near = near[v];
                    for lane in 0..LANES {
                        sums[lane] += scaled * near[lane];
                    }
                }
                *products = sums;
            }
        }
        (self.near, self.target, self.n_waiting) = ([NONE_NEAR; BATCH], [0.0; BATCH], 0);
    }

    /// Weights in units of 2^-[`FRACTION_BITS`], by Cholesky decomposition with a small ridge.
    #[inline(always)]
    fn solve(&mut self) -> Vec<i32> {
        // Positions that are none add zeros.
        self.add_batch();
        let n = self.n;
        let mut l: Vec<f64> = self.products.iter().flat_map(|row| &row.as_flattened()[..n]).copied().collect();
        let trace: f64 = (0..n).map(|i| l[i * n + i]).sum();
        let ridge = 1e-6 * trace / n as f64 + f64::MIN_POSITIVE;
        for i in 0..n {
            l[i * n + i] += ridge;
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
                let v = l[i * n + j] - dot;
                l[i * n + j] = if i == j { v.max(ridge).sqrt() } else { v / l[j * n + j] };
            }
        }
        let mut x = self.targets.clone();
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| l[i * n + k] * x[k]).sum();
            x[i] = (x[i] - dot) / l[i * n + i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
            x[i] = (x[i] - dot) / l[i * n + i];
        }
        let scale = f64::from(1 << FRACTION_BITS);
        // As a cast takes NaN to 0, a fit that failed predicts the anchor.
        x.into_iter().map(|w| (w.clamp(-MAX_WEIGHT, MAX_WEIGHT) * scale).round() as i32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn predictions_use_what_came_before_only_and_planes_are_exact() {
        for extents in [[1, 1, 1, 40], [1, 1, 20, 30], [1, 6, 9, 11], [3, 4, 9, 40], [2, 1, 3, 2], [1, 1, 1, 1]] {
            let [_, eb, ec, ed] = extents;
            let n: usize = extents.iter().product();
            let original: Vec<i64> = (0..n)
                .map(|i| {
                    let (a, b, c, d) = (i / (eb * ec * ed), i / (ec * ed) % eb, i / ed % ec, i % ed);
                    (5000 + 7 * a + 100 * b + 13 * c) as i64 - 9 * d as i64
                })
                .collect();
            let weights = fit(&original, &extents, 1 << 12, |_| true);
            for (set, weights) in weights.iter().enumerate() {
                assert!(weights.is_empty() || sets(&extents).any(|s| s == set), "{extents:?}");
            }
            let mut residual = vec![0; n];
            let Ok(()) = scan(&mut original.clone(), &extents, &weights, |i, v, p| {
                residual[i] = v - p;
                Ok::<_, Infallible>(v)
            });
            let mut decoded = vec![i64::MIN / 3; n];
            let Ok(()) = scan(&mut decoded, &extents, &weights, |i, _, p| Ok::<_, Infallible>(residual[i] + p));
            assert_eq!(decoded, original, "{extents:?}");
            let known: Vec<i32> = original.iter().map(|&v| v as i32).collect();
            let left = super::residual(&known, &extents, &weights).unwrap();
            assert!(left.iter().map(|&r| i64::from(r)).eq(residual.iter().copied()), "{extents:?}");
            let far: Vec<i32> = (0..n).map(|i| if i % 2 == 0 { i32::MIN } else { i32::MAX }).collect();
            assert!(n == 1 || super::residual(&far, &extents, &[const { Vec::new() }; N_SETS]).is_none());
            let mut narrow: Vec<i32> = residual.iter().map(|&r| r as i32).collect();
            let Ok(()) = scan(&mut narrow, &extents, &weights, |_, r, p| Ok::<_, Infallible>(r + p as i32));
            assert!(narrow.iter().map(|&v| i64::from(v)).eq(original.iter().copied()), "{extents:?}");
            // Row by row or one by one: the definition.
            for wide in [0, i64::MAX / 5] {
                let walk = Walk::new(&extents);
                let original: Vec<i64> = original.iter().map(|v| if v % 7 == 0 { v ^ wide } else { *v }).collect();
                let Ok(()) = scan(&mut original.clone(), &extents, &weights, |i, _, p| {
                    let (row, x) = (i / ed, i % ed);
                    let at = [row / (eb * ec), row / ec % eb, row % ec];
                    let anchor = walk.anchor(&original, at, x, i);
                    let sum = taps(walk.set(at)).zip(&weights[walk.set(at)]).fold(1i64 << 15, |sum, (tap, &w)| {
                        let near = walk.neighbour(at, x, tap).map_or(anchor, |k| original[k]);
                        sum.wrapping_add(near.wrapping_sub(anchor).wrapping_mul(w.into()))
                    });
                    assert_eq!(p, anchor.wrapping_add(sum >> 16), "{extents:?} {i}");
                    Ok::<_, Infallible>(original[i])
                });
            }
            let n_large = residual.iter().filter(|r| r.abs() > 1).count();
            assert!(n < 100 || n_large * 3 < n, "{extents:?}: {n_large} of {n}");
        }
    }
}
