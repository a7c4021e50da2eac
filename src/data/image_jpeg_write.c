#include "image_codec.h"

#include <setjmp.h>
#include <stdlib.h>

#include <jpeglib.h> /* needs <stdio.h> before it */

enum { QUALITY = 100 };

/* Owned while libjpeg may jump: in here, where the jump cannot lose it. */
struct encoder {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr handler;
    jmp_buf failed;
    const char *path;
    struct pm_error *err;
};

static void fail_and_jump(j_common_ptr jpeg)
{
    struct encoder *e = jpeg->client_data;
    char message[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, message);
    pm_fail(e->err, PM_E_IO, "cannot write %s: %s", e->path, message);
    longjmp(e->failed, 1);
}

static bool encode(struct encoder *e, const struct pm_image *image, FILE *file)
{
    e->jpeg.err = jpeg_std_error(&e->handler);
    e->handler.error_exit = fail_and_jump;
    e->jpeg.client_data = e;
    if (setjmp(e->failed)) return false;
    jpeg_create_compress(&e->jpeg);
    jpeg_stdio_dest(&e->jpeg, file);
    e->jpeg.image_width = (JDIMENSION)image->width;
    e->jpeg.image_height = (JDIMENSION)image->height;
    e->jpeg.input_components = 3;
    e->jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&e->jpeg);
    jpeg_set_quality(&e->jpeg, QUALITY, TRUE);
    for (int i = 0; i < 3; i++)
        e->jpeg.comp_info[i].h_samp_factor = e->jpeg.comp_info[i].v_samp_factor = 1;
    jpeg_start_compress(&e->jpeg, TRUE);
    while (e->jpeg.next_scanline < e->jpeg.image_height) {
        JSAMPROW row = image->pixels + e->jpeg.next_scanline * image->width * 3;
        jpeg_write_scanlines(&e->jpeg, &row, 1);
    }
    jpeg_finish_compress(&e->jpeg);
    return true;
}

bool pm_image_encode_jpeg(const struct pm_image *image, FILE *file, const char *path,
                          struct pm_error *err)
{
    struct encoder *e = calloc(1, sizeof *e);
    if (!e) pm_die("no memory to write %s", path);
    e->path = path;
    e->err = err;
    bool ok = encode(e, image, file);
    jpeg_destroy_compress(&e->jpeg);
    free(e);
    return ok;
}
