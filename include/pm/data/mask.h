/** @file mask.h  Which part of a picture is to be edited, as a manifest's line says it:
 *
 *      "mask": "masks/17.png"                                   white is edited, black is not
 *      "mask": {"height": 512, "width": 512, "runs": [70, 3]}   pixels 70, 71 and 72 are edited
 *
 *  Runs are pairs of a first pixel and a length, pixels counted row by row from the upper left. */
#ifndef PM_DATA_MASK_H
#define PM_DATA_MASK_H
#include "pm/base/json.h"
#include "pm/data/image_fit.h"

/** Read a mask and do to it what is done to its picture: the same margins, crop and resizing. A
 *  pixel that comes out half edited or more is edited.
 *  @param mask    [height, width]  0 or 1
 *  @param json    a line's "mask"
 *  @param folder  where a file's name starts from; of a name that begins with "/", not used
 *  @param where   begins the messages
 *  @return true; on false, err says PM_E_INPUT, or what pm_image_load_fitted says */
PM_MUST_CHECK bool pm_mask_load_fitted(uint8_t *mask, size_t height, size_t width,
                                       const json_t *json, const char *folder,
                                       const struct pm_image_fit *fit, const char *where,
                                       struct pm_error *err);

/** Mark runs: mask[i] becomes 1 where a run goes over it, else 0.
 *  @param mask        [pixels]
 *  @param runs        a list of whole numbers: start, length, start, length, ...
 *  @param clips_runs  a run that goes on beyond the last pixel ends there; else it is an error */
PM_MUST_CHECK bool pm_mask_from_runs(uint8_t *mask, size_t pixels, const json_t *runs,
                                     bool clips_runs, const char *where, struct pm_error *err);

/** The other way. @return {"height": ..., "width": ..., "runs": [...]}, owned by the caller */
json_t *pm_mask_to_runs(const uint8_t *mask, size_t height, size_t width);
#endif
