/** @file restore.h  The original's pixels back where nothing was to be edited. */
#ifndef PM_EDIT_RESTORE_H
#define PM_EDIT_RESTORE_H
#include <stddef.h>
#include <stdint.h>

/** Paste @p original over @p image outside the mask.
 *
 *  The mask is enlarged to the picture's size, each of its pixels to a rectangle. Inside it the
 *  edit stays byte by byte. Outside, the edit's share falls off with the distance d from a straight edge
 *  as erfc(d / (feather sqrt 2)): twice the mask blurred by a Gaussian, at most 1, so that there is
 *  no step at the edge. Farther than four times @p feather_pixels the original's bytes come back.
 *  @param image           [height, width, 3]  the edited picture, changed in place
 *  @param original        [height, width, 3]
 *  @param mask            [mask_height, mask_width]  not 0 is inside
 *  @param feather_pixels  the Gaussian's standard deviation in pixels of the picture, from 0 (a
 *                         sharp edge) */
void pm_image_restore(uint8_t *image, const uint8_t *original, size_t height, size_t width,
                      const uint8_t *mask, size_t mask_height, size_t mask_width,
                      double feather_pixels);
#endif
