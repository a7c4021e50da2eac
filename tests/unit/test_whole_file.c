#include "temporary.h"
#include "test.h"

#include "pm/base/grow.h"
#include "pm/base/path.h"
#include "pm/base/whole_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_there(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

static void a_file_has_its_name_when_it_is_whole(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_whole_file file;
    const char *path = temporary_path("table.csv");
    assert_ok(pm_whole_file_begin(&file, path, &err), err);
    fputs("1,2\n", file.file);
    assert_false(is_there(path));
    assert_ok(pm_whole_file_end(&file, true, &err), err);
    assert_true(is_there(path));
}

static void of_a_file_that_is_given_up_nothing_is_left(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_whole_file file;
    char partial[512];
    const char *path = temporary_path("half.csv");
    assert_ok(pm_whole_file_begin(&file, path, &err), err);
    strcpy(partial, file.partial);
    assert_true(is_there(partial));
    assert_false(pm_whole_file_end(&file, false, &err));
    assert_false(is_there(path) || is_there(partial));
}

static void what_was_there_stays_until_the_new_one_is_whole(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_whole_file file;
    struct stat status;
    temporary_write_text("old.txt", "old");
    const char *path = temporary_path("old.txt");
    assert_ok(pm_whole_file_begin(&file, path, &err), err);
    fputs("newer", file.file);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 3);
    assert_ok(pm_whole_file_end(&file, true, &err), err);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 5);
}

/* In folders where others may write, somebody may have put one there. */
static void a_link_under_the_partial_name_is_not_followed(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_whole_file file;
    char partial[512], path[400];
    strcpy(path, temporary_path("linked.txt"));
    temporary_write_text("others", "others");
    snprintf(partial, sizeof partial, "%s.%ld.partial", path, (long)getpid());
    assert_int_equal(symlink(temporary_path("others"), partial), 0);
    assert_ok(pm_whole_file_begin(&file, path, &err), err);
    fputs("mine, and longer", file.file);
    assert_ok(pm_whole_file_end(&file, true, &err), err);
    struct stat status;
    assert_int_equal(stat(temporary_path("others"), &status), 0);
    assert_int_equal(status.st_size, 6);
}

static void a_file_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_whole_file file;
    assert_fails(pm_whole_file_begin(&file, "/nowhere/x.csv", &err), err,
                 "cannot write /nowhere/x.csv: No such file");
    assert_false(pm_whole_file_end(&file, false, &err));
    if (access("/dev/full", W_OK) != 0) return;
    assert_ok(pm_whole_file_begin(&file, temporary_path("full"), &err), err);
    assert_non_null(freopen("/dev/full", "w", file.file));
    fputs("no room", file.file);
    assert_false(pm_whole_file_end(&file, true, &err));
    assert_int_equal(err.code, PM_E_IO);
    assert_false(is_there(temporary_path("full")));
}

static void a_path_without_room_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    char path[8];
    assert_ok(pm_path_join(path, sizeof path, "abc", "def", &err), err);
    assert_string_equal(path, "abc/def");
    assert_fails(pm_path_join(path, sizeof path, "abc", "defg", &err), err,
                 "the path abc... is too long");
}

static void a_list_keeps_what_is_in_it_as_it_grows(void **state)
{
    (void)state;
    int *list = NULL;
    for (int count = 0; count < 1000; count++) {
        list = pm_grow(list, (size_t)count, sizeof *list);
        list[count] = count * 3;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(list[i], i * 3);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_its_name_when_it_is_whole),
        cmocka_unit_test(of_a_file_that_is_given_up_nothing_is_left),
        cmocka_unit_test(what_was_there_stays_until_the_new_one_is_whole),
        cmocka_unit_test(a_link_under_the_partial_name_is_not_followed),
        cmocka_unit_test(a_file_that_cannot_be_written_is_named),
        cmocka_unit_test(a_path_without_room_is_refused),
        cmocka_unit_test(a_list_keeps_what_is_in_it_as_it_grows),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
