#include "image_codec.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h> /* needs <stdio.h> before it, and <jerror.h> it */

#include <jerror.h>

enum {
    EXIF_MARKER = JPEG_APP0 + 1,
    MARKER_MAX_BYTES = 65533,
    /* Progressive pictures have about ten. Each scan goes over the whole picture, so that a small
     * file of many scans would take hours. */
    MAX_SCANS = 200,
};
static const char EXIF_NAME[] = "Exif\0"; /* two NULs, with the string's own */

/* Everything that is owned while libjpeg may jump is in here, where the jump cannot lose it. */
struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr handler;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    const char *path;
    struct pm_error *err;
    struct pm_image image;
    unsigned orientation;
    uint8_t *ink; /* [width, 4] a row of cyan, magenta, yellow, black; NULL when there is none */
};

static void fail_and_jump(j_common_ptr jpeg)
{
    struct decoder *d = jpeg->client_data;
    char message[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, message);
    if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY) pm_die("no memory to read %s", d->path);
    pm_fail(d->err, PM_E_FORMAT, "%s is not a readable JPEG: %s", d->path, message);
    longjmp(d->failed, 1);
}

/* libjpeg goes on after damage, with grey or noise in the picture's place. Here that is an error,
 * unless the warning is of what costs no pixel. */
static void judge_message(j_common_ptr jpeg, int level)
{
    int code = jpeg->err->msg_code;
    bool is_harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR ||
                       code == JWRN_ADOBE_XFORM || code == JWRN_TOO_MUCH_DATA;
    if (level < 0 && !is_harmless) fail_and_jump(jpeg);
}

static void limit_scans(j_common_ptr jpeg)
{
    struct decoder *d = jpeg->client_data;
    if (d->jpeg.input_scan_number <= MAX_SCANS) return;
    pm_fail(d->err, PM_E_FORMAT, "%s is not a readable JPEG: it has more than %d scans", d->path,
            MAX_SCANS);
    longjmp(d->failed, 1);
}

static void begin(struct decoder *d, FILE *file)
{
    d->jpeg.err = jpeg_std_error(&d->handler);
    d->handler.error_exit = fail_and_jump;
    d->handler.emit_message = judge_message;
    d->jpeg.client_data = d;
    jpeg_create_decompress(&d->jpeg);
    d->progress.progress_monitor = limit_scans;
    d->jpeg.progress = &d->progress;
    jpeg_stdio_src(&d->jpeg, file);
    jpeg_save_markers(&d->jpeg, EXIF_MARKER, MARKER_MAX_BYTES);
}

static void allocate(struct decoder *d)
{
    size_t width = d->jpeg.output_width, height = d->jpeg.output_height;
    d->image =
        (struct pm_image){.pixels = malloc(height * width * 3), .width = width, .height = height};
    bool is_ink = d->jpeg.out_color_space == JCS_CMYK;
    if (is_ink) d->ink = malloc(width * 4);
    if (!d->image.pixels || (is_ink && !d->ink))
        pm_die("no memory for %s: a picture of %zux%zu", d->path, width, height);
}

/* round(a * b / 255) */
static unsigned product(unsigned a, unsigned b)
{
    return (a * b + 127) / 255;
}

/* Adobe's inks are stored inverted, as the light that they let through. */
static void light_from_ink(uint8_t *rgb, const uint8_t *ink, size_t width)
{
    for (size_t x = 0; x < width; x++) {
        unsigned light = ink[x * 4 + 3];
        for (size_t c = 0; c < 3; c++)
            rgb[x * 3 + c] = (uint8_t)(light - product(255u - ink[x * 4 + c], light));
    }
}

static void read_row(struct decoder *d)
{
    size_t row_bytes = d->image.width * 3;
    uint8_t *row = d->image.pixels + d->jpeg.output_scanline * row_bytes;
    uint8_t *target = d->ink ? d->ink : row;
    jpeg_read_scanlines(&d->jpeg, &target, 1);
    if (d->ink) light_from_ink(row, d->ink, d->image.width);
}

static unsigned orientation_of(const struct jpeg_decompress_struct *jpeg)
{
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        if (m->marker == EXIF_MARKER && m->data_length > sizeof EXIF_NAME &&
            memcmp(m->data, EXIF_NAME, sizeof EXIF_NAME) == 0)
            return pm_exif_orientation(m->data + sizeof EXIF_NAME,
                                       m->data_length - sizeof EXIF_NAME);
    return 1;
}

static bool decode(struct decoder *d, FILE *file)
{
    if (setjmp(d->failed)) return false;
    begin(d, file);
    jpeg_read_header(&d->jpeg, TRUE);
    PM_TRY(pm_image_check_size(d->jpeg.image_width, d->jpeg.image_height, d->path, d->err));
    bool is_ink = d->jpeg.jpeg_color_space == JCS_CMYK || d->jpeg.jpeg_color_space == JCS_YCCK;
    d->jpeg.out_color_space = is_ink ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&d->jpeg);
    allocate(d);
    while (d->jpeg.output_scanline < d->jpeg.output_height) read_row(d);
    d->orientation = orientation_of(&d->jpeg); /* finishing forgets the markers */
    jpeg_finish_decompress(&d->jpeg);
    return true;
}

bool pm_image_decode_jpeg(struct pm_image *out, unsigned *orientation, FILE *file, const char *path,
                          struct pm_error *err)
{
    struct decoder *d = calloc(1, sizeof *d);
    if (!d) pm_die("no memory to read %s", path);
    d->path = path;
    d->err = err;
    bool ok = decode(d, file);
    if (ok) {
        *orientation = d->orientation;
        *out = d->image;
    } else {
        pm_image_free(&d->image);
    }
    jpeg_destroy_decompress(&d->jpeg);
    free(d->ink);
    free(d);
    return ok;
}
