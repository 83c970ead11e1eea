
// AXI4-Lite registers of a kernel, as XRT drives them (ap_ctrl_hs): control, interrupts, arguments, and what went wrong.
module baler_control (
  input wire clk,
  input wire rst,
  input wire [11:0] awaddr,
  input wire awvalid,
  output wire awready,
  input wire [31:0] wdata,
  input wire [3:0] wstrb,
  input wire wvalid,
  output wire wready,
  output reg bvalid,
  input wire bready,
  input wire [11:0] araddr,
  input wire arvalid,
  output wire arready,
  output reg [31:0] rdata,
  output reg rvalid,
  input wire rready,
  output wire interrupt,
  output reg ap_start,
  input wire ap_done,
  output reg [63:0] from,
  output reg [63:0] to,
  output reg [31:0] rows,
  input wire [3:0] status
);
  // Address and data of a write are taken together.
  wire write = awvalid & wvalid & ~bvalid;
  wire read = arvalid & ~rvalid;
  assign awready = write;
  assign wready = write;
  assign arready = read;
  wire [31:0] mask = {{8{wstrb[3]}}, {8{wstrb[2]}}, {8{wstrb[1]}}, {8{wstrb[0]}}};
  wire [31:0] new_bits = wdata & mask;

  reg is_done, is_enabled;
  reg [1:0] enabled, pending;
  assign interrupt = is_enabled & |pending;
  always @(posedge clk)
    if (rst) begin
      bvalid <= 0;
      rvalid <= 0;
      ap_start <= 0;
      is_done <= 0;
      is_enabled <= 0;
      enabled <= 0;
      pending <= 0;
    end else begin
      if (write) bvalid <= 1;
      else if (bready) bvalid <= 0;
      if (read) rvalid <= 1;
      else if (rready) rvalid <= 0;
      if (write)
        case (awaddr)
          12'h000: if (new_bits[0]) ap_start <= 1;
          12'h004: if (mask[0]) is_enabled <= wdata[0];
          12'h008: if (mask[0]) enabled <= wdata[1:0];
          12'h00c: pending <= pending ^ new_bits[1:0];
          12'h010: from[31:0] <= from[31:0] & ~mask | new_bits;
          12'h014: from[63:32] <= from[63:32] & ~mask | new_bits;
          12'h01c: to[31:0] <= to[31:0] & ~mask | new_bits;
          12'h020: to[63:32] <= to[63:32] & ~mask | new_bits;
          12'h028: rows <= rows & ~mask | new_bits;
          default: ;
        endcase
      if (read) begin
        case (araddr)
          12'h000: rdata <= {28'd0, is_done, ~ap_start, is_done, ap_start};
          12'h004: rdata <= {31'd0, is_enabled};
          12'h008: rdata <= {30'd0, enabled};
          12'h00c: rdata <= {30'd0, pending};
          12'h010: rdata <= from[31:0];
          12'h014: rdata <= from[63:32];
          12'h01c: rdata <= to[31:0];
          12'h020: rdata <= to[63:32];
          12'h028: rdata <= rows;
          12'h030: rdata <= {28'd0, status};
          default: rdata <= 0;
        endcase
        // Cleared by being read.
        if (araddr == 12'h000) is_done <= 0;
      end
      if (ap_done) begin
        ap_start <= 0;
        is_done <= 1;
        pending <= pending | enabled;
      end
    end
endmodule

// A queue; what is at its head is shown. Whoever fills it keeps count.
module baler_queue #(parameter BITS = 8, parameter PLACES_LOG2 = 4) (
  input wire clk,
  input wire rst,
  input wire push,
  input wire [BITS-1:0] in,
  output wire valid,
  output wire [BITS-1:0] out,
  input wire pop
);
  reg [BITS-1:0] places [0:(1<<PLACES_LOG2)-1];
  reg [PLACES_LOG2:0] n_in, n_out;
  assign valid = n_in != n_out;
  assign out = places[n_out[PLACES_LOG2-1:0]];
  always @(posedge clk) begin
    if (push) places[n_in[PLACES_LOG2-1:0]] <= in;
    n_in <= rst ? 0 : n_in + push;
    n_out <= rst ? 0 : n_out + (valid & pop);
  end
endmodule

// Reads beats from memory in bursts of up to 2^BURST_LOG2, none across a multiple of their bytes (thus of 4 KiB).
module baler_read #(parameter BYTES_LOG2 = 6, parameter BURST_LOG2 = 6) (
  input wire clk,
  input wire rst,
  input wire start,
  input wire [63:0] address,
  input wire [47:0] n_beats,
  output reg arvalid,
  input wire arready,
  output reg [63:0] araddr,
  output reg [7:0] arlen,
  input wire [(8<<BYTES_LOG2)-1:0] rdata,
  input wire [1:0] rresp,
  input wire rvalid,
  output wire rready,
  output wire [(8<<BYTES_LOG2)-1:0] data,
  output wire valid,
  input wire ready,
  output wire fails
);
  // Beats not asked for yet, and the address of the next in beats.
  reg [47:0] left;
  reg [63-BYTES_LOG2:0] next;
  wire [BURST_LOG2:0] to_boundary = (1 << BURST_LOG2) - next[BURST_LOG2-1:0];
  wire [BURST_LOG2:0] len = left < to_boundary ? left : to_boundary;
  // Beats asked for and not handed on yet: each has its place in the queue, which is two bursts long.
  reg [BURST_LOG2+1:0] reserved;
  wire asks = ~arvalid & left != 0 & reserved <= (1 << BURST_LOG2);
  wire gives = valid & ready;
  always @(posedge clk)
    if (rst) begin
      arvalid <= 0;
      left <= 0;
      reserved <= 0;
    end else begin
      if (asks) begin
        arvalid <= 1;
        araddr <= {next, {BYTES_LOG2{1'b0}}};
        arlen <= len - 1'b1;
      end else if (arready) arvalid <= 0;
      if (start) begin
        left <= n_beats;
        next <= address[63:BYTES_LOG2];
      end else if (asks) begin
        left <= left - len;
        next <= next + len;
      end
      reserved <= reserved + (asks ? len : 0) - gives;
    end
  assign rready = 1'b1;
  assign fails = rvalid & rresp[1];
  baler_queue #(.BITS(8 << BYTES_LOG2), .PLACES_LOG2(BURST_LOG2 + 1)) beats
    (.clk(clk), .rst(rst), .push(rvalid), .in(rdata), .valid(valid), .out(data), .pop(ready));
endmodule

// Writes beats to memory, in such bursts too. The last beat has strobes of its own.
module baler_write #(parameter BYTES_LOG2 = 6, parameter BURST_LOG2 = 6) (
  input wire clk,
  input wire rst,
  input wire start,
  input wire [63:0] address,
  input wire [47:0] n_beats,
  input wire [(1<<BYTES_LOG2)-1:0] last_strobes,
  output reg awvalid,
  input wire awready,
  output reg [63:0] awaddr,
  output reg [7:0] awlen,
  output wire [(8<<BYTES_LOG2)-1:0] wdata,
  output wire [(1<<BYTES_LOG2)-1:0] wstrb,
  output wire wlast,
  output wire wvalid,
  input wire wready,
  input wire [1:0] bresp,
  input wire bvalid,
  output wire bready,
  input wire [(8<<BYTES_LOG2)-1:0] data,
  input wire valid,
  output wire ready,
  output wire done,
  output wire fails
);
  // Beats not sent yet: in all, and of the burst that was announced.
  reg [47:0] left;
  reg [BURST_LOG2:0] of_burst;
  reg [63-BYTES_LOG2:0] next;
  // Bursts announced and not answered yet.
  reg [7:0] unanswered;
  reg is_running;
  wire [BURST_LOG2:0] to_boundary = (1 << BURST_LOG2) - next[BURST_LOG2-1:0];
  wire [BURST_LOG2:0] len = left < to_boundary ? left : to_boundary;
  wire announces = ~awvalid & of_burst == 0 & left != 0 & ~&unanswered;
  wire sends = wvalid & wready;
  always @(posedge clk)
    if (rst) begin
      awvalid <= 0;
      left <= 0;
      of_burst <= 0;
      unanswered <= 0;
      is_running <= 0;
    end else begin
      if (announces) begin
        awvalid <= 1;
        awaddr <= {next, {BYTES_LOG2{1'b0}}};
        awlen <= len - 1'b1;
        next <= next + len;
      end else if (awready) awvalid <= 0;
      of_burst <= announces ? len : of_burst - sends;
      if (start) begin
        left <= n_beats;
        next <= address[63:BYTES_LOG2];
      end else left <= left - sends;
      unanswered <= unanswered + announces - bvalid;
      is_running <= start | is_running & ~done;
    end
  assign done = is_running & left == 0 & unanswered == 0 & ~awvalid;
  assign bready = 1'b1;
  assign fails = bvalid & bresp[1];
  assign wdata = data;
  assign wstrb = left == 1 ? last_strobes : {(1<<BYTES_LOG2){1'b1}};
  assign wlast = of_burst == 1;
  assign wvalid = valid & of_burst != 0;
  assign ready = wready & of_burst != 0;
endmodule

// From words of IN units to words of OUT units, the lowest first. A flush gives what is left, with zeros above.
module baler_gearbox #(parameter UNIT_BITS = 32, parameter IN = 1, parameter OUT = 1) (
  input wire clk,
  input wire clear,
  input wire [UNIT_BITS*IN-1:0] in,
  input wire in_valid,
  output wire in_ready,
  output wire [UNIT_BITS*OUT-1:0] out,
  output wire out_valid,
  input wire out_ready,
  input wire flush
);
  // Room for one word more than must be there: one comes in whenever one goes out.
  localparam ROOM = 2 * IN + OUT;
  reg [UNIT_BITS*ROOM-1:0] held;
  reg [31:0] n;
  assign in_ready = n <= IN + OUT;
  assign out_valid = n >= OUT | flush & n != 0;
  assign out = held[UNIT_BITS*OUT-1:0];
  wire pushes = in_valid & in_ready;
  wire pops = out_valid & out_ready;
  wire [31:0] rest = ~pops ? n : n < OUT ? 0 : n - OUT;
  wire [UNIT_BITS*ROOM-1:0] wide = in;
  wire [UNIT_BITS*ROOM-1:0] kept = pops ? held >> UNIT_BITS * OUT : held;
  always @(posedge clk)
    if (clear) begin
      held <= 0;
      n <= 0;
    end else begin
      held <= pushes ? kept | wide << UNIT_BITS * rest : kept;
      n <= rest + (pushes ? IN : 0);
    end
endmodule
