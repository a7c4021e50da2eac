#include "pm/model/unet.h"

#include "pm/model/linear.h"

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
};

static void append_context(void *self, const struct pm_transformer *t, enum pm_unet_place place,
                           size_t level)
{
    (void)place;
    (void)level;
    struct context_builder *b = self;
    if (b->kv) pm_transformer_context(b->kv + b->floats, t, b->context, b->batch, b->tokens);
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
                                    .kv = pm_arena_floats(arena, measure.floats)};
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
    pm_linear_forward(hidden, wave, &u->time1, 1, PM_SILU, NULL);
    pm_linear_forward(time, hidden, &u->time2, 1, PM_IDENTITY, NULL);
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

static struct feature run_resnet(struct pass *p, const struct pm_resnet *resnet, struct feature in)
{
    struct feature out = feature_make(p, in.height, in.width, resnet->out);
    pm_resnet_forward(out.x, in.x, resnet, p->time, p->batch, in.height, in.width, p->scratch);
    return out;
}

static void run_transformer(struct pass *p, const struct pm_transformer *t, struct feature f,
                            enum pm_unet_place place)
{
    p->site.place = place;
    pm_transformer_forward(f.x, t, p->kv, p->batch, f.height, f.width, p->context->tokens, p->hook,
                           &p->site, p->scratch);
    p->kv += t->depth * p->batch * p->context->tokens * 2 * t->channels;
}

static struct feature run_down(struct pass *p, const struct pm_unet_block *block, struct feature f)
{
    for (size_t i = 0; i < block->layers; i++) {
        f = run_resnet(p, &block->resnets[i], f);
        if (block->attends) run_transformer(p, &block->transformers[i], f, PM_DOWN);
        p->skips[p->skip_count++] = f;
    }
    if (block->resamples) {
        struct feature half = feature_make(p, halved(f.height, 1), halved(f.width, 1), f.channels);
        pm_kernels()->conv(half.x, f.x, &block->resample, NULL, NULL, p->batch, f.height, f.width,
                           p->scratch);
        f = half;
        p->skips[p->skip_count++] = f;
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
        pm_kernels()->concat_channels(both.x, f.x, f.channels, skip.x, skip.channels,
                                      p->batch * f.height * f.width);
        f = run_resnet(p, &block->resnets[i], both);
        if (block->attends) run_transformer(p, &block->transformers[i], f, PM_UP);
    }
    if (!block->resamples) return f;
    /* to the size of the level above: twice this one's, or one less */
    struct feature above = p->skips[p->skip_count - 1];
    struct feature larger = feature_make(p, above.height, above.width, f.channels);
    struct feature out = feature_make(p, above.height, above.width, f.channels);
    pm_kernels()->resize_nearest(larger.x, f.x, p->batch, f.height, f.width, above.height,
                                 above.width, f.channels);
    pm_kernels()->conv(out.x, larger.x, &block->resample, NULL, NULL, p->batch, above.height,
                       above.width, p->scratch);
    return out;
}

void pm_unet_forward(float *out, const struct pm_unet *unet, const float *latents, float timestep,
                     const struct pm_unet_context *context, size_t height, size_t width,
                     const struct pm_attention_hook *hook, struct pm_arena *scratch)
{
    const struct pm_kernels *k = pm_kernels();
    const struct pm_unet_config *c = &unet->config;
    size_t mark = scratch->used, levels = c->levels;
    struct pass p = {.unet = unet,
                     .batch = context->batch,
                     .context = context,
                     .kv = context->kv,
                     .hook = hook,
                     .site = {.latent_height = height, .latent_width = width},
                     .scratch = scratch};
    embed_time(&p, timestep);

    struct feature f = feature_make(&p, height, width, c->channels[0]);
    k->conv(f.x, latents, &unet->conv_in, NULL, NULL, p.batch, height, width, scratch);
    report(&p, &f, "conv_in", NO_INDEX);
    p.skips[p.skip_count++] = f;
    for (size_t i = 0; i < levels; i++) {
        f = run_down(&p, &unet->down[i], f);
        report(&p, &f, "down_blocks", (int)i);
    }
    f = run_mid(&p, &unet->mid, f);
    report(&p, &f, "mid_block", NO_INDEX);
    for (size_t i = 0; i < levels; i++) {
        f = run_up(&p, &unet->up[i], f);
        report(&p, &f, "up_blocks", (int)i);
    }
    k->group_norm(f.x, f.x, unet->norm_out.gamma, unet->norm_out.beta, p.batch, height * width,
                  c->channels[0], c->groups, c->eps, PM_SILU, scratch);
    k->conv(out, f.x, &unet->conv_out, NULL, NULL, p.batch, height, width, scratch);
    scratch->used = mark;
}
