/** @file store_look.h  What the verbs that look into a store share. */
#ifndef STORE_LOOK_H
#define STORE_LOOK_H
#include "pm/base/json.h"
#include "pm/data/store.h"
#include "pm/runtime/lock.h"

/** pm_store_open_read, of a store with pictures. @return false, *out NULL, where it has none */
PM_MUST_CHECK bool store_open_pictures(struct pm_store **out, const char *path,
                                       struct pm_error *err);

/** A name beside a store: "edits.metrics.csv" for "edits.h5" and ".metrics.csv".
 *  @return owned by the caller (free) */
char *store_path_with(const char *store, const char *ending);

/** pm_lock_take of the lock that belongs to a store, "edits.h5.lock". */
PM_MUST_CHECK bool store_take_lock(struct pm_lock *lock, const char *store, struct pm_error *err);

/** The config that a store was made by, resolved. @return true, *config owned by the caller
 *  (json_decref) */
PM_MUST_CHECK bool store_read_config(json_t **config, const struct pm_store *store,
                                     struct pm_error *err);

/** The item whose id is @p id. @return false with a sentence when there is none */
PM_MUST_CHECK bool store_find_item(size_t *item, const struct pm_store *store, const char *id,
                                   struct pm_error *err);

/** Does the store have the real picture of the item with this source? */
bool store_has_original(const struct pm_store *store, const struct pm_store_row *source);

/** What an item's edits begin with: the real picture where the store has it, or the source's.
 *  @param pixels  [image_height, image_width, 3] */
PM_MUST_CHECK bool store_read_before(uint8_t *pixels, const struct pm_store *store, size_t item,
                                     size_t source_entry, struct pm_error *err);

/** Print one line that names an entry: "damaged  ball-to-cube, target 1 (entry 3): WHY".
 *  @param what  "damaged", "failed"  @param why  a sentence, or "" */
void store_print_entry(const char *what, const struct pm_store *store, size_t entry,
                       const char *why);
#endif
