#include "import_lines.h"

#include "pm/base/path.h"
#include "pm/data/mask.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 1 << 28, SIDE = 512, PLACE_BYTES = 160 };

/* By editing_type_id. */
static const char *const categories[] = {
    "random",      "change object", "add object",      "delete object",     "change content",
    "change pose", "change color",  "change material", "change background", "change style"};
enum { CATEGORIES = sizeof categories / sizeof *categories };

/* PnPInversion's run_editing_p2p.py. Its seed is without effect on a real picture. */
static const double CROSS_REPLACE_STEPS = 0.4, SELF_REPLACE_STEPS = 0.6, WORD_FACTOR = 2.0;

/* "a [red] cat" as the models are told it. @return owned by the caller */
static json_t *without_brackets(const char *prompt)
{
    size_t n = 0;
    char *text = malloc(strlen(prompt) + 1);
    if (!text) pm_die("no memory for a prompt");
    for (const char *c = prompt; *c; c++)
        if (*c != '[' && *c != ']') text[n++] = *c;
    json_t *string = json_stringn(text, n);
    free(text);
    return string;
}

/* "cat dog" to {"source": "cat", "target": "dog"}; more words are not used there either.
 * @return NULL for an empty one, or with err set */
static json_t *read_blend(const char *words, const char *where, struct pm_error *err)
{
    if (!*words) return NULL;
    const char *space = strchr(words, ' ');
    size_t source = space ? (size_t)(space - words) : 0,
           target = space ? strcspn(space + 1, " ") : 0;
    if (source > 0 && target > 0)
        return json_pack("{s:s%, s:s%}", "source", words, source, "target", space + 1, target);
    pm_fail(err, PM_E_INPUT,
            "%s: \"blended_word\" is \"%s\"; a source and a target word with a space between are "
            "wanted",
            where, words);
    return NULL;
}

static bool read_category(const char **out, const json_t *entry, const char *where,
                          struct pm_error *err)
{
    const char *id = NULL;
    *out = NULL;
    PM_TRY(pm_json_string(entry, where, "editing_type_id", &id, err));
    if (!id) return true;
    if (id[0] < '0' || id[0] >= '0' + CATEGORIES || id[1])
        return pm_fail(err, PM_E_INPUT,
                       "%s: \"editing_type_id\" is \"%s\"; it must be from \"0\" to \"9\"", where,
                       id);
    *out = categories[id[0] - '0'];
    return true;
}

/* @return the mask as PIE-Bench's scripts decode it; NULL with err set */
static json_t *read_mask(const json_t *runs, const char *where, struct pm_error *err)
{
    char place[PLACE_BYTES + 16];
    snprintf(place, sizeof place, "%s: \"mask\"", where);
    uint8_t *mask = malloc((size_t)SIDE * SIDE);
    if (!mask) pm_die("no memory for a mask");
    json_t *json = NULL;
    if (pm_mask_from_runs(mask, (size_t)SIDE * SIDE, runs, true, place, err)) {
        for (size_t i = 0; i < SIDE; i++) /* against slips of annotation at the border, they say */
            mask[i] = mask[(SIDE - 1) * SIDE + i] = mask[i * SIDE] = mask[i * SIDE + SIDE - 1] = 1;
        json = pm_mask_to_runs(mask, SIDE, SIDE);
    }
    free(mask);
    return json;
}

static json_t *make_target(const char *prompt, json_t *blend, bool published_settings)
{
    json_t *target = json_pack("{s:o, s:s}", "prompt", without_brackets(prompt), "edit", "refine");
    if (published_settings) {
        json_object_set_new(target, "cross_replace_steps", json_real(CROSS_REPLACE_STEPS));
        json_object_set_new(target, "self_replace_steps", json_real(SELF_REPLACE_STEPS));
        if (blend)
            json_object_set_new(target, "equalizer",
                                json_pack("{s:f}",
                                          json_string_value(json_object_get(blend, "target")),
                                          WORD_FACTOR));
    }
    if (blend) json_object_set_new(target, "local_blend", blend);
    return target;
}

static json_t *make_meta(const json_t *entry, const char *category)
{
    json_t *meta = json_copy((json_t *)entry);
    json_object_del(meta, "mask");
    if (category) pm_json_set_missing(meta, "category", json_string(category));
    return meta;
}

static bool import_entry(struct pm_import_result *result, FILE *out, const char *id,
                         const json_t *entry, const char *where,
                         const struct pm_import_options *options, struct pm_error *err)
{
    const char *image, *source, *prompt, *category, *words = "";
    if (!json_is_object(entry))
        return pm_fail(err, PM_E_INPUT, "%s is %s; an object {...} is wanted", where,
                       pm_json_kind(entry));
    PM_TRY(pm_import_text(&image, entry, where, "image_path", err));
    PM_TRY(pm_import_text(&source, entry, where, "original_prompt", err));
    PM_TRY(pm_import_text(&prompt, entry, where, "editing_prompt", err));
    PM_TRY(pm_json_string(entry, where, "blended_word", &words, err));
    PM_TRY(read_category(&category, entry, where, err));
    const json_t *runs = json_object_get(entry, "mask");
    json_t *mask = runs ? read_mask(runs, where, err) : NULL;
    if (runs && !mask) return false;
    json_t *blend = read_blend(words, where, err);
    if (*words && !blend) {
        json_decref(mask);
        return false;
    }
    json_t *line = json_pack("{s:s, s:o, s:o}", "id", id, "source", without_brackets(source),
                             "image", json_sprintf("%s/%s", options->images, image));
    json_object_set_new(line, "targets",
                        json_pack("[o]", make_target(prompt, blend, options->published_settings)));
    json_object_set_new(line, "meta", make_meta(entry, category));
    if (mask) json_object_set_new(line, "mask", mask); /* last: it is long */
    return pm_import_write(result, out, line, where, err);
}

bool pm_import_pie_bench(struct pm_import_result *result, FILE *out, const char *path,
                         const struct pm_import_options *options, struct pm_error *err)
{
    json_t *file, *entry;
    const char *id, *name = pm_path_name(path);
    *result = (struct pm_import_result){0};
    PM_TRY(pm_json_load(&file, path, FILE_MAX_BYTES, err));
    bool ok = (json_is_object(file) && json_object_size(file) > 0) ||
              pm_fail(err, PM_E_FORMAT, "%s: an object of edits by their ids is wanted", path);
    json_object_foreach(file, id, entry)
    {
        char where[PLACE_BYTES];
        snprintf(where, sizeof where, "%.60s: \"%.80s\"", name, id);
        ok = import_entry(result, out, id, entry, where, options, err);
        if (!ok) break;
    }
    json_decref(file);
    return ok;
}
