//! Values as pixels, and pixels as PNG.

use super::colour::{GAP, Rgba};

/// Pixels of a side, at most: beyond, blocks of values share a pixel.
const MAX_SIDE: usize = 512;

/// How a block of values becomes one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// Their mean, for what is seen.
    Mean,
    /// The one furthest from 0, for errors: none is hidden.
    Extreme,
}

/// An image.
pub struct Raster {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Values on a pixel's side; 1 where each value has its own.
    pub block: usize,
    pixels: Vec<u8>,
}

impl Raster {
    /// Rows from the top, coloured by `colour`; NaN is grey.
    pub fn new(values: &[f32], width: usize, height: usize, reduce: Reduce, colour: &dyn Fn(f64) -> Rgba) -> Self {
        let block = width.max(height).div_ceil(MAX_SIDE).max(1);
        let (w, h) = (width.div_ceil(block), height.div_ceil(block));
        let mut pixels = Vec::with_capacity(4 * w * h);
        for r in 0..h {
            for c in 0..w {
                let rows = r * block..((r + 1) * block).min(height);
                let columns = c * block..((c + 1) * block).min(width);
                let cells = rows.flat_map(|r| values[r * width..][columns.clone()].iter().map(|v| f64::from(*v)));
                pixels.extend(reduced(cells, reduce).map_or(GAP, colour));
            }
        }
        Self { width: w, height: h, block, pixels }
    }

    /// As a file.
    pub fn png(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut w| w.write_image_data(&self.pixels));
        // Writing to memory fails for wrong sizes alone, and those are made above.
        debug_assert!(written.is_ok(), "{written:?}");
        out
    }
}

fn reduced(values: impl Iterator<Item = f64>, reduce: Reduce) -> Option<f64> {
    let (mut sum, mut n, mut extreme) = (0.0, 0u32, 0f64);
    for v in values.filter(|v| !v.is_nan()) {
        sum += v;
        n += 1;
        extreme = if v.abs() > extreme.abs() { v } else { extreme };
    }
    (n > 0).then(|| if reduce == Reduce::Mean { sum / f64::from(n) } else { extreme })
}

/// Base64 with padding (RFC 4648), for `data:` addresses.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for k in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * k)) as usize & 63];
            out.push(if k <= group.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn pixels_come_back_from_the_png() {
        let grey = |v: f64| [v as u8, v as u8, v as u8, 255];
        let raster = Raster::new(&[0.0, 10.0, f32::NAN, 200.0, 0.0, 7.0], 3, 2, Reduce::Mean, &grey);
        let mut reader = png::Decoder::new(std::io::Cursor::new(raster.png())).read_info().unwrap();
        let mut back = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut back).unwrap();
        assert_eq!((info.width, info.height), (3, 2));
        assert_eq!(back, [grey(0.0), grey(10.0), GAP, grey(200.0), grey(0.0), grey(7.0)].concat());
    }

    #[test]
    fn large_frames_are_reduced_and_no_error_is_hidden() {
        let mut values = vec![0f32; 1024 * 600];
        values[1024 * 300 + 801] = -5.0;
        let seen = std::cell::Cell::new(0);
        let colour = |v: f64| {
            seen.set(seen.get() + i32::from(v == -5.0));
            [0, 0, 0, 255]
        };
        let raster = Raster::new(&values, 1024, 600, Reduce::Extreme, &colour);
        assert_eq!((raster.width, raster.height, raster.block, seen.get()), (512, 300, 2, 1));
    }
}
