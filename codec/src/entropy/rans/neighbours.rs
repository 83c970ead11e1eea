//! Values around the one at hand.

use crate::entropy::context::Lattice;

/// Values of the plane at hand and the one before, with margins of zeros, row by row; of a single plane, of its last two rows.
pub(super) struct Planes {
    nx: usize,
    ny: usize,
    has_planes: bool,
    stride: usize,
    pub current: Vec<i32>,
    previous: Vec<i32>,
    /// For a row, what the rows and planes before it add to the energy, and to the sum.
    pub base: Vec<(u32, i32)>,
}

impl Planes {
    const MARGIN: usize = 2;

    pub fn new(lattice: Lattice<'_>, n: usize) -> Self {
        let (nx, ny) = lattice.row_and_column();
        let has_planes = n > nx * ny;
        let stride = nx + 2 * Self::MARGIN;
        let plane = vec![0; stride * if has_planes { ny + 2 } else { 2 }];
        let previous = if has_planes { plane.clone() } else { Vec::new() };
        Self { nx, ny, has_planes, stride, current: plane, previous, base: vec![(0, 0); nx] }
    }

    /// Where row `y` lies in `current`, and the row before it.
    #[inline(always)]
    fn row_and_north(&self, y: usize) -> (usize, usize) {
        let (row, north) = if self.has_planes { (y + 1, y) } else { (y & 1, !y & 1) };
        (row * self.stride + Self::MARGIN, north * self.stride + Self::MARGIN)
    }

    /// Fills `base` for row `y` and clears the row, which may hold one of two planes before, or of two rows before. Rows come
    /// in order. Where the row begins.
    #[inline(always)]
    pub fn start_row(&mut self, y: usize) -> usize {
        if y == 0 && self.has_planes {
            std::mem::swap(&mut self.current, &mut self.previous);
        }
        let (nx, stride) = (self.nx, self.stride);
        let (row, north) = self.row_and_north(y);
        if self.ny > 1 {
            let north = &self.current[north - 1..][..nx + 2];
            for (base, n) in self.base.iter_mut().zip(north.windows(3)) {
                *base = (n[0].unsigned_abs() + 2 * n[1].unsigned_abs() + n[2].unsigned_abs(), n[1]);
            }
        } else {
            self.base.fill((0, 0));
        }
        if self.has_planes {
            let before = &self.previous[row..][..nx + 1];
            let south = &self.previous[row + stride..][..nx];
            for ((base, b), s) in self.base.iter_mut().zip(before.windows(2)).zip(south) {
                base.0 += 2 * b[0].unsigned_abs() + b[1].unsigned_abs() + s.unsigned_abs();
                base.1 += b[0];
            }
        }
        self.current[row..row + nx].fill(0);
        row
    }
}

/// The rows of a lattice's first `n` positions: number within its plane, first position, length.
#[inline(always)]
pub(super) fn rows(planes: &Planes, n: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
    let (nx, ny) = (planes.nx.max(1), planes.ny);
    (0..n.div_ceil(nx)).map(move |row| (row % ny, row * nx, nx.min(n - row * nx)))
}
