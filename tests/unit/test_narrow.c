#include "test.h"

#include "pm/base/narrow.h"

#include <math.h>
#include <stdbool.h>

enum { INFINITE = 0x7C00, ALL = 0x10000 };

static bool is_nan(uint16_t half)
{
    return (half & 0x7FFF) > INFINITE;
}

/* What a half is worth, from IEEE 754's definition; infinity as the number that would follow. */
static double value_of(uint16_t half)
{
    int exponent = half >> 10 & 0x1F;
    double fraction = (half & 0x3FF) / 1024.0;
    double magnitude = exponent ? ldexp(1.0 + fraction, exponent - 15) : ldexp(fraction, -14);
    return half & 0x8000 ? -magnitude : magnitude;
}

static void every_half_is_exact_and_comes_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ALL; i++) {
        uint16_t half = (uint16_t)i;
        float value = pm_float_from_half(half);
        if (is_nan(half)) {
            assert_true(isnan(value) && is_nan(pm_half_from_float(value)));
            continue;
        }
        if ((half & 0x7FFF) == INFINITE)
            assert_true(isinf(value) && !signbit(value) == !(half >> 15));
        else
            assert_true((double)value == value_of(half) && !signbit(value) == !(half >> 15));
        assert_int_equal(pm_half_from_float(value), half);
    }
}

static void between_two_halves_the_nearer_and_of_a_tie_the_even_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < INFINITE; i++)
        for (uint32_t sign = 0; sign < ALL; sign += 0x8000) {
            uint16_t low = (uint16_t)(sign | i), high = (uint16_t)(sign | (i + 1));
            double middle = (value_of(low) + value_of(high)) / 2;
            float tie = (float)middle, towards_high = sign ? -INFINITY : INFINITY;
            assert_true((double)tie == middle); /* a float has the bits for it */
            assert_int_equal(pm_half_from_float(tie), low & 1 ? high : low);
            assert_int_equal(pm_half_from_float(nextafterf(tie, towards_high)), high);
            assert_int_equal(pm_half_from_float(nextafterf(tie, -towards_high)), low);
        }
}

static void what_is_too_large_or_small_for_a_half_is_infinite_or_zero(void **state)
{
    (void)state;
    assert_int_equal(pm_half_from_float(65519.996f), 0x7BFF);
    assert_int_equal(pm_half_from_float(65520.0f), INFINITE);
    assert_int_equal(pm_half_from_float(-3e38f), 0x8000 | INFINITE);
    assert_int_equal(pm_half_from_float(0x1p-25f), 0);
    assert_int_equal(pm_half_from_float(0x1.000002p-25f), 1);
    assert_int_equal(pm_half_from_float(-1e-40f), 0x8000);
    assert_true(is_nan(pm_half_from_float(NAN)));
}

static void bytes_are_255ths_to_the_nearest(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i++) {
        assert_int_equal(pm_byte_from_unit(pm_unit_from_byte((uint8_t)i)), i);
        assert_true(pm_unit_from_byte((uint8_t)i) == (float)i / 255.0f);
        if (i == 255) continue;
        assert_int_equal(pm_byte_from_unit(((float)i + 0.49f) / 255.0f), i);
        assert_int_equal(pm_byte_from_unit(((float)i + 0.51f) / 255.0f), i + 1);
    }
    assert_int_equal(pm_byte_from_unit(-0.1f), 0);
    assert_int_equal(pm_byte_from_unit(2.0f), 255);
    assert_int_equal(pm_byte_from_unit(INFINITY), 255);
    assert_int_equal(pm_byte_from_unit(NAN), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_is_exact_and_comes_back),
        cmocka_unit_test(between_two_halves_the_nearer_and_of_a_tie_the_even_one),
        cmocka_unit_test(what_is_too_large_or_small_for_a_half_is_infinite_or_zero),
        cmocka_unit_test(bytes_are_255ths_to_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
