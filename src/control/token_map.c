#include "pm/control/token_map.h"

#include "pm/control/words.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

struct pm_token_map_spec pm_token_map_spec_default(enum pm_edit edit)
{
    struct pm_token_map_spec spec = {.edit = edit, .mapper = PM_MAPPER_CORRECTED};
    for (size_t n = 0; n < PM_TOKENS; n++) {
        spec.equalizer[n] = 1.0f;
        spec.end[n] = SIZE_MAX;
    }
    return spec;
}

static void set_window(struct pm_token_map_spec *spec, size_t n, size_t steps, double begin,
                       double end)
{
    PM_ASSERT(begin >= 0.0 && begin <= 1.0 && end >= 0.0 && end <= 1.0);
    spec->begin[n] = (size_t)(begin * (double)(steps + 1));
    spec->end[n] = (size_t)(end * (double)(steps + 1));
}

void pm_token_map_spec_window(struct pm_token_map_spec *spec, size_t steps, double begin,
                              double end)
{
    for (size_t n = 0; n < PM_TOKENS; n++) set_window(spec, n, steps, begin, end);
}

bool pm_token_map_spec_word_window(struct pm_token_map_spec *spec, size_t steps, double begin,
                                   double end, const char *target_prompt,
                                   const struct pm_tokens *target, const char *word,
                                   struct pm_error *err)
{
    struct pm_token_set set;
    PM_TRY(pm_words_find(&set, target_prompt, target, word, err));
    for (size_t n = 0; n < PM_TOKENS; n++)
        if (set.has[n]) set_window(spec, n, steps, begin, end);
    return true;
}

bool pm_token_map_spec_equalize(struct pm_token_map_spec *spec, const char *target_prompt,
                                const struct pm_tokens *target, const char *word, float value,
                                struct pm_error *err)
{
    if (!isfinite(value))
        return pm_fail(err, PM_E_INPUT, "the equalizer of \"%s\" is not a finite number", word);
    struct pm_token_set set;
    PM_TRY(pm_words_find(&set, target_prompt, target, word, err));
    for (size_t n = 0; n < PM_TOKENS; n++)
        if (set.has[n]) spec->equalizer[n] = value;
    return true;
}

/* M and c of one edit, into map and share; c is 0 before. */
PM_MUST_CHECK static bool make_base(struct pm_token_map *out, const struct pm_token_map_spec *spec,
                                    const char *source_prompt, const struct pm_tokens *source,
                                    const char *target_prompt, const struct pm_tokens *target,
                                    struct pm_error *err)
{
    if (spec->edit == PM_EDIT_REPLACE)
        return pm_align_replace(out->map, source_prompt, source, target_prompt, target,
                                spec->mapper, err);
    memset(out->map, 0, sizeof out->map);
    int from[PM_TOKENS];
    float alpha[PM_TOKENS];
    if (spec->edit == PM_EDIT_REFINE) {
        pm_align_refine(from, alpha, source, target);
    } else {
        PM_ASSERT(spec->edit == PM_EDIT_REWEIGHT);
        for (int n = 0; n < PM_TOKENS; n++) {
            from[n] = n;
            alpha[n] = 1.0f;
        }
    }
    for (size_t n = 0; n < PM_TOKENS; n++) {
        if (from[n] >= 0) out->map[(size_t)from[n] * PM_TOKENS + n] = alpha[n];
        out->share[n] = 1.0f - alpha[n];
    }
    return true;
}

static void equalize(struct pm_token_map *map, const float *equalizer)
{
    for (size_t n = 0; n < PM_TOKENS; n++) {
        if (equalizer[n] == 1.0f) continue;
        for (size_t w = 0; w < PM_TOKENS; w++) map->map[w * PM_TOKENS + n] *= equalizer[n];
        map->share[n] *= equalizer[n];
    }
}

/* Keep bounds sorted, each once. Before step 0 nothing changes. */
static void add_bound(struct pm_token_map *map, size_t step)
{
    size_t i = map->bound_count;
    while (i > 0 && map->bounds[i - 1] > step) i--;
    if (step == 0 || (i > 0 && map->bounds[i - 1] == step)) return;
    memmove(&map->bounds[i + 1], &map->bounds[i], (map->bound_count - i) * sizeof *map->bounds);
    map->bounds[i] = step;
    map->bound_count++;
}

bool pm_token_map_init(struct pm_token_map *out, const struct pm_token_map_spec *spec,
                       const char *source_prompt, const struct pm_tokens *source,
                       const char *target_prompt, const struct pm_tokens *target,
                       struct pm_error *err)
{
    memset(out->share, 0, sizeof out->share);
    out->bound_count = 0;
    PM_TRY(make_base(out, spec, source_prompt, source, target_prompt, target, err));
    equalize(out, spec->equalizer);
    for (size_t n = 0; n < PM_TOKENS; n++) {
        out->changes[n] = out->share[n] != 1.0f; /* where it is 1, M has nothing */
        out->begin[n] = spec->begin[n];
        out->end[n] = spec->end[n];
        if (!out->changes[n] || out->begin[n] >= out->end[n]) continue;
        add_bound(out, out->begin[n]);
        add_bound(out, out->end[n]);
    }
    return true;
}

static bool is_active(const struct pm_token_map *map, size_t n, size_t step)
{
    return map->changes[n] && map->begin[n] <= step && step < map->end[n];
}

void pm_token_map_at(float *a, float *d, const struct pm_token_map *map, size_t step)
{
    for (size_t n = 0; n < PM_TOKENS; n++) {
        bool active = is_active(map, n, step);
        for (size_t w = 0; w < PM_TOKENS; w++)
            a[w * PM_TOKENS + n] = active ? map->map[w * PM_TOKENS + n] : 0.0f;
        d[n] = active ? map->share[n] : 1.0f;
    }
}

size_t pm_token_map_phase(const struct pm_token_map *map, size_t step)
{
    size_t phase = 0;
    while (phase < map->bound_count && map->bounds[phase] <= step) phase++;
    return phase;
}

bool pm_token_map_is_idle(const struct pm_token_map *map, size_t step)
{
    for (size_t n = 0; n < PM_TOKENS; n++)
        if (is_active(map, n, step)) return false;
    return true;
}
