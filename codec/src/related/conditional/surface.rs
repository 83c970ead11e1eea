//! What is expected of a column: a plane over the places of two parents, one for each pair of their classes.
//!
//! Where a column follows from two others by any smooth formula, planes over small enough pieces come close to it, and
//! nobody has to know the formula.

use super::classes::Coarse;
use crate::entropy::range::{Bit, BitCoder, Decoder, Encoder};
use crate::error::{Error, Result};
use crate::simd::{self, Kernel};
use crate::wire::{Reader, Writer};

/// Heights are clamped here, in steps of the column's integers.
const MAX_HEIGHT: f64 = (1i64 << 52) as f64;
/// So many rows weigh as much as what a piece's neighbours say of its height, and of its slopes.
const WEIGHT_HEIGHT: f64 = 0.5;
const WEIGHT_SLOPE: f64 = 3.0;
/// Resolutions are powers of two, from this one up.
const LEAST_RESOLUTION: i32 = -3;
const MOST_RESOLUTION: i32 = 48;

/// One plane: the height in the middle of a piece, and what is added at the upper end of each parent's class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Plane {
    height: i64,
    slopes: [i64; 2],
}

/// Planes, in steps of the resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Surface {
    resolution: i32,
    /// Of each class of the first parent, each of the second.
    planes: Vec<Plane>,
    n_second: usize,
}

/// Sums over the rows of a piece.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: f64,
    u: f64,
    v: f64,
    uu: f64,
    uv: f64,
    vv: f64,
    q: f64,
    qu: f64,
    qv: f64,
    qq: f64,
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, u: f64, v: f64, q: f64) {
        self.n += 1.0;
        self.u += u;
        self.v += v;
        self.uu += u * u;
        self.uv += u * v;
        self.vv += v * v;
        self.q += q;
        self.qu += q * u;
        self.qv += q * v;
        self.qq += q * q;
    }

    /// The plane that lies nearest to the rows, with something said for `prior`: height, slopes.
    fn fit(&self, prior: [f64; 3]) -> [f64; 3] {
        let [p, a, b] = prior;
        // What is left of the rows after the prior.
        let r = self.q - p * self.n - a * self.u - b * self.v;
        let ru = self.qu - p * self.u - a * self.uu - b * self.uv;
        let rv = self.qv - p * self.v - a * self.uv - b * self.vv;
        let (n, uu, vv) = (self.n + WEIGHT_HEIGHT, self.uu + WEIGHT_SLOPE, self.vv + WEIGHT_SLOPE);
        // By elimination of the height; positive definite, so nothing divides by zero.
        let (cuu, cuv, cvv) = (uu - self.u * self.u / n, self.uv - self.u * self.v / n, vv - self.v * self.v / n);
        let (cu, cv) = (ru - r * self.u / n, rv - r * self.v / n);
        let determinant = cuu * cvv - cuv * cuv;
        let da = (cu * cvv - cv * cuv) / determinant;
        let db = (cv * cuu - cu * cuv) / determinant;
        let dp = (r - da * self.u - db * self.v) / n;
        [p + dp, a + da, b + db]
    }

    /// The sum of squares of what a plane leaves.
    fn rest(&self, [p, a, b]: [f64; 3]) -> f64 {
        let squares = self.qq + p * p * self.n + a * a * self.uu + b * b * self.vv;
        let products = p * a * self.u + p * b * self.v + a * b * self.uv - p * self.q - a * self.qu - b * self.qv;
        (squares + 2.0 * products).max(0.0)
    }
}

/// Two parents' classes and values.
pub(super) struct Parents<'a> {
    pub classes: [&'a Coarse<'a>; 2],
    pub values: [&'a [f64]; 2],
}

impl Parents<'_> {
    /// The piece of a row, and where in it the row lies.
    #[inline(always)]
    fn locate(&self, row: usize) -> (usize, f64, f64) {
        let [first, second] = self.classes;
        let (k, l) = (first.class(row), second.class(row));
        (k * second.n() + l, first.place(k, self.values[0][row]), second.place(l, self.values[1][row]))
    }

    /// Of integers less `middle`, each at its row.
    fn sums(&self, rows: impl Iterator<Item = (usize, i64)>, middle: i64) -> Vec<Sums> {
        simd::run(Add { parents: self, rows, middle })
    }
}

struct Add<'a, R> {
    parents: &'a Parents<'a>,
    rows: R,
    middle: i64,
}

impl<R: Iterator<Item = (usize, i64)>> Kernel for Add<'_, R> {
    type Output = Vec<Sums>;

    #[inline(always)]
    fn run(self) -> Vec<Sums> {
        let Self { parents, rows, middle } = self;
        let [first, second] = parents.classes;
        let mut sums = vec![Sums::default(); first.n() * second.n()];
        for (row, q) in rows {
            let (piece, u, v) = parents.locate(row);
            sums[piece].add(u, v, q.wrapping_sub(middle) as f64);
        }
        sums
    }
}

/// Some rows among the classes of one parent: the class of each, and where in it the row lies.
pub(super) struct Located {
    n_classes: usize,
    rows: Vec<(u8, f64)>,
}

impl Located {
    pub fn new(classes: &Coarse<'_>, values: &[f64], rows: impl Iterator<Item = usize>) -> Self {
        let locate = |row: usize| {
            let class = classes.class(row);
            (class as u8, classes.place(class, values[row]))
        };
        Self { n_classes: classes.n(), rows: rows.map(locate).collect() }
    }

    /// In a single class that says nothing.
    pub fn nowhere(n_rows: usize) -> Self {
        Self { n_classes: 1, rows: vec![(0, 0.0); n_rows] }
    }
}

struct AddLocated<'a> {
    parents: [&'a Located; 2],
    rows: &'a [(usize, f64)],
}

impl Kernel for AddLocated<'_> {
    type Output = Vec<Sums>;

    #[inline(always)]
    fn run(self) -> Vec<Sums> {
        let [first, second] = self.parents;
        let mut sums = vec![Sums::default(); first.n_classes * second.n_classes];
        for &(row, q) in self.rows {
            let ((k, u), (l, v)) = (first.rows[row], second.rows[row]);
            sums[usize::from(k) * second.n_classes + usize::from(l)].add(u, v, q);
        }
        sums
    }
}

/// A surface as it is evaluated: height and slopes of each piece.
pub(super) struct Planes(Vec<[f64; 3]>);

impl Planes {
    /// The integers expected of these rows.
    #[inline(always)]
    pub fn centres(&self, parents: &Parents<'_>, rows: impl Iterator<Item = usize>, centres: &mut [i64]) {
        // No closure: on its own it would be compiled for any machine.
        for (centre, row) in centres.iter_mut().zip(rows) {
            let (piece, u, v) = parents.locate(row);
            let [height, a, b] = self.0[piece];
            *centre = (height + a * u + b * v + 0.5).floor().clamp(-MAX_HEIGHT, MAX_HEIGHT) as i64;
        }
    }
}

struct Centres<'a, R> {
    parents: &'a Parents<'a>,
    planes: Planes,
    rows: R,
}

impl<R: Iterator<Item = usize>> Kernel for Centres<'_, R> {
    type Output = Vec<i64>;

    #[inline(always)]
    fn run(self) -> Vec<i64> {
        let mut centres = vec![0; self.rows.size_hint().1.unwrap_or(0)];
        self.planes.centres(self.parents, self.rows, &mut centres);
        centres
    }
}

/// Bits that normal errors of this sum of squares take, less those of errors of one step.
fn bits(rest: f64, n: f64) -> f64 {
    if n > 0.0 { 0.5 * n * (rest / n + 1.0 / 12.0).log2() } else { 0.0 }
}

impl Surface {
    /// Bits that rows take beside a surface over these parents, about, planes counted in for `scale` times as many rows. A row
    /// is its number in `parents` and its distance from any middle.
    pub fn estimate(parents: [&Located; 2], rows: &[(usize, f64)], scale: f64) -> f64 {
        const PLANE_BITS: f64 = 24.0;
        let sums = simd::run(AddLocated { parents, rows });
        let cost = |s: &Sums| bits(s.rest(s.fit([s.q / s.n, 0.0, 0.0])), s.n) + PLANE_BITS / scale;
        sums.iter().filter(|s| s.n > 0.0).map(cost).sum()
    }

    /// The surface nearest to the integers of these rows.
    pub fn of(parents: &Parents<'_>, rows: impl Iterator<Item = (usize, i64)> + Clone) -> Self {
        let middle = rows.clone().next().map_or(0, |r| r.1);
        let n_second = parents.classes[1].n();
        let sums = parents.sums(rows, middle);
        let mut surface = Self { resolution: 0, planes: vec![Plane::default(); sums.len()], n_second };
        // The resolution is to be finer than what planes leave anyway.
        let mut spreads: Vec<(f64, f64)> = sums
            .iter()
            .filter(|s| s.n > 4.0)
            .map(|s| ((s.rest(s.fit([s.q / s.n, 0.0, 0.0])) / s.n).sqrt(), s.n))
            .collect();
        spreads.sort_by(|a, b| a.0.total_cmp(&b.0));
        let half = spreads.iter().map(|s| s.1).sum::<f64>() / 2.0;
        let mut below = 0.0;
        let median = spreads.iter().find(|s| {
            below += s.1;
            below >= half
        });
        let spread = median.map_or(1.0, |s| s.0).max(0.25);
        surface.resolution = (spread.log2().floor() as i32 - 1).clamp(LEAST_RESOLUTION, MOST_RESOLUTION);
        let unit = surface.unit();
        let steps = |v: f64| (v / unit).clamp(-MAX_HEIGHT, MAX_HEIGHT).round_ties_even() as i64;
        for piece in 0..sums.len() {
            let expected = surface.expected(piece);
            let sums = &sums[piece];
            surface.planes[piece] = if sums.n == 0.0 {
                expected
            } else {
                let offset = middle as f64;
                let [a, b] = expected.slopes.map(|s| s as f64 * unit);
                let height = if piece == 0 { sums.q / sums.n } else { expected.height as f64 * unit - offset };
                let [height, a, b] = sums.fit([height, a, b]);
                Plane { height: steps(height + offset), slopes: [steps(a), steps(b)] }
            };
        }
        surface
    }

    fn unit(&self) -> f64 {
        f64::from_bits(((1023 + self.resolution) as u64) << 52)
    }

    /// What the pieces before say of one: the planes' edges meet.
    fn expected(&self, piece: usize) -> Plane {
        let beside = |from: usize, axis: usize| {
            let Plane { height, slopes } = self.planes[from];
            Plane { height: height.saturating_add(slopes[axis].saturating_mul(2)), slopes }
        };
        if !piece.is_multiple_of(self.n_second) {
            beside(piece - 1, 1)
        } else if piece > 0 {
            beside(piece - self.n_second, 0)
        } else {
            Plane::default()
        }
    }

    pub fn planes(&self) -> Planes {
        let unit = self.unit();
        Planes(self.planes.iter().map(|p| [p.height, p.slopes[0], p.slopes[1]].map(|v| v as f64 * unit)).collect())
    }

    /// The integers expected of these rows.
    pub fn centres(&self, parents: &Parents<'_>, rows: impl Iterator<Item = usize>) -> Vec<i64> {
        simd::run(Centres { parents, planes: self.planes(), rows })
    }

    /// The bytes of [`Self::write`].
    pub fn len_bytes(&self) -> usize {
        let mut out = Writer::default();
        self.write(&mut out);
        out.bytes.len()
    }

    pub fn write(&self, out: &mut Writer) {
        out.u8((self.resolution - LEAST_RESOLUTION) as u8);
        let mut coder = Encoder::new();
        self.clone().code(&mut coder);
        out.block(&coder.finish());
    }

    /// Reads a surface over so many classes of the first and of the second parent.
    pub fn read([n_first, n_second]: [usize; 2], input: &mut Reader<'_>) -> Result<Self> {
        let resolution = i32::from(input.u8("the resolution of planes")?) + LEAST_RESOLUTION;
        if resolution > MOST_RESOLUTION {
            return Err(Error::corrupt(format!("planes in steps of 2^{resolution}: at most 2^{MOST_RESOLUTION}")));
        }
        let mut coder = Decoder::new(input.block("planes")?);
        let mut surface = Self { resolution, planes: vec![Plane::default(); n_first * n_second], n_second };
        surface.code(&mut coder);
        coder.finish()?;
        Ok(surface)
    }

    /// How far each plane is from what is expected of it.
    fn code<C: BitCoder>(&mut self, coder: &mut C) {
        let mut models = [const { NumberModel::new() }; 2];
        for piece in 0..self.planes.len() {
            let Plane { height, slopes } = self.planes[piece];
            let mut found = self.expected(piece);
            for (found, wanted) in found.slopes.iter_mut().zip(slopes) {
                *found = found.wrapping_add(models[0].code(coder, wanted.wrapping_sub(*found)));
            }
            found.height = found.height.wrapping_add(models[1].code(coder, height.wrapping_sub(found.height)));
            self.planes[piece] = found;
        }
    }
}

/// Numbers by their size, their sign and the bits below.
struct NumberModel {
    size: [Bit; 66],
    sign: Bit,
}

impl NumberModel {
    const fn new() -> Self {
        Self { size: [Bit::new(); 66], sign: Bit::new() }
    }

    fn code<C: BitCoder>(&mut self, coder: &mut C, v: i64) -> i64 {
        let magnitude = v.unsigned_abs();
        let target = u64::BITS - magnitude.leading_zeros();
        let mut size = 0;
        while size < u64::BITS && coder.bit(&mut self.size[size as usize], target > size) {
            size += 1;
        }
        if size == 0 {
            return 0;
        }
        let is_negative = coder.bit(&mut self.sign, v < 0);
        let mut found = 1u64;
        let mut left = size - 1;
        while left > 0 {
            let n = left.min(16);
            left -= n;
            found = found << n | coder.raw(n, magnitude >> left & ((1 << n) - 1));
        }
        if is_negative { (found as i64).wrapping_neg() } else { found as i64 }
    }
}
