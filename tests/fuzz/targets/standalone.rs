//! `.baler` files.

use super::chunk::OUTPUT;
use super::{MIB, Target, mend_checksum};
use baler_codec::standalone::{
    ArrayHeader, Container, EncodeOptions, Error, FileModels, Reader, Span, Writer, decode_items, encode_array,
};
use baler_codec::{Bound, ByteOrder, Dtype, Effort, Limits, ModelChoice, Registry};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub const TARGET: Target = Target { name: "standalone", seeds, mend, run, memory };

fn seeds() -> Vec<Vec<u8>> {
    let bounds = [Bound::Lossless, Bound::Abs(0.01), Bound::Rel(1e-3), Bound::Psnr(60.0)];
    bounds.into_iter().filter_map(|bound| file(bound).ok()).collect()
}

/// Two arrays and a member of another kind.
fn file(bound: Bound) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new(Vec::new(), Container::Npz)?;
    for (name, order) in [("a", ByteOrder::Little), ("b", ByteOrder::Big)] {
        let header = ArrayHeader {
            name: name.into(),
            dtype: Dtype::F32,
            byte_order: order,
            shape: vec![20, 15],
            reversed_axes: false,
            rows_per_chunk: 7,
            bound,
            per_column: name == "b",
            abs_bound: None,
            fill: Some(vec![0; 4]),
        };
        let bytes: Vec<u8> = (0..300).flat_map(|i| ((i as f32 * 0.1).sin()).to_le_bytes()).collect();
        let mut span = Span::new(header.dtype, order, None)?;
        span.add(&bytes);
        let options = EncodeOptions {
            model: ModelChoice::None,
            effort: Effort::Default,
            keep_outliers: None,
            check_decode: false,
            embed_in_chunks: false,
            threads: 1,
        };
        let no_model = |_: &_| Ok(None);
        encode_array(&mut writer, &header, &mut &bytes[..], &span, &options, &Registry::new(), &no_model, &mut |_| {})?;
    }
    writer.blob("names.npy", b"not an array")?;
    Ok(writer.finish()?.0)
}

/// Checks of the head, of every frame as far as lengths lead, and of the chunks in them.
fn mend(input: &mut [u8]) {
    let low = |bytes: &[u8], seed: u64| ((xxh3_64_with_seed(bytes, seed) & 0xffff_ffff) as u32).to_le_bytes();
    if input.len() < 16 {
        return;
    }
    let check = low(&input[..12], 0);
    input[12..16].copy_from_slice(&check);
    let mut at = 16;
    while input.len() - at >= 24 {
        let check = low(&input[at..at + 12], at as u64);
        input[at + 12..at + 16].copy_from_slice(&check);
        let len = u64::from_le_bytes(std::array::from_fn(|k| input[at + 4 + k]));
        let after = usize::try_from(len).ok().and_then(|n| n.checked_add(at + 24));
        let Some(end) = after.filter(|&after| after <= input.len()).map(|after| after - 8) else { return };
        if input[at..].starts_with(b"CHNK") && end - at > 32 {
            mend_checksum(&mut input[at + 32..end]);
        }
        let check = xxh3_64_with_seed(&input[at + 16..end], at as u64);
        input[end..end + 8].copy_from_slice(&check.to_le_bytes());
        at = end + 8;
    }
}

fn memory(len: usize) -> usize {
    32 * OUTPUT + 256 * len + 16 * MIB
}

fn run(input: &[u8]) -> Result<String, String> {
    let mut reader = match Reader::new(input) {
        Ok(reader) => reader,
        Err(e) => return Ok(e.to_string()),
    };
    let (models, limits) = (FileModels::default(), Limits { max_output_bytes: OUTPUT });
    let mut n_items = 0;
    let result = decode_items(&mut reader, &models, &Registry::new(), &limits, 1, |_| {
        n_items += 1;
        Ok::<(), Error>(())
    });
    Ok(format!("{n_items} items, {}", result.map_or_else(|e| e.to_string(), |()| "read".into())))
}
