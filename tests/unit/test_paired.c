#include "test.h"

#include "pm/data/paired.h"

#include <math.h>

static void means_and_counts_are_of_the_pairs(void **state)
{
    (void)state;
    const double a[] = {1, 2, 3, NAN, 4, INFINITY}, b[] = {2, 2, 5, 1, 3, 9};
    struct pm_paired p = pm_paired_compare(a, b, 6);
    assert_int_equal(p.pairs, 4); /* what is not finite has no difference */
    assert_true(p.mean_a == 2.5 && p.mean_b == 3.0 && p.mean_difference == 0.5);
    assert_int_equal(p.b_higher, 2);
    assert_int_equal(p.b_lower, 1);
    assert_true(fabs(p.sign_p - 1.0) < 1e-12); /* 2 of 3 */
}

static void a_sign_test_is_the_binomial_one(void **state)
{
    (void)state;
    double a[10] = {0}, b[10];
    for (size_t i = 0; i < 10; i++) b[i] = i == 0 ? -1.0 : 1.0;
    struct pm_paired p = pm_paired_compare(a, b, 10);
    assert_true(fabs(p.sign_p - 22.0 / 1024.0) < 1e-12); /* 2 (1 + 10) / 2^10 */
}

/* Differences of mean 1 and deviation 2 in 400 pairs: the interval is 1 +- 1.96 * 2 / 20. */
static void the_interval_is_as_wide_as_theory_has_it(void **state)
{
    (void)state;
    enum { PAIRS = 400 };
    double a[PAIRS], b[PAIRS];
    for (size_t i = 0; i < PAIRS; i++) {
        a[i] = (double)i;
        b[i] = a[i] + (i % 2 ? 3.0 : -1.0);
    }
    struct pm_paired p = pm_paired_compare(a, b, PAIRS);
    assert_true(fabs(p.mean_difference - 1.0) < 1e-12);
    assert_true(fabs(p.low - (1.0 - 0.196)) < 0.03 && fabs(p.high - (1.0 + 0.196)) < 0.03);
}

static void equal_and_missing_pairs_make_no_difference(void **state)
{
    (void)state;
    const double a[] = {1, 2}, nothing[] = {NAN, NAN};
    struct pm_paired p = pm_paired_compare(a, a, 2);
    assert_true(p.mean_difference == 0.0 && p.low == 0.0 && p.high == 0.0 && p.sign_p == 1.0);
    p = pm_paired_compare(a, nothing, 2);
    assert_int_equal(p.pairs, 0);
    assert_true(isnan(p.mean_difference) && isnan(p.low) && p.sign_p == 1.0);
    p = pm_paired_compare(a, a, 0);
    assert_int_equal(p.pairs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_and_counts_are_of_the_pairs),
        cmocka_unit_test(a_sign_test_is_the_binomial_one),
        cmocka_unit_test(the_interval_is_as_wide_as_theory_has_it),
        cmocka_unit_test(equal_and_missing_pairs_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
