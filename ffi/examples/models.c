/* Lists the models of the library, keeps one as bytes, and compresses with what those bytes are alone.
 *
 *   cc models.c $(pkg-config --cflags --libs baler) -lm -o models && ./models
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baler.h"

#define SIDE 128

static void expect_ok(baler_status status, const char *what) {
    if (status != BALER_STATUS_OK) {
        fprintf(stderr, "%s: status %d: %s\n", what, (int)status, baler_last_error());
        exit(EXIT_FAILURE);
    }
}

/* What the program would have from a file, a message, a section of its own binary. */
static void *bytes_of(const baler_model *model, size_t *len) {
    if (baler_model_write(model, 0, NULL, 0, len) != BALER_STATUS_BUFFER_TOO_SMALL) {
        exit(EXIT_FAILURE);
    }
    void *bytes = malloc(*len);
    if (bytes == NULL) {
        exit(EXIT_FAILURE);
    }
    expect_ok(baler_model_write(model, 0, bytes, *len, len), "baler_model_write");
    return bytes;
}

int main(void) {
    baler_codec *library = baler_codec_new();
    size_t n_models = 0, bundle_len = 0;
    void *bundle = NULL;
    baler_model *models[64];
    expect_ok(baler_codec_models(library, models, 64, &n_models), "baler_codec_models");
    for (size_t i = 0; i < n_models; i++) {
        baler_model_info_t info = {0};
        info.struct_size = sizeof info;
        expect_ok(baler_model_info(models[i], &info), "baler_model_info");
        printf("%s  %-28s %-11s %8llu bytes  %s\n", baler_model_text(models[i], BALER_MODEL_FIELD_ID),
               baler_model_text(models[i], BALER_MODEL_FIELD_NAME), baler_model_text(models[i], BALER_MODEL_FIELD_FAMILY),
               (unsigned long long)info.decoder_len, info.can_encode ? "reads, writes" : "reads");
        if (strcmp(baler_model_text(models[i], BALER_MODEL_FIELD_NAME), "autoencoder-field2d") == 0) {
            bundle = bytes_of(models[i], &bundle_len);
        }
        baler_model_free(models[i]);
    }
    baler_codec_free(library);
    if (bundle == NULL) {
        fprintf(stderr, "the library has no autoencoder-field2d\n");
        return EXIT_FAILURE;
    }

    /* A codec that knows this model, and nothing of the environment. */
    baler_codec *codec = baler_codec_new_bare();
    baler_model *model = baler_model_parse(bundle, bundle_len);
    free(bundle);
    if (model == NULL) {
        expect_ok(baler_last_status(), "baler_model_parse");
    }
    expect_ok(baler_codec_add_model(codec, model), "baler_codec_add_model");

    static float field[SIDE][SIDE], back[SIDE][SIDE];
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            field[y][x] = sinf(0.11f * (float)x + 0.002f * (float)(y * y)) + 0.3f * cosf(0.23f * (float)y);
        }
    }
    /* The latents of the model alone: no bound, so that nothing but the model can write it. */
    const uint64_t shape[2] = {SIDE, SIDE};
    baler_params params = {0};
    params.struct_size = sizeof params;
    params.dtype = BALER_DTYPE_F32;
    params.rank = 2;
    params.shape = shape;
    params.bound_kind = BALER_BOUND_LATENT;
    params.model = baler_model_text(model, BALER_MODEL_FIELD_ID);
    size_t chunk_len = 0, back_len = 0;
    static char chunk[sizeof field];
    expect_ok(baler_encode(codec, &params, field, sizeof field, chunk, sizeof chunk, &chunk_len), "baler_encode");
    expect_ok(baler_decode(codec, chunk, chunk_len, back, sizeof back, &back_len), "baler_decode");
    double square = 0;
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            double d = (double)back[y][x] - (double)field[y][x];
            square += d * d;
        }
    }

    /* Without the model the chunk is closed, and the message says what is missing. */
    baler_codec *bare = baler_codec_new_bare();
    if (baler_decode(bare, chunk, chunk_len, back, sizeof back, &back_len) != BALER_STATUS_MODEL_MISSING ||
        strstr(baler_last_error(), params.model) == NULL) {
        fprintf(stderr, "without the model: %s\n", baler_last_error());
        return EXIT_FAILURE;
    }
    printf("latents of %s: %zu bytes became %zu, root mean square error %.3g\n",
           baler_model_text(model, BALER_MODEL_FIELD_NAME), back_len, chunk_len, sqrt(square / (SIDE * SIDE)));

    baler_codec_free(bare);
    baler_model_free(model);
    baler_codec_free(codec);
    return EXIT_SUCCESS;
}
