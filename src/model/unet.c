#include "pm/model/linear.h"

#include "unet_step.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SKIPS = PM_MAX_LEVELS * (PM_MAX_BLOCK_LAYERS + 1) + 1 };

/** An activation and its shape, as it goes through the levels. */
struct feature {
    float *x; /* [batch, height, width, channels] */
    size_t height, width, channels;
};

/** What every part of one pass needs. */
struct pass {
    const struct pm_unet *unet;
    size_t batch;
    const float *time; /* [batch, 4 * first level's channels], SiLU applied */
    const struct pm_unet_context *context;
    const float *kv; /* of the next transformer */
    const struct pm_attention_hook *hook;
    struct pm_attention_site site;
    struct feature skips[MAX_SKIPS];
    size_t skip_count;
    struct pm_arena *scratch;
    struct pm_unet_record *record;  /* or NULL */
    struct pm_unet_step unrecorded; /* the operation that is on, where there is none */
};

/* A side after so many convolutions of stride 2: halves, rounded up. */
static size_t halved(size_t side, size_t times)
{
    return (side + ((size_t)1 << times) - 1) >> times;
}

/* Call visit for every transformer in the order of a pass, with its place and level. */
static void for_each_transformer(const struct pm_unet *unet,
                                 void (*visit)(void *self, const struct pm_transformer *t,
                                               enum pm_unet_place place, size_t level),
                                 void *self)
{
    size_t levels = unet->config.levels;
    for (size_t i = 0; i < levels; i++)
        for (size_t j = 0; unet->down[i].attends && j < unet->down[i].layers; j++)
            visit(self, &unet->down[i].transformers[j], PM_DOWN, i);
    visit(self, &unet->mid.transformers[0], PM_MID, levels - 1);
    for (size_t i = 0; i < levels; i++)
        for (size_t j = 0; unet->up[i].attends && j < unet->up[i].layers; j++)
            visit(self, &unet->up[i].transformers[j], PM_UP, levels - 1 - i);
}

struct site_list {
    struct pm_attention_site *sites;
    size_t count, height, width;
};

static void append_sites(void *self, const struct pm_transformer *t, enum pm_unet_place place,
                         size_t level)
{
    struct site_list *list = self;
    for (size_t i = 0; i < 2 * t->depth; i++, list->count++) {
        if (!list->sites) continue;
        struct pm_attention_site site = {.place = place,
                                         .layer = list->count,
                                         .is_cross = i % 2 == 1,
                                         .heads = t->heads,
                                         .height = halved(list->height, level),
                                         .width = halved(list->width, level),
                                         .latent_height = list->height,
                                         .latent_width = list->width};
        site.queries = site.height * site.width;
        site.keys = site.is_cross ? 0 : site.queries;
        list->sites[list->count] = site;
    }
}

size_t pm_unet_attention_sites(const struct pm_unet *unet, size_t height, size_t width,
                               struct pm_attention_site *sites)
{
    struct site_list list = {.sites = sites, .height = height, .width = width};
    for_each_transformer(unet, append_sites, &list);
    return list.count;
}

struct context_builder {
    const float *context;
    size_t batch, tokens;
    float *kv; /* NULL: only measure */
    size_t floats;
    struct pm_arena *arena;
};

static void append_context(void *self, const struct pm_transformer *t, enum pm_unet_place place,
                           size_t level)
{
    (void)place;
    (void)level;
    struct context_builder *b = self;
    if (b->kv)
        pm_transformer_context(b->kv + b->floats, t, b->context, b->batch, b->tokens, b->arena);
    b->floats += t->depth * b->batch * b->tokens * 2 * t->channels;
}

struct pm_unet_context pm_unet_context_make(const struct pm_unet *unet, const float *context,
                                            size_t batch, size_t tokens, struct pm_arena *arena)
{
    struct context_builder measure = {.batch = batch, .tokens = tokens};
    for_each_transformer(unet, append_context, &measure);
    struct context_builder build = {.context = context,
                                    .batch = batch,
                                    .tokens = tokens,
                                    .kv = pm_arena_floats(arena, measure.floats),
                                    .arena = arena};
    for_each_transformer(unet, append_context, &build);
    return (struct pm_unet_context){.batch = batch, .tokens = tokens, .kv = build.kv};
}

static struct feature feature_make(struct pass *p, size_t height, size_t width, size_t channels)
{
    float *x = pm_arena_floats(p->scratch, p->batch * height * width * channels);
    return (struct feature){.x = x, .height = height, .width = width, .channels = channels};
}

/* SiLU of the time embedding, the same row for every sample. Source: diffusers, embeddings.py,
 * get_timestep_embedding and TimestepEmbedding. */
static void embed_time(struct pass *p, float timestep)
{
    const struct pm_unet *u = p->unet;
    size_t channels = u->config.channels[0], half = channels / 2;
    float *wave = pm_arena_floats(p->scratch, channels);
    float *hidden = pm_arena_floats(p->scratch, u->time1.out);
    float *time = pm_arena_floats(p->scratch, p->batch * u->time2.out);
    for (size_t i = 0; i < half; i++) {
        float exponent = -logf(10000.0f) * (float)i / (float)((double)half - u->config.freq_shift);
        float angle = timestep * expf(exponent);
        wave[i] = u->config.flip_sin_to_cos ? cosf(angle) : sinf(angle);
        wave[half + i] = u->config.flip_sin_to_cos ? sinf(angle) : cosf(angle);
    }
    pm_linear_forward(hidden, wave, &u->time1, 1, PM_SILU, NULL, p->scratch);
    pm_linear_forward(time, hidden, &u->time2, 1, PM_IDENTITY, NULL, p->scratch);
    if (p->hook && p->hook->on_feature)
        p->hook->on_feature(p->hook->self, "time_embedding", time, 1, 1, 1, u->time2.out);
    pm_kernels()->activate(time, time, u->time2.out, PM_SILU);
    for (size_t b = 1; b < p->batch; b++)
        memcpy(time + b * u->time2.out, time, u->time2.out * sizeof *time);
    p->time = time;
}

enum { NO_INDEX = -1 };

static void report(const struct pass *p, const struct feature *f, const char *block, int index)
{
    if (!p->hook || !p->hook->on_feature) return;
    char name[32];
    if (index == NO_INDEX)
        snprintf(name, sizeof name, "%s", block);
    else
        snprintf(name, sizeof name, "%s.%d", block, index);
    p->hook->on_feature(p->hook->self, name, f->x, p->batch, f->height, f->width, f->channels);
}

/* Adds an operation to the record, or to one that is thrown away. */
static struct pm_unet_step *note(struct pass *p, enum pm_unet_operation operation,
                                 const struct feature *in)
{
    struct pm_unet_step *step =
        p->record ? pm_arena_bytes(p->scratch, sizeof *step) : &p->unrecorded;
    *step = (struct pm_unet_step){.before = p->record ? p->record->last : NULL,
                                  .operation = operation,
                                  .x = in->x,
                                  .height = in->height,
                                  .width = in->width,
                                  .channels = in->channels};
    if (p->record) p->record->last = step;
    return step;
}

static void convolve(struct pass *p, float *out, const struct pm_conv *conv,
                     const struct feature *in)
{
    note(p, PM_UNET_CONV, in)->conv = conv;
    pm_kernels()->conv(out, in->x, conv, NULL, NULL, p->batch, in->height, in->width, p->scratch);
}

static struct feature run_conv(struct pass *p, const struct pm_conv *conv, struct feature in)
{
    bool halves = conv->stride == 2;
    struct feature out =
        feature_make(p, halved(in.height, halves), halved(in.width, halves), conv->out);
    convolve(p, out.x, conv, &in);
    return out;
}

static struct feature run_resnet(struct pass *p, const struct pm_resnet *resnet, struct feature in)
{
    struct feature out = feature_make(p, in.height, in.width, resnet->out);
    float *middle = p->record ? feature_make(p, in.height, in.width, resnet->out).x : NULL;
    struct pm_unet_step *step = note(p, PM_UNET_RESNET, &in);
    step->resnet = resnet;
    step->middle = middle;
    pm_resnet_forward(out.x, middle, in.x, resnet, p->time, p->batch, in.height, in.width,
                      p->scratch);
    return out;
}

static void run_transformer(struct pass *p, const struct pm_transformer *t, struct feature f,
                            enum pm_unet_place place)
{
    struct pm_transformer_record *record = NULL;
    p->site.place = place;
    if (p->record) {
        struct pm_unet_step *step = note(p, PM_UNET_TRANSFORMER, &f);
        step->transformer = t;
        step->transformer_record =
            pm_transformer_record_make(t, p->batch, f.height, f.width, p->scratch);
        record = &step->transformer_record;
        if (!p->record->first_transformer) p->record->first_transformer = step;
    }
    pm_transformer_forward(f.x, record, t, p->kv, p->batch, f.height, f.width, p->context->tokens,
                           p->hook, &p->site, p->scratch);
    p->kv += t->depth * p->batch * p->context->tokens * 2 * t->channels;
}

static void keep_for_up(struct pass *p, struct feature f)
{
    note(p, PM_UNET_SKIP, &f);
    p->skips[p->skip_count++] = f;
}

static struct feature run_down(struct pass *p, const struct pm_unet_block *block, struct feature f)
{
    for (size_t i = 0; i < block->layers; i++) {
        f = run_resnet(p, &block->resnets[i], f);
        if (block->attends) run_transformer(p, &block->transformers[i], f, PM_DOWN);
        keep_for_up(p, f);
    }
    if (block->resamples) {
        f = run_conv(p, &block->resample, f);
        keep_for_up(p, f);
    }
    return f;
}

static struct feature run_mid(struct pass *p, const struct pm_unet_block *block, struct feature f)
{
    f = run_resnet(p, &block->resnets[0], f);
    run_transformer(p, &block->transformers[0], f, PM_MID);
    return run_resnet(p, &block->resnets[1], f);
}

static struct feature run_up(struct pass *p, const struct pm_unet_block *block, struct feature f)
{
    for (size_t i = 0; i < block->layers; i++) {
        struct feature skip = p->skips[--p->skip_count];
        struct feature both = feature_make(p, f.height, f.width, f.channels + skip.channels);
        note(p, PM_UNET_CONCAT, &f)->skip_channels = skip.channels;
        pm_kernels()->concat_channels(both.x, f.x, f.channels, skip.x, skip.channels,
                                      p->batch * f.height * f.width);
        f = run_resnet(p, &block->resnets[i], both);
        if (block->attends) run_transformer(p, &block->transformers[i], f, PM_UP);
    }
    if (!block->resamples) return f;
    /* to the size of the level above: twice this one's, or one less */
    struct feature above = p->skips[p->skip_count - 1];
    struct feature larger = feature_make(p, above.height, above.width, f.channels);
    struct pm_unet_step *step = note(p, PM_UNET_RESIZE, &f);
    step->out_height = above.height;
    step->out_width = above.width;
    pm_kernels()->resize_nearest(larger.x, f.x, p->batch, f.height, f.width, above.height,
                                 above.width, f.channels);
    return run_conv(p, &block->resample, larger);
}

/* All of a pass, into memory that stays taken. */
static void run(float *out, struct pass *p, const float *latents, float timestep)
{
    const struct pm_unet *unet = p->unet;
    const struct pm_unet_config *c = &unet->config;
    size_t height = p->site.latent_height, width = p->site.latent_width;
    embed_time(p, timestep);
    struct feature f = feature_make(p, height, width, c->in_channels);
    memcpy(f.x, latents, p->batch * height * width * c->in_channels * sizeof *latents);
    f = run_conv(p, &unet->conv_in, f);
    report(p, &f, "conv_in", NO_INDEX);
    keep_for_up(p, f);
    for (size_t i = 0; i < c->levels; i++) {
        f = run_down(p, &unet->down[i], f);
        report(p, &f, "down_blocks", (int)i);
    }
    f = run_mid(p, &unet->mid, f);
    report(p, &f, "mid_block", NO_INDEX);
    for (size_t i = 0; i < c->levels; i++) {
        f = run_up(p, &unet->up[i], f);
        report(p, &f, "up_blocks", (int)i);
    }
    struct feature normed = feature_make(p, height, width, f.channels);
    note(p, PM_UNET_NORM, &f);
    pm_kernels()->group_norm(normed.x, f.x, unet->norm_out.gamma, unet->norm_out.beta, p->batch,
                             height * width, f.channels, c->groups, c->eps, PM_SILU, p->scratch);
    convolve(p, out, &unet->conv_out, &normed);
}

void pm_unet_forward(float *out, const struct pm_unet *unet, const float *latents, float timestep,
                     const struct pm_unet_context *context, size_t height, size_t width,
                     const struct pm_attention_hook *hook, struct pm_arena *scratch)
{
    size_t mark = scratch->used;
    struct pass p = {.unet = unet,
                     .batch = context->batch,
                     .context = context,
                     .kv = context->kv,
                     .hook = hook,
                     .site = {.latent_height = height, .latent_width = width},
                     .scratch = scratch};
    run(out, &p, latents, timestep);
    scratch->used = mark;
}

void pm_unet_forward_recorded(float *out, struct pm_unet_record *record, const struct pm_unet *unet,
                              const float *latents, float timestep, const float *context,
                              size_t batch, size_t tokens, size_t height, size_t width,
                              struct pm_arena *arena)
{
    *record = (struct pm_unet_record){
        .unet = unet, .batch = batch, .tokens = tokens, .height = height, .width = width};
    struct pm_unet_context kv = pm_unet_context_make(unet, context, batch, tokens, arena);
    struct pass p = {.unet = unet,
                     .batch = batch,
                     .context = &kv,
                     .kv = kv.kv,
                     .site = {.latent_height = height, .latent_width = width},
                     .scratch = arena,
                     .record = record};
    run(out, &p, latents, timestep);
}
