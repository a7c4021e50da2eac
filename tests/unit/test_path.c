#include "test.h"

#include "pm/base/path.h"

#include <string.h>

static void a_path_is_its_folder_and_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *path, *folder, *name;
    } cases[] = {{"a/b/edits.jsonl", "a/b", "edits.jsonl"},
                 {"/data/edits.jsonl", "/data", "edits.jsonl"},
                 {"/edits.jsonl", "/", "edits.jsonl"},
                 {"edits.jsonl", ".", "edits.jsonl"},
                 {"a/", "a", ""},
                 {"", ".", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char folder[PATH_MAX];
        pm_path_folder(folder, cases[i].path);
        assert_string_equal(folder, cases[i].folder);
        assert_string_equal(pm_path_name(cases[i].path), cases[i].name);
    }
}

static void a_folder_that_has_no_room_is_cut(void **state)
{
    (void)state;
    char path[PATH_MAX + 100], folder[PATH_MAX];
    memset(path, 'a', sizeof path);
    strcpy(path + sizeof path - 3, "/b");
    pm_path_folder(folder, path);
    assert_int_equal(strlen(folder), PATH_MAX - 1);
    assert_string_equal(pm_path_name(path), "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_its_folder_and_its_name),
        cmocka_unit_test(a_folder_that_has_no_room_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
