// Compares NAME with reference rows. A line of standard input: the integers of a row, then those it must become.
#include "NAME.h"
#include <cstdio>
#include <iostream>

int main() {
  long rows = 0, mismatches = 0;
  long long raw[N_IN], expected[N_OUT], found[N_OUT];
  while (true) {
    for (long long &x : raw) std::cin >> x;
    for (long long &y : expected) std::cin >> y;
    if (!std::cin) break;
    NAME_raw(raw, found);
    bool same = true;
    for (int j = 0; j < N_OUT; j++) same = same && found[j] == expected[j];
    if (!same && !mismatches)
      for (int j = 0; j < N_OUT; j++) std::printf("row %ld, output %d: found %lld, expected %lld\n", rows, j, found[j], expected[j]);
    rows++, mismatches += !same;
  }
  std::printf("%ld rows, %ld mismatches\n", rows, mismatches);
  return mismatches != 0;
}
