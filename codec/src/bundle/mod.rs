//! Bundles: a trained model with everything needed to use it, named by a content hash.
//!
//! A bundle holds `manifest.toml`, `decoder.onnx`, and in a full copy `encoder.onnx` or `encoder.fixed.json`, and `CARD.md`.
//! A copy for readers leaves all but the first two out and keeps their digests, so that both copies have the same [`BundleId`]. The packed form is
//! specified in `docs/bundle-format.md`.

mod density;
mod id;
mod manifest;
mod packed;
mod source;
mod transform;

pub use density::{Density, Moments, log_error};
pub use id::BundleId;
pub use manifest::{
    Arithmetic, ColumnFormula, EncoderDefinition, Family, Input, Latents, Manifest, Normalisation, Predictor,
};
pub use source::{BundleSource, MemorySource};
pub use transform::Transform;

use crate::error::{Error, ErrorKind, Result};
use crate::family::{self, IntegerNetwork};
use crate::inference::{Encoder, FixedEngine, Network, encoder_from_onnx};
use crate::params::Dtype;
use packed::{CARD, DECODER, ENCODER, FIXED, MANIFEST, Section, Sections};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Which sections a packed bundle holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contents {
    /// All that this copy has.
    Full,
    /// What reading needs: manifest and decoder.
    DecoderOnly,
}

/// A trained model.
pub struct Bundle {
    id: BundleId,
    manifest: Manifest,
    sections: Sections,
    decoder: OnceLock<Result<Network>>,
    /// The decoder of the family autoregressive, as it runs.
    integers: OnceLock<Result<IntegerNetwork>>,
    encoder: OnceLock<Result<Arc<dyn Encoder>>>,
    decoder_bytes: OnceLock<usize>,
}

impl Bundle {
    /// A bundle of these parts. The decoder is loaded and checked against the manifest; so is the encoder if our own
    /// engine can run it.
    pub fn new(
        manifest_toml: &str,
        encoder: Option<Vec<u8>>,
        decoder: Vec<u8>,
        card: Option<String>,
    ) -> Result<Bundle> {
        let bundle = Self::of_parts(manifest_toml, encoder, None, Some(decoder), card)?;
        bundle.decoder()?;
        if bundle.manifest.family == Family::Autoregressive {
            bundle.integer_network()?;
            return Ok(bundle);
        }
        match bundle.encoder(None) {
            // An encoder that needs a runtime which is not here may still be packed; one left out is no encoder.
            Err(e) if !matches!(e.kind(), ErrorKind::RuntimeMissing | ErrorKind::ModelMissing) => Err(e),
            _ => Ok(bundle),
        }
    }

    /// A bundle whose latents are defined by a fixed-point program: its manifest has `[encoder] arithmetic = "fixed"`.
    /// `encoder` is the network that the program was made from, if that is to be kept. The decoder is loaded and checked;
    /// the program is first looked into by the [`FixedEngine`] that runs it.
    pub fn with_fixed_encoder(
        manifest_toml: &str,
        program: Vec<u8>,
        encoder: Option<Vec<u8>>,
        decoder: Vec<u8>,
        card: Option<String>,
    ) -> Result<Bundle> {
        let bundle = Self::of_parts(manifest_toml, encoder, Some(program), Some(decoder), card)?;
        bundle.decoder()?;
        Ok(bundle)
    }

    /// A bundle of the family `predictor`, which has no networks.
    pub fn of_formulas(manifest_toml: &str, card: Option<String>) -> Result<Bundle> {
        Self::of_parts(manifest_toml, None, None, None, card)
    }

    fn of_parts(
        manifest_toml: &str,
        encoder: Option<Vec<u8>>,
        program: Option<Vec<u8>>,
        decoder: Option<Vec<u8>>,
        card: Option<String>,
    ) -> Result<Bundle> {
        let mut sections: Sections = Default::default();
        sections[MANIFEST] = Some(Section::new(manifest_toml.as_bytes().to_vec()));
        sections[DECODER] = decoder.map(Section::new);
        sections[ENCODER] = encoder.map(Section::new);
        sections[FIXED] = program.map(Section::new);
        sections[CARD] = card.filter(|text| !text.is_empty()).map(|text| Section::new(text.into_bytes()));
        packed::check_lengths(&sections)?;
        Self::from_sections(sections)
    }

    /// Reads the packed form. Every section's digest is checked; the networks are loaded when first asked for.
    pub fn parse(bytes: &[u8]) -> Result<Bundle> {
        Self::from_sections(packed::read(bytes)?)
    }

    fn from_sections(sections: Sections) -> Result<Bundle> {
        let text = content(&sections, MANIFEST).unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|e| Error::model(format!("manifest.toml is not UTF-8: {e}")))?;
        let manifest = Manifest::parse(text)?;
        match (&manifest.encoder, &sections[FIXED]) {
            (Some(_), None) => {
                return Err(Error::model(
                    "manifest.toml has [encoder] arithmetic = \"fixed\": encoder.fixed.json is missing",
                ));
            }
            (None, Some(_)) => {
                return Err(Error::model("encoder.fixed.json needs [encoder] arithmetic = \"fixed\" in manifest.toml"));
            }
            _ => {}
        }
        match (manifest.family, &sections[DECODER], &sections[ENCODER]) {
            (Family::Predictor, None, None) => {}
            (Family::Predictor, ..) => return Err(Error::model("a bundle of the family predictor has no networks")),
            (Family::Autoregressive, _, Some(_)) => {
                return Err(Error::model("a bundle of the family autoregressive has no encoder"));
            }
            (_, None, _) => return Err(Error::corrupt("bundle: section decoder.onnx is missing")),
            (_, Some(_), _) => {}
        }
        if content(&sections, CARD).is_some_and(|card| std::str::from_utf8(card).is_err()) {
            return Err(Error::model("CARD.md is not UTF-8"));
        }
        let id = packed::id(&sections);
        if id.is_none() {
            return Err(Error::model("the bundle's hash is all zero, which is reserved: change its description"));
        }
        Ok(Bundle {
            id,
            manifest,
            sections,
            decoder: OnceLock::new(),
            integers: OnceLock::new(),
            encoder: OnceLock::new(),
            decoder_bytes: OnceLock::new(),
        })
    }

    /// The packed form.
    pub fn to_bytes(&self, contents: Contents) -> Vec<u8> {
        match contents {
            Contents::Full => packed::write(&self.sections, |_| true),
            Contents::DecoderOnly => packed::write(&self.sections, |i| i == MANIFEST || i == DECODER),
        }
    }

    /// The content hash; the same for a full copy and one with the decoder only.
    pub fn id(&self) -> BundleId {
        self.id
    }

    /// What the bundle is for.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's text, as it was given.
    pub fn manifest_toml(&self) -> &str {
        std::str::from_utf8(content(&self.sections, MANIFEST).unwrap_or_default()).unwrap_or_default()
    }

    /// The model card, Markdown.
    pub fn card(&self) -> Option<&str> {
        content(&self.sections, CARD).and_then(|card| std::str::from_utf8(card).ok())
    }

    /// The decoder's ONNX file.
    pub fn decoder_onnx(&self) -> &[u8] {
        content(&self.sections, DECODER).unwrap_or_default()
    }

    /// The encoder's ONNX file, if this copy has it.
    pub fn encoder_onnx(&self) -> Option<&[u8]> {
        content(&self.sections, ENCODER)
    }

    /// The fixed-point program that defines the latents, if the bundle has one and this copy holds it.
    pub fn fixed_program(&self) -> Option<&[u8]> {
        content(&self.sections, FIXED)
    }

    /// Checks that the bundle can serve arrays of this dtype and shape, C order; the error says why not.
    pub fn check_fits(&self, dtype: Dtype, shape: &[usize]) -> Result<()> {
        family::check_fits(self, dtype, shape)
    }

    /// Whether this copy holds an encoder; one for readers does not.
    pub fn has_encoder(&self) -> bool {
        if self.manifest.encoder.is_some() { self.fixed_program().is_some() } else { self.encoder_onnx().is_some() }
    }

    /// Whether this copy can be written with: it holds its encoder, or its family has none.
    pub fn can_encode(&self) -> bool {
        self.manifest.family != Family::Autoencoder || self.has_encoder()
    }

    /// The length of the [`Contents::DecoderOnly`] form: what reports call the model's bytes. 0 for a predictor, which no
    /// reader needs.
    pub fn decoder_bytes(&self) -> usize {
        if self.manifest.family == Family::Predictor {
            return 0;
        }
        *self.decoder_bytes.get_or_init(|| self.to_bytes(Contents::DecoderOnly).len())
    }

    /// The decoder, loaded once.
    pub fn decoder(&self) -> Result<&Network> {
        let loaded = self.decoder.get_or_init(|| {
            if self.manifest.family == Family::Predictor {
                return Err(Error::model(format!("bundle {} holds formulas, no decoder", self.manifest.name)));
            }
            let network = Network::from_onnx(self.decoder_onnx())
                .map_err(|e| e.context(format_args!("decoder.onnx of bundle {}", self.manifest.name)))?;
            if self.manifest.family != Family::Autoregressive {
                let (latents, values) = (self.manifest.latents.count, self.manifest.tile_values());
                self.check_lengths("decoder.onnx", (network.input_len(), latents), (network.output_len(), values))?;
            }
            Ok(network)
        });
        loaded.as_ref().map_err(Clone::clone)
    }

    /// The decoder in integers, for the family autoregressive.
    pub(crate) fn integer_network(&self) -> Result<&IntegerNetwork> {
        let of = |e: Error| e.context(format_args!("bundle {}", self.manifest.name));
        let loaded = self.integers.get_or_init(|| IntegerNetwork::new(self.decoder()?).map_err(of));
        loaded.as_ref().map_err(Clone::clone)
    }

    /// The encoder. A network is loaded once: by our own engine if it has every operator, else by ONNX Runtime. A
    /// fixed-point program is run by `fixed`, and by nothing else ([`crate::Registry::encoder`] passes the host's).
    pub fn encoder(&self, fixed: Option<&dyn FixedEngine>) -> Result<Arc<dyn Encoder>> {
        if self.manifest.family != Family::Autoencoder {
            return Err(Error::model(format!(
                "bundle {} predicts values from others and has no encoder: it gives no latents",
                self.manifest.name
            )));
        }
        if !self.has_encoder() {
            let section = if self.manifest.encoder.is_some() { "encoder.fixed.json" } else { "encoder.onnx" };
            return Err(Error::new(
                ErrorKind::ModelMissing,
                format!(
                    "this copy of bundle {} ({}) can only be used for reading: it holds no {section}; writing needs the \
                     full bundle",
                    self.manifest.name, self.id
                ),
            ));
        }
        let of = |section| format!("{section} of bundle {}", self.manifest.name);
        if let (Some(_), Some(section)) = (&self.manifest.encoder, &self.sections[FIXED]) {
            let engine = fixed.ok_or_else(|| {
                Error::new(
                    ErrorKind::RuntimeMissing,
                    format!(
                        "bundle {} ({}) has a fixed-point encoder, and this program has set up nothing that runs one: \
                         see Registry::set_fixed_engine. Reading needs none",
                        self.manifest.name, self.id
                    ),
                )
            })?;
            let encoder = engine
                .encoder(&section.digest, self.fixed_program().unwrap_or_default())
                .map_err(|e| e.context(of("encoder.fixed.json")))?;
            return self.check_encoder("encoder.fixed.json", encoder);
        }
        let loaded = self.encoder.get_or_init(|| {
            let onnx = self.encoder_onnx().unwrap_or_default();
            let encoder = encoder_from_onnx(onnx).map_err(|e| e.context(of("encoder.onnx")))?;
            self.check_encoder("encoder.onnx", encoder.into())
        });
        loaded.clone()
    }

    fn check_encoder(&self, file: &str, encoder: Arc<dyn Encoder>) -> Result<Arc<dyn Encoder>> {
        let (latents, values) = (self.manifest.latents.count, self.manifest.tile_values());
        self.check_lengths(file, (encoder.input_len(), values), (encoder.output_len(), latents))?;
        Ok(encoder)
    }

    fn check_lengths(&self, file: &str, input: (usize, usize), output: (usize, usize)) -> Result<()> {
        let Manifest { name, input: Input { tile, .. }, latents, .. } = &self.manifest;
        for (what, (found, expected)) in [("takes", input), ("gives", output)] {
            if found != expected {
                return Err(Error::model(format!(
                    "{file} of bundle {name} {what} {found} values a row: expected {expected} \
                     (manifest: tile = {tile:?}, latents.count = {})",
                    latents.count
                )));
            }
        }
        Ok(())
    }
}

fn content(sections: &Sections, i: usize) -> Option<&[u8]> {
    sections[i].as_ref().and_then(|section| section.content.as_deref())
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("id", &self.id).field("name", &self.manifest.name).finish_non_exhaustive()
    }
}
