//! How probable a tile is: a normal distribution over its latents, and over the logarithm of its error.
//!
//! ```text
//! u_i = (z_i - mean_i) / deviation_i                    latents z as the encoder gives them
//! w   = whitening u                                     u itself where there is no whitening
//! e   = max(0, (ln(rms error) - error.mean) / error.deviation)
//! score = sqrt(mean of w_i^2 + e^2)                     about 1 for the tiles trained on
//! ```
//!
//! The error is of the network's output against its input, in units of the network; a tile with a small one is no
//! outlier, so it counts on one side only. Scores are the encoder's own affair: decoding never sees them.

use serde::{Deserialize, Serialize};

/// `[density]` of a manifest, format 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Density {
    /// Tiles with a score above this are outliers.
    pub threshold: f64,
    /// The part of the tiles trained on that lies at or below the threshold; for people.
    pub quantile: f64,
    /// Of the logarithm of the tile's root mean square error.
    pub error: Moments,
    /// Of each latent.
    pub mean: Vec<f64>,
    /// Of each latent; above zero.
    pub deviation: Vec<f64>,
    /// Rows of a lower triangular matrix, the first with one entry, the last with one for each latent; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whitening: Vec<Vec<f64>>,
}

/// Mean and standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// Mean.
    pub mean: f64,
    /// Standard deviation; above zero.
    pub deviation: f64,
}

/// Errors below this count as this: the logarithm of zero is no number.
const LEAST_ERROR: f64 = 1e-9;

impl Density {
    /// The score of a tile with these latents and this root mean square error. A latent or error that is not a number
    /// gives infinity.
    pub fn score(&self, latents: &[f32], rms_error: f64) -> f64 {
        let u: Vec<f64> = latents
            .iter()
            .zip(self.mean.iter().zip(&self.deviation))
            .map(|(&z, (mean, deviation))| (f64::from(z) - mean) / deviation)
            .collect();
        let squares: f64 = match self.whitening.is_empty() {
            true => u.iter().map(|u| u * u).sum(),
            false => {
                let product = |row: &Vec<f64>| row.iter().zip(&u).map(|(a, u)| a * u).sum::<f64>();
                self.whitening.iter().map(|row| product(row).powi(2)).sum()
            }
        };
        let e = (log_error(rms_error) - self.error.mean) / self.error.deviation;
        let score = (squares / u.len().max(1) as f64 + if e < 0.0 { 0.0 } else { e * e }).sqrt();
        if score.is_nan() { f64::INFINITY } else { score }
    }

    /// What is wrong with the numbers for `count` latents, if anything is.
    pub(super) fn validate(&self, count: usize) -> Result<(), String> {
        let finite = |name: &str, v: f64| match v.is_finite() {
            true => Ok(()),
            false => Err(format!("{name} = {v}: expected a finite number")),
        };
        let above_zero = |name: &str, v: f64| match v.is_finite() && v > 0.0 {
            true => Ok(()),
            false => Err(format!("{name} = {v}: expected a finite number above 0")),
        };
        above_zero("threshold", self.threshold)?;
        if !(self.quantile > 0.0 && self.quantile <= 1.0) {
            return Err(format!("quantile = {}: expected above 0, at most 1", self.quantile));
        }
        finite("error.mean", self.error.mean)?;
        above_zero("error.deviation", self.error.deviation)?;
        for (name, list) in [("mean", &self.mean), ("deviation", &self.deviation)] {
            if list.len() != count {
                return Err(format!("{name} has {} entries: expected latents.count = {count}", list.len()));
            }
        }
        self.mean.iter().try_for_each(|v| finite("mean", *v))?;
        self.deviation.iter().try_for_each(|v| above_zero("deviation", *v))?;
        let rows = self.whitening.len();
        if rows != 0 && (rows != count || self.whitening.iter().enumerate().any(|(i, row)| row.len() != i + 1)) {
            return Err(format!("whitening: expected {count} rows of 1 to {count} entries, a lower triangular matrix"));
        }
        self.whitening.iter().flatten().try_for_each(|v| finite("whitening", *v))
    }
}

/// The logarithm that [`Density`] is over.
pub fn log_error(rms_error: f64) -> f64 {
    // Not `max`, which would let a NaN pass for the smallest error.
    crate::elementary::ln(if rms_error < LEAST_ERROR { LEAST_ERROR } else { rms_error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn density() -> Density {
        Density {
            threshold: 3.0,
            quantile: 0.999,
            error: Moments { mean: -4.0, deviation: 0.5 },
            mean: vec![1.0, -2.0],
            deviation: vec![2.0, 1.0],
            whitening: Vec::new(),
        }
    }

    #[test]
    fn scores_grow_with_distance_and_error() {
        let mut density = density();
        let typical = (-4f64).exp();
        assert_eq!(density.score(&[1.0, -2.0], typical), 0.0);
        assert_eq!(density.score(&[1.0, -2.0], 1e-30), 0.0);
        assert!((density.score(&[3.0, -1.0], typical) - 1.0).abs() < 1e-12);
        assert!((density.score(&[1.0, -2.0], (-2f64).exp()) - 4.0).abs() < 1e-12);
        assert_eq!(density.score(&[f32::NAN, 0.0], typical), f64::INFINITY);
        assert_eq!(density.score(&[0.0, 0.0], f64::NAN), f64::INFINITY);
        assert!(density.score(&[0.0, 0.0], f64::INFINITY) > 1e3);
        // Two latents that always move together: apart they are far off.
        density.whitening = vec![vec![1.0], vec![-9.0, 10.0]];
        assert!(density.score(&[3.0, -1.0], typical) < 1.01);
        assert!(density.score(&[3.0, -3.0], typical) > 10.0);
    }

    #[test]
    fn wrong_numbers_are_refused() {
        assert_eq!(density().validate(2), Ok(()));
        type Break = fn(&mut Density);
        let cases: [(&str, Break); 8] = [
            ("threshold", |d| d.threshold = 0.0),
            ("quantile", |d| d.quantile = 1.5),
            ("error.mean", |d| d.error.mean = f64::NAN),
            ("error.deviation", |d| d.error.deviation = -1.0),
            ("mean has 1", |d| d.mean.truncate(1)),
            ("deviation = 0", |d| d.deviation[1] = 0.0),
            ("whitening: expected 2 rows", |d| d.whitening = vec![vec![1.0], vec![1.0]]),
            ("whitening = inf", |d| d.whitening = vec![vec![1.0], vec![1.0, f64::INFINITY]]),
        ];
        for (says, change) in cases {
            let mut density = density();
            change(&mut density);
            let error = density.validate(2).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(density().validate(3).is_err());
    }
}
