//! Importing ONNX pairs: what fits becomes a bundle, what does not is named.

use baler_codec::ErrorKind;
use baler_codec::bundle::Normalisation;
use baler_models::import::{Options, calibrate, import};
use baler_models::onnx::{self, Activation, Layer, Weights};
use baler_models::simulate::{Random, power_law};
use graph::{Attr, Graph};

#[path = "../../codec/tests/common/onnx.rs"]
mod graph;

fn dense(inputs: usize, outputs: usize) -> Layer {
    let weight = Weights::F32((0..inputs * outputs).map(|i| (i % 7) as f32 * 0.1 - 0.3).collect());
    Layer::Dense { inputs, outputs, weight, bias: Some(Weights::F32(vec![0.0; outputs])) }
}

fn network(inputs: usize, outputs: usize) -> Vec<u8> {
    let layers = [dense(inputs, 5), Layer::Activation(Activation::Relu), dense(5, outputs)];
    onnx::write("test", &[inputs], &[outputs], &layers).unwrap()
}

#[test]
fn a_pair_becomes_a_bundle() {
    let imported = import(Some(&network(12, 3)), &network(3, 12), &Options::new("pair")).unwrap();
    let manifest = imported.bundle.manifest();
    assert_eq!((manifest.input.tile.as_slice(), manifest.latents.count), (&[12][..], 3));
    assert!(imported.notes.iter().any(|n| n.contains("[12]")), "{:?}", imported.notes);

    let mut options = Options::new("pair");
    options.tile = Some(vec![3, 4]);
    let imported = import(None, &network(3, 12), &options).unwrap();
    assert_eq!(imported.bundle.manifest().input.tile, [3, 4]);
    assert!(imported.notes.iter().any(|n| n.contains("only read")), "{:?}", imported.notes);
}

#[test]
fn what_does_not_fit_is_named() {
    let mut wrong_tile = Options::new("pair");
    wrong_tile.tile = Some(vec![5, 5]);
    let good = Options::new("pair");
    let cases = [
        (import(Some(&network(12, 3)), &network(3, 12), &wrong_tile), "[5, 5]"),
        (import(Some(&network(10, 3)), &network(3, 12), &good), "encoder"),
        (import(Some(&network(12, 4)), &network(3, 12), &good), "encoder"),
        (import(None, b"not an ONNX file at all", &good), "decoder"),
        (import(Some(b"\xff\xff"), &network(3, 12), &good), "encoder"),
    ];
    for (result, says) in cases {
        let error = result.unwrap_err();
        assert!(error.message().contains(says), "{says}: {error}");
    }
}

#[test]
fn a_decoder_with_an_unknown_operator_is_refused_by_its_node() {
    // An operator name of the same length in place of one that is known.
    let mut decoder = network(3, 12);
    let at = decoder.windows(4).position(|w| w == b"Relu").unwrap();
    decoder[at..at + 4].copy_from_slice(b"Celu");
    let error = import(Some(&network(12, 3)), &decoder, &Options::new("pair")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.message().contains("Celu"), "{error}");

    // The same in an encoder is no fault: ONNX Runtime will run it, and the notes say so.
    let mut encoder = network(12, 3);
    let at = encoder.windows(4).position(|w| w == b"Relu").unwrap();
    encoder[at..at + 4].copy_from_slice(b"Celu");
    match import(Some(&encoder), &network(3, 12), &Options::new("pair")) {
        Ok(imported) => assert!(imported.notes.iter().any(|n| n.contains("ONNX Runtime")), "{:?}", imported.notes),
        Err(error) => assert!(error.message().contains("ONNX Runtime"), "{error}"),
    }
}

/// A smooth field with values from 3 to 40 or so, in 8 x 8 tiles.
fn fields() -> (Vec<f32>, Vec<usize>) {
    let mut random = Random::new(8);
    let field: Vec<f32> = (0..6).flat_map(|_| power_law(32, 32, 4.0, 1.0, 1.0, &mut random)).collect();
    (field.iter().map(|v| 20.0 + 6.0 * v).collect(), vec![6, 32, 32])
}

/// An autoencoder by hand that suits values from 0 to 1 only: the encoder gives means of 2 x 2 cells, the decoder gives
/// each cell its mean and cuts what leaves that range. As PyTorch exports it: channels first, `Flatten`, `Gemm` with
/// `transB`, `Reshape` to -1.
fn as_pytorch_exports() -> [Vec<u8>; 2] {
    let identity: Vec<f32> = (0..256).map(|i| f32::from(i % 17 == 0)).collect();
    let two = [2, 2];
    let mut encoder = Graph::new(&[1, 8, 8]);
    let means = encoder.floats(&[1, 1, 2, 2], &[0.25; 4]);
    encoder.node("Conv", &[&means], &[Attr::Ints("kernel_shape", &two), Attr::Ints("strides", &two)]);
    encoder.node("Flatten", &[], &[Attr::Int("axis", 1)]);
    let (w, b) = (encoder.floats(&[16, 16], &identity), encoder.floats(&[16], &[0.0; 16]));
    encoder.node("Gemm", &[&w, &b], &[Attr::Float("alpha", 1.0), Attr::Float("beta", 1.0), Attr::Int("transB", 1)]);

    let mut decoder = Graph::new(&[16]);
    let (w, b) = (decoder.floats(&[16, 16], &identity), decoder.floats(&[16], &[0.0; 16]));
    decoder.node("Gemm", &[&w, &b], &[Attr::Int("transB", 1)]);
    let shape = decoder.ints(&[-1, 1, 4, 4]);
    decoder.node("Reshape", &[&shape], &[Attr::Int("allowzero", 0)]);
    let (w, b) = (decoder.floats(&[1, 1, 2, 2], &[1.0; 4]), decoder.floats(&[1], &[0.0]));
    decoder.node("ConvTranspose", &[&w, &b], &[Attr::Ints("kernel_shape", &two), Attr::Ints("strides", &two)]);
    let (low, high) = (decoder.floats(&[], &[0.0]), decoder.floats(&[], &[1.0]));
    decoder.node("Clip", &[&low, &high], &[]);
    [encoder.finish(), decoder.finish()]
}

/// The same as converters of Keras models write it: channels last, so `Transpose` around each convolution; dense layers as
/// `MatMul` and `Add`.
fn as_keras_exports() -> [Vec<u8>; 2] {
    let identity: Vec<f32> = (0..256).map(|i| f32::from(i % 17 == 0)).collect();
    let first = [Attr::Ints("perm", &[0, 3, 1, 2])];
    let last = [Attr::Ints("perm", &[0, 2, 3, 1])];
    let dense = |graph: &mut Graph| {
        let (w, b) = (graph.floats(&[16, 16], &identity), graph.floats(&[16], &[0.0; 16]));
        graph.node("MatMul", &[&w], &[]).node("Add", &[&b], &[]);
    };
    let mut encoder = Graph::new(&[8, 8, 1]);
    let means = encoder.floats(&[1, 1, 2, 2], &[0.25; 4]);
    encoder.node("Transpose", &[], &first);
    encoder.node("Conv", &[&means], &[Attr::Ints("strides", &[2, 2]), Attr::Str("auto_pad", "VALID")]);
    encoder.node("Transpose", &[], &last);
    let flat = encoder.ints(&[-1, 16]);
    encoder.node("Reshape", &[&flat], &[]);
    dense(&mut encoder);

    let mut decoder = Graph::new(&[16]);
    dense(&mut decoder);
    let shape = decoder.ints(&[-1, 4, 4, 1]);
    decoder.node("Reshape", &[&shape], &[]);
    decoder.node("Transpose", &[], &first);
    let w = decoder.floats(&[1, 1, 2, 2], &[1.0; 4]);
    decoder.node("ConvTranspose", &[&w], &[Attr::Ints("strides", &[2, 2])]);
    decoder.node("Transpose", &[], &last);
    let (low, high) = (decoder.floats(&[], &[0.0]), decoder.floats(&[], &[1.0]));
    decoder.node("Clip", &[&low, &high], &[]);
    [encoder.finish(), decoder.finish()]
}

#[test]
fn pairs_as_pytorch_and_keras_export_them_are_calibrated() {
    let (data, shape) = fields();
    for [encoder, decoder] in [as_pytorch_exports(), as_keras_exports()] {
        let mut options = Options::new("pair");
        let found = calibrate(&encoder, &decoder, &mut options, None, &data, &shape).unwrap();
        assert_eq!(found.tried[0].0, "min-max to 0..1", "{:?}", found.tried);
        assert_eq!((found.tried.len(), found.tiles), (4, 96));
        assert!(found.rms_error < 0.05 && found.tried[1].1 > 2.0 * found.rms_error, "{:?}", found.tried);
        // Latents as coarse as 5 % more error allows, and no finer.
        assert!(found.quantised_rms_error <= 1.051 * found.rms_error, "{found:?}");
        assert!(found.quantised_rms_error >= 1.03 * found.rms_error, "{found:?}");
        let imported = import(Some(&encoder), &decoder, &options).unwrap();
        let manifest = imported.bundle.manifest();
        assert_eq!((manifest.input.tile.as_slice(), manifest.latents.count), (&[8, 8][..], 16));
        let Normalisation::Fixed { offset, scale } = manifest.input.normalisation else { panic!() };
        let (min, max) = data.iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        assert_eq!((offset, scale), (f64::from(min), f64::from(max) - f64::from(min)));
        assert!(manifest.latents.step.iter().all(|s| (0.005..0.5).contains(s)), "{:?}", manifest.latents.step);
    }
}

#[test]
fn calibration_names_what_does_not_fit() {
    let [encoder, decoder] = as_pytorch_exports();
    let (data, shape) = fields();
    let fail = |encoder: &[u8], data: &[f32], shape: &[usize]| {
        let error = calibrate(encoder, &decoder, &mut Options::new("pair"), None, data, shape).unwrap_err();
        error.message().to_string()
    };
    assert!(fail(&encoder, &data[..12], &[3, 4]).contains("does not fit"));
    assert!(fail(&encoder, &data[..64], &shape).contains("does not fit"));
    assert!(fail(&encoder, &[f32::NAN; 64], &[8, 8]).contains("gap"));
    assert!(fail(&network(12, 3), &data, &shape).contains("do not fit each other"));
}

/// Columns of very different sizes: a pair trained on standard scores shows itself.
#[test]
fn columns_of_tables_are_calibrated_each() {
    let mut random = Random::new(2);
    let data: Vec<f32> = (0..500)
        .flat_map(|_| {
            let (a, b) = (random.normal(), random.normal());
            [a, 1e4 + 300.0 * b, 1e-3 * (a + b)]
        })
        .collect();
    // Two latents; the third column is (a + b) / sqrt 2 in standard scores.
    let half = 0.5f32.sqrt();
    let layer = |inputs, outputs, weight: Vec<f32>| {
        let layer = Layer::Dense { inputs, outputs, weight: Weights::F32(weight), bias: None };
        onnx::write("net", &[inputs], &[outputs], &[layer]).unwrap()
    };
    let encoder = layer(3, 2, vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let decoder = layer(2, 3, vec![1.0, 0.0, 0.0, 1.0, half, half]);
    let mut options = Options::new("table");
    let found = calibrate(&encoder, &decoder, &mut options, None, &data, &[500, 3]).unwrap();
    assert_eq!(found.tried[0].0, "standard score of each column", "{:?}", found.tried);
    assert_eq!(import(Some(&encoder), &decoder, &options).unwrap().bundle.manifest().format, 2);
}
