//! One array, from a stream of values to chunks in a file, on several threads.

use super::error::Result;
use super::header::ArrayHeader;
use super::parallel::map_in_order;
use super::span::{Span, resolve_bound};
use super::writer::Writer;
use crate::bundle::BundleId;
use crate::params::{Bound, Effort, ModelChoice, Params};
use crate::registry::Registry;
use std::io::{Read, Write};
use std::ops::Range;

/// How an array is encoded; what is promised is in its [`ArrayHeader`].
#[derive(Clone, Debug)]
pub struct EncodeOptions {
    /// Which models take part.
    pub model: ModelChoice,
    /// How long to search.
    pub effort: Effort,
    /// See [`Params::keep_outliers`].
    pub keep_outliers: Option<bool>,
    /// Decode every chunk and compare before it is written.
    pub check_decode: bool,
    /// Put the decoder into every chunk instead of once into the file.
    pub embed_in_chunks: bool,
    /// Number of threads; 0 counts as 1.
    pub threads: usize,
}

/// A finished chunk, as progress and statistics want it.
#[derive(Debug)]
pub struct EncodedChunk<'a> {
    /// Its rows.
    pub rows: Range<u64>,
    /// Bytes of its values.
    pub value_bytes: u64,
    /// What was written.
    pub stream: &'a [u8],
}

/// Reads the values of `header` in order from `values`, and writes the array and its chunks.
///
/// `span` is of the whole array ([`Span::add`] over all its values). `model_of` is asked for the packed decoder of each
/// bundle a chunk uses; where it gives one, it is stored once in the file.
#[expect(clippy::too_many_arguments, reason = "one call does the whole of it; a struct would only rename them")]
pub fn encode_array<W: Write>(
    writer: &mut Writer<W>,
    header: &ArrayHeader,
    values: &mut dyn Read,
    span: &Span,
    options: &EncodeOptions,
    registry: &Registry,
    model_of: &dyn Fn(&BundleId) -> Result<Option<Vec<u8>>>,
    on_chunk: &mut dyn FnMut(EncodedChunk<'_>),
) -> Result<()> {
    let header = header.clone().resolved(span);
    writer.array(&header)?;
    let mut i = 0;
    let next = || {
        let Some(rows) = header.chunk_rows(i) else { return Ok(None) };
        i += 1;
        let mut bytes = vec![0; ((rows.end - rows.start) * header.row_bytes()) as usize];
        values.read_exact(&mut bytes)?;
        Ok(Some((rows, bytes)))
    };
    let work = |(rows, bytes): (Range<u64>, Vec<u8>)| {
        let params = chunk_params(&header, &rows, &bytes, span, options)?;
        let stream = crate::encode(&params, &bytes, registry)?;
        Ok((rows, bytes.len() as u64, stream))
    };
    let done = |(rows, value_bytes, stream): (Range<u64>, u64, Vec<u8>)| {
        if let Some(id) = crate::decode_header(&stream)?.model
            && !options.embed_in_chunks
            && let Some(packed) = model_of(&id)?
        {
            writer.model(id, &packed)?;
        }
        writer.chunk(rows.clone(), &stream)?;
        on_chunk(EncodedChunk { rows, value_bytes, stream: &stream });
        Ok(())
    };
    map_in_order(options.threads, next, work, done)
}

/// The parameters under which the rows of a chunk, whose values are `bytes`, are encoded, so that the array keeps what
/// `header` promises. `whole` is of the whole array.
pub fn chunk_params(
    header: &ArrayHeader,
    rows: &Range<u64>,
    bytes: &[u8],
    whole: &Span,
    options: &EncodeOptions,
) -> Result<Params> {
    let mut chunk = Span::new(header.dtype, header.byte_order, header.fill.as_deref())?;
    if matches!(header.bound, Bound::Psnr(_)) {
        chunk.add(bytes);
    }
    let bound = resolve_bound(header.bound, header.per_column, whole, &chunk);
    let mut params = Params::new(header.dtype, &header.chunk_shape(rows), bound);
    params.byte_order = header.byte_order;
    params.per_column = header.per_column;
    params.fill.clone_from(&header.fill);
    params.model = options.model;
    params.effort = options.effort;
    params.keep_outliers = options.keep_outliers;
    params.check_decode = options.check_decode;
    params.embed = options.embed_in_chunks;
    Ok(params)
}
