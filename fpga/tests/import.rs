//! Promise: ONNX encoders become programs; with hls4ml's rules they are the ones that hls4ml made of the same file.
//!
//! The second half needs the reference vectors, as `vectors.rs` does, and is left out without them.

use baler_fpga::import::{FloatOp, Network};
use baler_fpga::ir::{Op, Program};
use baler_fpga::quantise::{Compat, Widths, calibrated, compat};
use baler_fpga::vectors;
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("BALER_FPGA_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fpga/hls4ml_vectors")),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

/// Weights, biases, slopes and results, from the ONNX file alone.
#[test]
fn the_same_program_as_hls4ml() {
    let Some(folder) = folder() else {
        eprintln!("skipped: no reference vectors (BALER_FPGA_VECTORS names their folder)");
        return;
    };
    for (name, precision, accumulator) in [
        ("tiny_relu_auto", "ap_fixed<16,6>", None),
        ("tiny_relu_all16", "ap_fixed<16,6>", Some("ap_fixed<16,6>")),
        ("tiny_relu_wrap", "ap_fixed<16,6>", Some("ap_fixed<16,6>")),
        ("tiny_tanh_sigmoid_auto", "ap_fixed<16,6>", None),
        ("med_leaky001_all16", "ap_fixed<16,6>", Some("ap_fixed<16,6>")),
        ("med_relu_auto", "ap_fixed<16,6>", None),
        ("baler_proto_16_20_10_8_all16_8", "ap_fixed<16,8>", Some("ap_fixed<16,8>")),
        ("baler_proto_full_ae_all16_8", "ap_fixed<16,8>", Some("ap_fixed<16,8>")),
    ] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let onnx = std::fs::read(folder.join(format!("{name}.onnx"))).unwrap();
        let expected = vectors::program(&text).unwrap();
        let how =
            Compat { precision: precision.parse().unwrap(), accumulator: accumulator.map(|a| a.parse().unwrap()) };
        let found = compat(name, &Network::from_onnx(&onnx).unwrap(), &[], how).unwrap();
        assert_eq!(found.layers().len(), expected.layers().len(), "{name}");
        for (found, expected) in found.layers().iter().zip(expected.layers()) {
            assert_eq!((&found.op, &found.formats), (&expected.op, &expected.formats), "{name}: {}", expected.name);
        }
        for row in vectors::inputs(&text).unwrap() {
            let raw = expected.input().quantise(&row).unwrap();
            assert_eq!(found.trace(&raw).unwrap(), expected.trace(&raw).unwrap(), "{name}");
        }
    }
}

// ---- ONNX by hand: protobuf fields of varints and byte strings are all there is.

#[derive(Default, Clone)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, field: u64, value: i64) -> Self {
        self.number(field << 3);
        self.number(value as u64);
        self
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.number(field << 3 | 2);
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.number(field << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
}

fn node(op: &str, domain: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Message {
    let mut node = Message::default();
    for input in inputs {
        node = node.bytes(1, input.as_bytes());
    }
    node = node.bytes(2, output.as_bytes()).bytes(3, format!("my_{output}").as_bytes()).bytes(4, op.as_bytes());
    for attribute in attributes {
        node = node.bytes(5, &attribute.0);
    }
    node.bytes(7, domain.as_bytes())
}

fn ints(name: &str, values: &[i64]) -> Message {
    values.iter().fold(Message::default().bytes(1, name.as_bytes()), |m, &v| m.varint(8, v))
}

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    dims.iter().fold(Message::default(), |m, &d| m.varint(1, d)).varint(2, 1).bytes(8, name.as_bytes()).bytes(9, &raw)
}

fn onnx(dims: &[i64], nodes: &[Message], tensors: &[Message], output: &str) -> Vec<u8> {
    let mut shape = Message::default().bytes(1, &Message::default().bytes(2, b"N").0);
    for &d in dims {
        shape = shape.bytes(1, &Message::default().varint(1, d).0);
    }
    let kind = Message::default().bytes(1, &Message::default().varint(1, 1).bytes(2, &shape.0).0);
    let mut graph = Message::default();
    for node in nodes {
        graph = graph.bytes(1, &node.0);
    }
    for tensor in tensors {
        graph = graph.bytes(5, &tensor.0);
    }
    graph = graph.bytes(11, &Message::default().bytes(1, b"x").bytes(2, &kind.0).0);
    graph = graph.bytes(12, &Message::default().bytes(1, output.as_bytes()).bytes(2, &kind.0).0);
    let opset = Message::default().bytes(1, b"").varint(2, 13);
    Message::default().varint(1, 8).bytes(7, &graph.0).bytes(8, &opset.0).0
}

#[test]
fn matmul_add_and_normalisation_are_one_layer() {
    let file = onnx(
        &[2],
        &[
            node("MatMul", "", &["x", "w"], "a", &[]),
            node("Add", "", &["a", "b"], "c", &[]),
            node("BatchNormalization", "", &["c", "gamma", "beta", "mean", "variance"], "d", &[]),
            node("Relu", "", &["d"], "y", &[]),
        ],
        &[
            tensor("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            tensor("b", &[3], &[0.5, 0.0, -0.5]),
            tensor("gamma", &[3], &[2.0, 1.0, 1.0]),
            tensor("beta", &[3], &[1.0, 0.0, 0.0]),
            tensor("mean", &[3], &[0.5, 0.0, 0.0]),
            tensor("variance", &[3], &[1.0, 1.0, 1.0]),
        ],
        "y",
    );
    let network = Network::from_onnx(&file).unwrap();
    assert_eq!(network.layers.len(), 2, "{network:?}");
    let trace = network.trace(&[1.0, -1.0]);
    let scale = 1.0 / (1.0f64 + f64::from(1e-5f32)).sqrt();
    let expected = [(-3.0 + 0.5 - 0.5) * 2.0 * scale + 1.0, -3.0 * scale, -3.5 * scale];
    assert!(trace[0].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{trace:?}");
    assert_eq!(trace[1], [0.0; 3]);
}

#[test]
fn convolutions_are_dense_layers() {
    // One channel of 3 x 3, a kernel of 2 x 2, stride 1, one row and column of padding before.
    let file = onnx(
        &[1, 3, 3],
        &[
            node("Conv", "", &["x", "w", "b"], "a", &[ints("pads", &[1, 1, 0, 0])]),
            node("Transpose", "", &["a"], "t", &[ints("perm", &[0, 2, 3, 1])]),
            node("Flatten", "", &["t"], "f", &[]),
            node("MatMul", "", &["f", "m"], "y", &[]),
        ],
        &[
            tensor("w", &[2, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 1.0]),
            tensor("b", &[2], &[0.0, 10.0]),
            // Row 3 of 18: the second channel at (0, 1), with channels last.
            tensor("m", &[18, 1], &std::array::from_fn::<f32, 18, _>(|i| if i == 3 { 1.0 } else { 0.0 })),
        ],
        "y",
    );
    let network = Network::from_onnx(&file).unwrap();
    let x: Vec<f64> = (1..=9).map(f64::from).collect();
    let trace = network.trace(&x);
    // Top left: only the last weight meets a value; middle: 1 + 2 * 2 + 3 * 4 + 4 * 5.
    assert_eq!((trace[0][0], trace[0][4]), (4.0, 37.0));
    assert_eq!(trace[0][9], 11.0);
    assert_eq!(trace[1], [12.0]);
}

#[test]
fn quant_nodes_fix_formats() {
    let narrow = Message::default().bytes(1, b"narrow").varint(3, 1);
    let unsigned = Message::default().bytes(1, b"signed").varint(3, 0);
    let quant = |x: &str, scale: &str, to: &str, attribute: &Message| {
        node("Quant", "qonnx.custom_op.general", &[x, scale, "zero", "four"], to, std::slice::from_ref(attribute))
    };
    let file = onnx(
        &[2],
        &[
            quant("x", "eighth", "q", &narrow),
            quant("w", "quarter", "wq", &narrow),
            node("Gemm", "", &["q", "wq"], "a", &[]),
            node("Relu", "", &["a"], "r", &[]),
            quant("r", "quarter", "y", &unsigned),
        ],
        &[
            tensor("w", &[2, 1], &[0.6, -5.0]),
            tensor("zero", &[], &[0.0]),
            tensor("four", &[], &[4.0]),
            tensor("eighth", &[], &[0.125]),
            tensor("quarter", &[], &[0.25]),
        ],
        "y",
    );
    let network = Network::from_onnx(&file).unwrap();
    let widths = Widths::uniform(&network, 8, 8);
    let program = calibrated("quant", &network, &[], &[vec![0.5, -0.25]], &widths).unwrap();
    assert_eq!(program.input().formats[0].to_string(), "ap_fixed<4,1,AP_RND_CONV,AP_SAT_SYM,0>");
    assert_eq!(program.layers().len(), 1);
    assert_eq!(program.output_formats()[0].to_string(), "ap_ufixed<4,2,AP_RND_CONV,AP_SAT,0>");
    let Op::Dense(dense) = &program.layers()[0].op else { panic!("no dense layer") };
    // 0.6 is 2.4 quarters; -5 saturates at -7 of them.
    assert_eq!((dense.weight_format.width(), &dense.weights[0]), (4, &vec![2, -7]));
    // (4 * 2 + 2 * 7) / 32 = 0.6875, 2.75 quarters.
    assert_eq!(program.reference(&[4, -2]).unwrap(), [3]);
}

/// Each operator by itself: the layer it becomes, and what that computes.
#[test]
fn every_operator_is_imported() {
    let tensors = [
        tensor("w", &[2, 2], &[1.0, 2.0, -3.0, 0.5]),
        tensor("b", &[2], &[0.25, -1.0]),
        tensor("k1", &[1, 1, 2], &[1.0, -2.0]),
        tensor("half", &[], &[0.5]),
    ];
    let t = Message::default().bytes(1, b"transB").varint(3, 1);
    let alpha = Message::default().bytes(1, b"alpha").float(2, 0.125);
    let (x, s) = ([1.5, -2.0], |v: f64| 1.0 / (1.0 + (-v).exp()));
    let cases: Vec<(&str, Message, Vec<f64>)> = vec![
        ("Dense", node("Gemm", "", &["x", "w", "b"], "y", &[]), vec![1.5 + 6.0 + 0.25, 3.0 - 1.0 - 1.0]),
        ("Dense", node("Gemm", "", &["x", "w", "b"], "y", &[t]), vec![1.5 - 4.0 + 0.25, -4.5 - 1.0 - 1.0]),
        ("Dense", node("MatMul", "", &["x", "w"], "y", &[]), vec![7.5, 2.0]),
        ("ScaleShift", node("Add", "", &["x", "b"], "y", &[]), vec![1.75, -3.0]),
        ("ScaleShift", node("Sub", "", &["b", "x"], "y", &[]), vec![-1.25, 1.0]),
        ("ScaleShift", node("Mul", "", &["x", "half"], "y", &[]), vec![0.75, -1.0]),
        ("ScaleShift", node("Div", "", &["x", "half"], "y", &[]), vec![3.0, -4.0]),
        ("Relu", node("Relu", "", &["x"], "y", &[]), vec![1.5, 0.0]),
        ("LeakyRelu", node("LeakyRelu", "", &["x"], "y", &[alpha]), vec![1.5, -0.25]),
        ("Tanh", node("Tanh", "", &["x"], "y", &[]), x.map(f64::tanh).to_vec()),
        ("Sigmoid", node("Sigmoid", "", &["x"], "y", &[]), x.map(s).to_vec()),
    ];
    let import = |dims: &[i64], node: Message| Network::from_onnx(&onnx(dims, &[node], &tensors, "y")).unwrap();
    for (kind, node, expected) in cases {
        let network = import(&[2], node);
        let [layer] = &network.layers[..] else { panic!("{kind}: {network:?}") };
        assert!(format!("{:?}", layer.op).starts_with(kind) && layer.name == "my_y", "{kind}: {layer:?}");
        assert_eq!(network.trace(&x)[0], expected, "{kind}");
        // And on to integers, which come close.
        let rows = [x.to_vec(), vec![-0.5, 0.75], vec![2.0, 1.0]];
        let program = calibrated(kind, &network, &[], &rows, &Widths::uniform(&network, 12, 12)).unwrap();
        let raw = program.reference(&program.input().quantise(&x).unwrap()).unwrap();
        let found = program.dequantise(&raw).unwrap();
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.02), "{kind}: {found:?}, {expected:?}");
    }
    // A convolution along one axis: two steps of one channel.
    let network = import(&[1, 4], node("Conv", "", &["x", "k1"], "y", &[ints("strides", &[2])]));
    assert_eq!(network.trace(&[1.0, 2.0, 3.0, 5.0])[0], [-3.0, -7.0]);
}

#[test]
fn what_has_no_fixed_point_form_is_refused_by_name() {
    let matrix = tensor("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0]);
    let refused = |nodes: &[Message], expected: &str| {
        let file = onnx(&[2], nodes, std::slice::from_ref(&matrix), "y");
        let error = Network::from_onnx(&file).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("my_y"), "{error}");
    };
    refused(&[node("Softmax", "", &["x"], "y", &[])], "operator Softmax");
    for op in ["Elu", "Exp", "MaxPool", "AveragePool", "ReduceMean", "ConvTranspose", "Concat", "LSTM", "Gelu"] {
        refused(&[node(op, "", &["x", "w"], "y", &[])], &format!("operator {op}"));
    }
    refused(&[node("Gemm", "", &["x", "w"], "y", &[Message::default().bytes(1, b"transA").varint(3, 1)])], "transA");
    refused(&[node("Quant", "qonnx.custom_op.general", &["x", "w", "w", "w"], "y", &[])], "zero point");
    refused(&[node("BatchNormalization", "", &["x", "w", "w", "w", "w"], "y", &[])], "channels");
    refused(&[node("Mul", "", &["x", "x"], "y", &[])], "constant");
    refused(&[node("Conv", "", &["x", "w"], "y", &[])], "Conv");
    refused(&[node("MatMul", "", &["x", "w"], "a", &[]), node("Add", "", &["a", "x"], "y", &[])], "constant");
    refused(&[node("MatMul", "", &["x", "w"], "a", &[]), node("Relu", "", &["x"], "y", &[])], "branches");
    refused(&[node("Relu", "com.example", &["x"], "y", &[])], "operator Relu");
    let unknown = Message::default().bytes(1, b"mystery").float(2, 1.0);
    refused(&[node("Relu", "", &["x"], "y", &[unknown])], "mystery");
    let file = onnx(&[2], &[node("Relu", "", &["x"], "y", &[])], &[], "y");
    for cut in 0..file.len() {
        let _ = Network::from_onnx(&file[..cut]);
    }
}

/// Calibrated programs come close to the float network, and closer with more bits.
#[test]
fn more_bits_are_closer() {
    let weights: Vec<f32> = (0..64).map(|i| ((i * 37 % 64) as f32 - 31.5) / 40.0).collect();
    let file = onnx(
        &[8],
        &[
            node("MatMul", "", &["x", "w"], "a", &[]),
            node("LeakyRelu", "", &["a"], "b", &[]),
            node("MatMul", "", &["b", "w"], "c", &[]),
            node("Tanh", "", &["c"], "y", &[]),
        ],
        &[tensor("w", &[8, 8], &weights)],
        "y",
    );
    let network = Network::from_onnx(&file).unwrap();
    assert!(matches!(network.layers[1].op, FloatOp::LeakyRelu(_)));
    let rows: Vec<Vec<f64>> =
        (0..200).map(|r| (0..8).map(|i| f64::from((r * 31 + i * 17) % 101) / 50.0 - 1.0).collect()).collect();
    let error = |program: &Program| {
        let of = |row: &Vec<f64>| {
            let raw = program.reference(&program.input().quantise(row).unwrap()).unwrap();
            let found = program.dequantise(&raw).unwrap();
            network.trace(row).pop().unwrap().iter().zip(found).map(|(a, b)| (a - b).powi(2)).sum::<f64>()
        };
        (rows.iter().map(of).sum::<f64>() / 1600.0).sqrt()
    };
    let at = |bits| error(&calibrated("p", &network, &[], &rows, &Widths::uniform(&network, bits, bits)).unwrap());
    let (coarse, middle, fine) = (at(5), at(8), at(14));
    assert!(coarse < 0.3 && middle < coarse / 3.0 && fine < 0.006, "{coarse} {middle} {fine}");
}
