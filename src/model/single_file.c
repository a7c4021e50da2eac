#include "pm/model/single_file.h"

#include "pm/base/path.h"
#include "pm/model/component_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SHOWN = 60 };

/* The sentence has room for no longer path than this. */
static const char *end_of_path(const char *path)
{
    size_t length = strlen(path);
    return length > PATH_SHOWN ? path + length - PATH_SHOWN : path;
}

static bool open_file(struct pm_single_file *out, const char *path, struct pm_error *err)
{
    if (!pm_file_is_pickled(path)) return pm_safetensors_open(&out->file, path, err);
    return pm_fail(err, PM_E_FORMAT,
                   "%s is pickled and can run programs when read: convert it with python3 -c "
                   "'import torch as t, safetensors.torch as s; d = t.load(\"IN.ckpt\", \"cpu\"); "
                   "s.save_file({k: v.contiguous().clone() for k, v in d.get(\"state_dict\", d)"
                   ".items() if t.is_tensor(v)}, \"OUT.safetensors\")'",
                   end_of_path(path));
}

/* Read <folder>/<name>, if it is there, in place of what was inferred. */
static bool take_config(json_t **config, const char *folder, const char *name, struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    json_t *read;
    PM_TRY(pm_path_join(path, sizeof path, folder, name, err));
    if (access(path, F_OK) != 0) return true;
    PM_TRY(pm_json_load_python(&read, path, PM_CONFIG_MAX_BYTES, err));
    json_decref(*config);
    *config = read;
    return true;
}

static bool take_configs(struct pm_original_model *m, const struct pm_single_file_options *options,
                         struct pm_error *err)
{
    if (!options->configs) return true;
    if (access(options->configs, F_OK) != 0)
        return pm_fail(err, PM_E_IO, "the folder of configs, %s, is not there", options->configs);
    for (int network = 0; network < PM_NETWORKS; network++) {
        char name[64];
        snprintf(name, sizeof name, "%s/config.json", pm_network_name(network));
        PM_TRY(take_config(&m->configs[network], options->configs, name, err));
    }
    size_t layers = m->sizes.text_layers;
    PM_TRY(pm_json_size(m->configs[PM_TEXT_ENCODER], options->configs, "num_hidden_layers", 1, 128,
                        &layers, err));
    m->sizes.text_layers = layers;
    PM_TRY(take_config(&m->scheduler, options->configs, "scheduler/scheduler_config.json", err));
    if (options->prediction)
        json_object_set_new(m->scheduler, "prediction_type", json_string(options->prediction));
    return true;
}

bool pm_single_file_open(struct pm_single_file *out, const char *path,
                         const struct pm_single_file_options *options, struct pm_error *err)
{
    *out = (struct pm_single_file){0};
    if (open_file(out, path, err) &&
        pm_original_model_infer(&out->model, &out->file, options->prediction, err) &&
        take_configs(&out->model, options, err))
        return true;
    pm_single_file_close(out);
    return false;
}

void pm_single_file_close(struct pm_single_file *file)
{
    if (file->file.path) pm_safetensors_close(&file->file);
    pm_original_model_free(&file->model);
}

/* A third of the rows of a tensor that holds three. */
static bool take_third(struct pm_tensor *tensor, int part, const char *path, struct pm_error *err)
{
    if (tensor->rank == 0 || tensor->shape[0] % 3 != 0)
        return pm_fail(err, PM_E_FORMAT, "%s: the rows of \"%s\" are not three times as many", path,
                       tensor->name);
    tensor->shape[0] /= 3;
    tensor->elements /= 3;
    tensor->bytes /= 3;
    tensor->data += (size_t)part * tensor->bytes;
    return true;
}

/* What @p tensor holds of the network is appended to the set. */
static bool append(struct pm_tensor_set *set, const struct pm_tensor *tensor,
                   const struct pm_single_file *file, enum pm_network network, struct pm_error *err)
{
    struct pm_original_name name;
    int parts = 1;
    for (int part = 0; part < parts; part++) {
        parts = pm_original_name(&name, tensor->name, &file->model.sizes, part);
        if (parts == PM_ORIGINAL_UNKNOWN)
            return pm_fail(err, PM_E_FORMAT,
                           "%s: nothing is known of the tensor \"%s\" in a Stable Diffusion "
                           "checkpoint",
                           file->file.path, tensor->name);
        if (parts == PM_ORIGINAL_UNUSED || name.network != network) return true;
        struct pm_tensor renamed = *tensor;
        if (parts == 3) PM_TRY(take_third(&renamed, part, file->file.path, err));
        pm_tensor_set_add(set, &renamed, name.name);
    }
    return true;
}

bool pm_single_file_component(struct pm_component *out, const struct pm_single_file *file,
                              enum pm_network network, struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    snprintf(path, sizeof path, "%s (%s)", file->file.path, pm_network_name(network));
    *out = (struct pm_component){.path = strdup(path),
                                 .config = json_incref(file->model.configs[network])};
    if (!out->path) pm_die("no memory for a path");
    pm_tensor_set_begin(&out->set, file->file.path);
    bool ok = true;
    for (size_t i = 0; ok && i < file->file.count; i++)
        ok = append(&out->set, &file->file.tensors[i], file, network, err);
    if (ok && pm_tensor_set_end(&out->set, err)) return true;
    pm_component_close(out);
    return false;
}
