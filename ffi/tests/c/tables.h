/* The part of arguments.c about Arrow streams. */

static int n_released;

static void release_nothing(struct ArrowSchema *schema) { schema->release = NULL; }

/* A table without columns. */
static int no_columns(struct ArrowArrayStream *of, struct ArrowSchema *out) {
    (void)of;
    memset(out, 0, sizeof *out);
    out->format = "+s";
    out->release = release_nothing;
    return 0;
}

/* No table: one column of text that says it has a child. */
static int no_table(struct ArrowArrayStream *of, struct ArrowSchema *out) {
    (void)no_columns(of, out);
    out->format = "u";
    return 0;
}

static int unknown_format(struct ArrowArrayStream *of, struct ArrowSchema *out) {
    (void)no_columns(of, out);
    out->format = "?";
    return 0;
}

static int fails_schema(struct ArrowArrayStream *of, struct ArrowSchema *out) {
    (void)of, (void)out;
    return 5;
}

static int no_batches(struct ArrowArrayStream *of, struct ArrowArray *out) {
    (void)of;
    memset(out, 0, sizeof *out);
    return 0;
}

static int fails_batch(struct ArrowArrayStream *of, struct ArrowArray *out) {
    (void)of, (void)out;
    return 5;
}

static const char *why(struct ArrowArrayStream *of) {
    (void)of;
    return "the disk is on fire";
}

static const char *nothing(struct ArrowArrayStream *of) {
    (void)of;
    return NULL;
}

static void count_release(struct ArrowArrayStream *of) {
    n_released++;
    of->release = NULL;
}

static struct ArrowArrayStream table(void) {
    const struct ArrowArrayStream table = {no_columns, no_batches, why, count_release, NULL};
    return table;
}

/* What a function made, given back: the second argument is its status. */
static baler_status released(struct ArrowArrayStream *made, baler_status status) {
    if (status == BALER_STATUS_OK) {
        made->release(made);
    }
    return status;
}

static baler_status encoded(struct ArrowArrayStream in, const baler_arrow_options *options) {
    struct ArrowArrayStream out;
    return released(&out, baler_arrow_encode_stream(&in, options, &out));
}

static baler_status decoded(struct ArrowArrayStream in) {
    struct ArrowArrayStream out;
    return released(&out, baler_arrow_decode_stream(&in, &out));
}

static baler_status ask(int error) { return error == 0 ? BALER_STATUS_OK : BALER_STATUS_IO; }

static void tables(void) {
    struct ArrowArrayStream in = table(), *const out = (struct ArrowArrayStream *)room;
    const char *columns[2] = {"a=abs:1", "b"};
    baler_arrow_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    const char *f = "baler_arrow_encode_stream";
    BAD(f, "in", "NULL", baler_arrow_encode_stream(NULL, NULL, out));
    BAD(f, "in", "misaligned", baler_arrow_encode_stream(ODD(&in), NULL, out));
    BAD(f, "in", "is out", baler_arrow_encode_stream(&in, NULL, &in));
    BAD(f, "out", "NULL", baler_arrow_encode_stream(&in, NULL, NULL));
    BAD(f, "out", "misaligned", baler_arrow_encode_stream(&in, NULL, ODD(room)));
    BAD(f, "out", "ends past the memory", baler_arrow_encode_stream(&in, NULL, LAST));
    BAD(f, "options", "misaligned", baler_arrow_encode_stream(&in, ODD(&options), out));
    baler_arrow_options wrong = options;
    wrong.struct_size = 0;
    BAD(f, "options.struct_size", "0", baler_arrow_encode_stream(&in, &wrong, out));
    wrong = options;
    wrong.bound = "best";
    BAD(f, "options.bound", "no bound", baler_arrow_encode_stream(&in, &wrong, out));
    wrong.bound = "\xff";
    BAD(f, "options.bound", "no UTF-8", baler_arrow_encode_stream(&in, &wrong, out));
    wrong = options;
    wrong.n_columns = 2;
    BAD(f, "options.columns", "NULL", baler_arrow_encode_stream(&in, &wrong, out));
    wrong.columns = ODD(columns);
    BAD(f, "options.columns", "misaligned", baler_arrow_encode_stream(&in, &wrong, out));
    wrong.columns = columns;
    BAD(f, "options.columns", "without a bound", baler_arrow_encode_stream(&in, &wrong, out));
    columns[1] = NULL;
    BAD(f, "options.columns", "a NULL", baler_arrow_encode_stream(&in, &wrong, out));
    wrong.n_columns = HUGE_LEN;
    BAD(f, "options.n_columns", "SIZE_MAX", baler_arrow_encode_stream(&in, &wrong, out));
    wrong = options;
    wrong.no_prediction = 2;
    BAD(f, "options.no_prediction", "2", baler_arrow_encode_stream(&in, &wrong, out));
    wrong = options;
    wrong.reserved = 1;
    BAD(f, "options.reserved", "1", baler_arrow_encode_stream(&in, &wrong, out));
    CASE(f, "in", "still a stream", OK, in.release == NULL || n_released != 0 ? BALER_STATUS_INTERNAL : BALER_STATUS_OK);

    /* A stream that lacks what the interface asks for, or fails. */
    struct ArrowArrayStream odd;
#define ODD_STREAMS(function, call)                                   \
    odd = table(), odd.release = NULL;                                \
    BAD(function, "in", "released", call);                            \
    odd = table(), odd.get_schema = NULL;                             \
    BAD(function, "in.get_schema", "NULL", call);                     \
    odd = table(), odd.get_next = NULL;                               \
    BAD(function, "in.get_next", "NULL", call);                       \
    odd = table(), odd.get_last_error = NULL;                         \
    BAD(function, "in.get_last_error", "NULL", call);                 \
    odd = table(), odd.get_schema = fails_schema;                     \
    CASE(function, "in.get_schema", "fails", IO, call);               \
    odd = table(), odd.get_schema = unknown_format;                   \
    CASE(function, "in.get_schema", "an unknown format", IO, call);   \
    odd = table(), odd.get_schema = no_table;                         \
    CASE(function, "in.get_schema", "no table", IO, call);            \
    odd = table(), odd.get_next = fails_batch;                        \
    CASE(function, "in.get_next", "fails", IO, call);                 \
    odd = table(), odd.get_next = fails_batch, odd.get_last_error = nothing; \
    CASE(function, "in.get_last_error", "says nothing", IO, call)
    ODD_STREAMS(f, encoded(odd, &options));
    BAD(f, "in", "without columns of floats", encoded(table(), &options));
    BAD(f, "options", "NULL, no metadata", encoded(table(), NULL));
    f = "baler_arrow_decode_stream";
    BAD(f, "in", "NULL", baler_arrow_decode_stream(NULL, out));
    BAD(f, "in", "misaligned", baler_arrow_decode_stream(ODD(&in), out));
    BAD(f, "in", "is out", baler_arrow_decode_stream(&in, &in));
    BAD(f, "out", "NULL", baler_arrow_decode_stream(&in, NULL));
    BAD(f, "out", "misaligned", baler_arrow_decode_stream(&in, ODD(room)));
    BAD(f, "out", "ends past the memory", baler_arrow_decode_stream(&in, LAST));
    ODD_STREAMS(f, decoded(odd));
    CASE(f, "in", "without columns or rows", OK, decoded(table()));

    /* Taken over once, and released once. */
    n_released = 0;
    struct ArrowArrayStream made;
    CASE(f, "in", "right", OK, baler_arrow_decode_stream(&in, &made));
    CASE(f, "in", "taken over", OK, in.release == NULL && n_released == 0 ? BALER_STATUS_OK : BALER_STATUS_INTERNAL);
    BAD(f, "in", "a second time", baler_arrow_decode_stream(&in, out));
    struct ArrowSchema schema;
    CASE(f, "out.get_schema", "-", OK, ask(made.get_schema(&made, &schema)));
    schema.release(&schema);
    struct ArrowArray batch;
    CASE(f, "out.get_next", "at its end", OK, ask(made.get_next(&made, &batch)));
    CASE(f, "out.get_next", "after its end", OK, ask(made.get_next(&made, &batch)));
    made.release(&made);
    CASE(f, "out.release", "-", OK, n_released == 1 ? BALER_STATUS_OK : BALER_STATUS_INTERNAL);
}
