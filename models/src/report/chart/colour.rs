//! Colour maps computed in OKLab (Ottosson 2020), whose distances are close to what the eye sees: even steps of the value
//! are even steps of colour by construction.

/// Red, green, blue, opacity.
pub type Rgba = [u8; 4];

/// What stands for no number.
pub const GAP: Rgba = [128, 128, 128, 70];

/// From dark violet over blue and green to light yellow, for a value from 0 to 1: lightness rises evenly, so that it also
/// reads in grey and by the colour-blind.
pub fn sequential(t: f64) -> Rgba {
    let t = t.clamp(0.0, 1.0);
    let lightness = 0.22 + 0.72 * t;
    // Violet is at 310 degrees, yellow at 105; strongest in the middle, where there is room for it.
    let hue = 310.0 - 205.0 * t;
    let chroma = 0.09 + 0.06 * (std::f64::consts::PI * t).sin() + 0.05 * t;
    from_oklch(lightness, chroma, hue)
}

/// From blue over nearly white at 0 to red, for a value from -1 to 1.
pub fn diverging(t: f64) -> Rgba {
    let t = t.clamp(-1.0, 1.0);
    let size = t.abs();
    let hue = if t < 0.0 { 255.0 } else { 35.0 };
    from_oklch(0.97 - 0.50 * size, 0.17 * size, hue)
}

/// Polar OKLab to sRGB; where the screen has no such colour, one of less chroma.
fn from_oklch(lightness: f64, chroma: f64, hue_degrees: f64) -> Rgba {
    let (sin, cos) = hue_degrees.to_radians().sin_cos();
    let mut chroma = chroma;
    loop {
        let rgb = to_linear(lightness, chroma * cos, chroma * sin);
        if chroma <= 0.0 || rgb.iter().all(|v| (-1e-4..=1.0 + 1e-4).contains(v)) {
            let [r, g, b] = rgb.map(encode);
            return [r, g, b, 255];
        }
        chroma = (chroma - 0.004).max(0.0);
    }
}

/// The matrices of OKLab's definition.
fn to_linear(l: f64, a: f64, b: f64) -> [f64; 3] {
    let long = (l + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let medium = (l - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let short = (l - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    [
        4.076_741_662_1 * long - 3.307_711_591_3 * medium + 0.230_969_929_2 * short,
        -1.268_438_004_6 * long + 2.609_757_401_1 * medium - 0.341_319_396_5 * short,
        -0.004_196_086_3 * long - 0.703_418_614_7 * medium + 1.707_614_701_0 * short,
    ]
}

/// The transfer curve of sRGB (IEC 61966-2-1).
fn encode(v: f64) -> u8 {
    let v = v.clamp(0.0, 1.0);
    let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    (v * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG).
    fn luminance([r, g, b, _]: Rgba) -> f64 {
        let linear = |v: u8| (f64::from(v) / 255.0).powf(2.2);
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    #[test]
    fn the_sequential_map_grows_lighter_all_the_way() {
        let all: Vec<f64> = (0..=100).map(|i| luminance(sequential(f64::from(i) / 100.0))).collect();
        assert!(all.is_sorted() && all[0] < 0.03 && all[100] > 0.7, "{all:?}");
        assert_eq!(sequential(-1.0), sequential(0.0));
    }

    #[test]
    fn the_diverging_map_is_lightest_and_grey_at_zero() {
        let [r, g, b, _] = diverging(0.0);
        assert!(r == g && g == b && r > 235);
        let even = (luminance(diverging(-0.7)) - luminance(diverging(0.7))).abs();
        assert!(even < 0.06, "{even}");
        let ([r, _, b, _], [r2, _, b2, _]) = (diverging(1.0), diverging(-1.0));
        assert!(r > b && b2 > r2);
    }

    #[test]
    fn white_is_white() {
        assert_eq!(from_oklch(1.0, 0.0, 0.0), [255; 4]);
        assert_eq!(from_oklch(0.0, 0.0, 0.0), [0, 0, 0, 255]);
    }
}
