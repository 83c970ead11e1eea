//! Curves drawn with braille dots: two columns and four rows of dots to a character.

/// The largest value over the smallest above which the axis is logarithmic.
const LOGARITHMIC_ABOVE: f64 = 30.0;

/// A curve: its values in order, and the terminal's code for its colour.
pub struct Curve<'a> {
    pub values: &'a [f64],
    pub colour: &'static str,
}

/// Draws curves over the same horizontal axis, `width` x `height` characters with the scale at the left. Values that are
/// not finite are left out; nothing is drawn of fewer than two.
pub fn draw(curves: &[Curve<'_>], width: usize, height: usize) -> Vec<String> {
    let finite = || curves.iter().flat_map(|c| c.values).copied().filter(|v| v.is_finite());
    let (low, high) = finite().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
    let longest = curves.iter().map(|c| c.values.len()).max().unwrap_or(0);
    if longest < 2 || low > high {
        return Vec::new();
    }
    let is_log = low > 0.0 && high / low > LOGARITHMIC_ABOVE;
    let scaled = |v: f64| if is_log { v.ln() } else { v };
    let (bottom, top) = (scaled(low), scaled(high));
    let (columns, rows) = (2 * width, 4 * height);
    // For each character its dots, and the curve that was there last.
    let mut cells = vec![(0u8, 0usize); width * height];
    for (c, curve) in curves.iter().enumerate() {
        let row_of = |v: f64| match top > bottom {
            true => ((top - scaled(v)) / (top - bottom) * (rows - 1) as f64).round() as usize,
            false => rows / 2,
        };
        let mut before: Option<usize> = None;
        for x in 0..columns {
            let value = curve.values.get(x * (longest - 1) / (columns - 1)).copied().filter(|v| v.is_finite());
            let Some(row) = value.map(row_of) else {
                before = None;
                continue;
            };
            // From the last point down or up to this one, without a gap.
            let from = before.map_or(row, |b| {
                if b < row {
                    b + 1
                } else if b > row {
                    b - 1
                } else {
                    row
                }
            });
            for y in from.min(row)..=from.max(row) {
                let cell = &mut cells[y / 4 * width + x / 2];
                *cell = (cell.0 | dot(x % 2, y % 4), c);
            }
            before = Some(row);
        }
    }
    let label = |v: f64| format!("{v:>9.4}");
    (0..height)
        .map(|y| {
            let mut line = match y {
                0 => label(high),
                y if y + 1 == height => label(low),
                _ => " ".repeat(9),
            };
            line.push_str(" \u{2502}");
            for &(dots, c) in &cells[y * width..][..width] {
                match char::from_u32(0x2800 + u32::from(dots)) {
                    Some(character) if dots != 0 => {
                        line.push_str(&format!("{}{character}\u{1b}[0m", curves[c].colour));
                    }
                    _ => line.push(' '),
                }
            }
            line
        })
        .collect()
}

/// Unicode's numbering of the eight dots.
fn dot(x: usize, y: usize) -> u8 {
    match (x, y) {
        (0, 3) => 0x40,
        (1, 3) => 0x80,
        (0, y) => 1 << y,
        (_, y) => 8 << y,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(values: &[f64], width: usize, height: usize) -> Vec<String> {
        let lines = draw(&[Curve { values, colour: "" }], width, height);
        lines.iter().map(|l| l.replace("\u{1b}[0m", "")).collect()
    }

    #[test]
    fn a_falling_line_falls() {
        let values: Vec<f64> = (0..8).map(|i| f64::from(8 - i)).collect();
        let lines = plain(&values, 4, 2);
        let cells = |line: &str| line.split('\u{2502}').nth(1).unwrap().chars().collect::<Vec<_>>();
        let (above, below) = (cells(&lines[0]), cells(&lines[1]));
        assert!(lines[0].starts_with("   8.0000") && lines[1].starts_with("   1.0000"), "{lines:?}");
        assert_eq!((above[0], above[3], below[0]), ('\u{2811}', ' ', ' '), "{lines:?}");
        assert_ne!(below[3], ' ');
    }

    #[test]
    fn odd_values_are_left_out() {
        assert!(plain(&[1.0], 4, 2).is_empty());
        assert!(plain(&[f64::NAN, f64::INFINITY], 4, 2).is_empty());
        assert_eq!(plain(&[1.0, f64::NAN, 1.0], 4, 2).len(), 2);
        assert_eq!(plain(&[0.0, 1e9], 1, 1).len(), 1);
    }
}
