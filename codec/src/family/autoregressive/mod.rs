//! Method 9: a small network predicts each value from those around that were decoded before it.
//!
//! ```text
//! values -> integers of step 2 * bound
//! integers around -> linear prediction (weights fitted to the part) -> differences in units of their mean
//!                 -> network of the bundle -> correction, scale -> context of the entropy coder
//! ```
//!
//! All integers from the first line on. Since differences are in units of themselves, one network serves all bounds.

mod coder;
mod lanes;
mod neighbours;
mod network;
mod training;

use super::Family;
use crate::bound::Promise;
use crate::bundle::{Bundle, Family as FamilyName};
use crate::candidate::{AUTOREGRESSIVE, Exceptions, Part, Target};
use crate::entropy::range::{BitCoder, Decoder, Encoder};
use crate::error::{Error, Result};
use crate::params::{Dtype, Effort};
use crate::predict::fitted::{self, Scan, Site, Visit};
use crate::predict::lorenzo::{MAX_AXES, working_extents};
use crate::predict::stream::Ints;
use crate::quantize::{Quantiser, quantise};
use crate::registry::Registry;
use crate::simd;
use crate::special::Specials;
use crate::wire::{Reader, Writer};
use coder::Coder;
use neighbours::Neighbours;
pub(crate) use network::IntegerNetwork;
use std::convert::Infallible;
pub use training::{N_INPUTS, Samples};

/// See the module's description.
pub(crate) struct Autoregressive;

impl Family for Autoregressive {
    fn method(&self) -> u8 {
        AUTOREGRESSIVE
    }

    fn name(&self) -> FamilyName {
        FamilyName::Autoregressive
    }

    fn fits(&self, bundle: &Bundle, _: Dtype, shape: &[usize]) -> Result<()> {
        if working_extents(shape).len() < 2 {
            return Err(Error::invalid(format!(
                "model {} predicts values of fields from those around: shape {shape:?} has fewer than two axes longer than 1",
                bundle.manifest().name
            )));
        }
        Ok(())
    }

    fn encode(&self, bundle: &Bundle, _: &Registry, part: &Part<'_>, to_beat: usize) -> Result<Option<Vec<u8>>> {
        if part.promise == Promise::None {
            return Err(Error::invalid(format!(
                "the bound `latent` keeps a model's latents and nothing else: model {} has none",
                bundle.manifest().name
            )));
        }
        let network = bundle.integer_network()?;
        let quantised = quantise(part.elements, part.specials, part.promise);
        // Wide integers are bits of floats or keys, not samples of a field.
        let Ints::I32(q) = &quantised.q else { return Ok(None) };
        let extents = pad(&working_extents(part.shape));
        let mut values: Vec<i64> = q.iter().map(|&q| q.into()).collect();
        let n_samples = if part.effort == Effort::Max { 1 << 14 } else { 1 << 13 };
        let weights = fitted::fit(&values, &extents, n_samples, |i| !part.specials.is_masked(i));
        let mut coder = Encoder::new();
        let sites = Sites::new(&extents, network, part.specials, &mut coder);
        let Ok(()) =
            simd::run(Scan { values: &mut values, extents: &extents, weights: &weights, visit: Writes { sites, q } });

        let mut out = Writer::default();
        part.specials.write(part.dtype(), &mut out);
        quantised.quantiser.write(&mut out);
        Exceptions::write(part.elements, &quantised.exceptions, &mut out);
        for extent in extents {
            out.varint(extent as u64);
        }
        for &weight in weights.iter().flatten() {
            out.varint_signed(weight.into());
        }
        out.raw(&coder.finish());
        Ok((out.bytes.len() < to_beat).then_some(out.bytes))
    }

    fn decode(&self, bundle: &Bundle, payload: &[u8], _: &[usize], target: &mut Target<'_>) -> Result<()> {
        let n = target.n_values();
        let mut input = Reader::new(payload);
        let specials = Specials::read(target.dtype, n, &mut input)?;
        let quantiser = Quantiser::read(target.dtype, &mut input)?;
        let exceptions = Exceptions::read(target.dtype.size_bytes(), n, &mut input)?;
        let extents = fitted::read_extents(n, &mut input)?;
        let weights = fitted::read_weights(&extents, &mut input)?;
        // A decision takes 2^-15.5 bits at least; with fewer bytes than that the stream cannot hold the values.
        let coded = input.rest();
        if n >> 19 > coded.len() + 8 {
            return Err(Error::corrupt(format!("{} bytes of range coding cannot hold {n} values", coded.len())));
        }
        let mut coder = Decoder::new(coded);
        let mut values = vec![0; n];
        let sites = Sites::new(&extents, bundle.integer_network()?, &specials, &mut coder);
        let Ok(()) =
            simd::run(Scan { values: &mut values, extents: &extents, weights: &weights, visit: Reads { sites } });
        coder.finish()?;
        quantiser.decode_all(target.dtype, &Ints::I64(values), target.out);
        exceptions.restore(target);
        target.restore(&specials);
        Ok(())
    }
}

/// What writer and reader do alike at each site.
struct Sites<'a, C> {
    neighbours: Neighbours,
    network: &'a IntegerNetwork,
    specials: &'a Specials,
    model: Coder,
    coder: &'a mut C,
}

impl<'a, C: BitCoder> Sites<'a, C> {
    fn new(extents: &[usize; MAX_AXES], network: &'a IntegerNetwork, specials: &'a Specials, coder: &'a mut C) -> Self {
        Self { neighbours: Neighbours::new(extents), network, specials, model: Coder::new(extents), coder }
    }

    #[inline(always)]
    fn visit(&mut self, values: &[i64], site: &Site, value: impl FnOnce() -> i64) -> i64 {
        if site.x == 0 {
            self.model.begin_row();
        }
        let (inputs, unit) = self.neighbours.inputs(values, site);
        let said = self.network.run(&inputs);
        if self.specials.is_masked(site.i) {
            // Values taken out hold their prediction.
            return Coder::predicted(site, said, unit);
        }
        self.model.value(self.coder, value(), site, said, unit)
    }
}

struct Writes<'a> {
    sites: Sites<'a, Encoder>,
    q: &'a [i32],
}

impl Visit<i64> for Writes<'_> {
    type Error = Infallible;

    #[inline(always)]
    fn visit(&mut self, values: &[i64], site: &Site) -> std::result::Result<i64, Infallible> {
        let value = i64::from(self.q[site.i]);
        Ok(self.sites.visit(values, site, || value))
    }
}

struct Reads<'a, 'c> {
    sites: Sites<'a, Decoder<'c>>,
}

impl Visit<i64> for Reads<'_, '_> {
    type Error = Infallible;

    #[inline(always)]
    fn visit(&mut self, values: &[i64], site: &Site) -> std::result::Result<i64, Infallible> {
        Ok(self.sites.visit(values, site, || 0))
    }
}

fn pad(extents: &[usize]) -> [usize; MAX_AXES] {
    let mut padded = [1; MAX_AXES];
    padded[MAX_AXES - extents.len()..].copy_from_slice(extents);
    padded
}
