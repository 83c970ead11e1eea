//! The promise of `codec/src/inference`: the same bits on every path, for every batch and thread count; and an error,
//! not a panic, for every file that is not a network.

use baler_codec::ErrorKind;
use baler_codec::inference::{Network, SimdPath, encoder_from_onnx};
use onnx::{Attr, Graph, random};

#[path = "common/onnx.rs"]
mod onnx;
#[path = "common/own_process.rs"]
mod own_process;

/// Networks that together have every operator with arithmetic.
fn networks() -> Vec<(&'static str, Vec<u8>)> {
    let mut out = vec![
        ("perceptron", onnx::perceptron(&[24, 200, 100, 50, 14], "LeakyRelu")),
        ("wide", onnx::perceptron(&[3, 40, 700], "Sigmoid")),
        ("long sums", onnx::perceptron(&[1100, 33, 5], "Relu")),
        ("large", onnx::perceptron(&[300, 500, 130], "Elu")),
        ("conv decoder", onnx::conv_decoder()),
    ];

    let mut graph = Graph::new(&[2, 11, 9]);
    graph.convolution("Conv", &[6, 2, 3, 3], 6, &[Attr::Ints("strides", &[2, 1]), Attr::Ints("pads", &[1, 1, 1, 1])]);
    let names: Vec<String> = (0..3).map(|_| graph.random(&[6], 1)).collect();
    let variance = graph.floats(&[6], &[0.5, 1.0, 2.0, 3.0, 0.1, 7.0]);
    graph.node("BatchNormalization", &[&names[0], &names[1], &names[2], &variance], &[]).node("Tanh", &[], &[]);
    graph.convolution("Conv", &[6, 1, 2, 5], 6, &[Attr::Int("group", 6), Attr::Ints("dilations", &[2, 1])]);
    graph.node("Softplus", &[], &[]);
    graph.convolution("ConvTranspose", &[6, 5, 3, 3], 10, &[Attr::Int("group", 2), Attr::Ints("strides", &[3, 2])]);
    graph.node("Gelu", &[], &[Attr::Str("approximate", "tanh")]);
    out.push(("convolutions", graph.finish()));

    let mut graph = Graph::new(&[4, 7]);
    let x = graph.value();
    let (low, high) = (graph.floats(&[], &[-0.7]), graph.floats(&[], &[1.1]));
    let (a, b, slope) = (graph.random(&[4, 1], 1), graph.random(&[7], 1), graph.random(&[4, 7], 1));
    graph.node("Mul", &[&a], &[]).node("Div", &[&b], &[]).node("PRelu", &[&slope], &[]);
    let y = graph.value();
    graph.node("Clip", &[&low, &high], &[]).node("Sub", &[&x], &[]).node("Add", &[&y], &[]);
    let matrix = graph.random(&[7, 9], 7);
    graph.node("MatMul", &[&matrix], &[]).node("Transpose", &[], &[Attr::Ints("perm", &[0, 2, 1])]);
    let z = graph.value();
    graph.node("Concat", &[&z], &[Attr::Int("axis", 1)]).node("Flatten", &[], &[]);
    out.push(("arithmetic", graph.finish()));

    let mut graph = Graph::new(&[3, 6, 5]);
    let x = graph.value();
    let positive = |graph: &mut Graph, dims: &[usize]| {
        let n: usize = dims.iter().product();
        graph.floats(dims, &random(5, n).iter().map(|v| v.abs() + 0.1).collect::<Vec<_>>())
    };
    let (gamma, beta) = (positive(&mut graph, &[3, 3, 1, 1]), positive(&mut graph, &[3]));
    let two = graph.floats(&[], &[2.0]);
    graph.node("Pow", &[&two], &[]).node("Conv", &[&gamma, &beta], &[]).node("Sqrt", &[], &[]);
    let root = graph.value();
    graph.node_from("Div", &[&x, &root], &[]).node("Mul", &[&root], &[]);
    out.push(("divisive normalisation", graph.finish()));
    out
}

/// Every bit, so that -0 and 0 differ.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn run(network: &Network, path: SimdPath, threads: usize, rows: usize, input: &[f32]) -> Vec<u32> {
    let mut output = vec![f32::NAN; rows * network.output_len()];
    network.run_threads(path, threads, rows, input, &mut output).unwrap();
    bits(&output)
}

#[test]
fn every_path_batch_and_thread_count_gives_the_same_bits() {
    for (name, file) in networks() {
        let network = Network::from_onnx(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (n_in, n_out) = (network.input_len(), network.output_len());
        // The slow paths compute few rows; the fast ones must give these as the head of every batch.
        let rows = 4097;
        let input = random(9, rows * n_in);
        let expected = run(&network, SimdPath::best(), 1, rows, &input);
        assert!(expected.iter().any(|bits| *bits != expected[0]));
        for path in SimdPath::available() {
            let is_slow = matches!(path, SimdPath::Scalar | SimdPath::Sse2);
            for rows in [1, 2, 3, 7, 20, 32, 64, 65, 1000, 4097] {
                if is_slow && rows > 65 {
                    continue;
                }
                for threads in [1, 2, 3, 4] {
                    let output = run(&network, path, threads, rows, &input[..rows * n_in]);
                    assert!(output == expected[..rows * n_out], "{name}: {path}, {rows} rows, {threads} threads");
                }
            }
        }
    }
}

#[test]
fn extreme_values_give_the_same_bits() {
    for (name, file) in networks() {
        let network = Network::from_onnx(&file).unwrap();
        let specials =
            [0.0, -0.0, 1e-45, -1e-40, f32::MIN_POSITIVE, 1e38, -f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        let rows = 70;
        // Few specials in a row, or everything is NaN; in some rows only subnormals.
        let input: Vec<f32> = random(3, rows * network.input_len())
            .into_iter()
            .enumerate()
            .map(|(i, v)| match (i / network.input_len() % 3, i % 97) {
                (0, 0) => specials[i / 97 % specials.len()],
                (1, _) => v * 1e-41,
                _ => v,
            })
            .collect();
        let expected = run(&network, SimdPath::Scalar, 1, rows, &input);
        for path in SimdPath::available() {
            assert!(run(&network, path, 1, rows, &input) == expected, "{name}: {path}");
            let one_by_one: Vec<u32> =
                input.chunks(network.input_len()).flat_map(|row| run(&network, path, 1, 1, row)).collect();
            assert!(one_by_one == expected, "{name}: {path}, one by one");
        }
    }
}

/// The hash of one network's output, fixed for ever: a change here is a change of every stream ever written.
#[test]
fn bits_do_not_change_between_versions() {
    let golden = [
        ("perceptron", 0xa07e_7c88_7c7d_5cd2),
        ("wide", 0x89a4_c66a_ba3f_7422),
        ("long sums", 0x0289_08d8_afbe_5722),
        ("large", 0x6f46_4ec6_c8e7_7759),
        ("conv decoder", 0x16ff_2d1e_1240_5989),
        ("convolutions", 0x7417_f90e_8361_5073),
        ("arithmetic", 0xcc13_243b_2a7e_faf1),
        ("divisive normalisation", 0x5b21_ce00_4582_1ce8),
    ];
    let mut found = Vec::new();
    for (name, file) in networks() {
        let network = Network::from_onnx(&file).unwrap();
        let output = run(&network, SimdPath::best(), 1, 50, &random(9, 50 * network.input_len()));
        // FNV-1a.
        let hash = output
            .iter()
            .flat_map(|bits| bits.to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        found.push((name, hash));
    }
    assert!(found == golden, "{found:#x?}");
}

/// Dense layers written out as `docs/inference.md` has them: few rows and many, few outputs and more than are held at once,
/// sums short and long.
#[test]
fn a_dense_layer_is_what_the_documentation_says() {
    for (n_in, n_out) in [(37, 21), (1, 1), (5, 198), (300, 7), (449, 421)] {
        let (w, b) = (random(1, n_out * n_in), random(2, n_out));
        let mut graph = Graph::new(&[n_in]);
        let (wn, bn) = (graph.floats(&[n_out, n_in], &w), graph.floats(&[n_out], &b));
        graph.node("Gemm", &[&wn, &bn], &[Attr::Int("transB", 1)]);
        let network = Network::from_onnx(&graph.finish()).unwrap();
        for rows in [5, 67] {
            let x = random(3, rows * n_in);
            let mut expected = Vec::new();
            for row in x.chunks(n_in) {
                for o in 0..n_out {
                    let mut sum = b[o];
                    for k in 0..n_in {
                        sum = row[k].mul_add(w[o * n_in + k], sum);
                    }
                    expected.push(sum);
                }
            }
            for path in SimdPath::available() {
                assert!(run(&network, path, 1, rows, &x) == bits(&expected), "{rows} x {n_in} -> {n_out}, {path:?}");
            }
        }
    }
}

/// A convolution and a transposed one, likewise; with an input of -0 and a bias of -0, which padding must not turn
/// into +0.
#[test]
fn convolutions_are_what_the_documentation_says() {
    let (c, n_out, side, k, stride, pad) = (3i64, 4i64, 6i64, 3i64, 2i64, 1i64);
    let w = random(1, (c * n_out * k * k) as usize);
    let x: Vec<f32> = random(2, (c * side * side) as usize).iter().map(|v| if *v < 0.0 { -0.0 } else { *v }).collect();
    let bias = [-0.0, 0.5, -0.0, 1.0];
    for transposed in [false, true] {
        let mut graph = Graph::new(&[c as usize, side as usize, side as usize]);
        let (first, second) = if transposed { (c, n_out) } else { (n_out, c) };
        let wn = graph.floats(&[first as usize, second as usize, k as usize, k as usize], &w);
        let bn = graph.floats(&[4], &bias);
        let op = if transposed { "ConvTranspose" } else { "Conv" };
        graph.node(op, &[&wn, &bn], &[Attr::Ints("strides", &[stride; 2]), Attr::Ints("pads", &[pad; 4])]);
        let network = Network::from_onnx(&graph.finish()).unwrap();
        let out_side = if transposed { (side - 1) * stride - 2 * pad + k } else { (side + 2 * pad - k) / stride + 1 };
        assert_eq!(network.output_shape(), [n_out as usize, out_side as usize, out_side as usize]);
        let place = |o: i64, k: i64| {
            let i = if transposed {
                let at = o + pad - k;
                if at % stride != 0 { -1 } else { at / stride }
            } else {
                o * stride - pad + k
            };
            (0..side).contains(&i).then_some(i)
        };
        let mut expected = Vec::new();
        for o in 0..n_out {
            for y in 0..out_side {
                for z in 0..out_side {
                    let mut sum = bias[o as usize];
                    for ch in 0..c {
                        for ky in 0..k {
                            for kz in 0..k {
                                if let (Some(iy), Some(iz)) = (place(y, ky), place(z, kz)) {
                                    let pair = if transposed { ch * n_out + o } else { o * c + ch };
                                    let weight = w[((pair * k + ky) * k + kz) as usize];
                                    sum = x[((ch * side + iy) * side + iz) as usize].mul_add(weight, sum);
                                }
                            }
                        }
                    }
                    expected.push(sum);
                }
            }
        }
        for path in SimdPath::available() {
            assert_eq!(run(&network, path, 1, 1, &x), bits(&expected), "{op} {path}");
        }
    }
}

#[test]
fn nan_comes_out_as_one_nan() {
    for (name, file) in networks() {
        let network = Network::from_onnx(&file).unwrap();
        let input = vec![f32::from_bits(0xffc1_2345); 3 * network.input_len()];
        for bits in run(&network, SimdPath::best(), 1, 3, &input) {
            assert_eq!(bits, 0x7fc0_0000, "{name}");
        }
    }
}

#[test]
fn unsupported_things_are_named() {
    let error = |graph: &Graph| Network::from_onnx(&graph.finish()).unwrap_err();
    let mut graph = Graph::new(&[4]);
    let e = error(graph.node("Softmax", &[], &[]));
    assert_eq!(e.kind(), ErrorKind::Unsupported);
    assert!(e.message().contains("Softmax") && e.message().contains("LeakyRelu"), "{e}");

    let mut graph = Graph::new(&[4]);
    graph.node("Relu", &[], &[]).opset = 12;
    assert!(error(&graph).message().contains("13 to"), "{}", error(&graph));

    let mut graph = Graph::new(&[4]);
    let e = error(graph.node("Transpose", &[], &[Attr::Ints("perm", &[1, 0])]));
    assert!(e.message().contains("batch"), "{e}");

    let mut graph = Graph::new(&[4]);
    let e = error(graph.node("LeakyRelu", &[], &[Attr::Float("alpha", 0.1), Attr::Int("mystery", 1)]));
    assert!(e.message().contains("mystery"), "{e}");

    let mut graph = Graph::new(&[4]);
    let w = graph.random(&[3, 5], 5);
    let e = error(graph.node("Gemm", &[&w], &[Attr::Int("transB", 1)]));
    assert!(e.message().contains("rows of 4 values meet a matrix for 5"), "{e}");

    let e = error(Graph::new(&[4]).node("Add", &["nowhere"], &[]));
    assert!(e.message().contains("nowhere"), "{e}");
}

/// Small files that ask for huge networks.
#[test]
fn nothing_is_allocated_that_the_file_has_not_paid_for() {
    let refuse = |graph: &Graph| Network::from_onnx(&graph.finish()).unwrap_err();
    refuse(Graph::new(&[1 << 20, 1 << 20]).node("Relu", &[], &[]));
    refuse(Graph::new(&[usize::MAX >> 1, 8]).node("Relu", &[], &[]));
    for pads in [[1 << 30, 0], [1 << 22, 1 << 22], [i64::MAX, i64::MAX]] {
        let mut graph = Graph::new(&[1, 1]);
        let w = graph.random(&[1, 1, 1], 1);
        refuse(graph.node("Conv", &[&w], &[Attr::Ints("pads", &pads)]));
        let mut graph = Graph::new(&[1, 2]);
        let w = graph.random(&[1, 1, 1], 1);
        refuse(graph.node("ConvTranspose", &[&w], &[Attr::Ints("strides", &[pads[0].min(1 << 30)])]));
    }
    // One initialiser used again and again.
    let mut graph = Graph::new(&[1 << 18]);
    let w = graph.random(&[1 << 18, 1], 1);
    let wide = graph.random(&[1, 1 << 18], 1);
    for _ in 0..2000 {
        graph.node("MatMul", &[&w], &[]).node("MatMul", &[&wide], &[]);
    }
    refuse(&graph);
    let mut graph = Graph::new(&[1 << 20]);
    for _ in 0..10_000 {
        let x = graph.value();
        graph.node("Concat", &[&x], &[Attr::Int("axis", 1)]);
    }
    refuse(&graph);
}

/// Damage is an error or another network; never a panic, and never an unbounded allocation.
#[test]
fn damaged_files_do_not_panic() {
    for (name, file) in [
        ("arithmetic", networks().pop().unwrap().1),
        ("conv", {
            let mut graph = Graph::new(&[2, 5, 4]);
            graph.convolution("ConvTranspose", &[2, 3, 2, 2], 3, &[Attr::Ints("strides", &[2, 2])]);
            let shape = graph.ints(&[0, -1]);
            graph.node("Reshape", &[&shape], &[]).dense(240, 3);
            graph.finish()
        }),
    ] {
        assert!(Network::from_onnx(&file).is_ok(), "{name}");
        for len in 0..file.len() {
            assert!(Network::from_onnx(&file[..len]).is_err(), "{name} cut at {len}");
        }
        let mut damaged = file.clone();
        for i in 0..file.len() {
            for flip in [0x01, 0x08, 0x80, 0xff] {
                damaged[i] ^= flip;
                if let Ok(network) = Network::from_onnx(&damaged) {
                    let rows = 2;
                    if network.input_len() < 1 << 16 && network.output_len() < 1 << 16 {
                        let mut output = vec![0.0; rows * network.output_len()];
                        network.run(rows, &vec![1.0; rows * network.input_len()], &mut output).unwrap();
                    }
                }
                damaged[i] ^= flip;
            }
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let network = Network::from_onnx(&onnx::perceptron(&[4, 3], "Relu")).unwrap();
    let mut output = [0.0; 6];
    assert!(network.run(2, &[0.0; 8], &mut output).is_ok());
    assert!(network.run(0, &[], &mut []).is_ok());
    for (rows, n_in, n_out) in [(2, 7, 6), (2, 8, 5), (1, 8, 6), (usize::MAX, 8, 6)] {
        let e = network.run(rows, &vec![0.0; n_in], &mut output[..n_out]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
        assert!(network.run_threads(SimdPath::best(), 3, rows, &vec![0.0; n_in], &mut output[..n_out]).is_err());
    }
}

/// Runs `body`, which is that of the test of this name, in a process of its own with another environment.
fn in_own_process(test: &str, variable: &str, value: &std::ffi::OsStr, body: impl FnOnce()) {
    if own_process::is_child(test) { body() } else { own_process::start(test, variable, value) }
}

/// A graph our own engine cannot run.
fn foreign() -> Vec<u8> {
    let mut graph = Graph::new(&[6]);
    graph.dense(6, 4).node("Softmax", &[], &[]);
    graph.finish()
}

#[test]
fn a_missing_onnxruntime_is_explained() {
    let nowhere = "/nowhere/libonnxruntime.so".as_ref();
    in_own_process("a_missing_onnxruntime_is_explained", "ORT_DYLIB_PATH", nowhere, runtime_is_missing);
}

fn runtime_is_missing() {
    for _ in 0..2 {
        let e = encoder_from_onnx(&foreign()).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::RuntimeMissing);
        for part in ["Softmax", "/nowhere/libonnxruntime.so", "ORT_DYLIB_PATH", "pip install"] {
            assert!(e.message().contains(part), "{e}");
        }
    }
    // What our own engine can run needs none.
    assert_eq!(encoder_from_onnx(&onnx::perceptron(&[4, 3], "Relu")).unwrap().engine(), "exact");
}

#[test]
fn foreign_encoders_run_by_onnxruntime() {
    match std::env::var_os("BALER_TEST_ORT").filter(|path| !path.is_empty()) {
        Some(path) => {
            in_own_process("foreign_encoders_run_by_onnxruntime", "ORT_DYLIB_PATH", &path, runtime_is_there);
        }
        None => eprintln!("skipped: BALER_TEST_ORT names no libonnxruntime.so"),
    }
}

fn runtime_is_there() {
    let encoder = encoder_from_onnx(&foreign()).unwrap();
    assert_eq!((encoder.engine(), encoder.input_len(), encoder.output_len()), ("onnxruntime", 6, 4));
    let mut output = [0.0; 12];
    encoder.encode(3, &random(1, 18), &mut output).unwrap();
    for row in output.chunks(4) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
    }
    assert!(encoder.encode(3, &[0.0; 17], &mut output).is_err());
    assert!(encoder_from_onnx(b"not a model").is_err());
}

#[test]
fn a_path_can_be_forced() {
    in_own_process("a_path_can_be_forced", "BALER_SIMD", "scalar".as_ref(), || {
        assert_eq!(SimdPath::best(), SimdPath::Scalar);
        assert!(!baler_codec::inference::has_fma());
    });
}

#[test]
fn a_wrong_path_is_named_and_left_alone() {
    in_own_process("a_wrong_path_is_named_and_left_alone", "BALER_SIMD", "mmx".as_ref(), || {
        assert!(SimdPath::from_env().unwrap_err().message().contains("mmx"));
        assert_eq!(SimdPath::best(), SimdPath::available()[0]);
    });
}
