//! A network as a list of steps over numbered values, and the loop that runs it.

use super::activation::Unary;
use super::kernels::{self, Lanes, Linear, ROWS, SimdPath};
use std::sync::{Mutex, PoisonError};

/// A constant operand: the same for every feature, or one for each.
#[derive(Clone, Debug)]
pub enum Operand {
    /// For every feature.
    Uniform(f32),
    /// For each feature.
    Each(Vec<f32>),
}

/// `+`, `-`, `*`, `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
}

impl Arithmetic {
    #[inline(always)]
    fn of(self, a: f32, b: f32) -> f32 {
        match self {
            Arithmetic::Add => a + b,
            Arithmetic::Sub => a - b,
            Arithmetic::Mul => a * b,
            Arithmetic::Div => a / b,
        }
    }
}

/// What a step computes. Each operates on one row of features at a time; rows never mix.
#[derive(Clone, Debug)]
pub enum Op {
    /// Gemm, MatMul, Conv, ConvTranspose.
    Linear(Box<Linear>),
    /// In place.
    Unary(Unary),
    /// `x op c`, or `c op x` where `swapped`; in place.
    Constant { op: Arithmetic, operand: Operand, swapped: bool },
    /// `c * x` below zero; in place.
    PRelu(Operand),
    /// `x * scale`, rounded, `+ shift`, rounded; in place.
    Affine { scale: Operand, shift: Operand },
    /// `a op b` of two computed values: the first is overwritten.
    Binary(Arithmetic),
    /// The input.
    Copy,
    /// Feature `i` of the output is feature `map[i]` of the input.
    Gather(Vec<u32>),
    /// Feature `i` of input `s` becomes feature `maps[s][i]` of the output.
    Scatter(Vec<Vec<u32>>),
}

impl Op {
    /// Whether the first input is overwritten by the output.
    pub fn is_in_place(&self) -> bool {
        match self {
            Op::Unary(_) | Op::Constant { .. } | Op::PRelu(_) | Op::Affine { .. } | Op::Binary(_) => true,
            Op::Linear(_) | Op::Copy | Op::Gather(_) | Op::Scatter(_) => false,
        }
    }
}

/// A step: inputs and output are slots. An in-place operation has its first input as output.
#[derive(Clone, Debug)]
pub struct Step {
    pub op: Op,
    pub inputs: Vec<usize>,
    pub output: usize,
    /// Features of the inputs and of the output.
    pub input_lens: Vec<usize>,
    pub output_len: usize,
}

/// Everything needed to run a network.
#[derive(Clone, Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Features that each slot must hold.
    pub slots: Vec<usize>,
    pub input_slot: usize,
    pub output_slot: usize,
    pub input_len: usize,
    pub output_len: usize,
    pub pool: Pool,
}

/// Scratch memory kept from one run to the next: fresh memory costs a page fault every 4 KiB.
#[derive(Debug, Default)]
pub struct Pool(Mutex<Vec<Scratch>>);

/// Scratch above this size is given back after a run, and so is that of more threads than this.
const MAX_KEPT_BYTES: usize = 4 << 20;
const MAX_KEPT: usize = 16;

impl Pool {
    fn take(&self) -> Option<Scratch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give(&self, scratch: Scratch) {
        let bytes: usize = scratch.slots.iter().map(|slot| 4 * slot.0.capacity()).sum();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes <= MAX_KEPT_BYTES && kept.len() < MAX_KEPT {
            kept.push(scratch);
        }
    }
}

impl Clone for Pool {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Scratch of row-wise blocks may take this much; above it rows are computed one at a time.
const MAX_ROWS_SCRATCH_BYTES: usize = 64 << 20;
/// Weights up to here stay in the second-level cache while one block after the other goes through all layers.
const RESIDENT_WEIGHT_BYTES: usize = 512 << 10;
/// Above it, several blocks go through each layer together; their largest value takes about this much.
const GROUP_BYTES: usize = 768 << 10;
const MAX_BLOCKS: usize = 8;

impl Plan {
    /// Runs `rows` rows. The caller has checked the lengths.
    pub fn run(&self, path: SimdPath, rows: usize, input: &[f32], output: &mut [f32]) {
        let fresh = || Scratch { slots: self.slots.iter().map(|_| Slot::default()).collect() };
        let mut scratch = self.pool.take().unwrap_or_else(fresh);
        let mut row = 0;
        while row < rows {
            let left = rows - row;
            let (lanes, n_blocks) = self.choose(left);
            let n = left.min(lanes.rows() * n_blocks);
            let from = &input[row * self.input_len..][..n * self.input_len];
            let to = &mut output[row * self.output_len..][..n * self.output_len];
            self.run_blocks(path, lanes, n_blocks, &mut scratch, from, to);
            row += n;
        }
        self.pool.give(scratch);
    }

    /// Runs one row, and hands on what each step gives.
    pub fn observe(&self, path: SimdPath, row: &[f32], with: &mut dyn FnMut(&Step, &[f32])) {
        let mut scratch = Scratch { slots: self.slots.iter().map(|&len| Slot::new(len)).collect() };
        load_rows(Lanes::Outputs, self.input_len, row, scratch.slots[self.input_slot].values_mut());
        for step in &self.steps {
            step.run(path, Lanes::Outputs, 1, &mut scratch);
            with(step, &scratch.slots[step.output].values()[..step.output_len]);
        }
    }

    /// How to compute the next rows when `left` are to be done. Bits do not depend on it.
    fn choose(&self, left: usize) -> (Lanes, usize) {
        let linears = || {
            self.steps.iter().filter_map(|step| match &step.op {
                Op::Linear(linear) => Some(linear),
                _ => None,
            })
        };
        // In panels of 16: what a block of rows costs, and what one row costs on its own (few rows share the reading of
        // weights, which takes longer than the arithmetic).
        let rows_cost: usize = linears().map(|l| l.n_fma().saturating_mul(ROWS / 16)).fold(0, usize::saturating_add);
        let row_cost: usize = linears().map(|l| l.n_panel_fma().saturating_mul(2)).fold(0, usize::saturating_add);
        let scratch_bytes = self.slots.iter().sum::<usize>().saturating_mul(4 * ROWS);
        if left < ROWS && left.saturating_mul(row_cost) < rows_cost || scratch_bytes > MAX_ROWS_SCRATCH_BYTES {
            let n_blocks = (MAX_ROWS_SCRATCH_BYTES / 4 / self.slots.iter().sum::<usize>().max(1)).clamp(1, ROWS);
            return (Lanes::Outputs, n_blocks.min(left));
        }
        let weight_bytes: usize = linears().map(|l| l.weight_bytes()).sum();
        if weight_bytes <= RESIDENT_WEIGHT_BYTES {
            return (Lanes::Rows, 1);
        }
        let largest = self.slots.iter().max().copied().unwrap_or(1).max(1) * 4 * ROWS;
        (Lanes::Rows, (GROUP_BYTES / largest).clamp(1, MAX_BLOCKS.min(left.div_ceil(ROWS))))
    }

    fn run_blocks(
        &self,
        path: SimdPath,
        lanes: Lanes,
        n_blocks: usize,
        scratch: &mut Scratch,
        input: &[f32],
        output: &mut [f32],
    ) {
        for (slot, &len) in scratch.slots.iter_mut().zip(&self.slots) {
            slot.resize(len * n_blocks * lanes.rows());
        }
        let features = self.input_len * lanes.rows();
        let blocks = scratch.slots[self.input_slot].values_mut().chunks_exact_mut(features.max(1)).take(n_blocks);
        let mut rows_left = input;
        for block in blocks {
            let (head, tail) = rows_left.split_at(rows_left.len().min(features));
            load_rows(lanes, self.input_len, head, block);
            rows_left = tail;
        }
        for step in &self.steps {
            step.run(path, lanes, n_blocks, scratch);
        }
        let features = self.output_len * lanes.rows();
        let blocks = scratch.slots[self.output_slot].values().chunks_exact(features.max(1));
        for (block, rows) in blocks.zip(output.chunks_mut(features.max(1))) {
            store_rows(lanes, self.output_len, block, rows);
        }
    }
}

#[derive(Debug)]
struct Scratch {
    slots: Vec<Slot>,
}

/// Values that begin with a line of the cache: half of the vectors of others lie across two, and take twice as long.
#[derive(Debug, Default)]
struct Slot(Vec<f32>);

impl Slot {
    const LINE_BYTES: usize = 64;

    fn new(len: usize) -> Self {
        let mut slot = Self::default();
        slot.resize(len);
        slot
    }

    fn resize(&mut self, len: usize) {
        self.0.resize(len + Self::LINE_BYTES / 4, 0.0);
    }

    fn values(&self) -> &[f32] {
        &self.0[self.0.as_ptr().align_offset(Self::LINE_BYTES)..]
    }

    fn values_mut(&mut self) -> &mut [f32] {
        let start = self.0.as_ptr().align_offset(Self::LINE_BYTES);
        &mut self.0[start..]
    }
}

impl Step {
    fn run(&self, path: SimdPath, lanes: Lanes, n_blocks: usize, scratch: &mut Scratch) {
        let rows = lanes.rows();
        // Taken out, so that the inputs can be borrowed beside it.
        let mut out = std::mem::take(&mut scratch.slots[self.output]);
        let values = &mut out.values_mut()[..self.output_len * rows * n_blocks];
        let inputs = |i: usize| &scratch.slots[self.inputs[i]].values()[..self.input_lens[i] * rows * n_blocks];
        match &self.op {
            Op::Linear(linear) => linear.run(path, lanes, n_blocks, inputs(0), values),
            Op::Unary(op) => kernels::unary(path, op, values),
            Op::Constant { op, operand, swapped } => {
                let op = *op;
                if *swapped {
                    with_operand(values, self.output_len, rows, operand, |x, c| op.of(c, x));
                } else {
                    with_operand(values, self.output_len, rows, operand, |x, c| op.of(x, c));
                }
            }
            Op::PRelu(slope) => {
                with_operand(values, self.output_len, rows, slope, |x, c| if x < 0.0 { c * x } else { x });
            }
            Op::Affine { scale, shift } => {
                with_operand(values, self.output_len, rows, scale, |x, c| x * c);
                with_operand(values, self.output_len, rows, shift, |x, c| x + c);
            }
            Op::Binary(op) => {
                if self.inputs[1] == self.output {
                    values.iter_mut().for_each(|x| *x = op.of(*x, *x));
                } else {
                    values.iter_mut().zip(inputs(1)).for_each(|(x, b)| *x = op.of(*x, *b));
                }
            }
            Op::Copy => values.copy_from_slice(inputs(0)),
            Op::Gather(map) => {
                let blocks = inputs(0).chunks_exact(self.input_lens[0] * rows);
                for (to, from) in values.chunks_exact_mut(self.output_len * rows).zip(blocks) {
                    for (to, &i) in to.chunks_exact_mut(rows).zip(map) {
                        to.copy_from_slice(&from[i as usize * rows..][..rows]);
                    }
                }
            }
            Op::Scatter(maps) => {
                for (s, map) in maps.iter().enumerate() {
                    let blocks = inputs(s).chunks_exact(self.input_lens[s] * rows);
                    for (to, from) in values.chunks_exact_mut(self.output_len * rows).zip(blocks) {
                        for (from, &i) in from.chunks_exact(rows).zip(map) {
                            to[i as usize * rows..][..rows].copy_from_slice(from);
                        }
                    }
                }
            }
        }
        scratch.slots[self.output] = out;
    }
}

fn with_operand(values: &mut [f32], n_features: usize, rows: usize, operand: &Operand, f: impl Fn(f32, f32) -> f32) {
    match operand {
        Operand::Uniform(c) => values.iter_mut().for_each(|x| *x = f(*x, *c)),
        Operand::Each(constants) => {
            for block in values.chunks_exact_mut(n_features * rows) {
                for (feature, &c) in block.chunks_exact_mut(rows).zip(constants) {
                    feature.iter_mut().for_each(|x| *x = f(*x, c));
                }
            }
        }
    }
}

/// Caller's rows to a block. Rows that are not there are left as they are: rows never mix.
fn load_rows(lanes: Lanes, n_features: usize, rows: &[f32], block: &mut [f32]) {
    match lanes {
        Lanes::Outputs => block[..rows.len()].copy_from_slice(rows),
        Lanes::Rows => kernels::transpose(rows, n_features, block, ROWS, [rows.len() / n_features.max(1), n_features]),
    }
}

/// A block to the caller's rows. Every NaN becomes the one quiet NaN `0x7fc00000`: which of several NaN an instruction
/// hands on differs between machines.
fn store_rows(lanes: Lanes, n_features: usize, block: &[f32], rows: &mut [f32]) {
    match lanes {
        Lanes::Outputs => rows.copy_from_slice(&block[..rows.len()]),
        Lanes::Rows => kernels::transpose(block, ROWS, rows, n_features, [n_features, rows.len() / n_features.max(1)]),
    }
    for x in rows {
        *x = if x.is_nan() { f32::from_bits(0x7fc0_0000) } else { *x };
    }
}
