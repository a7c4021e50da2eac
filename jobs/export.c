/* promptmill export STORE --as FORMAT: pictures out of a store. */
#include "export_options.h"
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
    const struct export_arguments *a = arguments;
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
    ok = ok && a->write(&x, err);
    export_keep_free(&keep);
    free(folder);
    json_decref(config);
    pm_store_close(store);
    return ok;
}

int verb_export(int argc, char **argv)
{
    struct export_arguments a = export_arguments_default();
    return verb_run_on_ranks(&export_argp, argc, argv, &a, write_edits);
}
