//! Arrays cut into tiles.

/// All whole tiles of an array.
pub(crate) fn cut(data: &[f32], shape: &[usize], tile: &[usize]) -> Vec<Vec<f32>> {
    let (lead, extents) = shape.split_at(shape.len() - tile.len());
    let frame: usize = extents.iter().product();
    let grid: Vec<usize> = extents.iter().zip(tile).map(|(e, t)| e / t).collect();
    let (per_frame, d) = (grid.iter().product::<usize>(), tile.iter().product::<usize>());
    let mut tiles = Vec::with_capacity(lead.iter().product::<usize>() * per_frame);
    for values in data.chunks_exact(frame).take(lead.iter().product()) {
        for t in 0..per_frame {
            tiles.push(
                (0..d)
                    .map(|place| {
                        let (mut t, mut place, mut stride, mut position) = (t, place, 1, 0);
                        for axis in (0..tile.len()).rev() {
                            position += (t % grid[axis] * tile[axis] + place % tile[axis]) * stride;
                            t /= grid[axis];
                            place /= tile[axis];
                            stride *= extents[axis];
                        }
                        values[position]
                    })
                    .collect(),
            );
        }
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_cut_in_order() {
        let data: Vec<f32> = (0..2 * 4 * 5).map(|v| v as f32).collect();
        let tiles = cut(&data, &[2, 4, 5], &[2, 2]);
        assert_eq!(tiles.len(), 2 * 2 * 2);
        assert_eq!(tiles[0], [0.0, 1.0, 5.0, 6.0]);
        assert_eq!(tiles[1], [2.0, 3.0, 7.0, 8.0]);
        assert_eq!(tiles[2], [10.0, 11.0, 15.0, 16.0]);
        assert_eq!(tiles[4], [20.0, 21.0, 25.0, 26.0]);
    }
}
