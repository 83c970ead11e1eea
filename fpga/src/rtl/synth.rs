//! What a design takes of a device: of an UltraScale+ by yosys, of an [ECP5](ecp5) by nextpnr too, with its timing.

pub mod ecp5;

use super::Design;
use super::simulate::{failed, run};
use baler_codec::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of open synthesis: in `PATH` by its name or, as YoWASP's packages of PyPI call it, with `yowasp-` before it;
/// or beside the Python that `BALER_PYTHON` names.
///
/// # Errors
/// If it is nowhere.
pub fn tool(name: &str) -> Result<PathBuf> {
    let packaged = format!("yowasp-{name}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = |name: &str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file());
    let beside = || {
        let python = PathBuf::from(std::env::var_os("BALER_PYTHON")?);
        std::path::absolute(python.with_file_name(&packaged)).ok().filter(|p| p.is_file())
    };
    in_path(name).or_else(|| in_path(&packaged)).or_else(beside).ok_or_else(|| {
        failed(format!(
            "{name} is not installed: found neither it nor {packaged} in PATH, nor the latter beside the Python that \
             BALER_PYTHON names; `pip install {packaged}` brings it"
        ))
    })
}

/// Cells of a synthesised design.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    /// Look-up tables, those that are memory or shift registers among them.
    pub luts: u64,
    /// Flip-flops.
    pub flip_flops: u64,
    /// Multipliers.
    pub dsps: u64,
    /// Carry chains, as CARRY8 of an UltraScale+; yosys uses CARRY4, two of which are one.
    pub carry8: u64,
    /// Block RAM, in units of 18 kbit.
    pub block_rams: u64,
    /// Every kind of cell, as yosys names it.
    pub by_name: BTreeMap<String, u64>,
}

/// Synthesises the design's core (without the streams) for an UltraScale+ by `synth_xilinx -family xcup`, in `folder`,
/// which exists.
///
/// # Errors
/// If yosys is missing or fails.
pub fn synthesise(design: &Design, folder: &Path) -> Result<Cells> {
    std::fs::write(folder.join("core.v"), &design.text).map_err(|e| failed(format!("{}: {e}", folder.display())))?;
    // No pads: the core is a part of something larger.
    let script = format!(
        "read_verilog core.v; synth_xilinx -family xcup -flatten -noiopad -noclkbuf -top {}; tee -q -o cells.json stat -json",
        design.top
    );
    run(Command::new(tool("yosys")?).args(["-q", "-p", &script]).current_dir(folder))?;
    Ok(count(cells(folder)?))
}

/// What yosys has counted, in the file `cells.json`.
fn cells(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let text = std::fs::read_to_string(folder.join("cells.json")).map_err(|e| failed(format!("yosys: {e}")))?;
    let strange = || failed("yosys wrote statistics of an unknown form");
    let stat: serde_json::Value = serde_json::from_str(&text).map_err(|_| strange())?;
    let cells = stat["design"]["num_cells_by_type"].as_object().ok_or_else(strange)?;
    Ok(cells.iter().filter_map(|(name, n)| Some((name.clone(), n.as_u64()?))).collect())
}

fn count(by_name: BTreeMap<String, u64>) -> Cells {
    let sum = |is: &dyn Fn(&str) -> bool| by_name.iter().filter(|(name, _)| is(name)).map(|(_, n)| n).sum();
    Cells {
        luts: by_name.iter().map(|(name, n)| luts_of(name) * n).sum(),
        flip_flops: sum(&|n| ["FDRE", "FDSE", "FDCE", "FDPE"].contains(&n)),
        dsps: sum(&|n| n.starts_with("DSP")),
        carry8: sum(&|n| n == "CARRY8") + sum(&|n| n == "CARRY4").div_ceil(2),
        block_rams: sum(&|n| n.starts_with("RAMB18")) + 2 * sum(&|n| n.starts_with("RAMB36")),
        by_name,
    }
}

/// Look-up tables that a cell takes: memories take several.
fn luts_of(name: &str) -> u64 {
    match name {
        "RAM32M16" | "RAM64M8" | "RAM256X1D" => 8,
        "RAM32M" | "RAM64M" | "RAM128X1D" | "RAM256X1S" => 4,
        "RAM32X1D" | "RAM64X1D" | "RAM128X1S" => 2,
        _ if name.starts_with("LUT") || name.starts_with("SRL") => 1,
        _ if name.starts_with("RAM") && !name.starts_with("RAMB") => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_by_kind() {
        let names = [
            ("LUT2", 4),
            ("RAM32M", 1),
            ("RAMB18E2", 1),
            ("SRL16E", 2),
            ("FDRE", 7),
            ("FDSE", 1),
            ("DSP48E2", 3),
            ("CARRY4", 9),
            ("INV", 4),
        ];
        let cells = count(names.map(|(name, n)| (name.to_owned(), n)).into());
        assert_eq!((cells.luts, cells.flip_flops, cells.dsps, cells.carry8, cells.block_rams), (10, 8, 3, 5, 1));
    }
}
