/* Packing when something is wrong: damage is found, and a copy is whole or not there. */
#include "test.h"

#include "pm/data/store_pack.h"
#include "store_example.h"
#include "temporary.h"

#include <dirent.h>
#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

enum { NONE = EXAMPLE_ENTRIES };

/* What the callbacks saw, and what they are to do. */
struct seen {
    size_t damaged, last_damaged;
    uint64_t bytes_done, bytes;
    size_t calls, stop_at, kill_at; /* at which call of progress; 0: at none */
};

static void note_damaged(void *context, const struct pm_store *store, size_t entry, const char *why)
{
    struct seen *seen = context;
    assert_true(entry < pm_store_shape_of(store)->entries);
    assert_non_null(why);
    seen->damaged++;
    seen->last_damaged = entry;
}

static bool note_progress(void *context, uint64_t bytes_done, uint64_t bytes)
{
    struct seen *seen = context;
    assert_true(bytes_done >= seen->bytes_done && bytes_done <= bytes);
    seen->bytes_done = bytes_done;
    seen->bytes = bytes;
    seen->calls++;
    if (seen->calls == seen->kill_at) raise(SIGKILL);
    return seen->calls != seen->stop_at;
}

static struct pm_store_pack_options watched(struct seen *seen)
{
    struct pm_store_pack_options options = pm_store_pack_options_default();
    *seen = (struct seen){.last_damaged = NONE};
    options.damaged = note_damaged;
    options.progress = note_progress;
    options.context = seen;
    return options;
}

static const char *copy_path(void)
{
    return temporary_path("copy.h5");
}

/* Files in the test's folder whose names begin so. */
static size_t count_files(const char *beginning)
{
    size_t count = 0;
    DIR *folder = opendir(temporary_path("."));
    assert_non_null(folder);
    for (struct dirent *file; (file = readdir(folder));)
        count += strncmp(file->d_name, beginning, strlen(beginning)) == 0;
    closedir(folder);
    return count;
}

static void unlink_all(const char *beginning)
{
    DIR *folder = opendir(temporary_path("."));
    assert_non_null(folder);
    for (struct dirent *file; (file = readdir(folder));)
        if (strncmp(file->d_name, beginning, strlen(beginning)) == 0)
            assert_int_equal(unlinkat(dirfd(folder), file->d_name, 0), 0);
    closedir(folder);
}

/* Nothing of a copy: neither it nor what it was to become. */
static void assert_no_copy(void)
{
    assert_int_equal(count_files("copy.h5"), 0);
}

static void flip(const char *path, long place)
{
    FILE *file = fopen(path, "r+b");
    assert_true(file && fseek(file, place, SEEK_SET) == 0);
    int byte = fgetc(file);
    assert_true(fseek(file, place, SEEK_SET) == 0 && fputc(byte ^ 1, file) != EOF);
    assert_int_equal(fclose(file), 0);
}

/* A copy of the example in which one byte of entry 4's picture is another. */
static const char *make_damaged(void)
{
    temporary_copy("damaged.h5", EXAMPLE_FILE);
    const char *path = temporary_path("damaged.h5");
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t image = H5Dopen2(file, "/image", H5P_DEFAULT);
    long place =
        (long)H5Dget_offset(image) + 4 * (long)H5Dget_storage_size(image) / EXAMPLE_ENTRIES;
    H5Dclose(image);
    H5Fclose(file);
    flip(path, place);
    return path;
}

static void damage_is_named_and_no_copy_made(void **state)
{
    (void)state;
    struct seen seen;
    struct pm_store_pack_options options = watched(&seen);
    struct pm_store_pack_report report;
    struct pm_error err = {0};
    const char *damaged = make_damaged();
    assert_fails(pm_store_pack(damaged, copy_path(), &options, &report, &err), err,
                 "1 of 9 pictures are damaged");
    assert_true(report.damaged == 1 && seen.damaged == 1 && seen.last_damaged == 4);
    assert_no_copy();
}

static void damage_is_left_out_when_going_on(void **state)
{
    (void)state;
    struct seen seen;
    struct pm_store_pack_options options = watched(&seen);
    struct pm_store_pack_report report;
    struct pm_store *store;
    struct pm_error err = {0};
    const char *damaged = make_damaged(), *copy = temporary_path("copy.h5");
    options.keeps_going = true;
    assert_ok(pm_store_pack(damaged, copy, &options, &report, &err), err);
    assert_true(report.damaged == 1 && seen.last_damaged == 4);
    assert_ok(pm_store_open_read(&store, copy, &err), err);
    uint8_t image[13 * 7 * 3], zeros[sizeof image] = {0};
    for (size_t e = 0; e < EXAMPLE_ENTRIES; e++) {
        struct pm_store_row row;
        bool good = false;
        assert_ok(pm_store_read_rows(&row, store, e, 1, &err), err);
        assert_int_equal(row.state, e == 4 ? PM_STORE_PENDING : PM_STORE_DONE);
        assert_ok(pm_store_verify_entry(&good, store, e, &err), err);
        assert_true(good && example_matches(store, e) == (e != 4));
    }
    assert_ok(pm_store_read_image(image, store, 4, &err), err);
    assert_memory_equal(image, zeros, sizeof image);
    pm_store_close(store);
    unlink(copy);
}

static void a_flipped_byte_in_a_chunk_is_found(void **state)
{
    (void)state;
    struct seen seen;
    struct pm_store_pack_options options = watched(&seen);
    struct pm_store_pack_report report;
    struct pm_store *store;
    struct pm_error err = {0};
    const char *copy = temporary_path("packed.h5");
    assert_ok(pm_store_pack(EXAMPLE_FILE, copy, &options, &report, &err), err);
    hid_t file = H5Fopen(copy, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t image = H5Dopen2(file, "/image", H5P_DEFAULT), space = H5Dget_space(image);
    hsize_t start[4], bytes = 0;
    haddr_t place = 0;
    unsigned skipped = 1;
    assert_true(H5Dget_chunk_info(image, space, 0, start, &skipped, &place, &bytes) >= 0);
    assert_true(skipped == 0 && bytes > 2); /* no filter was left out */
    H5Sclose(space);
    H5Dclose(image);
    H5Fclose(file);
    flip(copy, (long)(place + bytes / 2));
    assert_ok(pm_store_open_read(&store, copy, &err), err);
    bool good;
    assert_fails(pm_store_verify_entry(&good, store, 0, &err), err, "Fletcher32");
    pm_store_close(store);
    options = watched(&seen);
    assert_fails(pm_store_pack(copy, copy_path(), &options, &report, &err), err,
                 "9 of 9 pictures are damaged");
    assert_int_equal(seen.damaged, 9);
}

static void a_name_that_is_taken_is_replaced_only_when_told_to(void **state)
{
    (void)state;
    struct pm_store_pack_options options = pm_store_pack_options_default();
    struct pm_store_pack_report report;
    struct pm_store *store;
    struct pm_error err = {0};
    const char *copy = temporary_path("copy.h5");
    temporary_write_text("copy.h5", "no store");
    assert_fails(pm_store_pack(EXAMPLE_FILE, copy, &options, &report, &err), err,
                 "copy.h5 exists already; it is replaced only when told to");
    options.replaces = true;
    assert_ok(pm_store_pack(EXAMPLE_FILE, copy, &options, &report, &err), err);
    assert_ok(pm_store_open_read(&store, copy, &err), err);
    pm_store_close(store);
    unlink(copy);
    assert_fails(pm_store_pack(EXAMPLE_FILE, temporary_path("."), &options, &report, &err), err,
                 "exists already and is no file");
}

static void a_store_is_never_packed_into_itself(void **state)
{
    (void)state;
    struct pm_store_pack_options options = pm_store_pack_options_default();
    struct pm_store_pack_report report;
    struct pm_error err = {0};
    temporary_copy("live.h5", EXAMPLE_FILE);
    const char *live = temporary_path("live.h5"), *hard = temporary_path("hard.h5"),
               *soft = temporary_path("soft.h5");
    assert_int_equal(link(live, hard), 0);
    assert_int_equal(symlink(live, soft), 0);
    options.replaces = true;
    assert_fails(pm_store_pack(live, live, &options, &report, &err), err,
                 "live.h5 itself; a copy needs another name");
    assert_fails(pm_store_pack(live, hard, &options, &report, &err), err, "itself");
    assert_fails(pm_store_pack(live, soft, &options, &report, &err), err, "itself");
    assert_fails(pm_store_pack(soft, live, &options, &report, &err), err, "itself");
}

static void what_is_no_store_is_not_packed(void **state)
{
    (void)state;
    struct pm_store_pack_options options = pm_store_pack_options_default();
    struct pm_store_pack_report report;
    struct pm_error err = {0};
    const char *copy = temporary_path("copy.h5");
    assert_fails(pm_store_pack("no/such.h5", copy, &options, &report, &err), err, "No such file");
    assert_fails(pm_store_pack(__FILE__, copy, &options, &report, &err), err,
                 "is not a promptmill store, nor any HDF5 file");
    assert_no_copy();
    assert_fails(pm_store_pack(EXAMPLE_FILE, temporary_path("no/copy.h5"), &options, &report, &err),
                 err, "no/copy.h5: cannot create: No such file or directory");
}

static void told_to_stop_it_stops(void **state)
{
    (void)state;
    for (size_t call = 1; call < 40; call += 5) {
        struct seen seen;
        struct pm_store_pack_options options = watched(&seen);
        struct pm_store_pack_report report;
        struct pm_error err = {0};
        seen.stop_at = call;
        bool ok = pm_store_pack(EXAMPLE_FILE, copy_path(), &options, &report, &err);
        assert_true(ok || strstr(err.message, "stopped before the end"));
        assert_int_equal(ok, seen.calls < call);
        if (ok) unlink(temporary_path("copy.h5"));
        if (ok) assert_int_equal(seen.bytes_done, seen.bytes);
        assert_no_copy();
    }
}

static void killed_at_any_moment_it_leaves_no_copy(void **state)
{
    (void)state;
    struct seen seen;
    struct pm_store_pack_options options = watched(&seen);
    struct pm_store_pack_report report;
    struct pm_error err = {0};
    assert_ok(pm_store_pack(EXAMPLE_FILE, copy_path(), &options, &report, &err), err);
    unlink(copy_path());
    for (size_t call = 1, calls = seen.calls; call <= calls; call += 3) {
        int status;
        pid_t child = fork();
        assert_true(child >= 0);
        options = watched(&seen);
        seen.kill_at = call;
        if (child == 0) _exit(pm_store_pack(EXAMPLE_FILE, copy_path(), &options, &report, &err));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_not_equal(access(copy_path(), F_OK), 0);
        assert_int_equal(count_files("copy.h5.tmp-"), 1); /* for the next to remove, in an hour */
        unlink_all("copy.h5.tmp-");
    }
}

static void what_a_killed_one_left_is_removed_an_hour_later(void **state)
{
    (void)state;
    struct pm_store_pack_options options = pm_store_pack_options_default();
    struct pm_store_pack_report report;
    struct pm_error err = {0};
    const struct utimbuf long_ago = {.actime = 1, .modtime = 1};
    temporary_write_text("copy.h5.tmp-0123", "");
    temporary_write_text("copy.h5.tmp-4567", "");
    assert_int_equal(utime(temporary_path("copy.h5.tmp-0123"), &long_ago), 0);
    assert_ok(pm_store_pack(EXAMPLE_FILE, copy_path(), &options, &report, &err), err);
    assert_int_equal(access(temporary_path("copy.h5.tmp-4567"), F_OK), 0);
    assert_int_equal(count_files("copy.h5"), 2);
    unlink_all("copy.h5");
}

/* Blocks on the disk of files that are open and have no name. */
static size_t nameless_blocks(void)
{
    size_t blocks = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    for (struct dirent *file; (file = readdir(folder));) {
        struct stat status;
        if (fstatat(dirfd(folder), file->d_name, &status, 0) == 0 && S_ISREG(status.st_mode) &&
            status.st_nlink == 0)
            blocks += (size_t)status.st_blocks;
    }
    closedir(folder);
    return blocks;
}

static void a_full_disk_is_a_sentence_and_no_copy(void **state)
{
    (void)state;
    struct rlimit unlimited, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct pm_store_pack_options options = pm_store_pack_options_default();
    struct pm_store_pack_report report;
    struct pm_error err = {0};
    assert_ok(pm_store_pack(EXAMPLE_FILE, copy_path(), &options, &report, &err), err);
    unlink(copy_path());
    uint64_t needed = report.bytes_after;
    for (uint64_t bytes = 0; bytes < needed; bytes += needed / 8 + 1) {
        limit = (struct rlimit){.rlim_cur = bytes, .rlim_max = unlimited.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        bool ok = pm_store_pack(EXAMPLE_FILE, copy_path(), &options, &report, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
        assert_true(!ok && err.code == PM_E_IO);
        assert_non_null(strstr(err.message, "copy.h5: "));
        assert_non_null(strstr(err.message, "File too large"));
        assert_no_copy();
        assert_int_equal(nameless_blocks(), 0);
    }
    assert_ok(pm_store_pack(EXAMPLE_FILE, copy_path(), &options, &report, &err), err);
    assert_int_equal(report.bytes_after, needed);
    unlink(copy_path());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_named_and_no_copy_made),
        cmocka_unit_test(damage_is_left_out_when_going_on),
        cmocka_unit_test(a_flipped_byte_in_a_chunk_is_found),
        cmocka_unit_test(a_name_that_is_taken_is_replaced_only_when_told_to),
        cmocka_unit_test(a_store_is_never_packed_into_itself),
        cmocka_unit_test(what_is_no_store_is_not_packed),
        cmocka_unit_test(told_to_stop_it_stops),
        cmocka_unit_test(killed_at_any_moment_it_leaves_no_copy),
        cmocka_unit_test(what_a_killed_one_left_is_removed_an_hour_later),
        cmocka_unit_test(a_full_disk_is_a_sentence_and_no_copy),
    };
    H5dont_atexit(); /* as the store does, but here HDF5 is in use before it */
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
