/* Reading a kept store, and refusing, in words, stores that somebody broke. */
#include "test.h"

#include "pm/data/store.h"
#include "store_example.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256], broken[300];

static void copy_file(const char *to, const char *from, size_t bytes)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    for (int c; bytes-- > 0 && (c = fgetc(in)) != EOF;) fputc(c, out);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static int make_folder(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/pm-store-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(folder)) return -1;
    snprintf(broken, sizeof broken, "%s/broken.h5", folder);
    return 0;
}

static void a_store_reads_without_mpi(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    char *text;
    int initialized;
    assert_ok(pm_store_open_read(&store, EXAMPLE_FILE, &err), err);
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) {
        bool good = false;
        assert_ok(pm_store_verify_entry(&good, store, e, &err), err);
        assert_true(good && example_matches(store, e));
    }
    assert_ok(pm_store_read_attribute(&text, store, "model", &err), err);
    assert_string_equal(text, "naïve");
    free(text);
    assert_fails(pm_store_read_attribute(&text, store, "modle", &err), err, "example.h5: modle");
    pm_store_close(store);
    MPI_Initialized(&initialized);
    assert_false(initialized);
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(broken);
    return rmdir(folder);
}

/* A fresh copy of the example, open to be broken. */
static hid_t begin_breaking(void)
{
    copy_file(broken, EXAMPLE_FILE, SIZE_MAX);
    hid_t file = H5Fopen(broken, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void expect_refused(hid_t file, const char *words)
{
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    H5Fclose(file);
    assert_fails(pm_store_open_read(&store, broken, &err), err, words);
    assert_non_null(strstr(err.message, "broken.h5"));
    assert_null(store);
}

/* Another dataset in the place of @p path: chunked and never written, so of any size. */
static void replace(hid_t file, const char *path, hid_t type, int rank, const hsize_t *extent)
{
    hsize_t chunk[5] = {1, 1, 1, 1, 1};
    hid_t space = H5Screate_simple(rank, extent, NULL), layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(layout, rank, chunk);
    H5Ldelete(file, path, H5P_DEFAULT);
    hid_t data = H5Dcreate2(file, path, type, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    assert_true(data >= 0);
    H5Dclose(data);
    H5Pclose(layout);
    H5Sclose(space);
}

static void a_missing_dataset_is_named(void **state)
{
    (void)state;
    hid_t file = begin_breaking();
    H5Ldelete(file, "/latent/final", H5P_DEFAULT);
    expect_refused(file, "/latent/final: is missing");
    file = begin_breaking();
    H5Ldelete(file, "/prompt", H5P_DEFAULT);
    expect_refused(file, "/prompt/text: is missing");
}

static void what_the_shape_leaves_out_may_be_missing(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    hid_t file = begin_breaking();
    H5Ldelete(file, "/latent/trajectory", H5P_DEFAULT);
    H5Ldelete(file, "/attention/cross_mean", H5P_DEFAULT);
    H5Ldelete(file, "/blend_mask", H5P_DEFAULT);
    H5Fclose(file);
    assert_ok(pm_store_open_read(&store, broken, &err), err);
    const struct pm_store_shape *shape = pm_store_shape_of(store);
    assert_true(shape->latents == PM_STORE_ENDS && !shape->blend_mask && shape->capture_count == 0);
    bool good = true; /* the row of entry 2 vouches for a mask that is gone */
    assert_ok(pm_store_verify_entry(&good, store, 2, &err), err);
    assert_false(good);
    pm_store_close(store);
}

/* The example's has no attributes but a description. */
static void a_capture_that_does_not_tell_of_its_means_is_refused(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_store_capture_counts counts;
    struct pm_error err = {0};
    assert_ok(pm_store_open_read(&store, EXAMPLE_FILE, &err), err);
    assert_fails(pm_store_read_capture_counts(&counts, store, 0, &err), err,
                 "/attention/cross_mean: its attributes do not say");
    pm_store_close(store);
}

static void a_wrong_type_is_refused(void **state)
{
    (void)state;
    const hsize_t items[] = {EXAMPLE_ITEMS}, entries[] = {EXAMPLE_ENTRIES};
    hid_t file = begin_breaking();
    replace(file, "/item/seed", H5T_NATIVE_DOUBLE, 1, items);
    expect_refused(file, "/item/seed: it is not of the type");
    file = begin_breaking();
    replace(file, "/entry", H5T_STD_U8LE, 1, entries);
    expect_refused(file, "/entry: it is not of the type");
    hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, H5T_VARIABLE);
    file = begin_breaking();
    replace(file, "/prompt/text", text, 1, entries);
    expect_refused(file, "/prompt/text: it is not of the type");
    H5Tclose(text);
}

static void shapes_that_disagree_are_refused(void **state)
{
    (void)state;
    hid_t file = begin_breaking();
    replace(file, "/prompt/token_word", H5T_STD_I32LE, 2, (hsize_t[]){EXAMPLE_ENTRIES, 7});
    expect_refused(file, "/prompt/token_word: its size \"token\" is 7, elsewhere 6");
    file = begin_breaking();
    replace(file, "/image", H5T_STD_U8LE, 4, (hsize_t[]){EXAMPLE_ENTRIES, 13, 7, 4});
    expect_refused(file, "/image: its size \"rgb\" is 4, elsewhere 3");
    file = begin_breaking();
    replace(file, "/image", H5T_STD_U8LE, 3, (hsize_t[]){EXAMPLE_ENTRIES, 13, 21});
    expect_refused(file, "/image: it has 3 axes, not 4");
    file = begin_breaking();
    replace(file, "/item/line", H5T_STD_U64LE, 1, (hsize_t[]){EXAMPLE_ITEMS + 1});
    expect_refused(file, "/item/line: its size \"item\" is 6, elsewhere 5");
}

static void sizes_beyond_reason_are_refused(void **state)
{
    (void)state;
    hid_t file = begin_breaking();
    replace(file, "/image", H5T_STD_U8LE, 4, (hsize_t[]){EXAMPLE_ENTRIES, 1 << 20, 1 << 20, 3});
    expect_refused(file, "/image would be too large");
    file = begin_breaking();
    replace(file, "/image", H5T_STD_U8LE, 4,
            (hsize_t[]){EXAMPLE_ENTRIES, UINT64_C(1) << 31, UINT64_C(1) << 31, 3});
    expect_refused(file, "/image would be too large");
    file = begin_breaking();
    replace(file, "/schedule/alpha_cumprod", H5T_IEEE_F64LE, 1, (hsize_t[]){UINT64_C(1) << 61});
    expect_refused(file, "/schedule/alpha_cumprod would be too large");
}

static void links_out_of_the_file_are_not_followed(void **state)
{
    (void)state;
    hid_t file = begin_breaking();
    H5Ldelete(file, "/image", H5P_DEFAULT);
    H5Lcreate_external(EXAMPLE_FILE, "/image", file, "/image", H5P_DEFAULT, H5P_DEFAULT);
    expect_refused(file, "/image: is a link");
    file = begin_breaking();
    H5Ldelete(file, "/latent", H5P_DEFAULT);
    H5Lcreate_external(EXAMPLE_FILE, "/latent", file, "/latent", H5P_DEFAULT, H5P_DEFAULT);
    expect_refused(file, "/latent/x_T: is a link");

    file = begin_breaking();
    H5Ldelete(file, "/item/seed", H5P_DEFAULT);
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(layout, EXAMPLE_FILE, 0, 8 * EXAMPLE_ITEMS);
    hid_t space = H5Screate_simple(1, (hsize_t[]){EXAMPLE_ITEMS}, NULL);
    H5Dclose(
        H5Dcreate2(file, "/item/seed", H5T_STD_U64LE, space, H5P_DEFAULT, layout, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(layout);
    expect_refused(file, "/item/seed: its data lie outside this file");
}

static void a_group_is_no_dataset(void **state)
{
    (void)state;
    hid_t file = begin_breaking();
    H5Ldelete(file, "/image", H5P_DEFAULT);
    H5Gclose(H5Gcreate2(file, "/image", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    expect_refused(file, "/image: cannot be opened");
}

static void other_files_and_versions_are_refused(void **state)
{
    (void)state;
    hid_t file = begin_breaking();
    H5Adelete(file, "format");
    expect_refused(file, "is not a promptmill store");
    file = begin_breaking();
    hid_t version = H5Aopen(file, "format_version", H5P_DEFAULT);
    H5Awrite(version, H5T_NATIVE_INT, (int[]){2});
    H5Aclose(version);
    expect_refused(file, "has format version 2; this program reads version 1");

    struct pm_store *store;
    struct pm_error err = {0};
    copy_file(broken, __FILE__, SIZE_MAX);
    assert_fails(pm_store_open_read(&store, broken, &err), err,
                 "is not a promptmill store, nor any HDF5 file");
    assert_fails(pm_store_open_read(&store, "no/such.h5", &err), err,
                 "cannot open no/such.h5: No such file");
}

/* Overwrite row @p row of a dataset whose elements are of @p type in memory. */
static void overwrite(hid_t file, const char *path, size_t row, hid_t type, const void *value)
{
    hid_t data = H5Dopen2(file, path, H5P_DEFAULT), space = H5Dget_space(data);
    hsize_t start[5] = {row}, one[5] = {1, 1, 1, 1, 1};
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, one, NULL);
    hid_t memory = H5Screate_simple(1, one, NULL);
    assert_true(H5Dwrite(data, type, memory, space, H5P_DEFAULT, value) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(data);
}

static void numbers_out_of_range_are_refused_when_read(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int value;
    } cases[] = {{"/prompt/token_count", 7},
                 {"/prompt/word_count", 4},
                 {"/prompt/item", 5},
                 {"/prompt/target", -2},
                 {"/prompt/token_word", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_store *store;
        struct pm_store_prompt prompt;
        struct pm_error err = {0};
        hid_t file = begin_breaking();
        overwrite(file, cases[i].path, 3, H5T_NATIVE_INT, &cases[i].value);
        H5Fclose(file);
        assert_ok(pm_store_open_read(&store, broken, &err), err);
        assert_fails(pm_store_read_prompt(&prompt, store, 3, &err), err, cases[i].path);
        assert_non_null(strstr(err.message, ": entry 3 has a number out of range"));
        pm_store_close(store);
    }
}

static void an_entry_of_no_item_is_not_verified(void **state)
{
    (void)state;
    static const uint64_t item = 5;
    struct pm_store *store;
    struct pm_error err = {0};
    bool good;
    hid_t file = begin_breaking();
    overwrite(file, "/prompt/item", 3, H5T_NATIVE_UINT64, &item);
    H5Fclose(file);
    assert_ok(pm_store_open_read(&store, broken, &err), err);
    assert_fails(pm_store_verify_entry(&good, store, 3, &err), err,
                 "/prompt/item: entry 3 is of item 5 of 5");
    pm_store_close(store);
}

static void items_must_have_entries_of_their_own(void **state)
{
    (void)state;
    static const int first_entry[] = {1, 3, 10};
    for (size_t i = 0; i < 3; i++) {
        struct pm_store *store;
        struct pm_store_item item;
        struct pm_error err = {0};
        hid_t file = begin_breaking();
        overwrite(file, "/item/first_entry", 2, H5T_NATIVE_INT, &first_entry[i]);
        H5Fclose(file);
        assert_ok(pm_store_open_read(&store, broken, &err), err);
        bool ok = pm_store_read_item(&item, store, 1, &err);
        if (ok) pm_store_item_free(&item);
        assert_int_equal(ok, first_entry[i] == 3); /* 1 itself begins at 1 */
        pm_store_close(store);
    }
}

/* Overwrite bytes of a row of /entry: packed, state at 0, flags at 1, checksum, message at 10. */
static void overwrite_row(size_t row, size_t at, const void *bytes, size_t count)
{
    hid_t file = begin_breaking();
    hid_t data = H5Dopen2(file, "/entry", H5P_DEFAULT);
    long place = (long)(H5Dget_offset(data) + row * (10 + PM_ERROR_BYTES) + at);
    H5Dclose(data);
    H5Fclose(file);
    FILE *raw = fopen(broken, "r+b");
    assert_non_null(raw);
    assert_int_equal(fseek(raw, place, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, count, raw), count);
    assert_int_equal(fclose(raw), 0);
}

static void an_unknown_state_is_refused(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_store_row rows[3];
    struct pm_error err = {0};
    overwrite_row(4, 0, "\7", 1);
    assert_ok(pm_store_open_read(&store, broken, &err), err);
    assert_fails(pm_store_read_rows(rows, store, 2, 3, &err), err,
                 "/entry: entry 4 has the unknown state 7");
    bool good = true;
    assert_ok(pm_store_verify_entry(&good, store, 4, &err), err);
    assert_false(good);
    pm_store_close(store);
}

static void a_message_without_end_is_ended(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_store_row row;
    struct pm_error err = {0};
    char message[PM_ERROR_BYTES];
    memset(message, 'x', sizeof message);
    overwrite_row(4, 10, message, sizeof message);
    assert_ok(pm_store_open_read(&store, broken, &err), err);
    assert_ok(pm_store_read_rows(&row, store, 4, 1, &err), err);
    assert_int_equal(strlen(row.message), PM_ERROR_BYTES - 1);
    pm_store_close(store);
}

static void read_everything(void)
{
    struct pm_store *store;
    struct pm_error err = {0};
    if (!pm_store_open_read(&store, broken, &err)) return;
    for (size_t e = 0; e < pm_store_shape_of(store)->entries && e < 16; e++) {
        struct pm_store_prompt prompt;
        struct pm_store_row row;
        bool good;
        if (pm_store_read_prompt(&prompt, store, e, &err)) pm_store_prompt_free(&prompt);
        if (!pm_store_read_rows(&row, store, e, 1, &err)) continue;
        if (!pm_store_verify_entry(&good, store, e, &err)) continue;
    }
    pm_store_close(store);
}

static void a_file_cut_anywhere_is_survived(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    for (size_t bytes = 0; bytes < 60000; bytes += 997) {
        copy_file(broken, EXAMPLE_FILE, bytes);
        read_everything();
    }
    copy_file(broken, EXAMPLE_FILE, 20000);
    assert_fails(pm_store_open_read(&store, broken, &err), err, "truncated");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_reads_without_mpi),
        cmocka_unit_test(a_missing_dataset_is_named),
        cmocka_unit_test(what_the_shape_leaves_out_may_be_missing),
        cmocka_unit_test(a_capture_that_does_not_tell_of_its_means_is_refused),
        cmocka_unit_test(a_wrong_type_is_refused),
        cmocka_unit_test(shapes_that_disagree_are_refused),
        cmocka_unit_test(sizes_beyond_reason_are_refused),
        cmocka_unit_test(links_out_of_the_file_are_not_followed),
        cmocka_unit_test(a_group_is_no_dataset),
        cmocka_unit_test(other_files_and_versions_are_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused_when_read),
        cmocka_unit_test(an_entry_of_no_item_is_not_verified),
        cmocka_unit_test(items_must_have_entries_of_their_own),
        cmocka_unit_test(an_unknown_state_is_refused),
        cmocka_unit_test(a_message_without_end_is_ended),
        cmocka_unit_test(a_file_cut_anywhere_is_survived),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
