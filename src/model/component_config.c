#include "pm/model/component_config.h"

#include "pm/base/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pm_config_path(char path[PM_CONFIG_PATH_BYTES], const char *folder, struct pm_error *err)
{
    return pm_path_join(path, PM_CONFIG_PATH_BYTES, folder, "config.json", err);
}

bool pm_config_is_listed(const char *text, const char *alternatives)
{
    size_t length = strcspn(text, "|");
    if (text[length]) return false; /* two alternatives are not one */
    for (const char *p = alternatives; p; p = strchr(p, '|'), p = p ? p + 1 : NULL)
        if (strncmp(p, text, length) == 0 && (p[length] == '\0' || p[length] == '|')) return true;
    return false;
}

bool pm_config_check(const json_t *config, const char *path, const struct pm_config_rule *rules,
                     struct pm_error *err)
{
    if (!json_is_object(config))
        return pm_fail(err, PM_E_FORMAT, "%s: an object {...} is wanted, not %s", path,
                       pm_json_kind(config));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)config, key, value)
    {
        if (key[0] == '_') continue;
        const struct pm_config_rule *rule = rules;
        while (rule->key && strcmp(rule->key, key) != 0) rule++;
        if (rule->key && !rule->supported) continue;
        const char *supported = rule->key ? rule->supported : "null|false";
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        if (!text) pm_die("no memory for %s", path);
        bool ok = pm_config_is_listed(text, supported);
        if (!ok)
            pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is %.80s, which is not supported; %s would be",
                    path, key, text, supported);
        free(text);
        PM_TRY(ok);
    }
    return true;
}

bool pm_config_sizes(const json_t *config, const char *path, const char *key, size_t max,
                     size_t *out, size_t *count, struct pm_error *err)
{
    const json_t *list = json_object_get(config, key);
    if (!list) return true;
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n == 0 || n > PM_MAX_LEVELS)
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" must be a list of 1 to %d numbers", path, key,
                       PM_MAX_LEVELS);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        json_int_t value = json_integer_value(item);
        if (!json_is_integer(item) || value < 1 || (uint64_t)value > max)
            return pm_fail(err, PM_E_FORMAT, "%s: \"%s\"[%zu] must be a whole number from 1 to %zu",
                           path, key, i, max);
        out[i] = (size_t)value;
    }
    *count = n;
    return true;
}

bool pm_config_block_types(const json_t *config, const char *path, const char *key,
                           const char *const *names, int *out, size_t count, struct pm_error *err)
{
    const json_t *list = json_object_get(config, key);
    if (json_array_size(list) != count)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: \"%s\" must list %zu blocks, as many as \"block_out_channels\"", path,
                       key, count);
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        int kind = 0;
        while (names[kind] && (!name || strcmp(names[kind], name) != 0)) kind++;
        if (!names[kind])
            return pm_fail(err, PM_E_FORMAT, "%s: \"%s\"[%zu] is \"%s\", which is not supported",
                           path, key, i, name ? name : "");
        out[i] = kind;
    }
    return true;
}
