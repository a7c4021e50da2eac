/** @file strip.h  One edit in one picture.
 *
 *      what the edit was
 *      +--------+ +--------+ +--------+ +--------+ +--------+ +--------+
 *      |original| | source | | target | |  mask  | | word 1 | | word 2 | ...
 *      +--------+ +--------+ +--------+ +--------+ +--------+ +--------+
 *      original   prompt     prompt     blend mask word       word
 */
#ifndef PM_DATA_STRIP_H
#define PM_DATA_STRIP_H
#include "pm/data/image.h"

/** A word and where the picture listens to it. Everything is borrowed. */
struct pm_strip_word {
    const char *text;
    const struct pm_image *picture; /* the map is drawn over this one: the source or the target */
    const float *map;               /* [map_height, map_width]  attention, any range */
    size_t map_height, map_width;
};

/** What is known of an edit. Everything is borrowed; all pictures have one size. */
struct pm_strip {
    const char *description; /* "replace · cross 0.8 · self 0.4"; NULL for none */
    const char *source_prompt, *target_prompt; /* NULL for none */
    const struct pm_image *original; /* the real picture that source is made from; NULL for none */
    const struct pm_image *source;
    const struct pm_image *target; /* NULL: the source was kept by itself */
    const uint8_t *mask;           /* [mask_height, mask_width]  not 0 is inside; NULL for none */
    size_t mask_height, mask_width;
    const struct pm_strip_word *words; /* [word_count] */
    size_t word_count;
};

/** Draw the strip, with every pixel of the pictures @p scale by @p scale large, at least 1.
 *  @param out  owned by the caller on true, untouched on false
 *  @return true; on false, err says PM_E_INPUT: it would be over PM_IMAGE_MAX_SIDE */
PM_MUST_CHECK bool pm_strip_draw(struct pm_image *out, const struct pm_strip *strip, size_t scale,
                                 struct pm_error *err);

/** Show a blend mask on @p picture, of any size, in place: inside it is as it was, with an
 *  outline; the rest is dimmed. @param mask  [mask_height, mask_width]  not 0 is inside */
void pm_strip_draw_mask(struct pm_image *picture, const uint8_t *mask, size_t mask_height,
                        size_t mask_width);
#endif
