//! A file back to values, on several threads.

use super::error::{Error, Result};
use super::frame::FRAME_OVERHEAD_BYTES;
use super::header::ArrayHeader;
use super::parallel::map_in_order;
use super::reader::{Chunk, Item, Reader};
use crate::bundle::{Bundle, BundleId, BundleSource};
use crate::{Limits, Registry};
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

/// Bytes a model takes beside its packed bundle: frame and id.
const MODEL_OVERHEAD_BYTES: u64 = FRAME_OVERHEAD_BYTES + 16;

/// The models found in a file so far: a source for the registry that decodes it.
#[derive(Debug, Default)]
pub struct FileModels(RwLock<Vec<Arc<Bundle>>>);

impl FileModels {
    /// Takes in a model of the file; it must be what its id says.
    pub fn add(&self, id: BundleId, packed: &[u8]) -> Result<()> {
        let bundle = Bundle::parse(packed).map_err(|e| e.context(format!("the model {id} in the file")))?;
        if bundle.id() != id {
            return Err(Error::corrupt(format!("the model stored as {id} is {}: the file is damaged", bundle.id())));
        }
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(bundle));
        Ok(())
    }
}

impl BundleSource for FileModels {
    fn describe(&self) -> String {
        "the file itself".into()
    }

    fn find(&self, id: &BundleId) -> crate::Result<Option<Arc<Bundle>>> {
        Ok(self.list().into_iter().find(|b| b.id() == *id))
    }

    fn list(&self) -> Vec<Arc<Bundle>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What [`decode_items`] hands out, in the order of the file.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecodedItem {
    /// An array begins.
    Array(ArrayHeader),
    /// The next rows of the array.
    Rows {
        /// Entries of the first axis.
        rows: Range<u64>,
        /// The values, in the array's byte order.
        values: Vec<u8>,
        /// The chunk they came out of.
        stream: Vec<u8>,
    },
    /// A model, already in the [`FileModels`].
    Model {
        /// Its id.
        id: BundleId,
        /// Bytes it takes in the file.
        stored_bytes: u64,
    },
    /// Bytes kept as they were.
    Blob {
        /// The name of the member.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// Reads the whole of a file and decodes its chunks. `registry` must have `models` among its sources.
pub fn decode_items<R: Read, E: From<Error> + Send>(
    reader: &mut Reader<R>,
    models: &FileModels,
    registry: &Registry,
    limits: &Limits,
    threads: usize,
    mut sink: impl FnMut(DecodedItem) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    enum Job {
        Chunk(Arc<ArrayHeader>, Chunk),
        Ready(DecodedItem),
    }
    let mut array = None;
    let next = || {
        Ok(match reader.next_item()? {
            None => None,
            Some(Item::Array(header)) => {
                array = Some(Arc::new(header.clone()));
                Some(Job::Ready(DecodedItem::Array(header)))
            }
            Some(Item::Chunk(chunk)) => {
                let header = array.clone().ok_or_else(|| Error::corrupt("a chunk before any array header"))?;
                Some(Job::Chunk(header, chunk))
            }
            Some(Item::Model { id, packed }) => {
                models.add(id, &packed)?;
                let stored_bytes = MODEL_OVERHEAD_BYTES + packed.len() as u64;
                Some(Job::Ready(DecodedItem::Model { id, stored_bytes }))
            }
            Some(Item::Blob { name, bytes }) => Some(Job::Ready(DecodedItem::Blob { name, bytes })),
        })
    };
    let work = |job| match job {
        Job::Ready(item) => Ok(item),
        Job::Chunk(header, chunk) => {
            let values = decode_chunk(&header, &chunk, registry, limits)?;
            Ok(DecodedItem::Rows { rows: chunk.rows, values, stream: chunk.stream })
        }
    };
    map_in_order(threads, next, work, &mut sink)
}

/// The values of a chunk of the array, in the array's byte order.
///
/// # Errors
/// As [`crate::decode`], and [`crate::ErrorKind::Corrupt`] if the chunk is not of the array's type and shape.
pub fn decode_chunk(header: &ArrayHeader, chunk: &Chunk, registry: &Registry, limits: &Limits) -> Result<Vec<u8>> {
    let Chunk { rows, stream } = chunk;
    let decoded = crate::decode(stream, registry, limits)
        .map_err(|e| e.context(format!("array {:?}, rows {} to {}", header.name, rows.start, rows.end)))?;
    let expected = (header.dtype, header.byte_order, header.chunk_shape(rows));
    if (decoded.dtype, decoded.byte_order, decoded.shape.clone()) != expected {
        return Err(Error::corrupt(format!(
            "array {:?}, rows {} to {}: the chunk holds {} {:?}, expected {} {:?}",
            header.name, rows.start, rows.end, decoded.dtype, decoded.shape, expected.0, expected.2
        )));
    }
    Ok(decoded.values)
}
