/** @file export.h  What the formats of `promptmill export` share. */
#ifndef EXPORT_H
#define EXPORT_H
#include "export_keep.h"

#include "pm/base/json.h"
#include "pm/data/image.h"
#include "pm/data/store.h"
#include "pm/data/word_heat.h"

#include <limits.h>

enum { EXPORT_MAX_IDS = 1000 };

/** How pictures of trees are written. */
enum export_pictures { EXPORT_USUAL_PICTURES, EXPORT_PNG_PICTURES, EXPORT_JPEG_PICTURES };

/** heat-maps and masks */
struct export_heat_options {
    const char *words; /* "cat,oak tree"; NULL: what each line names */
    const char *maps;  /* captures of cross-attention, by name; NULL: the best of each size */
    enum pm_heat_time time;
    bool shares;         /* each token its share of a pixel's attention */
    size_t propagations; /* by self-attention; 0: none */
    const char *self;    /* capture of self-attention; NULL: the largest */
    size_t guide_radius; /* of the guided filter, in pixels; 0: none */
    bool is_otsu;        /* masks: the threshold is found for each word */
    float threshold;     /* masks: of heat from 0 to 1 */
    bool competes;       /* masks: a pixel is of one word only */
};

struct export_options {
    const char *store;
    const char *ids[EXPORT_MAX_IDS]; /* [id_count]  none: all */
    size_t id_count;
    const char *out;       /* NULL: the store's name */
    size_t scale, columns; /* png: of strips; of sheets, 0: as fits */
    enum export_pictures pictures;
    bool is_plain;                                 /* pie-bench: the edited picture alone */
    const char *conditions[EXPORT_MAX_CONDITIONS]; /* [condition_count]  which edits are kept */
    size_t condition_count;
    const char *table; /* of metrics; NULL: the store's */
    struct export_heat_options heat;
};

/** What becomes of an edit. */
enum export_fate { EXPORT_NOT_DONE, EXPORT_REJECTED, EXPORT_KEPT };

struct export
{
    const struct export_options *options;
    const struct pm_store *store;
    const struct pm_store_shape *shape;
    const json_t *config; /* the store's */
    const char *folder;   /* it is there */
    int rank, ranks;
    size_t written, found; /* pictures, by this rank; those that were there already */
    const struct export_keep *keep;
    size_t left_out, rejected; /* edits that are not done; that are not good enough */
};

/** Write the edits of a store. Collective over all ranks. */
typedef bool export_format(struct export *x, struct pm_error *err);
export_format export_png, export_pie_bench, export_instruct_pix2pix, export_heat_maps, export_masks;

/** Is there a picture of target @p t of an item, from 1, and of its source (0: the source alone), and
 *  is it good enough? */
PM_MUST_CHECK bool export_judge(enum export_fate *fate, const struct export *x,
                                const struct pm_store_item *item, size_t t, struct pm_error *err);
#endif
