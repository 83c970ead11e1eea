//! Response and residual of every variable, as in Table 2 of the Baler paper (arXiv 2305.02283), and the residuals side by
//! side.

use crate::report::chart::axis::Axis;
use crate::report::chart::svg::{fitted, text_width};
use crate::report::chart::{Anchor, Figure, Ink, Svg, WIDE};
use crate::report::numbers::count;
use crate::report::page::{Block, Cell, Section, Table};
use crate::report::{Report, Variable};

/// Boxes in one chart, at most.
const MAX_BOXES: usize = 100;

pub(super) fn section(report: &Report) -> Option<Section> {
    let mut rows = Vec::new();
    for (i, array) in report.arrays.iter().enumerate() {
        for (j, v) in array.variables.iter().enumerate() {
            let at = |field: &str| Cell::at(format!("/arrays/{i}/variables/{j}/{field}"));
            let fields = [
                "n",
                "original/mean",
                "original/deviation",
                "response/mean",
                "response/rms",
                "n_zero",
                "residual/mean",
                "residual/rms",
                "max_error",
            ];
            let share = Cell::Share(format!("/arrays/{i}/variables/{j}/error_over_bound"));
            rows.push((v.name.clone(), fields.map(at).into_iter().chain([share]).collect()));
        }
    }
    if rows.is_empty() {
        return None;
    }
    let head = [
        "variable",
        "values",
        "mean",
        "std. dev.",
        "response mean",
        "response RMS",
        "zeros left out",
        "residual mean",
        "residual RMS",
        "largest error",
        "error / bound",
    ];
    let n_zero: u64 = report.arrays.iter().flat_map(|a| &a.variables).map(|v| v.n_zero).sum();
    let zeros = match n_zero {
        0 => "No original is 0.".to_owned(),
        n => format!("{} originals are 0 and have no response; they count in the residual.", count(n)),
    };
    let mut blocks = vec![
        Block::Text(format!(
            "Response is decoded / original, its RMS that of (decoded − original) / original; residual is decoded − original. \
             RMS is the root of the mean square, about 1 and about 0. All over every finite value. {zeros}"
        )),
        Block::Table(Table {
            caption: "Response and residual of each variable.".into(),
            head: head.map(Into::into).into(),
            rows,
        }),
    ];
    blocks.extend(boxes(report).map(|figure| Block::Figures(vec![figure])));
    Some(Section { id: "variables", title: "Variables", blocks })
}

/// Residuals of all variables as boxes, in units that let them be compared.
fn boxes(report: &Report) -> Option<Figure> {
    let all: Vec<&Variable> = report.arrays.iter().flat_map(|a| &a.variables).collect();
    let is_absolute = |v: &&Variable| v.allowed.is_some_and(|a| a > 0.0);
    let has_bound = report.arrays.iter().all(|a| matches!(a.bound.kind, "abs" | "rel")) && all.iter().all(is_absolute);
    let unit = |v: &Variable| -> Option<f64> {
        let range = v.original.max? - v.original.min?;
        Some(if has_bound { v.allowed? } else { range }).filter(|u| *u > 0.0)
    };
    let rows: Vec<(&str, [f64; 7])> = all
        .iter()
        .take(MAX_BOXES)
        .filter_map(|v| {
            let (s, unit) = (v.residual_spread?, unit(v)?);
            Some((&*v.name, [s.min, s.p01, s.q25, s.median, s.q75, s.p99, s.max].map(|q| q / unit)))
        })
        .collect();
    let most = rows.iter().flat_map(|r| r.1).fold(0.0, |m: f64, v| m.max(v.abs()));
    if rows.is_empty() || most == 0.0 || !most.is_finite() {
        return None;
    }
    let label = if has_bound { "residual / bound" } else { "residual / range of the variable" };
    let axis = Axis::linear(label, -most * 1.08, most * 1.08);
    let names = rows.iter().map(|r| text_width(r.0, 12.0)).fold(60.0, f64::max).min(220.0);
    let (step, top) = (22.0, 34.0);
    let (left, right) = (names + 20.0, WIDE - 16.0);
    let bottom = top + step * rows.len() as f64 + 4.0;
    let mut svg = Svg::new(WIDE, bottom + 46.0);
    let place = |v: f64| left + axis.place(v).unwrap_or(0.5).clamp(0.0, 1.0) * (right - left);
    svg.text((left, 18.0), "Residuals of all variables", 13.0, Anchor::Start, Ink::Text, true);
    let (ticks, gain) = axis.ticks(9);
    for tick in ticks {
        let x = place(tick.at);
        svg.line((x, top), (x, bottom), Ink::Grid, 0.8, "");
        svg.text((x, bottom + 16.0), &tick.label, 11.0, Anchor::Middle, Ink::Muted, false);
    }
    if has_bound {
        for bound in [-1.0, 1.0] {
            svg.line((place(bound), top), (place(bound), bottom), Ink::Series(1), 1.2, "5 3");
        }
    }
    for (i, (name, [min, low, q25, median, q75, high, max])) in rows.iter().enumerate() {
        let y = top + step * (i as f64 + 0.5);
        svg.text((left - 10.0, y + 4.0), &fitted(name, 12.0, 215.0), 12.0, Anchor::End, Ink::Text, false);
        svg.line((place(*low), y), (place(*high), y), Ink::Series(0), 1.2, "");
        for whisker in [*low, *high] {
            svg.line((place(whisker), y - 4.0), (place(whisker), y + 4.0), Ink::Series(0), 1.2, "");
        }
        let width = (place(*q75) - place(*q25)).max(1.0);
        svg.rect((place(*q25), y - 6.5), (width, 13.0), Ink::Paper, 1.0, 0.0);
        svg.rect((place(*q25), y - 6.5), (width, 13.0), Ink::Series(0), 0.25, 1.2);
        svg.line((place(*median), y - 6.5), (place(*median), y + 6.5), Ink::Text, 1.6, "");
        for extreme in [*min, *max] {
            svg.line((place(extreme) - 2.5, y - 2.5), (place(extreme) + 2.5, y + 2.5), Ink::Series(3), 1.3, "");
            svg.line((place(extreme) - 2.5, y + 2.5), (place(extreme) + 2.5, y - 2.5), Ink::Series(3), 1.3, "");
        }
    }
    svg.line((left, bottom), (right, bottom), Ink::Muted, 1.0, "");
    let text = if gain.is_empty() { label.to_owned() } else { format!("{label}  [{gain}]") };
    svg.text(((left + right) / 2.0, bottom + 36.0), &text, 12.0, Anchor::Middle, Ink::Text, false);
    let more = if all.len() > MAX_BOXES {
        format!(" The first {MAX_BOXES} of {} variables.", all.len())
    } else {
        String::new()
    };
    let dashed = if has_bound { " Dashed: the bound." } else { "" };
    Some(Figure {
        name: "residuals-of-all-variables".into(),
        alt: format!("Box-and-whisker plot of the {label} of {} variables", rows.len()),
        caption: format!(
            "Boxes: the middle half of the residuals, with the median; whiskers: 1 % to 99 %; crosses: smallest and largest.{dashed}{more}"
        ),
        svg,
        images: Vec::new(),
        is_wide: true,
    })
}
