//! The HDF5 filter's two ways, with the words of a file and what the file holds as a chunk: `decode_chunk`, `encode_chunk`.

use super::chunk::{OUTPUT, memory};
use super::{Target, mend_checksum};
use baler_codec::{Bound, ModelChoice, Params, Registry, check, encode};
use baler_hdf5::cd_values::{Array, Request};
use baler_hdf5::{decode_chunk, encode_chunk};
use baler_tests::random;

pub const TARGET: Target = Target { name: "filter", seeds, mend: mend_checksum, run, memory };

/// Values that are encoded, at most.
const MOST_BYTES: usize = 1 << 13;

/// One byte that says how many words follow; the rest is a chunk, and stands for values too.
fn seeds() -> Vec<Vec<u8>> {
    let seed = |seed| {
        let case = random::case(seed);
        let chunk = encode(&case.params, &case.original, &Registry::new()).ok()?;
        let Params { dtype, byte_order, shape, fill, .. } = case.params;
        let request = Request {
            array: Some(Array { dtype, byte_order, shape, fill }),
            per_column: case.params.per_column,
            effort: case.params.effort,
            model: ModelChoice::None,
            ..Request::new(case.params.bound)
        };
        let words = request.to_words().ok()?;
        let head: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        (chunk.len() < 2000).then(|| [&[words.len() as u8], &head[..], &chunk].concat())
    };
    (0..200).filter_map(seed).collect()
}

fn run(input: &[u8]) -> Result<String, String> {
    let Some((&n_words, rest)) = input.split_first() else { return Ok("empty".into()) };
    let (head, body) = rest.split_at(rest.len().min(4 * usize::from(n_words % 32)));
    let words: Vec<u32> = head.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    let request = match Request::from_words(&words) {
        Ok(request) => request,
        Err(e) => return Ok(e.to_string()),
    };
    let Some(array) = &request.array else { return Ok("no array".into()) };
    let len_bytes = array.len_bytes().map_err(|e| format!("read from words, but {e}"))?;
    if len_bytes > OUTPUT {
        return Ok("large".into());
    }
    let read = |stream: &[u8]| match decode_chunk(&words, stream, &Registry::new()) {
        Ok(values) if values.len() != len_bytes => Err(format!("{} bytes, where HDF5 takes {len_bytes}", values.len())),
        Ok(values) => Ok(Ok(values)),
        Err(e) => Ok(Err(e.to_string())),
    };
    let decoded = read(body)?.map_or_else(|e| e, |_| "read".into());
    // Models are another target's.
    if len_bytes > MOST_BYTES || body.is_empty() || request.model != ModelChoice::None || request.bound == Bound::Latent
    {
        return Ok(decoded);
    }
    let values: Vec<u8> = body.iter().copied().cycle().take(len_bytes).collect();
    let chunk = match encode_chunk(&words, &values) {
        Ok(chunk) => chunk,
        Err(e) => return Ok(format!("{decoded}; {e}")),
    };
    let back = read(&chunk)?.map_err(|e| format!("written for {words:x?}, and not read: {e}"))?;
    let mut params = Params::new(array.dtype, &array.shape, request.bound);
    params.byte_order = array.byte_order;
    params.per_column = request.per_column;
    params.fill = array.fill.clone();
    let found = check(&params, &values, &back).map_err(|e| format!("written, but {e}"))?;
    if !found.is_kept() {
        return Err(format!("{words:x?}: the bound is broken: {found:?}"));
    }
    Ok(decoded)
}
