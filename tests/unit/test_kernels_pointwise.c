#include "kernel_case.h"
#include "plain_kernels.h"
#include "test.h"

#include "pm/kernels/pack.h"

#include <math.h>
#include <string.h>

struct elements {
    const float *x;
    size_t n;
    enum pm_activation activation;
};

static void run_activate(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                         const void *inputs)
{
    const struct elements *e = inputs;
    (void)scratch;
    kernels->activate(out, e->x, e->n, e->activation);
    float *in_place = guarded_floats(e->n);
    memcpy(in_place, e->x, e->n * sizeof *out);
    kernels->activate(in_place, in_place, e->n, e->activation);
    assert_memory_equal(in_place, out, e->n * sizeof *out);
    guarded_free(in_place, e->n);
}

static void activations_agree_with_the_plain_kernel(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 15, 16, 17, 100000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t n = counts[i];
        float *x = guarded_random(n, 1), *expected = guarded_floats(n);
        for (size_t j = 0; j < n; j++) x[j] *= 8.0f;
        for (int a = PM_IDENTITY; a <= PM_QUICK_GELU; a++) {
            for (size_t j = 0; j < n; j++)
                expected[j] = (float)plain_activation((double)x[j], (enum pm_activation)a);
            struct elements e = {.x = x, .n = n, .activation = (enum pm_activation)a};
            check_on_every_isa(&(struct kernel_case){run_activate, &e, n, expected, 5e-6});
        }
        guarded_free(x, n);
        guarded_free(expected, n);
    }
}

static void gelu_is_within_3e_7_from_end_to_end(void **state)
{
    (void)state;
    enum { N = 200001 };
    float *x = guarded_floats(N), *y = guarded_floats(N);
    for (size_t i = 0; i < N; i++) x[i] = -10.0f + 2e-4f * (float)i; /* to 30 */
    for (size_t i = 0; isa_number(i); i++) {
        isa_number(i)->activate(y, x, N, PM_GELU);
        for (size_t j = 0; j < N; j++) {
            double expected = plain_activation((double)x[j], PM_GELU);
            double allowed = fmax(3e-7, 1.2e-7 * fabs(expected)); /* the last bit, if more */
            if (!(fabs((double)y[j] - expected) <= allowed))
                fail_msg("%s: gelu(%.9g) = %.9g", isa_number(i)->isa, (double)x[j], (double)y[j]);
        }
    }
    guarded_free(x, N);
    guarded_free(y, N);
}

static void silu_has_small_relative_error_from_end_to_end(void **state)
{
    (void)state;
    enum { N = 200001 };
    float *x = guarded_floats(N), *y = guarded_floats(N);
    for (size_t i = 0; i < N; i++) x[i] = -85.0f + 9e-4f * (float)i; /* to 95 */
    for (size_t i = 0; isa_number(i); i++) {
        isa_number(i)->activate(y, x, N, PM_SILU);
        for (size_t j = 0; j < N; j++) {
            double expected = plain_activation((double)x[j], PM_SILU);
            if (!(fabs((double)y[j] - expected) <= 2.5e-7 * fabs(expected)))
                fail_msg("%s: silu(%.9g) = %.9g", isa_number(i)->isa, (double)x[j], (double)y[j]);
        }
    }
    guarded_free(x, N);
    guarded_free(y, N);
}

static void activations_take_infinities_and_pass_nan_on(void **state)
{
    (void)state;
    static const float x[] = {INFINITY, NAN, 1e30f, -1e30f, 0.0f, -100.0f, 200.0f};
    enum { N = sizeof x / sizeof *x };
    float y[N];
    for (size_t i = 0; isa_number(i); i++) {
        for (int a = PM_IDENTITY; a <= PM_QUICK_GELU; a++) {
            isa_number(i)->activate(y, x, N, (enum pm_activation)a);
            assert_true(y[0] == INFINITY && isnan(y[1]) && y[2] == 1e30f && y[4] == 0.0f);
            assert_true(y[6] == 200.0f);
            if (a == PM_IDENTITY) continue;
            assert_true(fabsf(y[3]) < 1e-30f && fabsf(y[5]) < 1e-30f);
        }
    }
}

struct rows {
    const float *a, *b, *map, *keep;
    size_t rows, width, other_width;
};

static void run_geglu(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                      const void *inputs)
{
    const struct rows *r = inputs;
    (void)scratch;
    kernels->geglu(out, r->a, r->rows, r->width);
}

static void geglu_agrees_with_the_plain_kernel(void **state)
{
    (void)state;
    static const size_t cases[][2] = {{1, 1}, {7, 17}, {13, 48}, {900, 77}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t rows = cases[i][0], width = cases[i][1], n = rows * width;
        float *x = guarded_random(2 * n, 1), *expected = guarded_floats(n);
        for (size_t j = 0; j < 2 * n; j++) x[j] *= 4.0f;
        plain_geglu(expected, x, rows, width);
        struct rows r = {.a = x, .rows = rows, .width = width};
        check_on_every_isa(&(struct kernel_case){run_geglu, &r, n, expected, 1e-6});
        guarded_free(x, 2 * n);
        guarded_free(expected, n);
    }
}

static void run_token_map(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                          const void *inputs)
{
    const struct rows *r = inputs;
    memcpy(out, r->a, r->rows * r->width * sizeof *out);
    kernels->token_map(out, r->b, r->map, r->keep, r->rows, r->width, scratch);
}

static void token_map_agrees_with_the_plain_kernel(void **state)
{
    (void)state;
    static const size_t cases[][2] = {{1, 1}, {7, 16}, {200, 77}, {97, 33}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t rows = cases[i][0], tokens = cases[i][1], n = rows * tokens;
        float *target = guarded_random(n, 1), *base = guarded_random(n, 2);
        float *map = guarded_random(tokens * tokens, 3), *keep = guarded_random(tokens, 4);
        float *packed = guarded_floats(pm_packed_floats(tokens, tokens));
        float *expected = guarded_floats(n);
        pm_pack(packed, map, tokens, tokens, tokens, 1);
        memcpy(expected, target, n * sizeof *expected);
        plain_token_map(expected, base, map, keep, rows, tokens);
        struct rows r = {
            .a = target, .b = base, .map = packed, .keep = keep, .rows = rows, .width = tokens};
        check_on_every_isa(&(struct kernel_case){run_token_map, &r, n, expected, 2e-6});
        guarded_free(target, n);
        guarded_free(base, n);
        guarded_free(map, tokens * tokens);
        guarded_free(keep, tokens);
        guarded_free(packed, pm_packed_floats(tokens, tokens));
        guarded_free(expected, n);
    }
}

/** Of an edit that changes nothing, A = 0 and d = 1, or of one that replaces all, A = 1, d = 0. */
static void token_map_of_the_identity_copies(void **state)
{
    (void)state;
    enum { ROWS = 50, TOKENS = 77, N = ROWS * TOKENS };
    struct pm_arena scratch;
    pm_arena_init(&scratch, 1 << 20);
    float *target = guarded_random(N, 1), *base = guarded_random(N, 2), keep[TOKENS];
    float identity[TOKENS * TOKENS], packed[TOKENS * (TOKENS + PM_PANEL)];
    for (size_t i = 0; i < TOKENS * TOKENS; i++) identity[i] = i % (TOKENS + 1) == 0 ? 1.0f : 0.0f;
    memset(keep, 0, sizeof keep);
    pm_pack(packed, identity, TOKENS, TOKENS, TOKENS, 1);
    for (size_t i = 0; isa_number(i); i++) {
        fill_random(target, N, 1);
        isa_number(i)->token_map(target, base, packed, keep, ROWS, TOKENS, &scratch);
        assert_memory_equal(target, base, N * sizeof *target);
    }
    guarded_free(target, N);
    guarded_free(base, N);
    pm_arena_free(&scratch);
}

struct image {
    const float *x;
    size_t height, width, channels, out_height, out_width;
};

static void run_resize(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                       const void *inputs)
{
    const struct image *i = inputs;
    (void)scratch;
    kernels->resize_nearest(out, i->x, 2, i->height, i->width, i->out_height, i->out_width,
                            i->channels);
}

static void resizing_takes_the_nearest_pixel(void **state)
{
    (void)state;
    static const size_t cases[][5] = {{1, 1, 1, 2, 2},
                                      {3, 5, 17, 6, 10},
                                      {9, 7, 64, 17, 13},
                                      {8, 8, 4, 3, 5},
                                      {70, 60, 33, 140, 120}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image im = {NULL, cases[i][0], cases[i][1], cases[i][2], cases[i][3], cases[i][4]};
        size_t n = 2 * im.height * im.width * im.channels;
        size_t out_n = 2 * im.out_height * im.out_width * im.channels;
        float *x = guarded_random(n, 1), *expected = guarded_floats(out_n);
        im.x = x;
        plain_resize_nearest(expected, x, 2, im.height, im.width, im.out_height, im.out_width,
                             im.channels);
        check_on_every_isa(&(struct kernel_case){run_resize, &im, out_n, expected, 0.0});
        guarded_free(x, n);
        guarded_free(expected, out_n);
    }
}

static void twice_the_size_is_every_pixel_four_times(void **state)
{
    (void)state;
    static const float x[] = {1, 2, 3, 4, 5, 6};                         /* [2, 3] */
    static const float expected[] = {1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3, /* [4, 6] */
                                     4, 4, 5, 5, 6, 6, 4, 4, 5, 5, 6, 6};
    float out[24];
    for (size_t i = 0; isa_number(i); i++) {
        fill_nan(out, 24);
        isa_number(i)->resize_nearest(out, x, 1, 2, 3, 4, 6, 1);
        assert_memory_equal(out, expected, sizeof out);
    }
}

static void run_concat(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                       const void *inputs)
{
    const struct rows *r = inputs;
    (void)scratch;
    kernels->concat_channels(out, r->a, r->width, r->b, r->other_width, r->rows);
}

static void concatenation_puts_the_channels_of_b_after_those_of_a(void **state)
{
    (void)state;
    static const size_t cases[][3] = {{1, 1, 1}, {7, 17, 4}, {13, 64, 128}, {9000, 100, 140}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t rows = cases[i][0], a_width = cases[i][1], b_width = cases[i][2];
        size_t n = rows * (a_width + b_width);
        float *a = guarded_random(rows * a_width, 1), *b = guarded_random(rows * b_width, 2);
        float *expected = guarded_floats(n);
        plain_concat_channels(expected, a, a_width, b, b_width, rows);
        struct rows r = {.a = a, .b = b, .rows = rows, .width = a_width, .other_width = b_width};
        check_on_every_isa(&(struct kernel_case){run_concat, &r, n, expected, 0.0});
        guarded_free(a, rows * a_width);
        guarded_free(b, rows * b_width);
        guarded_free(expected, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_agree_with_the_plain_kernel),
        cmocka_unit_test(gelu_is_within_3e_7_from_end_to_end),
        cmocka_unit_test(silu_has_small_relative_error_from_end_to_end),
        cmocka_unit_test(activations_take_infinities_and_pass_nan_on),
        cmocka_unit_test(geglu_agrees_with_the_plain_kernel),
        cmocka_unit_test(token_map_agrees_with_the_plain_kernel),
        cmocka_unit_test(token_map_of_the_identity_copies),
        cmocka_unit_test(resizing_takes_the_nearest_pixel),
        cmocka_unit_test(twice_the_size_is_every_pixel_four_times),
        cmocka_unit_test(concatenation_puts_the_channels_of_b_after_those_of_a),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
