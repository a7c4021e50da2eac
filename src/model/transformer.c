#include "transformer_impl.h"

#include "pm/model/linear.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool load_block(struct pm_transformer_block *b, struct pm_weights *weights, size_t channels,
                       size_t context_channels, const char *name, struct pm_error *err)
{
    static const char *const qkv[] = {"to_q", "to_k", "to_v", NULL}, *const kv[] = {"to_k", "to_v",
                                                                                    NULL};
    size_t c = channels;
    PM_TRY(pm_weights_norm(&b->norm1, weights, c, err, "%s.norm1", name));
    PM_TRY(pm_weights_fused_linear(&b->self_qkv, weights, c, c, PM_NO_BIAS, qkv, err, "%s.attn1",
                                   name));
    PM_TRY(pm_weights_linear(&b->self_out, weights, c, c, PM_BIAS, err, "%s.attn1.to_out.0", name));
    PM_TRY(pm_weights_norm(&b->norm2, weights, c, err, "%s.norm2", name));
    PM_TRY(pm_weights_linear(&b->cross_q, weights, c, c, PM_NO_BIAS, err, "%s.attn2.to_q", name));
    PM_TRY(pm_weights_fused_linear(&b->cross_kv, weights, c, context_channels, PM_NO_BIAS, kv, err,
                                   "%s.attn2", name));
    PM_TRY(
        pm_weights_linear(&b->cross_out, weights, c, c, PM_BIAS, err, "%s.attn2.to_out.0", name));
    PM_TRY(pm_weights_norm(&b->norm3, weights, c, err, "%s.norm3", name));
    PM_TRY(
        pm_weights_linear(&b->feed_in, weights, 8 * c, c, PM_BIAS, err, "%s.ff.net.0.proj", name));
    return pm_weights_linear(&b->feed_out, weights, c, 4 * c, PM_BIAS, err, "%s.ff.net.2", name);
}

bool pm_transformer_load(struct pm_transformer *t, struct pm_weights *weights, size_t channels,
                         size_t context_channels, size_t heads, size_t depth, size_t groups,
                         struct pm_error *err, const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    *t = (struct pm_transformer){.channels = channels,
                                 .context_channels = context_channels,
                                 .heads = heads,
                                 .groups = groups,
                                 .depth = depth,
                                 .precision = weights->precision};
    if (heads == 0 || channels % heads != 0)
        return pm_fail(err, PM_E_FORMAT, "%s: %zu channels cannot be split into %zu heads",
                       weights->set->path, channels, heads);
    t->blocks = pm_arena_bytes(weights->layers, depth * sizeof *t->blocks);
    PM_TRY(pm_weights_norm(&t->norm, weights, channels, err, "%s.norm", name));
    PM_TRY(pm_weights_linear(&t->proj_in, weights, channels, channels, PM_BIAS, err, "%s.proj_in",
                             name));
    for (size_t i = 0; i < depth; i++) {
        char block[160];
        snprintf(block, sizeof block, "%s.transformer_blocks.%zu", name, i);
        PM_TRY(load_block(&t->blocks[i], weights, channels, context_channels, block, err));
    }
    return pm_weights_linear(&t->proj_out, weights, channels, channels, PM_BIAS, err, "%s.proj_out",
                             name);
}

void pm_transformer_context(float *kv, const struct pm_transformer *t, const float *context,
                            size_t batch, size_t tokens, struct pm_arena *scratch)
{
    size_t rows = batch * tokens;
    for (size_t i = 0; i < t->depth; i++)
        pm_linear_forward(kv + i * rows * 2 * t->channels, context, &t->blocks[i].cross_kv, rows,
                          PM_IDENTITY, NULL, scratch);
}

/* Attention of the samples [first, first + count), whose maps the hook does or does not see. */
static void attend(float *out, const float *q, const float *k, const float *v,
                   const struct pm_attention_shape *whole, size_t first, size_t count,
                   const struct pm_attention_hook *observer, const struct pm_attention_site *site,
                   struct pm_arena *scratch)
{
    if (count == 0) return;
    struct pm_attention_shape shape = *whole;
    shape.batch = count;
    out += first * shape.queries * shape.out_stride;
    q += first * shape.queries * shape.q_stride;
    k += first * shape.keys * shape.k_stride;
    v += first * shape.keys * shape.v_stride;
    if (!observer) {
        pm_kernels()->attention(out, q, k, v, &shape, scratch);
        return;
    }
    size_t mark = scratch->used;
    float *probs = pm_arena_floats(scratch, count * shape.heads * shape.queries * shape.keys);
    pm_kernels()->attention_probs(probs, q, k, &shape, scratch);
    observer->on_probs(observer->self, site, probs);
    pm_kernels()->attention_apply(out, probs, v, &shape, scratch);
    scratch->used = mark;
}

static void observed_attention(float *out, const float *q, const float *k, const float *v,
                               const struct pm_attention_shape *shape,
                               const struct pm_attention_hook *hook, struct pm_attention_site *site,
                               struct pm_arena *scratch)
{
    site->queries = shape->queries;
    site->keys = shape->keys;
    bool wanted = hook && hook->on_probs && hook->samples > 0 &&
                  (!hook->wants || hook->wants(hook->self, site));
    size_t first = wanted ? hook->first_sample : shape->batch;
    size_t count = wanted ? hook->samples : 0;
    attend(out, q, k, v, shape, 0, first, NULL, site, scratch);
    attend(out, q, k, v, shape, first, count, hook, site, scratch);
    attend(out, q, k, v, shape, first + count, shape->batch - first - count, NULL, site, scratch);
    site->layer++;
}

/* x += W₂ GEGLU(W₁ norm(x)), some rows at a time, so that the wide middle stays in cache. */
static void feed_forward(float *x, const struct pm_transformer_block *b, size_t rows,
                         size_t channels, struct pm_arena *scratch)
{
    const struct pm_kernels *k = pm_kernels();
    size_t mark = scratch->used, c = channels;
    float *normed = pm_arena_floats(scratch, PM_FEED_ROWS * c);
    float *wide = pm_arena_floats(scratch, PM_FEED_ROWS * 8 * c);
    float *gated = pm_arena_floats(scratch, PM_FEED_ROWS * 4 * c);
    for (size_t first = 0; first < rows; first += PM_FEED_ROWS) {
        size_t count = rows - first < PM_FEED_ROWS ? rows - first : PM_FEED_ROWS;
        float *part = x + first * c;
        k->layer_norm(normed, part, b->norm3.gamma, b->norm3.beta, count, c, PM_LAYER_NORM_EPS);
        pm_linear_forward(wide, normed, &b->feed_in, count, PM_IDENTITY, NULL, scratch);
        k->geglu(gated, wide, count, 4 * c);
        pm_linear_forward(part, gated, &b->feed_out, count, PM_IDENTITY, part, scratch);
    }
    scratch->used = mark;
}

struct pm_attention_shape pm_transformer_attention(const struct pm_transformer *t, size_t batch,
                                                   size_t pixels, size_t tokens)
{
    size_t c = t->channels, head_size = c / t->heads;
    struct pm_attention_shape shape = {
        .batch = batch,
        .heads = t->heads,
        .head_size = head_size,
        .queries = pixels,
        .keys = tokens ? tokens : pixels,
        .q_stride = tokens ? c : 3 * c,
        .k_stride = tokens ? 2 * c : 3 * c,
        .v_stride = tokens ? 2 * c : 3 * c,
        .out_stride = c,
        .scale = 1.0f / sqrtf((float)head_size),
        .precision = t->precision,
    };
    return shape;
}

/** @param kept  [n], or NULL: nowhere */
static void keep(float *kept, const float *x, size_t n)
{
    if (kept) memcpy(kept, x, n * sizeof *x);
}

static void block_forward(float *x, const struct pm_transformer_block_record *record,
                          const struct pm_transformer *t, const struct pm_transformer_block *b,
                          const float *kv, size_t batch, size_t pixels, size_t tokens,
                          const struct pm_attention_hook *hook, struct pm_attention_site *site,
                          struct pm_arena *scratch)
{
    const struct pm_kernels *k = pm_kernels();
    size_t mark = scratch->used, c = t->channels, rows = batch * pixels;
    float *normed = pm_arena_floats(scratch, rows * c);
    float *attended = pm_arena_floats(scratch, rows * c);
    float *qkv = record->qkv ? record->qkv : pm_arena_floats(scratch, rows * 3 * c);
    float *q = record->cross_q ? record->cross_q : qkv;

    struct pm_attention_shape self = pm_transformer_attention(t, batch, pixels, 0);
    keep(record->before_self, x, rows * c);
    k->layer_norm(normed, x, b->norm1.gamma, b->norm1.beta, rows, c, PM_LAYER_NORM_EPS);
    pm_linear_forward(qkv, normed, &b->self_qkv, rows, PM_IDENTITY, NULL, scratch);
    site->is_cross = false;
    observed_attention(attended, qkv, qkv + c, qkv + 2 * c, &self, hook, site, scratch);
    pm_linear_forward(x, attended, &b->self_out, rows, PM_IDENTITY, x, scratch);

    struct pm_attention_shape cross = pm_transformer_attention(t, batch, pixels, tokens);
    keep(record->before_cross, x, rows * c);
    k->layer_norm(normed, x, b->norm2.gamma, b->norm2.beta, rows, c, PM_LAYER_NORM_EPS);
    pm_linear_forward(q, normed, &b->cross_q, rows, PM_IDENTITY, NULL, scratch);
    site->is_cross = true;
    observed_attention(attended, q, kv, kv + c, &cross, hook, site, scratch);
    pm_linear_forward(x, attended, &b->cross_out, rows, PM_IDENTITY, x, scratch);

    keep(record->before_feed, x, rows * c);
    feed_forward(x, b, rows, c, scratch);
    scratch->used = mark;
}

struct pm_transformer_record pm_transformer_record_make(const struct pm_transformer *t,
                                                        size_t batch, size_t height, size_t width,
                                                        struct pm_arena *arena)
{
    size_t floats = batch * height * width * t->channels;
    struct pm_transformer_record record = {
        .x = pm_arena_floats(arena, floats),
        .blocks = pm_arena_bytes(arena, t->depth * sizeof *record.blocks)};
    for (size_t i = 0; i < t->depth; i++)
        record.blocks[i] =
            (struct pm_transformer_block_record){.before_self = pm_arena_floats(arena, floats),
                                                 .before_cross = pm_arena_floats(arena, floats),
                                                 .before_feed = pm_arena_floats(arena, floats),
                                                 .qkv = pm_arena_floats(arena, 3 * floats),
                                                 .cross_q = pm_arena_floats(arena, floats)};
    return record;
}

void pm_transformer_forward(float *x, struct pm_transformer_record *record,
                            const struct pm_transformer *t, const float *kv, size_t batch,
                            size_t height, size_t width, size_t tokens,
                            const struct pm_attention_hook *hook, struct pm_attention_site *site,
                            struct pm_arena *scratch)
{
    size_t mark = scratch->used, pixels = height * width, rows = batch * pixels;
    float *normed = pm_arena_floats(scratch, rows * t->channels);
    float *h = pm_arena_floats(scratch, rows * t->channels);
    const struct pm_transformer_block_record nowhere = {0};
    if (record) {
        record->kv = kv;
        keep(record->x, x, rows * t->channels);
    }
    site->heads = t->heads;
    site->height = height;
    site->width = width;
    site->samples = hook ? hook->samples : 0;
    pm_kernels()->group_norm(normed, x, t->norm.gamma, t->norm.beta, batch, pixels, t->channels,
                             t->groups, PM_GROUP_NORM_EPS, PM_IDENTITY, scratch);
    pm_linear_forward(h, normed, &t->proj_in, rows, PM_IDENTITY, NULL, scratch);
    for (size_t i = 0; i < t->depth; i++)
        block_forward(h, record ? &record->blocks[i] : &nowhere, t, &t->blocks[i],
                      kv + i * batch * tokens * 2 * t->channels, batch, pixels, tokens, hook, site,
                      scratch);
    pm_linear_forward(x, h, &t->proj_out, rows, PM_IDENTITY, x, scratch);
    scratch->used = mark;
}
