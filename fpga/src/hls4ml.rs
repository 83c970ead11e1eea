//! hls4ml's own rules, where they differ from plain arithmetic: how it stores weights and tables.
//!
//! Measured on hls4ml 1.3.0 (`docs/fpga.md`, section Vectors). Tables are computed with the mathematical library of the
//! machine that imports a model, as hls4ml's are; a program holds the integers that came of it.

use crate::fixed::{Fixed, Format};
use crate::ir::Table;
use baler_codec::{Error, Result};

/// Bins of a table, unless its model says otherwise.
pub const TABLE_SIZE: usize = 1024;
/// The format of a table's entries, unless its model says otherwise: `ap_fixed<18,8>`.
pub const TABLE_FORMAT: &str = "ap_fixed<18,8>";

/// The raw integer of a weight. hls4ml prints it with as many decimal digits as `format` has fraction bits, reads that
/// text as a double and casts it: the text can lift a value over a line of the grid.
///
/// # Errors
/// NaN, infinities, and formats wider than `i64`.
pub fn weight(value: f64, format: Format) -> Result<i64> {
    let digits = usize::try_from(format.fraction_bits()).unwrap_or(0);
    let text = format!("{value:.digits$}");
    let read: f64 = text.parse().map_err(|_| Error::model(format!("weight {value} has no decimal form")))?;
    to_i64(Fixed::from_f64(read, format)?)
}

/// The table of `function` with `size` bins.
///
/// # Errors
/// Another function than `tanh` and `sigmoid`, and sizes that are odd, below 2 or above 65536.
pub fn table(function: &str, size: usize, format: Format) -> Result<Table> {
    if !(2..=1 << 16).contains(&size) || !size.is_multiple_of(2) {
        return Err(Error::unsupported(format!("a table of {size} entries: expected an even number up to 65536")));
    }
    let (span, of): (u32, fn(f32) -> f64) = match function {
        "tanh" => (8, |x| f64::from(x).tanh()),
        "sigmoid" => (16, |x| f64::from(1.0 / (1.0 + (-x).exp()))),
        other => {
            return Err(Error::unsupported(format!("activation {other:?} as a table: there are tanh and sigmoid")));
        }
    };
    let at = |i: usize| span as f32 * (i as f32 - size as f32 / 2.0) / size as f32;
    let entries = (0..size).map(|i| to_i64(Fixed::from_f64(of(at(i)), format)?)).collect::<Result<Vec<i64>>>()?;
    Ok(Table { function: function.to_owned(), span, entry_format: format, entries })
}

/// Bits that the slope of a leaky ReLU keeps.
const SLOPE_BITS: u32 = 8;

/// The slope of a leaky ReLU as an integer and its type, inferred from the constant: as many bits as it needs, up to 8, the
/// first of them set. 0.01 becomes 163 of `ap_ufixed<8,-6>`.
///
/// # Errors
/// Slopes below 0 and ones that are not finite.
pub fn slope(alpha: f64) -> Result<(i64, Format)> {
    if !(alpha >= 0.0 && alpha.is_finite()) {
        return Err(Error::unsupported(format!("a slope of {alpha}: expected a finite number from 0 on")));
    }
    if alpha == 0.0 {
        return Ok((0, Format::unsigned(1, 1)?));
    }
    let integer_bits = alpha.log2().floor().clamp(-2000.0, 2000.0) as i32 + 1;
    let format = |width: u32| Format::unsigned(width, integer_bits);
    for width in 1..=SLOPE_BITS {
        let value = Fixed::from_f64(alpha, format(width)?)?;
        if value.to_f64() == alpha || width == SLOPE_BITS {
            return Ok((to_i64(value)?, value.format()));
        }
    }
    unreachable!("the last width is always taken")
}

fn to_i64(value: Fixed) -> Result<i64> {
    i64::try_from(value.raw()).map_err(|_| Error::unsupported(format!("{}: expected 63 bits at most", value.format())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_lifts_weights_over_the_grid() {
        let format = "ap_fixed<3,1>".parse().unwrap();
        // 0.2460 prints as 0.25, which is on the grid; plain truncation gives 0.
        assert_eq!(weight(0.246, format).unwrap(), 1);
        assert_eq!(weight(0.244, format).unwrap(), 0);
        assert_eq!(weight(-0.254, format).unwrap(), -1);
        assert_eq!(weight(-0.256, format).unwrap(), -2);
        assert!(weight(f64::NAN, format).is_err());
    }

    #[test]
    fn slopes_keep_eight_bits() {
        let of = |alpha: f64| slope(alpha).map(|(raw, format)| (raw, format.width(), format.integer_bits())).unwrap();
        assert_eq!(of(f64::from(0.01f32)), (163, 8, -6));
        assert_eq!((of(0.1).2, of(0.3).2), (-3, -1));
        assert_eq!((of(0.25), of(0.75), of(0.0)), ((1, 1, -1), (3, 2, 0), (0, 1, 1)));
        assert!(slope(-0.1).is_err() && slope(f64::NAN).is_err());
    }

    #[test]
    fn tables_are_odd_or_end_at_one() {
        let format = TABLE_FORMAT.parse().unwrap();
        let tanh = table("tanh", 1024, format).unwrap();
        assert_eq!((tanh.entries[512], tanh.entries[0], tanh.span), (0, -1024, 8));
        let sigmoid = table("sigmoid", 1024, format).unwrap();
        assert_eq!((sigmoid.entries[512], sigmoid.entries[0], sigmoid.entries[1023]), (512, 0, 1023));
        assert!(table("softmax", 1024, format).is_err() && table("tanh", 7, format).is_err());
    }
}
