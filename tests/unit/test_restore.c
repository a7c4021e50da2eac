#include "test.h"

#include "pm/edit/restore.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 48, WIDTH = 80, MASK_HEIGHT = 6, MASK_WIDTH = 10, BYTES = HEIGHT * WIDTH * 3 };

struct pictures {
    uint8_t edit[BYTES], original[BYTES], restored[BYTES], mask[MASK_HEIGHT * MASK_WIDTH];
};

static struct pictures fill(bool (*is_inside)(size_t x, size_t y))
{
    struct pictures p;
    for (size_t i = 0; i < BYTES; i++) {
        p.edit[i] = (uint8_t)(i * 37 % 251);
        p.original[i] = (uint8_t)(i * 101 % 241);
    }
    for (size_t i = 0; i < sizeof p.mask; i++)
        p.mask[i] = is_inside(i % MASK_WIDTH, i / MASK_WIDTH);
    memcpy(p.restored, p.edit, BYTES);
    return p;
}

static void restore(struct pictures *p, double feather)
{
    pm_image_restore(p->restored, p->original, HEIGHT, WIDTH, p->mask, MASK_HEIGHT, MASK_WIDTH,
                     feather);
}

static bool nowhere(size_t x, size_t y)
{
    (void)x;
    (void)y;
    return false;
}

static bool everywhere(size_t x, size_t y)
{
    return !nowhere(x, y);
}

static bool in_a_corner(size_t x, size_t y)
{
    return x < 3 && y < 2;
}

static bool left(size_t x, size_t y)
{
    (void)y;
    return x < 5;
}

static void an_empty_mask_gives_the_original_and_a_full_one_the_edit(void **state)
{
    (void)state;
    for (double feather = 0.0; feather < 30.0; feather += 7.5) {
        struct pictures p = fill(nowhere);
        restore(&p, feather);
        assert_memory_equal(p.restored, p.original, BYTES);
        p = fill(everywhere);
        restore(&p, feather);
        assert_memory_equal(p.restored, p.edit, BYTES);
    }
}

static void without_feather_the_edge_is_sharp(void **state)
{
    (void)state;
    struct pictures p = fill(in_a_corner);
    restore(&p, 0.0);
    for (size_t y = 0; y < HEIGHT; y++)
        for (size_t x = 0; x < WIDTH; x++) {
            const uint8_t *from = x < 24 && y < 16 ? p.edit : p.original;
            size_t at = (y * WIDTH + x) * 3;
            assert_memory_equal(p.restored + at, from + at, 3);
        }
}

static void the_edit_stays_inside_and_ends_four_feathers_outside(void **state)
{
    (void)state;
    struct pictures p = fill(in_a_corner);
    restore(&p, 3.0);
    size_t mixed = 0;
    for (size_t y = 0; y < HEIGHT; y++)
        for (size_t x = 0; x < WIDTH; x++) {
            size_t at = (y * WIDTH + x) * 3;
            if (x < 24 && y < 16)
                assert_memory_equal(p.restored + at, p.edit + at, 3);
            else if (x >= 24 + 12 || y >= 16 + 12)
                assert_memory_equal(p.restored + at, p.original + at, 3);
            else
                mixed += memcmp(p.restored + at, p.original + at, 3) != 0;
        }
    assert_true(mixed > 200);
}

/* Black edited to white: the restored pixel is the edit's share. */
static void at_a_straight_edge_the_share_falls_as_erfc(void **state)
{
    (void)state;
    const double feather = 4.0;
    struct pictures p = fill(left);
    memset(p.original, 0, BYTES);
    memset(p.restored, 255, BYTES);
    restore(&p, feather);
    for (size_t x = 40; x < WIDTH; x++) {
        double distance = (double)x + 0.5 - 40.0; /* from the edge to the pixel's centre */
        double share = erfc(distance / (feather * sqrt(2.0)));
        assert_float_equal(p.restored[(20 * WIDTH + x) * 3], 255.0 * share, 1.5);
    }
}

static void a_mask_need_not_divide_the_picture(void **state)
{
    (void)state;
    uint8_t image[5 * 7 * 3], original[5 * 7 * 3] = {0};
    const uint8_t mask[2 * 3] = {1, 0, 0, 0, 0, 1};
    memset(image, 200, sizeof image);
    pm_image_restore(image, original, 5, 7, mask, 2, 3, 0.0);
    for (size_t y = 0; y < 5; y++)
        for (size_t x = 0; x < 7; x++)
            assert_int_equal(image[(y * 7 + x) * 3], mask[y * 2 / 5 * 3 + x * 3 / 7] ? 200 : 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_mask_gives_the_original_and_a_full_one_the_edit),
        cmocka_unit_test(without_feather_the_edge_is_sharp),
        cmocka_unit_test(the_edit_stays_inside_and_ends_four_feathers_outside),
        cmocka_unit_test(at_a_straight_edge_the_share_falls_as_erfc),
        cmocka_unit_test(a_mask_need_not_divide_the_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
