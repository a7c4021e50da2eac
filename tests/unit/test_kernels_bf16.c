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
/* What Winograd's form rounds are sums of four numbers, and of nine; 3.8e-3 at 320 channels. */
static const double WINOGRAD_BOUND = 6e-3;
/* Of the whole attention: queries, keys, values and probabilities are rounded. */
static const double ATTENTION_BOUND = 8e-3;

static void round_all(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = pm_from_bf16(pm_to_bf16(x[i]));
}

/** Random, and representable. */
static float *rounded_random(size_t n, unsigned seed)
{
    float *x = guarded_random(n, seed);
    round_all(x, n);
    return x;
}

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
    float *a = rounded_random(m * k, 1), *b = rounded_random(k * n, 2);
    float *bias = guarded_random(n, 3), *residual = guarded_random(m * n, 4);
    float *expected = guarded_floats(m * n);
    uint16_t *packed = test_malloc(pm_packed_bf16_numbers(k, n) * sizeof *packed);
    struct pm_epilogue epilogue = {
        .bias = bias, .activation = activation, .residual = residual, .residual_stride = n};
    pm_pack_bf16(packed, b, k, n, n, 1);
    plain_gemm(expected, n, a, k, b, m, n, k, &epilogue);
    struct product p = {a, packed, m, n, k, &epilogue};
    check_bf16_on_every_isa(&(struct kernel_case){run_product, &p, m * n, expected, SUM_BOUND});
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

struct convolution {
    const struct pm_conv *conv;
    const float *x, *sample_bias, *residual;
    size_t batch, height, width;
};

static void run_convolution(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                            const void *inputs)
{
    const struct convolution *c = inputs;
    kernels->conv(out, c->x, c->conv, c->sample_bias, c->residual, c->batch, c->height, c->width,
                  scratch);
}

struct sizes {
    size_t in, out, kernel, stride, pad_before, pad_after, batch, height, width;
};

static void check_convolution(const struct sizes *s, double bound)
{
    struct pm_arena memory;
    pm_arena_init(&memory, (size_t)64 << 20);
    size_t pads = s->pad_before + s->pad_after, in_floats = s->batch * s->height * s->width * s->in;
    size_t out_floats = s->batch * ((s->height + pads - s->kernel) / s->stride + 1) *
                        ((s->width + pads - s->kernel) / s->stride + 1) * s->out;
    size_t weights = s->out * s->in * s->kernel * s->kernel;
    float *x = rounded_random(in_floats, 1), *weight = rounded_random(weights, 2);
    float *bias = guarded_random(s->out, 3), *sample_bias = guarded_random(s->batch * s->out, 4);
    float *residual = guarded_random(out_floats, 5), *expected = guarded_floats(out_floats);
    struct pm_conv conv = pm_conv_pack(weight, bias, s->out, s->in, s->kernel, s->stride,
                                       s->pad_before, s->pad_after, PM_BF16, &memory);
    struct convolution c = {.conv = &conv,
                            .x = x,
                            .sample_bias = sample_bias,
                            .residual = residual,
                            .batch = s->batch,
                            .height = s->height,
                            .width = s->width};
    plain_conv(expected, x, weight, &conv, sample_bias, residual, s->batch, s->height, s->width);
    check_bf16_on_every_isa(
        &(struct kernel_case){run_convolution, &c, out_floats, expected, bound});
    guarded_free(x, in_floats);
    guarded_free(weight, weights);
    guarded_free(bias, s->out);
    guarded_free(sample_bias, s->batch * s->out);
    guarded_free(residual, out_floats);
    guarded_free(expected, out_floats);
    pm_arena_free(&memory);
}

static void convolutions_by_patches_agree_with_float32s_of_rounded_numbers(void **state)
{
    (void)state;
    static const struct sizes cases[] = {
        /* in, out, kernel, stride, pads, batch, height, width */
        {4, 20, 3, 1, 1, 1, 1, 9, 7},  {5, 3, 3, 1, 1, 1, 2, 1, 1},  {17, 33, 3, 2, 1, 1, 3, 8, 11},
        {32, 16, 3, 2, 0, 1, 2, 6, 9}, {3, 18, 1, 1, 0, 0, 2, 5, 3}, {40, 70, 1, 1, 0, 0, 1, 9, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_convolution(&cases[i], SUM_BOUND);
}

static void convolutions_by_winograds_form_agree_within_its_rounding(void **state)
{
    (void)state;
    static const struct sizes cases[] = {
        {16, 16, 3, 1, 1, 1, 1, 4, 4},   {17, 35, 3, 1, 1, 1, 3, 7, 5},
        {16, 48, 3, 1, 1, 1, 1, 1, 1},   {40, 21, 3, 1, 1, 1, 2, 13, 11},
        {64, 64, 3, 1, 1, 1, 1, 32, 30}, {33, 290, 3, 1, 1, 1, 1, 22, 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_convolution(&cases[i], WINOGRAD_BOUND);
}

struct attention {
    struct pm_attention_shape shape;
    const float *q, *k, *v;
};

static void run_attention(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                          const void *inputs)
{
    const struct attention *a = inputs;
    const struct pm_attention_shape *s = &a->shape;
    kernels->attention(out, a->q, a->k, a->v, s, scratch);
    if (s->keys > PM_ATTENTION_KEY_BLOCK) return;
    size_t maps = s->batch * s->heads * s->queries * s->keys, floats = s->queries * s->out_stride;
    float *probs = guarded_floats(maps), *again = guarded_floats(s->batch * floats);
    kernels->attention_probs(probs, a->q, a->k, s, scratch);
    kernels->attention_apply(again, probs, a->v, s, scratch);
    assert_memory_equal(again, out, s->batch * floats * sizeof *out);
    guarded_free(probs, maps);
    guarded_free(again, s->batch * floats);
}

static void check_attention(size_t batch, size_t heads, size_t head_size, size_t queries,
                            size_t keys)
{
    size_t width = heads * head_size, q_floats = batch * queries * width;
    size_t kv_floats = batch * keys * width, maps = batch * heads * queries * keys;
    float *q = rounded_random(q_floats, 1), *k = rounded_random(kv_floats, 2);
    float *v = rounded_random(kv_floats, 3), *expected = guarded_floats(q_floats);
    float *probs = guarded_floats(maps);
    struct attention a = {.shape = {.batch = batch,
                                    .heads = heads,
                                    .head_size = head_size,
                                    .queries = queries,
                                    .keys = keys,
                                    .q_stride = width,
                                    .k_stride = width,
                                    .v_stride = width,
                                    .out_stride = width,
                                    .scale = 1.0f / sqrtf((float)head_size),
                                    .precision = PM_BF16},
                          .q = q,
                          .k = k,
                          .v = v};
    plain_attention_probs(probs, q, k, &a.shape);
    plain_attention_apply(expected, probs, v, &a.shape);
    check_bf16_on_every_isa(
        &(struct kernel_case){run_attention, &a, q_floats, expected, ATTENTION_BOUND});
    guarded_free(q, q_floats);
    guarded_free(k, kv_floats);
    guarded_free(v, kv_floats);
    guarded_free(expected, q_floats);
    guarded_free(probs, maps);
}

static void attention_agrees_within_its_rounding_and_by_halves_bit_for_bit(void **state)
{
    (void)state;
    check_attention(2, 3, 40, 50, 77);
    check_attention(1, 2, 33, 37, 37);
    check_attention(1, 1, 1, 3, 1);
    check_attention(2, 2, 160, 16, 65);
    check_attention(1, 1, 8, 33, PM_ATTENTION_KEY_BLOCK + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_rounded_to_the_nearest_and_halves_to_even),
        cmocka_unit_test(products_agree_with_float32s_of_rounded_numbers),
        cmocka_unit_test(convolutions_by_patches_agree_with_float32s_of_rounded_numbers),
        cmocka_unit_test(convolutions_by_winograds_form_agree_within_its_rounding),
        cmocka_unit_test(attention_agrees_within_its_rounding_and_by_halves_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
