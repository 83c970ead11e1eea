/* Every function with every wrong argument: NULL, zero, misaligned, overlapping, impossibly long. Prints what each came
 * to, and fails if that is not what is promised, or if anything was written that should not be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baler.h"

#define ROWS 32
#define COLUMNS 48
#define CAPACITY 16384
#define HUGE_LEN SIZE_MAX
#define LAST ((void *)(uintptr_t)(UINTPTR_MAX - 7))

static const char *const NAMES[] = {"ok",          "invalid argument", "unsupported",    "corrupt",        "version",
                                    "model missing", "model invalid",  "runtime missing", "limit exceeded", "buffer too small",
                                    "internal",    "end",              "io"};

static int n_wrong, n_cases;
static uint64_t room[CAPACITY / 8], len_room[4];
static size_t *const len = (size_t *)&len_room[1];

/* What calls may write to, as it must be afterwards. */
static void reset(void) {
    memset(room, 0xa5, sizeof room);
    memset(len_room, 0xa5, sizeof len_room);
}

static int is_untouched(void) {
    const unsigned char *bytes = (const unsigned char *)room;
    for (size_t i = 0; i < sizeof room; i++) {
        if (bytes[i] != 0xa5) {
            return 0;
        }
    }
    bytes = (const unsigned char *)len_room;
    for (size_t i = 0; i < sizeof len_room; i++) {
        if (bytes[i] != 0xa5) {
            return 0;
        }
    }
    return 1;
}

static void report(const char *function, const char *argument, const char *value, baler_status expected,
                   baler_status found) {
    /* A call that fails for its arguments writes nothing; the others say how much they wrote. */
    int is_right = found == expected && (found != BALER_STATUS_INVALID_ARGUMENT || is_untouched());
    const char *message = found == BALER_STATUS_OK ? "" : baler_last_error();
    is_right = is_right && (found == BALER_STATUS_OK || (message[0] != '\0' && baler_last_status() == found));
    n_cases++;
    n_wrong += !is_right;
    printf("%-24s %-22s %-26s %s%s\n", function, argument, value, NAMES[found],
           is_right ? "" : is_untouched() ? ", WRONG" : ", WRONG: written");
    if (!is_right) {
        printf("    expected %s; %s\n", NAMES[expected], message);
    }
    fflush(stdout);
    reset();
}

#define CASE(function, argument, value, expected, call) report(function, argument, value, BALER_STATUS_##expected, call)
#define BAD(function, argument, value, call) CASE(function, argument, value, INVALID_ARGUMENT, call)

/* For functions that give a handle. */
#define GIVES(kind)                                          \
    static baler_status gives_##kind(baler_##kind *handle) { \
        if (handle == NULL) {                                \
            return baler_last_status();                      \
        }                                                    \
        baler_##kind##_free(handle);                         \
        return BALER_STATUS_OK;                              \
    }
GIVES(model)
GIVES(writer)
GIVES(reader)

/* For functions that give a text. */
static baler_status gives_text(const char *text) { return text == NULL ? baler_last_status() : BALER_STATUS_OK; }

/* For functions without a status: it is the last one, and that of a call before if nothing failed. */
static baler_status after(baler_status before) {
    return baler_last_status() == BALER_STATUS_INVALID_ARGUMENT && strstr(baler_last_error(), "aligned") ? before
                                                                                                         : BALER_STATUS_OK;
}

/* Misaligned by one byte. */
#define ODD(pointer) ((void *)((char *)(uintptr_t)(pointer) + 1))

static unsigned char stream[65536];
static size_t stream_len, stream_at;

static int32_t put(void *context, const void *bytes, size_t n) {
    (void)context;
    if (n > sizeof stream - stream_len) {
        return 1;
    }
    memcpy(stream + stream_len, bytes, n);
    stream_len += n;
    return 0;
}

static int32_t put_fails(void *context, const void *bytes, size_t n) {
    (void)context, (void)bytes, (void)n;
    return 28;
}

static int32_t get(void *context, void *buffer, size_t capacity, size_t *n) {
    (void)context;
    *n = stream_len - stream_at < capacity ? stream_len - stream_at : capacity;
    memcpy(buffer, stream + stream_at, *n);
    stream_at += *n;
    return 0;
}

static int32_t get_nothing(void *context, void *buffer, size_t capacity, size_t *n) {
    (void)context, (void)buffer, (void)capacity;
    *n = 0;
    return 0;
}

static int32_t get_too_much(void *context, void *buffer, size_t capacity, size_t *n) {
    (void)context, (void)buffer;
    *n = capacity + 1;
    return 0;
}

static const uint64_t SHAPE[2] = {ROWS, COLUMNS};

static baler_params params_of(void) {
    baler_params params;
    memset(&params, 0, sizeof params);
    params.struct_size = sizeof params;
    params.dtype = BALER_DTYPE_F32;
    params.rank = 2;
    params.shape = SHAPE;
    params.bound_kind = BALER_BOUND_ABS;
    params.bound_value = 1e-3;
    return params;
}

static void chunks(const baler_codec *codec, const float *values, size_t n, unsigned char *chunk, size_t *chunk_len) {
    const baler_params params = params_of();
    const baler_params *const p = &params;
    const char *f = "baler_encode_bound";
    BAD(f, "params", "NULL", baler_encode_bound(NULL, len));
    BAD(f, "params", "misaligned", baler_encode_bound(ODD(p), len));
    BAD(f, "size", "NULL", baler_encode_bound(p, NULL));
    BAD(f, "size", "misaligned", baler_encode_bound(p, ODD(len)));

    f = "baler_encode";
    BAD(f, "codec", "NULL", baler_encode(NULL, p, values, n, room, CAPACITY, len));
    BAD(f, "codec", "misaligned", baler_encode(ODD(codec), p, values, n, room, CAPACITY, len));
    BAD(f, "params", "NULL", baler_encode(codec, NULL, values, n, room, CAPACITY, len));
    BAD(f, "params", "misaligned", baler_encode(codec, ODD(p), values, n, room, CAPACITY, len));
    BAD(f, "values", "NULL", baler_encode(codec, p, NULL, n, room, CAPACITY, len));
    BAD(f, "values", "overlaps out", baler_encode(codec, p, room, n, room, CAPACITY, len));
    BAD(f, "values", "last byte in out", baler_encode(codec, p, room, n, (char *)room + n - 1, 64, len));
    BAD(f, "values_len", "0", baler_encode(codec, p, values, 0, room, CAPACITY, len));
    BAD(f, "values_len", "one too few", baler_encode(codec, p, values, n - 1, room, CAPACITY, len));
    BAD(f, "values_len", "SIZE_MAX", baler_encode(codec, p, values, HUGE_LEN, room, CAPACITY, len));
    BAD(f, "out", "NULL", baler_encode(codec, p, values, n, NULL, CAPACITY, len));
    BAD(f, "out", "ends past the memory", baler_encode(codec, p, values, n, LAST, CAPACITY, len));
    CASE(f, "out, out_capacity", "NULL, 0", BUFFER_TOO_SMALL, baler_encode(codec, p, values, n, NULL, 0, len));
    CASE(f, "out_capacity", "0", BUFFER_TOO_SMALL, baler_encode(codec, p, values, n, room, 0, len));
    BAD(f, "out_capacity", "SIZE_MAX", baler_encode(codec, p, values, n, room, HUGE_LEN, len));
    BAD(f, "out_len", "NULL", baler_encode(codec, p, values, n, room, CAPACITY, NULL));
    BAD(f, "out_len", "misaligned", baler_encode(codec, p, values, n, room, CAPACITY, ODD(len)));
    BAD(f, "out_len", "in out", baler_encode(codec, p, values, n, room, CAPACITY, (size_t *)room));
    BAD(f, "out_len", "in values", baler_encode(codec, p, room, n, NULL, 0, (size_t *)room));

    baler_params wrong = params;
    wrong.struct_size = 0;
    BAD(f, "params.struct_size", "0", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong.struct_size = HUGE_LEN;
    BAD(f, "params.struct_size", "SIZE_MAX", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong = params;
    wrong.shape = NULL;
    BAD(f, "params.shape", "NULL", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong.shape = ODD(SHAPE);
    BAD(f, "params.shape", "misaligned", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong.shape = LAST;
    BAD(f, "params.shape", "ends past the memory", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong = params;
    wrong.rank = HUGE_LEN;
    BAD(f, "params.rank", "SIZE_MAX", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong = params;
    wrong.fill_len = 4;
    BAD(f, "params.fill", "NULL", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong.fill = values;
    wrong.fill_len = HUGE_LEN;
    BAD(f, "params.fill_len", "SIZE_MAX", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong = params;
    wrong.per_column = 1;
    wrong.bound_value = 0;
    wrong.n_column_bounds = COLUMNS;
    BAD(f, "params.column_bounds", "NULL", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong.column_bounds = ODD(len_room);
    BAD(f, "params.column_bounds", "misaligned", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong.column_bounds = (const double *)values;
    wrong.n_column_bounds = HUGE_LEN;
    BAD(f, "params.n_column_bounds", "SIZE_MAX", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));
    wrong = params;
    wrong.model = "\xff";
    BAD(f, "params.model", "no UTF-8", baler_encode(codec, &wrong, values, n, room, CAPACITY, len));

    /* Bytes need no alignment. */
    char *odd_values = (char *)malloc(n + 1);
    if (odd_values == NULL) {
        exit(EXIT_FAILURE);
    }
    memcpy(odd_values + 1, values, n);
    baler_status status = baler_encode(codec, p, odd_values + 1, n, chunk, CAPACITY - 1, chunk_len);
    CASE(f, "values, out", "misaligned", OK, status);
    free(odd_values);
    if (status != BALER_STATUS_OK) {
        exit(EXIT_FAILURE);
    }

    f = "baler_chunk_info";
    baler_chunk_info_t info;
    memset(&info, 0, sizeof info);
    BAD(f, "info.struct_size", "0", baler_chunk_info(chunk, *chunk_len, &info));
    info.struct_size = HUGE_LEN;
    BAD(f, "info.struct_size", "SIZE_MAX", baler_chunk_info(chunk, *chunk_len, &info));
    info.struct_size = sizeof info;
    BAD(f, "chunk", "NULL", baler_chunk_info(NULL, *chunk_len, &info));
    CASE(f, "chunk", "misaligned", OK, baler_chunk_info(chunk, *chunk_len, &info));
    CASE(f, "chunk_len", "0", CORRUPT, baler_chunk_info(chunk, 0, &info));
    CASE(f, "chunk, chunk_len", "NULL, 0", CORRUPT, baler_chunk_info(NULL, 0, &info));
    BAD(f, "chunk_len", "SIZE_MAX", baler_chunk_info(chunk, HUGE_LEN, &info));
    BAD(f, "info", "NULL", baler_chunk_info(chunk, *chunk_len, NULL));
    BAD(f, "info", "misaligned", baler_chunk_info(chunk, *chunk_len, ODD(room)));

    f = "baler_decode";
    const size_t m = *chunk_len;
    BAD(f, "codec", "NULL", baler_decode(NULL, chunk, m, room, CAPACITY, len));
    BAD(f, "codec", "misaligned", baler_decode(ODD(codec), chunk, m, room, CAPACITY, len));
    BAD(f, "chunk", "NULL", baler_decode(codec, NULL, m, room, CAPACITY, len));
    BAD(f, "chunk", "overlaps out", baler_decode(codec, room, m, room, CAPACITY, len));
    BAD(f, "chunk", "last byte in out", baler_decode(codec, room, m, (char *)room + m - 1, 64, len));
    CASE(f, "chunk_len", "0", CORRUPT, baler_decode(codec, chunk, 0, room, CAPACITY, len));
    CASE(f, "chunk_len", "one too few", CORRUPT, baler_decode(codec, chunk, m - 1, room, CAPACITY, len));
    BAD(f, "chunk_len", "SIZE_MAX", baler_decode(codec, chunk, HUGE_LEN, room, CAPACITY, len));
    BAD(f, "out", "NULL", baler_decode(codec, chunk, m, NULL, CAPACITY, len));
    BAD(f, "out", "ends past the memory", baler_decode(codec, chunk, m, LAST, CAPACITY, len));
    CASE(f, "out, out_capacity", "NULL, 0", BUFFER_TOO_SMALL, baler_decode(codec, chunk, m, NULL, 0, len));
    CASE(f, "out_capacity", "0", BUFFER_TOO_SMALL, baler_decode(codec, chunk, m, room, 0, len));
    BAD(f, "out_capacity", "SIZE_MAX", baler_decode(codec, chunk, m, room, HUGE_LEN, len));
    BAD(f, "out_len", "NULL", baler_decode(codec, chunk, m, room, CAPACITY, NULL));
    BAD(f, "out_len", "misaligned", baler_decode(codec, chunk, m, room, CAPACITY, ODD(len)));
    BAD(f, "out_len", "in out", baler_decode(codec, chunk, m, room, CAPACITY, (size_t *)room));
    CASE(f, "chunk, out", "misaligned", OK, baler_decode(codec, chunk, m, ODD(room), CAPACITY - 8, len));
}

static void models(baler_codec *codec) {
    baler_model *models[64];
    size_t n = 0;
    const char *f = "baler_codec_models";
    BAD(f, "codec", "NULL", baler_codec_models(NULL, models, 64, len));
    BAD(f, "codec", "misaligned", baler_codec_models(ODD(codec), models, 64, len));
    BAD(f, "models", "NULL", baler_codec_models(codec, NULL, 64, len));
    BAD(f, "models", "misaligned", baler_codec_models(codec, ODD(room), 64, len));
    BAD(f, "models", "ends past the memory", baler_codec_models(codec, LAST, 64, len));
    CASE(f, "models, capacity", "NULL, 0", BUFFER_TOO_SMALL, baler_codec_models(codec, NULL, 0, len));
    CASE(f, "capacity", "1", BUFFER_TOO_SMALL, baler_codec_models(codec, models, 1, len));
    BAD(f, "capacity", "SIZE_MAX", baler_codec_models(codec, models, HUGE_LEN, len));
    BAD(f, "n_models", "NULL", baler_codec_models(codec, models, 64, NULL));
    BAD(f, "n_models", "misaligned", baler_codec_models(codec, models, 64, ODD(len)));
    BAD(f, "n_models", "in models", baler_codec_models(codec, (baler_model **)room, 64, (size_t *)room));
    if (baler_codec_models(codec, models, 64, &n) != BALER_STATUS_OK || n == 0) {
        exit(EXIT_FAILURE);
    }
    baler_model *const model = models[0];

    f = "baler_codec_set_device";
    BAD(f, "codec", "NULL", baler_codec_set_device(NULL, "emulator"));
    BAD(f, "codec", "misaligned", baler_codec_set_device(ODD(codec), "emulator"));
    BAD(f, "device", "NULL", baler_codec_set_device(codec, NULL));
    BAD(f, "device", "unknown", baler_codec_set_device(codec, "abacus"));
    CASE(f, "device", "emulator", OK, baler_codec_set_device(codec, "emulator"));

    f = "baler_codec_set_warning";
    BAD(f, "codec", "NULL", baler_codec_set_warning(NULL, NULL, NULL));
    BAD(f, "codec", "misaligned", baler_codec_set_warning(ODD(codec), NULL, NULL));
    CASE(f, "warn", "NULL", OK, baler_codec_set_warning(codec, NULL, NULL));

    f = "baler_codec_add_model";
    BAD(f, "codec", "NULL", baler_codec_add_model(NULL, model));
    BAD(f, "codec", "misaligned", baler_codec_add_model(ODD(codec), model));
    BAD(f, "model", "NULL", baler_codec_add_model(codec, NULL));
    BAD(f, "model", "misaligned", baler_codec_add_model(codec, ODD(model)));
    CASE(f, "model", "known already", OK, baler_codec_add_model(codec, model));
    f = "baler_codec_add_folder";
    BAD(f, "codec", "NULL", baler_codec_add_folder(NULL, "."));
    BAD(f, "codec", "misaligned", baler_codec_add_folder(ODD(codec), "."));
    BAD(f, "path", "NULL", baler_codec_add_folder(codec, NULL));
    BAD(f, "path", "empty", baler_codec_add_folder(codec, ""));
    BAD(f, "path", "not there", baler_codec_add_folder(codec, "/no/such/folder"));
    BAD(f, "path", "no UTF-8", baler_codec_add_folder(codec, "\xff"));

    f = "baler_model_parse";
    BAD(f, "bundle", "NULL", gives_model(baler_model_parse(NULL, 100)));
    CASE(f, "len", "0", CORRUPT, gives_model(baler_model_parse(room, 0)));
    CASE(f, "bundle", "no bundle", CORRUPT, gives_model(baler_model_parse(room, 100)));
    BAD(f, "len", "SIZE_MAX", gives_model(baler_model_parse(room, HUGE_LEN)));
    f = "baler_model_open";
    BAD(f, "path", "NULL", gives_model(baler_model_open(NULL)));
    BAD(f, "path", "not there", gives_model(baler_model_open("/no/such/file")));
    BAD(f, "path", "no UTF-8", gives_model(baler_model_open("\xff")));
    f = "baler_model_find";
    const char *const id = baler_model_text(model, BALER_MODEL_FIELD_ID);
    BAD(f, "codec", "NULL", gives_model(baler_model_find(NULL, id)));
    BAD(f, "codec", "misaligned", gives_model(baler_model_find(ODD(codec), id)));
    BAD(f, "id", "NULL", gives_model(baler_model_find(codec, NULL)));
    BAD(f, "id", "empty", gives_model(baler_model_find(codec, "")));
    CASE(f, "id", "of no model", MODEL_MISSING, gives_model(baler_model_find(codec, "00112233445566778899aabbccddeeff")));
    CASE(f, "id", "of a model", OK, gives_model(baler_model_find(codec, id)));
    f = "baler_model_text";
    BAD(f, "model", "NULL", gives_text(baler_model_text(NULL, BALER_MODEL_FIELD_ID)));
    BAD(f, "model", "misaligned", gives_text(baler_model_text(ODD(model), BALER_MODEL_FIELD_ID)));
    BAD(f, "field", "6", gives_text(baler_model_text(model, 6)));
    BAD(f, "field", "UINT32_MAX", gives_text(baler_model_text(model, UINT32_MAX)));

    f = "baler_model_info";
    baler_model_info_t info;
    memset(&info, 0, sizeof info);
    BAD(f, "info.struct_size", "0", baler_model_info(model, &info));
    info.struct_size = sizeof info;
    BAD(f, "model", "NULL", baler_model_info(NULL, &info));
    BAD(f, "model", "misaligned", baler_model_info(ODD(model), &info));
    BAD(f, "info", "NULL", baler_model_info(model, NULL));
    BAD(f, "info", "misaligned", baler_model_info(model, ODD(room)));

    f = "baler_model_write";
    BAD(f, "model", "NULL", baler_model_write(NULL, 0, room, CAPACITY, len));
    BAD(f, "model", "misaligned", baler_model_write(ODD(model), 0, room, CAPACITY, len));
    BAD(f, "decoder_only", "2", baler_model_write(model, 2, room, CAPACITY, len));
    BAD(f, "out", "NULL", baler_model_write(model, 0, NULL, CAPACITY, len));
    CASE(f, "out, out_capacity", "NULL, 0", BUFFER_TOO_SMALL, baler_model_write(model, 0, NULL, 0, len));
    BAD(f, "out_capacity", "SIZE_MAX", baler_model_write(model, 0, room, HUGE_LEN, len));
    BAD(f, "out_len", "NULL", baler_model_write(model, 0, room, CAPACITY, NULL));
    BAD(f, "out_len", "misaligned", baler_model_write(model, 0, room, CAPACITY, ODD(len)));
    BAD(f, "out_len", "in out", baler_model_write(model, 0, room, CAPACITY, (size_t *)room));
    for (size_t i = 0; i < n; i++) {
        baler_model_free(models[i]);
    }
}

static void writers(const baler_codec *codec, const float *values, size_t n) {
    const baler_params params = params_of();
    const baler_params *const p = &params;
    const char *f = "baler_writer_new";
    BAD(f, "codec", "NULL", gives_writer(baler_writer_new(NULL, put, NULL)));
    BAD(f, "codec", "misaligned", gives_writer(baler_writer_new(ODD(codec), put, NULL)));
    BAD(f, "write", "NULL", gives_writer(baler_writer_new(codec, NULL, NULL)));
    CASE(f, "context", "NULL", OK, gives_writer(baler_writer_new(codec, put, NULL)));

    baler_writer *writer = baler_writer_new(codec, put, NULL);
    f = "baler_writer_write";
    BAD(f, "writer", "without an array", baler_writer_write(writer, values, n));
    BAD("baler_writer_measure", "writer", "without an array", baler_writer_measure(writer, values, n));
    BAD("baler_writer_finish", "writer", "without an array", baler_writer_finish(writer));
    f = "baler_writer_array";
    baler_stream_options options;
    memset(&options, 0, sizeof options);
    BAD(f, "options.struct_size", "0", baler_writer_array(writer, NULL, p, &options));
    options.struct_size = sizeof options;
    options.threads = UINT32_MAX;
    BAD(f, "options.threads", "UINT32_MAX", baler_writer_array(writer, NULL, p, &options));
    BAD(f, "writer", "NULL", baler_writer_array(NULL, NULL, p, NULL));
    BAD(f, "writer", "misaligned", baler_writer_array(ODD(writer), NULL, p, NULL));
    BAD(f, "name", "no UTF-8", baler_writer_array(writer, "\xff", p, NULL));
    BAD(f, "params", "NULL", baler_writer_array(writer, NULL, NULL, NULL));
    BAD(f, "params", "misaligned", baler_writer_array(writer, NULL, ODD(p), NULL));
    BAD(f, "options", "misaligned", baler_writer_array(writer, NULL, p, ODD(&options)));
    CASE(f, "name, options", "NULL", OK, baler_writer_array(writer, NULL, p, NULL));
    BAD(f, "writer", "array not complete", baler_writer_array(writer, NULL, p, NULL));
    f = "baler_writer_measure";
    BAD(f, "writer", "NULL", baler_writer_measure(NULL, values, n));
    BAD(f, "writer", "misaligned", baler_writer_measure(ODD(writer), values, n));
    BAD(f, "values", "NULL", baler_writer_measure(writer, NULL, n));
    CASE(f, "values, values_len", "NULL, 0", OK, baler_writer_measure(writer, NULL, 0));
    BAD(f, "values_len", "no whole value", baler_writer_measure(writer, values, 3));
    BAD(f, "values_len", "SIZE_MAX", baler_writer_measure(writer, values, HUGE_LEN));
    f = "baler_writer_write";
    BAD(f, "writer", "NULL", baler_writer_write(NULL, values, n));
    BAD(f, "writer", "misaligned", baler_writer_write(ODD(writer), values, n));
    BAD(f, "values", "NULL", baler_writer_write(writer, NULL, n));
    CASE(f, "values, values_len", "NULL, 0", OK, baler_writer_write(writer, NULL, 0));
    BAD(f, "values_len", "SIZE_MAX", baler_writer_write(writer, values, HUGE_LEN));
    CASE(f, "values", "misaligned", OK, baler_writer_write(writer, values, 5));
    BAD(f, "values_len", "more than the array", baler_writer_write(writer, values, n));
    f = "baler_writer_finish";
    BAD(f, "writer", "NULL", baler_writer_finish(NULL));
    BAD(f, "writer", "misaligned", baler_writer_finish(ODD(writer)));
    BAD(f, "writer", "array not complete", baler_writer_finish(writer));
    if (baler_writer_write(writer, (const char *)values + 5, n - 5) != BALER_STATUS_OK) {
        exit(EXIT_FAILURE);
    }
    CASE(f, "writer", "array complete", OK, baler_writer_finish(writer));
    BAD(f, "writer", "finished before", baler_writer_finish(writer));
    baler_writer_free(writer);

    writer = baler_writer_new(codec, put_fails, NULL);
    if (baler_writer_array(writer, NULL, p, NULL) != BALER_STATUS_OK) {
        exit(EXIT_FAILURE);
    }
    CASE("baler_writer_write", "write", "fails", IO, baler_writer_write(writer, values, n));
    CASE("baler_writer_write", "write", "failed before", IO, baler_writer_write(writer, values, 0));
    baler_writer_free(writer);

    baler_params relative = params;
    relative.bound_kind = BALER_BOUND_REL;
    writer = baler_writer_new(codec, put, NULL);
    if (baler_writer_array(writer, "x", &relative, NULL) != BALER_STATUS_OK) {
        exit(EXIT_FAILURE);
    }
    BAD("baler_writer_write", "values", "of a range not measured", baler_writer_write(writer, values, n));
    baler_writer_free(writer);
}

static void readers(const baler_codec *codec) {
    const char *f = "baler_reader_new";
    baler_stream_options options;
    memset(&options, 0, sizeof options);
    BAD(f, "options.struct_size", "0", gives_reader(baler_reader_new(codec, get, NULL, &options)));
    BAD(f, "codec", "NULL", gives_reader(baler_reader_new(NULL, get, NULL, NULL)));
    BAD(f, "codec", "misaligned", gives_reader(baler_reader_new(ODD(codec), get, NULL, NULL)));
    BAD(f, "read", "NULL", gives_reader(baler_reader_new(codec, NULL, NULL, NULL)));
    BAD(f, "options", "misaligned", gives_reader(baler_reader_new(codec, get, NULL, ODD(&options))));
    CASE(f, "read", "an empty stream", CORRUPT, gives_reader(baler_reader_new(codec, get_nothing, NULL, NULL)));
    CASE(f, "read", "more than asked", IO, gives_reader(baler_reader_new(codec, get_too_much, NULL, NULL)));

    baler_reader *reader = baler_reader_new(codec, get, NULL, NULL);
    baler_array_info_t info;
    memset(&info, 0, sizeof info);
    BAD("baler_reader_read", "reader", "without an array", baler_reader_read(reader, room, CAPACITY, len));
    f = "baler_reader_next";
    BAD(f, "info.struct_size", "0", baler_reader_next(reader, &info));
    info.struct_size = sizeof info;
    BAD(f, "reader", "NULL", baler_reader_next(NULL, &info));
    BAD(f, "reader", "misaligned", baler_reader_next(ODD(reader), &info));
    BAD(f, "info", "NULL", baler_reader_next(reader, NULL));
    BAD(f, "info", "misaligned", baler_reader_next(reader, ODD(room)));
    CASE(f, "info", "right", OK, baler_reader_next(reader, &info));
    f = "baler_reader_read";
    BAD(f, "reader", "NULL", baler_reader_read(NULL, room, CAPACITY, len));
    BAD(f, "reader", "misaligned", baler_reader_read(ODD(reader), room, CAPACITY, len));
    BAD(f, "out", "NULL", baler_reader_read(reader, NULL, CAPACITY, len));
    BAD(f, "out", "ends past the memory", baler_reader_read(reader, LAST, CAPACITY, len));
    CASE(f, "out, out_capacity", "NULL, 0", OK, baler_reader_read(reader, NULL, 0, len));
    BAD(f, "out_capacity", "SIZE_MAX", baler_reader_read(reader, room, HUGE_LEN, len));
    BAD(f, "out_len", "NULL", baler_reader_read(reader, room, CAPACITY, NULL));
    BAD(f, "out_len", "misaligned", baler_reader_read(reader, room, CAPACITY, ODD(len)));
    BAD(f, "out_len", "in out", baler_reader_read(reader, room, CAPACITY, (size_t *)room));
    CASE(f, "out", "misaligned", OK, baler_reader_read(reader, ODD(room), CAPACITY - 8, len));
    CASE("baler_reader_next", "reader", "at its end", END, baler_reader_next(reader, &info));
    baler_reader_free(reader);
}

#include "tables.h"

int main(void) {
    static float values[ROWS * COLUMNS];
    static unsigned char chunk[CAPACITY];
    size_t chunk_len = 0;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        values[i] = 0.01f * (float)(i % COLUMNS) * (float)(i / COLUMNS);
    }
    reset();
    printf("%-24s %-22s %-26s %s\n", "function", "argument", "value", "status");
    CASE("baler_version", "-", "-", OK, gives_text(baler_version()));
    CASE("baler_last_error", "-", "before any failure", OK, gives_text(baler_last_error()));
    CASE("baler_last_status", "-", "before any failure", OK, baler_last_status());
    baler_codec *bare = baler_codec_new_bare(), *codec = baler_codec_new();
    CASE("baler_codec_new_bare", "-", "-", OK, bare == NULL ? baler_last_status() : BALER_STATUS_OK);
    CASE("baler_codec_new", "-", "-", OK, codec == NULL ? baler_last_status() : BALER_STATUS_OK);

    chunks(bare, values, sizeof values, chunk + 1, &chunk_len);
    models(codec);
    writers(bare, values, sizeof values);
    readers(bare);
    tables();

#define FREE(kind, handle)                                                                        \
    baler_##kind##_free(NULL);                                                                    \
    CASE("baler_" #kind "_free", #kind, "NULL", OK, after(BALER_STATUS_INTERNAL));                \
    baler_##kind##_free(ODD(handle));                                                             \
    BAD("baler_" #kind "_free", #kind, "misaligned", after(BALER_STATUS_INVALID_ARGUMENT));       \
    baler_codec_add_folder(bare, NULL) /* another message again */
    baler_codec_add_folder(bare, NULL);
    FREE(codec, room);
    FREE(model, room);
    FREE(writer, room);
    FREE(reader, room);

    baler_codec_free(bare);
    baler_codec_free(codec);
    printf("%d cases, %d wrong\n", n_cases, n_wrong);
    return n_wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
