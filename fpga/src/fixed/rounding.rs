//! What becomes of the bits below the last one that is kept.

use baler_codec::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// How a value between two neighbours of the target grid is rounded (the parameter `Q`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// `AP_TRN`: down, towards minus infinity. The bits are dropped, which costs no logic.
    #[default]
    Trn,
    /// `AP_TRN_ZERO`: towards zero.
    TrnZero,
    /// `AP_RND`: to the nearest, halves up, towards plus infinity.
    Rnd,
    /// `AP_RND_ZERO`: to the nearest, halves towards zero.
    RndZero,
    /// `AP_RND_MIN_INF`: to the nearest, halves down, towards minus infinity.
    RndMinInf,
    /// `AP_RND_INF`: to the nearest, halves away from zero.
    RndInf,
    /// `AP_RND_CONV`: to the nearest, halves to the even neighbour.
    RndConv,
}

impl Rounding {
    /// Every mode.
    pub const ALL: [Rounding; 7] = [
        Rounding::Trn,
        Rounding::TrnZero,
        Rounding::Rnd,
        Rounding::RndZero,
        Rounding::RndMinInf,
        Rounding::RndInf,
        Rounding::RndConv,
    ];

    /// The name in C++: `AP_TRN`, ...
    pub fn name(self) -> &'static str {
        match self {
            Rounding::Trn => "AP_TRN",
            Rounding::TrnZero => "AP_TRN_ZERO",
            Rounding::Rnd => "AP_RND",
            Rounding::RndZero => "AP_RND_ZERO",
            Rounding::RndMinInf => "AP_RND_MIN_INF",
            Rounding::RndInf => "AP_RND_INF",
            Rounding::RndConv => "AP_RND_CONV",
        }
    }

    /// Whether one is added to the quotient rounded down.
    ///
    /// `is_odd`: the last bit of that quotient. `half`: the highest bit that is dropped. `rest`: whether any bit below
    /// `half` is set. `is_negative`: the sign of the value before rounding.
    pub(crate) fn rounds_up(self, is_odd: bool, half: bool, rest: bool, is_negative: bool) -> bool {
        match self {
            Rounding::Trn => false,
            Rounding::TrnZero => is_negative && (half || rest),
            Rounding::Rnd => half,
            Rounding::RndZero => half && (is_negative || rest),
            Rounding::RndMinInf => half && rest,
            Rounding::RndInf => half && (!is_negative || rest),
            Rounding::RndConv => half && (is_odd || rest),
        }
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rounding {
    type Err = Error;

    /// Takes the name in C++, with or without `AP_`.
    fn from_str(text: &str) -> Result<Self> {
        let bare = |name: &'static str| &name["AP_".len()..];
        Self::ALL.into_iter().find(|mode| text == mode.name() || text == bare(mode.name())).ok_or_else(|| {
            Error::invalid(format!(
                "rounding mode {text:?} is unknown; known: {}",
                Self::ALL.map(Self::name).join(", ")
            ))
        })
    }
}
