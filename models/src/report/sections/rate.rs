//! Rate and distortion: what a tighter bound costs, and what other programs need for the same.

use crate::report::chart::axis::Axis;
use crate::report::chart::{Chart, Figure, Ink, Mark, NARROW, Panel};
use crate::report::numbers::{bytes, count};
use crate::report::page::{Block, Cell, Section, Table};
use crate::report::{Peer, RateDistortion, Report};

pub(super) fn section(report: &Report) -> Option<Section> {
    let rate = report.rate_distortion.as_ref().filter(|r| !r.points.is_empty())?;
    let part = if rate.is_whole {
        "All".to_owned()
    } else {
        format!("A sample, rows {} to {} ({}),", count(rate.rows[0]), count(rate.rows[1] - 1), bytes(rate.raw_bytes))
    };
    let peers = match rate.peers.is_empty() {
        true => String::new(),
        false => " Points of other programs were measured by baler bench on the whole array.".to_owned(),
    };
    let text = format!(
        "{part} of {:?} was encoded at several bounds relative to the range. Ratios with the model count the decoders that are \
         needed, however small the part.{peers}",
        rate.array
    );
    let row = |i: usize| {
        let at = |field: &str| Cell::at(format!("/rate_distortion/points/{i}/{field}"));
        let fields = ["bytes", "bits_per_value", "ratio", "ratio_with_model", "psnr"];
        (format!("rel {:e}", rate.points[i].rel_bound), fields.map(at).into())
    };
    let table = Table {
        caption: "Sizes at bounds relative to the range.".into(),
        head: ["bound", "bytes", "bits / value", "ratio", "ratio with model", "PSNR [dB]"].map(Into::into).into(),
        rows: (0..rate.points.len()).map(row).collect(),
    };
    let figures: Vec<Figure> = [distortion(rate), ratio(rate)].into_iter().flatten().collect();
    Some(Section {
        id: "rate",
        title: "Rate and distortion",
        blocks: vec![Block::Text(text), Block::Figures(figures), Block::Table(table)],
    })
}

fn limits(points: impl Iterator<Item = f64>) -> (f64, f64) {
    points.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
}

/// Our line, and the markers of the others.
fn marks(ours: Vec<Vec<(f64, f64)>>, peers: &[Peer], of: &dyn Fn(&Peer) -> Vec<(f64, f64)>) -> Vec<Mark> {
    let labels = ["Baler", "Baler with model"];
    let mut marks: Vec<Mark> = Vec::new();
    for (i, peer) in peers.iter().enumerate() {
        let points = of(peer);
        if !points.is_empty() {
            let (ink, label) = (Ink::Series(2 + i % 4), peer.codec.clone());
            marks.push(Mark::Points { points, ink, shape: 1 + i % 3, label, is_joined: false });
        }
    }
    for (i, points) in ours.into_iter().enumerate().rev() {
        marks.insert(
            0,
            Mark::Points { points, ink: Ink::Series(i), shape: 0, label: labels[i].into(), is_joined: true },
        );
    }
    marks
}

fn all_points(marks: &[Mark]) -> impl Iterator<Item = (f64, f64)> + '_ {
    marks
        .iter()
        .flat_map(|m| match m {
            Mark::Points { points, .. } => points.as_slice(),
            _ => &[],
        })
        .copied()
}

fn distortion(rate: &RateDistortion) -> Option<Figure> {
    let ours: Vec<(f64, f64)> = rate.points.iter().filter_map(|p| Some((p.bits_per_value, p.psnr?))).collect();
    let of = |peer: &Peer| peer.points.iter().filter_map(|p| Some((p.bits_per_value, p.psnr?))).collect();
    let marks = marks(vec![ours], &rate.peers, &of);
    let (x, y) = (limits(all_points(&marks).map(|p| p.0)), limits(all_points(&marks).map(|p| p.1)));
    if x.0 > x.1 {
        return None;
    }
    let chart = Chart {
        width: NARROW,
        title: "Rate and distortion".into(),
        x: Axis::log("bits / value", x.0, x.1).padded(0.05),
        panels: vec![Panel { height: 250.0, y: Axis::linear("PSNR [dB]", y.0, y.1).padded(0.06), marks }],
    };
    Some(Figure {
        name: "rate-distortion".into(),
        alt: "PSNR over bits for each value".into(),
        caption: "Further up and to the left is better. Sizes without models.".into(),
        svg: chart.draw(),
        images: Vec::new(),
        is_wide: false,
    })
}

fn ratio(rate: &RateDistortion) -> Option<Figure> {
    let mut ours = vec![rate.points.iter().map(|p| (p.rel_bound, p.ratio)).collect::<Vec<_>>()];
    if rate.points.iter().any(|p| p.decoder_bytes > 0) {
        ours.push(rate.points.iter().map(|p| (p.rel_bound, p.ratio_with_model)).collect());
    }
    let of = |peer: &Peer| {
        let relative = peer.points.iter().filter(|p| p.bound_kind == "rel");
        relative.filter_map(|p| Some((p.bound.filter(|b| *b > 0.0)?, p.ratio))).collect()
    };
    let marks = marks(ours, &rate.peers, &of);
    let (x, y) = (limits(all_points(&marks).map(|p| p.0)), limits(all_points(&marks).map(|p| p.1)));
    if x.0 > x.1 {
        return None;
    }
    let chart = Chart {
        width: NARROW,
        title: "Ratio at each bound".into(),
        x: Axis::log("bound / range", x.0, x.1).padded(0.05),
        panels: vec![Panel { height: 250.0, y: Axis::log("ratio", y.0, y.1).padded(0.06), marks }],
    };
    Some(Figure {
        name: "ratio-over-bound".into(),
        alt: "Compression ratio over the relative bound".into(),
        caption: "Higher is better.".into(),
        svg: chart.draw(),
        images: Vec::new(),
        is_wide: false,
    })
}
