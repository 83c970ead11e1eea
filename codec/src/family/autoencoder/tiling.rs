//! Arrays cut into tiles.

/// An array cut into tiles along its last axes. Tiles that reach over the edge repeat the last value inside.
pub(super) struct Tiling {
    /// Extents of the axes that are cut, and of a tile.
    extents: Vec<usize>,
    tile: Vec<usize>,
    /// Tiles along each cut axis.
    grid: Vec<usize>,
    /// Product of the axes before.
    n_frames: usize,
    /// Extents of the array of tiles.
    pub lattice: Vec<usize>,
}

impl Tiling {
    pub fn new(shape: &[usize], tile: &[usize]) -> Self {
        let (lead, extents) = shape.split_at(shape.len() - tile.len());
        let grid: Vec<usize> = extents.iter().zip(tile).map(|(e, t)| e.div_ceil(*t)).collect();
        Self {
            extents: extents.to_vec(),
            tile: tile.to_vec(),
            n_frames: lead.iter().product(),
            lattice: lead.iter().chain(&grid).copied().collect(),
            grid,
        }
    }

    pub fn n_tiles(&self) -> usize {
        self.n_frames * self.grid.iter().product::<usize>()
    }

    pub fn tile_values(&self) -> usize {
        self.tile.iter().product()
    }

    /// Calls `visit(place in the tile, position in the array, whether the place lies inside)` for one tile.
    pub fn visit(&self, tile: usize, mut visit: impl FnMut(usize, usize, bool)) {
        let per_frame: usize = self.grid.iter().product();
        let base = tile / per_frame * self.extents.iter().product::<usize>();
        let mut corner = vec![0; self.grid.len()];
        let mut rest = tile % per_frame;
        for axis in (0..self.grid.len()).rev() {
            corner[axis] = rest % self.grid[axis] * self.tile[axis];
            rest /= self.grid[axis];
        }
        let (inner_tile, inner_extent) = (*self.tile.last().unwrap_or(&1), *self.extents.last().unwrap_or(&1));
        let n_rows = self.tile_values() / inner_tile;
        for row in 0..n_rows {
            let (mut rest, mut position, mut stride, mut inside) = (row, 0, inner_extent, true);
            for axis in (0..self.tile.len() - 1).rev() {
                let at = corner[axis] + rest % self.tile[axis];
                rest /= self.tile[axis];
                inside &= at < self.extents[axis];
                position += at.min(self.extents[axis] - 1) * stride;
                stride *= self.extents[axis];
            }
            for k in 0..inner_tile {
                let at = corner[self.tile.len() - 1] + k;
                let x = at.min(inner_extent - 1);
                visit(row * inner_tile + k, base + position + x, inside && at < inner_extent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_position_once() {
        for (shape, tile) in [
            (vec![3, 10, 7], vec![4, 3]),
            (vec![5], vec![2]),
            (vec![2, 3, 4, 5], vec![2, 2, 2]),
            (vec![50, 50], vec![50, 50]),
        ] {
            let tiling = Tiling::new(&shape, &tile);
            let n: usize = shape.iter().product();
            let mut seen = vec![0; n];
            for t in 0..tiling.n_tiles() {
                let mut places = 0;
                tiling.visit(t, |place, i, inside| {
                    assert_eq!(place, places);
                    places += 1;
                    seen[i] += usize::from(inside);
                });
                assert_eq!(places, tiling.tile_values());
            }
            assert!(seen.iter().all(|&s| s == 1), "{shape:?} {tile:?}");
        }
    }
}
