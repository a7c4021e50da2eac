#include "test.h"

#include "pm/data/safe_name.h"

#include <stdio.h>
#include <string.h>

static void plain_ids_are_their_own_names(void **state)
{
    (void)state;
    static const char *const plain[] = {"ball-to-cube", "000000000012", "a.png",
                                        "cross=0.2-0.8,seed=3", "Red_2"};
    char name[PM_SAFE_NAME_BYTES];
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        pm_safe_name(name, plain[i]);
        assert_string_equal(name, plain[i]);
    }
}

static void no_id_leaves_its_folder(void **state)
{
    (void)state;
    static const char *const ids[] = {
        "..",     ".",    "../x", "/etc/passwd", "a/../../b", "",         "-rf",
        "~root",  "a\nb", "a b",  "$(x)",        "..\\x",     "\xff\xfe", "\xc3\xa9t\xc3\xa9",
        ".hidden"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char name[PM_SAFE_NAME_BYTES];
        pm_safe_name(name, ids[i]);
        assert_null(strpbrk(name, "/\\ \n$("));
        assert_true(name[0] != '.' && name[0] != '-' && name[0] != '\0');
        for (const char *c = name; *c; c++) assert_true(*c > 32 && *c < 127);
        assert_non_null(strchr(name, '~'));
    }
}

static void different_ids_have_different_names(void **state)
{
    (void)state;
    char long_id[256], other[256];
    memset(long_id, 'a', 255);
    long_id[255] = '\0';
    memcpy(other, long_id, 256);
    other[254] = 'b';
    const char *const ids[] = {"a b",          "a/b",   "a_b", "a?b", "\xe7\x8c\xab",
                               "\xe7\x8a\xac", long_id, other, "",    "_"};
    enum { IDS = sizeof ids / sizeof *ids };
    char names[IDS][PM_SAFE_NAME_BYTES];
    for (size_t i = 0; i < IDS; i++) {
        pm_safe_name(names[i], ids[i]);
        assert_true(strlen(names[i]) < PM_SAFE_NAME_BYTES);
        for (size_t j = 0; j < i; j++) assert_string_not_equal(names[i], names[j]);
    }
    /* nor can an id be written that has another's name */
    pm_safe_name(names[0], "a b");
    pm_safe_name(names[1], names[0]);
    assert_string_not_equal(names[0], names[1]);
}

static void the_longest_plain_name_stays(void **state)
{
    (void)state;
    char id[PM_SAFE_NAME_BYTES + 1], name[PM_SAFE_NAME_BYTES];
    memset(id, 'x', sizeof id - 1);
    id[PM_SAFE_NAME_BYTES - 1] = '\0';
    pm_safe_name(name, id);
    assert_string_equal(name, id);
    id[PM_SAFE_NAME_BYTES - 1] = 'x';
    id[PM_SAFE_NAME_BYTES] = '\0';
    pm_safe_name(name, id);
    assert_int_equal(strlen(name), PM_SAFE_NAME_BYTES - 1);
    assert_non_null(strchr(name, '~'));
}

static void paths_keep_their_folders_and_cannot_climb(void **state)
{
    (void)state;
    struct pm_error err = {0};
    char out[256];
    assert_ok(pm_safe_path(out, sizeof out, "1_change/000.jpg", &err), err);
    assert_string_equal(out, "1_change/000.jpg");
    assert_ok(pm_safe_path(out, sizeof out, "//a//b.png/", &err), err);
    assert_string_equal(out, "a/b.png");
    assert_ok(pm_safe_path(out, sizeof out, "../../x.png", &err), err);
    assert_null(strstr(out, ".."));
    assert_fails(pm_safe_path(out, sizeof out, "//", &err), err, "names no file");
    char path[300];
    for (size_t i = 0; i < sizeof path; i++) path[i] = i % 50 == 49 ? '/' : 'a';
    path[sizeof path - 1] = '\0';
    assert_fails(pm_safe_path(out, sizeof out, path, &err), err, "too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_ids_are_their_own_names),
        cmocka_unit_test(no_id_leaves_its_folder),
        cmocka_unit_test(different_ids_have_different_names),
        cmocka_unit_test(the_longest_plain_name_stays),
        cmocka_unit_test(paths_keep_their_folders_and_cannot_climb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
