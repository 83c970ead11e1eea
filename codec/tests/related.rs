//! Tables whose columns follow from each other: bounds of each column, formulas from a bundle, readers without it.

use baler_codec::bundle::MemorySource;
use baler_codec::{
    Bound, Bundle, ByteOrder, Candidates, Dtype, Effort, Limits, ModelChoice, Params, Registry, check, decode,
    describe, encode,
};
use std::sync::Arc;

const ROWS: usize = 3000;

/// pt, eta, phi, px, pz, a flag, and noise; `hole` is put where the flag is 0.
fn table(hole: f64) -> Vec<[f64; 7]> {
    let noise = |i: usize, k: u64| ((i as u64 + 1).wrapping_mul(k) >> 11) as f64 / (1u64 << 53) as f64;
    (0..ROWS)
        .map(|i| {
            let (a, b, c, d) = (
                noise(i, 0x9E37_79B9_7F4A_7C15),
                noise(i, 0xC2B2_AE3D_27D4_EB4F),
                noise(i, 0xD6E8_FEB8_6659_FD93),
                noise(i, 0xA076_1D64_78BD_642F),
            );
            let (pt, eta, phi) = (5.0 + 40.0 * a * a, 4.0 * b - 2.0, std::f64::consts::TAU * (c - 0.5));
            let flag = f64::from(u8::from(d < 0.8));
            let masked = |v: f64| if flag == 1.0 { v } else { hole };
            [pt, eta, phi, masked(pt * phi.cos()), masked(pt * eta.sinh()), flag, d]
        })
        .collect()
}

fn bytes_of(table: &[[f64; 7]], dtype: Dtype, order: ByteOrder) -> Vec<u8> {
    let element = |&v: &f64| -> Vec<u8> {
        let mut bytes = match dtype {
            Dtype::F16 => half::f16::from_f64(v).to_le_bytes().to_vec(),
            Dtype::F32 => (v as f32).to_le_bytes().to_vec(),
            Dtype::F64 => v.to_le_bytes().to_vec(),
            _ => ((v * 100.0) as i32).to_le_bytes().to_vec(),
        };
        if order == ByteOrder::Big {
            bytes.reverse();
        }
        bytes
    };
    table.iter().flatten().flat_map(element).collect()
}

fn kinematics() -> Arc<Bundle> {
    let manifest = r#"
format = 2
name = "kinematics"
family = "predictor"
description = "Momenta of particles."
license = "CC0-1.0"
[predictor]
columns = ["pt", "eta", "phi", "px", "pz", "flag", "noise"]
formulas = [
    { column = 3, formula = "1*x0*cos(x2)" },
    { column = 4, formula = "1*x0*sinh(x1)" },
    { column = 1, formula = "asinh(1*x4*inv(x0))" },
    { column = 0, formula = "1*x3*inv(x2)" },
]
"#;
    Arc::new(Bundle::of_formulas(manifest, None).unwrap())
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add_source(Arc::new(MemorySource::new(vec![kinematics()])));
    registry
}

#[test]
fn related_columns_take_fewer_bytes_and_formulas_fewer_still() {
    let values = bytes_of(&table(-999.0), Dtype::F64, ByteOrder::Little);
    let mut params = Params::new(Dtype::F64, &[ROWS, 7], Bound::Rel(1e-4));
    params.per_column = true;
    let len = |params: &Params, registry: &Registry| encode(params, &values, registry).unwrap().len();
    let with_formulas = len(&params, &registry());
    params.model = ModelChoice::None;
    let by_parents = len(&params, &registry());
    params.effort = Effort::Fast;
    let alone = len(&params, &registry());
    assert!(with_formulas * 100 < by_parents * 85, "{with_formulas} with formulas, {by_parents} without");
    assert!(by_parents < alone, "{by_parents} given parents, {alone} alone");
}

#[test]
fn every_dtype_order_and_bound_comes_back_and_readers_need_no_bundle() {
    for dtype in [Dtype::F16, Dtype::F32, Dtype::F64, Dtype::I32] {
        for (order, hole) in [(ByteOrder::Little, -999.0), (ByteOrder::Big, f64::NAN)] {
            let values = bytes_of(&table(hole), dtype, order);
            for bound in [Bound::Rel(1e-2), Bound::Rel(1e-4), Bound::Abs(2.0), Bound::PwRel(1e-2), Bound::Lossless] {
                let mut params = Params::new(dtype, &[ROWS, 7], bound);
                (params.per_column, params.byte_order, params.check_decode) = (true, order, true);
                for way in ["conditional", "related"] {
                    params.candidates = Candidates::default();
                    if way == "related" {
                        params.candidates = params.candidates.without("conditional").unwrap();
                    } else if (dtype, bound) == (Dtype::F64, Bound::Lossless) {
                        // Its integers spread over more than 44 bits.
                        continue;
                    }
                    let chunk = encode(&params, &values, &registry()).unwrap();
                    let back = decode(&chunk, &Registry::new(), &Limits::default()).unwrap();
                    assert!(check(&params, &values, &back.values).unwrap().is_kept(), "{dtype} {order:?} {bound}");
                    let description = describe(&chunk).unwrap();
                    assert_eq!(description.header.model, None);
                    assert!(description.parts.iter().any(|p| p.candidate == way), "{dtype} {bound}: {description:?}");
                }
            }
        }
    }
}

#[test]
fn a_bundle_asked_for_by_name_makes_a_table_and_has_to_fit() {
    let values = bytes_of(&table(0.0), Dtype::F32, ByteOrder::Little);
    let mut params = Params::new(Dtype::F32, &[ROWS, 7], Bound::Rel(1e-4));
    params.model = ModelChoice::Bundle(kinematics().id());
    let chunk = encode(&params, &values, &registry()).unwrap();
    assert!(describe(&chunk).unwrap().parts.iter().any(|p| p.detail.contains("cos(x2)")), "{:?}", describe(&chunk));
    params.shape = vec![ROWS * 7];
    let error = encode(&params, &values, &registry()).unwrap_err();
    assert!(error.message().contains("tables with 7"), "{error}");
    params.model = ModelChoice::Auto;
    encode(&params, &values, &registry()).unwrap();
    params.bound = Bound::Latent;
    assert!(encode(&params, &values, &registry()).is_err());
}

#[test]
fn damage_behind_a_right_checksum_never_crashes() {
    let values = bytes_of(&table(f64::NAN)[..200], Dtype::F32, ByteOrder::Little);
    let mut params = Params::new(Dtype::F32, &[200, 7], Bound::Rel(1e-3));
    params.per_column = true;
    for way in ["conditional", "related"] {
        params.candidates = Candidates::default().without(way).unwrap();
        damage(&encode(&params, &values, &registry()).unwrap(), values.len());
    }
}

fn damage(chunk: &[u8], len: usize) {
    let at = chunk.len() - 8;
    let limits = Limits { max_output_bytes: len };
    let mut other = 0;
    for i in 0..at {
        for flip in [1, 4, 0x80, 0xff] {
            let mut bad = chunk.to_vec();
            bad[i] ^= flip;
            let sum = xxhash_rust::xxh3::xxh3_64(&bad[..at]);
            bad[at..].copy_from_slice(&sum.to_le_bytes());
            if let Ok(back) = decode(&bad, &Registry::new(), &limits) {
                assert_eq!(back.values.len(), len);
                other += 1;
            }
            let _ = describe(&bad);
        }
    }
    assert!(other > 0);
}
