//! A damaged chunk is an error: every bit flipped, cut at every length, noise. Behind a forged checksum, where damage
//! cannot be seen, decoding may give other values but never crashes and never takes more memory than it may.

use baler_codec::{Bound, Candidates, Dtype, Effort, ErrorKind, Limits, Params, Registry, decode, describe, encode};

fn chunks() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let field: Vec<u8> = (0..24 * 25)
        .flat_map(|i| {
            let v = ((i / 25) as f32 * 0.2).sin() + (i % 25) as f32 * 0.1;
            if i % 97 == 5 { f32::NAN } else { v }.to_le_bytes()
        })
        .collect();
    let spiky: Vec<u8> =
        (0..600u64).flat_map(|i| f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes()).collect();
    let counts: Vec<u8> =
        (0..900u32).flat_map(|i| (i * i % 7 + if i == 400 { 1 << 20 } else { 0 }).to_le_bytes()).collect();
    let flat = vec![9u8; 500];
    let mut out = Vec::new();
    let mut add = |name, params: Params, values: &[u8]| {
        out.push((name, encode(&params, values, &Registry::new()).unwrap(), values.to_vec()));
    };
    add("field", Params::new(Dtype::F32, &[24, 25], Bound::Rel(1e-3)), &field);
    add("field, lossless", Params::new(Dtype::F32, &[24, 25], Bound::Lossless), &field);
    add("pointwise relative", Params::new(Dtype::F32, &[2, 12, 25], Bound::PwRel(1e-2)), &field);
    add("any bits", Params::new(Dtype::F64, &[600], Bound::Abs(1.0)), &spiky);
    add("counts", Params::new(Dtype::U32, &[30, 30], Bound::Lossless), &counts);
    add("counts within 1", Params::new(Dtype::U32, &[30, 30], Bound::Abs(1.0)), &counts);
    // Waves under noise, at a bound above the noise.
    let waves: Vec<u8> = (0..4 * 20 * 21u32)
        .flat_map(|i| {
            let (z, y, x) = ((i / 420) as f32, (i / 21 % 20) as f32, (i % 21) as f32);
            let noise = (u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(i) << 29)
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
                >> 40;
            let noise = noise as f32 / (1 << 24) as f32 - 0.5;
            ((x * 0.4 + z * 0.1).sin() * (y * 0.3).cos() + 0.2 * noise).to_le_bytes()
        })
        .collect();
    // Exactly, with gaps, and as few digits as an instrument has.
    for (dtype, name) in [(Dtype::F32, "floats"), (Dtype::F64, "wide floats")] {
        let some = waves.as_chunks::<4>().0.iter().enumerate().map(|(i, &b)| match f32::from_le_bytes(b) {
            _ if i % 61 < 2 => f32::NAN,
            v => v * 1e3,
        });
        let values: Vec<u8> = match dtype {
            Dtype::F32 => some.flat_map(f32::to_le_bytes).collect(),
            _ => some.flat_map(|v| (f64::from(v as i16) * 0.125).to_le_bytes()).collect(),
        };
        let mut params = Params::new(dtype, &[4, 20, 21], Bound::Lossless);
        params.candidates = Candidates::only("floating").unwrap();
        add(name, params, &values);
    }
    let mut params = Params::new(Dtype::F32, &[4, 20, 21], Bound::Rel(1e-1));
    params.effort = Effort::Max;
    add("waves", params, &waves);
    // The same at a tight bound, and with every fifth value of a ramp only.
    add("tight waves", Params::new(Dtype::F32, &[4, 20, 21], Bound::Rel(1e-4)), &waves);
    let sparse: Vec<u8> =
        (0..1000u32).flat_map(|i| ((i * i % 13 + i / 50) % 24 * 5 * (i % 24 + 1)).to_le_bytes()).collect();
    add("sparse", Params::new(Dtype::U32, &[40, 25], Bound::Lossless), &sparse);
    add("flat", Params::new(Dtype::U8, &[500], Bound::Lossless), &flat);
    let mut table = Params::new(Dtype::F32, &[150, 4], Bound::Rel(1e-2));
    table.per_column = true;
    add("table", table, &field);
    // Columns that follow from others: one by a product, one by a flag.
    let related: Vec<u8> = (0..256u64)
        .flat_map(|i| {
            let noise = |k: u64| (i.wrapping_mul(k) >> 40) as f32 / 16_777_216.0;
            let (a, b) = (1.0 + noise(0x9e37_79b9_7f4a_7c15), noise(0xc2b2_ae3d_27d4_eb4f));
            [a, b, if b < 0.7 { a * b } else { -999.0 }, f32::from(u8::from(b < 0.7))].map(f32::to_le_bytes)
        })
        .flatten()
        .collect();
    let mut table = Params::new(Dtype::F32, &[256, 4], Bound::Rel(1e-3));
    table.per_column = true;
    add("related columns", table, &related);
    add("empty", Params::new(Dtype::I16, &[0, 5], Bound::Lossless), &[]);
    out
}

fn forge(chunk: &mut [u8]) {
    let at = chunk.len() - 8;
    let sum = xxhash_rust::xxh3::xxh3_64(&chunk[..at]);
    chunk[at..].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn the_chunks_hold_every_field_candidate() {
    let candidates: Vec<&str> = chunks()
        .iter()
        .map(|(_, chunk, _)| describe(chunk).unwrap().parts)
        .filter_map(|p| Some(p.first()?.candidate))
        .collect();
    for candidate in ["lorenzo", "interpolated", "wavelet", "fitted", "floating"] {
        assert!(candidates.contains(&candidate), "{candidate}: {candidates:?}");
    }
}

#[test]
fn every_flipped_bit_every_cut_and_noise_are_errors() {
    let (registry, limits) = (Registry::new(), Limits::default());
    let mut n_cases = 0;
    for (name, chunk, _) in chunks() {
        decode(&chunk, &registry, &limits).unwrap();
        for i in 0..chunk.len() {
            for bit in 0..8 {
                let mut bad = chunk.clone();
                bad[i] ^= 1 << bit;
                assert!(decode(&bad, &registry, &limits).is_err(), "{name}: bit {bit} of byte {i}");
                assert!(describe(&bad).is_err());
                n_cases += 1;
            }
            assert!(decode(&chunk[..i], &registry, &limits).is_err(), "{name}: cut at {i}");
            n_cases += 1;
        }
        let mut noise = 1u64;
        for _ in 0..300 {
            let bad: Vec<u8> = chunk
                .iter()
                .map(|_| {
                    noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (noise >> 56) as u8
                })
                .collect();
            assert!(decode(&bad, &registry, &limits).is_err(), "{name}: noise");
            n_cases += 1;
        }
        let mut longer = chunk.clone();
        longer.push(0);
        assert!(decode(&longer, &registry, &limits).is_err(), "{name}: a byte more");
    }
    println!("{n_cases} damaged chunks, {n_cases} errors");
}

#[test]
fn a_forged_checksum_never_crashes_the_decoder() {
    let registry = Registry::new();
    // What a host that knows its chunk would allow.
    let limits = Limits { max_output_bytes: 1 << 20 };
    for (_, chunk, _) in chunks() {
        for i in 0..chunk.len() - 8 {
            for flip in [1u8, 2, 4, 8, 16, 32, 64, 128, 0xff, 0x7f] {
                let mut bad = chunk.clone();
                bad[i] ^= flip;
                forge(&mut bad);
                let _ = decode(&bad, &registry, &limits);
                let _ = describe(&bad);
            }
            let mut cut = chunk[..i + 8].to_vec();
            forge(&mut cut);
            assert!(decode(&cut, &registry, &limits).is_err() || i + 8 == chunk.len());
        }
    }
}

#[test]
fn strangers_and_newer_versions_are_told_apart() {
    let (registry, limits) = (Registry::new(), Limits::default());
    let error = decode(b"\x89HDF\r\n\x1a\n and so on for a while", &registry, &limits).unwrap_err();
    assert!(error.message().contains("BALR"), "{error}");
    let (_, mut chunk, _) = chunks().swap_remove(0);
    chunk[4] = 2;
    assert_eq!(decode(&chunk, &registry, &limits).unwrap_err().kind(), ErrorKind::Version);
    forge(&mut chunk);
    assert_eq!(decode(&chunk, &registry, &limits).unwrap_err().kind(), ErrorKind::Version);
    assert_eq!(decode(&[], &registry, &limits).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// A bomb: some forty bytes, a sound checksum, and terabytes of one value. Refused on the word of its header, whatever a host
/// allows up to there.
#[test]
fn a_chunk_that_claims_terabytes_is_refused() {
    for (dtype, extent_log2) in [(Dtype::U8, 42), (Dtype::F64, 40), (Dtype::U8, 62)] {
        // The extent, a varint: groups of seven bits, lowest first.
        let mut extent = vec![0x80; extent_log2 / 7];
        extent.push(1 << (extent_log2 % 7));
        let value = vec![7; dtype.size_bytes()];
        // Method 1, no special values, the value.
        let part = [&[1, 0], &value[..]].concat();
        let head = [b"BALR", &[1, 0, dtype as u8, 0][..], &[0; 8], &[1], &extent, &[part.len() as u8], &part].concat();
        let mut bomb = [&head[..], &[0; 8]].concat();
        forge(&mut bomb);
        assert!(bomb.len() < 64);
        for limits in [Limits::default(), Limits { max_output_bytes: 1 << 30 }] {
            let error = decode(&bomb, &Registry::new(), &limits).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
        }
        // It is what it claims to be: describing it costs nothing.
        assert_eq!(describe(&bomb).unwrap().parts[0].candidate, "constant");
    }
}
