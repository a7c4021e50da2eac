#include "test.h"

#include "../../src/data/image_codec.h"
#include "pm/data/image.h"

#include <dirent.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/pm_test_image_XXXXXX";
static char path[256];

static int make_folder(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/picture.png", mkdtemp(folder));
    return 0;
}

static size_t files_in_folder(void)
{
    size_t count = 0;
    DIR *listing = opendir(folder);
    for (struct dirent *entry; (entry = readdir(listing));) count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct pm_image pattern(size_t width, size_t height)
{
    struct pm_image image;
    pm_image_init(&image, width, height);
    for (size_t i = 0; i < width * height * 3; i++) image.pixels[i] = (uint8_t)(i * 37 + i / 7);
    return image;
}

static void assert_same(const struct pm_image *a, const struct pm_image *b)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    assert_memory_equal(a->pixels, b->pixels, a->width * a->height * 3);
}

/* Write a PNG of any kind, without saying anything of its gamma. */
static void write_png_of_kind(int kind, int depth, size_t width, const uint8_t *row)
{
    FILE *file = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)width, 1, depth, kind, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    const png_color palette[] = {{255, 0, 0}, {1, 2, 3}};
    if (kind == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 2);
    png_write_info(png, info);
    png_write_row(png, row);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    fclose(file);
}

static struct pm_image read_back(void)
{
    struct pm_error err = {0};
    struct pm_image image = {0};
    assert_ok(pm_image_read(&image, path, &err), err);
    return image;
}

static void assert_pixels(const uint8_t *expected, size_t count)
{
    struct pm_image image = read_back();
    assert_int_equal(image.width * image.height, count);
    assert_memory_equal(image.pixels, expected, count * 3);
    pm_image_free(&image);
}

static void a_new_picture_is_white(void **state)
{
    (void)state;
    struct pm_image image;
    pm_image_init(&image, 3, 5);
    for (size_t i = 0; i < 45; i++) assert_int_equal(image.pixels[i], 255);
    pm_image_free(&image);
    assert_null(image.pixels);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    const size_t sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {17, 13}, {128, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct pm_error err = {0};
        struct pm_image written = pattern(sizes[i][0], sizes[i][1]);
        assert_ok(pm_image_write_png(&written, path, &err), err);
        struct pm_image image = read_back();
        assert_same(&image, &written);
        pm_image_free(&image);
        pm_image_free(&written);
    }
    assert_int_equal(files_in_folder(), 1);
}

static void bytes_are_grey_or_of_a_palette(void **state)
{
    (void)state;
    const uint8_t bytes[6] = {0, 1, 2, 254, 255, 3};
    uint8_t palette[256 * 3];
    struct pm_image image;
    struct pm_error err = {0};
    for (size_t i = 0; i < sizeof palette; i++) palette[i] = (uint8_t)(i * 11 + i / 3);
    assert_ok(pm_image_write_byte_png(bytes, 3, 2, NULL, path, &err), err);
    assert_ok(pm_image_read(&image, path, &err), err);
    assert_true(image.width == 3 && image.height == 2);
    for (size_t i = 0; i < 18; i++) assert_int_equal(image.pixels[i], bytes[i / 3]);
    pm_image_free(&image);
    assert_ok(pm_image_write_byte_png(bytes, 3, 2, palette, path, &err), err);
    assert_ok(pm_image_read(&image, path, &err), err);
    for (size_t i = 0; i < 6; i++)
        assert_memory_equal(image.pixels + i * 3, palette + (size_t)bytes[i] * 3, 3);
    pm_image_free(&image);
}

static void a_jpeg_is_near_what_was_written(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image written, read;
    pm_image_init(&written, 33, 17);
    for (size_t i = 0; i < 17 * 33; i++) { /* colours that change from one column to the next */
        written.pixels[i * 3] = i % 33 % 2 ? 200 : 30;
        written.pixels[i * 3 + 1] = (uint8_t)(i / 33 * 10);
    }
    assert_ok(pm_image_write_jpeg(&written, path, &err), err);
    assert_ok(pm_image_read(&read, path, &err), err);
    assert_int_equal(read.width, 33);
    assert_int_equal(read.height, 17);
    for (size_t i = 0; i < (size_t)17 * 33 * 3; i++)
        assert_in_range(read.pixels[i] + 4 - written.pixels[i], 0, 8);
    pm_image_free(&read);
    assert_fails(pm_image_write_jpeg(&written, "no/such.jpg", &err), err, "no/such.jpg");
    pm_image_free(&written);
}

static void grey_and_palettes_become_colours(void **state)
{
    (void)state;
    write_png_of_kind(PNG_COLOR_TYPE_GRAY, 8, 2, (const uint8_t[]){0, 200});
    assert_pixels((const uint8_t[]){0, 0, 0, 200, 200, 200}, 2);
    write_png_of_kind(PNG_COLOR_TYPE_GRAY, 1, 3, (const uint8_t[]){0x40});
    assert_pixels((const uint8_t[]){0, 0, 0, 255, 255, 255, 0, 0, 0}, 3);
    write_png_of_kind(PNG_COLOR_TYPE_PALETTE, 8, 3, (const uint8_t[]){1, 0, 1});
    assert_pixels((const uint8_t[]){1, 2, 3, 255, 0, 0, 1, 2, 3}, 3);
}

/* Without a gamma in the file, libpng by itself would take 16 bits for linear light. */
static void sixteen_bits_keep_their_upper_eight(void **state)
{
    (void)state;
    write_png_of_kind(PNG_COLOR_TYPE_RGB, 16, 1, (const uint8_t[]){10, 10, 128, 128, 250, 250});
    assert_pixels((const uint8_t[]){10, 128, 250}, 1);
}

static void transparent_parts_are_white(void **state)
{
    (void)state;
    write_png_of_kind(PNG_COLOR_TYPE_RGBA, 8, 3,
                      (const uint8_t[]){9, 8, 7, 255, 9, 8, 7, 0, 0, 50, 200, 128});
    assert_pixels((const uint8_t[]){9, 8, 7, 255, 255, 255, 127, 152, 227}, 3);
}

static void a_picture_too_large_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    uint8_t *row = calloc(1, PM_IMAGE_MAX_SIDE + 1);
    write_png_of_kind(PNG_COLOR_TYPE_GRAY, 8, PM_IMAGE_MAX_SIDE + 1, row);
    free(row);
    assert_fails(pm_image_read(&image, path, &err), err, "16385x1");
    assert_non_null(strstr(err.message, path));
    assert_int_equal(err.code, PM_E_FORMAT);
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    assert_fails(pm_image_read(&image, "no/such.png", &err), err, "no/such.png: No such");
    assert_int_equal(err.code, PM_E_IO);
    assert_fails(pm_image_read(&image, folder, &err), err, folder);
}

static void a_picture_that_cannot_be_written_leaves_nothing(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image = pattern(2, 2);
    assert_fails(pm_image_write_png(&image, "no/such.png", &err), err, "no/such.png");
    assert_int_equal(err.code, PM_E_IO);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0); /* a folder cannot be replaced by a file */
    assert_fails(pm_image_write_png(&image, path, &err), err, path);
    assert_int_equal(files_in_folder(), 1);
    rmdir(path);
    pm_image_free(&image);
}

static size_t load(uint8_t *bytes, size_t capacity)
{
    FILE *file = fopen(path, "rb");
    size_t size = fread(bytes, 1, capacity, file);
    fclose(file);
    assert_true(size < capacity);
    return size;
}

static void store(const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* Whatever was cut off, the answer is an error with the file's name, or the whole picture. */
static void a_truncated_file_is_an_error(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image whole = pattern(5, 7), image;
    assert_ok(pm_image_write_png(&whole, path, &err), err);
    uint8_t bytes[1024];
    size_t size = load(bytes, sizeof bytes), refused = 0;
    for (size_t kept = 0; kept < size; kept++) {
        store(bytes, kept);
        if (pm_image_read(&image, path, &err)) {
            assert_same(&image, &whole);
            pm_image_free(&image);
        } else {
            assert_non_null(strstr(err.message, path));
            refused++;
        }
    }
    assert_true(refused > size - 20); /* the 12 bytes of IEND, and the CRC before, may be cut */
    pm_image_free(&whole);
}

static size_t load_golden(uint8_t *bytes, size_t capacity, const char *name)
{
    char golden[128];
    snprintf(golden, sizeof golden, "tests/golden/data/images/%s", name);
    FILE *file = fopen(golden, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, capacity, file);
    fclose(file);
    assert_true(size < capacity);
    return size;
}

static const char *const kinds[] = {"444.jpg",   "progressive.jpg", "cmyk.jpg",
                                    "exif6.jpg", "exif.png",        "interlaced-palette4.png"};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void every_kind_of_file_cut_short_is_an_error(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    for (size_t k = 0; k < KINDS; k++) {
        uint8_t bytes[4096];
        size_t size = load_golden(bytes, sizeof bytes, kinds[k]);
        for (size_t kept = 0; kept < size - 14; kept += 1 + kept / 90) {
            store(bytes, kept);
            assert_fails(pm_image_read(&image, path, &err), err, path);
        }
    }
}

/* It may show in the picture: a JPEG has no checksum. */
static void damage_in_any_kind_of_file_does_no_harm(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    for (size_t k = 0; k < KINDS; k++) {
        uint8_t bytes[4096];
        size_t size = load_golden(bytes, sizeof bytes, kinds[k]), refused = 0;
        for (size_t i = 0; i < size; i += 1 + i / 90) {
            bytes[i] ^= 0xA5;
            store(bytes, size);
            if (pm_image_read(&image, path, &err))
                pm_image_free(&image);
            else
                refused++;
            bytes[i] ^= 0xA5;
        }
        assert_true(refused > 5);
    }
}

static void the_first_bytes_say_what_a_file_is(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    uint8_t bytes[4096];
    store(bytes, load_golden(bytes, sizeof bytes, "444.jpg")); /* in a file named .png */
    image = read_back();
    assert_int_equal(image.width, 35);
    pm_image_free(&image);
    store((const uint8_t *)"GIF89a..........", 16);
    assert_fails(pm_image_read(&image, path, &err), err, "neither a PNG nor a JPEG");
    assert_int_equal(err.code, PM_E_FORMAT);
}

/* A frame header of 65500x65500 pixels in a file of some hundred bytes. */
static void a_jpeg_too_large_is_refused_before_memory_is_taken(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image image;
    uint8_t bytes[4096];
    size_t size = load_golden(bytes, sizeof bytes, "444.jpg"), at = 2;
    while (bytes[at + 1] != 0xC0) at += 2 + (size_t)bytes[at + 2] * 256 + bytes[at + 3];
    memcpy(bytes + at + 5, "\xFF\xDC\xFF\xDC", 4);
    store(bytes, size);
    assert_fails(pm_image_read(&image, path, &err), err, "65500x65500");
    memcpy(bytes + at + 5, "\x40\x00\x40\x00", 4);
    store(bytes, size);
    assert_fails(pm_image_read(&image, path, &err), err, "16384x16384 pixels, more than 134217728");
}

static void a_damaged_byte_does_no_harm(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image whole = pattern(5, 7), image;
    assert_ok(pm_image_write_png(&whole, path, &err), err);
    uint8_t bytes[1024];
    size_t size = load(bytes, sizeof bytes), refused = 0;
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x55;
        store(bytes, size);
        if (pm_image_read(&image, path, &err))
            pm_image_free(&image);
        else
            refused++;
        bytes[i] ^= 0x55;
    }
    assert_true(refused > size / 2);
    pm_image_free(&whole);
}

static void a_full_disk_is_told_by_every_encoder(void **state)
{
    (void)state;
    static pm_image_encode *const encoders[] = {pm_image_encode_png, pm_image_encode_jpeg};
    struct pm_image image = pattern(61, 67);
    if (access("/dev/full", W_OK) != 0) return;
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++) {
        struct pm_error err = {0};
        FILE *full = fopen("/dev/full", "w");
        assert_non_null(full);
        setvbuf(full, NULL, _IONBF, 0);
        assert_fails(encoders[i](&image, full, "a.picture", &err), err, "cannot write a.picture: ");
        fclose(full);
    }
    pm_image_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_picture_is_white),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(bytes_are_grey_or_of_a_palette),
        cmocka_unit_test(a_jpeg_is_near_what_was_written),
        cmocka_unit_test(grey_and_palettes_become_colours),
        cmocka_unit_test(sixteen_bits_keep_their_upper_eight),
        cmocka_unit_test(transparent_parts_are_white),
        cmocka_unit_test(a_picture_too_large_is_refused),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(a_picture_that_cannot_be_written_leaves_nothing),
        cmocka_unit_test(a_truncated_file_is_an_error),
        cmocka_unit_test(a_damaged_byte_does_no_harm),
        cmocka_unit_test(every_kind_of_file_cut_short_is_an_error),
        cmocka_unit_test(damage_in_any_kind_of_file_does_no_harm),
        cmocka_unit_test(the_first_bytes_say_what_a_file_is),
        cmocka_unit_test(a_jpeg_too_large_is_refused_before_memory_is_taken),
        cmocka_unit_test(a_full_disk_is_told_by_every_encoder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
