//! A chunk takes a bounded number of allocations, however long it is, and a bounded multiple of its size in memory.

#[path = "fuzz/memory.rs"]
mod memory;

use baler_codec::{Bound, Dtype, Limits, Params, Registry, decode, encode};
use memory::Measure;

/// What one direction took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    calls: usize,
    peak_over_input: f64,
}

fn field(n: usize) -> Vec<u8> {
    let mut state = 1u64;
    (0..n)
        .flat_map(|i| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (x, y) = ((i % 512) as f32 / 60.0, (i / 512) as f32 / 50.0);
            let noise = (state >> 40) as f32 / (1 << 24) as f32;
            (x.sin() * y.cos() + 0.3 * (3.0 * x + y).sin() + 0.002 * noise).to_le_bytes()
        })
        .collect()
}

/// Encodes and decodes; the second time counts.
fn costs(params: &Params, values: &[u8]) -> [Cost; 2] {
    let registry = Registry::new();
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

/// Four times the values must not take twice the allocations. What grows is the number of pages that the crate `pco` makes in
/// the encoder, about 1200 allocations for 2^18 values each time it is tried; all else depends on the number of axes and levels.
const MAX_GROWTH: f64 = 2.0;
/// The same of a decoder, in which nothing grows.
const MAX_GROWTH_DECODING: f64 = 1.1;
/// Live bytes over those of the chunk.
const MAX_PEAK: f64 = 14.0;
const MAX_PEAK_DECODING: f64 = 7.0;

// One test: another one beside it would count here.
#[test]
fn do_not_grow_with_the_chunk() {
    for (name, bound) in [("field", Bound::Rel(1e-3)), ("lossless", Bound::Lossless)] {
        let [small, large] = [18, 20].map(|log| {
            let n: usize = 1 << log;
            let costs = costs(&Params::new(Dtype::F32, &[n / 512, 512], bound), &field(n));
            println!("{name}, 2^{log} values: encode {:?}, decode {:?}", costs[0], costs[1]);
            costs
        });
        let limits = [(MAX_GROWTH, MAX_PEAK), (MAX_GROWTH_DECODING, MAX_PEAK_DECODING)];
        for ((small, large), (max_growth, max_peak)) in small.into_iter().zip(large).zip(limits) {
            assert!(large.calls as f64 <= max_growth * small.calls as f64, "{name}: {small:?}, {large:?}");
            assert!(large.peak_over_input <= max_peak, "{name}: {large:?}");
            assert!(large.peak_over_input <= small.peak_over_input * 1.1, "{name}: {small:?}, {large:?}");
        }
    }
}
