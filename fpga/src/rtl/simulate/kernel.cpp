// Drives a kernel in Verilator as XRT would, with a memory: batches of rows from standard input, their outputs to standard
// output.
//
//   in:  u32 number of rows, then the rows of 32-bit integers; again until the end of the input
//   out: for each batch, its rows of 32-bit integers, each followed by one byte: the overflow status of the batch; then u64
//        clock cycles from the start of the kernel to its interrupt
//
// All integers are little-endian. An argument makes every channel of the memory wait at random: its seed. What breaks a rule
// of AXI, is read or written outside the buffers, or fails, ends the process.
// Verilator's name for what is a name of POSIX too.
#define INTERRUPT __SYM__interrupt
#include "MODULE.h"
#include "verilated.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

double sc_time_stamp() { return 0; }

namespace {

struct Random {
  uint64_t state;
  bool pauses() {
    if (!state) return false;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state >> 62 == 0 || (state & 0x3f000) == 0x3f000;
  }
};

MODULE dut;
Random pauses;

[[noreturn]] void wrong(const char *what) {
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

// A buffer with its address, beyond 4 GiB and at no boundary of a page.
struct Buffer {
  uint64_t base;
  std::vector<uint8_t> bytes;
  uint8_t *beat(uint64_t address) {
    if (address < base || address - base + BUS_BYTES > bytes.size()) wrong("a beat outside the buffer");
    return &bytes[address - base];
  }
};
Buffer in{0x300000000ull + 4096 - 3 * BUS_BYTES, {}}, out{0x7fffff000ull + 5 * BUS_BYTES, {}};

struct Burst {
  uint64_t address;
  unsigned left;
};

Burst burst(uint64_t address, unsigned len, unsigned size, unsigned kind) {
  unsigned n = len + 1;
  if (1u << size != BUS_BYTES || kind != 1 || address % BUS_BYTES) wrong("a burst of narrow or fixed beats");
  if (address / 4096 != (address + n * BUS_BYTES - 1) / 4096) wrong("a burst across 4 KiB");
  return {address, n};
}

// One clock cycle with both memories.
void cycle() {
  static std::deque<Burst> reads, writes;
  static unsigned answers = 0;
  static bool offers = false, answering = false;
  // What was offered stays until it is taken.
  if (!offers && !reads.empty() && !pauses.pauses()) {
    std::memcpy(&dut.m_axi_gmem0_rdata, in.beat(reads.front().address), BUS_BYTES);
    dut.m_axi_gmem0_rlast = reads.front().left == 1;
    offers = true;
  }
  if (!answering && answers && !pauses.pauses()) answering = true;
  dut.m_axi_gmem0_rvalid = offers;
  dut.m_axi_gmem1_bvalid = answering;
  dut.m_axi_gmem0_arready = reads.size() < 4 && !pauses.pauses();
  dut.m_axi_gmem1_awready = writes.size() < 4 && !pauses.pauses();
  // Data may come before their address is taken, and have to wait for it here.
  dut.m_axi_gmem1_wready = !writes.empty() && !pauses.pauses();
  dut.eval();
  bool ar = dut.m_axi_gmem0_arvalid && dut.m_axi_gmem0_arready, r = offers && dut.m_axi_gmem0_rready;
  bool aw = dut.m_axi_gmem1_awvalid && dut.m_axi_gmem1_awready, b = answering && dut.m_axi_gmem1_bready;
  if (dut.m_axi_gmem0_awvalid || dut.m_axi_gmem0_wvalid || dut.m_axi_gmem1_arvalid) wrong("an unused channel is used");
  if (dut.m_axi_gmem1_wvalid && dut.m_axi_gmem1_wready) {
    Burst &to = writes.front();
    if (dut.m_axi_gmem1_wlast != (to.left == 1)) wrong("the last beat of a burst is another");
    uint8_t data[BUS_BYTES], *at = out.beat(to.address);
    std::memcpy(data, &dut.m_axi_gmem1_wdata, BUS_BYTES);
    uint64_t strobes[(BUS_BYTES + 63) / 64] = {};
    std::memcpy(strobes, &dut.m_axi_gmem1_wstrb, (BUS_BYTES + 7) / 8);
    for (unsigned i = 0; i < BUS_BYTES; i++)
      if (strobes[i / 64] >> i % 64 & 1) at[i] = data[i];
    to.address += BUS_BYTES;
    if (--to.left == 0) writes.pop_front(), answers++;
  }
  // A burst that is taken now has its data from the next cycle on.
  if (aw)
    writes.push_back(burst(dut.m_axi_gmem1_awaddr, dut.m_axi_gmem1_awlen, dut.m_axi_gmem1_awsize, dut.m_axi_gmem1_awburst));
  if (r) {
    offers = false;
    reads.front().address += BUS_BYTES;
    if (--reads.front().left == 0) reads.pop_front();
  }
  if (ar)
    reads.push_back(burst(dut.m_axi_gmem0_araddr, dut.m_axi_gmem0_arlen, dut.m_axi_gmem0_arsize, dut.m_axi_gmem0_arburst));
  if (b) answering = false, answers--;
  dut.ap_clk = 1, dut.eval();
  dut.ap_clk = 0, dut.eval();
}

void write(unsigned address, uint32_t value) {
  dut.s_axi_control_awaddr = address, dut.s_axi_control_awvalid = 1;
  dut.s_axi_control_wdata = value, dut.s_axi_control_wstrb = 15, dut.s_axi_control_wvalid = 1;
  dut.s_axi_control_bready = 1;
  dut.eval();
  while (!dut.s_axi_control_awready || !dut.s_axi_control_wready) cycle(), dut.eval();
  cycle();
  dut.s_axi_control_awvalid = 0, dut.s_axi_control_wvalid = 0;
  while (!dut.s_axi_control_bvalid) cycle();
  cycle();
}

uint32_t read(unsigned address) {
  dut.s_axi_control_araddr = address, dut.s_axi_control_arvalid = 1;
  dut.s_axi_control_rready = 0;
  dut.eval();
  while (!dut.s_axi_control_arready) cycle(), dut.eval();
  cycle();
  dut.s_axi_control_arvalid = 0;
  while (!dut.s_axi_control_rvalid) cycle();
  uint32_t value = dut.s_axi_control_rdata;
  dut.s_axi_control_rready = 1;
  cycle();
  dut.s_axi_control_rready = 0;
  return value;
}

void address(unsigned at, uint64_t value) {
  write(at, uint32_t(value)), write(at + 4, uint32_t(value >> 32));
  if (read(at) != uint32_t(value) || read(at + 4) != uint32_t(value >> 32)) wrong("an argument reads back as another");
}

bool fill(void *to, size_t n) { return std::fread(to, 1, n, stdin) == n; }

}  // namespace

int main(int argc, char **argv) {
  pauses.state = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0;
  dut.ap_clk = 0, dut.ap_rst_n = 0;
  for (int i = 0; i < 8; i++) cycle();
  dut.ap_rst_n = 1;
  for (int i = 0; i < 4; i++) cycle();
  write(0x04, 1), write(0x08, 1);
  uint32_t n;
  while (fill(&n, sizeof n)) {
    size_t in_bytes = size_t(n) * N_IN * 4, out_bytes = size_t(n) * N_OUT * 4;
    auto beats = [](size_t n_bytes) { return (n_bytes + BUS_BYTES - 1) / BUS_BYTES * BUS_BYTES; };
    in.bytes.assign(beats(in_bytes), 0x77);
    out.bytes.assign(beats(out_bytes), 0xaa);
    if (!fill(in.bytes.data(), in_bytes)) return 1;
    address(0x10, in.base), address(0x1c, out.base), write(0x28, n);
    if (!(read(0) & 4)) wrong("not idle before the start");
    write(0, 1);
    uint64_t waited = 0;
    for (; !dut.INTERRUPT; waited++) {
      if (waited > 1000000 + 400 * size_t(n) * (N_IN + N_OUT)) wrong("the kernel does not come to its end");
      cycle();
    }
    write(0x0c, 1);
    if (dut.INTERRUPT) wrong("the interrupt stays");
    if ((read(0) & 15) != 14 || (read(0) & 15) != 4) wrong("not done, or not cleared by being read");
    uint32_t status = read(0x30);
    if (status & 3) wrong("reading or writing failed");
    for (size_t i = out_bytes; i < out.bytes.size(); i++)
      if (out.bytes[i] != 0xaa) wrong("written beyond the last row");
    for (size_t row = 0; row < n; row++) {
      std::fwrite(&out.bytes[row * N_OUT * 4], 4, N_OUT, stdout);
      std::fputc(status >> 2 & 1, stdout);
    }
    std::fwrite(&waited, sizeof waited, 1, stdout);
    std::fflush(stdout);
  }
}
