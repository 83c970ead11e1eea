//! `baler fpga report`: what a program costs and how fast it is.

use super::errors::{describe, metric, to_json};
use super::model::Model;
use super::rows::{RowsArgs, transformed};
use crate::failure::{InFile, Result};
use crate::outcome::{Outcome, bytes, number, table};
use baler_fpga::emulate::{Link, timing};
use baler_fpga::import::Network;
use baler_fpga::ir::Program;
use baler_fpga::quantise::{Errors, Metric, Sample, measure};
use baler_fpga::report;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Says what a program costs: operations, widths, cycles
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// A program (.json), or a model with one: a .bundle file or a name
    program: PathBuf,
    /// What it loses against the encoder that it was made from: a .bundle file or the name of a model in floating point, on
    /// rows named by --data
    #[arg(long, value_name = "MODEL", requires = "data")]
    against: Option<PathBuf>,
    #[command(flatten)]
    rows: RowsArgs,
    /// With --against: rms; residual, response (of each column: jets); telescope (48 trigger cells). Several are allowed
    #[arg(long, value_name = "METRIC", value_parser = metric, default_value = "rms")]
    metric: Vec<Metric>,
    /// Clock in MHz
    #[arg(long, value_name = "MHZ", default_value_t = 200.0)]
    clock: f64,
    /// Bits of the link for inputs, and of that for outputs
    #[arg(long, value_name = "BITS", default_value_t = 512)]
    link: u32,
    /// Adders one after the other between two registers
    #[arg(long, value_name = "N", default_value_t = 2)]
    adders_per_stage: u32,
}

impl ReportArgs {
    pub fn run(&self) -> Result<Outcome> {
        let program = super::read_program(&self.program)?;
        let link = Link {
            clock_hz: self.clock * 1e6,
            bits_in: self.link,
            bits_out: self.link,
            adders_per_stage: self.adders_per_stage,
        };
        let timing = timing(&program, link)?;
        let layers = report::layers(&program);
        let heads =
            ["layer", "in", "out", "multiplications", "adders at most", "sum bits", "overflow", "output format"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for layer in &layers {
            let formats = match &layer.formats[..] {
                [(one, _)] => one.to_string(),
                several => format!("{} formats", several.len()),
            };
            rows.push(vec![
                layer.name.clone(),
                layer.shape.0.to_string(),
                layer.shape.1.to_string(),
                layer.multiplications.to_string(),
                layer.adders.to_string(),
                layer.sum_bits.to_string(),
                if layer.may_overflow > 0 { format!("{} possible", layer.may_overflow) } else { "impossible".into() },
                formats,
            ]);
        }
        let ns = 1e3 / self.clock;
        let mut text = vec![
            format!("program {}, digest {}", program.name(), program.digest_hex()),
            table(&rows),
            format!(
                "latency {} cycles ({:.0} ns at {} MHz, {} adders a stage, estimated), interval {}",
                timing.latency,
                f64::from(timing.latency) * ns,
                self.clock,
                self.adders_per_stage,
                timing.interval
            ),
            format!(
                "over links of {} bits: a row every {} cycles, {:.1} million rows/s, {}/s in, {}/s out",
                self.link,
                timing.link_interval,
                timing.rows_per_s / 1e6,
                bytes(timing.bytes_in_per_s as u64),
                bytes(timing.bytes_out_per_s as u64)
            ),
            "Baler's published prototype (16-20-10-8-10-20-16, ap_fixed<16,8>, xcvu9p): 12 cycles, 21,889 LUT, 4,948 FF, \
             653 DSP, net of debug cores"
                .to_owned(),
        ];
        let mut json = json!({
            "name": program.name(),
            "digest": program.digest_hex(),
            "multiplications": program.multiplications(),
            "adders_at_most": layers.iter().map(|l| l.adders).sum::<usize>(),
            "latency_cycles": timing.latency,
            "interval_cycles": timing.interval,
            "link_interval_cycles": timing.link_interval,
            "rows_per_second": number(timing.rows_per_s),
            "bytes_in_per_second": number(timing.bytes_in_per_s),
            "bytes_out_per_second": number(timing.bytes_out_per_s),
        });
        if let Some(errors) = self.errors(&program)? {
            text.extend(describe(&program, &errors));
            json["errors"] = to_json(&errors);
        }
        Ok(Outcome::new(text.join("\n"), json))
    }

    /// The program beside the encoder in floating point.
    fn errors(&self, program: &Program) -> Result<Option<Errors>> {
        let Some(path) = &self.against else { return Ok(None) };
        let model = Model::open(path)?;
        let network = Network::from_onnx(&model.encoder).in_file(path)?;
        let Some(rows) = self.rows.read(network.n_inputs)? else { return Ok(None) };
        let transforms = model.transforms(Some(&rows), network.n_inputs);
        let decoder = match &model.bundle {
            Some(bundle) => Some(bundle.decoder()?),
            None => None,
        };
        let values = transformed(&rows, &transforms);
        let sample = Sample { values: &values, transforms: &transforms, decoder, metrics: &self.metric };
        Ok(Some(measure(&network, program, &sample)?))
    }
}
