#include "pm/diffusion/denoise.h"

#include "pm/model/tokenizer.h"

#include <math.h>
#include <string.h>

/** One loop's sizes and memory. */
struct loop {
    const struct pm_denoise *d;
    size_t n;                    /* floats of one latent */
    size_t first_guided, guided; /* prompts that have an unconditional sample as well */
    float *batch, *output;       /* [guided + prompts, latent]  unconditional samples first */
    struct pm_arena *scratch;
};

static size_t first_guided(const struct pm_denoise *d)
{
    return d->source_is_unguided || d->trajectory.source ? 1 : 0;
}

static size_t count_guided(const struct pm_denoise *d)
{
    return d->guidance_scale == 1.0f ? 0 : d->prompts - first_guided(d);
}

size_t pm_denoise_samples(const struct pm_denoise *d)
{
    return count_guided(d) + d->prompts;
}

/* @param uncond  of the step at hand */
static struct pm_unet_context make_context(const struct loop *l, const float *uncond)
{
    const struct pm_denoise *d = l->d;
    size_t floats = PM_TOKENS * d->unet->config.context_channels;
    size_t batch = l->guided + d->prompts;
    float *context = pm_arena_floats(l->scratch, batch * floats), *next = context;
    for (size_t p = 0; p < l->guided; p++, next += floats)
        memcpy(next, uncond, floats * sizeof *next);
    memcpy(next, d->cond, d->prompts * floats * sizeof *next);
    return pm_unet_context_make(d->unet, context, batch, PM_TOKENS, l->scratch);
}

static bool all_finite(const float *x, size_t n)
{
    float sum = 0.0f; /* x - x is 0 for a finite x, NaN otherwise */
    for (size_t i = 0; i < n; i++) sum += x[i] - x[i];
    return sum == 0.0f;
}

/* The guided output of every prompt. @return [prompts, latent] in l->output */
static const float *predict(const struct loop *l, const float *latents, size_t evaluation,
                            const struct pm_unet_context *context)
{
    const struct pm_denoise *d = l->d;
    size_t n = l->n;
    float *cond = l->output + l->guided * n;
    memcpy(l->batch, latents + l->first_guided * n, l->guided * n * sizeof *latents);
    memcpy(l->batch + l->guided * n, latents, d->prompts * n * sizeof *latents);
    pm_unet_forward(l->output, d->unet, l->batch, (float)d->schedule->timesteps[evaluation],
                    context, d->height, d->width, d->hook, l->scratch);
    float *guided = cond + l->first_guided * n;
    for (size_t i = 0; i < l->guided * n; i++)
        guided[i] = l->output[i] + d->guidance_scale * (guided[i] - l->output[i]);
    return cond;
}

/* All prompts from one level to the next, the source where its trajectory has it. */
static void take_step(const struct loop *l, float *latents, const float *output, size_t evaluation,
                      struct pm_schedule_state *state)
{
    const struct pm_denoise *d = l->d;
    const float *source = d->trajectory.source;
    size_t n = d->prompts * l->n;
    if (d->towards_noise)
        pm_schedule_invert_step(latents, output, d->schedule, evaluation, n);
    else
        pm_schedule_step(latents, output, d->schedule, state, evaluation, n);
    if (source) memcpy(latents, source + (evaluation + 1) * l->n, l->n * sizeof *latents);
}

static void record(const struct loop *l, const float *latents, size_t level)
{
    size_t n = l->d->prompts * l->n;
    float *kept = l->d->trajectory.latents;
    if (kept) memcpy(kept + level * n, latents, n * sizeof *latents);
}

static void run_step(const struct loop *l, float *latents, size_t evaluation,
                     const struct pm_unet_context *shared, struct pm_schedule_state *state)
{
    const struct pm_denoise *d = l->d;
    const struct pm_trajectory *t = &d->trajectory;
    struct pm_attention_hook *hook = d->hook;
    size_t mark = l->scratch->used;
    struct pm_unet_context own;
    if (t->tune || t->uncond) {
        size_t floats = PM_TOKENS * d->unet->config.context_channels;
        own = make_context(l, t->tune ? t->tune(t->tune_self, evaluation, latents)
                                      : t->uncond + evaluation * floats);
        shared = &own;
    }
    if (hook && hook->begin_step) hook->begin_step(hook->self, evaluation);
    const float *output = predict(l, latents, evaluation, shared);
    take_step(l, latents, output, evaluation, state);
    if (hook && hook->end_step) hook->end_step(hook->self, evaluation, latents);
    record(l, latents, d->towards_noise ? evaluation : evaluation + 1);
    l->scratch->used = mark;
}

bool pm_denoise(float *latents, const struct pm_denoise *d, struct pm_arena *scratch,
                struct pm_error *err)
{
    const struct pm_schedule *schedule = d->schedule;
    size_t mark = scratch->used, evaluations = schedule->evaluations;
    struct loop l = {.d = d,
                     .n = d->height * d->width * d->unet->config.in_channels,
                     .first_guided = first_guided(d),
                     .guided = count_guided(d),
                     .scratch = scratch};
    PM_ASSERT(!d->towards_noise || !d->trajectory.source);
    struct pm_schedule_state state = pm_schedule_state_make(schedule, d->prompts * l.n, scratch);
    l.batch = pm_arena_floats(scratch, (l.guided + d->prompts) * l.n);
    l.output = pm_arena_floats(scratch, (l.guided + d->prompts) * l.n);
    struct pm_unet_context shared = {0};
    if (!d->trajectory.uncond && !d->trajectory.tune) shared = make_context(&l, d->uncond);
    if (d->hook) {
        d->hook->first_sample = l.guided;
        d->hook->samples = d->prompts;
    }
    if (d->trajectory.source) memcpy(latents, d->trajectory.source, l.n * sizeof *latents);
    record(&l, latents, d->towards_noise ? evaluations : 0);

    bool ok = true;
    for (size_t step = 0; ok && step < evaluations; step++) {
        size_t evaluation = d->towards_noise ? evaluations - 1 - step : step;
        run_step(&l, latents, evaluation, &shared, &state);
        if (!all_finite(latents, d->prompts * l.n))
            ok = pm_fail(
                err, PM_E_NUMERIC, "the latents are not finite after step %zu%s (timestep %zu)",
                step, d->towards_noise ? " of the inversion" : "", schedule->timesteps[evaluation]);
    }
    scratch->used = mark;
    return ok;
}
