//! A kernel for XRT's shells (Alveo cards): AXI4-Lite control, movers between memory and the streams, and `kernel.xml`.
//!
//! ```text
//! memory --m_axi_gmem0--> bursts -> rows -> design's streams -> beats --m_axi_gmem1--> memory
//!                     control registers (s_axi_control, ap_ctrl_hs)
//! ```
//!
//! Arguments: `(int *in, int *out, uint rows)`, rows of 32-bit integers one after the other, as
//! [`device`](crate::device) hands them over. Both addresses are multiples of the bus's bytes. The bytes of a last beat
//! beyond the last row are read and not used, and are not written.
//!
//! | register | what |
//! |---|---|
//! | 0x00 | start 0, done 1 (cleared by reading), idle 2, ready 3 |
//! | 0x04, 0x08, 0x0c | interrupts: enable, which (done 0, ready 1), pending (write 1 to toggle) |
//! | 0x10, 0x1c | addresses of input and output, 64 bits |
//! | 0x28 | rows |
//! | 0x30 | of the last run: reading failed 0, writing failed 1, a value was out of range 2, copies differed 3 |

use super::stream::{self, element_bytes, places, row_bytes};
use super::{Design, Port};
use crate::ir::Program;
use baler_codec::{Error, Result};
use std::fmt::Write as _;

/// Bits of the memory bus, unless told otherwise: what Alveo's shells have.
pub const BUS_BITS: u32 = 512;

/// The kernel's arguments: name, port, whether an address, register.
const ARGUMENTS: [(&str, &str, bool, u32); 3] =
    [("in", "m_axi_gmem0", true, 0x10), ("out", "m_axi_gmem1", true, 0x1c), ("rows", "s_axi_control", false, 0x28)];

/// What the kernel of a program is called: `baler_` and the first 16 digits of its digest.
pub fn kernel_name(program: &Program) -> String {
    format!("baler_{}", &program.digest_hex()[..16])
}

/// Verilog of a kernel: module `name` around the design's streams, without the design itself.
///
/// # Errors
/// Elements beyond 32 bits, reloadable designs, and buses that XRT does not have.
pub fn text(design: &Design, name: &str, bus_bits: u32) -> Result<String> {
    if !(64..=1024).contains(&bus_bits) || !bus_bits.is_power_of_two() {
        return Err(Error::invalid(format!("a bus of {bus_bits} bits: expected 64, 128, 256, 512 or 1024")));
    }
    if design.is_reloadable {
        return Err(Error::unsupported("a kernel of mode reloadable: its registers have no port for weights"));
    }
    for port in [&design.input, &design.output] {
        if element_bytes(port).iter().any(|&n| n > 4) {
            return Err(Error::unsupported("a kernel of values beyond 32 bits: its rows are of 32-bit integers"));
        }
    }
    let words = bus_bits / 32;
    let (n_in, n_out) = (design.input.widths.len() as u32, design.output.widths.len() as u32);
    let kernel = include_str!("kernel.v")
        .replace("KERNEL", name)
        .replace("MASTER_PORTS", &master_ports(bus_bits))
        .replace("BUS_BYTES_LOG2", &(bus_bits / 8).trailing_zeros().to_string())
        .replace("UNIT_IN", &common_divisor(words, n_in).to_string())
        .replace("UNIT_OUT", &common_divisor(words, n_out).to_string())
        .replace("N_IN", &n_in.to_string())
        .replace("N_OUT", &n_out.to_string())
        .replace("IN_TOP", &(row_bytes(&design.input) * 8 - 1).to_string())
        .replace("OUT_TOP", &(row_bytes(&design.output) * 8 - 1).to_string())
        .replace("ROW_TO_STREAM", &row_to_stream(&design.input))
        .replace("STREAM_TO_ROW", &stream_to_row(&design.output))
        .replace("TOP_stream", &stream::module(design))
        .replace("COPIES_PORT", if design.has_copies { ",\n    .copies_differ(copies_differ)" } else { "" })
        .replace("COPIES_TIE", if design.has_copies { "" } else { "\n  assign copies_differ = 1'b0;" })
        .replace("UNUSED", &unused());
    Ok(include_str!("movers.v").to_owned() + &kernel)
}

/// `kernel.xml`: what the vendor's packer is told of the kernel.
pub fn xml(name: &str, bus_bits: u32) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<root versionMajor=\"1\" versionMinor=\"6\">\n  <kernel name=\"{name}\" \
         language=\"ip_c\" vlnv=\"baler:kernel:{name}:1.0\" attributes=\"\" preferredWorkGroupSizeMultiple=\"0\" \
         workGroupSize=\"1\" interrupt=\"true\" hwControlProtocol=\"ap_ctrl_hs\">\n    <ports>\n{}    </ports>\n    \
         <args>\n{}    </args>\n  </kernel>\n</root>\n",
        lines(&port_elements(bus_bits)),
        lines(&argument_elements())
    )
}

fn lines(elements: &[String]) -> String {
    elements.iter().fold(String::new(), |all, element| all + "      " + element + "\n")
}

/// The kernel's ports, one element of XML each.
fn port_elements(bus_bits: u32) -> [String; 3] {
    let port = |name: &str, mode: &str, range: &str, bits: u32| {
        format!(
            "<port name=\"{name}\" mode=\"{mode}\" range=\"{range}\" dataWidth=\"{bits}\" portType=\"addressable\" \
             base=\"0x0\"/>"
        )
    };
    let memory = |name: &str| port(name, "master", "0xFFFFFFFFFFFFFFFF", bus_bits);
    [port("s_axi_control", "slave", "0x1000", 32), memory("m_axi_gmem0"), memory("m_axi_gmem1")]
}

/// The kernel's arguments, likewise.
fn argument_elements() -> [String; 3] {
    let mut id = 0..;
    ARGUMENTS.map(|(name, port, is_address, offset)| {
        let (qualifier, size, c_type) = if is_address { (1, 8, "int*") } else { (0, 4, "uint") };
        format!(
            "<arg name=\"{name}\" addressQualifier=\"{qualifier}\" id=\"{}\" port=\"{port}\" size=\"{size:#x}\" \
             offset=\"{offset:#x}\" hostOffset=\"0x0\" hostSize=\"{size:#x}\" type=\"{c_type}\"/>",
            id.next().unwrap_or(0)
        )
    })
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// The signals of an AXI4 master: direction, bits, name.
fn master_signals(bus_bits: u32) -> Vec<(&'static str, u32, String)> {
    let mut signals = Vec::new();
    for channel in ["aw", "ar"] {
        let own = [("valid", 1), ("addr", 64), ("len", 8), ("size", 3), ("burst", 2), ("cache", 4), ("prot", 3)];
        signals.push(("input", 1, format!("{channel}ready")));
        signals.extend(own.map(|(name, bits)| ("output", bits, format!("{channel}{name}"))));
    }
    let data = [
        ("output", bus_bits, "wdata"),
        ("output", bus_bits / 8, "wstrb"),
        ("output", 1, "wlast"),
        ("output", 1, "wvalid"),
        ("input", 1, "wready"),
        ("input", 2, "bresp"),
        ("input", 1, "bvalid"),
        ("output", 1, "bready"),
        ("input", bus_bits, "rdata"),
        ("input", 2, "rresp"),
        ("input", 1, "rlast"),
        ("input", 1, "rvalid"),
        ("output", 1, "rready"),
    ];
    signals.extend(data.map(|(direction, bits, name)| (direction, bits, name.to_owned())));
    signals
}

fn master_ports(bus_bits: u32) -> String {
    let mut ports = Vec::new();
    for master in 0..2 {
        for (direction, bits, name) in master_signals(bus_bits) {
            let range = if bits == 1 { String::new() } else { format!("[{}:0] ", bits - 1) };
            ports.push(format!("  {direction} wire {range}m_axi_gmem{master}_{name}"));
        }
    }
    ports.join(",\n")
}

/// What both masters say of every burst (incrementing, whole beats, cacheable), and the channels that one does not use.
fn unused() -> String {
    let mut out = String::new();
    for master in 0..2 {
        for channel in ["aw", "ar"] {
            let signals = [("size", "BYTES_LOG2"), ("burst", "2'b01"), ("cache", "4'b0011"), ("prot", "3'b000")];
            for (name, value) in signals {
                let _ = writeln!(out, "  assign m_axi_gmem{master}_{channel}{name} = {value};");
            }
        }
    }
    let reader = ["awvalid", "awaddr", "awlen", "wdata", "wstrb", "wlast", "wvalid", "bready"];
    let writer = ["arvalid", "araddr", "arlen", "rready"];
    for (master, names) in [(0, &reader[..]), (1, &writer[..])] {
        for name in names {
            let _ = writeln!(out, "  assign m_axi_gmem{master}_{name} = 0;");
        }
    }
    out
}

/// The low bytes of each 32-bit integer, as the stream has them.
fn row_to_stream(port: &Port) -> String {
    let bytes = element_bytes(port).into_iter().enumerate();
    let parts: Vec<String> = bytes.map(|(i, n)| format!("row_in[{}:{}]", 32 * i + 8 * n - 1, 32 * i)).rev().collect();
    parts.join(", ")
}

/// Elements of the stream as 32-bit integers.
fn stream_to_row(port: &Port) -> String {
    let parts = places(port).into_iter().zip(&port.is_signed).map(|((at, _, n), &is_signed)| {
        let (top, value) = (at as usize + 8 * n - 1, format!("stream_out[{}:{at}]", at as usize + 8 * n - 1));
        match 32 - 8 * n {
            0 => value,
            more if is_signed => format!("{{{more}{{stream_out[{top}]}}}}, {value}"),
            more => format!("{more}'d0, {value}"),
        }
    });
    let parts: Vec<String> = parts.collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtl::{Mode, Options, generate};
    use crate::samples;

    #[test]
    fn what_a_kernel_cannot_be_is_refused() {
        let program = samples::smallest();
        let plain = generate(&program, &Options::default()).unwrap();
        let name = kernel_name(&program);
        let refused = |design: &Design, bits: u32, why: &str| {
            let error = text(design, &name, bits).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        };
        refused(&plain, 32, "expected 64");
        refused(&plain, 96, "expected 64");
        refused(
            &generate(&program, &Options { mode: Mode::Reloadable(2), ..Options::default() }).unwrap(),
            512,
            "weights",
        );
        let mut wide = plain.clone();
        wide.output.widths[1] = 33;
        refused(&wide, 512, "32 bits");
        assert!(text(&plain, &name, 1024).unwrap().contains(&format!("module {name} (")));
    }

    #[test]
    fn xml_has_the_registers_of_the_control_port() {
        let text = xml("baler_x", 256);
        for part in ["name=\"baler_x\"", "offset=\"0x1c\"", "dataWidth=\"256\"", "ap_ctrl_hs", "type=\"uint\""] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
