//! Values that no bound is defined for: NaN, infinities, -0.0 and the declared fill value.
//!
//! They are taken out before quantisation and put back bit for bit. The few most common bit patterns get a class each in
//! a run-length map; any other is left to the exceptions, which keep exact bits too.

use crate::element::{Elements, infinity_bits, sign_bit};
use crate::entropy::bytes;
use crate::error::{Error, Result};
use crate::params::Dtype;
use crate::simd::{self, Kernel};
use crate::wire::{Reader, Writer};

/// At most this many patterns have a class.
const MAX_PATTERNS: usize = 15;

/// Where the special values are, and what they are.
#[derive(Default)]
pub(crate) struct Specials {
    /// The bits of each class from 1 up.
    pub patterns: Vec<u64>,
    /// 0 for an ordinary value, otherwise the class; empty where there is no special value at all.
    pub classes: Vec<u8>,
}

impl Specials {
    /// Finds the special values. `fill` holds the bits of the declared fill value.
    pub fn find(elements: Elements<'_>, fill: Option<u64>) -> Self {
        if !has_any(elements, fill) {
            return Self::default();
        }
        let n = elements.len();
        let is_special = special_test(elements.dtype, fill);
        // The fill value always has a class: nothing but this map tells it from ordinary values.
        let mut counts: Vec<(u64, usize)> = fill.map(|bits| (bits, 0)).into_iter().collect();
        for i in 0..n {
            let bits = elements.bits(i);
            if is_special(bits) {
                if let Some((_, count)) = counts.iter_mut().find(|(b, _)| *b == bits) {
                    *count += 1;
                } else if counts.len() < 4 * MAX_PATTERNS {
                    counts.push((bits, 1));
                }
            }
        }
        // Stable: equal counts keep the order of first appearance, so that the same input gives the same stream.
        counts.sort_by_key(|&(bits, count)| (Some(bits) != fill, std::cmp::Reverse(count)));
        counts.retain(|&(_, count)| count > 0);
        counts.truncate(MAX_PATTERNS);
        let patterns: Vec<u64> = counts.iter().map(|&(b, _)| b).collect();
        let class_of = |bits| patterns.iter().position(|&p| p == bits).map_or(0, |k| k as u8 + 1);
        let classes = (0..n).map(|i| elements.bits(i)).map(|b| if is_special(b) { class_of(b) } else { 0 }).collect();
        Self { patterns, classes }
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
pub(crate) fn has_any(elements: Elements<'_>, fill: Option<u64>) -> bool {
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
