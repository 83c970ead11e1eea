/* The interface of libbaler.so.0, as programs were compiled against it. Checked by tests/abi.rs: this file must compile with
 * the header, and every symbol, member and number of today must be here.
 *
 * Lines are added, never changed or taken away: what is here is what others rely on. */
#include "baler.h"

#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX != 0xffffffffffffffff
#error "the record is of machines with 64-bit pointers"
#endif

/* A structure may grow at its end. */
#define AT_LEAST(type, size) _Static_assert(sizeof(struct type) >= size, #type " has shrunk")
#define MEMBER(type, member, offset, size)                                                    \
  _Static_assert(offsetof(struct type, member) == offset, #type "." #member " has moved"); \
  _Static_assert(sizeof(((struct type *)0)->member) == size, #type "." #member " has another size")
#define NUMBER(name, value) _Static_assert(name == value, #name " is another number")

/* Numbers */
NUMBER(BALER_STATUS_OK, 0);
NUMBER(BALER_STATUS_INVALID_ARGUMENT, 1);
NUMBER(BALER_STATUS_UNSUPPORTED, 2);
NUMBER(BALER_STATUS_CORRUPT, 3);
NUMBER(BALER_STATUS_VERSION, 4);
NUMBER(BALER_STATUS_MODEL_MISSING, 5);
NUMBER(BALER_STATUS_MODEL_INVALID, 6);
NUMBER(BALER_STATUS_RUNTIME_MISSING, 7);
NUMBER(BALER_STATUS_LIMIT_EXCEEDED, 8);
NUMBER(BALER_STATUS_BUFFER_TOO_SMALL, 9);
NUMBER(BALER_STATUS_INTERNAL, 10);
NUMBER(BALER_STATUS_END, 11);
NUMBER(BALER_STATUS_IO, 12);
NUMBER(BALER_DTYPE_F16, 1);
NUMBER(BALER_DTYPE_F32, 2);
NUMBER(BALER_DTYPE_F64, 3);
NUMBER(BALER_DTYPE_I8, 4);
NUMBER(BALER_DTYPE_I16, 5);
NUMBER(BALER_DTYPE_I32, 6);
NUMBER(BALER_DTYPE_I64, 7);
NUMBER(BALER_DTYPE_U8, 8);
NUMBER(BALER_DTYPE_U16, 9);
NUMBER(BALER_DTYPE_U32, 10);
NUMBER(BALER_DTYPE_U64, 11);
NUMBER(BALER_BYTE_ORDER_LITTLE, 0);
NUMBER(BALER_BYTE_ORDER_BIG, 1);
NUMBER(BALER_BOUND_LOSSLESS, 0);
NUMBER(BALER_BOUND_ABS, 1);
NUMBER(BALER_BOUND_REL, 2);
NUMBER(BALER_BOUND_PW_REL, 3);
NUMBER(BALER_BOUND_PSNR, 4);
NUMBER(BALER_BOUND_LATENT, 5);
NUMBER(BALER_EFFORT_DEFAULT, 0);
NUMBER(BALER_EFFORT_FAST, 1);
NUMBER(BALER_EFFORT_MAX, 2);
NUMBER(BALER_OUTLIERS_DEFAULT, 0);
NUMBER(BALER_OUTLIERS_KEEP, 1);
NUMBER(BALER_OUTLIERS_IGNORE, 2);
NUMBER(BALER_MODEL_FIELD_ID, 0);
NUMBER(BALER_MODEL_FIELD_NAME, 1);
NUMBER(BALER_MODEL_FIELD_FAMILY, 2);
NUMBER(BALER_MODEL_FIELD_DESCRIPTION, 3);
NUMBER(BALER_MODEL_FIELD_LICENSE, 4);
NUMBER(BALER_MODEL_FIELD_CARD, 5);
NUMBER(BALER_MAX_RANK, 32);
_Static_assert(sizeof(baler_status) == 4, "baler_status has another size");
_Static_assert(sizeof(baler_dtype) == 4, "baler_dtype has another size");
_Static_assert(sizeof(baler_byte_order) == 4, "baler_byte_order has another size");
_Static_assert(sizeof(baler_bound) == 4, "baler_bound has another size");
_Static_assert(sizeof(baler_effort) == 4, "baler_effort has another size");
_Static_assert(sizeof(baler_outliers) == 4, "baler_outliers has another size");
_Static_assert(sizeof(baler_model_field) == 4, "baler_model_field has another size");

/* Structures */
AT_LEAST(baler_chunk_info_t, 288);
MEMBER(baler_chunk_info_t, struct_size, 0, 8);
MEMBER(baler_chunk_info_t, dtype, 8, 4);
MEMBER(baler_chunk_info_t, byte_order, 12, 4);
MEMBER(baler_chunk_info_t, rank, 16, 8);
MEMBER(baler_chunk_info_t, decoded_len, 24, 8);
MEMBER(baler_chunk_info_t, shape, 32, 256);
AT_LEAST(baler_params, 80);
MEMBER(baler_params, struct_size, 0, 8);
MEMBER(baler_params, dtype, 8, 4);
MEMBER(baler_params, byte_order, 12, 4);
MEMBER(baler_params, rank, 16, 8);
MEMBER(baler_params, shape, 24, 8);
MEMBER(baler_params, bound_kind, 32, 4);
MEMBER(baler_params, per_column, 36, 4);
MEMBER(baler_params, bound_value, 40, 8);
MEMBER(baler_params, fill, 48, 8);
MEMBER(baler_params, fill_len, 56, 8);
MEMBER(baler_params, model, 64, 8);
MEMBER(baler_params, effort, 72, 4);
MEMBER(baler_params, check_decode, 76, 4);
MEMBER(baler_params, column_bounds, 80, 8);
MEMBER(baler_params, n_column_bounds, 88, 8);
MEMBER(baler_params, embed, 96, 4);
MEMBER(baler_params, outliers, 100, 4);
AT_LEAST(baler_model_info_t, 296);
MEMBER(baler_model_info_t, struct_size, 0, 8);
MEMBER(baler_model_info_t, n_latents, 8, 8);
MEMBER(baler_model_info_t, n_columns, 16, 8);
MEMBER(baler_model_info_t, decoder_len, 24, 8);
MEMBER(baler_model_info_t, can_encode, 32, 4);
MEMBER(baler_model_info_t, tile_rank, 36, 4);
MEMBER(baler_model_info_t, tile, 40, 256);
AT_LEAST(baler_stream_options, 32);
MEMBER(baler_stream_options, struct_size, 0, 8);
MEMBER(baler_stream_options, rows_per_chunk, 8, 8);
MEMBER(baler_stream_options, max_chunk_len, 16, 8);
MEMBER(baler_stream_options, threads, 24, 4);
MEMBER(baler_stream_options, reversed_axes, 28, 4);
AT_LEAST(baler_array_info_t, 328);
MEMBER(baler_array_info_t, struct_size, 0, 8);
MEMBER(baler_array_info_t, name, 8, 8);
MEMBER(baler_array_info_t, dtype, 16, 4);
MEMBER(baler_array_info_t, byte_order, 20, 4);
MEMBER(baler_array_info_t, bound_kind, 24, 4);
MEMBER(baler_array_info_t, per_column, 28, 4);
MEMBER(baler_array_info_t, bound_value, 32, 8);
MEMBER(baler_array_info_t, abs_bound, 40, 8);
MEMBER(baler_array_info_t, values_len, 48, 8);
MEMBER(baler_array_info_t, rows_per_chunk, 56, 8);
MEMBER(baler_array_info_t, rank, 64, 4);
MEMBER(baler_array_info_t, reversed_axes, 68, 4);
MEMBER(baler_array_info_t, shape, 72, 256);
AT_LEAST(baler_arrow_options, 40);
MEMBER(baler_arrow_options, struct_size, 0, 8);
MEMBER(baler_arrow_options, bound, 8, 8);
MEMBER(baler_arrow_options, columns, 16, 8);
MEMBER(baler_arrow_options, n_columns, 24, 8);
MEMBER(baler_arrow_options, no_prediction, 32, 4);
MEMBER(baler_arrow_options, reserved, 36, 4);

/* Types of functions: a function of the type as it was can be handed over. */
static int32_t as_baler_read_fn(void *context, void *buffer, size_t capacity, size_t *len) {
  (void)context;
  (void)buffer;
  (void)capacity;
  (void)len;
  return 0;
}
baler_read_fn check_baler_read_fn = as_baler_read_fn;
static int32_t as_baler_write_fn(void *context, const void *bytes, size_t len) {
  (void)context;
  (void)bytes;
  (void)len;
  return 0;
}
baler_write_fn check_baler_write_fn = as_baler_write_fn;

static void as_baler_warning_fn(void *context, const char *message) {
  (void)context;
  (void)message;
}
baler_warning_fn check_baler_warning_fn = as_baler_warning_fn;

/* Functions */
struct baler_codec *baler_codec_new(void);
struct baler_codec *baler_codec_new_bare(void);
void baler_codec_free(struct baler_codec *codec);
baler_status baler_codec_add_model(struct baler_codec *codec, const struct baler_model *model);
baler_status baler_codec_set_device(struct baler_codec *codec, const char *device);
baler_status baler_codec_add_folder(struct baler_codec *codec, const char *path);
baler_status baler_codec_models(const struct baler_codec *codec, struct baler_model **models, size_t capacity, size_t *n_models);
baler_status baler_chunk_info(const void *chunk, size_t chunk_len, struct baler_chunk_info_t *info);
baler_status baler_decode(const struct baler_codec *codec, const void *chunk, size_t chunk_len, void *out, size_t out_capacity, size_t *out_len);
baler_status baler_encode_bound(const struct baler_params *params, size_t *size);
baler_status baler_encode(const struct baler_codec *codec, const struct baler_params *params, const void *values, size_t values_len, void *out, size_t out_capacity, size_t *out_len);
struct baler_model *baler_model_parse(const void *bundle, size_t len);
struct baler_model *baler_model_open(const char *path);
struct baler_model *baler_model_find(const struct baler_codec *codec, const char *id);
void baler_model_free(struct baler_model *model);
const char *baler_model_text(const struct baler_model *model, uint32_t field);
baler_status baler_model_info(const struct baler_model *model, struct baler_model_info_t *info);
baler_status baler_model_write(const struct baler_model *model, uint32_t decoder_only, void *out, size_t out_capacity, size_t *out_len);
baler_status baler_last_status(void);
const char *baler_last_error(void);
const char *baler_version(void);
struct baler_reader *baler_reader_new(const struct baler_codec *codec, baler_read_fn read, void *context, const struct baler_stream_options *options);
void baler_reader_free(struct baler_reader *reader);
baler_status baler_reader_next(struct baler_reader *reader, struct baler_array_info_t *info);
baler_status baler_reader_read(struct baler_reader *reader, void *out, size_t out_capacity, size_t *out_len);
struct baler_writer *baler_writer_new(const struct baler_codec *codec, baler_write_fn write, void *context);
void baler_writer_free(struct baler_writer *writer);
baler_status baler_writer_array(struct baler_writer *writer, const char *name, const struct baler_params *params, const struct baler_stream_options *options);
baler_status baler_writer_measure(struct baler_writer *writer, const void *values, size_t values_len);
baler_status baler_writer_write(struct baler_writer *writer, const void *values, size_t values_len);
baler_status baler_writer_finish(struct baler_writer *writer);
baler_status baler_arrow_encode_stream(struct ArrowArrayStream *in, const struct baler_arrow_options *options, struct ArrowArrayStream *out);
baler_status baler_arrow_decode_stream(struct ArrowArrayStream *in, struct ArrowArrayStream *out);
baler_status baler_codec_set_warning(struct baler_codec *codec, baler_warning_fn warn, void *context);
