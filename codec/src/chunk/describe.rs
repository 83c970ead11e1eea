//! What a chunk holds, without decoding it.

use super::header::Header;
use super::read::open;
use crate::candidate;
use crate::entropy;
use crate::error::{Error, Result};
use crate::predict::stream::Summary;

/// What [`describe`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// The header.
    pub header: Header,
    /// Bytes of the whole chunk.
    pub len_bytes: usize,
    /// Bytes of the decoder it embeds; 0 if none.
    pub embedded_bytes: usize,
    /// Its parts in order: one, or one for each column.
    pub parts: Vec<PartDescription>,
}

/// One part of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartDescription {
    /// The candidate that won: `raw`, `constant`, `plain`, `lorenzo`, `numbers`, `interpolated`, `related`,
    /// `conditional`, `wavelet`, `fitted`, `floating`, `autoencoder`, `autoregressive`.
    pub candidate: &'static str,
    /// Bytes of the part.
    pub len_bytes: usize,
    /// For `lorenzo` and `floating`, the order along each working axis: `1,1,2`. For these and `plain`, the entropy coder. For
    /// `related` and `conditional`, the columns it is coded with: `4,6`, `= 1*x4*cos(x6)`, `4,6 surface differences`.
    pub detail: String,
}

/// Describes a chunk; needs no model.
///
/// # Errors
/// [`crate::ErrorKind::Corrupt`] or [`crate::ErrorKind::Version`], as [`crate::decode`].
pub fn describe(stream: &[u8]) -> Result<Description> {
    let (header, embedded, mut input) = open(stream)?;
    let (shape, n_parts) = header.parts();
    let n_values: usize = shape.iter().product();
    let mut parts = Vec::new();
    for _ in 0..n_parts {
        let part = input.block("a part")?;
        let (&method, payload) = part.split_first().ok_or_else(|| Error::corrupt("a part without a method"))?;
        let (name, detail) = match method {
            candidate::RAW => ("raw", String::new()),
            candidate::CONSTANT => ("constant", String::new()),
            candidate::NUMBERS => ("numbers", "pco".to_owned()),
            candidate::INTERPOLATED => ("interpolated", String::new()),
            candidate::RELATED => ("related", crate::related::summarise(payload, n_parts)?),
            candidate::CONDITIONAL => ("conditional", crate::related::conditional::summarise(payload, n_parts)?),
            candidate::FITTED => ("fitted", String::new()),
            candidate::WAVELET => ("wavelet", String::new()),
            candidate::AUTOREGRESSIVE => ("autoregressive", String::new()),
            candidate::AUTOENCODER => ("autoencoder", String::new()),
            candidate::QUANTISED => {
                let summary = candidate::quantised::summarise(payload, header.dtype, n_values)?;
                if summary.orders.iter().all(|&o| o == 0) {
                    ("plain", entropy::name(summary.coder).to_owned())
                } else {
                    ("lorenzo", orders_and_coder(&summary))
                }
            }
            candidate::FLOATING => {
                ("floating", orders_and_coder(&candidate::floating::summarise(payload, header.dtype, n_values)?))
            }
            _ => return Err(Error::corrupt(format!("method {method} is unknown to this build"))),
        };
        parts.push(PartDescription { candidate: name, len_bytes: part.len(), detail });
    }
    input.finish("the last part")?;
    Ok(Description { header, len_bytes: stream.len(), embedded_bytes: embedded.map_or(0, <[u8]>::len), parts })
}

fn orders_and_coder(summary: &Summary) -> String {
    let orders: Vec<String> = summary.orders.iter().map(u8::to_string).collect();
    format!("{} {}", orders.join(","), entropy::name(summary.coder))
}
