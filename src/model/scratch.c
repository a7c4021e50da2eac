#include "pm/model/scratch.h"

#include "pm/kernels/workspace.h"
#include "transformer_impl.h"
#include "unet_step.h"

enum { MAX_SKIPS = PM_MAX_LEVELS * (PM_MAX_BLOCK_LAYERS + 1) + 1, ARENA_LINE = 16 /* floats */ };

/** An arena that only counts, in floats. */
struct meter {
    size_t used, peak;
};

static void take(struct meter *m, size_t floats)
{
    m->used += (floats + ARENA_LINE - 1) / ARENA_LINE * ARENA_LINE;
    if (m->used > m->peak) m->peak = m->used;
}

/* Taken and given back. */
static void borrow(struct meter *m, size_t floats)
{
    size_t mark = m->used;
    take(m, floats);
    m->used = mark;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t bytes_of(size_t floats)
{
    return floats * sizeof(float);
}

/** A pass; sizes are those of the feature at hand. */
struct walk {
    struct meter meter;
    size_t batch, tokens, threads;
    size_t height, width, channels;
    const struct pm_attention_hook *hook;
    struct pm_attention_site site;
    bool in_turns; /* features are in memory that is taken once */
    bool records;  /* for the way back, of which: */
    size_t largest_input, across, backward;
    size_t skips[MAX_SKIPS], skip_heights[MAX_SKIPS], skip_widths[MAX_SKIPS], skip_count;
};

static size_t rows_of(const struct walk *w)
{
    return w->batch * w->height * w->width;
}

static void take_feature(struct walk *w, size_t channels)
{
    if (!w->in_turns) take(&w->meter, rows_of(w) * channels);
    w->channels = channels;
}

/* An operation on the feature at hand. @param backward  floats that its way back takes */
static void note(struct walk *w, size_t backward)
{
    if (!w->records) return;
    take(&w->meter, sizeof(struct pm_unet_step) / sizeof(float) + 1);
    w->largest_input = larger(w->largest_input, rows_of(w) * w->channels);
    w->backward = larger(w->backward, backward);
}

static void walk_conv(struct walk *w, const struct pm_conv *conv)
{
    size_t height = w->height, width = w->width;
    note(w, pm_conv_backward_workspace(conv, w->batch, height, width));
    w->height = (height + conv->stride - 1) / conv->stride;
    w->width = (width + conv->stride - 1) / conv->stride;
    take_feature(w, conv->out);
    borrow(&w->meter, pm_conv_workspace(conv, w->batch, height, width, w->threads));
}

static size_t resnet_backward(const struct walk *w, const struct pm_resnet *r)
{
    size_t in = rows_of(w) * r->in, out = rows_of(w) * r->out;
    size_t conv = larger(pm_conv_backward_workspace(&r->conv1, w->batch, w->height, w->width),
                         pm_conv_backward_workspace(&r->conv2, w->batch, w->height, w->width));
    size_t norm = pm_group_norm_workspace(w->batch, w->height * w->width, larger(r->in, r->out));
    return out + (r->has_shortcut ? in : 0) + larger(conv, norm);
}

static void walk_resnet(struct walk *w, const struct pm_resnet *r)
{
    size_t rows = rows_of(w), widest = larger(r->in, r->out);
    note(w, resnet_backward(w, r));
    take_feature(w, r->out);
    if (w->records) take(&w->meter, rows * r->out);
    size_t mark = w->meter.used;
    take(&w->meter, rows * widest);
    if (!w->records) take(&w->meter, rows * r->out);
    if (r->has_time) take(&w->meter, w->batch * r->out);
    borrow(&w->meter, pm_group_norm_workspace(w->batch, w->height * w->width, widest));
    borrow(&w->meter, pm_conv_workspace(&r->conv1, w->batch, w->height, w->width, w->threads));
    borrow(&w->meter, pm_conv_workspace(&r->conv2, w->batch, w->height, w->width, w->threads));
    w->meter.used = mark;
}

/* With the maps of the samples that are looked at. */
static void walk_attention(struct walk *w, bool is_cross, size_t head_size,
                           enum pm_precision precision)
{
    struct pm_attention_site *s = &w->site;
    size_t mark = w->meter.used;
    s->is_cross = is_cross;
    s->queries = s->height * s->width;
    s->keys = is_cross ? w->tokens : s->queries;
    bool is_wanted = w->hook && w->hook->samples > 0 && w->hook->wants(w->hook->self, s);
    if (is_wanted) {
        take(&w->meter, w->hook->samples * s->heads * s->queries * s->keys);
        borrow(&w->meter, pm_token_map_workspace(s->keys, w->threads));
    }
    borrow(&w->meter, pm_attention_workspace(s->keys, head_size, precision, is_wanted, w->threads));
    w->meter.used = mark;
    s->layer++;
}

static size_t transformer_backward(const struct walk *w, const struct pm_transformer *t)
{
    size_t c = t->channels, rows = rows_of(w), text = w->batch * w->tokens;
    size_t head_size = c / t->heads, pixels = w->height * w->width;
    size_t feed = PM_FEED_ROWS * (1 + 8 + 4) * c;
    size_t cross = (2 * rows + 2 * text) * c +
                   pm_attention_backward_workspace(w->tokens, head_size, w->threads);
    size_t self = 4 * rows * c + pm_attention_backward_workspace(pixels, head_size, w->threads);
    size_t norm = rows * c + pm_group_norm_workspace(w->batch, pixels, c);
    return rows * c + larger(larger(feed, cross), larger(self, norm));
}

/* What pm_transformer_record_make takes. */
static void take_record(struct walk *w, const struct pm_transformer *t)
{
    size_t floats = rows_of(w) * t->channels;
    take(&w->meter, floats);
    take(&w->meter, t->depth * sizeof *t->blocks / sizeof(float));
    for (size_t i = 0; i < 7 * t->depth; i++) take(&w->meter, floats);
}

static void walk_transformer(struct walk *w, const struct pm_transformer *t,
                             enum pm_unet_place place)
{
    size_t floats = rows_of(w) * t->channels, head_size = t->channels / t->heads;
    note(w, transformer_backward(w, t));
    if (w->records) take_record(w, t);
    size_t mark = w->meter.used;
    take(&w->meter, floats);
    take(&w->meter, floats);
    w->site.place = place;
    w->site.heads = t->heads;
    w->site.height = w->height;
    w->site.width = w->width;
    borrow(&w->meter, pm_group_norm_workspace(w->batch, w->height * w->width, t->channels));
    take(&w->meter, 2 * floats);
    size_t rounded = t->precision == PM_BF16
                         ? pm_gemm_bf16_workspace(rows_of(w), 4 * t->channels, w->threads)
                         : 0;
    if (!w->records) take(&w->meter, 3 * floats);
    for (size_t i = 0; i < t->depth; i++) {
        walk_attention(w, false, head_size, t->precision);
        walk_attention(w, true, head_size, t->precision);
        borrow(&w->meter, PM_FEED_ROWS * (1 + 8 + 4) * t->channels + rounded);
    }
    w->meter.used = mark;
}

static void keep_for_up(struct walk *w)
{
    note(w, 0);
    w->skips[w->skip_count] = w->channels;
    w->skip_heights[w->skip_count] = w->height;
    w->skip_widths[w->skip_count++] = w->width;
}

static void walk_down(struct walk *w, const struct pm_unet_block *block)
{
    for (size_t i = 0; i < block->layers; i++) {
        walk_resnet(w, &block->resnets[i]);
        if (block->attends) walk_transformer(w, &block->transformers[i], PM_DOWN);
        keep_for_up(w);
    }
    if (!block->resamples) return;
    walk_conv(w, &block->resample);
    keep_for_up(w);
}

static void walk_up(struct walk *w, const struct pm_unet_block *block)
{
    for (size_t i = 0; i < block->layers; i++) {
        size_t skip = w->skips[--w->skip_count];
        note(w, 0);
        w->across += rows_of(w) * skip + ARENA_LINE;
        take_feature(w, w->channels + skip);
        walk_resnet(w, &block->resnets[i]);
        if (block->attends) walk_transformer(w, &block->transformers[i], PM_UP);
    }
    if (!block->resamples) return;
    note(w, 0);
    w->height = w->skip_heights[w->skip_count - 1];
    w->width = w->skip_widths[w->skip_count - 1];
    take_feature(w, w->channels);
    walk_conv(w, &block->resample);
}

/* run() of unet.c */
static void walk_unet(struct walk *w, const struct pm_unet *unet)
{
    const struct pm_unet_config *c = &unet->config;
    w->site.latent_height = w->height;
    w->site.latent_width = w->width;
    take(&w->meter, c->channels[0] + unet->time1.out + 2 * ARENA_LINE);
    take(&w->meter, w->batch * unet->time2.out);
    take_feature(w, c->in_channels);
    walk_conv(w, &unet->conv_in);
    keep_for_up(w);
    for (size_t i = 0; i < c->levels; i++) walk_down(w, &unet->down[i]);
    walk_resnet(w, &unet->mid.resnets[0]);
    walk_transformer(w, &unet->mid.transformers[0], PM_MID);
    walk_resnet(w, &unet->mid.resnets[1]);
    for (size_t i = 0; i < c->levels; i++) walk_up(w, &unet->up[i]);
    size_t norm = pm_group_norm_workspace(w->batch, w->height * w->width, w->channels);
    note(w, norm);
    take_feature(w, w->channels);
    borrow(&w->meter, norm);
    note(w, pm_conv_backward_workspace(&unet->conv_out, w->batch, w->height, w->width));
    borrow(&w->meter,
           pm_conv_workspace(&unet->conv_out, w->batch, w->height, w->width, w->threads));
}

/* Layers' keys and values lie one after the other; the middle's transformer is one of one. */
static size_t block_context(const struct pm_unet_block *block, size_t layers)
{
    size_t floats = 0;
    for (size_t i = 0; i < layers; i++)
        floats += block->transformers[i].depth * 2 * block->transformers[i].channels;
    return floats;
}

size_t pm_unet_context_bytes(const struct pm_unet *unet, size_t batch, size_t tokens)
{
    size_t floats = block_context(&unet->mid, 1);
    for (size_t i = 0; i < unet->config.levels; i++) {
        const struct pm_unet_block *down = &unet->down[i], *up = &unet->up[i];
        floats += block_context(down, down->attends ? down->layers : 0) +
                  block_context(up, up->attends ? up->layers : 0);
    }
    return bytes_of(batch * tokens * floats + ARENA_LINE);
}

size_t pm_unet_scratch_bytes(const struct pm_unet *unet, size_t batch, size_t tokens, size_t height,
                             size_t width, const struct pm_attention_hook *hook, size_t threads)
{
    struct walk w = {.batch = batch,
                     .tokens = tokens,
                     .threads = threads,
                     .height = height,
                     .width = width,
                     .hook = hook};
    walk_unet(&w, unet);
    return bytes_of(w.meter.peak);
}

size_t pm_unet_gradient_bytes(const struct pm_unet *unet, size_t batch, size_t tokens,
                              size_t height, size_t width, size_t threads)
{
    struct walk w = {.batch = batch,
                     .tokens = tokens,
                     .threads = threads,
                     .height = height,
                     .width = width,
                     .records = true};
    walk_unet(&w, unet);
    size_t back =
        w.meter.used + 2 * (w.largest_input + ARENA_LINE) + w.across + w.backward + 16 * ARENA_LINE;
    return pm_unet_context_bytes(unet, batch, tokens) + bytes_of(larger(w.meter.peak, back));
}

/* turns_make() of vae.c */
static void take_turns(struct walk *w, const struct pm_vae_half *half, size_t levels)
{
    size_t largest = pm_vae_largest_feature(half, levels, w->height * w->width);
    for (size_t i = 0; i < 2; i++) take(&w->meter, w->batch * largest);
}

static void walk_vae_attention(struct walk *w)
{
    size_t floats = rows_of(w) * w->channels, mark = w->meter.used, pixels = w->height * w->width;
    take(&w->meter, 4 * floats + ARENA_LINE);
    borrow(&w->meter, pm_group_norm_workspace(w->batch, pixels, w->channels));
    borrow(&w->meter, pm_attention_workspace(pixels, w->channels, PM_FP32, false, w->threads));
    w->meter.used = mark;
}

static void walk_vae_middle(struct walk *w, const struct pm_vae_half *half)
{
    walk_resnet(w, &half->mid[0]);
    walk_vae_attention(w);
    walk_resnet(w, &half->mid[1]);
}

static void walk_vae_out(struct walk *w, const struct pm_vae_half *half)
{
    borrow(&w->meter, pm_group_norm_workspace(w->batch, w->height * w->width, w->channels));
    walk_conv(w, &half->conv_out);
}

static void walk_vae_level(struct walk *w, const struct pm_vae_level *level)
{
    for (size_t i = 0; i < level->layers; i++) walk_resnet(w, &level->resnets[i]);
}

size_t pm_vae_encode_bytes(const struct pm_vae *vae, size_t height, size_t width, size_t threads)
{
    const struct pm_vae_half *half = &vae->encoder;
    struct walk w = {.batch = 1,
                     .threads = threads,
                     .height = height * vae->factor,
                     .width = width * vae->factor,
                     .channels = vae->config.in_channels,
                     .in_turns = true};
    take_turns(&w, half, vae->config.levels);
    walk_conv(&w, &half->conv_in);
    for (size_t i = 0; i < vae->config.levels; i++) {
        walk_vae_level(&w, &half->levels[i]);
        if (half->levels[i].resamples) walk_conv(&w, &half->levels[i].resample);
    }
    walk_vae_middle(&w, half);
    walk_vae_out(&w, half);
    if (vae->config.has_quant_conv) walk_conv(&w, &vae->quant_conv);
    return bytes_of(w.meter.peak);
}

size_t pm_vae_decode_bytes(const struct pm_vae *vae, size_t height, size_t width, size_t threads)
{
    const struct pm_vae_half *half = &vae->decoder;
    struct walk w = {
        .batch = 1, .threads = threads, .height = height, .width = width, .in_turns = true};
    take_turns(&w, half, vae->config.levels);
    take_feature(&w, vae->config.latent_channels);
    if (vae->config.has_post_quant_conv) walk_conv(&w, &vae->post_quant_conv);
    walk_conv(&w, &half->conv_in);
    walk_vae_middle(&w, half);
    for (size_t i = 0; i < vae->config.levels; i++) {
        walk_vae_level(&w, &half->levels[i]);
        if (!half->levels[i].resamples) continue;
        w.height *= 2;
        w.width *= 2;
        take_feature(&w, w.channels);
        walk_conv(&w, &half->levels[i].resample);
    }
    walk_vae_out(&w, half);
    return bytes_of(w.meter.peak);
}

size_t pm_text_encoder_scratch_bytes(const struct pm_text_encoder *e, size_t prompts,
                                     size_t threads)
{
    struct meter m = {0};
    size_t rows = prompts * PM_TOKENS;
    for (size_t i = 0; i < 2; i++) take(&m, rows * e->channels);
    take(&m, rows * 3 * e->channels);
    take(&m, rows * e->feed_channels);
    borrow(&m, pm_attention_workspace(PM_TOKENS, e->channels / e->heads, PM_FP32, false, threads));
    return bytes_of(m.peak);
}
