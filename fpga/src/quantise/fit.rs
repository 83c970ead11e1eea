//! Formats that suit values.

use crate::fixed::{Fixed, Format, Overflow, Rounding};
use baler_codec::{Error, Result};

/// Values looked at, at most: evenly spaced ones of more.
const MAX_VALUES: usize = 1 << 16;

/// Integer bits tried below those that hold the largest value: what is saturated may cost less than a coarse grid.
const TRIED: i32 = 5;

/// The format of `width` bits, rounding to nearest and saturating, with the smallest squared error on `values`. Signed only
/// if one of them is below zero, or if that is asked for.
///
/// # Errors
/// Values that are not finite, and widths that no format has.
pub fn format(values: &[f64], width: u32, must_be_signed: bool) -> Result<Format> {
    if let Some(v) = values.iter().find(|v| !v.is_finite()) {
        return Err(Error::model(format!("a value of {v}: expected finite numbers")));
    }
    let is_signed = must_be_signed || values.iter().any(|&v| v < 0.0);
    let largest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    // 2^n is above the largest value.
    let n = if largest > 0.0 { largest.log2().floor().clamp(-1000.0, 1000.0) as i32 + 1 } else { 0 };
    let step = values.len().div_ceil(MAX_VALUES).max(1);
    let mut best: Option<(f64, Format)> = None;
    for integer_bits in (n - TRIED..=n).rev() {
        let integer_bits = integer_bits + i32::from(is_signed);
        let base = if is_signed { Format::signed(width, integer_bits) } else { Format::unsigned(width, integer_bits) };
        let format = base?.with_modes(Rounding::Rnd, Overflow::Sat)?;
        let mut error = 0.0;
        for &v in values.iter().step_by(step) {
            error += (Fixed::from_f64(v, format)?.to_f64() - v).powi(2);
        }
        if best.is_none_or(|(least, _)| error < least) {
            best = Some((error, format));
        }
    }
    best.map(|(_, format)| format).ok_or_else(|| Error::invalid("no format was tried"))
}

/// The narrowest signed format with `fraction_bits` that holds `values` rounded to its grid, and their integers.
///
/// # Errors
/// Values that 63 bits do not hold.
pub fn exact(values: &[f64], fraction_bits: i32) -> Result<(Format, Vec<i64>)> {
    let wide = Format::signed(63, 63 - fraction_bits)?.with_modes(Rounding::Rnd, Overflow::Sat)?;
    let raw = values.iter().map(|&v| Ok(Fixed::from_f64(v, wide)?.raw() as i64)).collect::<Result<Vec<i64>>>()?;
    let bits = raw.iter().map(|&r| 65 - (if r < 0 { !r } else { r }).leading_zeros()).max().unwrap_or(1);
    if bits >= 63 {
        return Err(Error::unsupported(format!("biases with {fraction_bits} fraction bits need more than 63 bits")));
    }
    Ok((Format::signed(bits, bits as i32 - fraction_bits)?, raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_hand() {
        // Everything on the grid of sixteenths within 4 bits.
        let of = |values: &[f64], width, signed| format(values, width, signed).unwrap().to_string();
        assert_eq!(of(&[0.0625, 0.9375], 4, false), "ap_ufixed<4,0,AP_RND,AP_SAT,0>");
        assert_eq!(of(&[-0.5, 0.4375], 4, false), "ap_fixed<4,0,AP_RND,AP_SAT,0>");
        assert_eq!(of(&[3.0, 1.0], 4, true), "ap_fixed<4,3,AP_RND,AP_SAT,0>");
        assert_eq!(of(&[0.0], 4, false), "ap_ufixed<4,0,AP_RND,AP_SAT,0>");
        assert!(format(&[f64::NAN], 4, false).is_err());
        // One outlier among many small values is saturated.
        let many: Vec<f64> = (0..1000).map(|i| f64::from(i % 16) / 16.0).chain([1.0]).collect();
        assert_eq!(of(&many, 4, false), "ap_ufixed<4,0,AP_RND,AP_SAT,0>");
        let (format, raw) = exact(&[-1.0, 0.3], 4).unwrap();
        assert_eq!((format.to_string(), raw), ("ap_fixed<5,1,AP_TRN,AP_WRAP,0>".to_owned(), vec![-16, 5]));
    }
}
