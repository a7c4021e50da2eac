#include "transformer_impl.h"

#include "pm/model/linear.h"

/** One transformer's size, and what its blocks share. */
struct way_back {
    const struct pm_transformer *t;
    size_t batch, pixels, tokens;
    float *grad_context;
    struct pm_arena *scratch;
};

/* In place on the gradient, some rows at a time as it went forward; the wide middle is computed
 * once more, for it would be the largest thing in a record. */
static void feed_backward(float *grad, const struct pm_transformer_block *b, const float *x,
                          const struct way_back *w)
{
    const struct pm_kernels *k = pm_kernels();
    size_t mark = w->scratch->used, c = w->t->channels, rows = w->batch * w->pixels;
    float *normed = pm_arena_floats(w->scratch, PM_FEED_ROWS * c);
    float *wide = pm_arena_floats(w->scratch, PM_FEED_ROWS * 8 * c);
    float *gated = pm_arena_floats(w->scratch, PM_FEED_ROWS * 4 * c);
    for (size_t first = 0; first < rows; first += PM_FEED_ROWS) {
        size_t count = rows - first < PM_FEED_ROWS ? rows - first : PM_FEED_ROWS;
        const float *part = x + first * c;
        float *grad_part = grad + first * c;
        k->layer_norm(normed, part, b->norm3.gamma, b->norm3.beta, count, c, PM_LAYER_NORM_EPS);
        pm_linear_forward(wide, normed, &b->feed_in, count, PM_IDENTITY, NULL, w->scratch);
        pm_linear_backward(gated, grad_part, &b->feed_out, count, NULL);
        k->geglu_backward(wide, gated, wide, count, 4 * c);
        pm_linear_backward(normed, wide, &b->feed_in, count, NULL);
        k->layer_norm_backward(grad_part, normed, part, b->norm3.gamma, grad_part, count, c,
                               PM_LAYER_NORM_EPS);
    }
    w->scratch->used = mark;
}

/* In place on the gradient; without @p goes_on only the text's is computed, and it is left. */
static void cross_backward(float *grad, const struct pm_transformer_block *b,
                           const struct pm_transformer_block_record *r, const float *kv,
                           bool goes_on, const struct way_back *w)
{
    const struct pm_kernels *k = pm_kernels();
    size_t mark = w->scratch->used, c = w->t->channels, rows = w->batch * w->pixels;
    size_t text_rows = w->batch * w->tokens;
    float *attended = pm_arena_floats(w->scratch, rows * c);
    float *grad_q = goes_on ? pm_arena_floats(w->scratch, rows * c) : NULL;
    float *grad_kv = pm_arena_floats(w->scratch, text_rows * 2 * c);
    struct pm_attention_shape shape =
        pm_transformer_attention(w->t, w->batch, w->pixels, w->tokens);
    pm_linear_backward(attended, grad, &b->cross_out, rows, NULL);
    k->attention_backward(grad_q, grad_kv, grad_kv + c, attended, r->cross_q, kv, kv + c, &shape,
                          w->scratch);
    pm_linear_backward(w->grad_context, grad_kv, &b->cross_kv, text_rows, w->grad_context);
    if (goes_on) {
        pm_linear_backward(attended, grad_q, &b->cross_q, rows, NULL);
        k->layer_norm_backward(grad, attended, r->before_cross, b->norm2.gamma, grad, rows, c,
                               PM_LAYER_NORM_EPS);
    }
    w->scratch->used = mark;
}

/* In place on the gradient. */
static void self_backward(float *grad, const struct pm_transformer_block *b,
                          const struct pm_transformer_block_record *r, const struct way_back *w)
{
    const struct pm_kernels *k = pm_kernels();
    size_t mark = w->scratch->used, c = w->t->channels, rows = w->batch * w->pixels;
    float *attended = pm_arena_floats(w->scratch, rows * c);
    float *grad_qkv = pm_arena_floats(w->scratch, rows * 3 * c);
    struct pm_attention_shape shape = pm_transformer_attention(w->t, w->batch, w->pixels, 0);
    pm_linear_backward(attended, grad, &b->self_out, rows, NULL);
    k->attention_backward(grad_qkv, grad_qkv + c, grad_qkv + 2 * c, attended, r->qkv, r->qkv + c,
                          r->qkv + 2 * c, &shape, w->scratch);
    pm_linear_backward(attended, grad_qkv, &b->self_qkv, rows, NULL);
    k->layer_norm_backward(grad, attended, r->before_self, b->norm1.gamma, grad, rows, c,
                           PM_LAYER_NORM_EPS);
    w->scratch->used = mark;
}

void pm_transformer_backward(float *grad_context, float *grad_x, const float *grad_y,
                             const struct pm_transformer_record *record,
                             const struct pm_transformer *t, size_t batch, size_t height,
                             size_t width, size_t tokens, struct pm_arena *scratch)
{
    size_t mark = scratch->used, pixels = height * width, rows = batch * pixels;
    struct way_back w = {.t = t,
                         .batch = batch,
                         .pixels = pixels,
                         .tokens = tokens,
                         .grad_context = grad_context,
                         .scratch = scratch};
    float *grad = pm_arena_floats(scratch, rows * t->channels);
    pm_linear_backward(grad, grad_y, &t->proj_out, rows, NULL);
    for (size_t i = t->depth; i-- > 0;) {
        bool goes_on = grad_x || i > 0;
        const float *kv = record->kv + i * batch * tokens * 2 * t->channels;
        feed_backward(grad, &t->blocks[i], record->blocks[i].before_feed, &w);
        cross_backward(grad, &t->blocks[i], &record->blocks[i], kv, goes_on, &w);
        if (goes_on) self_backward(grad, &t->blocks[i], &record->blocks[i], &w);
    }
    if (grad_x) {
        float *grad_normed = pm_arena_floats(scratch, rows * t->channels);
        pm_linear_backward(grad_normed, grad, &t->proj_in, rows, NULL);
        pm_kernels()->group_norm_backward(grad_x, grad_normed, record->x, t->norm.gamma,
                                          t->norm.beta, grad_y, batch, pixels, t->channels,
                                          t->groups, PM_GROUP_NORM_EPS, PM_IDENTITY, scratch);
    }
    scratch->used = mark;
}
