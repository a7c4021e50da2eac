/* promptmill measure STORE: a table of metrics beside it. */
#include "measure_item.h"
#include "measure_table.h"
#include "metric_table.h"
#include "store_look.h"
#include "verb_arguments.h"
#include "verbs.h"

#include "pm/base/path.h"
#include "pm/data/manifest.h"
#include "pm/runtime/agree.h"
#include "pm/runtime/world.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] =
    "\nMeasure every finished edit of a store against its original, a real picture or the "
    "source's: "
    "MSE, PSNR and SSIM of the whole and, by the line's mask or else the edit's blend mask, of the "
    "edited and the unedited part, in both conventions (docs/benchmarks.md). Reconstructions of "
    "real "
    "pictures are measured as well. The store is only read; the table lies beside it."
    "\vRun it alone or under mpirun or srun: the table is the same.";

static const struct argp_option option_table[] = {
    {"as", 'a', "FORMAT", 0, "csv (default) or jsonl", 0},
    {"out", 'o', "FILE", 0, "the table (default: the store's name with .metrics.csv for .h5)", 0},
    {"truth", 't', "FOLDER", 0,
     "pictures of what the edits should have made, named as the mapping's image_path, else ID.png, "
     "without a sweep's setting: measured against as well",
     0},
    {0}};

struct arguments {
    const char *store, *out, *truth;
    enum measure_format format;
};

/* With ARGP_NO_EXIT, argp_error returns: its callers must say so with EINVAL. */
static error_t parse_option(int flag, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (flag) {
    case 'a':
        a->format = strcmp(arg, "jsonl") == 0 ? MEASURE_JSONL : MEASURE_CSV;
        if (a->format == MEASURE_JSONL || strcmp(arg, "csv") == 0) return 0;
        argp_error(state, "\"%s\": the formats are csv and jsonl", arg);
        return EINVAL;
    case 'o':
        a->out = arg;
        return 0;
    case 't':
        a->truth = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (a->store) {
            argp_error(state, "\"%s\": one store is enough", arg);
            return EINVAL;
        }
        a->store = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "a store is wanted");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = option_table, .parser = parse_option, .args_doc = "STORE", .doc = doc};

/* The manifest's, whose pictures and masks are looked for beside it. */
static void manifest_folder(char folder[PATH_MAX], const json_t *config)
{
    const char *manifest = json_string_value(json_object_get(config, "manifest"));
    pm_path_folder(folder, manifest ? manifest : "");
}

/* This rank's share of the items, one in so many. */
static bool measure_share(struct measure_table *table, const struct pm_store *store,
                          const struct measure_options *options, const struct pm_world *world,
                          struct pm_error *err)
{
    const struct pm_store_shape *shape = pm_store_shape_of(store);
    for (size_t item = (size_t)world->rank; item < shape->items; item += (size_t)world->ranks) {
        size_t count;
        struct measured *room;
        PM_TRY(measure_table_grow(table, &room, store, item, err));
        PM_TRY(measure_item(room, &count, &table->left_out, store, item, options, err));
        table->count += count;
    }
    return true;
}

static bool measure_items(struct measure_table *table, const struct pm_store *store,
                          const struct arguments *a, const struct pm_world *world,
                          struct pm_error *err)
{
    char folder[PATH_MAX];
    json_t *config;
    PM_TRY(store_read_config(&config, store, err));
    manifest_folder(folder, config);
    struct measure_options options = {
        .manifest_folder = folder, .truth_folder = a->truth, .config = config};
    bool ok = measure_share(table, store, &options, world, err);
    json_decref(config);
    return ok;
}

static bool finish(const struct measure_table *table, const struct pm_store *store,
                   const struct arguments *a, struct pm_error *err)
{
    char *made = a->out                     ? NULL
                 : a->format == MEASURE_CSV ? metric_table_path(a->store)
                                            : store_path_with(a->store, ".metrics.jsonl");
    const char *out = a->out ? a->out : made;
    bool ok =
        table->count > 0 || pm_fail(err, PM_E_INPUT, "%s has no finished edits yet", a->store);
    ok = ok && measure_table_write(table, out, a->format, store, a->truth, err);
    ok = ok && measure_table_summarise(table, out, store, a->truth, err);
    free(made);
    return ok;
}

static bool measure(void *arguments, const struct pm_world *world, struct pm_error *err)
{
    const struct arguments *a = arguments;
    struct pm_store *store = NULL;
    struct measure_table table = {0};
    bool ok =
        store_open_pictures(&store, a->store, err) && measure_items(&table, store, a, world, err);
    ok = pm_agree(MPI_COMM_WORLD, ok, err);
    if (ok) measure_table_gather(&table, MPI_COMM_WORLD);
    if (ok && world->rank == 0) ok = finish(&table, store, a, err);
    ok = pm_agree(MPI_COMM_WORLD, ok, err);
    measure_table_free(&table);
    pm_store_close(store);
    return ok;
}

int verb_measure(int argc, char **argv)
{
    struct arguments a = {0};
    return verb_run_on_ranks(&argp, argc, argv, &a, measure);
}
