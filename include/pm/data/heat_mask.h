/** @file heat_mask.h  From heat maps to masks: where a word's thing is, and where it is not.
 *
 *      float threshold = pm_heat_otsu(heat, n);
 *      pm_heat_masks(masks, index, heat, words, thresholds, n, true);
 *
 *  Heat is 0 to 1, as pm_heat_map_normalize leaves it. */
#ifndef PM_DATA_HEAT_MASK_H
#define PM_DATA_HEAT_MASK_H
#include "pm/base/error.h"

#include <stddef.h>
#include <stdint.h>

/** The threshold that parts @p n values best: with the greatest variance between those above and those
 *  not above it. 0 where all are equal.
 *  Source: Otsu 1979, "A Threshold Selection Method from Gray-Level Histograms", 256 levels. */
float pm_heat_otsu(const float *heat, size_t n);

/** What is above its word's threshold is its word's.
 *  @param masks       [words, n]  0 or 1
 *  @param index       [n]  0: no word's; else 1 + the word with the most heat of those whose mask has
 *                     the pixel, the first of equals
 *  @param heat        [words, n]
 *  @param thresholds  [words]
 *  @param competes    a pixel is in the mask of one word only, that of its index: the argmax over
 *                     classes, as in Nguyen et al. 2023, arXiv 2309.14303; else masks may overlap
 *  @param words       at most 255 */
void pm_heat_masks(uint8_t *masks, uint8_t *index, const float *heat, size_t words,
                   const float *thresholds, size_t n, bool competes);
#endif
