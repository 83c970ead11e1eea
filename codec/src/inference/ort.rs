//! Encoders that our own engine has no operators for, run by an ONNX Runtime of the host.
//!
//! What an encoder gives is stored, so its last bits may differ from machine to machine; a decoder's may not, and none
//! is ever run here. The library is looked for when it is first needed: nothing else in this crate depends on it.

use super::{Encoder, check_lengths};
use crate::error::{Error, ErrorKind, Result};
use ort::environment::Environment;
use ort::session::Session;
use ort::value::{TensorElementType, TensorRef, ValueType};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Names the library to load, as other programs that use ONNX Runtime have it.
const PATH_VARIABLE: &str = "ORT_DYLIB_PATH";

struct RuntimeEncoder {
    /// The crate runs a session by exclusive reference.
    session: Mutex<Session>,
    input_name: String,
    /// Without the batch.
    input_shape: Vec<i64>,
    input_len: usize,
    output_len: usize,
    /// The graph fixes its batch to one row.
    single_rows: bool,
}

/// An encoder run by ONNX Runtime; `why` is what kept our own engine from running it.
pub fn encoder(bytes: &[u8], why: &Error) -> Result<Box<dyn Encoder>> {
    let environment = environment().map_err(|e| {
        Error::new(
            ErrorKind::RuntimeMissing,
            format!(
                "{}. Such an encoder runs through ONNX Runtime, which could not be used: {e}. Ways out: `pip install \
                 onnxruntime`, then set {PATH_VARIABLE} to the libonnxruntime.so.* in the folder onnxruntime/capi of \
                 that package; or export the encoder with supported operators only. Reading needs neither",
                why.message()
            ),
        )
    })?;
    let session = session(environment, bytes).map_err(|e| Error::model(format!("ONNX Runtime: {e}")))?;
    let ([input], [output]) = (session.inputs(), session.outputs()) else {
        return Err(Error::unsupported(format!(
            "the graph has {} inputs and {} outputs: expected one of each",
            session.inputs().len(),
            session.outputs().len()
        )));
    };
    let row_shape = |what: &str, value: &ValueType| match (value.tensor_type(), value.tensor_shape()) {
        (Some(TensorElementType::Float32), Some(shape)) if !shape.is_empty() => Ok(shape.to_vec()),
        _ => Err(Error::unsupported(format!("{what} is {value}: expected floats with the batch as first axis"))),
    };
    let input_shape = row_shape("the input", input.dtype())?;
    let output_shape = row_shape("the output", output.dtype())?;
    let single_rows = match input_shape[0] {
        -1 => false,
        1 => true,
        n => return Err(Error::unsupported(format!("axis 0 of the input, the batch, is fixed to {n}"))),
    };
    let (input_name, input_shape) = (input.name().to_owned(), input_shape[1..].to_vec());
    let Some(input_len) = product(&input_shape) else {
        return Err(Error::unsupported(format!(
            "rows of input have the shape {input_shape:?}: expected fixed extents"
        )));
    };
    let mut encoder = RuntimeEncoder {
        session: Mutex::new(session),
        input_name,
        input_shape,
        input_len,
        output_len: product(&output_shape[1..]).unwrap_or(0),
        single_rows,
    };
    if encoder.output_len == 0 {
        // The file does not say: one row of zeros does.
        encoder.output_len = encoder.with_output(1, &vec![0.0; input_len], |output| Ok(output.len()))?;
    }
    Ok(Box::new(encoder))
}

fn product(shape: &[i64]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(usize::try_from(extent).ok().filter(|&e| e > 0)?))
}

/// The one environment of the process, or why there is none.
fn environment() -> std::result::Result<&'static Environment, String> {
    static ENVIRONMENT: OnceLock<std::result::Result<Environment, String>> = OnceLock::new();
    let loaded = ENVIRONMENT.get_or_init(|| {
        let (path, from) = match std::env::var_os(PATH_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => (PathBuf::from(path), format!("{PATH_VARIABLE} names it")),
            None => {
                let name = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
                (PathBuf::from(name), format!("looked for by the system's loader, since {PATH_VARIABLE} is not set"))
            }
        };
        // Loading here, not on first use inside the crate, where a missing library would panic.
        let builder = ort::init_from(&path).map_err(|e| format!("{e} ({from})"))?;
        builder.with_name("baler").with_telemetry(false).build().map_err(|e| e.to_string())
    });
    loaded.as_ref().map_err(Clone::clone)
}

fn session(environment: &Environment, bytes: &[u8]) -> ort::Result<Session> {
    // One thread: hosts have their own, and its own split of small layers is slower than none.
    Session::builder(environment)?.with_intra_threads(1)?.with_inter_threads(1)?.commit_from_memory(bytes)
}

impl RuntimeEncoder {
    fn with_output<T>(&self, rows: usize, input: &[f32], use_output: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
        let failed = |e: ort::Error| Error::model(format!("ONNX Runtime could not run the encoder: {e}"));
        let mut shape = vec![i64::try_from(rows).map_err(|_| Error::invalid(format!("{rows} rows")))?];
        shape.extend_from_slice(&self.input_shape);
        let tensor = TensorRef::from_array_view((shape, input)).map_err(failed)?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(ort::inputs![self.input_name.as_str() => tensor]).map_err(failed)?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
        use_output(values)
    }
}

impl Encoder for RuntimeEncoder {
    fn input_len(&self) -> usize {
        self.input_len
    }

    fn output_len(&self) -> usize {
        self.output_len
    }

    fn engine(&self) -> &'static str {
        "onnxruntime"
    }

    fn encode(&self, rows: usize, input: &[f32], output: &mut [f32]) -> Result<()> {
        check_lengths(rows, (self.input_len, input.len()), (self.output_len, output.len()))?;
        let rows_each = if self.single_rows { 1 } else { rows.max(1) };
        let inputs = input.chunks(rows_each * self.input_len);
        for (input, output) in inputs.zip(output.chunks_mut(rows_each * self.output_len)) {
            self.with_output(input.len() / self.input_len, input, |values| {
                if values.len() != output.len() {
                    return Err(Error::model(format!(
                        "the encoder gave {} values: expected {}",
                        values.len(),
                        output.len()
                    )));
                }
                output.copy_from_slice(values);
                Ok(())
            })?;
        }
        Ok(())
    }
}
