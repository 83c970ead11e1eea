//! Bundles: the packed form, its id, and what is refused.

use baler_codec::ErrorKind;
use baler_codec::bundle::{Bundle, BundleId, BundleSource, Contents, MemorySource};
use std::sync::Arc;

#[path = "common/onnx.rs"]
mod onnx;

const MANIFEST: &str = r#"
format = 1
name = "dense-test"
family = "autoencoder"
description = "A test."
license = "CC0-1.0"
[input]
tile = [3, 4]
normalisation = { kind = "range" }
[latents]
count = 2
step = [0.5, 0.25]
"#;

fn parts() -> (Vec<u8>, Vec<u8>) {
    (onnx::perceptron(&[12, 5, 2], "Relu"), onnx::perceptron(&[2, 5, 12], "Relu"))
}

fn bundle() -> Bundle {
    let (encoder, decoder) = parts();
    Bundle::new(MANIFEST, Some(encoder), decoder, Some("# A card\n".to_owned())).unwrap()
}

#[test]
fn round_trip() {
    let bundle = bundle();
    let (encoder, decoder) = parts();
    let full = Bundle::parse(&bundle.to_bytes(Contents::Full)).unwrap();
    assert_eq!(full.id(), bundle.id());
    assert_eq!(full.manifest(), bundle.manifest());
    assert_eq!(full.manifest_toml(), MANIFEST);
    assert_eq!((full.encoder_onnx(), full.decoder_onnx()), (Some(&encoder[..]), &decoder[..]));
    assert_eq!(full.card(), Some("# A card\n"));
    assert_eq!(full.to_bytes(Contents::Full), bundle.to_bytes(Contents::Full));
    assert_eq!((full.encoder(None).unwrap().output_len(), full.decoder().unwrap().output_len()), (2, 12));
}

#[test]
fn a_reader_copy_has_the_same_id() {
    let bundle = bundle();
    let bytes = bundle.to_bytes(Contents::DecoderOnly);
    assert_eq!(bundle.decoder_bytes(), bytes.len());
    let reader = Bundle::parse(&bytes).unwrap();
    assert_eq!(reader.id(), bundle.id());
    assert_eq!(reader.decoder().unwrap().output_len(), 12);
    assert_eq!((reader.encoder_onnx(), reader.card()), (None, None));
    assert_eq!(reader.encoder(None).err().unwrap().kind(), ErrorKind::ModelMissing);
    // A copy of the copy is the copy.
    assert_eq!(reader.to_bytes(Contents::Full), bytes);
    assert_eq!(reader.decoder_bytes(), bytes.len());
}

#[test]
fn the_id_is_of_the_content() {
    let (encoder, decoder) = parts();
    let id = |manifest: &str, encoder: Option<Vec<u8>>, decoder: Vec<u8>, card: &str| {
        Bundle::new(manifest, encoder, decoder, Some(card.to_owned())).unwrap().id()
    };
    let own = id(MANIFEST, Some(encoder.clone()), decoder.clone(), "# A card\n");
    assert_eq!(own, bundle().id());
    assert_eq!(own, id(MANIFEST, Some(encoder.clone()), decoder.clone(), "another card"));
    assert_ne!(own, id(&MANIFEST.replace("A test", "Another"), Some(encoder.clone()), decoder.clone(), ""));
    assert_ne!(own, id(MANIFEST, None, decoder.clone(), ""));
    assert_ne!(own, id(MANIFEST, Some(encoder), onnx::perceptron(&[2, 6, 12], "Relu"), ""));
    // Fixed for ever: it travels in streams.
    assert_eq!(own.to_string(), "62776176f7aa4ba50c954b15f37c8873");
}

#[test]
fn networks_must_fit_the_manifest() {
    let (encoder, decoder) = parts();
    let refuse = |manifest: &str, encoder: Option<Vec<u8>>, decoder: Vec<u8>, says: &str| {
        let e = Bundle::new(manifest, encoder, decoder, None).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ModelInvalid, "{e}");
        assert!(e.message().contains(says), "{e}");
    };
    let tile = MANIFEST.replace("[3, 4]", "[3, 5]");
    refuse(&tile, None, decoder.clone(), "decoder.onnx of bundle dense-test gives 12 values a row: expected 15");
    let count = MANIFEST.replace("count = 2", "count = 1").replace("[0.5, 0.25]", "[0.5]");
    refuse(&count, None, decoder.clone(), "takes 2 values a row: expected 1");
    refuse(MANIFEST, Some(decoder.clone()), decoder.clone(), "encoder.onnx of bundle dense-test takes 2");
    refuse(MANIFEST, Some(encoder), Vec::new(), "decoder.onnx has 0 bytes");
    refuse(MANIFEST, Some(b"\x01garbage".to_vec()), decoder, "encoder.onnx");
}

#[test]
fn cut_anywhere_is_an_error() {
    for contents in [Contents::Full, Contents::DecoderOnly] {
        let bytes = bundle().to_bytes(contents);
        for len in 0..bytes.len() {
            assert!(Bundle::parse(&bytes[..len]).is_err(), "{len}");
        }
        assert!(Bundle::parse(&[&bytes[..], b"0"].concat()).is_err());
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    for contents in [Contents::Full, Contents::DecoderOnly] {
        let mut bytes = bundle().to_bytes(contents);
        for i in 0..bytes.len() {
            for bit in 0..8 {
                bytes[i] ^= 1 << bit;
                let e = Bundle::parse(&bytes).unwrap_err();
                assert!(matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Version), "byte {i} bit {bit}: {e}");
                bytes[i] ^= 1 << bit;
            }
        }
    }
}

/// As above behind a valid checksum, as an attacker would write it.
#[test]
fn forged_bytes_do_not_panic() {
    for contents in [Contents::Full, Contents::DecoderOnly] {
        let bytes = bundle().to_bytes(contents);
        let n = bytes.len() - 8;
        for i in 0..n {
            for flip in [1, 0x40, 0x80, 0xff] {
                let mut forged = bytes.clone();
                forged[i] ^= flip;
                let checksum = xxhash_rust::xxh3::xxh3_64(&forged[..n]).to_le_bytes();
                forged[n..].copy_from_slice(&checksum);
                // Only what the table says of sections that are left out can change, and then the id does.
                if let Ok(other) = Bundle::parse(&forged) {
                    assert!(other.id() != bundle().id() || other.encoder_onnx() == bundle().encoder_onnx() || i > 0);
                }
            }
        }
    }
}

#[test]
fn a_decompression_bomb_is_refused() {
    let bytes = bundle().to_bytes(Contents::Full);
    // The first table entry: name length, name, length, digest, method, packed length.
    let length_at = 6 + 1 + "manifest.toml".len();
    let mut forged = bytes[..bytes.len() - 8].to_vec();
    forged[length_at..length_at + 8].copy_from_slice(&(1u64 << 20).to_le_bytes());
    let checksum = xxhash_rust::xxh3::xxh3_64(&forged).to_le_bytes();
    forged.extend_from_slice(&checksum);
    let e = Bundle::parse(&forged).unwrap_err();
    assert!(e.message().contains("refused"), "{e}");
    // Content that compresses beyond the ratio is stored plain, and read.
    let manifest = format!("{MANIFEST}\n{}", "#".repeat(1 << 19));
    let (_, decoder) = parts();
    let large = Bundle::new(&manifest, None, decoder, None).unwrap();
    assert_eq!(Bundle::parse(&large.to_bytes(Contents::Full)).unwrap().id(), large.id());
}

#[test]
fn memory_source() {
    let bundle = Arc::new(bundle());
    let source = MemorySource::new(vec![bundle.clone()]);
    assert_eq!(source.list().len(), 1);
    assert!(Arc::ptr_eq(&source.find(&bundle.id()).unwrap().unwrap(), &bundle));
    assert!(source.find(&BundleId([1; 16])).unwrap().is_none());
    assert!(source.describe().contains("1 bundle"));
}
