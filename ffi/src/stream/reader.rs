//! A `.baler` stream back to values, chunk by chunk.

use super::{Exclusive, baler_read_fn, baler_stream_options, callback_failed, options};
use crate::codec::baler_codec;
use crate::decode::BALER_MAX_RANK;
use crate::guard::guard;
use crate::memory::{Output, Versioned, give, shared, take_back, write_sized};
use crate::status::{Failure, baler_status};
use ::baler_codec::standalone::{ArrayHeader, Chunk, FileModels, Item, Reader, decode_chunk};
use ::baler_codec::{ByteOrder, Limits, Registry};
use std::collections::VecDeque;
use std::ffi::{CString, c_char, c_void};
use std::io::{self, BufReader, Read};
use std::ptr::null_mut;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Failure>;

/// Reads arrays from a `.baler` stream.
pub struct baler_reader(Exclusive<State>);

/// An array of a stream.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct baler_array_info_t {
    /// `sizeof(baler_array_info_t)`; the caller sets it.
    pub struct_size: usize,
    /// Its name, in UTF-8, empty if it has none. Belongs to the reader until the next `baler_reader_next`.
    pub name: *const c_char,
    /// A `baler_dtype`.
    pub dtype: u32,
    /// A `baler_byte_order`.
    pub byte_order: u32,
    /// A `baler_bound`: what was promised, meant of the whole array.
    pub bound_kind: u32,
    /// 0, or 1: the bound is meant of each column.
    pub per_column: u32,
    /// The value of that bound: the largest if columns have their own.
    pub bound_value: f64,
    /// The bound as an absolute error; 0 where it is not one number for the whole array.
    pub abs_bound: f64,
    /// Bytes of all values.
    pub values_len: u64,
    /// Entries of the first axis in every chunk but the last.
    pub rows_per_chunk: u64,
    /// Number of axes.
    pub rank: u32,
    /// 0, or 1: the owner of the array sees its axes the other way round (Fortran order).
    pub reversed_axes: u32,
    /// `rank` extents, slowest axis first, of the values as they lie in memory; zeros behind them.
    pub shape: [u64; BALER_MAX_RANK],
}

// SAFETY: `repr(C)`, begins with `struct_size`, plain numbers and a pointer without padding.
unsafe impl Versioned for baler_array_info_t {
    const SIZES: &'static [usize] = &[328];
}

struct Input {
    read: unsafe extern "C" fn(*mut c_void, *mut c_void, usize, *mut usize) -> i32,
    context: *mut c_void,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut len = 0;
        // SAFETY: the caller promised a function that takes these, for as long as the reader lives.
        match unsafe { (self.read)(self.context, buffer.as_mut_ptr().cast(), buffer.len(), &mut len) } {
            0 if len <= buffer.len() => Ok(len),
            0 => Err(io::Error::other(format!("the function that reads gave {len} bytes for {}", buffer.len()))),
            code => Err(callback_failed("gives", code)),
        }
    }
}

struct State {
    reader: Reader<BufReader<Input>>,
    models: Arc<FileModels>,
    registry: Registry,
    threads: usize,
    max_chunk_bytes: usize,
    array: Option<ArrayHeader>,
    name: CString,
    /// An item that was read while looking for chunks.
    waiting: Option<Item>,
    /// Decoded chunks, the first of which was handed out up to `position`.
    decoded: VecDeque<Vec<u8>>,
    position: usize,
}

impl State {
    fn next_item(&mut self) -> Result<Option<Item>> {
        loop {
            match self.reader.next_item()? {
                Some(Item::Model { id, packed }) => self.models.add(id, &packed)?,
                item => return Ok(item),
            }
        }
    }

    fn next_array(&mut self) -> Result<&ArrayHeader> {
        self.decoded.clear();
        self.position = 0;
        loop {
            let item = match self.waiting.take() {
                Some(item) => Some(item),
                None => self.next_item()?,
            };
            match item {
                Some(Item::Array(header)) => {
                    self.name = CString::new(header.name.replace('\0', "?")).unwrap_or_default();
                    return Ok(self.array.insert(header));
                }
                // Chunks of an array that nobody reads on, and members that are no arrays of numbers.
                Some(_) => {}
                None => {
                    self.array = None;
                    return Err(Failure::new(baler_status::End, "the stream holds no more arrays"));
                }
            }
        }
    }

    /// Reads and decodes the next chunks of the array, one for each thread.
    fn refill(&mut self) -> Result<()> {
        let mut chunks = Vec::new();
        while chunks.len() < self.threads && self.waiting.is_none() {
            match self.next_item()? {
                Some(Item::Chunk(chunk)) => chunks.push(chunk),
                Some(item) => self.waiting = Some(item),
                None => break,
            }
        }
        let Some(header) = &self.array else { return Ok(()) };
        let decode = |chunk: &Chunk| -> Result<Vec<u8>> {
            let expected = ((chunk.rows.end - chunk.rows.start) * header.row_bytes()) as usize;
            if expected > self.max_chunk_bytes {
                return Err(Failure::new(
                    baler_status::LimitExceeded,
                    format!("a chunk of {expected} bytes: options.max_chunk_len allows {}", self.max_chunk_bytes),
                ));
            }
            Ok(decode_chunk(header, chunk, &self.registry, &Limits { max_output_bytes: expected })?)
        };
        let decoded: Result<Vec<_>> = if chunks.len() <= 1 {
            chunks.iter().map(decode).collect()
        } else {
            std::thread::scope(|scope| {
                let threads: Vec<_> = chunks.iter().map(|chunk| scope.spawn(|| decode(chunk))).collect();
                threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
            })
        };
        self.decoded.extend(decoded?);
        Ok(())
    }

    /// The next values of the array that are in memory; empty at its end.
    fn values(&mut self) -> Result<&[u8]> {
        if self.array.is_none() {
            return Err(Failure::invalid("no array is open: call baler_reader_next first"));
        }
        if self.decoded.front().is_some_and(|chunk| chunk.len() == self.position) {
            self.decoded.pop_front();
            self.position = 0;
        }
        if self.decoded.is_empty() && self.waiting.is_none() {
            self.refill()?;
        }
        Ok(self.decoded.front().map_or(&[][..], |chunk| &chunk[self.position..]))
    }

    fn read(&mut self, out: &Output<u8>, out_len: &Output<usize>) -> Result<()> {
        let mut done = 0;
        while done < out.capacity() {
            let room = out.capacity() - done;
            let values = self.values()?;
            let n = values.len().min(room);
            if n == 0 {
                break;
            }
            out.write_at(done, &values[..n])?;
            self.position += n;
            done += n;
        }
        out_len.write(&[done])
    }
}

/// Makes a reader of a stream, whose bytes come from `read`, called with `context`, and reads the beginning. `options` can
/// be NULL. NULL if that fails; `baler_last_status` and `baler_last_error` say why. The reader keeps the models that the
/// codec has now; the codec can be freed. Models that the stream carries are found there.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `codec` is a handle that was not freed, `options` of the size it gives of itself, and `read` can be
/// called with `context` as long as the reader is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_reader_new(
    codec: *const baler_codec,
    read: baler_read_fn,
    context: *mut c_void,
    options: *const baler_stream_options,
) -> *mut baler_reader {
    guard!(null_mut(), {
        // SAFETY: the caller's promise, for this and the next.
        let mut registry = Registry::clone(&*unsafe { shared(codec, "codec") }?.registry());
        // SAFETY: as above.
        let options = unsafe { self::options(options) }?;
        let read = read.ok_or_else(|| Failure::invalid("read is NULL"))?;
        let models = Arc::new(FileModels::default());
        registry.add_source(models.clone());
        let reader = Reader::new(BufReader::new(Input { read, context }))?;
        let max_chunk_bytes = match options.max_chunk_len {
            0 => Limits::default().max_output_bytes,
            n => usize::try_from(n).unwrap_or(usize::MAX),
        };
        Ok(give(baler_reader(Exclusive::new(State {
            reader,
            models,
            registry,
            threads: options.threads as usize,
            max_chunk_bytes,
            array: None,
            name: CString::default(),
            waiting: None,
            decoded: VecDeque::new(),
            position: 0,
        }))))
    })
}

/// Gives a reader back. NULL is allowed and does nothing.
///
/// Threads: one, after all calls that use the reader. Never calls `read`.
///
/// # Safety
/// `reader` comes from `baler_reader_new`, was not freed before, and no thread uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_reader_free(reader: *mut baler_reader) {
    guard!((), {
        // SAFETY: the caller's promise.
        unsafe { take_back(reader, "reader") }
    });
}

/// Goes to the next array of the stream, over what was not read of the one before. `BALER_STATUS_END` if there is none: the
/// stream was then read to its end, and every byte of it is as it was written.
///
/// Threads: one at a time for each reader; a second gets `BALER_STATUS_INVALID_ARGUMENT`.
///
/// # Safety
/// Unless refused, `reader` is a handle that was not freed, and `info` a structure of the size it gives of itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_reader_next(reader: *mut baler_reader, info: *mut baler_array_info_t) -> baler_status {
    guard!({
        // SAFETY: the caller's promise.
        let reader = unsafe { shared(reader, "reader") }?;
        // A wrong structure must not cost an array.
        // SAFETY: the caller's promise.
        unsafe { crate::memory::check_sized(info, "info") }?;
        reader.0.run(|state| {
            let header = state.next_array()?.clone();
            let mut shape = [0; BALER_MAX_RANK];
            shape[..header.shape.len()].copy_from_slice(&header.shape);
            let (bound_kind, bound_value) = header.bound.to_wire();
            let value = |struct_size| baler_array_info_t {
                struct_size,
                name: state.name.as_ptr(),
                dtype: header.dtype as u32,
                byte_order: u32::from(header.byte_order == ByteOrder::Big),
                bound_kind: u32::from(bound_kind),
                per_column: u32::from(header.per_column),
                bound_value,
                abs_bound: header.abs_bound.unwrap_or(0.0),
                values_len: header.value_bytes(),
                rows_per_chunk: header.rows_per_chunk,
                rank: header.shape.len() as u32,
                reversed_axes: u32::from(header.reversed_axes),
                shape,
            };
            // SAFETY: the caller's promise.
            unsafe { write_sized(info, "info", value) }
        })
    })
}

/// Reads the next bytes of the array, in C order: as many as fit, fewer only at its end. `*out_len` becomes their number, 0
/// at the end of the array.
///
/// Threads: as `baler_reader_next`.
///
/// # Safety
/// Unless refused, `reader` is a handle that was not freed, `out` has room for `out_capacity` bytes, and `out_len` is a
/// number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_reader_read(
    reader: *mut baler_reader,
    out: *mut c_void,
    out_capacity: usize,
    out_len: *mut usize,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for this and the next.
        let reader = unsafe { shared(reader, "reader") }?;
        // SAFETY: as above.
        let out = unsafe { Output::new(out.cast::<u8>(), out_capacity, "out") }?;
        // SAFETY: as above.
        let out_len = unsafe { Output::new(out_len, 1, "out_len") }?;
        out.disjoint_from_output(&out_len)?;
        reader.0.run(|state| state.read(&out, &out_len))
    })
}
