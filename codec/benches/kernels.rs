//! MB/s of each kernel on one core, of 4-byte values; and the most that this machine does.
//!
//!     cargo bench -p baler-codec --bench kernels
//!     cargo bench -p baler-codec --bench kernels -- rans

use baler_codec::kernels;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

#[path = "common/processor_time.rs"]
mod processor_time;

use processor_time::ProcessorTime;

fn kernels(criterion: &mut Criterion<ProcessorTime>) {
    for mut kernel in kernels::all() {
        let (family, direction) = kernel.name.split_once('/').unwrap_or((&kernel.name, "run"));
        let mut group = criterion.benchmark_group(family);
        group.throughput(Throughput::Bytes(kernel.n_bytes as u64));
        group.bench_function(direction, |bencher| bencher.iter(|| (kernel.run)()));
    }
}

/// The two roofs: bytes read from and written to memory, and multiply-adds.
fn machine(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("machine");
    // Far beyond the caches.
    let (from, mut to) = (vec![1u8; 256 << 20], vec![0u8; 256 << 20]);
    group.throughput(Throughput::Bytes(2 * from.len() as u64));
    group.bench_function("memory copied, both ways", |bencher| bencher.iter(|| to.copy_from_slice(black_box(&from))));
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        group.throughput(Throughput::Elements(N_FMA * 16));
        // SAFETY: the processor has the instructions.
        group.bench_function("fused multiply-adds, AVX-512", |bencher| bencher.iter(|| unsafe { fma_avx512() }));
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        group.throughput(Throughput::Elements(N_FMA * 8));
        // SAFETY: the processor has the instructions.
        group.bench_function("fused multiply-adds, AVX2", |bencher| bencher.iter(|| unsafe { fma_avx2() }));
    }
}

/// Instructions of a run.
#[cfg(target_arch = "x86_64")]
const N_FMA: u64 = 12 << 16;

/// Twelve sums in registers, so that none waits for another.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fma_avx512() -> [std::arch::x86_64::__m512; 12] {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let (a, b) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(0.25)));
    let mut sums = [a; 12];
    for _ in 0..N_FMA / 12 {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, a, b);
        }
    }
    sums
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fma_avx2() -> [std::arch::x86_64::__m256; 12] {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let (a, b) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(0.25)));
    let mut sums = [a; 12];
    for _ in 0..N_FMA / 12 {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, a, b);
        }
    }
    sums
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(ProcessorTime)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = machine, kernels
}
criterion_main!(benches);
