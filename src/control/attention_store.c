#include "pm/control/attention_store.h"

#include "pm/base/error.h"

#include <string.h>

enum { WANTED_HALVINGS = 2 }; /* of the latent's sides: a quarter */

/* How often both sides were halved, rounding up, from the latent to the map. */
static size_t halvings(const struct pm_attention_site *site)
{
    size_t height = site->latent_height, width = site->latent_width, times = 0;
    PM_ASSERT(site->height > 0 && site->width > 0);
    for (; height > site->height || width > site->width; times++) {
        height = (height + 1) / 2;
        width = (width + 1) / 2;
    }
    return times;
}

static size_t distance(const struct pm_attention_site *site)
{
    size_t times = halvings(site);
    return times > WANTED_HALVINGS ? times - WANTED_HALVINGS : WANTED_HALVINGS - times;
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
