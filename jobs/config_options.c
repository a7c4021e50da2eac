#include "config_options.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flags without a letter. */
enum {
    DRY_RUN = 256,
    KEEP_GOING,
    SCRIPT,
    PARTS,
    HOURS,
    SHOW,
    TOKENIZER,
    MODEL_CONFIG,
    PACKED_WEIGHTS,
    PREDICTION,
    PRECISION,
    PROFILE,
    PROFILE_TIME
};

static const struct argp_option config_flags[] = {
    {"model", 'm', "PATH", 0, "the checkpoint: a folder in diffusers layout, or one file", 0},
    {"tokenizer", TOKENIZER, "FOLDER", 0, "vocab.json and merges.txt, for a checkpoint of one file",
     0},
    {"model-config", MODEL_CONFIG, "FOLDER", 0,
     "a diffusers folder whose configs say what a checkpoint of one file is", 0},
    {"packed-weights", PACKED_WEIGHTS, "FOLDER", 0,
     "keep the weights there as they are computed with: the next run begins sooner", 0},
    {"prediction", PREDICTION, "NAME", 0,
     "of the model: epsilon, v_prediction, or model: what it says", 0},
    {"precision", PRECISION, "NAME", 0,
     "of the UNet's products: fp32, or bf16, which is faster and rounds more", 0},
    {"manifest", 'i', "FILE", 0, "the edits, JSON Lines", 0},
    {"store", 'o', "FILE", 0, "the HDF5 file to write or to go on with", 0},
    {"store-files", 'F', "KIND", 0, "of a new store: one, or node: one more for each host", 0},
    {"lora", 'a', "FILE[:WEIGHT]", 0, "add a LoRA to the model; may be given several times", 0},
    {"embedding", 'e', "TOKEN=FILE", 0,
     "a new word of textual inversion, or =FILE for the file's own; may be given several times", 0},
    {"profile", PROFILE, "NAME", 0,
     "defaults of a published program: ptp-stable, ptp-null-text, pnpinversion, ip2p", 0},
    {"steps", 's', "N", 0, "denoising steps", 0},
    {"inversions", 'v', "STORE", 0,
     "an earlier store; its inversions of the same pictures are used", 0},
    {"guidance-scale", 'g', "X", 0, "classifier-free guidance", 0},
    {"scheduler", 'S', "NAME", 0, "ddim, pndm, or model: the one in the model's folder", 0},
    {"negative-prompt", 'n', "TEXT", 0, "prompt of the unconditional half", 0},
    {"width", 'W', "N", 0, "of the pictures, in pixels; 0: as the model was trained", 0},
    {"height", 'H', "N", 0, "of the pictures, in pixels; 0: as the model was trained", 0},
    {"threads", 't', "N", 0, "threads of each rank", 0},
    {"time-limit", 'T', "SECONDS", 0, "begin no edit that cannot be finished within so long", 0},
    {"halt-file", 'x', "FILE", 0, "stop when this file appears", 0},
    {"part", 'P', "PART/PARTS", 0, "only this part of the edits, into a store of its own", 0},
    {"log", 'l', "LEVEL", 0, "error, warning, info or debug", 0},
    {0}};
static const struct argp_option run_flags[] = {
    {"retry-failed", 'r', NULL, 0, "try again what failed before", 0},
    {"log-folder", 'L', "FOLDER", 0,
     "each rank's log goes to a file there; stderr gets warnings and errors only", 0},
    {"profile-time", PROFILE_TIME, NULL, 0,
     "print at the end where the time went, by kind of layer", 0},
    {0}};
static const struct argp_option get_flags[] = {
    {"get", 'G', "KEY", 0, "print this key's value alone, as \"store\" or \"limits.halt_file\"", 0},
    {0}};
static const struct argp_option plan_flags[] = {
    {"show", SHOW, "ID", 0, "only this line: how its prompts are aligned, drawn", 0}, {0}};
static const struct argp_option submit_flags[] = {
    {"dry-run", DRY_RUN, NULL, 0, "print what would be submitted, and submit nothing", 0},
    {"keep-going", KEEP_GOING, NULL, 0, "submit though some edits cannot be done", 0},
    {"script", SCRIPT, "FILE", 0, "your copy of slurm/edit.sbatch", 0},
    {"parts", PARTS, "N", 0, "a job array of N parts, each with a store of its own, and a merge",
     0},
    {"hours", HOURS, "X", 0, "propose nodes for a run of about so long (default 4)", 0},
    {0}};

enum { MAX_FLAGS = 40 };

/* The tables of a verb as one. */
static void gather_flags(struct argp_option all[MAX_FLAGS], unsigned flags)
{
    const struct argp_option *const tables[] = {
        config_flags, flags & CONFIG_RUN ? run_flags : NULL, flags & CONFIG_GET ? get_flags : NULL,
        flags & CONFIG_PLAN ? plan_flags : NULL, flags & CONFIG_SUBMIT ? submit_flags : NULL};
    size_t n = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (size_t j = 0; tables[i] && tables[i][j].name; j++) {
            PM_ASSERT(n + 1 < MAX_FLAGS);
            all[n++] = tables[i][j];
        }
    all[n] = (struct argp_option){0};
}

/* Which key of the config each flag is. */
static const struct {
    int flag;
    const char *key;
    enum pm_config_value kind;
} keys[] = {{'m', "model", PM_CONFIG_PATH},
            {'i', "manifest", PM_CONFIG_PATH},
            {'o', "store.path", PM_CONFIG_PATH},
            {'F', "store.files", PM_CONFIG_TEXT},
            {'v', "inversions", PM_CONFIG_PATH},
            {'a', "lora", PM_CONFIG_LORA},
            {'e', "embeddings", PM_CONFIG_EMBEDDING},
            {'s', "steps", PM_CONFIG_NUMBER},
            {'g', "guidance_scale", PM_CONFIG_NUMBER},
            {'S', "scheduler", PM_CONFIG_TEXT},
            {'n', "negative_prompt", PM_CONFIG_TEXT},
            {'W', "width", PM_CONFIG_NUMBER},
            {'H', "height", PM_CONFIG_NUMBER},
            {'t', "limits.threads", PM_CONFIG_NUMBER},
            {'T', "limits.time_seconds", PM_CONFIG_NUMBER},
            {'x', "limits.halt_file", PM_CONFIG_PATH},
            {'P', "part", PM_CONFIG_TEXT},
            {TOKENIZER, "tokenizer", PM_CONFIG_PATH},
            {MODEL_CONFIG, "model_config", PM_CONFIG_PATH},
            {PACKED_WEIGHTS, "packed_weights", PM_CONFIG_PATH},
            {PROFILE, "profile", PM_CONFIG_TEXT},
            {PREDICTION, "prediction", PM_CONFIG_TEXT},
            {PRECISION, "precision", PM_CONFIG_TEXT}};

const char *config_options_flag(const char *key)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(keys[i].key, key) != 0) continue;
        for (size_t j = 0; config_flags[j].name; j++)
            if (config_flags[j].key == keys[i].flag) return config_flags[j].name;
    }
    return NULL;
}

struct parse {
    struct config_options *out;
    unsigned flags;
};

/* With ARGP_NO_EXIT, argp_error returns: its callers must say so with EINVAL. */

static error_t take_config(struct parse *parse, char *arg, struct argp_state *state)
{
    struct config_options *o = parse->out;
    if (o->config_path) {
        argp_error(state, "\"%s\": one config is enough", arg);
        return EINVAL;
    }
    o->config_path = arg;
    if (!(parse->flags & CONFIG_SUBMIT)) return 0;
    o->rest = state->argv + state->next;
    for (; state->next < state->argc; state->next++)
        if (strcmp(state->argv[state->next], "--dry-run") == 0) /* sbatch has no such option */
            o->is_dry = true;
        else
            o->rest[o->rest_count++] = state->argv[state->next];
    return 0;
}

static error_t take_number(double *out, double least, double most, const char *arg,
                           struct argp_state *state)
{
    char *end;
    *out = strtod(arg, &end);
    if (end != arg && *end == '\0' && *out >= least && *out <= most) return 0;
    argp_error(state, "\"%s\": a number from %g to %g is wanted", arg, least, most);
    return EINVAL;
}

static error_t take_submit_flag(struct config_options *o, int flag, char *arg,
                                struct argp_state *state)
{
    double number = 0.0;
    switch (flag) {
    case DRY_RUN:
        o->is_dry = true;
        return 0;
    case KEEP_GOING:
        o->keeps_going = true;
        return 0;
    case SCRIPT:
        o->script = arg;
        return 0;
    case PARTS:
        if (take_number(&number, 2.0, 1000.0, arg, state) != 0) return EINVAL;
        o->parts = (size_t)number;
        if ((double)o->parts == number) return 0;
        argp_error(state, "--parts=%s: a whole number is wanted", arg);
        return EINVAL;
    case HOURS:
        return take_number(&o->hours, 0.01, 8784.0, arg, state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t take_override(struct config_options *o, size_t i, char *arg,
                             struct argp_state *state)
{
    if (o->override_count == MAX_OVERRIDES) {
        argp_error(state, "\"%s\": more than %d flags", arg, MAX_OVERRIDES);
        return EINVAL;
    }
    o->overrides[o->override_count++] =
        (struct pm_config_override){.key = keys[i].key, .value = arg, .kind = keys[i].kind};
    return 0;
}

static error_t take_log_level(struct config_options *o, const char *arg, struct argp_state *state)
{
    int level = pm_log_level_from_name(arg);
    if (level < 0) {
        argp_error(state, "--log=%s: error, warning, info or debug is wanted", arg);
        return EINVAL;
    }
    o->log_level = (enum pm_log_level)level;
    return 0;
}

static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct parse *parse = state->input;
    struct config_options *o = parse->out;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].flag == flag) return take_override(o, i, arg, state);
    switch (flag) {
    case 'l':
        return take_log_level(o, arg, state);
    case 'r':
        o->retries_failed = true;
        return 0;
    case 'L':
        o->log_folder = arg;
        return 0;
    case PROFILE_TIME:
        o->profiles = true;
        return 0;
    case 'G':
        o->key = arg;
        return 0;
    case SHOW:
        o->shown_id = arg;
        return 0;
    case ARGP_KEY_ARG:
        return take_config(parse, arg, state);
    case ARGP_KEY_NO_ARGS:
        if (o->config_path) return 0;
        argp_error(state, "a config is wanted");
        return EINVAL;
    default:
        return take_submit_flag(o, flag, arg, state);
    }
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
                          unsigned flags, bool speaks, bool *helped)
{
    char name[64];
    struct argp_option all[MAX_FLAGS];
    struct parse parse = {.out = out, .flags = flags};
    struct argp argp = {.options = all,
                        .parser = parse_option,
                        .args_doc = flags & CONFIG_SUBMIT ? "CONFIG [SBATCH OPTION...]" : "CONFIG",
                        .doc = doc};
    gather_flags(all, flags);
    *out = (struct config_options){.log_level = PM_LOG_INFO, .hours = 4.0};
    *helped = config_options_ask_for_help(argc, argv);
    snprintf(name, sizeof name, "promptmill %s", argv[0]);
    if (*helped) {
        if (speaks) argp_help(&argp, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK, name);
        return true;
    }
    unsigned how = ARGP_NO_EXIT | ARGP_NO_HELP | (speaks ? 0 : ARGP_NO_ERRS);
    if (flags & CONFIG_SUBMIT) how |= ARGP_IN_ORDER;
    char *verb = argv[0];
    argv[0] = name; /* what argp's messages begin with */
    bool ok = argp_parse(&argp, argc, argv, how, NULL, &parse) == 0;
    argv[0] = verb;
    return ok;
}
