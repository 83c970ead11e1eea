//! A chunk takes a bounded number of allocations, however long it is, and a bounded multiple of its size in memory.
//!
//! `cargo test -p baler-tests --test allocations -- --nocapture` prints the multiple of every candidate.

#[path = "fuzz/memory.rs"]
mod memory;

use baler_codec::bundle::MemorySource;
use baler_codec::{Bound, Candidates, Dtype, Effort, Limits, ModelChoice, Params, Registry, decode, encode};
use baler_tests::around;
use memory::Measure;
use std::sync::Arc;

/// What one direction took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    calls: usize,
    peak_over_input: f64,
}

fn field(n: usize) -> impl Iterator<Item = f32> {
    let mut state = 1u64;
    (0..n).map(move |i| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (x, y) = ((i % 512) as f32 / 60.0, (i / 512) as f32 / 50.0);
        let noise = (state >> 40) as f32 / (1 << 24) as f32;
        x.sin() * y.cos() + 0.3 * (3.0 * x + y).sin() + 0.002 * noise
    })
}

fn float32(n: usize) -> Vec<u8> {
    field(n).flat_map(f32::to_le_bytes).collect()
}

/// Encodes and decodes; the second time counts.
fn costs(params: &Params, values: &[u8]) -> [Cost; 2] {
    let mut registry = Registry::new();
    if params.model != ModelChoice::Auto {
        registry.add_source(Arc::new(MemorySource::new(vec![Arc::new(around::steady("around"))])));
    }
    let limits = Limits::default();
    let chunk = encode(params, values, &registry).unwrap();
    drop(decode(&chunk, &registry, &limits).unwrap());
    let over = |n: usize| n as f64 / values.len() as f64;
    let measure = Measure::begin();
    let chunk = encode(params, values, &registry).unwrap();
    let encoding = Cost { calls: measure.calls(), peak_over_input: over(measure.peak()) };
    let measure = Measure::begin();
    drop(decode(&chunk, &registry, &limits).unwrap());
    [encoding, Cost { calls: measure.calls(), peak_over_input: over(measure.peak()) }]
}

/// The most live bytes over those of a chunk of 4 MiB of float32 that each candidate may take, encoding and decoding: the
/// decoded values counted in, those to be encoded not. Integers of one and two bytes are worked on in four, so that theirs
/// are up to four times and twice as many. What coders learn in takes up to 4 MB, however short the chunk.
///
/// Then how many times as many allocations four times the values may take.
const PEAKS: [(&str, [f64; 2], [f64; 2]); 9] = [
    ("quantised", [4.0, 3.0], NONE),
    ("numbers", [5.0, 2.5], PAGES),
    ("interpolated", [4.5, 4.5], NONE),
    ("wavelet", [5.5, 6.0], NONE),
    ("fitted", [4.0, 3.0], NONE),
    ("floating", [4.5, 3.0], NONE),
    ("related", [6.0, 5.0], NONE),
    ("conditional", [6.0, 5.0], NONE),
    ("all", [6.0, 6.0], NONE),
];
///
/// They depend on the numbers of axes and levels.
const NONE: [f64; 2] = [1.2, 1.1];
/// pcodec makes pages of 2^18 values, each with some 1200 allocations, where the whole goes through it, and some 10 in the
/// decoder.
const PAGES: [f64; 2] = [4.0, 4.0];

/// A chunk of 2^20 values beside one of 2^18.
fn compare(
    name: &str,
    params: impl Fn(usize) -> Params,
    values: fn(usize) -> Vec<u8>,
    most: [f64; 2],
    growth: [f64; 2],
) {
    let [small, large] = [18, 20].map(|log| costs(&params(1 << log), &values(1 << log)));
    for (k, direction) in ["encode", "decode"].into_iter().enumerate() {
        let (small, large) = (small[k], large[k]);
        println!(
            "{name:28} {direction}: {:6.2} {:6.2} times the chunk, {:6} {:6} allocations",
            small.peak_over_input, large.peak_over_input, small.calls, large.calls
        );
        assert!(large.peak_over_input <= most[k], "{name}, {direction}: {large:?}, at most {}", most[k]);
        assert!(large.peak_over_input <= small.peak_over_input * 1.1, "{name}, {direction}: {small:?}, {large:?}");
        assert!(large.calls as f64 <= growth[k] * small.calls as f64, "{name}, {direction}: {small:?}, {large:?}");
    }
}

// One test: another one beside it would count here.
#[test]
fn do_not_grow_with_the_chunk() {
    for (name, most, growth) in PEAKS {
        let params = |n: usize| {
            let is_table = matches!(name, "related" | "conditional");
            let shape = if is_table { [n / 8, 8] } else { [n / 512, 512] };
            let bound = if name == "floating" { Bound::Lossless } else { Bound::Rel(1e-3) };
            let mut params = Params::new(Dtype::F32, &shape, bound);
            params.per_column = is_table;
            params.candidates = if name == "all" { Candidates::default() } else { Candidates::only(name).unwrap() };
            params
        };
        compare(name, params, float32, most, growth);
    }
    let around = |n: usize| {
        let mut params = Params::new(Dtype::F32, &[n / 512, 512], Bound::Rel(1e-3));
        params.model = ModelChoice::Bundle(around::steady("around").id());
        params.candidates = Candidates::only("autoregressive").unwrap();
        params
    };
    compare("autoregressive", around, float32, [5.0, 4.0], NONE);
    let fast = |n: usize| {
        let mut params = Params::new(Dtype::F32, &[n / 512, 512], Bound::Rel(1e-3));
        params.effort = Effort::Fast;
        params
    };
    compare("all, fast", fast, float32, [4.0, 3.0], NONE);
    let lossless = |n: usize| Params::new(Dtype::F32, &[n / 512, 512], Bound::Lossless);
    compare("all, lossless", lossless, float32, [6.0, 6.0], NONE);
    let uint16 = |n: usize| field(n).flat_map(|v| ((v * 5000.0 + 20_000.0) as u16).to_le_bytes()).collect();
    let two_bytes = |n: usize| Params::new(Dtype::U16, &[n / 512, 512], Bound::Abs(3.0));
    compare("all, uint16", two_bytes, uint16, [8.0, 6.0], NONE);
}
