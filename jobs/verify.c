/* promptmill verify STORE: every checksum. */
#include "store_options.h"
#include "verbs.h"

#include "pm/runtime/exit_status.h"

#include <stdio.h>

static const char doc[] =
    "\nRead everything in a store and compare it with its checksums. Names each "
    "picture that is damaged. Exit status: 0 all good, 2 damage found.";

static bool verify_all(size_t *bad, const struct pm_store *store, struct pm_error *err)
{
    for (size_t i = 0; i < pm_store_shape_of(store)->items; i++) {
        struct pm_store_item item;
        PM_TRY(pm_store_read_item(&item, store, i, err));
        for (size_t t = 0; t < item.entries; t++) {
            bool good = false;
            if (!pm_store_verify_entry(&good, store, item.first_entry + t, err)) {
                pm_store_item_free(&item);
                return false;
            }
            if (good) continue;
            (*bad)++;
            if (t == 0)
                printf("damaged  %s, the source (entry %zu)\n", item.id, item.first_entry);
            else
                printf("damaged  %s, target %zu (entry %zu)\n", item.id, t - 1,
                       item.first_entry + t);
        }
        pm_store_item_free(&item);
    }
    return true;
}

int verb_verify(int argc, char **argv)
{
    struct store_options options;
    struct pm_store *store = NULL;
    struct pm_error err = {0};
    bool helped;
    size_t bad = 0;
    if (!store_options_parse(&options, argc, argv, doc, STORE_ONLY, &helped)) return PM_EXIT_INPUT;
    if (helped) return PM_EXIT_DONE;
    bool ok = pm_store_open_read(&store, options.store, &err) && verify_all(&bad, store, &err);
    if (ok) printf("%zu pictures, %zu damaged\n", pm_store_shape_of(store)->entries, bad);
    pm_store_close(store);
    if (!ok) fprintf(stderr, "promptmill: %s\n", err.message);
    if (!ok) return PM_EXIT_INPUT;
    return bad ? PM_EXIT_SOME_FAILED : PM_EXIT_DONE;
}
