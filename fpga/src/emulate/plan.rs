//! A program as steps for lanes of 32 or 64 bits.

use super::cast::Cast;
use crate::fixed::Format;
use crate::ir::{Accumulator, Dense, Layer, LayerRanges, Op, Program, Range, Table};

/// An integer of one lane. Operations wrap, but nothing here makes them: a plan exists only where ranges forbid it.
pub trait Lane: Copy + Default + Ord + std::fmt::Debug + Send + Sync {
    const BITS: u32;
    fn from_i64(value: i64) -> Self;
    fn to_i64(self) -> i64;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn not(self) -> Self;
    fn shl(self, bits: u32) -> Self;
    fn shr(self, bits: u32) -> Self;
    /// 1 if it is zero, else 0.
    fn is_zero(self) -> Self;
    fn from_i128(value: i128) -> Option<Self>;
}

macro_rules! lane {
    ($($t:ty),*) => {$(
        impl Lane for $t {
            const BITS: u32 = <$t>::BITS;
            #[inline(always)]
            fn from_i64(value: i64) -> Self { value as $t }
            #[inline(always)]
            fn to_i64(self) -> i64 { self.into() }
            #[inline(always)]
            fn plus(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn minus(self, other: Self) -> Self { self.wrapping_sub(other) }
            #[inline(always)]
            fn times(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn and(self, other: Self) -> Self { self & other }
            #[inline(always)]
            fn or(self, other: Self) -> Self { self | other }
            #[inline(always)]
            fn not(self) -> Self { !self }
            #[inline(always)]
            fn shl(self, bits: u32) -> Self { self.wrapping_shl(bits) }
            #[inline(always)]
            fn shr(self, bits: u32) -> Self { self.wrapping_shr(bits) }
            #[inline(always)]
            fn is_zero(self) -> Self { Self::from(self == 0) }
            fn from_i128(value: i128) -> Option<Self> { Self::try_from(value).ok() }
        }
    )*};
}
lane!(i32, i64);

/// A program for lanes of `T`.
#[derive(Clone, Debug)]
pub struct Plan<T> {
    /// Lowest and highest integer of each input.
    pub inputs: Vec<(T, T)>,
    pub steps: Vec<Step<T>>,
    pub n_outputs: usize,
    /// The most elements of any layer, or of the input.
    pub widest: usize,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Step<T> {
    pub kind: Kind<T>,
    /// One for each element.
    pub casts: Vec<Cast<T>>,
}

#[derive(Clone, Debug)]
pub enum Kind<T> {
    /// Exact sums; weights and biases are shifted to one grid.
    Dense {
        weights: Vec<T>,
        biases: Vec<T>,
        pairs: Option<Pairs>,
    },
    /// Every product and every sum is cast.
    Stepwise {
        weights: Vec<T>,
        biases: Vec<T>,
        products: Vec<Cast<T>>,
        sums: Cast<T>,
    },
    Cast,
    Relu,
    /// The factor below zero, and what shifts the values above to the same grid.
    LeakyRelu {
        alpha: T,
        shift: u32,
    },
    /// With the fraction bits of each input.
    Table {
        table: Table,
        fraction_bits: Vec<i32>,
    },
    ScaleShift {
        scales: Vec<T>,
        shifts: Vec<T>,
    },
}

/// Weights for the multiply-add of pairs: two of 16 bits in each integer, `n_inputs.div_ceil(2)` for each output.
#[derive(Clone, Debug)]
pub struct Pairs {
    pub weights: Vec<i32>,
}

impl<T: Lane> Plan<T> {
    /// The plan, if lanes of `T` hold everything that can occur.
    pub fn new(program: &Program) -> Option<Self> {
        let fits = |range: Range| range.fits_signed(T::BITS);
        let formats = &program.input().formats;
        let inputs = formats
            .iter()
            .map(|f| Some((T::from_i128(f.min_raw())?, T::from_i128(f.max_raw())?)))
            .collect::<Option<Vec<_>>>()?;
        let mut before: Vec<Range> = formats.iter().map(|f| Range { low: f.min_raw(), high: f.max_raw() }).collect();
        let mut steps = Vec::with_capacity(program.layers().len());
        for (i, (layer, ranges)) in program.layers().iter().zip(program.ranges()).enumerate() {
            if !ranges.exact.iter().chain(&ranges.partial).chain(&ranges.output).all(|&r| fits(r)) {
                return None;
            }
            steps.push(step(layer, ranges, program.formats_before(i), &before)?);
            before.clone_from(&ranges.output);
        }
        let widest = program.layers().iter().map(|layer| layer.formats.len()).max().unwrap_or(0).max(inputs.len());
        Some(Self { inputs, steps, n_outputs: program.output_len(), widest })
    }

    /// Dense layers by pairs, and all.
    pub fn n_dense_by_pairs(&self) -> (usize, usize) {
        let of = |step: &Step<T>| match &step.kind {
            Kind::Dense { pairs, .. } => (usize::from(pairs.is_some()), 1),
            Kind::Stepwise { .. } => (0, 1),
            _ => (0, 0),
        };
        self.steps.iter().map(of).fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    }
}

fn step<T: Lane>(layer: &Layer, ranges: &LayerRanges, formats: &[Format], before: &[Range]) -> Option<Step<T>> {
    let n = layer.formats.len();
    let casts = (0..n)
        .map(|j| {
            let range = ranges.exact[j];
            let bits = range.bits() + u32::from(!range.is_signed());
            Cast::new(ranges.fraction_bits[j], bits, layer.formats[j], ranges.may_overflow[j])
        })
        .collect::<Option<Vec<_>>>()?;
    let kind = match &layer.op {
        Op::Dense(dense) => match dense.accumulator {
            Accumulator::Stepwise(to) if !ranges.is_exact => stepwise(dense, to, formats, before)?,
            _ => exact(dense, formats, before)?,
        },
        Op::Cast => Kind::Cast,
        Op::Relu => Kind::Relu,
        Op::LeakyRelu { alpha, alpha_format } => {
            // One shift for all: values above zero go to the finer grid.
            let shift = u32::try_from(alpha_format.fraction_bits()).ok()?;
            let holds = |range: &Range| Some(range.bits() + 1 + shift.max(alpha_format.width()) <= T::BITS);
            before.iter().all(|range| holds(range) == Some(true)).then_some(())?;
            Kind::LeakyRelu { alpha: T::from_i128((*alpha).into())?, shift }
        }
        Op::Table(table) => {
            let product = |range: &Range| range.bits() + 1 + (usize::BITS - table.entries.len().leading_zeros());
            if before.iter().any(|range| product(range) > 64)
                || formats.iter().any(|f| !(0..63).contains(&f.fraction_bits()))
            {
                return None;
            }
            Kind::Table { table: table.clone(), fraction_bits: formats.iter().map(|f| f.fraction_bits()).collect() }
        }
        Op::ScaleShift(affine) => {
            let (mut scales, mut shifts) = (Vec::with_capacity(n), Vec::with_capacity(n));
            for i in 0..n {
                let product = formats[i].fraction_bits() + affine.scale_format.fraction_bits();
                let finest = ranges.fraction_bits[i];
                let scale = T::from_i128(aligned(affine.scales[i], finest - product)?)?;
                let shift = aligned(affine.shifts[i], finest - affine.shift_format.fraction_bits())?;
                if !times(before[i], scale.to_i64()).is_some_and(|r| r.fits_signed(T::BITS)) {
                    return None;
                }
                scales.push(scale);
                shifts.push(T::from_i128(shift)?);
            }
            Kind::ScaleShift { scales, shifts }
        }
    };
    Some(Step { kind, casts })
}

/// `raw * 2^bits` in 127 bits.
fn aligned(raw: i64, bits: i32) -> Option<i128> {
    let bits = u32::try_from(bits).ok()?;
    if raw == 0 {
        return Some(0);
    }
    (bits < 63).then(|| i128::from(raw) << bits)
}

fn times(range: Range, factor: i64) -> Option<Range> {
    let (a, b) = (range.low.checked_mul(factor.into())?, range.high.checked_mul(factor.into())?);
    Some(Range { low: a.min(b), high: a.max(b) })
}

fn exact<T: Lane>(dense: &Dense, formats: &[Format], before: &[Range]) -> Option<Kind<T>> {
    let finest = dense.fraction_bits(formats);
    let mut weights = Vec::with_capacity(dense.weights.len() * formats.len());
    for row in &dense.weights {
        for (&weight, format) in row.iter().zip(formats) {
            let shift = finest - dense.weight_format.fraction_bits() - format.fraction_bits();
            weights.push(T::from_i128(aligned(weight, shift)?)?);
        }
    }
    let bias = |&bias: &i64| T::from_i128(aligned(bias, finest - dense.bias_format.fraction_bits())?);
    let biases = dense.biases.iter().map(bias).collect::<Option<Vec<_>>>()?;
    let is_short = |v: i64| i16::try_from(v).is_ok();
    let by_pairs = T::BITS == 32
        && before.iter().all(|range| range.fits_signed(16))
        && weights.iter().all(|w| is_short(w.to_i64()));
    let pairs = by_pairs.then(|| {
        let pair = |pair: &[T]| {
            let [low, high] = [pair[0].to_i64(), pair.get(1).map_or(0, |w| w.to_i64())];
            low as i32 & 0xffff | (high as i32) << 16
        };
        Pairs { weights: weights.chunks(formats.len()).flat_map(|row| row.chunks(2).map(pair)).collect() }
    });
    Some(Kind::Dense { weights, biases, pairs })
}

fn stepwise<T: Lane>(dense: &Dense, to: Format, formats: &[Format], before: &[Range]) -> Option<Kind<T>> {
    // The sum of two values of the accumulator before it is cast again.
    if to.width() + 2 > T::BITS {
        return None;
    }
    let widest = dense.weight_format.width();
    let products = formats
        .iter()
        .zip(before)
        .map(|(format, range)| {
            let fraction = format.fraction_bits() + dense.weight_format.fraction_bits();
            Cast::new(fraction, range.bits() + 1 + widest, to, true)
        })
        .collect::<Option<Vec<_>>>()?;
    let weights = dense.weights.iter().flatten().map(|&w| T::from_i128(w.into())).collect::<Option<Vec<_>>>()?;
    let cast = |&bias: &i64| {
        let raw = crate::fixed::Fixed::from_grid(bias.into(), dense.bias_format.fraction_bits(), to).raw();
        T::from_i128(raw)
    };
    let biases = dense.biases.iter().map(cast).collect::<Option<Vec<_>>>()?;
    let sums = Cast::new(to.fraction_bits(), to.width() + 2, to, true)?;
    Some(Kind::Stepwise { weights, biases, products, sums })
}
