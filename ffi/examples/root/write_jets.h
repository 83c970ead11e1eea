// Writes a table of floats as RNTuples: plain columns of three kinds, and Baler chunks in byte vectors; the chunks as a
// TTree too. Used by jets.C and jets.py.
#ifndef WRITE_JETS_H
#define WRITE_JETS_H

#include "baler_root.h"

#include <ROOT/RField.hxx>
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleWriter.hxx>
#include <TFile.h>
#include <TTree.h>

#include <algorithm>
#include <memory>

// Rows of a chunk.
constexpr std::uint64_t kChunkRows = 1 << 15;

// How the bits of a float column are stored: 0 all of them, 1 `bits` of them (Real32Trunc), 2 as integers of `bits` bits
// between `min` and `max` (Real32Quant).
inline void write_columns(const char *path, const std::vector<std::string> &names, const float *values,
                          std::uint64_t rows, int kind, const std::vector<int> &bits, const std::vector<double> &min,
                          const std::vector<double> &max) {
    auto model = ROOT::RNTupleModel::Create();
    for (std::size_t i = 0; i < names.size(); i++) {
        auto field = std::make_unique<ROOT::RField<float>>(names[i]);
        if (kind == 1) field->SetTruncated(bits[i]);
        if (kind == 2) field->SetQuantized(bits[i], {float(min[i]), float(max[i])});
        model->AddField(std::move(field));
    }
    auto writer = ROOT::RNTupleWriter::Recreate(std::move(model), "jets", path);
    auto entry = writer->CreateEntry();
    std::vector<std::shared_ptr<float>> cells;
    for (const auto &name : names) cells.push_back(entry->GetPtr<float>(name));
    for (std::uint64_t row = 0; row < rows; row++) {
        for (std::size_t i = 0; i < names.size(); i++) *cells[i] = values[row * names.size() + i];
        writer->Fill(*entry);
    }
}

// The same table as chunks, with the models of `choice` (as for `encode`): field `chunk` of the RNTuple, or branch `chunk`
// of the TTree, `jets`.
inline void write_chunks(const char *ntuple_path, const char *tree_path, const float *values, std::uint64_t rows,
                         std::uint64_t columns, double rel, const char *choice) {
    auto model = ROOT::RNTupleModel::Create();
    auto field = model->MakeField<std::vector<std::uint8_t>>("chunk");
    auto writer = ROOT::RNTupleWriter::Recreate(std::move(model), "jets", ntuple_path);
    TFile file(tree_path, "RECREATE");
    TTree tree("jets", "Baler chunks of a table");
    std::vector<std::uint8_t> chunk;
    tree.Branch("chunk", &chunk);
    for (std::uint64_t first = 0; first < rows; first += kChunkRows) {
        const auto n = std::min(kChunkRows, rows - first);
        chunk = baler_root::encode(values + first * columns, n, columns, rel, choice);
        *field = chunk;
        writer->Fill();
        tree.Fill();
    }
    tree.Write();
}
#endif
