//! HDF5 and netCDF-4 files, by way of libhdf5, with our filter registered in this process: no plugin is needed to read.
//!
//! Values are handed out little-endian whatever the file's byte order; attributes, groups and types that are no numbers stay
//! behind (`baler h5 repack` keeps them).

pub mod chunks;
mod decode;

use super::{Array, Promise, Sink, Source};
use crate::failure::{Failure, InFile, Result};
use crate::output::Output;
use baler_codec::bundle::{Bundle, BundleId, MemorySource};
use baler_codec::standalone::{Container, map_in_order, rows_per_chunk};
use baler_codec::{ByteOrder, Description, Dtype, Registry, describe};
use baler_hdf5::ChunkEncoder;
use chunks::Chunks;
use half::f16;
use hdf5_metno::dataset::{ChunkInfo, FillValue};
use hdf5_metno::filters::Filter;
use hdf5_metno::types::{FixedAscii, FloatSize, IntSize, TypeDescriptor};
use hdf5_metno::{
    Dataset, File, Group, H5Type, Hyperslab, IndexType, IterationOrder, LinkInfo, LinkType, LocationToken,
    LocationType, SliceOrIndex,
};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use std::ffi::{CStr, c_void};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Values read or written at once.
const BLOCK_BYTES: u64 = 8 << 20;
/// Chunks of the datasets this program makes: small enough to be read in part.
const CHUNK_BYTES: u64 = 4 << 20;

/// A file opened for reading.
pub struct Hdf5Source {
    path: PathBuf,
    file: File,
    arrays: Vec<Array>,
    left_out: Vec<String>,
    threads: usize,
}

impl Hdf5Source {
    pub fn open(path: &Path) -> Result<Self> {
        register_filter()?;
        // HDF5's own message for a missing file is a page long.
        super::open_file(path)?;
        let file = File::open(path).map_err(failure).in_file(path)?;
        let mut source = Self { path: path.to_owned(), file, arrays: Vec::new(), left_out: Vec::new(), threads: 1 };
        let root = source.file.as_group().map_err(failure).in_file(path)?;
        source.walk(&root, "", &mut Vec::new()).in_file(path)?;
        Ok(source)
    }

    /// Decodes chunks of ours on this many threads.
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Every dataset of numbers in `group`, whose path is `path` (empty, or with a slash at its end). Links are not followed: what
    /// they lead to in this file has a name of its own, and other files are not this one. `seen` are objects of several names: the
    /// first counts, in the order h5repack goes by.
    fn walk(&mut self, group: &Group, path: &str, seen: &mut Vec<LocationToken>) -> Result<()> {
        let mut names = Vec::new();
        let mut add = |name: &str, link: LinkInfo| {
            names.extend((link.link_type == LinkType::Hard).then(|| name.to_owned()));
            Ok(())
        };
        group.iter_visit(IndexType::Name, IterationOrder::Increasing, &mut add).map_err(failure)?;
        for name in names {
            let info = group.loc_info_by_name(&name).map_err(failure)?;
            if info.num_links > 1 {
                if seen.contains(&info.token) {
                    continue;
                }
                seen.push(info.token);
            }
            let full = format!("{path}{name}");
            match info.loc_type {
                LocationType::Group if format!("/{full}") == models_group() => {}
                LocationType::Group => self.walk(&group.group(&name).map_err(failure)?, &format!("{full}/"), seen)?,
                LocationType::Dataset => {
                    let dataset = group.dataset(&name).map_err(failure)?;
                    if is_bare_dimension(&dataset) {
                        continue;
                    }
                    match describe_dataset(&full, &dataset)? {
                        Some(array) => self.arrays.push(array),
                        None => self.left_out.push(full),
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The chunks of array `i`, if it lies in chunks.
    pub fn chunks(&self, i: usize) -> Result<Option<Chunks>> {
        Chunks::of(self.dataset(i)?, super::file_bytes(&self.path)?).in_file(&self.path)
    }

    pub fn dataset(&self, i: usize) -> Result<Dataset> {
        self.file.dataset(&self.arrays[i].name).map_err(failure).in_file(&self.path)
    }

    /// Extents of a chunk of array `i`, if it has chunks.
    pub fn chunk_shape(&self, i: usize) -> Result<Option<Vec<usize>>> {
        Ok(self.dataset(i)?.chunk())
    }

    /// Filters of array `i`, by number.
    pub fn filters(&self, i: usize) -> Result<Vec<i32>> {
        Ok(self.dataset(i)?.filters().iter().map(Filter::id).collect())
    }

    /// Looks at the chunks of array `i` that went through our filter, as they lie in the file; `None` is one that was
    /// stored as it was.
    pub fn visit_chunks(&self, i: usize, with: &mut dyn FnMut(Option<Description>, u64) -> Result<()>) -> Result<()> {
        let dataset = self.dataset(i)?;
        let position = dataset.filters().iter().position(|f| f.id() == baler_hdf5::FILTER_ID);
        let Some(position) = position else { return Ok(()) };
        if position + 1 != dataset.filters().len() {
            return Err(
                Failure::runtime("another filter follows ours: its output hides the chunks").context(dataset.name())
            );
        }
        let base = self.file.userblock();
        let mut raw = super::open_file(&self.path)?;
        for n in 0..dataset.num_chunks().unwrap_or(0) {
            let ChunkInfo { filter_mask, addr, size, .. } = dataset
                .chunk_info(n)
                .ok_or_else(|| Failure::damaged(format!("{}: chunk {n} is not to be found", dataset.name())))?;
            if filter_mask & 1 << position != 0 {
                with(None, size)?;
                continue;
            }
            let mut bytes = Vec::new();
            raw.seek(SeekFrom::Start(base + addr)).in_file(&self.path)?;
            raw.by_ref().take(size).read_to_end(&mut bytes).in_file(&self.path)?;
            let description = describe(&bytes).map_err(|e| e.context(format!("chunk {n} of {}", dataset.name())));
            with(Some(description.in_file(&self.path)?), size)?;
        }
        Ok(())
    }

    /// Every place decoders are found in without HDF5's help, and the file.
    pub fn decoders(&self) -> Result<Registry> {
        let mut bundles = Vec::new();
        if let Ok(group) = self.file.group(&format!("{}/models", models_group())) {
            let file_bytes = super::file_bytes(&self.path)?;
            for dataset in group.datasets().map_err(failure).in_file(&self.path)? {
                // One that cannot be read is one that is not there: what needs it says so.
                bundles.extend(chunks::opaque(&dataset, file_bytes).and_then(|b| Bundle::parse(&b).ok()).map(Arc::new));
            }
        }
        let mut registry = Registry::with_sources(baler_models::standard_sources());
        registry.add_source(Arc::new(MemorySource::new(bundles)));
        Ok(registry)
    }

    /// Ids of the models stored in the file, and the bytes each takes.
    pub fn models(&self) -> Result<Vec<(String, u64)>> {
        let Ok(group) = self.file.group(&format!("{}/models", models_group())) else { return Ok(Vec::new()) };
        let models = group.datasets().map_err(failure).in_file(&self.path)?;
        Ok(models
            .iter()
            .map(|d| (d.name().rsplit('/').next().unwrap_or_default().to_owned(), d.storage_size()))
            .collect())
    }
}

/// netCDF-4 keeps a dimension that is no variable as a dataset without values of its own, and marks it so.
fn is_bare_dimension(dataset: &Dataset) -> bool {
    let name = dataset.attr("NAME").and_then(|a| a.read_scalar::<FixedAscii<64>>());
    name.is_ok_and(|n| n.as_str().starts_with("This is a netCDF dimension but not a netCDF variable"))
}

/// What is known of a dataset without its values; `None` if it is not one of numbers.
fn describe_dataset(name: &str, dataset: &Dataset) -> Result<Option<Array>> {
    let Ok(descriptor) = dataset.dtype().and_then(|t| t.to_descriptor()) else { return Ok(None) };
    let Some(dtype) = dtype_of(&descriptor) else { return Ok(None) };
    if dataset.space().is_ok_and(|s| s.is_null()) {
        return Ok(None);
    }
    let shape = dataset.shape().iter().map(|&n| n as u64).collect();
    let plist = dataset.create_plist().map_err(failure)?;
    let fill = match plist.fill_value_defined() {
        FillValue::UserDefined => dataset.fill_value().ok().flatten().and_then(|value| {
            with_type!(dtype, T => value.cast::<T>().ok().map(|v| {
                let mut bytes = Vec::new();
                v.put(&mut bytes);
                bytes
            }))
        }),
        _ => None,
    };
    let promise = first_promise(dataset);
    Ok(Some(Array {
        name: name.to_owned(),
        dtype,
        byte_order: ByteOrder::Little,
        shape,
        reversed_axes: false,
        fill,
        promise,
    }))
}

/// The bound in the filter's parameters.
fn first_promise(dataset: &Dataset) -> Option<Promise> {
    dataset.filters().into_iter().find_map(|filter| match filter {
        Filter::User(baler_hdf5::FILTER_ID, words) => {
            let request = baler_hdf5::cd_values::Request::from_words(&words).ok()?;
            Some(Promise { bound: request.bound, per_column: request.per_column })
        }
        _ => None,
    })
}

impl Source for Hdf5Source {
    fn container(&self) -> Container {
        Container::Hdf5
    }

    fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    fn left_out(&self) -> &[String] {
        &self.left_out
    }

    fn read(&self, i: usize, with: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        let dataset = self.dataset(i)?;
        let array = &self.arrays[i];
        if let Some(chunks) = self.chunks(i)?
            && let Some(words) = chunks.words()
            && array.value_bytes() > 0
        {
            return decode::read(&chunks, words, &self.decoders()?, array, self.threads, with).in_file(&self.path);
        }
        // Whole chunks at a time: each is then decoded once.
        let chunk_rows = dataset.chunk().and_then(|c| c.first().copied()).unwrap_or(1).max(1) as u64;
        let step = (BLOCK_BYTES / array.row_bytes().max(1)).max(1).next_multiple_of(chunk_rows);
        let mut input = Slabs { dataset, array, step, next_row: 0, block: Vec::new(), used: 0, failed: None };
        let result = with(&mut input);
        match input.failed.take() {
            Some(failure) => Err(failure.context(array.shown_name())).in_file(&self.path),
            None => result.in_file(&self.path),
        }
    }
}

/// A file whose chunks are put there one by one.
pub struct Unfilled {
    path: PathBuf,
    file: File,
}

impl Unfilled {
    pub fn open(path: &Path) -> Result<Self> {
        register_filter()?;
        Ok(Self { path: path.to_owned(), file: File::open_rw(path).map_err(failure).in_file(path)? })
    }

    /// The chunks of this dataset. `None` if there is no such dataset, if it does not lie in chunks, or in another file: a link
    /// leads there, and nothing there is ours to change.
    pub fn chunks(&self, name: &str) -> Result<Option<Chunks>> {
        match self.file.dataset(name) {
            Ok(dataset) if dataset.filename() == self.file.filename() => {
                Chunks::of(dataset, super::file_bytes(&self.path)?).in_file(&self.path)
            }
            _ => Ok(None),
        }
    }

    pub fn close(self) -> Result<()> {
        self.file.close().map_err(failure).in_file(&self.path)
    }
}

/// The values of a dataset as a stream, read in blocks of rows.
struct Slabs<'a> {
    dataset: Dataset,
    array: &'a Array,
    step: u64,
    next_row: u64,
    block: Vec<u8>,
    used: usize,
    failed: Option<Failure>,
}

impl Read for Slabs<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.block.len() && self.next_row < self.array.rows() && self.array.value_bytes() > 0 {
            let rows = self.next_row..self.array.rows().min(self.next_row + self.step);
            self.next_row = rows.end;
            self.used = 0;
            self.block.clear();
            let slab = slab(&self.array.shape, rows);
            let read = with_type!(self.array.dtype, T => read_slab::<T>(&self.dataset, slab, &mut self.block));
            if let Err(e) = read {
                // The message of HDF5 would not survive as an I/O error of the right kind.
                self.failed = Some(e);
                return Err(io::Error::other("reading the dataset failed"));
            }
        }
        let n = out.len().min(self.block.len() - self.used);
        out[..n].copy_from_slice(&self.block[self.used..self.used + n]);
        self.used += n;
        Ok(n)
    }
}

/// Rows of an array; `None` of a single value.
fn slab(shape: &[u64], rows: std::ops::Range<u64>) -> Option<Hyperslab> {
    let (_, rest) = shape.split_first()?;
    let mut dims = vec![SliceOrIndex::from(rows.start as usize..rows.end as usize)];
    dims.extend(rest.iter().map(|&n| SliceOrIndex::from(0..n as usize)));
    Some(Hyperslab::from(dims))
}

fn read_slab<T: Number>(dataset: &Dataset, slab: Option<Hyperslab>, out: &mut Vec<u8>) -> Result<()> {
    let values: ArrayD<T> = match slab {
        Some(slab) => dataset.read_slice(slab).map_err(read_failure)?,
        None => dataset.read_dyn().map_err(read_failure)?,
    };
    out.reserve(values.len() * size_of::<T>());
    values.iter().for_each(|v| v.put(out));
    Ok(())
}

/// How datasets are laid out.
#[derive(Clone, Debug)]
pub enum Layout {
    /// In one piece, unfiltered.
    Contiguous,
    /// In chunks, through our filter with these parameters for each array, asked by name.
    Filtered {
        /// Parameters of the filter, and extents of the chunks where they are asked for.
        words: std::collections::BTreeMap<String, Vec<u32>>,
        /// Extents of a chunk; by default a few MiB along the first axis.
        chunk: Option<Vec<usize>>,
    },
}

/// Writes an HDF5 file.
pub struct Hdf5Sink {
    file: File,
    output: Output,
    layout: Layout,
    open: Option<(Array, Dataset, u64)>,
}

impl Hdf5Sink {
    pub fn create(path: &Path, force: bool, layout: Layout) -> Result<Self> {
        register_filter()?;
        let (output, placeholder) = Output::create(path, force)?;
        drop(placeholder);
        let file = File::create(output.path()).map_err(failure).in_file(path)?;
        Ok(Self { file, output, layout, open: None })
    }
}

impl Hdf5Sink {
    /// Values of the array that was begun, all of them, its chunks encoded on several threads; `find` gives the bundle with an
    /// id.
    pub fn fill(
        &mut self,
        input: &mut dyn Read,
        threads: usize,
        find: &dyn Fn(&BundleId) -> baler_codec::Result<Arc<Bundle>>,
        done: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let Some((array, dataset, _)) = &self.open else { return Err(Failure::runtime("values before any array")) };
        let array = array.clone();
        let chunks = Chunks::of(dataset.clone(), 0)?;
        let Some((chunks, words)) = chunks.as_ref().and_then(|c| Some((c, c.words()?))) else {
            return super::for_each_block(&array, input, &mut |block| {
                done(block.len() as u64);
                self.values(block)
            });
        };
        let encoder = ChunkEncoder::new(words, find)?;
        let size = array.dtype.size_bytes();
        let mut rows = (0..array.rows()).step_by(chunks.extents()[0]);
        let next = || {
            let Some(row) = rows.next() else { return Ok(None) };
            let mut values = chunks.blank();
            let n_rows = (array.rows() - row).min(chunks.extents()[0] as u64);
            input.read_exact(&mut values[..(n_rows * array.row_bytes()) as usize])?;
            Ok(Some((row, values)))
        };
        let work = |(row, mut values): (u64, Vec<u8>)| {
            if array.byte_order == ByteOrder::Big {
                values.chunks_exact_mut(size).for_each(<[u8]>::reverse);
            }
            Ok((row, values.len(), chunks.encode(&encoder, values)?))
        };
        map_in_order(threads, next, work, |(row, n_bytes, chunk)| {
            done(n_bytes as u64);
            let mut offset = vec![0; chunks.extents().len()];
            offset[0] = row as usize;
            chunks.store(&offset, &chunk)
        })
    }
}

impl Sink for Hdf5Sink {
    fn array(&mut self, array: &Array) -> Result<()> {
        let mut array = array.clone();
        if array.reversed_axes {
            return Err(Failure::usage(format!(
                "array {:?} is in Fortran order, which HDF5 does not know: write it with numpy.ascontiguousarray first",
                array.shown_name()
            )));
        }
        array.name = array.shown_name().to_owned();
        let shape: Vec<usize> = array.shape.iter().map(|&n| n as usize).collect();
        let descriptor = with_type!(array.dtype, T => T::type_descriptor());
        let mut builder = self.file.new_dataset_builder().empty_as(descriptor);
        if let Layout::Filtered { words, chunk } = &self.layout
            && !shape.is_empty()
            && array.value_bytes() > 0
        {
            let words = words.get(&array.name).map_or(&[][..], Vec::as_slice);
            builder = builder
                .chunk(chunk.clone().unwrap_or_else(|| chunk_shape(&array)))
                .add_filter(baler_hdf5::FILTER_ID, words);
        } else {
            builder = builder.no_chunk();
        }
        let dataset = builder.shape(shape).create(array.name.as_str()).map_err(failure)?;
        self.open = Some((array, dataset, 0));
        Ok(())
    }

    fn values(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((array, dataset, done)) = &mut self.open else {
            return Err(Failure::runtime("values before any array"));
        };
        let n_rows = bytes.len() as u64 / array.row_bytes().max(1);
        let rows = *done..*done + n_rows;
        *done = rows.end;
        let mut shape: Vec<usize> = array.shape.iter().map(|&n| n as usize).collect();
        if let Some(first) = shape.first_mut() {
            *first = n_rows as usize;
        }
        let slab = slab(&array.shape, rows);
        let written = with_type!(array.dtype, T => write_slab::<T>(dataset, slab, &shape, bytes, array.byte_order));
        written.map_err(|e: Failure| e.of_output(self.output.destination()))
    }

    fn blob(&mut self, name: &str, _bytes: &[u8]) -> Result<()> {
        eprintln!("baler: {name:?} holds no numbers and is left out of the HDF5 file");
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.open = None;
        self.file.close().map_err(|e| failure(e).of_output(self.output.destination()))?;
        self.output.commit()
    }
}

/// A few MiB along the first axis, in chunks that fill it without a rest where that is possible: HDF5 pads the last chunk, and
/// the padding is coded too.
pub fn chunk_shape(array: &Array) -> Vec<usize> {
    let most = rows_per_chunk(array.rows(), array.row_bytes(), CHUNK_BYTES);
    let even = (most.div_ceil(2)..=most).rev().find(|&step| array.rows().is_multiple_of(step));
    let mut shape: Vec<usize> = array.shape.iter().map(|&n| n as usize).collect();
    if let Some(first) = shape.first_mut() {
        *first = even.unwrap_or(most) as usize;
    }
    shape
}

fn write_slab<T: Number>(
    dataset: &Dataset,
    slab: Option<Hyperslab>,
    shape: &[usize],
    bytes: &[u8],
    byte_order: ByteOrder,
) -> Result<()> {
    let values: Vec<T> = bytes.chunks_exact(size_of::<T>()).map(|b| T::get(b, byte_order)).collect();
    let values = ArrayViewD::from_shape(IxDyn(shape), &values).map_err(|e| Failure::runtime(e.to_string()))?;
    match slab {
        Some(slab) => dataset.write_slice(values, slab),
        None => dataset.write(values),
    }
    .map_err(failure)
}

/// A type of number HDF5 and numpy share.
trait Number: H5Type + Clone {
    fn put(&self, out: &mut Vec<u8>);
    fn get(bytes: &[u8], byte_order: ByteOrder) -> Self;
}

macro_rules! number {
    ($($t:ty),*) => {$(
        impl Number for $t {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }

            fn get(bytes: &[u8], byte_order: ByteOrder) -> Self {
                let mut word = [0; size_of::<$t>()];
                word.copy_from_slice(bytes);
                match byte_order {
                    ByteOrder::Little => Self::from_le_bytes(word),
                    ByteOrder::Big => Self::from_be_bytes(word),
                }
            }
        }
    )*};
}
number!(f16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64);

/// Evaluates an expression with `T` set to the type of a [`Dtype`].
macro_rules! with_type {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            Dtype::F16 => {
                type $t = f16;
                $body
            }
            Dtype::F32 => {
                type $t = f32;
                $body
            }
            Dtype::F64 => {
                type $t = f64;
                $body
            }
            Dtype::I8 => {
                type $t = i8;
                $body
            }
            Dtype::I16 => {
                type $t = i16;
                $body
            }
            Dtype::I32 => {
                type $t = i32;
                $body
            }
            Dtype::I64 => {
                type $t = i64;
                $body
            }
            Dtype::U8 => {
                type $t = u8;
                $body
            }
            Dtype::U16 => {
                type $t = u16;
                $body
            }
            Dtype::U32 => {
                type $t = u32;
                $body
            }
            Dtype::U64 => {
                type $t = u64;
                $body
            }
        }
    };
}
use with_type;

fn dtype_of(descriptor: &TypeDescriptor) -> Option<Dtype> {
    Some(match descriptor {
        TypeDescriptor::Float(FloatSize::U2) => Dtype::F16,
        TypeDescriptor::Float(FloatSize::U4) => Dtype::F32,
        TypeDescriptor::Float(FloatSize::U8) => Dtype::F64,
        TypeDescriptor::Integer(IntSize::U1) => Dtype::I8,
        TypeDescriptor::Integer(IntSize::U2) => Dtype::I16,
        TypeDescriptor::Integer(IntSize::U4) => Dtype::I32,
        TypeDescriptor::Integer(IntSize::U8) => Dtype::I64,
        TypeDescriptor::Unsigned(IntSize::U1) => Dtype::U8,
        TypeDescriptor::Unsigned(IntSize::U2) => Dtype::U16,
        TypeDescriptor::Unsigned(IntSize::U4) => Dtype::U32,
        TypeDescriptor::Unsigned(IntSize::U8) => Dtype::U64,
        _ => return None,
    })
}

/// The group in a file that holds its models; not data of the user's.
fn models_group() -> &'static str {
    baler_hdf5::MODELS_GROUP[0].to_str().unwrap_or_default()
}

/// Registers our filter with the libhdf5 this program is linked to, once.
fn register_filter() -> Result<()> {
    static REGISTERED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let symbol = |name: &CStr| -> *const c_void {
        // SAFETY: the name is a C string; every symbol comes from the one libhdf5 this program is linked to, which is
        // never unloaded.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
    };
    REGISTERED
        .get_or_init(|| {
            // Opens the library, which must be ready before it is called behind the crate's back, under the crate's lock.
            hdf5_metno::sync::sync(|| {
                hdf5_metno::filters::deflate_available();
                // SAFETY: `symbol` gives null or an address in that libhdf5.
                unsafe { baler_hdf5::register(&symbol) }
            })
        })
        .clone()
        .map_err(|e| Failure::runtime(format!("the Baler filter could not be registered with HDF5: {e}")))
}

/// Reading goes through filters: what they say of damage and of missing models decides the exit code.
fn read_failure(e: hdf5_metno::Error) -> Failure {
    use crate::failure::Code;
    let text = message(&e);
    let code = match &*text {
        t if t.contains("is needed and was not found") => Code::Model,
        t if t.contains("required filter") && t.contains("not registered") => Code::Runtime,
        _ => Code::Damaged,
    };
    Failure::new(code, text)
}

fn failure(e: hdf5_metno::Error) -> Failure {
    Failure::runtime(message(&e))
}

/// HDF5's stack of errors in one line: the innermost says what happened.
fn message(e: &hdf5_metno::Error) -> String {
    e.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Takes the models out of a file that needs them no more.
pub fn remove_models(path: &Path) -> Result<()> {
    let file = File::open_rw(path).map_err(failure).in_file(path)?;
    if file.link_exists(models_group()) {
        file.unlink(models_group()).map_err(failure).in_file(path)?;
    }
    file.close().map_err(failure).in_file(path)
}
