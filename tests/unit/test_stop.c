#include "test.h"

#include "pm/runtime/exit_status.h"
#include "pm/runtime/stop.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A signal, once come, is there for good: each check runs in a child and answers by its status. */
static int status_of(int (*check)(int), int argument)
{
    pid_t child = fork();
    if (child == 0) _exit(check(argument));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

enum { AS_IT_SHOULD = 11, NOT_SO = 12 };

static int stops_on(int signal_number)
{
    struct pm_stop stop;
    pm_stop_init(&stop, NULL, 0.0);
    bool before = pm_stop_requested(&stop);
    if (signal_number) raise(signal_number);
    bool after = pm_stop_requested(&stop), again = pm_stop_requested(&stop);
    const char *reason = pm_stop_reason(&stop);
    bool why = signal_number ? reason && strcmp(reason, "a signal came") == 0 : !reason;
    bool wanted = signal_number != 0;
    return !before && after == wanted && again == wanted && why ? AS_IT_SHOULD : NOT_SO;
}

static int raises_twice(int microseconds_between)
{
    struct pm_stop stop;
    pm_stop_init(&stop, NULL, 0.0);
    raise(SIGUSR1);
    usleep((useconds_t)microseconds_between);
    raise(SIGTERM);
    return pm_stop_requested(&stop) ? AS_IT_SHOULD : NOT_SO;
}

static void nothing_asks_to_stop_by_itself(void **state)
{
    (void)state;
    assert_int_equal(status_of(stops_on, 0), AS_IT_SHOULD);
}

static void each_of_the_signals_asks_to_stop(void **state)
{
    (void)state;
    assert_int_equal(status_of(stops_on, SIGINT), AS_IT_SHOULD);
    assert_int_equal(status_of(stops_on, SIGTERM), AS_IT_SHOULD);
    assert_int_equal(status_of(stops_on, SIGUSR1), AS_IT_SHOULD);
}

static void a_second_signal_exits_at_once_as_unfinished(void **state)
{
    (void)state;
    assert_int_equal(status_of(raises_twice, 1100000), PM_EXIT_UNFINISHED);
}

static void an_echo_of_the_first_signal_is_no_second_one(void **state)
{
    (void)state;
    assert_int_equal(status_of(raises_twice, 0), AS_IT_SHOULD);
}

static void the_time_limit_asks_to_stop(void **state)
{
    (void)state;
    struct pm_stop stop;
    pm_stop_init(&stop, NULL, 0.3);
    assert_false(pm_stop_requested(&stop));
    assert_null(pm_stop_reason(&stop));
    usleep(320000);
    assert_true(pm_stop_requested(&stop));
    assert_string_equal(pm_stop_reason(&stop), "the time limit is reached");
}

static void the_halt_file_is_looked_for_once_a_second(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_stop_XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/halt", folder);
    struct pm_stop stop;
    pm_stop_init(&stop, path, 0.0);
    assert_false(pm_stop_requested(&stop));
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
    bool soon = pm_stop_requested(&stop);
    usleep(1050000);
    bool later = pm_stop_requested(&stop);
    unlink(path);
    rmdir(folder);
    assert_false(soon);
    assert_true(later);
    assert_true(pm_stop_requested(&stop)); /* though it is gone */
    assert_string_equal(pm_stop_reason(&stop), "the halt file is there");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_asks_to_stop_by_itself),
        cmocka_unit_test(each_of_the_signals_asks_to_stop),
        cmocka_unit_test(a_second_signal_exits_at_once_as_unfinished),
        cmocka_unit_test(an_echo_of_the_first_signal_is_no_second_one),
        cmocka_unit_test(the_time_limit_asks_to_stop),
        cmocka_unit_test(the_halt_file_is_looked_for_once_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
