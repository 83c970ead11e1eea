/*
 * Baler for C++17 and later: header-only, over baler.h.
 *
 * - Every failure is an exception, baler::error, with the status and the message. Handles free themselves and can be
 *   moved; what is said of threads in baler.h holds here.
 * - Arrays are views: a pointer, extents, the first axis slowest (C order). baler::view is one; std::vector, std::array,
 *   std::span and std::mdspan (layout_right) turn into it where the library has them.
 *
 *     baler::codec codec;
 *     std::vector<float> field = ...;                                     // 96 rows of 128
 *     auto chunk = codec.encode(baler::view(field, {96, 128}), baler::abs(1e-3));
 *     baler::array<float> back = codec.decode<float>(chunk);              // back(3, 5), back.shape()
 */

#ifndef BALER_HPP
#define BALER_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_span)
#include <span>
#endif
#if defined(__cpp_lib_mdspan)
#include <mdspan>
#endif
#if defined(__STDCPP_FLOAT16_T__)
#include <stdfloat>
#endif

#include "baler.h"

namespace baler {

/// A call of the library that failed.
class error : public std::runtime_error {
public:
    error(baler_status status, const std::string &message) : std::runtime_error(message), status_(status) {}

    /// Why: `BALER_STATUS_CORRUPT`, `BALER_STATUS_MODEL_MISSING`, ...
    baler_status status() const noexcept { return status_; }

private:
    baler_status status_;
};

/// The bits of an IEEE 754 binary16, where the compiler has no such type.
struct half {
    std::uint16_t bits;
};

template <class T>
class array;
template <class T>
class view;

namespace detail {

[[noreturn]] inline void fail(baler_status status) { throw error(status, baler_last_error()); }

inline void check(baler_status status) {
    if (status != BALER_STATUS_OK) {
        fail(status);
    }
}

template <class T>
T *check(T *handle) {
    if (handle == nullptr) {
        fail(baler_last_status());
    }
    return handle;
}

template <class T>
constexpr baler_dtype dtype_of() {
    if constexpr (std::is_floating_point_v<T> && sizeof(T) == 4) {
        return BALER_DTYPE_F32;
    } else if constexpr (std::is_floating_point_v<T> && sizeof(T) == 8) {
        return BALER_DTYPE_F64;
#if defined(__STDCPP_FLOAT16_T__)
    } else if constexpr (std::is_same_v<T, std::float16_t>) {
        return BALER_DTYPE_F16;
#endif
    } else if constexpr (std::is_same_v<T, half>) {
        return BALER_DTYPE_F16;
    } else {
        static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>, "Baler holds floats and integers");
        constexpr bool is_signed = std::is_signed_v<T>;
        if constexpr (sizeof(T) == 1) {
            return is_signed ? BALER_DTYPE_I8 : BALER_DTYPE_U8;
        } else if constexpr (sizeof(T) == 2) {
            return is_signed ? BALER_DTYPE_I16 : BALER_DTYPE_U16;
        } else if constexpr (sizeof(T) == 4) {
            return is_signed ? BALER_DTYPE_I32 : BALER_DTYPE_U32;
        } else {
            static_assert(sizeof(T) == 8, "integers of 8, 16, 32 or 64 bits");
            return is_signed ? BALER_DTYPE_I64 : BALER_DTYPE_U64;
        }
    }
}

inline baler_byte_order native_byte_order() {
    const std::uint16_t one = 1;
    return *reinterpret_cast<const unsigned char *>(&one) == 1 ? BALER_BYTE_ORDER_LITTLE : BALER_BYTE_ORDER_BIG;
}

struct free {
    void operator()(baler_codec *handle) const noexcept { baler_codec_free(handle); }
    void operator()(baler_model *handle) const noexcept { baler_model_free(handle); }
    void operator()(baler_writer *handle) const noexcept { baler_writer_free(handle); }
    void operator()(baler_reader *handle) const noexcept { baler_reader_free(handle); }
};

template <class T>
using handle = std::unique_ptr<T, free>;

/// Extents, on the stack: a view costs no allocation.
class extents {
public:
    extents() = default;
    extents(std::initializer_list<std::size_t> list) { assign(list.begin(), list.end()); }

    template <class I>
    void assign(I begin, I end) {
        rank_ = 0;
        for (; begin != end; ++begin) {
            if (rank_ == BALER_MAX_RANK) {
                throw error(BALER_STATUS_INVALID_ARGUMENT, "more than 32 axes");
            }
            values_[rank_++] = static_cast<std::uint64_t>(*begin);
        }
    }

    std::size_t size() const noexcept { return rank_; }
    const std::uint64_t *data() const noexcept { return values_.data(); }
    const std::uint64_t *begin() const noexcept { return data(); }
    const std::uint64_t *end() const noexcept { return data() + rank_; }
    std::size_t operator[](std::size_t axis) const noexcept { return static_cast<std::size_t>(values_[axis]); }

    /// Product of the extents.
    std::size_t n_values() const {
        std::size_t n = 1;
        for (std::uint64_t extent : *this) {
            if (extent != 0 && n > SIZE_MAX / extent) {
                throw error(BALER_STATUS_INVALID_ARGUMENT, "the shape does not fit the address space");
            }
            n *= static_cast<std::size_t>(extent);
        }
        return n;
    }

    bool operator==(const extents &other) const noexcept {
        return rank_ == other.rank_ && std::equal(begin(), end(), other.begin());
    }
    bool operator!=(const extents &other) const noexcept { return !(*this == other); }

private:
    std::array<std::uint64_t, BALER_MAX_RANK> values_{};
    std::size_t rank_ = 0;
};

template <class... I>
std::size_t offset(const extents &shape, I... index) {
    const std::array<std::size_t, sizeof...(I)> indices{static_cast<std::size_t>(index)...};
    std::size_t at = 0;
    for (std::size_t axis = 0; axis < indices.size(); axis++) {
        at = at * shape[axis] + indices[axis];
    }
    return at;
}

template <class... I>
void check_index(const extents &shape, I... index) {
    const std::array<std::size_t, sizeof...(I)> indices{static_cast<std::size_t>(index)...};
    if (indices.size() != shape.size()) {
        throw std::out_of_range("baler: " + std::to_string(indices.size()) + " indices for " +
                                std::to_string(shape.size()) + " axes");
    }
    for (std::size_t axis = 0; axis < indices.size(); axis++) {
        if (indices[axis] >= shape[axis]) {
            throw std::out_of_range("baler: index " + std::to_string(indices[axis]) + " of axis " +
                                    std::to_string(axis) + ", whose extent is " + std::to_string(shape[axis]));
        }
    }
}

template <class T, class = void>
struct is_range : std::false_type {};
template <class T>
struct is_range<T, std::void_t<decltype(std::declval<T &>().data()), decltype(std::declval<T &>().size())>>
    : std::true_type {};

/// What has values and their number, and no shape of its own.
template <class T>
struct has_shape : std::false_type {};
template <class T>
struct has_shape<array<T>> : std::true_type {};
template <class T>
struct has_shape<view<T>> : std::true_type {};
template <class T>
using if_flat = std::enable_if_t<is_range<T>::value && !has_shape<std::remove_const_t<T>>::value>;

}  // namespace detail

/// Extents of an array, slowest axis first.
using extents = detail::extents;

/// Values somewhere in memory and their shape, in C order; owns nothing. `view<const T>` only reads.
template <class T>
class view {
public:
    view(T *data, extents shape) : data_(data), shape_(shape), size_(shape_.n_values()) {}

    /// Of a vector, an array, a span: one axis.
    template <class R, class = detail::if_flat<R>>
    view(R &range) : view(range.data(), extents{range.size()}) {}

    /// Of the same, with another shape of as many values.
    template <class R, class = detail::if_flat<R>>
    view(R &range, extents shape) : view(range.data(), shape) {
        if (range.size() != size_) {
            throw error(BALER_STATUS_INVALID_ARGUMENT, "a view of " + std::to_string(size_) + " values over " +
                                                           std::to_string(range.size()));
        }
    }

    /// Of an array, with its shape.
    view(array<std::remove_const_t<T>> &values) : view(values.data(), values.shape()) {}
    template <class U, class = std::enable_if_t<std::is_same_v<const U, T>>>
    view(const array<U> &values) : view(values.data(), values.shape()) {}

#if defined(__cpp_lib_mdspan)
    template <class E>
    view(std::mdspan<T, E, std::layout_right> span) : data_(span.data_handle()) {
        std::array<std::size_t, E::rank()> shape{};
        for (std::size_t axis = 0; axis < E::rank(); axis++) {
            shape[axis] = static_cast<std::size_t>(span.extent(axis));
        }
        shape_.assign(shape.begin(), shape.end());
        size_ = shape_.n_values();
    }
#endif

    operator view<const T>() const { return view<const T>(data_, shape_); }

    T *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    const extents &shape() const noexcept { return shape_; }
    T *begin() const noexcept { return data_; }
    T *end() const noexcept { return data_ + size_; }

    /// The value at one index for each axis, unchecked.
    template <class... I>
    T &operator()(I... index) const noexcept {
        return data_[detail::offset(shape_, index...)];
    }

    /// The same; std::out_of_range for an index that is none.
    template <class... I>
    T &at(I... index) const {
        detail::check_index(shape_, index...);
        return (*this)(index...);
    }

private:
    T *data_;
    extents shape_;
    std::size_t size_;
};

template <class T>
view(array<T> &) -> view<T>;
template <class T>
view(const array<T> &) -> view<const T>;
template <class R, class = detail::if_flat<R>>
view(R &) -> view<std::remove_pointer_t<decltype(std::declval<R &>().data())>>;
template <class R>
view(R &, extents) -> view<std::remove_pointer_t<decltype(std::declval<R &>().data())>>;
template <class R>
view(R &, std::initializer_list<std::size_t>) -> view<std::remove_pointer_t<decltype(std::declval<R &>().data())>>;
template <class T>
view(T *, extents) -> view<T>;
template <class T>
view(T *, std::initializer_list<std::size_t>) -> view<T>;

/// Values and their shape, in C order.
template <class T>
class array {
public:
    array() : shape_{0} {}
    explicit array(extents shape) : values_(shape.n_values()), shape_(shape) {}

    const std::vector<T> &values() const & noexcept { return values_; }
    std::vector<T> &values() & noexcept { return values_; }
    std::vector<T> values() && noexcept { return std::move(values_); }
    const extents &shape() const noexcept { return shape_; }
    std::size_t size() const noexcept { return values_.size(); }
    T *data() noexcept { return values_.data(); }
    const T *data() const noexcept { return values_.data(); }

    template <class... I>
    T &operator()(I... index) noexcept {
        return values_[detail::offset(shape_, index...)];
    }
    template <class... I>
    const T &operator()(I... index) const noexcept {
        return values_[detail::offset(shape_, index...)];
    }
    template <class... I>
    const T &at(I... index) const {
        detail::check_index(shape_, index...);
        return (*this)(index...);
    }

private:
    std::vector<T> values_;
    extents shape_;
};

/// How well to encode: a bound and what goes with it. `baler::rel(1e-3).fast().model(id)`
class params {
public:
    explicit params(baler_bound kind, double value = 0) : kind_(kind), value_(value) {}
    params(baler_bound kind, std::vector<double> columns)
        : kind_(kind), value_(0), per_column_(true), columns_(std::move(columns)) {}

    /// The last axis holds the columns of a table, and the bound is meant of each.
    params &per_column() { return per_column_ = true, *this; }
    /// A value that is restored bit for bit, in the type of the array.
    template <class T>
    params &fill(T value) {
        const unsigned char *bytes = reinterpret_cast<const unsigned char *>(&value);
        fill_.assign(bytes, bytes + sizeof value);
        fill_dtype_ = detail::dtype_of<T>();
        return *this;
    }
    /// This model alone, by its id.
    params &model(std::string id) { return model_ = std::move(id), *this; }
    /// No model.
    params &no_model() { return model("none"); }
    /// The cheapest candidates only.
    params &fast() { return effort_ = BALER_EFFORT_FAST, *this; }
    /// All candidates, each encoded in full.
    params &max() { return effort_ = BALER_EFFORT_MAX, *this; }
    /// Decode the finished chunk and compare before handing it over.
    params &check_decode() { return check_decode_ = true, *this; }
    /// Put the decoder of the model that is used into the chunk, so that it opens anywhere.
    params &embed() { return embed_ = true, *this; }
    /// What becomes of outliers.
    params &outliers(baler_outliers outliers) { return outliers_ = outliers, *this; }

    /// The parameters of an array as the C functions take them, in this machine's byte order. They point into this object
    /// and into `shape`.
    template <class T>
    baler_params c_params(const extents &shape) const {
        if (!fill_.empty() && fill_dtype_ != detail::dtype_of<T>()) {
            throw error(BALER_STATUS_INVALID_ARGUMENT, "the fill value has another type than the array");
        }
        baler_params c{};
        c.struct_size = sizeof c;
        c.dtype = detail::dtype_of<T>();
        c.byte_order = detail::native_byte_order();
        c.rank = shape.size();
        c.shape = shape.data();
        c.bound_kind = kind_;
        c.bound_value = value_;
        c.per_column = per_column_ ? 1 : 0;
        c.fill = fill_.empty() ? nullptr : fill_.data();
        c.fill_len = fill_.size();
        c.model = model_ ? model_->c_str() : nullptr;
        c.effort = effort_;
        c.check_decode = check_decode_ ? 1 : 0;
        c.column_bounds = columns_.empty() ? nullptr : columns_.data();
        c.n_column_bounds = columns_.size();
        c.embed = embed_ ? 1 : 0;
        c.outliers = outliers_;
        return c;
    }

private:
    baler_bound kind_;
    double value_;
    bool per_column_ = false, check_decode_ = false, embed_ = false;
    std::vector<double> columns_;
    std::vector<unsigned char> fill_;
    baler_dtype fill_dtype_ = BALER_DTYPE_U8;
    std::optional<std::string> model_;
    baler_effort effort_ = BALER_EFFORT_DEFAULT;
    baler_outliers outliers_ = BALER_OUTLIERS_DEFAULT;
};

/// Every bit.
inline params lossless() { return params(BALER_BOUND_LOSSLESS); }
/// `|x' - x| <= bound`.
inline params abs(double bound) { return params(BALER_BOUND_ABS, bound); }
/// `|x' - x| <= bound * (max - min)`.
inline params rel(double bound) { return params(BALER_BOUND_REL, bound); }
/// `|x' - x| <= bound * |x|`.
inline params pw_rel(double bound) { return params(BALER_BOUND_PW_REL, bound); }
/// Peak signal-to-noise ratio of at least so many dB.
inline params psnr(double decibels) { return params(BALER_BOUND_PSNR, decibels); }
/// A model's latents alone: no bound.
inline params latent(std::string model) { return params(BALER_BOUND_LATENT).model(std::move(model)); }

/// An encoded chunk.
using bytes = std::vector<std::uint8_t>;

/// What a chunk decodes to.
struct chunk_info {
    baler_dtype dtype;
    baler_byte_order byte_order;
    extents shape;
    std::uint64_t decoded_len;
};

namespace detail {

inline baler::chunk_info chunk_info(const void *chunk, std::size_t len) {
    baler_chunk_info_t c{};
    c.struct_size = sizeof c;
    check(baler_chunk_info(chunk, len, &c));
    baler::chunk_info info{static_cast<baler_dtype>(c.dtype), static_cast<baler_byte_order>(c.byte_order), {}, c.decoded_len};
    info.shape.assign(c.shape, c.shape + c.rank);
    return info;
}

inline void check_dtype(std::uint32_t found, std::uint32_t byte_order, baler_dtype expected) {
    if (found != expected || byte_order != native_byte_order()) {
        throw error(BALER_STATUS_INVALID_ARGUMENT,
                    "the array is of dtype " + std::to_string(found) + " and byte order " + std::to_string(byte_order) +
                        ", asked for " + std::to_string(expected) + " and " + std::to_string(native_byte_order()));
    }
}

}  // namespace detail

/// What `chunk` (a vector, a string, a span of bytes) decodes to.
template <class R>
chunk_info info(const R &chunk) {
    static_assert(sizeof(*chunk.data()) == 1, "a chunk is bytes");
    return detail::chunk_info(chunk.data(), chunk.size());
}

/// A pretrained model.
class model {
public:
    /// Of the bytes of a bundle.
    template <class R>
    static model parse(const R &bundle) {
        static_assert(sizeof(*bundle.data()) == 1, "a bundle is bytes");
        return model(detail::check(baler_model_parse(bundle.data(), bundle.size())));
    }
    /// Of a `.bundle` file.
    static model open(const std::string &path) { return model(detail::check(baler_model_open(path.c_str()))); }

    std::string id() const { return text(BALER_MODEL_FIELD_ID); }
    std::string name() const { return text(BALER_MODEL_FIELD_NAME); }
    std::string family() const { return text(BALER_MODEL_FIELD_FAMILY); }
    std::string description() const { return text(BALER_MODEL_FIELD_DESCRIPTION); }
    std::string license() const { return text(BALER_MODEL_FIELD_LICENSE); }
    std::string card() const { return text(BALER_MODEL_FIELD_CARD); }

    baler_model_info_t info() const {
        baler_model_info_t info{};
        info.struct_size = sizeof info;
        detail::check(baler_model_info(c_handle(), &info));
        return info;
    }
    /// As the bytes of a bundle.
    bytes to_bytes(bool decoder_only = false) const {
        std::size_t len = 0;
        const std::uint32_t part = decoder_only ? 1 : 0;
        const baler_status status = baler_model_write(c_handle(), part, nullptr, 0, &len);
        if (status != BALER_STATUS_BUFFER_TOO_SMALL) {
            detail::fail(status);
        }
        bytes out(len);
        detail::check(baler_model_write(c_handle(), part, out.data(), out.size(), &len));
        return out;
    }

    baler_model *c_handle() const noexcept { return handle_.get(); }

private:
    friend class codec;
    explicit model(baler_model *handle) : handle_(handle) {}
    std::string text(std::uint32_t field) const { return detail::check(baler_model_text(c_handle(), field)); }

    detail::handle<baler_model> handle_;
};

/// For `codec(baler::bare)`.
struct bare_t {};
inline constexpr bare_t bare{};

/// What encodes and decodes. Many threads can use one at once.
class codec {
public:
    /// Knows the models of the library, of `BALER_MODEL_PATH` and of the user's folder.
    codec() : handle_(detail::check(baler_codec_new())) {}
    /// Knows those that are added.
    explicit codec(bare_t) : handle_(detail::check(baler_codec_new_bare())) {}

    codec &add(const model &model) {
        detail::check(baler_codec_add_model(c_handle(), model.c_handle()));
        return *this;
    }
    codec &add_folder(const std::string &path) {
        detail::check(baler_codec_add_folder(c_handle(), path.c_str()));
        return *this;
    }
    /// What runs the encoders of models in fixed point: "emulator", "opencl", ... The bytes do not depend on it.
    codec &set_device(const std::string &device) {
        detail::check(baler_codec_set_device(c_handle(), device.c_str()));
        return *this;
    }
    /// What is told, instead of standard error, of a model or device that failed while something was encoded, which was then
    /// encoded another way within the same bound. Called by the threads that encode; what it throws is dropped. The codec must
    /// then outlive its writers.
    codec &set_warning(std::function<void(const std::string &)> warn) {
        auto next = std::make_unique<std::function<void(const std::string &)>>(std::move(warn));
        detail::check(baler_codec_set_warning(c_handle(), *next ? call_warning : nullptr, next.get()));
        // Writers and calls that are running may still hold the one before.
        warnings_.push_back(std::move(next));
        return *this;
    }
    std::vector<model> models() const {
        std::vector<baler_model *> handles;
        for (;;) {
            std::size_t n = 0;
            const baler_status status = baler_codec_models(c_handle(), handles.data(), handles.size(), &n);
            // Another thread may add one in between.
            if (status == BALER_STATUS_BUFFER_TOO_SMALL) {
                handles.assign(n, nullptr);
                continue;
            }
            detail::check(status);
            std::vector<detail::handle<baler_model>> owned(handles.begin(), handles.begin() + static_cast<std::ptrdiff_t>(n));
            std::vector<model> models;
            models.reserve(n);
            for (auto &handle : owned) {
                models.push_back(model(handle.release()));
            }
            return models;
        }
    }
    model find(const std::string &id) const { return model(detail::check(baler_model_find(c_handle(), id.c_str()))); }

    /// One chunk of all values.
    template <class T>
    bytes encode(view<T> values, const params &how) const {
        const baler_params c = how.c_params<std::remove_const_t<T>>(values.shape());
        std::size_t capacity = 0, len = 0;
        baler_status status = baler_encode_bound(&c, &capacity);
        if (status == BALER_STATUS_UNSUPPORTED) {
            // The size depends on the model; most often no more than the values.
            capacity = values.size_bytes() + 65536;
        } else {
            detail::check(status);
        }
        bytes out(capacity);
        status = baler_encode(c_handle(), &c, values.data(), values.size_bytes(), out.data(), out.size(), &len);
        if (status == BALER_STATUS_BUFFER_TOO_SMALL) {
            out.resize(len);
            status = baler_encode(c_handle(), &c, values.data(), values.size_bytes(), out.data(), out.size(), &len);
        }
        detail::check(status);
        out.resize(len);
        out.shrink_to_fit();
        return out;
    }
    template <class R, class = detail::if_flat<const R>>
    bytes encode(const R &values, const params &how) const {
        return encode(view(values), how);
    }
    template <class T>
    bytes encode(const array<T> &values, const params &how) const {
        return encode(view(values), how);
    }

    /// Decodes a chunk of `T`s to `out`, which must have as many.
    template <class T, class R>
    void decode_into(const R &chunk, view<T> out) const {
        const chunk_info info = baler::info(chunk);
        detail::check_dtype(info.dtype, info.byte_order, detail::dtype_of<T>());
        if (info.decoded_len != out.size_bytes()) {
            throw error(BALER_STATUS_INVALID_ARGUMENT, "the chunk holds " + std::to_string(info.decoded_len) +
                                                           " bytes, the view " + std::to_string(out.size_bytes()));
        }
        decode_to(chunk.data(), chunk.size(), out.data(), out.size_bytes());
    }

    /// Decodes a chunk of `T`s; more than `max_len` bytes are refused before memory is taken for them.
    template <class T, class R>
    array<T> decode(const R &chunk, std::uint64_t max_len = std::uint64_t{1} << 32) const {
        const chunk_info info = baler::info(chunk);
        detail::check_dtype(info.dtype, info.byte_order, detail::dtype_of<T>());
        if (info.decoded_len > max_len) {
            throw error(BALER_STATUS_LIMIT_EXCEEDED, "the chunk holds " + std::to_string(info.decoded_len) +
                                                         " bytes, allowed are " + std::to_string(max_len));
        }
        array<T> out(info.shape);
        decode_to(chunk.data(), chunk.size(), out.data(), out.size() * sizeof(T));
        return out;
    }

    baler_codec *c_handle() const noexcept { return handle_.get(); }

private:
    void decode_to(const void *chunk, std::size_t len, void *out, std::size_t capacity) const {
        std::size_t out_len = 0;
        detail::check(baler_decode(c_handle(), chunk, len, out, capacity, &out_len));
    }

    static void call_warning(void *context, const char *message) noexcept {
        try {
            (*static_cast<std::function<void(const std::string &)> *>(context))(message);
        } catch (...) {
        }
    }

    std::vector<std::unique_ptr<std::function<void(const std::string &)>>> warnings_;
    detail::handle<baler_codec> handle_;
};

/// How a stream is written or read.
struct stream_options {
    std::uint64_t rows_per_chunk = 0;
    std::uint32_t threads = 1;
    std::uint64_t max_chunk_len = 0;
    bool reversed_axes = false;

    baler_stream_options c_options() const {
        baler_stream_options c{};
        c.struct_size = sizeof c;
        c.rows_per_chunk = rows_per_chunk;
        c.max_chunk_len = max_chunk_len;
        c.threads = threads;
        c.reversed_axes = reversed_axes ? 1 : 0;
        return c;
    }
};

/// Writes arrays to a `.baler` stream, chunk by chunk.
class writer {
public:
    /// Takes bytes of the stream; what it throws comes out of the call that wrote.
    using sink = std::function<void(const void *part, std::size_t len)>;

    writer(const codec &codec, sink to) : state_(std::make_unique<state>()) {
        state_->write = std::move(to);
        handle_.reset(detail::check(baler_writer_new(codec.c_handle(), &state::call, state_.get())));
    }
    writer(const codec &codec, std::ostream &out)
        : writer(codec, [&out](const void *part, std::size_t len) {
              if (!out.write(static_cast<const char *>(part), static_cast<std::streamsize>(len))) {
                  throw error(BALER_STATUS_IO, "the output stream failed");
              }
          }) {}

    /// Begins an array of `T`s.
    template <class T>
    void begin(const std::string &name, extents shape, const params &how, stream_options options = {}) {
        const baler_params c = how.c_params<T>(shape);
        const baler_stream_options c_options = options.c_options();
        check(baler_writer_array(c_handle(), name.c_str(), &c, &c_options));
    }
    /// Takes in the range of values: all of them, before the first is written, for `rel` and `psnr`.
    template <class T>
    void measure(view<T> values) {
        check(baler_writer_measure(c_handle(), values.data(), values.size_bytes()));
    }
    /// Writes the next values.
    template <class T>
    void write(view<T> values) {
        check(baler_writer_write(c_handle(), values.data(), values.size_bytes()));
    }
    /// Ends the stream. Without it, readers report a cut one.
    void finish() { check(baler_writer_finish(c_handle())); }

    baler_writer *c_handle() const noexcept { return handle_.get(); }

private:
    struct state {
        sink write;
        std::exception_ptr thrown;

        static std::int32_t call(void *context, const void *part, std::size_t len) noexcept {
            auto *self = static_cast<state *>(context);
            try {
                self->write(part, len);
                return 0;
            } catch (...) {
                self->thrown = std::current_exception();
                return 1;
            }
        }
    };

    void check(baler_status status) {
        if (state_->thrown) {
            std::rethrow_exception(std::exchange(state_->thrown, nullptr));
        }
        detail::check(status);
    }

    std::unique_ptr<state> state_;
    detail::handle<baler_writer> handle_;
};

/// Reads arrays from a `.baler` stream.
class reader {
public:
    /// Gives up to `capacity` bytes of the stream and returns how many, 0 at its end; may throw.
    using source = std::function<std::size_t(void *buffer, std::size_t capacity)>;

    reader(const codec &codec, source from, stream_options options = {}) : state_(std::make_unique<state>()) {
        state_->read = std::move(from);
        const baler_stream_options c = options.c_options();
        baler_reader *handle = baler_reader_new(codec.c_handle(), &state::call, state_.get(), &c);
        check(handle == nullptr ? baler_last_status() : BALER_STATUS_OK);
        handle_.reset(handle);
    }
    reader(const codec &codec, std::istream &in, stream_options options = {})
        : reader(
              codec,
              [&in](void *buffer, std::size_t capacity) {
                  in.read(static_cast<char *>(buffer), static_cast<std::streamsize>(capacity));
                  if (in.bad()) {
                      throw error(BALER_STATUS_IO, "the input stream failed");
                  }
                  return static_cast<std::size_t>(in.gcount());
              },
              options) {}

    /// Goes to the next array; false at the end of the stream, all of which is then known to be right.
    bool next() {
        info_ = baler_array_info_t{};
        info_.struct_size = sizeof info_;
        const baler_status status = baler_reader_next(c_handle(), &info_);
        if (status == BALER_STATUS_END) {
            return false;
        }
        check(status);
        name_ = info_.name;
        shape_.assign(info_.shape, info_.shape + info_.rank);
        return true;
    }
    const std::string &name() const noexcept { return name_; }
    const extents &shape() const noexcept { return shape_; }
    const baler_array_info_t &info() const noexcept { return info_; }

    /// Reads the next values of the array, as many as fit; returns their number, 0 at its end.
    template <class T>
    std::size_t read(view<T> out) {
        detail::check_dtype(info_.dtype, info_.byte_order, detail::dtype_of<T>());
        std::size_t len = 0;
        check(baler_reader_read(c_handle(), out.data(), out.size_bytes(), &len));
        return len / sizeof(T);
    }

    baler_reader *c_handle() const noexcept { return handle_.get(); }

private:
    struct state {
        source read;
        std::exception_ptr thrown;

        static std::int32_t call(void *context, void *buffer, std::size_t capacity, std::size_t *len) noexcept {
            auto *self = static_cast<state *>(context);
            try {
                *len = self->read(buffer, capacity);
                return 0;
            } catch (...) {
                self->thrown = std::current_exception();
                return 1;
            }
        }
    };

    void check(baler_status status) {
        if (state_->thrown) {
            std::rethrow_exception(std::exchange(state_->thrown, nullptr));
        }
        detail::check(status);
    }

    std::unique_ptr<state> state_;
    detail::handle<baler_reader> handle_;
    baler_array_info_t info_{};
    std::string name_;
    extents shape_;
};

/// The version of the library, such as `0.1.0`.
inline std::string version() { return baler_version(); }

}  // namespace baler

#endif  // BALER_HPP
