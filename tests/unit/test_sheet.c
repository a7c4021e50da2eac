#include "test.h"

#include "pm/data/canvas.h"
#include "pm/data/sheet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 16 };

/* One colour for each edit, so that its tiles can be found again. */
static struct pm_color color_of(size_t edit, bool target)
{
    return (struct pm_color){(uint8_t)(10 + 20 * edit), target ? 200 : 40, 77};
}

static struct pm_image picture_of(size_t edit, bool target)
{
    struct pm_image image;
    pm_image_init(&image, SIDE, SIDE);
    pm_canvas_fill(&image, 0, 0, SIDE, SIDE, color_of(edit, target));
    return image;
}

/* The rectangle that has exactly this colour. */
struct area {
    size_t left, top, right, bottom, pixels;
};

static struct area find_color(const struct pm_image *image, struct pm_color color)
{
    struct area area = {.left = SIZE_MAX, .top = SIZE_MAX};
    for (size_t i = 0; i < image->width * image->height; i++) {
        const uint8_t *pixel = image->pixels + i * 3;
        if (pixel[0] != color.red || pixel[1] != color.green || pixel[2] != color.blue) continue;
        size_t x = i % image->width, y = i / image->width;
        area.left = x < area.left ? x : area.left;
        area.top = y < area.top ? y : area.top;
        area.right = x + 1 > area.right ? x + 1 : area.right;
        area.bottom = y + 1 > area.bottom ? y + 1 : area.bottom;
        area.pixels++;
    }
    return area;
}

static void add_edit(struct pm_sheet *sheet, size_t edit, const uint8_t *mask)
{
    struct pm_image source = picture_of(edit, false), target = picture_of(edit, true);
    struct pm_strip strip = {.source = &source,
                             .target = &target,
                             .description = "replace",
                             .target_prompt = "a red cube on a meadow",
                             .mask = mask,
                             .mask_height = 1,
                             .mask_width = 2};
    pm_sheet_add(sheet, "ball-to-cube", &strip);
    pm_image_free(&source);
    pm_image_free(&target);
}

static struct pm_sheet sheet_of(const struct pm_sheet_options *options, const uint8_t *mask)
{
    struct pm_error err = {0};
    struct pm_sheet sheet;
    assert_ok(pm_sheet_init(&sheet, options, &err), err);
    for (size_t i = 0; i < options->count; i++) add_edit(&sheet, i, mask);
    return sheet;
}

static void edits_fill_rows_from_left_to_right(void **state)
{
    (void)state;
    struct pm_sheet_options options = {
        .title = "five", .count = 5, .columns = 2, .tile_width = 48, .tile_height = 48};
    struct pm_sheet sheet = sheet_of(&options, NULL);
    struct area areas[5];
    for (size_t i = 0; i < 5; i++) {
        areas[i] = find_color(&sheet.image, color_of(i, false));
        struct area target = find_color(&sheet.image, color_of(i, true));
        assert_int_equal(areas[i].pixels, 48 * 48); /* the tile, whole and nothing else */
        assert_int_equal(target.pixels, 48 * 48);
        assert_int_equal(target.top, areas[i].top);
        assert_true(target.left >= areas[i].right);
    }
    assert_int_equal(areas[0].top, areas[1].top);
    assert_int_equal(areas[0].left, areas[2].left);
    assert_true(areas[1].left > areas[0].right && areas[2].top > areas[0].bottom);
    assert_int_equal(areas[4].top - areas[2].top, areas[2].top - areas[0].top);
    pm_sheet_free(&sheet);
}

static void a_picture_keeps_its_proportions(void **state)
{
    (void)state;
    struct pm_sheet_options options = {.count = 1, .tile_width = 80, .tile_height = 40};
    struct pm_sheet sheet = sheet_of(&options, NULL);
    struct area area = find_color(&sheet.image, color_of(0, false));
    assert_int_equal(area.right - area.left, 40);
    assert_int_equal(area.bottom - area.top, 40);
    assert_int_equal(area.pixels, 1600);
    pm_sheet_free(&sheet);
}

static void a_mask_is_drawn_where_there_is_room_for_it(void **state)
{
    (void)state;
    const uint8_t mask[2] = {1, 0};
    struct pm_sheet_options options = {.count = 2, .tile_width = 40, .tile_height = 40};
    struct pm_sheet plain = sheet_of(&options, mask);
    options.masks = true;
    struct pm_sheet masked = sheet_of(&options, mask);
    size_t once = find_color(&plain.image, color_of(1, false)).pixels;
    size_t again = find_color(&masked.image, color_of(1, false)).pixels;
    assert_int_equal(once, 1600);
    assert_int_equal(again, 1600 + 19 * 40); /* half of it, less the outline */
    pm_sheet_free(&plain);
    pm_sheet_free(&masked);
}

static void real_pictures_come_before_their_reconstructions(void **state)
{
    (void)state;
    const struct pm_color color = {9, 99, 199};
    struct pm_error err = {0};
    struct pm_sheet sheet;
    struct pm_sheet_options options = {
        .count = 2, .columns = 1, .tile_width = 40, .tile_height = 40, .originals = true};
    struct pm_image original, source = picture_of(1, false);
    pm_image_init(&original, SIDE, SIDE);
    pm_canvas_fill(&original, 0, 0, SIDE, SIDE, color);
    assert_ok(pm_sheet_init(&sheet, &options, &err), err);
    add_edit(&sheet, 0, NULL); /* of no real picture */
    pm_sheet_add(&sheet, "real", &(struct pm_strip){.source = &source, .original = &original});
    struct area first = find_color(&sheet.image, color_of(0, false));
    struct area real = find_color(&sheet.image, color),
                reconstruction = find_color(&sheet.image, color_of(1, false));
    assert_int_equal(real.pixels, 40 * 40);
    assert_int_equal(real.top, reconstruction.top);
    assert_true(real.right <= reconstruction.left);
    assert_int_equal(first.left, reconstruction.left); /* the room is left */
    pm_image_free(&source);
    pm_image_free(&original);
    pm_sheet_free(&sheet);
}

static void columns_are_chosen_to_make_it_wider_than_high(void **state)
{
    (void)state;
    struct pm_error err = {0};
    const size_t counts[] = {2, 7, 50, 300};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct pm_sheet sheet;
        struct pm_sheet_options options = {.count = counts[i], .tile_width = 64, .tile_height = 64};
        assert_ok(pm_sheet_init(&sheet, &options, &err), err);
        assert_true(sheet.image.width >= sheet.image.height);
        assert_true(sheet.image.width < 4 * sheet.image.height);
        pm_sheet_free(&sheet);
    }
}

/* The number in the message is the truth: so many fit, and not one more. */
static void too_many_edits_are_refused_with_how_many_fit(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sheet sheet;
    struct pm_sheet_options options = {
        .title = "x", .count = SIZE_MAX, .columns = 1, .tile_width = 3, .tile_height = 500};
    assert_fails(pm_sheet_init(&sheet, &options, &err), err,
                 "edits with tiles of 3x500 pixels would be more than 16384 pixels high; ");
    assert_non_null(strstr(err.message, " edits fit"));
    assert_int_equal(err.code, PM_E_INPUT);
    options.count = strtoul(strrchr(err.message, ';') + 1, NULL, 10);
    assert_in_range(options.count, 20, 32);
    assert_ok(pm_sheet_init(&sheet, &options, &err), err);
    pm_sheet_free(&sheet);
    options.count++;
    assert_fails(pm_sheet_init(&sheet, &options, &err), err, "edits fit");
}

static void too_wide_a_sheet_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sheet sheet;
    struct pm_sheet_options options = {
        .count = 90, .columns = 90, .tile_width = 100, .tile_height = 100};
    assert_fails(pm_sheet_init(&sheet, &options, &err), err, "90 columns");
    options.tile_width = SIZE_MAX;
    assert_fails(pm_sheet_init(&sheet, &options, &err), err, "more than 16384");
    options.tile_width = PM_IMAGE_MAX_SIDE;
    assert_fails(pm_sheet_init(&sheet, &options, &err), err, "0 columns");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_fill_rows_from_left_to_right),
        cmocka_unit_test(a_picture_keeps_its_proportions),
        cmocka_unit_test(a_mask_is_drawn_where_there_is_room_for_it),
        cmocka_unit_test(real_pictures_come_before_their_reconstructions),
        cmocka_unit_test(columns_are_chosen_to_make_it_wider_than_high),
        cmocka_unit_test(too_many_edits_are_refused_with_how_many_fit),
        cmocka_unit_test(too_wide_a_sheet_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
