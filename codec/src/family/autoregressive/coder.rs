//! The residuals of an autoregressive model under several contexts at once: what the network says of their scale, and what
//! the residuals around are.

use super::neighbours::Unit;
use super::network::Said;
use crate::entropy::context::{near, token};
use crate::entropy::mixed::{coarse, fine};
use crate::entropy::mixing::{Known, Values};
use crate::entropy::range::BitCoder;
use crate::predict::fitted::{self, ROUND, Site};
use crate::predict::lorenzo::MAX_AXES;

const K: usize = 5;
/// Scales that are told apart: four to each power of two from 1/16 step on.
const N_SCALES: usize = 96;
/// `log2(1/16)` in 2^-8.
const LEAST_LOG2: i32 = -4 << 8;
/// Distances of the prediction from the nearest integer that are told apart.
const N_FRACTIONS: usize = 4;
const N_FINE: usize = 96;
const N_COARSE: usize = 20;
const N_CONTEXTS: [usize; K] =
    [N_SCALES * N_FRACTIONS, N_SCALES / 2 * N_COARSE, N_FINE * N_FRACTIONS, N_COARSE * N_COARSE, 16 * 16 * 16];
const N_SIGN_SCALES: usize = 12;

/// The token to expect at each scale: that of `floor(2^((scale - 16) / 4))`, with a straight line between powers of two.
const EXPECTED: [usize; N_SCALES] = {
    let mut table = [0; N_SCALES];
    let mut scale = 16;
    while scale < N_SCALES {
        table[scale] = token((4 + (scale as u64 & 3)) << (scale / 4 - 4) >> 2);
        scale += 1;
    }
    table
};

/// Codes values in order, given what the network says.
pub(super) struct Coder {
    model: Values<K>,
    /// Residuals so far, clamped; of positions that are not coded 0.
    residuals: Vec<i32>,
    /// Running means of residuals along the first axes and along the row, in 1/16.
    columns: Vec<u32>,
    along: u32,
    row: usize,
    plane: usize,
}

/// A prediction to a fraction of a step.
struct Prediction {
    nearest: i64,
    /// Whether the prediction lies below the nearest integer.
    is_below: bool,
    /// 0 to 3: how far from it.
    fraction: usize,
}

impl Prediction {
    #[inline(always)]
    fn new(site: &Site, said: Said, unit: Unit) -> Self {
        let correction = (unit.steps() * i64::from(said.correction)) >> 12;
        let sum = site.sum.wrapping_add(correction);
        let above = sum >> fitted::FRACTION_BITS;
        let rest = (sum & ((1 << fitted::FRACTION_BITS) - 1)) - ROUND;
        let fraction = (rest.unsigned_abs() >> (fitted::FRACTION_BITS - 3)) as usize;
        Self { nearest: site.anchor.wrapping_add(above), is_below: rest < 0, fraction: fraction.min(N_FRACTIONS - 1) }
    }
}

impl Coder {
    pub fn new(extents: &[usize; MAX_AXES]) -> Self {
        Self {
            model: Values::new(N_CONTEXTS, N_FRACTIONS * N_SIGN_SCALES * 3),
            residuals: vec![0; extents.iter().product()],
            columns: vec![0; extents[3]],
            along: 0,
            row: extents[3],
            plane: extents[2] * extents[3],
        }
    }

    /// Begins a row.
    #[inline(always)]
    pub fn begin_row(&mut self) {
        self.along = 0;
    }

    /// The nearest integer to a prediction: the value of positions that are not coded.
    #[inline(always)]
    pub fn predicted(site: &Site, said: Said, unit: Unit) -> i64 {
        Prediction::new(site, said, unit).nearest
    }

    /// Codes the value of a site: the encoder takes it, the decoder finds it.
    #[inline(always)]
    pub fn value<C: BitCoder>(&mut self, coder: &mut C, value: i64, site: &Site, said: Said, unit: Unit) -> i64 {
        let prediction = Prediction::new(site, said, unit);
        let log2 = unit.log2() + said.log2_scale;
        let scale = ((log2 - LEAST_LOG2) >> 6).clamp(0, N_SCALES as i32 - 1) as usize;
        let [z, y] = [site.at[0] > 0 || site.at[1] > 0, site.at[2] > 0];
        let (i, x) = (site.i, site.x);
        let at = |is_there: bool, back: usize| if is_there { self.residuals[i - back] } else { 0 };
        let (w, ww) = (at(x > 0, 1), at(x > 1, 2));
        let (n, nw) = (at(y, self.row), at(y && x > 0, self.row + 1));
        let ne = at(y && x + 1 < self.row, self.row - 1);
        let before = at(z, self.plane);
        let size = |v: i32| u64::from(v.unsigned_abs());
        let energy = 3 * size(w) + 2 * size(n) + 2 * size(before) + size(nw);
        let broad = 2 * (size(w) + size(n) + size(before)) + size(ww) + size(nw) + size(ne);
        let low = |v: u64| token(v).min(15);
        let known = Known {
            contexts: [
                scale * N_FRACTIONS + prediction.fraction,
                scale / 2 * N_COARSE + coarse(energy >> 2),
                fine(broad) * N_FRACTIONS + prediction.fraction,
                coarse(u64::from(self.columns[x] >> 2)) * N_COARSE + coarse(u64::from(self.along >> 2)),
                (low(size(w)) * 16 + low(size(n))) * 16 + low(size(before)),
            ],
            expected: EXPECTED[scale],
            sign: {
                let west = if prediction.is_below { -w.signum() } else { w.signum() };
                let scales = (scale / 4).min(N_SIGN_SCALES - 1);
                (prediction.fraction * N_SIGN_SCALES + scales) * 3 + (west + 1) as usize
            },
        };
        // Signs are those of the side on which the prediction lies.
        let turned = |v: i64| if prediction.is_below { v.wrapping_neg() } else { v };
        let residual = turned(self.model.code(coder, turned(value.wrapping_sub(prediction.nearest)), &known));
        let kept = near(residual);
        self.residuals[i] = kept;
        let m = kept.unsigned_abs();
        self.columns[x] = self.columns[x] - (self.columns[x] >> 3) + 2 * m;
        self.along = self.along - (self.along >> 2) + 4 * m;
        prediction.nearest.wrapping_add(residual)
    }
}
