//! Values in, chunk by chunk, to a `.baler` stream.

use super::{Exclusive, baler_stream_options, baler_write_fn, callback_failed, options};
use crate::codec::baler_codec;
use crate::guard::guard;
use crate::memory::{bytes, give, shared, sized, take_back, text};
use crate::params::baler_params;
use crate::status::{Failure, baler_status};
use ::baler_codec::bundle::{BundleId, Contents};
use ::baler_codec::standalone::{
    ArrayHeader, Container, DEFAULT_CHUNK_BYTES, EncodeOptions, Span, Writer, chunk_params, rows_per_chunk,
};
use ::baler_codec::{Bound, Params, Registry, decode_header, encode};
use std::ffi::{c_char, c_void};
use std::io::{self, Write};
use std::ops::Range;
use std::ptr::null_mut;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Failure>;

/// Writes arrays to a `.baler` stream: the format of the command line's files.
pub struct baler_writer(Exclusive<State>);

struct Output {
    write: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> i32,
    context: *mut c_void,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the caller promised a function that takes these, for as long as the writer lives.
        match unsafe { (self.write)(self.context, bytes.as_ptr().cast(), bytes.len()) } {
            0 => Ok(bytes.len()),
            code => Err(callback_failed("takes", code)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct State {
    registry: Arc<Registry>,
    /// Before the first array, whose name decides on the kind of file.
    output: Option<Output>,
    writer: Option<Writer<Output>>,
    container: Option<Container>,
    array: Option<Array>,
}

/// The array being written.
struct Array {
    header: ArrayHeader,
    options: EncodeOptions,
    column_bounds: Vec<f64>,
    span: Span,
    measured_bytes: u64,
    /// Bytes taken in so far, `pending` among them.
    taken_bytes: u64,
    /// Chunks written so far.
    n_chunks: u64,
    pending: Vec<u8>,
    is_begun: bool,
}

impl Array {
    fn is_complete(&self) -> bool {
        self.taken_bytes == self.header.value_bytes()
    }

    /// Whether the bound is a share of a range that only the whole array has.
    fn needs_measuring(&self) -> bool {
        !self.header.per_column && matches!(self.header.bound, Bound::Rel(_) | Bound::Psnr(_))
    }

    /// The rows of the next chunks, one for each thread, and the bytes of all.
    fn batch(&self) -> (Vec<Range<u64>>, usize) {
        let chunks = self.n_chunks..self.n_chunks + self.options.threads as u64;
        let rows: Vec<_> = chunks.map_while(|i| self.header.chunk_rows(i)).collect();
        let n_rows: u64 = rows.iter().map(|r| r.end - r.start).sum();
        (rows, (n_rows * self.header.row_bytes()) as usize)
    }

    fn chunk(&self, rows: &Range<u64>, values: &[u8], registry: &Registry) -> Result<Vec<u8>> {
        let mut params: Params = chunk_params(&self.header, rows, values, &self.span, &self.options)?;
        params.column_bounds.clone_from(&self.column_bounds);
        Ok(encode(&params, values, registry)?)
    }

    /// The chunks of `values`, each encoded on a thread of its own.
    fn chunks(&self, rows: &[Range<u64>], values: &[u8], registry: &Registry) -> Result<Vec<Vec<u8>>> {
        let mut rest = values;
        let jobs = rows.iter().map(|rows| {
            let (values, after) = rest.split_at(((rows.end - rows.start) * self.header.row_bytes()) as usize);
            rest = after;
            (rows, values)
        });
        if rows.len() == 1 {
            return jobs.map(|(rows, values)| self.chunk(rows, values, registry)).collect();
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                jobs.map(|(rows, values)| scope.spawn(move || self.chunk(rows, values, registry))).collect();
            threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }
}

impl State {
    fn begin(&mut self, name: &str, params: Params, options: &baler_stream_options) -> Result<()> {
        if let Some(array) = &self.array {
            if !array.is_complete() {
                return Err(incomplete(array));
            }
            self.close()?;
        }
        let container = if name.is_empty() { Container::Npy } else { Container::Npz };
        if self.container.is_some_and(|c| c != container || c == Container::Npy) {
            return Err(Failure::invalid("name: a stream of several arrays needs a name for each of them"));
        }
        let mut header = ArrayHeader {
            name: name.into(),
            dtype: params.dtype,
            byte_order: params.byte_order,
            shape: params.shape.iter().map(|&extent| extent as u64).collect(),
            reversed_axes: options.reversed_axes == 1,
            rows_per_chunk: options.rows_per_chunk.max(1),
            bound: params.bound,
            per_column: params.per_column,
            abs_bound: None,
            fill: params.fill.clone(),
        };
        header.validate()?;
        if options.rows_per_chunk == 0 {
            header.rows_per_chunk = rows_per_chunk(header.rows(), header.row_bytes(), DEFAULT_CHUNK_BYTES);
        }
        let span = Span::new(header.dtype, header.byte_order, header.fill.as_deref())?;
        let encode_options = EncodeOptions {
            model: params.model,
            effort: params.effort,
            keep_outliers: params.keep_outliers,
            check_decode: params.check_decode,
            embed_in_chunks: params.embed,
            threads: options.threads as usize,
        };
        self.array = Some(Array {
            header,
            options: encode_options,
            column_bounds: params.column_bounds,
            span,
            measured_bytes: 0,
            taken_bytes: 0,
            n_chunks: 0,
            pending: Vec::new(),
            is_begun: false,
        });
        self.container = Some(container);
        Ok(())
    }

    fn measure(&mut self, values: &[u8]) -> Result<()> {
        let array = self.array.as_mut().ok_or_else(no_array)?;
        let size = array.header.dtype.size_bytes();
        if array.taken_bytes > 0 {
            return Err(Failure::invalid("values: all are measured before the first is written"));
        }
        if !values.len().is_multiple_of(size) {
            return Err(Failure::invalid(format!(
                "values_len is {}: expected whole values of {size} bytes",
                values.len()
            )));
        }
        let total = array.header.value_bytes();
        if values.len() as u64 > total - array.measured_bytes {
            return Err(Failure::invalid(format!("values: the array has {total} bytes, these are more")));
        }
        array.span.add(values);
        array.measured_bytes += values.len() as u64;
        Ok(())
    }

    fn write(&mut self, mut values: &[u8]) -> Result<()> {
        let array = self.array.as_ref().ok_or_else(no_array)?;
        let total = array.header.value_bytes();
        if values.len() as u64 > total - array.taken_bytes {
            return Err(Failure::invalid(format!(
                "values: the array has {total} bytes, {} are written, and these {} are more",
                array.taken_bytes,
                values.len()
            )));
        }
        if array.needs_measuring() && array.measured_bytes != total {
            return Err(Failure::invalid(format!(
                "the bound {} is meant of the whole array: hand all its {total} bytes to baler_writer_measure first, {} \
                 were",
                array.header.bound, array.measured_bytes
            )));
        }
        while !values.is_empty() {
            let array = self.array.as_mut().ok_or_else(no_array)?;
            let (_, batch_bytes) = array.batch();
            let wanted = batch_bytes - array.pending.len();
            let (now, later) = values.split_at(wanted.min(values.len()));
            values = later;
            array.taken_bytes += now.len() as u64;
            if now.len() == batch_bytes {
                self.flush(now)?;
            } else {
                array.pending.extend_from_slice(now);
                if array.pending.len() == batch_bytes {
                    let mut pending = std::mem::take(&mut array.pending);
                    self.flush(&pending)?;
                    pending.clear();
                    if let Some(array) = &mut self.array {
                        array.pending = pending;
                    }
                }
            }
        }
        Ok(())
    }

    /// Encodes and writes the next chunks.
    fn flush(&mut self, values: &[u8]) -> Result<()> {
        self.start()?;
        let (Some(array), Some(writer)) = (&mut self.array, &mut self.writer) else { return Err(no_array()) };
        let (rows, _) = array.batch();
        let chunks = array.chunks(&rows, values, &self.registry)?;
        for (rows, chunk) in rows.into_iter().zip(chunks) {
            if let Some(id) = decode_header(&chunk)?.model
                && !array.options.embed_in_chunks
                && let Some(packed) = decoder_for_stream(&self.registry, &id)?
            {
                writer.model(id, &packed)?;
            }
            writer.chunk(rows, &chunk)?;
            array.n_chunks += 1;
        }
        Ok(())
    }

    /// Writes what comes before the chunks of the array.
    fn start(&mut self) -> Result<()> {
        if let Some(output) = self.output.take() {
            self.writer = Some(Writer::new(output, self.container.unwrap_or(Container::Npy))?);
        }
        if let (Some(array), Some(writer)) = (&mut self.array, &mut self.writer)
            && !array.is_begun
        {
            writer.array(&array.header.clone().resolved(&array.span))?;
            array.is_begun = true;
        }
        Ok(())
    }

    /// Ends an array that is complete.
    fn close(&mut self) -> Result<()> {
        self.start()?;
        self.array = None;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        match &self.array {
            Some(array) if !array.is_complete() => return Err(incomplete(array)),
            None if self.output.is_some() => {
                return Err(Failure::invalid("no array was written: call baler_writer_array first"));
            }
            _ => {}
        }
        self.close()?;
        match self.writer.take() {
            Some(writer) => Ok(writer.finish().map(|_| ())?),
            None => Err(Failure::invalid("the stream is finished already")),
        }
    }
}

/// What readers elsewhere need of a model, unless every library has it.
fn decoder_for_stream(registry: &Registry, id: &BundleId) -> Result<Option<Vec<u8>>> {
    if baler_models::builtin().find(id)?.is_some() {
        return Ok(None);
    }
    Ok(Some(registry.find(id)?.to_bytes(Contents::DecoderOnly)))
}

fn no_array() -> Failure {
    Failure::invalid("no array is open: call baler_writer_array first")
}

fn incomplete(array: &Array) -> Failure {
    let (taken, total) = (array.taken_bytes, array.header.value_bytes());
    Failure::invalid(format!("{taken} of the {total} bytes of the array were written: write the rest first"))
}

/// Makes a writer to a new stream, whose bytes go to `write`, called with `context`. NULL if that fails;
/// `baler_last_error` says why. The writer keeps the models that the codec has now; the codec can be freed.
///
/// Threads: any.
///
/// # Safety
/// Unless refused, `codec` is a handle that was not freed, and `write` can be called with `context` as long as the writer
/// is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_writer_new(
    codec: *const baler_codec,
    write: baler_write_fn,
    context: *mut c_void,
) -> *mut baler_writer {
    guard!(null_mut(), {
        // SAFETY: the caller's promise.
        let registry = unsafe { shared(codec, "codec") }?.registry();
        let write = write.ok_or_else(|| Failure::invalid("write is NULL"))?;
        let output = Some(Output { write, context });
        let state = State { registry, output, writer: None, container: None, array: None };
        Ok(give(baler_writer(Exclusive::new(state))))
    })
}

/// Gives a writer back. NULL is allowed and does nothing. A stream that was not finished is cut, and readers will say so.
///
/// Threads: one, after all calls that use the writer. Never calls `write`.
///
/// # Safety
/// `writer` comes from `baler_writer_new`, was not freed before, and no thread uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_writer_free(writer: *mut baler_writer) {
    guard!((), {
        // SAFETY: the caller's promise.
        unsafe { take_back(writer, "writer") }
    });
}

/// Begins an array: `params` is of the whole of it. `options` can be NULL.
///
/// A stream of one array can do without a name: NULL or "". One of several needs a name for each, as the members of a
/// `.npz` file have. The array before must be complete.
///
/// Threads: one at a time for each writer; a second gets `BALER_STATUS_INVALID_ARGUMENT`.
///
/// # Safety
/// Unless refused, `writer` is a handle that was not freed, `name` ends with a zero byte, and the structures are of the
/// size they give of themselves.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_writer_array(
    writer: *mut baler_writer,
    name: *const c_char,
    params: *const baler_params,
    options: *const baler_stream_options,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for these and the next.
        let writer = unsafe { shared(writer, "writer") }?;
        // SAFETY: as above.
        let name = unsafe { text(name, "name") }?.unwrap_or_default();
        // SAFETY: as above; the structure is plain and begins with its size.
        let params = unsafe { sized(params, "params")?.to_codec() }?;
        // SAFETY: as above.
        let options = unsafe { self::options(options) }?;
        if options.reversed_axes > 1 {
            let message = format!("options: reversed_axes is {}: expected 0 or 1", options.reversed_axes);
            return Err(Failure::invalid(message));
        }
        writer.0.run(|state| state.begin(name, params, &options))
    })
}

/// Takes in the range of some of the array's values, in any order: for bounds that are meant of the whole array
/// (`BALER_BOUND_REL` and `BALER_BOUND_PSNR` without `per_column`), all of them, before the first is written. Not needed for
/// other bounds.
///
/// Threads: as `baler_writer_array`.
///
/// # Safety
/// Unless refused, `writer` is a handle that was not freed, and `values` points to `values_len` bytes that nobody changes
/// during the call. It needs no alignment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_writer_measure(
    writer: *mut baler_writer,
    values: *const c_void,
    values_len: usize,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for this and the next.
        let writer = unsafe { shared(writer, "writer") }?;
        // SAFETY: as above.
        let values = unsafe { bytes(values, values_len, "values") }?;
        writer.0.run(|state| state.measure(values))
    })
}

/// Writes the next `values_len` bytes of the array, in C order; any number of them. A chunk is encoded as soon as it is
/// full, or one for each thread together.
///
/// After `BALER_STATUS_IO` and other failures that are not of the arguments, the stream is lost, and later calls say so.
///
/// Threads: as `baler_writer_array`.
///
/// # Safety
/// As `baler_writer_measure`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_writer_write(
    writer: *mut baler_writer,
    values: *const c_void,
    values_len: usize,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for this and the next.
        let writer = unsafe { shared(writer, "writer") }?;
        // SAFETY: as above.
        let values = unsafe { bytes(values, values_len, "values") }?;
        writer.0.run(|state| state.write(values))
    })
}

/// Ends the stream, whose last array must be complete: without it, readers report a cut stream.
///
/// Threads: as `baler_writer_array`.
///
/// # Safety
/// Unless refused, `writer` is a handle that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_writer_finish(writer: *mut baler_writer) -> baler_status {
    guard!({
        // SAFETY: the caller's promise.
        let writer = unsafe { shared(writer, "writer") }?;
        writer.0.run(State::finish)
    })
}
