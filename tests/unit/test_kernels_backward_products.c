#include "gradient_case.h"
#include "plain_kernels.h"
#include "test.h"

#include "pm/kernels/pack.h"

#include <math.h>
#include <string.h>

static const double BOUND = 3e-6, WINOGRAD_BOUND = 1.5e-5;

/** c[m, n] of a[m, k]. */
struct product {
    size_t m, n, k;
    const float *b, *packed;
};

static void plain_product(float *out, const float *x, const void *inputs)
{
    const struct product *p = inputs;
    plain_gemm(out, p->n, x, p->k, p->b, p->m, p->n, p->k, NULL);
}

static void plain_product_backward(float *grad_x, const float *grad_out, const float *x,
                                   const void *inputs)
{
    const struct product *p = inputs;
    (void)x;
    plain_gemm_backward(grad_x, p->k, grad_out, p->n, p->b, p->m, p->n, p->k);
}

/* Without an epilogue, and as the sum of a residual in place and a product with its strides. */
static void product_backward(float *grad_x, const float *grad_out, const float *x,
                             const struct pm_kernels *kernels, struct pm_arena *scratch,
                             const void *inputs)
{
    const struct product *p = inputs;
    size_t stride = p->k + 3;
    (void)x;
    (void)scratch;
    kernels->gemm_backward(grad_x, p->k, grad_out, p->n, p->packed, p->m, p->n, p->k, NULL);
    float *sum = guarded_floats(p->m * stride);
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->k; j++) sum[i * stride + j] = 1.0f;
    struct pm_epilogue onto = {.residual = sum, .residual_stride = stride};
    kernels->gemm_backward(sum, stride, grad_out, p->n, p->packed, p->m, p->n, p->k, &onto);
    for (size_t i = 0; i < p->m; i++) {
        for (size_t j = 0; j < stride; j++) {
            if (j < p->k)
                assert_true(sum[i * stride + j] == grad_x[i * p->k + j] + 1.0f);
            else
                assert_true(isnan(sum[i * stride + j]));
        }
    }
    guarded_free(sum, p->m * stride);
}

static void a_products_gradient_is_the_product_with_the_transpose(void **state)
{
    (void)state;
    static const size_t cases[][3] = {{1, 1, 1},    {5, 17, 16},   {13, 33, 47},  {97, 16, 65},
                                      {12, 400, 7}, {3, 785, 100}, {300, 96, 130}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t m = cases[i][0], n = cases[i][1], k = cases[i][2];
        float *b = guarded_random(k * n, 2), *packed = guarded_floats(pm_packed_floats(k, n));
        pm_pack(packed, b, k, n, n, 1);
        struct product p = {.m = m, .n = n, .k = k, .b = b, .packed = packed};
        check_gradient(&(struct gradient_case){.plain = plain_product,
                                               .plain_backward = plain_product_backward,
                                               .backward = product_backward,
                                               .inputs = &p,
                                               .x_floats = m * k,
                                               .out_floats = m * n,
                                               .bound = BOUND});
        guarded_free(b, k * n);
        guarded_free(packed, pm_packed_floats(k, n));
    }
}

struct convolution {
    struct pm_conv conv;
    const float *weight;
    size_t batch, height, width;
};

static void plain_convolution(float *out, const float *x, const void *inputs)
{
    const struct convolution *c = inputs;
    plain_conv(out, x, c->weight, &c->conv, NULL, NULL, c->batch, c->height, c->width);
}

static void plain_convolution_backward(float *grad_x, const float *grad_out, const float *x,
                                       const void *inputs)
{
    const struct convolution *c = inputs;
    (void)x;
    plain_conv_backward(grad_x, grad_out, c->weight, &c->conv, c->batch, c->height, c->width);
}

/* All samples, and each alone: the same bits. */
static void convolution_backward(float *grad_x, const float *grad_out, const float *x,
                                 const struct pm_kernels *kernels, struct pm_arena *scratch,
                                 const void *inputs)
{
    const struct convolution *c = inputs;
    const struct pm_conv *conv = &c->conv;
    (void)x;
    kernels->conv_backward(grad_x, grad_out, conv, c->batch, c->height, c->width, scratch);
    size_t pads = conv->pad_before + conv->pad_after;
    size_t out = ((c->height + pads - conv->kernel) / conv->stride + 1) *
                 ((c->width + pads - conv->kernel) / conv->stride + 1) * conv->out;
    size_t in = c->height * c->width * conv->in;
    float *alone = guarded_floats(in);
    for (size_t b = 0; b < c->batch; b++) {
        kernels->conv_backward(alone, grad_out + b * out, conv, 1, c->height, c->width, scratch);
        assert_memory_equal(alone, grad_x + b * in, in * sizeof *alone);
    }
    guarded_free(alone, in);
}

/** in, out, kernel, stride, pads, batch, height, width */
static void check_convolution(const size_t c[9], bool winograd)
{
    struct pm_arena memory;
    pm_arena_init(&memory, (size_t)64 << 20);
    size_t weights = c[1] * c[0] * c[2] * c[2], pads = c[4] + c[5];
    float *weight = guarded_random(weights, 2);
    struct convolution v = {
        .conv = pm_conv_pack(weight, NULL, c[1], c[0], c[2], c[3], c[4], c[5], PM_FP32, &memory),
        .weight = weight,
        .batch = c[6],
        .height = c[7],
        .width = c[8]};
    v.conv.by_winograd = v.conv.by_winograd && winograd;
    size_t out = ((c[7] + pads - c[2]) / c[3] + 1) * ((c[8] + pads - c[2]) / c[3] + 1) * c[1];
    check_gradient(&(struct gradient_case){.plain = plain_convolution,
                                           .plain_backward = plain_convolution_backward,
                                           .backward = convolution_backward,
                                           .inputs = &v,
                                           .x_floats = c[6] * c[7] * c[8] * c[0],
                                           .out_floats = c[6] * out,
                                           .bound = winograd ? WINOGRAD_BOUND : BOUND});
    guarded_free(weight, weights);
    pm_arena_free(&memory);
}

static void any_kernel_stride_and_padding_has_its_gradient(void **state)
{
    (void)state;
    static const size_t cases[][9] = {
        {4, 20, 3, 1, 1, 1, 1, 9, 7},   {5, 3, 3, 1, 1, 1, 2, 1, 1},
        {17, 33, 3, 2, 1, 1, 3, 8, 11}, {8, 16, 3, 2, 0, 1, 2, 6, 9},
        {3, 18, 1, 1, 0, 0, 2, 5, 3},   {6, 4, 1, 2, 0, 0, 1, 5, 4},
        {2, 7, 5, 1, 2, 2, 1, 6, 6},    {3, 5, 4, 3, 1, 2, 2, 9, 10},
        {7, 9, 3, 1, 0, 0, 1, 5, 5},    {33, 40, 3, 2, 1, 1, 2, 16, 17},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_convolution(cases[i], false);
}

static void winograds_form_gives_the_same_gradient(void **state)
{
    (void)state;
    static const size_t cases[][9] = {
        {16, 16, 3, 1, 1, 1, 1, 4, 4},   {17, 35, 3, 1, 1, 1, 3, 8, 5},
        {40, 21, 3, 1, 1, 1, 2, 13, 11}, {24, 3, 3, 1, 1, 1, 2, 6, 17},
        {32, 16, 3, 1, 1, 1, 1, 45, 46}, {70, 16, 3, 1, 1, 1, 2, 16, 12},
        {16, 5, 3, 1, 1, 1, 1, 3, 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_convolution(cases[i], true);
}

/** Of [queries [B, Q, q_stride]][keys and values [B, T, 2 H D]], in one buffer. */
struct attending {
    struct pm_attention_shape shape;
    size_t k_at, v_at; /* in the buffer */
};

static void plain_attending(float *out, const float *x, const void *inputs)
{
    const struct attending *a = inputs;
    const struct pm_attention_shape *s = &a->shape;
    size_t probs_floats = s->batch * s->heads * s->queries * s->keys;
    float *probs = guarded_floats(probs_floats);
    plain_attention_probs(probs, x, x + a->k_at, s);
    plain_attention_apply(out, probs, x + a->v_at, s);
    guarded_free(probs, probs_floats);
}

static void plain_attending_backward(float *grad_x, const float *grad_out, const float *x,
                                     const void *inputs)
{
    const struct attending *a = inputs;
    plain_attention_backward(grad_x, grad_x + a->k_at, grad_x + a->v_at, grad_out, x, x + a->k_at,
                             x + a->v_at, &a->shape);
}

static void attending_backward(float *grad_x, const float *grad_out, const float *x,
                               const struct pm_kernels *kernels, struct pm_arena *scratch,
                               const void *inputs)
{
    const struct attending *a = inputs;
    const struct pm_attention_shape *s = &a->shape;
    const float *k = x + a->k_at, *v = x + a->v_at;
    kernels->attention_backward(grad_x, grad_x + a->k_at, grad_x + a->v_at, grad_out, x, k, v, s,
                                scratch);
    /* the last sample alone, without the queries' gradient: the same bits */
    struct pm_attention_shape one = *s;
    one.batch = 1;
    size_t last = s->batch - 1, k_last = last * s->keys * s->k_stride;
    size_t kv = s->keys * s->k_stride;
    float *grad_k = guarded_floats(kv), *grad_v = guarded_floats(kv);
    kernels->attention_backward(NULL, grad_k, grad_v, grad_out + last * s->queries * s->out_stride,
                                x + last * s->queries * s->q_stride, k + k_last, v + k_last, &one,
                                scratch);
    for (size_t t = 0; t < s->keys; t++) {
        size_t at = t * s->k_stride, bytes = s->heads * s->head_size * sizeof *grad_k;
        assert_memory_equal(grad_k + at, grad_x + a->k_at + k_last + at, bytes);
        assert_memory_equal(grad_v + at, grad_x + a->v_at + k_last + at, bytes);
    }
    guarded_free(grad_k, kv);
    guarded_free(grad_v, kv);
}

/** @param fused  queries, keys and values of a token follow each other: self-attention */
static void check_attention(size_t batch, size_t heads, size_t head_size, size_t queries,
                            size_t keys, bool causal, bool fused)
{
    size_t width = heads * head_size;
    struct attending a = {.shape = {.batch = batch,
                                    .heads = heads,
                                    .head_size = head_size,
                                    .queries = queries,
                                    .keys = keys,
                                    .q_stride = fused ? 3 * width : width,
                                    .k_stride = fused ? 3 * width : 2 * width,
                                    .v_stride = fused ? 3 * width : 2 * width,
                                    .out_stride = width,
                                    .scale = 2.0f / sqrtf((float)head_size),
                                    .causal = causal},
                          .k_at = fused ? width : batch * queries * width};
    a.v_at = a.k_at + width;
    check_gradient(&(struct gradient_case){.plain = plain_attending,
                                           .plain_backward = plain_attending_backward,
                                           .backward = attending_backward,
                                           .inputs = &a,
                                           .x_floats = fused ? batch * queries * 3 * width
                                                             : batch * (queries + 2 * keys) * width,
                                           .out_floats = batch * queries * width,
                                           .bound = BOUND});
}

static void attentions_gradient_is_that_of_its_formula(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 8, 32, 40, 64};
    for (size_t i = 0; i < 5; i++) {
        check_attention(2, 3, sizes[i], 13, 77, false, false);
        check_attention(1, 2, sizes[i], 37, 37, false, true);
    }
    check_attention(1, 1, 5, 7, 3, false, false);
    check_attention(2, 2, 16, 200, 16, false, false);
    check_attention(1, 2, 8, 130, 1100, false, false); /* several blocks of many keys */
    check_attention(2, 2, 8, 77, 77, true, true);
    check_attention(1, 3, 8, 40, 17, true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_products_gradient_is_the_product_with_the_transpose),
        cmocka_unit_test(any_kernel_stride_and_padding_has_its_gradient),
        cmocka_unit_test(winograds_form_gives_the_same_gradient),
        cmocka_unit_test(attentions_gradient_is_that_of_its_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
