#include "test.h"

#include "pm/data/canvas.h"
#include "pm/data/font.h"

#include <string.h>

static const struct pm_color RED = {200, 10, 20};
static const struct pm_text_style PLAIN = {{0, 0, 0}, 1, false};

static bool is_color(const struct pm_image *image, size_t x, size_t y, struct pm_color color)
{
    const uint8_t *pixel = image->pixels + (y * image->width + x) * 3;
    return pixel[0] == color.red && pixel[1] == color.green && pixel[2] == color.blue;
}

static bool is_white(const struct pm_image *image, size_t x, size_t y)
{
    return is_color(image, x, y, (struct pm_color){255, 255, 255});
}

/* Columns that are not white: from first to end; 0 and 0 if there are none. */
static void find_ink(const struct pm_image *image, size_t *first, size_t *end)
{
    *first = *end = 0;
    for (size_t x = 0; x < image->width; x++)
        for (size_t y = 0; y < image->height; y++)
            if (!is_white(image, x, y)) {
                if (*end == 0) *first = x;
                *end = x + 1;
            }
}

static bool same_pixels(const struct pm_image *a, const struct pm_image *b)
{
    return a->width == b->width && a->height == b->height &&
           memcmp(a->pixels, b->pixels, a->width * a->height * 3) == 0;
}

static struct pm_image drawn(const char *text)
{
    struct pm_image image;
    pm_image_init(&image, 300, 16);
    pm_canvas_text(&image, 2, 2, text, &PLAIN);
    return image;
}

static void assert_drawn_alike(const char *a, const char *b, bool alike)
{
    struct pm_image first = drawn(a), second = drawn(b);
    if (same_pixels(&first, &second) != alike) fail_msg("\"%s\" and \"%s\"", a, b);
    pm_image_free(&first);
    pm_image_free(&second);
}

static void a_rectangle_is_clipped_on_every_side(void **state)
{
    (void)state;
    const struct {
        ptrdiff_t x, y;
        size_t width, height;
        size_t left, top, right, bottom; /* what of it is to be seen */
    } cases[] = {
        {1, 2, 2, 1, 1, 2, 3, 3},
        {-3, -2, 5, 4, 0, 0, 2, 2},
        {5, 4, 100, 100, 5, 4, 7, 5},
        {-1, -1, 100, 100, 0, 0, 7, 5},
        {7, 0, 3, 3, 0, 0, 0, 0},
        {-3, 0, 3, 3, 0, 0, 0, 0},
        {2, 2, 0, 9, 0, 0, 0, 0},
        {PTRDIFF_MIN, 0, SIZE_MAX, 5, 0, 0, 7, 5},
        {3, PTRDIFF_MAX, SIZE_MAX, SIZE_MAX, 0, 0, 0, 0},
        {3, 3, SIZE_MAX, SIZE_MAX, 3, 3, 7, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_image canvas;
        pm_image_init(&canvas, 7, 5);
        pm_canvas_fill(&canvas, cases[i].x, cases[i].y, cases[i].width, cases[i].height, RED);
        for (size_t y = 0; y < 5; y++)
            for (size_t x = 0; x < 7; x++) {
                bool inside = x >= cases[i].left && x < cases[i].right && y >= cases[i].top &&
                              y < cases[i].bottom;
                assert_true(inside ? is_color(&canvas, x, y, RED) : is_white(&canvas, x, y));
            }
        pm_image_free(&canvas);
    }
}

static struct pm_image pattern(size_t width, size_t height)
{
    struct pm_image image;
    pm_image_init(&image, width, height);
    for (size_t i = 0; i < width * height * 3; i++) image.pixels[i] = (uint8_t)(i * 53 % 251);
    return image;
}

static void an_enlarged_picture_has_square_pixels(void **state)
{
    (void)state;
    const ptrdiff_t x0 = -4, y0 = 3;
    struct pm_image picture = pattern(5, 3), canvas;
    pm_image_init(&canvas, 9, 8);
    pm_canvas_blit(&canvas, x0, y0, &picture, 3);
    for (size_t y = 0; y < 8; y++)
        for (size_t x = 0; x < 9; x++) {
            ptrdiff_t column = ((ptrdiff_t)x - x0) / 3, row = ((ptrdiff_t)y - y0) / 3;
            const uint8_t white[3] = {255, 255, 255};
            const uint8_t *expected =
                (ptrdiff_t)y < y0 ? white : picture.pixels + (row * 5 + column) * 3;
            assert_memory_equal(canvas.pixels + (y * 9 + x) * 3, expected, 3);
        }
    pm_image_free(&picture);
    pm_image_free(&canvas);
}

static void smooth_at_its_own_size_changes_nothing(void **state)
{
    (void)state;
    struct pm_image picture = pattern(13, 7), canvas;
    pm_image_init(&canvas, 13, 7);
    pm_canvas_blit_smooth(&canvas, 0, 0, 13, 7, &picture);
    assert_true(same_pixels(&canvas, &picture));
    pm_image_free(&picture);
    pm_image_free(&canvas);
}

static void smooth_keeps_an_even_colour(void **state)
{
    (void)state;
    struct pm_image picture, canvas;
    pm_image_init(&picture, 5, 3);
    pm_canvas_fill(&picture, 0, 0, 5, 3, RED);
    for (size_t size = 1; size < 20; size += 3) {
        pm_image_init(&canvas, 21, 20);
        pm_canvas_blit_smooth(&canvas, 1, -1, size, size + 1, &picture);
        for (size_t y = 0; y < 20; y++)
            for (size_t x = 0; x < 21; x++) {
                bool inside = x >= 1 && x < size + 1 && y < size;
                assert_true(inside ? is_color(&canvas, x, y, RED) : is_white(&canvas, x, y));
            }
        pm_image_free(&canvas);
    }
    pm_image_free(&picture);
}

static void assert_row_becomes(const uint8_t *in, size_t from, const uint8_t *expected, size_t to)
{
    struct pm_image picture, canvas;
    pm_image_init(&picture, from, 1);
    pm_image_init(&canvas, to, 1);
    for (size_t i = 0; i < from * 3; i++) picture.pixels[i] = in[i / 3];
    pm_canvas_blit_smooth(&canvas, 0, 0, to, 1, &picture);
    for (size_t i = 0; i < to * 3; i++) assert_int_equal(canvas.pixels[i], expected[i / 3]);
    pm_image_free(&picture);
    pm_image_free(&canvas);
}

/* Enlarged: centres at -1/4, 1/4, 3/4, 5/4. Reduced: weights 3/7, 3/7, 1/7 of the near three. */
static void smooth_gives_the_values_worked_out_by_hand(void **state)
{
    (void)state;
    assert_row_becomes((const uint8_t[]){0, 200}, 2, (const uint8_t[]){0, 50, 150, 200}, 4);
    assert_row_becomes((const uint8_t[]){0, 0, 210, 210}, 4, (const uint8_t[]){30, 180}, 2);
}

static void every_glyph_is_its_own(void **state)
{
    (void)state;
    for (char a = ' '; a <= '~'; a++) {
        struct pm_glyph glyph;
        const char text[2] = {a, 0};
        assert_int_equal(pm_font_next(&glyph, text), 1);
        assert_in_range(glyph.width, 1, 8);
        size_t ink = 0;
        for (size_t y = 0; y < PM_FONT_HEIGHT; y++) {
            for (size_t x = 0; x < glyph.width; x++) ink += glyph.rows[y][x] == '#';
            /* the glyph ends where its row in the band does */
            assert_true(glyph.rows[y][glyph.width] == '|' || glyph.rows[y][glyph.width] == 0);
        }
        assert_true(a == ' ' ? ink == 0 : ink > 0);
        for (char b = ' '; b < a; b++) assert_drawn_alike(text, (const char[]){b, 0}, false);
        assert_drawn_alike(text, "\xE7\x8C\xAB", false); /* the box, for a sign that is not there */
    }
}

static void accents_fall_back_to_the_base_letter(void **state)
{
    (void)state;
    assert_drawn_alike("\xC3\xA9", "e", true);     /* e acute */
    assert_drawn_alike("e\xCC\x81x", "ex", true);  /* e, combining acute */
    assert_drawn_alike("\xE1\xBA\xA4", "A", true); /* A circumflex acute */
    assert_drawn_alike("\xE2\x80\x99\xE2\x80\x93", "'-", true);
    assert_drawn_alike("a\tb\n", "a b ", true);
    assert_drawn_alike("\xC3\x9F", "B", false);
}

static void a_byte_that_is_no_utf8_is_one_box(void **state)
{
    (void)state;
    struct pm_glyph glyph;
    const char *const broken[] = {"\xFF", "\xE7\x8C", "\xC3", "\xF0\x9F\x98", "\x80"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_int_equal(pm_font_next(&glyph, broken[i]), 1);
    assert_drawn_alike("\xFFz", "\xE7\x8C\xABz", true);
    assert_int_equal(pm_font_next(&glyph, ""), 0);
}

static void the_width_of_text_is_what_is_drawn(void **state)
{
    (void)state;
    const char *const texts[] = {"i", "W@", "a red ball, 100% (new)", "Z\xE2\x86\x92\xE2\x80\xA6",
                                 "/\\<>"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t scale = 1; scale <= 4; scale++)
            for (int bold = 0; bold < 2; bold++) {
                const struct pm_text_style style = {{0, 0, 0}, scale, bold};
                struct pm_image canvas;
                pm_image_init(&canvas, 800, 50);
                pm_canvas_text(&canvas, 7, 2, texts[i], &style);
                size_t first, end;
                find_ink(&canvas, &first, &end);
                assert_int_equal(first, 7);
                assert_int_equal(end - first, pm_text_width(texts[i], &style));
                pm_image_free(&canvas);
            }
    assert_int_equal(pm_text_width("", &PLAIN), 0);
}

static void text_outside_the_canvas_is_not_drawn(void **state)
{
    (void)state;
    struct pm_image canvas;
    pm_image_init(&canvas, 9, 6);
    const ptrdiff_t far = PTRDIFF_MAX / 2 - 1000;
    const ptrdiff_t places[][2] = {{-200, 0}, {9, 0}, {0, -20}, {0, 6}, {far, far}, {-far, -far}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        pm_canvas_text(&canvas, places[i][0], places[i][1], "Hidden", &PLAIN);
    for (size_t i = 0; i < 9 * 6 * 3; i++) assert_int_equal(canvas.pixels[i], 255);
    pm_canvas_text(&canvas, -3, -3, "##", &PLAIN);
    assert_false(is_white(&canvas, 1, 2)); /* and what lies inside is */
    pm_image_free(&canvas);
}

static void text_that_fits_is_not_cut(void **state)
{
    (void)state;
    struct pm_image plain = drawn("a red cube"), boxed;
    pm_image_init(&boxed, 300, 16);
    size_t width = pm_text_width("a red cube", &PLAIN);
    assert_int_equal(pm_canvas_text_box(&boxed, 2, 2, width, 1, "a red cube", &PLAIN), 1);
    assert_true(same_pixels(&plain, &boxed));
    pm_image_free(&plain);
    pm_image_free(&boxed);
}

static void text_that_does_not_fit_ends_with_an_ellipsis(void **state)
{
    (void)state;
    struct pm_image plain = drawn("a red\xE2\x80\xA6"), boxed;
    pm_image_init(&boxed, 300, 16);
    size_t width = pm_text_width("a red c\xE2\x80\xA6", &PLAIN) - 1;
    pm_canvas_text_box(&boxed, 2, 2, width, 1, "a red cube", &PLAIN);
    assert_true(same_pixels(&plain, &boxed));
    pm_image_free(&plain);
    pm_image_free(&boxed);
}

static void wrapped_text_breaks_between_words(void **state)
{
    (void)state;
    struct pm_image expected, boxed;
    size_t width = pm_text_width("a red cube", &PLAIN) + 3;
    pm_image_init(&expected, 200, 60);
    pm_canvas_text(&expected, 5, 1, "a red cube", &PLAIN);
    pm_canvas_text(&expected, 5, 1 + PM_FONT_LINE, "on a", &PLAIN);
    pm_canvas_text(&expected, 5, 1 + 2 * PM_FONT_LINE, "meadow", &PLAIN);
    pm_image_init(&boxed, 200, 60);
    const char *text = " a red cube  on a meadow ";
    assert_int_equal(pm_canvas_text_box(&boxed, 5, 1, width, 9, text, &PLAIN), 3);
    assert_true(same_pixels(&expected, &boxed));
    assert_int_equal(pm_text_box_lines(width, 9, text, &PLAIN), 3);
    assert_int_equal(pm_text_box_lines(width, 2, text, &PLAIN), 2);
    assert_int_equal(pm_text_box_lines(width, 9, "", &PLAIN), 0);
    pm_image_free(&expected);
    pm_image_free(&boxed);
}

static void wrapped_text_stays_in_its_box(void **state)
{
    (void)state;
    for (size_t width = 10; width < 90; width += 7) {
        struct pm_image canvas;
        pm_image_init(&canvas, 120, 60);
        pm_canvas_text_box(&canvas, 3, 0, width, 3,
                           "an incomprehensibilities-filled prompt with many words in it", &PLAIN);
        size_t first, end;
        find_ink(&canvas, &first, &end);
        assert_true(end > first && end <= 3 + width);
        pm_image_free(&canvas);
    }
    /* narrower than any letter, the box still comes to an end */
    assert_int_equal(pm_text_box_lines(0, 5, "abc", &PLAIN), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rectangle_is_clipped_on_every_side),
        cmocka_unit_test(an_enlarged_picture_has_square_pixels),
        cmocka_unit_test(smooth_at_its_own_size_changes_nothing),
        cmocka_unit_test(smooth_keeps_an_even_colour),
        cmocka_unit_test(smooth_gives_the_values_worked_out_by_hand),
        cmocka_unit_test(every_glyph_is_its_own),
        cmocka_unit_test(accents_fall_back_to_the_base_letter),
        cmocka_unit_test(a_byte_that_is_no_utf8_is_one_box),
        cmocka_unit_test(the_width_of_text_is_what_is_drawn),
        cmocka_unit_test(text_outside_the_canvas_is_not_drawn),
        cmocka_unit_test(text_that_fits_is_not_cut),
        cmocka_unit_test(text_that_does_not_fit_ends_with_an_ellipsis),
        cmocka_unit_test(wrapped_text_breaks_between_words),
        cmocka_unit_test(wrapped_text_stays_in_its_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
