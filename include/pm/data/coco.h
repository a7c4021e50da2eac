/** @file coco.h  Masks as COCO's annotations have them.
 *  Source: cocodataset/cocoapi, common/maskApi.c: rleEncode, rleToString, rleArea, rleToBbox. */
#ifndef PM_DATA_COCO_H
#define PM_DATA_COCO_H
#include "pm/base/json.h"

/** @param mask  [height, width]  0 or not
 *  @return {"segmentation": {"size": [height, width], "counts": "..."}, "area": pixels,
 *  "bbox": [left, top, width, height]}, owned by the caller; the counts are those of runs down the
 *  columns, compressed. Of an empty mask the box is 0, 0, 0, 0 */
json_t *pm_coco_annotation(const uint8_t *mask, size_t height, size_t width);
#endif
