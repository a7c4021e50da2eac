/** @file image.h  A picture in memory, and PNG files of it. */
#ifndef PM_DATA_IMAGE_H
#define PM_DATA_IMAGE_H
#include "pm/base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { PM_IMAGE_MAX_SIDE = 16384 }; /* pixels; no larger picture is read or made */

/** {0} is an image that holds nothing. */
struct pm_image {
    uint8_t *pixels; /* [height, width, 3] red green blue, sRGB */
    size_t width, height;
};

/** A white picture. @param width, height  1 to PM_IMAGE_MAX_SIDE */
void pm_image_init(struct pm_image *image, size_t width, size_t height);
void pm_image_free(struct pm_image *image);

/** Write an 8-bit RGB PNG. It is written under another name beside @p path and renamed when
 *  whole, so that @p path is the old picture or the new one, never a part of one.
 *  @return true; on false, err says PM_E_IO with the path and the reason, and nothing is left
 *  behind */
PM_MUST_CHECK bool pm_image_write_png(const struct pm_image *image, const char *path,
                                      struct pm_error *err);

/** Read any PNG as 8-bit RGB: grey and palettes become colours, 16 bits become 8, transparent
 *  parts show white (mixed in linear light). A gamma stated in the file is honoured.
 *  @param out  need not be initialised; owned by the caller on true, untouched on false
 *  @return true; on false, err says PM_E_IO (cannot open) or PM_E_FORMAT (no PNG, damaged, or
 *  over PM_IMAGE_MAX_SIDE), with the path */
PM_MUST_CHECK bool pm_image_read_png(struct pm_image *out, const char *path, struct pm_error *err);
#endif
