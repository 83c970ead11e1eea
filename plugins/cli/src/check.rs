//! Whether a bound was kept, decided without the encoder: definitions only, streamed, compared exactly.
//!
//! Of every value that is NaN, infinite, -0.0 or the declared fill value, all bits must come back. Of every other, the
//! difference `|x' - x|` must not exceed what the bound allows. The comparison is exact: a rounded difference below the
//! bound proves it, because rounding is monotone, and one equal to it is settled by the rounding error.

use crate::failure::Result;
use crate::format::Array;
use baler_codec::{Bound, ByteOrder, Dtype};
use half::f16;

/// Smallest and largest ordinary value of each column, and of all.
#[derive(Clone, Debug)]
pub struct Ranges {
    kind: Kind,
    columns: Vec<(f64, f64)>,
}

/// Values of an array as `f64`, for statistics; integers beyond 2^53 are rounded.
pub struct Numbers(Kind);

impl Numbers {
    /// Rows have `n_columns` values.
    pub fn new(array: &Array, n_columns: usize) -> Self {
        Self(Kind { n_columns, ..Kind::of(array, false) })
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        self.0.n_columns * self.0.dtype.size_bytes()
    }

    /// Appends the values of whole elements. Of originals, fill values become NaN, which statistics leave out.
    pub fn read(&self, bytes: &[u8], byte_order: ByteOrder, is_original: bool, out: &mut Vec<f64>) {
        out.extend(bytes.chunks_exact(self.0.dtype.size_bytes()).map(|element| {
            let bits = bits(element, byte_order);
            let is_fill = is_original && Some(bits) == self.0.fill;
            if is_fill { f64::NAN } else { self.0.value(bits).to_f64() }
        }));
    }
}

/// How to take the bytes of an array.
#[derive(Clone, Debug)]
struct Kind {
    dtype: Dtype,
    byte_order: ByteOrder,
    /// Bits of the fill value.
    fill: Option<u64>,
    n_columns: usize,
}

impl Kind {
    fn of(array: &Array, per_column: bool) -> Self {
        let n_columns = if per_column { array.shape.last().map_or(1, |&n| (n as usize).max(1)) } else { 1 };
        let fill = array.fill.as_deref().map(|f| bits(f, array.byte_order));
        Self { dtype: array.dtype, byte_order: array.byte_order, fill, n_columns }
    }

    /// Values whose bits must come back.
    fn is_special(&self, bits: u64) -> bool {
        if Some(bits) == self.fill {
            return true;
        }
        match self.value(bits) {
            Value::Integer(_) => false,
            Value::Float(v) => !v.is_finite() || (v == 0.0 && v.is_sign_negative()),
        }
    }

    fn value(&self, bits: u64) -> Value {
        match self.dtype {
            Dtype::F16 => Value::Float(f64::from(f16::from_bits(bits as u16))),
            Dtype::F32 => Value::Float(f64::from(f32::from_bits(bits as u32))),
            Dtype::F64 => Value::Float(f64::from_bits(bits)),
            Dtype::I8 => Value::Integer(i128::from(bits as u8 as i8)),
            Dtype::I16 => Value::Integer(i128::from(bits as u16 as i16)),
            Dtype::I32 => Value::Integer(i128::from(bits as u32 as i32)),
            Dtype::I64 => Value::Integer(i128::from(bits as i64)),
            Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => Value::Integer(i128::from(bits)),
        }
    }
}

#[derive(Clone, Copy)]
enum Value {
    Float(f64),
    Integer(i128),
}

impl Value {
    fn to_f64(self) -> f64 {
        match self {
            Value::Float(v) => v,
            Value::Integer(v) => v as f64,
        }
    }
}

fn bits(bytes: &[u8], byte_order: ByteOrder) -> u64 {
    let mut word = [0u8; 8];
    match byte_order {
        ByteOrder::Little => word[..bytes.len()].copy_from_slice(bytes),
        ByteOrder::Big => bytes.iter().rev().zip(&mut word).for_each(|(b, w)| *w = *b),
    }
    u64::from_le_bytes(word)
}

impl Ranges {
    /// Of no values yet.
    pub fn new(array: &Array, per_column: bool) -> Self {
        let kind = Kind::of(array, per_column);
        let columns = vec![(f64::INFINITY, f64::NEG_INFINITY); kind.n_columns];
        Self { kind, columns }
    }

    /// Takes in whole rows.
    pub fn add(&mut self, rows: &[u8]) {
        for (i, element) in rows.chunks_exact(self.kind.dtype.size_bytes()).enumerate() {
            let bits = bits(element, self.kind.byte_order);
            if !self.kind.is_special(bits) {
                let v = self.kind.value(bits).to_f64();
                let (min, max) = &mut self.columns[i % self.kind.n_columns];
                *min = min.min(v);
                *max = max.max(v);
            }
        }
    }

    /// 1, or the number of columns with bounds of their own.
    pub fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// `max - min` of all columns together; 0 of no values.
    pub fn whole(&self) -> f64 {
        let all = self.columns.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), c| (a.min(c.0), b.max(c.1)));
        if all.0 <= all.1 { all.1 - all.0 } else { 0.0 }
    }

    /// `share * (max - min)` of a column, written so that it does not overflow.
    pub fn share(&self, column: usize, share: f64) -> f64 {
        let (min, max) = self.columns[column];
        if min <= max { max * share - min * share } else { 0.0 }
    }
}

/// What came out of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub n_values: u64,
    /// NaN, infinities, -0.0 and fill values among them.
    pub n_special: u64,
    /// Values that break the bound, or special ones that did not come back.
    pub n_broken: u64,
    /// Position of the first of them, and the two values.
    pub first_broken: Option<(u64, f64, f64)>,
    /// Largest `|x' - x|`.
    pub max_error: f64,
    /// Largest error as a share of what is allowed there.
    pub max_error_over_bound: f64,
    /// In dB, over all values; infinite where all are equal.
    pub psnr: f64,
}

/// Compares an array with its decoded self, block by block.
pub struct Checker {
    kind: Kind,
    decoded_order: ByteOrder,
    bound: Bound,
    ranges: Ranges,
    /// What is allowed in each column, for bounds that are one number there.
    allowed: Vec<f64>,
    squares: Vec<Sum>,
    n_ordinary: Vec<u64>,
    verdict: Verdict,
}

impl Checker {
    /// `ranges` are of the whole original; `decoded_order` is the byte order of what it is compared with.
    pub fn new(array: &Array, decoded_order: ByteOrder, bound: Bound, ranges: Ranges) -> Self {
        let kind = ranges.kind.clone();
        debug_assert_eq!(kind.dtype, array.dtype);
        let allowed = (0..kind.n_columns)
            .map(|c| match bound {
                Bound::Abs(abs) => abs,
                Bound::Rel(rel) => ranges.share(c, rel),
                _ => 0.0,
            })
            .collect();
        let n = kind.n_columns;
        Self {
            kind,
            decoded_order,
            bound,
            ranges,
            allowed,
            squares: vec![Sum::default(); n],
            n_ordinary: vec![0; n],
            verdict: Verdict::default(),
        }
    }

    /// Takes in the same whole rows of both.
    pub fn add(&mut self, original: &[u8], decoded: &[u8]) -> Result<()> {
        let size = self.kind.dtype.size_bytes();
        for (a, b) in original.chunks_exact(size).zip(decoded.chunks_exact(size)) {
            let column = (self.verdict.n_values % self.kind.n_columns as u64) as usize;
            let (a, b) = (bits(a, self.kind.byte_order), bits(b, self.decoded_order));
            let kept = self.compare(column, a, b);
            if !kept {
                self.verdict.n_broken += 1;
                let values = (self.kind.value(a).to_f64(), self.kind.value(b).to_f64());
                self.verdict.first_broken.get_or_insert((self.verdict.n_values, values.0, values.1));
            }
            self.verdict.n_values += 1;
        }
        Ok(())
    }

    fn compare(&mut self, column: usize, a: u64, b: u64) -> bool {
        if self.kind.is_special(a) {
            self.verdict.n_special += 1;
            return a == b || self.bound == Bound::Latent;
        }
        self.n_ordinary[column] += 1;
        if a == b {
            return true;
        }
        let (x, y) = (self.kind.value(a), self.kind.value(b));
        let error = match (x, y) {
            (Value::Integer(x), Value::Integer(y)) => x.abs_diff(y) as f64,
            _ => (y.to_f64() - x.to_f64()).abs(),
        };
        self.squares[column].add(error * error);
        let v = &mut self.verdict;
        // A NaN where a number was is the worst error there is.
        v.max_error = if error.is_nan() { f64::INFINITY } else { v.max_error.max(error) };
        let allowed = match self.bound {
            Bound::Lossless => 0.0,
            Bound::Abs(_) | Bound::Rel(_) => self.allowed[column],
            Bound::PwRel(rel) => rel * x.to_f64().abs(),
            Bound::Psnr(_) => return !error.is_nan(),
            Bound::Latent => return true,
        };
        let share = if allowed > 0.0 && !error.is_nan() { error / allowed } else { f64::INFINITY };
        v.max_error_over_bound = v.max_error_over_bound.max(share);
        match (x, y) {
            (Value::Integer(x), Value::Integer(y)) => x.abs_diff(y) <= allowed as u128,
            _ => within(x.to_f64(), y.to_f64(), allowed, self.bound),
        }
    }

    /// The verdict over everything that was added.
    pub fn finish(mut self) -> Verdict {
        let n: u64 = self.n_ordinary.iter().sum();
        let (min, max) =
            self.ranges.columns.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), c| (a.min(c.0), b.max(c.1)));
        let square_sum: f64 = self.squares.iter().map(Sum::value).sum();
        self.verdict.psnr = psnr(max - min, square_sum, n);
        if let Bound::Psnr(db) = self.bound {
            for c in 0..self.kind.n_columns {
                let square_sum = self.squares[c].value();
                if square_sum == 0.0 {
                    continue;
                }
                let rms = (square_sum / self.n_ordinary[c] as f64).sqrt();
                let over = rms / self.ranges.share(c, 10f64.powf(-db / 20.0));
                self.verdict.max_error_over_bound = self.verdict.max_error_over_bound.max(over);
                // A mean of many rounded squares is good to some units in the twelfth digit.
                if over.is_nan() || over > 1.0 + 1e-12 {
                    self.verdict.n_broken += self.n_ordinary[c];
                }
            }
        }
        self.verdict
    }
}

fn psnr(range: f64, square_sum: f64, n: u64) -> f64 {
    if square_sum == 0.0 { f64::INFINITY } else { 20.0 * range.log10() - 10.0 * (square_sum / n as f64).log10() }
}

/// Whether `|y - x| <= allowed`, exactly; of a pointwise bound, whether `|y - x| <= rel * |x|` is, before rounding.
fn within(x: f64, y: f64, allowed: f64, bound: Bound) -> bool {
    let difference = y - x;
    let size = difference.abs();
    if size != allowed {
        // False for NaN.
        return size < allowed;
    }
    // What rounding took from the size (Knuth's TwoSum) and from what is allowed.
    let part = difference - y;
    let lost = (y - (difference - part)) + (-x - part);
    let lost = if difference < 0.0 { -lost } else { lost };
    let spare = match bound {
        Bound::PwRel(rel) => rel.mul_add(x.abs(), -allowed),
        _ => 0.0,
    };
    lost <= spare
}

/// A sum that keeps what rounding would lose (Neumaier).
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, v: f64) {
        let sum = self.sum + v;
        self.lost += if self.sum.abs() >= v.abs() { (self.sum - sum) + v } else { (v - sum) + self.sum };
        self.sum = sum;
    }

    fn value(&self) -> f64 {
        self.sum + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(dtype: Dtype, byte_order: ByteOrder, fill: Option<Vec<u8>>) -> Array {
        Array { name: String::new(), dtype, byte_order, shape: vec![2, 2], reversed_axes: false, fill, promise: None }
    }

    fn check_f64(bound: Bound, per_column: bool, x: [f64; 4], y: [f64; 4]) -> Verdict {
        let a = array(Dtype::F64, ByteOrder::Big, None);
        let x: Vec<u8> = x.iter().flat_map(|v| v.to_be_bytes()).collect();
        let y: Vec<u8> = y.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut ranges = Ranges::new(&a, per_column);
        ranges.add(&x);
        let mut c = Checker::new(&a, ByteOrder::Little, bound, ranges);
        c.add(&x, &y).ok().unwrap();
        c.finish()
    }

    #[test]
    fn a_bound_met_exactly_is_kept_and_one_beyond_is_not() {
        let x = [0.0, 1.0, 2.0, 4.0];
        let v = check_f64(Bound::Abs(0.5), false, x, [0.5, 1.0, 1.5, 4.0]);
        assert_eq!((v.n_broken, v.max_error, v.max_error_over_bound), (0, 0.5, 1.0));
        let v = check_f64(Bound::Abs(0.5), false, x, [0.5f64.next_up(), 1.0, 2.0, 4.0]);
        assert_eq!(v.first_broken, Some((0, 0.0, 0.5f64.next_up())));
        // The rounded difference of these two equals the bound; the true one is larger.
        assert!(!within(1e16, -1.0, 1e16, Bound::Abs(1e16)));
        assert!(within(1e16, 1.0, 1e16, Bound::Abs(1e16)));
    }

    #[test]
    fn relative_bounds_are_of_the_range_or_of_the_columns() {
        let (x, y) = ([0.0, 0.0, 1.0, 100.0], [0.5, 0.0, 1.0, 100.0]);
        assert_eq!(check_f64(Bound::Rel(0.01), false, x, y).n_broken, 0);
        assert_eq!(check_f64(Bound::Rel(0.01), true, x, y).n_broken, 1);
        assert_eq!(check_f64(Bound::Rel(0.5), true, x, y).n_broken, 0);
    }

    #[test]
    fn special_values_must_come_back_bit_for_bit() {
        let other_nan = f64::from_bits(f64::NAN.to_bits() ^ 1);
        let x = [f64::NAN, f64::INFINITY, -0.0, 1.0];
        assert_eq!(check_f64(Bound::Abs(9.0), false, x, x).n_broken, 0);
        assert_eq!(check_f64(Bound::Abs(9.0), false, x, [other_nan, f64::MAX, 0.0, 1.0]).n_broken, 3);
        assert_eq!(check_f64(Bound::Abs(9.0), false, [1.0; 4], [f64::NAN, f64::INFINITY, 1.0, 1.0]).n_broken, 2);
        assert!(check_f64(Bound::Psnr(9.0), false, [1.0, 2.0, 1.0, 1.0], [f64::NAN, 2.0, 1.0, 1.0]).n_broken > 0);
    }

    #[test]
    fn integers_beyond_f64_are_compared_exactly() {
        let a = array(Dtype::U64, ByteOrder::Little, Some(7u64.to_le_bytes().to_vec()));
        let x: Vec<u8> = [u64::MAX, u64::MAX, 7, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let y: Vec<u8> = [u64::MAX - 2, u64::MAX - 3, 8, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut c = Checker::new(&a, ByteOrder::Little, Bound::Abs(2.9), Ranges::new(&a, false));
        c.add(&x, &y).ok().unwrap();
        assert_eq!(c.finish().n_broken, 2);
    }

    #[test]
    fn pointwise_and_psnr() {
        let x = [1.0, -2.0, 0.0, 4.0];
        assert_eq!(check_f64(Bound::PwRel(0.5), false, x, [1.5, -1.0, 0.0, 6.0]).n_broken, 0);
        assert_eq!(check_f64(Bound::PwRel(0.5), false, x, [1.5, -1.0, 1e-300, 6.0]).n_broken, 1);
        let v = check_f64(Bound::Psnr(26.0), false, [0.0, 10.0, 0.0, 10.0], [0.5, 9.5, 0.5, 9.5]);
        assert!((v.psnr - 26.0206).abs() < 1e-4 && v.n_broken == 0, "{v:?}");
        assert!(check_f64(Bound::Psnr(26.1), false, [0.0, 10.0, 0.0, 10.0], [0.5, 9.5, 0.5, 9.5]).n_broken > 0);
    }
}
