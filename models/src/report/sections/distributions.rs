//! Every variable before and after: its distribution with a ratio panel, its response, its residual.

use crate::report::chart::axis::Axis;
use crate::report::chart::{Chart, Figure, Ink, Mark, NARROW, Panel, slug};
use crate::report::numbers::{count, number};
use crate::report::page::{Block, Section};
use crate::report::statistics::Histogram;
use crate::report::{Array, Report, Variable};

/// Variables that get plots, at most: a page of more is no page. The table has them all.
const MAX_VARIABLES: usize = 64;

pub(super) fn section(report: &Report) -> Option<Section> {
    let all = || report.arrays.iter().flat_map(|a| a.variables.iter().map(move |v| (a, v)));
    let n = all().count();
    let mut blocks = Vec::new();
    for array in &report.arrays {
        let what = if array.layout == "table" { "rows" } else { "values" };
        if array.n_sampled < array.n_total {
            blocks.push(Block::Text(format!(
                "{}: histograms and quantiles are of a sample of {} of {} {what}, spread evenly; means, RMS and largest errors \
                 are of all.",
                array.name,
                count(array.n_sampled),
                count(array.n_total)
            )));
        }
    }
    if n > MAX_VARIABLES {
        blocks.push(Block::Text(format!("Plots of the first {MAX_VARIABLES} of {n} variables.")));
    }
    let mut any = false;
    for (array, v) in all().take(MAX_VARIABLES).filter(|(_, v)| v.n > 0) {
        any = true;
        blocks.push(Block::Heading(v.name.clone()));
        let mut figures = vec![before_after(v)];
        if v.max_error == Some(0.0) {
            blocks.push(Block::Text(
                "Every decoded value equals its original: response and residual have no spread.".into(),
            ));
        } else {
            figures.extend(response(v));
            figures.push(residual(array, v));
        }
        blocks.push(Block::Figures(figures));
    }
    any.then_some(Section { id: "distributions", title: "Distributions", blocks })
}

/// Whether the smallest and the fullest bins would not both be seen on a linear axis.
fn needs_log(histogram: &Histogram) -> bool {
    let most = histogram.counts.iter().copied().max().unwrap_or(0);
    let least = histogram.counts.iter().copied().filter(|c| *c > 0).min().unwrap_or(0);
    most > 200 * least.max(1)
}

fn counts_axis(histogram: &Histogram) -> Axis {
    let most = histogram.counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    if needs_log(histogram) { Axis::log("counts", 0.6, most * 2.0) } else { Axis::linear("counts", 0.0, most * 1.08) }
}

fn heights(histogram: &Histogram) -> Vec<f64> {
    histogram.counts.iter().map(|c| *c as f64).collect()
}

fn steps(histogram: &Histogram, ink: Ink, label: &str, is_filled: bool) -> Mark {
    Mark::Steps { edges: histogram.edges.clone(), heights: heights(histogram), ink, label: label.into(), is_filled }
}

fn before_after(v: &Variable) -> Figure {
    let (before, after) = (&v.histogram_original, &v.histogram_decoded);
    let centre = |i: usize| before.edges[i] / 2.0 + before.edges[i + 1] / 2.0;
    let ratios: Vec<(f64, f64)> = (0..before.counts.len())
        .filter(|&i| before.counts[i] > 0)
        .map(|i| (centre(i), after.counts[i] as f64 / before.counts[i] as f64))
        .collect();
    let off = ratios.iter().map(|r| (r.1 - 1.0).abs()).fold(0.0, f64::max).clamp(0.02, 1.0) * 1.15;
    let x = Axis::linear(v.name.clone(), before.edges[0], before.edges[before.counts.len()]);
    let fuller = if before.counts.iter().max() >= after.counts.iter().max() { before } else { after };
    let chart = Chart {
        width: NARROW,
        title: "Before and after".into(),
        x,
        panels: vec![
            Panel {
                height: 165.0,
                y: counts_axis(fuller),
                marks: vec![
                    steps(before, Ink::Series(0), "original", true),
                    steps(after, Ink::Series(1), "decoded", false),
                ],
            },
            Panel {
                height: 62.0,
                y: Axis::linear("ratio", 1.0 - off, 1.0 + off),
                marks: vec![
                    Mark::Horizontal { y: 1.0, ink: Ink::Muted },
                    Mark::Points {
                        points: ratios,
                        ink: Ink::Series(1),
                        shape: 0,
                        label: String::new(),
                        is_joined: false,
                    },
                ],
            },
        ],
    };
    let outside = match after.outside {
        0 => String::new(),
        n => format!(" {} decoded values lie beyond the smallest and largest original, within the error.", count(n)),
    };
    Figure {
        name: format!("distribution-{}", slug(&v.name)),
        alt: format!("Histogram of {} before and after, with the ratio of the counts", v.name),
        caption: format!("Below: decoded / original counts in each bin.{outside}"),
        svg: chart.draw(),
        images: Vec::new(),
        is_wide: false,
    }
}

fn response(v: &Variable) -> Option<Figure> {
    let histogram = v.histogram_response.as_ref()?;
    let x =
        Axis::linear("decoded / original − 1", histogram.edges[0] - 1.0, histogram.edges[histogram.counts.len()] - 1.0);
    let mean = v.response.mean? - 1.0;
    let shifted = Histogram { edges: histogram.edges.iter().map(|e| e - 1.0).collect(), ..histogram.clone() };
    let chart = Chart {
        width: NARROW,
        title: "Response".into(),
        x,
        panels: vec![Panel {
            height: 239.0,
            y: counts_axis(histogram),
            marks: vec![
                steps(&shifted, Ink::Series(2), "", true),
                Mark::Vertical { x: mean, ink: Ink::Series(3), label: format!("mean − 1 = {}", number(mean)) },
            ],
        }],
    };
    let total = histogram.counts.iter().sum::<u64>() + histogram.outside;
    let outside = match histogram.outside {
        0 => String::new(),
        n => format!(" {:.2} % of the values lie beyond the axis.", 100.0 * n as f64 / total as f64),
    };
    let zeros = match v.n_zero {
        0 => String::new(),
        n => format!(" {} zeros are left out.", count(n)),
    };
    Some(Figure {
        name: format!("response-{}", slug(&v.name)),
        alt: format!("Histogram of the response of {}", v.name),
        caption: format!(
            "Mean {}, RMS of the relative deviation {}.{zeros}{outside}",
            number(v.response.mean?),
            number(v.response.rms.unwrap_or(f64::NAN))
        ),
        svg: chart.draw(),
        images: Vec::new(),
        is_wide: false,
    })
}

fn residual(array: &Array, v: &Variable) -> Figure {
    let histogram = &v.histogram_residual;
    let edge = histogram.edges[histogram.counts.len()];
    let allowed = v.allowed.filter(|a| *a > 0.0 && matches!(array.bound.kind, "abs" | "rel"));
    // The bound is shown where it does not squeeze the residuals to a line.
    let shown = allowed.filter(|a| *a < 4.0 * edge);
    let half = shown.map_or(edge, |a| a.max(edge) * 1.06);
    let mut marks = vec![steps(histogram, Ink::Series(4), "", true)];
    if let Some(a) = shown {
        marks.push(Mark::Vertical { x: a, ink: Ink::Series(1), label: format!("bound ±{}", number(a)) });
        marks.push(Mark::Vertical { x: -a, ink: Ink::Series(1), label: String::new() });
    }
    let mean = v.residual.mean.unwrap_or(0.0);
    marks.push(Mark::Vertical { x: mean, ink: Ink::Series(3), label: format!("mean {}", number(mean)) });
    let chart = Chart {
        width: NARROW,
        title: "Residual".into(),
        x: Axis::linear("decoded − original", -half, half),
        panels: vec![Panel { height: 239.0, y: counts_axis(histogram), marks }],
    };
    let bound = match (allowed, shown) {
        (Some(a), None) => format!(" The bound, ±{}, lies far outside.", number(a)),
        _ => String::new(),
    };
    Figure {
        name: format!("residual-{}", slug(&v.name)),
        alt: format!("Histogram of the residual of {}", v.name),
        caption: format!(
            "Mean {}, RMS {}, largest error {}.{bound}",
            number(mean),
            number(v.residual.rms.unwrap_or(f64::NAN)),
            number(v.max_error.unwrap_or(f64::NAN))
        ),
        svg: chart.draw(),
        images: Vec::new(),
        is_wide: false,
    }
}
