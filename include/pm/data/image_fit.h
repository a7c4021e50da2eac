/** @file image_fit.h  People's pictures at the size that a model takes.
 *
 *      unsigned char rgb[512 * 512 * 3];
 *      struct pm_image_fit fit = {.rule = PM_FIT_CROP, .crop = {.top = 40}};
 *      PM_TRY(pm_image_load_fitted(rgb, 512, 512, "images/17.jpg", &fit, err));
 */
#ifndef PM_DATA_IMAGE_FIT_H
#define PM_DATA_IMAGE_FIT_H
#include "pm/data/image.h"

enum pm_fit_rule {
    PM_FIT_CROP,  /* the largest centred part of the wanted shape, then resized */
    PM_FIT_EXACT, /* what the margins leave has the wanted size already, else an error */
};

/** What is cut off a picture first, in its own pixels, after it was turned upright. */
struct pm_image_margins {
    size_t left, right, top, bottom;
};

/** {0}: the centre crop of the whole picture. */
struct pm_image_fit {
    enum pm_fit_rule rule;
    struct pm_image_margins crop;
};

/** Cut, crop and resize @p image to @p width by @p height.
 *
 *  With PM_FIT_CROP and a square size this is load_512 of google/prompt-to-prompt
 *  (null_text_w_ptp.ipynb): first the margins, then the centre square, half of what is left over
 *  (rounded down) lying left or above, then Pillow's resize. Another shape is cropped to its
 *  proportions, to the nearest pixel.
 *  @param rgb  [height, width, 3]
 *  @return true; on false, err says PM_E_INPUT: the margins leave nothing (load_512 would quietly
 *  make them smaller), or the size is not the one PM_FIT_EXACT wants. @p name begins the
 *  message. */
PM_MUST_CHECK bool pm_image_fit(uint8_t *rgb, size_t height, size_t width,
                                const struct pm_image *image, const struct pm_image_fit *fit,
                                const char *name, struct pm_error *err);

/** pm_image_read and pm_image_fit in one. */
PM_MUST_CHECK bool pm_image_load_fitted(uint8_t *rgb, size_t height, size_t width, const char *path,
                                        const struct pm_image_fit *fit, struct pm_error *err);

/** Resize by Pillow's BICUBIC, which is what its Image.resize does unasked: Keys' kernel with
 *  a = -0.5, made wider by the reduction so that nothing is skipped; the width first, rounded to 8
 *  bits, then the height; weights of 22 binary places. The same bytes as Pillow's.
 *  @param out  [height, width, 3]
 *  @param in   [in_height, in_width, 3], whose rows begin @p in_stride bytes apart
 *  Source: Pillow, ImagingResample (src/libImaging/Resample.c). */
void pm_image_resize(uint8_t *out, size_t height, size_t width, const uint8_t *in, size_t in_height,
                     size_t in_width, size_t in_stride);
#endif
