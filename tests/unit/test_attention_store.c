#include "test.h"

#include "pm/control/attention_store.h"

#include <string.h>

enum { PROMPTS = 3, HEADS = 2, HEIGHT = 3, WIDTH = 5, TOKENS = 7 };
enum { MAP = HEIGHT * WIDTH * TOKENS, LAYER = PROMPTS * HEADS * MAP };

static struct pm_attention_site site_of(enum pm_unet_place place, bool is_cross, size_t height,
                                        size_t width)
{
    return (struct pm_attention_site){.place = place,
                                      .is_cross = is_cross,
                                      .heads = HEADS,
                                      .height = height,
                                      .width = width,
                                      .latent_height = 4 * HEIGHT,
                                      .latent_width = 4 * WIDTH,
                                      .samples = PROMPTS,
                                      .queries = height * width,
                                      .keys = is_cross ? TOKENS : height * width};
}

static void assert_size(const struct pm_attention_site *sites, size_t count, size_t height,
                        size_t width)
{
    size_t h = 99, w = 99;
    pm_attention_store_size(&h, &w, sites, count);
    assert_true(h == height && w == width);
}

static void the_map_is_the_one_nearest_to_a_quarter_of_the_side(void **state)
{
    (void)state;
    struct pm_attention_site sites[] = {
        site_of(PM_DOWN, true, 4 * HEIGHT, 4 * WIDTH),
        site_of(PM_DOWN, true, 2 * HEIGHT, 2 * WIDTH), site_of(PM_DOWN, false, HEIGHT, WIDTH),
        site_of(PM_MID, true, HEIGHT, WIDTH), site_of(PM_UP, true, HEIGHT, WIDTH)};
    assert_size(sites, 5, HEIGHT, WIDTH);
    assert_size(sites, 4, 2 * HEIGHT, 2 * WIDTH); /* neither the middle nor self-attention */
    assert_size(sites, 1, 4 * HEIGHT, 4 * WIDTH);
    assert_size(sites + 2, 2, 0, 0);
    assert_size(sites, 0, 0, 0);
}

/* Three levels of which only the second attends, as models/scenes has it. */
static void a_network_without_that_size_gives_half_the_side(void **state)
{
    (void)state;
    struct pm_attention_site sites[] = {site_of(PM_DOWN, true, 2 * HEIGHT, 2 * WIDTH),
                                        site_of(PM_MID, true, HEIGHT, WIDTH),
                                        site_of(PM_UP, true, 2 * HEIGHT, 2 * WIDTH)};
    assert_size(sites, 3, 2 * HEIGHT, 2 * WIDTH);
}

static void only_cross_layers_of_that_size_are_wanted(void **state)
{
    (void)state;
    struct pm_arena arena;
    pm_arena_init(&arena, 1 << 20);
    struct pm_attention_store store =
        pm_attention_store_make(PROMPTS, HEIGHT, WIDTH, TOKENS, &arena);
    struct pm_attention_site site = site_of(PM_UP, true, HEIGHT, WIDTH);
    assert_true(pm_attention_store_wants(&store, &site));
    site.place = PM_MID;
    assert_false(pm_attention_store_wants(&store, &site));
    site = site_of(PM_DOWN, false, HEIGHT, WIDTH);
    assert_false(pm_attention_store_wants(&store, &site));
    site = site_of(PM_DOWN, true, HEIGHT, WIDTH + 1);
    assert_false(pm_attention_store_wants(&store, &site));
    site = site_of(PM_DOWN, true, HEIGHT + 1, WIDTH);
    assert_false(pm_attention_store_wants(&store, &site));
    pm_arena_free(&arena);
}

static void the_sum_is_over_layers_and_heads(void **state)
{
    (void)state;
    enum { LAYERS = 4 };
    static float probs[LAYERS * LAYER];
    struct pm_arena arena;
    pm_arena_init(&arena, 1 << 20);
    memset(arena.base, 0xFF, 1 << 16); /* NaN, where the sums will be */
    struct pm_attention_store store =
        pm_attention_store_make(PROMPTS, HEIGHT, WIDTH, TOKENS, &arena);
    struct pm_attention_site site = site_of(PM_DOWN, true, HEIGHT, WIDTH);
    fill_random(probs, LAYERS * LAYER, 1);
    for (size_t l = 0; l < LAYERS; l++) pm_attention_store_add(&store, &site, probs + l * LAYER);
    for (size_t p = 0; p < PROMPTS; p++) {
        for (size_t i = 0; i < MAP; i++) {
            double sum = 0.0;
            for (size_t l = 0; l < LAYERS; l++)
                for (size_t h = 0; h < HEADS; h++)
                    sum += probs[l * LAYER + (p * HEADS + h) * MAP + i];
            float expected = (float)sum;
            assert_true(max_difference(&store.sums[p * MAP + i], &expected, 1) < 1e-5);
        }
    }
    pm_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_is_the_one_nearest_to_a_quarter_of_the_side),
        cmocka_unit_test(a_network_without_that_size_gives_half_the_side),
        cmocka_unit_test(only_cross_layers_of_that_size_are_wanted),
        cmocka_unit_test(the_sum_is_over_layers_and_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
