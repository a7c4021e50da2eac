/** @file capture.h  What a run keeps: "capture" of a config. docs/config.md lists the keys.
 *
 *  Whether a model has the layers, sizes and steps that are named is for others to find out. */
#ifndef PM_DATA_CAPTURE_H
#define PM_DATA_CAPTURE_H
#include "pm/base/json.h"
#include "pm/data/store.h"

/** How an axis of the maps is kept. */
enum pm_capture_axis {
    PM_CAPTURE_MEAN,   /* averaged over */
    PM_CAPTURE_EACH,   /* all, each by itself */
    PM_CAPTURE_LISTED, /* some, each by itself */
};

/** One dataset of attention maps. */
struct pm_capture_attention {
    const char *name; /* letters, digits and _ */
    bool is_self, is_before, of_words;
    enum pm_store_number number;
    bool has_size; /* false: the size that local blends look at, or that of the listed layers */
    size_t height, width;
    enum pm_capture_axis steps, layers, heads;  /* heads: not PM_CAPTURE_LISTED */
    const json_t *listed_steps, *listed_layers; /* arrays of whole numbers, ascending */
};

/** Borrows from the JSON. */
struct pm_capture {
    bool images;
    enum pm_store_latents latents;
    bool inversions; /* of real pictures, for later runs */
    struct pm_capture_attention attention[PM_STORE_MAX_CAPTURES]; /* by name, ascending */
    size_t attention_count;
};

/** Read a config's "capture". @param json  an object, or whatever else the user wrote there; every
 *  default is filled in, and the list of attention sorted by name
 *  @return false when a key, value or name is wrong; err begins with @p where */
PM_MUST_CHECK bool pm_capture_read(struct pm_capture *out, json_t *json, const char *where,
                                   struct pm_error *err);
#endif
