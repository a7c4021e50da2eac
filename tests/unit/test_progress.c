#include "test.h"

#include "pm/runtime/progress.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* @param cost  the finished share of a total cost of 100 */
static void check_line(const char *wanted, size_t done, size_t failed, size_t total, double cost,
                       double elapsed_seconds)
{
    struct pm_progress progress;
    char text[PM_PROGRESS_BYTES];
    memset(text, 'x', sizeof text);
    pm_progress_init(&progress, total, 100.0);
    pm_progress_add(&progress, done, failed, cost);
    pm_progress_format(text, sizeof text, &progress, elapsed_seconds);
    assert_string_equal(text, wanted);
}

static void nothing_finished_shows_no_rate(void **state)
{
    (void)state;
    check_line("  0/100 edits", 0, 0, 100, 0.0, 0.0);
    check_line("  0/100 edits", 0, 0, 100, 0.0, 500.0);
    check_line("0/0 edits", 0, 0, 0, 0.0, 3.0);
}

static void failed_edits_are_named_and_count_as_finished(void **state)
{
    (void)state;
    check_line(" 37/100 edits, 2 failed, 412 edits/h, 9 min left", 35, 2, 100, 37.0, 323.3);
    check_line(" 37/100 edits, 412 edits/h, 9 min left", 37, 0, 100, 37.0, 323.3);
}

static void time_left_follows_the_cost_and_not_the_count(void **state)
{
    (void)state;
    check_line(" 5/10 edits, 1500 edits/h, 3 s left", 5, 0, 10, 80.0, 12.0);
    check_line(" 5/10 edits, 1500 edits/h, 48 s left", 5, 0, 10, 20.0, 12.0);
}

static void one_is_singular(void **state)
{
    (void)state;
    check_line("0/1 edit", 0, 0, 1, 0.0, 9.0);
    check_line("1/1 edit, 1 failed, 1.0 edits/h, took 1 h", 0, 1, 1, 100.0, 3600.0);
}

static void slow_rates_have_a_decimal(void **state)
{
    (void)state;
    check_line("1/4 edits, 0.5 edits/h, 6 h left", 1, 0, 4, 25.0, 7200.0);
    check_line("1/4 edits, 9.9 edits/h, 18 min left", 1, 0, 4, 25.0, 363.0);
    check_line("1/4 edits, 10 edits/h, 18 min left", 1, 0, 4, 25.0, 361.0);
}

static void spans_have_two_units_at_most(void **state)
{
    (void)state;
    const struct {
        double seconds;
        const char *text;
    } spans[] = {
        {0.2, "0 s"},
        {1.0, "1 s"},
        {59.4, "59 s"},
        {59.6, "1 min"},
        {89.0, "1 min"},
        {91.0, "2 min"},
        {3569.0, "59 min"},
        {3571.0, "1 h"},
        {3661.0, "1 h 1 min"},
        {12000.0, "3 h 20 min"},
        {86369.0, "23 h 59 min"},
        {86371.0, "1 d"},
        {86400.0 + 1799.0, "1 d"},
        {86400.0 + 1801.0, "1 d 1 h"},
        {2.98 * 86400.0, "3 d"},
        {190000.0, "2 d 5 h"},
    };
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        struct pm_progress progress;
        char text[PM_PROGRESS_BYTES], wanted[PM_PROGRESS_BYTES];
        pm_progress_init(&progress, 2, 2.0);
        pm_progress_add(&progress, 1, 0, 1.0); /* half is done: as long again is left */
        pm_progress_format(text, sizeof text, &progress, spans[i].seconds);
        snprintf(wanted, sizeof wanted, ", %s left", spans[i].text);
        assert_non_null(strstr(text, wanted));
    }
}

static void a_finished_run_says_how_long_it_took(void **state)
{
    (void)state;
    check_line("100/100 edits, 2 failed, 500 edits/h, took 12 min", 98, 2, 100, 100.0, 720.0);
}

static void costs_that_say_nothing_give_no_time(void **state)
{
    (void)state;
    check_line("1/2 edits, 360 edits/h", 1, 0, 2, 0.0, 10.0);
    check_line("1/2 edits, 360 edits/h, 0 s left", 1, 0, 2, 250.0, 10.0); /* dearer than planned */
}

static void a_small_buffer_cuts_the_line(void **state)
{
    (void)state;
    struct pm_progress progress;
    char text[16];
    memset(text, 'x', sizeof text);
    pm_progress_init(&progress, 100, 100.0);
    pm_progress_add(&progress, 35, 2, 37.0);
    pm_progress_format(text, 10, &progress, 323.3);
    assert_string_equal(text, " 37/100 e");
    assert_int_equal(text[10], 'x');
}

/* What @p steps writes to stderr when that is @p descriptor, readable at @p reader. */
static void capture(char *text, size_t size, int descriptor, int reader,
                    void (*steps)(struct pm_progress *))
{
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    dup2(descriptor, STDERR_FILENO);
    struct pm_progress progress;
    pm_progress_init(&progress, 100, 100.0);
    steps(&progress);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);

    size_t used = 0;
    ssize_t got;
    fcntl(reader, F_SETFL, O_NONBLOCK); /* a terminal may hand it over in pieces */
    while ((got = read(reader, text + used, size - 1 - used)) > 0) used += (size_t)got;
    text[used] = '\0';
}

static void print_in_the_first_seconds_and_finish(struct pm_progress *progress)
{
    for (int i = 0; i < 5; i++) pm_progress_print(progress);
    pm_progress_add(progress, 35, 2, 37.0);
    pm_progress_finish(progress);
}

static void print_every_second_of_six_minutes(struct pm_progress *progress)
{
    for (int second = 0; second < 360; second++) {
        progress->start_seconds -= 1.0;
        pm_progress_print(progress);
    }
}

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; *text; text++) lines += *text == '\n';
    return lines;
}

static void no_terminal_gets_few_lines_and_always_the_last(void **state)
{
    (void)state;
    int ends[2];
    char text[4096];
    assert_int_equal(pipe(ends), 0);
    capture(text, sizeof text, ends[1], ends[0], print_in_the_first_seconds_and_finish);
    assert_int_equal(lines_of(text), 1);
    assert_non_null(strstr(text, " 37/100 edits, 2 failed, "));
    assert_null(strchr(text, '\r'));
    /* after 10, 20, 35, 57.5, 91.25, 141.9, and then every 60 s */
    capture(text, sizeof text, ends[1], ends[0], print_every_second_of_six_minutes);
    assert_int_equal(lines_of(text), 9);
    close(ends[0]);
    close(ends[1]);
}

static void a_terminal_gets_one_line_that_fits_it(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    ioctl(terminal, TIOCSWINSZ, &(struct winsize){.ws_row = 24, .ws_col = 8});
    char text[4096];
    capture(text, sizeof text, terminal, master, print_in_the_first_seconds_and_finish);
    assert_non_null(strstr(text, "\r  0/100\033[K\r"));
    assert_non_null(strstr(text, "\r\033[K\r"));
    assert_non_null(strstr(text, " 37/100 edits, 2 failed, "));
    assert_int_equal(lines_of(text), 1);
    close(terminal);
    close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_finished_shows_no_rate),
        cmocka_unit_test(failed_edits_are_named_and_count_as_finished),
        cmocka_unit_test(time_left_follows_the_cost_and_not_the_count),
        cmocka_unit_test(one_is_singular),
        cmocka_unit_test(slow_rates_have_a_decimal),
        cmocka_unit_test(spans_have_two_units_at_most),
        cmocka_unit_test(a_finished_run_says_how_long_it_took),
        cmocka_unit_test(costs_that_say_nothing_give_no_time),
        cmocka_unit_test(a_small_buffer_cuts_the_line),
        cmocka_unit_test(no_terminal_gets_few_lines_and_always_the_last),
        cmocka_unit_test(a_terminal_gets_one_line_that_fits_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
