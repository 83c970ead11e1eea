
// The kernel that XRT runs: rows of 32-bit integers from memory, through the design, to memory.
module KERNEL (
  input wire ap_clk,
  input wire ap_rst_n,
  output wire interrupt,
  input wire [11:0] s_axi_control_awaddr,
  input wire s_axi_control_awvalid,
  output wire s_axi_control_awready,
  input wire [31:0] s_axi_control_wdata,
  input wire [3:0] s_axi_control_wstrb,
  input wire s_axi_control_wvalid,
  output wire s_axi_control_wready,
  output wire [1:0] s_axi_control_bresp,
  output wire s_axi_control_bvalid,
  input wire s_axi_control_bready,
  input wire [11:0] s_axi_control_araddr,
  input wire s_axi_control_arvalid,
  output wire s_axi_control_arready,
  output wire [31:0] s_axi_control_rdata,
  output wire [1:0] s_axi_control_rresp,
  output wire s_axi_control_rvalid,
  input wire s_axi_control_rready,
MASTER_PORTS
);
  localparam BYTES_LOG2 = BUS_BYTES_LOG2;
  localparam BURST_LOG2 = BYTES_LOG2 > 6 ? 12 - BYTES_LOG2 : 6;
  localparam BUS_BITS = 8 << BYTES_LOG2;
  localparam WORDS_LOG2 = BYTES_LOG2 - 2;
  reg rst;
  always @(posedge ap_clk) rst <= ~ap_rst_n;

  wire ap_start, ap_done;
  wire [63:0] from, to;
  wire [31:0] rows;
  reg [3:0] status;
  assign s_axi_control_bresp = 2'b00;
  assign s_axi_control_rresp = 2'b00;
  baler_control control (.clk(ap_clk), .rst(rst),
    .awaddr(s_axi_control_awaddr), .awvalid(s_axi_control_awvalid), .awready(s_axi_control_awready),
    .wdata(s_axi_control_wdata), .wstrb(s_axi_control_wstrb), .wvalid(s_axi_control_wvalid), .wready(s_axi_control_wready),
    .bvalid(s_axi_control_bvalid), .bready(s_axi_control_bready),
    .araddr(s_axi_control_araddr), .arvalid(s_axi_control_arvalid), .arready(s_axi_control_arready),
    .rdata(s_axi_control_rdata), .rvalid(s_axi_control_rvalid), .rready(s_axi_control_rready),
    .interrupt(interrupt), .ap_start(ap_start), .ap_done(ap_done), .from(from), .to(to), .rows(rows), .status(status));

  // What the arguments mean in words and beats is known some cycles after the start.
  reg [3:0] settled;
  reg [47:0] words_in, words_out, beats_in, beats_out;
  reg [WORDS_LOG2-1:0] words_of_last;
  always @(posedge ap_clk) begin
    settled <= rst | ~ap_start | ap_done ? 0 : {settled[2:0], 1'b1};
    words_in <= rows * 48'dN_IN;
    words_out <= rows * 48'dN_OUT;
    beats_in <= (words_in + (1 << WORDS_LOG2) - 1) >> WORDS_LOG2;
    beats_out <= (words_out + (1 << WORDS_LOG2) - 1) >> WORDS_LOG2;
    words_of_last <= words_out[WORDS_LOG2-1:0];
  end
  wire start = settled[2] & ~settled[3];
  wire [(1<<BYTES_LOG2)-1:0] last_strobes;
  genvar i;
  generate
    for (i = 0; i < 1 << WORDS_LOG2; i = i + 1) begin : strobes
      assign last_strobes[4*i+:4] = {4{words_of_last == 0 | i < words_of_last}};
    end
  endgenerate

  wire [BUS_BITS-1:0] beat_in, beat_out;
  wire beat_in_valid, beat_in_ready, beat_out_valid, beat_out_ready;
  wire read_fails, write_fails;
  baler_read #(.BYTES_LOG2(BYTES_LOG2), .BURST_LOG2(BURST_LOG2)) read (.clk(ap_clk), .rst(rst),
    .start(start), .address(from), .n_beats(beats_in),
    .arvalid(m_axi_gmem0_arvalid), .arready(m_axi_gmem0_arready), .araddr(m_axi_gmem0_araddr), .arlen(m_axi_gmem0_arlen),
    .rdata(m_axi_gmem0_rdata), .rresp(m_axi_gmem0_rresp), .rvalid(m_axi_gmem0_rvalid), .rready(m_axi_gmem0_rready),
    .data(beat_in), .valid(beat_in_valid), .ready(beat_in_ready), .fails(read_fails));
  baler_write #(.BYTES_LOG2(BYTES_LOG2), .BURST_LOG2(BURST_LOG2)) write (.clk(ap_clk), .rst(rst),
    .start(start), .address(to), .n_beats(beats_out), .last_strobes(last_strobes),
    .awvalid(m_axi_gmem1_awvalid), .awready(m_axi_gmem1_awready), .awaddr(m_axi_gmem1_awaddr), .awlen(m_axi_gmem1_awlen),
    .wdata(m_axi_gmem1_wdata), .wstrb(m_axi_gmem1_wstrb), .wlast(m_axi_gmem1_wlast), .wvalid(m_axi_gmem1_wvalid),
    .wready(m_axi_gmem1_wready), .bresp(m_axi_gmem1_bresp), .bvalid(m_axi_gmem1_bvalid), .bready(m_axi_gmem1_bready),
    .data(beat_out), .valid(beat_out_valid), .ready(beat_out_ready), .done(ap_done), .fails(write_fails));

  // A last beat may have words of no row: they are not let through.
  reg [31:0] rows_to_enter, rows_to_leave;
  wire [32*N_IN-1:0] row_in;
  wire [32*N_OUT-1:0] row_out;
  wire row_in_valid, row_in_ready, row_out_valid, row_out_ready, overflow, copies_differ;COPIES_TIE
  wire [IN_TOP:0] stream_in;
  wire [OUT_TOP:0] stream_out;
  wire row_is_due = rows_to_enter != 0;
  baler_gearbox #(.UNIT_BITS(32 * UNIT_IN), .IN((1 << WORDS_LOG2) / UNIT_IN), .OUT(N_IN / UNIT_IN)) to_rows
    (.clk(ap_clk), .clear(rst | start), .in(beat_in), .in_valid(beat_in_valid), .in_ready(beat_in_ready),
    .out(row_in), .out_valid(row_in_valid), .out_ready(row_in_ready & row_is_due), .flush(1'b0));
  assign stream_in = {ROW_TO_STREAM};
  TOP_stream streams (.aclk(ap_clk), .aresetn(~rst),
    .s_axis_tdata(stream_in), .s_axis_tlast(1'b0), .s_axis_tvalid(row_in_valid & row_is_due), .s_axis_tready(row_in_ready),
    .m_axis_tdata(stream_out), .m_axis_tlast(), .m_axis_tuser(overflow), .m_axis_tvalid(row_out_valid),
    .m_axis_tready(row_out_ready)COPIES_PORT);
  assign row_out = {STREAM_TO_ROW};
  baler_gearbox #(.UNIT_BITS(32 * UNIT_OUT), .IN(N_OUT / UNIT_OUT), .OUT((1 << WORDS_LOG2) / UNIT_OUT)) to_beats
    (.clk(ap_clk), .clear(rst | start), .in(row_out), .in_valid(row_out_valid), .in_ready(row_out_ready),
    .out(beat_out), .out_valid(beat_out_valid), .out_ready(beat_out_ready), .flush(rows_to_leave == 0));
  always @(posedge ap_clk) begin
    rows_to_enter <= rst ? 0 : start ? rows : rows_to_enter - (row_in_valid & row_in_ready & row_is_due);
    rows_to_leave <= rst ? 0 : start ? rows : rows_to_leave - (row_out_valid & row_out_ready);
    // Of this run: reading failed, writing failed, a value was out of range, copies differed.
    status <= rst | start ? 0
      : status | {copies_differ, row_out_valid & overflow, write_fails, read_fails};
  end
UNUSED
endmodule
