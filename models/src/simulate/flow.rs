//! Flow past a cylinder by the lattice-Boltzmann method: the Karman vortex street.
//!
//! The D2Q9 lattice with the two-relaxation-time collision of Ginzburg, Verhaeghe and d'Humieres (Communications in
//! Computational Physics 3, 2008). The even part of the populations relaxes at the rate that the viscosity asks for,
//! the odd part at once, which damps what would blow up on a coarse grid. The channel is periodic across the flow; the fluid enters at
//! the left at a fixed velocity, leaves at the right, and is turned back by the cylinder's cells (full-way bounce-back).
//! All quantities are in lattice units: cells and time steps.

use super::Random;
use baler_codec::{Error, Result};

/// What a frame shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantity {
    /// The magnitude of the velocity, in units of the inflow's.
    #[default]
    Speed,
    /// The curl of the velocity, in units of inflow velocity over cylinder diameter.
    Vorticity,
    /// The component of the velocity along the flow, in units of the inflow's.
    VelocityX,
    /// The component of the velocity across the flow, in units of the inflow's.
    VelocityY,
    /// Density (pressure times 3) less its mean, in units of density times inflow velocity squared.
    Pressure,
}

/// A flow past a cylinder, and which frames of it to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Cylinder {
    /// Cells along the flow. The cylinder stands at a quarter of it.
    pub nx: usize,
    /// Cells across the flow. The cylinder's diameter is an eighth of it.
    pub ny: usize,
    /// Frames to keep.
    pub frames: usize,
    /// Time steps from one frame to the next. The vortices shed with a period of about `5 * diameter / 0.12` steps.
    pub steps_between: usize,
    /// Time steps before the first frame. `None`: until the street has formed.
    pub warm_up: Option<usize>,
    /// Reynolds number, of the diameter and the inflow velocity. Vortices are shed above about 50.
    pub reynolds: f64,
    /// Seed of the small disturbance that starts the shedding.
    pub seed: u64,
    /// What the frames show.
    pub quantity: Quantity,
}

impl Default for Cylinder {
    /// 60 frames of 96 x 192 cells at Reynolds number 150.
    fn default() -> Self {
        Self {
            nx: 192,
            ny: 96,
            frames: 60,
            steps_between: 40,
            warm_up: None,
            reynolds: 150.0,
            seed: 1,
            quantity: Quantity::Speed,
        }
    }
}

/// Velocity of the inflow: low enough against the lattice's speed of sound (0.577) for an incompressible flow.
const INFLOW: f32 = 0.12;

/// The highest Reynolds number for each cell of the cylinder's diameter: above it the scheme may become unstable (seen at
/// 40, not at 17).
const HIGHEST_CELL_REYNOLDS: f64 = 20.0;

// Directions: rest, four along the axes, four diagonal. Direction i and `OPPOSITE[i]` are a pair.
const CX: [isize; 9] = [0, 1, 0, -1, 0, 1, -1, -1, 1];
const CY: [isize; 9] = [0, 0, 1, 0, -1, 1, 1, -1, -1];
const OPPOSITE: [usize; 9] = [0, 3, 4, 1, 2, 7, 8, 5, 6];
const WEIGHT: [f32; 9] =
    [4.0 / 9.0, 1.0 / 9.0, 1.0 / 9.0, 1.0 / 9.0, 1.0 / 9.0, 1.0 / 36.0, 1.0 / 36.0, 1.0 / 36.0, 1.0 / 36.0];

/// Runs the flow. The result has the shape [frames, ny, nx], in C order.
///
/// An error if the grid is smaller than 16 x 16 cells, or too coarse for the Reynolds number.
pub fn cylinder(setup: &Cylinder) -> Result<Vec<f32>> {
    if setup.nx < 16 || setup.ny < 16 {
        return Err(Error::invalid(format!("a grid of {} x {} cells: expected at least 16 x 16", setup.ny, setup.nx)));
    }
    let highest = HIGHEST_CELL_REYNOLDS * setup.ny as f64 / 8.0;
    if !(setup.reynolds >= 1.0 && setup.reynolds <= highest) {
        return Err(Error::invalid(format!(
            "Reynolds number {}: expected 1 to {highest} with {} cells across the flow; more cells allow more",
            setup.reynolds, setup.ny
        )));
    }
    let mut lattice = Lattice::new(setup);
    let period = (5.0 * lattice.diameter / INFLOW) as usize;
    // Twice through the channel and some periods: by then the street fills the frame.
    let warm_up = setup.warm_up.unwrap_or((2.0 * setup.nx as f32 / INFLOW) as usize + 6 * period);
    for _ in 0..warm_up {
        lattice.step();
    }
    let mut values = Vec::with_capacity(setup.frames * setup.ny * setup.nx);
    for frame in 0..setup.frames {
        if frame > 0 {
            for _ in 0..setup.steps_between {
                lattice.step();
            }
        }
        lattice.observe(setup.quantity, &mut values);
    }
    Ok(values)
}

struct Lattice {
    nx: usize,
    ny: usize,
    diameter: f32,
    /// Relaxation rate of the even part of the populations.
    rate_even: f32,
    /// One plane for each direction.
    populations: [Vec<f32>; 9],
    next: [Vec<f32>; 9],
    /// Indices of the cells inside the cylinder.
    solid: Vec<usize>,
}

impl Lattice {
    fn new(setup: &Cylinder) -> Self {
        let (nx, ny) = (setup.nx, setup.ny);
        let diameter = ny as f32 / 8.0;
        let viscosity = f64::from(INFLOW * diameter) / setup.reynolds;
        let tau = 3.0 * viscosity + 0.5;
        let (centre_x, centre_y) = (nx as f32 / 4.0, ny as f32 / 2.0 + 0.5);
        let inside = |cell: usize| {
            let (dx, dy) = ((cell % nx) as f32 - centre_x, (cell / nx) as f32 - centre_y);
            dx * dx + dy * dy <= diameter * diameter / 4.0
        };
        let mut random = Random::new(setup.seed);
        let phase = random.uniform() * std::f32::consts::TAU;
        let mut populations: [Vec<f32>; 9] = Default::default();
        for (i, plane) in populations.iter_mut().enumerate() {
            plane.extend((0..nx * ny).map(|cell| {
                // A transverse wave of the wake's own length: shedding starts at once instead of growing from rounding.
                let along = (cell % nx) as f32 / (5.0 * diameter) * std::f32::consts::TAU + phase;
                let beside = ((cell / nx) as f32 - centre_y) / diameter;
                let wave = 0.3 * INFLOW * along.sin() * (-0.3 * beside * beside).exp();
                if inside(cell) { equilibrium(i, 1.0, 0.0, 0.0) } else { equilibrium(i, 1.0, INFLOW, wave) }
            }));
        }
        Self {
            nx,
            ny,
            diameter,
            rate_even: (1.0 / tau) as f32,
            next: populations.clone(),
            populations,
            solid: (0..nx * ny).filter(|&cell| inside(cell)).collect(),
        }
    }

    /// One time step: every cell pulls what its neighbours sent, then collides.
    fn step(&mut self) {
        let (nx, ny) = (self.nx, self.ny);
        let mut pulled = std::array::from_fn::<Vec<f32>, 9, _>(|_| vec![0.0; nx]);
        for y in 0..ny {
            for i in 0..9 {
                let from_y = (y + ny).wrapping_add_signed(-CY[i]) % ny;
                let row = &self.populations[i][from_y * nx..][..nx];
                match CX[i] {
                    1 => pulled[i][1..].copy_from_slice(&row[..nx - 1]),
                    -1 => pulled[i][..nx - 1].copy_from_slice(&row[1..]),
                    _ => pulled[i].copy_from_slice(row),
                }
            }
            let mut out = self.next.each_mut().map(|plane| &mut plane[y * nx..][..nx]);
            collide(&pulled, &mut out, self.rate_even);
            for (i, row) in out.iter_mut().enumerate() {
                row[0] = equilibrium(i, 1.0, INFLOW, 0.0);
                row[nx - 1] = row[nx - 2];
            }
        }
        for &cell in &self.solid {
            let (x, y) = (cell % nx, cell / nx);
            for i in 0..9 {
                // The cylinder is never at the edge of the grid, so `x` needs no wrapping.
                let from = (y + ny).wrapping_add_signed(-CY[i]) % ny * nx + x.wrapping_add_signed(-CX[i]);
                self.next[OPPOSITE[i]][cell] = self.populations[i][from];
            }
        }
        std::mem::swap(&mut self.populations, &mut self.next);
    }

    fn observe(&self, quantity: Quantity, values: &mut Vec<f32>) {
        let (nx, ny) = (self.nx, self.ny);
        let mut density = vec![0f32; nx * ny];
        let mut velocity = [vec![0f32; nx * ny], vec![0f32; nx * ny]];
        for cell in 0..nx * ny {
            let f = |i: usize| self.populations[i][cell];
            let rho: f32 = (0..9).map(f).sum();
            density[cell] = rho;
            velocity[0][cell] = (f(1) - f(3) + f(5) - f(6) - f(7) + f(8)) / (rho * INFLOW);
            velocity[1][cell] = (f(2) - f(4) + f(5) + f(6) - f(7) - f(8)) / (rho * INFLOW);
        }
        for &cell in &self.solid {
            density[cell] = 1.0;
            velocity[0][cell] = 0.0;
            velocity[1][cell] = 0.0;
        }
        let [u, v] = &velocity;
        match quantity {
            Quantity::Speed => values.extend(u.iter().zip(v).map(|(u, v)| (u * u + v * v).sqrt())),
            Quantity::VelocityX => values.extend(u),
            Quantity::VelocityY => values.extend(v),
            Quantity::Pressure => {
                let mean = density.iter().sum::<f32>() / density.len() as f32;
                values.extend(density.iter().map(|rho| (rho - mean) / (INFLOW * INFLOW)));
            }
            Quantity::Vorticity => values.extend((0..nx * ny).map(|cell| {
                let (x, y) = (cell % nx, cell / nx);
                // Central differences, one-sided at the inflow and the outflow.
                let (left, right) = (x.saturating_sub(1), (x + 1).min(nx - 1));
                let (below, above) = ((y + ny - 1) % ny, (y + 1) % ny);
                let dv_dx = (v[y * nx + right] - v[y * nx + left]) / (right - left) as f32;
                let du_dy = (u[above * nx + x] - u[below * nx + x]) / 2.0;
                (dv_dx - du_dy) * self.diameter
            })),
        }
    }
}

fn equilibrium(i: usize, density: f32, u: f32, v: f32) -> f32 {
    let along = 3.0 * (CX[i] as f32 * u + CY[i] as f32 * v);
    WEIGHT[i] * density * (1.0 + along + 0.5 * along * along - 1.5 * (u * u + v * v))
}

/// The collision of one row. Written without branches over plain slices, so that the compiler vectorises it.
fn collide(pulled: &[Vec<f32>; 9], out: &mut [&mut [f32]; 9], rate_even: f32) {
    let n = pulled[0].len();
    let f = pulled.each_ref().map(|row| &row[..n]);
    let [o0, o1, o2, o3, o4, o5, o6, o7, o8] = out.each_mut().map(|row| &mut row[..n]);
    for x in 0..n {
        let rho = f[0][x] + f[1][x] + f[2][x] + f[3][x] + f[4][x] + f[5][x] + f[6][x] + f[7][x] + f[8][x];
        let inverse = 1.0 / rho;
        let u = (f[1][x] - f[3][x] + f[5][x] - f[6][x] - f[7][x] + f[8][x]) * inverse;
        let v = (f[2][x] - f[4][x] + f[5][x] + f[6][x] - f[7][x] - f[8][x]) * inverse;
        let base = 1.0 - 1.5 * (u * u + v * v);
        o0[x] = f[0][x] + rate_even * (WEIGHT[0] * rho * base - f[0][x]);
        let pair = |a: f32, b: f32, weight: f32, along: f32| {
            let even = weight * rho * (base + 4.5 * along * along) - 0.5 * (a + b);
            let odd = weight * rho * 3.0 * along - 0.5 * (a - b);
            (a + rate_even * even + odd, b + rate_even * even - odd)
        };
        (o1[x], o3[x]) = pair(f[1][x], f[3][x], WEIGHT[1], u);
        (o2[x], o4[x]) = pair(f[2][x], f[4][x], WEIGHT[1], v);
        (o5[x], o7[x]) = pair(f[5][x], f[7][x], WEIGHT[5], u + v);
        (o6[x], o8[x]) = pair(f[6][x], f[8][x], WEIGHT[5], v - u);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(quantity: Quantity) -> Cylinder {
        Cylinder { nx: 96, ny: 48, frames: 24, steps_between: 20, reynolds: 100.0, quantity, ..Cylinder::default() }
    }

    #[test]
    fn the_same_call_gives_the_same_field() {
        // Not `assert_eq`, which would print both fields.
        assert!(cylinder(&small(Quantity::Speed)).unwrap() == cylinder(&small(Quantity::Speed)).unwrap());
    }

    #[test]
    fn vortices_are_shed_behind_the_cylinder() {
        let setup = small(Quantity::VelocityY);
        let v = cylinder(&setup).unwrap();
        assert_eq!(v.len(), 24 * 48 * 96);
        assert!(v.iter().all(|x| x.is_finite()));
        // Behind the cylinder the transverse velocity changes sign as vortices pass, and is a sizeable part of the
        // inflow's; before the cylinder it hardly moves.
        let at = |x: usize| (0..24).map(|t| v[(t * 48 + 24) * 96 + x]).collect::<Vec<_>>();
        let spread =
            |s: &[f32]| s.iter().cloned().fold(f32::MIN, f32::max) - s.iter().cloned().fold(f32::MAX, f32::min);
        let behind = at(48);
        assert!(behind.iter().any(|x| *x > 0.05) && behind.iter().any(|x| *x < -0.05), "{behind:?}");
        assert!(spread(&behind) > 5.0 * spread(&at(6)), "{} {}", spread(&behind), spread(&at(6)));
    }

    #[test]
    fn what_cannot_be_simulated_is_an_error() {
        for (setup, says) in [
            (Cylinder { nx: 8, ..small(Quantity::Speed) }, "16 x 16"),
            (Cylinder { reynolds: 1000.0, ..small(Quantity::Speed) }, "more cells"),
            (Cylinder { reynolds: f64::NAN, ..small(Quantity::Speed) }, "Reynolds"),
        ] {
            let error = cylinder(&setup).unwrap_err();
            assert!(error.message().contains(says), "{error}");
        }
    }

    #[test]
    fn mass_stays_near_its_start() {
        let p = cylinder(&small(Quantity::Pressure)).unwrap();
        let largest = p.iter().fold(0f32, |m, x| m.max(x.abs()));
        assert!(largest < 5.0, "pressure coefficient {largest}");
    }
}
