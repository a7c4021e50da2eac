#include "temporary.h"
#include "test.h"

#include "pm/data/csv.h"

#include <string.h>

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    static const char *const cells[] = {"plain", "", "a, b", "\"quoted\"", "two\nlines", "ends\r"};
    enum { CELLS = sizeof cells / sizeof *cells };
    struct pm_error err = {0};
    struct pm_csv csv;
    temporary_write_text("a.csv", "");
    FILE *file = fopen(temporary_path("a.csv"), "w");
    assert_non_null(file);
    for (size_t row = 0; row < 2; row++)
        for (size_t i = 0; i < CELLS; i++) {
            pm_csv_write(file, cells[i]);
            putc(i + 1 < CELLS ? ',' : '\n', file);
        }
    assert_int_equal(fclose(file), 0);
    assert_ok(pm_csv_open(&csv, temporary_path("a.csv"), &err), err);
    for (size_t row = 0; row < 2; row++) {
        assert_ok(pm_csv_read_row(&csv, &err), err);
        assert_int_equal(csv.count, CELLS);
        assert_int_equal(csv.row_line, 1 + 2 * row); /* one cell has a line's end in it */
        for (size_t i = 0; i < CELLS; i++) assert_string_equal(pm_csv_cell(&csv, i), cells[i]);
    }
    assert_ok(pm_csv_read_row(&csv, &err), err);
    assert_int_equal(csv.count, 0);
    pm_csv_close(&csv);
}

static void binary_files_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_csv csv;
    temporary_write("b.csv", "a\0b", 3);
    assert_fails(pm_csv_open(&csv, temporary_path("b.csv"), &err), err, "it has NUL bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(binary_files_are_refused),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
