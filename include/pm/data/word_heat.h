/** @file word_heat.h  Heat maps of a prompt's tokens and words, as DAAM defines them, and made better
 *  by self-attention.
 *
 *      struct pm_heat_maps maps[2] = {...};                  // of each size that was captured
 *      pm_word_heat_of_maps(heat, 64, 64, maps, 2, PM_HEAT_MEAN_OF_STEPS);
 *      pm_word_heat_share(heat, tokens, 64 * 64, 1, tokens - 1);        // if it is wanted
 *      pm_word_heat_merge(word, heat, 64 * 64, word_tokens, 2);
 *      pm_word_heat_propagate(word, words, affinity, 64 * 64, 1);       // if it is wanted
 *
 *  No function here fails. A value that is not finite counts as no attention.
 *
 *  Source: Tang et al. 2022, arXiv 2210.04885, and castorini/daam, trace.py and
 *  heatmap.py: every layer's and head's map, summed over time, is enlarged (bicubic), what lies below
 *  0 becomes 0, and the mean over layers and heads is taken; a word's map is the mean of its tokens'. */
#ifndef PM_DATA_WORD_HEAT_H
#define PM_DATA_WORD_HEAT_H
#include "pm/base/error.h"

#include <stddef.h>

/** How steps are put together. Each is a factor of the other. */
enum pm_heat_time {
    PM_HEAT_MEAN_OF_STEPS, /* a share of attention, whatever the number of steps */
    PM_HEAT_SUM_OF_STEPS,  /* DAAM's */
};

/** Cross-attention of layers of one size. Every map is the mean of as many: over steps, layers and
 *  heads that it does not keep apart. */
struct pm_heat_maps {
    const float *values;         /* [steps, layers, heads, height, width, columns] */
    size_t steps, layers, heads; /* kept apart; 1: not */
    size_t height, width, columns;
    size_t all_steps, all_layers, all_heads; /* that there are, kept apart or in the mean */
};

/** DAAM's global heat map. A map that is a mean over layers and heads counts as often as these are.
 *  @param heat   [columns, height, width]
 *  @param maps   [count]  of the same columns */
void pm_word_heat_of_maps(float *heat, size_t height, size_t width, const struct pm_heat_maps *maps,
                          size_t count, enum pm_heat_time time);

/** Give each token its share of what a pixel's tokens from @p first to before @p end have: DAAM's
 *  "normalize", which leaves the begin and the end token out of the sum.
 *  @param heat  [columns, pixels]  all are divided */
void pm_word_heat_share(float *heat, size_t columns, size_t pixels, size_t first, size_t end);

/** A word's map. @param out  [pixels]  @param columns  [count]  of heat's, count > 0 */
void pm_word_heat_merge(float *out, const float *heat, size_t pixels, const size_t *columns,
                        size_t count);

/** How much pixels belong together: the mean of maps of self-attention, each row made to sum to 1.
 *  @param affinity  [pixels, pixels]  from the row's pixel to the column's
 *  @param maps      [count, pixels, pixels] */
void pm_word_heat_affinity(float *affinity, const float *maps, size_t count, size_t pixels);

/** Each pixel takes the mean of what the pixels that it attends to have, @p times times: the maps
 *  times a power of self-attention. Objects become even, and end where self-attention ends.
 *  @param heat  [words, pixels], changed in place
 *  Source: Wang et al. 2023, arXiv 2309.02773 (once); Nguyen et al. 2023, arXiv 2309.14303 (powers:
 *  "self-attention exponentiation"). */
void pm_word_heat_propagate(float *heat, size_t words, const float *affinity, size_t pixels,
                            size_t times);
#endif
