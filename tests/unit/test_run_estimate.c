#include "test.h"

#include "../../jobs/run_estimate.h"

#include <math.h>

static void before_an_edit_is_done_every_edit_fits(void **state)
{
    (void)state;
    struct run_estimate estimate = {0};
    assert_true(run_estimate_fits(&estimate, 1e9, 0.1));
}

static void an_edit_takes_what_those_done_took_by_their_cost(void **state)
{
    (void)state;
    struct run_estimate estimate = {0};
    run_estimate_add(&estimate, 100.0, 10.0);
    run_estimate_add(&estimate, 300.0, 50.0); /* 0.15 s a sample */
    assert_true(run_estimate_fits(&estimate, 200.0, 34.0));
    assert_false(run_estimate_fits(&estimate, 200.0, 32.0));
    assert_true(run_estimate_fits(&estimate, 100.0, 32.0)); /* a cheaper one may still be begun */
}

static void without_a_deadline_every_edit_fits(void **state)
{
    (void)state;
    struct run_estimate estimate = {0};
    run_estimate_add(&estimate, 1.0, 1e6);
    assert_true(run_estimate_fits(&estimate, 1e9, INFINITY));
}

static void when_the_time_is_over_no_edit_fits(void **state)
{
    (void)state;
    struct run_estimate estimate = {0};
    run_estimate_add(&estimate, 1.0, 1.0);
    assert_false(run_estimate_fits(&estimate, 1.0, 0.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_an_edit_is_done_every_edit_fits),
        cmocka_unit_test(an_edit_takes_what_those_done_took_by_their_cost),
        cmocka_unit_test(without_a_deadline_every_edit_fits),
        cmocka_unit_test(when_the_time_is_over_no_edit_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
