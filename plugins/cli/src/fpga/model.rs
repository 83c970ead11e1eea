//! An encoder in floating point, from a bundle or an ONNX file.

use crate::failure::{Failure, InFile, Result};
use crate::models::{Models, read_bundle};
use baler_codec::bundle::{Bundle, Normalisation, Transform};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The longest ONNX file that is read.
const MAX_ONNX_BYTES: u64 = 256 << 20;

/// An encoder with what is known about it.
pub struct Model {
    pub name: String,
    pub encoder: Vec<u8>,
    pub bundle: Option<Arc<Bundle>>,
}

impl Model {
    /// A `.bundle` file, the name of a model, or an `.onnx` file.
    pub fn open(path: &Path) -> Result<Self> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) {
            let mut encoder = Vec::new();
            crate::format::open_file(path)?.take(MAX_ONNX_BYTES).read_to_end(&mut encoder).in_file(path)?;
            return Ok(Self { name: stem.into_owned(), encoder, bundle: None });
        }
        let bundle = open_bundle(path)?;
        let encoder = bundle.encoder_onnx().map(<[u8]>::to_vec).ok_or_else(|| {
            Failure::usage(format!(
                "{}: this copy of the bundle holds no encoder.onnx to make a program of",
                path.display()
            ))
        })?;
        Ok(Self { name: bundle.manifest().name.clone(), encoder, bundle: Some(bundle) })
    }

    /// The bits of weights and of values that the model was trained for (`baler train --quantise-aware`).
    pub fn trained_bits(&self) -> Option<[u32; 2]> {
        let bits = self.bundle.as_ref()?.manifest().training.get("quantise_aware")?.as_array()?;
        let bits: Vec<u32> =
            bits.iter().filter_map(|n| u32::try_from(n.as_integer()?).ok()).filter(|n| (2..=32).contains(n)).collect();
        bits.try_into().ok()
    }

    fn normalisation(&self) -> Option<&Normalisation> {
        self.bundle.as_ref().map(|bundle| &bundle.manifest().input.normalisation)
    }

    /// One transform for each of `n` inputs; none for a bare network. Where each chunk has its own offset and scale, those of
    /// `rows`.
    pub fn transforms(&self, rows: Option<&[f32]>, n: usize) -> Vec<Transform> {
        match (self.normalisation(), rows) {
            (Some(Normalisation::Range | Normalisation::Tile), Some(rows)) => {
                let (min, max) = rows.iter().fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
                let scale = if max > min { f64::from(max) - f64::from(min) } else { 1.0 };
                vec![Transform::Linear { offset: min.into(), scale }; n]
            }
            (normalisation, _) => normalisation.map(|known| own_transforms(known, n)).unwrap_or_default(),
        }
    }

    /// Those that belong to the model and not to a chunk: what a program has.
    pub fn own_transforms(&self, n: usize) -> Vec<Transform> {
        self.transforms(None, n)
    }
}

/// A `.bundle` file, or the name of a model.
pub fn open_bundle(path: &Path) -> Result<Arc<Bundle>> {
    match path.is_file() {
        true => Ok(Arc::new(read_bundle(path)?)),
        false => Models::standard().named(&path.to_string_lossy()),
    }
}

/// One transform for each of `n` inputs; none where each chunk has its own.
pub fn own_transforms(normalisation: &Normalisation, n: usize) -> Vec<Transform> {
    match normalisation {
        Normalisation::Fixed { offset, scale } => vec![Transform::Linear { offset: *offset, scale: *scale }; n],
        Normalisation::Columns { columns } => columns.iter().cycle().take(n).copied().collect(),
        Normalisation::Range | Normalisation::Tile => Vec::new(),
    }
}
