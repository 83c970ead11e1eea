//! Drawing: the few shapes that charts are made of, with colours by role, so that one drawing serves light and dark.

use crate::report::numbers::escape;
use std::fmt::Write as _;

/// A colour by what it is for. The page gives each a light and a dark value; files of their own get the light one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Text and frames.
    Text,
    /// Tick labels, notes.
    Muted,
    /// Grid lines.
    Grid,
    /// Behind everything.
    Paper,
    /// Data series: distinguishable by the colour-blind (after Okabe and Ito 2008).
    Series(usize),
}

/// Names and light and dark values, as CSS: `(role, light, dark)`.
pub const PALETTE: [(&str, &str, &str); 10] = [
    ("ink", "#1b1f24", "#e6e9ed"),
    ("muted", "#57606a", "#a3adb8"),
    ("grid", "#dfe3e8", "#343b44"),
    ("paper", "#ffffff", "#14181d"),
    ("s0", "#0067a5", "#62b5ea"),
    ("s1", "#c8500a", "#f19a4a"),
    ("s2", "#007a5a", "#3cc39a"),
    ("s3", "#a5407f", "#e08fc0"),
    ("s4", "#8a6d00", "#e6cb4e"),
    ("s5", "#4d4d9f", "#a9a9f5"),
];
/// Different series.
pub const N_SERIES: usize = 6;

impl Ink {
    fn css(self) -> String {
        match self {
            Ink::Text => "var(--ink)".into(),
            Ink::Muted => "var(--muted)".into(),
            Ink::Grid => "var(--grid)".into(),
            Ink::Paper => "var(--paper)".into(),
            Ink::Series(i) => format!("var(--s{})", i % N_SERIES),
        }
    }
}

/// Where text stands against its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// To the right of it.
    Start,
    /// Around it.
    Middle,
    /// To the left of it.
    End,
}

/// A drawing of a size in CSS pixels, origin at the top left.
pub struct Svg {
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    body: String,
}

impl Svg {
    /// Empty.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A straight line.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), ink: Ink, width: f64, dash: &str) {
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        let _ = write!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{}\" stroke-width=\"{width}\"{dash}/>",
            ink.css()
        );
    }

    /// A line through points.
    pub fn polyline(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, dash: &str) {
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        let _ = write!(
            self.body,
            "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}/>",
            path(points),
            ink.css()
        );
    }

    /// The inside of a closed line.
    pub fn area(&mut self, points: &[(f64, f64)], ink: Ink, opacity: f64) {
        let _ = write!(
            self.body,
            "<path d=\"{}Z\" fill=\"{}\" fill-opacity=\"{opacity}\" stroke=\"none\"/>",
            path(points),
            ink.css()
        );
    }

    /// A rectangle, filled if `opacity` is above 0, framed if `stroke` is.
    pub fn rect(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), ink: Ink, opacity: f64, stroke: f64) {
        let _ = write!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{c}\" fill-opacity=\"{opacity}\" \
             stroke=\"{c}\" stroke-width=\"{stroke}\"/>",
            w.max(0.0),
            h.max(0.0),
            c = ink.css()
        );
    }

    /// A rectangle of a fixed colour, for colour bars and heat maps.
    pub fn patch(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), [r, g, b, _]: [u8; 4]) {
        let _ = write!(
            self.body,
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" fill=\"#{r:02x}{g:02x}{b:02x}\"/>"
        );
    }

    /// A marker; its shape tells series apart where colours cannot.
    pub fn marker(&mut self, (x, y): (f64, f64), shape: usize, ink: Ink) {
        let c = ink.css();
        let _ = match shape % 4 {
            0 => write!(self.body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\" fill=\"{c}\"/>"),
            1 => write!(
                self.body,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"6.4\" height=\"6.4\" fill=\"{c}\"/>",
                x - 3.2,
                y - 3.2
            ),
            2 => write!(self.body, "<path d=\"M{x:.1} {:.1}l4.2 7.4h-8.4Z\" fill=\"{c}\"/>", y - 4.6),
            _ => write!(self.body, "<path d=\"M{x:.1} {:.1}l4.4 4.4l-4.4 4.4l-4.4 -4.4Z\" fill=\"{c}\"/>", y - 4.4),
        };
    }

    /// Text, escaped here.
    pub fn text(&mut self, (x, y): (f64, f64), text: &str, size: f64, anchor: Anchor, ink: Ink, bold: bool) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if bold { " font-weight=\"600\"" } else { "" };
        let _ = write!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{}\"{weight}>{}</text>",
            ink.css(),
            escape(text)
        );
    }

    /// Text that reads from below.
    pub fn vertical_text(&mut self, (x, y): (f64, f64), text: &str, size: f64, ink: Ink) {
        let _ = write!(
            self.body,
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" font-size=\"{size}\" text-anchor=\"middle\" \
             fill=\"{}\">{}</text>",
            ink.css(),
            escape(text)
        );
    }

    /// A picture, stretched to this size; `png` is the file.
    pub fn image(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), png: &[u8]) {
        let _ = write!(
            self.body,
            "<image x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
            super::raster::base64(png)
        );
    }

    /// For the page: colours come from its style. `title` is what is read out.
    pub fn inline(&self, title: &str) -> String {
        self.element(title, "")
    }

    /// For a file of its own: light colours on white, and no style sheet, which not every program reads.
    pub fn standalone(&self, title: &str) -> String {
        let paper = format!("<rect width=\"{}\" height=\"{}\" fill=\"#ffffff\"/>", self.width, self.height);
        let mut text = self.element(title, &paper);
        for (name, light, _) in PALETTE {
            text = text.replace(&format!("var(--{name})"), light);
        }
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}\n")
    }

    fn element(&self, title: &str, first: &str) -> String {
        let Self { width, height, body } = self;
        let title = escape(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\" \
             font-family=\"system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif\">{first}{body}</svg>"
        )
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut out = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(out, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
    }
    out
}

/// About how wide text is, in pixels: no font is at hand to ask.
pub fn text_width(text: &str, size: f64) -> f64 {
    let em = |c: char| match c {
        'i' | 'l' | 'j' | '.' | ',' | ':' | '|' | '\'' | ' ' => 0.33,
        'm' | 'w' | 'M' | 'W' | '@' => 0.92,
        c if c.is_uppercase() => 0.70,
        c if ('\u{2070}'..='\u{209f}').contains(&c) || matches!(c, '¹' | '²' | '³') => 0.42,
        c if (c as u32) > 0x2e80 => 1.0,
        _ => 0.61,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// The text, or as much of it as fits, with an ellipsis.
pub fn fitted(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        if text_width(&out, size) > width - size {
            out.pop();
            break;
        }
    }
    out + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text((0.0, 0.0), "</text><script>alert(1)</script>", 10.0, Anchor::Start, Ink::Text, false);
        let text = svg.inline("\"><script>");
        assert!(
            !text.contains("<script>") && text.contains("&lt;script&gt;") && text.contains("aria-label=\"&quot;&gt;")
        );
    }

    #[test]
    fn files_of_their_own_need_no_style_sheet() {
        let mut svg = Svg::new(10.0, 10.0);
        for i in 0..N_SERIES {
            svg.marker((1.0, 1.0), i, Ink::Series(i));
        }
        svg.line((0.0, 0.0), (1.0, 1.0), Ink::Grid, 1.0, "2 2");
        svg.rect((0.0, 0.0), (1.0, 1.0), Ink::Paper, 1.0, 0.0);
        svg.text((0.0, 0.0), "a", 10.0, Anchor::End, Ink::Muted, true);
        assert!(!svg.standalone("t").contains("var("));
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(fitted("short", 12.0, 100.0), "short");
        let cut = fitted(&"x".repeat(300), 12.0, 100.0);
        assert!(cut.ends_with('…') && text_width(&cut, 12.0) <= 112.0);
    }
}
