//! The arithmetic of the exact engine: linear layers on each instruction set.
//!
//! This, `simd.rs` and `family/autoregressive/lanes.rs` are the only modules of the crate with `unsafe` code. What makes
//! this one sound is [`Linear`]: its fields are private to this module and every index in it is checked when it is built,
//! so that a kernel handed slices of the right lengths stays inside them.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod generic;
#[cfg(target_arch = "aarch64")]
mod neon;
mod path;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod sse2;

pub use path::{SimdPath, has_fma};
#[cfg(not(target_arch = "x86_64"))]
use scalar::transpose_square;
#[cfg(target_arch = "x86_64")]
use sse2::transpose_square;

use super::activation::Unary;
use crate::error::{Error, Result};
use std::ops::Range;

/// Rows of a block in the row-wise layout: values are stored `[feature][ROWS]`.
pub const ROWS: usize = 32;
/// The most output channels whose sums a kernel of [`Lanes::Rows`] holds at once: with two vectors of rows, twelve sums, two
/// vectors of inputs and a weight fit the sixteen registers of AVX2.
const TILE: usize = 6;
/// The most tiles that one block goes through before the next does. No sum takes more than some hundred taps at a time, so
/// that their weights, 192 KiB, stay in the second-level cache.
const MAX_TILES: usize = 32;
/// Outputs of a weight panel of [`Lanes::Outputs`].
pub const PANEL: usize = 16;

/// Where the lanes of a vector come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// [`ROWS`] rows at a time, values stored `[feature][ROWS]`: for large batches.
    Rows,
    /// Outputs of one row at a time, values stored `[feature]`: for small batches.
    Outputs,
}

impl Lanes {
    /// Rows that one block of values holds.
    pub fn rows(self) -> usize {
        match self {
            Lanes::Rows => ROWS,
            Lanes::Outputs => 1,
        }
    }
}

/// One term of a sum: the input at `position.input + offset` times row `k` of the weights.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    /// Input feature relative to the position's.
    pub offset: u32,
    /// Row of the weight matrix.
    pub k: u32,
}

/// One place where a weight matrix is applied.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// Input feature that taps are relative to.
    pub input: u32,
    /// Output feature of output channel 0.
    pub output: u32,
}

/// Positions that have the same taps.
#[derive(Clone, Debug)]
pub struct Class {
    /// Terms of each sum, in the order of summation.
    taps: Vec<Tap>,
    /// Where.
    positions: Vec<Position>,
    /// Whether the taps follow one another in inputs and weights.
    is_run: bool,
}

impl Class {
    pub fn new(taps: Vec<Tap>, positions: Vec<Position>) -> Self {
        let is_one = |a: u32, b: u32| b.wrapping_sub(a) == 1;
        let follows = |pair: &[Tap]| is_one(pair[0].offset, pair[1].offset) && is_one(pair[0].k, pair[1].k);
        let is_run = !taps.is_empty() && taps.windows(2).all(follows);
        Self { taps, positions, is_run }
    }

    /// The first tap, if the others follow it.
    fn run(&self) -> Option<Tap> {
        if self.is_run { self.taps.first().copied() } else { None }
    }
}

/// Weights of one channel group.
#[derive(Clone, Debug)]
struct Group {
    /// For [`Lanes::Rows`], in the order in which they are read: `[tile][k][TILE]`, filled up with zeros.
    tiles: Vec<f32>,
    /// For [`Lanes::Outputs`]: `[panel][k][PANEL]`, filled up with zeros.
    panels: Vec<f32>,
    /// Padded to whole panels.
    bias: Vec<f32>,
    /// Added to every position.
    input: u32,
    output: u32,
}

/// Tiles of the same width, one after the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// First tile, and how many.
    tile: usize,
    n: usize,
    /// First channel, and those of each tile.
    channel: usize,
    width: usize,
}

/// A dense or convolution layer: for each group, class, position and output channel `o`, an output is the bias, plus
/// by fused multiply-add each tap's input times weight, one after the other.
#[derive(Clone, Debug)]
pub struct Linear {
    n_inputs: usize,
    n_outputs: usize,
    /// Outputs a position has; rows of the weight matrix.
    n_channels: usize,
    n_k: usize,
    /// Distance of output channels.
    stride: usize,
    /// All tiles.
    runs: Vec<Run>,
    groups: Vec<Group>,
    classes: Vec<Class>,
}

/// A dense layer's numbers.
pub struct DenseLayer {
    /// Length of a row of `weights`.
    pub n_inputs: usize,
    /// `[output][input]`.
    pub weights: Vec<f32>,
    /// One for each output.
    pub bias: Vec<f32>,
}

/// What a [`Linear`] is built from.
pub struct LinearSpec<'a> {
    /// Length of the input.
    pub n_inputs: usize,
    /// Length of the output.
    pub n_outputs: usize,
    /// Output channels of each group.
    pub n_channels: usize,
    /// Rows of each group's weight matrix.
    pub n_k: usize,
    /// Distance of output channels in the output.
    pub stride: usize,
    /// Positions by their taps.
    pub classes: Vec<Class>,
    /// Channel groups: the input and output feature they start at.
    pub groups: Vec<(u32, u32)>,
    /// Weight of (group, row, output channel).
    pub weight: &'a dyn Fn(usize, usize, usize) -> f32,
    /// Bias of (group, output channel); nothing stands for +0.
    pub bias: Option<&'a dyn Fn(usize, usize) -> f32>,
}

impl Linear {
    /// Checks every index and packs the weights.
    pub fn new(spec: LinearSpec<'_>) -> Result<Self> {
        let LinearSpec { n_inputs, n_outputs, n_channels, n_k, stride, classes, groups, weight, bias } = spec;
        let broken = || Error::model("a layer's indices leave its tensors");
        if n_channels == 0 {
            return Err(broken());
        }
        for class in &classes {
            let reach = class.taps.iter().map(|tap| tap.offset as usize + 1).max().unwrap_or(0);
            let rows_fit = class.taps.iter().all(|tap| (tap.k as usize) < n_k);
            let last_channel = stride.checked_mul(n_channels - 1).ok_or_else(broken)?;
            let fits = class.positions.iter().all(|position| {
                groups.iter().all(|&(input, output)| {
                    let from = position.input as usize + input as usize;
                    let to = position.output as usize + output as usize;
                    from + reach <= n_inputs && to.checked_add(last_channel).is_some_and(|last| last < n_outputs)
                })
            });
            if !rows_fit || !fits {
                return Err(broken());
            }
        }
        let n_padded = n_channels.checked_next_multiple_of(PANEL).ok_or_else(broken)?;
        n_padded.checked_mul(n_k).ok_or_else(broken)?;
        let runs = runs(n_channels);
        let groups = groups
            .into_iter()
            .enumerate()
            .map(|(g, (input, output))| {
                let weight = |k: usize, o: usize| weight(g, k, o);
                let bias = |o: usize| bias.map_or(0.0, |bias| if o < n_channels { bias(g, o) } else { 0.0 });
                Group {
                    tiles: pack(tiles(&runs), TILE, n_k, weight),
                    panels: pack(panels(n_channels), PANEL, n_k, weight),
                    bias: (0..n_padded).map(bias).collect(),
                    input,
                    output,
                }
            })
            .collect();
        Ok(Self { n_inputs, n_outputs, n_channels, n_k, stride, runs, groups, classes })
    }

    /// The matrix, if this is one dense layer: each output a sum over all inputs.
    pub fn as_dense(&self) -> Option<DenseLayer> {
        let ([group], [class]) = (&self.groups[..], &self.classes[..]) else { return None };
        let is_whole = |(i, tap): (usize, &Tap)| tap.offset as usize == i && tap.k as usize == i;
        let [position] = class.positions[..] else { return None };
        let starts = [group.input, group.output, position.input, position.output];
        let covers =
            class.taps.len() == self.n_inputs && self.n_k == self.n_inputs && self.n_channels == self.n_outputs;
        if starts != [0; 4] || !covers || self.stride != 1 || !class.taps.iter().enumerate().all(is_whole) {
            return None;
        }
        let weight = |o: usize, k: usize| group.panels[(o / PANEL * self.n_k + k) * PANEL + o % PANEL];
        Some(DenseLayer {
            n_inputs: self.n_inputs,
            weights: (0..self.n_outputs).flat_map(|o| (0..self.n_inputs).map(move |k| weight(o, k))).collect(),
            bias: group.bias[..self.n_outputs].to_vec(),
        })
    }

    /// Bytes of weights that [`Lanes::Rows`] reads.
    pub fn weight_bytes(&self) -> usize {
        self.groups.iter().map(|group| 4 * (group.tiles.len() + group.bias.len())).sum()
    }

    /// Multiply-adds for one row.
    pub fn n_fma(&self) -> usize {
        self.n_applied().saturating_mul(self.n_channels)
    }

    /// Panel rows that [`Lanes::Outputs`] goes through for one row.
    pub fn n_panel_fma(&self) -> usize {
        self.n_applied().saturating_mul(self.n_channels.div_ceil(PANEL))
    }

    fn n_applied(&self) -> usize {
        let taps: usize = self.classes.iter().map(|class| class.taps.len() * class.positions.len()).sum();
        taps.saturating_mul(self.groups.len())
    }

    /// Computes the layer for `n_blocks` blocks of values in the layout of `lanes`.
    ///
    /// # Panics
    /// If the slices are not `n_blocks` blocks long, or the host lacks `path`.
    pub fn run(&self, path: SimdPath, lanes: Lanes, n_blocks: usize, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), n_blocks * self.n_inputs * lanes.rows());
        assert_eq!(out.len(), n_blocks * self.n_outputs * lanes.rows());
        assert!(path.is_available());
        // SAFETY: the host has the instructions of `path`; the slices have the lengths that `Linear::new` has checked
        // every index against.
        unsafe {
            match path {
                #[cfg(target_arch = "x86_64")]
                SimdPath::Avx512 => avx512::linear(self, lanes, n_blocks, x, out),
                #[cfg(target_arch = "x86_64")]
                SimdPath::Avx2 => avx2::linear(self, lanes, n_blocks, x, out),
                #[cfg(target_arch = "x86_64")]
                SimdPath::Sse2 => sse2::linear(self, lanes, n_blocks, x, out),
                #[cfg(target_arch = "aarch64")]
                SimdPath::Neon => neon::linear(self, lanes, n_blocks, x, out),
                _ => scalar::linear(self, lanes, n_blocks, x, out),
            }
        }
    }
}

/// Applies an activation in place, with the instructions of `path`; its bits do not depend on them.
pub fn unary(path: SimdPath, op: &Unary, values: &mut [f32]) {
    assert!(path.is_available());
    match path {
        // SAFETY: the host has the instructions of `path`.
        #[cfg(target_arch = "x86_64")]
        SimdPath::Avx512 => unsafe { avx512::unary(op, values) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        SimdPath::Avx2 => unsafe { avx2::unary(op, values) },
        _ => op.apply(values),
    }
}

/// `to[j][i] = from[i][j]` for rows of `from_stride` and of `to_stride` values, by squares: the last ones overlap those
/// before.
///
/// # Panics
/// If the slices do not hold `extents` rows and columns.
pub fn transpose(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize, extents: [usize; 2]) {
    const SIDE: usize = 4;
    let [n, m] = extents;
    if n < SIDE || m < SIDE {
        for i in 0..n {
            for j in 0..m {
                to[j * to_stride + i] = from[i * from_stride + j];
            }
        }
        return;
    }
    assert!((n - 1) * from_stride + m <= from.len() && (m - 1) * to_stride + n <= to.len());
    for j in (0..m).step_by(SIDE).map(|j| j.min(m - SIDE)) {
        for i in (0..n).step_by(SIDE).map(|i| i.min(n - SIDE)) {
            // SAFETY: the last value of the last square is within the slices, as asserted.
            unsafe {
                let (from, to) = (from.as_ptr().add(i * from_stride + j), to.as_mut_ptr().add(j * to_stride + i));
                transpose_square(from, from_stride, to, to_stride);
            }
        }
    }
}

/// Channels are dealt out to tiles evenly, for few sums at once wait for one another: 14 are 5 + 5 + 4, not 6 + 6 + 2.
fn runs(n_channels: usize) -> Vec<Run> {
    let n_tiles = n_channels.div_ceil(TILE);
    let (width, n_wider) = (n_channels / n_tiles, n_channels % n_tiles);
    let run = |tile: usize, n: usize| Run {
        tile,
        n,
        channel: tile * width + tile.min(n_wider),
        width: width + usize::from(tile < n_wider),
    };
    let split = |tiles: Range<usize>| {
        let end = tiles.end;
        tiles.step_by(MAX_TILES).map(move |tile| run(tile, MAX_TILES.min(end - tile)))
    };
    split(0..n_wider).chain(split(n_wider..n_tiles)).collect()
}

/// Channels of each tile.
fn tiles(runs: &[Run]) -> impl Iterator<Item = Range<usize>> {
    runs.iter().flat_map(|run| (0..run.n).map(|i| run.channel + i * run.width..run.channel + (i + 1) * run.width))
}

/// Channels of each panel.
fn panels(n_channels: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n_channels).step_by(PANEL).map(move |first| first..n_channels.min(first + PANEL))
}

/// `[part][k][width]`, each row filled up with zeros.
fn pack(
    parts: impl Iterator<Item = Range<usize>>,
    width: usize,
    n_k: usize,
    weight: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let mut packed = Vec::new();
    for channels in parts {
        for k in 0..n_k {
            let row = channels.clone().map(|o| weight(k, o));
            packed.extend(row.chain(std::iter::repeat(0.0)).take(width));
        }
    }
    packed.shrink_to_fit();
    packed
}
