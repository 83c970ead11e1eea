/*
 * Baler: error-bounded compression of scientific arrays with pretrained models.
 * Written by cbindgen from the sources of baler-ffi: change those, not this file.
 *
 * - The caller allocates every buffer. One that is too small is BALER_STATUS_BUFFER_TOO_SMALL, and *out_len says what
 *   it takes.
 * - Structures begin with struct_size: set it to their sizeof, and every member that is not needed to zero.
 * - Every function may be called from any thread, and one codec used by many at once.
 * - All numbers are permanent.
 */

#ifndef BALER_H
#define BALER_H

#include <stddef.h>
#include <stdint.h>

/**
 * The most axes of an array.
 */
#define BALER_MAX_RANK 32

/**
 * What a call came to. The numbers are permanent. The message is in `baler_last_error`.
 */
enum baler_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Done.
   */
  BALER_STATUS_OK = 0,
  /**
   * An argument is wrong: fix the call.
   */
  BALER_STATUS_INVALID_ARGUMENT = 1,
  /**
   * Well formed, but this version does not handle it.
   */
  BALER_STATUS_UNSUPPORTED = 2,
  /**
   * The chunk is damaged, cut or no chunk: distrust the file.
   */
  BALER_STATUS_CORRUPT = 3,
  /**
   * The chunk was written by a newer version: update the reader.
   */
  BALER_STATUS_VERSION = 4,
  /**
   * A model is needed that was not found: fetch it.
   */
  BALER_STATUS_MODEL_MISSING = 5,
  /**
   * A model was found but cannot be used.
   */
  BALER_STATUS_MODEL_INVALID = 6,
  /**
   * A runtime of the host is needed and not there: install it.
   */
  BALER_STATUS_RUNTIME_MISSING = 7,
  /**
   * More memory or time would be needed than is allowed.
   */
  BALER_STATUS_LIMIT_EXCEEDED = 8,
  /**
   * The output buffer is too small; `*out_len` says what it takes.
   */
  BALER_STATUS_BUFFER_TOO_SMALL = 9,
  /**
   * A defect of the library; please report it with the message.
   */
  BALER_STATUS_INTERNAL = 10,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum baler_status baler_status;
#else
typedef int32_t baler_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Element types, for `baler_params.dtype`.
 */
enum baler_dtype
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * IEEE 754 binary16.
   */
  BALER_DTYPE_F16 = 1,
  /**
   * IEEE 754 binary32.
   */
  BALER_DTYPE_F32 = 2,
  /**
   * IEEE 754 binary64.
   */
  BALER_DTYPE_F64 = 3,
  /**
   * Two's complement, 8 bits.
   */
  BALER_DTYPE_I8 = 4,
  /**
   * Two's complement, 16 bits.
   */
  BALER_DTYPE_I16 = 5,
  /**
   * Two's complement, 32 bits.
   */
  BALER_DTYPE_I32 = 6,
  /**
   * Two's complement, 64 bits.
   */
  BALER_DTYPE_I64 = 7,
  /**
   * Unsigned, 8 bits.
   */
  BALER_DTYPE_U8 = 8,
  /**
   * Unsigned, 16 bits.
   */
  BALER_DTYPE_U16 = 9,
  /**
   * Unsigned, 32 bits.
   */
  BALER_DTYPE_U32 = 10,
  /**
   * Unsigned, 64 bits.
   */
  BALER_DTYPE_U64 = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum baler_dtype baler_dtype;
#else
typedef uint32_t baler_dtype;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Byte orders of the caller's array, for `baler_params.byte_order`.
 */
enum baler_byte_order
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Least significant byte first.
   */
  BALER_BYTE_ORDER_LITTLE = 0,
  /**
   * Most significant byte first.
   */
  BALER_BYTE_ORDER_BIG = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum baler_byte_order baler_byte_order;
#else
typedef uint32_t baler_byte_order;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Kinds of bound, for `baler_params.bound_kind`. `x` is a value, `x'` what it decodes to.
 */
enum baler_bound
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * `x' = x`, bit for bit. `bound_value` must be 0.
   */
  BALER_BOUND_LOSSLESS = 0,
  /**
   * `|x' - x| <= bound_value`.
   */
  BALER_BOUND_ABS = 1,
  /**
   * `|x' - x| <= bound_value * (max - min)` over the chunk.
   */
  BALER_BOUND_REL = 2,
  /**
   * `|x' - x| <= bound_value * |x|`.
   */
  BALER_BOUND_PW_REL = 3,
  /**
   * Peak signal-to-noise ratio of the chunk of at least `bound_value` dB.
   */
  BALER_BOUND_PSNR = 4,
  /**
   * A model's latents alone: a fixed size, no bound. `bound_value` must be 0.
   */
  BALER_BOUND_LATENT = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum baler_bound baler_bound;
#else
typedef uint32_t baler_bound;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How long to search, for `baler_params.effort`.
 */
enum baler_effort
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * All candidates, chosen from samples.
   */
  BALER_EFFORT_DEFAULT = 0,
  /**
   * The cheapest candidates only.
   */
  BALER_EFFORT_FAST = 1,
  /**
   * All candidates, each encoded in full.
   */
  BALER_EFFORT_MAX = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum baler_effort baler_effort;
#else
typedef uint32_t baler_effort;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What encodes and decodes: knows the models of the library, of the folders in `BALER_MODEL_PATH` and of the user's
 * folder. Never changed once made, so that many threads can use it at once.
 */
typedef struct baler_codec baler_codec;

/**
 * What a chunk decodes to.
 */
typedef struct baler_chunk_info_t {
  /**
   * `sizeof(baler_chunk_info_t)`; the caller sets it.
   */
  size_t struct_size;
  /**
   * A `baler_dtype`.
   */
  uint32_t dtype;
  /**
   * A `baler_byte_order`.
   */
  uint32_t byte_order;
  /**
   * Number of axes.
   */
  size_t rank;
  /**
   * Bytes of the decoded array.
   */
  uint64_t decoded_len;
  /**
   * `rank` extents, slowest axis first; zeros behind them.
   */
  uint64_t shape[BALER_MAX_RANK];
} baler_chunk_info_t;

/**
 * What to encode and how well. Set everything to zero, then `struct_size`, then what you want.
 */
typedef struct baler_params {
  /**
   * `sizeof(baler_params)`.
   */
  size_t struct_size;
  /**
   * A `baler_dtype`.
   */
  uint32_t dtype;
  /**
   * A `baler_byte_order`.
   */
  uint32_t byte_order;
  /**
   * Number of axes, at most 32; 0 means one value.
   */
  size_t rank;
  /**
   * `rank` extents, slowest axis first (C order).
   */
  const uint64_t *shape;
  /**
   * A `baler_bound`.
   */
  uint32_t bound_kind;
  /**
   * 0, or 1: the last axis holds the columns of a table, and the bound is meant of each column.
   */
  uint32_t per_column;
  /**
   * The bound itself.
   */
  double bound_value;
  /**
   * The fill value, one element in `byte_order`, restored bit for bit; NULL for none.
   */
  const void *fill;
  /**
   * Bytes at `fill`: the size of one element, or 0 for none.
   */
  size_t fill_len;
  /**
   * NULL: every model that fits takes part. `"none"`: no model. 32 hexadecimal digits: the model of this id.
   */
  const char *model;
  /**
   * A `baler_effort`.
   */
  uint32_t effort;
  /**
   * 0, or 1: decode the finished chunk and compare before handing it over.
   */
  uint32_t check_decode;
} baler_params;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Reads what a chunk of `chunk_len` bytes decodes to, after checking that every bit of it is as it was written.
 * Needs no model.
 *
 * # Safety
 * Unless refused, `chunk` points to `chunk_len` bytes that nobody changes during the call, and `info` to a structure of
 * the size it gives of itself. `chunk` needs no alignment.
 */
baler_status baler_chunk_info(const void *chunk, size_t chunk_len, struct baler_chunk_info_t *info);

/**
 * Decodes a chunk to at most `out_capacity` bytes at `out`: the array in C order and its own byte order.
 *
 * `*out_len` becomes the length of the array. With `BALER_STATUS_BUFFER_TOO_SMALL` it is the length the array has, and
 * `out` is as it was. After any other failure both are as they were. A chunk that claims more than `out_capacity`
 * bytes is refused before any memory is taken for them.
 *
 * # Safety
 * Unless refused, every pointer is valid for what the argument beside it says, and nobody changes the inputs during the
 * call. Neither `chunk` nor `out` needs any alignment.
 */
baler_status baler_decode(const struct baler_codec *codec,
                          const void *chunk,
                          size_t chunk_len,
                          void *out,
                          size_t out_capacity,
                          size_t *out_len);

/**
 * Writes to `*size` how many bytes a chunk with these parameters takes at most, whatever the values.
 *
 * `BALER_STATUS_UNSUPPORTED` for `BALER_BOUND_LATENT`: its size depends on the model; `baler_encode` will tell.
 *
 * # Safety
 * Unless NULL, `params` points to a structure of the size it gives of itself, whose pointers are valid, and `size` to
 * a number.
 */
baler_status baler_encode_bound(const struct baler_params *params, size_t *size);

/**
 * Encodes one chunk: `values_len` bytes at `values`, in C order, to at most `out_capacity` bytes at `out`.
 *
 * `*out_len` becomes the length of the chunk. With `BALER_STATUS_BUFFER_TOO_SMALL` it is the length the chunk would
 * have, and `out` is as it was: `baler_encode_bound` bytes are always enough. After any other failure both are as they
 * were. The same arguments give the same bytes, on every thread and machine with the same models.
 *
 * # Safety
 * Unless refused, every pointer is valid for what the argument beside it says, and nobody changes the inputs during the
 * call. `values` needs no alignment.
 */
baler_status baler_encode(const struct baler_codec *codec,
                          const struct baler_params *params,
                          const void *values,
                          size_t values_len,
                          void *out,
                          size_t out_capacity,
                          size_t *out_len);

/**
 * Makes a codec. NULL if that fails; `baler_last_error` says why.
 *
 * The environment is read here: `BALER_MODEL_PATH`, `XDG_DATA_HOME`, `HOME`.
 */
struct baler_codec *baler_codec_new(void);

/**
 * Gives a codec back. NULL is allowed and does nothing.
 *
 * # Safety
 * `codec` comes from `baler_codec_new`, was not freed before, and no thread uses it any more.
 */
void baler_codec_free(struct baler_codec *codec);

/**
 * The message of the last call that failed on this thread, in UTF-8; empty if none did.
 *
 * The text belongs to the library and stays until the next failing call on the same thread.
 */
const char *baler_last_error(void);

/**
 * The version of the library, such as `0.1.0`. The text is there as long as the library.
 */
const char *baler_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BALER_H */
