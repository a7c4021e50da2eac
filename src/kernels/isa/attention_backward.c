/* Attention backwards, a block of queries at a time: its probabilities p are computed once more, and
 * with g = ∂out,
 * ∂v = pᵀ g, ∂s = p (g vᵀ - Σ p g vᵀ), ∂q = scale ∂s k, ∂k = scale ∂sᵀ q. */
#include "isa.h"
#include "simd.h"

#include <math.h>
#include <omp.h>

enum {
    SCORE_FLOATS = 96 * 1024, /* of a block of queries: what the second cache holds */
    FEWEST_ROWS = 24,
    MOST_ROWS = 96,
    ROW_STEP = 12, /* of blocks: sums over queries follow the cuts, on every set alike */
};

/** e^(scale x - max) / sum over the first @p visible of n scores; zeros after them. */
static void softmax_row(float *x, size_t n, size_t visible, float scale)
{
    const struct lanes factor = lanes_set(scale), lowest = lanes_set(-INFINITY);
    struct lanes max = lowest, sum = lanes_set(0.0f);
    for (size_t i = 0; i < visible; i += LANES) {
        size_t count = smaller(LANES, visible - i);
        struct lanes s = lanes_mul(lanes_load_up_to(x + i, count), factor);
        max = lanes_max(max, count < LANES ? lanes_first(s, lowest, count) : s);
    }
    max = lanes_set(lanes_highest(max));
    for (size_t i = 0; i < visible; i += LANES) {
        size_t count = smaller(LANES, visible - i);
        struct lanes s = lanes_mul(lanes_load_up_to(x + i, count), factor);
        struct lanes e = lanes_exp(lanes_sub(s, max));
        if (count < LANES) e = lanes_first(e, lanes_set(0.0f), count);
        lanes_store_up_to(x + i, e, count);
        sum = lanes_add(sum, e);
    }
    struct lanes share = lanes_set(1.0f / lanes_sum(sum));
    for (size_t i = 0; i < visible; i += LANES) {
        size_t count = smaller(LANES, visible - i);
        lanes_store_up_to(x + i, lanes_mul(lanes_load_up_to(x + i, count), share), count);
    }
    for (size_t i = visible; i < n; i++) x[i] = 0.0f;
}

/** One call backwards. */
struct way_back {
    float *grad_q, *grad_k, *grad_v;
    const float *grad_out, *q, *k, *v;
    const struct pm_attention_shape *shape;
    size_t block, score_stride;
};

/** What a thread works in for one head. */
struct workplace {
    float *k_turned, *v_turned;           /* [D, T] packed */
    float *k;                             /* [T, D] packed */
    float *probs, *grad;                  /* [block, score_stride] */
    float *q_turned, *out_turned;         /* [D, block] of q and grad_out */
    float *grad_k_turned, *grad_v_turned; /* [D, score_stride], summed over the blocks */
};

static struct workplace workplace_make(const struct way_back *w, struct pm_arena *scratch)
{
    size_t d = w->shape->head_size, keys = w->shape->keys;
    return (struct workplace){
        .k_turned = pm_arena_floats(scratch, pm_packed_floats(d, keys)),
        .v_turned = pm_arena_floats(scratch, pm_packed_floats(d, keys)),
        .k = pm_arena_floats(scratch, pm_packed_floats(keys, d)),
        .probs = pm_arena_floats(scratch, w->block * w->score_stride),
        .grad = pm_arena_floats(scratch, w->block * w->score_stride),
        .q_turned = pm_arena_floats(scratch, d * w->block),
        .out_turned = pm_arena_floats(scratch, d * w->block),
        .grad_k_turned = pm_arena_floats(scratch, d * w->score_stride),
        .grad_v_turned = pm_arena_floats(scratch, d * w->score_stride),
    };
}

/** to[columns][to_stride] is from[rows][from_stride] transposed. */
static void transpose(float *to, size_t to_stride, const float *from, size_t from_stride,
                      size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) to[j * to_stride + i] = from[i * from_stride + j];
}

/** Through one row's softmax and scale, in place on the gradient of its probabilities. */
static void softmax_row_backward(float *grad, const float *probs, size_t n, float scale)
{
    struct lanes sum = lanes_set(0.0f);
    for (size_t i = 0; i < n; i += LANES) {
        size_t count = smaller(LANES, n - i);
        sum = lanes_fma(lanes_load_up_to(grad + i, count), lanes_load_up_to(probs + i, count), sum);
    }
    sum = lanes_set(lanes_sum(sum));
    const struct lanes factor = lanes_set(scale);
    for (size_t i = 0; i < n; i += LANES) {
        size_t count = smaller(LANES, n - i);
        struct lanes g = lanes_sub(lanes_load_up_to(grad + i, count), sum);
        g = lanes_mul(lanes_mul(g, factor), lanes_load_up_to(probs + i, count));
        lanes_store_up_to(grad + i, g, count);
    }
}

/** sum[D, T] (+)= a[D, rows] b[rows, T] */
static void add_product(float *sum, const float *a, const float *b, const struct way_back *w,
                        size_t rows, bool first)
{
    size_t stride = w->score_stride;
    struct pm_epilogue onto = {.residual = first ? NULL : sum, .residual_stride = stride};
    pm_gemm_rows(sum, stride, a, w->block, b, stride, w->shape->head_size, w->shape->keys, rows,
                 &onto);
}

/** Queries [row, row + rows) of one head. @param first  token, of the rows */
static void block_backward(const struct way_back *w, const struct workplace *p, size_t first,
                           size_t head, size_t row, size_t rows)
{
    const struct pm_attention_shape *s = w->shape;
    size_t d = s->head_size, keys = s->keys, stride = w->score_stride;
    const float *q = w->q + first * s->q_stride + head * d;
    const float *grad_out = w->grad_out + first * s->out_stride + head * d;
    pm_gemm_serial(p->probs, stride, q, s->q_stride, p->k_turned, rows, keys, d, NULL);
    pm_gemm_serial(p->grad, stride, grad_out, s->out_stride, p->v_turned, rows, keys, d, NULL);
    for (size_t i = 0; i < rows; i++) {
        float *probs = p->probs + i * stride;
        softmax_row(probs, keys, s->causal ? smaller(row + i + 1, keys) : keys, s->scale);
        softmax_row_backward(p->grad + i * stride, probs, keys, s->scale);
    }
    if (w->grad_q)
        pm_gemm_serial(w->grad_q + first * s->q_stride + head * d, s->q_stride, p->grad, stride,
                       p->k, rows, d, keys, NULL);
    transpose(p->q_turned, w->block, q, s->q_stride, rows, d);
    transpose(p->out_turned, w->block, grad_out, s->out_stride, rows, d);
    add_product(p->grad_k_turned, p->q_turned, p->grad, w, rows, row == 0);
    add_product(p->grad_v_turned, p->out_turned, p->probs, w, rows, row == 0);
}

static void head_backward(const struct way_back *w, const struct workplace *p, size_t sample,
                          size_t head)
{
    const struct pm_attention_shape *s = w->shape;
    size_t d = s->head_size, keys = s->keys;
    size_t k_at = sample * keys * s->k_stride + head * d;
    size_t v_at = sample * keys * s->v_stride + head * d;
    pm_pack(p->k_turned, w->k + k_at, d, keys, 1, s->k_stride);
    pm_pack(p->v_turned, w->v + v_at, d, keys, 1, s->v_stride);
    if (w->grad_q) pm_pack(p->k, w->k + k_at, keys, d, s->k_stride, 1);
    for (size_t row = 0; row < s->queries; row += w->block)
        block_backward(w, p, sample * s->queries + row, head, row,
                       smaller(w->block, s->queries - row));
    transpose(w->grad_k + k_at, s->k_stride, p->grad_k_turned, w->score_stride, d, keys);
    transpose(w->grad_v + v_at, s->v_stride, p->grad_v_turned, w->score_stride, d, keys);
}

void PM_ISA_NAME(attention_backward)(float *grad_q, float *grad_k, float *grad_v,
                                     const float *grad_out, const float *q, const float *k,
                                     const float *v, const struct pm_attention_shape *shape,
                                     struct pm_arena *scratch)
{
    size_t mark = scratch->used, heads = shape->batch * shape->heads;
    struct way_back w = {grad_q, grad_k, grad_v, grad_out, q, k, v, shape, 0, 0};
    w.score_stride = (shape->keys + LANES - 1) / LANES * LANES + LANES;
    w.block = SCORE_FLOATS / w.score_stride / ROW_STEP * ROW_STEP;
    w.block = w.block < FEWEST_ROWS ? FEWEST_ROWS : smaller(w.block, MOST_ROWS);
    size_t threads = pm_threads_for(10.0 * (double)(heads * shape->queries) *
                                    (double)(shape->keys * shape->head_size));
    threads = smaller(threads, heads);
    struct workplace *own = pm_arena_bytes(scratch, threads * sizeof *own);
    for (size_t i = 0; i < threads; i++) own[i] = workplace_make(&w, scratch);
#pragma omp parallel for num_threads((int)threads) schedule(dynamic)
    for (size_t i = 0; i < heads; i++)
        head_backward(&w, &own[omp_get_thread_num()], i / shape->heads, i % shape->heads);
    scratch->used = mark;
}
