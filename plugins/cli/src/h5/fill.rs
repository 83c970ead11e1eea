//! Puts the chunks of our filter into a file that h5repack has made without them (see [`baler_hdf5::VALUES_FOLLOW`]).
//!
//! HDF5 runs filters one at a time, under one lock for the whole library. Here it only reads and writes bytes, on the calling
//! thread; encoding and decoding are on others. The chunks are those that the filter would have made.

use crate::failure::{Failure, InFile, Result};
use crate::format::Source;
use crate::format::hdf5::chunks::{Chunks, Stored};
use crate::format::hdf5::{Hdf5Source, Unfilled};
use crate::models::Models;
use crate::progress::Progress;
use baler_codec::Registry;
use baler_codec::standalone::map_in_order;
use baler_hdf5::ChunkEncoder;
use std::path::Path;

/// Two files, and what encodes.
pub struct Filling<'a> {
    /// Where the values are.
    pub input: &'a Path,
    /// What h5repack made of it.
    pub output: &'a Path,
    pub models: &'a Models,
    pub threads: usize,
    pub quiet: bool,
}

/// What becomes of the chunks of a dataset.
struct Target {
    /// Chunks that the input has in this form stay as they are.
    keeps: bool,
    /// What puts values through the filter; `None` where they are stored as they are.
    encoder: Option<ChunkEncoder>,
}

/// What is known of a chunk before the work begins.
enum Job {
    /// As the input has it.
    Stored(Stored),
    Values(Vec<u8>),
}

impl Filling<'_> {
    /// The datasets that h5repack may leave out: those that were `asked` for and those of our filter. `None` where other filters
    /// come after ours, or where chunks at the edge are kept from filters: such files take the plain way, through HDF5.
    pub fn leaves_out(&self, asked: &dyn Fn(&str) -> bool) -> Result<Option<Vec<String>>> {
        let source = Hdf5Source::open(self.input)?;
        let mut names = Vec::new();
        for (i, array) in source.arrays().iter().enumerate() {
            let chunks = source.chunks(i)?;
            let is_ours = chunks.as_ref().is_some_and(Chunks::has_our_filter);
            if chunks.is_some_and(|chunks| chunks.edges_are_plain() || is_ours && chunks.words().is_none()) {
                return Ok(None);
            }
            if is_ours || asked(&array.name) {
                names.push(array.name.clone());
            }
        }
        Ok(Some(names))
    }

    /// Fills every dataset that h5repack left without values. Those that were not `asked` for keep their chunks as they are.
    pub fn run(&self, asked: &dyn Fn(&str) -> bool) -> Result<()> {
        let source = Hdf5Source::open(self.input)?;
        let decoders = source.decoders()?;
        let output = Unfilled::open(self.output)?;
        let mut progress = Progress::new("writing", 0, self.quiet);
        for (i, array) in source.arrays().iter().enumerate() {
            let from = source.chunks(i)?;
            let from_is_ours = from.as_ref().is_some_and(Chunks::has_our_filter);
            let unexpected =
                || Failure::runtime(format!("h5repack gave dataset {:?} an unexpected layout or filters", array.name));
            let Some(to) = output.chunks(&array.name)? else {
                // Its values were left out.
                if from_is_ours {
                    return Err(unexpected());
                }
                continue;
            };
            let target = match to.words() {
                Some(words) => Target {
                    keeps: !asked(&array.name),
                    encoder: Some(
                        ChunkEncoder::new(words, &|id| self.models.registry().find(id)).in_file(self.output)?,
                    ),
                },
                None if from_is_ours && to.is_plain() => Target { keeps: false, encoder: None },
                None if from_is_ours || to.has_our_filter() => return Err(unexpected()),
                None => continue,
            };
            progress.grow(array.value_bytes());
            let same_chunks = from.filter(|from| from.words().is_some() && from.extents() == to.extents());
            let plain = source.dataset(i)?;
            let next = &mut |offset: &[usize]| match &same_chunks {
                Some(from) => Ok(match from.stored(offset)? {
                    Some(stored) => Job::Stored(stored),
                    None => Job::Values(to.blank()),
                }),
                None => to.values_of(&plain, offset).map(Job::Values),
            };
            self.fill(&to, &target, &decoders, &same_chunks, next, &mut progress).in_file(self.output)?;
        }
        output.close()
    }

    fn fill(
        &self,
        to: &Chunks,
        target: &Target,
        decoders: &Registry,
        from: &Option<Chunks>,
        job_of: &mut dyn FnMut(&[usize]) -> Result<Job>,
        progress: &mut Progress,
    ) -> Result<()> {
        let mut offsets = to.offsets(None);
        let next = || {
            let Some(offset) = offsets.next() else { return Ok(None) };
            let job = job_of(&offset)?;
            Ok(Some((offset, job)))
        };
        let decoded = |offset: &[usize], stored: Stored| {
            let Some(from) = from else { return Ok(stored.bytes) };
            let values = match stored.mask {
                0 => baler_hdf5::decode_chunk(from.words().unwrap_or_default(), &stored.bytes, decoders).ok(),
                _ => Some(stored.bytes),
            };
            // What fails here is left to HDF5, which looks in more places for a model and says what is wrong.
            values.filter(|values| values.len() == from.value_bytes()).map_or_else(|| from.values(offset), Ok)
        };
        let work = |(offset, job): (Vec<usize>, Job)| {
            let values = match job {
                Job::Stored(stored) if target.keeps => return Ok((offset, stored)),
                Job::Stored(stored) => decoded(&offset, stored)?,
                Job::Values(values) => values,
            };
            let stored = match &target.encoder {
                Some(encoder) => to.encode(encoder, values)?,
                None => Stored { mask: 0, bytes: values },
            };
            Ok((offset, stored))
        };
        map_in_order(self.threads, next, work, |(offset, stored)| {
            progress.add(to.value_bytes() as u64);
            to.store(&offset, &stored)
        })
    }
}
