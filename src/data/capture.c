#include "pm/data/capture.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_BYTES = 512 };

static const char *const keys[] = {"images", "latents", "inversions", "attention", NULL};
static const char *const attention_keys[] = {"name",  "kind",   "size", "layers", "heads",
                                             "steps", "tokens", "when", "dtype",  NULL};

static bool read_name(const char **name, const json_t *json, const char *where,
                      struct pm_error *err)
{
    const size_t most = PM_STORE_PATH_BYTES - sizeof "/attention/";
    PM_TRY(pm_json_string(json, where, "name", name, err));
    if (!*name) return pm_fail(err, PM_E_INPUT, "%s: \"name\" of a capture is missing", where);
    bool ok = **name && strlen(*name) <= most;
    for (const char *c = *name; *c; c++) ok = ok && (isalnum((unsigned char)*c) || *c == '_');
    return ok || pm_fail(err, PM_E_INPUT,
                         "%s: the name \"%.80s\" is not of 1 to %zu letters, digits and _", where,
                         *name, most);
}

static int by_name(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    return strcmp(json_string_value(json_object_get(x, "name")),
                  json_string_value(json_object_get(y, "name")));
}

/* What decides nothing, the order, is made the same always. */
static bool sort_by_name(json_t *list, const char *where, struct pm_error *err)
{
    json_t *sorted[PM_STORE_MAX_CAPTURES];
    size_t count = json_array_size(list);
    if (count > PM_STORE_MAX_CAPTURES)
        return pm_fail(err, PM_E_INPUT, "%s: \"attention\" has %zu captures; %d are the most",
                       where, count, PM_STORE_MAX_CAPTURES);
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        sorted[i] = json_array_get(list, i);
        PM_TRY(pm_json_check_keys(sorted[i], where, attention_keys, err));
        PM_TRY(read_name(&name, sorted[i], where, err));
    }
    if (count > 1) qsort(sorted, count, sizeof(json_t *), by_name);
    for (size_t i = 1; i < count; i++)
        if (by_name(&sorted[i - 1], &sorted[i]) == 0)
            return pm_fail(err, PM_E_INPUT, "%s: two captures have the name \"%s\"", where,
                           json_string_value(json_object_get(sorted[i], "name")));
    for (size_t i = 0; i < count; i++) json_incref(sorted[i]);
    for (size_t i = 0; i < count; i++) json_array_set_new(list, i, sorted[i]);
    return true;
}

/* "mean", "each" or, where there is room for one, a list. */
static bool read_axis(enum pm_capture_axis *axis, const json_t **listed, const json_t *json,
                      const char *where, const char *key, struct pm_error *err)
{
    const json_t *value = json_object_get(json, key);
    const char *text = json_string_value(value);
    if (text && strcmp(text, "mean") == 0)
        *axis = PM_CAPTURE_MEAN;
    else if (text && strcmp(text, "each") == 0)
        *axis = PM_CAPTURE_EACH;
    else if (!listed || !json_is_array(value) || json_array_size(value) == 0)
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is to be \"mean\"%s", where, key,
                       listed ? ", \"each\" or a list of numbers" : " or \"each\"");
    else
        *axis = PM_CAPTURE_LISTED;
    if (*axis != PM_CAPTURE_LISTED) return true;
    *listed = value;
    json_int_t before = -1;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *number = json_array_get(value, i);
        if (!json_is_integer(number) || json_integer_value(number) <= before)
            return pm_fail(err, PM_E_INPUT,
                           "%s: \"%s\" is to be a list of whole numbers from 0 up, ascending",
                           where, key);
        before = json_integer_value(number);
    }
    return true;
}

/* "blend", or [map_y, map_x]. */
static bool read_size(struct pm_capture_attention *a, const json_t *json, const char *where,
                      struct pm_error *err)
{
    const json_t *size = json_object_get(json, "size");
    if (!size || (json_is_string(size) && strcmp(json_string_value(size), "blend") == 0))
        return true;
    json_int_t height = json_integer_value(json_array_get(size, 0));
    json_int_t width = json_integer_value(json_array_get(size, 1));
    if (json_array_size(size) != 2 || height < 1 || width < 1 || height > 4096 || width > 4096)
        return pm_fail(err, PM_E_INPUT,
                       "%s: \"size\" is to be \"blend\" or [height, width] of the maps", where);
    a->has_size = true;
    a->height = (size_t)height;
    a->width = (size_t)width;
    return true;
}

static void fill_attention_defaults(json_t *json)
{
    const char *kind = json_string_value(json_object_get(json, "kind"));
    pm_json_set_missing(json, "kind", json_string("cross"));
    pm_json_set_missing(json, "layers", json_string("mean"));
    if (!json_is_array(json_object_get(json, "layers")))
        pm_json_set_missing(json, "size", json_string("blend"));
    pm_json_set_missing(json, "heads", json_string("mean"));
    pm_json_set_missing(json, "steps", json_string("mean"));
    if (!kind || strcmp(kind, "self") != 0) pm_json_set_missing(json, "tokens", json_string("all"));
    pm_json_set_missing(json, "when", json_string("after"));
    pm_json_set_missing(json, "dtype", json_string("f32"));
}

static bool read_attention(struct pm_capture_attention *a, json_t *json, const char *in,
                           struct pm_error *err)
{
    static const char
        *const kinds[] = {"cross", "self", NULL},
               *const tokens[] = {"all", "words", NULL}, *const whens[] = {"after", "before", NULL},
               *const dtypes[] = {"f32", "f16", "u8", NULL}; /* as enum pm_store_number */
    char where[PLACE_BYTES];
    int kind = 0, token = 0, when = 0, dtype = 0;
    *a = (struct pm_capture_attention){0};
    PM_TRY(read_name(&a->name, json, in, err));
    snprintf(where, sizeof where, "%.400s: the capture \"%s\"", in, a->name);
    fill_attention_defaults(json);
    PM_TRY(pm_json_choice(json, where, "kind", kinds, &kind, err));
    PM_TRY(pm_json_choice(json, where, "tokens", tokens, &token, err));
    PM_TRY(pm_json_choice(json, where, "when", whens, &when, err));
    PM_TRY(pm_json_choice(json, where, "dtype", dtypes, &dtype, err));
    if (kind == 1 && json_object_get(json, "tokens"))
        return pm_fail(err, PM_E_INPUT, "%s: self-attention has no \"tokens\"", where);
    a->is_self = kind == 1;
    a->of_words = token == 1;
    a->is_before = when == 1;
    a->number = (enum pm_store_number)dtype;
    PM_TRY(read_size(a, json, where, err));
    PM_TRY(read_axis(&a->steps, &a->listed_steps, json, where, "steps", err));
    PM_TRY(read_axis(&a->layers, &a->listed_layers, json, where, "layers", err));
    return read_axis(&a->heads, NULL, json, where, "heads", err);
}

bool pm_capture_read(struct pm_capture *out, json_t *json, const char *where, struct pm_error *err)
{
    static const char *const latents[] = {"none", "ends", "trajectory", NULL};
    int kept = PM_STORE_ENDS;
    *out = (struct pm_capture){0};
    PM_TRY(pm_json_check_keys(json, where, keys, err));
    pm_json_set_missing(json, "images", json_true());
    pm_json_set_missing(json, "latents", json_string("ends"));
    pm_json_set_missing(json, "inversions", json_false());
    pm_json_set_missing(json, "attention", json_pack("[{ss}]", "name", "cross_mean"));
    PM_TRY(pm_json_bool(json, where, "images", &out->images, err));
    PM_TRY(pm_json_choice(json, where, "latents", latents, &kept, err));
    PM_TRY(pm_json_bool(json, where, "inversions", &out->inversions, err));
    out->latents = (enum pm_store_latents)kept;
    json_t *list = json_object_get(json, "attention");
    if (!json_is_array(list))
        return pm_fail(err, PM_E_INPUT, "%s: \"attention\" is to be a list of captures, not %s",
                       where, pm_json_kind(list));
    PM_TRY(sort_by_name(list, where, err));
    out->attention_count = json_array_size(list);
    for (size_t i = 0; i < out->attention_count; i++)
        PM_TRY(read_attention(&out->attention[i], json_array_get(list, i), where, err));
    return true;
}
