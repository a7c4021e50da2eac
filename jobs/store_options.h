/** @file store_options.h  The arguments of the verbs that look into a store: STORE [ID ...]. */
#ifndef STORE_OPTIONS_H
#define STORE_OPTIONS_H
#include "pm/base/json.h"
#include "pm/data/store.h"

enum { STORE_MAX_IDS = 1000 };

struct store_options {
    const char *store;
    const char *ids[STORE_MAX_IDS]; /* [id_count] what came after the store */
    size_t id_count;
};

enum store_flags { STORE_ONLY = 0, STORE_IDS = 1 };

/** Parse with argp. @param flags  which arguments the verb takes
 *  @return false: usage was printed. *helped: --help was asked for and printed */
bool store_options_parse(struct store_options *out, int argc, char **argv, const char *doc,
                         unsigned flags, bool *helped);

/** Items whose id is @p id. @return false with a sentence when there is none */
PM_MUST_CHECK bool store_find_item(size_t *item, const struct pm_store *store, const char *id,
                                   struct pm_error *err);
/** The config that a store was made by, resolved. @return true, *config owned by the caller
 *  (json_decref) */
PM_MUST_CHECK bool store_read_config(json_t **config, const struct pm_store *store,
                                     struct pm_error *err);

/** Print one line that names an entry: "damaged  ball-to-cube, target 1 (entry 3): WHY".
 *  @param what  "damaged", "failed"  @param why  a sentence, or "" */
void store_print_entry(const char *what, const struct pm_store *store, size_t entry,
                       const char *why);
#endif
