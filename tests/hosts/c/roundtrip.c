/* Writes and reads a dataset through the Baler filter with nothing but HDF5's own API.
 *
 *   roundtrip write FILE DATASET ROWS COLUMNS FLAG WORD...  < float32 values, raw   > nothing
 *   roundtrip read FILE DATASET                             > the dataset's values, raw, in the file's own type
 *
 * FLAG is 0 for a mandatory filter, 1 for an optional one; WORDs are cd_values. Exit status 1: HDF5 said no, and its
 * error stack is on stderr. The program links to libhdf5 and knows nothing of Baler but the filter's number.
 */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BALER 47646

static int fail(const char *what) {
    fprintf(stderr, "roundtrip: %s failed\n", what);
    return 1;
}

static int write_dataset(int argc, char **argv) {
    hsize_t dims[2] = {strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10)};
    unsigned words[20];
    size_t n_words = 0;
    for (int i = 7; i < argc && n_words < 20; i++)
        words[n_words++] = (unsigned)strtoul(argv[i], NULL, 0);
    size_t n_values = dims[0] * dims[1];
    float *values = malloc(n_values * sizeof *values);
    if (!values || fread(values, sizeof *values, n_values, stdin) != n_values)
        return fail("reading stdin");

    hid_t file = H5Fcreate(argv[2], H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(2, dims, NULL);
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);
    if (file < 0 || space < 0 || dcpl < 0)
        return fail("creating the file");
    if (H5Pset_chunk(dcpl, 2, dims) < 0)
        return fail("H5Pset_chunk");
    if (H5Pset_filter(dcpl, BALER, argv[6][0] == '1' ? H5Z_FLAG_OPTIONAL : H5Z_FLAG_MANDATORY, n_words, words) < 0)
        return fail("H5Pset_filter");
    hid_t dataset = H5Dcreate2(file, argv[3], H5T_IEEE_F32LE, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    if (dataset < 0)
        return fail("H5Dcreate2");
    if (H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        return fail("H5Dwrite");
    if (H5Dclose(dataset) < 0)
        return fail("H5Dclose");
    if (H5Pclose(dcpl) < 0 || H5Sclose(space) < 0 || H5Fclose(file) < 0)
        return fail("closing");
    free(values);
    return 0;
}

static int read_dataset(char **argv) {
    hid_t file = H5Fopen(argv[2], H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        return fail("H5Fopen");
    hid_t dataset = H5Dopen2(file, argv[3], H5P_DEFAULT);
    if (dataset < 0)
        return fail("H5Dopen2");
    /* The file is closed before the dataset is read: it stays open as long as anything in it is. */
    if (H5Fclose(file) < 0)
        return fail("H5Fclose");
    hid_t space = H5Dget_space(dataset);
    hid_t type = H5Dget_type(dataset);
    size_t n_bytes = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
    void *values = calloc(1, n_bytes);
    if (!values || H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        return fail("H5Dread");
    if (fwrite(values, 1, n_bytes, stdout) != n_bytes)
        return fail("writing stdout");
    free(values);
    return H5Tclose(type) < 0 || H5Sclose(space) < 0 || H5Dclose(dataset) < 0;
}

int main(int argc, char **argv) {
    if (argc >= 7 && !strcmp(argv[1], "write"))
        return write_dataset(argc, argv);
    if (argc == 4 && !strcmp(argv[1], "read"))
        return read_dataset(argv);
    fprintf(stderr, "usage: roundtrip write FILE DATASET ROWS COLUMNS FLAG WORD... | roundtrip read FILE DATASET\n");
    return 2;
}
