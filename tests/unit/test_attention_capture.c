#include "test.h"

#include "pm/control/attention_capture.h"
#include "pm/control/attention_store.h"

#include <math.h>
#include <string.h>

enum { PROMPTS = 2, STEPS = 5, HEADS = 3, HEIGHT = 3, WIDTH = 5, PIXELS = HEIGHT * WIDTH };
enum { LAYERS = 2, TOKENS = 9, PROBS = PROMPTS * HEADS * PIXELS * PM_TOKENS };

/* begin, "a", "wür" + "fel", "ist", "r" + "o" + "t", end */
static const struct pm_tokens prompt = {.word = {-1, 0, 1, 1, 2, 3, 3, 3, -1}, .count = TOKENS};
static const struct pm_tokens short_prompt = {.word = {-1, 0, 0, -1}, .count = 4};

static const size_t layers[LAYERS] = {1, 6}, all_steps[STEPS] = {0, 1, 2, 3, 4},
                    some_steps[] = {1, 4};

static struct pm_arena arena;

static struct pm_attention_capture_spec mean_spec(void)
{
    return (struct pm_attention_capture_spec){.is_cross = true,
                                              .height = HEIGHT,
                                              .width = WIDTH,
                                              .layers = layers,
                                              .layer_count = LAYERS,
                                              .steps = all_steps,
                                              .step_count = STEPS,
                                              .heads = HEADS};
}

static struct pm_attention_site site_of(size_t layer, bool is_cross)
{
    return (struct pm_attention_site){.place = PM_DOWN,
                                      .layer = layer,
                                      .is_cross = is_cross,
                                      .heads = HEADS,
                                      .height = HEIGHT,
                                      .width = WIDTH,
                                      .latent_height = 4 * HEIGHT,
                                      .latent_width = 4 * WIDTH,
                                      .samples = PROMPTS,
                                      .queries = PIXELS,
                                      .keys = is_cross ? PM_TOKENS : PIXELS};
}

static unsigned seed_of(size_t step, size_t layer)
{
    return (unsigned)(step * 16 + layer);
}

/* Show all steps' layers 0 to 7 (the odd ones cross) to a capture, as a control does. */
static struct pm_attention_capture run(const struct pm_attention_capture_spec *spec)
{
    static float probs[PROBS];
    struct pm_attention_capture c = pm_attention_capture_make(spec, PROMPTS, TOKENS, &arena);
    for (size_t step = 0; step < STEPS; step++)
        for (size_t layer = 0; layer < 8; layer++) {
            struct pm_attention_site site = site_of(layer, spec->is_cross);
            if (!pm_attention_capture_wants(&c, &site, step)) continue;
            fill_random(probs, PROMPTS * HEADS * PIXELS * site.keys, seed_of(step, layer));
            pm_attention_capture_add(&c, &site, step, probs);
        }
    return c;
}

/* One number as it was shown. */
static float shown(size_t step, size_t layer, size_t p, size_t head, size_t pixel, size_t key,
                   size_t keys)
{
    static float probs[PROBS];
    static unsigned filled = ~0u;
    if (filled != seed_of(step, layer))
        fill_random(probs, PROMPTS * HEADS * PIXELS * keys, filled = seed_of(step, layer));
    return probs[((p * HEADS + head) * PIXELS + pixel) * keys + key];
}

static void only_listed_layers_and_steps_of_the_kind_are_wanted(void **state)
{
    (void)state;
    struct pm_attention_capture_spec spec = mean_spec();
    spec.steps = some_steps;
    spec.step_count = 2;
    struct pm_attention_capture c = pm_attention_capture_make(&spec, PROMPTS, TOKENS, &arena);
    for (size_t step = 0; step < STEPS; step++)
        for (size_t layer = 0; layer < 8; layer++)
            for (int is_cross = 0; is_cross < 2; is_cross++) {
                struct pm_attention_site site = site_of(layer, is_cross);
                bool wanted = is_cross && (layer == 1 || layer == 6) && (step == 1 || step == 4);
                assert_int_equal(pm_attention_capture_wants(&c, &site, step), wanted);
            }
}

static void the_mean_of_all_is_what_the_store_sums_to_the_last_bit(void **state)
{
    (void)state;
    static float probs[PROBS];
    struct pm_attention_capture_spec spec = mean_spec();
    struct pm_attention_capture c = run(&spec);
    struct pm_attention_store store =
        pm_attention_store_make(PROMPTS, HEIGHT, WIDTH, PM_TOKENS, &arena);
    for (size_t step = 0; step < STEPS; step++)
        for (size_t i = 0; i < LAYERS; i++) {
            struct pm_attention_site site = site_of(layers[i], true);
            fill_random(probs, PROBS, seed_of(step, layers[i]));
            pm_attention_store_add(&store, &site, probs);
        }
    for (size_t p = 0; p < PROMPTS; p++) {
        struct pm_attention_maps maps = pm_attention_capture_maps(&c, p, &prompt, &arena);
        const float *sums = store.sums + p * PIXELS * PM_TOKENS;
        assert_true(maps.rows == PIXELS && maps.columns == TOKENS);
        for (size_t i = 0; i < PIXELS * TOKENS; i++)
            assert_true(maps.values[i] == sums[i / TOKENS * PM_TOKENS + i % TOKENS] /
                                              (float)(STEPS * LAYERS * HEADS));
    }
}

static void kept_axes_go_step_layer_head(void **state)
{
    (void)state;
    struct pm_attention_capture_spec spec = mean_spec();
    spec.steps = some_steps;
    spec.step_count = 2;
    spec.keeps_steps = spec.keeps_layers = spec.keeps_heads = true;
    struct pm_attention_capture c = run(&spec);
    struct pm_attention_maps maps = pm_attention_capture_maps(&c, 1, &short_prompt, &arena);
    assert_true(maps.rows == 2 * LAYERS * HEADS * PIXELS && maps.columns == 4);
    for (size_t row = 0; row < maps.rows; row++) {
        size_t pixel = row % PIXELS, head = row / PIXELS % HEADS,
               layer = row / PIXELS / HEADS % LAYERS, step = row / PIXELS / HEADS / LAYERS;
        for (size_t t = 0; t < 4; t++)
            assert_true(maps.values[row * 4 + t] ==
                        shown(some_steps[step], layers[layer], 1, head, pixel, t, PM_TOKENS));
    }
}

/* The mean over what one capture keeps and the other does not. */
static void every_choice_of_axes_averages_to_the_mean(void **state)
{
    (void)state;
    struct pm_attention_capture_spec spec = mean_spec();
    struct pm_attention_capture mean_capture = run(&spec);
    struct pm_attention_maps mean = pm_attention_capture_maps(&mean_capture, 1, &prompt, &arena);
    for (int axes = 1; axes < 8; axes++) {
        spec.keeps_steps = axes & 1;
        spec.keeps_layers = axes & 2;
        spec.keeps_heads = axes & 4;
        struct pm_attention_capture c = run(&spec);
        struct pm_attention_maps maps = pm_attention_capture_maps(&c, 1, &prompt, &arena);
        size_t n = mean.rows * mean.columns, groups = maps.rows / mean.rows;
        assert_int_equal(groups,
                         (axes & 1 ? STEPS : 1) * (axes & 2 ? LAYERS : 1) * (axes & 4 ? HEADS : 1));
        for (size_t i = 0; i < n; i++) {
            double sum = 0.0;
            for (size_t g = 0; g < groups; g++) sum += (double)maps.values[g * n + i];
            assert_true(fabs(sum / (double)groups - (double)mean.values[i]) < 1e-6);
        }
    }
}

static void a_words_map_is_the_mean_of_its_tokens(void **state)
{
    (void)state;
    static const size_t first[] = {1, 2, 4, 5}, count[] = {1, 2, 1, 3};
    struct pm_attention_capture_spec spec = mean_spec(), words_spec = mean_spec();
    words_spec.of_words = true;
    struct pm_attention_capture c = run(&spec), words_capture = run(&words_spec);
    struct pm_attention_maps tokens = pm_attention_capture_maps(&c, 0, &prompt, &arena);
    struct pm_attention_maps words = pm_attention_capture_maps(&words_capture, 0, &prompt, &arena);
    assert_true(words.rows == PIXELS && words.columns == 4);
    for (size_t row = 0; row < PIXELS; row++)
        for (size_t w = 0; w < 4; w++) {
            double sum = 0.0;
            for (size_t t = first[w]; t < first[w] + count[w]; t++)
                sum += (double)tokens.values[row * TOKENS + t];
            assert_true(fabs(sum / (double)count[w] - (double)words.values[row * 4 + w]) < 1e-6);
        }
    words = pm_attention_capture_maps(&words_capture, 0, &short_prompt, &arena);
    assert_int_equal(words.columns, 1);
}

static void self_attention_keeps_every_pair_of_pixels(void **state)
{
    (void)state;
    struct pm_attention_capture_spec spec = mean_spec();
    spec.is_cross = false;
    spec.keeps_heads = spec.keeps_layers = true;
    spec.steps = some_steps;
    spec.step_count = 1;
    struct pm_attention_capture c = run(&spec);
    struct pm_attention_maps maps = pm_attention_capture_maps(&c, 1, &prompt, &arena);
    assert_true(maps.rows == LAYERS * HEADS * PIXELS && maps.columns == PIXELS);
    for (size_t i = 0; i < maps.rows * PIXELS; i++)
        assert_true(maps.values[i] == shown(1, layers[i / PIXELS / PIXELS / HEADS], 1,
                                            i / PIXELS / PIXELS % HEADS, i / PIXELS % PIXELS,
                                            i % PIXELS, PIXELS));
}

static int make_arena(void **state)
{
    (void)state;
    pm_arena_init(&arena, (size_t)1 << 28);
    memset(arena.base, 0xFF, (size_t)1 << 22);
    return 0;
}

static int free_arena(void **state)
{
    (void)state;
    pm_arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_listed_layers_and_steps_of_the_kind_are_wanted),
        cmocka_unit_test(the_mean_of_all_is_what_the_store_sums_to_the_last_bit),
        cmocka_unit_test(kept_axes_go_step_layer_head),
        cmocka_unit_test(every_choice_of_axes_averages_to_the_mean),
        cmocka_unit_test(a_words_map_is_the_mean_of_its_tokens),
        cmocka_unit_test(self_attention_keeps_every_pair_of_pixels),
    };
    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
