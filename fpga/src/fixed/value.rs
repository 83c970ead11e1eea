//! A fixed-point value and its exact arithmetic.

use super::Format;
use baler_codec::{Error, Result};
use std::fmt;

/// A value: `raw * 2^-F` in a format with `F` fraction bits.
///
/// Two are equal if integer and format are: `0.5` in two formats is two different things in hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fixed {
    /// Within the range of `format`.
    raw: i128,
    format: Format,
}

impl Fixed {
    /// The value whose integer is `raw`.
    ///
    /// # Errors
    /// If `raw` is outside the range of `format`.
    pub fn new(raw: i128, format: Format) -> Result<Self> {
        if !(format.min_raw()..=format.max_raw()).contains(&raw) {
            return Err(Error::invalid(format!(
                "integer {raw} is outside {format}: expected {} to {}",
                format.min_raw(),
                format.max_raw()
            )));
        }
        Ok(Self { raw, format })
    }

    /// The caller knows that `raw` is within the range.
    pub(super) fn from_valid(raw: i128, format: Format) -> Self {
        debug_assert!((format.min_raw()..=format.max_raw()).contains(&raw), "{raw} in {format}");
        Self { raw, format }
    }

    /// Zero.
    pub fn zero(format: Format) -> Self {
        Self { raw: 0, format }
    }

    /// `value` cast to `format` by its modes, as the exact number the double stands for.
    ///
    /// # Errors
    /// NaN and infinities.
    pub fn from_f64(value: f64, format: Format) -> Result<Self> {
        const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
        const EXPONENT_OF_LAST_BIT: i32 = f64::MIN_EXP - f64::MANTISSA_DIGITS as i32;
        if !value.is_finite() {
            return Err(Error::invalid(format!("{value} has no fixed-point value: expected a finite number")));
        }
        let bits = value.to_bits();
        let mantissa = i128::from(bits & ((1 << MANTISSA_BITS) - 1));
        let (mantissa, exponent) = match (bits >> MANTISSA_BITS & 0x7ff) as i32 {
            0 => (mantissa, EXPONENT_OF_LAST_BIT),
            biased => (mantissa | 1 << MANTISSA_BITS, EXPONENT_OF_LAST_BIT + biased - 1),
        };
        let raw = if value.is_sign_negative() { -mantissa } else { mantissa };
        Ok(Self::from_grid(raw, -exponent, format))
    }

    /// The integer.
    pub fn raw(self) -> i128 {
        self.raw
    }

    /// The format.
    pub fn format(self) -> Format {
        self.format
    }

    /// The double nearest to this value: exact up to 53 significant bits and within the double's range of exponents.
    pub fn to_f64(self) -> f64 {
        // In two steps: 2^-F alone may be beyond a double where the value is not.
        let half = self.format.fraction_bits() / 2;
        self.raw as f64 * 2f64.powi(-half) * 2f64.powi(half - self.format.fraction_bits())
    }

    /// The exact product, in the format [`Format::of_product`].
    ///
    /// # Errors
    /// If that format is too wide.
    #[allow(clippy::should_implement_trait, reason = "the result has another format and may not exist")]
    pub fn mul(self, other: Self) -> Result<Self> {
        let format = self.format.of_product(other.format)?;
        Ok(Self::from_valid(self.raw * other.raw, format))
    }

    /// The exact sum, in the format [`Format::of_sum`].
    ///
    /// # Errors
    /// If that format is too wide.
    #[allow(clippy::should_implement_trait, reason = "the result has another format and may not exist")]
    pub fn add(self, other: Self) -> Result<Self> {
        let format = self.format.of_sum(other.format)?;
        Ok(Self::from_valid(self.raw_in(format) + other.raw_in(format), format))
    }

    /// The exact difference `self - other`, in the format [`Format::of_difference`].
    ///
    /// # Errors
    /// If that format is too wide.
    #[allow(clippy::should_implement_trait, reason = "the result has another format and may not exist")]
    pub fn sub(self, other: Self) -> Result<Self> {
        let format = self.format.of_difference(other.format)?;
        Ok(Self::from_valid(self.raw_in(format) - other.raw_in(format), format))
    }

    /// Divided by an integer: the quotient of the raw integers, towards zero, on the grid of `self`.
    ///
    /// The format grows by one bit for `-2^(W-1) / -1`, and has a sign if `self` has or `divisor` is negative.
    ///
    /// # Errors
    /// If `divisor` is zero, or the format too wide.
    pub fn div_integer(self, divisor: i64) -> Result<Self> {
        if divisor == 0 {
            return Err(Error::invalid(format!("a value of {} divided by zero", self.format)));
        }
        let is_signed = self.format.is_signed() || divisor < 0;
        let format = Format::new(is_signed, self.format.width() + 1, self.format.integer_bits() + 1)?;
        Ok(Self::from_valid(self.raw / i128::from(divisor), format))
    }

    /// The integer part, towards zero: what `ap_fixed` gives where C++ asks for an `int`.
    ///
    /// # Errors
    /// If an `i128` does not hold it.
    pub fn to_integer(self) -> Result<i128> {
        let too_large = || Error::unsupported(format!("the integer part of {self} has more than 128 bits"));
        match self.format.fraction_bits() {
            fraction @ 0..127 => Ok(self.raw / (1 << fraction)),
            127.. => Ok(0),
            fraction => {
                let n = fraction.unsigned_abs();
                let shifted = if n < 128 { self.raw << n } else { 0 };
                let is_exact = self.raw == 0 || n < 128 && shifted >> n == self.raw;
                if is_exact { Ok(shifted) } else { Err(too_large()) }
            }
        }
    }

    /// The integer on the finer grid of `format`, which has room for it.
    fn raw_in(self, format: Format) -> i128 {
        self.raw << (format.fraction_bits() - self.format.fraction_bits())
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} of {})", self.to_f64(), self.raw, self.format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(value: f64, text: &str) -> Fixed {
        Fixed::from_f64(value, text.parse().unwrap()).unwrap()
    }

    #[test]
    fn doubles_are_read_exactly() {
        assert_eq!(fixed(-(2f64.powi(-12)), "fixed<16,6>").raw(), -1);
        assert_eq!(fixed(f64::from_bits(1), "fixed<16,6>").raw(), 0);
        assert_eq!(fixed(-f64::from_bits(1), "fixed<16,6>").raw(), -1);
        assert_eq!(fixed(f64::from_bits(1), "fixed<4,-1071>").raw(), 2);
        assert_eq!(fixed(f64::MIN_POSITIVE, "ufixed<8,-1020>").raw(), 64);
        assert_eq!(fixed(f64::MAX, "fixed<16,6,TRN,SAT>").raw(), 32767);
        assert_eq!(fixed(f64::MIN, "fixed<16,6,TRN,SAT>").raw(), -32768);
        assert_eq!(fixed(1.0, "fixed<60,4>").raw(), 1 << 56);
        assert_eq!(fixed(-0.0, "fixed<16,6>").raw(), 0);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Fixed::from_f64(value, Format::signed(8, 4).unwrap()).is_err());
        }
        for value in [1.5, -3.25, 2f64.powi(-10), -32.0] {
            assert_eq!(fixed(value, "fixed<16,6>").to_f64(), value);
        }
        assert_eq!(fixed(f64::from_bits(3), "fixed<4,-1070>").to_f64(), f64::from_bits(3));
    }

    #[test]
    fn refuses_integers_outside() {
        let format = Format::signed(8, 3).unwrap();
        assert!(Fixed::new(127, format).is_ok() && Fixed::new(-128, format).is_ok());
        assert!(Fixed::new(128, format).is_err() && Fixed::new(-129, format).is_err());
        assert!(Fixed::new(-1, Format::unsigned(8, 3).unwrap()).is_err());
    }

    #[test]
    fn arithmetic_at_the_corners_of_the_range() {
        let (a, b) = (fixed(-8.0, "fixed<4,4>"), fixed(15.0, "ufixed<4,4>"));
        assert_eq!(a.mul(a).unwrap().to_f64(), 64.0);
        assert_eq!(a.mul(b).unwrap().to_f64(), -120.0);
        assert_eq!(a.add(b).unwrap().to_f64(), 7.0);
        assert_eq!(a.sub(b).unwrap().to_f64(), -23.0);
        assert_eq!(b.sub(a).unwrap().to_f64(), 23.0);
        assert_eq!(b.add(b).unwrap().to_f64(), 30.0);
        assert_eq!(Fixed::zero(b.format()).sub(b).unwrap().to_f64(), -15.0);
        assert_eq!(fixed(0.0625, "fixed<8,2>").add(fixed(-8.0, "fixed<4,5>")).unwrap().to_f64(), -7.9375);
    }

    #[test]
    fn integers_go_towards_zero() {
        assert_eq!(fixed(-2.75, "fixed<8,4>").to_integer().unwrap(), -2);
        assert_eq!(fixed(2.75, "fixed<8,4>").to_integer().unwrap(), 2);
        assert_eq!(fixed(-24.0, "fixed<4,6>").to_integer().unwrap(), -24);
        assert_eq!(Fixed::new(-1, Format::signed(8, -150).unwrap()).unwrap().to_integer().unwrap(), 0);
        assert!(Fixed::new(-1, Format::signed(8, 200).unwrap()).unwrap().to_integer().is_err());
        let value = fixed(-1.4375, "fixed<8,4>"); // raw -23
        assert_eq!(value.div_integer(8).unwrap().raw(), -2);
        assert_eq!(value.div_integer(-8).unwrap().raw(), 2);
        assert_eq!(fixed(-8.0, "fixed<4,4>").div_integer(-1).unwrap().to_f64(), 8.0);
        assert_eq!(fixed(15.0, "ufixed<4,4>").div_integer(-1).unwrap().to_f64(), -15.0);
        assert!(value.div_integer(0).is_err());
    }
}
