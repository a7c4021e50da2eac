#include "pm/control/local_blend.h"

#include <math.h>

/* map[height, width] = Σ over the chosen tokens of the stored sums. */
static void sum_tokens(float *map, const struct pm_attention_store *store, size_t prompt,
                       const struct pm_token_set *tokens)
{
    size_t pixels = store->height * store->width;
    const float *sums = store->sums + prompt * pixels * store->tokens;
    for (size_t i = 0; i < pixels; i++) {
        float sum = 0.0f;
        for (size_t t = 0; t < store->tokens; t++)
            if (tokens->has[t]) sum += sums[i * store->tokens + t];
        map[i] = sum;
    }
}

static void max_pool_3x3(float *out, const float *x, size_t height, size_t width)
{
    for (size_t y = 0; y < height; y++)
        for (size_t c = 0; c < width; c++) {
            float max = x[y * width + c];
            for (size_t j = y ? y - 1 : 0; j <= y + 1 && j < height; j++)
                for (size_t i = c ? c - 1 : 0; i <= c + 1 && i < width; i++)
                    max = fmaxf(max, x[j * width + i]);
            out[y * width + c] = max;
        }
}

/* The normalised map at the latent's size, for one prompt's words. */
static void score(float *out, const struct pm_attention_store *store, size_t prompt,
                  const struct pm_token_set *tokens, bool pools, size_t latent_height,
                  size_t latent_width, struct pm_arena *scratch)
{
    size_t mark = scratch->used, h = store->height, w = store->width;
    float *map = pm_arena_floats(scratch, h * w), *pooled = pm_arena_floats(scratch, h * w);
    sum_tokens(map, store, prompt, tokens);
    if (pools) max_pool_3x3(pooled, map, h, w);
    const float *from = pools ? pooled : map;
    float max = 0.0f;
    for (size_t i = 0; i < h * w; i++) max = fmaxf(max, from[i]);
    for (size_t y = 0; y < latent_height; y++)
        for (size_t x = 0; x < latent_width; x++)
            out[y * latent_width + x] =
                from[y * h / latent_height * w + x * w / latent_width] / max;
    scratch->used = mark;
}

void pm_local_blend_mask(uint8_t *mask, const struct pm_local_blend *blend,
                         const struct pm_attention_store *store, size_t target,
                         size_t latent_height, size_t latent_width, float *scores,
                         struct pm_arena *scratch)
{
    size_t mark = scratch->used, n = latent_height * latent_width;
    float *both = scores ? scores : pm_arena_floats(scratch, 2 * n);
    score(both, store, 0, &blend->source, true, latent_height, latent_width, scratch);
    score(both + n, store, target, &blend->target, true, latent_height, latent_width, scratch);
    for (size_t i = 0; i < n; i++)
        mask[i] = both[i] > blend->threshold || both[n + i] > blend->threshold;
    if (blend->subtracts) {
        float *away = pm_arena_floats(scratch, 2 * n);
        score(away, store, 0, &blend->subtract_source, false, latent_height, latent_width, scratch);
        score(away + n, store, target, &blend->subtract_target, false, latent_height, latent_width,
              scratch);
        for (size_t i = 0; i < n; i++)
            if (away[i] > blend->subtract_threshold || away[n + i] > blend->subtract_threshold)
                mask[i] = 0;
    }
    scratch->used = mark;
}

void pm_local_blend_apply(float *target, const float *source, const uint8_t *mask, size_t pixels,
                          size_t channels)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++) {
            float *x = &target[i * channels + c];
            float from = source[i * channels + c];
            *x = from + (float)mask[i] * (*x - from);
        }
}
