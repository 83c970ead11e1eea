// What baler.hpp promises beyond the example: types, views, exceptions that cross the C callbacks, models.
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "baler.hpp"

#define EXPECT(condition)                                                              \
    do {                                                                               \
        if (!(condition)) {                                                            \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(EXIT_FAILURE);                                                   \
        }                                                                              \
    } while (0)

// The status of the baler::error that `body` throws.
template <class Body>
static baler_status thrown(Body body) {
    try {
        body();
    } catch (const baler::error &error) {
        EXPECT(std::strlen(error.what()) > 10);
        return error.status();
    }
    return BALER_STATUS_OK;
}

template <class T>
static void exact(const baler::codec &codec) {
    std::vector<T> values(257);
    for (std::size_t i = 0; i < values.size(); i++) {
        values[i] = static_cast<T>(i * i % 251);
    }
    const auto chunk = codec.encode(values, baler::lossless());
    EXPECT(codec.decode<T>(chunk).values() == values);
    EXPECT(baler::info(chunk).shape == baler::extents{257});
    // Another type of the same size is refused.
    EXPECT(thrown([&] { codec.decode<baler::half>(chunk); }) == BALER_STATUS_INVALID_ARGUMENT);
}

static void types(const baler::codec &codec) {
    exact<float>(codec), exact<double>(codec);
    exact<signed char>(codec), exact<unsigned char>(codec), exact<short>(codec), exact<unsigned short>(codec);
    exact<int>(codec), exact<unsigned>(codec), exact<long>(codec), exact<unsigned long long>(codec);
    const std::vector<baler::half> halves(64, baler::half{0x3c00});
    EXPECT(codec.decode<baler::half>(codec.encode(halves, baler::rel(1e-2))).values()[63].bits == 0x3c00);
}

static void views(const baler::codec &codec) {
    std::array<float, 6> six{0, 1, 2, 3, 4, 5};
    baler::view view(six, {2, 3});
    EXPECT(view(1, 2) == 5 && view.at(0, 1) == 1 && view.size_bytes() == 24);
    view(1, 0) = 7;
    EXPECT(six[3] == 7);
    const baler::view<const float> constant = view;
    EXPECT(constant(1, 0) == 7 && constant.shape() == view.shape());
    bool is_caught = false;
    try {
        view.at(2, 0);
    } catch (const std::out_of_range &) {
        is_caught = true;
    }
    EXPECT(is_caught);
    EXPECT(thrown([&] { baler::view(six, {7}); }) == BALER_STATUS_INVALID_ARGUMENT);
    EXPECT(thrown([&] { baler::view(six.data(), {SIZE_MAX, 2}); }) == BALER_STATUS_INVALID_ARGUMENT);

    const auto chunk = codec.encode(view, baler::lossless());
    std::vector<float> out(6);
    codec.decode_into(chunk, baler::view(out, {3, 2}));
    EXPECT(out[3] == 7);
    std::vector<float> five(5);
    EXPECT(thrown([&] { codec.decode_into(chunk, baler::view(five)); }) == BALER_STATUS_INVALID_ARGUMENT);
    EXPECT(thrown([&] { codec.decode<float>(chunk, 23); }) == BALER_STATUS_LIMIT_EXCEEDED);
    const baler::array<float> back = codec.decode<float>(chunk);
    EXPECT(back.at(1, 0) == 7 && baler::view(back).shape() == view.shape());
    EXPECT(codec.encode(back, baler::lossless()) == chunk);
#if defined(__cpp_lib_span)
    const std::span<const float> span(six);
    EXPECT(codec.encode(span, baler::lossless()) == codec.encode(six, baler::lossless()));
#endif
#if defined(__cpp_lib_mdspan)
    EXPECT(codec.encode(baler::view<float>(std::mdspan(six.data(), 2, 3)), baler::lossless()) == chunk);
#endif
}

static void parameters(const baler::codec &codec) {
    std::vector<double> values(300);
    for (std::size_t i = 0; i < values.size(); i++) {
        values[i] = i % 10 == 3 ? -999.0 : std::sin(0.1 * static_cast<double>(i));
    }
    const auto how = baler::rel(1e-2).fill(-999.0).no_model().max().check_decode();
    const auto back = codec.decode<double>(codec.encode(values, how));
    for (std::size_t i = 0; i < values.size(); i++) {
        EXPECT(i % 10 == 3 ? back.values()[i] <= -999.0 && back.values()[i] >= -999.0
                           : std::fabs(back.values()[i] - values[i]) <= 2e-2);
    }
    EXPECT(thrown([&] { codec.encode(values, baler::rel(1e-2).fill(-999.0f)); }) == BALER_STATUS_INVALID_ARGUMENT);
    EXPECT(thrown([&] { codec.encode(values, baler::abs(-1)); }) == BALER_STATUS_INVALID_ARGUMENT);
    EXPECT(thrown([&] { codec.encode(values, baler::abs(1).model("best")); }) == BALER_STATUS_INVALID_ARGUMENT);
    EXPECT(thrown([&] { codec.encode(values, baler::latent(std::string(32, 'a'))); }) == BALER_STATUS_MODEL_MISSING);
}

static void models(const baler::codec &codec) {
    const auto all = codec.models();
    EXPECT(!all.empty());
    for (const auto &model : all) {
        EXPECT(model.id().size() == 32 && !model.name().empty() && !model.description().empty());
    }
    const auto known = codec.find(all[0].id());
    const auto parsed = baler::model::parse(known.to_bytes());
    EXPECT(parsed.id() == all[0].id() && parsed.info().can_encode == 1);
    EXPECT(parsed.to_bytes(true).size() == parsed.info().decoder_len);
    baler::codec bare(baler::bare);
    EXPECT(bare.models().empty());
    EXPECT(thrown([&] { bare.find(all[0].id()); }) == BALER_STATUS_MODEL_MISSING);
    EXPECT(bare.add(parsed).models().size() == 1);
    EXPECT(thrown([] { baler::model::parse(std::string("no bundle")); }) == BALER_STATUS_CORRUPT);
    EXPECT(thrown([] { baler::model::open("/no/such/file"); }) == BALER_STATUS_INVALID_ARGUMENT);
}

struct disk_full {};

static void streams(const baler::codec &codec) {
    std::vector<float> values(40 * 50);
    for (std::size_t i = 0; i < values.size(); i++) {
        values[i] = static_cast<float>(std::sin(0.01 * static_cast<double>(i)));
    }
    baler::stream_options options;
    options.rows_per_chunk = 7;
    options.threads = 3;
    std::stringstream file;
    baler::writer writer(codec, file);
    writer.begin<float>("a", {40, 50}, baler::rel(1e-3), options);
    // A share of the range of the whole array: that has to be known first.
    EXPECT(thrown([&] { writer.write(baler::view(values)); }) == BALER_STATUS_INVALID_ARGUMENT);
    writer.measure(baler::view(values));
    for (std::size_t i = 0; i < values.size(); i += 100) {
        writer.write(baler::view(values.data() + i, {100}));
    }
    writer.begin<float>("b", {0, 3}, baler::lossless());
    writer.begin<float>("c", {40, 50}, baler::lossless(), options);
    writer.write(baler::view(values));
    writer.finish();

    const std::string all = file.str();
    baler::reader reader(codec, file, options);
    std::vector<float> back(values.size());
    EXPECT(reader.next() && reader.name() == "a" && reader.shape() == (baler::extents{40, 50}));
    EXPECT(reader.info().abs_bound > 0 && reader.info().bound_kind == BALER_BOUND_REL);
    EXPECT(reader.read(baler::view(back)) == back.size() && reader.read(baler::view(back)) == 0);
    for (std::size_t i = 0; i < values.size(); i++) {
        EXPECT(std::fabs(back[i] - values[i]) <= 2e-3f);
    }
    EXPECT(reader.next() && reader.name() == "b" && reader.read(baler::view(back)) == 0);
    EXPECT(reader.next() && reader.name() == "c" && reader.read(baler::view(back)) == back.size() && back == values);
    EXPECT(!reader.next() && !reader.next());

    // What the program's own functions throw comes out where they were called from.
    baler::writer full(codec, [](const void *, std::size_t) { throw disk_full(); });
    full.begin<float>("", {40, 50}, baler::lossless());
    bool is_caught = false;
    try {
        full.write(baler::view(values));
    } catch (const disk_full &) {
        is_caught = true;
    }
    EXPECT(is_caught && thrown([&] { full.finish(); }) != BALER_STATUS_OK);

    // A stream that was cut is an error, wherever.
    for (std::size_t n = 0; n < all.size(); n += 97) {
        std::istringstream cut(all.substr(0, n));
        EXPECT(thrown([&] {
                   baler::reader partial(codec, cut);
                   while (partial.next()) {
                       while (partial.read(baler::view(back)) > 0) {
                       }
                   }
               }) == BALER_STATUS_CORRUPT);
    }
}

// One handle, eight threads, the bytes of one.
static void threads(const baler::codec &codec) {
    std::vector<float> values(64 * 64);
    for (std::size_t i = 0; i < values.size(); i++) {
        values[i] = std::sin(0.02f * static_cast<float>(i));
    }
    const double bounds[] = {1e-1, 1e-2, 1e-3};
    std::vector<baler::bytes> serial;
    for (double bound : bounds) {
        serial.push_back(codec.encode(baler::view(values, {64, 64}), baler::abs(bound)));
    }
    std::array<int, 8> same{};
    std::vector<std::thread> workers;
    for (std::size_t worker = 0; worker < same.size(); worker++) {
        workers.emplace_back([&, worker] {
            for (std::size_t i = 0; i < 6; i++) {
                const std::size_t k = (worker + i) % serial.size();
                const auto chunk = codec.encode(baler::view(values, {64, 64}), baler::abs(bounds[k]));
                same[worker] += chunk == serial[k] && codec.decode<float>(chunk).size() == values.size();
            }
        });
    }
    for (auto &worker : workers) {
        worker.join();
    }
    for (int n : same) {
        EXPECT(n == 6);
    }
}

// A model whose encoder fails, which the test of Rust makes.
static void warnings(const char *path) {
    baler::codec codec(baler::bare);
    const auto model = baler::model::open(path);
    std::string told;
    codec.add(model).set_warning([&](const std::string &message) {
        told += message;
        throw disk_full();
    });
    std::vector<float> values(64 * 64);
    for (std::size_t i = 0; i < values.size(); i++) {
        values[i] = std::sin(0.02f * static_cast<float>(i));
    }
    const auto encode = [&] { return codec.encode(baler::view(values, {64, 64}), baler::abs(1e-3).model(model.id())); };
    const auto chunk = encode();
    EXPECT(told.find(model.id()) != std::string::npos && codec.decode<float>(chunk).size() == values.size());
    const std::string once = told;
    EXPECT(encode() == chunk && told == once);
    EXPECT(thrown([&] { codec.encode(baler::view(values, {64, 64}), baler::latent(model.id())); }) != BALER_STATUS_OK);
}

int main(int argc, char **argv) {
    EXPECT(baler::version() == BALER_TEST_VERSION);
    const baler::codec codec;
    types(codec), views(codec), parameters(codec), models(codec), streams(codec), threads(codec);
    EXPECT(argc == 2);
    warnings(argv[1]);
    std::puts("all is as promised");
    return EXIT_SUCCESS;
}
