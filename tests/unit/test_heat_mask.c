#include "test.h"

#include "pm/data/heat_mask.h"

#include <math.h>
#include <string.h>

/* Variances within both parts, of values and not of a histogram. */
static double within(const float *heat, size_t n, float threshold)
{
    double sum[2] = {0}, squares[2] = {0}, count[2] = {0}, out = 0.0;
    for (size_t i = 0; i < n; i++) {
        int above = heat[i] >= threshold;
        count[above] += 1.0;
        sum[above] += (double)heat[i];
        squares[above] += (double)heat[i] * (double)heat[i];
    }
    for (int k = 0; k < 2; k++)
        if (count[k] > 0.0) out += squares[k] - sum[k] * sum[k] / count[k];
    return out;
}

static void no_threshold_parts_better_than_otsus(void **state)
{
    (void)state;
    enum { N = 500 };
    float heat[N];
    for (unsigned seed = 1; seed <= 4; seed++) {
        fill_random(heat, N, seed);
        for (size_t i = 0; i < N; i++) {
            float spread = 0.15f * heat[i];
            heat[i] = (i % 7 < seed ? 0.75f : 0.3f) + spread;
            heat[i] = floorf(heat[i] * 256.0f) / 256.0f; /* levels, so that none falls together */
        }
        float threshold = pm_heat_otsu(heat, N);
        double found = within(heat, N, threshold);
        for (int level = 0; level <= 256; level++)
            assert_true(found <= within(heat, N, (float)level / 256.0f) + 1e-9);
        assert_true(threshold > 0.44f && threshold < 0.62f);
    }
}

static void an_even_map_has_the_threshold_0(void **state)
{
    (void)state;
    const float even[4] = {0.5f, 0.5f, 0.5f, 0.5f}, edges[4] = {0.0f, 0.0f, 1.0f, NAN};
    assert_true(pm_heat_otsu(even, 4) == 0.0f);
    float threshold = pm_heat_otsu(edges, 4);
    assert_true(threshold > 0.0f && threshold < 1.0f);
}

static void words_may_overlap_or_compete(void **state)
{
    (void)state;
    const float heat[2 * 5] = {0.9f, 0.6f, 0.3f, 0.5f, NAN,   /* of the first word */
                               0.8f, 0.7f, 0.1f, 0.2f, 0.3f}; /* of the second */
    const float thresholds[2] = {0.5f, 0.2f};
    const uint8_t overlapping[10] = {1, 1, 0, 0, 0, 1, 1, 0, 0, 1};
    const uint8_t competing[10] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 1}, expected[5] = {1, 2, 0, 0, 2};
    uint8_t masks[10], index[5];
    memset(masks, 9, sizeof masks);
    pm_heat_masks(masks, index, heat, 2, thresholds, 5, false);
    assert_memory_equal(masks, overlapping, 10);
    assert_memory_equal(index, expected, 5);
    pm_heat_masks(masks, index, heat, 2, thresholds, 5, true);
    assert_memory_equal(masks, competing, 10);
    assert_memory_equal(index, expected, 5);
}

static void equals_go_to_the_first_word(void **state)
{
    (void)state;
    const float heat[2] = {0.5f, 0.5f}, thresholds[2] = {0.1f, 0.1f};
    uint8_t masks[2], index[1];
    pm_heat_masks(masks, index, heat, 2, thresholds, 1, true);
    assert_int_equal(index[0], 1);
    assert_true(masks[0] == 1 && masks[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_threshold_parts_better_than_otsus),
        cmocka_unit_test(an_even_map_has_the_threshold_0),
        cmocka_unit_test(words_may_overlap_or_compete),
        cmocka_unit_test(equals_go_to_the_first_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
