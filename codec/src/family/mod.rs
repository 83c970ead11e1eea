//! Model families: how a trained bundle predicts values. One file each, and one line in [`FAMILIES`] for those that code
//! a part by themselves; [`predictor`] only tells how columns of a table follow from others.

pub(crate) mod autoencoder;
pub(crate) mod autoregressive;
mod filled;
pub(crate) mod predictor;

pub(crate) use autoregressive::IntegerNetwork;
pub(crate) use filled::Filled;

use crate::bundle::{Bundle, Family as FamilyName};
use crate::candidate::{Part, Target};
use crate::error::{Error, Result};
use crate::params::Dtype;
use crate::quantize::Quantised;
use crate::registry::Registry;
use std::cell::OnceCell;

/// A part that models are asked to encode, and what is found out about it once for all of them.
pub(crate) struct Task<'a> {
    pub part: &'a Part<'a>,
    /// The part on its own; there is none where nothing but latents is kept.
    pub quantised: Option<&'a Quantised>,
    filled: OnceCell<Option<Filled>>,
}

impl<'a> Task<'a> {
    pub fn new(part: &'a Part<'a>, quantised: Option<&'a Quantised>) -> Self {
        Self { part, quantised, filled: OnceCell::new() }
    }

    /// The part as networks see it; nothing where no value is ordinary.
    pub fn filled(&self) -> Option<&Filled> {
        self.filled.get_or_init(|| Filled::of(self.part)).as_ref()
    }
}

/// What the auction and the reader ask of a family.
pub(crate) trait Family: Sync {
    /// Its method's number on disk (`candidate/mod.rs`).
    fn method(&self) -> u8;

    /// The name of the family in manifests.
    fn name(&self) -> FamilyName;

    /// Whether a bundle can predict arrays like this; the error says why not.
    fn fits(&self, bundle: &Bundle, dtype: Dtype, shape: &[usize]) -> Result<()>;

    /// Encodes a part if that may take fewer than `to_beat` bytes; `registry` has the bundle's encoder.
    fn encode(&self, bundle: &Bundle, registry: &Registry, task: &Task<'_>, to_beat: usize) -> Result<Option<Vec<u8>>>;

    /// Decodes what [`Family::encode`] wrote.
    fn decode(&self, bundle: &Bundle, payload: &[u8], shape: &[usize], target: &mut Target<'_>) -> Result<()>;
}

/// Every family.
pub(crate) const FAMILIES: &[&dyn Family] = &[&autoencoder::Autoencoder, &autoregressive::Autoregressive];

/// The family of a bundle.
pub(crate) fn of(bundle: &Bundle) -> Option<&'static dyn Family> {
    FAMILIES.iter().copied().find(|f| f.name() == bundle.manifest().family)
}

/// The family behind a method's number.
pub(crate) fn by_method(method: u8) -> Option<&'static dyn Family> {
    FAMILIES.iter().copied().find(|f| f.method() == method)
}

/// Whether a bundle can serve arrays like this; the error says why not.
pub(crate) fn check_fits(bundle: &Bundle, dtype: Dtype, shape: &[usize]) -> Result<()> {
    match of(bundle) {
        _ if bundle.manifest().family == FamilyName::Predictor => predictor::fits(bundle, shape),
        Some(family) => family.fits(bundle, dtype, shape),
        None => Err(Error::unsupported("the model's family is unknown to this build")),
    }
}
