/* Compresses a small field within an absolute bound, decodes it, and checks every value.
 *
 *   cc roundtrip.c -I ../include -L <folder of libbaler.so> -lbaler -lm -o roundtrip
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "baler.h"

#define ROWS 96
#define COLUMNS 128

static void expect_ok(baler_status status, const char *what) {
    if (status != BALER_STATUS_OK) {
        fprintf(stderr, "%s: status %d: %s\n", what, (int)status, baler_last_error());
        exit(EXIT_FAILURE);
    }
}

int main(void) {
    static float field[ROWS][COLUMNS];
    static float back[ROWS][COLUMNS];
    for (int y = 0; y < ROWS; y++) {
        for (int x = 0; x < COLUMNS; x++) {
            field[y][x] = sinf(0.07f * (float)x) * cosf(0.05f * (float)y);
        }
    }
    field[3][5] = NAN; /* comes back bit for bit */

    baler_codec *codec = baler_codec_new();
    if (codec == NULL) {
        fprintf(stderr, "baler_codec_new: %s\n", baler_last_error());
        return EXIT_FAILURE;
    }

    const uint64_t shape[2] = {ROWS, COLUMNS};
    const double bound = 1e-3;
    baler_params params = {0};
    params.struct_size = sizeof params;
    params.dtype = BALER_DTYPE_F32;
    params.rank = 2;
    params.shape = shape;
    params.bound_kind = BALER_BOUND_ABS;
    params.bound_value = bound;

    size_t capacity = 0, chunk_len = 0, back_len = 0;
    expect_ok(baler_encode_bound(&params, &capacity), "baler_encode_bound");
    void *chunk = malloc(capacity);
    if (chunk == NULL) {
        return EXIT_FAILURE;
    }
    expect_ok(baler_encode(codec, &params, field, sizeof field, chunk, capacity, &chunk_len), "baler_encode");

    baler_chunk_info_t info = {0};
    info.struct_size = sizeof info;
    expect_ok(baler_chunk_info(chunk, chunk_len, &info), "baler_chunk_info");
    if (info.dtype != BALER_DTYPE_F32 || info.rank != 2 || info.shape[0] != ROWS || info.shape[1] != COLUMNS ||
        info.decoded_len != sizeof back) {
        fprintf(stderr, "the chunk does not say what it holds\n");
        return EXIT_FAILURE;
    }

    expect_ok(baler_decode(codec, chunk, chunk_len, back, sizeof back, &back_len), "baler_decode");
    double worst = 0;
    for (int y = 0; y < ROWS; y++) {
        for (int x = 0; x < COLUMNS; x++) {
            double difference = fabs((double)back[y][x] - (double)field[y][x]);
            if (isnan(field[y][x]) != isnan(back[y][x]) || difference > bound) {
                fprintf(stderr, "value [%d][%d]: %g became %g\n", y, x, field[y][x], back[y][x]);
                return EXIT_FAILURE;
            }
            if (difference > worst) {
                worst = difference;
            }
        }
    }
    printf("baler %s: %zu bytes became %zu, largest difference %.3g of %g\n", baler_version(), back_len, chunk_len,
           worst, bound);

    free(chunk);
    baler_codec_free(codec);
    return EXIT_SUCCESS;
}
