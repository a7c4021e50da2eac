#include "pm/control/attention_capture.h"

#include "pm/base/error.h"

#include <string.h>

static size_t map_pixels(const struct pm_attention_capture *c)
{
    return c->spec->height * c->spec->width;
}

struct pm_attention_capture pm_attention_capture_make(const struct pm_attention_capture_spec *spec,
                                                      size_t prompts, size_t tokens,
                                                      struct pm_arena *arena)
{
    PM_ASSERT(spec->layer_count > 0 && spec->step_count > 0 && tokens <= PM_TOKENS);
    struct pm_attention_capture c = {.spec = spec,
                                     .prompts = prompts,
                                     .keys = spec->is_cross ? tokens : spec->height * spec->width,
                                     .steps = spec->keeps_steps ? spec->step_count : 1,
                                     .layers = spec->keeps_layers ? spec->layer_count : 1,
                                     .heads = spec->keeps_heads ? spec->heads : 1};
    size_t slots = c.steps * c.layers * c.heads;
    size_t floats = prompts * slots * map_pixels(&c) * c.keys;
    c.counts = pm_arena_bytes(arena, slots * sizeof *c.counts);
    c.sums = pm_arena_floats(arena, floats);
    memset(c.counts, 0, slots * sizeof *c.counts);
    memset(c.sums, 0, floats * sizeof *c.sums);
    return c;
}

/* @return whether the list has the number; *index is where */
static bool find(size_t *index, const size_t *list, size_t count, size_t number)
{
    for (*index = 0; *index < count; (*index)++)
        if (list[*index] == number) return true;
    return false;
}

bool pm_attention_capture_wants(const struct pm_attention_capture *capture,
                                const struct pm_attention_site *site, size_t step)
{
    const struct pm_attention_capture_spec *spec = capture->spec;
    size_t index;
    return site->is_cross == spec->is_cross &&
           find(&index, spec->layers, spec->layer_count, site->layer) &&
           find(&index, spec->steps, spec->step_count, step);
}

/* sums[pixels, keys] += map[pixels, map_keys], of which the first keys */
static void add_map(float *sums, const float *map, size_t pixels, size_t keys, size_t map_keys)
{
    for (size_t p = 0; p < pixels; p++)
        for (size_t k = 0; k < keys; k++) sums[p * keys + k] += map[p * map_keys + k];
}

void pm_attention_capture_add(struct pm_attention_capture *capture,
                              const struct pm_attention_site *site, size_t step, const float *probs)
{
    const struct pm_attention_capture_spec *spec = capture->spec;
    size_t pixels = map_pixels(capture), map = pixels * capture->keys, layer, at;
    size_t slots = capture->steps * capture->layers * capture->heads;
    PM_ASSERT(site->queries == pixels && site->keys >= capture->keys);
    PM_ASSERT(site->samples == capture->prompts);
    PM_ASSERT(!spec->keeps_heads || site->heads == capture->heads);
    PM_ASSERT(find(&layer, spec->layers, spec->layer_count, site->layer));
    PM_ASSERT(find(&at, spec->steps, spec->step_count, step));
    size_t first =
        ((spec->keeps_steps ? at : 0) * capture->layers + (spec->keeps_layers ? layer : 0)) *
        capture->heads;
    for (size_t h = 0; h < site->heads; h++) {
        size_t slot = first + (spec->keeps_heads ? h : 0);
        capture->counts[slot]++;
        for (size_t p = 0; p < capture->prompts; p++)
            add_map(capture->sums + (p * slots + slot) * map,
                    probs + (p * site->heads + h) * pixels * site->keys, pixels, capture->keys,
                    site->keys);
    }
}

/* The column that each token goes to, -1: none, and how many go to a column. @return columns */
static size_t choose_columns(int column[PM_TOKENS], size_t members[PM_TOKENS],
                             const struct pm_tokens *tokens, bool of_words)
{
    size_t columns = 0;
    memset(members, 0, PM_TOKENS * sizeof *members);
    for (size_t t = 0; t < tokens->count; t++) {
        column[t] = of_words ? tokens->word[t] : (int)t;
        if (column[t] < 0) continue;
        members[column[t]]++;
        if ((size_t)column[t] >= columns) columns = (size_t)column[t] + 1;
    }
    return columns;
}

/* Means of cross-attention, the tokens merged into columns. */
static void merge_tokens(struct pm_attention_maps *maps, const float *sums,
                         const struct pm_attention_capture *c, const struct pm_tokens *tokens,
                         const int *column, const size_t *members)
{
    for (size_t row = 0; row < maps->rows; row++) {
        float *out = maps->values + row * maps->columns;
        size_t slot = row / map_pixels(c);
        float count = (float)c->counts[slot];
        memset(out, 0, maps->columns * sizeof *out);
        for (size_t t = 0; t < tokens->count; t++)
            if (column[t] >= 0) out[column[t]] += sums[row * c->keys + t] / count;
        for (size_t i = 0; i < maps->columns; i++)
            if (members[i] > 1) out[i] /= (float)members[i];
    }
}

struct pm_attention_maps pm_attention_capture_maps(const struct pm_attention_capture *c,
                                                   size_t prompt, const struct pm_tokens *tokens,
                                                   struct pm_arena *arena)
{
    int column[PM_TOKENS];
    size_t members[PM_TOKENS];
    struct pm_attention_maps maps = {.rows = c->steps * c->layers * c->heads * map_pixels(c)};
    const float *sums = c->sums + prompt * maps.rows * c->keys;
    PM_ASSERT(prompt < c->prompts);
    maps.columns =
        c->spec->is_cross ? choose_columns(column, members, tokens, c->spec->of_words) : c->keys;
    PM_ASSERT(!c->spec->is_cross || tokens->count <= c->keys);
    maps.values = pm_arena_floats(arena, maps.rows * maps.columns);
    if (c->spec->is_cross) {
        merge_tokens(&maps, sums, c, tokens, column, members);
        return maps;
    }
    for (size_t row = 0; row < maps.rows; row++) {
        size_t slot = row / map_pixels(c);
        for (size_t k = row * c->keys; k < (row + 1) * c->keys; k++)
            maps.values[k] = sums[k] / (float)c->counts[slot];
    }
    return maps;
}
