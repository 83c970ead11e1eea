//! Two runs side by side: what became worse.

use super::results::{Bench, Measured, SetResults};
use super::table::geometric_mean;

/// Ratios are exact: this much may go for something better elsewhere.
const RATIO_TOLERANCE: f64 = 0.005;
/// Speeds are not, even as shares of a peer's on the same machine.
const SPEED_TOLERANCE: f64 = 0.2;
/// Peers to take the machine's measure by: quick, plain, installed nearly everywhere.
const REFERENCES: [&str; 3] = ["q-pcodec", "q-lorenzo-pcodec", "gzip-shuffle-h5"];

/// One line for each of our results that is worse in `new` than in `old`: a smaller ratio, a bound that is broken, a
/// result that is gone; and with `speeds`, which are compared over everything measured, one line for each direction.
pub fn regressions(old: &Bench, new: &Bench, speeds: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for (before, after) in pairs(old, new) {
        for ours in before.results.iter().filter(|r| r.is_ours()) {
            let what = format!("{} {} at {}", ours.codec, before.name, ours.bound.text());
            match after.results.iter().find(|r| r.codec == ours.codec && r.bound == ours.bound) {
                None if after.bounds().contains(&ours.bound) => lines.push(format!("{what}: no result any more")),
                // Not measured this time.
                None => {}
                Some(now) if ours.is_sound() && !now.is_sound() => lines.push(format!("{what}: the bound is broken")),
                Some(now) if now.ratio < ours.ratio * (1.0 - RATIO_TOLERANCE) => lines.push(format!(
                    "{what}: ratio {:.3} -> {:.3} ({:+.1} %)",
                    ours.ratio,
                    now.ratio,
                    100.0 * (now.ratio / ours.ratio - 1.0)
                )),
                Some(_) => {}
            }
        }
    }
    if !speeds {
        return lines;
    }
    for (direction, speed) in [("encoding", (|r| r.encode_mb_s) as Speed), ("decoding", |r| r.decode_mb_s)] {
        let changes = pairs(old, new).filter_map(|(before, after)| speed_change(before, after, speed));
        if let Some(change) = geometric_mean(changes)
            && change < 1.0 - SPEED_TOLERANCE
        {
            lines.push(format!(
                "{direction} is {:.0} % slower, as a share of the same peers' speed",
                100.0 * (1.0 - change)
            ));
        }
    }
    lines
}

type Speed = fn(&Measured) -> Option<f64>;

/// Arrays that both runs have, of the same bytes.
fn pairs<'a>(old: &'a Bench, new: &'a Bench) -> impl Iterator<Item = (&'a SetResults, &'a SetResults)> {
    let same = |a: &SetResults, b: &SetResults| (&a.name, a.raw_bytes, a.rows) == (&b.name, b.raw_bytes, b.rows);
    old.sets.iter().filter_map(move |a| Some((a, new.sets.iter().find(|b| same(a, b))?)))
}

/// Our speed after over before, each as a share of a reference peer's in the same run. `None` without one that was
/// measured in both: a time from another machine, or taken over from another run, says nothing.
fn speed_change(before: &SetResults, after: &SetResults, speed: Speed) -> Option<f64> {
    let share = |set: &SetResults, ours: &Measured, peer: &str| {
        let peer =
            set.results.iter().find(|r| r.codec == peer && (r.bound == ours.bound || r.bound.kind == "lossless"));
        Some(speed(ours)? / speed(peer?)?)
    };
    let changes = before.results.iter().filter(|r| r.is_ours()).filter_map(|then| {
        let now = after.results.iter().find(|r| r.codec == then.codec && r.bound == then.bound)?;
        REFERENCES.iter().find_map(|peer| Some(share(after, now, peer)? / share(before, then, peer)?))
    });
    geometric_mean(changes)
}

#[cfg(test)]
mod tests {
    use super::super::results::{BoundName, OURS, SCHEMA};
    use super::*;

    fn run(ratio: f64, speed: f64, peer_speed: f64, bound_kept: bool) -> Bench {
        let result = |codec: &str, ratio: f64, speed: f64, bound_kept: bool| Measured {
            codec: codec.into(),
            bound: BoundName { kind: "rel".into(), value: 1e-3 },
            bytes: (1000.0 / ratio) as u64,
            ratio,
            ratio_with_model: ratio,
            encode_mb_s: Some(speed),
            decode_mb_s: Some(2.0 * speed),
            bound_kept,
            ..Measured::default()
        };
        let set = SetResults {
            name: "field".into(),
            raw_bytes: 1000,
            results: vec![result(OURS, ratio, speed, bound_kept), result("q-pcodec", 5.0, peer_speed, true)],
            ..SetResults::default()
        };
        Bench { schema: SCHEMA.into(), sets: vec![set], ..Bench::default() }
    }

    #[test]
    fn what_is_worse_is_named() {
        let old = run(10.0, 50.0, 100.0, true);
        let found = |new: &Bench| regressions(&old, new, true).join("\n");
        assert_eq!(found(&old), "");
        assert_eq!(found(&run(9.96, 45.0, 100.0, true)), "");
        assert!(found(&run(9.9, 50.0, 100.0, true)).contains("field at rel 1e-3: ratio 10.000 -> 9.900 (-1.0 %)"));
        assert!(found(&run(10.0, 50.0, 100.0, false)).contains("broken"));
        let slower = found(&run(10.0, 35.0, 100.0, true));
        assert!(slower.contains("encoding is 30 % slower") && slower.contains("decoding"), "{slower}");
        // Half the speed on a machine that is half as fast.
        assert_eq!(found(&run(10.0, 25.0, 50.0, true)), "");
    }
}
