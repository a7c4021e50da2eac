#include "pm/data/image.h"

#include "image_codec.h"
#include "pm/base/open_file.h"
#include "pm/base/whole_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

bool pm_image_check_size(size_t width, size_t height, const char *path, struct pm_error *err)
{
    PM_ASSERT(width > 0 && height > 0);
    if (width > PM_IMAGE_MAX_SIDE || height > PM_IMAGE_MAX_SIDE)
        return pm_fail(err, PM_E_FORMAT, "%s is %zux%zu pixels, more than %d on a side", path,
                       width, height, PM_IMAGE_MAX_SIDE);
    if (height > PM_IMAGE_MAX_PIXELS / width)
        return pm_fail(err, PM_E_FORMAT, "%s is %zux%zu pixels, more than %d in all", path, width,
                       height, PM_IMAGE_MAX_PIXELS);
    return true;
}

/* What Exif's orientations 1 to 8 do: mirror what lies in the file, then exchange its rows and
 * columns. */
static const struct {
    bool mirrors_x, mirrors_y, exchanges;
} orientations[9] = {[2] = {1, 0, 0}, [3] = {1, 1, 0}, [4] = {0, 1, 0}, [5] = {0, 0, 1},
                     [6] = {0, 1, 1}, [7] = {1, 1, 1}, [8] = {1, 0, 1}};

static void turn_upright(struct pm_image *image, unsigned orientation)
{
    if (orientation == 1) return;
    bool exchanges = orientations[orientation].exchanges;
    size_t width = image->width, height = image->height;
    struct pm_image upright;
    pm_image_init(&upright, exchanges ? height : width, exchanges ? width : height);
    for (size_t y = 0; y < upright.height; y++)
        for (size_t x = 0; x < upright.width; x++) {
            size_t from_x = exchanges ? y : x, from_y = exchanges ? x : y;
            if (orientations[orientation].mirrors_x) from_x = width - 1 - from_x;
            if (orientations[orientation].mirrors_y) from_y = height - 1 - from_y;
            memcpy(upright.pixels + (y * upright.width + x) * 3,
                   image->pixels + (from_y * width + from_x) * 3, 3);
        }
    pm_image_free(image);
    *image = upright;
}

/* By the file's first bytes. @return NULL when it cannot be read or is neither */
static pm_image_decode *find_decoder(FILE *file, const char *path, struct pm_error *err)
{
    static const unsigned char png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    static const unsigned char jpeg[] = {0xFF, 0xD8, 0xFF};
    unsigned char first[sizeof png] = {0};
    if (fread(first, 1, sizeof first, file) < sizeof first && ferror(file)) {
        pm_fail(err, PM_E_IO, "cannot read %s: %s", path, strerror(errno));
        return NULL;
    }
    rewind(file);
    if (memcmp(first, png, sizeof png) == 0) return pm_image_decode_png;
    if (memcmp(first, jpeg, sizeof jpeg) == 0) return pm_image_decode_jpeg;
    pm_fail(err, PM_E_FORMAT, "%s is neither a PNG nor a JPEG file", path);
    return NULL;
}

bool pm_image_read(struct pm_image *out, const char *path, struct pm_error *err)
{
    FILE *file = pm_open_stream(path, err);
    if (!file) return false;
    struct pm_image image;
    unsigned orientation;
    pm_image_decode *decode = find_decoder(file, path, err);
    bool ok = decode && decode(&image, &orientation, file, path, err);
    fclose(file);
    if (!ok) return false;
    turn_upright(&image, orientation);
    *out = image;
    return true;
}

static bool write_whole(const struct pm_image *image, const char *path, pm_image_encode *encode,
                        struct pm_error *err)
{
    PM_ASSERT(image->pixels);
    struct pm_whole_file whole;
    bool ok = pm_whole_file_begin(&whole, path, err) && encode(image, whole.file, path, err);
    return pm_whole_file_end(&whole, ok, err);
}

bool pm_image_write_png(const struct pm_image *image, const char *path, struct pm_error *err)
{
    return write_whole(image, path, pm_image_encode_png, err);
}

bool pm_image_write_jpeg(const struct pm_image *image, const char *path, struct pm_error *err)
{
    return write_whole(image, path, pm_image_encode_jpeg, err);
}
