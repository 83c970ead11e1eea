//! Decoding a chunk.

use super::header::Header;
use super::{CHECKSUM_BYTES, checksum};
use crate::bundle::Bundle;
use crate::candidate::{self, Target, constant, fitted, floating, interpolated, numbers, quantised, raw, wavelet};
use crate::element::swap_order;
use crate::error::{Error, ErrorKind, Result};
use crate::family;
use crate::params::{ByteOrder, Dtype};
use crate::registry::Registry;
use crate::related::{self, Need, conditional};
use crate::wire::Reader;
use std::sync::Arc;

/// What a reader is ready to spend on one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest decoded array, in bytes. A constant chunk of a hundred bytes may stand for gigabytes: a host that knows
    /// the size it expects should say so here.
    pub max_output_bytes: usize,
}

impl Default for Limits {
    /// 4 GiB: the largest chunk of HDF5 1.x.
    fn default() -> Self {
        Self { max_output_bytes: usize::try_from(1u64 << 32).unwrap_or(usize::MAX) }
    }
}

/// A decoded chunk.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decoded {
    /// Element type.
    pub dtype: Dtype,
    /// Byte order of `values`.
    pub byte_order: ByteOrder,
    /// Extents, slowest axis first.
    pub shape: Vec<usize>,
    /// The array in C order.
    pub values: Vec<u8>,
}

/// Checks the checksum and takes a chunk apart: header, embedded decoder, the parts' bytes.
pub(super) fn open(stream: &[u8]) -> Result<(Header, Option<&[u8]>, Reader<'_>)> {
    let Some((body, sum)) = stream.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(Error::corrupt(format!("a chunk of {} bytes is cut: not even a checksum fits", stream.len())));
    };
    let (found, stored) = (checksum(body), u64::from_le_bytes(*sum));
    if found != stored {
        // Something that never was a chunk, or a newer one, deserves the better message.
        Header::read(&mut Reader::new(body))?;
        return Err(Error::corrupt(format!(
            "the chunk is damaged: its checksum is {found:016x}, stored is {stored:016x}; restore the file from a copy"
        )));
    }
    let mut input = Reader::new(body);
    let header = Header::read(&mut input)?;
    let embedded = if header.is_embedded { Some(input.block("the embedded decoder")?) } else { None };
    Ok((header, embedded, input))
}

/// Reads a chunk's header, after checking the checksum of the whole.
///
/// # Errors
/// As [`decode`], but for those that need the values.
pub fn decode_header(stream: &[u8]) -> Result<Header> {
    open(stream).map(|(header, ..)| header)
}

/// Decodes a chunk that [`crate::encode`] wrote.
///
/// # Errors
/// [`ErrorKind::Corrupt`] if any bit is not as it was written; [`ErrorKind::ModelMissing`] if the chunk needs a bundle
/// that neither the chunk nor `registry` has; [`ErrorKind::LimitExceeded`]; [`ErrorKind::Version`].
pub fn decode(stream: &[u8], registry: &Registry, limits: &Limits) -> Result<Decoded> {
    let (header, embedded, mut input) = open(stream)?;
    let len = header.len_bytes();
    if len > limits.max_output_bytes {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            format!(
                "the chunk holds {:?} values of {}, {len} bytes: the caller allows {}",
                header.shape, header.dtype, limits.max_output_bytes
            ),
        ));
    }
    let bundle = match (header.model, embedded) {
        (None, _) => None,
        (Some(id), Some(packed)) => {
            let bundle = Bundle::parse(packed).map_err(|e| e.context("the decoder embedded in the chunk"))?;
            if bundle.id() != id {
                return Err(Error::corrupt(format!("the chunk needs model {id} and embeds {}", bundle.id())));
            }
            Some(Arc::new(bundle))
        }
        (Some(id), None) => Some(registry.find(&id)?),
    };
    let mut values = vec![0; len];
    let (shape, n_parts) = header.parts();
    if n_parts == 1 {
        let mut target = Target { dtype: header.dtype, out: &mut values };
        decode_part(input.block("a part")?, bundle.as_deref(), &shape, &mut target)?;
    } else if n_parts > 1 {
        let parts = (0..n_parts).map(|_| input.block("a part")).collect::<Result<Vec<_>>>()?;
        decode_columns(&parts, bundle.as_deref(), &shape, header.dtype, &mut values)?;
    }
    input.finish("the last part")?;
    swap_order(&mut values, header.dtype, header.byte_order);
    Ok(Decoded { dtype: header.dtype, byte_order: header.byte_order, shape: header.shape, values })
}

/// Decodes the columns of a table, each after those it is predicted from.
fn decode_columns(
    parts: &[&[u8]],
    bundle: Option<&Bundle>,
    shape: &[usize],
    dtype: Dtype,
    values: &mut [u8],
) -> Result<()> {
    let (n, size) = (parts.len(), dtype.size_bytes());
    let in_column = |c: usize| move |e: Error| e.context(format_args!("column {c}"));
    let mut parents = vec![Vec::new(); n];
    // What the columns after each ask of it, and how many times.
    let mut needs = vec![(None, 0); n];
    for (c, part) in parts.iter().enumerate() {
        parents[c] = match part.split_first() {
            Some((&candidate::RELATED, payload)) => related::parents_of(payload, n).map_err(in_column(c))?,
            Some((&candidate::CONDITIONAL, payload)) => conditional::parents_of(payload, n).map_err(in_column(c))?,
            _ => continue,
        };
        for &(p, need) in &parents[c] {
            let (most, n_times) =
                needs.get_mut(p).ok_or_else(|| Error::corrupt(format!("column {c} needs column {p} of {n}")))?;
            (*most, *n_times) = ((*most).max(Some(need)), *n_times + 1);
        }
    }
    let mut decoded = related::Decoded::new(n);
    // Rows are gone through once for some columns, which take a quarter of all.
    let mut columns = vec![vec![0; values.len() / n]; (n / 4).clamp(1, 8)];
    for together in related::order(n, |c| parents[c].iter().map(|p| p.0).collect())?.chunks(columns.len()) {
        for (&c, column) in together.iter().zip(&mut columns) {
            let mut target = Target { dtype, out: column };
            match parts[c].split_first() {
                Some((&candidate::RELATED, payload)) => related::decode(payload, n, &decoded, &mut target),
                Some((&candidate::CONDITIONAL, payload)) => conditional::decode(payload, n, &decoded, &mut target),
                _ => decode_part(parts[c], bundle, shape, &mut target),
            }
            .map_err(in_column(c))?;
            match needs[c].0 {
                Some(Need::Values) => decoded.put(c, dtype, column),
                Some(Need::Classes) => decoded.put_classes(c, dtype, column),
                None => {}
            }
            for &(p, _) in &parents[c] {
                needs[p].1 -= 1;
                if needs[p].1 == 0 {
                    decoded.forget(p);
                }
            }
        }
        scatter_columns(together.iter().copied().zip(&columns), size, n, values);
    }
    Ok(())
}

/// Puts columns into the rows of a table of `n_columns`, some rows at a time, which stay in the first cache.
fn scatter_columns<'a>(
    columns: impl Iterator<Item = (usize, &'a Vec<u8>)> + Clone,
    size: usize,
    n_columns: usize,
    table: &mut [u8],
) {
    const CACHED_BYTES: usize = 1 << 14;
    let n_rows = (CACHED_BYTES / (size * n_columns)).max(1);
    for (k, rows) in table.chunks_mut(n_rows * n_columns * size).enumerate() {
        let len = rows.len() / n_columns;
        for (c, column) in columns.clone() {
            scatter_column(&column[k * n_rows * size..][..len], size, n_columns, c, rows);
        }
    }
}

/// Puts a column's elements into the rows of a table of `n_columns`.
fn scatter_column(elements: &[u8], size: usize, n_columns: usize, column: usize, table: &mut [u8]) {
    fn scatter<const SIZE: usize>(elements: &[u8], n_columns: usize, column: usize, table: &mut [u8]) {
        let rows = table.as_chunks_mut::<SIZE>().0.chunks_exact_mut(n_columns);
        rows.zip(elements.as_chunks::<SIZE>().0).for_each(|(row, element)| row[column] = *element);
    }
    match size {
        1 => scatter::<1>(elements, n_columns, column, table),
        2 => scatter::<2>(elements, n_columns, column, table),
        4 => scatter::<4>(elements, n_columns, column, table),
        _ => scatter::<8>(elements, n_columns, column, table),
    }
}

pub(super) fn decode_part(
    part: &[u8],
    bundle: Option<&Bundle>,
    shape: &[usize],
    target: &mut Target<'_>,
) -> Result<()> {
    let (&method, payload) = part.split_first().ok_or_else(|| Error::corrupt("a part without a method"))?;
    match method {
        candidate::RAW => raw::decode(payload, target),
        candidate::CONSTANT => constant::decode(payload, target),
        candidate::QUANTISED => quantised::decode(payload, target),
        candidate::NUMBERS => numbers::decode(payload, target),
        candidate::INTERPOLATED => interpolated::decode(payload, target),
        candidate::FITTED => fitted::decode(payload, target),
        candidate::FLOATING => floating::decode(payload, target),
        candidate::WAVELET => wavelet::decode(payload, target),
        _ => {
            let family = family::by_method(method)
                .ok_or_else(|| Error::corrupt(format!("method {method} is unknown to this build")))?;
            let bundle = bundle.ok_or_else(|| Error::corrupt("a model's part in a chunk without a model"))?;
            if family.name() != bundle.manifest().family {
                return Err(Error::corrupt(format!("method {method} with a model of another family")));
            }
            family.decode(bundle, payload, shape, target)
        }
    }
}
