/* A config's paths, which are relative to its folder; a flag's, to the one that the user is in. */
#include "config_impl.h"

#include "pm/base/path.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const path_keys[] = {"model",     "manifest",     "store",          "inversions",
                                        "tokenizer", "model_config", "packed_weights", NULL};
const char *const pm_config_file_lists[] = {"lora", "embeddings", NULL};

json_t *pm_config_join(const char *folder, const char *path)
{
    if (path[0] == '/') return json_string(path);
    size_t length = strlen(folder);
    while (strncmp(path, "./", 2) == 0 || strncmp(path, "../", 3) == 0) {
        bool up = path[1] == '.';
        path += up ? 3 : 2;
        while (up && length > 0 && folder[length - 1] != '/') length--;
        if (up && length > 0) length--;
    }
    return json_sprintf("%.*s/%s", (int)length, folder, path);
}

bool pm_config_root_path(json_t *object, const char *key, const char *folder, struct pm_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) return true;
    json_t *path = pm_config_join(folder, json_string_value(value));
    return json_object_set_new(object, key, path) == 0 ||
           pm_fail(err, PM_E_INPUT, "the folder %s is no UTF-8, as paths in a config must be",
                   folder);
}

bool pm_config_real_folder(char folder[PATH_MAX], const char *path, struct pm_error *err)
{
    if (!realpath(path, folder))
        return pm_fail(err, PM_E_IO, "the folder %s cannot be reached: %s", path, strerror(errno));
    if (strcmp(folder, "/") == 0) folder[0] = '\0';
    return true;
}

bool pm_config_root_paths(json_t *json, const char *config_path, struct pm_error *err)
{
    char folder[PATH_MAX], given[PATH_MAX];
    pm_path_folder(given, config_path);
    PM_TRY(pm_config_real_folder(folder, given, err));
    for (size_t i = 0; path_keys[i]; i++)
        PM_TRY(pm_config_root_path(json, path_keys[i], folder, err));
    PM_TRY(pm_config_root_path(json_object_get(json, "store"), "path", folder, err));
    PM_TRY(pm_config_root_path(json_object_get(json, "limits"), "halt_file", folder, err));
    for (size_t i = 0; pm_config_file_lists[i]; i++) {
        const json_t *list = json_object_get(json, pm_config_file_lists[i]);
        for (size_t j = 0; j < json_array_size(list); j++)
            PM_TRY(pm_config_root_path(json_array_get(list, j), "file", folder, err));
    }
    return true;
}
