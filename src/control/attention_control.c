#include "pm/control/attention_control.h"

#include "pm/base/error.h"
#include "pm/kernels/pack.h"

#include <string.h>

static const size_t NO_PHASE = SIZE_MAX;

struct pm_attention_control pm_attention_control_make(const struct pm_target_control *targets,
                                                      size_t target_count,
                                                      const struct pm_attention_site *sites,
                                                      size_t site_count, size_t latent_channels,
                                                      struct pm_attention_capture *captures,
                                                      size_t capture_count, struct pm_arena *arena)
{
    PM_ASSERT(site_count > 0);
    size_t height, width;
    pm_attention_store_size(&height, &width, sites, site_count);
    struct pm_attention_control c = {.targets = targets,
                                     .target_count = target_count,
                                     .latent_height = sites[0].latent_height,
                                     .latent_width = sites[0].latent_width,
                                     .latent_channels = latent_channels,
                                     .captures = captures,
                                     .capture_count = capture_count,
                                     .arena = arena};
    size_t pixels = c.latent_height * c.latent_width;
    c.store = pm_attention_store_make(target_count + 1, height, width, PM_TOKENS, arena);
    c.packed = pm_arena_floats(arena, target_count * pm_packed_floats(PM_TOKENS, PM_TOKENS));
    c.keep = pm_arena_floats(arena, target_count * PM_TOKENS);
    c.phase = pm_arena_bytes(arena, target_count * sizeof *c.phase);
    c.is_idle = pm_arena_bytes(arena, target_count * sizeof *c.is_idle);
    c.masks = pm_arena_bytes(arena, target_count * pixels);
    memset(c.masks, 0, target_count * pixels);
    for (size_t i = 0; i < target_count; i++) {
        c.phase[i] = NO_PHASE;
        c.blends = c.blends || targets[i].blend;
    }
    return c;
}

static void begin_step(void *self, size_t step)
{
    struct pm_attention_control *c = self;
    c->step = step;
    size_t mark = c->arena->used;
    float *map = pm_arena_floats(c->arena, PM_TOKENS * PM_TOKENS);
    for (size_t i = 0; i < c->target_count; i++) {
        const struct pm_token_map *token_map = c->targets[i].map;
        c->is_idle[i] = pm_token_map_is_idle(token_map, step);
        size_t phase = pm_token_map_phase(token_map, step);
        if (phase == c->phase[i]) continue;
        c->phase[i] = phase;
        pm_token_map_at(map, c->keep + i * PM_TOKENS, token_map, step);
        pm_pack(c->packed + i * pm_packed_floats(PM_TOKENS, PM_TOKENS), map, PM_TOKENS, PM_TOKENS,
                PM_TOKENS, 1);
    }
    c->arena->used = mark;
}

static bool copies_self(const struct pm_target_control *t, const struct pm_attention_site *site,
                        size_t step)
{
    return step >= t->self_begin && step < t->self_end && site->queries <= t->self_max_pixels;
}

static bool wants(void *self, const struct pm_attention_site *site)
{
    const struct pm_attention_control *c = self;
    if (site->is_cross && c->blends && pm_attention_store_wants(&c->store, site)) return true;
    for (size_t i = 0; i < c->capture_count; i++)
        if (pm_attention_capture_wants(&c->captures[i], site, c->step)) return true;
    for (size_t i = 0; i < c->target_count; i++)
        if (site->is_cross ? !c->is_idle[i] : copies_self(&c->targets[i], site, c->step))
            return true;
    return false;
}

static void capture(struct pm_attention_control *c, const struct pm_attention_site *site,
                    const float *probs, bool is_before)
{
    for (size_t i = 0; i < c->capture_count; i++)
        if (c->captures[i].spec->is_before == is_before &&
            pm_attention_capture_wants(&c->captures[i], site, c->step))
            pm_attention_capture_add(&c->captures[i], site, c->step, probs);
}

static void on_probs(void *self, const struct pm_attention_site *site, float *probs)
{
    struct pm_attention_control *c = self;
    size_t rows = site->heads * site->queries, sample = rows * site->keys;
    capture(c, site, probs, true);
    for (size_t i = 0; i < c->target_count; i++) {
        float *target = probs + (i + 1) * sample;
        if (!site->is_cross) {
            if (copies_self(&c->targets[i], site, c->step))
                memcpy(target, probs, sample * sizeof *target);
        } else if (!c->is_idle[i]) {
            pm_kernels()->token_map(target, probs,
                                    c->packed + i * pm_packed_floats(PM_TOKENS, PM_TOKENS),
                                    c->keep + i * PM_TOKENS, rows, PM_TOKENS, c->arena);
        }
    }
    capture(c, site, probs, false);
    if (site->is_cross && c->blends && pm_attention_store_wants(&c->store, site))
        pm_attention_store_add(&c->store, site, probs);
}

static void end_step(void *self, size_t step, float *latents)
{
    struct pm_attention_control *c = self;
    size_t pixels = c->latent_height * c->latent_width, n = pixels * c->latent_channels;
    for (size_t i = 0; i < c->target_count; i++) {
        const struct pm_target_control *target = &c->targets[i];
        const struct pm_local_blend *blend = target->blend;
        if (!blend || step < blend->start_step) continue;
        uint8_t *mask = c->masks + i * pixels;
        pm_local_blend_mask(mask, blend, &c->store, i + 1, c->latent_height, c->latent_width, NULL,
                            c->arena);
        if (target->only_masks) continue;
        pm_local_blend_apply(latents + (i + 1) * n,
                             target->background ? target->background + (step + 1) * n : latents,
                             mask, pixels, c->latent_channels);
    }
}

struct pm_attention_hook pm_attention_control_hook(struct pm_attention_control *control)
{
    return (struct pm_attention_hook){.self = control,
                                      .begin_step = begin_step,
                                      .wants = wants,
                                      .on_probs = on_probs,
                                      .end_step = end_step};
}
