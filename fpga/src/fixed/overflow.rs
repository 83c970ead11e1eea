//! What becomes of a value outside the range of its format.

use super::Format;
use baler_codec::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// How a value outside the range of the target is brought into it, after rounding (the parameter `O`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// `AP_WRAP`: the low bits are kept, as two's complement. Costs no logic.
    #[default]
    Wrap,
    /// `AP_SAT`: the nearest value of the range.
    Sat,
    /// `AP_SAT_ZERO`: zero.
    SatZero,
    /// `AP_SAT_SYM`: the nearest value of the range without `-2^(W-1)`, the lowest of a signed format: that one too
    /// becomes `-(2^(W-1) - 1)`.
    SatSym,
    /// `AP_WRAP_SM`: sign-magnitude wrapping. The sign becomes the lowest of the bits that are cut off; where that
    /// changes it, the other bits are inverted. A falling ramp stays a falling ramp across the edge of the range.
    WrapSm,
}

/// A value shifted and rounded to the target's grid, not yet in its range.
#[derive(Clone, Copy)]
pub(super) struct Rounded {
    /// The low 128 bits, two's complement.
    pub(super) low: i128,
    /// Whether `low` has lost bits: then the value is beyond every format on the side of its sign.
    pub(super) is_huge: bool,
    pub(super) is_negative: bool,
}

impl Overflow {
    /// Every mode.
    pub const ALL: [Overflow; 5] =
        [Overflow::Wrap, Overflow::Sat, Overflow::SatZero, Overflow::SatSym, Overflow::WrapSm];

    /// The name in C++: `AP_WRAP`, ...
    pub fn name(self) -> &'static str {
        match self {
            Overflow::Wrap => "AP_WRAP",
            Overflow::Sat => "AP_SAT",
            Overflow::SatZero => "AP_SAT_ZERO",
            Overflow::SatSym => "AP_SAT_SYM",
            Overflow::WrapSm => "AP_WRAP_SM",
        }
    }

    /// Whether `value` is below the range of `format`, and whether above.
    pub(super) fn is_outside(self, value: Rounded, format: Format) -> (bool, bool) {
        if value.is_huge {
            return (value.is_negative, !value.is_negative);
        }
        (value.low < self.min_allowed(format), value.low > format.max_raw())
    }

    fn min_allowed(self, format: Format) -> i128 {
        if self == Overflow::SatSym && format.is_signed() { -format.max_raw() } else { format.min_raw() }
    }

    /// The integer of `format` that `value` becomes.
    pub(super) fn fit(self, value: Rounded, format: Format) -> i128 {
        let (is_under, is_over) = self.is_outside(value, format);
        if !is_over && !is_under {
            return value.low;
        }
        match self {
            Overflow::Wrap => format.wrap(value.low),
            Overflow::SatZero => 0,
            Overflow::Sat | Overflow::SatSym => {
                if is_over {
                    format.max_raw()
                } else {
                    self.min_allowed(format)
                }
            }
            Overflow::WrapSm => {
                let wrapped = format.wrap(value.low);
                let cut_off = value.low >> format.width() & 1 == 1;
                if cut_off == (wrapped < 0) { wrapped } else { !wrapped }
            }
        }
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Overflow {
    type Err = Error;

    /// Takes the name in C++, with or without `AP_`.
    fn from_str(text: &str) -> Result<Self> {
        let bare = |name: &'static str| &name["AP_".len()..];
        Self::ALL.into_iter().find(|mode| text == mode.name() || text == bare(mode.name())).ok_or_else(|| {
            Error::invalid(format!(
                "overflow mode {text:?} is unknown; known: {}",
                Self::ALL.map(Self::name).join(", ")
            ))
        })
    }
}
