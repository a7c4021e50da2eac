#include "pm/data/image.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void pm_image_init(struct pm_image *image, size_t width, size_t height)
{
    PM_ASSERT(width > 0 && width <= PM_IMAGE_MAX_SIDE);
    PM_ASSERT(height > 0 && height <= PM_IMAGE_MAX_SIDE);
    size_t bytes = height * width * 3;
    uint8_t *pixels = malloc(bytes);
    if (!pixels) pm_die("no memory for a picture of %zux%zu (%zu bytes)", width, height, bytes);
    memset(pixels, 255, bytes);
    *image = (struct pm_image){.pixels = pixels, .width = width, .height = height};
}

void pm_image_free(struct pm_image *image)
{
    free(image->pixels);
    *image = (struct pm_image){0};
}

PM_MUST_CHECK static bool write_file(const struct pm_image *image, const char *path,
                                     struct pm_error *err)
{
    FILE *file = fopen(path, "wb");
    if (!file) return pm_fail(err, PM_E_IO, "cannot write %s: %s", path, strerror(errno));
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)image->width,
                     .height = (png_uint_32)image->height,
                     .format = PNG_FORMAT_RGB};
    bool ok = png_image_write_to_stdio(&png, file, 0, image->pixels, 0, NULL);
    png_image_free(&png);
    /* fclose writes what is still buffered: a full disk may show only here */
    int flushed = fclose(file);
    if (!ok) return pm_fail(err, PM_E_IO, "cannot write %s: %s", path, png.message);
    if (flushed) return pm_fail(err, PM_E_IO, "cannot write %s: %s", path, strerror(errno));
    return true;
}

bool pm_image_write_png(const struct pm_image *image, const char *path, struct pm_error *err)
{
    PM_ASSERT(image->pixels);
    char *partial;
    /* the process number keeps apart two programs that write the same picture */
    if (asprintf(&partial, "%s.%ld.partial", path, (long)getpid()) < 0)
        pm_die("no memory to write %s", path);
    bool ok = write_file(image, partial, err);
    if (ok && rename(partial, path))
        ok = pm_fail(err, PM_E_IO, "cannot rename %s to %s: %s", partial, path, strerror(errno));
    if (!ok) unlink(partial);
    free(partial);
    return ok;
}

bool pm_image_read_png(struct pm_image *out, const char *path, struct pm_error *err)
{
    FILE *file = fopen(path, "rb");
    if (!file) return pm_fail(err, PM_E_IO, "cannot open %s: %s", path, strerror(errno));
    struct pm_image image = {0};
    png_image png = {.version = PNG_IMAGE_VERSION};
    bool ok = png_image_begin_read_from_stdio(&png, file);
    if (ok && (png.width > PM_IMAGE_MAX_SIDE || png.height > PM_IMAGE_MAX_SIDE)) {
        ok = pm_fail(err, PM_E_FORMAT, "%s is %lux%lu pixels, more than %d on a side", path,
                     (unsigned long)png.width, (unsigned long)png.height, PM_IMAGE_MAX_SIDE);
    } else if (ok) {
        const png_color white = {255, 255, 255};
        png.format = PNG_FORMAT_RGB;
        png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB; /* else 16 bits without a gamma count as linear */
        pm_image_init(&image, png.width, png.height);
        ok = png_image_finish_read(&png, &white, image.pixels, 0, NULL);
    }
    if (PNG_IMAGE_FAILED(png))
        pm_fail(err, PM_E_FORMAT, "%s is not a readable PNG: %s", path, png.message);
    png_image_free(&png);
    fclose(file);
    if (ok)
        *out = image;
    else
        pm_image_free(&image);
    return ok;
}
