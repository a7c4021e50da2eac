/** @file guided_filter.h  Heat maps whose edges are those of the picture.
 *
 *  In every window the result is a linear function of the picture's colours, fitted to the map: where
 *  the picture has an edge, so has the map; where it is even, the map is smoothed.
 *  Source: He, Sun, Tang 2013, "Guided Image Filtering", IEEE TPAMI 35(6), section 3.5 (colours). */
#ifndef PM_DATA_GUIDED_FILTER_H
#define PM_DATA_GUIDED_FILTER_H
#include "pm/data/image.h"

/** @param heat     [maps, height, width] of the picture's size, changed in place; results may lie a
 *                  little outside of what was there
 *  @param radius   of the windows, which are 2 radius + 1 pixels wide and end at the edge
 *  @param epsilon  above 0: the variance of a colour, of 0 to 1, below which it is no edge */
void pm_guided_filter(float *heat, size_t maps, const struct pm_image *picture, size_t radius,
                      float epsilon);
#endif
