//! Method 1: one value for all that are not special.

use super::{Part, Target};
use crate::element::put_bits;
use crate::error::Result;
use crate::quantize::Quantised;
use crate::special::Specials;
use crate::wire::{Reader, Writer};

/// Encodes if the quantised values allow it.
pub(crate) fn encode(part: &Part<'_>, quantised: &Quantised) -> Option<Vec<u8>> {
    let dtype = part.dtype();
    if !quantised.exceptions.is_empty() || !quantised.q.is_constant(&part.specials.classes) {
        return None;
    }
    let q = (0..part.n_values()).find(|&i| !part.specials.is_masked(i)).map_or(0, |i| quantised.q.get(i));
    let mut out = Writer::default();
    part.specials.write(dtype, &mut out);
    out.raw(&quantised.quantiser.decode(dtype, q).to_le_bytes()[..dtype.size_bytes()]);
    Some(out.bytes)
}

pub(crate) fn decode(payload: &[u8], target: &mut Target<'_>) -> Result<()> {
    let size = target.dtype.size_bytes();
    let mut input = Reader::new(payload);
    let specials = Specials::read(target.dtype, target.n_values(), &mut input)?;
    let mut word = [0; 8];
    word[..size].copy_from_slice(input.raw(size, "the constant")?);
    input.finish("the constant")?;
    for i in 0..target.n_values() {
        put_bits(target.out, size, i, u64::from_le_bytes(word));
    }
    target.restore(&specials);
    Ok(())
}
