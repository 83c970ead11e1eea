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

use super::{Family, Task};
use crate::bundle::{Bundle, Family as FamilyName};
use crate::candidate::{AUTOREGRESSIVE, Exceptions, Target};
use crate::entropy::Int;
use crate::entropy::range::{BitCoder, Decoder, Encoder};
use crate::error::{Error, Result};
use crate::params::{Dtype, Effort};
use crate::predict::fitted::{self, Scan, Site, Visit, Weights};
use crate::predict::lorenzo::{MAX_AXES, working_extents};
use crate::predict::stream::Ints;
use crate::quantize::Quantiser;
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

    fn encode(&self, bundle: &Bundle, _: &Registry, task: &Task<'_>, to_beat: usize) -> Result<Option<Vec<u8>>> {
        let part = task.part;
        let Some(quantised) = task.quantised else {
            return Err(Error::invalid(format!(
                "the bound `latent` keeps a model's latents and nothing else: model {} has none",
                bundle.manifest().name
            )));
        };
        let network = bundle.integer_network()?;
        // Wide integers are bits of floats or keys, not samples of a field.
        let Ints::I32(q) = &quantised.q else { return Ok(None) };
        let extents = fitted::extents_of(part.shape);
        let n_samples = if part.effort == Effort::Max { 1 << 14 } else { 1 << 13 };
        let weights = fitted::fit(q, &extents, n_samples, |i| !part.specials.is_masked(i));
        let model = Model { extents, weights, network, specials: part.specials };
        let coded = if part.specials.classes.is_empty() {
            model.write(q.clone())
        } else {
            // Values taken out hold their prediction, which may not fit 32 bits.
            model.write(q.iter().map(|&q| i64::from(q)).collect())
        };

        let mut out = Writer::default();
        part.specials.write(part.dtype(), &mut out);
        quantised.quantiser.write(&mut out);
        Exceptions::write(part.elements, &quantised.exceptions, &mut out);
        fitted::write_extents(&model.extents, &mut out);
        fitted::write_weights(&model.weights, &mut out);
        out.raw(&coded);
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
        let model = Model { extents, weights, network: bundle.integer_network()?, specials: &specials };
        let values = match model.read(coded, n)? {
            Some(narrow) => Ints::I32(narrow),
            None => Ints::I64(model.read(coded, n)?.expect("64 bits hold all values")),
        };
        quantiser.decode_all(target.dtype, &values, target.out);
        exceptions.restore(target);
        target.restore(&specials);
        Ok(())
    }
}

/// All that predictions of a part come from.
struct Model<'a> {
    extents: [usize; MAX_AXES],
    weights: Weights,
    network: &'a IntegerNetwork,
    specials: &'a Specials,
}

impl Model<'_> {
    fn write<I: Int>(&self, mut values: Vec<I>) -> Vec<u8> {
        let mut coder = Encoder::new();
        let Ok(()) = self.scan(&mut values, Writes(Sites::new(self, &mut coder)));
        coder.finish()
    }

    /// `None` if a value does not fit the width.
    fn read<I: Int>(&self, coded: &[u8], n: usize) -> Result<Option<Vec<I>>> {
        let mut coder = Decoder::new(coded);
        let mut values = vec![I::default(); n];
        if self.scan(&mut values, Reads(Sites::new(self, &mut coder))).is_err() {
            return Ok(None);
        }
        coder.finish()?;
        Ok(Some(values))
    }

    fn scan<I: Int, V: Visit<I>>(&self, values: &mut [I], visit: V) -> std::result::Result<(), V::Error> {
        simd::run(Scan { values, extents: &self.extents, weights: &self.weights, visit })
    }
}

/// What writer and reader do alike at each site.
struct Sites<'a, C> {
    neighbours: Neighbours,
    network: &'a IntegerNetwork,
    specials: &'a Specials,
    contexts: Coder,
    coder: &'a mut C,
}

impl<'a, C: BitCoder> Sites<'a, C> {
    fn new(model: &'a Model<'_>, coder: &'a mut C) -> Self {
        let (neighbours, contexts) = (Neighbours::new(&model.extents), Coder::new(&model.extents));
        Self { neighbours, network: model.network, specials: model.specials, contexts, coder }
    }

    /// The value of a site: `value` where it is written, found where it is read.
    #[inline(always)]
    fn visit<I: Int>(&mut self, values: &[I], site: &Site, value: i64) -> i64 {
        if site.x == 0 {
            self.contexts.begin_row();
        }
        let (inputs, unit) = self.neighbours.inputs(values, site);
        let said = self.network.run(&inputs);
        if self.specials.is_masked(site.i) {
            // Values taken out hold their prediction.
            return Coder::predicted(site, said, unit);
        }
        self.contexts.value(self.coder, value, site, said, unit)
    }
}

struct Writes<'a>(Sites<'a, Encoder>);

impl<I: Int> Visit<I> for Writes<'_> {
    type Error = Infallible;

    #[inline(always)]
    fn visit(&mut self, values: &[I], site: &Site) -> std::result::Result<I, Infallible> {
        let there = values[site.i];
        Ok(I::from_i64(self.0.visit(values, site, there.to_i64())).unwrap_or(there))
    }
}

struct Reads<'a, 'c>(Sites<'a, Decoder<'c>>);

/// A value is wider than the integers that are to hold it.
struct Wide;

impl<I: Int> Visit<I> for Reads<'_, '_> {
    type Error = Wide;

    #[inline(always)]
    fn visit(&mut self, values: &[I], site: &Site) -> std::result::Result<I, Wide> {
        I::from_i64(self.0.visit(values, site, 0)).ok_or(Wide)
    }
}
