//! Values that no bound is defined for: NaN, infinities, -0.0, the declared fill value and the zeros of padding.
//!
//! They are taken out before quantisation and put back bit for bit. The few most common bit patterns get a class each in
//! a run-length map; any other is left to the exceptions, which keep exact bits too.

use crate::element::{Elements, infinity_bits, sign_bit};
use crate::entropy::bytes;
use crate::error::{Error, Result};
use crate::params::Dtype;
use crate::simd::{self, Kernel};
use crate::wire::{Reader, Writer};
use std::ops::Range;

/// At most this many patterns have a class.
const MAX_PATTERNS: usize = 15;

/// What of an array no bound is meant of, beside what no array can be asked to keep a bound for: a declared value wherever
/// it occurs, and zeros in the padding behind the last entries of its axes.
pub(crate) struct Gaps {
    fill: Option<u64>,
    /// Where there is padding: whether each value lies in it. Otherwise empty.
    padded: Vec<bool>,
}

impl Gaps {
    /// `fill` holds the bits of the declared value, which is what padding consists of where there is one; `padding` is
    /// empty or as long as `shape`.
    pub fn new(fill: Option<u64>, shape: &[usize], padding: &[usize]) -> Self {
        let is_padded = fill.is_none() && padding.iter().any(|&n| n > 0);
        Self { fill, padded: if is_padded { padded(shape, padding) } else { Vec::new() } }
    }

    /// Without padding.
    pub fn of_value(fill: Option<u64>) -> Self {
        Self { fill, padded: Vec::new() }
    }

    pub fn without_padding(&self) -> Self {
        Self::of_value(self.fill)
    }

    /// Tells of a value's place and bits whether it is special.
    pub fn test(&self, dtype: Dtype) -> impl Fn(usize, u64) -> bool {
        let is_special = special_test(dtype, self.fill);
        move |i, bits| is_special(bits) || (bits == 0 && self.padded.get(i) == Some(&true))
    }

    /// Whether there is a special value wherever it lies.
    pub fn any_value(&self, elements: Elements<'_>) -> bool {
        has_any(elements, self.fill)
    }

    /// Whether zeros at these places are special.
    pub fn any_place(&self, places: Range<usize>) -> bool {
        self.padded.get(places).is_some_and(|padded| padded.contains(&true))
    }

    /// Calls `each` with the places of all special values, rising.
    pub fn each(&self, elements: Elements<'_>, mut each: impl FnMut(usize)) {
        const RUN: usize = 64;
        if self.any_value(elements) {
            let is_special = self.test(elements.dtype);
            (0..elements.len()).filter(|&i| is_special(i, elements.bits(i))).for_each(each);
            return;
        }
        for run in (0..self.padded.len()).step_by(RUN).map(|start| start..self.padded.len().min(start + RUN)) {
            if self.any_place(run.clone()) {
                run.filter(|&i| self.padded[i] && elements.bits(i) == 0).for_each(&mut each);
            }
        }
    }
}

/// Whether each value of an array lies in the padding.
fn padded(shape: &[usize], padding: &[usize]) -> Vec<bool> {
    let (Some((&row, outer)), Some((&n_last, n_outer))) = (shape.split_last(), padding.split_last()) else {
        return Vec::new();
    };
    let mut padded = vec![false; shape.iter().product()];
    for (r, values) in padded.chunks_exact_mut(row.max(1)).enumerate() {
        let mut rest = r;
        let is_outside = outer.iter().zip(n_outer).rev().any(|(&extent, &n)| {
            let at = rest % extent;
            rest /= extent;
            at + n >= extent
        });
        let first = if is_outside { 0 } else { row - n_last };
        values[first..].fill(true);
    }
    padded
}

/// Where the special values are, and what they are.
#[derive(Default)]
pub(crate) struct Specials {
    /// The bits of each class from 1 up.
    pub patterns: Vec<u64>,
    /// 0 for an ordinary value, otherwise the class; empty where there is no special value at all.
    pub classes: Vec<u8>,
}

impl Specials {
    /// Finds the special values.
    pub fn find(elements: Elements<'_>, gaps: &Gaps) -> Self {
        // What is special by declaration always has a class: nothing but this map tells it from ordinary values.
        let declared = if gaps.padded.is_empty() { gaps.fill } else { Some(0) };
        let mut counts: Vec<(u64, usize)> = declared.map(|bits| (bits, 0)).into_iter().collect();
        gaps.each(elements, |i| {
            let bits = elements.bits(i);
            if let Some((_, count)) = counts.iter_mut().find(|(b, _)| *b == bits) {
                *count += 1;
            } else if counts.len() < 4 * MAX_PATTERNS {
                counts.push((bits, 1));
            }
        });
        // Stable: equal counts keep the order of first appearance, so that the same input gives the same stream.
        counts.sort_by_key(|&(bits, count)| (Some(bits) != declared, std::cmp::Reverse(count)));
        counts.retain(|&(_, count)| count > 0);
        counts.truncate(MAX_PATTERNS);
        let patterns: Vec<u64> = counts.iter().map(|&(b, _)| b).collect();
        let class_of = |bits| patterns.iter().position(|&p| p == bits).map_or(0, |k| k as u8 + 1);
        if patterns.is_empty() {
            return Self::default();
        }
        let mut classes = vec![0; elements.len()];
        gaps.each(elements, |i| classes[i] = class_of(elements.bits(i)));
        Self { patterns, classes }
    }

    /// Those of some rows, of `n` values from each of `starts`.
    pub fn of_rows(&self, starts: &[usize], n: usize) -> Self {
        let rows = starts.iter().filter_map(|&start| self.classes.get(start..start + n));
        let classes: Vec<u8> = rows.flatten().copied().collect();
        match classes.iter().max() {
            None | Some(0) => Self::default(),
            Some(&last) => Self { patterns: self.patterns[..usize::from(last)].to_vec(), classes },
        }
    }

    /// Whether value `i` is taken out.
    #[inline]
    pub fn is_masked(&self, i: usize) -> bool {
        self.classes.get(i).is_some_and(|&c| c != 0)
    }

    pub fn write(&self, dtype: Dtype, out: &mut Writer) {
        out.u8(self.patterns.len() as u8);
        if self.patterns.is_empty() {
            return;
        }
        for bits in &self.patterns {
            out.raw(&bits.to_le_bytes()[..dtype.size_bytes()]);
        }
        let mut runs = Writer::default();
        for run in self.classes.chunk_by(|a, b| a == b) {
            runs.u8(run[0]);
            runs.varint(run.len() as u64);
        }
        out.block(&bytes::pack(&runs.bytes, 9));
    }

    pub fn read(dtype: Dtype, n: usize, input: &mut Reader<'_>) -> Result<Self> {
        let n_patterns = usize::from(input.u8("the number of special patterns")?);
        if n_patterns == 0 {
            return Ok(Self::default());
        }
        if n_patterns > MAX_PATTERNS {
            return Err(Error::corrupt(format!("{n_patterns} special patterns: at most {MAX_PATTERNS} are allowed")));
        }
        let mut patterns = Vec::with_capacity(n_patterns);
        for _ in 0..n_patterns {
            let mut word = [0; 8];
            word[..dtype.size_bytes()].copy_from_slice(input.raw(dtype.size_bytes(), "a special pattern")?);
            patterns.push(u64::from_le_bytes(word));
        }
        // A run takes at least two bytes and covers at least one value; no more than that can be needed.
        let runs = bytes::unpack(input.block("the map of special values")?, n.saturating_mul(11))?;
        let mut runs = Reader::new(&runs);
        let mut classes = Vec::new();
        while !runs.rest().is_empty() {
            let class = runs.u8("a class")?;
            let len = runs.size("a run")?;
            if usize::from(class) > n_patterns || len > n - classes.len() {
                return Err(Error::corrupt("the map of special values does not fit the values"));
            }
            classes.resize(classes.len() + len, class);
        }
        if classes.len() != n {
            return Err(Error::corrupt(format!("the map covers {} of {n} values", classes.len())));
        }
        Ok(Self { patterns, classes })
    }
}

/// Whether there is a special value at all.
fn has_any(elements: Elements<'_>, fill: Option<u64>) -> bool {
    struct Any<'a, F, const N: usize> {
        bytes: &'a [u8],
        is_special: F,
    }

    impl<F: Fn([u8; N]) -> bool, const N: usize> Kernel for Any<'_, F, N> {
        type Output = bool;

        #[inline(always)]
        fn run(self) -> bool {
            // Blocks without a branch for each value.
            let (words, _) = self.bytes.as_chunks::<N>();
            words.chunks(4096).any(|block| block.iter().fold(false, |any, &word| any | (self.is_special)(word)))
        }
    }

    let is_special = special_test(elements.dtype, fill);
    match elements.dtype {
        Dtype::F32 if fill.is_none() => {
            let is_special = |word| {
                let bits = u32::from_le_bytes(word);
                bits & 0x7fff_ffff >= f32::INFINITY.to_bits() || bits == (-0.0f32).to_bits()
            };
            simd::run(Any::<_, 4> { bytes: elements.bytes, is_special })
        }
        Dtype::F64 if fill.is_none() => {
            let is_special = |word| {
                let bits = u64::from_le_bytes(word);
                bits & (u64::MAX >> 1) >= f64::INFINITY.to_bits() || bits == (-0.0f64).to_bits()
            };
            simd::run(Any::<_, 8> { bytes: elements.bytes, is_special })
        }
        dtype if !dtype.is_float() && fill.is_none() => false,
        _ => (0..elements.len()).any(|i| is_special(elements.bits(i))),
    }
}

/// Whether bits of this dtype are special.
pub(crate) fn special_test(dtype: Dtype, fill: Option<u64>) -> impl Fn(u64) -> bool {
    let float = dtype.is_float();
    let (sign, infinity) = if float { (sign_bit(dtype), infinity_bits(dtype)) } else { (0, u64::MAX) };
    move |bits| (float && (bits & !sign >= infinity || bits == sign)) || Some(bits) == fill
}
