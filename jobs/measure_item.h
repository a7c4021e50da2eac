/** @file measure_item.h  How far an item's pictures are from what they are to be compared with. */
#ifndef MEASURE_ITEM_H
#define MEASURE_ITEM_H
#include "pm/base/json.h"
#include "pm/data/image_metrics.h"
#include "pm/data/store.h"

/** What tells the edited part of a picture from the rest. */
enum measure_mask {
    MEASURE_NO_MASK,
    MEASURE_OF_MANIFEST, /* the line's "mask" */
    MEASURE_OF_BLEND,    /* where local blend let the edit through */
};
extern const char *const measure_mask_names[];

/** A measured picture. Plain bytes, which ranks send to each other. */
struct measured {
    size_t entry, item;
    int target; /* PM_STORE_SOURCE: a reconstruction */
    enum measure_mask mask;
    double metrics[PM_IMAGE_METRICS]; /* against the original: see measure_item */
    double truth_metrics
        [PM_IMAGE_METRICS]; /* against what the edit should have made; NaN: not known */
};

struct measure_options {
    const char *manifest_folder; /* where names of pictures and masks start from */
    const char *truth_folder;    /* NULL: nobody knows what the edits should have made */
    const json_t *config;        /* the store's */
};

/** Measure the pictures of an item that are done: targets against the original, which is a real
 *  picture or the source's; of a real picture the reconstruction too, against it.
 *  @param out  [item's entries]  @param count  how many were measured
 *  @param left_out  increased by the targets that are not done
 *  @return false when the store, a picture or a mask cannot be read */
PM_MUST_CHECK bool measure_item(struct measured *out, size_t *count, size_t *left_out,
                                const struct pm_store *store, size_t item,
                                const struct measure_options *options, struct pm_error *err);

/** @return the item's "meta", "category" or "" */
const char *measure_category(const json_t *recipe);
#endif
