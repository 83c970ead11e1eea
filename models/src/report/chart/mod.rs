//! Charts of panels one above the other that share the x axis, drawn as SVG; pictures as PNG.
//!
//! `axis.rs` knows numbers, `svg.rs` shapes, `colour.rs` and `raster.rs` pixels. Nothing here knows what is shown.

pub mod axis;
pub mod colour;
pub mod raster;
pub mod svg;

pub use axis::Axis;
pub use svg::{Anchor, Ink, Svg};

use svg::{fitted, text_width};

/// Size of the letters of ticks and legends, of labels, of titles.
const SMALL: f64 = 11.0;
const LABEL: f64 = 12.0;
const TITLE: f64 = 13.0;

/// Something to see, with the words that go with it.
pub struct Figure {
    /// Stem of its file name: letters, digits, dashes.
    pub name: String,
    /// What is read out in its place.
    pub alt: String,
    /// What it shows and how to read it.
    pub caption: String,
    /// The drawing.
    pub svg: Svg,
    /// Pictures in it, as files: suffix of the name, PNG.
    pub images: Vec<(String, Vec<u8>)>,
    /// Takes the whole width of the page.
    pub is_wide: bool,
}

/// Something drawn into a panel.
pub enum Mark {
    /// A line through points.
    Line {
        /// Where.
        points: Vec<(f64, f64)>,
        /// How.
        ink: Ink,
        /// In the legend; empty for none.
        label: String,
        /// SVG's dash pattern; empty for a full line.
        dash: &'static str,
    },
    /// A histogram.
    Steps {
        /// One more than there are heights.
        edges: Vec<f64>,
        /// Of the bins.
        heights: Vec<f64>,
        /// How.
        ink: Ink,
        /// In the legend; empty for none.
        label: String,
        /// Filled, or an outline.
        is_filled: bool,
    },
    /// Markers.
    Points {
        /// Where.
        points: Vec<(f64, f64)>,
        /// How.
        ink: Ink,
        /// See [`Svg::marker`].
        shape: usize,
        /// In the legend; empty for none.
        label: String,
        /// With a line through them.
        is_joined: bool,
    },
    /// A line from bottom to top.
    Vertical {
        /// Where.
        x: f64,
        /// How.
        ink: Ink,
        /// In the legend; empty for none.
        label: String,
    },
    /// A line from left to right.
    Horizontal {
        /// Where.
        y: f64,
        /// How.
        ink: Ink,
    },
}

/// One plot area.
pub struct Panel {
    /// Height of the plot area in pixels.
    pub height: f64,
    /// Its vertical axis.
    pub y: Axis,
    /// In the order they are drawn.
    pub marks: Vec<Mark>,
}

/// Panels under a title.
pub struct Chart {
    /// Width of the whole in pixels.
    pub width: f64,
    /// Above the panels.
    pub title: String,
    /// Shared by the panels; labelled below the last.
    pub x: Axis,
    /// From the top.
    pub panels: Vec<Panel>,
}

/// Width of charts that stand beside others.
pub const NARROW: f64 = 400.0;
/// Width of charts that have the page to themselves.
pub const WIDE: f64 = 820.0;

impl Chart {
    /// Draws it.
    pub fn draw(&self) -> Svg {
        let ticks: Vec<_> = self.panels.iter().map(|p| p.y.ticks((p.height / 38.0).max(2.0) as usize)).collect();
        let widest = ticks.iter().flat_map(|t| &t.0).map(|t| text_width(&t.label, SMALL)).fold(0.0, f64::max);
        let left = widest + 34.0;
        let right = 14.0;
        let inner = self.width - left - right;
        let (legend, legend_height) = self.legend(left, inner);
        let top = 30.0 + legend_height;
        let gap = 12.0;
        let bottom = 44.0;
        let panels: f64 = self.panels.iter().map(|p| p.height).sum();
        let height = top + panels + gap * (self.panels.len().max(1) - 1) as f64 + bottom;
        let mut svg = Svg::new(self.width, height);
        svg.text((left, 17.0), &fitted(&self.title, TITLE, inner), TITLE, Anchor::Start, Ink::Text, true);
        for (x, y, mark) in legend {
            draw_key(&mut svg, (x, y), mark);
        }
        let mut y0 = top;
        for (i, (panel, y_ticks)) in self.panels.iter().zip(&ticks).enumerate() {
            let frame = Frame { x0: left, y0, width: inner, height: panel.height, x: &self.x, y: &panel.y };
            let is_last = i + 1 == self.panels.len();
            frame.axes(&mut svg, y_ticks, is_last);
            for mark in &panel.marks {
                frame.mark(&mut svg, mark);
            }
            y0 += panel.height + gap;
        }
        svg
    }

    /// Where each entry of the legend stands, in lines of this width, and the height of all.
    fn legend(&self, left: f64, width: f64) -> (Vec<(f64, f64, &Mark)>, f64) {
        let labelled = self.panels.iter().flat_map(|p| &p.marks).filter(|m| !m.label().is_empty());
        let (mut x, mut y) = (left, 35.0);
        let mut places = Vec::new();
        for mark in labelled {
            let w = 24.0 + text_width(mark.label(), SMALL) + 12.0;
            if x > left && x + w > left + width + 12.0 {
                x = left;
                y += 16.0;
            }
            places.push((x, y, mark));
            x += w;
        }
        let height = if places.is_empty() { 0.0 } else { y - 35.0 + 17.0 };
        (places, height)
    }
}

impl Mark {
    fn label(&self) -> &str {
        match self {
            Mark::Line { label, .. }
            | Mark::Steps { label, .. }
            | Mark::Points { label, .. }
            | Mark::Vertical { label, .. } => label,
            Mark::Horizontal { .. } => "",
        }
    }
}

/// One entry of a legend: the sign, and its words.
fn draw_key(svg: &mut Svg, (x, y): (f64, f64), mark: &Mark) {
    let middle = y - 4.0;
    match mark {
        Mark::Line { ink, dash, .. } => svg.line((x, middle), (x + 18.0, middle), *ink, 2.0, dash),
        Mark::Steps { ink, is_filled: true, .. } => svg.rect((x, y - 9.0), (18.0, 9.0), *ink, 0.35, 0.0),
        Mark::Steps { ink, .. } => svg.line((x, middle), (x + 18.0, middle), *ink, 1.8, ""),
        Mark::Points { ink, shape, is_joined, .. } => {
            if *is_joined {
                svg.line((x, middle), (x + 18.0, middle), *ink, 1.6, "");
            }
            svg.marker((x + 9.0, middle), *shape, *ink);
        }
        Mark::Vertical { ink, .. } => svg.line((x, middle), (x + 18.0, middle), *ink, 1.5, "5 3"),
        Mark::Horizontal { .. } => {}
    }
    svg.text((x + 23.0, y), mark.label(), SMALL, Anchor::Start, Ink::Text, false);
}

/// A plot area in place.
struct Frame<'a> {
    x0: f64,
    y0: f64,
    width: f64,
    height: f64,
    x: &'a Axis,
    y: &'a Axis,
}

impl Frame<'_> {
    /// Pixels of a point; what lies beyond the frame is put on it.
    fn at(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let x = self.x.place(x)?.clamp(0.0, 1.0);
        // A height of 0 has no place on a log axis: its foot.
        let y = self.y.place(y).or_else(|| (self.y.is_log && y == 0.0).then_some(0.0))?.clamp(0.0, 1.0);
        Some((self.x0 + x * self.width, self.y0 + (1.0 - y) * self.height))
    }

    fn axes(&self, svg: &mut Svg, (y_ticks, y_gain): &(Vec<axis::Tick>, String), with_x: bool) {
        let (bottom, right) = (self.y0 + self.height, self.x0 + self.width);
        for tick in y_ticks {
            let Some(place) = self.y.place(tick.at) else { continue };
            let y = bottom - place * self.height;
            if tick.label.is_empty() {
                svg.line((self.x0 - 2.5, y), (self.x0, y), Ink::Muted, 0.8, "");
            } else {
                svg.line((self.x0, y), (right, y), Ink::Grid, 0.8, "");
                svg.line((self.x0 - 4.0, y), (self.x0, y), Ink::Muted, 1.0, "");
                svg.text((self.x0 - 7.0, y + 3.8), &tick.label, SMALL, Anchor::End, Ink::Muted, false);
            }
        }
        let label = with_gain(&self.y.label, y_gain);
        svg.vertical_text(
            (14.0, self.y0 + self.height / 2.0),
            &fitted(&label, LABEL, self.height + 24.0),
            LABEL,
            Ink::Text,
        );
        let mut n = (self.width / 62.0).max(2.0) as usize;
        let (mut ticks, mut gain) = self.x.ticks(n);
        // Fewer, until they stand apart.
        let is_tight = |ticks: &[axis::Tick]| {
            let labels = ticks.iter().filter(|t| !t.label.is_empty());
            labels.map(|t| text_width(&t.label, SMALL) + 10.0).sum::<f64>() > self.width
        };
        while n > 2 && is_tight(&ticks) {
            n -= 1;
            (ticks, gain) = self.x.ticks(n);
        }
        for tick in &ticks {
            let Some(place) = self.x.place(tick.at) else { continue };
            let x = self.x0 + place * self.width;
            let length = if tick.label.is_empty() { 2.5 } else { 4.0 };
            svg.line((x, bottom), (x, bottom + length), Ink::Muted, 0.9, "");
            if with_x {
                svg.text((x, bottom + 16.0), &tick.label, SMALL, Anchor::Middle, Ink::Muted, false);
            }
        }
        if with_x {
            let label = fitted(&with_gain(&self.x.label, &gain), LABEL, self.width + 20.0);
            svg.text((self.x0 + self.width / 2.0, bottom + 35.0), &label, LABEL, Anchor::Middle, Ink::Text, false);
        }
        svg.line((self.x0, self.y0), (self.x0, bottom), Ink::Muted, 1.0, "");
        svg.line((self.x0, bottom), (right, bottom), Ink::Muted, 1.0, "");
    }

    fn mark(&self, svg: &mut Svg, mark: &Mark) {
        let placed = |points: &[(f64, f64)]| points.iter().filter_map(|&(x, y)| self.at(x, y)).collect::<Vec<_>>();
        match mark {
            Mark::Line { points, ink, dash, .. } => svg.polyline(&placed(points), *ink, 1.8, dash),
            Mark::Steps { edges, heights, ink, is_filled, .. } => {
                let foot = if self.y.is_log { 0.0 } else { self.y.min.max(0.0) };
                let mut outline = vec![(edges[0], foot)];
                for (i, h) in heights.iter().enumerate() {
                    outline.push((edges[i], *h));
                    outline.push((edges[i + 1], *h));
                }
                outline.push((edges[heights.len()], foot));
                let outline = placed(&outline);
                if *is_filled {
                    svg.area(&outline, *ink, 0.32);
                }
                svg.polyline(&outline, *ink, if *is_filled { 0.8 } else { 1.6 }, "");
            }
            Mark::Points { points, ink, shape, is_joined, .. } => {
                let placed = placed(points);
                if *is_joined {
                    svg.polyline(&placed, *ink, 1.5, "");
                }
                for at in placed {
                    svg.marker(at, *shape, *ink);
                }
            }
            Mark::Vertical { x, ink, .. } => {
                let inside = self.x.place(*x).filter(|p| (0.0..=1.0).contains(p));
                if let Some(p) = inside {
                    let x = self.x0 + p * self.width;
                    svg.line((x, self.y0), (x, self.y0 + self.height), *ink, 1.3, "5 3");
                }
            }
            Mark::Horizontal { y, ink } => {
                if let Some(p) = self.y.place(*y).filter(|p| (0.0..=1.0).contains(p)) {
                    let y = self.y0 + (1.0 - p) * self.height;
                    svg.line((self.x0, y), (self.x0 + self.width, y), *ink, 1.0, "");
                }
            }
        }
    }
}

fn with_gain(label: &str, gain: &str) -> String {
    if gain.is_empty() { label.to_owned() } else { format!("{label}  [{gain}]") }
}

/// A part of a file name: letters, digits and dashes of `text`, never empty.
pub fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(60) {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    let out = out.trim_matches('-');
    if out.is_empty() { "x".into() } else { out.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_lies_inside_the_drawing() {
        let chart = Chart {
            width: NARROW,
            title: "a title that is much too long for the width of the chart, so it has to be cut".into(),
            x: Axis::linear("x", 0.0, 10.0),
            panels: vec![Panel {
                height: 100.0,
                y: Axis::log("y", 0.1, 10.0),
                marks: vec![
                    Mark::Line {
                        points: vec![(-5.0, 1e9), (20.0, 0.0), (f64::NAN, 1.0)],
                        ink: Ink::Series(0),
                        label: "line".into(),
                        dash: "",
                    },
                    Mark::Steps {
                        edges: vec![0.0, 5.0, 10.0],
                        heights: vec![0.0, 5.0],
                        ink: Ink::Series(1),
                        label: "steps".into(),
                        is_filled: true,
                    },
                ],
            }],
        };
        let svg = chart.draw();
        let text = svg.inline("t");
        for attribute in ["d=\"M", "x1=\"", "points=\""] {
            for part in text.split(attribute).skip(1) {
                let numbers =
                    part.split('"').next().unwrap().split(['M', 'L', ' ', 'Z']).filter_map(|n| n.parse::<f64>().ok());
                for n in numbers {
                    assert!((0.0..=NARROW).contains(&n), "{n} in {part}");
                }
            }
        }
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn file_names_are_tame() {
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("Δφ"), "x");
        assert_eq!(slug("Muon pT [GeV]"), "muon-pt-gev");
    }
}
