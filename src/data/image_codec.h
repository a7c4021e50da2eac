/** @file image_codec.h  What image.c has from the codecs. */
#ifndef IMAGE_CODEC_H
#define IMAGE_CODEC_H
#include "pm/data/image.h"

#include <stdio.h>

/** Decode a picture as it lies in the file; pm_image_read tells the rest.
 *  @param orientation  1 .. 8, as Exif counts: which way up to show it
 *  @param file         at its start */
typedef bool pm_image_decode(struct pm_image *out, unsigned *orientation, FILE *file,
                             const char *path, struct pm_error *err);
pm_image_decode pm_image_decode_png, pm_image_decode_jpeg;

/** Write a picture to an empty file. @param path  for messages; what is buffered may still fail */
typedef bool pm_image_encode(const struct pm_image *image, FILE *file, const char *path,
                             struct pm_error *err);
pm_image_encode pm_image_encode_png, pm_image_encode_jpeg;

/** What a codec asks before it allocates. @return false: over a limit of image.h
 *  @param width, height  above 0: libpng and libjpeg refuse an empty picture themselves */
PM_MUST_CHECK bool pm_image_check_size(size_t width, size_t height, const char *path,
                                       struct pm_error *err);

/** Which way up a picture is to be shown.
 *  @param tiff  [bytes]  Exif data, from their TIFF header on
 *  @return 1 .. 8, and 1 (upright) where the data do not say or make no sense
 *  Source: CIPA DC-008 (Exif 2.32), 4.6.4 tag 274; TIFF 6.0, section 2. */
unsigned pm_exif_orientation(const uint8_t *tiff, size_t bytes);
#endif
