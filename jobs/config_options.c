#include "config_options.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

static const struct argp_option options[] = {
    {"model", 'm', "FOLDER", 0, "the checkpoint, in diffusers layout", 0},
    {"manifest", 'i', "FILE", 0, "the edits, JSON Lines", 0},
    {"store", 'o', "FILE", 0, "the HDF5 file to write or to go on with", 0},
    {"steps", 's', "N", 0, "denoising steps", 0},
    {"guidance-scale", 'g', "X", 0, "classifier-free guidance", 0},
    {"scheduler", 'S', "NAME", 0, "ddim, pndm, or model: the one in the model's folder", 0},
    {"negative-prompt", 'n', "TEXT", 0, "prompt of the unconditional half", 0},
    {"width", 'W', "N", 0, "of the pictures, in pixels; 0: as the model was trained", 0},
    {"height", 'H', "N", 0, "of the pictures, in pixels; 0: as the model was trained", 0},
    {"threads", 't', "N", 0, "threads of each rank", 0},
    {"time-limit", 'T', "SECONDS", 0, "begin no edit that cannot be finished within so long", 0},
    {"halt-file", 'x', "FILE", 0, "stop when this file appears", 0},
    {"retry-failed", 'r', NULL, 0, "try again what failed before (run only)", 0},
    {"log", 'l', "LEVEL", 0, "error, warning, info or debug", 0},
    {0}};

/* Which key of the config each flag is. */
static const struct {
    int flag;
    const char *key;
    enum pm_config_value kind;
} keys[] = {{'m', "model", PM_CONFIG_PATH},
            {'i', "manifest", PM_CONFIG_PATH},
            {'o', "store", PM_CONFIG_PATH},
            {'s', "steps", PM_CONFIG_NUMBER},
            {'g', "guidance_scale", PM_CONFIG_NUMBER},
            {'S', "scheduler", PM_CONFIG_TEXT},
            {'n', "negative_prompt", PM_CONFIG_TEXT},
            {'W', "width", PM_CONFIG_NUMBER},
            {'H', "height", PM_CONFIG_NUMBER},
            {'t', "limits.threads", PM_CONFIG_NUMBER},
            {'T', "limits.time_seconds", PM_CONFIG_NUMBER},
            {'x', "limits.halt_file", PM_CONFIG_PATH}};

static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct config_options *o = state->input;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (keys[i].flag != flag) continue;
        if (o->override_count == MAX_OVERRIDES) {
            argp_error(state, "\"%s\": more than %d flags", arg, MAX_OVERRIDES);
            return EINVAL; /* with ARGP_NO_EXIT, argp_error returns */
        }
        o->overrides[o->override_count++] =
            (struct pm_config_override){.key = keys[i].key, .value = arg, .kind = keys[i].kind};
        return 0;
    }
    if (flag == 'l') {
        int level = pm_log_level_from_name(arg);
        if (level < 0) {
            argp_error(state, "--log=%s: error, warning, info or debug is wanted", arg);
            return EINVAL;
        }
        o->log_level = (enum pm_log_level)level;
        return 0;
    }
    if (flag == 'r') {
        o->retries_failed = true;
        return 0;
    }
    if (flag == ARGP_KEY_ARG && !o->config_path) {
        o->config_path = arg;
        return 0;
    }
    if (flag == ARGP_KEY_ARG) {
        argp_error(state, "\"%s\": one config is enough", arg);
        return EINVAL;
    }
    if (flag == ARGP_KEY_NO_ARGS) {
        argp_error(state, "a config is wanted");
        return EINVAL;
    }
    return ARGP_ERR_UNKNOWN;
}

bool config_options_ask_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0 ||
            strcmp(argv[i], "--usage") == 0)
            return true;
    return false;
}

bool config_options_parse(struct config_options *out, int argc, char **argv, const char *doc,
                          bool speaks, bool *helped)
{
    char name[64];
    struct argp argp = {
        .options = options, .parser = parse_option, .args_doc = "CONFIG", .doc = doc};
    *out = (struct config_options){.log_level = PM_LOG_INFO};
    *helped = config_options_ask_for_help(argc, argv);
    snprintf(name, sizeof name, "promptmill %s", argv[0]);
    if (*helped) {
        if (speaks) argp_help(&argp, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK, name);
        return true;
    }
    unsigned flags = ARGP_NO_EXIT | ARGP_NO_HELP | (speaks ? 0 : ARGP_NO_ERRS);
    char *verb = argv[0];
    argv[0] = name; /* what argp's messages begin with */
    bool ok = argp_parse(&argp, argc, argv, flags, NULL, out) == 0;
    argv[0] = verb;
    return ok;
}
