#include "kernel_case.h"
#include "plain_kernels.h"
#include "test.h"

#include "pm/kernels/pack.h"

#include <string.h>

static const double DIRECT_BOUND = 2e-6;
/* What F(2x2) rounds are sums of four numbers, and of nine; 3.8e-3 at 320 channels. */
static const double BF16_WINOGRAD_BOUND = 6e-3;
static const double WINOGRAD_BOUND = 1e-5; /* 1.4e-6 at 256 channels; few channels show more */

struct convolution {
    const struct pm_conv *conv;
    const float *x, *sample_bias, *residual;
    size_t batch, height, width, out_floats;
    bool in_place;
};

static void run_convolution(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                            const void *inputs)
{
    const struct convolution *c = inputs;
    if (c->in_place) memcpy(out, c->residual, c->out_floats * sizeof *out);
    kernels->conv(out, c->x, c->conv, c->sample_bias, c->in_place ? out : c->residual, c->batch,
                  c->height, c->width, scratch);
}

struct sizes {
    size_t in, out, kernel, stride, pad_before, pad_after, batch, height, width;
};

enum extras { BARE = 0, BIAS = 1, SAMPLE_BIAS = 2, RESIDUAL = 4, IN_PLACE = 8 };

static size_t output_floats(const struct sizes *s)
{
    size_t pads = s->pad_before + s->pad_after;
    return s->batch * ((s->height + pads - s->kernel) / s->stride + 1) *
           ((s->width + pads - s->kernel) / s->stride + 1) * s->out;
}

/* With inputs that bfloat16 has, where that is the precision. */
static void check_convolution_at(const struct sizes *s, enum pm_precision precision,
                                 unsigned extras, double bound)
{
    float *(*random)(size_t, unsigned) = precision == PM_BF16 ? guarded_rounded : guarded_random;
    struct pm_arena memory;
    pm_arena_init(&memory, (size_t)64 << 20);
    size_t in_floats = s->batch * s->height * s->width * s->in, out_floats = output_floats(s);
    size_t weights = s->out * s->in * s->kernel * s->kernel;
    float *x = random(in_floats, 1), *weight = random(weights, 2);
    float *bias = guarded_random(s->out, 3), *expected = guarded_floats(out_floats);
    float *sample_bias = guarded_random(s->batch * s->out, 4);
    float *residual = guarded_random(out_floats, 5);
    struct pm_conv conv =
        pm_conv_pack(weight, extras & BIAS ? bias : NULL, s->out, s->in, s->kernel, s->stride,
                     s->pad_before, s->pad_after, precision, &memory);
    struct convolution c = {.conv = &conv,
                            .x = x,
                            .sample_bias = extras & SAMPLE_BIAS ? sample_bias : NULL,
                            .residual = extras & (RESIDUAL | IN_PLACE) ? residual : NULL,
                            .batch = s->batch,
                            .height = s->height,
                            .width = s->width,
                            .out_floats = out_floats,
                            .in_place = extras & IN_PLACE};
    plain_conv(expected, x, weight, &conv, c.sample_bias, c.residual, s->batch, s->height,
               s->width);
    check_precision_on_every_isa(
        &(struct kernel_case){run_convolution, &c, out_floats, expected, bound}, precision);
    guarded_free(x, in_floats);
    guarded_free(weight, weights);
    guarded_free(bias, s->out);
    guarded_free(expected, out_floats);
    guarded_free(sample_bias, s->batch * s->out);
    guarded_free(residual, out_floats);
    pm_arena_free(&memory);
}

static void check_convolution(const struct sizes *s, unsigned extras, double bound)
{
    check_convolution_at(s, PM_FP32, extras, bound);
}

static void any_kernel_stride_and_padding_agrees_with_the_plain_kernel(void **state)
{
    (void)state;
    static const struct sizes cases[] = {
        /* in, out, kernel, stride, pads, batch, height, width */
        {4, 20, 3, 1, 1, 1, 1, 9, 7}, {5, 3, 3, 1, 1, 1, 2, 1, 1},  {17, 33, 3, 2, 1, 1, 3, 8, 11},
        {8, 16, 3, 2, 0, 1, 2, 6, 9}, {3, 18, 1, 1, 0, 0, 2, 5, 3}, {6, 4, 1, 2, 0, 0, 1, 5, 4},
        {2, 7, 5, 1, 2, 2, 1, 6, 6},  {3, 5, 4, 3, 1, 2, 2, 9, 10}, {7, 9, 3, 1, 0, 0, 1, 5, 5},
        {1, 1, 3, 1, 2, 2, 1, 2, 2},  {1, 2, 5, 1, 4, 4, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_convolution(&cases[i], BARE, DIRECT_BOUND);
        check_convolution(&cases[i], BIAS | SAMPLE_BIAS | RESIDUAL, DIRECT_BOUND);
        check_convolution(&cases[i], SAMPLE_BIAS | IN_PLACE, DIRECT_BOUND);
    }
}

static void winograds_form_agrees_with_the_plain_kernel(void **state)
{
    (void)state;
    static const struct sizes cases[] = {
        {16, 16, 3, 1, 1, 1, 1, 4, 4},    {17, 35, 3, 1, 1, 1, 3, 8, 5},
        {40, 21, 3, 1, 1, 1, 2, 13, 11},  {64, 64, 3, 1, 1, 1, 1, 32, 30},
        {16, 48, 3, 1, 1, 1, 1, 3, 3},    {24, 3, 3, 1, 1, 1, 2, 6, 17},
        {130, 70, 3, 1, 1, 1, 2, 16, 16}, {33, 290, 3, 1, 1, 1, 1, 44, 40}, /* more than a chunk */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_convolution(&cases[i], BARE, WINOGRAD_BOUND);
        check_convolution(&cases[i], BIAS | SAMPLE_BIAS | RESIDUAL, WINOGRAD_BOUND);
        check_convolution(&cases[i], BIAS | IN_PLACE, WINOGRAD_BOUND);
    }
}

static void in_bf16_patches_agree_with_float32s_of_rounded_numbers(void **state)
{
    (void)state;
    static const struct sizes cases[] = {
        /* in, out, kernel, stride, pads, batch, height, width */
        {4, 20, 3, 1, 1, 1, 1, 9, 7},  {5, 3, 3, 1, 1, 1, 2, 1, 1},  {17, 33, 3, 2, 1, 1, 3, 8, 11},
        {32, 16, 3, 2, 0, 1, 2, 6, 9}, {3, 18, 1, 1, 0, 0, 2, 5, 3}, {40, 70, 1, 1, 0, 0, 1, 9, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_convolution_at(&cases[i], PM_BF16, BIAS | SAMPLE_BIAS | RESIDUAL, DIRECT_BOUND);
}

static void in_bf16_winograds_form_agrees_within_its_rounding(void **state)
{
    (void)state;
    static const struct sizes cases[] = {
        {16, 16, 3, 1, 1, 1, 1, 4, 4},   {17, 35, 3, 1, 1, 1, 3, 7, 5},
        {16, 48, 3, 1, 1, 1, 1, 1, 1},   {40, 21, 3, 1, 1, 1, 2, 13, 11},
        {64, 64, 3, 1, 1, 1, 1, 32, 30}, {33, 290, 3, 1, 1, 1, 1, 22, 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_convolution_at(&cases[i], PM_BF16, BIAS | SAMPLE_BIAS | RESIDUAL,
                             BF16_WINOGRAD_BOUND);
}

static void winograds_form_is_for_wide_3x3_alone(void **state)
{
    (void)state;
    static const struct sizes cases[] = {
        {32, 32, 3, 1, 1, 1, 0, 0, 0}, {32, 4, 3, 1, 1, 1, 0, 0, 0},
        {15, 32, 3, 1, 1, 1, 0, 0, 0}, {32, 32, 3, 2, 1, 1, 0, 0, 0},
        {32, 32, 3, 1, 0, 1, 0, 0, 0}, {32, 32, 1, 1, 0, 0, 0, 0, 0}};
    struct pm_arena memory;
    pm_arena_init(&memory, (size_t)1 << 20);
    float *weight = guarded_random(32 * 32 * 9, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sizes *s = &cases[i];
        memory.used = 0;
        struct pm_conv conv = pm_conv_pack(weight, NULL, s->out, s->in, s->kernel, s->stride,
                                           s->pad_before, s->pad_after, PM_FP32, &memory);
        assert_int_equal(conv.by_winograd, i < 2);
        assert_non_null(conv.packed);
    }
    guarded_free(weight, 32 * 32 * 9);
    pm_arena_free(&memory);
}

/** Each sample alone must give what it gives among others. */
static void check_samples_alone(const struct sizes *s)
{
    struct pm_arena memory, scratch;
    pm_arena_init(&memory, (size_t)64 << 20);
    pm_arena_init(&scratch, (size_t)256 << 20);
    size_t in_floats = s->height * s->width * s->in, out_floats = output_floats(s) / s->batch;
    size_t weights = s->out * s->in * s->kernel * s->kernel;
    float *x = guarded_random(s->batch * in_floats, 1), *weight = guarded_random(weights, 2);
    float *bias = guarded_random(s->batch * s->out, 3);
    float *all = guarded_floats(s->batch * out_floats), *alone = guarded_floats(out_floats);
    struct pm_conv conv = pm_conv_pack(weight, NULL, s->out, s->in, s->kernel, s->stride,
                                       s->pad_before, s->pad_after, PM_FP32, &memory);
    for (size_t i = 0; isa_number(i); i++) {
        isa_number(i)->conv(all, x, &conv, bias, NULL, s->batch, s->height, s->width, &scratch);
        for (size_t b = 0; b < s->batch; b++) {
            isa_number(i)->conv(alone, x + b * in_floats, &conv, bias + b * s->out, NULL, 1,
                                s->height, s->width, &scratch);
            assert_memory_equal(alone, all + b * out_floats, out_floats * sizeof *all);
        }
    }
    guarded_free(x, s->batch * in_floats);
    guarded_free(weight, weights);
    guarded_free(bias, s->batch * s->out);
    guarded_free(all, s->batch * out_floats);
    guarded_free(alone, out_floats);
    pm_arena_free(&memory);
    pm_arena_free(&scratch);
}

static void a_sample_has_the_same_bits_whatever_the_batch(void **state)
{
    (void)state;
    static const struct sizes cases[] = {{70, 50, 3, 1, 1, 1, 5, 18, 15},
                                         {16, 33, 3, 1, 1, 1, 3, 2, 2},
                                         {64, 40, 3, 2, 1, 1, 3, 21, 14},
                                         {33, 20, 1, 1, 0, 0, 4, 9, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_samples_alone(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_kernel_stride_and_padding_agrees_with_the_plain_kernel),
        cmocka_unit_test(winograds_form_agrees_with_the_plain_kernel),
        cmocka_unit_test(in_bf16_patches_agree_with_float32s_of_rounded_numbers),
        cmocka_unit_test(in_bf16_winograds_form_agrees_within_its_rounding),
        cmocka_unit_test(winograds_form_is_for_wide_3x3_alone),
        cmocka_unit_test(a_sample_has_the_same_bits_whatever_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
