//! A dataset of our filter as a stream of values, its chunks decoded on several threads.

use super::chunks::{Chunks, Stored};
use crate::failure::{Failure, Result};
use crate::format::Array;
use baler_codec::standalone::map_in_order;
use baler_codec::{ByteOrder, Registry};
use baler_hdf5::cd_values::Request;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::sync_channel;

/// Hands the values of `chunks`, whose filter has these `words`, to `with`, little-endian. In memory are two chunks for each
/// thread, and two rows of chunks.
pub fn read(
    chunks: &Chunks,
    words: &[u32],
    decoders: &Registry,
    array: &Array,
    threads: usize,
    with: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
) -> Result<()> {
    let n_rows = array.rows() as usize;
    let in_array = |failure: Failure| failure.context(array.shown_name());
    if threads <= 1 {
        let mut first_rows = (0..n_rows).step_by(chunks.extents()[0]);
        let mut failed = None;
        let next = || {
            let first_row = first_rows.next().filter(|_| failed.is_none())?;
            let mut block = None;
            let take = &mut |decoded| block.replace(decoded).is_none();
            let rows = first_row..first_row + 1;
            match decode_rows(chunks, words, decoders, array, 1, rows, take) {
                Ok(()) => block,
                Err(failure) => {
                    failed = Some(failure);
                    None
                }
            }
        };
        let result = with(&mut Rows { next, block: Vec::new(), used: 0 });
        return failed.map_or(result, |failure| Err(in_array(failure)));
    }
    std::thread::scope(|scope| {
        let (rows, waiting) = sync_channel(1);
        let decoding = scope.spawn(move || {
            // A reader that went away has seen enough.
            decode_rows(chunks, words, decoders, array, threads, 0..n_rows, &mut |block| rows.send(block).is_ok())
        });
        let mut input = Rows { next: move || waiting.recv().ok(), block: Vec::new(), used: 0 };
        let result = with(&mut input);
        drop(input);
        let decoded = decoding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        decoded.map_err(in_array)?;
        result
    })
}

/// Values as they are decoded, a row of chunks at a time.
struct Rows<F> {
    next: F,
    block: Vec<u8>,
    used: usize,
}

impl<F: FnMut() -> Option<Vec<u8>>> Read for Rows<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.block.len()
            && let Some(block) = (self.next)()
        {
            (self.block, self.used) = (block, 0);
        }
        // Where decoding failed, the end comes early, and what it says counts.
        let n = out.len().min(self.block.len() - self.used);
        out[..n].copy_from_slice(&self.block[self.used..self.used + n]);
        self.used += n;
        Ok(n)
    }
}

/// Gives `take` the rows of chunks that begin in `rows`, one after the other, until it has enough.
fn decode_rows(
    chunks: &Chunks,
    words: &[u32],
    decoders: &Registry,
    array: &Array,
    threads: usize,
    rows: Range<usize>,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<()> {
    let step = chunks.extents()[0];
    let n_rows = array.rows() as usize;
    let swapped = Request::from_words(words)?.array.is_some_and(|a| a.byte_order == ByteOrder::Big);
    let mut offsets = rows.step_by(step).flat_map(|row| chunks.offsets(Some(row)));
    let mut next = || {
        let Some(offset) = offsets.next() else { return Ok(None) };
        let stored = chunks.stored(&offset)?;
        Ok(Some((offset, stored)))
    };
    let work = |(offset, stored): (Vec<usize>, Option<Stored>)| {
        let values = match stored {
            None => Some(chunks.blank()),
            Some(Stored { mask: 0, bytes }) => baler_hdf5::decode_chunk(words, &bytes, decoders).ok(),
            Some(Stored { bytes, .. }) => Some(bytes),
        };
        let values = values.filter(|values| values.len() == chunks.value_bytes());
        Ok((offset, values))
    };
    let mut block = Vec::new();
    let done = |(offset, values): (Vec<usize>, Option<Vec<u8>>)| {
        // What fails here is left to HDF5, which looks in more places for a model and says what is wrong.
        let mut values = values.map_or_else(|| chunks.values(&offset), Ok)?;
        let first_row = offset[0];
        let n_bytes = step.min(n_rows - first_row) * array.row_bytes() as usize;
        let mut whole = if chunks.are_whole_rows() {
            values.truncate(n_bytes);
            values
        } else {
            block.resize(n_bytes, 0);
            chunks.scatter(&values, &offset, first_row, &mut block);
            if !chunks.is_last_of_row(&offset) {
                return Ok(());
            }
            std::mem::take(&mut block)
        };
        if swapped {
            whole.chunks_exact_mut(array.dtype.size_bytes()).for_each(<[u8]>::reverse);
        }
        if !take(whole) {
            return Err(Stop::Enough);
        }
        Ok(())
    };
    match map_in_order(threads, || next().map_err(Stop::Failed), work, done) {
        Err(Stop::Failed(failure)) => Err(failure),
        Ok(()) | Err(Stop::Enough) => Ok(()),
    }
}

/// Why decoding ends before the last chunk.
enum Stop {
    Enough,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}
