#include "test.h"

#include "pm/data/heat_map.h"
#include "pm/data/word_heat.h"

#include <math.h>
#include <string.h>

enum { STEPS = 3, LAYERS = 2, HEADS = 4, HEIGHT = 3, WIDTH = 5, COLUMNS = 4 };
enum { MAP = HEIGHT * WIDTH * COLUMNS, ALL = STEPS * LAYERS * HEADS * MAP };

static struct pm_heat_maps kept_apart(const float *values)
{
    return (struct pm_heat_maps){values, STEPS,   LAYERS, HEADS,  HEIGHT,
                                 WIDTH,  COLUMNS, STEPS,  LAYERS, HEADS};
}

static void fill_positive(float *x, size_t n, unsigned seed)
{
    fill_random(x, n, seed);
    for (size_t i = 0; i < n; i++) x[i] = fabsf(x[i]);
}

static void at_their_own_size_the_heat_is_the_mean_of_all_maps(void **state)
{
    (void)state;
    float maps[ALL], heat[MAP], wanted[MAP] = {0}, sum[MAP];
    fill_positive(maps, ALL, 1);
    for (size_t i = 0; i < ALL; i++) {
        size_t pixel = i % MAP / COLUMNS, column = i % COLUMNS;
        wanted[column * HEIGHT * WIDTH + pixel] += maps[i] / (STEPS * LAYERS * HEADS);
    }
    struct pm_heat_maps m = kept_apart(maps);
    pm_word_heat_of_maps(heat, HEIGHT, WIDTH, &m, 1, PM_HEAT_MEAN_OF_STEPS);
    assert_true(max_difference(heat, wanted, MAP) < 1e-6);
    pm_word_heat_of_maps(sum, HEIGHT, WIDTH, &m, 1, PM_HEAT_SUM_OF_STEPS);
    for (size_t i = 0; i < MAP; i++) assert_true(fabsf(sum[i] - STEPS * heat[i]) < 1e-5f);
}

/* What cutting at 0 takes away differs, if a map is cut or a mean of maps; without it nothing does. */
static void means_kept_instead_of_all_maps_give_the_same(void **state)
{
    (void)state;
    float maps[ALL], mean[MAP] = {0}, small[2 * 2 * COLUMNS], a[MAP], b[MAP];
    fill_positive(maps, ALL, 2);
    fill_positive(small, 2 * 2 * COLUMNS, 3);
    for (size_t i = 0; i < ALL; i++) mean[i % MAP] += maps[i] / (STEPS * LAYERS * HEADS);
    struct pm_heat_maps other = {small, 1, 1, 1, 2, 2, COLUMNS, STEPS, 1, HEADS};
    struct pm_heat_maps apart[2] = {kept_apart(maps), other}, together[2] = {apart[0], other};
    together[0].values = mean;
    together[0].steps = together[0].layers = together[0].heads = 1;
    pm_word_heat_of_maps(a, HEIGHT, WIDTH, apart, 2, PM_HEAT_SUM_OF_STEPS);
    pm_word_heat_of_maps(b, HEIGHT, WIDTH, together, 2, PM_HEAT_SUM_OF_STEPS);
    assert_true(max_difference(a, b, MAP) < 1e-5);
}

static void each_map_is_cut_at_0_before_the_mean(void **state)
{
    (void)state;
    /* of one step two heads, each the other's mirror: enlarged, both go below 0 */
    const float maps[2 * 4] = {0, 1, 0, 1, 1, 0, 1, 0};
    float heat[2 * 8], one[8], wanted[8];
    struct pm_heat_maps m = {maps, 1, 1, 2, 1, 4, 1, 1, 1, 2};
    pm_word_heat_of_maps(heat, 1, 8, &m, 1, PM_HEAT_MEAN_OF_STEPS);
    pm_heat_map_resize(wanted, 1, 8, maps, 1, 4);
    pm_heat_map_resize(one, 1, 8, maps + 4, 1, 4);
    for (size_t i = 0; i < 8; i++) wanted[i] = (wanted[i] + one[i]) / 2.0f;
    assert_true(max_difference(heat, wanted, 8) < 1e-6);
    assert_true(heat[0] > 0.51f); /* uncut, every pixel would have a half */
}

static void a_broken_number_is_no_attention(void **state)
{
    (void)state;
    const float maps[4] = {NAN, 1, INFINITY, 1}, attention[4] = {NAN, 1, 1, 1};
    float heat[4], affinity[4];
    struct pm_heat_maps m = {maps, 1, 1, 1, 2, 2, 1, 1, 1, 1};
    pm_word_heat_of_maps(heat, 2, 2, &m, 1, PM_HEAT_MEAN_OF_STEPS);
    assert_true(max_difference(heat, (const float[]){0, 1, 0, 1}, 4) == 0.0);
    pm_word_heat_affinity(affinity, attention, 1, 2);
    assert_true(max_difference(affinity, (const float[]){0, 1, 0.5f, 0.5f}, 4) == 0.0);
}

static void shares_of_the_tokens_between_sum_to_1(void **state)
{
    (void)state;
    float heat[COLUMNS * 7], before[COLUMNS * 7];
    fill_positive(heat, COLUMNS * 7, 4);
    for (size_t i = 0; i < COLUMNS * 7; i++) before[i] = heat[i];
    pm_word_heat_share(heat, COLUMNS, 7, 1, COLUMNS - 1);
    for (size_t p = 0; p < 7; p++) {
        assert_true(fabsf(heat[7 + p] + heat[14 + p] - 1.0f) < 1e-4f);
        assert_true(fabsf(heat[p] / heat[7 + p] - before[p] / before[7 + p]) < 1e-3f);
    }
}

static void propagation_is_a_product_with_a_power(void **state)
{
    (void)state;
    enum { PIXELS = 6, WORDS = 2, TIMES = 3, MAPS = 2 };
    float maps[MAPS * PIXELS * PIXELS], affinity[PIXELS * PIXELS], heat[WORDS * PIXELS];
    double power[PIXELS][PIXELS] = {0}, next[PIXELS][PIXELS];
    float wanted[WORDS * PIXELS];
    fill_positive(maps, MAPS * PIXELS * PIXELS, 5);
    fill_positive(heat, WORDS * PIXELS, 6);
    pm_word_heat_affinity(affinity, maps, MAPS, PIXELS);
    for (size_t i = 0; i < PIXELS; i++) {
        double row = 0.0;
        for (size_t k = 0; k < PIXELS; k++) row += (double)affinity[i * PIXELS + k];
        assert_true(fabs(row - 1.0) < 1e-6);
        power[i][i] = 1.0;
    }
    for (size_t t = 0; t < TIMES; t++) {
        for (size_t i = 0; i < PIXELS; i++)
            for (size_t j = 0; j < PIXELS; j++) {
                next[i][j] = 0.0;
                for (size_t k = 0; k < PIXELS; k++)
                    next[i][j] += (double)affinity[i * PIXELS + k] * power[k][j];
            }
        memcpy(power, next, sizeof power);
    }
    for (size_t w = 0; w < WORDS; w++)
        for (size_t i = 0; i < PIXELS; i++) {
            double sum = 0.0;
            for (size_t k = 0; k < PIXELS; k++) sum += power[i][k] * (double)heat[w * PIXELS + k];
            wanted[w * PIXELS + i] = (float)sum;
        }
    pm_word_heat_propagate(heat, WORDS, affinity, PIXELS, TIMES);
    assert_true(max_difference(heat, wanted, WORDS * PIXELS) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_their_own_size_the_heat_is_the_mean_of_all_maps),
        cmocka_unit_test(means_kept_instead_of_all_maps_give_the_same),
        cmocka_unit_test(each_map_is_cut_at_0_before_the_mean),
        cmocka_unit_test(a_broken_number_is_no_attention),
        cmocka_unit_test(shares_of_the_tokens_between_sum_to_1),
        cmocka_unit_test(propagation_is_a_product_with_a_power),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
