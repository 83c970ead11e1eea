//! A table of events with two muons from Z bosons, as long as one likes.
//!
//! ```text
//! Z: mass from a Breit-Wigner curve, transverse momentum and rapidity as at the LHC; decay into two muons, isotropic in
//!    its rest frame; momenta measured with the resolution of a tracker
//! px = pt cos phi    py = pt sin phi    pz = pt sinh eta    E = sqrt(px^2 + py^2 + pz^2 + m_mu^2)
//! M^2 = (E1 + E2)^2 - (px1 + px2)^2 - (py1 + py2)^2 - (pz1 + pz2)^2
//! ```
//!
//! Tree level and no detector: the shapes are those of collider data, the relations between the columns hold to float32's
//! precision. The columns have the names of the CMS dimuon tables.

use super::Random;

/// The columns, in order: GeV, radians, charges.
pub const EVENT_COLUMNS: [&str; 17] = [
    "E1", "px1", "py1", "pz1", "pt1", "eta1", "phi1", "Q1", "E2", "px2", "py2", "pz2", "pt2", "eta2", "phi2", "Q2", "M",
];

/// Masses of the muon and the Z boson, and the width of the latter, in GeV (Particle Data Group 2024, rounded).
const MUON: f64 = 0.105_658;
const Z: f64 = 91.188;
const WIDTH: f64 = 2.496;

/// Generates events one after another; the same seed gives the same events.
pub struct Events {
    random: Random,
}

impl Events {
    /// From the first event on.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed) }
    }

    /// The next event: a row of [`EVENT_COLUMNS`].
    pub fn row(&mut self) -> [f32; EVENT_COLUMNS.len()] {
        loop {
            if let Some(row) = self.attempt() {
                return row;
            }
        }
    }

    fn uniform(&mut self) -> f64 {
        f64::from(self.random.uniform())
    }

    fn normal(&mut self) -> f64 {
        f64::from(self.random.normal())
    }

    /// `None` where a muon is outside of what a detector sees.
    fn attempt(&mut self) -> Option<[f32; EVENT_COLUMNS.len()]> {
        let mass = Z + 0.5 * WIDTH * (std::f64::consts::PI * (self.uniform() - 0.5)).tan();
        if !(60.0..120.0).contains(&mass) {
            return None;
        }
        // Soft gluons give the Z a few GeV across the beams, hard jets more.
        let scale = if self.random.below(5) == 0 { 25.0 } else { 6.0 };
        let pt = scale * (-(1.0 - self.uniform()).ln()).sqrt();
        let (rapidity, azimuth) = (1.3 * self.normal(), std::f64::consts::TAU * self.uniform());
        let transverse_mass = mass.hypot(pt);
        let z = [
            transverse_mass * rapidity.cosh(),
            pt * azimuth.cos(),
            pt * azimuth.sin(),
            transverse_mass * rapidity.sinh(),
        ];
        // Back to back in the rest frame, then boosted along with the Z.
        let (cos, phi) = (2.0 * self.uniform() - 1.0, std::f64::consts::TAU * self.uniform());
        let p = (0.25 * mass * mass - MUON * MUON).sqrt();
        let sin = (1.0 - cos * cos).sqrt();
        let direction = [p * sin * phi.cos(), p * sin * phi.sin(), p * cos];
        let first = self.measured(boosted(z, mass, direction))?;
        let second = self.measured(boosted(z, mass, direction.map(|c| -c)))?;
        let charge = if self.random.below(2) == 0 { 1.0 } else { -1.0 };
        let sum: Vec<f64> = (0..4).map(|i| first[i] + second[i]).collect();
        let invariant = (sum[0] * sum[0] - sum[1] * sum[1] - sum[2] * sum[2] - sum[3] * sum[3]).max(0.0).sqrt();
        let mut row = [0.0; EVENT_COLUMNS.len()];
        let values = first.into_iter().chain([charge]).chain(second).chain([-charge, invariant]);
        row.iter_mut().zip(values).for_each(|(to, v)| *to = v as f32);
        Some(row)
    }

    /// E, px, py, pz, pt, eta, phi as a tracker sees them: 1 % to 2 % of the transverse momentum, a milliradian.
    fn measured(&mut self, [px, py, pz]: [f64; 3]) -> Option<[f64; 7]> {
        let true_pt = px.hypot(py);
        let pt = true_pt * (1.0 + (0.01 + 1e-4 * true_pt) * self.normal());
        let eta = (pz / true_pt).asinh() + 1e-3 * self.normal();
        let phi = py.atan2(px) + 1e-3 * self.normal();
        if pt < 3.0 || eta.abs() > 2.4 || phi.abs() > std::f64::consts::PI {
            return None;
        }
        // Columns follow from the values that the table holds.
        let [pt, eta, phi] = [pt, eta, phi].map(|v| f64::from(v as f32));
        let [px, py, pz] = [pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()];
        Some([(px * px + py * py + pz * pz + MUON * MUON).sqrt(), px, py, pz, pt, eta, phi])
    }
}

/// The momentum of a muon with momentum `p` in the rest frame of a particle with four-momentum `z`.
fn boosted(z: [f64; 4], mass: f64, p: [f64; 3]) -> [f64; 3] {
    let energy = 0.5 * mass;
    let along = z[1] * p[0] + z[2] * p[1] + z[3] * p[2];
    let factor = (along / (z[0] + mass) + energy) / mass;
    [p[0] + factor * z[1], p[1] + factor * z[2], p[2] + factor * z[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_repeat_and_their_relations_hold() {
        let (mut a, mut b) = (Events::new(4), Events::new(4));
        let mut masses = Vec::new();
        for _ in 0..3000 {
            let row = a.row();
            assert_eq!(row, b.row());
            assert!(row.iter().all(|v| v.is_finite()), "{row:?}");
            for muon in [&row[..8], &row[8..16]] {
                let [e, px, py, pz, pt, eta, phi, q] = muon.iter().map(|&v| f64::from(v)).collect::<Vec<_>>()[..]
                else {
                    unreachable!()
                };
                assert!((px - pt * phi.cos()).abs() < 1e-5 * pt && (py - pt * phi.sin()).abs() < 1e-5 * pt);
                assert!((pz - pt * eta.sinh()).abs() < 1e-5 * e && (e - px.hypot(py).hypot(pz)).abs() < 0.01);
                assert!(q.abs() == 1.0 && eta.abs() <= 2.4);
            }
            assert_eq!(row[7], -row[15]);
            masses.push(row[16]);
        }
        masses.sort_by(f32::total_cmp);
        assert!((masses[1500] - 91.2).abs() < 0.3, "{}", masses[1500]);
        assert!(masses[300] > 84.0 && masses[2700] < 98.0, "{} {}", masses[300], masses[2700]);
    }
}
