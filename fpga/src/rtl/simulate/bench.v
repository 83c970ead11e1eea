// Feeds TOP_stream with rows of a file, either side waiting at random, and compares what comes out.
`timescale 1ns / 1ps
module testbench;
  localparam N = N_ROWS;
  reg clk = 0;
  always #1 clk = ~clk;

  reg [IN_TOP:0] inputs [0:N-1];
  reg [OUT_TOP:0] expected [0:N-1];
  reg resetn = 0, offers = 0, ready = 0;
  reg [31:0] random = 32'h2545f491;
  integer n_fed = 0, n_got = 0, n_wrong = 0, n_idle = 0;
  wire taken, given, last;
  wire [OUT_TOP:0] found;

  TOP_stream dut (.aclk(clk), .aresetn(resetn), .s_axis_tdata(inputs[n_fed < N ? n_fed : N-1]),
    .s_axis_tlast(n_fed == N-1), .s_axis_tvalid(offers), .s_axis_tready(taken), .m_axis_tdata(found),
    .m_axis_tlast(last), .m_axis_tuser(), .m_axis_tvalid(given), .m_axis_tready(ready)LOAD_PORTS);

  initial begin
    $readmemh("inputs.hex", inputs);
    $readmemh("expected.hex", expected);
    repeat (4) @(posedge clk);
    resetn <= 1;
  end

  always @(posedge clk) if (resetn) begin
    random <= {random[30:0], random[31] ^ random[21] ^ random[1] ^ random[0]};
    // A row once offered stays until it is taken.
    if (offers & taken) n_fed <= n_fed + 1;
    offers <= (offers & ~taken) | ((n_fed + (offers & taken) < N) & (STALLS == 0 | random[3:0] > 4));
    ready <= STALLS == 0 | random[7:4] > 4;
    n_idle <= given & ready ? 0 : n_idle + 1;
    if (given & ready) begin
      n_got <= n_got + 1;
      if (found !== expected[n_got] | last !== (n_got == N-1)) begin
        n_wrong <= n_wrong + 1;
        if (n_wrong == 0) $display("row %0d: found %h, expected %h", n_got, found, expected[n_got]);
      end
    end
    if (n_got == N | n_idle > 1000000) begin
      $display("%0d rows, %0d mismatches", n_got, n_wrong);
      $finish;
    end
  end
INJECT
endmodule
