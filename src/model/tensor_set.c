#include "pm/model/tensor_set.h"

#include "pm/base/grow.h"
#include "pm/base/json.h"
#include "pm/base/path.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INDEX_MAX_BYTES = 16 << 20, MAX_FILES = 1000 };

static void *allocate(size_t n, size_t bytes, const char *path)
{
    void *memory = calloc(n + 1, bytes);
    if (!memory) pm_die("no memory for the %zu tensors of %s", n, path);
    return memory;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pm_tensor *)a)->name, ((const struct pm_tensor *)b)->name);
}

const struct pm_tensor *pm_tensor_set_find(const struct pm_tensor_set *set, const char *name)
{
    struct pm_tensor key = {.name = name};
    return bsearch(&key, set->tensors, set->count, sizeof key, by_name);
}

bool pm_tensor_set_end(struct pm_tensor_set *set, struct pm_error *err)
{
    qsort(set->tensors, set->count, sizeof *set->tensors, by_name);
    for (size_t i = 1; i < set->count; i++)
        if (strcmp(set->tensors[i - 1].name, set->tensors[i].name) == 0)
            return pm_fail(err, PM_E_FORMAT, "%s has the tensor \"%s\" twice", set->path,
                           set->tensors[i].name);
    return true;
}

void pm_tensor_set_begin(struct pm_tensor_set *out, const char *path)
{
    *out = (struct pm_tensor_set){.path = strdup(path)};
    if (!out->path) pm_die("no memory for a path");
}

void pm_tensor_set_add(struct pm_tensor_set *set, const struct pm_tensor *tensor, const char *name)
{
    set->tensors = pm_grow(set->tensors, set->count, sizeof *set->tensors);
    set->names = pm_grow(set->names, set->name_count, sizeof *set->names);
    char *copy = strdup(name);
    if (!copy) pm_die("no memory for a tensor's name");
    set->names[set->name_count++] = copy;
    set->tensors[set->count] = *tensor;
    set->tensors[set->count++].name = copy;
}

/* The files' tensors as one list; none may be in two of them. */
static bool gather(struct pm_tensor_set *set, struct pm_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < set->file_count; i++) count += set->files[i].count;
    set->tensors = allocate(count, sizeof *set->tensors, set->path);
    for (size_t i = 0; i < set->file_count; i++) {
        const struct pm_safetensors *file = &set->files[i];
        memcpy(set->tensors + set->count, file->tensors, file->count * sizeof *file->tensors);
        set->count += file->count;
    }
    return pm_tensor_set_end(set, err);
}

static bool open_file(struct pm_tensor_set *set, const char *path, struct pm_error *err)
{
    PM_TRY(pm_safetensors_open(&set->files[set->file_count], path, err));
    set->file_count++;
    return true;
}

/* A file of the index, unless it is open already. */
static bool open_shard(struct pm_tensor_set *set, const char *folder, const char *name,
                       struct pm_error *err)
{
    char path[PATH_MAX];
    if (!name || !*name || strchr(name, '/'))
        return pm_fail(err, PM_E_FORMAT,
                       "%s: \"weight_map\" names the file \"%s\"; one beside it "
                       "is wanted",
                       set->path, name ? name : "");
    PM_TRY(pm_path_join(path, sizeof path, folder, name, err));
    for (size_t i = 0; i < set->file_count; i++)
        if (strcmp(set->files[i].path, path) == 0) return true;
    if (set->file_count == MAX_FILES)
        return pm_fail(err, PM_E_FORMAT, "%s names more than %d files", set->path, MAX_FILES);
    return open_file(set, path, err);
}

/* What the index lists is there, and nothing else. */
static bool check_index(const struct pm_tensor_set *set, const json_t *map, struct pm_error *err)
{
    const char *name;
    json_t *file;
    json_object_foreach(
        (json_t *)map, name,
        file) if (!pm_tensor_set_find(set, name)) return pm_fail(err, PM_E_FORMAT,
                                                                 "%s: \"%s\" is not in %s",
                                                                 set->path, name,
                                                                 json_string_value(file));
    for (size_t i = 0; i < set->count; i++)
        if (!json_object_get(map, set->tensors[i].name))
            return pm_fail(err, PM_E_FORMAT, "%s does not list the tensor \"%s\" of its files",
                           set->path, set->tensors[i].name);
    return true;
}

static bool open_index(struct pm_tensor_set *set, const char *folder, struct pm_error *err)
{
    json_t *index;
    PM_TRY(pm_json_load(&index, set->path, INDEX_MAX_BYTES, err));
    const json_t *map = json_object_get(index, "weight_map");
    bool ok = json_is_object(map) ||
              pm_fail(err, PM_E_FORMAT, "%s has no \"weight_map\" of tensors and files", set->path);
    const char *name;
    json_t *file;
    json_object_foreach((json_t *)map, name, file)
    {
        ok = ok && open_shard(set, folder, json_string_value(file), err);
    }
    ok = ok && gather(set, err) && check_index(set, map, err);
    json_decref(index);
    return ok;
}

static bool fail_to_find(const char *folder, const char *stem, struct pm_error *err)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s.bin", folder,
                     strcmp(stem, "model") == 0 ? "pytorch_model" : stem);
    if (n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0)
        return pm_fail(err, PM_E_IO,
                       "%s is a pickled file of PyTorch's, which can run any program when it is "
                       "read: convert the model with python3 -c 'from diffusers import "
                       "DiffusionPipeline as P; P.from_pretrained(\"MODEL\")"
                       ".save_pretrained(\"MODEL-safetensors\")'",
                       path);
    return pm_fail(err, PM_E_IO,
                   "%s has neither %s.safetensors nor %s.fp16.safetensors, nor their index for "
                   "several files",
                   folder, stem, stem);
}

bool pm_tensor_set_open(struct pm_tensor_set *out, const char *folder, const char *stem,
                        struct pm_error *err)
{
    static const char *const endings[] = {".safetensors", ".fp16.safetensors",
                                          ".safetensors.index.json",
                                          ".safetensors.index.fp16.json"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        int n = snprintf(path, sizeof path, "%s/%s%s", folder, stem, endings[i]);
        if (n < 0 || (size_t)n >= sizeof path)
            return pm_fail(err, PM_E_INPUT, "the path %.200s... is too long", folder);
        if (access(path, F_OK) != 0) continue;
        bool is_index = strstr(endings[i], ".index.") != NULL;
        *out = (struct pm_tensor_set){.path = strdup(path), .has_index = is_index};
        if (!out->path) pm_die("no memory for a path");
        out->files = allocate(is_index ? MAX_FILES : 1, sizeof *out->files, path);
        if (is_index ? open_index(out, folder, err) : open_file(out, path, err) && gather(out, err))
            return true;
        pm_tensor_set_close(out);
        return false;
    }
    return fail_to_find(folder, stem, err);
}

void pm_tensor_set_close(struct pm_tensor_set *set)
{
    for (size_t i = 0; i < set->file_count; i++) pm_safetensors_close(&set->files[i]);
    free(set->files);
    for (size_t i = 0; i < set->name_count; i++) free(set->names[i]);
    free(set->names);
    free(set->tensors);
    free(set->path);
    *set = (struct pm_tensor_set){0};
}
