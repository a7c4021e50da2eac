/* A packed store is the same to the bit, in chunks, and read-only. */
#include "test.h"

#include "pm/data/store_pack.h"
#include "store_example.h"
#include "temporary.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPEATS = 20, MANY = REPEATS * EXAMPLE_ENTRIES };

/* Pack with the defaults what must be packed. */
static struct pm_store_pack_report pack(const char *to, const char *from)
{
    struct pm_store_pack_options options = pm_store_pack_options_default();
    struct pm_store_pack_report report;
    struct pm_error err = {0};
    options.replaces = true;
    assert_ok(pm_store_pack(from, to, &options, &report, &err), err);
    assert_int_equal(report.damaged, 0);
    return report;
}

/* The plan of the example, REPEATS times; every 7th entry stays pending, every 11th failed. */
static void make_many(const char *path)
{
    struct pm_store *example, *store;
    struct pm_error err = {0};
    assert_ok(pm_store_open_read(&example, EXAMPLE_FILE, &err), err);
    struct pm_store_shape shape = example_shape();
    shape.items = REPEATS * EXAMPLE_ITEMS;
    shape.entries = MANY;
    struct pm_store_about about = example_about();
    assert_ok(pm_store_create(&store, path, MPI_COMM_SELF, &shape, &about, &err), err);
    for (size_t e = 0; e < MANY; e++) {
        size_t repeat = e / EXAMPLE_ENTRIES;
        struct pm_store_prompt prompt;
        assert_ok(pm_store_read_prompt(&prompt, example, e % EXAMPLE_ENTRIES, &err), err);
        size_t item = repeat * EXAMPLE_ITEMS + prompt.item;
        if (prompt.target == PM_STORE_SOURCE) {
            struct pm_store_item row;
            assert_ok(pm_store_read_item(&row, example, prompt.item, &err), err);
            row.first_entry = e;
            assert_ok(pm_store_put_item(store, item, &row, &err), err);
            pm_store_item_free(&row);
        }
        prompt.item = item;
        assert_ok(pm_store_put_prompt(store, e, &prompt, &err), err);
        pm_store_prompt_free(&prompt);
    }
    assert_ok(pm_store_commit(store, &err), err);
    for (size_t e = 0; e < MANY; e++) {
        struct pm_store_payload payload = example_payload(&shape, e % EXAMPLE_ENTRIES);
        if (e % 11 == 0)
            assert_ok(pm_store_fail_entry(store, e, "it was the eleventh", 0.5, &err), err);
        else if (e % 7 != 0)
            assert_ok(pm_store_put_entry(store, e, &payload, 1.5, &err), err);
        example_free(&payload);
    }
    pm_store_close(store);
    pm_store_close(example);
}

static void *read_dataset(size_t *bytes, hid_t dataset, hid_t type)
{
    hid_t space = H5Dget_space(dataset);
    *bytes = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
    H5Sclose(space);
    void *data = calloc(*bytes, 1);
    assert_non_null(data);
    assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    return data;
}

/* One object of the first file: is it like its namesake in the file that context is? */
static herr_t compare_object(hid_t file, const char *name, const H5L_info_t *info, void *context)
{
    (void)info;
    hid_t a = H5Oopen(file, name, H5P_DEFAULT), b = H5Oopen(*(hid_t *)context, name, H5P_DEFAULT);
    assert_true(a >= 0 && b >= 0);
    assert_int_equal(H5Iget_type(a), H5Iget_type(b));
    assert_int_equal(H5Aget_num_attrs(a), H5Aget_num_attrs(b));
    if (H5Iget_type(a) == H5I_DATASET) {
        size_t a_bytes, b_bytes;
        hid_t type = H5Dget_type(a), other = H5Dget_type(b);
        assert_true(H5Tequal(type, other) > 0);
        void *a_data = read_dataset(&a_bytes, a, type), *b_data = read_dataset(&b_bytes, b, type);
        assert_int_equal(a_bytes, b_bytes);
        if (memcmp(a_data, b_data, a_bytes) != 0) fail_msg("%s differs", name);
        free(a_data);
        free(b_data);
        H5Tclose(other);
        H5Tclose(type);
    }
    H5Oclose(b);
    H5Oclose(a);
    return 0;
}

static void assert_same_data(const char *a_path, const char *b_path)
{
    hid_t a = H5Fopen(a_path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t b = H5Fopen(b_path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(a >= 0 && b >= 0);
    compare_object(a, "/", NULL, &b);
    assert_true(H5Lvisit(a, H5_INDEX_NAME, H5_ITER_INC, compare_object, &b) >= 0);
    assert_true(H5Lvisit(b, H5_INDEX_NAME, H5_ITER_INC, compare_object, &a) >= 0);
    H5Fclose(b);
    H5Fclose(a);
}

static void the_copy_reads_like_the_store(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    char *text;
    const char *copy = temporary_path("copy.h5");
    pack(copy, EXAMPLE_FILE);
    assert_ok(pm_store_open_read(&store, copy, &err), err);
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) {
        bool good = false;
        assert_ok(pm_store_verify_entry(&good, store, e, &err), err);
        assert_true(good && example_matches(store, e));
    }
    assert_ok(pm_store_read_attribute(&text, store, "model", &err), err);
    assert_string_equal(text, "naïve");
    free(text);
    pm_store_close(store);
    assert_same_data(copy, EXAMPLE_FILE);
}

static void many_entries_are_the_same_and_smaller(void **state)
{
    (void)state;
    const char *many = temporary_path("many.h5"), *copy = temporary_path("copy.h5");
    make_many(many);
    struct pm_store_pack_report report = pack(copy, many);
    assert_same_data(many, copy);
    assert_int_equal(report.entries, MANY);
    assert_true(report.bytes_after > 0 && report.bytes_after < report.bytes_before);
}

static herr_t check_filters(hid_t file, const char *name, const H5L_info_t *info, void *context)
{
    static const H5Z_filter_t wanted[] = {H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE,
                                          H5Z_FILTER_FLETCHER32};
    unsigned flags;
    (void)info;
    hid_t dataset = H5Oopen(file, name, H5P_DEFAULT);
    if (H5Iget_type(dataset) != H5I_DATASET) {
        H5Oclose(dataset);
        return 0;
    }
    hid_t layout = H5Dget_create_plist(dataset);
    assert_int_equal(H5Pget_layout(layout), H5D_CHUNKED);
    assert_int_equal(H5Pget_nfilters(layout), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(H5Pget_filter2(layout, i, &flags, NULL, NULL, 0, NULL, NULL), wanted[i]);
    H5Pclose(layout);
    H5Oclose(dataset);
    ++*(int *)context;
    return 0;
}

static void every_dataset_is_chunked_compressed_and_checksummed(void **state)
{
    (void)state;
    int datasets = 0;
    const char *copy = temporary_path("copy.h5");
    pack(copy, EXAMPLE_FILE);
    hid_t file = H5Fopen(copy, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(H5Lvisit(file, H5_INDEX_NAME, H5_ITER_INC, check_filters, &datasets) >= 0);
    H5Fclose(file);
    assert_true(datasets > 20);
}

static void a_large_entry_is_one_chunk(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    struct pm_store_shape shape = example_shape();
    struct pm_store_about about = example_about();
    const char *live = temporary_path("large.h5"), *copy = temporary_path("copy.h5");
    shape.items = shape.entries = 1;
    shape.image_height = 1000;
    shape.image_width = 351;
    assert_ok(pm_store_create(&store, live, MPI_COMM_SELF, &shape, &about, &err), err);
    struct pm_store_item item = {.id = "a", .line = 1, .recipe = "{}"};
    struct pm_store_prompt prompt = {.text = "", .target = PM_STORE_SOURCE};
    assert_ok(pm_store_put_item(store, 0, &item, &err), err);
    assert_ok(pm_store_put_prompt(store, 0, &prompt, &err), err);
    assert_ok(pm_store_commit(store, &err), err);
    example_put(store, 0);
    pm_store_close(store);
    pack(copy, live);
    assert_same_data(live, copy);
    hid_t file = H5Fopen(copy, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t image = H5Dopen2(file, "/image", H5P_DEFAULT), space = H5Dget_space(image);
    hsize_t chunks = 0;
    assert_true(H5Dget_num_chunks(image, space, &chunks) >= 0);
    assert_int_equal(chunks, 1);
    H5Sclose(space);
    H5Dclose(image);
    H5Fclose(file);
}

static void a_copy_of_a_copy_is_the_same_file(void **state)
{
    (void)state;
    const char *one = temporary_path("copy.h5"), *two = temporary_path("two.h5");
    char command[1200];
    pack(one, EXAMPLE_FILE);
    pack(two, one);
    snprintf(command, sizeof command, "cmp '%s' '%s'", one, two);
    assert_int_equal(system(command), 0);
}

static void what_the_store_does_not_know_is_kept(void **state)
{
    (void)state;
    temporary_copy("notes.h5", EXAMPLE_FILE);
    const char *live = temporary_path("notes.h5"), *copy = temporary_path("copy.h5");
    const char *words[] = {"a", "longer"};
    hid_t file = H5Fopen(live, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t group = H5Gcreate2(file, "/latent/mine", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, (hsize_t[]){2}, NULL);
    H5Tset_size(type, H5T_VARIABLE);
    hid_t notes = H5Dcreate2(group, "notes", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(notes, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, words) >= 0);
    hid_t label = H5Acreate2(notes, "label", H5T_STD_I16BE, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(label, H5T_NATIVE_INT, (int[]){7, -7}) >= 0);
    assert_true(H5Lcreate_soft("/latent/mine/notes", file, "/short", H5P_DEFAULT, H5P_DEFAULT) >=
                0);
    H5Aclose(label);
    H5Dclose(notes);
    H5Gclose(group);
    H5Fclose(file);
    pack(copy, live);

    char *read[2];
    file = H5Fopen(copy, H5F_ACC_RDONLY, H5P_DEFAULT);
    notes = H5Dopen2(file, "/short", H5P_DEFAULT);
    assert_true(H5Dread(notes, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, read) >= 0);
    assert_string_equal(read[1], words[1]);
    assert_int_equal(H5Aget_num_attrs(notes), 1);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, read);
    H5Dclose(notes);
    H5Fclose(file);
    H5Sclose(space);
    H5Tclose(type);
}

static void an_attribute_that_refers_to_an_object_is_refused(void **state)
{
    (void)state;
    struct pm_store_pack_options options = pm_store_pack_options_default();
    struct pm_store_pack_report report;
    struct pm_error err = {0};
    temporary_copy("reference.h5", EXAMPLE_FILE);
    const char *live = temporary_path("reference.h5");
    hid_t file = H5Fopen(live, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t image = H5Dopen2(file, "/image", H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
    hid_t scale = H5Acreate2(image, "scale", H5T_STD_REF_OBJ, space, H5P_DEFAULT, H5P_DEFAULT);
    hobj_ref_t reference;
    assert_true(H5Rcreate(&reference, file, "/entry", H5R_OBJECT, -1) >= 0);
    assert_true(H5Awrite(scale, H5T_STD_REF_OBJ, &reference) >= 0);
    H5Aclose(scale);
    H5Sclose(space);
    H5Dclose(image);
    H5Fclose(file);
    assert_fails(pm_store_pack(live, temporary_path("no.h5"), &options, &report, &err), err,
                 "scale: this attribute cannot be copied");
}

static void a_copy_cannot_be_gone_on_with(void **state)
{
    (void)state;
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    const char *copy = temporary_path("copy.h5");
    pack(copy, EXAMPLE_FILE);
    assert_fails(pm_store_open(&store, copy, MPI_COMM_SELF, &err), err,
                 "copy.h5 is a packed store; it is read-only");
    assert_null(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_copy_reads_like_the_store),
        cmocka_unit_test(many_entries_are_the_same_and_smaller),
        cmocka_unit_test(every_dataset_is_chunked_compressed_and_checksummed),
        cmocka_unit_test(a_large_entry_is_one_chunk),
        cmocka_unit_test(a_copy_of_a_copy_is_the_same_file),
        cmocka_unit_test(what_the_store_does_not_know_is_kept),
        cmocka_unit_test(an_attribute_that_refers_to_an_object_is_refused),
        cmocka_unit_test(a_copy_cannot_be_gone_on_with),
    };
    MPI_Init(&argc, &argv); /* stores are made through it, with one rank */
    int failed = cmocka_run_group_tests(tests, temporary_make, temporary_remove);
    MPI_Finalize();
    return failed;
}
