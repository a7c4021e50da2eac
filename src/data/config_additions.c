/* "lora" and "embeddings": lists of files that are laid over the model. */
#include "config_impl.h"

#include "pm/base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double MAX_LORA_WEIGHT = 100.0;

static const char *const lora_keys[] = {"file", "weight", "hash", NULL};
static const char *const embedding_keys[] = {"file", "token", "hash", NULL};
static const struct {
    const char *key;
    const char *const *members;
    size_t most;
} lists[] = {{"lora", lora_keys, PM_CONFIG_MAX_LORAS},
             {"embeddings", embedding_keys, PM_CONFIG_MAX_EMBEDDINGS}};
enum { LORAS, EMBEDDINGS, LISTS };

static void place_of(char place[PM_ERROR_BYTES], const char *where, size_t list, size_t index)
{
    snprintf(place, PM_ERROR_BYTES, "%s: \"%s\"[%zu]", where, lists[list].key, index);
}

static bool read_lora(struct pm_config *c, json_t *entry, const char *place, struct pm_error *err)
{
    struct pm_config_lora *lora = &c->loras[c->lora_count++];
    lora->weight = 1.0;
    pm_json_set_missing(entry, "weight", json_real(lora->weight));
    return pm_json_number(entry, place, "weight", -MAX_LORA_WEIGHT, MAX_LORA_WEIGHT, &lora->weight,
                          err) &&
           pm_json_string(entry, place, "file", &lora->file, err);
}

static bool read_embedding(struct pm_config *c, json_t *entry, const char *place,
                           struct pm_error *err)
{
    struct pm_config_embedding *embedding = &c->embeddings[c->embedding_count++];
    return pm_json_string(entry, place, "token", &embedding->token, err) &&
           pm_json_string(entry, place, "file", &embedding->file, err);
}

static bool read_list(struct pm_config *c, size_t list, const char *where, struct pm_error *err)
{
    const json_t *entries = json_object_get(c->json, lists[list].key);
    size_t count = json_array_size(entries);
    if (!json_is_array(entries))
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" is %s; a list of {\"file\": ...} is wanted",
                       where, lists[list].key, pm_json_kind(entries));
    if (count > lists[list].most)
        return pm_fail(err, PM_E_INPUT, "%s: \"%s\" lists %zu files; %zu are the most", where,
                       lists[list].key, count, lists[list].most);
    for (size_t i = 0; i < count; i++) {
        char place[PM_ERROR_BYTES];
        json_t *entry = json_array_get(entries, i);
        const char *hash = NULL;
        place_of(place, where, list, i);
        PM_TRY(pm_json_check_keys(entry, place, lists[list].members, err));
        PM_TRY(list == LORAS ? read_lora(c, entry, place, err)
                             : read_embedding(c, entry, place, err));
        PM_TRY(pm_json_string(entry, place, "hash", &hash, err));
        if (!json_object_get(entry, "file"))
            return pm_fail(err, PM_E_INPUT, "%s: \"file\" is missing", place);
    }
    return true;
}

bool pm_config_read_additions(struct pm_config *config, const char *where, struct pm_error *err)
{
    config->lora_count = config->embedding_count = 0;
    for (size_t list = 0; list < LISTS; list++) PM_TRY(read_list(config, list, where, err));
    return true;
}

bool pm_config_hash_additions(struct pm_config *config, const char *where, struct pm_error *err)
{
    for (size_t list = 0; list < LISTS; list++) {
        const json_t *entries = json_object_get(config->json, lists[list].key);
        for (size_t i = 0; i < json_array_size(entries); i++) {
            char place[PM_ERROR_BYTES], hash[PM_HASH_TEXT_BYTES];
            json_t *entry = json_array_get(entries, i);
            const char *file = json_string_value(json_object_get(entry, "file"));
            const char *wanted = json_string_value(json_object_get(entry, "hash"));
            place_of(place, where, list, i);
            if (!pm_hash_file_text(hash, file, err))
                return pm_fail(err, err->code, "%s: %s", place, err->message);
            if (wanted && strcmp(wanted, hash) != 0)
                return pm_fail(err, PM_E_INPUT, "%s: the hash of %s is %s, not %s", place, file,
                               hash, wanted);
            json_object_set_new(entry, "hash", json_string(hash));
        }
    }
    return true;
}

/* FILE or FILE:WEIGHT */
static json_t *lora_from_flag(const char *value)
{
    const char *colon = strrchr(value, ':');
    if (colon && colon[1]) {
        char *end;
        double weight = strtod(colon + 1, &end);
        if (*end == '\0')
            return json_pack("{s:o, s:f}", "file", json_stringn(value, (size_t)(colon - value)),
                             "weight", weight);
    }
    return json_pack("{s:s}", "file", value);
}

/* TOKEN=FILE, or =FILE for the file's own word */
static json_t *embedding_from_flag(const char *value)
{
    const char *equals = strchr(value, '=');
    if (!equals) return NULL;
    if (equals == value) return json_pack("{s:s}", "file", equals + 1);
    return json_pack("{s:s, s:o}", "file", equals + 1, "token",
                     json_stringn(value, (size_t)(equals - value)));
}

bool pm_config_addition_from_flag(json_t **out, const struct pm_config_override *flag,
                                  struct pm_error *err)
{
    *out = flag->kind == PM_CONFIG_LORA ? lora_from_flag(flag->value)
                                        : embedding_from_flag(flag->value);
    return *out ||
           pm_fail(err, PM_E_INPUT, "\"%s\" is given as \"%s\"; %s is wanted, in UTF-8", flag->key,
                   flag->value,
                   flag->kind == PM_CONFIG_LORA ? "FILE or FILE:WEIGHT" : "TOKEN=FILE or =FILE");
}

static bool same_entry(const json_t *a, const json_t *b, size_t list, size_t index,
                       struct pm_error *err)
{
    for (size_t i = 0; lists[list].members[i]; i++) {
        const char *member = lists[list].members[i];
        const json_t *was = json_object_get(a, member), *is = json_object_get(b, member);
        char key[64];
        if (strcmp(member, "file") == 0 || pm_config_same_value(was, is)) continue;
        snprintf(key, sizeof key, "\"%s\"[%zu].%s", lists[list].key, index, member);
        return pm_config_fail_to_match(key, was, is, err);
    }
    return true;
}

bool pm_config_same_additions(const struct pm_config *a, const struct pm_config *b,
                              struct pm_error *err)
{
    for (size_t list = 0; list < LISTS; list++) {
        const json_t *was = json_object_get(a->json, lists[list].key);
        const json_t *is = json_object_get(b->json, lists[list].key);
        size_t count = json_array_size(was);
        if (count != json_array_size(is))
            return pm_fail(err, PM_E_INPUT, "\"%s\" listed %zu files and now lists %zu",
                           lists[list].key, count, json_array_size(is));
        for (size_t i = 0; i < count; i++)
            PM_TRY(same_entry(json_array_get(was, i), json_array_get(is, i), list, i, err));
    }
    return true;
}
