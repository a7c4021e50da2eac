#include "config_impl.h"

#include "pm/data/store.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 1 << 20, MAX_PARTS = 1000 };

static const char *const keys[] = {"model",          "manifest",  "store",
                                   "width",          "height",    "steps",
                                   "guidance_scale", "scheduler", "negative_prompt",
                                   "seed",           "noise",     "defaults",
                                   "capture",        "limits",    "part",
                                   "sweep",          "lora",      "embeddings",
                                   "inversions",     "tokenizer", "model_config",
                                   "prediction",     "precision", "profile",
                                   "packed_weights", NULL};
static const char *const limit_keys[] = {
    "threads",      "targets_per_pass", "attempts",  "store_bytes",
    "memory_bytes", "time_seconds",     "halt_file", NULL};
static const char *const store_keys[] = {"path", "files", NULL};
static const char *const file_names[] = {"one", "node", NULL};
static const char *const scheduler_names[] = {"model", "ddim", "pndm", NULL};
static const char *const precision_names[] = {"fp32", "bf16", NULL};
static const char *const prediction_names[] = {"model", "epsilon", "v_prediction", NULL};
/* What may differ between runs that go on with one store, or is compared by itself. */
static const char *const indifferent_keys[] = {
    "model",      "manifest",  "store",        "limits",  "lora",           "embeddings",
    "inversions", "tokenizer", "model_config", "profile", "packed_weights", NULL};

static bool append_addition(json_t *json, const struct pm_config_override *o, bool is_first,
                            struct pm_error *err)
{
    char here[PATH_MAX];
    json_t *entry;
    PM_TRY(pm_config_real_folder(here, ".", err));
    PM_TRY(pm_config_addition_from_flag(&entry, o, err));
    if (!pm_config_root_path(entry, "file", here, err)) {
        json_decref(entry);
        return false;
    }
    if (is_first || !json_is_array(json_object_get(json, o->key)))
        json_object_set_new(json, o->key, json_array());
    json_array_append_new(json_object_get(json, o->key), entry);
    return true;
}

/* @param overrides  [index + 1]: the one to apply, after those before it */
static bool apply_override(json_t *json, const struct pm_config_override *overrides, size_t index,
                           struct pm_error *err)
{
    const struct pm_config_override *o = &overrides[index];
    if (o->kind == PM_CONFIG_LORA || o->kind == PM_CONFIG_EMBEDDING) {
        size_t first = 0;
        while (overrides[first].kind != o->kind) first++;
        return append_addition(json, o, first == index, err);
    }
    char here[PATH_MAX];
    json_t *object = json, *value;
    const char *key = o->key, *dot = strchr(key, '.');
    if (dot) {
        char outer[32];
        snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
        if (!json_is_object(json_object_get(json, outer)))
            json_object_set_new(json, outer, json_object());
        object = json_object_get(json, outer);
        key = dot + 1;
    }
    if (o->kind == PM_CONFIG_PATH) {
        PM_TRY(pm_config_real_folder(here, ".", err));
        value = pm_config_join(here, o->value);
    } else if (o->kind == PM_CONFIG_NUMBER) {
        value = json_loads(o->value, JSON_DECODE_ANY, NULL);
        if (!json_is_number(value)) {
            json_decref(value);
            return pm_fail(err, PM_E_INPUT, "\"%s\" is given as \"%s\"; a number is wanted", o->key,
                           o->value);
        }
    } else {
        value = json_string(o->value);
    }
    if (!value || json_object_set_new(object, key, value) != 0)
        return pm_fail(err, PM_E_INPUT, "\"%s\" is given as \"%s\", which is no UTF-8", o->key,
                       o->value);
    return true;
}

/* "a.h5" is short for {"path": "a.h5"}. */
static void spell_out_store(json_t *json)
{
    json_t *store = json_object_get(json, "store");
    if (json_is_string(store)) json_object_set_new(json, "store", json_pack("{sO}", "path", store));
}

static void fill_defaults(json_t *json)
{
    pm_json_set_missing(json, "width", json_integer(0));
    pm_json_set_missing(json, "height", json_integer(0));
    pm_json_set_missing(json, "steps", json_integer(50));
    pm_json_set_missing(json, "guidance_scale", json_real(7.5));
    pm_json_set_missing(json, "scheduler", json_string("model"));
    pm_json_set_missing(json, "negative_prompt", json_string(""));
    pm_json_set_missing(json, "prediction", json_string("model"));
    pm_json_set_missing(json, "precision", json_string("fp32"));
    for (size_t i = 0; pm_config_file_lists[i]; i++)
        pm_json_set_missing(json, pm_config_file_lists[i], json_array());
    pm_json_set_missing(json, "defaults", json_object());
    pm_json_set_missing(json, "capture", json_object());
    pm_json_set_missing(json, "limits", json_object());
    json_t *limits = json_object_get(json, "limits");
    if (!json_is_object(limits)) return;
    pm_json_set_missing(limits, "threads", json_integer(1));
    pm_json_set_missing(limits, "targets_per_pass", json_integer(8));
    pm_json_set_missing(limits, "attempts", json_integer(5));
    pm_json_set_missing(limits, "store_bytes", json_real(0.0));
    pm_json_set_missing(limits, "memory_bytes", json_real(0.0));
    pm_json_set_missing(limits, "time_seconds", json_real(0.0));
}

/* The run's seed and noise are defaults of manifest keys like any other. */
static bool move_to_defaults(json_t *json, const char *key, const char *where, struct pm_error *err)
{
    json_t *defaults = json_object_get(json, "defaults"), *value = json_object_get(json, key);
    if (!value || !json_is_object(defaults)) return true;
    if (json_object_get(defaults, key))
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is given twice, also in \"defaults\"", where,
                       key);
    json_object_set(defaults, key, value);
    json_object_del(json, key);
    return true;
}

static bool read_limits(struct pm_config *c, const char *where, struct pm_error *err)
{
    const json_t *limits = json_object_get(c->json, "limits");
    PM_TRY(pm_json_check_keys(limits, where, limit_keys, err));
    PM_TRY(pm_json_size(limits, where, "threads", 1, 1024, &c->threads, err));
    PM_TRY(pm_json_size(limits, where, "targets_per_pass", 1, 64, &c->targets_per_pass, err));
    PM_TRY(pm_json_size(limits, where, "attempts", 1, 1000, &c->attempts, err));
    PM_TRY(pm_json_number(limits, where, "store_bytes", 0.0, 9e18, &c->store_bytes, err));
    PM_TRY(pm_json_number(limits, where, "memory_bytes", 0.0, 9e18, &c->memory_bytes, err));
    PM_TRY(pm_json_number(limits, where, "time_seconds", 0.0, 1e9, &c->time_limit_seconds, err));
    return pm_json_string(limits, where, "halt_file", &c->halt_file, err);
}

static bool read_store(struct pm_config *c, const char *where, struct pm_error *err)
{
    const json_t *store = json_object_get(c->json, "store");
    char place[PM_ERROR_BYTES];
    int files = -1;
    if (!store) return true;
    snprintf(place, sizeof place, "%s: \"store\"", where);
    PM_TRY(pm_json_check_keys(store, place, store_keys, err));
    PM_TRY(pm_json_string(store, place, "path", &c->store, err));
    PM_TRY(pm_json_choice(store, place, "files", file_names, &files, err));
    if (files >= 0) c->store_files = files ? PM_CONFIG_FILE_A_NODE : PM_CONFIG_ONE_FILE;
    return true;
}

/* "3/8" */
static bool read_part(struct pm_config *c, const char *where, struct pm_error *err)
{
    const char *text = NULL;
    char behind;
    c->part = c->parts = 1;
    PM_TRY(pm_json_string(c->json, where, "part", &text, err));
    if (!text) return true;
    if (strspn(text, "0123456789/") == strlen(text) && strlen(text) < 16 &&
        sscanf(text, "%zu/%zu%c", &c->part, &c->parts, &behind) == 2 && c->part >= 1 &&
        c->part <= c->parts && c->parts <= MAX_PARTS)
        return true;
    return pm_fail(err, PM_E_INPUT,
                   "%s: \"part\" is \"%s\"; \"PART/PARTS\" is wanted, as \"3/8\", with at most %d "
                   "parts",
                   where, text, MAX_PARTS);
}

void pm_config_part_path(char path[PATH_MAX], const char *store, size_t part, size_t parts)
{
    size_t length = strlen(store);
    bool has_ending = length > 3 && strcmp(store + length - 3, ".h5") == 0;
    snprintf(path, PATH_MAX, "%.*s.part-%zu-of-%zu%s", (int)(has_ending ? length - 3 : length),
             store, part, parts, has_ending ? ".h5" : "");
}

/* Each part has a store of its own. */
static void rename_store(struct pm_config *c)
{
    char path[PATH_MAX];
    if (c->parts == 1 || !c->store) return;
    pm_config_part_path(path, c->store, c->part, c->parts);
    json_t *store = json_object_get(c->json, "store");
    if (json_object_set_new(store, "path", json_string(path)) != 0) pm_die("no memory for a path");
    c->store = json_string_value(json_object_get(store, "path"));
}

char *pm_config_whole_text(const char *text, size_t bytes)
{
    struct pm_config config;
    struct pm_error ignored = {0};
    if (!pm_config_parse(&config, text, bytes, "config", &ignored)) return NULL;
    json_object_del(config.json, "part");
    char *whole = pm_config_text(&config);
    pm_config_free(&config);
    return whole;
}

/* What the model is to be taken for. */
static bool read_model(struct pm_config *c, const char *where, struct pm_error *err)
{
    int prediction = 0, precision = 0;
    PM_TRY(pm_json_string(c->json, where, "tokenizer", &c->tokenizer, err));
    PM_TRY(pm_json_string(c->json, where, "model_config", &c->model_config, err));
    PM_TRY(pm_json_string(c->json, where, "packed_weights", &c->packed_weights, err));
    PM_TRY(pm_json_choice(c->json, where, "prediction", prediction_names, &prediction, err));
    c->prediction = prediction ? prediction_names[prediction] : NULL;
    PM_TRY(pm_json_choice(c->json, where, "precision", precision_names, &precision, err));
    c->is_bf16 = precision == 1;
    return true;
}

static bool read_config(struct pm_config *c, const char *where, struct pm_error *err)
{
    int scheduler = PM_SCHEDULER_MODEL;
    PM_TRY(pm_json_check_keys(c->json, where, keys, err));
    spell_out_store(c->json);
    PM_TRY(pm_config_take_profile(c->json, where, err));
    fill_defaults(c->json);
    PM_TRY(move_to_defaults(c->json, "seed", where, err));
    PM_TRY(move_to_defaults(c->json, "noise", where, err));
    PM_TRY(pm_json_string(c->json, where, "model", &c->model, err));
    PM_TRY(pm_json_string(c->json, where, "manifest", &c->manifest, err));
    PM_TRY(read_store(c, where, err));
    PM_TRY(pm_json_string(c->json, where, "inversions", &c->inversions, err));
    PM_TRY(read_model(c, where, err));
    if (!c->model || !c->manifest)
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is missing", where,
                       c->model ? "manifest" : "model");
    PM_TRY(pm_json_size(c->json, where, "width", 0, 8192, &c->width, err));
    PM_TRY(pm_json_size(c->json, where, "height", 0, 8192, &c->height, err));
    PM_TRY(pm_json_size(c->json, where, "steps", 1, 4096, &c->steps, err));
    PM_TRY(pm_json_number(c->json, where, "guidance_scale", 0.0, 100.0, &c->guidance_scale, err));
    PM_TRY(pm_json_choice(c->json, where, "scheduler", scheduler_names, &scheduler, err));
    PM_TRY(pm_json_string(c->json, where, "negative_prompt", &c->negative_prompt, err));
    c->scheduler = (enum pm_config_scheduler)scheduler;
    PM_TRY(pm_config_read_additions(c, where, err));
    c->defaults = json_object_get(c->json, "defaults");
    PM_TRY(pm_sweep_read(&c->sweep, json_object_get(c->json, "sweep"), c->defaults, where, err));
    PM_TRY(pm_capture_read(&c->capture, json_object_get(c->json, "capture"), where, err));
    return read_part(c, where, err) && read_limits(c, where, err);
}

bool pm_config_load(struct pm_config *out, const char *path,
                    const struct pm_config_override *overrides, size_t override_count,
                    struct pm_error *err)
{
    *out = (struct pm_config){0};
    PM_TRY(pm_json_load(&out->json, path, CONFIG_MAX_BYTES, err));
    bool ok = pm_json_check_keys(out->json, path, keys, err) &&
              pm_config_root_paths(out->json, path, err);
    if (ok) spell_out_store(out->json); /* flags set its members */
    for (size_t i = 0; ok && i < override_count; i++)
        ok = apply_override(out->json, overrides, i, err);
    ok = ok && read_config(out, path, err) && pm_config_hash_additions(out, path, err);
    if (ok) rename_store(out);
    ok = ok && (!out->store || pm_store_check_name(out->store, err));
    if (!ok) pm_config_free(out);
    return ok;
}

bool pm_config_parse(struct pm_config *out, const char *text, size_t bytes, const char *where,
                     struct pm_error *err)
{
    *out = (struct pm_config){0};
    PM_TRY(pm_json_parse(&out->json, text, bytes, where, err));
    if (read_config(out, where, err)) return true;
    pm_config_free(out);
    return false;
}

void pm_config_free(struct pm_config *config)
{
    json_decref(config->json);
    *config = (struct pm_config){0};
}

char *pm_config_text(const struct pm_config *config)
{
    char *text = json_dumps(config->json, JSON_SORT_KEYS | JSON_INDENT(1));
    if (!text) pm_die("no memory for the config");
    return text;
}

static bool check_key(const char *key, const char *const *known, struct pm_error *err)
{
    for (size_t i = 0; known[i]; i++)
        if (strcmp(known[i], key) == 0) return true;
    const char *near = pm_nearest_word(key, known);
    if (near)
        return pm_fail(err, PM_E_INPUT, "a config has no key \"%s\"; did you mean \"%s\"?", key,
                       near);
    return pm_fail(err, PM_E_INPUT, "a config has no key \"%s\"", key);
}

bool pm_config_value(const json_t **out, const struct pm_config *config, const char *key,
                     struct pm_error *err)
{
    const char *dot = strchr(key, '.');
    char *outer = dot ? strndup(key, (size_t)(dot - key)) : strdup(key);
    if (!outer) pm_die("no memory for a key");
    bool ok = check_key(outer, keys, err) &&
              (!dot || strcmp(outer, "limits") != 0 || check_key(dot + 1, limit_keys, err)) &&
              (!dot || strcmp(outer, "store") != 0 || check_key(dot + 1, store_keys, err));
    if (ok) {
        *out = json_object_get(config->json, outer);
        if (!dot && strcmp(outer, "store") == 0) *out = json_object_get(*out, "path");
        if (dot) *out = json_object_get(*out, dot + 1);
        if (!*out && !dot) *out = json_object_get(config->defaults, outer); /* seed, noise */
    }
    free(outer);
    return ok;
}

bool pm_config_same_value(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    if (!a || !b || json_typeof(a) != json_typeof(b)) return a == b;
    if (json_is_array(a)) {
        size_t count = json_array_size(a);
        for (size_t i = 0; i < count && count == json_array_size(b); i++)
            if (!pm_config_same_value(json_array_get(a, i), json_array_get(b, i))) return false;
        return count == json_array_size(b);
    }
    if (!json_is_object(a)) return json_equal(a, b);
    const char *key;
    json_t *value;
    json_object_foreach(
        (json_t *)a, key,
        value) if (!pm_config_same_value(value, json_object_get(b, key))) return false;
    return json_object_size(a) == json_object_size(b);
}

bool pm_config_fail_to_match(const char *key, const json_t *was, const json_t *is,
                             struct pm_error *err)
{
    size_t flags = JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15); /* 0.8 stays 0.8 */
    char *before = json_dumps(was, flags), *now = json_dumps(is, flags);
    pm_fail(err, PM_E_INPUT, "%s was %.100s and is now %.100s", key, before ? before : "absent",
            now ? now : "absent");
    free(before);
    free(now);
    return false;
}

bool pm_config_same_results(const struct pm_config *a, const struct pm_config *b,
                            struct pm_error *err)
{
    for (size_t i = 0; keys[i]; i++) {
        bool counts = true;
        for (size_t j = 0; indifferent_keys[j]; j++)
            counts = counts && strcmp(indifferent_keys[j], keys[i]) != 0;
        const json_t *x = json_object_get(a->json, keys[i]), *y = json_object_get(b->json, keys[i]);
        char key[64];
        if (!counts || pm_config_same_value(x, y)) continue;
        snprintf(key, sizeof key, "\"%s\"", keys[i]);
        return pm_config_fail_to_match(key, x, y, err);
    }
    return pm_config_same_additions(a, b, err);
}
