// Drives a design's stream in Verilator: batches of rows from standard input, their outputs to standard output.
//
//   in:  u32 number of rows, then the rows as the stream carries them; again until the end of the input
//   out: for each batch, its rows of output, each followed by one byte: its overflow status; then u64 clock cycles from the first row
//        offered to the last one taken
//
// A number of rows of 0xffffffff loads parameters: u32 number of words, then the words; out: one byte, whether they are
// good.
//
// All integers are little-endian. An argument makes either side of the stream wait at random: its seed.
#include "MODULE.h"
#include "verilated.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

void cycle() {
  dut.aclk = 1, dut.eval();
  dut.aclk = 0, dut.eval();
}

#ifdef RELOADABLE
bool load(const std::vector<uint32_t> &words) {
  dut.load_begin = 1, cycle();
  dut.load_begin = 0;
  for (uint32_t word : words) {
    dut.load_data = word, dut.load_valid = 1;
    dut.eval();
    while (!dut.load_ready) cycle();
    cycle();
  }
  dut.load_valid = 0, cycle();
  return dut.load_good;
}
#endif

bool fill(void *to, size_t n) { return std::fread(to, 1, n, stdin) == n; }

}  // namespace

int main(int argc, char **argv) {
  Random random{argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0};
  dut.aclk = 0, dut.aresetn = 0, dut.s_axis_tvalid = 0, dut.m_axis_tready = 0;
  for (int i = 0; i < 4; i++) cycle();
  dut.aresetn = 1;
  cycle(), cycle();
  uint32_t n;
  std::vector<uint8_t> in, out;
  while (fill(&n, sizeof n)) {
#ifdef RELOADABLE
    if (n == 0xffffffff) {
      if (!fill(&n, sizeof n)) return 1;
      std::vector<uint32_t> words(n);
      if (!fill(words.data(), 4 * size_t(n))) return 1;
      std::fputc(load(words), stdout), std::fflush(stdout);
      continue;
    }
#endif
    in.resize(size_t(n) * ROW_IN);
    out.resize(size_t(n) * (ROW_OUT + 1));
    if (!fill(in.data(), in.size())) return 1;
    size_t fed = 0, got = 0, idle = 0;
    uint64_t cycles = 0;
    bool offers = false;
    while (got < n) {
      // A row once offered stays until it is taken.
      if (!offers && fed < n && !random.pauses()) {
        std::memcpy(&dut.s_axis_tdata, &in[fed * ROW_IN], ROW_IN);
        dut.s_axis_tlast = fed + 1 == n;
        offers = true;
      }
      dut.s_axis_tvalid = offers;
      dut.m_axis_tready = !random.pauses();
      dut.eval();
      bool taken = offers && dut.s_axis_tready;
      bool given = dut.m_axis_tvalid && dut.m_axis_tready;
      if (given) {
        uint8_t *to = &out[got * (ROW_OUT + 1)];
        std::memcpy(to, &dut.m_axis_tdata, ROW_OUT);
        to[ROW_OUT] = dut.m_axis_tuser;
        got++;
        if (dut.m_axis_tlast != (got == n)) return std::fprintf(stderr, "the end of the packet is at another row\n"), 1;
      }
      idle = taken || given ? 0 : idle + 1;
      if (idle > 1000000) return std::fprintf(stderr, "no row moves: %zu in, %zu out\n", fed, got), 1;
      cycle(), cycles++;
      if (taken) offers = false, fed++;
    }
    dut.s_axis_tvalid = 0;
    std::fwrite(out.data(), 1, out.size(), stdout);
    std::fwrite(&cycles, sizeof cycles, 1, stdout);
    std::fflush(stdout);
  }
}
