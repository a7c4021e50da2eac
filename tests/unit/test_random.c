#include "test.h"

#include "pm/base/random.h"

#include <math.h>
#include <string.h>

/* Known answers of the Random123 library's philox4x32-10. */
static void philox_gives_the_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4] = {0};
        pm_philox(out, known[i].counter, known[i].key);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

enum { MANY = 200001 };
typedef void draw(float *out, size_t n, uint64_t seed);

static void assert_standard_normal(draw *draw_into)
{
    float *x = test_malloc(MANY * sizeof *x);
    fill_nan(x, MANY);
    draw_into(x, MANY, 2024);
    double sums[4] = {0}, neighbours = 0.0;
    size_t within = 0;
    for (size_t i = 0; i < MANY; i++) {
        double value = x[i], power = 1.0;
        for (size_t k = 0; k < 4; k++) sums[k] += power *= value;
        neighbours += i ? value * (double)x[i - 1] : 0.0;
        within += fabs(value) < 1.0;
    }
    /* five standard deviations of each estimate */
    double width = 5.0 / sqrt(MANY);
    assert_true(fabs(sums[0] / MANY) < width);
    assert_true(fabs(sums[1] / MANY - 1.0) < width * sqrt(2.0));
    assert_true(fabs(sums[2] / MANY) < width * sqrt(15.0));
    assert_true(fabs(sums[3] / MANY - 3.0) < width * sqrt(96.0));
    assert_true(fabs(neighbours / MANY) < width);
    assert_true(fabs((double)within / MANY - 0.6826895) < width * 0.4655);
    test_free(x);
}

static void both_noises_are_standard_normal(void **state)
{
    (void)state;
    assert_standard_normal(pm_noise_torch);
    assert_standard_normal(pm_noise_counter);
}

static void counter_noise_of_a_shorter_tensor_is_its_beginning(void **state)
{
    (void)state;
    float all[257], some[257];
    pm_noise_counter(all, 257, 7);
    for (size_t n = 1; n <= 257; n += 17) {
        fill_nan(some, 257);
        pm_noise_counter(some, n, 7);
        assert_memory_equal(some, all, n * sizeof *some);
        assert_true(n == 257 || isnan(some[n]));
    }
}

/* Only in its whole blocks of 16: a last part is drawn anew, as torch does. */
static void torch_noise_agrees_in_whole_blocks(void **state)
{
    (void)state;
    float all[64], some[64];
    pm_noise_torch(all, 64, 7);
    fill_nan(some, 64);
    pm_noise_torch(some, 48, 7);
    assert_memory_equal(some, all, 48 * sizeof *some);
    assert_true(isnan(some[48]));
    pm_noise_torch(some, 41, 7);
    assert_memory_equal(some, all, 25 * sizeof *some);
    assert_true(memcmp(some + 25, all + 25, 16 * sizeof *some) != 0);
}

static size_t equal_values(draw *draw_into, uint64_t a, uint64_t b)
{
    float x[64], y[64];
    size_t equal = 0;
    draw_into(x, 64, a);
    draw_into(y, 64, b);
    for (size_t i = 0; i < 64; i++) equal += x[i] == y[i];
    return equal;
}

static void every_bit_of_the_seed_counts_for_counter_noise(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++)
        assert_int_equal(equal_values(pm_noise_counter, 5, 5 ^ (uint64_t)1 << bit), 0);
    assert_int_equal(equal_values(pm_noise_counter, 5, 5), 64);
}

static void torch_noise_looks_at_the_low_32_bits(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++)
        assert_int_equal(equal_values(pm_noise_torch, 5, 5 ^ (uint64_t)1 << bit) == 64, bit >= 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers),
        cmocka_unit_test(both_noises_are_standard_normal),
        cmocka_unit_test(counter_noise_of_a_shorter_tensor_is_its_beginning),
        cmocka_unit_test(torch_noise_agrees_in_whole_blocks),
        cmocka_unit_test(every_bit_of_the_seed_counts_for_counter_noise),
        cmocka_unit_test(torch_noise_looks_at_the_low_32_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
