/* promptmill info MODEL: what a checkpoint is and whether it will run. */
#include "info_print.h"
#include "load_model.h"
#include "verb_arguments.h"
#include "verbs.h"

#include "pm/runtime/exit_status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "\nTell what a checkpoint is, a folder in diffusers layout or one .safetensors file, whether "
    "it "
    "will run, and in how much memory; if not, everything that is missing or not supported. No "
    "weight is loaded.";

static const struct argp_option flags[] = {
    {"tokenizer", 'k', "FOLDER", 0, "vocab.json and merges.txt, for a checkpoint of one file", 0},
    {"model-config", 'c', "FOLDER", 0,
     "a diffusers folder whose configs say what a checkpoint of one file is", 0},
    {"prediction", 'p', "NAME", 0, "epsilon or v_prediction, whatever the model says", 0},
    {"precision", 'r', "NAME", 0, "of the UNet's products: fp32 or bf16", 0},
    {"width", 'W', "N", 0, "of the pictures, in pixels", 0},
    {"height", 'H', "N", 0, "of the pictures, in pixels", 0},
    {"threads", 't', "N", 0, "of each rank", 0},
    {0}};

struct info {
    const char *model;
    json_t *config; /* of a run with this model */
};

static error_t parse_flag(int flag, char *arg, struct argp_state *state)
{
    struct info *info = state->input;
    const char *key = flag == 'k'   ? "tokenizer"
                      : flag == 'c' ? "model_config"
                      : flag == 'p' ? "prediction"
                      : flag == 'r' ? "precision"
                      : flag == 'W' ? "width"
                      : flag == 'H' ? "height"
                                    : NULL;
    if (flag == ARGP_KEY_ARG && !info->model) {
        info->model = arg;
    } else if (flag == ARGP_KEY_ARG) {
        argp_error(state, "\"%s\": one model is enough", arg);
        return EINVAL;
    } else if (flag == ARGP_KEY_NO_ARGS) {
        argp_error(state, "a model is wanted");
        return EINVAL;
    } else if (flag == 't') {
        json_object_set_new(info->config, "limits",
                            json_pack("{s:I}", "threads", (json_int_t)strtol(arg, NULL, 10)));
    } else if (flag == 'W' || flag == 'H') {
        json_object_set_new(info->config, key, json_integer(strtol(arg, NULL, 10)));
    } else if (key) {
        if (json_object_set_new(info->config, key, json_string(arg)) == 0) return 0;
        argp_error(state, "\"%s\" is no UTF-8", arg);
        return EINVAL;
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* The config of a run that says nothing else. DDIM, since inversions are counted too. */
static bool make_config(struct pm_config *out, struct info *info, struct pm_error *err)
{
    if (json_object_set_new(info->config, "model", json_string(info->model)) != 0)
        return pm_fail(err, PM_E_INPUT, "the model's path, \"%s\", is no UTF-8", info->model);
    json_object_set_new(info->config, "manifest", json_string("none"));
    json_object_set_new(info->config, "scheduler", json_string("ddim"));
    char *text = json_dumps(info->config, 0);
    if (!text) pm_die("no memory for a config");
    bool ok = pm_config_parse(out, text, strlen(text), "info", err);
    free(text);
    return ok;
}

/** Everything that is wrong, told as it is found. */
struct problems {
    size_t count;
};

static void tell(struct problems *problems, const struct pm_error *err)
{
    problems->count++;
    fprintf(stderr, "promptmill: %s\n", err->message);
}

static void try_network(struct problems *problems, const struct pm_checkpoint *checkpoint,
                        enum pm_network network)
{
    struct pm_component component;
    struct pm_arena memory;
    struct pm_error err = {0};
    static struct pm_unet unet; /* large ones */
    static struct pm_vae vae;
    static struct pm_text_encoder text_encoder;
    if (!pm_checkpoint_component(&component, checkpoint, network, &err)) {
        tell(problems, &err);
        return;
    }
    component.only_measures = true;
    pm_arena_init(&memory, pm_model_weights_bytes());
    bool ok = network == PM_UNET ? pm_unet_load_from(&unet, &component, NULL, &memory, &err)
              : network == PM_VAE
                  ? pm_vae_load_from(&vae, &component, &memory, &err)
                  : pm_text_encoder_load_from(&text_encoder, &component, NULL, &memory, &err);
    if (!ok) tell(problems, &err);
    pm_arena_free(&memory);
    pm_component_close(&component);
}

/* Part by part, so that what is wrong with one does not hide what is wrong with another. */
static size_t tell_problems(const struct pm_config *config)
{
    struct problems problems = {0};
    struct pm_checkpoint checkpoint;
    struct pm_tokenizer *tokenizer;
    struct pm_schedule_config schedule;
    struct pm_error err = {0};
    const struct pm_checkpoint_options options = {.tokenizer = config->tokenizer,
                                                  .configs = config->model_config,
                                                  .prediction = config->prediction};
    if (!pm_checkpoint_open(&checkpoint, config->model, &options, &err)) {
        tell(&problems, &err);
        return problems.count;
    }
    if (pm_checkpoint_tokenizer(&tokenizer, &checkpoint, &err))
        pm_tokenizer_free(tokenizer);
    else
        tell(&problems, &err);
    for (int network = 0; network < PM_NETWORKS; network++)
        try_network(&problems, &checkpoint, network);
    if (!pm_schedule_config_read(&schedule, checkpoint.scheduler, checkpoint.scheduler_path, &err))
        tell(&problems, &err);
    pm_checkpoint_close(&checkpoint);
    return problems.count;
}

static int describe(const struct pm_config *config)
{
    struct pm_model model = {0};
    struct pm_edit_settings settings;
    struct pm_schedule schedule;
    struct run_captures captures = {0};
    struct pm_error err = {0};
    struct config_additions additions;
    config_additions_make(&additions, config);
    bool ok = pm_model_measure(&model, config->model, &additions.all, &err) &&
              run_settings_make(&settings, &schedule, &captures, config, &model, &err) &&
              pm_model_fingerprint(&model, NULL, &err);
    if (ok) {
        info_print(&model, config, &settings);
    } else {
        if (tell_problems(config) == 0) fprintf(stderr, "promptmill: %s\n", err.message);
        fprintf(stderr, "promptmill: %s will not run\n", config->model);
    }
    run_captures_free(&captures);
    pm_model_free(&model);
    return ok ? PM_EXIT_DONE : PM_EXIT_INPUT;
}

static const struct argp argp = {
    .options = flags, .parser = parse_flag, .args_doc = "MODEL", .doc = doc};

int verb_info(int argc, char **argv)
{
    struct info info = {.config = json_object()};
    struct pm_config config = {0};
    struct pm_error err = {0};
    int status = PM_EXIT_INPUT;
    if (verb_arguments_help(&argp, argc, argv)) {
        status = PM_EXIT_DONE;
    } else if (verb_arguments_read(&argp, argc, argv, &info, true)) {
        if (make_config(&config, &info, &err))
            status = describe(&config);
        else
            fprintf(stderr, "promptmill: %s\n", err.message);
    }
    pm_config_free(&config);
    json_decref(info.config);
    return status;
}
