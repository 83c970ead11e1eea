//! The format of a value: width, position of the binary point, sign, and how values are brought into it.

use super::{Overflow, Rounding};
use baler_codec::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// The widest format, in bits. One bit of the `i128` that holds it is left, so that the first bit a wrap cuts off can
/// still be seen.
pub const MAX_WIDTH: u32 = 127;

/// The most integer bits of a format, and the most below zero.
pub const MAX_INTEGER_BITS: i32 = 4096;

/// `ap_fixed<W,I,Q,O>` or `ap_ufixed<W,I,Q,O>`.
///
/// `W` bits in all, of which `I` lie before the binary point (the sign's among them, in a signed format). `I` may be
/// negative or larger than `W`: the point then lies outside the bits. The grid is `2^-F` with `F = W - I`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    is_signed: bool,
    width: u32,
    integer_bits: i32,
    rounding: Rounding,
    overflow: Overflow,
}

impl Format {
    /// `ap_fixed<width, integer_bits>` with the default modes, `AP_TRN` and `AP_WRAP`.
    ///
    /// # Errors
    /// If `width` is not in 1..=[`MAX_WIDTH`], or `integer_bits` beyond [`MAX_INTEGER_BITS`] on either side.
    pub fn signed(width: u32, integer_bits: i32) -> Result<Self> {
        Self::new(true, width, integer_bits)
    }

    /// `ap_ufixed<width, integer_bits>` with the default modes, `AP_TRN` and `AP_WRAP`.
    ///
    /// # Errors
    /// As [`Format::signed`].
    pub fn unsigned(width: u32, integer_bits: i32) -> Result<Self> {
        Self::new(false, width, integer_bits)
    }

    pub(super) fn new(is_signed: bool, width: u32, integer_bits: i32) -> Result<Self> {
        if !(1..=MAX_WIDTH).contains(&width) {
            return Err(Error::unsupported(format!("a fixed-point width of {width} bits: expected 1 to {MAX_WIDTH}")));
        }
        if !(-MAX_INTEGER_BITS..=MAX_INTEGER_BITS).contains(&integer_bits) {
            return Err(Error::unsupported(format!(
                "{integer_bits} integer bits: expected {} to {MAX_INTEGER_BITS}",
                -MAX_INTEGER_BITS
            )));
        }
        Ok(Self { is_signed, width, integer_bits, rounding: Rounding::Trn, overflow: Overflow::Wrap })
    }

    /// The same bits with other modes.
    ///
    /// # Errors
    /// [`Overflow::WrapSm`] of an unsigned format.
    pub fn with_modes(self, rounding: Rounding, overflow: Overflow) -> Result<Self> {
        if overflow == Overflow::WrapSm && !self.is_signed {
            return Err(Error::unsupported("AP_WRAP_SM of an unsigned format: there is no sign to wrap"));
        }
        Ok(Self { rounding, overflow, ..self })
    }

    /// Whether there is a sign bit (`ap_fixed`, not `ap_ufixed`).
    pub fn is_signed(self) -> bool {
        self.is_signed
    }

    /// `W`, bits in all.
    pub fn width(self) -> u32 {
        self.width
    }

    /// `I`, bits before the binary point.
    pub fn integer_bits(self) -> i32 {
        self.integer_bits
    }

    /// `F = W - I`, bits after the binary point.
    pub fn fraction_bits(self) -> i32 {
        self.width as i32 - self.integer_bits
    }

    /// `Q`.
    pub fn rounding(self) -> Rounding {
        self.rounding
    }

    /// `O`.
    pub fn overflow(self) -> Overflow {
        self.overflow
    }

    /// The lowest integer of the range: `-2^(W-1)`, or 0.
    pub fn min_raw(self) -> i128 {
        if self.is_signed { -(1 << (self.width - 1)) } else { 0 }
    }

    /// The highest integer of the range: `2^(W-1) - 1`, or `2^W - 1`.
    pub fn max_raw(self) -> i128 {
        i128::MAX >> (MAX_WIDTH - self.width + u32::from(self.is_signed))
    }

    /// The low `W` bits of `bits`, read as two's complement if signed.
    pub(super) fn wrap(self, bits: i128) -> i128 {
        let unused = 128 - self.width;
        if self.is_signed { bits << unused >> unused } else { ((bits as u128) << unused >> unused) as i128 }
    }

    /// The format of an exact product: `W1 + W2`, `I1 + I2`.
    ///
    /// # Errors
    /// If it is wider than [`MAX_WIDTH`].
    pub fn of_product(self, other: Self) -> Result<Self> {
        let is_signed = self.is_signed || other.is_signed;
        Self::new(is_signed, self.width + other.width, self.integer_bits + other.integer_bits)
            .map_err(|e| e.context(format_args!("the product of {self} and {other}")))
    }

    /// The format of an exact sum: `I = max(I1, I2) + 1`, `F = max(F1, F2)`. Where only one side is signed, the other
    /// needs a sign bit of its own first.
    ///
    /// # Errors
    /// If it is wider than [`MAX_WIDTH`].
    pub fn of_sum(self, other: Self) -> Result<Self> {
        self.of_sum_signed(other, self.is_signed || other.is_signed, "sum")
    }

    /// The format of an exact difference: as [`Format::of_sum`], but always signed.
    ///
    /// # Errors
    /// If it is wider than [`MAX_WIDTH`].
    pub fn of_difference(self, other: Self) -> Result<Self> {
        self.of_sum_signed(other, true, "difference")
    }

    fn of_sum_signed(self, other: Self, is_signed: bool, what: &str) -> Result<Self> {
        let integer = |a: Self, b: Self| a.integer_bits + i32::from(!a.is_signed && b.is_signed);
        let integer_bits = integer(self, other).max(integer(other, self)) + 1;
        let fraction_bits = self.fraction_bits().max(other.fraction_bits());
        // Both formats are valid, so the sum of the two is at least 2 and far from overflow.
        Self::new(is_signed, (integer_bits + fraction_bits) as u32, integer_bits)
            .map_err(|e| e.context(format_args!("the {what} of {self} and {other}")))
    }
}

impl fmt::Display for Format {
    /// As C++ spells it, all five parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_signed { "ap_fixed" } else { "ap_ufixed" };
        write!(f, "{name}<{},{},{},{},0>", self.width, self.integer_bits, self.rounding, self.overflow)
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Takes what C++ takes, `ap_fixed<16,6>` to `ap_ufixed<8,3,AP_RND,AP_SAT,0>`; the prefixes `ap_` and `AP_` may be
    /// left out.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::invalid(format!(
                "fixed-point type {text:?}: {why}; expected for example ap_fixed<16,6,AP_RND,AP_SAT>"
            ))
        };
        let (name, arguments) = text.trim().split_once('<').ok_or_else(|| wrong("no `<`"))?;
        let arguments = arguments.strip_suffix('>').ok_or_else(|| wrong("no `>` at the end"))?;
        let is_signed = match name.trim() {
            "ap_fixed" | "fixed" => true,
            "ap_ufixed" | "ufixed" => false,
            _ => return Err(wrong("the name is unknown")),
        };
        let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
        if !(2..=5).contains(&arguments.len()) {
            return Err(wrong("two to five parameters are needed"));
        }
        let width = arguments[0].parse().map_err(|_| wrong("W is not a number of bits"))?;
        let integer_bits = arguments[1].parse().map_err(|_| wrong("I is not a number of bits"))?;
        let rounding = arguments.get(2).map_or(Ok(Rounding::default()), |mode| mode.parse())?;
        let overflow = arguments.get(3).map_or(Ok(Overflow::default()), |mode| mode.parse())?;
        let n_saturated: u32 = arguments.get(4).map_or(Ok(0), |n| n.parse().map_err(|_| wrong("N is not a number")))?;
        if n_saturated != 0 && matches!(overflow, Overflow::Wrap | Overflow::WrapSm) {
            return Err(Error::unsupported(format!("{text}: {overflow} is supported with N = 0 only")));
        }
        Self::new(is_signed, width, integer_bits)?.with_modes(rounding, overflow)
    }
}

impl Serialize for Format {
    /// As [`Display`](fmt::Display) writes it.
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(text: &str) -> Format {
        text.parse().unwrap()
    }

    #[test]
    fn prints_and_parses() {
        for text in ["ap_fixed<16,6,AP_TRN,AP_WRAP,0>", "ap_ufixed<8,-6,AP_RND_CONV,AP_SAT_SYM,0>"] {
            assert_eq!(format(text).to_string(), text);
        }
        assert_eq!(format(" fixed< 16, 6 >"), format("ap_fixed<16,6,AP_TRN,AP_WRAP,0>"));
        assert_eq!(format("ufixed<8,9,RND,SAT>"), format("ap_ufixed<8,9,AP_RND,AP_SAT,3>"));
    }

    #[test]
    fn refuses_what_is_no_format() {
        for text in [
            "",
            "ap_fixed",
            "ap_fixed<16>",
            "ap_fixed<16,6",
            "ap_int<16,6>",
            "ap_fixed<0,0>",
            "ap_fixed<128,6>",
            "ap_fixed<-1,6>",
            "ap_fixed<16,5000>",
            "ap_fixed<16,6,AP_NEAREST>",
            "ap_fixed<16,6,AP_TRN,AP_CLAMP>",
            "ap_fixed<16,6,AP_TRN,AP_WRAP,1>",
            "ap_ufixed<16,6,AP_TRN,AP_WRAP_SM>",
            "ap_fixed<16,6,AP_TRN,AP_SAT,0,0>",
        ] {
            assert!(text.parse::<Format>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!((format("fixed<1,1>").min_raw(), format("fixed<1,1>").max_raw()), (-1, 0));
        assert_eq!((format("fixed<8,3>").min_raw(), format("fixed<8,3>").max_raw()), (-128, 127));
        assert_eq!((format("ufixed<8,3>").min_raw(), format("ufixed<8,3>").max_raw()), (0, 255));
        assert_eq!(
            (format("fixed<127,3>").min_raw(), format("fixed<127,3>").max_raw()),
            (i128::MIN / 2, i128::MAX / 2)
        );
        assert_eq!(format("ufixed<127,3>").max_raw(), i128::MAX);
    }

    #[test]
    fn result_formats() {
        let (a, b) = (format("fixed<16,6>"), format("fixed<8,3>"));
        assert_eq!(a.of_product(b).unwrap(), format("fixed<24,9>"));
        assert_eq!(a.of_sum(b).unwrap(), format("fixed<17,7>"));
        let (a, b) = (format("ufixed<4,4>"), format("fixed<4,4>"));
        assert_eq!(a.of_product(b).unwrap(), format("fixed<8,8>"));
        assert_eq!(a.of_sum(b).unwrap(), format("fixed<6,6>"));
        assert_eq!(b.of_sum(a).unwrap(), format("fixed<6,6>"));
        assert_eq!(a.of_sum(a).unwrap(), format("ufixed<5,5>"));
        assert_eq!(a.of_difference(a).unwrap(), format("fixed<5,5>"));
        // The points lie far apart: the sum spans the gap.
        assert_eq!(format("fixed<4,20>").of_sum(format("fixed<4,-6>")).unwrap(), format("fixed<31,21>"));
        assert!(format("fixed<64,6>").of_product(format("fixed<64,6>")).is_err());
        assert!(format("fixed<64,64>").of_sum(format("fixed<64,-20>")).is_err());
    }
}
