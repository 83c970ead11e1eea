//! Words that HDF5 hands to the filter.

use super::{MIB, Target, as_it_is};
use baler_codec::Bound;
use baler_hdf5::cd_values::{Request, merge_leading_axes};

pub const TARGET: Target = Target { name: "cd_values", seeds, mend: as_it_is, run, memory: |_| MIB };

fn seeds() -> Vec<Vec<u8>> {
    let bounds = [Bound::Lossless, Bound::Abs(0.5), Bound::Rel(1e-3), Bound::PwRel(1e-2), Bound::Psnr(60.0)];
    let requests = bounds.map(|bound| Request::new(bound).to_words().unwrap_or_default());
    let mut seeds = Vec::from(requests);
    // What set_local stores, with a fill value and two axes.
    seeds.push(vec![0x0018_0101, 0, 0x3fe0_0000, 0, 0, 0, 0, 0x447a_0000, 0, 0x0002_0002, 20, 16]);
    seeds.iter().map(|words| words.iter().flat_map(|w| w.to_le_bytes()).collect()).collect()
}

fn run(input: &[u8]) -> Result<String, String> {
    let words: Vec<u32> = input.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    let extents: Vec<u64> = words.iter().map(|&w| w.into()).collect();
    let merged = merge_leading_axes(&extents).is_ok();
    let request = match Request::from_words(&words) {
        Ok(request) => request,
        Err(e) => return Ok(format!("{merged} {e}")),
    };
    let again = request.to_words().map_err(|e| format!("read from {words:x?} and not written again: {e}"))?;
    let back = Request::from_words(&again).map_err(|e| format!("{words:x?} became {again:x?}: {e}"))?;
    if back != request {
        return Err(format!("{words:x?} became {again:x?}"));
    }
    Ok(format!("{merged} {} words", again.len()))
}
