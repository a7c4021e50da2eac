#include "test.h"

#include "pm/base/error.h"

#include <stdio.h>
#include <string.h>

static void a_failure_has_its_code_and_sentence(void **state)
{
    (void)state;
    struct pm_error err = {0};
    assert_false(pm_fail(&err, PM_E_IO, "cannot open %s: %d", "x.h5", 13));
    assert_int_equal(err.code, PM_E_IO);
    assert_string_equal(err.message, "cannot open x.h5: 13");
}

static void the_longest_sentence_that_fits_is_whole(void **state)
{
    (void)state;
    struct pm_error err = {0};
    char text[PM_ERROR_BYTES + 1];
    memset(text, 'a', sizeof text);
    text[PM_ERROR_BYTES - 1] = '\0';
    assert_false(pm_fail(&err, PM_E_INPUT, "%s", text));
    assert_string_equal(err.message, text);

    text[PM_ERROR_BYTES - 1] = 'a';
    text[PM_ERROR_BYTES] = '\0';
    assert_false(pm_fail(&err, PM_E_INPUT, "%s", text));
    assert_int_equal(strlen(err.message), PM_ERROR_BYTES - 1);
    assert_non_null(strstr(err.message, "a...a"));
}

static void a_long_sentence_keeps_where_and_why(void **state)
{
    (void)state;
    struct pm_error err = {0};
    char path[2000] = "";
    memset(path, 'd', sizeof path - 1);
    assert_false(pm_fail(&err, PM_E_IO, "cannot open /there/%s: %s", path, "No space left"));
    assert_int_equal(strlen(err.message), PM_ERROR_BYTES - 1);
    assert_memory_equal(err.message, "cannot open /there/ddd", 22);
    assert_string_equal(err.message + PM_ERROR_BYTES - 1 - 16, "d: No space left");
}

/* Characters of one to four bytes, at every place where the cuts may fall. */
static void a_long_sentence_is_cut_between_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"a", "\u00FC", "\u8D64", "\U0001F408"};
    for (size_t c = 0; c < 4; c++) {
        size_t bytes = strlen(characters[c]);
        for (size_t shift = 0; shift < 4; shift++) {
            char text[2 * PM_ERROR_BYTES] = "";
            struct pm_error err = {0};
            size_t at = shift;
            memset(text, '.', shift);
            for (; at < PM_ERROR_BYTES + 8; at += bytes) memcpy(text + at, characters[c], bytes);
            memset(text + at, '.', 3 - shift);
            at += 3 - shift;
            assert_false(pm_fail(&err, PM_E_INPUT, "%s", text));
            size_t length = strlen(err.message);
            const char *cut = strstr(err.message + 3, "...");
            assert_non_null(cut);
            size_t head = (size_t)(cut - err.message), tail = length - head - 3;
            assert_int_equal((head - shift) % bytes, 0);
            assert_int_equal((tail - (3 - shift)) % bytes, 0);
            assert_true(length + 2 * bytes > PM_ERROR_BYTES);
            assert_memory_equal(err.message, text, head);
            assert_memory_equal(cut + 3, text + at - tail, tail);
        }
    }
}

static void the_message_itself_may_be_an_argument(void **state)
{
    (void)state;
    struct pm_error err = {0};
    assert_false(pm_fail(&err, PM_E_FORMAT, "it is broken"));
    assert_false(pm_fail(&err, err.code, "targets[3]: %s, says %s", err.message, err.message));
    assert_int_equal(err.code, PM_E_FORMAT);
    assert_string_equal(err.message, "targets[3]: it is broken, says it is broken");
    for (int i = 0; i < 40; i++) assert_false(pm_fail(&err, err.code, "outer: %s", err.message));
    assert_int_equal(strlen(err.message), PM_ERROR_BYTES - 1);
}

PM_MUST_CHECK static bool outer(bool works, struct pm_error *err, bool *went_on)
{
    PM_TRY(works || pm_fail(err, PM_E_NUMERIC, "no number"));
    *went_on = true;
    return true;
}

static void try_passes_a_failure_on_and_nothing_else(void **state)
{
    (void)state;
    struct pm_error err = {0};
    bool went_on = false;
    assert_fails(outer(false, &err, &went_on), err, "no number");
    assert_false(went_on);
    assert_ok(outer(true, &err, &went_on), err);
    assert_true(went_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_has_its_code_and_sentence),
        cmocka_unit_test(the_longest_sentence_that_fits_is_whole),
        cmocka_unit_test(a_long_sentence_keeps_where_and_why),
        cmocka_unit_test(a_long_sentence_is_cut_between_characters),
        cmocka_unit_test(the_message_itself_may_be_an_argument),
        cmocka_unit_test(try_passes_a_failure_on_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
