#include "image_codec.h"

#include "pm/base/whole_file.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

static bool encode(png_image *png, FILE *file, const uint8_t *pixels, const uint8_t *palette,
                   const char *path, struct pm_error *err)
{
    bool ok = png_image_write_to_stdio(png, file, 0, pixels, 0, palette) ||
              pm_fail(err, PM_E_IO, "cannot write %s: %s", path, png->message);
    png_image_free(png);
    return ok;
}

bool pm_image_encode_png(const struct pm_image *image, FILE *file, const char *path,
                         struct pm_error *err)
{
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)image->width,
                     .height = (png_uint_32)image->height,
                     .format = PNG_FORMAT_RGB};
    return encode(&png, file, image->pixels, NULL, path, err);
}

bool pm_image_write_byte_png(const uint8_t *bytes, size_t width, size_t height,
                             const uint8_t *palette, const char *path, struct pm_error *err)
{
    struct pm_whole_file whole;
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)width,
                     .height = (png_uint_32)height,
                     .format = palette ? PNG_FORMAT_RGB_COLORMAP : PNG_FORMAT_GRAY,
                     .colormap_entries = palette ? 256 : 0};
    bool ok = pm_whole_file_begin(&whole, path, err) &&
              encode(&png, whole.file, bytes, palette, path, err);
    return pm_whole_file_end(&whole, ok, err);
}

/* Everything that is owned while libpng may jump is in here, where the jump cannot lose it. */
struct decoder {
    png_structp png;
    png_infop info;
    const char *path;
    struct pm_error *err;
    uint8_t *pixels; /* [height, width, channels] */
    png_bytep *rows; /* [height] into pixels */
    size_t width, height, channels;
};

static void fail_and_jump(png_structp png, png_const_charp message)
{
    const struct decoder *d = png_get_error_ptr(png);
    pm_fail(d->err, PM_E_FORMAT, "%s is not a readable PNG: %s", d->path, message);
    png_longjmp(png, 1);
}

/* Of profiles that differ from what they claim and the like: nothing that changes a pixel. */
static void ignore_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

/* Whatever is in the file, rows of [width, 3] or, with transparency, [width, 4] come out. */
static void ask_for_8_bit_colour(png_structp png, png_infop info)
{
    png_set_expand(png); /* palettes, fewer than 8 bits, transparent colours */
    png_set_strip_16(png);
    if (!(png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

static void allocate(struct decoder *d)
{
    size_t row_bytes = d->width * d->channels;
    d->pixels = malloc(d->height * row_bytes);
    d->rows = malloc(d->height * sizeof *d->rows);
    if (!d->pixels || !d->rows)
        pm_die("no memory for %s: a picture of %zux%zu", d->path, d->width, d->height);
    for (size_t y = 0; y < d->height; y++) d->rows[y] = d->pixels + y * row_bytes;
}

static bool decode(struct decoder *d, FILE *file)
{
    if (setjmp(png_jmpbuf(d->png))) return false;
    png_init_io(d->png, file);
    png_read_info(d->png, d->info);
    d->width = png_get_image_width(d->png, d->info);
    d->height = png_get_image_height(d->png, d->info);
    PM_TRY(pm_image_check_size(d->width, d->height, d->path, d->err));
    ask_for_8_bit_colour(d->png, d->info);
    d->channels = png_get_channels(d->png, d->info);
    PM_ASSERT(d->channels == 3 || d->channels == 4);
    PM_ASSERT(png_get_rowbytes(d->png, d->info) == d->width * d->channels);
    allocate(d);
    png_read_image(d->png, d->rows);
    png_read_end(d->png, d->info); /* Exif data may follow the picture */
    return true;
}

/* [pixels, 4] to [pixels, 3] in place. */
static void put_on_white(uint8_t *pixels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *in = pixels + i * 4;
        uint8_t *out = pixels + i * 3;
        unsigned alpha = in[3];
        for (size_t c = 0; c < 3; c++)
            out[c] = (uint8_t)((in[c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
}

static void take_picture(struct pm_image *out, struct decoder *d)
{
    size_t pixels = d->height * d->width;
    if (d->channels == 4) {
        put_on_white(d->pixels, pixels);
        uint8_t *smaller = realloc(d->pixels, pixels * 3);
        if (smaller) d->pixels = smaller;
    }
    *out = (struct pm_image){.pixels = d->pixels, .width = d->width, .height = d->height};
    d->pixels = NULL;
}

static unsigned orientation_of(png_structp png, png_infop info)
{
    png_uint_32 bytes;
    png_bytep exif;
    if (!png_get_eXIf_1(png, info, &bytes, &exif)) return 1;
    return pm_exif_orientation(exif, bytes);
}

bool pm_image_decode_png(struct pm_image *out, unsigned *orientation, FILE *file, const char *path,
                         struct pm_error *err)
{
    struct decoder d = {.path = path, .err = err};
    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, fail_and_jump, ignore_warning);
    d.info = d.png ? png_create_info_struct(d.png) : NULL;
    if (!d.info) pm_die("no memory to read %s", path);
    bool ok = decode(&d, file);
    if (ok) {
        *orientation = orientation_of(d.png, d.info);
        take_picture(out, &d);
    }
    png_destroy_read_struct(&d.png, &d.info, NULL);
    free(d.rows);
    free(d.pixels);
    return ok;
}
