//! Bombs: chunks of a few bytes that stand for as large an array as the caller allows.

use super::chunk::{OUTPUT, memory, run};
use super::{Target, mend_checksum};
use baler_codec::Dtype;

pub const TARGET: Target = Target { name: "bombs", seeds: bombs, mend: mend_checksum, run, memory };

/// By every method, written by hand as FORMAT.md says.
fn bombs() -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    for dtype in [Dtype::U8, Dtype::F64] {
        let n = OUTPUT / dtype.size_bytes();
        let (count, half) = (varint(n), varint(n / 2));
        let specials: [&[u8]; 2] =
            [&[0], &[&[1][..], &vec![0xff; dtype.size_bytes()], &[5], &[4, 0, 1, 0, 0]].concat()];
        let quantisers: &[&[u8]] = if dtype.is_float() {
            &[&[0, 3], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f], &[3, 5]]
        } else {
            &[&[2, 0, 1]]
        };
        let one = 1f64.to_le_bytes();
        let extents = |count: &[u8]| [&[1, 1, 1], count].concat();
        for specials in specials {
            let mut parts = Vec::new();
            for quantiser in quantisers {
                let integers = ramp(&count);
                parts.push([&[2], specials, quantiser, &[0], &integers].concat());
                // Fitted: eleven weights.
                parts.push([&[8], specials, quantiser, &[0], &extents(&count), &[0], &[9; 11], &integers].concat());
                let related = [&[6, 0, 0, 0], specials, quantiser, &[0, 0, 9, 0], &[7; 40]].concat();
                chunks.push(chunk(
                    dtype,
                    2,
                    &[n / 2, 2],
                    &[[&[2], specials, quantiser, &[0], &ramp(&half)].concat(), related],
                ));
            }
            let levels = usize::BITS - (n - 1).leading_zeros();
            let (codes, integers) = (vec![0; levels as usize], ramp(&count));
            let tail = [&[0], &integers[..]].concat();
            parts.push([&[5], specials, &one, &one, &extents(&count), &[3, levels as u8], &codes, &tail].concat());
            let wavelet = [&one, &one, &one, &extents(&count)[..], &[1, 8, 20, 0, 24], &[0x5a; 24], &integers].concat();
            parts.push([&[7], specials, &wavelet].concat());
            parts.push([&[1], specials, &vec![1; dtype.size_bytes()]].concat());
            // Of context, mixed and rANS coders.
            for coder in [4, 5, 6] {
                parts.push([&[2], specials, quantisers[0], &[0, 8, 1], &count, &[0, coder], &[0x33; 40]].concat());
            }
            chunks.extend(parts.into_iter().map(|part| chunk(dtype, 0, &[n], &[part])));
        }
    }
    chunks
}

/// Integers of 64 bits, differences of second order, all 3: zigzag 6.
fn ramp(count: &[u8]) -> Vec<u8> {
    [&[8, 1], count, &[2, 0, 6]].concat()
}

fn varint(mut v: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
    out
}

/// A lossless chunk of these parts.
fn chunk(dtype: Dtype, flags: u8, shape: &[usize], parts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = [b"BALR", &[1, flags, dtype as u8, 0][..], &[0; 8], &[shape.len() as u8]].concat();
    shape.iter().for_each(|&extent| out.extend(varint(extent)));
    for part in parts {
        out.extend(varint(part.len()));
        out.extend(part);
    }
    out.extend([0; 8]);
    mend_checksum(&mut out);
    out
}
