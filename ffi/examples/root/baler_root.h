// Tables of floats as Baler chunks, for macros and for RDataFrame's Define. Needs libbaler to be loaded:
//
//   gSystem->Load("libbaler.so.0"); #include "baler_root.h"
#ifndef BALER_ROOT_H
#define BALER_ROOT_H

#include <ROOT/RVec.hxx>
#include <baler.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace baler_root {

// One codec for the process: any number of threads may use it, and it lives as long as they do.
inline const baler_codec *codec() {
    static const baler_codec *codec = baler_codec_new();
    return codec;
}

inline void check(baler_status status) {
    if (status != BALER_STATUS_OK) throw std::runtime_error(std::string("baler: ") + baler_last_error());
}

// `rows` x `columns` floats, row by row, each within `rel` times the range of its column. `model`: "" for those that
// fit, "none", or an id.
inline std::vector<std::uint8_t> encode(const float *values, std::uint64_t rows, std::uint64_t columns, double rel,
                                        const char *model = "") {
    const std::uint64_t shape[] = {rows, columns};
    baler_params params = {};
    params.struct_size = sizeof params;
    params.dtype = BALER_DTYPE_F32;
    params.rank = 2;
    params.shape = shape;
    params.bound_kind = BALER_BOUND_REL;
    params.bound_value = rel;
    params.per_column = 1;
    params.model = *model ? model : nullptr;
    std::size_t capacity = 0, length = 0;
    check(baler_encode_bound(&params, &capacity));
    std::vector<std::uint8_t> chunk(capacity);
    check(baler_encode(codec(), &params, values, rows * columns * sizeof(float), chunk.data(), capacity, &length));
    chunk.resize(length);
    return chunk;
}

// The table of a chunk, row by row.
inline ROOT::RVecF decode(const ROOT::RVec<std::uint8_t> &chunk) {
    baler_chunk_info_t info = {};
    info.struct_size = sizeof info;
    check(baler_chunk_info(chunk.data(), chunk.size(), &info));
    if (info.dtype != BALER_DTYPE_F32) throw std::runtime_error("baler: the chunk does not hold float32");
    ROOT::RVecF values(info.decoded_len / sizeof(float));
    std::size_t length = 0;
    check(baler_decode(codec(), chunk.data(), chunk.size(), values.data(), values.size() * sizeof(float), &length));
    return values;
}

// One column of a decoded table.
inline ROOT::RVecF column(const ROOT::RVecF &table, std::size_t columns, std::size_t index) {
    ROOT::RVecF values(table.size() / columns);
    for (std::size_t row = 0; row < values.size(); row++) values[row] = table[row * columns + index];
    return values;
}

} // namespace baler_root
#endif
