#include "pm/diffusion/null_text.h"

#include "pm/model/tokenizer.h"

#include <math.h>
#include <string.h>

struct pm_null_text pm_null_text_default(void)
{
    return (struct pm_null_text){.inner_steps = 10,
                                 .learning_rate = 1e-2,
                                 .learning_rate_decay = 1e-2,
                                 .epsilon = 1e-5,
                                 .epsilon_growth = 2e-5,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .adam_epsilon = 1e-8};
}

/** The optimisation at one step of sampling. */
struct optimiser {
    const struct pm_null_text *settings;
    const struct pm_denoise *denoise;
    const float *trajectory;      /* [evaluations + 1, latent] */
    const float *last;            /* the embedding to begin with */
    float *embeddings;            /* [evaluations, embedding] */
    float *losses;                /* or NULL */
    size_t latent, embedding;     /* floats */
    float *gradient, *mean, *var; /* [embedding]  Adam's moments */
    struct pm_arena *scratch;
};

/* How far ε_uncond moves the latent after the step: the step is linear in the model's output. */
static float step_gain(const struct optimiser *o, size_t step)
{
    float moved = 0.0f, one = 1.0f;
    struct pm_schedule_state none = {.held = 0};
    pm_schedule_step(&moved, &one, o->denoise->schedule, &none, step, 1);
    return moved * (1.0f - o->denoise->guidance_scale);
}

/* Loss of an embedding, and its gradient. @param cond  [latent] the conditional output */
static double evaluate(const struct optimiser *o, const float *uncond, const float *latent,
                       const float *cond, size_t step)
{
    const struct pm_denoise *d = o->denoise;
    size_t mark = o->scratch->used, n = o->latent;
    float *output = pm_arena_floats(o->scratch, n), *moved = pm_arena_floats(o->scratch, n);
    float *cotangent = pm_arena_floats(o->scratch, n);
    const float *wanted = o->trajectory + (step + 1) * n;
    struct pm_unet_record record;
    struct pm_schedule_state none = {.held = 0};
    pm_unet_forward_recorded(output, &record, d->unet, latent, (float)d->schedule->timesteps[step],
                             uncond, 1, PM_TOKENS, d->height, d->width, o->scratch);
    for (size_t i = 0; i < n; i++) output[i] += d->guidance_scale * (cond[i] - output[i]);
    memcpy(moved, latent, n * sizeof *moved);
    pm_schedule_step(moved, output, d->schedule, &none, step, n);

    double sum = 0.0;
    float share = 2.0f / (float)n * step_gain(o, step);
    for (size_t i = 0; i < n; i++) {
        float distance = moved[i] - wanted[i];
        sum += (double)distance * (double)distance;
        cotangent[i] = share * distance;
    }
    pm_unet_backward(o->gradient, NULL, &record, cotangent, o->scratch);
    o->scratch->used = mark;
    return sum / (double)n;
}

/* @param updates  made so far, this one included */
static void adam_update(const struct optimiser *o, float *x, double learning_rate, size_t updates)
{
    const struct pm_null_text *s = o->settings;
    float beta1 = (float)s->beta1, beta2 = (float)s->beta2, epsilon = (float)s->adam_epsilon;
    double bias1 = 1.0 - pow(s->beta1, (double)updates);
    float bias2 = (float)sqrt(1.0 - pow(s->beta2, (double)updates));
    float rate = (float)(learning_rate / bias1);
    for (size_t i = 0; i < o->embedding; i++) {
        float g = o->gradient[i];
        o->mean[i] += (1.0f - beta1) * (g - o->mean[i]);
        o->var[i] = beta2 * o->var[i] + (1.0f - beta2) * g * g;
        x[i] -= rate * o->mean[i] / (sqrtf(o->var[i]) / bias2 + epsilon);
    }
}

static void predict_conditional(float *output, const struct optimiser *o, const float *latent,
                                size_t step)
{
    const struct pm_denoise *d = o->denoise;
    size_t mark = o->scratch->used;
    struct pm_unet_context context =
        pm_unet_context_make(d->unet, d->cond, 1, PM_TOKENS, o->scratch);
    pm_unet_forward(output, d->unet, latent, (float)d->schedule->timesteps[step], &context,
                    d->height, d->width, NULL, o->scratch);
    o->scratch->used = mark;
}

/* The loop asks for this step's embedding before it takes the step. */
static const float *tune(void *self, size_t step, const float *latent)
{
    struct optimiser *o = self;
    float *uncond = o->embeddings + step * o->embedding;
    const struct pm_null_text *s = o->settings;
    size_t mark = o->scratch->used, bytes = o->embedding * sizeof(float);
    float *cond = pm_arena_floats(o->scratch, o->latent);
    double rate = s->learning_rate * (1.0 - (double)step * s->learning_rate_decay);
    double enough = s->epsilon + (double)step * s->epsilon_growth;
    predict_conditional(cond, o, latent, step);
    memcpy(uncond, o->last, bytes);
    memset(o->mean, 0, bytes);
    memset(o->var, 0, bytes);
    for (size_t i = 0; i < s->inner_steps; i++) {
        double loss = evaluate(o, uncond, latent, cond, step);
        if (o->losses) o->losses[step * s->inner_steps + i] = (float)loss;
        adam_update(o, uncond, rate, i + 1);
        if (loss < enough) break;
    }
    o->last = uncond;
    o->scratch->used = mark;
    return uncond;
}

bool pm_null_text_optimise(float *embeddings, float *losses, const float *trajectory,
                           const struct pm_denoise *denoise, const struct pm_null_text *settings,
                           struct pm_arena *scratch, struct pm_error *err)
{
    PM_ASSERT(denoise->prompts == 1 && denoise->schedule->sampler == PM_DDIM);
    size_t mark = scratch->used;
    struct optimiser o = {.settings = settings,
                          .denoise = denoise,
                          .trajectory = trajectory,
                          .last = denoise->uncond,
                          .embeddings = embeddings,
                          .losses = losses,
                          .latent =
                              denoise->height * denoise->width * denoise->unet->config.in_channels,
                          .embedding = PM_TOKENS * denoise->unet->config.context_channels,
                          .scratch = scratch};
    o.gradient = pm_arena_floats(scratch, o.embedding);
    o.mean = pm_arena_floats(scratch, o.embedding);
    o.var = pm_arena_floats(scratch, o.embedding);
    float *latent = pm_arena_floats(scratch, o.latent);
    memcpy(latent, trajectory, o.latent * sizeof *latent);
    for (size_t i = 0; losses && i < denoise->schedule->evaluations * settings->inner_steps; i++)
        losses[i] = NAN;
    struct pm_denoise loop = *denoise;
    loop.trajectory = (struct pm_trajectory){.tune = tune, .tune_self = &o};
    bool ok = pm_denoise(latent, &loop, scratch, err);
    scratch->used = mark;
    return ok;
}
