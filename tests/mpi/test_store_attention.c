/* Captures of attention in a store: every axis and number, the bytes foretold, what is no capture.
 */
#include "store_example.h"
#include "test.h"

#include "pm/data/store.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CAPTURES = 4, STEPS = 3 };

static int rank, ranks;
static char folder[256], path[300];

static const size_t layers[] = {1, 7}, steps[STEPS] = {0, 1, 2};
static const struct pm_store_capture_about about_captures[CAPTURES] = {
    {.layers = layers, .layer_count = 2, .steps = steps, .step_count = 2, .head_count = 3},
    {.layers = layers,
     .layer_count = 1,
     .steps = steps,
     .step_count = 3,
     .head_count = 3,
     .blocks = PM_STORE_MID_BLOCK},
    {.layers = layers, .layer_count = 2, .steps = steps, .step_count = 3, .head_count = 3},
    {.layers = layers,
     .layer_count = 2,
     .steps = steps,
     .step_count = 3,
     .head_count = 3,
     .is_before = true,
     .blocks = PM_STORE_MID_BLOCK | PM_STORE_UP_BLOCKS}};

/* The example with other captures; without pictures and latents. */
static struct pm_store_shape shape_of(void)
{
    static const struct pm_store_capture captures[CAPTURES] = {{.path = "/attention/Heads",
                                                                .number = PM_STORE_F16,
                                                                .steps = 2,
                                                                .layers = 2,
                                                                .heads = 3,
                                                                .height = 5,
                                                                .width = 3},
                                                               {.path = "/attention/self_2",
                                                                .number = PM_STORE_F32,
                                                                .is_self = true,
                                                                .heads = 3,
                                                                .height = 2,
                                                                .width = 3},
                                                               {.path = "/attention/words",
                                                                .number = PM_STORE_U8,
                                                                .is_of_words = true,
                                                                .height = 5,
                                                                .width = 3},
                                                               {.path = "/attention/words_16",
                                                                .number = PM_STORE_F16,
                                                                .is_of_words = true,
                                                                .layers = 2,
                                                                .height = 1,
                                                                .width = 1}};
    struct pm_store_shape shape = example_shape();
    shape.images = false;
    shape.latents = PM_STORE_NO_LATENTS;
    memcpy(shape.captures, captures, sizeof captures);
    shape.capture_count = CAPTURES;
    return shape;
}

static const size_t floats_of[CAPTURES] = {2 * 2 * 3 * 15 * 6, 3 * 6 * 6, 15 * 3, 2 * 3};

static struct pm_store *create(MPI_Comm comm)
{
    struct pm_store_shape shape = shape_of();
    struct pm_store_about about = example_about();
    about.captures = about_captures;
    return example_create_as(path, comm, &shape, &about);
}

static void fill(float *maps, size_t capture, size_t entry)
{
    fill_random(maps, floats_of[capture], (unsigned)(entry * CAPTURES + capture));
    for (size_t i = 0; i < floats_of[capture]; i++) maps[i] = fabsf(maps[i]);
}

static void put(struct pm_store *store, size_t entry)
{
    struct pm_error err = {0};
    struct pm_store_payload payload = {0};
    float *maps[CAPTURES];
    for (size_t i = 0; i < CAPTURES; i++) {
        maps[i] = test_malloc(floats_of[i] * sizeof(float));
        fill(maps[i], i, entry);
        payload.attention[i] = maps[i];
    }
    assert_ok(pm_store_put_entry(store, entry, &payload, 1.0, &err), err);
    for (size_t i = 0; i < CAPTURES; i++) test_free(maps[i]);
}

/* The largest error of a number near 1, and of one near 0, as it is kept. */
static bool matches(const struct pm_store *store, size_t entry)
{
    static const double half_step[CAPTURES] = {0x1p-11, 0.0, 0.5 / 255.0, 0x1p-11};
    struct pm_error err = {0};
    bool same = true;
    for (size_t i = 0; i < CAPTURES; i++) {
        assert_int_equal(pm_store_attention_floats(store, i), floats_of[i]);
        float *read = test_malloc(floats_of[i] * sizeof(float)),
              *wanted = test_malloc(floats_of[i] * sizeof(float));
        fill_nan(read, floats_of[i]);
        fill(wanted, i, entry);
        assert_ok(pm_store_read_attention(read, store, i, entry, &err), err);
        for (size_t k = 0; k < floats_of[i]; k++) {
            double clipped = i == 2 ? fmin((double)wanted[k], 1.0) : (double)wanted[k];
            double bound = half_step[i] * (i == 2 ? 1.001 : fmax(fabs(clipped), 0x1p-14));
            same = same && fabs((double)read[k] - clipped) <= bound;
        }
        test_free(read);
        test_free(wanted);
    }
    return same;
}

static void any_rank_writes_what_every_rank_reads(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_store *store = create(MPI_COMM_WORLD);
    for (size_t e = (size_t)rank; e < EXAMPLE_ENTRIES; e += (size_t)ranks) put(store, e);
    MPI_Barrier(MPI_COMM_WORLD);
    bool same = true;
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) {
        bool good = false;
        assert_ok(pm_store_verify_entry(&good, store, e, &err), err);
        same = same && good && matches(store, e);
    }
    assert_on_all_ranks(MPI_COMM_WORLD, same);
    pm_store_close(store);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) unlink(path);
}

/* From here on rank 0 is alone. */

static void the_shape_comes_back_from_the_file(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_store_shape wanted = shape_of();
    struct pm_store *store;
    pm_store_close(create(MPI_COMM_SELF));
    assert_ok(pm_store_open_read(&store, path, &err), err);
    const struct pm_store_shape *shape = pm_store_shape_of(store);
    assert_true(!shape->images && shape->latents == PM_STORE_NO_LATENTS);
    assert_int_equal(shape->capture_count, CAPTURES);
    for (size_t i = 0; i < CAPTURES; i++) {
        const struct pm_store_capture *a = &shape->captures[i], *b = &wanted.captures[i];
        assert_string_equal(a->path, b->path);
        assert_true(a->is_self == b->is_self && a->is_of_words == b->is_of_words &&
                    a->number == b->number && a->steps == b->steps && a->layers == b->layers &&
                    a->heads == b->heads && a->height == b->height && a->width == b->width);
    }
    pm_store_close(store);
    unlink(path);
}

static void every_datasets_bytes_are_foretold_to_the_last(void **state)
{
    (void)state;
    struct pm_store_shape shape = shape_of();
    struct pm_store_dataset datasets[PM_STORE_MAX_DATASETS];
    struct stat about;
    size_t count = pm_store_datasets(datasets, &shape);
    uint64_t all = 0;
    pm_store_close(create(MPI_COMM_SELF));
    assert_int_equal(stat(path, &about), 0);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    for (size_t i = 0; i < count; i++) {
        hid_t data = H5Dopen2(file, datasets[i].path, H5P_DEFAULT);
        assert_true(data >= 0);
        assert_int_equal(H5Dget_storage_size(data), datasets[i].bytes);
        all += datasets[i].bytes;
        H5Dclose(data);
    }
    H5Fclose(file);
    assert_int_equal(count, 18 + CAPTURES + 1); /* with the blend masks */
    double foretold = (double)pm_store_bytes(&shape), real = (double)about.st_size;
    assert_true(foretold > (double)all && fabs(foretold - real) < 10000.0);
    unlink(path);
}

static void attributes_say_what_the_axes_do_not(void **state)
{
    (void)state;
    pm_store_close(create(MPI_COMM_SELF));
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    static const char *const names[] = {
        "kind",  "when",         "mean_over", "steps", "layers",      "heads",  "size",
        "dtype", "scale_factor", "long_name", "units", "description", "blocks", "latent_size"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(H5Aexists_by_name(file, "/attention/self_2", names[i], H5P_DEFAULT) > 0);
    double scale = 0.0;
    int64_t listed[STEPS] = {-1, -1, -1};
    hid_t attribute =
        H5Aopen_by_name(file, "/attention/words", "scale_factor", H5P_DEFAULT, H5P_DEFAULT);
    H5Aread(attribute, H5T_NATIVE_DOUBLE, &scale);
    H5Aclose(attribute);
    assert_true(scale == 1.0 / 255.0);
    attribute = H5Aopen_by_name(file, "/attention/words", "layers", H5P_DEFAULT, H5P_DEFAULT);
    H5Aread(attribute, H5T_NATIVE_INT64, listed);
    H5Aclose(attribute);
    assert_true(listed[0] == 1 && listed[1] == 7 && listed[2] == -1);
    H5Fclose(file);
    unlink(path);
}

static void counts_of_what_was_averaged_are_read_back(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_store_capture_counts counts;
    struct pm_error err = {0};
    struct pm_store_shape shape = shape_of();
    pm_store_close(create(MPI_COMM_SELF));
    assert_ok(pm_store_open_read(&store, path, &err), err);
    assert_ok(pm_store_read_capture_counts(&counts, store, 0, &err), err);
    assert_true(counts.steps == 2 && counts.layers == 2 && counts.heads == 3);
    assert_true(!counts.is_before && !counts.is_mid);
    /* these stores keep no latents */
    assert_int_equal(counts.latent_height, shape.latent_height);
    assert_int_equal(counts.latent_width, shape.latent_width);
    assert_ok(pm_store_read_capture_counts(&counts, store, 1, &err), err);
    assert_true(counts.steps == 3 && counts.layers == 1 && counts.is_mid);
    assert_ok(pm_store_read_capture_counts(&counts, store, 3, &err), err);
    assert_true(counts.is_before && !counts.is_mid);
    pm_store_close(store);
    unlink(path);
}

/* Put a number in the place of an attribute of the first capture. */
static void break_attribute(const char *name, int64_t number, size_t count)
{
    const hsize_t extent = count;
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t data = H5Dopen2(file, "/attention/Heads", H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &extent, NULL);
    H5Adelete(data, name);
    hid_t attribute = H5Acreate2(data, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    int64_t *numbers = test_calloc(count, sizeof *numbers);
    for (size_t i = 0; i < count; i++) numbers[i] = number;
    assert_true(H5Awrite(attribute, H5T_NATIVE_INT64, numbers) >= 0);
    test_free(numbers);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Dclose(data);
    H5Fclose(file);
}

static void attributes_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t number;
        size_t count;
        const char *words;
    } cases[] = {{"heads", -3, 1, "do not say which steps, layers and heads"},
                 {"heads", 4, 1, "do not say which steps, layers and heads"},
                 {"steps", 0, 3, "do not say which steps, layers and heads"},
                 {"layers", 0, 7, "do not say which steps, layers and heads"},
                 {"when", 1, 1, "do not say which steps, layers and heads"},
                 {"latent_size", 0, 2, "nothing says the latent's size"},
                 {"latent_size", 1 << 15, 2, "nothing says the latent's size"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_store *store;
        struct pm_store_capture_counts counts;
        struct pm_error err = {0};
        pm_store_close(create(MPI_COMM_SELF));
        break_attribute(cases[i].name, cases[i].number, cases[i].count);
        assert_ok(pm_store_open_read(&store, path, &err), err);
        assert_fails(pm_store_read_capture_counts(&counts, store, 0, &err), err, cases[i].words);
        pm_store_close(store);
        unlink(path);
    }
}

static void captures_out_of_order_or_misnamed_are_refused(void **state)
{
    (void)state;
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    struct pm_store_about about = example_about();
    about.captures = about_captures;
    struct pm_store_shape shape = shape_of();
    strcpy(shape.captures[1].path, shape.captures[0].path);
    assert_fails(pm_store_create(&store, path, MPI_COMM_SELF, &shape, &about, &err), err,
                 "/attention/Heads is there twice");
    strcpy(shape.captures[1].path, "/attention/Heads/x");
    assert_fails(pm_store_create(&store, path, MPI_COMM_SELF, &shape, &about, &err), err,
                 "is no name of attention");
    shape = shape_of();
    shape.captures[1].heads = (size_t)1 << 40;
    assert_int_equal(pm_store_bytes(&shape), UINT64_MAX);
    assert_fails(pm_store_create(&store, path, MPI_COMM_SELF, &shape, &about, &err), err,
                 "/attention/self_2 would be too large");
}

static void shapes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    struct pm_store_about about = example_about();
    about.captures = about_captures;
    struct pm_store_shape shape = shape_of();
    shape.steps = 0;
    assert_fails(pm_store_create(&store, path, MPI_COMM_SELF, &shape, &about, &err), err,
                 "a store cannot have 0 for its size");
    shape = shape_of();
    shape.entries = shape.items - 1;
    assert_fails(pm_store_create(&store, path, MPI_COMM_SELF, &shape, &about, &err), err,
                 "5 items have at least as many entries, not 4");
    shape = shape_of();
    shape.capture_count = PM_STORE_MAX_CAPTURES + 1;
    assert_fails(pm_store_create(&store, path, MPI_COMM_SELF, &shape, &about, &err), err,
                 "17 datasets of attention; 16 are the most");
}

static void expect_refused(hid_t file, const char *words)
{
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    H5Fclose(file);
    assert_fails(pm_store_open_read(&store, path, &err), err, words);
    unlink(path);
}

static hid_t begin_breaking(void)
{
    pm_store_close(create(MPI_COMM_SELF));
    return H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
}

/* A dataset of bytes without axes' names. */
static void add_dataset(hid_t file, const char *name)
{
    hsize_t extent[] = {EXAMPLE_ENTRIES, 5, 3, 6};
    hid_t space = H5Screate_simple(4, extent, NULL);
    hid_t data = H5Dcreate2(file, name, H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(data >= 0);
    H5Dclose(data);
    H5Sclose(space);
}

static void what_is_no_capture_is_refused(void **state)
{
    (void)state;
    hid_t file = begin_breaking();
    add_dataset(file, "/attention/other");
    expect_refused(file, "/attention/other: its axes are not named as those of attention maps");
    file = begin_breaking();
    add_dataset(file, "/attention/no-name");
    expect_refused(file, "/attention: has a dataset whose name is too long or not of letters");
    file = begin_breaking();
    H5Ldelete(file, "/attention", H5P_DEFAULT);
    add_dataset(file, "/attention");
    expect_refused(file, "/attention: is no group of datasets");
    file = begin_breaking();
    H5Ldelete(file, "/attention", H5P_DEFAULT);
    H5Lcreate_soft("/prompt", file, "/attention", H5P_DEFAULT, H5P_DEFAULT);
    expect_refused(file, "/attention: is a link that may lead to another file");
    file = begin_breaking();
    for (char name[] = "/attention/a"; name[11] < 'a' + PM_STORE_MAX_CAPTURES; name[11]++)
        add_dataset(file, name);
    expect_refused(file, "/attention: has more than 16 datasets");
}

static bool make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/pm-attention-XXXXXX", parent ? parent : "/tmp");
    int ok = rank != 0 || mkdtemp(folder) != NULL;
    MPI_Bcast(&ok, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    snprintf(path, sizeof path, "%s/a.h5", folder);
    return ok;
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const struct CMUnitTest together[] = {cmocka_unit_test(any_rank_writes_what_every_rank_reads)};
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(the_shape_comes_back_from_the_file),
        cmocka_unit_test(every_datasets_bytes_are_foretold_to_the_last),
        cmocka_unit_test(attributes_say_what_the_axes_do_not),
        cmocka_unit_test(counts_of_what_was_averaged_are_read_back),
        cmocka_unit_test(attributes_that_make_no_sense_are_refused),
        cmocka_unit_test(shapes_that_cannot_be_are_refused),
        cmocka_unit_test(captures_out_of_order_or_misnamed_are_refused),
        cmocka_unit_test(what_is_no_capture_is_refused),
    };
    int failed = make_folder() ? 0 : 1;
    if (!failed) failed = cmocka_run_group_tests(together, NULL, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0 && !failed) failed = cmocka_run_group_tests(alone, NULL, NULL);
    if (rank == 0 && rmdir(folder) != 0) failed++; /* a test has left a file */
    MPI_Finalize();
    return failed;
}
