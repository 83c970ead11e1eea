//! Which differences to take, chosen from a few blocks of the array.

use super::lorenzo::{MAX_ORDER, forward};
use crate::entropy::Int;

/// Values in one block looked at, and how many blocks.
const BLOCK_VALUES: usize = 8192;
const N_BLOCKS: usize = 4;
const FEW_CHOICES: usize = 9;

/// Every choice of orders with its estimated bits per value, the cheapest first.
pub(super) fn rank_orders<I: Int>(values: &[I], extents: &[usize]) -> Vec<(Vec<u8>, f64)> {
    let most: Vec<u8> = extents.iter().map(|&e| if e >= 8 { MAX_ORDER } else { u8::from(e >= 2) }).collect();
    let block = block_extents(extents);
    let n_choices: usize = most.iter().map(|&m| usize::from(m) + 1).product();
    let mut cost = vec![0.0; n_choices];
    let mut samples = blocks(values, extents, &block);
    // A few choices cost nothing; many are judged by no more than half of the values.
    if n_choices > FEW_CHOICES {
        samples.truncate((values.len() / (2 * BLOCK_VALUES)).max(1));
    }
    samples.iter().for_each(|sample| explore(sample, &block, &most, 0, 0, &mut cost));
    let mut ranked: Vec<(Vec<u8>, f64)> = cost
        .into_iter()
        .enumerate()
        .map(|(mut code, bits)| {
            let mut orders = vec![0; most.len()];
            for (order, &m) in orders.iter_mut().zip(&most).rev() {
                *order = (code % (usize::from(m) + 1)) as u8;
                code /= usize::from(m) + 1;
            }
            (orders, bits / samples.len() as f64)
        })
        .collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    ranked
}

/// Extents of a block of about [`BLOCK_VALUES`], as even as the array allows.
pub(super) fn block_extents(extents: &[usize]) -> Vec<usize> {
    let mut block = vec![1usize; extents.len()];
    loop {
        let n: usize = block.iter().product();
        // Grow the shortest axis that can grow.
        let Some(axis) = (0..extents.len()).filter(|&a| block[a] < extents[a]).min_by_key(|&a| block[a]) else {
            return block;
        };
        if n / block[axis] * (block[axis] + 1) > BLOCK_VALUES {
            return block;
        }
        // By an eighth at a time: fast for one long axis, even enough for many.
        block[axis] = (block[axis] + 1 + block[axis] / 8).min(extents[axis]);
    }
}

/// Blocks of these extents, spread evenly along the diagonal; one if that is all of the array.
pub(super) fn blocks<T: Copy>(values: &[T], extents: &[usize], block: &[usize]) -> Vec<Vec<T>> {
    let n_blocks = if block == extents { 1 } else { N_BLOCKS };
    let cut = |k: usize| {
        let start = |(&e, &b): (&usize, &usize)| (e - b) * (2 * k + 1) / (2 * N_BLOCKS);
        let start: Vec<usize> = extents.iter().zip(block).map(start).collect();
        let mut out = Vec::with_capacity(block.iter().product());
        copy_block(values, extents, block, &start, &mut out);
        out
    };
    (0..n_blocks).map(cut).collect()
}

fn copy_block<T: Copy>(values: &[T], extents: &[usize], block: &[usize], start: &[usize], out: &mut Vec<T>) {
    let Some((&extent, inner)) = extents.split_first() else {
        out.extend_from_slice(&values[..1]);
        return;
    };
    let stride: usize = inner.iter().product();
    debug_assert_eq!(values.len(), extent * stride);
    if inner.is_empty() {
        out.extend_from_slice(&values[start[0]..start[0] + block[0]]);
        return;
    }
    for at in start[0]..start[0] + block[0] {
        copy_block(&values[at * stride..(at + 1) * stride], inner, &block[1..], &start[1..], out);
    }
}

/// Tries every order along `axis` and the axes after it.
fn explore<I: Int>(sample: &[I], block: &[usize], most: &[u8], axis: usize, code: usize, cost: &mut [f64]) {
    if axis == block.len() {
        cost[code] += bits_per_value(&interior(sample, block, most));
        return;
    }
    let mut sample = sample.to_vec();
    for order in 0..=most[axis] {
        if order > 0 {
            let mut orders = vec![0; block.len()];
            orders[axis] = 1;
            forward(&mut sample, block, &orders);
        }
        explore(&sample, block, most, axis + 1, code * (usize::from(most[axis]) + 1) + usize::from(order), cost);
    }
}

/// The values whose predictions lie within the block for every choice, so that all are judged by the same ones.
pub(super) fn interior<T: Copy>(sample: &[T], block: &[usize], most: &[u8]) -> Vec<T> {
    let start: Vec<usize> = block.iter().zip(most).map(|(&b, &m)| usize::from(m).min(b.saturating_sub(1))).collect();
    let inside: Vec<usize> = block.iter().zip(&start).map(|(&b, &s)| b - s).collect();
    let mut out = Vec::with_capacity(inside.iter().product());
    copy_block(sample, block, &inside, &start, &mut out);
    out
}

/// Bits a value takes with an ideal coder of its sign and size class plus plain bits below: close to what pco reaches.
pub(crate) fn bits_per_value<I: Int>(values: &[I]) -> f64 {
    let mut distribution = Distribution::default();
    distribution.add(values);
    distribution.bits_per_value()
}

/// Magnitudes below 16 stand for themselves, then two classes to each power of two; each with either sign.
const N_CLASSES: usize = 2 * (16 + 2 * 64);

/// Values below this magnitude are counted by themselves.
const NEAR: i64 = 256;

/// How many values there are of each class.
pub(crate) struct Distribution {
    /// Of those near zero, every other one in another table: a count that has just been written is not read again.
    near: [[u32; 2 * NEAR as usize]; 2],
    /// Of the others.
    far: Classes,
    n: usize,
    first: Option<i64>,
    is_constant: bool,
}

impl Default for Distribution {
    fn default() -> Self {
        let near = [[0; 2 * NEAR as usize]; 2];
        Self { near, far: Classes::default(), n: 0, first: None, is_constant: true }
    }
}

impl Distribution {
    pub fn add<I: Int>(&mut self, values: &[I]) {
        let Some(&first) = values.first() else { return };
        let first = *self.first.get_or_insert(first.to_i64());
        self.is_constant = self.is_constant && values.iter().all(|v| v.to_i64() == first);
        self.n += values.len();
        let Self { near: [even, odd], far, .. } = self;
        let mut count =
            |table: &mut [u32; 2 * NEAR as usize], v: I| match table.get_mut(v.to_i64().wrapping_add(NEAR) as usize) {
                Some(count) => *count += 1,
                None => far.add(v.to_i64(), 1),
            };
        let (pairs, rest) = values.as_chunks::<2>();
        for &[first, second] in pairs {
            count(even, first);
            count(odd, second);
        }
        rest.iter().for_each(|&v| count(even, v));
    }

    /// How many values have been added.
    pub fn n(&self) -> usize {
        self.n
    }

    /// How many classes there are.
    pub fn n_classes(&self) -> usize {
        self.classes().counts.iter().filter(|&&count| count > 0).count()
    }

    /// As the function of this name.
    pub fn bits_per_value(&self) -> f64 {
        if self.is_constant {
            return 0.0;
        }
        let n = self.n as f64;
        let Classes { counts, plain_bits } = self.classes();
        let used = counts.iter().filter(|&&c| c > 0);
        let entropy: f64 = used.map(|&c| f64::from(c) * (n / f64::from(c)).log2()).sum();
        (entropy + plain_bits as f64) / n
    }

    fn classes(&self) -> Classes {
        let mut all = self.far.clone();
        let [even, odd] = &self.near;
        for (v, (even, odd)) in (-NEAR..NEAR).zip(even.iter().zip(odd)) {
            all.add(v, even + odd);
        }
        all
    }
}

#[derive(Clone)]
struct Classes {
    counts: [u32; N_CLASSES],
    plain_bits: u64,
}

impl Default for Classes {
    fn default() -> Self {
        Self { counts: [0; N_CLASSES], plain_bits: 0 }
    }
}

impl Classes {
    /// Counts a value so many times.
    fn add(&mut self, v: i64, n: u32) {
        let magnitude = v.unsigned_abs();
        let top = (magnitude | 8).ilog2();
        let (class, plain_bits) = if magnitude < 16 {
            (magnitude as usize, 0)
        } else {
            (16 + 2 * top as usize + (magnitude >> (top - 1) & 1) as usize, top - 1)
        };
        self.plain_bits += u64::from(plain_bits) * u64::from(n);
        self.counts[2 * class + usize::from(v < 0)] += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_differences_that_pay() {
        let (nz, ny, nx) = (20usize, 30usize, 40usize);
        let mut seed = 1u64;
        let mut noise = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % 3) as i32
        };
        // Noise along z; a ramp along y; a parabola along x.
        let level: Vec<i32> = (0..nz).map(|z| (z as i32).wrapping_mul(77_777) % 5000).collect();
        let values: Vec<i32> = (0..nz * ny * nx)
            .map(|i| {
                let (z, y, x) = (i / (ny * nx), i / nx % ny, (i % nx) as i32);
                level[z] + 9 * y as i32 + 5 * x * x + noise()
            })
            .collect();
        let ranked = rank_orders(&values, &[nz, ny, nx]);
        assert_eq!(ranked.len(), 27);
        let best = &ranked[0].0;
        assert!(best[1] + best[2] >= 1 && best.iter().map(|&o| usize::from(o)).sum::<usize>() <= 3, "{ranked:?}");
        // White noise needs none.
        let mut seed = 9u64;
        let flat: Vec<i32> = (0..20_000)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                (seed >> 40) as i32 & 0xff
            })
            .collect();
        let ranked = rank_orders(&flat, &[100, 200]);
        assert_eq!(ranked[0].0, [0, 0], "{ranked:?}");
    }
}
