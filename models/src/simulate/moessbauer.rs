//! Frames of a Moessbauer or diffraction camera: few bright spots on a noisy background, with the truth beside them.
//!
//! ```text
//! electrons = Poisson(light of the background + light of the spots) + Normal(read_noise)
//! value     = offset + pattern of the pixel + pattern of its column + gain * electrons, rounded, 0 to 65535
//! ```
//!
//! The light of the background falls towards the corners, and its strength differs a little from frame to frame. The
//! patterns are the camera's own and the same in every frame of a seed. Spots are Gaussian; their strengths follow a
//! Pareto law: many weak ones, few strong ones.

use super::Random;
use baler_codec::{Error, Result};

/// The camera, what falls on it, and how many frames to take.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Frames to take.
    pub frames: usize,
    /// Rows of a frame, in pixels.
    pub ny: usize,
    /// Columns of a frame, in pixels.
    pub nx: usize,
    /// Mean number of spots in a frame; each frame's own is drawn.
    pub spots: f32,
    /// Electrons of the weakest spot, summed over its pixels.
    pub weakest: f32,
    /// Exponent of the strengths' Pareto law, above 0: the share of spots stronger than `s` is `(weakest / s)^tail`.
    pub tail: f32,
    /// Standard deviation of a spot, in pixels.
    pub width: f32,
    /// Electrons a pixel of the background in the middle of the frame.
    pub background: f32,
    /// Standard deviation of the read-out noise, in electrons.
    pub read_noise: f32,
    /// Added to every value, in units of the output.
    pub offset: f32,
    /// Standard deviation of the pixels' own offsets, in units of the output; columns have half of it.
    pub fixed_pattern: f32,
    /// Units of the output for an electron.
    pub gain: f32,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Camera {
    /// One frame of 2048 x 2048 pixels with about 300 spots.
    fn default() -> Self {
        Self {
            frames: 1,
            ny: 2048,
            nx: 2048,
            spots: 300.0,
            weakest: 200.0,
            tail: 1.2,
            width: 1.5,
            background: 12.0,
            read_noise: 3.0,
            offset: 100.0,
            fixed_pattern: 1.0,
            gain: 2.0,
            seed: 1,
        }
    }
}

/// One spot, as it fell on the camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// Index of the frame.
    pub frame: usize,
    /// Row of the centre, in pixels; 0 is the middle of the first.
    pub y: f32,
    /// Column of the centre, in pixels.
    pub x: f32,
    /// Electrons expected over all pixels.
    pub electrons: f32,
}

/// The names of [`Spot`]'s members in tables.
pub const SPOT_COLUMNS: [&str; 4] = ["frame", "y", "x", "electrons"];

/// What the camera recorded, and what there was to record.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposure {
    /// Shape [frames, ny, nx], in C order.
    pub values: Vec<u16>,
    /// Every spot of every frame.
    pub spots: Vec<Spot>,
}

/// Takes the frames. An error if the camera's numbers make no sense.
pub fn moessbauer(camera: &Camera) -> Result<Exposure> {
    let Camera { ny, nx, .. } = *camera;
    camera.check()?;
    let mut random = Random::new(camera.seed);
    let columns: Vec<f32> = (0..nx).map(|_| 0.5 * camera.fixed_pattern * random.normal()).collect();
    let pattern: Vec<f32> =
        (0..ny * nx).map(|i| camera.offset + columns[i % nx] + camera.fixed_pattern * random.normal()).collect();
    let middle = [(ny - 1) as f32 / 2.0, (nx - 1) as f32 / 2.0];
    let corner = (middle[0] * middle[0] + middle[1] * middle[1]).max(1.0);
    let mut exposure = Exposure { values: Vec::with_capacity(camera.frames * ny * nx), spots: Vec::new() };
    for frame in 0..camera.frames {
        let strength = camera.background * (1.0 + 0.05 * random.normal()).max(0.0);
        let mut light: Vec<f32> = (0..ny * nx)
            .map(|i| {
                let (dy, dx) = ((i / nx) as f32 - middle[0], (i % nx) as f32 - middle[1]);
                strength * (1.0 - 0.4 * (dy * dy + dx * dx) / corner)
            })
            .collect();
        for _ in 0..random.poisson(camera.spots) {
            let spot = Spot {
                frame,
                y: random.uniform() * (ny - 1) as f32,
                x: random.uniform() * (nx - 1) as f32,
                electrons: camera.weakest * (1.0 - random.uniform()).powf(-1.0 / camera.tail),
            };
            camera.add(&spot, &mut light);
            exposure.spots.push(spot);
        }
        exposure.values.extend(light.iter().zip(&pattern).map(|(&light, pattern)| {
            let electrons = random.poisson(light) as f32 + camera.read_noise * random.normal();
            // `as` keeps to the ends of the type, as a saturated camera does.
            (pattern + camera.gain * electrons).round() as u16
        }));
    }
    Ok(exposure)
}

impl Camera {
    fn check(&self) -> Result<()> {
        if self.ny == 0 || self.nx == 0 {
            return Err(Error::invalid(format!("frames of {} x {} pixels: expected at least 1 x 1", self.ny, self.nx)));
        }
        let members = [
            ("spots", self.spots, 0.0, 1e6),
            ("weakest", self.weakest, 0.0, 1e9),
            ("tail", self.tail, 0.1, 100.0),
            ("width", self.width, 0.3, 100.0),
            ("background", self.background, 0.0, 1e6),
            ("read_noise", self.read_noise, 0.0, 1e6),
            ("offset", self.offset, 0.0, 65535.0),
            ("fixed_pattern", self.fixed_pattern, 0.0, 1e4),
            ("gain", self.gain, 1e-3, 1e3),
        ];
        for (name, value, least, most) in members {
            if !(value >= least && value <= most) {
                return Err(Error::invalid(format!("{name} = {value}: expected {least} to {most}")));
            }
        }
        Ok(())
    }

    /// Adds a spot's light, as far as five standard deviations. The profile is that at the middle of each pixel, which for
    /// a width above 1 differs from its mean over the pixel by a few per cent.
    fn add(&self, spot: &Spot, light: &mut [f32]) {
        let reach = (5.0 * self.width).ceil() as isize;
        let peak = spot.electrons / (std::f32::consts::TAU * self.width * self.width);
        for y in spot.y as isize - reach..=spot.y as isize + reach {
            for x in spot.x as isize - reach..=spot.x as isize + reach {
                if (0..self.ny as isize).contains(&y) && (0..self.nx as isize).contains(&x) {
                    let (dy, dx) = (y as f32 - spot.y, x as f32 - spot.x);
                    let exponent = (dy * dy + dx * dx) / (2.0 * self.width * self.width);
                    light[y as usize * self.nx + x as usize] += peak * (-exponent).exp();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Camera {
        Camera { frames: 2, ny: 96, nx: 128, spots: 5.0, ..Camera::default() }
    }

    #[test]
    fn the_same_camera_takes_the_same_frames() {
        let exposure = moessbauer(&small()).unwrap();
        assert!(exposure == moessbauer(&small()).unwrap());
        assert_eq!(exposure.values.len(), 2 * 96 * 128);
        assert!(exposure != moessbauer(&Camera { seed: 2, ..small() }).unwrap());
    }

    #[test]
    fn noise_is_that_of_photons_and_read_out() {
        let camera = Camera { spots: 0.0, fixed_pattern: 0.0, frames: 1, ..small() };
        let values = moessbauer(&camera).unwrap().values;
        // The middle of the frame, where the background has its full strength.
        let middle: Vec<f64> =
            (32..64).flat_map(|y| (48..80).map(move |x| (y, x))).map(|(y, x)| f64::from(values[y * 128 + x])).collect();
        let mean = middle.iter().sum::<f64>() / middle.len() as f64;
        let variance = middle.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / middle.len() as f64;
        // Gain 2, Poisson of about 12 electrons, read-out noise of 3: 4 * (12 + 9) = 84.
        assert!((mean - 123.0).abs() < 5.0, "{mean}");
        assert!((variance - 84.0).abs() < 15.0, "{variance}");
    }

    #[test]
    fn spots_shine_where_the_table_says() {
        let camera = Camera { weakest: 5e3, ..small() };
        let Exposure { values, spots } = moessbauer(&camera).unwrap();
        assert!(!spots.is_empty() && spots.iter().all(|s| s.electrons >= 5e3));
        for spot in spots {
            let at = (spot.frame * 96 + spot.y.round() as usize) * 128 + spot.x.round() as usize;
            // 5000 electrons at a width of 1.5 give more than 250 in the middle pixel, whose centre is near.
            assert!(values[at] > 100 + 2 * 200, "{spot:?}: {}", values[at]);
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_named() {
        for (camera, says) in [
            (Camera { ny: 0, ..small() }, "0 x 128"),
            (Camera { gain: f32::NAN, ..small() }, "gain"),
            (Camera { tail: 0.0, ..small() }, "tail"),
            (Camera { spots: -1.0, ..small() }, "spots"),
        ] {
            let error = moessbauer(&camera).unwrap_err();
            assert!(error.message().contains(says), "{error}");
        }
    }
}
