//! Method 2: quantised integers, as they are or after n-dimensional Lorenzo prediction.

use super::{Exceptions, Part, Target};
use crate::error::Result;
use crate::predict::stream;
use crate::quantize::{Quantised, Quantiser};
use crate::special::Specials;
use crate::wire::{Reader, Writer};

pub(crate) fn encode(part: &Part<'_>, quantised: &Quantised) -> Vec<u8> {
    let mut out = Writer::default();
    part.specials.write(part.dtype(), &mut out);
    quantised.quantiser.write(&mut out);
    Exceptions::write(part.elements, &quantised.exceptions, &mut out);
    out.raw(&stream::encode(&quantised.q, part.shape, &part.specials.classes, part.effort));
    out.bytes
}

pub(crate) fn decode(payload: &[u8], target: &mut Target<'_>) -> Result<()> {
    let n = target.n_values();
    let mut input = Reader::new(payload);
    let specials = Specials::read(target.dtype, n, &mut input)?;
    let quantiser = Quantiser::read(target.dtype, &mut input)?;
    let exceptions = Exceptions::read(target.dtype.size_bytes(), n, &mut input)?;
    let q = stream::decode(input.rest(), n, &specials.classes)?;
    quantiser.decode_all(target.dtype, &q, target.out);
    exceptions.restore(target);
    target.restore(&specials);
    Ok(())
}

/// What the stream of integers says of itself.
pub(crate) fn summarise(payload: &[u8], dtype: crate::params::Dtype, n: usize) -> Result<stream::Summary> {
    let mut input = Reader::new(payload);
    Specials::read(dtype, n, &mut input)?;
    Quantiser::read(dtype, &mut input)?;
    Exceptions::read(dtype.size_bytes(), n, &mut input)?;
    stream::summarise(input.rest(), n)
}
