//! n-dimensional Lorenzo prediction of floating-point numbers in their own arithmetic, for what has to come back exactly.
//!
//! As in fpzip (Lindstrom and Isenburg, *Fast and Efficient Compression of Floating-Point Data*, IEEE TVCG 12(5), 2006):
//! sums of the integers that stand for floats go wrong where neighbours lie on either side of a power of two, those of the
//! numbers do not. What is left over is the distance of value and prediction in such integers, their *keys*, so that
//! nothing is lost whatever the prediction was.
//!
//! The prediction is `v(near) + sum of +-(v(T) - v(T + near))`, with `near` one step back along the last axis predicted along
//! and T the sets of steps back along the others. Each difference is small and nearly always exact, so that one rounding is
//! seen; adding up the neighbours as they are loses up to half a percent. All but `v(near)` is summed for a row at a time.
//!
//! Every value that takes part is a multiple of the smallest normal number ([`Float::value`]), and so is every sum: no
//! operation meets a subnormal number, which some hosts have their processors flush to zero.

use super::search::{self, Distribution};
use crate::entropy::Int;
use crate::simd::{self, Kernel};
use std::ops::{Add, Sub};

/// A floating-point dtype, and the signed integer of its width that holds its bits.
pub(crate) trait Float: Copy + Default + Add<Output = Self> + Sub<Output = Self> {
    type Word: Int;

    /// The most last bits that keys may lack: those of the mantissa.
    const MAX_SHIFT: u32;

    /// What the value of these bits counts as in predictions: 0 if it is not finite, or so small that its last bit stands for
    /// less than the smallest normal number; otherwise itself.
    fn value(word: Self::Word) -> Self;
    fn to_word(self) -> Self::Word;

    /// The integer that grows with the value, without its last bits: those below the sign are flipped where it is set.
    fn key(word: Self::Word, shift: u32) -> Self::Word;
    /// The key nearest to a finite value.
    fn nearest_key(word: Self::Word, shift: u32) -> Self::Word;
    /// The inverse of [`Float::key`], with zeros for the last bits.
    fn word_of_key(key: Self::Word, shift: u32) -> Self::Word;
    /// The last bits that no word has.
    fn unused_bits(words: &[Self::Word]) -> u32;

    /// Reads and writes little-endian elements.
    fn words(bytes: &[u8]) -> Vec<Self::Word>;
    fn put_words(words: &[Self::Word], bytes: &mut [u8]);
}

macro_rules! float {
    ($float:ty, $word:ty, $bits:ty) => {
        impl Float for $float {
            type Word = $word;

            const MAX_SHIFT: u32 = <$float>::MANTISSA_DIGITS - 1;

            #[inline(always)]
            fn value(word: $word) -> Self {
                const INFINITE: $bits = <$float>::INFINITY.to_bits();
                const SMALLEST: $bits = (<$float>::MANTISSA_DIGITS as $bits) << (<$float>::MANTISSA_DIGITS - 1);
                let bits = word as $bits;
                if (bits & INFINITE).wrapping_sub(SMALLEST) < INFINITE - SMALLEST { Self::from_bits(bits) } else { 0.0 }
            }

            #[inline(always)]
            fn to_word(self) -> $word {
                self.to_bits() as $word
            }

            #[inline(always)]
            fn key(word: $word, shift: u32) -> $word {
                let below_sign = (word >> (<$word>::BITS - 1)) as $bits >> 1;
                (word ^ below_sign as $word) >> shift
            }

            #[inline(always)]
            fn nearest_key(word: $word, shift: u32) -> $word {
                Self::key(word, 0).wrapping_add(1 << shift >> 1) >> shift
            }

            #[inline(always)]
            fn word_of_key(key: $word, shift: u32) -> $word {
                let word = Self::key(key, 0);
                word & <$word>::MIN | (word << shift) & <$word>::MAX
            }

            fn unused_bits(words: &[$word]) -> u32 {
                let used = words.iter().fold(0, |used, word| used | word);
                used.trailing_zeros().min(Self::MAX_SHIFT)
            }

            fn words(bytes: &[u8]) -> Vec<$word> {
                bytes.as_chunks().0.iter().map(|&b| <$word>::from_le_bytes(b)).collect()
            }

            fn put_words(words: &[$word], bytes: &mut [u8]) {
                bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(b, w)| *b = w.to_le_bytes());
            }
        }
    };
}

float!(f32, i32, u32);
float!(f64, i64, u64);

/// How an array is predicted.
#[derive(Clone)]
pub(crate) struct Plan {
    pub extents: Vec<usize>,
    /// 1 for the axes that are predicted along, 0 for the others.
    pub orders: Vec<u8>,
    /// The last bits that no value has.
    pub shift: u32,
}

impl Plan {
    /// The sets of axes that may be the best, judged from a few blocks.
    pub fn shortlist<F: Float>(words: &[F::Word], extents: &[usize]) -> Vec<Self> {
        const MOST: usize = 3;
        /// How much more than the least bits those that are left may take.
        const MARGIN: f64 = 1.05;
        let most = vec![1; extents.len()];
        let block = search::block_extents(extents);
        let samples = search::blocks(words, extents, &block);
        let shift = F::unused_bits(words);
        let ranked = (0..1usize << extents.len()).map(|code| {
            let orders = (0..extents.len()).map(|axis| (code >> axis & 1) as u8).collect();
            let plan = Self { extents: block.clone(), orders, shift };
            let mut distribution = Distribution::default();
            for sample in &samples {
                let residual = plan.residual::<F>(&mut sample.clone(), |_| false);
                distribution.add(&search::interior(&residual, &block, &most));
            }
            (Self { extents: extents.to_vec(), ..plan }, distribution.bits_per_value())
        });
        let mut ranked: Vec<(Self, f64)> = ranked.collect();
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
        let least = ranked[0].1;
        ranked.into_iter().take(MOST).take_while(|choice| choice.1 <= least * MARGIN).map(|choice| choice.0).collect()
    }

    /// What is left of the words that are not masked; those that are masked become their predictions.
    pub fn residual<F: Float>(&self, words: &mut [F::Word], is_masked: impl Fn(usize) -> bool) -> Vec<F::Word> {
        let mut residual = Vec::with_capacity(words.len());
        self.scan::<F>(words, |i, word, prediction| {
            if is_masked(i) {
                return prediction;
            }
            residual.push(F::key(word, self.shift).wrapping_sub(F::nearest_key(prediction, self.shift)));
            word
        });
        residual
    }

    /// The inverse of [`Plan::residual`] in place, with any word where one is masked.
    pub fn undo<F: Float>(&self, words: &mut [F::Word], is_masked: impl Fn(usize) -> bool) {
        self.scan::<F>(words, |i, residual, prediction| {
            if is_masked(i) {
                return prediction;
            }
            F::word_of_key(F::nearest_key(prediction, self.shift).wrapping_add(residual), self.shift)
        });
    }

    /// Visits every position in order: `visit(position, what is there, bits of the prediction)` gives the bits of the value.
    fn scan<F: Float>(&self, words: &mut [F::Word], visit: impl FnMut(usize, F::Word, F::Word) -> F::Word) {
        simd::run(Scan::<F, _> { words, plan: self, visit });
    }
}

struct Scan<'a, F: Float, V> {
    words: &'a mut [F::Word],
    plan: &'a Plan,
    visit: V,
}

impl<F: Float, V: FnMut(usize, F::Word, F::Word) -> F::Word> Kernel for Scan<'_, F, V> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { words, plan, mut visit } = self;
        let extents = &plan.extents[..];
        if words.is_empty() {
            return;
        }
        let width = extents.last().map_or(1, |&e| e);
        let stencil = Stencil::new(extents, &plan.orders);
        // All but what depends on the value before in the row, for a whole row.
        let mut sums = vec![F::default(); width];
        for start in (0..words.len()).step_by(width) {
            let (before, row) = words.split_at_mut(start);
            stencil.sum(before, axes_with_rows_before(extents, start / width), &mut sums);
            let mut west = F::default();
            for (x, (word, &sum)) in row[..width].iter_mut().zip(&sums).enumerate() {
                let prediction = if stencil.is_in_row { west + sum } else { sum };
                *word = visit(start + x, *word, F::value(prediction.to_word()).to_word());
                west = F::value(*word);
            }
        }
    }
}

/// The set, as bits, of the axes along which row `row` is not the first.
#[inline(always)]
fn axes_with_rows_before(extents: &[usize], mut row: usize) -> u8 {
    let mut set = 0;
    for (axis, &extent) in extents.iter().enumerate().rev().skip(1) {
        set |= u8::from(!row.is_multiple_of(extent)) << axis;
        row /= extent;
    }
    set
}

/// Where the values that a prediction adds up lie.
struct Stencil {
    /// The set and the distance of the nearest value; no axis and no distance where nothing is predicted.
    nearest: (u8, usize),
    /// Whether that is the value before in the row.
    is_in_row: bool,
    /// The other sets of axes, how far back that is, and whether the difference there is added rather than taken away.
    others: Vec<(u8, usize, bool)>,
}

impl Stencil {
    fn new(extents: &[usize], orders: &[u8]) -> Self {
        let strides = |axis: usize| extents[axis + 1..].iter().product::<usize>();
        let mut chosen =
            (0..extents.len()).rev().filter(|&axis| orders[axis] > 0).map(|axis| (1 << axis, strides(axis)));
        let Some(nearest) = chosen.next() else {
            return Self { nearest: (0, 0), is_in_row: false, others: Vec::new() };
        };
        let chosen: Vec<(u8, usize)> = chosen.collect();
        let others = (1..1usize << chosen.len()).map(|some| {
            let some_of = || chosen.iter().enumerate().filter(|(k, _)| some >> k & 1 == 1).map(|(_, &axis)| axis);
            (some_of().map(|a| a.0).sum(), some_of().map(|a| a.1).sum(), some_of().count() % 2 == 1)
        });
        Self { nearest, is_in_row: nearest.0 == 1 << (extents.len() - 1), others: others.collect() }
    }

    /// For each value of the row behind those `before`, what it takes from other rows.
    #[inline(always)]
    fn sum<F: Float>(&self, before: &[F::Word], rows_before: u8, sums: &mut [F]) {
        let (set, step) = self.nearest;
        let has_nearest = set & rows_before != 0;
        // So many values at the beginning of the row have no nearest ones.
        let n_without = match (self.is_in_row, has_nearest) {
            (true, _) => 1,
            (_, true) => 0,
            _ => sums.len(),
        };
        sums.fill(F::default());
        for &(_, offset, is_added) in self.others.iter().filter(|(set, ..)| set & !rows_before == 0) {
            let (near_without, near) = before[before.len() - offset..].split_at(n_without);
            let far = if n_without < sums.len() { &before[before.len() + n_without - offset - step..] } else { &[] };
            let (sums_without, sums) = sums.split_at_mut(n_without);
            let value = |word: &F::Word| F::value(*word);
            if is_added {
                sums_without.iter_mut().zip(near_without).for_each(|(s, n)| *s = *s + value(n));
                sums.iter_mut().zip(near.iter().zip(far)).for_each(|(s, (n, f))| *s = *s + (value(n) - value(f)));
            } else {
                sums_without.iter_mut().zip(near_without).for_each(|(s, n)| *s = *s - value(n));
                sums.iter_mut().zip(near.iter().zip(far)).for_each(|(s, (n, f))| *s = *s - (value(n) - value(f)));
            }
        }
        if has_nearest {
            let near = &before[before.len() - step..];
            sums.iter_mut().zip(near).for_each(|(s, n)| *s = F::value(*n) + *s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The prediction of one position as the format's document puts it.
    fn predicted(values: &[f32], extents: &[usize], orders: &[u8], i: usize) -> f32 {
        let strides: Vec<usize> = (0..extents.len()).map(|a| extents[a + 1..].iter().product()).collect();
        let at: Vec<usize> = (0..extents.len()).map(|a| i / strides[a] % extents[a]).collect();
        let axes: Vec<usize> = (0..extents.len()).rev().filter(|&a| orders[a] > 0).collect();
        let Some((&near, others)) = axes.split_first() else { return 0.0 };
        let back = |steps: &[usize]| {
            let is_there = steps.iter().all(|&a| at[a] > 0);
            let v = if is_there { values[i - steps.iter().map(|&a| strides[a]).sum::<usize>()] } else { 0.0 };
            if v.is_finite() && v.abs() >= 2f32.powi(-103) { v } else { 0.0 }
        };
        let mut sum = 0.0;
        for m in 1..1usize << others.len() {
            let mut steps: Vec<usize> =
                others.iter().enumerate().filter(|(j, _)| m >> j & 1 == 1).map(|(_, &a)| a).collect();
            let sign = if steps.len() % 2 == 1 { 1.0 } else { -1.0 };
            let here = back(&steps);
            steps.push(near);
            sum += sign * (here - back(&steps));
        }
        let p = back(&[near]) + sum;
        if p.is_finite() && p.abs() >= 2f32.powi(-103) { p } else { 0.0 }
    }

    #[test]
    fn residuals_are_those_of_the_document_and_come_back() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        for extents in [vec![17], vec![5, 7], vec![3, 4, 5], vec![2, 3, 4, 5], vec![7, 1, 9], vec![6, 1], vec![]] {
            let n: usize = extents.iter().product();
            for kind in 0..3 {
                let original: Vec<f32> = (0..n)
                    .map(|i| match kind {
                        0 => f32::from_bits(random()),
                        1 => (i as f32 * 0.1).sin() * 3e38,
                        _ => (random() % 100) as f32 - 50.0,
                    })
                    .collect();
                let words: Vec<i32> = original.iter().map(|v| v.to_bits() as i32).collect();
                let shift = f32::unused_bits(&words);
                assert!(shift > 0 || kind != 2, "{extents:?}");
                for code in 0..1u8 << extents.len() {
                    let orders: Vec<u8> = (0..extents.len()).map(|a| code >> a & 1).collect();
                    let plan = Plan { extents: extents.clone(), orders: orders.clone(), shift };
                    let mut residual = plan.residual::<f32>(&mut words.clone(), |_| false);
                    for (i, &word) in words.iter().enumerate() {
                        let p = f32::nearest_key(predicted(&original, &extents, &orders, i).to_word(), shift);
                        assert_eq!(residual[i], f32::key(word, shift).wrapping_sub(p), "{extents:?} {orders:?} {i}");
                    }
                    plan.undo::<f32>(&mut residual, |_| false);
                    assert_eq!(residual, words, "{extents:?} {orders:?}");
                }
            }
        }
    }

    #[test]
    fn keys_grow_with_values_and_come_back() {
        let rising = [f32::NEG_INFINITY, f32::MIN, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1.0, f32::MAX, f32::INFINITY];
        let keys = rising.map(|v| f32::key(v.to_word(), 0));
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        for word in [i32::MIN, -5, -1, 0, 7, 0x7fc0_1234, i32::MAX].into_iter().chain(rising.map(f32::to_word)) {
            assert_eq!(f32::word_of_key(f32::key(word, 0), 0), word);
            let even = word & !0xff;
            assert_eq!(f32::word_of_key(f32::key(even, 8), 8), even);
        }
    }
}
