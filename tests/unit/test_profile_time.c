/* Noting where the time goes changes no result, and counts what was done. */
#include "kernel_case.h"
#include "test.h"

#include "pm/kernels/pack.h"
#include "pm/kernels/profile.h"

enum { M = 40, N = 48, K = 32, SIDE = 8, BATCH = 2 };

/** Everything that is timed, once. @param out  [BATCH * SIDE * SIDE * N] each */
static void run_all(float *product, float *convolved, float *attended, const float *x,
                    const struct pm_linear *linear, const struct pm_conv *conv,
                    struct pm_arena *scratch)
{
    const struct pm_kernels *k = pm_kernels();
    const struct pm_attention_shape shape = {.batch = 1,
                                             .heads = 2,
                                             .head_size = N / 2,
                                             .queries = M,
                                             .keys = M,
                                             .q_stride = N,
                                             .k_stride = N,
                                             .v_stride = N,
                                             .out_stride = N,
                                             .scale = 0.2f};
    k->gemm(product, N, x, K, linear->packed, M, N, K, NULL);
    k->conv(convolved, x, conv, NULL, NULL, BATCH, SIDE, SIDE, scratch);
    k->attention(attended, product, product, product, &shape, scratch);
}

static void a_set_that_notes_times_gives_the_same_bits_and_counts_the_products(void **state)
{
    (void)state;
    size_t pixels = BATCH * SIDE * SIDE, weights = N * K * 9;
    struct pm_arena memory, scratch;
    pm_arena_init(&memory, (size_t)16 << 20);
    pm_arena_init(&scratch, (size_t)16 << 20);
    float *x = guarded_random(pixels * K, 1), *weight = guarded_random(weights, 2);
    struct pm_linear linear = pm_linear_pack(weight, NULL, N, K, PM_FP32, &memory);
    struct pm_conv conv = pm_conv_pack(weight, NULL, N, K, 3, 1, 1, 1, PM_FP32, &memory);
    float *before[3], *after[3];
    for (size_t i = 0; i < 3; i++) {
        before[i] = guarded_floats(pixels * N);
        after[i] = guarded_floats(pixels * N);
    }
    run_all(before[0], before[1], before[2], x, &linear, &conv, &scratch);
    assert_true(pm_profile_so_far().calls[PM_PROFILE_LINEAR] == 0.0);
    pm_profile_start();
    run_all(after[0], after[1], after[2], x, &linear, &conv, &scratch);
    assert_memory_equal(after[0], before[0], M * N * sizeof(float));
    assert_memory_equal(after[1], before[1], pixels * N * sizeof(float));
    assert_memory_equal(after[2], before[2], M * N * sizeof(float));

    struct pm_profile profile = pm_profile_so_far();
    assert_true(profile.flops[PM_PROFILE_LINEAR] == 2.0 * M * N * K);
    assert_true(profile.flops[PM_PROFILE_CONV_3X3] == 18.0 * (double)pixels * N * K);
    assert_true(profile.flops[PM_PROFILE_SELF_ATTENTION] == 4.0 * M * M * N);
    for (size_t i = 0; i < PM_PROFILE_KINDS; i++) {
        bool was_called =
            i == PM_PROFILE_LINEAR || i == PM_PROFILE_CONV_3X3 || i == PM_PROFILE_SELF_ATTENTION;
        assert_true(profile.calls[i] == (was_called ? 1.0 : 0.0));
        assert_true((profile.seconds[i] > 0.0) == was_called);
        assert_non_null(pm_profile_kind_name(i));
    }
    for (size_t i = 0; i < 3; i++) {
        guarded_free(before[i], pixels * N);
        guarded_free(after[i], pixels * N);
    }
    guarded_free(x, pixels * K);
    guarded_free(weight, weights);
    pm_arena_free(&memory);
    pm_arena_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_that_notes_times_gives_the_same_bits_and_counts_the_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
