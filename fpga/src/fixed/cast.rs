//! From one format to another: shift, round, bring into range.

use super::overflow::Rounded;
use super::{Fixed, Format};

impl Fixed {
    /// This value in `format`, by that format's modes: first rounded to its grid, then brought into its range.
    #[must_use]
    pub fn cast(self, format: Format) -> Fixed {
        Fixed::from_grid(self.raw(), self.format().fraction_bits(), format)
    }

    /// The value `raw * 2^-fraction_bits` in `format`.
    pub(crate) fn from_grid(raw: i128, fraction_bits: i32, format: Format) -> Fixed {
        Fixed::from_valid(format.overflow().fit(round(raw, fraction_bits, format), format), format)
    }

    /// Whether `raw * 2^-fraction_bits`, rounded as `format` says, is outside its range.
    pub(crate) fn overflows(raw: i128, fraction_bits: i32, format: Format) -> bool {
        let (is_under, is_over) = format.overflow().is_outside(round(raw, fraction_bits, format), format);
        is_under || is_over
    }
}

/// The value `raw * 2^-fraction_bits` on the grid of `format`.
fn round(raw: i128, fraction_bits: i32, format: Format) -> Rounded {
    let dropped = fraction_bits - format.fraction_bits();
    if dropped > 0 {
        let low = drop_bits(raw, dropped.unsigned_abs(), format);
        Rounded { low, is_huge: false, is_negative: raw < 0 }
    } else {
        shift_up(raw, dropped.unsigned_abs())
    }
}

/// `raw / 2^n` (`n` at least 1) rounded by the mode of `format`.
fn drop_bits(raw: i128, n: u32, format: Format) -> i128 {
    // An i128 stands for a number whose sign goes on for ever to the left.
    let floor = raw >> n.min(127);
    let half = raw >> (n - 1).min(127) & 1 == 1;
    let rest = match n - 1 {
        below @ 0..=127 => raw & !(-1 << below) != 0,
        _ => raw != 0,
    };
    floor + i128::from(format.rounding().rounds_up(floor & 1 == 1, half, rest, raw < 0))
}

/// `raw * 2^n`, with a note where 128 bits do not hold it.
fn shift_up(raw: i128, n: u32) -> Rounded {
    let low = if n < 128 { raw << n } else { 0 };
    let is_huge = raw != 0 && (n >= 128 || low >> n != raw);
    Rounded { low, is_huge, is_negative: raw < 0 }
}

#[cfg(test)]
mod tests {
    use super::super::{Overflow, Rounding};
    use super::*;

    fn format(text: &str) -> Format {
        text.parse().unwrap()
    }

    fn cast(value: f64, text: &str) -> f64 {
        Fixed::from_f64(value, format("fixed<24,12>")).unwrap().cast(format(text)).to_f64()
    }

    #[test]
    fn every_rounding_mode_by_hand() {
        let values = [-1.75, -1.5, -1.25, -0.5, -0.25, 0.25, 0.5, 0.75, 1.5, 2.5];
        let expected: [(Rounding, [f64; 10]); 7] = [
            (Rounding::Trn, [-2.0, -2.0, -2.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0]),
            (Rounding::TrnZero, [-1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0]),
            (Rounding::Rnd, [-2.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0]),
            (Rounding::RndZero, [-2.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0]),
            (Rounding::RndMinInf, [-2.0, -2.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0]),
            (Rounding::RndInf, [-2.0, -2.0, -1.0, -1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0]),
            (Rounding::RndConv, [-2.0, -2.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 2.0]),
        ];
        for (mode, expected) in expected {
            let found = values.map(|v| cast(v, &format!("fixed<8,8,{mode}>")));
            assert_eq!(found, expected, "{mode}");
        }
    }

    #[test]
    fn every_overflow_mode_by_hand() {
        // The range of fixed<4,4> is -8 to 7, that of ufixed<4,4> 0 to 15.
        let values = [19.0, 8.0, 7.0, -8.0, -9.0, -19.0];
        let expected: [(Overflow, [f64; 6]); 5] = [
            (Overflow::Wrap, [3.0, -8.0, 7.0, -8.0, 7.0, -3.0]),
            (Overflow::Sat, [7.0, 7.0, 7.0, -8.0, -8.0, -8.0]),
            (Overflow::SatZero, [0.0, 0.0, 7.0, -8.0, 0.0, 0.0]),
            (Overflow::SatSym, [7.0, 7.0, 7.0, -7.0, -7.0, -7.0]),
            (Overflow::WrapSm, [-4.0, 7.0, 7.0, -8.0, -8.0, 2.0]),
        ];
        for (mode, expected) in expected {
            let found = values.map(|v| cast(v, &format!("fixed<4,4,AP_TRN,{mode}>")));
            assert_eq!(found, expected, "{mode}");
        }
        for (mode, expected) in
            [("WRAP", [3.0, 13.0]), ("SAT", [15.0, 0.0]), ("SAT_ZERO", [0.0; 2]), ("SAT_SYM", [15.0, 0.0])]
        {
            assert_eq!([19.0, -19.0].map(|v| cast(v, &format!("ufixed<4,4,TRN,{mode}>"))), expected, "{mode}");
        }
    }

    #[test]
    fn rounds_before_it_looks_at_the_range() {
        assert_eq!(cast(7.5, "fixed<4,4,RND,SAT>"), 7.0);
        assert_eq!(cast(7.5, "fixed<4,4,RND,WRAP>"), -8.0);
        assert_eq!(cast(7.5, "fixed<4,4,TRN,SAT_ZERO>"), 7.0);
        assert_eq!(cast(-0.25, "ufixed<4,4,TRN,SAT>"), 0.0);
        assert_eq!(cast(-0.25, "ufixed<4,4,TRN,WRAP>"), 15.0);
        assert_eq!(cast(-0.25, "ufixed<4,4,RND,SAT_ZERO>"), 0.0);
    }

    #[test]
    fn points_outside_the_bits() {
        // fixed<4,6>: steps of 4 up to 28; fixed<4,-2>: steps of 1/64 up to 7/64.
        assert_eq!(cast(27.0, "fixed<4,6,TRN,SAT>"), 24.0);
        assert_eq!(cast(-27.0, "fixed<4,6,TRN,SAT>"), -28.0);
        assert_eq!(cast(0.1, "fixed<4,-2,RND,SAT>"), 6.0 / 64.0);
        assert_eq!(cast(1.0, "fixed<4,-2,RND,SAT>"), 7.0 / 64.0);
    }

    #[test]
    fn shifts_beyond_the_integer() {
        let small = Fixed::new(-1, format("fixed<8,-300>")).unwrap();
        assert_eq!(small.cast(format("fixed<8,8,TRN>")).raw(), -1);
        assert_eq!(small.cast(format("fixed<8,8,RND>")).raw(), 0);
        assert_eq!(small.cast(format("fixed<8,8,RND_INF>")).raw(), 0);
        assert_eq!(small.cast(format("fixed<8,8,TRN_ZERO>")).raw(), 0);
        let large = Fixed::new(-3, format("fixed<8,300>")).unwrap();
        assert_eq!(large.cast(format("fixed<8,8,TRN,WRAP>")).raw(), 0);
        assert_eq!(large.cast(format("fixed<8,8,TRN,SAT>")).raw(), -128);
        assert_eq!(large.cast(format("fixed<8,8,TRN,SAT_SYM>")).raw(), -127);
        assert_eq!(large.cast(format("ufixed<8,8,TRN,SAT>")).raw(), 0);
        // The dropped bits begin exactly above the integer's 128.
        for n in 126..=130 {
            let lowest = Fixed::new(i128::MIN / 2, format("fixed<127,0>")).unwrap();
            let to = Format::signed(8, 8 + n - 127).unwrap();
            assert_eq!(lowest.cast(to).raw(), -1, "{n}");
        }
    }
}
