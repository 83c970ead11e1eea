//! Which inputs each output of a convolution sums up, and in which order: input channels ascending, and for each the
//! kernel's positions ascending, last axis fastest. A tap that falls on padding is no term of the sum.

use crate::error::{Error, Result};
use crate::inference::kernels::{Class, Position, Tap};

/// The geometry along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Padding before the first input; may be negative in a transposed convolution.
    pub pad: i64,
    pub transposed: bool,
}

impl Axis {
    /// The input that kernel position `k` takes for output `o`, if there is one.
    fn tap(&self, o: usize, k: usize) -> Option<usize> {
        let (o, step, stride) = (o as i64, (k * self.dilation) as i64, self.stride as i64);
        let i = if self.transposed {
            let at = o + self.pad - step;
            if at % stride != 0 {
                return None;
            }
            at / stride
        } else {
            o * stride - self.pad + step
        };
        usize::try_from(i).ok().filter(|&i| i < self.input)
    }

    /// For each output, the kernel positions that take an input; equal lists share a number. And the lists.
    fn kinds(&self) -> (Vec<usize>, Vec<Vec<usize>>) {
        let mut lists: Vec<Vec<usize>> = Vec::new();
        let kinds = (0..self.output)
            .map(|o| {
                let list: Vec<usize> = (0..self.kernel).filter(|&k| self.tap(o, k).is_some()).collect();
                // A handful of lists: the inside, and a few at each border.
                lists.iter().rposition(|known| *known == list).unwrap_or_else(|| {
                    lists.push(list);
                    lists.len() - 1
                })
            })
            .collect();
        (kinds, lists)
    }
}

/// The most taps that may be listed for one layer: an ordinary layer has thousands.
const MAX_TAPS: usize = 1 << 24;
/// The most kernel positions looked at along one axis, and the most lists of them.
const MAX_AXIS_TAPS: usize = 1 << 22;
const MAX_CLASSES: usize = 1 << 20;

/// Lists the taps of every output position. `channels` is the number of input channels of a group.
pub fn classes(axes: &[Axis], channels: usize) -> Result<Vec<Class>> {
    let too_large = || Error::unsupported("the convolution is too large for the exact engine");
    // Everything is 3-d: leading axes of extent 1 are added.
    let unit = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, pad: 0, transposed: false };
    let mut all = [unit; 3];
    all[3 - axes.len()..].copy_from_slice(axes);
    // Listing kernel positions for each output costs their product on each axis.
    if all.iter().any(|a| a.output.saturating_mul(a.kernel) > MAX_AXIS_TAPS) {
        return Err(too_large());
    }
    let [d, h, w] = all.map(|axis| (axis, axis.kinds()));
    let volume = |f: fn(&Axis) -> usize| all.iter().map(f).try_fold(1usize, |n, e| n.checked_mul(e));
    let input_volume = volume(|a| a.input).ok_or_else(too_large)?;
    let kernel_volume = volume(|a| a.kernel).ok_or_else(too_large)?;
    let kinds = [&d, &h, &w].map(|(_, (_, lists))| lists.len());
    if kinds.iter().try_fold(1usize, |n, e| n.checked_mul(*e)).is_none_or(|n| n > MAX_CLASSES) {
        return Err(too_large());
    }
    let mut by_kind: Vec<Vec<[usize; 3]>> = vec![Vec::new(); kinds.iter().product()];
    for (z, kind_z) in d.1.0.iter().enumerate() {
        for (y, kind_y) in h.1.0.iter().enumerate() {
            for (x, kind_x) in w.1.0.iter().enumerate() {
                by_kind[(kind_z * kinds[1] + kind_y) * kinds[2] + kind_x].push([z, y, x]);
            }
        }
    }
    let mut n_taps = 0usize;
    let mut classes = Vec::new();
    for (kind, outputs) in by_kind.into_iter().enumerate() {
        let lists = [&d.1.1[kind / (kinds[1] * kinds[2])], &h.1.1[kind / kinds[2] % kinds[1]], &w.1.1[kind % kinds[2]]];
        let per_channel: usize = lists.iter().map(|list| list.len()).product();
        n_taps = n_taps.saturating_add(per_channel.saturating_mul(channels));
        if n_taps > MAX_TAPS {
            return Err(too_large());
        }
        // Inputs of one channel that the taps of an output take; relative to each other they are the same for all.
        let places = |output: [usize; 3]| {
            let at = |axis: usize, k: usize| all[axis].tap(output[axis], k).unwrap_or_default();
            let mut places = Vec::with_capacity(per_channel);
            for &kz in lists[0] {
                for &ky in lists[1] {
                    for &kx in lists[2] {
                        let input = (at(0, kz) * all[1].input + at(1, ky)) * all[2].input + at(2, kx);
                        places.push((input, (kz * all[1].kernel + ky) * all[2].kernel + kx));
                    }
                }
            }
            places
        };
        let lowest = |output: [usize; 3]| {
            // In an ordinary convolution the first tap is lowest, in a transposed one the last.
            let corner = |axis: usize| {
                let list = lists[axis];
                let ends = [list.first(), list.last()];
                ends.into_iter().flatten().filter_map(|&k| all[axis].tap(output[axis], k)).min().unwrap_or(0)
            };
            (corner(0) * all[1].input + corner(1)) * all[2].input + corner(2)
        };
        let mut taps = Vec::with_capacity(per_channel * channels);
        if let (Some(&first), true) = (outputs.first(), per_channel > 0) {
            let base = lowest(first);
            let places = places(first);
            for channel in 0..channels {
                for &(input, k) in &places {
                    taps.push(Tap {
                        offset: index(channel * input_volume + input - base)?,
                        k: index(channel * kernel_volume + k)?,
                    });
                }
            }
        }
        let positions = outputs
            .into_iter()
            .map(|output| {
                let [z, y, x] = output;
                let input = if per_channel > 0 { lowest(output) } else { 0 };
                Ok(Position { input: index(input)?, output: index((z * all[1].output + y) * all[2].output + x)? })
            })
            .collect::<Result<_>>()?;
        classes.push(Class::new(taps, positions));
    }
    Ok(classes)
}

fn index(i: usize) -> Result<u32> {
    u32::try_from(i).map_err(|_| Error::unsupported("a tensor is too large for the exact engine"))
}
