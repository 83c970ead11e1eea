//! The kernels, once, over the vectors of an instruction set.
//!
//! In plain words, for one position and output channel `o`:
//!
//! ```text
//! sum = bias[o]
//! for tap in taps: sum = fma(x[position.input + tap.offset], weights[tap.k][o], sum)
//! out[position.output + o * stride] = sum
//! ```
//!
//! A vector holds the sums of many rows ([`rows`]) or of many output channels ([`outputs`]); it never holds parts of
//! one sum, so every sum is formed in the order above whatever the vector's width. Several vectors are in flight at
//! once, because a fused multiply-add takes about four cycles and one or two can start in each.

// Loops count up to constants and index arrays that live in registers.
#![allow(clippy::needless_range_loop)]

use super::{Class, Group, Lanes, Linear, PANEL, Position, ROWS, TILE, Tap};
use std::ops::Range;

/// Vectors of `f32` of one instruction set.
pub(super) trait Simd {
    type V: Copy;
    const LANES: usize;
    /// Vectors of rows that [`rows`] holds at once; `VECTORS * LANES` divides [`ROWS`].
    const VECTORS: usize;
    /// The most output channels that [`rows`] holds at once, at most [`TILE`].
    const CHANNELS: usize;

    unsafe fn splat(value: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
}

/// The most taps that [`Lanes::Rows`] walks through before it turns to the next panel: their inputs and weights stay
/// in the first-level cache. Longer sums wait in the output meanwhile, which changes no bit.
const MAX_TAPS: usize = 256;
const TAPS_OF_LONG_SUMS: usize = 192;

/// Runs `linear`. `NV` is `S::VECTORS`, `NP` the vectors of a panel: constants cannot be computed from `S` yet.
///
/// # Safety
/// The host has the instructions of `S`; `x` and `out` hold `n_blocks` blocks of the layer's inputs and outputs.
#[inline(always)]
pub(super) unsafe fn linear<S: Simd, const NV: usize, const NP: usize>(
    linear: &Linear,
    lanes: Lanes,
    n_blocks: usize,
    x: &[f32],
    out: &mut [f32],
) {
    const {
        assert!(NV == S::VECTORS && NP * S::LANES == PANEL && ROWS.is_multiple_of(NV * S::LANES) && S::CHANNELS <= TILE)
    };
    let all = Blocks { x: x.as_ptr(), out: out.as_mut_ptr(), n: n_blocks };
    for group in &linear.groups {
        for class in &linear.classes {
            // SAFETY: the blocks lie inside the slices; indices inside a block were checked by `Linear::new`.
            unsafe {
                match class.run() {
                    Some(first) => {
                        let (offset, k) = (first.offset as usize, first.k as usize);
                        let taps = |at: Range<usize>| at.map(move |i| (offset + i, k + i));
                        one_class::<S, NV, NP, _>(linear, lanes, group, class, all, taps);
                    }
                    None => {
                        let indices = |tap: &Tap| (tap.offset as usize, tap.k as usize);
                        let taps = |at: Range<usize>| class.taps[at].iter().map(indices);
                        one_class::<S, NV, NP, _>(linear, lanes, group, class, all, taps);
                    }
                }
            }
        }
    }
}

/// One class, some of whose taps `taps` goes through, as offset and row of the weights.
#[inline(always)]
unsafe fn one_class<S: Simd, const NV: usize, const NP: usize, T: Taps>(
    linear: &Linear,
    lanes: Lanes,
    group: &Group,
    class: &Class,
    blocks: Blocks,
    taps: impl Fn(Range<usize>) -> T,
) {
    // SAFETY: as the caller's.
    unsafe {
        match lanes {
            Lanes::Rows => rows::<S, NV, T>(linear, group, class, blocks, taps),
            Lanes::Outputs => outputs::<S, NP>(linear, group, class, blocks, taps(0..class.taps.len())),
        }
    }
}

/// Offsets and rows of the weights. Where they follow one another they are counted: the list of taps would be read beside
/// inputs and weights, which takes all that the processor can read.
trait Taps: DoubleEndedIterator<Item = (usize, usize)> + Clone {}

impl<T: DoubleEndedIterator<Item = (usize, usize)> + Clone> Taps for T {}

/// Where the values of all blocks start.
#[derive(Clone, Copy)]
struct Blocks {
    x: *const f32,
    out: *mut f32,
    n: usize,
}

/// Tiles of the same width, one after the other: pointers to a block's inputs and to the first tile's weights, biases and
/// outputs.
#[derive(Clone, Copy)]
struct Tiles {
    x: *const f32,
    weights: *const f32,
    bias: *const f32,
    out: *mut f32,
    n: usize,
    /// Channels of each.
    width: usize,
    /// Sums go on from what the output holds, not from the bias.
    resume: bool,
}

/// One class in the row-wise layout.
#[inline(always)]
unsafe fn rows<S: Simd, const NV: usize, T: Taps>(
    linear: &Linear,
    group: &Group,
    class: &Class,
    blocks: Blocks,
    taps: impl Fn(Range<usize>) -> T,
) {
    let n_taps = class.taps.len();
    let step = if n_taps <= MAX_TAPS { n_taps.max(1) } else { TAPS_OF_LONG_SUMS };
    for first_tap in (0..n_taps.max(1)).step_by(step) {
        let taps = taps(first_tap..n_taps.min(first_tap + step));
        for run in &linear.runs {
            let mut channel = 0;
            while channel < run.width {
                let left = run.width - channel;
                let take = left.div_ceil(left.div_ceil(S::CHANNELS));
                // SAFETY: the group's `tiles` holds `n_k * TILE` values for each tile, its `bias` one for each channel; outputs of
                // channels are `stride` apart; the rest as the caller's.
                unsafe {
                    let first = run.channel + channel;
                    let tiles = Tiles {
                        x: blocks.x.add(group.input as usize * ROWS),
                        // A layer without rows has no weights, from the start of which this would lead away.
                        weights: group.tiles.as_ptr().wrapping_add(run.tile * linear.n_k * TILE + channel),
                        bias: group.bias.as_ptr().add(first),
                        out: blocks.out.add((group.output as usize + first * linear.stride) * ROWS),
                        n: run.n,
                        width: run.width,
                        resume: first_tap > 0,
                    };
                    match take {
                        1 => rows_class::<S, NV, 1, 4>(linear, tiles, blocks.n, taps.clone(), &class.positions),
                        2 => rows_class::<S, NV, 2, 2>(linear, tiles, blocks.n, taps.clone(), &class.positions),
                        3 => rows_class::<S, NV, 3, 1>(linear, tiles, blocks.n, taps.clone(), &class.positions),
                        4 => rows_class::<S, NV, 4, 1>(linear, tiles, blocks.n, taps.clone(), &class.positions),
                        5 => rows_class::<S, NV, 5, 1>(linear, tiles, blocks.n, taps.clone(), &class.positions),
                        _ => rows_class::<S, NV, 6, 1>(linear, tiles, blocks.n, taps.clone(), &class.positions),
                    }
                }
                channel += take;
            }
        }
    }
}

/// `NC` channels of each tile, `NQ` positions at a time.
#[inline(always)]
unsafe fn rows_class<S: Simd, const NV: usize, const NC: usize, const NQ: usize>(
    linear: &Linear,
    tiles: Tiles,
    n_blocks: usize,
    taps: impl Taps,
    positions: &[Position],
) {
    let (chunks, rest) = positions.as_chunks::<NQ>();
    for block in 0..n_blocks {
        for first_row in (0..ROWS).step_by(NV * S::LANES) {
            // SAFETY: as the caller's.
            unsafe {
                let tiles = Tiles {
                    x: tiles.x.add(block * linear.n_inputs * ROWS + first_row),
                    out: tiles.out.add(block * linear.n_outputs * ROWS + first_row),
                    ..tiles
                };
                for positions in chunks {
                    rows_kernel::<S, NV, NC, NQ>(linear, tiles, taps.clone(), positions);
                }
                for position in rest {
                    rows_kernel::<S, NV, NC, 1>(linear, tiles, taps.clone(), &[*position]);
                }
            }
        }
    }
}

/// The tiles, one after the other, so that there is little to be done between two of them.
#[inline(always)]
unsafe fn rows_kernel<S: Simd, const NV: usize, const NC: usize, const NQ: usize>(
    linear: &Linear,
    tiles: Tiles,
    taps: impl Taps,
    positions: &[Position; NQ],
) {
    let stride = linear.stride * ROWS;
    // SAFETY: as the caller's.
    unsafe {
        let inputs = positions.map(|position| tiles.x.add(position.input as usize * ROWS));
        let outputs = positions.map(|position| tiles.out.add(position.output as usize * ROWS));
        for i in 0..tiles.n {
            let (weights, bias) = (tiles.weights.add(i * linear.n_k * TILE), tiles.bias.add(i * tiles.width));
            let output = |c: usize, q: usize, v: usize| outputs[q].add((i * tiles.width + c) * stride + v * S::LANES);
            let mut sums = [[[S::splat(0.0); NV]; NQ]; NC];
            for c in 0..NC {
                let bias = S::splat(*bias.add(c));
                for q in 0..NQ {
                    for v in 0..NV {
                        sums[c][q][v] = if tiles.resume { S::load(output(c, q, v)) } else { bias };
                    }
                }
            }
            let mut taps = taps.clone();
            let last = taps.next_back();
            for tap in taps {
                products::<S, NV, NC, NQ>(inputs, weights, tap, |c, q, v, x, weight| {
                    sums[c][q][v] = S::fma(x, weight, sums[c][q][v]);
                });
            }
            // Each sum is stored as soon as it is there: twelve stores in a row would hold up the next tile.
            match last {
                Some(tap) => products::<S, NV, NC, NQ>(inputs, weights, tap, |c, q, v, x, weight| {
                    S::store(output(c, q, v), S::fma(x, weight, sums[c][q][v]));
                }),
                None => {
                    for c in 0..NC {
                        for q in 0..NQ {
                            for v in 0..NV {
                                S::store(output(c, q, v), sums[c][q][v]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Goes through a tap's inputs and weights, by channel, position and vector.
#[inline(always)]
unsafe fn products<S: Simd, const NV: usize, const NC: usize, const NQ: usize>(
    inputs: [*const f32; NQ],
    weights: *const f32,
    (offset, k): (usize, usize),
    mut with: impl FnMut(usize, usize, usize, S::V, S::V),
) {
    // SAFETY: as the caller's.
    unsafe {
        let mut x = [[S::splat(0.0); NV]; NQ];
        for q in 0..NQ {
            for v in 0..NV {
                x[q][v] = S::load(inputs[q].add(offset * ROWS + v * S::LANES));
            }
        }
        for c in 0..NC {
            let weight = S::splat(*weights.add(k * TILE + c));
            for q in 0..NQ {
                for v in 0..NV {
                    with(c, q, v, x[q][v], weight);
                }
            }
        }
    }
}

/// One class in the layout of single rows. Four sums of a channel are in flight where there are as many positions and
/// rows, else those of four panels.
#[inline(always)]
unsafe fn outputs<S: Simd, const NP: usize>(
    linear: &Linear,
    group: &Group,
    class: &Class,
    blocks: Blocks,
    taps: impl Taps,
) {
    let n_panels = linear.n_channels.div_ceil(PANEL);
    let n_places = class.positions.len() * blocks.n;
    // The starts of inputs and outputs of place `i`, blocks fastest, so that rows share weights.
    let place = |i: usize| {
        let (position, block) = (class.positions[i / blocks.n], i % blocks.n);
        // SAFETY: as the caller's.
        unsafe {
            (
                blocks.x.add(block * linear.n_inputs + group.input as usize + position.input as usize),
                blocks.out.add(block * linear.n_outputs + group.output as usize + position.output as usize),
            )
        }
    };
    let full = n_places / 4 * 4;
    // SAFETY: as the caller's; panels are below `n_panels`.
    unsafe {
        for panel in 0..n_panels {
            for i in (0..full).step_by(4) {
                let places = [place(i), place(i + 1), place(i + 2), place(i + 3)];
                outputs_kernel::<S, NP, 4, 1>(linear, group, taps.clone(), places, panel);
            }
        }
        for i in full..n_places {
            for panel in (0..n_panels / 4 * 4).step_by(4) {
                outputs_kernel::<S, NP, 1, 4>(linear, group, taps.clone(), [place(i)], panel);
            }
            for panel in n_panels / 4 * 4..n_panels {
                outputs_kernel::<S, NP, 1, 1>(linear, group, taps.clone(), [place(i)], panel);
            }
        }
    }
}

/// `NQ` places, `NB` panels from `panel` on.
#[inline(always)]
unsafe fn outputs_kernel<S: Simd, const NP: usize, const NQ: usize, const NB: usize>(
    linear: &Linear,
    group: &Group,
    taps: impl Taps,
    places: [(*const f32, *mut f32); NQ],
    panel: usize,
) {
    // SAFETY: as the caller's; a panel has `PANEL` weights a row and `PANEL` biases even where it has fewer channels.
    unsafe {
        let panel_len = linear.n_k * PANEL;
        let weights = group.panels.as_ptr().add(panel * panel_len);
        let mut sums = [[[S::splat(0.0); NP]; NB]; NQ];
        for q in 0..NQ {
            for b in 0..NB {
                for p in 0..NP {
                    sums[q][b][p] = S::load(group.bias.as_ptr().add((panel + b) * PANEL + p * S::LANES));
                }
            }
        }
        for (offset, k) in taps {
            let weights = weights.add(k * PANEL);
            for q in 0..NQ {
                let x = S::splat(*places[q].0.add(offset));
                for b in 0..NB {
                    for p in 0..NP {
                        let weight = S::load(weights.add(b * panel_len + p * S::LANES));
                        sums[q][b][p] = S::fma(x, weight, sums[q][b][p]);
                    }
                }
            }
        }
        for q in 0..NQ {
            for b in 0..NB {
                let mut values = [0.0; PANEL];
                for p in 0..NP {
                    S::store(values.as_mut_ptr().add(p * S::LANES), sums[q][b][p]);
                }
                let first = (panel + b) * PANEL;
                let to = places[q].1.add(first * linear.stride);
                for (c, value) in values.iter().enumerate().take(linear.n_channels - first) {
                    *to.add(c * linear.stride) = *value;
                }
            }
        }
    }
}
