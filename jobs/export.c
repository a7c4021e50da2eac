/* promptmill export STORE --as FORMAT: pictures out of a store. */
#include "export.h"
#include "store_look.h"
#include "verb_arguments.h"
#include "verbs.h"

#include "pm/runtime/agree.h"
#include "pm/runtime/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char doc[] =
    "\nWrite the edits of a store as pictures, all or those with the ids given. Edits that are not "
    "done are left out and counted. FORMAT is"
    "\n"
    "\n  png               strips with the words' maps, originals of real pictures; sheets"
    "\n  pie-bench         what PIE-Bench's evaluator reads: strips"
    "\n  instruct-pix2pix  what InstructPix2Pix trains on"
    "\vThe trees are written by all ranks of mpirun or srun. Pictures that are there already are "
    "not written again, so the same command goes on with an export that was stopped "
    "(docs/benchmarks.md).";

enum { PLAIN = 1000 };

static const struct argp_option option_table[] = {
    {"as", 'a', "FORMAT", 0, "png (default), pie-bench or instruct-pix2pix", 0},
    {"out", 'o', "FOLDER", 0, "where to (default: the store's name without .h5)", 0},
    {"scale", 'x', "N", 0, "png: draw every pixel N by N large in the strips (default 2)", 0},
    {"columns", 'c', "N", 0, "png: edits side by side on the sheet (default: as fits)", 0},
    {"pictures", 'p', "KIND", 0,
     "trees: png or jpeg, whatever the names end with, which readers of a tree go by (default: "
     "png, of instruct-pix2pix jpeg)",
     0},
    {"keep", 'k', "CONDITION", 0,
     "leave out edits that do not meet it: METRIC>=NUMBER or METRIC<=NUMBER, of the table's "
     "columns; "
     "given more than once, all must be met",
     0},
    {"table", 't', "FILE", 0,
     "the metrics that --keep goes by (default: what `promptmill measure` wrote beside the store)",
     0},
    {"plain", PLAIN, NULL, 0, "pie-bench: the edited pictures alone, 512x512", 0},
    {0}};

static const struct format {
    const char *name;
    export_format *write;
    bool is_tree;
} formats[] = {{"png", export_png, false},
               {"pie-bench", export_pie_bench, true},
               {"instruct-pix2pix", export_instruct_pix2pix, true}};

struct arguments {
    const struct format *format;
    struct export_options options;
};

/* With ARGP_NO_EXIT, argp_error returns: its callers must say so with EINVAL. */
static error_t take_format(struct arguments *a, const char *name, struct argp_state *state)
{
    a->format = NULL;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, name) == 0) a->format = &formats[i];
    if (a->format) return 0;
    argp_error(state, "\"%s\": the formats are png, pie-bench and instruct-pix2pix", name);
    return EINVAL;
}

static error_t take_pictures(struct export_options *o, const char *name, struct argp_state *state)
{
    if (strcmp(name, "png") == 0 || strcmp(name, "jpeg") == 0) {
        o->pictures = name[0] == 'p' ? EXPORT_PNG_PICTURES : EXPORT_JPEG_PICTURES;
        return 0;
    }
    argp_error(state, "\"%s\": pictures are png or jpeg", name);
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
static error_t check(const struct arguments *a, struct argp_state *state)
{
    const struct export_options *o = &a->options;
    bool is_pie_bench = a->format->write == export_pie_bench;
    const char *idle = NULL;
    if (!o->store) {
        argp_error(state, "a store is wanted");
        return EINVAL;
    }
    if (a->format->is_tree && o->scale) idle = "--scale";
    if (a->format->is_tree && o->columns) idle = "--columns";
    if (!a->format->is_tree && o->pictures != EXPORT_USUAL_PICTURES) idle = "--pictures";
    if (!is_pie_bench && o->is_plain) idle = "--plain";
    if (o->table && o->condition_count == 0) idle = "--table without --keep";
    if (!idle) return 0;
    argp_error(state, "%s is without effect on %s", idle, a->format->name);
    return EINVAL;
}

static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    struct export_options *o = &a->options;
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
        return take_pictures(o, arg, state);
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
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = option_table, .parser = parse_option, .args_doc = "STORE [ID...]", .doc = doc};

/* "edits" for "edits.h5", unless --out says where. @return owned by the caller; NULL with err set */
static char *make_folder(const struct export_options *o, struct pm_error *err)
{
    char *folder = o->out ? strdup(o->out) : store_path_with(o->store, "");
    if (!folder) pm_die("no memory for a path");
    if (mkdir(folder, 0777) == 0 || errno == EEXIST) return folder;
    pm_fail(err, PM_E_IO, "cannot make the folder %s: %s", folder, strerror(errno));
    free(folder);
    return NULL;
}

static bool load_keep(struct export_keep *keep, const struct pm_store *store,
                      const struct export_options *o, struct pm_error *err)
{
    if (o->condition_count == 0) return true;
    for (; keep->count < o->condition_count; keep->count++)
        PM_TRY(
            export_condition_read(&keep->conditions[keep->count], o->conditions[keep->count], err));
    char *table = o->table ? NULL : metric_table_path(o->store);
    bool ok = export_keep_load(keep, o->table ? o->table : table, store, err);
    free(table);
    return ok;
}

bool export_judge(enum export_fate *fate, const struct export *x, const struct pm_store_item *item,
                  size_t t, struct pm_error *err)
{
    struct pm_store_row source, row;
    bool kept = true;
    PM_TRY(pm_store_read_rows(&source, x->store, item->first_entry, 1, err));
    PM_TRY(pm_store_read_rows(&row, x->store, item->first_entry + t, 1, err));
    bool is_done = source.state == PM_STORE_DONE && row.state == PM_STORE_DONE;
    if (is_done && t > 0) /* a source by itself is no edit */
        PM_TRY(export_keep_judge(&kept, x->keep, item->first_entry + t, item->id, err));
    *fate = !is_done ? EXPORT_NOT_DONE : kept ? EXPORT_KEPT : EXPORT_REJECTED;
    return true;
}

static bool write_edits(void *arguments, const struct pm_world *world, struct pm_error *err)
{
    const struct arguments *a = arguments;
    struct pm_store *store = NULL;
    json_t *config = NULL;
    char *folder = NULL;
    struct export_keep keep = {0};
    bool ok = store_open_pictures(&store, a->options.store, err) &&
              store_read_config(&config, store, err) && load_keep(&keep, store, &a->options, err) &&
              (folder = make_folder(&a->options, err));
    ok = pm_agree(MPI_COMM_WORLD, ok, err);
    struct export x = {.options = &a->options,
                       .store = store,
                       .shape = ok ? pm_store_shape_of(store) : NULL,
                       .config = config,
                       .folder = folder,
                       .keep = &keep,
                       .rank = world->rank,
                       .ranks = world->ranks};
    ok = ok && a->format->write(&x, err);
    export_keep_free(&keep);
    free(folder);
    json_decref(config);
    pm_store_close(store);
    return ok;
}

int verb_export(int argc, char **argv)
{
    struct arguments a = {.format = &formats[0]};
    return verb_run_on_ranks(&argp, argc, argv, &a, write_edits);
}
