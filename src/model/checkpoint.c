#include "checkpoint_impl.h"

#include "pm/base/json.h"
#include "pm/base/path.h"
#include "pm/model/component_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Component by component, the classes that are built here. */
static const struct {
    const char *component, *classes;
} known_components[] = {{"tokenizer", "CLIPTokenizer|CLIPTokenizerFast"},
                        {"text_encoder", "CLIPTextModel"},
                        {"unet", "UNet2DConditionModel"},
                        {"vae", "AutoencoderKL"}};

static bool check_component(const json_t *index, const char *path, size_t i, struct pm_error *err)
{
    const char *component = known_components[i].component;
    const json_t *entry = json_object_get(index, component);
    const char *class_name = json_string_value(json_array_get(entry, 1));
    if (!class_name) return pm_fail(err, PM_E_FORMAT, "%s names no \"%s\"", path, component);
    if (!pm_config_is_listed(class_name, known_components[i].classes))
        return pm_fail(err, PM_E_FORMAT, "%s: \"%s\" is a %s, which is not supported; %s is", path,
                       component, class_name, known_components[i].classes);
    return true;
}

/* Hugging Face's cache keeps a repository as blobs and, of each commit, a folder of links to them. */
static bool check_no_cache(const char *folder, const char *index_path, struct pm_error *err)
{
    char snapshots[PM_CONFIG_PATH_BYTES];
    struct stat status;
    PM_TRY(pm_path_join(snapshots, PM_CONFIG_PATH_BYTES, folder, "snapshots", err));
    if (stat(index_path, &status) == 0 || stat(snapshots, &status) != 0) return true;
    return pm_fail(err, PM_E_INPUT,
                   "%s is a repository in Hugging Face's cache; the model is a folder in %s",
                   folder, snapshots);
}

static bool check_index(const char *folder, struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    json_t *index;
    PM_TRY(pm_path_join(path, PM_CONFIG_PATH_BYTES, folder, "model_index.json", err));
    PM_TRY(check_no_cache(folder, path, err));
    PM_TRY(pm_json_load(&index, path, PM_CONFIG_MAX_BYTES, err));
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof known_components / sizeof *known_components; i++)
        ok = check_component(index, path, i, err);
    json_decref(index);
    return ok;
}

/* A copy of what may not be there. */
static char *copy(const char *text)
{
    char *copied = text ? strdup(text) : NULL;
    if (text && !copied) pm_die("no memory for a path");
    return copied;
}

static bool open_folder(struct pm_checkpoint *c, struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    if (c->given.configs)
        return pm_fail(
            err, PM_E_INPUT,
            "%s is a folder, with configs of its own; others are for a checkpoint of one "
            "file",
            c->path);
    PM_TRY(check_index(c->path, err));
    PM_TRY(
        pm_path_join(path, PM_CONFIG_PATH_BYTES, c->path, "scheduler/scheduler_config.json", err));
    PM_TRY(pm_json_load_python(&c->scheduler, path, PM_CONFIG_MAX_BYTES, err));
    c->scheduler_path = copy(path);
    if (c->given.prediction)
        json_object_set_new(c->scheduler, "prediction_type", json_string(c->given.prediction));
    return true;
}

static bool open_single_file(struct pm_checkpoint *c, struct pm_error *err)
{
    const struct pm_single_file_options options = {.configs = c->given.configs,
                                                   .prediction = c->given.prediction};
    c->file = calloc(1, sizeof *c->file);
    if (!c->file) pm_die("no memory for %s", c->path);
    PM_TRY(pm_single_file_open(c->file, c->path, &options, err));
    c->scheduler = json_incref(c->file->model.scheduler);
    c->scheduler_path = copy(c->path);
    return true;
}

bool pm_checkpoint_open(struct pm_checkpoint *out, const char *path,
                        const struct pm_checkpoint_options *options, struct pm_error *err)
{
    struct stat status;
    *out = (struct pm_checkpoint){.path = copy(path),
                                  .given = {.tokenizer = copy(options->tokenizer),
                                            .configs = copy(options->configs),
                                            .prediction = copy(options->prediction)}};
    bool ok =
        stat(path, &status) == 0 ||
        pm_fail(err, PM_E_IO, "cannot open the model %s: %s%s", path, strerror(errno),
                errno == ENOENT ? "; a model is a folder or a file, and none is downloaded" : "");
    if (ok) ok = S_ISDIR(status.st_mode) ? open_folder(out, err) : open_single_file(out, err);
    if (!ok) pm_checkpoint_close(out);
    return ok;
}

void pm_checkpoint_close(struct pm_checkpoint *checkpoint)
{
    if (checkpoint->file) pm_single_file_close(checkpoint->file);
    free(checkpoint->file);
    json_decref(checkpoint->scheduler);
    free(checkpoint->scheduler_path);
    free((char *)checkpoint->given.tokenizer);
    free((char *)checkpoint->given.configs);
    free((char *)checkpoint->given.prediction);
    free(checkpoint->path);
    *checkpoint = (struct pm_checkpoint){0};
}

bool pm_checkpoint_component(struct pm_component *out, const struct pm_checkpoint *checkpoint,
                             enum pm_network network, struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    if (checkpoint->file) return pm_single_file_component(out, checkpoint->file, network, err);
    PM_TRY(
        pm_path_join(path, PM_CONFIG_PATH_BYTES, checkpoint->path, pm_network_name(network), err));
    return pm_component_open(out, path, network, err);
}

bool pm_checkpoint_tokenizer_folder(char path[PM_CONFIG_PATH_BYTES],
                                    const struct pm_checkpoint *checkpoint, struct pm_error *err)
{
    const struct pm_checkpoint_options *given = &checkpoint->given;
    struct stat status;
    if (given->tokenizer)
        return pm_path_join(path, PM_CONFIG_PATH_BYTES, given->tokenizer, ".", err);
    if (!checkpoint->file)
        return pm_path_join(path, PM_CONFIG_PATH_BYTES, checkpoint->path, "tokenizer", err);
    if (given->configs) {
        PM_TRY(pm_path_join(path, PM_CONFIG_PATH_BYTES, given->configs, "tokenizer", err));
        if (stat(path, &status) == 0) return true;
    }
    return pm_fail(
        err, PM_E_INPUT,
        "%s has no tokenizer, as no checkpoint of one file has: give a folder with CLIP's "
        "vocab.json and merges.txt, which is tokenizer/ in any Stable Diffusion's "
        "diffusers folder, as \"tokenizer\" or --tokenizer",
        checkpoint->path);
}

bool pm_checkpoint_tokenizer(struct pm_tokenizer **out, const struct pm_checkpoint *checkpoint,
                             struct pm_error *err)
{
    char path[PM_CONFIG_PATH_BYTES];
    PM_TRY(pm_checkpoint_tokenizer_folder(path, checkpoint, err));
    /* both families have one vocabulary, and often one folder for it; they pad differently */
    const char *pad = !checkpoint->file                      ? NULL
                      : checkpoint->file->model.is_open_clip ? "!"
                                                             : "<|endoftext|>";
    return pm_tokenizer_load_padded(out, path, pad, err);
}
