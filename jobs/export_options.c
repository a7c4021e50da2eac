#include "export_options.h"

#include "verb_arguments.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "\nWrite what is in a store as pictures, all or those of the ids given. What is not done is "
    "left "
    "out and counted. FORMAT is"
    "\n"
    "\n  png               strips with the words' maps, originals of real pictures; sheets"
    "\n  pie-bench         what PIE-Bench's evaluator reads: strips"
    "\n  instruct-pix2pix  what InstructPix2Pix trains on"
    "\n  heat-maps         DAAM's heat maps of the words, of all pictures, and laid over them"
    "\n  masks             where the words' things are: indexed pictures, COCO's annotations"
    "\vAll but png are written by all ranks of mpirun or srun. Pictures that are there already are "
    "not written again, so the same command goes on with an export that was stopped "
    "(docs/benchmarks.md, docs/attention.md).";

enum { PLAIN = 1000, MAPS, TIME, SHARE, PROPAGATE, SELF, GUIDE, THRESHOLD, COMPETE };

static const struct argp_option option_table[] = {
    {"as", 'a', "FORMAT", 0, "one of the above (default: png)", 0},
    {"out", 'o', "FOLDER", 0, "where to (default: the store's name without .h5)", 0},
    {"keep", 'k', "CONDITION", 0,
     "leave out edits that do not meet it: METRIC>=NUMBER or METRIC<=NUMBER, of the table's "
     "columns; given more than once, all must be met",
     0},
    {"table", 't', "FILE", 0,
     "the metrics that --keep goes by (default: what `promptmill measure` wrote beside the store)",
     0},
    {"scale", 'x', "N", 0, "png: draw every pixel N by N large in the strips (default 2)", 1},
    {"columns", 'c', "N", 0, "png: edits side by side on the sheet (default: as fits)", 1},
    {"pictures", 'p', "KIND", 0,
     "pie-bench, instruct-pix2pix: png or jpeg, whatever the names end with, which readers of a "
     "tree go by (default: png, of instruct-pix2pix jpeg)",
     1},
    {"plain", PLAIN, NULL, 0, "pie-bench: the edited pictures alone, 512x512", 1},
    {NULL, 0, NULL, 0, "heat-maps and masks:", 2},
    {"words", 'w', "WORDS", 0,
     "with commas between, as \"cat,oak tree\" (default: the line's \"meta\": {\"words\": [...]}, "
     "and "
     "of heat-maps else all)",
     2},
    {"maps", MAPS, "NAMES", 0,
     "the captures of cross-attention (default: the best of each size, but of the middle of the "
     "network)",
     2},
    {"time", TIME, "HOW", 0, "mean over the steps (default) or sum, as DAAM has it", 2},
    {"share-tokens", SHARE, NULL, 0,
     "each token its share of what a pixel's tokens get: DAAM's normalize", 2},
    {"propagate", PROPAGATE, "N", 0, "spread heat by self-attention, N times", 2},
    {"self", SELF, "NAME", 0, "by this capture of self-attention (default: the largest)", 2},
    {"guide", GUIDE, "RADIUS", 0, "give it the picture's edges: a guided filter, in pixels", 2},
    {"threshold", THRESHOLD, "NUMBER", 0,
     "masks: of heat from 0 to 1 (default 0.4), or \"otsu\": found for each word", 3},
    {"compete", COMPETE, NULL, 0, "masks: a pixel is of the word only that has the most heat", 3},
    {0}};

enum format { PNG, PIE_BENCH, INSTRUCT_PIX2PIX, HEAT_MAPS, MASKS, FORMATS };

static const struct {
    const char *name;
    export_format *write;
} formats[FORMATS] = {{"png", export_png},
                      {"pie-bench", export_pie_bench},
                      {"instruct-pix2pix", export_instruct_pix2pix},
                      {"heat-maps", export_heat_maps},
                      {"masks", export_masks}};

enum { TREES = 1 << PIE_BENCH | 1 << INSTRUCT_PIX2PIX, HEAT = 1 << HEAT_MAPS | 1 << MASKS };

/* Options that not every format has, and which have them. */
static const struct {
    int key;
    const char *name;
    unsigned formats;
} bound[] = {{'x', "--scale", 1 << PNG},
             {'c', "--columns", 1 << PNG},
             {'p', "--pictures", TREES},
             {PLAIN, "--plain", 1 << PIE_BENCH},
             {'w', "--words", HEAT},
             {MAPS, "--maps", HEAT},
             {TIME, "--time", HEAT},
             {SHARE, "--share-tokens", HEAT},
             {PROPAGATE, "--propagate", HEAT},
             {SELF, "--self", HEAT},
             {GUIDE, "--guide", HEAT},
             {THRESHOLD, "--threshold", 1 << MASKS},
             {COMPETE, "--compete", 1 << MASKS}};

struct export_arguments export_arguments_default(void)
{
    return (struct export_arguments){
        .format = formats[PNG].name, .write = formats[PNG].write, .options.heat.threshold = 0.4f};
}

/* With ARGP_NO_EXIT, argp_error returns: its callers must say so with EINVAL. */
static error_t take_format(struct export_arguments *a, const char *name, struct argp_state *state)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i].name, name) != 0) continue;
        a->format = formats[i].name;
        a->write = formats[i].write;
        return 0;
    }
    argp_error(state,
               "\"%s\": the formats are png, pie-bench, instruct-pix2pix, heat-maps and masks",
               name);
    return EINVAL;
}

/* One of two words. @param second  was it the second? */
static error_t take_either(bool *second, const char *name, const char *a, const char *b,
                           const char *what, struct argp_state *state)
{
    *second = strcmp(name, b) == 0;
    if (*second || strcmp(name, a) == 0) return 0;
    argp_error(state, "\"%s\": %s %s or %s", name, what, a, b);
    return EINVAL;
}

static error_t take_condition(struct export_options *o, char *text, struct argp_state *state)
{
    struct export_condition condition;
    struct pm_error err = {0};
    if (o->condition_count == EXPORT_MAX_CONDITIONS) {
        argp_error(state, "at most %d conditions", EXPORT_MAX_CONDITIONS);
        return EINVAL;
    }
    if (!export_condition_read(&condition, text, &err)) {
        argp_error(state, "%s", err.message);
        return EINVAL;
    }
    o->conditions[o->condition_count++] = text;
    return 0;
}

static error_t take_threshold(struct export_heat_options *o, const char *text,
                              struct argp_state *state)
{
    char *end;
    o->is_otsu = strcmp(text, "otsu") == 0;
    if (o->is_otsu) return 0;
    errno = 0;
    o->threshold = strtof(text, &end);
    if (end != text && !*end && errno == 0 && o->threshold >= 0.0f && o->threshold < 1.0f) return 0;
    argp_error(state, "\"%s\": a threshold is a number from 0 and below 1, or otsu", text);
    return EINVAL;
}

static error_t take_argument(struct export_options *o, char *arg, struct argp_state *state)
{
    if (!o->store) {
        o->store = arg;
        return 0;
    }
    if (o->id_count == EXPORT_MAX_IDS) {
        argp_error(state, "at most %d ids", EXPORT_MAX_IDS);
        return EINVAL;
    }
    o->ids[o->id_count++] = arg;
    return 0;
}

/* An option without effect is an error. */
static error_t check(const struct export_arguments *a, struct argp_state *state)
{
    const struct export_options *o = &a->options;
    const char *idle = NULL;
    unsigned format = 0;
    if (!o->store) {
        argp_error(state, "a store is wanted");
        return EINVAL;
    }
    while (formats[format].name != a->format) format++;
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++)
        if (a->given & (1u << i) && !(bound[i].formats & (1u << format))) idle = bound[i].name;
    if (o->table && o->condition_count == 0) idle = "--table without --keep";
    if (o->heat.self && o->heat.propagations == 0) idle = "--self without --propagate";
    if (!idle) return 0;
    argp_error(state, "%s is without effect on %s", idle, a->format);
    return EINVAL;
}

/* Options of heat-maps and masks. */
static error_t parse_heat_option(int flag, char *arg, struct argp_state *state)
{
    struct export_heat_options *o = &((struct export_arguments *)state->input)->options.heat;
    bool is_sum;
    error_t result;
    switch (flag) {
    case 'w':
        o->words = arg;
        return 0;
    case MAPS:
        o->maps = arg;
        return 0;
    case TIME:
        result = take_either(&is_sum, arg, "mean", "sum", "steps make a", state);
        o->time = is_sum ? PM_HEAT_SUM_OF_STEPS : PM_HEAT_MEAN_OF_STEPS;
        return result;
    case SHARE:
        o->shares = true;
        return 0;
    case PROPAGATE:
        return verb_whole_number(&o->propagations, state, arg);
    case SELF:
        o->self = arg;
        return 0;
    case GUIDE:
        return verb_whole_number(&o->guide_radius, state, arg);
    case THRESHOLD:
        return take_threshold(o, arg, state);
    case COMPETE:
        o->competes = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct export_arguments *a = state->input;
    struct export_options *o = &a->options;
    bool is_jpeg;
    error_t result;
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++)
        if (bound[i].key == flag) a->given |= 1u << i;
    switch (flag) {
    case 'a':
        return take_format(a, arg, state);
    case 'o':
        o->out = arg;
        return 0;
    case 'x':
        return verb_whole_number(&o->scale, state, arg);
    case 'c':
        return verb_whole_number(&o->columns, state, arg);
    case 'p':
        result = take_either(&is_jpeg, arg, "png", "jpeg", "pictures are", state);
        o->pictures = is_jpeg ? EXPORT_JPEG_PICTURES : EXPORT_PNG_PICTURES;
        return result;
    case 'k':
        return take_condition(o, arg, state);
    case 't':
        o->table = arg;
        return 0;
    case PLAIN:
        o->is_plain = true;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(o, arg, state);
    case ARGP_KEY_END:
        return check(a, state);
    default:
        return parse_heat_option(flag, arg, state);
    }
}

const struct argp export_argp = {
    .options = option_table, .parser = parse_option, .args_doc = "STORE [ID...]", .doc = doc};
