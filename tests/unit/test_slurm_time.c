#include "test.h"

#include "../../jobs/slurm.h"

#include <math.h>

static void slurms_ways_to_write_a_time_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } cases[] = {
        {"30", 30.0},
        {"10:00", 600.0},
        {"4:00:00", 14400.0},
        {"1-00:00:00", 86400.0},
        {"2-03:04:05", 183845.0},
        {"2-03", 183600.0},
        {"1-02:30", 95400.0},
        {"infinite", INFINITY},
        {"UNLIMITED", INFINITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double seconds = NAN;
        if (!slurm_parse_time(&seconds, cases[i].text)) fail_msg("%s was refused", cases[i].text);
        if (seconds != cases[i].seconds)
            fail_msg("%s is read as %g s, not %g", cases[i].text, seconds, cases[i].seconds);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "INVALID", "1:", "1:2:3:4", "-5", "1-", "1-2-3", "n/a"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        double seconds;
        if (slurm_parse_time(&seconds, texts[i])) fail_msg("\"%s\" was taken", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slurms_ways_to_write_a_time_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
