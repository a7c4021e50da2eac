#include "pm/edit/recipe.h"

#include "recipe_image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The null-text notebook's settings (google/prompt-to-prompt, null_text_w_ptp.ipynb). */
static const double CROSS_REPLACE_STEPS = 0.8, SELF_REPLACE_STEPS = 0.4;
static const double SELF_REPLACE_MAX_SIDE = 0.5;

static const char *const line_keys[] = {"id",   "source",         "image", "fit",   "crop",
                                        "mask", "inversion",      "seed",  "noise", "targets",
                                        "meta", "guidance_scale", NULL};
static const char *const target_keys[] = {"prompt",
                                          "edit",
                                          "mapper",
                                          "cross_replace_steps",
                                          "self_replace_steps",
                                          "self_replace_max_side",
                                          "self_replace_max_pixels",
                                          "equalizer",
                                          "local_blend",
                                          "restore",
                                          NULL};
static const char *const self_max_keys[] = {"self_replace_max_side", "self_replace_max_pixels",
                                            NULL};
/* Of local blends that do not say it themselves; given alone, they make no blend. */
static const struct {
    const char *key, *member;
    double otherwise;
} blend_defaults[] = {{"local_blend.threshold", "threshold", 0.3},
                      {"local_blend.start", "start", 0.2}};
enum { BLEND_DEFAULTS = sizeof blend_defaults / sizeof *blend_defaults };
/* Keys that cannot be the same for every edit, and one that the config has for all. */
static const char *const single_keys[] = {"id",     "source", "image",          "mask", "targets",
                                          "prompt", "meta",   "guidance_scale", NULL};
/* Keys of the noise, which a real picture's edit does not start from. */
static const char *const noise_keys[] = {"seed", "noise", NULL};
static const char *const noise_names[] = {"torch", "counter", NULL};
static const char *const edit_names[] = {"replace", "refine", "reweight", NULL};
static const char *const mapper_names[] = {"corrected", "reference", NULL};

const char *pm_edit_name(enum pm_edit edit)
{
    return edit_names[edit];
}

static bool is_one_of(const char *key, const char *const *keys)
{
    while (*keys && strcmp(*keys, key) != 0) keys++;
    return *keys != NULL;
}

static bool check_self_max(const json_t *object, const char *where, struct pm_error *err)
{
    if (!json_object_get(object, self_max_keys[0]) || !json_object_get(object, self_max_keys[1]))
        return true;
    return pm_fail(err, PM_E_INPUT, "%s: \"%s\" and \"%s\" are both given; one is wanted", where,
                   self_max_keys[0], self_max_keys[1]);
}

bool pm_recipe_check_defaults(const json_t *defaults, const char *where, struct pm_error *err)
{
    const char *known[sizeof line_keys / sizeof *line_keys +
                      sizeof target_keys / sizeof *target_keys + BLEND_DEFAULTS];
    size_t n = 0;
    for (size_t i = 0; i < BLEND_DEFAULTS; i++) known[n++] = blend_defaults[i].key;
    for (size_t i = 0; line_keys[i]; i++)
        if (!is_one_of(line_keys[i], single_keys)) known[n++] = line_keys[i];
    for (size_t i = 0; target_keys[i]; i++)
        if (!is_one_of(target_keys[i], single_keys)) known[n++] = target_keys[i];
    known[n] = NULL;
    return pm_json_check_keys(defaults, where, known, err) && check_self_max(defaults, where, err);
}

/* Two keys say the same in different ways; then an object's own one makes the other's default void. */
static bool is_said(const json_t *object, const char *key)
{
    bool is_self_max = is_one_of(key, self_max_keys);
    return json_object_get(object, key) ||
           (is_self_max && (json_object_get(object, self_max_keys[0]) ||
                            json_object_get(object, self_max_keys[1])));
}

/* @param without  keys that would have no effect here */
static void take_defaults(json_t *object, const json_t *defaults, const char *const *keys,
                          const char *const *without)
{
    for (size_t i = 0; keys[i]; i++) {
        if (without && is_one_of(keys[i], without)) continue;
        const json_t *value = json_object_get(defaults, keys[i]);
        if (value && !is_said(object, keys[i]))
            json_object_set_new(object, keys[i], json_deep_copy(value));
    }
}

static void resolve_blend(json_t *blend, const json_t *defaults)
{
    if (!json_is_object(blend)) return;
    pm_json_set_missing(blend, "background", json_string("source"));
    for (size_t i = 0; i < BLEND_DEFAULTS; i++) {
        const json_t *value = json_object_get(defaults, blend_defaults[i].key);
        pm_json_set_missing(blend, blend_defaults[i].member,
                            value ? json_deep_copy(value) : json_real(blend_defaults[i].otherwise));
    }
    json_t *subtract = json_object_get(blend, "subtract");
    const json_t *threshold = json_object_get(blend, "threshold");
    if (json_is_object(subtract))
        pm_json_set_missing(subtract, "threshold", json_deep_copy(threshold));
}

void pm_recipe_resolve(json_t *line, const json_t *defaults)
{
    if (!json_is_object(line)) return;
    bool is_real = json_object_get(line, "image") != NULL;
    take_defaults(line, defaults, line_keys, is_real ? noise_keys : pm_recipe_image_keys);
    if (!is_real) {
        pm_json_set_missing(line, "seed", json_integer(0));
        pm_json_set_missing(line, "noise", json_string("torch"));
    }
    pm_recipe_image_resolve(line);
    pm_json_set_missing(line, "targets", json_array());
    size_t i;
    json_t *target;
    json_array_foreach(json_object_get(line, "targets"), i, target)
    {
        if (!json_is_object(target)) continue;
        take_defaults(target, defaults, target_keys, NULL);
        const json_t *edit = json_object_get(target, "edit"),
                     *source = json_object_get(line, "source");
        if (json_is_string(edit) && strcmp(json_string_value(edit), "reweight") == 0 && source)
            pm_json_set_missing(target, "prompt", json_deep_copy(source));
        pm_json_set_missing(target, "mapper", json_string("corrected"));
        pm_json_set_missing(target, "cross_replace_steps", json_real(CROSS_REPLACE_STEPS));
        pm_json_set_missing(target, "self_replace_steps", json_real(SELF_REPLACE_STEPS));
        if (!is_said(target, self_max_keys[0]))
            json_object_set_new(target, self_max_keys[0], json_real(SELF_REPLACE_MAX_SIDE));
        resolve_blend(json_object_get(target, "local_blend"), defaults);
        pm_recipe_restore_resolve(target);
    }
}

/* A number f means 0 .. f, as in the reference; or [begin, end]. */
static bool read_window(struct pm_window *out, const json_t *value, const char *where,
                        const char *key, struct pm_error *err)
{
    const json_t *first = json_array_get(value, 0), *last = json_array_get(value, 1);
    if (json_is_number(value))
        *out = (struct pm_window){0.0, json_number_value(value)};
    else if (json_array_size(value) == 2 && json_is_number(first) && json_is_number(last))
        *out = (struct pm_window){json_number_value(first), json_number_value(last)};
    else
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is a fraction, or [begin, end] of two", where,
                       key);
    if (!(out->begin >= 0.0 && out->begin <= out->end && out->end <= 1.0))
        return pm_fail(
            err, PM_E_INPUT,
            "%s: \"%s\" is [%g, %g]; fractions of the steps are wanted, 0 <= begin <= end "
            "<= 1",
            where, key, out->begin, out->end);
    return true;
}

static bool append_word(struct pm_word_list *list, const char *word, const char *where,
                        const char *key, struct pm_error *err)
{
    if (list->count == PM_MAX_WORDS)
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" has more than %d words", where, key,
                       PM_MAX_WORDS);
    if (!*word) return pm_fail(err, PM_E_INPUT, "%s: \"%s\" has an empty word", where, key);
    list->words[list->count++] = word;
    return true;
}

/* cross_replace_steps: a window, or {"default": window, "word": window, ...}. */
static bool read_cross(struct pm_target_recipe *t, const json_t *value, const char *where,
                       struct pm_error *err)
{
    const char *key = "cross_replace_steps", *word;
    if (!json_is_object(value)) return read_window(&t->cross, value, where, key, err);
    t->cross = (struct pm_window){0.0, 1.0}; /* the reference's, for a dictionary without default */
    json_t *window;
    json_object_foreach((json_t *)value, word, window)
    {
        if (strcmp(word, "default") == 0) {
            PM_TRY(read_window(&t->cross, window, where, key, err));
            continue;
        }
        PM_TRY(append_word(&t->cross_words, word, where, key, err));
        PM_TRY(read_window(&t->cross_windows[t->cross_words.count - 1], window, where, key, err));
    }
    return true;
}

static bool read_equalizer(struct pm_target_recipe *t, const json_t *value, const char *where,
                           struct pm_error *err)
{
    const char *word;
    json_t *scale;
    if (!value || json_is_null(value)) return true; /* null: no default either */
    if (!json_is_object(value) || json_object_size(value) == 0)
        return pm_fail(err, PM_E_INPUT, "%s: \"equalizer\" is {\"word\": factor, ...}, not %s",
                       where, json_is_object(value) ? "empty" : pm_json_kind(value));
    json_object_foreach((json_t *)value, word, scale)
    {
        PM_TRY(append_word(&t->equalizer, word, where, "equalizer", err));
        PM_TRY(pm_json_number(value, where, word, -1000.0, 1000.0,
                              &t->equalizer_values[t->equalizer.count - 1], err));
    }
    return true;
}

static bool read_words(struct pm_word_list *list, const json_t *object, const char *key,
                       const char *where, struct pm_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value)) return append_word(list, json_string_value(value), where, key, err);
    if (!json_is_array(value) || json_array_size(value) == 0)
        return pm_fail(err, PM_E_INPUT, "%s: local_blend needs \"%s\": a word or a list of words",
                       where, key);
    size_t i;
    json_t *word;
    json_array_foreach(value, i, word)
    {
        if (!json_is_string(word))
            return pm_fail(err, PM_E_INPUT, "%s: local_blend's \"%s\"[%zu] is %s; a word is wanted",
                           where, key, i, pm_json_kind(word));
        PM_TRY(append_word(list, json_string_value(word), where, key, err));
    }
    return true;
}

/* What is kept outside the mask: the source's latents, or the inversion's. */
static bool read_background(struct pm_blend_recipe *blend, const json_t *value, const char *where,
                            bool is_real, struct pm_error *err)
{
    static const char *const backgrounds[] = {"source", "inversion", NULL};
    int background = 0;
    PM_TRY(pm_json_choice(value, where, "background", backgrounds, &background, err));
    blend->against_inversion = background == 1;
    if (blend->against_inversion && !is_real)
        return pm_fail(err, PM_E_INPUT,
                       "%s: there is no \"inversion\" to be the background without an \"image\"",
                       where);
    return true;
}

static bool read_blend(struct pm_target_recipe *t, const json_t *value, const char *where,
                       bool is_real, struct pm_error *err)
{
    static const char *const keys[] = {"source",     "target",   "threshold", "start",
                                       "background", "subtract", NULL};
    static const char *const subtract_keys[] = {"source", "target", "threshold", NULL};
    char place[PM_ERROR_BYTES + 16];
    if (!value || json_is_null(value)) return true;
    snprintf(place, sizeof place, "%s.local_blend", where);
    struct pm_blend_recipe *b = &t->blend;
    t->has_blend = true;
    PM_TRY(pm_json_check_keys(value, place, keys, err));
    PM_TRY(read_background(b, value, place, is_real, err));
    b->of_differing_words = !json_object_get(value, "source") && !json_object_get(value, "target");
    if (!b->of_differing_words) {
        PM_TRY(read_words(&b->source, value, "source", where, err));
        PM_TRY(read_words(&b->target, value, "target", where, err));
    }
    PM_TRY(pm_json_number(value, place, "threshold", 0.0, 1.0, &b->threshold, err));
    PM_TRY(pm_json_number(value, place, "start", 0.0, 1.0, &b->start, err));
    const json_t *subtract = json_object_get(value, "subtract");
    if (!subtract) return true;
    PM_TRY(pm_json_check_keys(subtract, place, subtract_keys, err));
    PM_TRY(read_words(&b->subtract_source, subtract, "source", where, err));
    PM_TRY(read_words(&b->subtract_target, subtract, "target", where, err));
    return pm_json_number(subtract, place, "threshold", 0.0, 1.0, &b->subtract_threshold, err);
}

static bool read_target(struct pm_target_recipe *t, const json_t *json, const char *where,
                        bool is_real, struct pm_error *err)
{
    int edit = -1, mapper = 0;
    PM_TRY(pm_json_check_keys(json, where, target_keys, err));
    PM_TRY(pm_json_string(json, where, "prompt", &t->prompt, err));
    PM_TRY(pm_json_choice(json, where, "edit", edit_names, &edit, err));
    if (edit < 0)
        return pm_fail(err, PM_E_INPUT,
                       "%s: \"edit\" is missing; it is \"replace\", \"refine\" or \"reweight\"",
                       where);
    if (!t->prompt) return pm_fail(err, PM_E_INPUT, "%s: \"prompt\" is missing", where);
    PM_TRY(pm_json_choice(json, where, "mapper", mapper_names, &mapper, err));
    t->edit = (enum pm_edit)edit;
    t->mapper = (enum pm_mapper)mapper;
    PM_TRY(read_cross(t, json_object_get(json, "cross_replace_steps"), where, err));
    PM_TRY(read_window(&t->self, json_object_get(json, "self_replace_steps"), where,
                       "self_replace_steps", err));
    t->self_max_side = SELF_REPLACE_MAX_SIDE;
    PM_TRY(check_self_max(json, where, err));
    PM_TRY(pm_json_number(json, where, self_max_keys[0], 0.0, 1.0, &t->self_max_side, err));
    PM_TRY(pm_json_size(json, where, self_max_keys[1], 1, 1 << 24, &t->self_max_pixels, err));
    PM_TRY(read_equalizer(t, json_object_get(json, "equalizer"), where, err));
    if (t->edit == PM_EDIT_REWEIGHT && t->equalizer.count == 0)
        return pm_fail(err, PM_E_INPUT, "%s: \"reweight\" needs an \"equalizer\"", where);
    PM_TRY(read_blend(t, json_object_get(json, "local_blend"), where, is_real, err));
    return pm_recipe_restore_read(t, json, where, err);
}

static bool read_line(struct pm_recipe *r, const char *where, struct pm_error *err)
{
    int noise = 0;
    PM_TRY(pm_json_check_keys(r->json, where, line_keys, err));
    PM_TRY(pm_json_string(r->json, where, "id", &r->id, err));
    PM_TRY(pm_json_string(r->json, where, "source", &r->source, err));
    if (!r->id || !*r->id)
        return pm_fail(err, PM_E_INPUT, "%s: \"id\" is %s", where, r->id ? "empty" : "missing");
    if (!r->source) return pm_fail(err, PM_E_INPUT, "%s: \"source\" is missing", where);
    PM_TRY(pm_recipe_image_read(&r->image, r->json, where, err));
    PM_TRY(pm_json_uint64(r->json, where, "seed", INT64_MAX, &r->seed, err));
    PM_TRY(pm_json_choice(r->json, where, "noise", noise_names, &noise, err));
    r->noise = (enum pm_noise)noise;
    r->has_guidance_scale = json_object_get(r->json, "guidance_scale") != NULL;
    PM_TRY(pm_json_number(r->json, where, "guidance_scale", 0.0, 100.0, &r->guidance_scale, err));
    const json_t *meta = json_object_get(r->json, "meta");
    if (meta && !json_is_object(meta))
        return pm_fail(err, PM_E_INPUT, "%s: \"meta\" is %s; an object {...} is wanted", where,
                       pm_json_kind(meta));
    const json_t *targets = json_object_get(r->json, "targets");
    if (!json_is_array(targets))
        return pm_fail(err, PM_E_INPUT, "%s: \"targets\" is %s; a list is wanted", where,
                       pm_json_kind(targets));
    if (json_array_size(targets) > PM_MAX_TARGETS)
        return pm_fail(err, PM_E_INPUT, "%s: %zu targets are more than %d", where,
                       json_array_size(targets), PM_MAX_TARGETS);
    return true;
}

bool pm_recipe_read(struct pm_recipe *out, json_t *json, const char *where, struct pm_error *err)
{
    *out = (struct pm_recipe){.json = json};
    if (!read_line(out, where, err)) {
        pm_recipe_free(out);
        return false;
    }
    const json_t *targets = json_object_get(json, "targets");
    out->target_count = json_array_size(targets);
    out->targets = calloc(out->target_count + 1, sizeof *out->targets);
    if (!out->targets) pm_die("no memory for %zu targets", out->target_count);
    for (size_t i = 0; i < out->target_count; i++) {
        char place[PM_ERROR_BYTES];
        struct pm_target_recipe *target = &out->targets[i];
        snprintf(place, sizeof place, "%s: targets[%zu]", where, i);
        if (!read_target(target, json_array_get(targets, i), place, out->image.path != NULL,
                         &target->error))
            PM_ASSERT(target->error.code != PM_OK);
    }
    return true;
}

size_t pm_recipe_self_max_pixels(const struct pm_target_recipe *target, size_t latent_height,
                                 size_t latent_width)
{
    if (target->self_max_pixels > 0) return target->self_max_pixels;
    /* rounded up as the maps' sides are */
    return (size_t)ceil(target->self_max_side * (double)latent_height) *
           (size_t)ceil(target->self_max_side * (double)latent_width);
}

float pm_recipe_guidance_scale(const struct pm_recipe *recipe, float usual)
{
    return recipe->has_guidance_scale ? (float)recipe->guidance_scale : usual;
}

void pm_recipe_free(struct pm_recipe *recipe)
{
    json_decref(recipe->json);
    free(recipe->targets);
    *recipe = (struct pm_recipe){0};
}
