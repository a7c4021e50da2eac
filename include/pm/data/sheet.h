/** @file sheet.h  Many edits in one picture: a contact sheet.
 *
 *      title
 *      id                            id
 *      what the edit was             what the edit was
 *      +------+ +------+ +------+    +------+ +------+ +------+
 *      |source| |target| | mask |    |source| |target| | mask |   ...
 *      +------+ +------+ +------+    +------+ +------+ +------+
 *      the target's prompt           the target's prompt
 *
 *  Of real pictures there is a tile more, the original, before the source.
 *  Edits are added one after the other, so that no more than one need be in memory:
 *
 *      PM_TRY(pm_sheet_init(&sheet, &options, err));
 *      for (size_t i = 0; i < options.count; i++) pm_sheet_add(&sheet, id[i], &strip[i]);
 *      bool ok = pm_image_write_png(&sheet.image, path, err);
 *      pm_sheet_free(&sheet);
 */
#ifndef PM_DATA_SHEET_H
#define PM_DATA_SHEET_H
#include "pm/data/strip.h"

struct pm_sheet_options {
    const char *title;              /* borrowed for pm_sheet_init; NULL for none */
    size_t count;                   /* edits there is room for, at least 1 */
    size_t columns;                 /* edits side by side; 0: a sheet wider than high */
    size_t tile_width, tile_height; /* of one picture, in pixels; others are fitted into it */
    bool originals;                 /* leave room for the real picture beside each edit */
    bool masks;                     /* leave room for a mask beside each edit */
};

/** The layout is in pixels and for sheet.c only. */
struct pm_sheet {
    struct pm_image image; /* the sheet as far as it is drawn; owned */
    size_t columns, count, added;
    size_t tile_width, tile_height, tiles; /* tiles: an edit's */
    bool originals, masks;
    size_t text_scale, margin, gap, top; /* top: where the first row of edits begins */
    size_t cell_width, cell_height;
};

/** An empty sheet. @return true; on false, err says PM_E_INPUT: it would be over
 *  PM_IMAGE_MAX_SIDE, and how many edits of that size fit. *sheet is then untouched. */
PM_MUST_CHECK bool pm_sheet_init(struct pm_sheet *sheet, const struct pm_sheet_options *options,
                                 struct pm_error *err);
void pm_sheet_free(struct pm_sheet *sheet);

/** Draw the next edit: its pictures and mask, those that there is room for, description and target
 *  prompt (or source prompt, if there is no target). Words are not shown. No more than `count` may be added. */
void pm_sheet_add(struct pm_sheet *sheet, const char *id, const struct pm_strip *strip);
#endif
