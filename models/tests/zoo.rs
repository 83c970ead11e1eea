//! The zoo: built-in bundles, folders of bundles, installing.

use baler_codec::bundle::{Bundle, Contents, Family};
use baler_codec::inference::SimdPath;
use baler_models::onnx::{self, Layer, Weights};
use baler_models::zoo::{self, BUNDLES, decoder_output_hash};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bundles").join(name)
}

/// A bundle whose decoder repeats its one latent `factor` times over.
fn small_bundle(name: &str, factor: f32) -> Bundle {
    let dense = |inputs, outputs| Layer::Dense {
        inputs,
        outputs,
        weight: Weights::F32(vec![factor; inputs * outputs]),
        bias: None,
    };
    let manifest = format!(
        "format = 1\nname = \"{name}\"\nfamily = \"autoencoder\"\ndescription = \"A test.\"\nlicense = \"CC0-1.0\"\n\
         [input]\ntile = [4]\nnormalisation = {{ kind = \"range\" }}\n[latents]\ncount = 1\nstep = [0.5]\n"
    );
    let encoder = onnx::write("encoder", &[4], &[1], &[dense(4, 1)]).unwrap();
    let decoder = onnx::write("decoder", &[1], &[4], &[dense(1, 4)]).unwrap();
    Bundle::new(&manifest, Some(encoder), decoder, None).unwrap()
}

#[test]
fn built_in_bundles_are_distinct_and_found_by_id() {
    let source = zoo::builtin();
    let bundles = source.list();
    assert_eq!(bundles.len(), BUNDLES.len());
    let ids: HashSet<_> = bundles.iter().map(|b| b.id()).collect();
    let names: HashSet<_> = bundles.iter().map(|b| b.manifest().name.clone()).collect();
    assert_eq!((ids.len(), names.len()), (BUNDLES.len(), BUNDLES.len()));
    for (bundle, (name, _)) in bundles.iter().zip(BUNDLES) {
        assert_eq!(bundle.manifest().name, *name);
        assert_eq!(source.find(&bundle.id()).unwrap().unwrap().id(), bundle.id());
        if bundle.manifest().family == Family::Autoencoder {
            // What runs a fixed-point encoder is not part of this crate.
            assert!(bundle.has_encoder());
            if bundle.manifest().encoder.is_none() {
                bundle.encoder(None).unwrap();
            }
            bundle.decoder().unwrap();
        }
    }
}

#[test]
fn packed_bundles_equal_their_parts() {
    for (name, packed) in BUNDLES {
        let read = |file: &str| std::fs::read(folder(name).join(file)).unwrap();
        let text = |file: &str| String::from_utf8(read(file)).unwrap();
        let packed = Bundle::parse(packed).unwrap();
        let (manifest, card) = (text("manifest.toml"), Some(text("CARD.md")));
        let parts = match packed.manifest().family {
            Family::Predictor => Bundle::of_formulas(&manifest, card),
            _ if packed.manifest().encoder.is_some() => {
                Bundle::with_fixed_encoder(&manifest, read("encoder.fixed.json"), None, read("decoder.onnx"), card)
            }
            _ => Bundle::new(&manifest, Some(read("encoder.onnx")), read("decoder.onnx"), card),
        };
        let parts = parts.unwrap();
        assert_eq!(parts.id(), packed.id(), "{name}");
        assert_eq!(Some(text("CARD.md").as_str()), packed.card(), "{name}: the packed card is another");
        let total: u64 = std::fs::read_dir(folder(name)).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(total < 1 << 20, "{name}: {total} bytes in the repository");
    }
}

#[test]
fn decoders_give_the_expected_bits_on_every_path() {
    for (name, packed) in BUNDLES {
        let bundle = Bundle::parse(packed).unwrap();
        if bundle.manifest().family == Family::Predictor {
            continue;
        }
        let hashes = SimdPath::available().into_iter().map(|path| (path, decoder_output_hash(&bundle, path).unwrap()));
        let file = folder(name).join("expected.json");
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        for (path, hash) in hashes {
            assert!(expected.contains(&hash), "{name} on {path:?}: {hash}, {} says {expected}", file.display());
        }
    }
}

#[test]
fn a_folder_lists_what_it_can_read_and_says_what_it_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let source = zoo::directory(dir.path());
    assert!(source.list().is_empty());
    let (first, second) = (small_bundle("first", 1.0), small_bundle("second", 2.0));
    std::fs::write(dir.path().join("a.bundle"), first.to_bytes(Contents::Full)).unwrap();
    std::fs::write(dir.path().join("b.bundle"), second.to_bytes(Contents::DecoderOnly)).unwrap();
    std::fs::write(dir.path().join("broken.bundle"), b"no bundle").unwrap();
    std::fs::write(dir.path().join("ignored.txt"), b"no bundle either").unwrap();
    let names: Vec<_> = source.list().iter().map(|b| b.manifest().name.clone()).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(source.describe().contains("broken.bundle"), "{}", source.describe());
    assert!(!source.describe().contains("ignored.txt"));
    assert_eq!(source.find(&second.id()).unwrap().unwrap().manifest().name, "second");

    // Files that change or vanish are noticed.
    std::fs::remove_file(dir.path().join("b.bundle")).unwrap();
    std::fs::write(dir.path().join("broken.bundle"), second.to_bytes(Contents::Full)).unwrap();
    assert_eq!(source.list().len(), 2);
    assert!(!source.describe().contains("passed over"));
    std::fs::remove_file(dir.path().join("broken.bundle")).unwrap();
    assert!(source.find(&second.id()).unwrap().is_none());
}

#[test]
fn a_folder_that_is_not_there_is_empty() {
    let source = zoo::directory("/nowhere/at/all");
    assert!(source.list().is_empty());
    assert!(source.find(&small_bundle("x", 1.0).id()).unwrap().is_none());
    assert!(source.describe().contains("not there"));
}

#[test]
fn installing_keeps_other_bundles_of_the_same_name() {
    let dir = tempfile::tempdir().unwrap();
    let models = dir.path().join("models");
    let (first, second) = (small_bundle("flow", 1.0), small_bundle("flow", 2.0));
    assert_eq!(zoo::install_in(&models, &first).unwrap(), models.join("flow.bundle"));
    assert_eq!(zoo::install_in(&models, &first).unwrap(), models.join("flow.bundle"));
    assert_eq!(zoo::install_in(&models, &second).unwrap(), models.join(format!("flow-{}.bundle", second.id())));
    let source = zoo::directory(&models);
    assert_eq!(source.list().len(), 2);
    assert_eq!(source.find(&first.id()).unwrap().unwrap().id(), first.id());
    // Nothing unfinished is left behind.
    assert_eq!(std::fs::read_dir(&models).unwrap().count(), 2);
}
