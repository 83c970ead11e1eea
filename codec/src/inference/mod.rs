//! Exact inference: the same bits on every machine.
//!
//! A stream holds what a decoder network leaves to be said. The writer ran that network, the reader runs it again, and
//! one different last bit would spoil every value after it. Numerical libraries differ between processors, versions,
//! batch sizes and thread counts. This engine does not: each sum is formed in a fixed order by fused multiply-add, which
//! IEEE 754 defines to the last bit, and vectors hold many sums, never parts of one. `docs/inference.md` defines every
//! operator so that it can be written again from there.

mod activation;
mod fixed;
mod kernels;
pub mod onnx;
mod ort;
mod plan;
mod softfma;

pub use fixed::FixedEngine;
pub(crate) use kernels::DenseLayer;
pub use kernels::{SimdPath, has_fma};

use crate::error::{Error, ErrorKind, Result};
use plan::Plan;

/// A network that gives the same bits everywhere, read from ONNX.
#[derive(Clone, Debug)]
pub struct Network {
    plan: Plan,
    input_shape: Vec<usize>,
    output_shape: Vec<usize>,
}

impl Network {
    /// Reads an ONNX file with one input and one output, both of 32-bit floats with the batch as first axis. An operator
    /// that is not supported is an error of kind [`ErrorKind::Unsupported`] that names it.
    pub fn from_onnx(bytes: &[u8]) -> Result<Network> {
        onnx::import(bytes)
    }

    /// Shape of one row of input, without the batch.
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// Shape of one row of output, without the batch.
    pub fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    /// Values in one row of input.
    pub fn input_len(&self) -> usize {
        self.plan.input_len
    }

    /// Values in one row of output.
    pub fn output_len(&self) -> usize {
        self.plan.output_len
    }

    /// Computes `rows` rows by the fastest path of this host.
    pub fn run(&self, rows: usize, input: &[f32], output: &mut [f32]) -> Result<()> {
        self.run_with(SimdPath::best(), rows, input, output)
    }

    /// Computes `rows` rows by `path`, which gives the same bits as any other.
    pub fn run_with(&self, path: SimdPath, rows: usize, input: &[f32], output: &mut [f32]) -> Result<()> {
        check_lengths(rows, (self.input_len(), input.len()), (self.output_len(), output.len()))?;
        if !path.is_available() {
            return Err(Error::invalid(format!("this machine has no {path}")));
        }
        self.plan.run(path, rows, input, output);
        Ok(())
    }

    /// The layers, if the network is a chain of dense layers with ReLU between them.
    pub(crate) fn dense_relu_layers(&self) -> Option<Vec<DenseLayer>> {
        let mut layers = Vec::new();
        let mut slot = self.plan.input_slot;
        let mut is_linear = false;
        for step in &self.plan.steps {
            if step.inputs[..] != [slot] {
                return None;
            }
            match &step.op {
                plan::Op::Linear(linear) if !is_linear => layers.push(linear.as_dense()?),
                plan::Op::Unary(activation::Unary::Relu) if is_linear => {}
                _ => return None,
            }
            is_linear = !is_linear;
            slot = step.output;
        }
        (is_linear && slot == self.plan.output_slot).then_some(layers)
    }

    /// Computes one row and hands on what each step gives, for diagnosis.
    pub fn observe(&self, row: &[f32], with: &mut dyn FnMut(Observed<'_>)) -> Result<()> {
        check_lengths(1, (self.input_len(), row.len()), (0, 0))?;
        self.plan.observe(SimdPath::best(), row, &mut |step, values| {
            let (is_layer, is_in_place) = (matches!(step.op, plan::Op::Linear(_)), step.op.is_in_place());
            with(Observed { is_layer, is_in_place, values });
        });
        Ok(())
    }

    /// As [`Network::run_with`], the rows split over as many as `threads` threads.
    pub fn run_threads(
        &self,
        path: SimdPath,
        threads: usize,
        rows: usize,
        input: &[f32],
        output: &mut [f32],
    ) -> Result<()> {
        let rows_each = rows.div_ceil(threads.max(1)).next_multiple_of(kernels::ROWS);
        if rows_each >= rows {
            return self.run_with(path, rows, input, output);
        }
        check_lengths(rows, (self.input_len(), input.len()), (self.output_len(), output.len()))?;
        std::thread::scope(|scope| {
            let parts =
                input.chunks(rows_each * self.input_len()).zip(output.chunks_mut(rows_each * self.output_len()));
            let workers: Vec<_> = parts
                .map(|(input, output)| {
                    scope.spawn(move || self.run_with(path, input.len() / self.input_len(), input, output))
                })
                .collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }
}

/// What one step of a network gave for one row.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Whether the step is a layer with weights: Gemm, MatMul, Conv, ConvTranspose.
    pub is_layer: bool,
    /// Whether it changed what the step before gave, as activation functions do.
    pub is_in_place: bool,
    /// Its output.
    pub values: &'a [f32],
}

/// Something that turns rows of values into rows of latents. What it gives is stored, so two machines need not agree.
pub trait Encoder: Send + Sync {
    /// Values in one row of input.
    fn input_len(&self) -> usize;
    /// Latents of one row.
    fn output_len(&self) -> usize;
    /// What computes it, for reports: `exact`, `onnxruntime`, `fixed`.
    fn engine(&self) -> &'static str;
    /// Computes `rows` rows.
    fn encode(&self, rows: usize, input: &[f32], output: &mut [f32]) -> Result<()>;
}

impl Encoder for Network {
    fn input_len(&self) -> usize {
        self.input_len()
    }

    fn output_len(&self) -> usize {
        self.output_len()
    }

    fn engine(&self) -> &'static str {
        "exact"
    }

    fn encode(&self, rows: usize, input: &[f32], output: &mut [f32]) -> Result<()> {
        self.run(rows, input, output)
    }
}

/// An encoder from ONNX: by this engine if it has every operator, else by an ONNX Runtime of the host. If there is none,
/// the error is of kind [`ErrorKind::RuntimeMissing`] and says which operator needs it.
pub fn encoder_from_onnx(bytes: &[u8]) -> Result<Box<dyn Encoder>> {
    match Network::from_onnx(bytes) {
        Ok(network) => Ok(Box::new(network)),
        Err(why) if why.kind() == ErrorKind::Unsupported => ort::encoder(bytes, &why),
        Err(why) => Err(why),
    }
}

/// An encoder run by ONNX Runtime even where the exact engine could: for comparison.
pub fn onnxruntime_encoder(bytes: &[u8]) -> Result<Box<dyn Encoder>> {
    ort::encoder(bytes, &Error::unsupported("ONNX Runtime was asked for"))
}

fn check_lengths(rows: usize, input: (usize, usize), output: (usize, usize)) -> Result<()> {
    for (what, (each, found)) in [("input", input), ("output", output)] {
        if rows.checked_mul(each) != Some(found) {
            return Err(Error::invalid(format!("{what} has {found} values: expected {rows} rows of {each}")));
        }
    }
    Ok(())
}
