//! `baler fpga synth`: what a design takes of a device.

use super::rtl::{DesignArgs, describe};
use crate::failure::{InFile, Result};
use crate::outcome::{Outcome, number, table};
use baler_fpga::rtl::Design;
use baler_fpga::rtl::synth::{ecp5, synthesise};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::Path;

/// Devices to synthesise for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Family {
    /// UltraScale+ of AMD: what the design takes, by yosys; no timing
    Xcup,
    /// ECP5 of Lattice: placed and routed by nextpnr-ecp5, with the largest frequency; takes minutes
    Ecp5,
}

/// Synthesises the Verilog: what it takes of a device, beside the design of Baler's paper, or how fast it is on one
#[derive(Args, Debug)]
pub struct SynthArgs {
    #[command(flatten)]
    design: DesignArgs,
    /// Device
    #[arg(long, default_value = "xcup")]
    family: Family,
}

impl SynthArgs {
    pub fn run(&self) -> Result<Outcome> {
        let (_, design) = self.design.generate()?;
        let folder = tempfile::tempdir().in_file(Path::new("a temporary folder"))?;
        let (text, mut json) = describe(&design, self.design.mode());
        let (found, keys) = match self.family {
            Family::Xcup => ultrascale(&design, folder.path())?,
            Family::Ecp5 => placed(&design, folder.path())?,
        };
        if let (Some(json), Value::Object(keys)) = (json.as_object_mut(), keys) {
            json.extend(keys);
        }
        Ok(Outcome::new(format!("{text}\n{found}"), json))
    }
}

fn ultrascale(design: &Design, folder: &Path) -> Result<(String, Value)> {
    let cells = synthesise(design, folder)?;
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
    let json = json!({
        "lut": cells.luts,
        "ff": cells.flip_flops,
        "dsp": cells.dsps,
        "carry8": cells.carry8,
        "bram18": cells.block_rams,
        "cells": cells.by_name,
    });
    Ok((table(&rows), json))
}

fn placed(design: &Design, folder: &Path) -> Result<(String, Value)> {
    let placed = ecp5::place(design, folder)?;
    let (shift_ff, shift_lut) = placed.shift_bits;
    let text = format!(
        "{}, speed grade 6, placed and routed: {} LUT4, {} FF, {} MULT18X18D, {} DP16KD, {:.1} MHz at most: {:.0} ns, {:.1} million \
         rows/s\nshift registers between pins and core, counted above: {shift_lut} LUT4, {shift_ff} FF",
        placed.device,
        placed.luts,
        placed.flip_flops,
        placed.dsps,
        placed.block_rams,
        placed.mhz,
        design.latency as f64 * 1e3 / placed.mhz,
        placed.mhz / design.interval as f64,
    );
    let json = json!({
        "device": placed.device,
        "lut4": placed.luts,
        "ff": placed.flip_flops,
        "mult18x18d": placed.dsps,
        "dp16kd": placed.block_rams,
        "shift_register_lut4": shift_lut,
        "shift_register_ff": shift_ff,
        "mhz": number(placed.mhz),
    });
    Ok((text, json))
}

/// The autoencoder 16-20-10-8-10-20-16 of `ap_fixed<16,8>` that Vivado HLS made for Baler's paper, without its debug cores.
const PUBLISHED: [u64; 7] = [12, 1, 21_889, 4_948, 653, 2_462, 0];
