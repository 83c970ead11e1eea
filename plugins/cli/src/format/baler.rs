//! Our own file, and what any file this program decodes looks like to the commands: a stream of [`Event`]s.

use super::{Array, Format, Promise, Source, for_each_block, open, open_file};
use crate::failure::{Failure, InFile, Result};
use crate::models::Models;
use baler_codec::standalone::{ArrayHeader, DecodedItem, Reader, decode_items};
use baler_codec::{Limits, describe};
use std::io::BufReader;
use std::path::Path;

/// What a file holds, in its order.
pub enum Event<'a> {
    /// An array begins.
    Array(&'a Array),
    /// A chunk of ours, before its values: `None` was stored as it was.
    Chunk { description: Option<baler_codec::Description>, stored_bytes: u64 },
    /// Values of the array, whole rows.
    Values(&'a [u8]),
    /// A model stored in the file.
    Model { id: String, stored_bytes: u64 },
    /// A member that is no array of numbers.
    Blob { name: &'a str, bytes: &'a [u8] },
}

/// Reads a file of any format from start to end, decoding what is compressed.
pub fn visit(
    path: &Path,
    models: &Models,
    threads: usize,
    with: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<()> {
    match Format::of_file(path)? {
        Format::Baler => visit_baler(path, models, threads, with),
        #[cfg(feature = "hdf5")]
        Format::Hdf5 => visit_hdf5(path, threads, with),
        _ => visit_source(&*open(path)?, with),
    }
}

/// The same of a source that is open.
pub fn visit_source(source: &dyn Source, with: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
    for (name, bytes) in source.blobs() {
        with(Event::Blob { name, bytes })?;
    }
    for (i, array) in source.arrays().iter().enumerate() {
        with(Event::Array(array))?;
        source.read(i, &mut |input| for_each_block(array, input, &mut |block| with(Event::Values(block))))?;
    }
    Ok(())
}

fn visit_baler(
    path: &Path,
    models: &Models,
    threads: usize,
    with: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<()> {
    let mut reader = Reader::new(BufReader::new(open_file(path)?)).in_file(path)?;
    let file_models = models.file_models();
    decode_items(&mut reader, file_models, models.registry(), &Limits::default(), threads, |item| match item {
        DecodedItem::Array(header) => with(Event::Array(&array_of(&header))),
        DecodedItem::Rows { values, stream, .. } => {
            let description = Some(describe(&stream)?);
            with(Event::Chunk { description, stored_bytes: stream.len() as u64 })?;
            with(Event::Values(&values))
        }
        DecodedItem::Model { id, stored_bytes } => with(Event::Model { id: id.to_string(), stored_bytes }),
        DecodedItem::Blob { name, bytes } => with(Event::Blob { name: &name, bytes: &bytes }),
        _ => Err(Failure::runtime("the file holds something this program does not know: update Baler")),
    })
    .in_file(path)
}

#[cfg(feature = "hdf5")]
fn visit_hdf5(path: &Path, threads: usize, with: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
    let source = super::hdf5::Hdf5Source::open(path)?.with_threads(threads);
    for (id, stored_bytes) in source.models()? {
        with(Event::Model { id, stored_bytes })?;
    }
    for (i, array) in source.arrays().iter().enumerate() {
        with(Event::Array(array))?;
        source.visit_chunks(i, &mut |description, stored_bytes| with(Event::Chunk { description, stored_bytes }))?;
        source.read(i, &mut |input| for_each_block(array, input, &mut |block| with(Event::Values(block))))?;
    }
    Ok(())
}

/// The array a header stands for.
pub fn array_of(header: &ArrayHeader) -> Array {
    Array {
        name: header.name.clone(),
        dtype: header.dtype,
        byte_order: header.byte_order,
        shape: header.shape.clone(),
        reversed_axes: header.reversed_axes,
        fill: header.fill.clone(),
        promise: Some(Promise { bound: header.bound, per_column: header.per_column }),
    }
}
