#include "kernel_case.h"
#include "plain_kernels.h"
#include "test.h"

#include <math.h>
#include <string.h>

static const double BOUND = 3e-6; /* two channels alone, nearly alike, show most */

struct normalization {
    const float *x, *gamma, *beta;
    size_t batch, pixels, channels, groups; /* layer norm: batch rows, one pixel */
    float eps;
    enum pm_activation activation;
    bool in_place;
};

static void run_group_norm(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                           const void *inputs)
{
    const struct normalization *n = inputs;
    if (n->in_place) memcpy(out, n->x, n->batch * n->pixels * n->channels * sizeof *out);
    kernels->group_norm(out, n->in_place ? out : n->x, n->gamma, n->beta, n->batch, n->pixels,
                        n->channels, n->groups, n->eps, n->activation, scratch);
}

static void run_layer_norm(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                           const void *inputs)
{
    const struct normalization *n = inputs;
    (void)scratch;
    if (n->in_place) memcpy(out, n->x, n->batch * n->channels * sizeof *out);
    kernels->layer_norm(out, n->in_place ? out : n->x, n->gamma, n->beta, n->batch, n->channels,
                        n->eps);
}

/** @param groups  0 for layer norm  @param mean  of the inputs, whose spread is about 1 */
static void check_norm(size_t batch, size_t pixels, size_t channels, size_t groups, float mean,
                       enum pm_activation activation, bool in_place, double bound)
{
    size_t floats = batch * pixels * channels;
    float *x = guarded_random(floats, 1), *gamma = guarded_random(channels, 2);
    float *beta = guarded_random(channels, 3), *expected = guarded_floats(floats);
    for (size_t i = 0; i < floats; i++) x[i] += mean;
    struct normalization n = {.x = x,
                              .gamma = gamma,
                              .beta = beta,
                              .batch = batch,
                              .pixels = pixels,
                              .channels = channels,
                              .groups = groups,
                              .eps = 1e-5f,
                              .activation = activation,
                              .in_place = in_place};
    if (groups)
        plain_group_norm(expected, x, gamma, beta, batch, pixels, channels, groups, n.eps,
                         activation);
    else
        plain_layer_norm(expected, x, gamma, beta, batch, channels, n.eps);
    check_on_every_isa(&(struct kernel_case){groups ? run_group_norm : run_layer_norm, &n, floats,
                                             expected, bound});
    guarded_free(x, floats);
    guarded_free(gamma, channels);
    guarded_free(beta, channels);
    guarded_free(expected, floats);
}

static void group_norm_agrees_with_the_plain_kernel(void **state)
{
    (void)state;
    static const size_t cases[][4] = {{1, 1, 4, 2},    {3, 7, 30, 5},    {2, 129, 64, 32},
                                      {1, 300, 77, 7}, {2, 64, 192, 16}, {1, 1000, 100, 1},
                                      {1, 5, 3, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t *c = cases[i];
        check_norm(c[0], c[1], c[2], c[3], 0.5f, PM_IDENTITY, false, BOUND);
        check_norm(c[0], c[1], c[2], c[3], 0.5f, PM_SILU, true, BOUND);
        check_norm(c[0], c[1], c[2], c[3], -2.0f, PM_GELU, false, BOUND);
    }
}

static void layer_norm_agrees_with_the_plain_kernel(void **state)
{
    (void)state;
    static const size_t channels[] = {2, 15, 16, 17, 77, 320};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        check_norm(7, 1, channels[i], 0, 0.5f, PM_IDENTITY, false, BOUND);
        check_norm(13, 1, channels[i], 0, -3.0f, PM_IDENTITY, true, BOUND);
    }
    check_norm(800, 1, 200, 0, 0.0f, PM_IDENTITY, false, BOUND); /* enough for two threads */
}

/* Inputs near 1000 are themselves rounded to 6e-5 / 2, and so is their mean. */
static void a_mean_far_above_the_spread_does_no_harm(void **state)
{
    (void)state;
    check_norm(2, 500, 32, 4, 1000.0f, PM_IDENTITY, false, 1e-4);
    check_norm(9, 1, 200, 0, 1000.0f, PM_IDENTITY, false, 1e-4);
}

static void a_sample_has_the_same_bits_whatever_the_batch(void **state)
{
    (void)state;
    enum { B = 3, PIXELS = 200, C = 40, FLOATS = PIXELS * C };
    struct pm_arena scratch;
    pm_arena_init(&scratch, 1 << 24);
    float *x = guarded_random(B * FLOATS, 1), *gamma = guarded_random(C, 2);
    float *beta = guarded_random(C, 3), *all = guarded_floats(B * FLOATS);
    float *alone = guarded_floats(FLOATS);
    for (size_t i = 0; isa_number(i); i++) {
        isa_number(i)->group_norm(all, x, gamma, beta, B, PIXELS, C, 8, 1e-5f, PM_SILU, &scratch);
        isa_number(i)->group_norm(alone, x + FLOATS, gamma, beta, 1, PIXELS, C, 8, 1e-5f, PM_SILU,
                                  &scratch);
        assert_memory_equal(alone, all + FLOATS, FLOATS * sizeof *all);
    }
    guarded_free(x, B * FLOATS);
    guarded_free(gamma, C);
    guarded_free(beta, C);
    guarded_free(all, B * FLOATS);
    guarded_free(alone, FLOATS);
    pm_arena_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_norm_agrees_with_the_plain_kernel),
        cmocka_unit_test(layer_norm_agrees_with_the_plain_kernel),
        cmocka_unit_test(a_mean_far_above_the_spread_does_no_harm),
        cmocka_unit_test(a_sample_has_the_same_bits_whatever_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
