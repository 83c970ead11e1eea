// Compresses a field, a table with a bound for each column, and an array larger than memory, from C++.
//
//   c++ -std=c++17 roundtrip.cpp $(pkg-config --cflags --libs baler) -o roundtrip
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "baler.hpp"

static void expect(bool is_so, const char *what) {
    if (!is_so) {
        std::fprintf(stderr, "not so: %s\n", what);
        std::exit(EXIT_FAILURE);
    }
}

int main() {
    const baler::codec codec;

    // A field: a vector seen as 96 rows of 128.
    std::vector<float> storage(96 * 128);
    baler::view field(storage, {96, 128});
    for (std::size_t y = 0; y < 96; y++) {
        for (std::size_t x = 0; x < 128; x++) {
            field(y, x) = std::sin(0.07f * static_cast<float>(x)) * std::cos(0.05f * static_cast<float>(y));
        }
    }
    const baler::bytes chunk = codec.encode(field, baler::abs(1e-3).check_decode());
    const baler::array<float> back = codec.decode<float>(chunk);
    expect(back.shape() == field.shape(), "the shape comes back");
    double worst = 0;
    for (std::size_t i = 0; i < storage.size(); i++) {
        worst = std::max(worst, std::fabs(double{back.values()[i]} - double{storage[i]}));
    }
    expect(worst <= 1e-3, "every value keeps the bound");
    std::printf("field: %zu bytes became %zu, back(3, 5) = %.3f for %.3f\n", field.size_bytes(), chunk.size(),
                static_cast<double>(back(3, 5)), static_cast<double>(field(3, 5)));

    // A table: 1000 rows of 3 columns, the last without loss.
    baler::array<double> table(baler::extents{1000, 3});
    for (std::size_t row = 0; row < 1000; row++) {
        const double t = 0.01 * static_cast<double>(row);
        table(row, 0) = 40 * std::exp(-t), table(row, 1) = std::sin(t), table(row, 2) = static_cast<double>(row % 7);
    }
    const auto rows = codec.encode(table, baler::params(BALER_BOUND_ABS, {1e-2, 1e-5, 0}));
    const auto rows_back = codec.decode<double>(rows);
    for (std::size_t row = 0; row < 1000; row++) {
        expect(std::fabs(rows_back(row, 0) - table(row, 0)) <= 1e-2, "the first column keeps its bound");
        expect(std::fabs(rows_back(row, 1) - table(row, 1)) <= 1e-5, "the second column keeps its own");
        expect(rows_back.at(row, 2) <= table.at(row, 2) && rows_back.at(row, 2) >= table.at(row, 2), "the third is exact");
    }
    std::printf("table: %zu bytes became %zu\n", table.size() * sizeof(double), rows.size());

    // Larger than memory: plane after plane, to any stream.
    std::stringstream file;
    baler::writer writer(codec, file);
    baler::stream_options options;
    options.rows_per_chunk = 8;
    options.threads = 2;
    writer.begin<float>("steps", {24, 96, 128}, baler::abs(1e-2), options);
    for (int z = 0; z < 24; z++) {
        writer.write(field);
    }
    writer.finish();
    baler::reader reader(codec, file, options);
    std::vector<float> plane(96 * 128);
    std::size_t n_planes = 0;
    while (reader.next()) {
        while (reader.read(baler::view(plane)) == plane.size()) {
            n_planes++;
        }
    }
    expect(n_planes == 24, "all planes are read");
    std::printf("stream: %zu planes in %zu bytes\n", n_planes, file.str().size());

    // Failures are exceptions.
    try {
        codec.decode<float>(std::vector<unsigned char>(40));
        expect(false, "forty zeros are no chunk");
    } catch (const baler::error &error) {
        expect(error.status() == BALER_STATUS_CORRUPT, "they are damaged");
        std::printf("error %d: %s\n", static_cast<int>(error.status()), error.what());
    }
    return EXIT_SUCCESS;
}
