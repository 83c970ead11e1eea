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

use super::{Class, Lanes, Linear, PANEL, Position, ROWS, Tap, panels};

/// Vectors of `f32` of one instruction set.
pub(super) trait Simd {
    type V: Copy;
    const LANES: usize;
    /// Vectors of rows that [`rows`] holds at once; `VECTORS * LANES` divides [`ROWS`].
    const VECTORS: usize;
    /// The most output channels that [`rows`] holds at once, at most 8.
    const CHANNELS: usize;

    unsafe fn splat(value: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
}

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
    const { assert!(NV == S::VECTORS && NP * S::LANES == PANEL && ROWS % (NV * S::LANES) == 0 && S::CHANNELS <= 8) };
    for group in &linear.groups {
        for (panel, channels) in panels(linear.n_channels) {
            // SAFETY: `weights` holds `n_k * PANEL` values for each panel, `bias` `PANEL`.
            let (weights, bias) = unsafe {
                (group.weights.as_ptr().add(panel * linear.n_k * PANEL), group.bias.as_ptr().add(panel * PANEL))
            };
            for block in 0..n_blocks {
                for class in &linear.classes {
                    // SAFETY: block `block` lies inside the slices; indices inside a block were checked by
                    // `Linear::new`; channels of the panel start at `channels.start * stride`.
                    unsafe {
                        let first = channels.start * linear.stride + group.output as usize;
                        match lanes {
                            Lanes::Rows => {
                                let x = x.as_ptr().add((block * linear.n_inputs + group.input as usize) * ROWS);
                                let out = out.as_mut_ptr().add((block * linear.n_outputs + first) * ROWS);
                                let tile = Tile { x, weights, bias, out, stride: linear.stride };
                                rows::<S, NV>(tile, class, channels.len());
                            }
                            Lanes::Outputs => {
                                let x = x.as_ptr().add(block * linear.n_inputs + group.input as usize);
                                let out = out.as_mut_ptr().add(block * linear.n_outputs + first);
                                let tile = Tile { x, weights, bias, out, stride: linear.stride };
                                outputs::<S, NP>(tile, class, channels.len());
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Pointers to one block's inputs and outputs and to one panel.
#[derive(Clone, Copy)]
struct Tile {
    x: *const f32,
    weights: *const f32,
    bias: *const f32,
    out: *mut f32,
    stride: usize,
}

impl Tile {
    /// The same with the panel's channels before `channel` left out; `scale` is the rows of the layout.
    #[inline(always)]
    unsafe fn skip(self, channel: usize, scale: usize) -> Self {
        // SAFETY: the caller has at least `channel` channels.
        unsafe {
            Tile {
                weights: self.weights.add(channel),
                bias: self.bias.add(channel),
                out: self.out.add(channel * self.stride * scale),
                ..self
            }
        }
    }
}

/// One class on one block in the row-wise layout, `n` channels.
#[inline(always)]
unsafe fn rows<S: Simd, const NV: usize>(tile: Tile, class: &Class, n: usize) {
    // SAFETY: as the caller's: `n` channels, and every position and tap of the class, lie inside the block.
    unsafe {
        let mut channel = 0;
        while channel < n {
            let at = tile.skip(channel, ROWS);
            // Split what is left evenly: 14 channels are 7 + 7, not 8 + 6, and 9 are not 8 + 1.
            let left = n - channel;
            let take = left.div_ceil(left.div_ceil(S::CHANNELS));
            match take {
                1 => rows_class::<S, NV, 1, 4>(at, class),
                2 => rows_class::<S, NV, 2, 2>(at, class),
                3 => rows_class::<S, NV, 3, 1>(at, class),
                4 => rows_class::<S, NV, 4, 1>(at, class),
                5 => rows_class::<S, NV, 5, 1>(at, class),
                6 => rows_class::<S, NV, 6, 1>(at, class),
                7 => rows_class::<S, NV, 7, 1>(at, class),
                _ => rows_class::<S, NV, 8, 1>(at, class),
            }
            channel += take;
        }
    }
}

/// `NC` channels, `NQ` positions at a time.
#[inline(always)]
unsafe fn rows_class<S: Simd, const NV: usize, const NC: usize, const NQ: usize>(tile: Tile, class: &Class) {
    let (chunks, rest) = class.positions.as_chunks::<NQ>();
    for first_row in (0..ROWS).step_by(NV * S::LANES) {
        for positions in chunks {
            // SAFETY: as the caller's.
            unsafe { rows_kernel::<S, NV, NC, NQ>(tile, &class.taps, positions, first_row) };
        }
        for position in rest {
            // SAFETY: as the caller's.
            unsafe { rows_kernel::<S, NV, NC, 1>(tile, &class.taps, &[*position], first_row) };
        }
    }
}

#[inline(always)]
unsafe fn rows_kernel<S: Simd, const NV: usize, const NC: usize, const NQ: usize>(
    tile: Tile,
    taps: &[Tap],
    positions: &[Position; NQ],
    first_row: usize,
) {
    // SAFETY: as the caller's.
    unsafe {
        let mut sums = [[[S::splat(0.0); NV]; NQ]; NC];
        for (c, sums) in sums.iter_mut().enumerate() {
            let bias = S::splat(*tile.bias.add(c));
            *sums = [[bias; NV]; NQ];
        }
        let inputs = positions.map(|position| tile.x.add(position.input as usize * ROWS + first_row));
        for tap in taps {
            let weights = tile.weights.add(tap.k as usize * PANEL);
            let mut x = [[S::splat(0.0); NV]; NQ];
            for q in 0..NQ {
                for v in 0..NV {
                    x[q][v] = S::load(inputs[q].add(tap.offset as usize * ROWS + v * S::LANES));
                }
            }
            for c in 0..NC {
                let weight = S::splat(*weights.add(c));
                for q in 0..NQ {
                    for v in 0..NV {
                        sums[c][q][v] = S::fma(x[q][v], weight, sums[c][q][v]);
                    }
                }
            }
        }
        for c in 0..NC {
            for q in 0..NQ {
                let to = tile.out.add((positions[q].output as usize + c * tile.stride) * ROWS + first_row);
                for v in 0..NV {
                    S::store(to.add(v * S::LANES), sums[c][q][v]);
                }
            }
        }
    }
}

/// One class on one row, `n` channels of one panel, as many as four positions at a time.
#[inline(always)]
unsafe fn outputs<S: Simd, const NP: usize>(tile: Tile, class: &Class, n: usize) {
    let (chunks, rest) = class.positions.as_chunks::<4>();
    // SAFETY: as the caller's.
    unsafe {
        for positions in chunks {
            outputs_kernel::<S, NP, 4>(tile, &class.taps, positions, n);
        }
        for position in rest {
            outputs_kernel::<S, NP, 1>(tile, &class.taps, &[*position], n);
        }
    }
}

#[inline(always)]
unsafe fn outputs_kernel<S: Simd, const NP: usize, const NQ: usize>(
    tile: Tile,
    taps: &[Tap],
    positions: &[Position; NQ],
    n: usize,
) {
    // SAFETY: as the caller's; the panel has `PANEL` weights a row and `PANEL` biases even where `n` is less.
    unsafe {
        let mut sums = [[S::splat(0.0); NP]; NQ];
        for p in 0..NP {
            let bias = S::load(tile.bias.add(p * S::LANES));
            for sums in &mut sums {
                sums[p] = bias;
            }
        }
        let inputs = positions.map(|position| tile.x.add(position.input as usize));
        for tap in taps {
            let weights = tile.weights.add(tap.k as usize * PANEL);
            for q in 0..NQ {
                let x = S::splat(*inputs[q].add(tap.offset as usize));
                for p in 0..NP {
                    sums[q][p] = S::fma(x, S::load(weights.add(p * S::LANES)), sums[q][p]);
                }
            }
        }
        for q in 0..NQ {
            let mut values = [0.0; PANEL];
            for p in 0..NP {
                S::store(values.as_mut_ptr().add(p * S::LANES), sums[q][p]);
            }
            let to = tile.out.add(positions[q].output as usize);
            for (c, value) in values.iter().enumerate().take(n) {
                *to.add(c * tile.stride) = *value;
            }
        }
    }
}
