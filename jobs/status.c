/* promptmill status STORE: what is done, failed and left. */
#include "describe.h"
#include "slurm.h"
#include "store_look.h"
#include "store_options.h"
#include "verbs.h"

#include "pm/runtime/exit_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char doc[] =
    "\nTell what is done, failed and left in a store, also while a run is "
    "writing it; what it keeps of each picture; and where its Slurm job is, if it has one. Every "
    "failed edit is named with its reason. Exit status: 0 all done, 2 some failed, 85 not "
    "finished.";

enum { BATCH = 4096 };

static bool count_rows(size_t counts[3], const struct pm_store *store, bool prints,
                       struct pm_error *err)
{
    size_t entries = pm_store_shape_of(store)->entries;
    struct pm_store_row *rows = malloc(BATCH * sizeof *rows);
    if (!rows) pm_die("no memory for %d rows", BATCH);
    bool ok = true;
    for (size_t first = 0; ok && first < entries; first += BATCH) {
        size_t count = entries - first < BATCH ? entries - first : BATCH;
        ok = pm_store_read_rows(rows, store, first, count, err);
        for (size_t i = 0; ok && i < count; i++) {
            counts[rows[i].state]++;
            if (prints && rows[i].state == PM_STORE_FAILED)
                store_print_entry("failed", store, first + i, rows[i].message);
        }
    }
    free(rows);
    return ok;
}

static bool print_status(size_t counts[3], const struct pm_store *store, const char *path,
                         struct pm_error *err)
{
    char *created = NULL, *software = NULL;
    const struct pm_store_shape *shape = pm_store_shape_of(store);
    bool ok = pm_store_read_attribute(&created, store, "created", err) &&
              pm_store_read_attribute(&software, store, "software", err) &&
              count_rows(counts, store, true, err);
    if (ok) {
        printf("%s: begun %s by %s\n", path, created, software);
        describe_print_kept(shape);
        printf("%zu lines, %zu pictures: %zu done, %zu failed, %zu left\n", shape->items,
               shape->entries, counts[PM_STORE_DONE], counts[PM_STORE_FAILED],
               counts[PM_STORE_PENDING]);
    }
    free(created);
    free(software);
    return ok;
}

/* The job that was submitted for the store or is running on it. @return false: there is none */
static bool print_job(const char *store)
{
    char id[SLURM_JOB_BYTES], text[SLURM_STATE_BYTES];
    if (!slurm_read_job(id, store)) return false;
    slurm_describe_job(text, id);
    printf("%s\n", text);
    return true;
}

int verb_status(int argc, char **argv)
{
    struct store_options options;
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    bool helped;
    size_t counts[3] = {0};
    if (!store_options_parse(&options, argc, argv, doc, STORE_ONLY, &helped)) return PM_EXIT_INPUT;
    if (helped) return PM_EXIT_DONE;
    if (access(options.store, F_OK) != 0 && print_job(options.store)) {
        printf("%s is not there yet\n", options.store);
        return PM_EXIT_UNFINISHED;
    }
    bool ok = pm_store_open_read(&store, options.store, &err) &&
              print_status(counts, store, options.store, &err);
    pm_store_close(store);
    if (ok) (void)print_job(options.store);
    if (!ok) {
        fprintf(stderr, "promptmill: %s\n", err.message);
        return PM_EXIT_INPUT;
    }
    if (counts[PM_STORE_PENDING] > 0) return PM_EXIT_UNFINISHED;
    return counts[PM_STORE_FAILED] > 0 ? PM_EXIT_SOME_FAILED : PM_EXIT_DONE;
}
