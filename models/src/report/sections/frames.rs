//! Frames: original, decoded and their difference; how alike they are; power over frequency.

use crate::report::chart::axis::Axis;
use crate::report::chart::colour::{Rgba, diverging, sequential};
use crate::report::chart::raster::{Raster, Reduce};
use crate::report::chart::{Anchor, Chart, Figure, Ink, Mark, NARROW, Panel, Svg, slug};
use crate::report::field::{Field, Frame};
use crate::report::numbers::{count, number};
use crate::report::page::{Block, Cell, Section, Table};
use crate::report::statistics::quantile;
use crate::report::{Array, Report};

/// Arrays whose frames are shown, at most.
const MAX_ARRAYS: usize = 16;

pub(super) fn section(report: &Report) -> Option<Section> {
    let with_frames = |(i, a)| Option::zip(Some(i), Option::zip(Some(a), Array::frames(a)));
    let arrays: Vec<(usize, (&Array, &Field))> = report.arrays.iter().enumerate().filter_map(with_frames).collect();
    if arrays.is_empty() {
        return None;
    }
    let mut blocks = Vec::new();
    for (i, (array, field)) in arrays.iter().take(MAX_ARRAYS) {
        if arrays.len() > 1 {
            blocks.push(Block::Heading(array.name.clone()));
        }
        let cut =
            if field.n_frames == 1 { "one frame".to_owned() } else { format!("{} frames", count(field.n_frames)) };
        blocks.push(Block::Text(format!(
            "{cut} of {} × {} (the last two axes). Original and decoded share a scale; the difference has one of its own, \
             centred at 0.",
            field.height, field.width
        )));
        blocks.push(Block::Figures(field.frames.iter().map(|f| trio(array, field, f)).collect()));
        blocks.push(Block::Table(scores(*i, field)));
        let charts: Vec<Figure> = [similarity(array, field), spectrum(array, field)].into_iter().flatten().collect();
        if !charts.is_empty() {
            blocks.push(Block::Figures(charts));
        }
    }
    if arrays.len() > MAX_ARRAYS {
        blocks.push(Block::Text(format!("The first {MAX_ARRAYS} of {} arrays with frames.", arrays.len())));
    }
    Some(Section { id: "frames", title: "Frames", blocks })
}

impl Array {
    fn frames(&self) -> Option<&Field> {
        self.field.as_ref().filter(|f| !f.frames.is_empty())
    }
}

/// Width of one picture, and of the room for its colour bar.
const PICTURE: f64 = 250.0;
const LEFT: f64 = 46.0;
const GAP: f64 = 22.0;

/// Its name, values, how they share pixels, and their colours.
type Picture<'a> = (&'static str, &'a [f32], Reduce, &'a dyn Fn(f64) -> Rgba);

/// Three pictures beside each other.
fn trio(array: &Array, field: &Field, frame: &Frame) -> Figure {
    let (w, h) = (field.width as f64, field.height as f64);
    let height = (PICTURE * h / w).clamp(60.0, 420.0);
    let width = (height * w / h).clamp(40.0, PICTURE);
    let (x0, top) = (LEFT, 40.0);
    let total = x0 + 3.0 * PICTURE + 2.0 * GAP + 10.0;
    let bottom = top + height;
    let mut svg = Svg::new(total, bottom + 80.0);
    let (low, high) = colour_range(&frame.original);
    let span = if high > low { high - low } else { 1.0 };
    let seen = |v: f64| sequential((v - low) / span);
    let error = frame.difference.iter().filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(f64::from(v.abs())));
    let scale = if error > 0.0 { error } else { 1.0 };
    let centred = |v: f64| diverging(v / scale);
    let mean = Reduce::Mean;
    let pictures: [Picture<'_>; 3] = [
        ("original", &frame.original, mean, &seen),
        ("decoded", &frame.decoded, mean, &seen),
        ("difference", &frame.difference, Reduce::Extreme, &centred),
    ];
    let title = if field.n_frames == 1 { array.name.clone() } else { format!("{}, frame {}", array.name, frame.index) };
    svg.text((x0, 16.0), &title, 13.0, Anchor::Start, Ink::Text, true);
    let mut images = Vec::new();
    let mut block = 1;
    for (k, (name, values, reduce, colour)) in pictures.into_iter().enumerate() {
        let x = x0 + k as f64 * (PICTURE + GAP);
        let raster = Raster::new(values, field.width, field.height, reduce, colour);
        block = raster.block;
        let png = raster.png();
        svg.text((x + width / 2.0, 34.0), name, 12.0, Anchor::Middle, Ink::Text, false);
        svg.image((x, top), (width, height), &png);
        svg.rect((x, top), (width, height), Ink::Muted, 0.0, 0.8);
        images.push((name.to_owned(), png));
        let axis =
            if k < 2 { Axis::linear("", low, low + span) } else { Axis::linear("decoded − original", -scale, scale) };
        let stretch = |t: f64| if k < 2 { sequential(t) } else { diverging(2.0 * t - 1.0) };
        colour_bar(&mut svg, (x, bottom + 24.0), width, &axis, &stretch);
    }
    pixel_axes(&mut svg, (x0, top), (width, height), field);
    let reduced = match block {
        1 => String::new(),
        n => format!(" Each pixel is the mean of {n} × {n} values, in the difference the largest error among them."),
    };
    let score = |v: Option<f64>| v.map_or("–".to_owned(), number);
    Figure {
        name: format!("frame-{}-{}", slug(&array.name), frame.index),
        alt: format!("{title}: original, decoded and difference; largest error {}", number(frame.max_error)),
        caption: format!(
            "Shown because: {}. Largest error {}, PSNR {} dB, SSIM {}.{reduced}",
            frame.reason,
            number(frame.max_error),
            score(frame.psnr),
            score(frame.ssim)
        ),
        svg,
        images,
        is_wide: true,
    }
}

/// All but the outermost thousandths: one hot pixel does not darken the rest.
fn colour_range(values: &[f32]) -> (f64, f64) {
    let mut finite: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).collect();
    finite.sort_unstable_by(f64::total_cmp);
    let q = |share| quantile(&finite, share).unwrap_or(0.0);
    let (low, high) = (q(0.001), q(0.999));
    if low < high { (low, high) } else { (q(0.0), q(1.0)) }
}

fn colour_bar(svg: &mut Svg, (x, y): (f64, f64), width: f64, axis: &Axis, colour: &dyn Fn(f64) -> Rgba) {
    const STEPS: usize = 64;
    let step = width / STEPS as f64;
    for i in 0..STEPS {
        svg.patch((x + i as f64 * step, y), (step + 0.4, 9.0), colour((i as f64 + 0.5) / STEPS as f64));
    }
    let (ticks, gain) = axis.ticks((width / 55.0).max(2.0) as usize);
    for tick in &ticks {
        let Some(place) = axis.place(tick.at).filter(|p| (-1e-9..=1.0 + 1e-9).contains(p)) else { continue };
        svg.line((x + place * width, y + 9.0), (x + place * width, y + 13.0), Ink::Muted, 1.0, "");
        svg.text((x + place * width, y + 25.0), &tick.label, 11.0, Anchor::Middle, Ink::Muted, false);
    }
    let label = if gain.is_empty() { axis.label.clone() } else { format!("{} [{gain}]", axis.label) };
    svg.text((x + width / 2.0, y + 42.0), label.trim(), 11.0, Anchor::Middle, Ink::Muted, false);
}

/// Rows and columns, at the first picture.
fn pixel_axes(svg: &mut Svg, (x, y): (f64, f64), (width, height): (f64, f64), field: &Field) {
    let rows = Axis::linear("", 0.0, field.height as f64);
    for tick in rows.ticks((height / 45.0).max(2.0) as usize).0 {
        let at = y + height * tick.at / field.height as f64;
        svg.line((x - 4.0, at), (x, at), Ink::Muted, 1.0, "");
        svg.text((x - 7.0, at + 4.0), &format!("{:.0}", tick.at.max(0.0) + 0.0), 11.0, Anchor::End, Ink::Muted, false);
    }
    let columns = Axis::linear("", 0.0, field.width as f64);
    for tick in columns.ticks((width / 60.0).max(2.0) as usize).0 {
        let at = x + width * tick.at / field.width as f64;
        svg.line((at, y + height), (at, y + height + 4.0), Ink::Muted, 1.0, "");
        svg.text(
            (at, y + height + 16.0),
            &format!("{:.0}", tick.at.max(0.0) + 0.0),
            11.0,
            Anchor::Middle,
            Ink::Muted,
            false,
        );
    }
}

fn scores(i: usize, field: &Field) -> Table {
    let row = |(k, frame): (usize, &Frame)| {
        let at = |name: &str| Cell::at(format!("/arrays/{i}/field/frames/{k}/{name}"));
        (format!("frame {}", frame.index), vec![at("psnr"), at("ssim"), at("max_error"), at("reason")])
    };
    Table {
        caption:
            "The frames shown. PSNR and SSIM (windows of 7 × 7) refer to the range of the whole array; – where nothing \
                  differs or a frame is too small."
                .into(),
        head: ["frame", "PSNR [dB]", "SSIM", "largest error", "shown because"].map(Into::into).into(),
        rows: field.frames.iter().enumerate().map(row).collect(),
    }
}

fn similarity(array: &Array, field: &Field) -> Option<Figure> {
    let scores = &field.scores;
    let over = |values: &[Option<f64>]| -> Vec<(f64, f64)> {
        scores.index.iter().zip(values).filter_map(|(i, v)| Some((*i as f64, (*v)?))).collect()
    };
    let (psnr, ssim) = (over(&scores.psnr), over(&scores.ssim));
    if psnr.len() < 2 {
        return None;
    }
    let panel = |points: Vec<(f64, f64)>, label: &str, ink| {
        let (low, high) = points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), p| (a.min(p.1), b.max(p.1)));
        let marks = vec![Mark::Line { points, ink, label: String::new(), dash: "" }];
        Panel { height: 110.0, y: Axis::linear(label, low, high).padded(0.08), marks }
    };
    let mut panels = vec![panel(psnr, "PSNR [dB]", Ink::Series(0))];
    if ssim.len() > 1 {
        panels.push(panel(ssim, "SSIM", Ink::Series(1)));
    }
    let last = *scores.index.last()? as f64;
    let chart = Chart { width: NARROW, title: "Frame by frame".into(), x: Axis::linear("frame", 0.0, last), panels };
    let some = if (scores.index.len() as u64) < field.n_frames { " Some of the frames, spread evenly." } else { "" };
    Some(Figure {
        name: format!("similarity-{}", slug(&array.name)),
        alt: format!("PSNR and SSIM of the frames of {}", array.name),
        caption: format!("How like its original each frame is.{some}"),
        svg: chart.draw(),
        images: Vec::new(),
        is_wide: false,
    })
}

fn spectrum(array: &Array, field: &Field) -> Option<Figure> {
    let s = field.spectrum.as_ref()?;
    let points = |power: &[f64]| s.frequency.iter().copied().zip(power.iter().copied()).collect::<Vec<_>>();
    let positive = || s.original.iter().chain(&s.decoded).chain(&s.difference).copied().filter(|p| *p > 0.0);
    let most = positive().fold(0.0, f64::max);
    // What rounding leaves is not drawn.
    let least = positive().fold(f64::INFINITY, f64::min).max(most * 1e-16);
    if most == 0.0 {
        return None;
    }
    let line =
        |power: &[f64], ink, label: &str, dash| Mark::Line { points: points(power), ink, label: label.into(), dash };
    let mut marks =
        vec![line(&s.original, Ink::Series(0), "original", ""), line(&s.decoded, Ink::Series(1), "decoded", "6 3")];
    if s.difference.iter().any(|p| *p > 0.0) {
        marks.push(line(&s.difference, Ink::Series(3), "difference", "2 3"));
    }
    let chart = Chart {
        width: NARROW,
        title: "Power spectrum".into(),
        x: Axis::log("spatial frequency [cycles / pixel]", s.frequency[0], 0.5),
        panels: vec![Panel { height: 220.0, y: Axis::log("power", least, most).padded(0.03), marks }],
    };
    Some(Figure {
        name: format!("spectrum-{}", slug(&array.name)),
        alt: format!("Power spectrum of {} before and after", array.name),
        caption: format!(
            "Mean over rings of equal frequency and over the frames shown; the middle {0} × {0} under a Hann window. Structures \
             are kept where the difference lies below the original.",
            s.side
        ),
        svg: chart.draw(),
        images: Vec::new(),
        is_wide: false,
    })
}
