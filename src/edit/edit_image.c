#include "pm/edit/edit_image.h"

#include "encode.h"
#include "pm/base/random.h"
#include "pm/diffusion/denoise.h"
#include "pm/edit/restore.h"

#include <string.h>

/** One pass: the source with some of its targets. */
struct pass {
    const struct pm_edit_settings *settings;
    const struct pm_recipe *recipe;
    const struct pm_prepared *prepared;
    const struct pm_real_image *real; /* or NULL */
    size_t *chosen;                   /* [targets]: indices into the recipe */
    size_t targets;
    bool hands_out_source;         /* only the first pass does */
    const float *x_T;              /* [channel, y, x] */
    const float *inversion;        /* [evaluations + 1, y, x, channel], or NULL */
    const unsigned char *original; /* what is restored: the real picture, or the source's */
    struct pm_arena *scratch;
};

static const struct pm_tokens *prompt_tokens(const struct pass *p, size_t index)
{
    return index ? &p->prepared->targets[p->chosen[index - 1]].tokens : &p->prepared->source;
}

struct pm_attention_site *pm_edit_sites(size_t *count, const struct pm_edit_settings *s,
                                        struct pm_arena *arena)
{
    const struct pm_unet *unet = &s->model->unet;
    *count = pm_unet_attention_sites(unet, s->latent_height, s->latent_width, NULL);
    struct pm_attention_site *sites = pm_arena_bytes(arena, *count * sizeof *sites);
    pm_unet_attention_sites(unet, s->latent_height, s->latent_width, sites);
    return sites;
}

static struct pm_target_control *control_targets(const struct pass *p)
{
    struct pm_target_control *controls =
        pm_arena_bytes(p->scratch, (p->targets + 1) * sizeof *controls);
    for (size_t i = 0; i < p->targets; i++) {
        const struct pm_prepared_target *target = &p->prepared->targets[p->chosen[i]];
        const struct pm_edit_settings *s = p->settings;
        controls[i] = (struct pm_target_control){
            .map = &target->map,
            .self_begin = target->self_begin,
            .self_end = target->self_end,
            .self_max_pixels = pm_recipe_self_max_pixels(&p->recipe->targets[p->chosen[i]],
                                                         s->latent_height, s->latent_width),
            .blend = target->has_mask ? &target->blend : NULL,
            .only_masks = !target->blends,
            .background =
                p->recipe->targets[p->chosen[i]].blend.against_inversion ? p->inversion : NULL};
    }
    return controls;
}

static struct pm_attention_capture *make_captures(const struct pass *p)
{
    const struct pm_edit_settings *s = p->settings;
    size_t tokens = 0;
    for (size_t i = 0; i <= p->targets; i++)
        if (prompt_tokens(p, i)->count > tokens) tokens = prompt_tokens(p, i)->count;
    struct pm_attention_capture *captures =
        pm_arena_bytes(p->scratch, s->capture_count * sizeof *captures);
    for (size_t i = 0; i < s->capture_count; i++)
        captures[i] =
            pm_attention_capture_make(&s->captures[i], p->targets + 1, tokens, p->scratch);
    return captures;
}

/* The picture itself. */
static unsigned char *decode(const struct pass *p, const float *latent)
{
    const struct pm_edit_settings *s = p->settings;
    const struct pm_vae *vae = &s->model->vae;
    size_t values = pm_latent_pixels(s) * vae->factor * vae->factor * 3;
    unsigned char *image = pm_arena_bytes(p->scratch, values);
    size_t mark = p->scratch->used;
    float *decoded = pm_arena_floats(p->scratch, values);
    pm_vae_decode(decoded, vae, latent, 1, s->latent_height, s->latent_width, p->scratch);
    pm_vae_to_bytes(image, decoded, values);
    p->scratch->used = mark;
    return image;
}

static bool restores(const struct pass *p, size_t index)
{
    return index > 0 && p->recipe->targets[p->chosen[index - 1]].restores;
}

/* Prompt number index's picture as it is handed out. @param mask  of its target, or NULL */
static const unsigned char *finish_image(const struct pass *p, size_t index, const float *latent,
                                         const uint8_t *mask)
{
    const struct pm_edit_settings *s = p->settings;
    size_t factor = s->model->vae.factor;
    if (s->latents_only) return NULL;
    if (index == 0 && !p->real) return p->original;
    unsigned char *image = decode(p, latent);
    if (restores(p, index))
        pm_image_restore(image, p->original, s->latent_height * factor, s->latent_width * factor,
                         mask, s->latent_height, s->latent_width,
                         p->recipe->targets[p->chosen[index - 1]].restore_feather);
    return image;
}

/* Hand prompt number index of the batch out. */
static void hand_out(const struct pass *p, size_t index, const float *latents,
                     const float *trajectory, const struct pm_attention_control *control,
                     pm_picture_ready *ready, void *ready_self)
{
    const struct pm_edit_settings *s = p->settings;
    size_t mark = p->scratch->used, pixels = pm_latent_pixels(s);
    size_t channels = s->model->vae.config.latent_channels, n = pixels * channels;
    size_t steps = s->schedule->evaluations, prompts = p->targets + 1;
    const float *latent = latents + index * n;
    struct pm_picture picture = {.x_T = p->x_T,
                                 .final_latent = pm_arena_floats(p->scratch, n),
                                 .trajectory =
                                     trajectory ? pm_arena_floats(p->scratch, steps * n) : NULL};
    if (index > 0 && control->targets[index - 1].blend)
        picture.mask = control->masks + (index - 1) * pixels;
    picture.image = finish_image(p, index, latent, picture.mask);
    pm_to_channels_first(picture.final_latent, latent, channels, pixels);
    for (size_t step = 0; trajectory && step < steps; step++)
        pm_to_channels_first(picture.trajectory + step * n,
                             trajectory + ((step + 1) * prompts + index) * n, channels, pixels);
    for (size_t i = 0; i < s->capture_count; i++)
        picture.attention[i] = pm_attention_capture_maps(&control->captures[i], index,
                                                         prompt_tokens(p, index), p->scratch);
    ready(ready_self, index ? (int)p->chosen[index - 1] : PM_SOURCE_PICTURE, &picture);
    p->scratch->used = mark;
}

/* What leads the loop: of a real picture, as its method has it. */
static void set_guidance(struct pm_denoise *denoise, const struct pass *p)
{
    if (!p->real) return;
    switch (p->recipe->image.method) {
    case PM_INVERSION_DIRECT:
        denoise->trajectory.source = p->inversion;
        break;
    case PM_INVERSION_DDIM:
        break;
    case PM_INVERSION_NULL_TEXT:
        PM_ASSERT(p->real->inversion.uncond);
        denoise->trajectory.uncond = p->real->inversion.uncond;
        break;
    case PM_INVERSION_NEGATIVE_PROMPT: /* then the source's guidance cancels out */
        denoise->uncond = denoise->cond;
        denoise->source_is_unguided = true;
        break;
    }
}

/* What is restored in this pass, and the source's picture where the pass hands it out. */
static void find_original(struct pass *p, const float *latents)
{
    bool wanted = p->hands_out_source;
    for (size_t i = 1; i <= p->targets; i++) wanted = wanted || restores(p, i);
    if (p->real)
        p->original = p->real->pixels;
    else if (wanted && !p->settings->latents_only)
        p->original = decode(p, latents);
}

static bool run_pass(struct pass *p, pm_picture_ready *ready, void *ready_self,
                     struct pm_error *err)
{
    const struct pm_edit_settings *s = p->settings;
    struct pm_arena *scratch = p->scratch;
    size_t mark = scratch->used, pixels = pm_latent_pixels(s), prompts = p->targets + 1;
    size_t channels = s->model->unet.config.in_channels, n = pixels * channels;
    size_t context = PM_TOKENS * s->model->text_encoder.channels, site_count;

    const struct pm_tokens **tokens = pm_arena_bytes(scratch, prompts * sizeof *tokens);
    for (size_t i = 0; i < prompts; i++) tokens[i] = prompt_tokens(p, i);
    float *cond = pm_arena_floats(scratch, prompts * context);
    float *uncond = pm_arena_floats(scratch, context);
    PM_TRY(pm_encode_prompts(uncond, cond, s, tokens, prompts, scratch, err));

    float *latents = pm_arena_floats(scratch, prompts * n);
    pm_to_channels_last(latents, p->x_T, channels, pixels);
    for (size_t i = 1; i < prompts; i++) memcpy(latents + i * n, latents, n * sizeof *latents);

    const struct pm_attention_site *sites = pm_edit_sites(&site_count, s, scratch);
    struct pm_attention_control control =
        pm_attention_control_make(control_targets(p), p->targets, sites, site_count, channels,
                                  make_captures(p), s->capture_count, scratch);
    struct pm_attention_hook hook = pm_attention_control_hook(&control);
    float *trajectory = s->keeps_trajectory
                            ? pm_arena_floats(scratch, (s->schedule->evaluations + 1) * prompts * n)
                            : NULL;
    struct pm_denoise denoise = {.unet = &s->model->unet,
                                 .schedule = s->schedule,
                                 .guidance_scale =
                                     pm_recipe_guidance_scale(p->recipe, s->guidance_scale),
                                 .prompts = prompts,
                                 .height = s->latent_height,
                                 .width = s->latent_width,
                                 .cond = cond,
                                 .uncond = uncond,
                                 .hook = &hook,
                                 .trajectory = {.latents = trajectory}};
    set_guidance(&denoise, p);
    bool ok = pm_denoise(latents, &denoise, scratch, err);
    if (ok) find_original(p, latents);
    for (size_t i = p->hands_out_source ? 0 : 1; ok && i < prompts; i++)
        hand_out(p, i, latents, trajectory, &control, ready, ready_self);
    scratch->used = mark;
    return ok;
}

/* The next pass's targets, from *next on; those that could not be prepared are left out. */
static size_t choose_targets(size_t *chosen, size_t *next, const struct pm_edit_settings *s,
                             const struct pm_prepared *prepared, size_t target_count)
{
    size_t count = 0;
    for (; *next < target_count && count < s->targets_per_pass; (*next)++)
        if (prepared->targets[*next].error.code == PM_OK) chosen[count++] = *next;
    return count;
}

/* Where all prompts start. */
static void set_start(struct pass *p)
{
    const struct pm_edit_settings *s = p->settings;
    size_t pixels = pm_latent_pixels(s), channels = s->model->unet.config.in_channels;
    size_t n = pixels * channels, levels = s->schedule->evaluations + 1;
    if (p->real) {
        const float *latents = p->real->inversion.latents;
        float *inversion = pm_arena_floats(p->scratch, levels * n);
        for (size_t i = 0; i < levels; i++)
            pm_to_channels_last(inversion + i * n, latents + i * n, channels, pixels);
        p->inversion = inversion;
        p->x_T = latents;
        return;
    }
    float *noise = pm_arena_floats(p->scratch, n);
    if (p->recipe->noise == PM_NOISE_TORCH)
        pm_noise_torch(noise, n, p->recipe->seed);
    else
        pm_noise_counter(noise, n, p->recipe->seed);
    p->x_T = noise;
}

bool pm_edit_image(const struct pm_edit_settings *settings, const struct pm_recipe *recipe,
                   const struct pm_prepared *prepared, const struct pm_real_image *real,
                   pm_picture_ready *ready, void *ready_self, struct pm_arena *scratch,
                   struct pm_error *err)
{
    PM_ASSERT(settings->targets_per_pass > 0 && settings->capture_count <= PM_MAX_CAPTURES);
    PM_ASSERT((real != NULL) == (recipe->image.path != NULL));
    size_t mark = scratch->used;
    struct pass pass = {.settings = settings,
                        .recipe = recipe,
                        .prepared = prepared,
                        .real = real,
                        .hands_out_source = true,
                        .chosen =
                            pm_arena_bytes(scratch, settings->targets_per_pass * sizeof(size_t)),
                        .scratch = scratch};
    set_start(&pass);
    bool ok = true;
    size_t next = 0;
    do {
        pass.targets = choose_targets(pass.chosen, &next, settings, prepared, recipe->target_count);
        if (pass.targets == 0 && !pass.hands_out_source) break;
        ok = run_pass(&pass, ready, ready_self, err);
        pass.hands_out_source = false;
    } while (ok && next < recipe->target_count);
    scratch->used = mark;
    return ok;
}

/* Of one evaluation of the schedule. A pass and its gradient count as three samples. */
static size_t inversion_cost(const struct pm_image_recipe *image)
{
    if (!image->path) return 0;
    return image->method == PM_INVERSION_NULL_TEXT ? 4 + 3 * image->null_text.inner_steps : 1;
}

size_t pm_edit_cost(const struct pm_edit_settings *settings, const struct pm_recipe *recipe,
                    const struct pm_prepared *prepared)
{
    const struct pm_image_recipe *image = &recipe->image;
    size_t good = 0,
           halves = pm_recipe_guidance_scale(recipe, settings->guidance_scale) == 1.0f ? 1 : 2;
    for (size_t i = 0; i < recipe->target_count; i++)
        good += prepared->targets[i].error.code == PM_OK;
    size_t passes = good ? (good + settings->targets_per_pass - 1) / settings->targets_per_pass : 1;
    bool follows = image->path && (image->method == PM_INVERSION_DIRECT ||
                                   image->method == PM_INVERSION_NEGATIVE_PROMPT);
    return (good * halves + passes * (follows ? 1 : halves) + inversion_cost(image)) *
           settings->schedule->evaluations;
}
