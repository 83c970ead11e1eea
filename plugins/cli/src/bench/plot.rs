//! Rate and distortion as a picture: one panel for each array, one line for each codec, in plain SVG.

use super::results::{Measured, OURS, OURS_H5, SetResults};
use std::collections::BTreeMap;
use std::fmt::Write;

const PANEL: (f64, f64) = (360.0, 260.0);
const MARGIN: (f64, f64) = (52.0, 36.0);
const COLUMNS: usize = 3;
const LEGEND_LINE: f64 = 16.0;
/// Okabe and Ito's colours, told apart by nearly everybody ("Color universal design", 2008); ours is black.
const COLOURS: [&str; 7] = ["#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#8A8A00"];
const DASHES: [&str; 3] = ["", "5 3", "2 2"];

/// PSNR in dB over bits for each value. Codecs that lose nothing or broke a bound have no point.
pub fn svg(sets: &[SetResults]) -> String {
    let mut codecs: Vec<&str> = Vec::new();
    for result in sets.iter().flat_map(|s| &s.results).filter(|r| point(r, 1.0).is_some()) {
        if !codecs.contains(&&*result.codec) {
            codecs.push(&result.codec);
        }
    }
    let rows = sets.len().div_ceil(COLUMNS).max(1);
    let columns = sets.len().clamp(1, COLUMNS);
    let legend_top = rows as f64 * PANEL.1;
    let legend_rows = codecs.len().div_ceil(columns * 2);
    let (width, height) = (columns as f64 * PANEL.0, legend_top + (legend_rows as f64 + 1.0) * LEGEND_LINE);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (i, set) in sets.iter().enumerate() {
        let (x, y) = ((i % COLUMNS) as f64 * PANEL.0, (i / COLUMNS) as f64 * PANEL.1);
        panel(&mut out, set, &codecs, (x, y));
    }
    for (i, codec) in codecs.iter().enumerate() {
        let (x, y) = (
            MARGIN.0 + (i % (columns * 2)) as f64 * PANEL.0 / 2.0,
            legend_top + (i / (columns * 2)) as f64 * LEGEND_LINE + LEGEND_LINE,
        );
        let _ = writeln!(
            out,
            "<line x1=\"{x}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" {}/><text x=\"{}\" y=\"{}\">{}</text>",
            x + 24.0,
            stroke(codec, &codecs),
            x + 30.0,
            y + 4.0,
            escape(codec)
        );
    }
    out + "</svg>\n"
}

fn panel(out: &mut String, set: &SetResults, codecs: &[&str], (left, top): (f64, f64)) {
    let n_values = set.shape.iter().product::<u64>().max(1) as f64;
    let mut lines: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for result in &set.results {
        if let Some(at) = point(result, n_values) {
            lines.entry(&result.codec).or_default().push(at);
        }
    }
    let points = || lines.values().flatten();
    let range = |of: fn(&(f64, f64)) -> f64| {
        let (min, max) = points().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if min <= max { (min, if max > min { max } else { min + 1.0 }) } else { (0.0, 1.0) }
    };
    // Bits over factors of two: what is half the size is the same step to the left everywhere.
    let (x_range, y_range) = (range(|p| p.0.log2()), range(|p| p.1));
    let inner = (PANEL.0 - MARGIN.0 - 12.0, PANEL.1 - 2.0 * MARGIN.1);
    let at = |(bits, psnr): (f64, f64)| {
        let x = left + MARGIN.0 + (bits.log2() - x_range.0) / (x_range.1 - x_range.0) * inner.0;
        let y = top + MARGIN.1 + (1.0 - (psnr - y_range.0) / (y_range.1 - y_range.0)) * inner.1;
        (x, y)
    };
    let (x0, y0) = (left + MARGIN.0, top + MARGIN.1 + inner.1);
    let _ = writeln!(
        out,
        "<text x=\"{x0}\" y=\"{}\" font-weight=\"bold\">{}</text>\n<path d=\"M{x0} {}V{y0}H{}\" fill=\"none\" stroke=\"#888\"/>",
        top + MARGIN.1 - 12.0,
        escape(&set.name),
        top + MARGIN.1,
        x0 + inner.0
    );
    for i in 0..=4 {
        let share = f64::from(i) / 4.0;
        let bits = (x_range.0 + share * (x_range.1 - x_range.0)).exp2();
        let psnr = y_range.0 + share * (y_range.1 - y_range.0);
        let (x, y) = at((bits, psnr));
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{bits:.2}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{psnr:.0}</text>",
            y0 + 14.0,
            x0 - 5.0,
            y + 4.0
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">bits a value</text>\
         <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">dB</text>",
        x0 + inner.0,
        y0 + 28.0,
        x0 - 5.0,
        top + MARGIN.1 - 12.0
    );
    // Ours last: on top.
    let order = codecs.iter().filter(|c| !is_ours(c)).chain(codecs.iter().filter(|c| is_ours(c)));
    for codec in order {
        let Some(points) = lines.get_mut(codec) else { continue };
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let path: Vec<String> = points.iter().map(|&p| at(p)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" {}><title>{}</title></polyline>",
            path.join(" "),
            stroke(codec, codecs),
            escape(codec)
        );
        for &p in points.iter() {
            let (x, y) = at(p);
            let colour = colour(codec, codecs);
            let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.2\" fill=\"{colour}\"/>");
        }
    }
}

fn point(result: &Measured, n_values: f64) -> Option<(f64, f64)> {
    let psnr = result.psnr.filter(|_| result.is_sound() && result.bytes > 0)?;
    Some((result.bytes as f64 * 8.0 / n_values, psnr))
}

fn is_ours(codec: &str) -> bool {
    codec == OURS || codec == OURS_H5
}

fn colour(codec: &str, codecs: &[&str]) -> &'static str {
    let i = codecs.iter().filter(|c| !is_ours(c)).position(|c| *c == codec).unwrap_or(0);
    if is_ours(codec) { "#000" } else { COLOURS[i % COLOURS.len()] }
}

fn stroke(codec: &str, codecs: &[&str]) -> String {
    let i = codecs.iter().filter(|c| !is_ours(c)).position(|c| *c == codec).unwrap_or(0);
    let dash = if codec == OURS_H5 {
        DASHES[1]
    } else if is_ours(codec) {
        ""
    } else {
        DASHES[i / COLOURS.len() % 3]
    };
    let width = if is_ours(codec) { 2.5 } else { 1.3 };
    let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
    format!("stroke=\"{}\" stroke-width=\"{width}\"{dash}", colour(codec, codecs))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
