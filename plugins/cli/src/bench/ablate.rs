//! What each candidate is worth: the auction without it.

use super::data::Set;
use super::held_out::Admitted;
use super::ours::{Settings, stream_bytes};
use super::results::{Ablated, Bench, BoundName, Measured};
use super::table::geometric_mean;
use crate::failure::Result;
use crate::outcome::table;
use baler_codec::{Bound, Candidates};

/// Bytes without each candidate that won somewhere in `full`; leaving out one that did not changes nothing.
pub fn ablate(
    set: &Set,
    bound: Bound,
    admitted: &Admitted,
    settings: &Settings,
    full: &Measured,
) -> Result<Vec<Ablated>> {
    let mut found = Vec::new();
    for candidate in Candidates::names().filter(|name| settings.candidates.has(name)) {
        let won = full.candidates.keys().any(|shown| candidate_of(shown) == candidate);
        let bytes = if won {
            let candidates = settings.candidates.without(candidate)?;
            stream_bytes(set, bound, admitted, &Settings { candidates, ..*settings })?
        } else {
            full.bytes
        };
        found.push(Ablated { candidate: candidate.into(), bound: bound.into(), bytes });
    }
    Ok(found)
}

/// The candidate behind the name a part is shown with.
fn candidate_of(shown: &str) -> &str {
    if matches!(shown, "plain" | "lorenzo") { "quantised" } else { shown }
}

/// Geometric mean of the ratio lost without each candidate, by bound.
pub fn summary(bench: &Bench) -> String {
    let mut lost: Vec<(&str, &BoundName, Vec<f64>)> = Vec::new();
    for set in &bench.sets {
        for ablated in &set.ablation {
            let Some(full) = set.ours(&ablated.bound) else { continue };
            let share = full.bytes as f64 / ablated.bytes as f64;
            match lost.iter_mut().find(|l| l.0 == ablated.candidate && *l.1 == ablated.bound) {
                Some(entry) => entry.2.push(share),
                None => lost.push((&ablated.candidate, &ablated.bound, vec![share])),
            }
        }
    }
    lost.sort_by_key(|l| l.0);
    let mut rows = vec![["without", "bound", "ratio lost", "sets that lose", "most lost"].map(String::from).to_vec()];
    for (candidate, bound, shares) in lost {
        let percent = |share: f64| format!("{:.2} %", 100.0 * (1.0 - share));
        rows.push(vec![
            candidate.into(),
            bound.text(),
            geometric_mean(shares.iter().copied()).map_or("-".into(), percent),
            format!("{} of {}", shares.iter().filter(|s| **s < 1.0).count(), shares.len()),
            percent(shares.iter().copied().fold(f64::INFINITY, f64::min)),
        ]);
    }
    table(&rows)
}
