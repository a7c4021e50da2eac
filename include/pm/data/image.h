/** @file image.h  A picture in memory, and PNG and JPEG files of it. */
#ifndef PM_DATA_IMAGE_H
#define PM_DATA_IMAGE_H
#include "pm/base/error.h"

#include <stddef.h>
#include <stdint.h>

/** No larger picture is read or made. A picture of so many pixels takes 400 MB. */
enum { PM_IMAGE_MAX_SIDE = 16384, PM_IMAGE_MAX_PIXELS = 1 << 27 };

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

/** Write a JPEG, likewise: quality 100, colours at full size. Its pixels are near the picture's, not
 *  the same. */
PM_MUST_CHECK bool pm_image_write_jpeg(const struct pm_image *image, const char *path,
                                       struct pm_error *err);

/** Write a PNG of one byte a pixel, likewise. @param palette  [256, 3] colours of the bytes; NULL: they
 *  are grey */
PM_MUST_CHECK bool pm_image_write_byte_png(const uint8_t *bytes, size_t width, size_t height,
                                           const uint8_t *palette, const char *path,
                                           struct pm_error *err);

/** Read a PNG or JPEG file as 8-bit RGB, upright. Its first bytes say which it is, not its name.
 *
 *  - The numbers are those in the file: colour profiles and gammas are not applied, as Pillow and
 *    the scripts of the field do not apply them.
 *  - Grey and palettes become colours. Of 16 bits the upper 8 are kept, as Pillow does for colour
 *    (for grey, Pillow's convert("RGB") cuts at 255 and whitens nearly everything; not so here).
 *  - What is transparent shows white behind it, mixed in sRGB numbers and rounded. (Pillow's
 *    convert("RGB") drops the transparency and shows whatever colour lies hidden there.)
 *  - CMYK and YCCK JPEGs are read as Adobe writes them, inverted, and become RGB by Pillow's
 *    formula, (1 - C) (1 - K).
 *  - The Exif orientation is applied, in either format: Pillow's ImageOps.exif_transpose. Exif data
 *    that make no sense are taken as "upright".
 *
 *  @param out  need not be initialised; owned by the caller on true, untouched on false
 *  @return true; on false, err says, with the path, PM_E_IO (cannot open) or PM_E_FORMAT (neither
 *  PNG nor JPEG, damaged, cut short, or over PM_IMAGE_MAX_SIDE or PM_IMAGE_MAX_PIXELS) */
PM_MUST_CHECK bool pm_image_read(struct pm_image *out, const char *path, struct pm_error *err);
#endif
