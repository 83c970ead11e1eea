//! A design behind AXI4-Stream: rows in, rows out, either side may wait.
//!
//! The pipeline never stops. Rows are let in against credit: there are as many credits as places in the queue behind the
//! pipeline, one is taken for each row that enters and given back when its output leaves. So whatever the receiver does,
//! there is a place for each row on its way, and no stall signal runs through the design.
//!
//! An element of a row has 1, 2, 4 or 8 bytes in the stream, the fewest that hold it, extended by sign or zero.

use super::Design;
use super::verilog::Port;
use super::verilog::literal;
use std::fmt::Write as _;

/// Bytes of each element of a row in the stream.
pub fn element_bytes(port: &Port) -> Vec<usize> {
    port.widths.iter().map(|&bits| (bits.div_ceil(8) as usize).next_power_of_two()).collect()
}

/// Bytes of a row in the stream.
pub fn row_bytes(port: &Port) -> usize {
    element_bytes(port).iter().sum()
}

/// A row of integers as the stream carries it.
pub fn pack(port: &Port, row: &[i64], to: &mut Vec<u8>) {
    for (&value, n) in row.iter().zip(element_bytes(port)) {
        to.extend_from_slice(&value.to_le_bytes()[..n]);
    }
}

/// The integers of a row from the stream; it has [`row_bytes`].
pub fn unpack(port: &Port, bytes: &[u8]) -> Vec<i64> {
    let mut rest = bytes;
    let mut element = |(n, &is_signed): (usize, &bool)| {
        let (own, others) = rest.split_at(n);
        rest = others;
        let fill = if is_signed && own[n - 1] >= 0x80 { 0xff } else { 0 };
        let mut raw = [fill; 8];
        raw[..n].copy_from_slice(own);
        i64::from_le_bytes(raw)
    };
    element_bytes(port).into_iter().zip(&port.is_signed).map(&mut element).collect()
}

/// Name of the module with the streams.
pub(super) fn module(design: &Design) -> String {
    format!("{}_stream", design.top)
}

/// The module with the streams, around the design's top.
pub(super) fn text(design: &Design) -> String {
    let (bits_in, bits_out) = (row_bytes(&design.input) * 8, row_bytes(&design.output) * 8);
    // Rows that can be on their way at once, and a few for the receiver's hesitation.
    let n_places = (design.latency / design.interval + 4).next_power_of_two();
    let address_bits = n_places.trailing_zeros();
    let packed: Vec<String> = places(&design.input)
        .into_iter()
        .map(|(at, width, _)| format!("s_axis_tdata[{}:{at}]", at + width - 1))
        .rev()
        .collect();
    let unpacked: Vec<String> = places(&design.output)
        .into_iter()
        .zip(design.output.offsets())
        .zip(&design.output.is_signed)
        .map(|(((_, width, bytes), from), &is_signed)| {
            let value = format!("core_data[{}:{from}]", from + width - 1);
            match bytes as u32 * 8 - width {
                0 => value,
                n if is_signed => format!("{{{n}{{core_data[{}]}}}}, {value}", from + width - 1),
                n => format!("{n}'d0, {value}"),
            }
        })
        .rev()
        .collect();
    let mut out = String::new();
    let _ = write!(
        out,
        "
module {module} (
  input wire aclk,
  input wire aresetn,
  input wire [{in_top}:0] s_axis_tdata,
  input wire s_axis_tlast,
  input wire s_axis_tvalid,
  output wire s_axis_tready,
  output wire [{out_top}:0] m_axis_tdata,
  output wire m_axis_tlast,
  output wire m_axis_tuser,
  output wire m_axis_tvalid,
  input wire m_axis_tready{load_ports}{copies_port}
);
  reg rst;
  always @(posedge aclk) rst <= ~aresetn;

  // Rows that may still enter.
  reg [{address_bits}:0] credits;
  wire core_ready, core_valid, core_overflow;
  wire [{core_top}:0] core_data;
  assign s_axis_tready = (credits != 0) & core_ready & ~rst;
  wire enters = s_axis_tvalid & s_axis_tready;
  wire leaves = m_axis_tvalid & m_axis_tready;
  always @(posedge aclk)
    if (rst) credits <= {n_places_literal};
    else if (enters != leaves) credits <= enters ? credits - 1'b1 : credits + 1'b1;

  {top} core (.clk(aclk), .rst(rst), .in_valid(enters), .in_data({{{packed}}}),
    .out_valid(core_valid), .out_data(core_data){ready}{status}{load_wires}{copies_wire});
{assign_ready}{assign_status}
  // Outputs wait here; the ends of packets have been waiting since their rows came in.
  reg [{out_top}:0] rows [0:{last_place}];
  reg overflows [0:{last_place}];
  reg lasts [0:{last_place}];
  reg [{address_bits}:0] n_entered, n_written, n_read;
  always @(posedge aclk) begin
    if (enters) lasts[n_entered[{address_top}:0]] <= s_axis_tlast;
    if (core_valid) rows[n_written[{address_top}:0]] <= {{{unpacked}}};
    if (core_valid) overflows[n_written[{address_top}:0]] <= core_overflow;
    n_entered <= rst ? 0 : n_entered + enters;
    n_written <= rst ? 0 : n_written + core_valid;
    n_read <= rst ? 0 : n_read + leaves;
  end
  assign m_axis_tvalid = n_written != n_read;
  assign m_axis_tdata = rows[n_read[{address_top}:0]];
  assign m_axis_tuser = overflows[n_read[{address_top}:0]];
  assign m_axis_tlast = lasts[n_read[{address_top}:0]];
endmodule
",
        module = module(design),
        top = design.top,
        in_top = bits_in - 1,
        out_top = bits_out - 1,
        core_top = design.output.bits() - 1,
        address_top = address_bits - 1,
        last_place = n_places - 1,
        n_places_literal = literal(n_places as i128, address_bits + 1),
        packed = packed.join(", "),
        unpacked = unpacked.join(", "),
        ready = if design.has_ready { ", .in_ready(core_ready)" } else { "" },
        assign_ready = if design.has_ready { "" } else { "  assign core_ready = 1'b1;\n" },
        status = if design.has_status { ", .out_overflow(core_overflow)" } else { "" },
        copies_port = if design.has_copies { ",\n  output wire copies_differ" } else { "" },
        copies_wire = if design.has_copies { ",\n    .copies_differ(copies_differ)" } else { "" },
        load_ports = if design.is_reloadable {
            ",\n  input wire load_begin,\n  input wire load_valid,\n  output wire load_ready,\n  input wire [31:0] load_data,\n  \
             output wire load_good"
        } else {
            ""
        },
        load_wires = if design.is_reloadable {
            ",\n    .load_begin(load_begin), .load_valid(load_valid), .load_ready(load_ready), .load_data(load_data),\n    \
             .load_good(load_good)"
        } else {
            ""
        },
        assign_status = if design.has_status { "" } else { "  assign core_overflow = 1'b0;\n" },
    );
    out
}

/// Of each element of a row in the stream: where it begins, its own bits, its bytes.
pub(super) fn places(port: &Port) -> Vec<(u32, u32, usize)> {
    let starts = element_bytes(port).into_iter().scan(0, |at, n| Some((std::mem::replace(at, *at + n as u32 * 8), n)));
    starts.zip(&port.widths).map(|((at, n), &width)| (at, width, n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_there_and_back() {
        let port = Port { widths: vec![8, 9, 3, 33, 63], is_signed: vec![true, true, false, true, false] };
        let row = vec![-128, -256, 7, -(1 << 32), (1 << 62) + 5];
        let mut bytes = Vec::new();
        pack(&port, &row, &mut bytes);
        assert_eq!(bytes.len(), row_bytes(&port));
        assert_eq!(row_bytes(&port), 1 + 2 + 1 + 8 + 8);
        assert_eq!(unpack(&port, &bytes), row);
    }
}
