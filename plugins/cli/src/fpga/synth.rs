//! `baler fpga synth`: what a design takes of a device.

use super::rtl::{DesignArgs, describe};
use crate::failure::{InFile, Result};
use crate::outcome::{Outcome, table};
use baler_fpga::rtl::synth::synthesise;
use clap::Args;
use serde_json::json;
use std::path::Path;

/// Synthesises the Verilog with yosys for an UltraScale+, beside the design of Baler's paper
#[derive(Args, Debug)]
pub struct SynthArgs {
    #[command(flatten)]
    design: DesignArgs,
}

impl SynthArgs {
    pub fn run(&self) -> Result<Outcome> {
        let (_, design) = self.design.generate()?;
        let folder = tempfile::tempdir().in_file(Path::new("a temporary folder"))?;
        let cells = synthesise(&design, folder.path())?;
        let (text, mut json) = describe(&design, self.design.mode());
        let row = |name: &str, numbers: [u64; 7]| {
            std::iter::once(name.to_owned()).chain(numbers.map(|n| n.to_string())).collect::<Vec<String>>()
        };
        let heads = ["", "cycles", "interval", "LUT", "FF", "DSP", "CARRY8", "BRAM18"];
        let own = [
            design.latency as u64,
            design.interval as u64,
            cells.luts,
            cells.flip_flops,
            cells.dsps,
            cells.carry8,
            cells.block_rams,
        ];
        let rows = [heads.map(str::to_owned).to_vec(), row(&design.top, own), row("Baler's paper", PUBLISHED)];
        json["lut"] = cells.luts.into();
        json["ff"] = cells.flip_flops.into();
        json["dsp"] = cells.dsps.into();
        json["carry8"] = cells.carry8.into();
        json["bram18"] = cells.block_rams.into();
        json["cells"] = json!(cells.by_name);
        Ok(Outcome::new(format!("{text}\n{}", table(&rows)), json))
    }
}

/// The autoencoder 16-20-10-8-10-20-16 of `ap_fixed<16,8>` that Vivado HLS made for Baler's paper, without its debug cores.
const PUBLISHED: [u64; 7] = [12, 1, 21_889, 4_948, 653, 2_462, 0];
