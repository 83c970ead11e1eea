//! Axes: where a value lies, and ticks at numbers people would choose.

use crate::report::numbers::superscript;

/// One axis of a panel.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What is shown, with its unit.
    pub label: String,
    /// Smallest value shown.
    pub min: f64,
    /// Largest value shown.
    pub max: f64,
    /// Decades instead of steps.
    pub is_log: bool,
}

/// A tick: where, and what it says; minor ones say nothing.
pub struct Tick {
    /// Its value.
    pub at: f64,
    /// Empty for minor ticks.
    pub label: String,
}

impl Axis {
    /// From `min` to `max`; of a single value, an interval around it.
    pub fn linear(label: impl Into<String>, min: f64, max: f64) -> Self {
        let (min, max) = ordered(min, max);
        let (min, max) = if min < max {
            (min, max)
        } else {
            let half = if min == 0.0 { 1.0 } else { min.abs() * 0.1 };
            (min - half, max + half)
        };
        Self { label: label.into(), min, max, is_log: false }
    }

    /// Decades from `min` to `max`, both above 0 (what is not is taken for a millionth of the other end).
    pub fn log(label: impl Into<String>, min: f64, max: f64) -> Self {
        let (min, max) = ordered(min, max);
        let max = if max > 0.0 { max } else { 1.0 };
        let min = if min > 0.0 { min } else { max * 1e-6 };
        let (min, max) = if min < max { (min, max) } else { (min / 3.0, max * 3.0) };
        Self { label: label.into(), min, max, is_log: true }
    }

    /// With a margin, so that nothing lies on the frame.
    #[must_use]
    pub fn padded(mut self, share: f64) -> Self {
        if self.is_log {
            let factor = (self.max / self.min).powf(share);
            self.min /= factor;
            self.max *= factor;
        } else {
            let margin = (self.max - self.min) * share;
            self.min -= margin;
            self.max += margin;
        }
        self
    }

    /// Its place between the ends, 0 to 1 inside; `None` where it has none.
    pub fn place(&self, v: f64) -> Option<f64> {
        let at = if self.is_log {
            if v <= 0.0 {
                return None;
            }
            (v / self.min).ln() / (self.max / self.min).ln()
        } else {
            // Halves first: the width of a huge interval may overflow.
            (v / 2.0 - self.min / 2.0) / (self.max / 2.0 - self.min / 2.0)
        };
        at.is_finite().then_some(at)
    }

    /// About `n` labelled ticks, and what the label of the axis gains: a power of ten they are multiples of.
    pub fn ticks(&self, n: usize) -> (Vec<Tick>, String) {
        if self.is_log && (self.max / self.min).log10() >= 1.0 {
            return (self.decades(n), String::new());
        }
        // Two numbers at least, or nobody can tell the scale.
        (n..n + 8).map(|n| self.steps(n)).find(|s| s.0.len() >= 2).unwrap_or_else(|| self.steps(n))
    }

    fn decades(&self, n: usize) -> Vec<Tick> {
        let (low, high) = (self.min.log10(), self.max.log10());
        let (first, last) = (low.ceil() as i32, high.floor() as i32);
        let every = ((high - low) / n.max(1) as f64).ceil().max(1.0) as i32;
        let mut ticks = Vec::new();
        // Aligned to multiples of the step, so that 10⁰ stays where the range moves.
        for k in (low.floor() as i32)..=last {
            let decade = 10f64.powi(k);
            if k >= first && k.rem_euclid(every) == 0 {
                ticks.push(Tick { at: decade, label: power_of_ten(k, high - low < 2.5) });
            } else if k >= first {
                ticks.push(Tick { at: decade, label: String::new() });
            }
            if every == 1 && high - low <= 6.0 {
                for m in 2..10 {
                    let at = decade * f64::from(m);
                    // Decades alone would be too few.
                    let is_named = high - low < 2.5 && n > 2 && matches!(m, 2 | 5);
                    let label = if is_named { part_of_decade(m, k) } else { String::new() };
                    if (self.min..=self.max).contains(&at) {
                        ticks.push(Tick { at, label });
                    }
                }
            }
        }
        ticks
    }

    fn steps(&self, n: usize) -> (Vec<Tick>, String) {
        let span = self.max - self.min;
        if !span.is_finite() {
            return (Vec::new(), String::new());
        }
        let step = nice_step(span / n.max(1) as f64);
        let (first, last) = ((self.min / step - 1e-9).ceil(), (self.max / step + 1e-9).floor());
        let largest = self.min.abs().max(self.max.abs());
        let magnitude = largest.log10().floor() as i32;
        // 0.001 and 9999 are read as they are; beyond, the power of ten goes to the label.
        let shift = if (-3..4).contains(&magnitude) { 0 } else { magnitude };
        let unit = 10f64.powi(shift);
        let decimals = (shift - step.log10().floor() as i32).clamp(0, 9) as usize;
        let mut ticks: Vec<Tick> = Vec::new();
        let mut k = first;
        while k <= last && ticks.len() < 50 {
            let at = k * step;
            let text = format!("{:.decimals$}", if k == 0.0 { 0.0 } else { at / unit });
            ticks.push(Tick { at, label: text.replace('-', "−") });
            k += 1.0;
        }
        let gain = if shift == 0 { String::new() } else { format!("×10{}", superscript(shift)) };
        (ticks, gain)
    }
}

/// `is_plain`: among numbers that are no powers.
fn power_of_ten(k: i32, is_plain: bool) -> String {
    match k {
        0 => "1".into(),
        1 => "10".into(),
        _ if is_plain => part_of_decade(1, k),
        _ => format!("10{}", superscript(k)),
    }
}

/// `m` times ten to the power of `k`.
fn part_of_decade(m: i32, k: i32) -> String {
    match k {
        0..=3 => format!("{}", m * 10i32.pow(k as u32)),
        -3..0 => format!("{:.*}", k.unsigned_abs() as usize, f64::from(m) * 10f64.powi(k)),
        _ => format!("{m}×10{}", superscript(k)),
    }
}

fn ordered(a: f64, b: f64) -> (f64, f64) {
    match (a.is_finite(), b.is_finite()) {
        (true, true) => (a.min(b), a.max(b)),
        (true, false) => (a, a),
        (false, true) => (b, b),
        _ => (0.0, 1.0),
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn nice_step(v: f64) -> f64 {
    let decade = 10f64.powf(v.log10().floor());
    let digit = v / decade;
    let nice = [1.0, 2.0, 5.0].into_iter().find(|n| *n >= digit - 1e-9).unwrap_or(10.0);
    nice * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, n: usize) -> (Vec<String>, String) {
        let (ticks, gain) = axis.ticks(n);
        (ticks.into_iter().map(|t| t.label).filter(|l| !l.is_empty()).collect(), gain)
    }

    #[test]
    fn steps_are_1_2_or_5_and_zero_is_zero() {
        assert_eq!(
            labels(&Axis::linear("", -0.3, 0.31), 4),
            (["−0.2", "0.0", "0.2"].map(Into::into).into(), "".into())
        );
        assert_eq!(labels(&Axis::linear("", 0.0, 100.0), 5).0, ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(
            labels(&Axis::linear("", -2e-5, 2e-5), 4),
            (["−2", "−1", "0", "1", "2"].map(Into::into).into(), "×10⁻⁵".into())
        );
        assert_eq!(labels(&Axis::linear("", 3e5, 3.2e5), 3).1, "×10⁵");
    }

    #[test]
    fn decades() {
        assert_eq!(labels(&Axis::log("", 0.5, 2000.0), 5).0, ["1", "10", "10²", "10³"]);
        assert_eq!(labels(&Axis::log("", 0.03, 0.5), 4).0, ["0.05", "0.1", "0.2", "0.5"]);
        assert_eq!(labels(&Axis::log("", 1e-8, 1.0), 4).0, ["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1"]);
        assert!(!labels(&Axis::log("", 20.0, 70.0), 4).0.is_empty());
    }

    #[test]
    fn odd_ranges_are_harmless() {
        for (a, b) in [(f64::NAN, 1.0), (5.0, 5.0), (0.0, 0.0), (-f64::MAX, f64::MAX), (1.0, -1.0), (1e-320, 2e-320)] {
            for axis in [Axis::linear("", a, b), Axis::log("", a, b), Axis::linear("", a, b).padded(0.1)] {
                assert!(axis.min < axis.max || axis.max.is_infinite(), "{axis:?}");
                assert!(axis.ticks(5).0.len() <= 60);
                assert!(axis.place(axis.min).is_none_or(|p| p.abs() < 1e-9));
            }
        }
    }
}
