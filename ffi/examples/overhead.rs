//! What the C functions cost beside the Rust API: the same chunks through both, in turn, in one run.
//!
//!     cargo run -p baler-ffi --example overhead

use ::baler_codec::{Bound, Dtype, Effort, Limits, ModelChoice, Params, Registry};
use baler::*;
use rustix::time::{ClockId, clock_gettime};
use std::ptr::null;

/// Nanoseconds of processor time of one call of each: the fastest of many rounds. The two take turns, so that both meet the
/// same machine.
fn fastest(mut one: impl FnMut(), mut other: impl FnMut()) -> (f64, f64) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    let round = |call: &mut dyn FnMut(), n: u32| {
        let start = now();
        (0..n).for_each(|_| call());
        (now() - start) / f64::from(n)
    };
    let once = round(&mut one, 1);
    let n = (1e6 / once).clamp(1.0, 100.0) as u32;
    let n_rounds = (2e9 / (once * f64::from(n))).clamp(9.0, 1000.0) as usize;
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..n_rounds {
        best.0 = best.0.min(round(&mut one, n));
        best.1 = best.1.min(round(&mut other, n));
    }
    best
}

fn main() {
    let registry = Registry::new();
    let codec = baler_codec_new_bare();
    assert!(!codec.is_null(), "a codec without models can always be made");
    println!("{:>10} {:>7} {:>14} {:>14} {:>7}", "values", "", "C, ns", "Rust, ns", "C/Rust");
    for n_values in [256usize, 16 << 10, 1 << 20] {
        let field: Vec<u8> = (0..n_values)
            .flat_map(|i| (((i as f32) * 0.003).sin() + ((i * 7919) % 101) as f32 * 1e-5).to_le_bytes())
            .collect();
        let mut rust = Params::new(Dtype::F32, &[n_values], Bound::Abs(1e-3));
        (rust.effort, rust.model) = (Effort::Fast, ModelChoice::None);
        let shape = n_values as u64;
        let c = baler_params {
            struct_size: size_of::<baler_params>(),
            dtype: baler_dtype::F32 as u32,
            byte_order: 0,
            rank: 1,
            shape: &shape,
            bound_kind: baler_bound::Abs as u32,
            per_column: 0,
            bound_value: 1e-3,
            fill: null(),
            fill_len: 0,
            model: c"none".as_ptr(),
            effort: baler_effort::Fast as u32,
            check_decode: 0,
            column_bounds: null(),
            n_column_bounds: 0,
            embed: 0,
            outliers: 0,
        };
        let (mut out, mut len) = (vec![0u8; field.len() + 65536], 0);
        let mut back = vec![0u8; field.len()];
        let chunk = ::baler_codec::encode(&rust, &field, &registry).unwrap();
        let encode = fastest(
            || {
                let (values, room) = (field.as_ptr().cast(), out.as_mut_ptr().cast());
                // SAFETY: live pointers with their own lengths.
                let status = unsafe { baler_encode(codec, &c, values, field.len(), room, out.len(), &mut len) };
                assert_eq!(status, baler_status::Ok);
            },
            || assert_eq!(::baler_codec::encode(&rust, &field, &registry).unwrap().len(), chunk.len()),
        );
        assert!(out[..len] == chunk);
        let limits = Limits::default();
        let decode = fastest(
            || {
                let (input, room) = (chunk.as_ptr().cast(), back.as_mut_ptr().cast());
                // SAFETY: as above.
                let status = unsafe { baler_decode(codec, input, chunk.len(), room, back.len(), &mut len) };
                assert_eq!(status, baler_status::Ok);
            },
            || assert_eq!(::baler_codec::decode(&chunk, &registry, &limits).unwrap().values.len(), field.len()),
        );
        let size = format!("{} KiB", field.len() >> 10);
        for (what, (c, rust)) in [("encode", encode), ("decode", decode)] {
            println!("{size:>10} {what:>7} {c:>14.0} {rust:>14.0} {:>7.3}", c / rust);
        }
    }
    // SAFETY: made above, not used any more.
    unsafe { baler_codec_free(codec) };
}
