//! Fingerprints of training data: how a benchmark knows that a model has seen what it is measured on.
//!
//! A row is an index of the first axis: a row of a table, a frame of a stack. Its hash is XXH3-64 of its values as
//! little-endian float32 (every NaN as the one of `f32::NAN`), so that the same data counts as the same in every dtype and
//! byte order. Rows of one value repeated have none: detectors' gaps and land masks are alike everywhere. A manifest
//! keeps up to [`MAX_ROWS`] of them, evenly spaced, as `[training] fingerprint = ["<16 hex digits>", ...]`.

use baler_codec::{Bundle, ByteOrder, Dtype};
use half::f16;
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_64;

/// The most rows a fingerprint holds.
pub const MAX_ROWS: usize = 256;

/// The fingerprint of training data: `values` in C order, `row_values` for each index of the first axis.
pub fn of_rows(values: &[f32], row_values: usize) -> Vec<String> {
    let rows: Vec<&[f32]> = values.chunks_exact(row_values.max(1)).filter(|row| !is_constant(row)).collect();
    let n = rows.len().min(MAX_ROWS);
    (0..n).map(|i| format!("{:016x}", hash(rows[i * rows.len() / n]))).collect()
}

/// The fingerprint in a bundle's manifest; empty if it has none.
pub fn of_bundle(bundle: &Bundle) -> Vec<u64> {
    let entries = bundle.manifest().training.get("fingerprint").and_then(|f| f.as_array());
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    entries.map(|all| all.iter().filter_map(|e| hex(e.as_str()?)).collect()).unwrap_or_default()
}

/// The hash of every row of an array that has one.
pub fn rows(dtype: Dtype, byte_order: ByteOrder, shape: &[usize], values: &[u8]) -> HashSet<u64> {
    let row_values = shape.iter().skip(1).product::<usize>().max(1);
    let row_bytes = row_values * dtype.size_bytes();
    let row_of = |bytes: &[u8]| bytes.chunks_exact(dtype.size_bytes()).map(|e| to_f32(dtype, byte_order, e)).collect();
    values
        .chunks_exact(row_bytes)
        .map(|bytes| -> Vec<f32> { row_of(bytes) })
        .filter(|row| !is_constant(row))
        .map(|row| hash(&row))
        .collect()
}

fn is_constant(row: &[f32]) -> bool {
    row.windows(2).all(|pair| bits(pair[0]) == bits(pair[1]))
}

fn hash(row: &[f32]) -> u64 {
    let bytes: Vec<u8> = row.iter().flat_map(|&v| bits(v).to_le_bytes()).collect();
    xxh3_64(&bytes)
}

/// The bits of a value, one pattern for every NaN.
fn bits(v: f32) -> u32 {
    if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }
}

fn to_f32(dtype: Dtype, byte_order: ByteOrder, element: &[u8]) -> f32 {
    let mut word = [0u8; 8];
    match byte_order {
        ByteOrder::Little => word[..element.len()].copy_from_slice(element),
        ByteOrder::Big => element.iter().rev().zip(&mut word).for_each(|(from, to)| *to = *from),
    }
    let bits = u64::from_le_bytes(word);
    match dtype {
        Dtype::F16 => f16::from_bits(bits as u16).to_f32(),
        Dtype::F32 => f32::from_bits(bits as u32),
        Dtype::F64 => f64::from_bits(bits) as f32,
        Dtype::I8 => f32::from(bits as i8),
        Dtype::I16 => f32::from(bits as i16),
        Dtype::I32 => bits as i32 as f32,
        Dtype::I64 => bits as i64 as f32,
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => bits as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_values_have_the_same_hash_in_every_type_and_order() {
        let values: Vec<f32> = (0..12).map(|i| (i * i) as f32).collect();
        let fingerprint = of_rows(&values, 3);
        assert_eq!(fingerprint.len(), 4);
        let as_bytes = |to: fn(f32) -> Vec<u8>| -> Vec<u8> { values.iter().flat_map(|&v| to(v)).collect() };
        let cases = [
            (Dtype::F32, ByteOrder::Little, as_bytes(|v| v.to_le_bytes().to_vec())),
            (Dtype::F64, ByteOrder::Big, as_bytes(|v| f64::from(v).to_be_bytes().to_vec())),
            (Dtype::F16, ByteOrder::Little, as_bytes(|v| f16::from_f32(v).to_le_bytes().to_vec())),
            (Dtype::U8, ByteOrder::Little, as_bytes(|v| vec![v as u8])),
            (Dtype::I64, ByteOrder::Big, as_bytes(|v| (v as i64).to_be_bytes().to_vec())),
        ];
        for (dtype, order, bytes) in cases {
            let found = rows(dtype, order, &[4, 3], &bytes);
            for row in &fingerprint {
                assert!(found.contains(&u64::from_str_radix(row, 16).unwrap()), "{dtype}");
            }
        }
    }

    #[test]
    fn constant_rows_have_none_and_the_rest_is_spaced_evenly() {
        let mut values = vec![7.0f32; 1000 * 4];
        values[..4].fill(f32::NAN);
        assert!(of_rows(&values, 4).is_empty());
        for row in 500..1000 {
            values[row * 4] = row as f32;
        }
        let fingerprint = of_rows(&values, 4);
        assert_eq!(fingerprint.len(), MAX_ROWS);
        assert_eq!(fingerprint.iter().collect::<HashSet<_>>().len(), MAX_ROWS);
    }
}
