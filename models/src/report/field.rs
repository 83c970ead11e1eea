//! Frames of a field: which to show, and how like their originals they are.

use super::spectrum::{PowerSpectrum, power};
use serde::Serialize;

/// Frames of which the similarity is computed, at most, spread evenly.
const MAX_SCORED: u64 = 256;
/// Frames that are shown, spread evenly; the one with the largest error comes on top.
const MAX_SHOWN: u64 = 3;
/// Values of a frame that is kept and looked at, at most: three such are held at a time.
const MAX_FRAME: usize = 1 << 26;
/// Side of the window of the structural similarity.
const WINDOW: usize = 7;

/// One frame and what it became.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    /// Its number, along all axes but the last two.
    pub index: u64,
    /// Why it is shown.
    pub reason: &'static str,
    /// Peak signal-to-noise ratio in dB; the peak is the range of the whole array. `null`: no error.
    pub psnr: Option<f64>,
    /// Mean structural similarity; `null` where the frame is too small or holds too few numbers.
    pub ssim: Option<f64>,
    /// Largest error.
    pub max_error: f64,
    /// Values, rows from the top; not in the JSON.
    #[serde(skip)]
    pub original: Vec<f32>,
    /// As above.
    #[serde(skip)]
    pub decoded: Vec<f32>,
    /// decoded - original.
    #[serde(skip)]
    pub difference: Vec<f32>,
}

/// Scores of frames over their number.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scores {
    /// Numbers of the frames.
    pub index: Vec<u64>,
    /// See [`Frame::psnr`].
    pub psnr: Vec<Option<f64>>,
    /// See [`Frame::ssim`].
    pub ssim: Vec<Option<f64>>,
}

/// What is known of the frames.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    /// How many there are.
    pub n_frames: u64,
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// `max - min` of the whole array.
    pub range: f64,
    /// Those shown.
    pub frames: Vec<Frame>,
    /// Every frame's scores, or those of some spread evenly.
    pub scores: Scores,
    /// Mean of the frames shown; `null` where they are too small or have gaps.
    pub spectrum: Option<PowerSpectrum>,
}

/// Puts a stream of values together to frames.
pub(super) struct FieldMeter {
    field: Field,
    step_shown: u64,
    step_scored: u64,
    original: Vec<f64>,
    decoded: Vec<f64>,
    next: u64,
    worst: Option<Frame>,
}

impl FieldMeter {
    /// `None` where there is nothing to look at: frames that are lines, or too large to be kept.
    pub(super) fn new(height: usize, width: usize, n_values: u64, range: f64) -> Option<Self> {
        let len = height.checked_mul(width)?;
        if height < 2 || width < 2 || len > MAX_FRAME {
            return None;
        }
        let n_frames = n_values / len as u64;
        let field =
            Field { n_frames, height, width, range, frames: Vec::new(), scores: Scores::default(), spectrum: None };
        Some(Self {
            field,
            step_shown: (n_frames.saturating_sub(1) / (MAX_SHOWN - 1)).max(1),
            step_scored: n_frames.div_ceil(MAX_SCORED).max(1),
            original: Vec::with_capacity(len),
            decoded: Vec::with_capacity(len),
            next: 0,
            worst: None,
        })
    }

    pub(super) fn add(&mut self, mut original: &[f64], mut decoded: &[f64]) {
        let len = self.field.height * self.field.width;
        while !original.is_empty() {
            let n = original.len().min(len - self.original.len());
            self.original.extend(&original[..n]);
            self.decoded.extend(&decoded[..n]);
            (original, decoded) = (&original[n..], &decoded[n..]);
            if self.original.len() == len {
                self.frame();
                self.original.clear();
                self.decoded.clear();
            }
        }
    }

    /// A frame is complete.
    fn frame(&mut self) {
        let index = self.next;
        self.next += 1;
        let (x, y) = (&self.original, &self.decoded);
        let mut max_error = 0f64;
        let (mut squares, mut n) = (0.0, 0u64);
        for (x, y) in x.iter().zip(y).filter(|(x, _)| x.is_finite()) {
            let d = y - x;
            max_error = max_error.max(if d.is_finite() { d.abs() } else { f64::INFINITY });
            squares += d * d;
            n += 1;
        }
        let is_shown = index.is_multiple_of(self.step_shown) && self.field.frames.len() < MAX_SHOWN as usize;
        let is_scored = index.is_multiple_of(self.step_scored);
        let is_worst = self.worst.as_ref().is_none_or(|w| max_error > w.max_error);
        if !(is_shown || is_scored || is_worst) {
            return;
        }
        let range = self.field.range;
        let psnr = (squares > 0.0).then(|| 20.0 * range.log10() - 10.0 * (squares / n as f64).log10());
        let psnr = psnr.filter(|p| p.is_finite());
        let ssim = ssim(x, y, self.field.height, self.field.width, range);
        if is_scored {
            let scores = &mut self.field.scores;
            scores.index.push(index);
            scores.psnr.push(psnr);
            scores.ssim.push(ssim);
        }
        if is_shown || is_worst {
            let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
            let difference = x.iter().zip(y).map(|(x, y)| (y - x) as f32).collect();
            let reason = if is_shown { "evenly spaced" } else { "largest error" };
            let frame =
                Frame { index, reason, psnr, ssim, max_error, original: narrow(x), decoded: narrow(y), difference };
            if is_worst {
                self.worst = Some(Frame { reason: "largest error", ..frame.clone() });
            }
            if is_shown {
                self.field.frames.push(frame);
            }
        }
    }

    pub(super) fn finish(self) -> Field {
        let mut field = self.field;
        if let Some(worst) = self.worst.filter(|w| w.max_error > 0.0) {
            match field.frames.iter_mut().find(|f| f.index == worst.index) {
                Some(shown) if field.n_frames > 1 => shown.reason = "evenly spaced, largest error",
                Some(_) => {}
                None => field.frames.push(worst),
            }
        }
        if field.n_frames == 1 {
            field.frames.iter_mut().for_each(|f| f.reason = "the only one");
        }
        field.frames.sort_by_key(|f| f.index);
        field.spectrum = power(&field.frames, field.height, field.width);
        field
    }
}

/// Mean structural similarity (Wang et al., IEEE Trans. Image Process. 13, 600, 2004) over all windows of 7 x 7 without a
/// gap, each value of equal weight, unbiased variances; `range` is the dynamic range L, K1 = 0.01, K2 = 0.03.
pub fn ssim(x: &[f64], y: &[f64], height: usize, width: usize, range: f64) -> Option<f64> {
    if height < WINDOW || width < WINDOW || !(range > 0.0 && range.is_finite()) {
        return None;
    }
    let usable = |i: usize| x[i].is_finite() && y[i].is_finite();
    // About a common origin: sums of squares lose no digits to an offset.
    let n_usable = (0..x.len()).filter(|&i| usable(i)).count();
    let origin = (0..x.len()).filter(|&i| usable(i)).map(|i| x[i] / n_usable as f64).sum::<f64>();
    let (c1, c2) = ((0.01 * range).powi(2), (0.03 * range).powi(2));
    // Sums over columns of 7 rows, moved down row by row: [n, x, y, xx, yy, xy].
    let term = |i: usize| {
        if !usable(i) {
            return [0.0; 6];
        }
        let (a, b) = (x[i] - origin, y[i] - origin);
        [1.0, a, b, a * a, b * b, a * b]
    };
    let full = (WINDOW * WINDOW) as f64;
    let (mut sum, mut n) = (0.0, 0u64);
    let mut columns = vec![[0.0; 6]; width];
    for top in 0..=height - WINDOW {
        // Summed anew for each row: no rounding is carried along.
        for (c, column) in columns.iter_mut().enumerate() {
            *column = [0.0; 6];
            for r in top..top + WINDOW {
                let t = term(r * width + c);
                column.iter_mut().zip(t).for_each(|(s, t)| *s += t);
            }
        }
        for window in columns.windows(WINDOW) {
            let mut s = [0.0; 6];
            window.iter().for_each(|column| s.iter_mut().zip(column).for_each(|(s, t)| *s += t));
            if s[0] < full {
                continue;
            }
            let (mx, my) = (s[1] / full, s[2] / full);
            let covariance = |square: f64, a: f64, b: f64| (square - a * b / full) / (full - 1.0);
            let (vx, vy, vxy) =
                (covariance(s[3], s[1], s[1]), covariance(s[4], s[2], s[2]), covariance(s[5], s[1], s[2]));
            // Means are those of the values themselves, not of those about the origin.
            let (mx, my) = (mx + origin, my + origin);
            sum += (2.0 * mx * my + c1) * (2.0 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2));
            n += 1;
        }
    }
    (n > 0).then(|| sum / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_frames_are_alike_and_an_offset_lowers_it_as_the_formula_says() {
        let x: Vec<f64> = (0..20 * 10).map(|i| f64::from(i % 13) + 1e6).collect();
        assert!((ssim(&x, &x, 20, 10, 12.0).unwrap() - 1.0).abs() < 1e-12);
        // Constant frames a and b: (2ab + c1) / (a² + b² + c1).
        let (a, b) = (vec![1.0; 64], vec![3.0; 64]);
        let c1 = 0.04f64 * 0.04;
        let expected = (6.0 + c1) / (10.0 + c1);
        assert!((ssim(&a, &b, 8, 8, 4.0).unwrap() - expected).abs() < 1e-12);
        assert_eq!(ssim(&a, &b, 4, 16, 4.0), None);
        assert_eq!(ssim(&a, &b, 8, 8, 0.0), None);
    }

    #[test]
    fn a_gap_leaves_its_windows_out() {
        let mut x: Vec<f64> = (0..7 * 20).map(|i| f64::from(i % 5)).collect();
        x[0] = f64::NAN;
        assert!((ssim(&x, &x, 7, 20, 4.0).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(ssim(&vec![f64::NAN; 140], &x, 7, 20, 4.0), None);
    }

    #[test]
    fn frames_are_spread_and_the_worst_is_among_them() {
        let (n, len) = (10u64, 64);
        let mut meter = FieldMeter::new(8, 8, n * len, 2.0).unwrap();
        for frame in 0..n {
            let x: Vec<f64> = (0..len).map(|i| (i % 3) as f64).collect();
            let mut y = x.clone();
            y[5] += if frame == 7 { 0.5 } else { 0.25 };
            // In pieces that end anywhere.
            for (x, y) in x.chunks(10).zip(y.chunks(10)) {
                meter.add(x, y);
            }
        }
        let field = meter.finish();
        let shown: Vec<(u64, &str)> = field.frames.iter().map(|f| (f.index, f.reason)).collect();
        assert_eq!(shown, [(0, "evenly spaced"), (4, "evenly spaced"), (7, "largest error"), (8, "evenly spaced")]);
        // One error of a quarter among 64 values: 20 log10(2) - 10 log10(1/1024).
        let expected = 20.0 * 2f64.log10() + 10.0 * 1024f64.log10();
        assert!((field.frames[0].psnr.unwrap() - expected).abs() < 1e-9);
        assert_eq!(field.scores.index.len(), 10);
        assert_eq!(field.frames[2].difference[5], 0.5);
    }
}
