//! A program beside the network in floating point, in words and as JSON.

use crate::outcome::{number, table};
use baler_fpga::ir::Program;
use baler_fpga::quantise::metric::{RESIDUAL, RESPONSE, RMS};
use baler_fpga::quantise::{Errors, Metric};
use baler_models::simulate::{CELLS, telescope};
use serde_json::{Value, json};

/// What can be asked of decoded values. One line each.
const METRICS: &[Metric] = &[RMS, RESIDUAL, RESPONSE, TELESCOPE];

const TELESCOPE: Metric = Metric {
    name: "telescope",
    about: "distances and energies of 48 trigger cells",
    figures: |rows| match rows.n {
        CELLS => {
            let [truth, decoded] = rows.values.map(|v| v.iter().map(|&v| v as f32).collect::<Vec<f32>>());
            vec![telescope(&truth, &decoded)]
        }
        _ => Vec::new(),
    },
};

/// The metric of this name.
pub fn metric(name: &str) -> Result<Metric, String> {
    METRICS.iter().find(|metric| metric.name == name).copied().ok_or_else(|| {
        let known: Vec<String> = METRICS.iter().map(|m| format!("{} ({})", m.name, m.about)).collect();
        format!("expected one of: {}", known.join("; "))
    })
}

/// Float beside fixed, in words.
pub fn describe(program: &Program, errors: &Errors) -> Vec<String> {
    let mut lines = vec![format!(
        "latents on {} rows: rms {:.4}, fixed minus float rms {:.3e}",
        errors.rows, errors.latents_size, errors.latents_rms
    )];
    if !errors.columns.is_empty() {
        lines.push(format!(
            "decoded: rms error {:.5} from float latents, {:.5} from fixed ({:+.2} %)",
            errors.float_rms,
            errors.fixed_rms,
            100.0 * (errors.fixed_rms / errors.float_rms - 1.0)
        ));
        let mut rows = vec![
            ["column", "residual rms float", "fixed", "response mean float", "fixed", "rms float", "fixed"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for (i, c) in errors.columns.iter().enumerate() {
            let mut row = vec![i.to_string()];
            for pair in [c.residual_rms, c.response_mean, c.response_rms] {
                row.extend(pair.map(|v| format!("{v:.4}")));
            }
            rows.push(row);
        }
        lines.push(table(&rows));
    }
    for m in &errors.metrics {
        let growth = 100.0 * m.growth();
        lines.push(match (&m.float[..], &m.fixed[..]) {
            ([float], [fixed]) => {
                format!("{}: {float:.4e} from float latents, {fixed:.4e} from fixed ({growth:+.2} %)", m.name)
            }
            (float, _) => format!("{}: {growth:+.2} % in the worst of {} columns", m.name, float.len()),
        });
    }
    let over = program.layers().iter().zip(&errors.overflows).filter(|(_, part)| **part > 0.0);
    let over: Vec<String> = over.map(|(layer, part)| format!("{} {:.3} %", layer.name, 100.0 * part)).collect();
    let over = if over.is_empty() { "none".to_owned() } else { over.join(", ") };
    lines.push(format!("casts beyond their range: {over}"));
    lines
}

/// The same for programs.
pub fn to_json(errors: &Errors) -> Value {
    let metrics = errors
        .metrics
        .iter()
        .map(|m| json!({ "name": m.name, "float": m.float, "fixed": m.fixed, "growth": number(m.growth()) }));
    json!({
        "rows": errors.rows,
        "latents_rms": number(errors.latents_rms),
        "latents_size": number(errors.latents_size),
        "float_rms": number(errors.float_rms),
        "fixed_rms": number(errors.fixed_rms),
        "overflows": errors.overflows,
        "metrics": metrics.collect::<Vec<_>>(),
    })
}
