#include "test.h"

#include "pm/data/canvas.h"
#include "pm/data/heat_map.h"
#include "pm/data/strip.h"

#include <string.h>

enum { WIDTH = 37, HEIGHT = 29 };

static struct pm_image pattern(unsigned seed)
{
    struct pm_image image;
    pm_image_init(&image, WIDTH, HEIGHT);
    for (size_t i = 0; i < WIDTH * HEIGHT * 3; i++)
        image.pixels[i] = (uint8_t)((i + seed) * 97 % 241);
    return image;
}

static const uint8_t *pixel_at(const struct pm_image *image, size_t x, size_t y)
{
    return image->pixels + (y * image->width + x) * 3;
}

static bool lies_at(const struct pm_image *whole, const struct pm_image *part, size_t x, size_t y)
{
    for (size_t row = 0; row < part->height; row++)
        if (memcmp(pixel_at(whole, x, y + row), pixel_at(part, 0, row), part->width * 3) != 0)
            return false;
    return true;
}

/* Where @p part is found in @p whole. */
struct place {
    bool found;
    size_t x, y;
};

static struct place find(const struct pm_image *whole, const struct pm_image *part)
{
    for (size_t y = 0; y + part->height <= whole->height; y++)
        for (size_t x = 0; x + part->width <= whole->width; x++)
            if (lies_at(whole, part, x, y)) return (struct place){true, x, y};
    return (struct place){0};
}

static size_t ink_in(const struct pm_image *image, size_t x, size_t y, size_t width, size_t height)
{
    size_t ink = 0;
    for (size_t j = y; j < y + height; j++)
        for (size_t i = x; i < x + width; i++)
            ink += memcmp(pixel_at(image, i, j), "\xFF\xFF\xFF", 3) != 0;
    return ink;
}

static struct pm_image strip_image(const struct pm_strip *strip, size_t scale)
{
    struct pm_error err = {0};
    struct pm_image out = {0};
    assert_ok(pm_strip_draw(&out, strip, scale, &err), err);
    return out;
}

static void source_and_target_stand_side_by_side_unchanged(void **state)
{
    (void)state;
    struct pm_image source = pattern(0), target = pattern(5);
    struct pm_strip strip = {.source = &source,
                             .target = &target,
                             .source_prompt = "a red ball on a meadow in the sun",
                             .target_prompt = "a cube",
                             .description = "replace"};
    struct pm_image out = strip_image(&strip, 1);
    struct place left = find(&out, &source), right = find(&out, &target);
    assert_true(left.found && right.found);
    assert_int_equal(left.y, right.y);
    assert_true(right.x >= left.x + WIDTH);
    size_t below = left.y + HEIGHT, rest = out.height - below;
    assert_true(ink_in(&out, 0, 0, out.width, left.y) > 0);    /* the description */
    assert_true(ink_in(&out, left.x, below, WIDTH, rest) > 0); /* the prompts */
    assert_true(ink_in(&out, right.x, below, WIDTH, rest) > 0);
    assert_int_equal(ink_in(&out, 0, 0, left.x, out.height), 0); /* the margins, the gap */
    assert_int_equal(
        ink_in(&out, left.x + WIDTH, left.y, right.x - left.x - WIDTH, out.height - left.y), 0);
    assert_int_equal(ink_in(&out, right.x + WIDTH, 0, out.width - right.x - WIDTH, out.height), 0);
    pm_image_free(&out);
    pm_image_free(&source);
    pm_image_free(&target);
}

static void a_real_picture_stands_before_its_reconstruction(void **state)
{
    (void)state;
    struct pm_image original = pattern(3), source = pattern(0), target = pattern(5);
    struct pm_strip strip = {.original = &original, .source = &source, .target = &target};
    struct pm_image out = strip_image(&strip, 1);
    struct place first = find(&out, &original), second = find(&out, &source);
    assert_true(first.found && second.found);
    assert_int_equal(first.y, second.y);
    assert_true(second.x >= first.x + WIDTH && find(&out, &target).x >= second.x + WIDTH);
    size_t below = first.y + HEIGHT;
    assert_true(ink_in(&out, first.x, below, WIDTH, out.height - below) > 0); /* "original" */
    pm_image_free(&out);
    pm_image_free(&original);
    pm_image_free(&source);
    pm_image_free(&target);
}

static void scale_enlarges_every_pixel(void **state)
{
    (void)state;
    struct pm_image source = pattern(0), large;
    pm_image_init(&large, WIDTH * 3, HEIGHT * 3);
    pm_canvas_blit(&large, 0, 0, &source, 3);
    struct pm_image out = strip_image(&(struct pm_strip){.source = &source}, 3);
    assert_true(find(&out, &large).found);
    assert_true(out.width < WIDTH * 4); /* and there is nothing beside it */
    pm_image_free(&out);
    pm_image_free(&large);
    pm_image_free(&source);
}

static void one_pixel_makes_a_strip(void **state)
{
    (void)state;
    struct pm_image dot;
    pm_image_init(&dot, 1, 1);
    const float map[1] = {0.5f};
    const uint8_t mask[1] = {1};
    const struct pm_strip_word word = {"dot", &dot, map, 1, 1};
    struct pm_image out = strip_image(&(struct pm_strip){.source = &dot,
                                                         .target = &dot,
                                                         .source_prompt = "a dot",
                                                         .mask = mask,
                                                         .mask_height = 1,
                                                         .mask_width = 1,
                                                         .words = &word,
                                                         .word_count = 1},
                                      1);
    assert_true(out.width > 4 && out.height > 1);
    pm_image_free(&out);
    pm_image_free(&dot);
}

static void a_word_tile_is_the_picture_under_its_heat(void **state)
{
    (void)state;
    struct pm_image source = pattern(0), target = pattern(5), expected = pattern(5);
    float map[4 * 5], heat[WIDTH * HEIGHT];
    fill_random(map, 20, 11);
    pm_heat_map_resize(heat, HEIGHT, WIDTH, map, 4, 5);
    pm_heat_map_normalize(heat, WIDTH * HEIGHT, PM_HEAT_MIN_TO_MAX);
    pm_heat_map_overlay(&expected, heat);
    const struct pm_strip_word word = {"cube", &target, map, 4, 5};
    struct pm_strip strip = {.source = &source, .target = &target, .words = &word, .word_count = 1};
    struct pm_image out = strip_image(&strip, 1);
    struct place tile = find(&out, &expected);
    assert_true(tile.found && tile.x > find(&out, &target).x);
    size_t below = tile.y + HEIGHT;
    assert_true(ink_in(&out, tile.x, below, WIDTH, out.height - below) > 0); /* the word */
    pm_image_free(&out);
    pm_image_free(&source);
    pm_image_free(&target);
    pm_image_free(&expected);
}

/* A mask of 3 by 3 over 30 by 30 pixels, its middle inside. */
static void a_mask_is_clear_inside_outlined_and_dimmed_outside(void **state)
{
    (void)state;
    const uint8_t mask[9] = {0, 0, 0, 0, 255, 0, 0, 0, 0};
    struct pm_image picture;
    pm_image_init(&picture, 30, 30);
    pm_canvas_fill(&picture, 0, 0, 30, 30, (struct pm_color){0, 100, 0});
    pm_strip_draw_mask(&picture, mask, 3, 3);
    for (size_t y = 0; y < 30; y++)
        for (size_t x = 0; x < 30; x++) {
            const uint8_t *pixel = pixel_at(&picture, x, y);
            bool inside = x >= 10 && x < 20 && y >= 10 && y < 20;
            bool border = inside && (x == 10 || x == 19 || y == 10 || y == 19);
            if (border)
                assert_true(pixel[0] > 2 * pixel[1]); /* red */
            else if (inside)
                assert_memory_equal(pixel, ((const uint8_t[]){0, 100, 0}), 3);
            else
                assert_true(pixel[0] > 128 && pixel[2] > 128); /* near white */
        }
    pm_image_free(&picture);
}

static void a_full_mask_changes_nothing(void **state)
{
    (void)state;
    const uint8_t mask[2] = {1, 1};
    struct pm_image picture = pattern(0), before = pattern(0);
    pm_strip_draw_mask(&picture, mask, 1, 2);
    assert_true(lies_at(&picture, &before, 0, 0));
    pm_image_free(&picture);
    pm_image_free(&before);
}

static void a_strip_shows_the_mask_over_the_source(void **state)
{
    (void)state;
    uint8_t mask[16] = {0};
    mask[5] = mask[6] = mask[9] = 1;
    struct pm_image source = pattern(0), target = pattern(5), expected = pattern(0);
    pm_strip_draw_mask(&expected, mask, 4, 4);
    struct pm_strip strip = {
        .source = &source, .target = &target, .mask = mask, .mask_height = 4, .mask_width = 4};
    struct pm_image out = strip_image(&strip, 1);
    struct place tile = find(&out, &expected);
    assert_true(tile.found && tile.x > find(&out, &target).x);
    pm_image_free(&out);
    pm_image_free(&source);
    pm_image_free(&target);
    pm_image_free(&expected);
}

static void a_strip_too_large_is_refused_with_its_size(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_image source = pattern(0), out = {0};
    struct pm_strip strip = {.source = &source};
    assert_fails(pm_strip_draw(&out, &strip, 600, &err), err, "17400"); /* 29 * 600 */
    assert_int_equal(err.code, PM_E_INPUT);
    assert_null(out.pixels);
    pm_image_free(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_and_target_stand_side_by_side_unchanged),
        cmocka_unit_test(a_real_picture_stands_before_its_reconstruction),
        cmocka_unit_test(scale_enlarges_every_pixel),
        cmocka_unit_test(one_pixel_makes_a_strip),
        cmocka_unit_test(a_word_tile_is_the_picture_under_its_heat),
        cmocka_unit_test(a_mask_is_clear_inside_outlined_and_dimmed_outside),
        cmocka_unit_test(a_full_mask_changes_nothing),
        cmocka_unit_test(a_strip_shows_the_mask_over_the_source),
        cmocka_unit_test(a_strip_too_large_is_refused_with_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
