//! What a new bundle is worth: bytes of files, counted by the codec itself, beside those of the best without a model.

use crate::failure::Result;
use crate::format::Array;
use crate::outcome::{bytes, ratio};
use baler_codec::bundle::{Bundle, Contents, MemorySource};
use baler_codec::standalone::{
    ArrayHeader, Container, DEFAULT_CHUNK_BYTES, EncodeOptions, Span, Writer, encode_array, rows_per_chunk,
};
use baler_codec::{Bound, Effort, ModelChoice, Registry};
use serde_json::{Value, json};
use std::sync::Arc;

/// The bounds measured at.
const BOUNDS: [f64; 2] = [1e-2, 1e-3];

/// No more than this is measured: the search for the smallest encoding takes a second for some megabytes.
const MOST_BYTES: usize = 16 << 20;

/// Sizes of some rows at some bounds.
pub struct Measured {
    /// Which rows, in words.
    what: String,
    rows: usize,
    value_bytes: u64,
    at_bounds: Vec<AtBound>,
}

struct AtBound {
    rel: f64,
    /// Of the file, with the decoder that travels in it.
    file_bytes: u64,
    /// Of those, the decoder; 0 where no chunk took the model.
    model_bytes: u64,
    /// Of the file written without any model.
    classical_bytes: u64,
}

impl Measured {
    /// Compresses `values`, rows of `array`, with `bundle` and without. With `per_column`, bounds are of each column.
    pub fn of(bundle: &Arc<Bundle>, array: &Array, values: &[u8], per_column: bool, what: String) -> Result<Self> {
        let row_bytes = (array.row_bytes() as usize).max(1);
        let values = &values[..values.len().min((MOST_BYTES / row_bytes).max(1) * row_bytes)];
        let rows = values.len() / row_bytes;
        let array = Array { shape: [&[rows as u64], &array.shape[1..]].concat(), ..array.clone() };
        let mut at_bounds = Vec::new();
        for rel in BOUNDS {
            let (file_bytes, model_bytes) = encoded(bundle, &array, values, per_column, rel, true)?;
            let (classical_bytes, _) = encoded(bundle, &array, values, per_column, rel, false)?;
            at_bounds.push(AtBound { rel, file_bytes, model_bytes, classical_bytes });
        }
        Ok(Self { what, rows, value_bytes: values.len() as u64, at_bounds })
    }

    /// For people: a line for each bound.
    pub fn text(&self) -> String {
        let mut text = format!("measured on {} ({} rows, {}):", self.what, self.rows, bytes(self.value_bytes));
        for at in &self.at_bounds {
            let AtBound { rel, file_bytes, model_bytes, classical_bytes } = at;
            let to = |n: u64| ratio(self.value_bytes, n);
            text += &format!("\n  rel {rel:e}: ");
            text += &match model_bytes {
                0 if file_bytes < classical_bytes => {
                    format!("{}, ratio {:.2}, formulas and all", bytes(*file_bytes), to(*file_bytes))
                }
                0 => format!("{}, ratio {:.2}; the model does not pay here", bytes(*file_bytes), to(*file_bytes)),
                _ => format!(
                    "{} + decoder {}, ratio {:.2} ({:.2} with the decoder)",
                    bytes(file_bytes - model_bytes),
                    bytes(*model_bytes),
                    to(file_bytes - model_bytes),
                    to(*file_bytes)
                ),
            };
            text += &format!("; without a model {}, ratio {:.2}", bytes(*classical_bytes), to(*classical_bytes));
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let to = |n: u64| ratio(self.value_bytes, n);
        let at_bounds = self.at_bounds.iter().map(|at| {
            json!({
                "rel": at.rel,
                "bytes": at.file_bytes - at.model_bytes,
                "decoder_bytes": at.model_bytes,
                "ratio": to(at.file_bytes - at.model_bytes),
                "ratio_with_decoder": to(at.file_bytes),
                "without_model_bytes": at.classical_bytes,
                "ratio_without_model": to(at.classical_bytes),
            })
        });
        json!({
            "what": self.what,
            "rows": self.rows,
            "value_bytes": self.value_bytes,
            "at_bounds": at_bounds.collect::<Vec<_>>(),
        })
    }
}

/// Bytes of the file, and those of the decoder in it.
fn encoded(
    bundle: &Arc<Bundle>,
    array: &Array,
    values: &[u8],
    per_column: bool,
    rel: f64,
    with_model: bool,
) -> Result<(u64, u64)> {
    let mut registry = Registry::new();
    registry.add_source(Arc::new(MemorySource::new(vec![bundle.clone()])));
    let header = ArrayHeader {
        name: "data".into(),
        dtype: array.dtype,
        byte_order: array.byte_order,
        shape: array.shape.clone(),
        reversed_axes: array.reversed_axes,
        rows_per_chunk: rows_per_chunk(array.rows(), array.row_bytes(), DEFAULT_CHUNK_BYTES),
        bound: Bound::Rel(rel),
        per_column,
        abs_bound: None,
        fill: array.fill.clone(),
    };
    let mut span = Span::new(array.dtype, array.byte_order, array.fill.as_deref())?;
    if !per_column {
        span.add(values);
    }
    let options = EncodeOptions {
        model: if with_model { ModelChoice::Bundle(bundle.id()) } else { ModelChoice::None },
        effort: Effort::Default,
        keep_outliers: None,
        check_decode: false,
        embed_in_chunks: false,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let model_of = |_: &_| Ok(Some(bundle.to_bytes(Contents::DecoderOnly)));
    let mut writer = Writer::new(std::io::sink(), Container::Npy)?;
    encode_array(&mut writer, &header, &mut &*values, &span, &options, &registry, &model_of, &mut |_| {})?;
    let model_bytes = writer.model_bytes();
    Ok((writer.finish()?.1, model_bytes))
}
