#include "kernel_case.h"
#include "plain_kernels.h"
#include "test.h"

#include "pm/kernels/bf16.h"

#include <math.h>
#include <string.h>

static const double BOUND = 2e-6;
/* Rounded: probabilities on their way to the values. */
static const double BF16_BOUND = 8e-3;

/** Buffers of one case; q, k and v with gaps after each token when gap > 0. */
struct task {
    struct pm_attention_shape shape;
    size_t width; /* H D */
    float *q, *k, *v, *probs;
    size_t q_floats, kv_floats, probs_floats, out_floats;
};

static void set_gaps(float *x, size_t tokens, size_t width, size_t gap)
{
    for (size_t i = 0; i < tokens; i++) fill_nan(x + i * (width + gap) + width, gap);
}

static struct task make_task(size_t batch, size_t heads, size_t head_size, size_t queries,
                             size_t keys, bool causal, size_t gap)
{
    size_t width = heads * head_size;
    struct task t = {.shape = {.batch = batch,
                               .heads = heads,
                               .head_size = head_size,
                               .queries = queries,
                               .keys = keys,
                               .q_stride = width + gap,
                               .k_stride = width + gap,
                               .v_stride = width + gap,
                               .out_stride = width + 2 * gap,
                               .scale = 3.0f / sqrtf((float)head_size),
                               .causal = causal},
                     .width = width,
                     .q_floats = batch * queries * (width + gap),
                     .kv_floats = batch * keys * (width + gap),
                     .probs_floats = batch * heads * queries * keys,
                     .out_floats = batch * queries * (width + 2 * gap)};
    t.q = guarded_random(t.q_floats, 1);
    t.k = guarded_random(t.kv_floats, 2);
    t.v = guarded_random(t.kv_floats, 3);
    set_gaps(t.q, batch * queries, width, gap);
    set_gaps(t.k, batch * keys, width, gap);
    set_gaps(t.v, batch * keys, width, gap);
    t.probs = guarded_floats(t.probs_floats);
    plain_attention_probs(t.probs, t.q, t.k, &t.shape);
    return t;
}

/** The same in bfloat16, of inputs that it has. */
static struct task make_bf16_task(size_t batch, size_t heads, size_t head_size, size_t queries,
                                  size_t keys)
{
    struct task t = make_task(batch, heads, head_size, queries, keys, false, 0);
    for (size_t i = 0; i < t.q_floats; i++) t.q[i] = pm_from_bf16(pm_to_bf16(t.q[i]));
    for (size_t i = 0; i < t.kv_floats; i++) t.k[i] = pm_from_bf16(pm_to_bf16(t.k[i]));
    for (size_t i = 0; i < t.kv_floats; i++) t.v[i] = pm_from_bf16(pm_to_bf16(t.v[i]));
    t.shape.precision = PM_BF16;
    plain_attention_probs(t.probs, t.q, t.k, &t.shape);
    return t;
}

static void free_task(struct task *t)
{
    guarded_free(t->q, t->q_floats);
    guarded_free(t->k, t->kv_floats);
    guarded_free(t->v, t->kv_floats);
    guarded_free(t->probs, t->probs_floats);
}

/** The tokens without the gaps, which must be NaN still. */
static void close_gaps(float *out, const float *strided, const struct task *t)
{
    for (size_t i = 0; i < t->shape.batch * t->shape.queries; i++) {
        const float *token = strided + i * t->shape.out_stride;
        memcpy(out + i * t->width, token, t->width * sizeof *out);
        for (size_t j = t->width; j < t->shape.out_stride; j++) assert_true(isnan(token[j]));
    }
}

static void run_probs(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                      const void *inputs)
{
    const struct task *t = inputs;
    kernels->attention_probs(out, t->q, t->k, &t->shape, scratch);
}

static void run_apply(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                      const void *inputs)
{
    const struct task *t = inputs;
    float *strided = guarded_floats(t->out_floats);
    kernels->attention_apply(strided, t->probs, t->v, &t->shape, scratch);
    close_gaps(out, strided, t);
    guarded_free(strided, t->out_floats);
}

static void run_fused(float *out, const struct pm_kernels *kernels, struct pm_arena *scratch,
                      const void *inputs)
{
    const struct task *t = inputs;
    float *strided = guarded_floats(t->out_floats), *again = guarded_floats(t->out_floats);
    kernels->attention(strided, t->q, t->k, t->v, &t->shape, scratch);
    close_gaps(out, strided, t);

    float *probs = guarded_floats(t->probs_floats); /* by halves: the same bits */
    kernels->attention_probs(probs, t->q, t->k, &t->shape, scratch);
    kernels->attention_apply(again, probs, t->v, &t->shape, scratch);
    bool is_one_block = t->shape.keys <= PM_ATTENTION_KEY_BLOCK;
    for (size_t i = 0; is_one_block && i < t->shape.batch * t->shape.queries; i++)
        assert_memory_equal(again + i * t->shape.out_stride, strided + i * t->shape.out_stride,
                            t->width * sizeof *out);
    guarded_free(strided, t->out_floats);
    guarded_free(again, t->out_floats);
    guarded_free(probs, t->probs_floats);
}

static void check_task(struct task t)
{
    size_t floats = t.shape.batch * t.shape.queries * t.width;
    float *expected = guarded_floats(floats);
    struct pm_attention_shape dense = t.shape;
    dense.out_stride = t.width;
    plain_attention_apply(expected, t.probs, t.v, &dense);
    enum pm_precision precision = t.shape.precision;
    double bound = precision == PM_BF16 ? BF16_BOUND : BOUND;
    check_precision_on_every_isa(
        &(struct kernel_case){run_probs, &t, t.probs_floats, t.probs, BOUND}, precision);
    check_precision_on_every_isa(&(struct kernel_case){run_apply, &t, floats, expected, bound},
                                 precision);
    check_precision_on_every_isa(&(struct kernel_case){run_fused, &t, floats, expected, bound},
                                 precision);
    guarded_free(expected, floats);
    free_task(&t);
}

static void every_head_size_agrees_with_the_plain_kernel(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 8, 32, 40, 48, 64};
    for (size_t i = 0; i < 6; i++) {
        check_task(make_task(2, 3, sizes[i], 13, 77, false, 0));
        check_task(make_task(1, 2, sizes[i], 37, 37, false, 5));
    }
}

static void any_number_of_queries_and_keys_agrees_with_the_plain_kernel(void **state)
{
    (void)state;
    check_task(make_task(1, 1, 4, 1, 1, false, 0));
    check_task(make_task(3, 1, 5, 7, 3, false, 2));
    check_task(make_task(2, 2, 16, 200, 16, false, 0));
    check_task(make_task(1, 1, 40, 150, 1100, false, 0)); /* one head: its queries are shared out */
    check_task(make_task(1, 2, 20, 50, PM_ATTENTION_KEY_BLOCK, false, 0));
    check_task(make_task(1, 2, 41, 33, PM_ATTENTION_KEY_BLOCK + 1, false, 0));
    check_task(make_task(2, 1, 8, 18, 3 * PM_ATTENTION_KEY_BLOCK + 5, false, 0));
    check_task(make_task(1, 1, 8, 1100, 1100, true, 0));
    check_task(make_task(4, 2, 32, 64, 256, false, 1));
}

static void in_bf16_it_agrees_within_its_rounding(void **state)
{
    (void)state;
    check_task(make_bf16_task(2, 3, 40, 50, 77));
    check_task(make_bf16_task(1, 2, 33, 37, 37));
    check_task(make_bf16_task(1, 1, 1, 3, 1));
    check_task(make_bf16_task(2, 2, 160, 16, 65));
    check_task(make_bf16_task(1, 1, 8, 33, PM_ATTENTION_KEY_BLOCK + 3));
}

static void causal_queries_see_no_later_key(void **state)
{
    (void)state;
    check_task(make_task(2, 2, 8, 77, 77, true, 3));
    check_task(make_task(1, 3, 8, 40, 17, true, 0));
    struct task t = make_task(1, 1, 8, 33, 33, true, 0);
    struct pm_arena scratch;
    pm_arena_init(&scratch, 1 << 24);
    float *probs = guarded_floats(t.probs_floats);
    for (size_t i = 0; isa_number(i); i++) {
        isa_number(i)->attention_probs(probs, t.q, t.k, &t.shape, &scratch);
        for (size_t row = 0; row < 33; row++)
            for (size_t key = row + 1; key < 33; key++) assert_true(probs[row * 33 + key] == 0.0f);
    }
    guarded_free(probs, t.probs_floats);
    free_task(&t);
    pm_arena_free(&scratch);
}

static void every_row_sums_to_one_even_for_huge_logits(void **state)
{
    (void)state;
    struct task t = make_task(1, 2, 16, 9, 77, false, 0);
    struct pm_arena scratch;
    pm_arena_init(&scratch, 1 << 24);
    float *probs = guarded_floats(t.probs_floats);
    static const float scales[] = {1e-6f, 1.0f, 1e4f, 1e30f};
    for (size_t i = 0; isa_number(i); i++) {
        for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
            t.shape.scale = scales[s];
            isa_number(i)->attention_probs(probs, t.q, t.k, &t.shape, &scratch);
            for (size_t row = 0; row < 2 * 9; row++) {
                double sum = 0.0;
                for (size_t key = 0; key < 77; key++) sum += (double)probs[row * 77 + key];
                assert_true(fabs(sum - 1.0) < 1e-5);
            }
        }
    }
    guarded_free(probs, t.probs_floats);
    free_task(&t);
    pm_arena_free(&scratch);
}

static void a_sample_has_the_same_bits_whatever_the_batch(void **state)
{
    (void)state;
    struct task t = make_task(3, 2, 40, 130, 77, false, 0);
    struct pm_arena scratch;
    pm_arena_init(&scratch, 1 << 24);
    size_t floats = 130 * t.width;
    float *all = guarded_floats(t.out_floats), *alone = guarded_floats(floats);
    for (size_t i = 0; isa_number(i); i++) {
        struct pm_attention_shape one = t.shape;
        one.batch = 1;
        isa_number(i)->attention(all, t.q, t.k, t.v, &t.shape, &scratch);
        isa_number(i)->attention(alone, t.q + 2 * floats, t.k + 2 * 77 * t.width,
                                 t.v + 2 * 77 * t.width, &one, &scratch);
        assert_memory_equal(alone, all + 2 * floats, floats * sizeof *all);
    }
    guarded_free(all, t.out_floats);
    guarded_free(alone, floats);
    free_task(&t);
    pm_arena_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_head_size_agrees_with_the_plain_kernel),
        cmocka_unit_test(any_number_of_queries_and_keys_agrees_with_the_plain_kernel),
        cmocka_unit_test(in_bf16_it_agrees_within_its_rounding),
        cmocka_unit_test(causal_queries_see_no_later_key),
        cmocka_unit_test(every_row_sums_to_one_even_for_huge_logits),
        cmocka_unit_test(a_sample_has_the_same_bits_whatever_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
