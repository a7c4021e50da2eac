#include "pm/control/attention_store.h"

#include "pm/base/error.h"

#include <string.h>

enum { SHARE = 4 }; /* of the latent's side that a map's side should be */

/* How far a map's side is from the wanted share, as a ratio of at least 1. */
static double distance(const struct pm_attention_site *site)
{
    double ratio = (double)site->height * SHARE / (double)site->latent_height;
    return ratio < 1.0 ? 1.0 / ratio : ratio;
}

static bool is_candidate(const struct pm_attention_site *site)
{
    return site->is_cross && site->place != PM_MID;
}

void pm_attention_store_size(size_t *height, size_t *width, const struct pm_attention_site *sites,
                             size_t site_count)
{
    const struct pm_attention_site *nearest = NULL;
    for (size_t i = 0; i < site_count; i++)
        if (is_candidate(&sites[i]) && (!nearest || distance(&sites[i]) < distance(nearest)))
            nearest = &sites[i];
    *height = nearest ? nearest->height : 0;
    *width = nearest ? nearest->width : 0;
}

struct pm_attention_store pm_attention_store_make(size_t prompts, size_t height, size_t width,
                                                  size_t tokens, struct pm_arena *arena)
{
    size_t n = prompts * height * width * tokens;
    struct pm_attention_store store = {.prompts = prompts,
                                       .height = height,
                                       .width = width,
                                       .tokens = tokens,
                                       .sums = pm_arena_floats(arena, n)};
    memset(store.sums, 0, n * sizeof *store.sums);
    return store;
}

bool pm_attention_store_wants(const struct pm_attention_store *store,
                              const struct pm_attention_site *site)
{
    return is_candidate(site) && site->height == store->height && site->width == store->width;
}

void pm_attention_store_add(struct pm_attention_store *store, const struct pm_attention_site *site,
                            const float *probs)
{
    PM_ASSERT(site->samples == store->prompts && site->keys == store->tokens);
    size_t map = site->queries * site->keys;
    for (size_t p = 0; p < store->prompts; p++)
        for (size_t h = 0; h < site->heads; h++) {
            float *sum = store->sums + p * map;
            const float *head = probs + (p * site->heads + h) * map;
            for (size_t i = 0; i < map; i++) sum[i] += head[i];
        }
}
