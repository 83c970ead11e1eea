//! ONNX pairs made elsewhere (PyTorch, Keras, scikit-learn) become bundles.

mod calibrate;

pub use calibrate::{Calibration, calibrate};

use baler_codec::bundle::{Bundle, Family, Input, Latents, Manifest, Normalisation};
use baler_codec::inference::Network;
use baler_codec::{Error, ErrorKind, Result};

/// What the ONNX files do not say themselves.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Name of the bundle: ASCII letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// One or two sentences.
    pub description: String,
    /// SPDX licence expression of the weights.
    pub license: String,
    /// Trailing axes of the array that one latent vector stands for. `None`: the decoder's output shape, without
    /// axes of extent 1 at its ends.
    pub tile: Option<Vec<usize>>,
    /// How values become network inputs.
    pub normalisation: Normalisation,
    /// Quantisation step: one for all latents, or one for each.
    pub step: Vec<f64>,
    /// The model card, Markdown.
    pub card: Option<String>,
}

impl Options {
    /// Options of a bundle `name`: licence unknown, normalisation by the chunk's range, steps of 1/256.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: "Imported ONNX models.".into(),
            license: "LicenseRef-unknown".into(),
            tile: None,
            normalisation: Normalisation::Range,
            step: vec![1.0 / 256.0],
            card: None,
        }
    }
}

/// An imported bundle, and what its user should know.
#[derive(Debug)]
pub struct Imported {
    /// The bundle.
    pub bundle: Bundle,
    /// Whole sentences: what was assumed, what will be needed.
    pub notes: Vec<String>,
}

/// Makes a bundle of an ONNX pair, or says what is wrong with it.
///
/// The decoder must consist of operators that our own engine computes exactly, for it runs wherever the data are read.
/// The encoder may use any: it then needs ONNX Runtime where data are written, and the notes say so. Without an encoder
/// the bundle can only read.
///
/// The first axis of each input and output is the batch. `encoder`: [N, tile...] to [N, latents]; `decoder`: [N, latents]
/// to [N, tile...]. Axes of a tile may be flattened.
pub fn import(encoder: Option<&[u8]>, decoder: &[u8], options: &Options) -> Result<Imported> {
    let mut notes = Vec::new();
    let network = Network::from_onnx(decoder).map_err(|e| {
        let hint = match e.kind() {
            ErrorKind::Unsupported => {
                "; data are decoded by the library's own engine only, so that every machine gives the same bits: \
                 export the decoder with the operators it has (docs/training.md lists them)"
            }
            _ => "",
        };
        Error::new(e.kind(), format!("decoder: {e}{hint}"))
    })?;
    let count = network.input_len();
    let tile = match &options.tile {
        Some(tile) => tile.clone(),
        None => {
            let tile = tile_of(&network);
            notes.push(format!(
                "The tile is {tile:?}, as the decoder's output; say another shape of {} values if the model was \
                 trained on one that was flattened.",
                network.output_len()
            ));
            tile
        }
    };
    let values: usize = tile.iter().product();
    if values != network.output_len() {
        return Err(Error::model(format!(
            "decoder: gives {} values a row (shape {:?}), but a tile of {tile:?} has {values}",
            network.output_len(),
            network.output_shape()
        )));
    }
    let step = match options.step.len() {
        1 => vec![options.step[0]; count],
        _ => options.step.clone(),
    };
    let mut manifest = Manifest {
        format: 1,
        name: options.name.clone(),
        family: Family::Autoencoder,
        description: options.description.clone(),
        license: options.license.clone(),
        input: Input { tile, normalisation: options.normalisation.clone() },
        latents: Latents { count, step },
        predictor: None,
        encoder: None,
        density: None,
        training: Default::default(),
        metrics: Default::default(),
    };
    manifest.format = manifest.least_format();
    match encoder {
        None => notes.push("Without an encoder this bundle can only read: writing needs the full pair.".into()),
        Some(bytes) => match Network::from_onnx(bytes) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Unsupported => notes.push(format!(
                "The encoder will run through ONNX Runtime, which has to be installed where data are written ({e}). \
                 Reading does not need it."
            )),
            Err(e) => return Err(e.context("encoder")),
        },
    }
    let bundle =
        Bundle::new(&manifest.to_toml()?, encoder.map(<[u8]>::to_vec), decoder.to_vec(), options.card.clone())?;
    Ok(Imported { bundle, notes })
}

/// The tile that a decoder suggests: the shape of its output, without the axes of extent 1 around it, which are channels.
fn tile_of(decoder: &Network) -> Vec<usize> {
    let shape = decoder.output_shape();
    let is_channel = |n: &&usize| **n == 1;
    let before = shape.iter().take_while(is_channel).count().min(shape.len().saturating_sub(1));
    let after = shape[before..].iter().rev().take_while(is_channel).count().min(shape.len() - before - 1);
    shape[before..shape.len() - after].to_vec()
}
