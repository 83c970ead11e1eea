//! Trigger cells of a sampling calorimeter, as the concentrator of CMS's end-cap sees them: 48 to a module.
//!
//! A module is a hexagon of three rhombi of 4 x 4 cells; rhombus `p` is spanned by the directions `120 p` degrees (rows)
//! and `120 (p + 1)` degrees (columns) from the centre. A row of the table holds the cells' shares of the module's sum,
//! in the order rhombus, row, column: what the on-detector autoencoder of Di Guglielmo et al., "A reconfigurable neural
//! network ASIC for detector front-end data compression at the HL-LHC" (arXiv 2105.01683) compresses. One to three
//! showers with exponential profiles on noise, zero-suppressed; not a shower simulation.

use super::Random;

/// Cells of a module.
pub const CELLS: usize = 48;
/// Rows and columns of a rhombus.
const SIDE: usize = 4;

/// A table of shape [rows, [`CELLS`]], in C order; each row adds up to 1.
pub fn cells(rows: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..rows).flat_map(|_| module(&mut random)).collect()
}

fn module(random: &mut Random) -> [f32; CELLS] {
    loop {
        let mut energy = [0.0f32; CELLS];
        for _ in 0..1 + random.poisson(0.7).min(2) {
            // The module is one of many: showers begin beyond its edges too.
            let [x, y] = [0; 2].map(|_| 9.0 * random.uniform() - 4.5);
            let total = 4.0 * (1.0 - random.uniform()).powf(-0.6).min(60.0);
            let width = 0.45 + 0.9 * random.uniform();
            for (cell, share) in energy.iter_mut().enumerate() {
                let [cx, cy] = position(cell);
                *share += total * (-(cx - x).hypot(cy - y) / width).exp();
            }
        }
        // Pile-up and electronics; what is below the threshold is not sent.
        for share in &mut energy {
            let noise = -0.06 * (1.0 - random.uniform()).ln() + 0.02 * random.normal();
            *share = if *share + noise > 0.15 { *share + noise } else { 0.0 };
        }
        let sum: f32 = energy.iter().sum();
        if sum > 1.0 {
            return energy.map(|share| share / sum);
        }
    }
}

/// The centre of a cell, in units of a cell's side.
fn position(cell: usize) -> [f32; 2] {
    let (p, row, column) = place(cell);
    let direction = |p: usize| {
        let angle = std::f32::consts::TAU / 3.0 * p as f32;
        [angle.cos(), angle.sin()]
    };
    let (along_rows, along_columns) = (direction(p), direction(p + 1));
    [0, 1].map(|i| (row as f32 + 0.5) * along_rows[i] + (column as f32 + 0.5) * along_columns[i])
}

fn place(cell: usize) -> (usize, usize, usize) {
    (cell / (SIDE * SIDE), cell / SIDE % SIDE, cell % SIDE)
}

fn index(p: usize, row: usize, column: usize) -> usize {
    (p % 3 * SIDE + row) * SIDE + column
}

/// Groups of cells at the three distances of the telescope metric: single cells, every 2 x 2 neighbours (nine in each
/// rhombus, three across each border of two), and whole rhombi.
fn groups() -> [Vec<Vec<usize>>; 3] {
    let single = (0..CELLS).map(|cell| vec![cell]).collect();
    let mut squares = Vec::new();
    for p in 0..3 {
        for k in 0..SIDE - 1 {
            for column in 0..SIDE - 1 {
                squares.push([0, 1].map(|r| [0, 1].map(|c| index(p, k + r, column + c))).concat());
            }
            // The edge of column 0 lies along the one of row 0 of the rhombus before.
            squares.push([0, 1].map(|r| [index(p, k + r, 0), index(p + 2, 0, k + r)]).concat());
        }
    }
    let rhombi = (0..3).map(|p| (0..SIDE * SIDE).map(|i| p * SIDE * SIDE + i).collect()).collect();
    [single, squares, rhombi]
}

/// The telescope metric of rows of cells: `4 m1 + 2 m2 + m3`, where each `m` is the mean over the groups at one distance
/// of `(sum of decoded - sum of true)^2 * max(sum of decoded, sum of true)`. Weights by distance and by energy are those
/// of the Ecoder project; smaller is better.
pub fn telescope(truth: &[f32], decoded: &[f32]) -> f64 {
    let groups = groups();
    let mut total = 0.0;
    let rows = truth.chunks_exact(CELLS).zip(decoded.chunks_exact(CELLS));
    let n = rows.len().max(1);
    for (truth, decoded) in rows {
        for (weight, groups) in [4.0, 2.0, 1.0].into_iter().zip(&groups) {
            let of_group = |group: &Vec<usize>| {
                let [t, d] = [truth, decoded].map(|row| group.iter().map(|&i| f64::from(row[i])).sum::<f64>());
                (d - t).powi(2) * d.max(t)
            };
            total += weight * groups.iter().map(of_group).sum::<f64>() / groups.len() as f64;
        }
    }
    total / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_repeat() {
        let table = cells(200, 3);
        assert!(table == cells(200, 3));
        for row in table.chunks_exact(CELLS) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5 && row.iter().all(|v| *v >= 0.0));
        }
    }

    /// Cells of a 2 x 2 group touch: their centres lie within two sides of each other.
    #[test]
    fn groups_are_neighbours() {
        let [single, squares, rhombi] = groups();
        assert_eq!((single.len(), squares.len(), rhombi.len()), (48, 36, 3));
        for group in squares {
            for (&a, &b) in group.iter().zip(&group[1..]) {
                let [[ax, ay], [bx, by]] = [position(a), position(b)];
                assert!((ax - bx).hypot(ay - by) < 2.0, "{group:?}");
            }
        }
    }

    #[test]
    fn the_metric_by_hand() {
        let mut truth = [0.0; CELLS];
        truth[5] = 1.0;
        assert_eq!(telescope(&truth, &truth), 0.0);
        // Cell 5 is in four squares and one rhombus; everything else agrees.
        let expected = 4.0 / 48.0 + 2.0 * 4.0 / 36.0 + 1.0 / 3.0;
        assert!((telescope(&truth, &[0.0; CELLS]) - expected).abs() < 1e-12);
    }
}
