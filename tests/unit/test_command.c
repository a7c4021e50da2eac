/* Commands that a verb runs for its answer: what becomes of one that gives none. */
#include "test.h"

#include "../../jobs/command.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct command_options at_once = {.seconds = 0.1}, patient = {.seconds = 60.0};

static void the_output_and_the_status_are_the_commands(void **state)
{
    (void)state;
    struct command_result result;
    struct pm_error err = {0};
    const char *const says[] = {"sh", "-c", "echo 4711; exit 3", NULL};
    assert_ok(command_run(&result, says, &patient, &err), err);
    assert_string_equal(result.output, "4711\n");
    assert_int_equal(result.status, 3);
    free(result.output);
    const char *const dies[] = {"sh", "-c", "kill -9 $$", NULL};
    assert_ok(command_run(&result, dies, &patient, &err), err);
    assert_int_equal(result.status, 128 + 9);
    free(result.output);
}

static void a_command_that_there_is_not_is_named(void **state)
{
    (void)state;
    struct command_result result;
    struct pm_error err = {0};
    const char *const nothing[] = {"no-such-command", "4711", NULL};
    assert_fails(command_run(&result, nothing, &patient, &err), err,
                 "cannot start no-such-command: No such file or directory");
    assert_null(result.output);
}

static void a_command_that_does_not_answer_is_ended(void **state)
{
    (void)state;
    struct command_result result;
    struct pm_error err = {0};
    const char *const sleeps[] = {"sleep", "100", NULL};
    time_t start = time(NULL);
    assert_fails(command_run(&result, sleeps, &at_once, &err), err,
                 "sleep did not answer within 0.1 s");
    assert_null(result.output);
    assert_true(time(NULL) - start < 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_output_and_the_status_are_the_commands),
        cmocka_unit_test(a_command_that_there_is_not_is_named),
        cmocka_unit_test(a_command_that_does_not_answer_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
