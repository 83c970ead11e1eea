//! Puts a bundle where the built-in ones are: `cargo run -p baler-models --example place_bundle -- NAME.bundle`.
//!
//! Writes `models/bundles/<name>/`: the packed file and its parts, with the `CARD.md` that is there packed along, and of
//! networks `expected.json`. One line in `BUNDLES` (`models/src/zoo.rs`) then builds it in.

use baler_codec::bundle::{Bundle, Contents, Family};
use baler_codec::inference::SimdPath;
use baler_models::zoo::{decoder_output_hash, read_bundle};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("expected the path of a .bundle file")?;
    let trained = read_bundle(Path::new(&file))?;
    let name = &trained.manifest().name;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bundles").join(name);
    std::fs::create_dir_all(&folder)?;
    let card = std::fs::read_to_string(folder.join("CARD.md")).ok();
    let manifest = trained.manifest_toml();
    let bundle = if trained.manifest().family == Family::Predictor {
        Bundle::of_formulas(manifest, card)?
    } else {
        std::fs::write(folder.join("decoder.onnx"), trained.decoder_onnx())?;
        let hash = decoder_output_hash(&trained, SimdPath::available()[0])?;
        let expected = format!("{{ \"fnv1a64_of_decoder_output\": \"{hash}\" }}\n");
        std::fs::write(folder.join("expected.json"), expected)?;
        let decoder = trained.decoder_onnx().to_vec();
        let encoder = trained.encoder_onnx().map(<[u8]>::to_vec);
        if let Some(encoder) = &encoder {
            std::fs::write(folder.join("encoder.onnx"), encoder)?;
        }
        match (trained.fixed_program(), encoder) {
            (Some(program), encoder) => {
                std::fs::write(folder.join("encoder.fixed.json"), program)?;
                Bundle::with_fixed_encoder(manifest, program.to_vec(), encoder, decoder, card)?
            }
            (None, Some(encoder)) => Bundle::new(manifest, Some(encoder), decoder, card)?,
            (None, None) => return Err("a bundle without an encoder cannot be built in".into()),
        }
    };
    std::fs::write(folder.join("manifest.toml"), manifest)?;
    std::fs::write(folder.join(format!("{name}.bundle")), bundle.to_bytes(Contents::Full))?;
    println!("{}: {}, decoder {} B", folder.display(), bundle.id(), bundle.decoder_bytes());
    Ok(())
}
