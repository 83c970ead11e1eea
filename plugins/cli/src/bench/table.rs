//! Results for people: one line for each array and bound, and what they come to.

use super::results::{Bench, BoundName, Measured, Seen, SetResults};
use crate::outcome::table;

/// How to draw a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Text,
    Markdown,
}

const HEADINGS: [&str; 12] = [
    "set",
    "bound",
    "best peer",
    "its ratio",
    "ours",
    "/ best",
    "with model",
    "/ best",
    "error/bound",
    "encode MB/s",
    "decode MB/s",
    "won by",
];

/// Ours against the best peer.
pub fn summary(bench: &Bench, style: Style) -> String {
    let mut rows = Vec::new();
    for set in &bench.sets {
        for bound in set.bounds() {
            // Lossless peers count at every bound; they make no line of their own.
            if bound.kind != "lossless" || set.ours(&bound).is_some() {
                rows.push(summary_row(set, &bound));
            }
        }
    }
    let mut text = draw(&HEADINGS, &rows, style);
    text += "\n\n";
    text += &draw(&["bound", "sets", "ours / best", "with model / best", "below 1", "least"], &means(bench), style);
    for note in &bench.notes {
        text += &format!("\n{note}");
    }
    text
}

fn summary_row(set: &SetResults, bound: &BoundName) -> Vec<String> {
    let best = set.best_peer(bound);
    let ours = set.ours(bound);
    let over = |ratio: Option<f64>| match (ratio, best) {
        (Some(ratio), Some(best)) => format!("{:.3}", ratio / best.ratio),
        _ => "-".into(),
    };
    let number = |v: Option<f64>, digits: usize| v.map_or("-".into(), |v| format!("{v:.digits$}"));
    vec![
        set.name.clone(),
        bound.text(),
        best.map_or("-".into(), |b| b.codec.clone()),
        number(best.map(|b| b.ratio), 2),
        number(ours.map(|o| o.ratio), 2),
        over(ours.map(|o| o.ratio)),
        number(ours.map(|o| o.ratio_with_model), 2),
        over(ours.map(|o| o.ratio_with_model)),
        number(ours.and_then(|o| o.error_over_bound), 6),
        number(ours.and_then(|o| o.encode_mb_s), 1),
        number(ours.and_then(|o| o.decode_mb_s), 1),
        ours.map_or("-".into(), won_by),
    ]
}

/// `lorenzo 12, plain 5`, the model, and what is wrong.
fn won_by(ours: &Measured) -> String {
    let mut candidates: Vec<(&String, &u64)> = ours.candidates.iter().collect();
    candidates.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let one = candidates.len() == 1;
    let names: Vec<String> =
        candidates.iter().map(|(name, n)| if one { (*name).clone() } else { format!("{name} {n}") }).collect();
    let mut text = names.join(", ");
    for model in &ours.models {
        text += &format!(" ({model})");
    }
    text += match ours.seen {
        Some(Seen::Yes) => " SEEN",
        Some(Seen::Unknown) => " seen: unknown",
        _ => "",
    };
    if !ours.is_sound() {
        text += " BOUND BROKEN";
    }
    text
}

/// Ours over the best peer at each bound: geometric means, how often below 1.
fn means(bench: &Bench) -> Vec<Vec<String>> {
    let mut bounds: Vec<BoundName> = Vec::new();
    for bound in bench.sets.iter().flat_map(SetResults::bounds) {
        if !bounds.contains(&bound) {
            bounds.push(bound);
        }
    }
    let pairs = |bound: &BoundName| -> Vec<(f64, f64)> {
        let pair = |set: &SetResults| {
            let (ours, best) = (set.ours(bound)?, set.best_peer(bound)?);
            ours.is_sound().then_some((ours.ratio / best.ratio, ours.ratio_with_model / best.ratio))
        };
        bench.sets.iter().filter_map(pair).collect()
    };
    let row = |name: String, pairs: &[(f64, f64)]| {
        let mean =
            |of: fn(&(f64, f64)) -> f64| geometric_mean(pairs.iter().map(of)).map_or("-".into(), |m| format!("{m:.3}"));
        let least = pairs.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
        vec![
            name,
            pairs.len().to_string(),
            mean(|p| p.0),
            mean(|p| p.1),
            pairs.iter().filter(|p| p.0 < 1.0).count().to_string(),
            if least.is_finite() { format!("{least:.3}") } else { "-".into() },
        ]
    };
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for bound in bounds {
        let here = pairs(&bound);
        if !here.is_empty() {
            rows.push(row(bound.text(), &here));
            all.extend(here);
        }
    }
    if rows.len() > 1 {
        rows.push(row("all".into(), &all));
    }
    rows
}

/// `None` of nothing.
pub fn geometric_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = values.map(f64::ln).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// Every codec at every bound, smallest first, and what failed.
pub fn details(bench: &Bench, style: Style) -> String {
    let headings = [
        "codec",
        "bytes",
        "ratio",
        "with model",
        "encode MB/s",
        "decode MB/s",
        "error/bound",
        "PSNR dB",
        "non-finite",
        "",
    ];
    let mut text = String::new();
    for set in &bench.sets {
        for bound in set.bounds() {
            let shape: Vec<String> = set.shape.iter().map(u64::to_string).collect();
            text += &format!("\n{}, {} {}, {}\n", set.name, shape.join(" x "), set.dtype, bound.text());
            let mut here: Vec<&Measured> = set.results.iter().filter(|r| r.bound == bound).collect();
            here.sort_by_key(|r| r.bytes);
            let number = |v: Option<f64>, digits: usize| v.map_or("-".into(), |v| format!("{v:.digits$}"));
            let mut rows: Vec<Vec<String>> = here
                .iter()
                .map(|r| {
                    vec![
                        r.codec.clone(),
                        r.bytes.to_string(),
                        format!("{:.2}", r.ratio),
                        format!("{:.2}", r.ratio_with_model),
                        number(r.encode_mb_s, 1),
                        number(r.decode_mb_s, 1),
                        number(r.error_over_bound, 6),
                        number(r.psnr, 1),
                        r.non_finite_kept.map_or("", |kept| if kept { "kept" } else { "LOST" }).into(),
                        if r.bound_kept { String::new() } else { "BOUND BROKEN".into() },
                    ]
                })
                .collect();
            for failed in set.failed.iter().filter(|f| f.bound == bound) {
                rows.push(vec![failed.codec.clone(), failed.status.clone(), failed.why.clone()]);
            }
            text += &draw(&headings, &rows, style);
            text.push('\n');
            for line in here.iter().flat_map(|r| &r.auction) {
                text += &format!("    {line}\n");
            }
        }
    }
    text
}

fn draw(headings: &[&str], rows: &[Vec<String>], style: Style) -> String {
    let head: Vec<String> = headings.iter().map(|h| (*h).to_owned()).collect();
    match style {
        Style::Text => table(&std::iter::once(head).chain(rows.iter().cloned()).collect::<Vec<_>>()),
        Style::Markdown => {
            let line = |cells: &[String]| {
                let blank = headings.len().saturating_sub(cells.len());
                format!("| {} |{}", cells.join(" | "), " |".repeat(blank))
            };
            let mut lines = vec![line(&head), format!("|{}", "---|".repeat(headings.len()))];
            lines.extend(rows.iter().map(|row| line(row)));
            lines.join("\n")
        }
    }
}
