//! A table of jets: columns with heavy tails, with angles, with exact relations, with counts, and with noise.
//!
//! ```text
//! px = pt cos phi    py = pt sin phi    pz = pt sinh eta    energy = sqrt(px^2 + py^2 + pz^2 + mass^2)
//! ```
//!
//! pt falls with a power law, the mass follows pt, the number of constituents follows pt and the mass; the energy
//! fractions add up to 1. Not a physics generator: the shapes are those of collider data, the constants are round.

use super::Random;

/// The columns, in order. pt, mass, momenta and energy in GeV, phi in radians.
pub const JET_COLUMNS: [&str; 16] = [
    "pt",
    "eta",
    "phi",
    "mass",
    "px",
    "py",
    "pz",
    "energy",
    "area",
    "constituents",
    "charged_hadron_fraction",
    "neutral_hadron_fraction",
    "photon_fraction",
    "electron_fraction",
    "muon_fraction",
    "b_tag",
];

/// Mean energy fractions: charged hadrons, neutral hadrons, photons, electrons, muons.
const FRACTIONS: [f32; 5] = [0.62, 0.1, 0.25, 0.01, 0.02];

/// A table of shape [rows, `JET_COLUMNS.len()`], in C order.
pub fn jets(rows: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..rows).flat_map(|_| jet(&mut random)).collect()
}

fn jet(random: &mut Random) -> [f32; JET_COLUMNS.len()] {
    let exponential = |random: &mut Random| -(1.0 - random.uniform()).ln();
    // From 20 GeV on, falling with the fifth power.
    let pt = 20.0 * (1.0 - random.uniform()).powf(-0.25);
    // Hard jets are central; none is beyond the end of the calorimeter.
    let eta = loop {
        let eta = 2.2 / (1.0 + pt / 400.0) * random.normal();
        if eta.abs() < 4.7 {
            break eta;
        }
    };
    let phi = std::f32::consts::TAU * random.uniform() - std::f32::consts::PI;
    let mass = 0.12 * pt * (0.35 * random.normal()).exp();
    let [px, py, pz, energy] = momentum(pt, eta, phi, mass);
    let area = 0.5 + 0.03 * random.normal();
    let constituents = 2 + random.poisson(6.0 + 8.0 * (pt / 20.0).ln() + 60.0 * mass / pt);
    let shares = FRACTIONS.map(|mean| mean * exponential(random));
    let sum: f32 = shares.iter().sum();
    let fractions = shares.map(|share| share / sum);
    // One in ten is tagged: near 1, the others near 0.
    let tail = 0.08 * exponential(random);
    let b_tag = if random.below(10) == 0 { 1.0 - tail } else { tail }.clamp(0.0, 1.0);
    let [charged, neutral, photon, electron, muon] = fractions;
    let constituents = constituents as f32;
    [pt, eta, phi, mass, px, py, pz, energy, area, constituents, charged, neutral, photon, electron, muon, b_tag]
}

/// px, py, pz and the energy, computed in double precision.
fn momentum(pt: f32, eta: f32, phi: f32, mass: f32) -> [f32; 4] {
    let (pt, eta, phi, mass) = (f64::from(pt), f64::from(eta), f64::from(phi), f64::from(mass));
    let [px, py, pz] = [pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()];
    [px, py, pz, (px * px + py * py + pz * pz + mass * mass).sqrt()].map(|v| v as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_hold_and_tables_repeat() {
        let table = jets(500, 7);
        assert!(table == jets(500, 7));
        assert_eq!(table.len(), 500 * JET_COLUMNS.len());
        for row in table.chunks_exact(JET_COLUMNS.len()) {
            assert!(row.iter().all(|v| v.is_finite()), "{row:?}");
            let [pt, eta, phi, mass, px, py, pz, energy] = row[..8] else { unreachable!() };
            assert_eq!([px, py, pz, energy], momentum(pt, eta, phi, mass));
            assert!((px.hypot(py) / pt - 1.0).abs() < 1e-5, "{row:?}");
            assert!((row[10..15].iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
            assert!(pt >= 20.0 && eta.abs() < 4.7 && (0.0..=1.0).contains(&row[15]), "{row:?}");
        }
    }

    #[test]
    fn transverse_momenta_have_a_heavy_tail() {
        let mut pt: Vec<f32> = jets(20000, 1).chunks_exact(JET_COLUMNS.len()).map(|row| row[0]).collect();
        pt.sort_by(f32::total_cmp);
        // Median and last thousandth of 20 u^(-1/4).
        assert!((pt[10000] - 23.8).abs() < 0.3, "{}", pt[10000]);
        assert!(pt[19980] > 90.0, "{}", pt[19980]);
    }
}
