/*
 * Baler: error-bounded compression of scientific arrays with pretrained models.
 * Written by cbindgen from the sources of baler-ffi: change those, not this file.
 *
 * - The caller allocates every buffer. One that is too small is BALER_STATUS_BUFFER_TOO_SMALL, and *out_len says what
 *   it takes.
 * - Structures begin with struct_size: set it to their sizeof, and every member that is not needed to zero.
 * - Every function may be called from any thread: one codec by many at once, one reader or writer by one at a time.
 *   What else there is to say stands under "Threads".
 * - Memory is the library's own or the caller's: what the library gives a handle to goes back by the _free of its kind.
 * - All numbers are permanent.
 */

#ifndef BALER_H
#define BALER_H

#include <stddef.h>
#include <stdint.h>

/* Only the functions of tables need them: whoever passes one includes Arrow's own header, or takes these. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};
#endif /* ARROW_C_DATA_INTERFACE */

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
  int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
  const char *(*get_last_error)(struct ArrowArrayStream *);
  void (*release)(struct ArrowArrayStream *);
  void *private_data;
};
#endif /* ARROW_C_STREAM_INTERFACE */

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
  /**
   * No failure: a stream holds no more arrays, and all of it is as it was written.
   */
  BALER_STATUS_END = 11,
  /**
   * The caller's function that reads or writes the bytes of a stream said that it failed.
   */
  BALER_STATUS_IO = 12,
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
 * What becomes of the tiles that a model's density takes for outliers, for `baler_params.outliers`.
 */
enum baler_outliers
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Stored exactly under `BALER_BOUND_LATENT`, like the others under any other bound.
   */
  BALER_OUTLIERS_DEFAULT = 0,
  /**
   * Stored exactly; `model` must name a model that has a density.
   */
  BALER_OUTLIERS_KEEP = 1,
  /**
   * Stored like the others.
   */
  BALER_OUTLIERS_IGNORE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum baler_outliers baler_outliers;
#else
typedef uint32_t baler_outliers;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Texts about a model, for `baler_model_text`.
 */
enum baler_model_field
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Its id: 32 hexadecimal digits, a hash of its content; for `baler_params.model`.
   */
  BALER_MODEL_FIELD_ID = 0,
  /**
   * Its name.
   */
  BALER_MODEL_FIELD_NAME = 1,
  /**
   * Its family: `autoencoder`, `predictor`.
   */
  BALER_MODEL_FIELD_FAMILY = 2,
  /**
   * What it is for, in a sentence or two.
   */
  BALER_MODEL_FIELD_DESCRIPTION = 3,
  /**
   * The licence of its weights, an SPDX expression.
   */
  BALER_MODEL_FIELD_LICENSE = 4,
  /**
   * Its card, Markdown: data, training, figures; empty if this copy has none.
   */
  BALER_MODEL_FIELD_CARD = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum baler_model_field baler_model_field;
#else
typedef uint32_t baler_model_field;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What encodes and decodes: knows models, and where to look for more. Many threads can use one at once.
 */
typedef struct baler_codec baler_codec;

/**
 * A pretrained model: a bundle of the library, of a folder, or of the program.
 */
typedef struct baler_model baler_model;

/**
 * Reads arrays from a `.baler` stream.
 */
typedef struct baler_reader baler_reader;

/**
 * Writes arrays to a `.baler` stream: the format of the command line's files.
 */
typedef struct baler_writer baler_writer;

/**
 * Which columns of a table are encoded, and how well. Set everything to zero, then `struct_size`, then what you want.
 */
typedef struct baler_arrow_options {
  /**
   * `sizeof(baler_arrow_options)`.
   */
  size_t struct_size;
  /**
   * The bound of every column of floats: `abs:0.1`, `rel:1e-4`, `pw_rel:1e-3`, `bits:10` (mantissa bits kept) or
   * `lossless`. NULL: what the metadata of the schema and its fields ask for (`baler.abs`, ...).
   */
  const char *bound;
  /**
   * `n_columns` texts for single columns, by path: `jets.pt=abs:0.01`, `weight=lossless`.
   */
  const char *const *columns;
  /**
   * Number of texts at `columns`.
   */
  size_t n_columns;
  /**
   * 0, or 1: no column is predicted from others.
   */
  uint32_t no_prediction;
  /**
   * 0.
   */
  uint32_t reserved;
} baler_arrow_options;

/**
 * Is told what went wrong with a model or a device while something was encoded, and that it was encoded another way.
 * `message` is UTF-8, and there during the call. It must return: no exception, no `longjmp`.
 */
typedef void (*baler_warning_fn)(void *context, const char *message);

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
  /**
   * NULL, or the value of the bound for each column of a table, 0 for one without loss: then `bound_value` must be 0
   * and `per_column` 1.
   */
  const double *column_bounds;
  /**
   * Numbers at `column_bounds`: the extent of the last axis, or 0 for none.
   */
  size_t n_column_bounds;
  /**
   * 0, or 1: put the decoder of the model that is used into the chunk, so that it opens anywhere.
   */
  uint32_t embed;
  /**
   * A `baler_outliers`.
   */
  uint32_t outliers;
} baler_params;

/**
 * What a model takes.
 */
typedef struct baler_model_info_t {
  /**
   * `sizeof(baler_model_info_t)`; the caller sets it.
   */
  size_t struct_size;
  /**
   * Latents for each tile; 0 for a predictor.
   */
  size_t n_latents;
  /**
   * Columns of the tables that it predicts; 0 for others.
   */
  size_t n_columns;
  /**
   * Bytes of what a reader needs: what `baler_params.embed` adds to a chunk. 0 for a predictor, which no reader needs.
   */
  uint64_t decoder_len;
  /**
   * 0, or 1: this copy can encode too.
   */
  uint32_t can_encode;
  /**
   * Axes of a tile: the block of values that the latents stand for, the last axes of an array.
   */
  uint32_t tile_rank;
  /**
   * `tile_rank` extents, slowest axis first; zeros behind them.
   */
  uint64_t tile[BALER_MAX_RANK];
} baler_model_info_t;

/**
 * Puts up to `capacity` of the next bytes of a stream into `buffer` and sets `*len` to their number, 0 at the end of the
 * stream only. Returns 0, or anything else if it failed. Otherwise as `baler_write_fn`.
 */
typedef int32_t (*baler_read_fn)(void *context, void *buffer, size_t capacity, size_t *len);

/**
 * How a stream is written or read. Set everything to zero, then `struct_size`, then what you want; NULL is all defaults.
 */
typedef struct baler_stream_options {
  /**
   * `sizeof(baler_stream_options)`.
   */
  size_t struct_size;
  /**
   * Writing: entries of the first axis in every chunk but the last; 0 for about 8 MiB of values.
   */
  uint64_t rows_per_chunk;
  /**
   * Reading: the most bytes a chunk may decode to; 0 for 4 GiB.
   */
  uint64_t max_chunk_len;
  /**
   * Threads that encode or decode, and chunks in memory at once; 0 for 1. The bytes are the same with any number.
   */
  uint32_t threads;
  /**
   * 0, or 1: the owner of the array sees its axes the other way round (Fortran order). Writing only.
   */
  uint32_t reversed_axes;
} baler_stream_options;

/**
 * An array of a stream.
 */
typedef struct baler_array_info_t {
  /**
   * `sizeof(baler_array_info_t)`; the caller sets it.
   */
  size_t struct_size;
  /**
   * Its name, in UTF-8, empty if it has none. Belongs to the reader until the next `baler_reader_next`.
   */
  const char *name;
  /**
   * A `baler_dtype`.
   */
  uint32_t dtype;
  /**
   * A `baler_byte_order`.
   */
  uint32_t byte_order;
  /**
   * A `baler_bound`: what was promised, meant of the whole array.
   */
  uint32_t bound_kind;
  /**
   * 0, or 1: the bound is meant of each column.
   */
  uint32_t per_column;
  /**
   * The value of that bound: the largest if columns have their own.
   */
  double bound_value;
  /**
   * The bound as an absolute error; 0 where it is not one number for the whole array.
   */
  double abs_bound;
  /**
   * Bytes of all values.
   */
  uint64_t values_len;
  /**
   * Entries of the first axis in every chunk but the last.
   */
  uint64_t rows_per_chunk;
  /**
   * Number of axes.
   */
  uint32_t rank;
  /**
   * 0, or 1: the owner of the array sees its axes the other way round (Fortran order).
   */
  uint32_t reversed_axes;
  /**
   * `rank` extents, slowest axis first, of the values as they lie in memory; zeros behind them.
   */
  uint64_t shape[BALER_MAX_RANK];
} baler_array_info_t;

/**
 * Takes the next `len` bytes of a stream. Returns 0, or anything else if it failed: the call that wrote then ends with
 * `BALER_STATUS_IO`. It is called by the thread that calls the library, and must not throw or jump out.
 */
typedef int32_t (*baler_write_fn)(void *context, const void *bytes, size_t len);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Encodes the columns of a table: `out` becomes a stream of batches of codes. `options` can be NULL: then metadata say what
 * is encoded.
 *
 * Takes `in` over and reads it to its end, since the codes of a column follow from the range of all its values: the table
 * is in memory until `out` is released. Batches are encoded as `out` gives them. After
 * `BALER_STATUS_INVALID_ARGUMENT` for a pointer or an option, `in` is as it was; otherwise it is a released stream.
 * `out` is written by a call that succeeds, and must be released by the caller.
 *
 * The environment is read here: `BALER_MODEL_PATH`, `XDG_DATA_HOME`, `HOME`.
 *
 * Threads: any, while none changes the environment; `out` by one at a time.
 *
 * # Safety
 * Unless refused, `in` points to a stream, `options` to a structure of the size it gives of itself whose pointers are
 * valid, and `out` to room for a stream, whose content is not looked at.
 */
baler_status baler_arrow_encode_stream(struct ArrowArrayStream *in,
                                       const struct baler_arrow_options *options,
                                       struct ArrowArrayStream *out);

/**
 * Decodes a table that was encoded by `baler_arrow_encode_stream`, or by any other program of Baler's that writes such
 * columns: `out` becomes a stream of batches of values. A table that is not encoded passes unchanged.
 *
 * Takes `in` over; one batch at a time is in memory. What decoding needs travels in the schema's metadata; where a program
 * in between has dropped them, it is looked for in the folders of `BALER_MODEL_PATH` and the user's. Otherwise as
 * `baler_arrow_encode_stream`.
 *
 * Threads: any, while none changes the environment; `out` by one at a time.
 *
 * # Safety
 * As `baler_arrow_encode_stream`.
 */
baler_status baler_arrow_decode_stream(struct ArrowArrayStream *in,
                                       struct ArrowArrayStream *out);

/**
 * Makes a codec that knows the models of the library, of the folders in `BALER_MODEL_PATH` and of the user's folder.
 * NULL if that fails; `baler_last_error` says why.
 *
 * The environment is read here: `BALER_MODEL_PATH`, `XDG_DATA_HOME`, `HOME`; and when first needed `BALER_DEVICE`
 * (`baler_codec_set_device`).
 *
 * Threads: any, while none changes the environment.
 */
struct baler_codec *baler_codec_new(void);

/**
 * Makes a codec that knows no model and reads no environment: models are those that are added. NULL if that fails;
 * `baler_last_error` says why.
 *
 * Threads: any.
 */
struct baler_codec *baler_codec_new_bare(void);

/**
 * Gives a codec back. NULL is allowed and does nothing. Readers, writers and models made with it stay.
 *
 * Threads: one, after all calls that use the codec.
 *
 * # Safety
 * `codec` comes from `baler_codec_new` or `baler_codec_new_bare`, was not freed before, and no thread uses it any more.
 */
void baler_codec_free(struct baler_codec *codec);

/**
 * Adds a model to those that the codec knows. The model can be freed afterwards.
 *
 * Threads: any, at any time; calls that are running go on with the models they began with. Usually a step before the
 * codec is shared, since a model that takes part changes the bytes of later chunks.
 *
 * # Safety
 * Unless refused, both are handles of the library that were not freed.
 */
baler_status baler_codec_add_model(struct baler_codec *codec, const struct baler_model *model);

/**
 * Adds the `*.bundle` files of a folder, looked at whenever a model is needed. The folder must be there.
 *
 * Threads: as `baler_codec_add_model`.
 *
 * # Safety
 * Unless refused, `codec` is a handle that was not freed, and `path` ends with a zero byte.
 */
baler_status baler_codec_add_folder(struct baler_codec *codec, const char *path);

/**
 * Sets what runs the encoders of models in fixed point: `emulator`, `opencl`, `xrt:xclbin=FILE`, ..., as for `BALER_DEVICE`
 * (docs/fpga.md, section Devices). The bytes of chunks do not depend on it. A device that is not there or fails is
 * replaced by the emulator, with a warning (`baler_codec_set_warning`).
 *
 * Threads: as `baler_codec_add_model`.
 *
 * # Safety
 * Unless refused, `codec` is a handle that was not freed, and `device` ends with a zero byte.
 */
baler_status baler_codec_set_device(struct baler_codec *codec,
                                    const char *device);

/**
 * Sets what is told, instead of standard error, when a model, the runtime that it needs or a device of
 * `baler_codec_set_device` fails while something is encoded: it is then encoded another way, within the same bound, and each
 * model is told of once. `warn` is called with `context`; NULL: nothing is told. Where there is no other way (the bound
 * `BALER_BOUND_LATENT`, `BALER_OUTLIERS_KEEP`) the call fails instead.
 *
 * The device of `BALER_DEVICE` belongs to the process and warns on standard error.
 *
 * Threads: any, at any time. `warn` is called by the threads that encode, by several at once.
 *
 * # Safety
 * Unless refused, `codec` is a handle that was not freed; `warn` can be called with `context` as long as the codec, its
 * writers and other calls of this function for it are there.
 */
baler_status baler_codec_set_warning(struct baler_codec *codec,
                                     baler_warning_fn warn,
                                     void *context);

/**
 * Lists every model the codec knows: `*n_models` becomes their number, and as many handles are written to `models`, to
 * be given back with `baler_model_free` one by one. With `BALER_STATUS_BUFFER_TOO_SMALL` none is written.
 *
 * Threads: any.
 *
 * # Safety
 * Unless refused, `codec` is a handle that was not freed, `models` has room for `capacity` pointers, and `n_models` is a
 * number.
 */
baler_status baler_codec_models(const struct baler_codec *codec,
                                struct baler_model **models,
                                size_t capacity,
                                size_t *n_models);

/**
 * Reads what a chunk of `chunk_len` bytes decodes to, after checking that every bit of it is as it was written.
 * Needs no model.
 *
 * Threads: any.
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
 * Threads: any, many at once with one codec.
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
 * `BALER_STATUS_UNSUPPORTED` where the size depends on the model: for `BALER_BOUND_LATENT`, and for outliers kept in a
 * chunk with its decoder; `baler_encode` will tell.
 *
 * Threads: any.
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
 * Threads: any, many at once with one codec.
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
 * Makes a model of the `len` bytes of a bundle, which can be freed afterwards. NULL if that fails: `baler_last_status` is
 * `BALER_STATUS_CORRUPT` or `BALER_STATUS_MODEL_INVALID` if the bytes are at fault.
 *
 * Threads: any.
 *
 * # Safety
 * Unless refused, `bundle` points to `len` bytes that nobody changes during the call. It needs no alignment.
 */
struct baler_model *baler_model_parse(const void *bundle,
                                      size_t len);

/**
 * Makes a model of a `.bundle` file. NULL if that fails; `baler_last_error` says why.
 *
 * Threads: any.
 *
 * # Safety
 * Unless refused, `path` ends with a zero byte.
 */
struct baler_model *baler_model_open(const char *path);

/**
 * The model of this id, 32 hexadecimal digits, among those that the codec knows. NULL if that fails:
 * `baler_last_status` is `BALER_STATUS_MODEL_MISSING` if it is not there, and `baler_last_error` says where was looked.
 *
 * Threads: any.
 *
 * # Safety
 * Unless refused, `codec` is a handle that was not freed, and `id` ends with a zero byte.
 */
struct baler_model *baler_model_find(const struct baler_codec *codec, const char *id);

/**
 * Gives a model back. NULL is allowed and does nothing. Codecs that it was added to keep it.
 *
 * Threads: one, after all calls that use the model and the texts of it.
 *
 * # Safety
 * `model` comes from this library, was not freed before, and no thread uses it any more.
 */
void baler_model_free(struct baler_model *model);

/**
 * A text about a model, in UTF-8: `field` is a `baler_model_field`. It belongs to the model and stays until that is
 * freed. NULL for a field that is unknown; `baler_last_error` says so.
 *
 * Threads: any.
 *
 * # Safety
 * Unless refused, `model` is a handle that was not freed.
 */
const char *baler_model_text(const struct baler_model *model, uint32_t field);

/**
 * What a model takes.
 *
 * Threads: any.
 *
 * # Safety
 * Unless refused, `model` is a handle that was not freed, and `info` a structure of the size it gives of itself.
 */
baler_status baler_model_info(const struct baler_model *model, struct baler_model_info_t *info);

/**
 * Writes a model as the bytes of a bundle: what `baler_model_parse` takes. With `decoder_only` 1 what reading needs,
 * with 0 all of it. Buffers as for `baler_encode`.
 *
 * Threads: any.
 *
 * # Safety
 * Unless refused, `model` is a handle that was not freed, and the pointers are valid for what the argument beside them
 * says.
 */
baler_status baler_model_write(const struct baler_model *model,
                               uint32_t decoder_only,
                               void *out,
                               size_t out_capacity,
                               size_t *out_len);

/**
 * The status of the last call that failed on this thread; `BALER_STATUS_OK` if none did. For functions that give a
 * handle and no status.
 *
 * Threads: any.
 */
baler_status baler_last_status(void);

/**
 * The message of the last call that failed on this thread, in UTF-8; empty if none did.
 *
 * The text belongs to the library and stays until the next failing call on the same thread.
 *
 * Threads: any; each has a message of its own.
 */
const char *baler_last_error(void);

/**
 * The version of the library, such as `0.1.0`. The text is there as long as the library.
 *
 * Threads: any.
 */
const char *baler_version(void);

/**
 * Makes a reader of a stream, whose bytes come from `read`, called with `context`, and reads the beginning. `options` can
 * be NULL. NULL if that fails; `baler_last_status` and `baler_last_error` say why. The reader keeps the models that the
 * codec has now; the codec can be freed. Models that the stream carries are found there.
 *
 * Threads: any.
 *
 * # Safety
 * Unless refused, `codec` is a handle that was not freed, `options` of the size it gives of itself, and `read` can be
 * called with `context` as long as the reader is used.
 */
struct baler_reader *baler_reader_new(const struct baler_codec *codec,
                                      baler_read_fn read,
                                      void *context,
                                      const struct baler_stream_options *options);

/**
 * Gives a reader back. NULL is allowed and does nothing.
 *
 * Threads: one, after all calls that use the reader. Never calls `read`.
 *
 * # Safety
 * `reader` comes from `baler_reader_new`, was not freed before, and no thread uses it any more.
 */
void baler_reader_free(struct baler_reader *reader);

/**
 * Goes to the next array of the stream, over what was not read of the one before. `BALER_STATUS_END` if there is none: the
 * stream was then read to its end, and every byte of it is as it was written.
 *
 * Threads: one at a time for each reader; a second gets `BALER_STATUS_INVALID_ARGUMENT`.
 *
 * # Safety
 * Unless refused, `reader` is a handle that was not freed, and `info` a structure of the size it gives of itself.
 */
baler_status baler_reader_next(struct baler_reader *reader,
                               struct baler_array_info_t *info);

/**
 * Reads the next bytes of the array, in C order: as many as fit, fewer only at its end. `*out_len` becomes their number, 0
 * at the end of the array.
 *
 * Threads: as `baler_reader_next`.
 *
 * # Safety
 * Unless refused, `reader` is a handle that was not freed, `out` has room for `out_capacity` bytes, and `out_len` is a
 * number.
 */
baler_status baler_reader_read(struct baler_reader *reader,
                               void *out,
                               size_t out_capacity,
                               size_t *out_len);

/**
 * Makes a writer to a new stream, whose bytes go to `write`, called with `context`. NULL if that fails;
 * `baler_last_error` says why. The writer keeps the models that the codec has now; the codec can be freed.
 *
 * Threads: any.
 *
 * # Safety
 * Unless refused, `codec` is a handle that was not freed, and `write` can be called with `context` as long as the writer
 * is used.
 */
struct baler_writer *baler_writer_new(const struct baler_codec *codec,
                                      baler_write_fn write,
                                      void *context);

/**
 * Gives a writer back. NULL is allowed and does nothing. A stream that was not finished is cut, and readers will say so.
 *
 * Threads: one, after all calls that use the writer. Never calls `write`.
 *
 * # Safety
 * `writer` comes from `baler_writer_new`, was not freed before, and no thread uses it any more.
 */
void baler_writer_free(struct baler_writer *writer);

/**
 * Begins an array: `params` is of the whole of it. `options` can be NULL.
 *
 * A stream of one array can do without a name: NULL or "". One of several needs a name for each, as the members of a
 * `.npz` file have. The array before must be complete.
 *
 * Threads: one at a time for each writer; a second gets `BALER_STATUS_INVALID_ARGUMENT`.
 *
 * # Safety
 * Unless refused, `writer` is a handle that was not freed, `name` ends with a zero byte, and the structures are of the
 * size they give of themselves.
 */
baler_status baler_writer_array(struct baler_writer *writer,
                                const char *name,
                                const struct baler_params *params,
                                const struct baler_stream_options *options);

/**
 * Takes in the range of some of the array's values, in any order: for bounds that are meant of the whole array
 * (`BALER_BOUND_REL` and `BALER_BOUND_PSNR` without `per_column`), all of them, before the first is written. Not needed for
 * other bounds.
 *
 * Threads: as `baler_writer_array`.
 *
 * # Safety
 * Unless refused, `writer` is a handle that was not freed, and `values` points to `values_len` bytes that nobody changes
 * during the call. It needs no alignment.
 */
baler_status baler_writer_measure(struct baler_writer *writer,
                                  const void *values,
                                  size_t values_len);

/**
 * Writes the next `values_len` bytes of the array, in C order; any number of them. A chunk is encoded as soon as it is
 * full, or one for each thread together.
 *
 * After `BALER_STATUS_IO` and other failures that are not of the arguments, the stream is lost, and later calls say so.
 *
 * Threads: as `baler_writer_array`.
 *
 * # Safety
 * As `baler_writer_measure`.
 */
baler_status baler_writer_write(struct baler_writer *writer, const void *values, size_t values_len);

/**
 * Ends the stream, whose last array must be complete: without it, readers report a cut stream.
 *
 * Threads: as `baler_writer_array`.
 *
 * # Safety
 * Unless refused, `writer` is a handle that was not freed.
 */
baler_status baler_writer_finish(struct baler_writer *writer);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BALER_H */
