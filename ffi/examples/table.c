/* Encodes the columns of a table that is handed over as an Arrow C stream, and decodes it again.
 *
 *   cc table.c $(pkg-config --cflags --libs baler) -lm -o table && ./table
 *
 * Programs with an Arrow library export and import streams by it: what stands before main() is not for them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baler.h"

#define BATCHES 4
#define ROWS 5000

static float energy[BATCHES][ROWS];
static int64_t event[BATCHES][ROWS];

/* A stream of two columns, event (int64) and energy (float32). */

static void release_schema(struct ArrowSchema *schema) {
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release != NULL) {
            schema->children[i]->release(schema->children[i]);
        }
    }
    free(schema->private_data);
    schema->release = NULL;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    (void)stream;
    struct parts {
        struct ArrowSchema columns[2], *pointers[2];
    } *parts = calloc(1, sizeof *parts);
    if (parts == NULL) {
        return 12;
    }
    static const char *const names[2] = {"event", "energy"}, *const formats[2] = {"l", "f"};
    for (int i = 0; i < 2; i++) {
        parts->pointers[i] = &parts->columns[i];
        parts->columns[i].name = names[i];
        parts->columns[i].format = formats[i];
        parts->columns[i].release = release_schema;
    }
    memset(out, 0, sizeof *out);
    out->format = "+s";
    out->name = "";
    out->n_children = 2;
    out->children = parts->pointers;
    out->private_data = parts;
    out->release = release_schema;
    return 0;
}

static void release_array(struct ArrowArray *array) {
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release != NULL) {
            array->children[i]->release(array->children[i]);
        }
    }
    free(array->private_data);
    array->release = NULL;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    int *batch = stream->private_data;
    memset(out, 0, sizeof *out);
    if (*batch == BATCHES) {
        return 0; /* The end: an array that is released. */
    }
    struct parts {
        struct ArrowArray columns[2], *pointers[2];
        const void *buffers[2][2], *none[1];
    } *parts = calloc(1, sizeof *parts);
    if (parts == NULL) {
        return 12;
    }
    for (int i = 0; i < 2; i++) {
        parts->pointers[i] = &parts->columns[i];
        parts->buffers[i][1] = i == 0 ? (const void *)event[*batch] : (const void *)energy[*batch];
        parts->columns[i].length = ROWS;
        parts->columns[i].n_buffers = 2;
        parts->columns[i].buffers = parts->buffers[i];
        parts->columns[i].release = release_array;
    }
    out->length = ROWS;
    out->n_buffers = 1;
    out->buffers = parts->none;
    out->n_children = 2;
    out->children = parts->pointers;
    out->private_data = parts;
    out->release = release_array;
    ++*batch;
    return 0;
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
    (void)stream;
    return "out of memory";
}

static void release_stream(struct ArrowArrayStream *stream) { stream->release = NULL; }

static void expect(int is_so, const char *what, const char *why) {
    if (!is_so) {
        fprintf(stderr, "%s: %s\n", what, why);
        exit(EXIT_FAILURE);
    }
}

int main(void) {
    for (int i = 0; i < BATCHES * ROWS; i++) {
        event[i / ROWS][i % ROWS] = i;
        energy[i / ROWS][i % ROWS] = 40.0f + 25.0f * sinf(0.37f * (float)i) * cosf(0.0011f * (float)i);
    }
    const double bound = 1e-2;
    int next = 0;
    struct ArrowArrayStream values = {get_schema, get_next, get_last_error, release_stream, &next}, codes, back;
    baler_arrow_options options = {0};
    options.struct_size = sizeof options;
    options.bound = "abs:0.01";

    /* Each call takes the stream before it over: there is nothing to release but the last. */
    expect(baler_arrow_encode_stream(&values, &options, &codes) == BALER_STATUS_OK, "encode", baler_last_error());
    struct ArrowSchema schema;
    expect(codes.get_schema(&codes, &schema) == 0, "the schema of the codes", "failed");
    expect(strcmp(schema.children[1]->format, "i") == 0, "energy", "expected codes of int32");
    schema.release(&schema);
    expect(baler_arrow_decode_stream(&codes, &back) == BALER_STATUS_OK, "decode", baler_last_error());

    double worst = 0;
    int n = 0;
    for (;;) {
        struct ArrowArray batch;
        if (back.get_next(&back, &batch) != 0) {
            expect(0, "a batch", back.get_last_error(&back));
        }
        if (batch.release == NULL) {
            break;
        }
        const struct ArrowArray *ids = batch.children[0], *column = batch.children[1];
        const int64_t *id = (const int64_t *)ids->buffers[1] + ids->offset;
        const float *value = (const float *)column->buffers[1] + column->offset;
        for (int64_t i = 0; i < batch.length; i++, n++) {
            expect(id[i] == n, "event", "is not what it was");
            worst = fmax(worst, fabs((double)value[i] - (double)energy[n / ROWS][n % ROWS]));
        }
        batch.release(&batch);
    }
    back.release(&back);
    expect(n == BATCHES * ROWS, "rows", "are missing");
    expect(worst <= bound, "energy", "is off by more than the bound");
    printf("%d rows in %d batches to codes and back; largest difference %.3g of %g\n", n, BATCHES, worst, bound);
    return EXIT_SUCCESS;
}
