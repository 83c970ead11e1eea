/* Compresses an array that is never in memory as a whole: chunk by chunk to a file, and back.
 *
 *   cc stream.c $(pkg-config --cflags --libs baler) -lm -o stream && ./stream field.baler
 *
 * The file is one that `baler info`, `baler decompress` and `baler verify` know.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "baler.h"

#define PLANES 24
#define ROWS 48
#define COLUMNS 64

static void expect_ok(baler_status status, const char *what) {
    if (status != BALER_STATUS_OK) {
        fprintf(stderr, "%s: status %d: %s\n", what, (int)status, baler_last_error());
        exit(EXIT_FAILURE);
    }
}

static int32_t to_file(void *file, const void *bytes, size_t len) {
    return fwrite(bytes, 1, len, file) == len ? 0 : 1;
}

static int32_t from_file(void *file, void *buffer, size_t capacity, size_t *len) {
    *len = fread(buffer, 1, capacity, file);
    return ferror((FILE *)file) ? 1 : 0;
}

/* One step of a simulation. */
static void compute(int z, float plane[ROWS][COLUMNS]) {
    for (int y = 0; y < ROWS; y++) {
        for (int x = 0; x < COLUMNS; x++) {
            plane[y][x] = 300.0f + 20.0f * sinf(0.05f * (float)(x + z)) * cosf(0.07f * (float)(y - z));
        }
    }
}

int main(int argc, char **argv) {
    static float plane[ROWS][COLUMNS], back[ROWS][COLUMNS];
    const double bound = 1e-2;
    FILE *file = argc > 1 ? fopen(argv[1], "w+b") : tmpfile();
    if (file == NULL) {
        perror("the file");
        return EXIT_FAILURE;
    }
    baler_codec *codec = baler_codec_new();

    /* Writing: the whole array is described, its values are handed in as they come. */
    const uint64_t shape[3] = {PLANES, ROWS, COLUMNS};
    baler_params params = {0};
    params.struct_size = sizeof params;
    params.dtype = BALER_DTYPE_F32;
    params.rank = 3;
    params.shape = shape;
    params.bound_kind = BALER_BOUND_ABS;
    params.bound_value = bound;
    baler_stream_options options = {0};
    options.struct_size = sizeof options;
    options.rows_per_chunk = 4;
    options.threads = 2;
    baler_writer *writer = baler_writer_new(codec, to_file, file);
    expect_ok(baler_writer_array(writer, NULL, &params, &options), "baler_writer_array");
    for (int z = 0; z < PLANES; z++) {
        compute(z, plane);
        expect_ok(baler_writer_write(writer, plane, sizeof plane), "baler_writer_write");
    }
    expect_ok(baler_writer_finish(writer), "baler_writer_finish");
    baler_writer_free(writer);
    long file_len = ftell(file);

    /* Reading: any number of bytes at a time. */
    rewind(file);
    options.rows_per_chunk = 0;
    baler_reader *reader = baler_reader_new(codec, from_file, file, &options);
    if (reader == NULL) {
        expect_ok(baler_last_status(), "baler_reader_new");
    }
    baler_array_info_t info = {0};
    info.struct_size = sizeof info;
    expect_ok(baler_reader_next(reader, &info), "baler_reader_next");
    double worst = 0;
    for (int z = 0; z < PLANES; z++) {
        size_t len = 0;
        expect_ok(baler_reader_read(reader, back, sizeof back, &len), "baler_reader_read");
        if (len != sizeof back) {
            fprintf(stderr, "plane %d has %zu bytes\n", z, len);
            return EXIT_FAILURE;
        }
        compute(z, plane);
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            worst = fmax(worst, fabs((double)(&back[0][0])[i] - (double)(&plane[0][0])[i]));
        }
    }
    if (baler_reader_next(reader, &info) != BALER_STATUS_END) {
        fprintf(stderr, "after the array: %s\n", baler_last_error());
        return EXIT_FAILURE;
    }
    baler_reader_free(reader);
    baler_codec_free(codec);
    fclose(file);
    if (!(worst <= bound)) {
        fprintf(stderr, "largest difference %g of %g\n", worst, bound);
        return EXIT_FAILURE;
    }
    printf("%zu bytes, %zu in memory at once, became a file of %ld; largest difference %.3g of %g\n",
           (size_t)PLANES * sizeof plane, 8 * sizeof plane, file_len, worst, bound);
    return EXIT_SUCCESS;
}
