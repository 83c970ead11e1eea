//! The range of a whole array, and what a relative bound means for its chunks.
//!
//! A user's `rel` is relative to the array they handed in. Chunks see less of it, so each would take it for something
//! else; it is turned into an absolute bound before the array is split.

use crate::element::{Elements, bits_to_f64, infinity_bits, low_mask, sign_bit, swap_order};
use crate::error::{Error, Result};
use crate::params::{Bound, ByteOrder, Dtype};
use std::borrow::Cow;

/// Smallest and largest finite, not filled value seen so far.
#[derive(Clone, Debug)]
pub struct Span {
    dtype: Dtype,
    byte_order: ByteOrder,
    fill: Option<u64>,
    extremes: Extremes,
}

#[derive(Clone, Copy, Debug)]
enum Extremes {
    Float { min: f64, max: f64 },
    Integer { min: i64, max: i64 },
}

impl Span {
    /// Of no values yet. `fill` is one element in `byte_order`.
    pub fn new(dtype: Dtype, byte_order: ByteOrder, fill: Option<&[u8]>) -> Result<Self> {
        let fill = fill
            .map(|f| {
                if f.len() != dtype.size_bytes() {
                    return Err(Error::invalid(format!(
                        "the fill value has {} bytes: expected {} for {dtype}",
                        f.len(),
                        dtype.size_bytes()
                    )));
                }
                Ok(Elements::new(dtype, &canonical(dtype, byte_order, f)).bits(0))
            })
            .transpose()?;
        let extremes = if dtype.is_float() {
            Extremes::Float { min: f64::INFINITY, max: f64::NEG_INFINITY }
        } else {
            Extremes::Integer { min: i64::MAX, max: i64::MIN }
        };
        Ok(Self { dtype, byte_order, fill, extremes })
    }

    /// Takes in the bytes of whole elements.
    pub fn add(&mut self, values: &[u8]) {
        let bytes = canonical(self.dtype, self.byte_order, values);
        let elements = Elements::new(self.dtype, &bytes);
        let magnitude = low_mask(self.dtype) ^ sign_bit(self.dtype);
        match &mut self.extremes {
            Extremes::Float { min, max } => {
                for bits in (0..elements.len()).map(|i| elements.bits(i)) {
                    if bits & magnitude < infinity_bits(self.dtype) && Some(bits) != self.fill {
                        let v = bits_to_f64(self.dtype, bits);
                        *min = min.min(v);
                        *max = max.max(v);
                    }
                }
            }
            Extremes::Integer { min, max } => {
                let values = elements.to_ints();
                for i in (0..values.len()).filter(|&i| self.fill.is_none_or(|f| elements.bits(i) != f)) {
                    *min = (*min).min(values.get(i));
                    *max = (*max).max(values.get(i));
                }
            }
        }
    }

    /// `max - min`, rounded down where it is no `f64`; 0 of no values.
    pub fn range(&self) -> f64 {
        match self.extremes {
            Extremes::Float { min, max } if min <= max => sub_down(max, min),
            Extremes::Integer { min, max } if min <= max => {
                let range = max.abs_diff(min);
                let rounded = range as f64;
                if rounded as u128 > u128::from(range) { rounded.next_down() } else { rounded }
            }
            _ => 0.0,
        }
    }
}

fn canonical(dtype: Dtype, byte_order: ByteOrder, bytes: &[u8]) -> Cow<'_, [u8]> {
    match byte_order {
        ByteOrder::Little => Cow::Borrowed(bytes),
        ByteOrder::Big => {
            let mut owned = bytes.to_vec();
            swap_order(&mut owned, dtype, byte_order);
            Cow::Owned(owned)
        }
    }
}

/// `a - b` for `a >= b`, rounded down.
fn sub_down(a: f64, b: f64) -> f64 {
    let d = a - b;
    if d == f64::INFINITY {
        return f64::MAX;
    }
    // Knuth's exact error of the subtraction.
    let bb = d - a;
    let error = (a - (d - bb)) - (b + bb);
    if error < 0.0 { d.next_down() } else { d }
}

/// `a * b` for factors of at least 0, rounded down; never above the product, perhaps a unit below.
fn mul_down(a: f64, b: f64) -> f64 {
    let p = a * b;
    let exact = p > 1e-280 && a.mul_add(b, -p) >= 0.0;
    if exact || p == 0.0 { p } else { p.next_down() }
}

/// What a chunk that spans `chunk` must keep, so that the array that spans `whole` keeps `bound`. Bounds per column are
/// left as they are: relative to the chunk's columns, and so at least as strict.
pub fn resolve_bound(bound: Bound, per_column: bool, whole: &Span, chunk: &Span) -> Bound {
    match bound {
        _ if per_column => bound,
        Bound::Rel(rel) => match mul_down(rel, whole.range()) {
            abs if abs > 0.0 => Bound::Abs(abs),
            _ => Bound::Lossless,
        },
        // The mean square error may be what it may be over the array, in every chunk.
        Bound::Psnr(db) if chunk.range() > 0.0 => {
            const MARGIN_DB: f64 = 1e-6;
            Bound::Psnr((db - 20.0 * (whole.range() / chunk.range()).log10() + MARGIN_DB).max(1.0))
        }
        Bound::Psnr(_) => Bound::Lossless,
        _ => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span_f32(values: &[f32]) -> Span {
        let mut s = Span::new(Dtype::F32, ByteOrder::Big, Some(&(-999f32).to_be_bytes())).unwrap();
        for v in values {
            s.add(&v.to_be_bytes());
        }
        s
    }

    #[test]
    fn range_leaves_out_what_is_no_value() {
        assert_eq!(span_f32(&[1.0, f32::NAN, -999.0, f32::INFINITY, 3.5]).range(), 2.5);
        assert_eq!(span_f32(&[f32::NAN]).range(), 0.0);
    }

    #[test]
    fn integer_range_is_rounded_down() {
        let mut s = Span::new(Dtype::U64, ByteOrder::Little, None).unwrap();
        s.add(&u64::MAX.to_le_bytes());
        s.add(&0u64.to_le_bytes());
        assert_eq!(s.range(), 18446744073709549568.0);
        let mut s = Span::new(Dtype::I64, ByteOrder::Little, None).unwrap();
        s.add(&i64::MIN.to_le_bytes());
        s.add(&i64::MAX.to_le_bytes());
        assert_eq!(s.range(), 18446744073709549568.0);
    }

    #[test]
    fn float_range_is_rounded_down() {
        assert_eq!(sub_down(1.0, -1e-30), 1.0);
        assert_eq!(sub_down(1.0, 1e-30), 1.0f64.next_down());
        assert_eq!(sub_down(f64::MAX, -f64::MAX), f64::MAX);
        assert_eq!(sub_down(0.3, 0.1), 0.3 - 0.1);
    }

    #[test]
    fn relative_bounds_are_of_the_whole_array() {
        let (whole, part) = (span_f32(&[0.0, 8.0]), span_f32(&[0.0, 2.0]));
        assert_eq!(resolve_bound(Bound::Rel(0.25), false, &whole, &part), Bound::Abs(2.0));
        assert_eq!(resolve_bound(Bound::Rel(0.25), true, &whole, &part), Bound::Rel(0.25));
        assert_eq!(resolve_bound(Bound::Rel(0.25), false, &span_f32(&[]), &part), Bound::Lossless);
        let Bound::Psnr(db) = resolve_bound(Bound::Psnr(60.0), false, &whole, &part) else { panic!() };
        assert!((db - (60.0 - 12.0412)).abs() < 1e-3, "{db}");
    }
}
