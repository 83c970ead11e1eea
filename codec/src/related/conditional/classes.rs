//! A column's values as contexts of others: classes of about equally many rows.

use crate::element::Elements;
use crate::simd::{self, Kernel};
use std::cell::OnceCell;
use std::ops::Range;

/// A class has this part of all rows; a value that more have, one to itself. So there are at most twice as many classes.
const SHARES: usize = 64;
pub(super) const MOST: usize = 2 * SHARES;
/// Values are told apart by this many of the highest bits in which they differ.
const CELL_BITS: u32 = 14;

/// The class of each row's value. Classes rise with the values.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    of_row: Vec<u8>,
    n: usize,
    /// The finite values of each class lie between these.
    extremes: OnceCell<Vec<(f64, f64)>>,
}

impl Classes {
    /// Of decoded values: the same from the same values everywhere. NaN has a place like any other value.
    pub fn new(values: &[f64]) -> Self {
        simd::run(Find { values: Values::Numbers(values) })
    }

    /// Of elements that nobody needs as numbers.
    pub fn of(elements: Elements<'_>) -> Self {
        simd::run(Find { values: Values::Elements(elements) })
    }

    /// With neighbouring classes put together until there are at most `most`.
    pub fn coarse(&self, most: usize) -> Coarse<'_> {
        let n_coarse = self.n.min(most.max(1));
        let of_class = (0..self.n).map(|class| (class * n_coarse / self.n) as u8).collect();
        Coarse { of_row: &self.of_row, n: n_coarse, of_class, places: Vec::new() }
    }

    /// The same, with places within classes; `values` are those that the classes are of.
    pub fn coarse_with_places(&self, most: usize, values: &[f64]) -> Coarse<'_> {
        let mut coarse = self.coarse(most);
        let mut places = vec![(f64::INFINITY, f64::NEG_INFINITY); coarse.n];
        let extremes = self.extremes.get_or_init(|| self.find_extremes(values));
        for (&class, &(min, max)) in coarse.of_class.iter().zip(extremes) {
            let place = &mut places[usize::from(class)];
            *place = (place.0.min(min), place.1.max(max));
        }
        let places = places.into_iter().map(|(min, max)| {
            let (centre, width) = (0.5 * min + 0.5 * max, 0.5 * max - 0.5 * min);
            // Classes of one value, or of none that is finite, know nothing of places within them.
            if width > 0.0 && width < f64::INFINITY { (centre, 1.0 / width) } else { (0.0, 0.0) }
        });
        coarse.places = places.collect();
        coarse
    }

    fn find_extremes(&self, values: &[f64]) -> Vec<(f64, f64)> {
        // As many as a byte tells apart, so that no look-up is checked; in two by turns, so that none is of what was just written.
        let mut extremes = [[(f64::INFINITY, f64::NEG_INFINITY); 1 << u8::BITS]; 2];
        for (row, (&class, &v)) in self.of_row.iter().zip(values).enumerate() {
            let (min, max) = &mut extremes[row % 2][usize::from(class)];
            // No comparison with NaN is true.
            let v = if v.abs() < f64::INFINITY { v } else { f64::NAN };
            *min = if v < *min { v } else { *min };
            *max = if v > *max { v } else { *max };
        }
        let [even, odd] = &extremes;
        even.iter().zip(odd).take(self.n).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))).collect()
    }
}

struct Find<'a> {
    values: Values<'a>,
}

enum Values<'a> {
    Numbers(&'a [f64]),
    Elements(Elements<'a>),
}

/// Where each value lies among all, and the first and last of these places.
struct Places {
    of_row: Vec<u32>,
    min: u32,
    max: u32,
}

impl Places {
    #[inline(always)]
    fn add(&mut self, values: &[f64]) {
        let start = self.of_row.len();
        self.of_row.resize(start + values.len(), 0);
        for (place, &v) in self.of_row[start..].iter_mut().zip(values) {
            *place = place_of(v);
            (self.min, self.max) = (self.min.min(*place), self.max.max(*place));
        }
    }
}

impl Kernel for Find<'_> {
    type Output = Classes;

    #[inline(always)]
    fn run(self) -> Classes {
        const BLOCK: usize = 1 << 10;
        let n = match self.values {
            Values::Numbers(values) => values.len(),
            Values::Elements(elements) => elements.len(),
        };
        let mut places = Places { of_row: Vec::with_capacity(n), min: u32::MAX, max: 0 };
        match self.values {
            Values::Numbers(values) => places.add(values),
            Values::Elements(Elements { dtype, bytes }) => {
                let mut numbers = [0.0; BLOCK];
                for bytes in bytes.chunks(BLOCK * dtype.size_bytes()) {
                    let elements = Elements::new(dtype, bytes);
                    let numbers = &mut numbers[..elements.len()];
                    elements.read_numbers(numbers);
                    places.add(numbers);
                }
            }
        }
        let Places { of_row: places, min, max } = places;
        let range = max.saturating_sub(min);
        let shift = (u32::BITS - range.leading_zeros()).saturating_sub(CELL_BITS);
        let cell = |place: u32| (place.wrapping_sub(min) >> shift) as usize;
        let mut counts = vec![0u64; (range >> shift) as usize + 1];
        for &place in &places {
            counts[cell(place)] += 1;
        }
        let (mut class, mut below, mut last) = (0u8, 0, None);
        // Wide enough for any number of rows on any machine.
        let (shares, n) = (SHARES as u64, places.len().max(1) as u64);
        let mut of_cell = vec![0; counts.len()];
        for (of_cell, count) in of_cell.iter_mut().zip(counts) {
            if count > 0 {
                let share = below * shares / n;
                if last.is_some_and(|last| last != share || count * shares >= n) {
                    class += 1;
                }
                last = Some(share);
                below += count;
            }
            *of_cell = class;
        }
        let mut of_row = vec![0; places.len()];
        for (class, &place) in of_row.iter_mut().zip(&places) {
            *class = of_cell[cell(place)];
        }
        Classes { of_row, n: usize::from(class) + 1, extremes: OnceCell::new() }
    }
}

/// Classes of another number.
pub(crate) struct Coarse<'a> {
    of_row: &'a [u8],
    n: usize,
    of_class: Vec<u8>,
    /// Of each class its centre, and the inverse of half its width, if they are known.
    places: Vec<(f64, f64)>,
}

/// A single class, of rows that nothing is known of.
pub(super) static ONE: Coarse<'static> = Coarse { of_row: &[], n: 1, of_class: Vec::new(), places: Vec::new() };

impl Coarse<'_> {
    pub fn n(&self) -> usize {
        self.n
    }

    #[inline(always)]
    pub fn class(&self, row: usize) -> usize {
        if self.n <= 1 { 0 } else { usize::from(self.of_class[usize::from(self.of_row[row])]) }
    }

    /// Tells contexts of these rows apart by their classes.
    pub fn refine(&self, contexts: &mut [u16], rows: impl Iterator<Item = usize>) {
        if self.n() > 1 {
            self.refine_by(contexts, rows.map(|row| &self.of_row[row]));
        }
    }

    /// The same of rows that follow one another.
    #[inline(always)]
    pub fn refine_range(&self, contexts: &mut [u16], rows: Range<usize>) {
        if self.n() > 1 {
            self.refine_by(contexts, self.of_row[rows].iter());
        }
    }

    #[inline(always)]
    fn refine_by<'a>(&self, contexts: &mut [u16], fine: impl Iterator<Item = &'a u8>) {
        let n = self.n() as u16;
        // As many as a byte tells apart, so that no look-up is checked.
        let mut of_class = [0; 1 << u8::BITS];
        of_class[..self.of_class.len()].copy_from_slice(&self.of_class);
        for (context, &class) in contexts.iter_mut().zip(fine) {
            *context = *context * n + u16::from(of_class[usize::from(class)]);
        }
    }

    /// Where the value of a row lies within its class, from -1 to 1; 0 for what is not finite.
    #[inline(always)]
    pub fn place(&self, class: usize, value: f64) -> f64 {
        let Some(&(centre, scale)) = self.places.get(class) else { return 0.0 };
        let place = (value - centre) * scale;
        if place.abs() <= 2.0 { place } else { 0.0 }
    }
}

/// Where a value lies among all: grows with it, rounded to 32 bits; NaN last.
#[inline(always)]
fn place_of(v: f64) -> u32 {
    let bits = (v as f32).to_bits();
    let place = bits ^ (((bits as i32 >> 31) as u32) | 1 << 31);
    if v.is_nan() { u32::MAX } else { place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_class_each_and_many_share() {
        let few: Vec<f64> = (0..1000).map(|i| [-999.0, 0.0, 1.5, f64::NAN][i % 4]).collect();
        let classes = Classes::new(&few);
        let all = classes.coarse(MOST);
        assert_eq!(all.n(), 4);
        (0..1000).for_each(|i| assert_eq!(all.class(i), i % 4));
        assert_eq!(classes.coarse(2).class(1), 0);
        let many: Vec<f64> = (0..100_000).map(|i| 1.0 + f64::from(i).sqrt()).collect();
        let classes = Classes::new(&many);
        let all = classes.coarse(MOST);
        assert_eq!((all.n(), all.class(0), all.class(99_999), all.class(50_500)), (64, 0, 63, 32));
        let eight = classes.coarse_with_places(8, &many);
        for row in (0..100_000).step_by(997) {
            assert_eq!(eight.class(row), all.class(row) / 8);
            assert!(eight.place(eight.class(row), many[row]).abs() <= 1.0 + 1e-12);
        }
        assert_eq!(Classes::new(&[]).coarse(8).n(), 1);
        let nan = [f64::NAN; 3];
        assert_eq!(Classes::new(&nan).coarse_with_places(8, &nan).place(0, f64::NAN), 0.0);
    }
}
