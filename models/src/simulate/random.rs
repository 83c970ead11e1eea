//! A small random generator, and Gaussian random fields with a power-law spectrum.

/// The xoshiro256++ generator of Blackman and Vigna (ACM TOMS 47, 2021), seeded by splitmix64.
///
/// Our own, because training data must not change when a library changes its generator.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }))
    }

    /// What [`Random::from_state`] goes on from.
    pub fn state(&self) -> [u64; 4] {
        self.0
    }

    /// The generator in a state that [`Random::state`] gave.
    pub fn from_state(state: [u64; 4]) -> Self {
        Self(state)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Uniform in 0..n (`n` above 0; the bias, below n / 2^64, is of no matter here).
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.uniform()).cos()
    }

    /// Poisson with this mean: exact below 30, a rounded normal above. A mean that is not above 0 gives 0.
    pub fn poisson(&mut self, mean: f32) -> u32 {
        if mean >= 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u32;
        }
        // Inversion: counts up until the cumulative probability passes a uniform number.
        let uniform = self.uniform();
        let (mut count, mut probability) = (0u32, (-mean.max(0.0)).exp());
        let mut cumulative = probability;
        // The probabilities' rounded sum may stay below the uniform number; beyond 200 there is nothing to add.
        while uniform >= cumulative && count < 200 {
            count += 1;
            probability *= mean / count as f32;
            cumulative += probability;
        }
        count
    }

    /// The indices 0..n in random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

/// A Gaussian random field of shape [ny, nx] whose power falls with the wave number k as `k^-slope`, scaled to
/// standard deviation 1.
///
/// `slope` is that of the power summed over all directions: 5/3 is turbulent velocity, 3 large-scale weather, 0 white
/// noise along each line. `anisotropy` stretches the field by that factor along a random direction (1: none).
/// Modes from one wave in twice the field's length up to `cut_off` (1: the grid's finest wave) take part.
pub fn power_law(ny: usize, nx: usize, slope: f32, anisotropy: f32, cut_off: f32, random: &mut Random) -> Vec<f32> {
    let angle = random.uniform() * std::f32::consts::TAU;
    let (sin, cos) = angle.sin_cos();
    let longest = ny.max(nx) as f32 * 2.0;
    // Wave numbers along each axis, in waves per `longest`; random offsets keep the field from being periodic.
    let modes = |n: usize| (n as f32 * cut_off * longest / (2.0 * n as f32)).ceil().clamp(1.0, 96.0) as usize;
    let step = |n: usize| (longest / 2.0 * cut_off / modes(n) as f32).max(1.0);
    let waves = |n: usize, random: &mut Random| -> Vec<f32> {
        (0..modes(n)).map(|i| (i as f32 + random.uniform()) * step(n)).collect()
    };
    let (wave_y, wave_x) = (waves(ny, random), waves(nx, random));
    // field[y, x] = sum over (ky, kx) of amplitude * cos(ky y + kx x + phase): two real matrix products.
    let table = |n: usize, waves: &[f32]| -> (Vec<f32>, Vec<f32>) {
        (0..n)
            .flat_map(|i| waves.iter().map(move |k| (std::f32::consts::TAU * k * i as f32 / longest).sin_cos()))
            .unzip()
    };
    let (sin_y, cos_y) = table(ny, &wave_y);
    let (sin_x, cos_x) = table(nx, &wave_x);
    let (my, mx) = (wave_y.len(), wave_x.len());
    let mut half = [vec![0f32; my * nx], vec![0f32; my * nx]];
    for (j, ky) in wave_y.iter().enumerate() {
        for (i, kx) in wave_x.iter().enumerate() {
            for sign in [1.0f32, -1.0] {
                let (ky, kx) = (*ky, sign * kx);
                let (along, across) = (cos * kx + sin * ky, (cos * ky - sin * kx) * anisotropy);
                let k = (along * along + across * across).sqrt().max(0.5);
                // Modes are dense at small k only as the step allows; power per mode is k^-(slope + 1) in two dimensions.
                let amplitude = k.powf(-(slope + 1.0) / 2.0) * random.normal();
                let phase = random.uniform() * std::f32::consts::TAU;
                let (sin_p, cos_p) = phase.sin_cos();
                let (row_cos, row_sin) = half.split_at_mut(1);
                let (row_cos, row_sin) = (&mut row_cos[0][j * nx..][..nx], &mut row_sin[0][j * nx..][..nx]);
                for x in 0..nx {
                    let (c, s) = (cos_x[x * mx + i], sign * sin_x[x * mx + i]);
                    // cos(kx x + phase) and sin(kx x + phase).
                    row_cos[x] += amplitude * (c * cos_p - s * sin_p);
                    row_sin[x] += amplitude * (s * cos_p + c * sin_p);
                }
            }
        }
    }
    let mut field = vec![0f32; ny * nx];
    for (y, row) in field.chunks_exact_mut(nx).enumerate() {
        for j in 0..my {
            let (c, s) = (cos_y[y * my + j], sin_y[y * my + j]);
            let (half_cos, half_sin) = (&half[0][j * nx..][..nx], &half[1][j * nx..][..nx]);
            for x in 0..nx {
                row[x] += c * half_cos[x] - s * half_sin[x];
            }
        }
    }
    standardise(&mut field);
    field
}

/// A random field of shape [nz, ny, nx] whose power, summed over all directions, falls with the wave number k as
/// `k^-slope`, scaled to standard deviation 1: 300 plane waves in random directions, from half a wave in the longest axis
/// up to the grid's finest.
pub fn power_law_3d([nz, ny, nx]: [usize; 3], slope: f32, random: &mut Random) -> Vec<f32> {
    const WAVES: usize = 300;
    let longest = nz.max(ny).max(nx) as f32;
    let mut field = vec![0f32; nz * ny * nx];
    for _ in 0..WAVES {
        // Wave numbers are dense as 1 / k, which the amplitude makes up for.
        let k = 0.5 * longest.powf(random.uniform());
        let amplitude = k.powf((1.0 - slope) / 2.0);
        let direction = [random.normal(), random.normal(), random.normal()];
        let len = direction.iter().map(|d| d * d).sum::<f32>().sqrt().max(1e-6);
        let phase = random.uniform() * std::f32::consts::TAU;
        let [kz, ky, kx] = direction.map(|d| std::f32::consts::TAU * k * d / len / longest);
        let along_x: Vec<(f32, f32)> = (0..nx).map(|x| (kx * x as f32).sin_cos()).collect();
        for (row, values) in field.chunks_exact_mut(nx).enumerate() {
            let (sin, cos) = (kz * (row / ny) as f32 + ky * (row % ny) as f32 + phase).sin_cos();
            let (sin, cos) = (amplitude * sin, amplitude * cos);
            values.iter_mut().zip(&along_x).for_each(|(v, (s, c))| *v += cos * c - sin * s);
        }
    }
    standardise(&mut field);
    field
}

/// Mean 0, standard deviation 1.
fn standardise(field: &mut [f32]) {
    let n = field.len() as f32;
    let mean = field.iter().sum::<f32>() / n;
    let deviation = (field.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n).sqrt().max(f32::MIN_POSITIVE);
    field.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_gives_the_published_sequence() {
        // The reference implementation with the state 1, 2, 3, 4.
        let mut random = Random([1, 2, 3, 4]);
        let first: Vec<u64> = (0..4).map(|_| random.bits()).collect();
        assert_eq!(first, [41943041, 58720359, 3588806011781223, 3591011842654386]);
    }

    #[test]
    fn poisson_has_its_mean_and_variance() {
        for mean in [0.0, 0.4, 7.0, 29.0, 80.0] {
            let mut random = Random::new(11);
            let counts: Vec<f64> = (0..20000).map(|_| f64::from(random.poisson(mean))).collect();
            let found = counts.iter().sum::<f64>() / 20000.0;
            let variance = counts.iter().map(|c| (c - found).powi(2)).sum::<f64>() / 20000.0;
            let mean = f64::from(mean);
            assert!((found - mean).abs() <= 0.03 * mean, "{mean}: {found}");
            assert!((variance - mean).abs() <= 0.06 * mean, "{mean}: {variance}");
        }
    }

    #[test]
    fn steeper_spectra_are_smoother() {
        let roughness = |slope: f32| {
            let field = power_law(64, 64, slope, 1.0, 1.0, &mut Random::new(5));
            field.chunks_exact(64).flat_map(|row| row.windows(2)).map(|w| (w[1] - w[0]).powi(2)).sum::<f32>()
        };
        assert!(roughness(1.0) > 3.0 * roughness(3.0));
        assert!(roughness(3.0) > 3.0 * roughness(5.0));
    }

    #[test]
    fn volumes_with_steeper_spectra_are_smoother() {
        let roughness = |slope: f32| {
            let field = power_law_3d([8, 16, 24], slope, &mut Random::new(5));
            assert!((field.iter().map(|v| v * v).sum::<f32>() / field.len() as f32 - 1.0).abs() < 1e-3);
            field.chunks_exact(24).flat_map(|row| row.windows(2)).map(|w| (w[1] - w[0]).powi(2)).sum::<f32>()
        };
        assert!(roughness(1.0) > 2.0 * roughness(3.0));
    }

    #[test]
    fn fields_are_normalised_and_reproducible() {
        let field = power_law(48, 80, 2.0, 3.0, 0.5, &mut Random::new(9));
        assert!(field == power_law(48, 80, 2.0, 3.0, 0.5, &mut Random::new(9)));
        let variance = field.iter().map(|v| v * v).sum::<f32>() / field.len() as f32;
        assert!((variance - 1.0).abs() < 1e-3);
    }
}
