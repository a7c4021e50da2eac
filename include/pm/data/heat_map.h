/** @file heat_map.h  Where a picture listens to a word: attention maps drawn over it, as DAAM
 *  does (Tang et al. 2022, arXiv 2210.04885).
 *
 *      float map[16 * 16], heat[512 * 512];
 *      pm_heat_map_of_word(map, maps, 16 * 16, 77, tokens, 2);
 *      pm_heat_map_resize(heat, 512, 512, map, 16, 16);
 *      pm_heat_map_normalize(heat, 512 * 512, PM_HEAT_MIN_TO_MAX);
 *      pm_heat_map_overlay(&picture, heat);
 *
 *  No function here fails. A value that is not finite, as a broken model gives, counts as no
 *  heat. */
#ifndef PM_DATA_HEAT_MAP_H
#define PM_DATA_HEAT_MAP_H
#include "pm/data/canvas.h"

enum pm_heat_range {
    PM_HEAT_MIN_TO_MAX, /* the map's least value becomes 0, its greatest 1: DAAM's pictures */
    PM_HEAT_ZERO_TO_MAX, /* 0 stays 0, negative ones become 0: keeps an even map apart from a peaked one */
};

/** A word's map: the mean of the maps of its tokens.
 *  @param out         [pixels]
 *  @param maps        [pixels, tokens]  attention, as kept: the tokens last
 *  @param word_tokens [count]  columns of @p maps, count > 0 */
void pm_heat_map_of_word(float *out, const float *maps, size_t pixels, size_t tokens,
                         const size_t *word_tokens, size_t count);

/** Enlarge (or shrink) by bicubic interpolation, which may go beyond what is there.
 *  @param out  [height, width]
 *  @param map  [map_height, map_width]
 *  Source: torch.nn.functional.interpolate(mode="bicubic", align_corners=False): Keys' kernel
 *  with a = -0.75, pixel centres at halves, the edge repeated, no smoothing when shrinking. */
void pm_heat_map_interpolate(float *out, size_t height, size_t width, const float *map,
                             size_t map_height, size_t map_width);

/** The same, then what lies below 0 is 0. */
void pm_heat_map_resize(float *out, size_t height, size_t width, const float *map,
                        size_t map_height, size_t map_width);

/** Bring @p n values to 0..1 in place. Where there is no range to stretch
 *  (all values equal for PM_HEAT_MIN_TO_MAX, all 0 for the other), all become 0. */
void pm_heat_map_normalize(float *heat, size_t n, enum pm_heat_range range);

/** @param heat  0..1, clamped; from blue-black over red and orange to light yellow
 *  Source: "inferno" of Smith and van der Walt (matplotlib, CC0), eleven points of it. */
struct pm_color pm_heat_color(float heat);

/** Colour @p picture in place; the colour covers as much of the picture as there is heat.
 *  @param heat  [picture->height, picture->width]  0..1, clamped */
void pm_heat_map_overlay(struct pm_image *picture, const float *heat);
#endif
