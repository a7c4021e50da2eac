/* Pictures that libpng and libjpeg could read, or would have to refuse themselves. */
#include "temporary.h"
#include "test.h"

#include "pm/data/image.h"

/* jpeglib.h needs stdio.h before it */
#include <stdio.h>

#include <jpeglib.h>
#include <stdlib.h>
#include <string.h>

/* A progressive JPEG of 8x8 pixels that comes in as many scans as there are: each coefficient of each
 * colour by itself, and its last bit by itself. */
static void write_many_scans(const char *name, int scans)
{
    static jpeg_scan_info script[1 + 2 * 3 * 63];
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr handler;
    unsigned char *bytes = NULL, row[8 * 3] = {0};
    unsigned long size = 0;
    size_t n = 0;
    script[n++] = (jpeg_scan_info){.comps_in_scan = 3, .component_index = {0, 1, 2}};
    for (int refines = 0; refines < 2; refines++)
        for (int colour = 0; colour < 3; colour++)
            for (int k = 1; k < 64; k++)
                script[n++] = (jpeg_scan_info){.comps_in_scan = 1,
                                               .component_index = {colour},
                                               .Ss = k,
                                               .Se = k,
                                               .Ah = refines,
                                               .Al = !refines};
    assert_true(scans <= (int)n);
    jpeg.err = jpeg_std_error(&handler);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = jpeg.image_height = 8;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg.scan_info = script;
    jpeg.num_scans = scans;
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < 8; y++) jpeg_write_scanlines(&jpeg, (JSAMPROW[]){row}, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    temporary_write(name, bytes, size);
    free(bytes);
}

/* Each scan goes over the whole picture, so that few bytes could keep a rank busy for minutes. */
static void a_jpeg_of_more_than_200_scans_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    write_many_scans("scans.jpg", 200);
    assert_ok(pm_image_read(&image, temporary_path("scans.jpg"), &err), err);
    pm_image_free(&image);
    write_many_scans("scans.jpg", 201);
    assert_fails(pm_image_read(&image, temporary_path("scans.jpg"), &err), err,
                 "scans.jpg is not a readable JPEG: it has more than 200 scans");
}

static void an_empty_picture_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    static const char png[] =
        "\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\0\0\0\0\0\1\x08\0\0\0\0\xD5\xBC\xF0\x6B";
    temporary_write("empty.png", png, sizeof png - 1);
    assert_fails(pm_image_read(&image, temporary_path("empty.png"), &err), err,
                 "empty.png is not a readable PNG: Invalid IHDR data");
    static const char jpeg[] = "\xFF\xD8\xFF\xC0\0\x0B\x08\0\1\0\0\1\1\x11\0\xFF\xD9";
    temporary_write("empty.jpg", jpeg, sizeof jpeg - 1);
    assert_fails(pm_image_read(&image, temporary_path("empty.jpg"), &err), err,
                 "empty.jpg is not a readable JPEG: Empty JPEG image");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jpeg_of_more_than_200_scans_is_refused),
        cmocka_unit_test(an_empty_picture_is_refused),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
