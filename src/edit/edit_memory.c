#include "pm/edit/edit_memory.h"

#include "encode.h"
#include "pm/edit/edit_image.h"
#include "pm/model/scratch.h"

enum {
    PACKED_MAP = 80 * PM_TOKENS, /* floats of a packed token map */
    SMALL = 1 << 16,             /* bytes: lists and rounding */
};

struct pm_edit_memory pm_edit_memory_make(const struct pm_edit_settings *s, size_t threads)
{
    struct pm_edit_memory m = {.settings = s, .threads = threads};
    const struct pm_model *model = s->model;
    struct pm_arena arena;
    size_t count, height = s->latent_height, width = s->latent_width;
    pm_arena_init(&arena, (size_t)1 << 20);
    const struct pm_attention_site *sites = pm_edit_sites(&count, s, &arena);
    pm_attention_store_size(&m.blend_height, &m.blend_width, sites, count);
    pm_arena_free(&arena);
    m.decode_bytes = pm_vae_decode_bytes(&model->vae, height, width, threads);
    m.encode_bytes = pm_vae_encode_bytes(&model->vae, height, width, threads);
    m.gradient_bytes = pm_unet_gradient_bytes(&model->unet, 1, PM_TOKENS, height, width, threads);
    return m;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t latent_bytes(const struct pm_edit_settings *s)
{
    return pm_latent_pixels(s) * s->model->unet.config.in_channels * sizeof(float);
}

static size_t context_bytes(const struct pm_edit_settings *s)
{
    return PM_TOKENS * s->model->unet.config.context_channels * sizeof(float);
}

static size_t picture_values(const struct pm_edit_settings *s)
{
    size_t factor = s->model->vae.factor;
    return pm_latent_pixels(s) * factor * factor * 3;
}

/** A pass as far as memory goes. */
struct pass {
    const struct pm_edit_memory *memory;
    const struct pm_recipe *recipe;
    const struct pm_prepared *prepared;
    size_t first, end; /* targets; those that cannot be done are not among them */
    size_t targets;
};

static const struct pm_prepared_target *next_target(const struct pass *p, size_t *at)
{
    while (*at < p->end && p->prepared->targets[*at].error.code != PM_OK) (*at)++;
    return *at < p->end ? &p->prepared->targets[(*at)++] : NULL;
}

static bool is_captured(const struct pm_edit_settings *s, const struct pm_attention_site *site)
{
    for (size_t i = 0; i < s->capture_count; i++)
        for (size_t j = 0; j < s->captures[i].layer_count; j++)
            if (s->captures[i].layers[j] == site->layer) return true;
    return false;
}

/* Are the layer's maps made in any step? */
static bool wants(void *self, const struct pm_attention_site *site)
{
    const struct pass *p = self;
    const struct pm_edit_settings *s = p->memory->settings;
    struct pm_attention_store blended = {.height = p->memory->blend_height,
                                         .width = p->memory->blend_width};
    if (is_captured(s, site)) return true;
    size_t at = p->first;
    for (const struct pm_prepared_target *t; (t = next_target(p, &at));) {
        size_t most = pm_recipe_self_max_pixels(&p->recipe->targets[at - 1], s->latent_height,
                                                s->latent_width);
        if (!site->is_cross && t->self_begin < t->self_end && site->queries <= most) return true;
        if (site->is_cross && t->map.bound_count > 0) return true;
        if (t->has_mask && pm_attention_store_wants(&blended, site)) return true;
    }
    return false;
}

/* Sums of the maps that are kept, and the longest prompt's share of them as they are handed out. */
static size_t capture_bytes(size_t *handed_out, const struct pass *p)
{
    const struct pm_edit_settings *s = p->memory->settings;
    size_t floats = 0, each = 0, tokens = p->prepared->source.count, at = p->first;
    for (const struct pm_prepared_target *t; (t = next_target(p, &at));)
        tokens = larger(tokens, t->tokens.count);
    for (size_t i = 0; i < s->capture_count; i++) {
        const struct pm_attention_capture_spec *c = &s->captures[i];
        size_t pixels = c->height * c->width, rows = pixels * (c->is_cross ? tokens : pixels);
        if (c->keeps_steps) rows *= c->step_count;
        if (c->keeps_layers) rows *= c->layer_count;
        if (c->keeps_heads) rows *= c->heads;
        each += rows;
        floats += rows * (p->targets + 1);
    }
    *handed_out = each * sizeof(float);
    return floats * sizeof(float) + s->capture_count * SMALL;
}

static size_t encode_prompts_bytes(const struct pass *p)
{
    const struct pm_edit_settings *s = p->memory->settings;
    return (p->targets + 2) * (context_bytes(s) + PM_TOKENS * sizeof(int32_t)) +
           pm_text_encoder_scratch_bytes(&s->model->text_encoder, p->targets + 2,
                                         p->memory->threads);
}

/* pm_denoise. @param guided  prompts with an unconditional sample as well */
static size_t denoise_bytes(const struct pass *p, size_t prompts, size_t guided,
                            const struct pm_attention_hook *hook)
{
    const struct pm_edit_settings *s = p->memory->settings;
    const struct pm_unet *unet = &s->model->unet;
    size_t batch = prompts + guided, latent = latent_bytes(s);
    size_t state = s->schedule->sampler == PM_PNDM ? 5 * prompts * latent : 0;
    return state + batch * (2 * latent + context_bytes(s)) +
           pm_unet_context_bytes(unet, batch, PM_TOKENS) +
           pm_unet_scratch_bytes(unet, batch, PM_TOKENS, s->latent_height, s->latent_width, hook,
                                 p->memory->threads);
}

/* find_original and hand_out: the source's picture stays, and so do another one and its maps, after
 * the decoder has given its memory back. */
static size_t hand_out_bytes(const struct pass *p, size_t maps)
{
    const struct pm_edit_settings *s = p->memory->settings;
    size_t values = picture_values(s), latents = 1;
    if (s->keeps_trajectory) latents += s->schedule->evaluations;
    size_t pictures = s->latents_only ? 0 : 2 * values;
    size_t decoding = s->latents_only ? 0 : values * sizeof(float) + p->memory->decode_bytes;
    return latents * latent_bytes(s) + pictures + larger(decoding, maps);
}

/* Is the source led without guidance, so that it has no unconditional sample? */
static bool follows(const struct pm_recipe *recipe)
{
    return recipe->image.path && (recipe->image.method == PM_INVERSION_DIRECT ||
                                  recipe->image.method == PM_INVERSION_NEGATIVE_PROMPT);
}

/* run_pass */
static size_t pass_bytes(struct pass *p)
{
    const struct pm_edit_settings *s = p->memory->settings;
    size_t prompts = p->targets + 1, latent = latent_bytes(s), steps = s->schedule->evaluations;
    struct pm_attention_hook hook = {.self = p, .samples = prompts, .wants = wants};
    size_t map = p->memory->blend_height * p->memory->blend_width * PM_TOKENS;
    size_t handed_out, captures = capture_bytes(&handed_out, p);
    size_t held = prompts * latent + (prompts + 1) * context_bytes(s) + captures;
    held += (prompts * (map + PM_TOKENS) + p->targets * PACKED_MAP) * sizeof(float);
    held += p->targets * pm_latent_pixels(s) + SMALL;
    if (s->keeps_trajectory) held += (steps + 1) * prompts * latent;
    bool is_guided = pm_recipe_guidance_scale(p->recipe, s->guidance_scale) != 1.0f;
    size_t guided = is_guided ? prompts - follows(p->recipe) : 0;
    size_t most = larger(denoise_bytes(p, prompts, guided, &hook), hand_out_bytes(p, handed_out));
    return held + larger(most, encode_prompts_bytes(p));
}

/* pm_edit_image: the largest pass. */
static size_t passes_bytes(const struct pm_edit_memory *m, const struct pm_recipe *recipe,
                           const struct pm_prepared *prepared, size_t targets_per_pass)
{
    size_t most = 0;
    struct pass p = {.memory = m, .recipe = recipe, .prepared = prepared};
    do {
        p.first = p.end;
        for (p.targets = 0; p.end < recipe->target_count && p.targets < targets_per_pass; p.end++)
            p.targets += prepared->targets[p.end].error.code == PM_OK;
        most = larger(most, pass_bytes(&p));
    } while (p.end < recipe->target_count);
    return most;
}

/* pm_invert_image. @param kept  of it, for the passes */
static size_t invert_bytes(size_t *kept, const struct pm_edit_memory *m,
                           const struct pm_recipe *recipe, const struct pm_prepared *prepared)
{
    const struct pm_edit_settings *s = m->settings;
    size_t latent = latent_bytes(s), levels = s->schedule->evaluations + 1;
    size_t context = context_bytes(s), values = picture_values(s);
    struct pass alone = {.memory = m, .recipe = recipe, .prepared = prepared};
    bool is_null_text = recipe->image.method == PM_INVERSION_NULL_TEXT;
    *kept = levels * latent + (is_null_text ? (levels - 1) * context : 0) + values + SMALL;
    size_t most = denoise_bytes(&alone, 1, 0, NULL);
    most = larger(most, values * sizeof(float) + 2 * latent + m->encode_bytes);
    most = larger(most, encode_prompts_bytes(&alone));
    if (is_null_text) /* pm_null_text_optimise: Adam, and a loop that asks for gradients */
        most = larger(most, 3 * context + 10 * latent + 2 * context +
                                larger(m->gradient_bytes, denoise_bytes(&alone, 1, 1, NULL)));
    return *kept + (levels + 1) * latent + 2 * context + most;
}

size_t pm_edit_memory_bytes(const struct pm_edit_memory *m, const struct pm_recipe *recipe,
                            const struct pm_prepared *prepared, size_t targets_per_pass)
{
    size_t latent = latent_bytes(m->settings), passes, kept = 0, inversion = 0;
    size_t start = targets_per_pass * sizeof(size_t) + SMALL + latent;
    if (recipe->image.path) {
        inversion = invert_bytes(&kept, m, recipe, prepared);
        start += (m->settings->schedule->evaluations + 1) * latent;
    }
    passes = kept + start + passes_bytes(m, recipe, prepared, targets_per_pass);
    return larger(passes, inversion);
}
