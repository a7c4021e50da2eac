/* Products of bfloat16: as float32's of numbers that were rounded before. */
#include "kernel_case.h"
#include "plain_kernels.h"
#include "test.h"

#include "pm/kernels/bf16.h"
#include "pm/kernels/pack.h"

#include <math.h>
#include <string.h>

/* Sums are float32, and what is smaller than its least normal number may count as zero. */
static const double SUM_BOUND = 2e-6;
static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void numbers_are_rounded_to_the_nearest_and_halves_to_even(void **state)
{
    (void)state;
    assert_int_equal(pm_to_bf16(1.0f), 0x3f80);
    assert_int_equal(pm_to_bf16(-2.5f), 0xc020);
    assert_int_equal(pm_to_bf16(from_bits(0x3f808000)), 0x3f80); /* a half, to even: down */
    assert_int_equal(pm_to_bf16(from_bits(0x3f818000)), 0x3f82); /* a half, to even: up */
    assert_int_equal(pm_to_bf16(from_bits(0x3f808001)), 0x3f81);
    assert_int_equal(pm_to_bf16(from_bits(0x7f7fffff)), 0x7f80); /* the largest one overflows */
    assert_int_equal(pm_to_bf16(INFINITY), 0x7f80);
    assert_true(isnan(pm_from_bf16(pm_to_bf16(from_bits(0x7f800001)))));
    assert_true(pm_from_bf16(pm_to_bf16(-0.15625f)) == -0.15625f);
}

struct product {
    const float *a;
    const uint16_t *packed;
    size_t m, n, k;
    const struct pm_epilogue *epilogue;
};

static void run_product(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                        const void *inputs)
{
    const struct product *p = inputs;
    kernels->gemm_bf16(out, p->n, p->a, p->k, p->packed, p->m, p->n, p->k, p->epilogue, scratch);
}

static void check_product(size_t m, size_t n, size_t k, enum pm_activation activation)
{
    float *a = guarded_rounded(m * k, 1), *b = guarded_rounded(k * n, 2);
    float *bias = guarded_random(n, 3), *residual = guarded_random(m * n, 4);
    float *expected = guarded_floats(m * n);
    uint16_t *packed = test_malloc(pm_packed_bf16_numbers(k, n) * sizeof *packed);
    struct pm_epilogue epilogue = {
        .bias = bias, .activation = activation, .residual = residual, .residual_stride = n};
    pm_pack_bf16(packed, b, k, n, n, 1);
    plain_gemm(expected, n, a, k, b, m, n, k, &epilogue);
    struct product p = {a, packed, m, n, k, &epilogue};
    check_precision_on_every_isa(&(struct kernel_case){run_product, &p, m * n, expected, SUM_BOUND},
                                 PM_BF16);
    test_free(packed);
    guarded_free(a, m * k);
    guarded_free(b, k * n);
    guarded_free(bias, n);
    guarded_free(residual, m * n);
    guarded_free(expected, m * n);
}

static void products_agree_with_float32s_of_rounded_numbers(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},    {2, 3, 2},      {13, 17, 5},
                                      {12, 32, 64}, {77, 48, 33},   {200, 70, 31},
                                      {50, 16, 1},  {5, 130, 1100}, {193, 35, 700}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_product(sizes[i][0], sizes[i][1], sizes[i][2], PM_IDENTITY);
        check_product(sizes[i][0], sizes[i][1], sizes[i][2], PM_SILU);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_rounded_to_the_nearest_and_halves_to_even),
        cmocka_unit_test(products_agree_with_float32s_of_rounded_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
