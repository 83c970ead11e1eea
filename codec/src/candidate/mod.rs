//! Ways to write one part of a chunk. One file each; the auction (`chunk/write.rs`) keeps the smallest.
//!
//! | id | method | what it stores |
//! |---|---|---|
//! | 0 | [`raw`] | the bytes, stored or zstd |
//! | 1 | [`constant`] | one value |
//! | 2 | [`quantised`] | quantised integers, plain or after n-d Lorenzo prediction |
//! | 3 | [`numbers`] | the numbers through pcodec, lossless |
//! | 4 | [`crate::family::autoencoder`] | a bundle's latents and the residual |
//! | 5 | [`interpolated`] | the residual of multi-level interpolation |
//! | 6 | [`crate::related`] | quantised integers given columns decoded before |
//! | 7 | [`wavelet`] | quantised wavelet coefficients and corrections |
//! | 8 | [`fitted`] | quantised integers after prediction with fitted weights |
//! | 9 | [`crate::family::autoregressive`] | quantised integers after prediction by a bundle's network |
//! | 10 | [`floating`] | floats after n-d Lorenzo prediction in their own arithmetic, lossless |
//!
//! The ids reach disk: never reuse or reorder them.

pub(crate) mod constant;
mod exceptions;
pub(crate) mod fitted;
pub(crate) mod floating;
pub(crate) mod interpolated;
pub(crate) mod numbers;
pub(crate) mod occurring;
pub(crate) mod quantised;
pub(crate) mod raw;
pub(crate) mod wavelet;

pub(crate) use exceptions::Exceptions;

use crate::bound::Promise;
use crate::element::Elements;
use crate::params::{Dtype, Effort};
use crate::special::Specials;

pub(crate) const RAW: u8 = 0;
pub(crate) const CONSTANT: u8 = 1;
pub(crate) const QUANTISED: u8 = 2;
pub(crate) const NUMBERS: u8 = 3;
pub(crate) const AUTOENCODER: u8 = 4;
pub(crate) const INTERPOLATED: u8 = 5;
pub(crate) const RELATED: u8 = 6;
pub(crate) const WAVELET: u8 = 7;
pub(crate) const FITTED: u8 = 8;
pub(crate) const AUTOREGRESSIVE: u8 = 9;
pub(crate) const FLOATING: u8 = 10;
pub(crate) const CONDITIONAL: u8 = 11;

/// The candidates that an auction can do without, by the name users know. What is left over is stored as it is.
pub const OPTIONAL: [(&str, u8); 10] = [
    ("quantised", QUANTISED),
    ("floating", FLOATING),
    ("numbers", NUMBERS),
    ("interpolated", INTERPOLATED),
    ("wavelet", WAVELET),
    ("fitted", FITTED),
    ("related", RELATED),
    ("conditional", CONDITIONAL),
    ("autoencoder", AUTOENCODER),
    ("autoregressive", AUTOREGRESSIVE),
];

/// One part of a chunk as every candidate sees it: a whole chunk, or one column of a table.
pub(crate) struct Part<'a> {
    pub elements: Elements<'a>,
    pub shape: &'a [usize],
    pub specials: &'a Specials,
    pub promise: Promise,
    pub effort: Effort,
    /// Whether outliers are stored exactly, where the bundle has a density.
    pub keep_outliers: bool,
}

impl Part<'_> {
    pub fn dtype(&self) -> Dtype {
        self.elements.dtype
    }

    pub fn n_values(&self) -> usize {
        self.elements.len()
    }
}

/// What a part decodes into.
pub(crate) struct Target<'a> {
    pub dtype: Dtype,
    /// Little-endian elements.
    pub out: &'a mut [u8],
}

impl Target<'_> {
    pub fn n_values(&self) -> usize {
        self.out.len() / self.dtype.size_bytes()
    }

    /// Puts the special values back.
    pub fn restore(&mut self, specials: &Specials) {
        let size = self.dtype.size_bytes();
        for (i, &class) in specials.classes.iter().enumerate() {
            if class != 0 {
                crate::element::put_bits(self.out, size, i, specials.patterns[usize::from(class) - 1]);
            }
        }
    }
}
