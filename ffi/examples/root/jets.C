// Reads chunks of jets with RDataFrame and draws the first column.
//
//   root -l -b -q 'jets.C("baler.root", 16, 0)'
//
// libbaler.so.0 must be where the loader looks (LD_LIBRARY_PATH), baler.h where cling does (ROOT_INCLUDE_PATH).
R__LOAD_LIBRARY(libbaler.so.0)
#include "baler_root.h"

#include <ROOT/RDataFrame.hxx>
#include <TH1D.h>

#include <cstdio>

void jets(const char *path, std::size_t columns, std::size_t index) {
    ROOT::RDataFrame chunks("jets", path);
    auto jets = chunks.Define("table", baler_root::decode, {"chunk"})
                    .Define("x", [=](const ROOT::RVecF &table) { return baler_root::column(table, columns, index); },
                            {"table"});
    auto histogram = jets.Histo1D({"x", "", 50, 0, 500}, "x");
    auto mean = jets.Mean("x");
    std::printf("%.0f rows, mean %.9g, %.0f in 50 bins\n", histogram->GetEntries(), *mean, histogram->Integral());
}
