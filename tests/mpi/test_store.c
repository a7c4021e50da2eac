#include "test.h"

#include "pm/data/store.h"
#include "store_example.h"

#include <fcntl.h>
#include <glob.h>
#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

static int rank, ranks;
static char folder[256];

/* A name in the tests' folder, which all ranks share. */
static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/pm-store-XXXXXX", parent ? parent : "/tmp");
    int ok = rank != 0 || mkdtemp(folder) != NULL;
    MPI_Bcast(&ok, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    return ok;
}

/* All ranks have closed @p name before it goes. */
static void remove_store(const char *name)
{
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) unlink(path_of(name));
    MPI_Barrier(MPI_COMM_WORLD);
}

static void put_mine(struct pm_store *store, size_t first, size_t end, int of_ranks)
{
    for (size_t e = first; e < end; e++)
        if ((int)(e % (size_t)of_ranks) == (of_ranks == 1 ? 0 : rank)) example_put(store, e);
}

static bool all_done_and_good(const char *path)
{
    struct pm_store *store;
    struct pm_error err = {0};
    struct pm_store_row rows[EXAMPLE_ENTRIES];
    assert_ok(pm_store_open_read(&store, path, &err), err);
    assert_ok(pm_store_read_rows(rows, store, 0, EXAMPLE_ENTRIES, &err), err);
    bool all = true;
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) {
        bool good = false;
        assert_ok(pm_store_verify_entry(&good, store, e, &err), err);
        all = all && good && rows[e].state == PM_STORE_DONE && example_matches(store, e) &&
              rows[e].flags == example_flags(pm_store_shape_of(store), e);
    }
    pm_store_close(store);
    return all;
}

static void what_any_rank_writes_every_rank_reads(void **state)
{
    (void)state;
    struct pm_store *store = example_create(path_of("a.h5"), MPI_COMM_WORLD);
    put_mine(store, 0, EXAMPLE_ENTRIES, ranks);
    MPI_Barrier(MPI_COMM_WORLD);
    bool same = true;
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) same = same && example_matches(store, e);
    assert_on_all_ranks(MPI_COMM_WORLD, same);
    assert_on_all_ranks(MPI_COMM_WORLD, all_done_and_good(path_of("a.h5"))); /* while open */
    pm_store_close(store);
    assert_on_all_ranks(MPI_COMM_WORLD, all_done_and_good(path_of("a.h5")));
    remove_store("a.h5");
}

/* Calls itself on every dataset of both files; all but /provenance must be equal. */
static herr_t compare_dataset(hid_t file, const char *name, const H5O_info_t *info, void *other)
{
    if (info->type != H5O_TYPE_DATASET || strncmp(name, "provenance", 10) == 0) return 0;
    hid_t pair[2] = {H5Dopen2(file, name, H5P_DEFAULT),
                     H5Dopen2(*(hid_t *)other, name, H5P_DEFAULT)};
    void *bytes[2] = {NULL, NULL};
    size_t size[2] = {0, 1};
    for (int i = 0; i < 2 && pair[i] >= 0; i++) {
        hid_t type = H5Dget_type(pair[i]), space = H5Dget_space(pair[i]);
        size[i] = H5Tget_size(type) * (size_t)H5Sget_simple_extent_npoints(space);
        bytes[i] = malloc(size[i]);
        if (H5Dread(pair[i], type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes[i]) < 0) size[i] = i;
        H5Sclose(space);
        H5Tclose(type);
        H5Dclose(pair[i]);
    }
    bool same = size[0] > 1 && size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same ? 0 : -1;
}

static void what_is_kept_of_real_pictures_every_rank_reads(void **state)
{
    (void)state;
    struct pm_store_shape shape = example_real_shape();
    struct pm_store_about about = example_about();
    struct pm_store *store = example_create_as(path_of("r.h5"), MPI_COMM_WORLD, &shape, &about);
    put_mine(store, 0, EXAMPLE_ENTRIES, ranks);
    pm_store_close(store);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_on_all_ranks(MPI_COMM_WORLD, all_done_and_good(path_of("r.h5")));
    remove_store("r.h5");
}

static void contents_depend_neither_on_rank_count_nor_on_the_day(void **state)
{
    (void)state;
    struct pm_store *store = example_create(path_of("a.h5"), MPI_COMM_WORLD);
    put_mine(store, 0, EXAMPLE_ENTRIES, ranks);
    pm_store_close(store);
    bool same = true;
    if (rank == 0) {
        hid_t now = H5Fopen(path_of("a.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
        hid_t kept = H5Fopen(EXAMPLE_FILE, H5F_ACC_RDONLY, H5P_DEFAULT); /* by one rank */
        same = H5Ovisit(now, H5_INDEX_NAME, H5_ITER_NATIVE, compare_dataset, &kept) == 0;
        H5Fclose(kept);
        H5Fclose(now);
    }
    assert_on_all_ranks(MPI_COMM_WORLD, same);
    remove_store("a.h5");
}

static void another_rank_count_goes_on_with_a_store(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_store *store = example_create(path_of("b.h5"), MPI_COMM_WORLD);
    put_mine(store, 0, 4, ranks);
    pm_store_close(store);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        assert_ok(pm_store_open(&store, path_of("b.h5"), MPI_COMM_SELF, &err), err);
        put_mine(store, 4, 7, 1);
        pm_store_close(store);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    assert_ok(pm_store_open(&store, path_of("b.h5"), MPI_COMM_WORLD, &err), err);
    struct pm_store_row rows[EXAMPLE_ENTRIES];
    assert_ok(pm_store_read_rows(rows, store, 0, EXAMPLE_ENTRIES, &err), err);
    bool as_left = true;
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++)
        as_left = as_left && rows[e].state == (e < 7 ? PM_STORE_DONE : PM_STORE_PENDING);
    assert_on_all_ranks(MPI_COMM_WORLD, as_left);
    put_mine(store, 7, EXAMPLE_ENTRIES, ranks);
    pm_store_close(store);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_on_all_ranks(MPI_COMM_WORLD, all_done_and_good(path_of("b.h5")));
    remove_store("b.h5");
}

static void a_store_is_never_overwritten(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_store *again = NULL, *store = example_create(path_of("f.h5"), MPI_COMM_WORLD);
    struct pm_store_shape shape = example_shape();
    struct pm_store_about about = example_about();
    pm_store_close(store);
    bool created = pm_store_create(&again, path_of("f.h5"), MPI_COMM_WORLD, &shape, &about, &err);
    assert_on_all_ranks(MPI_COMM_WORLD, !created && strstr(err.message, "f.h5 exists already"));
    remove_store("f.h5");
}

/* Rank 0 does something to the folder between the plan and its commit, which then fails on all ranks. */
static void assert_commit_fails(const char *name, void meanwhile(const char *path),
                                const char *sentence)
{
    struct pm_error err = {0};
    struct pm_store *store = NULL;
    struct pm_store_shape shape = example_shape();
    struct pm_store_about about = example_about();
    shape.items = shape.entries = 1;
    assert_ok(pm_store_create(&store, path_of(name), MPI_COMM_WORLD, &shape, &about, &err), err);
    if (rank == 0) {
        struct pm_store_item item = {.id = "", .line = 1, .recipe = "{}"};
        struct pm_store_prompt prompt = {.text = "", .target = PM_STORE_SOURCE};
        assert_ok(pm_store_put_item(store, 0, &item, &err), err);
        assert_ok(pm_store_put_prompt(store, 0, &prompt, &err), err);
        meanwhile(path_of(name));
    }
    MPI_Barrier(MPI_COMM_WORLD);
    bool committed = pm_store_commit(store, &err);
    if (committed || !strstr(err.message, sentence)) print_error("%s\n", err.message);
    assert_on_all_ranks(MPI_COMM_WORLD, !committed && strstr(err.message, sentence));
    pm_store_close(store);
    remove_store(name);
}

static void make_empty_file(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static void remove_temporary(const char *path)
{
    char pattern[600];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s.tmp-*", path);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    unlink(found.gl_pathv[0]);
    globfree(&found);
}

static void what_another_run_made_meanwhile_is_left_alone(void **state)
{
    (void)state;
    assert_commit_fails("m.h5", make_empty_file, "m.h5 has been made by another run meanwhile");
}

static void a_new_store_that_somebody_removed_is_told(void **state)
{
    (void)state;
    assert_commit_fails("n.h5", remove_temporary, "cannot sync ");
}

/* A large plan of empty prompts. Ends uncommitted when @p commit is not. */
static void create_large(const char *path, size_t items, bool commit)
{
    struct pm_error err = {0};
    struct pm_store *store = NULL;
    struct pm_store_shape shape = example_shape();
    shape.items = shape.entries = items;
    struct pm_store_about about = example_about();
    assert_ok(pm_store_create(&store, path, MPI_COMM_WORLD, &shape, &about, &err), err);
    for (size_t i = 0; rank == 0 && i < items; i++) {
        struct pm_store_item item = {.id = "", .line = i + 1, .first_entry = i, .recipe = "{}"};
        struct pm_store_prompt prompt = {.text = "", .item = i, .target = PM_STORE_SOURCE};
        assert_ok(pm_store_put_item(store, i, &item, &err), err);
        assert_ok(pm_store_put_prompt(store, i, &prompt, &err), err);
    }
    if (commit) assert_ok(pm_store_commit(store, &err), err);
    pm_store_close(store);
}

static void twenty_thousand_items_take_seconds_and_the_bytes_foretold(void **state)
{
    (void)state;
    double start = MPI_Wtime();
    create_large(path_of("h.h5"), 20000, true);
    assert_on_all_ranks(MPI_COMM_WORLD, MPI_Wtime() - start < 10.0);
    struct pm_store_shape shape = example_shape();
    shape.items = shape.entries = 20000;
    struct stat file = {0};
    assert_int_equal(stat(path_of("h.h5"), &file), 0);
    double foretold = (double)pm_store_bytes(&shape), real = (double)file.st_size;
    assert_on_all_ranks(MPI_COMM_WORLD, foretold / real > 0.99 && foretold / real < 1.01);
    if (rank == 0) {
        struct pm_error err = {0};
        struct pm_store *store;
        struct pm_store_item item;
        assert_ok(pm_store_open_read(&store, path_of("h.h5"), &err), err);
        for (size_t i = 0; i < 20000; i += 1999) {
            assert_ok(pm_store_read_item(&item, store, i, &err), err);
            assert_true(item.line == i + 1 && item.first_entry == i && item.entries == 1);
            pm_store_item_free(&item);
        }
        pm_store_close(store);
    }
    remove_store("h.h5");
}

static void a_store_never_committed_vanishes(void **state)
{
    (void)state;
    create_large(path_of("i.h5"), 3, false);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_on_all_ranks(MPI_COMM_WORLD,
                        access(path_of("i.h5"), F_OK) != 0); /* nor its temporary: see main */
}

/* From here on rank 0 is alone: a check that fails leaves nobody waiting. */

/* Where a dataset's row begins in the file. */
static off_t row_place(const char *path, const char *dataset, size_t row)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t data = H5Dopen2(file, dataset, H5P_DEFAULT), space = H5Dget_space(data);
    hsize_t extent[5];
    H5Sget_simple_extent_dims(space, extent, NULL);
    off_t place = (off_t)(H5Dget_offset(data) + H5Dget_storage_size(data) / extent[0] * row);
    H5Sclose(space);
    H5Dclose(data);
    H5Fclose(file);
    return place;
}

static void a_row_is_pending_until_its_payload_is_whole(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_store_row row;
    struct rlimit unlimited;
    struct pm_store *store = example_create(path_of("c.h5"), MPI_COMM_SELF);
    struct pm_store_payload payload = example_payload(pm_store_shape_of(store), 8);
    /* as on a full disk: half of the last entry's maps cannot be written, but its row can */
    off_t maps = row_place(path_of("c.h5"), "/attention/cross_mean", 8);
    assert_true(row_place(path_of("c.h5"), "/entry", 8) < maps - PM_ERROR_BYTES - 10);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    struct rlimit limit = {(rlim_t)maps + 180, unlimited.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    bool written = pm_store_put_entry(store, 8, &payload, 1.0, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    assert_false(written);
    assert_non_null(strstr(err.message, "c.h5: /attention/cross_mean: cannot write"));
    err = (struct pm_error){0};
    assert_ok(pm_store_read_rows(&row, store, 8, 1, &err), err);
    assert_int_equal(row.state, PM_STORE_PENDING);
    assert_ok(pm_store_put_entry(store, 8, &payload, 1.0, &err), err);
    assert_ok(pm_store_read_rows(&row, store, 8, 1, &err), err);
    assert_int_equal(row.state, PM_STORE_DONE);
    example_free(&payload);
    pm_store_close(store);
    unlink(path_of("c.h5"));
}

static void flip_byte(const char *path, off_t at)
{
    unsigned char byte;
    int file = open(path, O_RDWR);
    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
    close(file);
}

static bool is_good(const char *path, size_t entry)
{
    struct pm_store *store;
    struct pm_error err = {0};
    bool good = false;
    assert_ok(pm_store_open_read(&store, path, &err), err);
    assert_ok(pm_store_verify_entry(&good, store, entry, &err), err);
    pm_store_close(store);
    return good;
}

static void a_flipped_byte_anywhere_in_an_entry_is_found(void **state)
{
    (void)state;
    const char *path = path_of("d.h5");
    struct pm_store_shape shape = example_real_shape();
    struct pm_store_about about = example_about();
    struct pm_store *store = example_create_as(path, MPI_COMM_SELF, &shape, &about);
    put_mine(store, 0, EXAMPLE_ENTRIES, 1);
    pm_store_close(store);
    static const struct {
        const char *dataset;
        size_t row, entry;
        off_t byte;
    } flips[] = {
        /* clang-format off */
        {"/image", 5, 5, 200},              {"/latent/x_T", 2, 3, 0},
        {"/latent/final", 5, 5, 239},       {"/latent/trajectory", 5, 5, 700},
        {"/attention/cross_mean", 5, 5, 7}, {"/blend_mask", 5, 5, 14},
        {"/original", 4, 7, 200},           {"/reconstruction/psnr", 4, 7, 7},
        {"/inversion/key", 4, 7, 15},       {"/inversion/latent", 4, 7, 900},
        {"/inversion/embedding", 4, 7, 1},
        {"/prompt/text", 5, 5, 17},         {"/prompt/token_id", 5, 5, 20},
        {"/item/seed", 2, 3, 7},            {"/item/recipe", 2, 3, 9},
        {"/entry", 5, 5, 0},                {"/entry", 5, 5, 1},
        {"/entry", 5, 5, 9},                {"/entry", 5, 5, 10 + PM_ERROR_BYTES - 1},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        off_t at = row_place(path, flips[i].dataset, flips[i].row) + flips[i].byte;
        flip_byte(path, at);
        if (is_good(path, flips[i].entry)) fail_msg("not found in %s", flips[i].dataset);
        flip_byte(path, at);
        assert_true(is_good(path, flips[i].entry));
    }
    unlink(path_of("d.h5"));
}

static void a_failure_keeps_its_sentence_and_beginnings_are_counted(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_store_row row;
    struct pm_store_provenance made;
    struct pm_store *store = example_create(path_of("e.h5"), MPI_COMM_SELF);
    char sentence[2 * PM_ERROR_BYTES] = "";
    while (strlen(sentence) < PM_ERROR_BYTES) strcat(sentence, "zu groß: ");
    uint32_t attempts = 0;
    assert_ok(pm_store_begin_entry(&attempts, store, 4, &err), err);
    assert_ok(pm_store_fail_entry(store, 4, sentence, 0.25, &err), err);
    assert_ok(pm_store_read_rows(&row, store, 4, 1, &err), err);
    assert_int_equal(row.state, PM_STORE_FAILED);
    assert_memory_equal(row.message, sentence, 100);
    assert_true(is_good(path_of("e.h5"), 4));
    assert_ok(pm_store_begin_entry(&attempts, store, 4, &err), err);
    assert_int_equal(attempts, 2);
    example_put(store, 4);
    assert_ok(pm_store_read_rows(&row, store, 4, 1, &err), err);
    assert_int_equal(row.state, PM_STORE_DONE);
    assert_string_equal(row.message, "");
    assert_ok(pm_store_read_provenance(&made, store, 4, 1, &err), err);
    assert_int_equal(made.attempts, 2);
    assert_true(made.seconds == 1.5 && made.finished > 1600000000 && made.host[0]);
    assert_ok(pm_store_read_provenance(&made, store, 5, 1, &err), err);
    assert_int_equal(made.attempts, 0);
    assert_ok(pm_store_reset_entry(store, 4, &err), err);
    assert_ok(pm_store_read_rows(&row, store, 4, 1, &err), err);
    assert_int_equal(row.state, PM_STORE_PENDING);
    assert_true(is_good(path_of("e.h5"), 4));
    assert_ok(pm_store_read_provenance(&made, store, 4, 1, &err), err);
    assert_int_equal(made.attempts, 0);
    pm_store_close(store);
    unlink(path_of("e.h5"));
}

static void what_dead_runs_left_is_removed(void **state)
{
    (void)state;
    static const char *const left[] = {"g.h5.tmp-old", "g.h5.tmp-new", "other.h5.tmp-old"};
    struct utimbuf long_ago = {1000000000, 1000000000};
    for (int i = 0; i < 3; i++) {
        close(open(path_of(left[i]), O_CREAT | O_WRONLY, 0600));
        if (i != 1) utime(path_of(left[i]), &long_ago);
    }
    struct pm_store *store = example_create(path_of("g.h5"), MPI_COMM_SELF);
    pm_store_close(store);
    assert_int_equal(unlink(path_of("g.h5.tmp-old")), -1);
    assert_int_equal(unlink(path_of("g.h5.tmp-new")), 0);
    assert_int_equal(unlink(path_of("other.h5.tmp-old")), 0);
    unlink(path_of("g.h5"));
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc == 2) { /* a new EXAMPLE_FILE */
        struct pm_store *store = example_create(argv[1], MPI_COMM_WORLD);
        put_mine(store, 0, EXAMPLE_ENTRIES, ranks);
        pm_store_close(store);
        return MPI_Finalize();
    }
    const struct CMUnitTest together[] = {
        cmocka_unit_test(what_any_rank_writes_every_rank_reads),
        cmocka_unit_test(what_is_kept_of_real_pictures_every_rank_reads),
        cmocka_unit_test(contents_depend_neither_on_rank_count_nor_on_the_day),
        cmocka_unit_test(another_rank_count_goes_on_with_a_store),
        cmocka_unit_test(a_store_is_never_overwritten),
        cmocka_unit_test(what_another_run_made_meanwhile_is_left_alone),
        cmocka_unit_test(a_new_store_that_somebody_removed_is_told),
        cmocka_unit_test(twenty_thousand_items_take_seconds_and_the_bytes_foretold),
        cmocka_unit_test(a_store_never_committed_vanishes),
    };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(a_row_is_pending_until_its_payload_is_whole),
        cmocka_unit_test(a_flipped_byte_anywhere_in_an_entry_is_found),
        cmocka_unit_test(a_failure_keeps_its_sentence_and_beginnings_are_counted),
        cmocka_unit_test(what_dead_runs_left_is_removed),
    };
    int failed = make_folder() ? 0 : 1;
    if (!failed) failed = cmocka_run_group_tests(together, NULL, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0 && !failed) failed = cmocka_run_group_tests(alone, NULL, NULL);
    if (rank == 0 && rmdir(folder) != 0) failed++; /* a test has left a file */
    MPI_Finalize();
    return failed;
}
