//! Place and route on an ECP5 of Lattice, whose timing open tools know: yosys `synth_ecp5`, then nextpnr.
//!
//! A row has more bits than packages have pins, so the core stands between two shift registers: all its inputs are bits of
//! one, and its outputs are added (exclusive or) to the other. Thus every path of the core begins and ends at a
//! flip-flop, is timed, and none is optimised away.

use super::{failed, run, tool};
use crate::rtl::Design;
use baler_codec::Result;
use std::path::Path;
use std::process::Command;

/// A design that is placed and routed.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The device, of speed grade 6 (the slowest).
    pub device: &'static str,
    /// Four-input look-up tables, those of carry chains and of [`Placed::shift_bits`] among them.
    pub luts: u64,
    /// Flip-flops, likewise.
    pub flip_flops: u64,
    /// Multipliers of 18 x 18 bits.
    pub dsps: u64,
    /// Block RAM, in units of 18 kbit.
    pub block_rams: u64,
    /// Flip-flops of the two shift registers at the pins, and look-up tables of the second.
    pub shift_bits: (u64, u64),
    /// The largest frequency of the clock in MHz, after routing.
    pub mhz: f64,
}

/// Devices, nextpnr's option for each, and look-up tables.
const DEVICES: [(&str, &str, u64); 3] =
    [("LFE5U-25F", "--25k", 24_288), ("LFE5U-45F", "--45k", 43_848), ("LFE5U-85F", "--85k", 83_640)];

/// What is asked for in MHz: more than is reached, so that nextpnr does not rest.
const TARGET_MHZ: &str = "250";

/// Places and routes the design's core (without the streams) in `folder`, which exists, on the smallest device of which
/// it takes half at most. The seed is nextpnr's own: the same version gives the same result. Takes minutes.
///
/// # Errors
/// If yosys or nextpnr is missing or fails, as it does if the design does not fit the largest device.
pub fn place(design: &Design, folder: &Path) -> Result<Placed> {
    let (yosys, nextpnr) = (tool("yosys")?, tool("nextpnr-ecp5")?);
    let (text, shift_bits) = pins(design);
    std::fs::write(folder.join("design.v"), design.text.clone() + &text)
        .map_err(|e| failed(format!("{}: {e}", folder.display())))?;
    let script = "read_verilog design.v; synth_ecp5 -top pins -json pins.json; tee -q -o cells.json stat -json";
    run(Command::new(yosys).args(["-q", "-p", script]).current_dir(folder))?;
    let cells = super::cells(folder)?;
    let count = |name: &str| cells.get(name).copied().unwrap_or(0);
    let needed = 2 * (count("LUT4") + 2 * count("CCU2C"));
    let (device, option, _) = *DEVICES.iter().find(|(_, _, luts)| needed <= *luts).unwrap_or(&DEVICES[2]);
    let mut command = Command::new(nextpnr);
    command.args([option, "--json", "pins.json", "--report", "report.json", "--freq", TARGET_MHZ]);
    run(command.args(["--timing-allow-fail", "--lpf-allow-unconstrained", "-q"]).current_dir(folder))?;
    let strange = || failed("nextpnr wrote a report of an unknown form");
    let report = std::fs::read_to_string(folder.join("report.json")).map_err(|e| failed(format!("nextpnr: {e}")))?;
    let report: serde_json::Value = serde_json::from_str(&report).map_err(|_| strange())?;
    let used = |name: &str| report["utilization"][name]["used"].as_u64().ok_or_else(strange);
    // One clock.
    let clock = report["fmax"].as_object().and_then(|clocks| clocks.values().next()).ok_or_else(strange)?;
    Ok(Placed {
        device,
        luts: used("TRELLIS_COMB")?,
        flip_flops: used("TRELLIS_FF")?,
        dsps: used("MULT18X18D")?,
        block_rams: used("DP16KD")?,
        shift_bits,
        mhz: clock["achieved"].as_f64().ok_or_else(strange)?,
    })
}

/// The module `pins` around the core; bits of the register in front of it and of that behind it.
fn pins(design: &Design) -> (String, (u64, u64)) {
    let mut inputs = vec![("rst", 1), ("in_valid", 1), ("in_data", design.input.bits())];
    let mut outputs = vec![("out_valid", 1), ("out_data", design.output.bits())];
    if design.has_ready {
        outputs.push(("in_ready", 1));
    }
    if design.has_status {
        outputs.push(("out_overflow", 1));
    }
    if design.has_copies {
        outputs.push(("copies_differ", 1));
    }
    if design.is_reloadable {
        inputs.extend([("load_begin", 1), ("load_valid", 1), ("load_data", 32)]);
        outputs.extend([("load_ready", 1), ("load_good", 1)]);
    }
    let mut ports = String::new();
    let mut connect = |ports_of: &[(&str, u32)], register: &str| {
        ports_of.iter().fold(0, |from, (port, width)| {
            ports += &format!(", .{port}({register}[{}:{from}])", from + width - 1);
            from + width
        })
    };
    let (n_in, n_out) = (connect(&inputs, "into"), connect(&outputs, "found"));
    let text = format!(
        "
module pins (input wire clk, input wire in_bit, output wire out_bit);
  reg [{in_top}:0] into;
  reg [{out_top}:0] out;
  wire [{out_top}:0] found;
  assign out_bit = out[{out_top}];
  always @(posedge clk) begin
    into <= {{into, in_bit}};
    out <= {{out, 1'b0}} ^ found;
  end
  {top} core (.clk(clk){ports});
endmodule
",
        in_top = n_in - 1,
        out_top = n_out - 1,
        top = design.top,
    );
    (text, (u64::from(n_in + n_out), u64::from(n_out)))
}
