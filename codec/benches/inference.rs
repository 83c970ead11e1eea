//! Rows a second of the exact engine on one core, by network and instruction set.
//!
//!     cargo bench -p baler-codec --bench inference
//!
//! With `ORT_DYLIB_PATH=/path/to/libonnxruntime.so` ONNX Runtime (one thread) is measured beside it. Every measured
//! result is first compared with that of the slowest path.

use baler_codec::inference::{Network, SimdPath, onnxruntime_encoder};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;

#[path = "../tests/common/onnx.rs"]
mod onnx;
#[path = "common/processor_time.rs"]
mod processor_time;

use processor_time::ProcessorTime;

fn networks() -> Vec<(&'static str, usize, Vec<u8>)> {
    vec![
        ("24-200-100-50-14", 4096, onnx::perceptron(&[24, 200, 100, 50, 14], "LeakyRelu")),
        ("24-64-32-14", 4096, onnx::perceptron(&[24, 64, 32, 14], "LeakyRelu")),
        ("24-20-10-6", 4096, onnx::perceptron(&[24, 20, 10, 6], "Relu")),
        ("24-16-8", 4096, onnx::perceptron(&[24, 16, 8], "Relu")),
        ("8-64-256-2500", 256, onnx::perceptron(&[8, 64, 256, 2500], "Tanh")),
        ("8-64-256-2500 single", 1, onnx::perceptron(&[8, 64, 256, 2500], "Tanh")),
        ("conv decoder 16x16", 256, onnx::conv_decoder()),
        ("conv decoder 16x16 single", 1, onnx::conv_decoder()),
        ("2500-512-8", 256, onnx::perceptron(&[2500, 512, 8], "Relu")),
    ]
}

fn inference(criterion: &mut Criterion<ProcessorTime>) {
    let has_runtime = std::env::var_os("ORT_DYLIB_PATH").is_some();
    for (name, rows, file) in networks() {
        let network = Network::from_onnx(&file).unwrap();
        let input = onnx::random(5, rows * network.input_len());
        let mut output = vec![0.0; rows * network.output_len()];
        // The portable path is slow: few of its rows are computed, and it is not timed.
        let n_checked = rows.min(40);
        let (head, n_out) = (&input[..n_checked * network.input_len()], n_checked * network.output_len());
        let mut expected = vec![0.0; n_out];
        network.run_with(SimdPath::Scalar, n_checked, head, &mut expected).unwrap();
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(rows as u64)).measurement_time(Duration::from_secs(2)).sample_size(20);
        for path in SimdPath::available().into_iter().filter(|path| *path != SimdPath::Scalar) {
            network.run_with(path, rows, &input, &mut output).unwrap();
            assert_eq!(output[..n_out], expected);
            group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
                bencher.iter(|| network.run_with(path, rows, &input, &mut output).unwrap());
            });
        }
        if has_runtime {
            let runtime = onnxruntime_encoder(&file).unwrap();
            group.bench_function("onnxruntime", |bencher| {
                bencher.iter(|| runtime.encode(rows, &input, &mut output).unwrap());
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime).warm_up_time(Duration::from_millis(500));
    targets = inference
}
criterion_main!(benches);
