//! Tables as Arrow C streams: record batches of values to record batches of codes, and back.

use crate::guard::guard;
use crate::memory::{Output, Versioned, shared, sized, slice, text};
use crate::status::{Failure, baler_status};
use arrow_array::ffi_stream::{FFI_ArrowArrayStream as ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, SchemaRef};
use baler_arrow::{Checked, Decoder, Documents, Encoder, Options, Ranges, document_ids, parse_limit, plan};
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// Which columns of a table are encoded, and how well. Set everything to zero, then `struct_size`, then what you want.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct baler_arrow_options {
    /// `sizeof(baler_arrow_options)`.
    pub struct_size: usize,
    /// The bound of every column of floats: `abs:0.1`, `rel:1e-4`, `pw_rel:1e-3`, `bits:10` (mantissa bits kept) or
    /// `lossless`. NULL: what the metadata of the schema and its fields ask for (`baler.abs`, ...).
    pub bound: *const c_char,
    /// `n_columns` texts for single columns, by path: `jets.pt=abs:0.01`, `weight=lossless`.
    pub columns: *const *const c_char,
    /// Number of texts at `columns`.
    pub n_columns: usize,
    /// 0, or 1: no column is predicted from others.
    pub no_prediction: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: `repr(C)`, begins with `struct_size`, plain numbers and pointers without padding.
unsafe impl Versioned for baler_arrow_options {
    const SIZES: &'static [usize] = &[40];
}

impl baler_arrow_options {
    /// # Safety
    /// The pointers are NULL or point to as much as the members beside them say.
    unsafe fn to_options(self) -> Result<Options> {
        let mut options = Options::default();
        // SAFETY: the caller's promise, for this and the next two.
        if let Some(bound) = unsafe { text(self.bound, "options: bound") }? {
            options.bound = parse_limit(bound)?;
        }
        // SAFETY: as above.
        for &column in unsafe { slice(self.columns, self.n_columns, "options: columns") }? {
            // SAFETY: as above.
            let column = unsafe { text(column, "options: columns") }?.unwrap_or_default();
            let (path, limit) = column.rsplit_once('=').ok_or_else(|| {
                Failure::invalid(format!("options: columns: {column:?}: expected path=bound, such as jets.pt=abs:0.01"))
            })?;
            options.columns.insert(path.to_owned(), parse_limit(limit)?);
        }
        options.no_prediction = match self.no_prediction {
            0 => false,
            1 => true,
            n => return Err(Failure::invalid(format!("options: no_prediction is {n}: expected 0 or 1"))),
        };
        if self.reserved != 0 {
            return Err(Failure::invalid(format!("options: reserved is {}: expected 0", self.reserved)));
        }
        Ok(options)
    }
}

impl From<baler_arrow::Error> for Failure {
    fn from(error: baler_arrow::Error) -> Self {
        match error {
            baler_arrow::Error::Codec(error) => error.into(),
            baler_arrow::Error::Arrow(error) => error.into(),
            other => Self::new(baler_status::Io, other.to_string()),
        }
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self::new(baler_status::Io, format!("the stream `in`: {error}"))
    }
}

/// A stream of the caller, looked at and not taken over yet.
///
/// # Safety
/// Unless refused, `input` points to a stream.
unsafe fn check_stream(input: *mut ArrowArrayStream, out: &Output<ArrowArrayStream>) -> Result<()> {
    // SAFETY: the caller's promise.
    let stream = unsafe { shared(input, "in") }?;
    out.disjoint_from(std::slice::from_ref(stream), "in")?;
    if stream.release().is_none() {
        return Err(Failure::invalid("in is a released stream: was it handed to another function before?"));
    }
    if stream.get_schema().is_none() || stream.get_next().is_none() || stream.get_last_error().is_none() {
        return Err(Failure::invalid("in: get_schema, get_next or get_last_error is NULL"));
    }
    Ok(())
}

/// Takes the caller's stream over: `*input` is released afterwards, as the interface wants it of who moves one.
///
/// # Safety
/// `input` has passed [`check_stream`].
unsafe fn take(input: *mut ArrowArrayStream) -> Result<Checked<RecordBatchStreamReader>> {
    // SAFETY: not NULL and aligned, as checked; the rest is the caller's promise.
    Ok(Checked(unsafe { RecordBatchStreamReader::from_raw(input) }?))
}

/// Batches that the caller asks for. No panic reaches who calls the stream, and after an error there are no more of them.
struct Made<I> {
    schema: SchemaRef,
    batches: Option<I>,
}

impl<I: Iterator<Item = Result<RecordBatch>>> Iterator for Made<I> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batches = self.batches.as_mut()?;
        let batch = catch_unwind(AssertUnwindSafe(|| batches.next()))
            .unwrap_or_else(|_| Some(Err(Failure::new(baler_status::Internal, "a defect of Baler; please report it"))));
        if !matches!(batch, Some(Ok(_))) {
            self.batches = None;
        }
        // A zero byte would be the end of the message.
        batch.map(|batch| batch.map_err(|e| ArrowError::ExternalError(e.message.replace('\0', "?").into())))
    }
}

impl<I: Iterator<Item = Result<RecordBatch>>> RecordBatchReader for Made<I> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Hands a stream of batches to the caller.
fn hand_over<I>(out: &Output<ArrowArrayStream>, schema: SchemaRef, batches: I) -> Result<()>
where
    I: Iterator<Item = Result<RecordBatch>> + Send + 'static,
{
    // A schema that cannot be handed over is found here rather than by who asks the stream for it.
    FFI_ArrowSchema::try_from(schema.as_ref())?;
    out.put(ArrowArrayStream::new(Box::new(Made { schema, batches: Some(batches) })))
}

/// Encodes the columns of a table: `out` becomes a stream of batches of codes. `options` can be NULL: then metadata say what
/// is encoded.
///
/// Takes `in` over and reads it to its end, since the codes of a column follow from the range of all its values: the table
/// is in memory until `out` is released. Batches are encoded as `out` gives them. After
/// `BALER_STATUS_INVALID_ARGUMENT` for a pointer or an option, `in` is as it was; otherwise it is a released stream.
/// `out` is written by a call that succeeds, and must be released by the caller.
///
/// The environment is read here: `BALER_MODEL_PATH`, `XDG_DATA_HOME`, `HOME`.
///
/// Threads: any, while none changes the environment; `out` by one at a time.
///
/// # Safety
/// Unless refused, `in` points to a stream, `options` to a structure of the size it gives of itself whose pointers are
/// valid, and `out` to room for a stream, whose content is not looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_arrow_encode_stream(
    r#in: *mut ArrowArrayStream,
    options: *const baler_arrow_options,
    out: *mut ArrowArrayStream,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for this and the next.
        let out = unsafe { Output::new(out, 1, "out") }?;
        // SAFETY: as above.
        unsafe { check_stream(r#in, &out) }?;
        let options = match options.is_null() {
            true => Options::default(),
            // SAFETY: as above; the structure is plain and begins with its size.
            false => unsafe { sized(options, "options")?.to_options() }?,
        };
        // SAFETY: checked above.
        let given = unsafe { take(r#in) }?;
        let schema = given.0.schema();
        let batches = given.collect::<Result<Vec<_>, _>>()?;
        let mut ranges = Ranges::default();
        for batch in &batches {
            ranges.observe(batch)?;
        }
        let empty = RecordBatch::new_empty(schema.clone());
        let sample = batches.iter().max_by_key(|batch| batch.num_rows()).unwrap_or(&empty);
        let (document, _) = plan(&schema, &ranges, sample, &options)?;
        let encoder = Encoder::new(Arc::new(document), &schema)?;
        let coded = encoder.schema().clone();
        hand_over(&out, coded, batches.into_iter().map(move |batch| Ok(encoder.encode(&batch)?.batch)))
    })
}

/// Decodes a table that was encoded by `baler_arrow_encode_stream`, or by any other program of Baler's that writes such
/// columns: `out` becomes a stream of batches of values. A table that is not encoded passes unchanged.
///
/// Takes `in` over; one batch at a time is in memory. What decoding needs travels in the schema's metadata; where a program
/// in between has dropped them, it is looked for in the folders of `BALER_MODEL_PATH` and the user's. Otherwise as
/// `baler_arrow_encode_stream`.
///
/// Threads: any, while none changes the environment; `out` by one at a time.
///
/// # Safety
/// As `baler_arrow_encode_stream`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn baler_arrow_decode_stream(
    r#in: *mut ArrowArrayStream,
    out: *mut ArrowArrayStream,
) -> baler_status {
    guard!({
        // SAFETY: the caller's promise, for this and the next.
        let out = unsafe { Output::new(out, 1, "out") }?;
        // SAFETY: as above.
        unsafe { check_stream(r#in, &out) }?;
        // SAFETY: checked above.
        let mut given = unsafe { take(r#in) }?;
        let schema = given.0.schema();
        // Where metadata were lost, the rows say which document they follow.
        let first = given.next().transpose()?;
        let ids = first.as_ref().map_or(Ok(Vec::new()), document_ids)?;
        let mut decoder = Decoder::new(&schema, Documents::standard(), &ids)?;
        let decoded = decoder.schema().clone();
        let batches = first.map(Ok).into_iter().chain(given);
        hand_over(&out, decoded, batches.map(move |batch| Ok(decoder.decode(&batch?)?)))
    })
}
