//! One block of rows through all steps.

use super::plan::{Kind, Lane, Pairs, Plan};
use super::{Port, ROWS, simd};
use baler_codec::{Error, Result};

/// Elements of a layer, one after the other, each with the lanes of all rows.
pub struct Scratch<T> {
    now: Vec<T>,
    next: Vec<T>,
    /// Pairs of 16 bits, for the multiply-add.
    pairs: Vec<i32>,
}

impl<T: Lane> Scratch<T> {
    pub fn new(plan: &Plan<T>) -> Self {
        let n = plan.widest * ROWS;
        Self { now: vec![T::default(); n], next: vec![T::default(); n], pairs: vec![0; plan.widest.div_ceil(2) * ROWS] }
    }
}

/// Runs up to `ROWS` rows. `MADD` names the multiply-add of the vectors this is compiled for.
#[inline(always)]
pub fn run<T: Lane, P: Port, const MADD: u8>(
    plan: &Plan<T>,
    scratch: &mut Scratch<T>,
    first_row: usize,
    input: &[P],
    output: &mut [P],
) -> Result<()> {
    let (n_in, n_out) = (plan.inputs.len(), plan.n_outputs);
    let rows = input.len() / n_in;
    if !load(plan, scratch, rows, input) {
        return Err(outside(plan, first_row, input));
    }
    let mut n = n_in;
    for step in &plan.steps {
        let m = step.casts.len();
        let (now, next) = (&mut scratch.now[..n * ROWS], &mut scratch.next[..m * ROWS]);
        match &step.kind {
            Kind::Dense { biases, pairs: Some(pairs), .. } if MADD != simd::PORTABLE => {
                pack(now, &mut scratch.pairs);
                madd::<T, MADD>(pairs, biases, n.div_ceil(2), &scratch.pairs, next);
            }
            Kind::Dense { weights, biases, .. } => dense(weights, biases, now, next),
            Kind::Stepwise { weights, biases, products, sums } => {
                for ((sum, &bias), row) in next.chunks_exact_mut(ROWS).zip(biases).zip(weights.chunks_exact(n)) {
                    sum.fill(bias);
                    for ((x, &w), cast) in now.chunks_exact(ROWS).zip(row).zip(products) {
                        let mut product = [T::default(); ROWS];
                        product.iter_mut().zip(x).for_each(|(p, &x)| *p = x.times(w));
                        cast.apply(&mut product);
                        sum.iter_mut().zip(&product).for_each(|(s, &p)| *s = s.plus(p));
                        sums.apply(sum);
                    }
                }
            }
            Kind::Cast => next.copy_from_slice(now),
            Kind::Relu => next.iter_mut().zip(now).for_each(|(y, x)| *y = (*x).max(T::default())),
            Kind::LeakyRelu { alpha, shift } => {
                for (y, &mut x) in next.iter_mut().zip(now) {
                    *y = if x > T::default() { x.shl(*shift) } else { x.times(*alpha) };
                }
            }
            Kind::Table { table, fraction_bits } => {
                let elements = next.chunks_exact_mut(ROWS).zip(now.chunks_exact(ROWS)).zip(fraction_bits);
                for ((y, x), &fraction) in elements {
                    let (size, span) = (table.entries.len() as i64, i64::from(table.span));
                    for (y, x) in y.iter_mut().zip(x) {
                        let whole = x.to_i64() * size / span / (1 << fraction);
                        let index = (whole + size / 2).clamp(0, size - 1);
                        *y = T::from_i64(table.entries[index as usize]);
                    }
                }
            }
            Kind::ScaleShift { scales, shifts } => {
                let elements = next.chunks_exact_mut(ROWS).zip(now.chunks_exact(ROWS)).zip(scales.iter().zip(shifts));
                for ((y, x), (&scale, &shift)) in elements {
                    y.iter_mut().zip(x).for_each(|(y, &x)| *y = x.times(scale).plus(shift));
                }
            }
        }
        next.chunks_exact_mut(ROWS).zip(&step.casts).for_each(|(lanes, cast)| cast.apply(lanes));
        std::mem::swap(&mut scratch.now, &mut scratch.next);
        n = m;
    }
    for (r, row) in output.chunks_exact_mut(n_out).enumerate() {
        for (j, value) in row.iter_mut().enumerate() {
            *value = P::truncate(scratch.now[j * ROWS + r].to_i64());
        }
    }
    Ok(())
}

/// Rows become lanes; whether each integer lies within the format of its input.
#[inline(always)]
fn load<T: Lane, P: Port>(plan: &Plan<T>, scratch: &mut Scratch<T>, rows: usize, input: &[P]) -> bool {
    let n = plan.inputs.len();
    let mut is_cut = false;
    for (i, lanes) in scratch.now.chunks_exact_mut(ROWS).take(n).enumerate() {
        for (r, lane) in lanes.iter_mut().enumerate().take(rows) {
            let value: i64 = input[r * n + i].into();
            *lane = T::from_i64(value);
            is_cut |= P::BITS > T::BITS && lane.to_i64() != value;
        }
        // What is left over computes something that is allowed.
        lanes[rows..].fill(plan.inputs[i].0);
    }
    let mut is_outside = is_cut;
    for (lanes, &(min, max)) in scratch.now.chunks_exact(ROWS).zip(&plan.inputs) {
        for &v in lanes {
            is_outside |= (v < min) | (v > max);
        }
    }
    !is_outside
}

#[cold]
fn outside<T: Lane, P: Port>(plan: &Plan<T>, first_row: usize, input: &[P]) -> Error {
    for (k, &value) in input.iter().enumerate() {
        let (row, i) = (first_row + k / plan.inputs.len(), k % plan.inputs.len());
        let (value, (min, max)) = (value.into(), plan.inputs[i]);
        if !(min.to_i64()..=max.to_i64()).contains(&value) {
            return Error::invalid(format!(
                "row {row}, input {i}: integer {value}, expected {} to {}",
                min.to_i64(),
                max.to_i64()
            ));
        }
    }
    Error::invalid("an integer of the input is outside its format")
}

#[inline(always)]
fn dense<T: Lane>(weights: &[T], biases: &[T], now: &[T], next: &mut [T]) {
    let n = now.len() / ROWS;
    for ((sums, &bias), row) in next.chunks_exact_mut(ROWS).zip(biases).zip(weights.chunks_exact(n)) {
        sums.fill(bias);
        for (x, &w) in now.chunks_exact(ROWS).zip(row) {
            if w != T::default() {
                sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum = sum.plus(x.times(w)));
            }
        }
    }
}

/// Two elements of 16 bits into one integer; a last one alone gets zero beside it.
#[inline(always)]
fn pack<T: Lane>(now: &[T], pairs: &mut [i32]) {
    for (pair, two) in pairs.chunks_exact_mut(ROWS).zip(now.chunks(2 * ROWS)) {
        let (low, high) = two.split_at(ROWS);
        if high.is_empty() {
            pair.iter_mut().zip(low).for_each(|(p, l)| *p = l.to_i64() as i32 & 0xffff);
        } else {
            let both = pair.iter_mut().zip(low).zip(high);
            both.for_each(|((p, l), h)| *p = l.to_i64() as i32 & 0xffff | (h.to_i64() as i32) << 16);
        }
    }
}

#[inline(always)]
fn madd<T: Lane, const MADD: u8>(pairs: &Pairs, biases: &[T], n_pairs: usize, x: &[i32], next: &mut [T]) {
    let mut sums = [[0i32; ROWS]; simd::OUTPUTS];
    for (j, out) in next.chunks_mut(simd::OUTPUTS * ROWS).enumerate() {
        let first = j * simd::OUTPUTS;
        let n = out.len() / ROWS;
        for (sum, bias) in sums.iter_mut().zip(&biases[first..first + n]) {
            sum.fill(bias.to_i64() as i32);
        }
        simd::madd::<MADD>(&pairs.weights[first * n_pairs..][..n * n_pairs], n_pairs, x, &mut sums[..n]);
        for (out, sum) in out.chunks_exact_mut(ROWS).zip(&sums) {
            out.iter_mut().zip(sum).for_each(|(out, &sum)| *out = T::from_i64(sum.into()));
        }
    }
}
