//! The chunks of a dataset as they lie in the file, past HDF5's filters: those run one at a time, under one lock for the whole
//! library; what is read and written here is encoded and decoded on as many threads as there are.

use super::{failure, read_failure};
use crate::failure::{Failure, Result};
use baler_hdf5::ChunkEncoder;
use hdf5_metno::dataset::FillTime;
use hdf5_metno::filters::Filter;
use hdf5_metno::sync::sync;
use hdf5_metno::{Dataset, Dataspace, Datatype, Hyperslab, SliceOrIndex, h5check};
use hdf5_metno_sys::h5::{herr_t, hsize_t};
use hdf5_metno_sys::h5i::hid_t;
use hdf5_metno_sys::{h5d, h5p, h5s};
use std::ffi::{c_uint, c_void};

const DEFAULT: hid_t = h5p::H5P_DEFAULT;
/// `H5Z_FLAG_OPTIONAL`.
const FLAG_OPTIONAL: c_uint = 1;

unsafe extern "C" {
    /// Not among the functions that hdf5-metno-sys declares; in HDF5 since 1.10.2.
    fn H5Dget_chunk_storage_size(dataset: hid_t, offset: *const hsize_t, size: *mut hsize_t) -> herr_t;
}

/// A chunk in a file.
pub struct Stored {
    /// A bit for each filter that was left out.
    pub mask: u32,
    pub bytes: Vec<u8>,
}

/// A dataset that lies in chunks.
pub struct Chunks {
    dataset: Dataset,
    element: Datatype,
    element_bytes: usize,
    /// One element, for what is in no chunk.
    fill: Vec<u8>,
    /// Extents of the dataset, slowest axis first.
    shape: Vec<usize>,
    /// Extents of a chunk.
    chunk: Vec<usize>,
    filters: Vec<Filter>,
    /// Our filter is optional: a chunk that does not shrink is stored as it is.
    is_optional: bool,
    /// Chunks at the edge are stored without filters (`H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS`).
    edges_are_plain: bool,
    /// No chunk in a file is larger than the file.
    most_bytes: u64,
}

impl Chunks {
    /// `None` if the dataset does not lie in chunks. `file_bytes` limits what is allocated for one.
    pub fn of(dataset: Dataset, file_bytes: u64) -> Result<Option<Self>> {
        let Some(chunk) = dataset.chunk() else { return Ok(None) };
        let element = dataset.dtype().map_err(failure)?;
        let element_bytes = element.size();
        let plist = dataset.create_plist().map_err(failure)?;
        let mut fill = vec![0u8; element_bytes];
        let (mut options, mut flags): (c_uint, c_uint) = (0, 0);
        sync(|| {
            if plist.fill_time() != FillTime::Never {
                // It fails where the fill value is undefined; then HDF5 takes zeros too.
                // SAFETY: the handles are open; the buffer holds one element of that type.
                unsafe { h5p::H5Pget_fill_value(plist.id(), element.id(), fill.as_mut_ptr().cast::<c_void>()) };
            }
            // It fails where our filter is not among them.
            // SAFETY: the handle is open; the flags are writable, and nothing else is asked for.
            unsafe {
                let (id, null) = (baler_hdf5::FILTER_ID, std::ptr::null_mut::<c_void>());
                h5p::H5Pget_filter_by_id2(
                    plist.id(),
                    id,
                    &raw mut flags,
                    null.cast(),
                    null.cast(),
                    0,
                    null.cast(),
                    null.cast(),
                );
            }
            // SAFETY: the handle is open, the number writable.
            h5check(unsafe { h5p::H5Pget_chunk_opts(plist.id(), &raw mut options) })
        })
        .map_err(failure)?;
        let (shape, filters) = (dataset.shape(), dataset.filters());
        Ok(Some(Self {
            dataset,
            element,
            element_bytes,
            fill,
            shape,
            chunk,
            filters,
            is_optional: flags & FLAG_OPTIONAL != 0,
            edges_are_plain: options != 0,
            most_bytes: file_bytes,
        }))
    }

    /// Extents of a chunk.
    pub fn extents(&self) -> &[usize] {
        &self.chunk
    }

    /// Bytes of the values of a chunk.
    pub fn value_bytes(&self) -> usize {
        self.chunk.iter().product::<usize>() * self.element_bytes
    }

    /// Whether values are stored as they are.
    pub fn is_plain(&self) -> bool {
        self.filters.is_empty()
    }

    /// Our filter's words, where every chunk went through it and through no other.
    pub fn words(&self) -> Option<&[u32]> {
        match &self.filters[..] {
            [Filter::User(baler_hdf5::FILTER_ID, words)] if !self.edges_are_plain => Some(words),
            _ => None,
        }
    }

    /// Whether chunks at the edge of the dataset are kept from its filters.
    pub fn edges_are_plain(&self) -> bool {
        self.edges_are_plain
    }

    /// Whether our filter is one of the pipeline's.
    pub fn has_our_filter(&self) -> bool {
        self.filters.iter().any(|f| f.id() == baler_hdf5::FILTER_ID)
    }

    /// The first element of every chunk, in the order of the values. With `row`, of the chunks that begin at this index of the
    /// first axis.
    pub fn offsets(&self, row: Option<usize>) -> impl Iterator<Item = Vec<usize>> + use<> {
        let chunk = self.chunk.clone();
        let mut counts: Vec<usize> = self.shape.iter().zip(&chunk).map(|(n, step)| n.div_ceil(*step)).collect();
        if row.is_some() {
            counts[0] = 1;
        }
        (0..counts.iter().product()).map(move |mut n: usize| {
            let mut offset: Vec<usize> = vec![0; chunk.len()];
            for axis in (0..chunk.len()).rev() {
                offset[axis] = n % counts[axis] * chunk[axis];
                n /= counts[axis];
            }
            offset[0] += row.unwrap_or(0);
            offset
        })
    }

    /// Whether every chunk is some whole rows of the dataset.
    pub fn are_whole_rows(&self) -> bool {
        self.chunk[1..] == self.shape[1..]
    }

    /// Whether the chunk at `offset` is the last of those that begin in its row.
    pub fn is_last_of_row(&self, offset: &[usize]) -> bool {
        (1..offset.len()).all(|axis| offset[axis] + self.chunk[axis] >= self.shape[axis])
    }

    /// The chunk at `offset` as it is stored; `None` if it never was.
    pub fn stored(&self, offset: &[usize]) -> Result<Option<Stored>> {
        let offset = hdf5_offset(offset);
        let mut size: hsize_t = 0;
        let found = sync(|| {
            // SAFETY: the dataset is open; the offset has one number for each axis; the size is writable.
            h5check(unsafe { H5Dget_chunk_storage_size(self.dataset.id(), offset.as_ptr(), &raw mut size) })
        });
        match found.map_err(read_failure) {
            // HDF5 1.10 takes it for an error.
            Err(e) if e.message.contains("chunk storage is not allocated") => return Ok(None),
            Err(e) => return Err(e),
            Ok(_) if size == 0 => return Ok(None),
            Ok(_) => {}
        }
        if size > self.most_bytes {
            return Err(Failure::damaged(format!("a chunk of {size} bytes in a file of {}", self.most_bytes)));
        }
        let mut mask: u32 = 0;
        let mut bytes = vec![0u8; size as usize];
        sync(|| {
            let (id, to) = (self.dataset.id(), bytes.as_mut_ptr().cast::<c_void>());
            // SAFETY: as above; the buffer has the size that HDF5 says this chunk has.
            h5check(unsafe { h5d::H5Dread_chunk1(id, DEFAULT, offset.as_ptr(), &raw mut mask, to) })
        })
        .map_err(read_failure)?;
        Ok(Some(Stored { mask, bytes }))
    }

    /// What our filter makes of the values of a chunk.
    pub fn encode(&self, encoder: &ChunkEncoder, values: Vec<u8>) -> Result<Stored> {
        let bytes = encoder.encode(&values)?;
        let is_worth_it = !self.is_optional || bytes.len() < values.len();
        Ok(if is_worth_it { Stored { mask: 0, bytes } } else { Stored { mask: 1, bytes: values } })
    }

    /// Puts a chunk into the file as it is.
    pub fn store(&self, offset: &[usize], Stored { mask, bytes }: &Stored) -> Result<()> {
        let offset = hdf5_offset(offset);
        sync(|| {
            let (id, from) = (self.dataset.id(), bytes.as_ptr().cast::<c_void>());
            // SAFETY: the dataset is open; the offset has one number for each axis; the buffer has the length that is said.
            h5check(unsafe { h5d::H5Dwrite_chunk(id, DEFAULT, *mask, offset.as_ptr(), bytes.len(), from) })
        })
        .map(|_| ())
        .map_err(failure)
    }

    /// The values of `source`, a dataset of this shape, that belong into the chunk at `offset`, with the fill value where the
    /// chunk sticks out of the dataset, as HDF5 hands them to a filter.
    pub fn values_of(&self, source: &Dataset, offset: &[usize]) -> Result<Vec<u8>> {
        let counts = self.counts(offset);
        let mut values = self.blank();
        let slab = |start: &[usize]| {
            Hyperslab::from(start.iter().zip(&counts).map(|(&s, &n)| SliceOrIndex::from(s..s + n)).collect::<Vec<_>>())
        };
        let in_chunk = Dataspace::try_new(&self.chunk[..]).and_then(|s| s.select(slab(&vec![0; offset.len()])));
        let in_file = source.space().and_then(|s| s.select(slab(offset)));
        let (in_chunk, in_file) = (in_chunk.map_err(failure)?, in_file.map_err(failure)?);
        sync(|| {
            let to = values.as_mut_ptr().cast::<c_void>();
            // SAFETY: the handles are open; the buffer holds a chunk of elements of this type, and the selection in it lies
            // within a chunk.
            h5check(unsafe { h5d::H5Dread(source.id(), self.element.id(), in_chunk.id(), in_file.id(), DEFAULT, to) })
        })
        .map_err(read_failure)?;
        Ok(values)
    }

    /// The same of this dataset itself, through its filters.
    pub fn values(&self, offset: &[usize]) -> Result<Vec<u8>> {
        self.values_of(&self.dataset, offset)
    }

    /// A chunk of fill values.
    pub fn blank(&self) -> Vec<u8> {
        self.fill.repeat(self.chunk.iter().product())
    }

    /// Puts the values of the chunk at `offset` where they belong in `rows`, the values of the dataset from `first_row` on.
    pub fn scatter(&self, values: &[u8], offset: &[usize], first_row: usize, rows: &mut [u8]) {
        let mut at = offset.to_vec();
        at[0] -= first_row;
        copy_block(&self.shape, &self.chunk, &at, &self.counts(offset), self.element_bytes, values, rows);
    }

    /// How much of the chunk at `offset` lies in the dataset.
    fn counts(&self, offset: &[usize]) -> Vec<usize> {
        offset.iter().zip(&self.chunk).zip(&self.shape).map(|((o, step), n)| (*step).min(n - o)).collect()
    }
}

/// The bytes of a dataset that is one opaque element or an array of bytes, no more than the file has.
pub fn opaque(dataset: &Dataset, file_bytes: u64) -> Option<Vec<u8>> {
    let element = dataset.dtype().ok()?;
    let n_bytes = dataset.size().checked_mul(element.size()).filter(|&n| n as u64 <= file_bytes)?;
    let mut bytes = vec![0u8; n_bytes];
    sync(|| {
        let (id, to) = (dataset.id(), bytes.as_mut_ptr().cast::<c_void>());
        // SAFETY: the handles are open; the buffer holds every element in the dataset's own type.
        h5check(unsafe { h5d::H5Dread(id, element.id(), h5s::H5S_ALL, h5s::H5S_ALL, DEFAULT, to) })
    })
    .ok()?;
    Some(bytes)
}

fn hdf5_offset(offset: &[usize]) -> Vec<hsize_t> {
    offset.iter().map(|&n| n as hsize_t).collect()
}

/// Copies `counts` elements of `from`, an array of extents `from_shape`, to the place `at` in `to`, one of extents `to_shape`
/// (of which the first does not matter).
fn copy_block(
    to_shape: &[usize],
    from_shape: &[usize],
    at: &[usize],
    counts: &[usize],
    element_bytes: usize,
    from: &[u8],
    to: &mut [u8],
) {
    let bytes_of = |shape: &[usize]| shape[1..].iter().product::<usize>() * element_bytes;
    let (from_step, to_step) = (bytes_of(from_shape), bytes_of(to_shape));
    if from_shape[1..] == to_shape[1..] {
        // Whole rows, one after the other.
        to[at[0] * to_step..][..counts[0] * to_step].copy_from_slice(&from[..counts[0] * from_step]);
        return;
    }
    for i in 0..counts[0] {
        let (from, to) = (&from[i * from_step..], &mut to[(at[0] + i) * to_step..]);
        copy_block(&to_shape[1..], &from_shape[1..], &at[1..], &counts[1..], element_bytes, from, to);
    }
}

#[cfg(test)]
mod tests {
    use super::copy_block;

    #[test]
    fn blocks_go_where_they_belong() {
        let (shape, chunk) = ([5, 4, 7], [2, 3, 4]);
        let mut to = vec![0u8; 5 * 4 * 7 * 2];
        for (i, j, k) in (0..5).step_by(2).flat_map(|i| (0..4).step_by(3).flat_map(move |j| [(i, j, 0), (i, j, 4)])) {
            let number = |p: usize| (i + p / 12) * 28 + (j + p / 4 % 3) * 7 + k + p % 4;
            let from: Vec<u8> = (0..24).flat_map(|p| (number(p) as u16).to_le_bytes()).collect();
            let counts = [2.min(5 - i), 3.min(4 - j), 4.min(7 - k)];
            copy_block(&shape, &chunk, &[i, j, k], &counts, 2, &from, &mut to);
        }
        assert_eq!(to, (0..140u16).flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    }
}
