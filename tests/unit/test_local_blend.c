#include "test.h"

#include "pm/control/local_blend.h"

#include <math.h>
#include <string.h>

enum { PROMPTS = 3, HEIGHT = 3, WIDTH = 5, TOKENS = 7, MAP = HEIGHT * WIDTH };
enum { LATENT_HEIGHT = 11, LATENT_WIDTH = 20, LATENT = LATENT_HEIGHT * LATENT_WIDTH };

static struct pm_arena arena;

static int make_arena(void **state)
{
    (void)state;
    pm_arena_init(&arena, 1 << 20);
    return 0;
}

static int free_arena(void **state)
{
    (void)state;
    pm_arena_free(&arena);
    return 0;
}

static struct pm_attention_store empty_store(void)
{
    arena.used = 0;
    return pm_attention_store_make(PROMPTS, HEIGHT, WIDTH, TOKENS, &arena);
}

static float *sum_at(struct pm_attention_store *store, size_t prompt, size_t y, size_t x,
                     size_t token)
{
    return &store->sums[((prompt * HEIGHT + y) * WIDTH + x) * TOKENS + token];
}

static struct pm_token_set set_of(size_t token)
{
    struct pm_token_set set = {.count = 1};
    set.has[token] = true;
    return set;
}

static void make_mask(uint8_t *mask, const struct pm_local_blend *blend,
                      const struct pm_attention_store *store, size_t target, float *scores)
{
    size_t used = arena.used;
    memset(mask, 0xFF, LATENT);
    pm_local_blend_mask(mask, blend, store, target, LATENT_HEIGHT, LATENT_WIDTH, scores, &arena);
    assert_int_equal(arena.used, used);
}

/* The definition, in double precision: sum, pool, enlarge, divide by the largest. */
static void plain_score(double *out, const struct pm_attention_store *store, size_t prompt,
                        const struct pm_token_set *set, bool pools)
{
    double map[MAP], pooled[MAP], max = 0.0;
    for (size_t i = 0; i < MAP; i++) {
        map[i] = 0.0;
        for (size_t t = 0; t < TOKENS; t++)
            map[i] += set->has[t] ? store->sums[(prompt * MAP + i) * TOKENS + t] : 0.0f;
    }
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            double *most = &pooled[y * WIDTH + x];
            *most = map[y * WIDTH + x];
            for (int j = y - 1; pools && j <= y + 1; j++)
                for (int i = x - 1; i <= x + 1; i++)
                    if (j >= 0 && j < HEIGHT && i >= 0 && i < WIDTH)
                        *most = fmax(*most, map[j * WIDTH + i]);
            max = fmax(max, *most);
        }
    for (size_t y = 0; y < LATENT_HEIGHT; y++)
        for (size_t x = 0; x < LATENT_WIDTH; x++)
            out[y * LATENT_WIDTH + x] =
                pooled[y * HEIGHT / LATENT_HEIGHT * WIDTH + x * WIDTH / LATENT_WIDTH] / max;
}

static void the_mask_is_the_definitions(void **state)
{
    (void)state;
    struct pm_attention_store store = empty_store();
    fill_random(store.sums, PROMPTS * MAP * TOKENS, 3);
    for (size_t i = 0; i < PROMPTS * MAP * TOKENS; i++) {
        float x = fabsf(store.sums[i]);
        store.sums[i] = x * x * x * x; /* so that some pixels are far below the largest */
    }
    struct pm_local_blend blend = {.source = set_of(2),
                                   .target = set_of(4),
                                   .subtracts = true,
                                   .subtract_source = set_of(1),
                                   .subtract_target = set_of(6),
                                   .threshold = 0.875f,
                                   .subtract_threshold = 0.5f};
    blend.target.has[5] = true; /* a word of two tokens */
    for (size_t target = 1; target < PROMPTS; target++)
        for (int subtracts = 0; subtracts < 2; subtracts++) {
            uint8_t mask[LATENT];
            float scores[2 * LATENT];
            double s[LATENT], t[LATENT], away_s[LATENT], away_t[LATENT];
            blend.subtracts = subtracts;
            fill_nan(scores, 2 * LATENT);
            make_mask(mask, &blend, &store, target, scores);
            plain_score(s, &store, 0, &blend.source, true);
            plain_score(t, &store, target, &blend.target, true);
            plain_score(away_s, &store, 0, &blend.subtract_source, false);
            plain_score(away_t, &store, target, &blend.subtract_target, false);
            size_t kept = 0;
            for (size_t i = 0; i < LATENT; i++) {
                bool expected = (s[i] > 0.875 || t[i] > 0.875) &&
                                !(subtracts && (away_s[i] > 0.5 || away_t[i] > 0.5));
                assert_int_equal(mask[i], expected);
                assert_true(fabs((double)scores[i] - s[i]) < 1e-6);
                assert_true(fabs((double)scores[LATENT + i] - t[i]) < 1e-6);
                kept += expected;
            }
            assert_true(kept > 0 && kept < LATENT);
            uint8_t again[LATENT];
            make_mask(again, &blend, &store, target, NULL);
            assert_memory_equal(again, mask, LATENT);
        }
}

/* One bright map pixel grows by one in each direction, and not across the map's edge. */
static void a_pixel_is_pooled_with_its_neighbours(void **state)
{
    (void)state;
    struct pm_local_blend blend = {.source = set_of(0), .target = set_of(1), .threshold = 0.3f};
    for (size_t y0 = 0; y0 < HEIGHT; y0++)
        for (size_t x0 = 0; x0 < WIDTH; x0++) {
            struct pm_attention_store store = empty_store();
            uint8_t mask[LATENT];
            *sum_at(&store, 2, y0, x0, 1) = 0.01f;
            make_mask(mask, &blend, &store, 2, NULL);
            for (size_t y = 0; y < LATENT_HEIGHT; y++)
                for (size_t x = 0; x < LATENT_WIDTH; x++) {
                    size_t map_y = y * HEIGHT / LATENT_HEIGHT, map_x = x * WIDTH / LATENT_WIDTH;
                    bool near =
                        map_y + 1 >= y0 && map_y <= y0 + 1 && map_x + 1 >= x0 && map_x <= x0 + 1;
                    assert_int_equal(mask[y * LATENT_WIDTH + x], near);
                }
        }
}

static void the_sources_mask_is_added(void **state)
{
    (void)state;
    struct pm_local_blend blend = {.source = set_of(0), .target = set_of(1), .threshold = 0.3f};
    struct pm_attention_store store = empty_store();
    uint8_t mask[LATENT];
    *sum_at(&store, 0, 0, 0, 0) = 1.0f;
    *sum_at(&store, 1, 2, 4, 1) = 7.0f; /* normalised each by its own largest */
    make_mask(mask, &blend, &store, 1, NULL);
    assert_int_equal(mask[0], 1);
    assert_int_equal(mask[LATENT - 1], 1);
    assert_int_equal(mask[LATENT_WIDTH - 1], 0);
}

static void subtracted_words_are_taken_away_unpooled(void **state)
{
    (void)state;
    struct pm_local_blend blend = {.source = set_of(0),
                                   .target = set_of(1),
                                   .subtracts = true,
                                   .subtract_source = set_of(2),
                                   .subtract_target = set_of(3),
                                   .threshold = 0.3f,
                                   .subtract_threshold = 0.3f};
    struct pm_attention_store store = empty_store();
    uint8_t mask[LATENT];
    *sum_at(&store, 1, 1, 2, 1) = 1.0f;
    *sum_at(&store, 1, 1, 2, 3) = 1.0f;
    *sum_at(&store, 0, 0, 1, 2) = 1.0f;
    make_mask(mask, &blend, &store, 1, NULL);
    for (size_t y = 0; y < LATENT_HEIGHT; y++)
        for (size_t x = 0; x < LATENT_WIDTH; x++) {
            size_t map_y = y * HEIGHT / LATENT_HEIGHT, map_x = x * WIDTH / LATENT_WIDTH;
            bool near = map_x >= 1 && map_x <= 3;
            bool taken = (map_y == 1 && map_x == 2) || (map_y == 0 && map_x == 1);
            assert_int_equal(mask[y * LATENT_WIDTH + x], near && !taken);
        }
}

static void words_without_attention_give_an_empty_mask(void **state)
{
    (void)state;
    struct pm_local_blend blend = {.source = set_of(0), .target = set_of(1), .threshold = 0.0f};
    struct pm_attention_store store = empty_store();
    uint8_t mask[LATENT];
    make_mask(mask, &blend, &store, 1, NULL);
    for (size_t i = 0; i < LATENT; i++) assert_int_equal(mask[i], 0);

    blend.subtracts = true; /* and take nothing away */
    blend.subtract_source = blend.subtract_target = set_of(2);
    *sum_at(&store, 1, 1, 1, 1) = 1.0f;
    make_mask(mask, &blend, &store, 1, NULL);
    assert_int_equal(mask[0], 1);
}

static void blending_puts_the_source_back_outside_the_mask(void **state)
{
    (void)state;
    enum { CHANNELS = 3, N = LATENT * CHANNELS };
    float source[N], target[N], blended[N];
    uint8_t mask[LATENT];
    fill_random(source, N, 1);
    fill_random(target, N, 2);
    for (size_t i = 0; i < LATENT; i++) mask[i] = i % 3 == 1;
    memcpy(blended, target, sizeof target);
    pm_local_blend_apply(blended, source, mask, LATENT, CHANNELS);
    for (size_t i = 0; i < N; i++) {
        if (mask[i / CHANNELS]) /* the reference's formula: it rounds */
            assert_true(max_difference(&blended[i], &target[i], 1) < 1e-6);
        else
            assert_true(blended[i] == source[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mask_is_the_definitions),
        cmocka_unit_test(a_pixel_is_pooled_with_its_neighbours),
        cmocka_unit_test(the_sources_mask_is_added),
        cmocka_unit_test(subtracted_words_are_taken_away_unpooled),
        cmocka_unit_test(words_without_attention_give_an_empty_mask),
        cmocka_unit_test(blending_puts_the_source_back_outside_the_mask),
    };
    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
