/* A store of several files is as one of one file, and no file of it is taken for another. */
#include "test.h"

#include "pm/data/store_pack.h"
#include "store_example.h"
#include "temporary.h"

#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of 5 items with 9 entries: 1, 2 and 2 items. */
enum { SHARDS = 3 };
static const size_t shard_entries[SHARDS] = {0, 1, 6};
static int rank, ranks;

static struct pm_store_shape sharded_shape(void)
{
    struct pm_store_shape shape = example_shape();
    shape.shards = SHARDS;
    return shape;
}

static struct pm_store *create(const char *name, MPI_Comm comm)
{
    struct pm_store_shape shape = sharded_shape();
    struct pm_store_about about = example_about();
    about.shard_first_entry = shard_entries;
    return example_create_as(temporary_path(name), comm, &shape, &about);
}

static void create_whole(const char *name)
{
    struct pm_store *store = create(name, MPI_COMM_SELF);
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) example_put(store, e);
    pm_store_close(store);
}

static bool is_whole(const char *path)
{
    struct pm_store *store;
    struct pm_error err = {0};
    bool whole = true;
    assert_ok(pm_store_open_read(&store, path, &err), err);
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) {
        bool good = false;
        struct pm_store_row row;
        assert_ok(pm_store_read_rows(&row, store, e, 1, &err), err);
        assert_ok(pm_store_verify_entry(&good, store, e, &err), err);
        whole = whole && good && row.state == PM_STORE_DONE && example_matches(store, e);
    }
    pm_store_close(store);
    return whole;
}

/* All ranks together, in a folder that is rank 0's. */
static void what_any_rank_writes_every_rank_reads(void **state)
{
    (void)state;
    struct pm_error err = {0};
    char path[512] = "";
    if (rank == 0) snprintf(path, sizeof path, "%s", temporary_path("together.h5"));
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, MPI_COMM_WORLD);
    struct pm_store_shape shape = sharded_shape();
    struct pm_store_about about = example_about();
    about.shard_first_entry = shard_entries;
    struct pm_store *store = example_create_as(path, MPI_COMM_WORLD, &shape, &about);
    for (size_t e = (size_t)rank; e < 5; e += (size_t)ranks) example_put(store, e);
    pm_store_close(store);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_ok(pm_store_open(&store, path, MPI_COMM_WORLD, &err), err);
    struct pm_store_row rows[EXAMPLE_ENTRIES];
    assert_ok(pm_store_read_rows(rows, store, 0, EXAMPLE_ENTRIES, &err), err);
    bool as_left = true;
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++)
        as_left = as_left && rows[e].state == (e < 5 ? PM_STORE_DONE : PM_STORE_PENDING);
    assert_on_all_ranks(MPI_COMM_WORLD, as_left);
    for (size_t e = 5; e < EXAMPLE_ENTRIES; e++)
        if (e % (size_t)ranks == (size_t)rank) example_put(store, e);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_on_all_ranks(MPI_COMM_WORLD, is_whole(path)); /* while open */
    pm_store_close(store);
    MPI_Barrier(MPI_COMM_WORLD); /* the folder goes with rank 0 */
}

static void each_item_lies_in_one_shard(void **state)
{
    (void)state;
    static const size_t wanted[EXAMPLE_ITEMS] = {0, 1, 1, 2, 2};
    struct pm_store *store = create("items.h5", MPI_COMM_SELF);
    for (size_t i = 0; i < EXAMPLE_ITEMS; i++)
        assert_int_equal(pm_store_shard_of(store, i), wanted[i]);
    pm_store_close(store);
    struct pm_store_shape shape = {.items = SIZE_MAX / 2, .shards = PM_STORE_MAX_SHARDS};
    assert_int_equal(pm_store_shard_item(&shape, 0), 0);
    assert_int_equal(pm_store_shard_item(&shape, PM_STORE_MAX_SHARDS), SIZE_MAX / 2);
}

static void a_missing_shard_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    create_whole("missing.h5");
    assert_int_equal(unlink(temporary_path("missing.h5.shard-1")), 0);
    assert_fails(pm_store_open_read(&store, temporary_path("missing.h5"), &err), err,
                 "missing.h5.shard-1 is missing");
    assert_non_null(strstr(err.message, "the entries 1 to 5 of"));
}

static void a_lost_shard_is_made_anew_with_nothing_done(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    struct pm_store_row rows[EXAMPLE_ENTRIES];
    create_whole("lost.h5");
    assert_int_equal(unlink(temporary_path("lost.h5.shard-1")), 0);
    assert_ok(pm_store_open(&store, temporary_path("lost.h5"), MPI_COMM_SELF, &err), err);
    assert_ok(pm_store_read_rows(rows, store, 0, EXAMPLE_ENTRIES, &err), err);
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) {
        bool good = false, is_lost = e >= 1 && e < 6;
        assert_int_equal(rows[e].state, is_lost ? PM_STORE_PENDING : PM_STORE_DONE);
        assert_ok(pm_store_verify_entry(&good, store, e, &err), err);
        assert_true(good);
        if (is_lost) example_put(store, e);
    }
    pm_store_close(store);
    assert_true(is_whole(temporary_path("lost.h5")));
}

static void another_stores_shard_is_refused(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    create_whole("mine.h5");
    create_whole("other.h5");
    temporary_copy("mine.h5.shard-2", temporary_path("other.h5.shard-2"));
    const char *wrong = "mine.h5.shard-2 is not this shard of";
    assert_fails(pm_store_open_read(&store, temporary_path("mine.h5"), &err), err, wrong);
    assert_fails(pm_store_open(&store, temporary_path("mine.h5"), MPI_COMM_SELF, &err), err, wrong);
    assert_true(is_whole(temporary_path("other.h5")));
}

static void a_shard_in_anothers_place_is_refused(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    create_whole("swap.h5");
    temporary_copy("swap.h5.shard-1", temporary_path("swap.h5.shard-2"));
    assert_fails(pm_store_open_read(&store, temporary_path("swap.h5"), &err), err,
                 "swap.h5.shard-1 is not this shard of");
}

static void a_shard_cut_short_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    create_whole("cut.h5");
    assert_int_equal(truncate(temporary_path("cut.h5.shard-0"), 100), 0);
    assert_fails(pm_store_open_read(&store, temporary_path("cut.h5"), &err), err, "cut.h5.shard-0");
    assert_fails(pm_store_open(&store, temporary_path("cut.h5"), MPI_COMM_SELF, &err), err,
                 "cut.h5.shard-0");
}

static void a_shard_is_never_overwritten(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    struct pm_store_shape shape = sharded_shape();
    struct pm_store_about about = example_about();
    about.shard_first_entry = shard_entries;
    temporary_write_text("there.h5.shard-2", "precious");
    assert_fails(
        pm_store_create(&store, temporary_path("there.h5"), MPI_COMM_SELF, &shape, &about, &err),
        err, "there.h5.shard-2 exists already");
    struct stat status;
    assert_int_equal(stat(temporary_path("there.h5.shard-2"), &status), 0);
    assert_int_equal(status.st_size, strlen("precious"));
    assert_int_not_equal(stat(temporary_path("there.h5"), &status), 0);
    assert_int_not_equal(stat(temporary_path("there.h5.shard-0"), &status), 0);
}

/* Other numbers in an attribute of three. */
static void overwrite(const char *path, const char *name, int64_t first, int64_t second,
                      int64_t third)
{
    const int64_t numbers[SHARDS] = {first, second, third};
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    assert_true(attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT64, numbers) >= 0);
    H5Aclose(attribute);
    H5Fclose(file);
}

static void a_store_that_tells_nonsense_of_its_shards_is_refused(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    create_whole("odd.h5");
    const char *path = temporary_path("odd.h5");
    overwrite(path, "shard_first_entry", 0, -1, 6);
    assert_fails(pm_store_open_read(&store, path, &err), err,
                 "odd.h5: what it says about its shards is damaged");
    static const int64_t wrong[][SHARDS] = {{0, 6, 1}, {0, 1, 9}, {1, 2, 6}, {0, 1, 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        overwrite(path, "shard_first_entry", wrong[i][0], wrong[i][1], wrong[i][2]);
        assert_fails(pm_store_open_read(&store, path, &err), err,
                     "odd.h5: its shards do not have all entries, each once");
    }
    overwrite(path, "shard_first_entry", 0, 1, 6);
    assert_true(is_whole(path));
}

static void packing_makes_one_file_of_it(void **state)
{
    (void)state;
    struct pm_store *store;
    struct pm_error err = {0};
    struct pm_store_pack_options options = pm_store_pack_options_default();
    struct pm_store_pack_report report;
    create_whole("many.h5");
    assert_ok(
        pm_store_pack(temporary_path("many.h5"), temporary_path("one.h5"), &options, &report, &err),
        err);
    for (int i = 0; i < SHARDS; i++) {
        char name[32];
        snprintf(name, sizeof name, "many.h5.shard-%d", i);
        assert_int_equal(unlink(temporary_path(name)), 0);
    }
    assert_true(is_whole(temporary_path("one.h5")));
    assert_ok(pm_store_open_read(&store, temporary_path("one.h5"), &err), err);
    assert_int_equal(pm_store_shape_of(store)->shards, 0);
    pm_store_close(store);
}

/* More files than are held open at a time. */
static void forty_shards_are_written_and_read(void **state)
{
    (void)state;
    enum { MANY = 40 };
    size_t first_entry[MANY];
    struct pm_store *store;
    struct pm_error err = {0};
    struct pm_store_shape shape = example_shape();
    struct pm_store_about about = example_about();
    shape.items = shape.entries = shape.shards = MANY;
    about.shard_first_entry = first_entry;
    for (size_t i = 0; i < MANY; i++) first_entry[i] = i;
    const char *path = temporary_path("forty.h5");
    assert_ok(pm_store_create(&store, path, MPI_COMM_SELF, &shape, &about, &err), err);
    for (size_t i = 0; i < MANY; i++) {
        struct pm_store_item item = {.id = "", .line = i + 1, .first_entry = i, .recipe = "{}"};
        struct pm_store_prompt prompt = {.text = "", .item = i, .target = PM_STORE_SOURCE};
        assert_ok(pm_store_put_item(store, i, &item, &err), err);
        assert_ok(pm_store_put_prompt(store, i, &prompt, &err), err);
    }
    assert_ok(pm_store_commit(store, &err), err);
    for (size_t i = 0; i < MANY; i++) {
        char why[16];
        size_t entry = i * 17 % MANY;
        snprintf(why, sizeof why, "number %zu", entry);
        assert_ok(pm_store_fail_entry(store, entry, why, 0.0, &err), err);
    }
    struct pm_store_row rows[MANY]; /* over all shards at once */
    assert_ok(pm_store_read_rows(rows, store, 0, MANY, &err), err);
    for (size_t i = 0; i < MANY; i++) {
        char why[16];
        snprintf(why, sizeof why, "number %zu", i);
        assert_string_equal(rows[i].message, why);
    }
    pm_store_close(store);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const struct CMUnitTest together[] = {cmocka_unit_test(what_any_rank_writes_every_rank_reads)};
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(each_item_lies_in_one_shard),
        cmocka_unit_test(a_missing_shard_is_an_error_that_names_it),
        cmocka_unit_test(a_lost_shard_is_made_anew_with_nothing_done),
        cmocka_unit_test(another_stores_shard_is_refused),
        cmocka_unit_test(a_shard_in_anothers_place_is_refused),
        cmocka_unit_test(a_shard_cut_short_is_an_error_that_names_it),
        cmocka_unit_test(a_shard_is_never_overwritten),
        cmocka_unit_test(a_store_that_tells_nonsense_of_its_shards_is_refused),
        cmocka_unit_test(packing_makes_one_file_of_it),
        cmocka_unit_test(forty_shards_are_written_and_read),
    };
    int failed = cmocka_run_group_tests(together, temporary_make, temporary_remove);
    if (rank == 0 && !failed)
        failed = cmocka_run_group_tests(alone, temporary_make, temporary_remove);
    MPI_Finalize();
    return failed;
}
