//! n-dimensional Lorenzo prediction: the difference operator applied along each axis, once or twice.
//!
//! Order 1 on every axis is the Lorenzo predictor of Ibarria et al. (Computer Graphics Forum 22(3), 2003); order 2 along
//! an axis extrapolates linearly. All arithmetic wraps, so that the inverse is exact for any input. Values outside the
//! array count as zero.

use crate::entropy::Int;
use crate::simd::{self, Kernel};

/// The most axes prediction works along; more are merged into the slowest one.
pub(crate) const MAX_AXES: usize = 4;
/// The most differences along one axis.
pub(crate) const MAX_ORDER: u8 = 2;

/// The extents prediction works along: axes of extent 1 left out, all but the last three merged.
pub(crate) fn working_extents(shape: &[usize]) -> Vec<usize> {
    let kept: Vec<usize> = shape.iter().copied().filter(|&e| e != 1).collect();
    let split = kept.len().saturating_sub(MAX_AXES - 1);
    let mut extents = Vec::with_capacity(MAX_AXES);
    if split > 0 {
        extents.push(kept[..split].iter().product());
    }
    extents.extend_from_slice(&kept[split..]);
    extents
}

/// Replaces values by their differences.
pub(crate) fn forward<I: Int>(values: &mut [I], extents: &[usize], orders: &[u8]) {
    simd::run(Differences::<I, false> { values, extents, orders });
}

/// The inverse of [`forward`].
pub(crate) fn inverse<I: Int>(values: &mut [I], extents: &[usize], orders: &[u8]) {
    simd::run(Differences::<I, true> { values, extents, orders });
}

struct Differences<'a, I, const INVERSE: bool> {
    values: &'a mut [I],
    extents: &'a [usize],
    orders: &'a [u8],
}

impl<I: Int, const INVERSE: bool> Kernel for Differences<'_, I, INVERSE> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, extents, orders } = self;
        for_each_axis(extents, orders, |outer, extent, inner| {
            for block in values.chunks_exact_mut(extent * inner).take(outer) {
                match (inner, INVERSE) {
                    (1, false) => differences(block),
                    (1, true) => sums(block),
                    (_, false) => {
                        for at in (1..extent).rev() {
                            let (before, row) = block[(at - 1) * inner..(at + 1) * inner].split_at_mut(inner);
                            row.iter_mut().zip(before).for_each(|(v, b)| *v = v.wrapping_sub(*b));
                        }
                    }
                    (_, true) => {
                        for at in 1..extent {
                            let (before, row) = block[(at - 1) * inner..(at + 1) * inner].split_at_mut(inner);
                            row.iter_mut().zip(before).for_each(|(v, b)| *v = v.wrapping_add(*b));
                        }
                    }
                }
            }
        });
    }
}

#[inline(always)]
fn differences<I: Int>(row: &mut [I]) {
    let mut before = I::default();
    for v in row {
        let here = *v;
        *v = here.wrapping_sub(before);
        before = here;
    }
}

/// Running sums: within a few values at a time first, so that only their total waits for those before.
#[inline(always)]
fn sums<I: Int>(row: &mut [I]) {
    const LANES: usize = 4;
    let mut total = I::default();
    let (blocks, rest) = row.as_chunks_mut::<LANES>();
    for block in blocks {
        let [a, b, c, d] = *block;
        let (ab, cd) = (a.wrapping_add(b), c.wrapping_add(d));
        let abc = ab.wrapping_add(c);
        let abcd = ab.wrapping_add(cd);
        *block = [a, ab, abc, abcd].map(|v| v.wrapping_add(total));
        total = total.wrapping_add(abcd);
    }
    for v in rest {
        total = total.wrapping_add(*v);
        *v = total;
    }
}

/// Calls `apply(blocks, extent, values between neighbours)` once for each difference to take.
#[inline(always)]
fn for_each_axis(extents: &[usize], orders: &[u8], mut apply: impl FnMut(usize, usize, usize)) {
    for (axis, (&extent, &order)) in extents.iter().zip(orders).enumerate() {
        let inner: usize = extents[axis + 1..].iter().product();
        let outer: usize = extents[..axis].iter().product();
        if extent * inner > 0 {
            for _ in 0..order {
                apply(outer, extent, inner);
            }
        }
    }
}

/// The same prediction one value at a time, for arrays with values taken out: those are predicted, never coded.
pub(crate) struct Stencil {
    /// Distance back along each axis, offset in the array, factor.
    taps: Vec<(Vec<usize>, usize, i64)>,
    extents: Vec<usize>,
}

impl Stencil {
    pub fn new(extents: &[usize], orders: &[u8]) -> Self {
        // Minus the coefficients of the product of (1 - z_axis)^order, without the constant term.
        let mut taps = vec![(Vec::new(), 0usize, -1i64)];
        for (axis, &order) in orders.iter().enumerate() {
            let stride: usize = extents[axis + 1..].iter().product();
            let binomial: &[i64] = match order {
                0 => &[1],
                1 => &[1, -1],
                _ => &[1, -2, 1],
            };
            taps = taps
                .into_iter()
                .flat_map(|(back, offset, factor)| {
                    binomial.iter().enumerate().map(move |(k, c)| {
                        let mut back = back.clone();
                        back.push(k);
                        (back, offset + k * stride, factor * c)
                    })
                })
                .collect();
        }
        taps.retain(|(back, ..)| back.iter().any(|&k| k > 0));
        Self { taps, extents: extents.to_vec() }
    }

    /// Calls `visit(position, prediction)` in order; what it returns is the value there.
    pub fn scan<I: Int, E>(
        &self,
        values: &mut [I],
        mut visit: impl FnMut(usize, I, I) -> Result<I, E>,
    ) -> Result<(), E> {
        let mut coordinates = vec![0usize; self.extents.len()];
        for i in 0..values.len() {
            let mut prediction = I::default();
            for (back, offset, factor) in &self.taps {
                if back.iter().zip(&coordinates).all(|(k, c)| k <= c) {
                    prediction = prediction.wrapping_add(values[i - offset].wrapping_scale(*factor));
                }
            }
            values[i] = visit(i, values[i], prediction)?;
            for axis in (0..coordinates.len()).rev() {
                coordinates[axis] += 1;
                if coordinates[axis] < self.extents[axis] {
                    break;
                }
                coordinates[axis] = 0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn values(n: usize) -> Vec<i32> {
        (0..n as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as i32).collect()
    }

    #[test]
    fn inverse_undoes_forward_and_stencil_agrees() {
        for extents in [vec![17], vec![5, 7], vec![3, 4, 5], vec![2, 3, 4, 5], vec![1, 1, 9], vec![]] {
            let n: usize = extents.iter().product();
            let original = values(n);
            for code in 0..81 {
                let orders: Vec<u8> = (0..extents.len()).map(|a| (code / 3usize.pow(a as u32) % 3) as u8).collect();
                let mut differences = original.clone();
                forward(&mut differences, &extents, &orders);
                let mut by_stencil = Vec::new();
                let mut scanned = original.clone();
                Stencil::new(&extents, &orders)
                    .scan(&mut scanned, |_, v, p| {
                        by_stencil.push(v.wrapping_sub(p));
                        Ok::<_, Infallible>(v)
                    })
                    .unwrap();
                assert_eq!(differences, by_stencil, "{extents:?} {orders:?}");
                inverse(&mut differences, &extents, &orders);
                assert_eq!(differences, original);
            }
        }
    }

    #[test]
    fn working_extents_merge_and_drop() {
        assert_eq!(working_extents(&[2, 1, 3, 4, 5, 6]), [6, 4, 5, 6]);
        assert_eq!(working_extents(&[1, 1]), Vec::<usize>::new());
        assert_eq!(working_extents(&[7, 8]), [7, 8]);
        assert_eq!(working_extents(&[0, 8]), [0, 8]);
    }
}
