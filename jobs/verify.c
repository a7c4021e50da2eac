/* promptmill verify STORE: every checksum. */
#include "store_look.h"
#include "store_options.h"
#include "verbs.h"

#include "pm/runtime/exit_status.h"

#include <stdio.h>

static const char doc[] =
    "\nRead everything in a store and compare it with its checksums. Names each "
    "picture that is damaged. Exit status: 0 all good, 2 damage found.";

static size_t count_damaged(const struct pm_store *store)
{
    size_t damaged = 0;
    for (size_t e = 0; e < pm_store_shape_of(store)->entries; e++) {
        struct pm_error why = {0};
        bool good = false;
        if (pm_store_verify_entry(&good, store, e, &why) && good) continue;
        store_print_entry("damaged", store, e, why.message);
        damaged++;
    }
    return damaged;
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
    bool ok = pm_store_open_read(&store, options.store, &err);
    if (ok) bad = count_damaged(store);
    if (ok) printf("%zu pictures, %zu damaged\n", pm_store_shape_of(store)->entries, bad);
    pm_store_close(store);
    if (!ok) fprintf(stderr, "promptmill: %s\n", err.message);
    if (!ok) return PM_EXIT_INPUT;
    return bad ? PM_EXIT_SOME_FAILED : PM_EXIT_DONE;
}
