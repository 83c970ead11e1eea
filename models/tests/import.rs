//! Importing ONNX pairs: what fits becomes a bundle, what does not is named.

use baler_codec::ErrorKind;
use baler_models::import::{Options, import};
use baler_models::onnx::{self, Activation, Layer, Weights};

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
