//! How the model was trained: losses, learning rate, what its nodes and latents do.

use crate::report::chart::axis::Axis;
use crate::report::chart::colour::{GAP, sequential};
use crate::report::chart::svg::{fitted, text_width};
use crate::report::chart::{Anchor, Chart, Figure, Ink, Mark, NARROW, Panel, Svg, WIDE};
use crate::report::numbers::{count, number, with_prefix};
use crate::report::page::{Block, Cell, Section, Table};
use crate::report::{Epoch, Report, TrainingLog};

pub(super) fn section(report: &Report) -> Option<Section> {
    let log = report.training.as_ref()?;
    let mut blocks = vec![Block::Table(facts(log))];
    let figures: Vec<Figure> = [losses(log), latents(log)].into_iter().flatten().collect();
    if !figures.is_empty() {
        blocks.push(Block::Figures(figures));
    }
    blocks.extend(activations(log).map(|f| Block::Figures(vec![f])));
    Some(Section { id: "training", title: "Training", blocks })
}

fn facts(log: &TrainingLog) -> Table {
    let mut rows: Vec<(&str, Cell)> = Vec::new();
    if log.name.is_some() {
        rows.push(("model", Cell::at("/training/name")));
    }
    if log.bundle_id.is_some() {
        rows.push(("id", Cell::at("/training/bundle_id")));
    }
    let run = log.epochs.len() as u64;
    if run > 0 {
        let stopped = match log.planned_epochs() {
            Some(planned) if run < planned => format!("{run} of {planned}: stopped early"),
            _ => run.to_string(),
        };
        rows.push(("epochs", Cell::text(stopped)));
    }
    if let Some(best) = log.best() {
        rows.push(("best epoch", Cell::text(best.epoch.to_string())));
        let at = log.epochs.iter().position(|e| e.epoch == best.epoch).unwrap_or(0);
        rows.push(("training loss there", Cell::at(format!("/training/epochs/{at}/training_loss"))));
        rows.push(("validation loss there", Cell::at(format!("/training/epochs/{at}/validation_loss"))));
    }
    if !log.tiles.is_empty() {
        let parts: Vec<String> = log.tiles.iter().map(|n| count(*n)).collect();
        rows.push(("tiles (train, valid., test)", Cell::text(parts.join(", "))));
    }
    if log.elapsed_s.is_some() {
        rows.push(("wall time [s]", Cell::at("/training/elapsed_s")));
    }
    if let Some(joules) = log.energy_j {
        let source = log.energy_source.as_deref().unwrap_or("source not stated");
        rows.push(("energy", Cell::text(format!("{} ({source})", with_prefix(joules, "J")))));
    }
    Table {
        caption: "From the training log.".into(),
        head: ["", "value"].map(Into::into).into(),
        rows: rows.into_iter().map(|(name, cell)| (name.to_owned(), vec![cell])).collect(),
    }
}

fn losses(log: &TrainingLog) -> Option<Figure> {
    let over = |of: &dyn Fn(&Epoch) -> Option<f64>| -> Vec<(f64, f64)> {
        log.epochs.iter().filter_map(|e| Some((e.epoch as f64, of(e).filter(|v| v.is_finite())?))).collect()
    };
    let training = over(&|e| e.training_loss);
    let validation = over(&|e| e.validation_loss);
    let rate = over(&|e| e.learning_rate.filter(|r| *r > 0.0));
    let all = || training.iter().chain(&validation).map(|p| p.1);
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if low > high {
        return None;
    }
    // Entropies may be negative, and losses of one decade read best on a linear axis.
    let y = if low > 0.0 && high > 8.0 * low { Axis::log("loss", low, high) } else { Axis::linear("loss", low, high) };
    let line = |points, ink, label: &str, dash| Mark::Line { points, ink, label: label.into(), dash };
    let mut marks = vec![line(training, Ink::Series(0), "training", "")];
    if !validation.is_empty() {
        marks.push(line(validation, Ink::Series(1), "validation", "6 3"));
    }
    if let Some(best) = log.best() {
        marks.push(Mark::Vertical {
            x: best.epoch as f64,
            ink: Ink::Series(3),
            label: format!("best: epoch {}", best.epoch),
        });
    }
    let mut panels = vec![Panel { height: 180.0, y: y.padded(0.05), marks }];
    if rate.len() > 1 {
        let (low, high) = rate.iter().fold((f64::INFINITY, 0f64), |(a, b), p| (a.min(p.1), b.max(p.1)));
        let axis = Axis::log("learning rate", low, high).padded(0.1);
        panels.push(Panel { height: 80.0, y: axis, marks: vec![line(rate, Ink::Series(2), "", "")] });
    }
    let last = log.epochs.iter().map(|e| e.epoch).max()? as f64;
    let chart = Chart { width: NARROW, title: "Loss".into(), x: Axis::linear("epoch", 0.0, last), panels };
    Some(Figure {
        name: "training-loss".into(),
        alt: "Training and validation loss over epochs".into(),
        caption:
            "Validation is on data that training never sees; where it turns up, the model begins to learn by heart."
                .into(),
        svg: chart.draw(),
        images: Vec::new(),
        is_wide: false,
    })
}

fn latents(log: &TrainingLog) -> Option<Figure> {
    let heights: Vec<f64> = log.latents.iter().map(|l| l.entropy_bits.unwrap_or(0.0)).collect();
    let most = heights.iter().copied().fold(0.0, f64::max);
    if heights.is_empty() || !most.is_finite() || most <= 0.0 {
        return None;
    }
    let n = heights.len();
    let silent = heights.iter().filter(|h| **h < 0.05).count();
    let chart = Chart {
        width: NARROW,
        title: "Occupancy of the latents".into(),
        x: Axis::linear("latent", -0.5, n as f64 - 0.5),
        panels: vec![Panel {
            height: 220.0,
            y: Axis::linear("entropy [bits]", 0.0, most * 1.05),
            marks: vec![Mark::Steps {
                edges: (0..=n).map(|i| i as f64 - 0.5).collect(),
                heights,
                ink: Ink::Series(0),
                label: String::new(),
                is_filled: true,
            }],
        }],
    };
    Some(Figure {
        name: "latent-occupancy".into(),
        alt: "Entropy of each latent".into(),
        caption: format!("Bits that each latent takes after quantisation; {silent} of {n} say next to nothing."),
        svg: chart.draw(),
        images: Vec::new(),
        is_wide: false,
    })
}

/// Layers one above the other, a cell for each node.
fn activations(log: &TrainingLog) -> Option<Figure> {
    const MAX_NODES: usize = 256;
    let layers = &log.activations;
    let widest = layers.iter().map(|l| l.mean_abs.len()).max()?.min(MAX_NODES);
    let names = layers.iter().map(|l| text_width(&l.layer, 12.0)).fold(50.0, f64::max).min(160.0) + 16.0;
    let (step, top) = (20.0, 30.0);
    let cell = (WIDE - names - 20.0) / widest as f64;
    let mut svg = Svg::new(WIDE, top + step * layers.len() as f64 + 44.0);
    svg.text((names, 18.0), "Activity of the nodes", 13.0, Anchor::Start, Ink::Text, true);
    for (i, layer) in layers.iter().enumerate() {
        let y = top + step * i as f64;
        svg.text((names - 8.0, y + 13.0), &fitted(&layer.layer, 12.0, 150.0), 12.0, Anchor::End, Ink::Text, false);
        let most = layer.mean_abs.iter().flatten().fold(0f64, |m, v| m.max(v.abs()));
        for (k, v) in layer.mean_abs.iter().take(MAX_NODES).enumerate() {
            let colour = v.filter(|v| v.is_finite() && most > 0.0).map_or(GAP, |v| sequential(v.abs() / most));
            svg.patch((names + cell * k as f64, y), (cell.max(1.0), step - 4.0), colour);
        }
    }
    let nodes: usize = layers.iter().map(|l| l.mean_abs.len()).sum();
    let dead = layers.iter().flat_map(|l| &l.inactive).flatten().filter(|p| **p >= 1.0).count();
    let y = top + step * layers.len() as f64 + 24.0;
    let text = format!(
        "nodes, from the first; each layer relative to its strongest node ({nodes} nodes, {dead} always inactive)"
    );
    svg.text((names, y), &text, 11.0, Anchor::Start, Ink::Muted, false);
    Some(Figure {
        name: "activations".into(),
        alt: format!("Mean activity of {nodes} nodes in {} layers", layers.len()),
        caption: format!(
            "Dark: a node that gives little. Mean magnitudes up to {}.",
            number(layers.iter().flat_map(|l| &l.mean_abs).flatten().fold(0f64, |m, v| m.max(v.abs())))
        ),
        svg,
        images: Vec::new(),
        is_wide: true,
    })
}
