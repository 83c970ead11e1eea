//! `baler fpga devices`: what can run a fixed-point encoder here.

use crate::failure::Result;
use crate::models::Models;
use crate::outcome::{self, Outcome, number};
use baler_fpga::device::DEVICES;
use baler_fpga::ir::Program;
use baler_fpga::offload::{Choice, Tried, try_device};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Lists the devices: which are here, what they can run, and why not
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    baler fpga devices\n  \
    baler fpga devices --program encoder.fixed.json   # each is opened, tested with golden rows, and measured\n  \
    baler fpga devices --model jets-24-16-8 --device opencl:unit=1")]
pub struct DevicesArgs {
    /// A fixed-point program (.json, or a .bundle that has one) that each device is to run
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    program: Option<PathBuf>,
    /// A model with a fixed-point encoder that each device is to run
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Only this one, with its settings
    #[arg(long, value_name = "DEVICE")]
    device: Option<Choice>,
}

impl DevicesArgs {
    pub fn run(&self) -> Result<Outcome> {
        let program = self.program()?.map(Arc::new);
        let choices = match &self.device {
            Some(choice) => vec![choice.clone()],
            None => DEVICES.iter().map(|driver| driver.name().parse()).collect::<baler_codec::Result<Vec<Choice>>>()?,
        };
        let mut rows = vec![["device", "here", ""].map(String::from).to_vec()];
        let mut devices = Vec::new();
        for choice in choices {
            let driver = choice.driver();
            let (here, unit) = match driver.probe() {
                Ok(unit) => (true, unit),
                Err(fault) => (false, fault.message),
            };
            rows.push(vec![choice.to_string(), if here { "yes" } else { "no" }.into(), unit.clone()]);
            let mut report = json!({ "device": choice.to_string(), "about": driver.about(), "here": here });
            report[if here { "unit" } else { "why_not" }] = unit.into();
            if let Some(program) = program.as_ref().filter(|_| here) {
                match try_device(&choice, program) {
                    Ok(tried) => {
                        rows.push(vec![String::new(), "runs it".into(), text(&tried)]);
                        report["runs"] = measured(&tried);
                    }
                    Err(fault) => {
                        rows.push(vec![String::new(), "cannot".into(), fault.to_string()]);
                        report["cannot"] = fault.to_string().into();
                    }
                }
            }
            devices.push(report);
        }
        let mut table = outcome::table(&rows);
        if let Some(program) = &program {
            table += &format!(
                "\nprogram {}: {} values to {} latents, digest {}",
                program.name(),
                program.input_len(),
                program.output_len(),
                program.digest_hex()
            );
        }
        Ok(Outcome::new(table, json!({ "devices": devices, "program": program.map(|p| p.digest_hex()) })))
    }

    fn program(&self) -> Result<Option<Program>> {
        if let Some(path) = &self.program {
            return super::read_program(path).map(Some);
        }
        let Some(name) = &self.model else { return Ok(None) };
        super::program_of_model(&Models::choose(name)?, name).map(Some)
    }
}

fn text(tried: &Tried) -> String {
    format!(
        "{:.1} us for a row there and back, {:.3} M rows/s in batches; {}",
        tried.latency.as_secs_f64() * 1e6,
        tried.rows_per_s / 1e6,
        tried.capabilities.unit
    )
}

fn measured(tried: &Tried) -> Value {
    let capabilities = &tried.capabilities;
    json!({
        "unit": capabilities.unit,
        "latency_us": number(tried.latency.as_secs_f64() * 1e6),
        "rows_per_s": number(tried.rows_per_s),
        "max_rows": capabilities.max_rows,
        "queue": capabilities.queue,
        "alignment": capabilities.alignment,
        "zero_copy": capabilities.zero_copy,
    })
}
