//! What the work took, in joules and in grams of CO2 equivalent.

use crate::report::Report;
use crate::report::numbers::number;
use crate::report::page::{Block, Cell, Section, Table};

pub(super) fn section(report: &Report) -> Option<Section> {
    let energy = &report.energy;
    if energy.steps.is_empty() {
        return None;
    }
    let row = |(i, step): (usize, &crate::report::EnergyStep)| {
        let at = |field: &str| Cell::at(format!("/energy/steps/{i}/{field}"));
        let per =
            if step.value_bytes > 0 { number(step.joules / (step.value_bytes as f64 / 1e6)) } else { "–".into() };
        (step.step.clone(), vec![at("joules"), Cell::text(per), at("co2_grams"), Cell::text(step.source.clone())])
    };
    let table = Table {
        caption: "Energy of this machine's processors; disks, network and cooling are not in it.".into(),
        head: ["step", "energy [J]", "J / MB of values", "CO₂ equivalent [g]", "how it is known"]
            .map(Into::into)
            .into(),
        rows: energy.steps.iter().enumerate().map(row).collect(),
    };
    let text = format!(
        "CO₂ equivalent at {} g/kWh (--co2-g-per-kwh names your grid's; the default is about the world's average).",
        number(energy.co2_g_per_kwh)
    );
    Some(Section { id: "energy", title: "Energy", blocks: vec![Block::Text(text), Block::Table(table)] })
}
