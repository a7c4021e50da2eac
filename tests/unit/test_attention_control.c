#include "scenes_tokenizer.h"
#include "test.h"

#include "pm/control/attention_control.h"

#include <string.h>

enum { TARGETS = 2, PROMPTS = TARGETS + 1, HEADS = 3, HEIGHT = 3, WIDTH = 5, CHANNELS = 2 };
enum { LATENT_HEIGHT = 4 * HEIGHT, LATENT_WIDTH = 4 * WIDTH, PIXELS = HEIGHT * WIDTH };
enum { CROSS = HEADS * PIXELS * PM_TOKENS, SELF = HEADS * PIXELS * PIXELS };
enum { LATENT = LATENT_HEIGHT * LATENT_WIDTH * CHANNELS };

static const char source_prompt[] = "a red ball on a meadow",
                  target_prompt[] = "a red cube on a meadow";

/** A control over two targets whose windows and blends a test sets before it starts. */
struct controlled {
    struct pm_arena arena;
    struct pm_tokens source, target;
    struct pm_token_map maps[TARGETS];
    struct pm_target_control targets[TARGETS];
    struct pm_attention_site cross, self, coarse_cross; /* coarse_cross is not stored */
    struct pm_attention_capture capture;
    struct pm_attention_control control;
    struct pm_attention_hook hook;
};

static struct pm_attention_site site_of(enum pm_unet_place place, bool is_cross)
{
    return (struct pm_attention_site){.place = place,
                                      .layer = place == PM_DOWN,
                                      .is_cross = is_cross,
                                      .heads = HEADS,
                                      .height = HEIGHT,
                                      .width = WIDTH,
                                      .latent_height = LATENT_HEIGHT,
                                      .latent_width = LATENT_WIDTH,
                                      .samples = PROMPTS,
                                      .queries = PIXELS,
                                      .keys = is_cross ? PM_TOKENS : PIXELS};
}

/* Target i replaces "ball" in the steps from begin to end of 10. */
static void set_map(struct controlled *c, size_t i, double begin, double end)
{
    struct pm_error err = {0};
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REPLACE);
    pm_token_map_spec_window(&spec, 9, begin, end);
    assert_ok(pm_token_map_init(&c->maps[i], &spec, source_prompt, &c->source, target_prompt,
                                &c->target, &err),
              err);
    c->targets[i].map = &c->maps[i];
}

static void set_up(struct controlled *c)
{
    struct pm_error err = {0};
    *c = (struct controlled){.cross = site_of(PM_DOWN, true),
                             .self = site_of(PM_DOWN, false),
                             .coarse_cross = site_of(PM_MID, true)};
    pm_arena_init(&c->arena, 1 << 24);
    assert_ok(pm_tokenize(&c->source, tokenizer, source_prompt, &err), err);
    assert_ok(pm_tokenize(&c->target, tokenizer, target_prompt, &err), err);
    for (size_t i = 0; i < TARGETS; i++) set_map(c, i, 0.0, 0.0);
}

static const size_t step_numbers[] = {0, 1, 2, 4, 5, 6, 7, 8, 9}, layer_numbers[] = {1};

/* Cross-attention of layer 1, in all of 10 steps but step 3. */
static const struct pm_attention_capture_spec after = {.is_cross = true,
                                                       .height = HEIGHT,
                                                       .width = WIDTH,
                                                       .layers = layer_numbers,
                                                       .layer_count = 1,
                                                       .steps = step_numbers,
                                                       .step_count = 9,
                                                       .heads = HEADS};

static void start(struct controlled *c, bool captures)
{
    c->capture = pm_attention_capture_make(&after, PROMPTS, PM_TOKENS, &c->arena);
    c->control = pm_attention_control_make(c->targets, TARGETS, &c->cross, 1, CHANNELS, &c->capture,
                                           captures, &c->arena);
    c->hook = pm_attention_control_hook(&c->control);
}

static bool wants(struct controlled *c, size_t step, const struct pm_attention_site *site)
{
    c->hook.begin_step(c->hook.self, step);
    return c->hook.wants(c->hook.self, site);
}

static void an_idle_map_asks_for_no_cross_layer(void **state)
{
    (void)state;
    struct controlled c;
    set_up(&c);
    set_map(&c, 1, 0.2, 0.5);
    start(&c, false);
    for (size_t step = 0; step < 10; step++) {
        bool open = step >= 2 && step < 5;
        assert_int_equal(wants(&c, step, &c.cross), open);
        assert_int_equal(wants(&c, step, &c.coarse_cross), open);
    }
    pm_arena_free(&c.arena);
}

static void what_captures_and_blends_need_is_asked_for(void **state)
{
    (void)state;
    struct controlled c;
    struct pm_local_blend blend = {.start_step = 8};
    set_up(&c);
    start(&c, true);
    for (size_t step = 0; step < 10; step++) {
        assert_int_equal(wants(&c, step, &c.cross), step != 3);
        assert_false(wants(&c, step, &c.coarse_cross) || wants(&c, step, &c.self));
    }
    c.targets[1].blend = &blend; /* which looks at the maps of all steps before it starts */
    start(&c, false);
    assert_true(wants(&c, 3, &c.cross));
    assert_false(wants(&c, 3, &c.coarse_cross));
    pm_arena_free(&c.arena);
}

static void self_layers_are_wanted_within_the_window_and_the_limit(void **state)
{
    (void)state;
    struct controlled c;
    set_up(&c);
    c.targets[1].self_begin = 2;
    c.targets[1].self_end = 4;
    c.targets[1].self_max_pixels = PIXELS;
    start(&c, true);
    for (size_t step = 0; step < 6; step++)
        assert_int_equal(wants(&c, step, &c.self), step >= 2 && step < 4);
    c.self.queries = PIXELS + 1;
    assert_false(wants(&c, 2, &c.self));
    pm_arena_free(&c.arena);
}

static void self_attention_becomes_the_sources_where_its_window_is_open(void **state)
{
    (void)state;
    static float probs[PROMPTS * SELF], before[PROMPTS * SELF];
    struct controlled c;
    set_up(&c);
    for (size_t i = 0; i < TARGETS; i++)
        c.targets[i] = (struct pm_target_control){.map = &c.maps[i],
                                                  .self_begin = 3 * i,
                                                  .self_end = 3 * i + 3,
                                                  .self_max_pixels = PIXELS};
    start(&c, false);
    for (size_t step = 0; step < 7; step++) {
        fill_random(probs, PROMPTS * SELF, (unsigned)step);
        memcpy(before, probs, sizeof probs);
        assert_int_equal(wants(&c, step, &c.self), step < 6);
        c.hook.on_probs(c.hook.self, &c.self, probs);
        for (size_t p = 0; p < PROMPTS; p++) {
            bool copied = p > 0 && step / 3 == p - 1;
            assert_memory_equal(probs + p * SELF, before + (copied ? 0 : p * SELF),
                                SELF * sizeof *probs);
        }
    }
    pm_arena_free(&c.arena);
}

/* new[n] = sum over w of source[w] A[w, n] + target[n] d[n], in double precision. */
static double mapped(const float *source, const float *target, const float *a, const float *d,
                     size_t n)
{
    double sum = (double)target[n] * d[n];
    for (size_t w = 0; w < PM_TOKENS; w++) sum += (double)source[w] * a[w * PM_TOKENS + n];
    return sum;
}

static void cross_attention_becomes_its_map_of_the_sources(void **state)
{
    (void)state;
    static float probs[PROMPTS * CROSS], before[PROMPTS * CROSS];
    static float a[PM_TOKENS * PM_TOKENS], d[PM_TOKENS];
    struct controlled c;
    set_up(&c);
    set_map(&c, 0, 0.0, 0.5);
    set_map(&c, 1, 0.3, 0.8);
    start(&c, false);
    for (size_t step = 0; step < 10; step++) {
        fill_random(probs, PROMPTS * CROSS, (unsigned)step);
        memcpy(before, probs, sizeof probs);
        c.hook.begin_step(c.hook.self, step);
        c.hook.on_probs(c.hook.self, &c.coarse_cross, probs);
        assert_memory_equal(probs, before, CROSS * sizeof *probs); /* the source's stay */
        for (size_t i = 0; i < TARGETS; i++) {
            pm_token_map_at(a, d, &c.maps[i], step);
            const float *target = before + (i + 1) * CROSS, *now = probs + (i + 1) * CROSS;
            if (pm_token_map_is_idle(&c.maps[i], step))
                assert_memory_equal(now, target, CROSS * sizeof *now);
            for (size_t row = 0; row < CROSS; row += PM_TOKENS)
                for (size_t n = 0; n < PM_TOKENS; n++) {
                    float expected = (float)mapped(before + row, target + row, a, d, n);
                    assert_true(max_difference(&now[row + n], &expected, 1) < 1e-6);
                }
        }
    }
    pm_arena_free(&c.arena);
}

static void a_blends_maps_are_summed_after_the_edit(void **state)
{
    (void)state;
    static float probs[PROMPTS * CROSS], sums[PROMPTS * PIXELS * PM_TOKENS];
    struct controlled c;
    struct pm_local_blend blend = {.start_step = 8};
    set_up(&c);
    set_map(&c, 1, 0.0, 0.5);
    c.targets[0].blend = &blend;
    start(&c, false);
    memset(sums, 0, sizeof sums);
    for (size_t step = 0; step < 10; step++) {
        fill_random(probs, PROMPTS * CROSS, (unsigned)step);
        c.hook.begin_step(c.hook.self, step);
        c.hook.on_probs(c.hook.self, &c.cross, probs);
        for (size_t p = 0; p < PROMPTS; p++)
            for (size_t i = 0; i < CROSS; i++)
                sums[p * PIXELS * PM_TOKENS + i % (PIXELS * PM_TOKENS)] += probs[p * CROSS + i];
        c.hook.on_probs(c.hook.self, &c.coarse_cross, probs); /* is not summed */
    }
    assert_true(max_difference(c.control.store.sums, sums, PROMPTS * PIXELS * PM_TOKENS) < 1e-4);
    pm_arena_free(&c.arena);
}

static void captures_take_maps_before_or_after_the_edit(void **state)
{
    (void)state;
    enum { MAP = PIXELS * PM_TOKENS };
    static float probs[PROMPTS * CROSS], expected[2][PROMPTS * MAP];
    struct pm_attention_capture_spec specs[2] = {after, after};
    struct pm_attention_capture captures[2];
    struct controlled c;
    set_up(&c);
    set_map(&c, 1, 0.0, 1.0);
    specs[0].is_before = true;
    for (size_t i = 0; i < 2; i++)
        captures[i] = pm_attention_capture_make(&specs[i], PROMPTS, PM_TOKENS, &c.arena);
    c.control =
        pm_attention_control_make(c.targets, TARGETS, &c.cross, 1, CHANNELS, captures, 2, &c.arena);
    c.hook = pm_attention_control_hook(&c.control);
    for (size_t step = 0; step < 10; step++) {
        fill_random(probs, PROMPTS * CROSS, (unsigned)step);
        c.hook.begin_step(c.hook.self, step);
        for (size_t i = 0; i < 2; i++) {
            if (i == 1) c.hook.on_probs(c.hook.self, &c.cross, probs);
            for (size_t k = 0; step != 3 && k < PROMPTS * CROSS; k++)
                expected[i][k / CROSS * MAP + k % MAP] += probs[k];
        }
    }
    for (size_t i = 0; i < 2; i++)
        assert_true(max_difference(captures[i].sums, expected[i], PROMPTS * MAP) < 1e-4);
    assert_true(max_difference(captures[0].sums, captures[1].sums, 2 * MAP) < 1e-6);
    assert_true(max_difference(captures[0].sums, captures[1].sums, PROMPTS * MAP) > 0.1);
    pm_arena_free(&c.arena);
}

static void a_blend_starts_at_its_step_and_leaves_the_others(void **state)
{
    (void)state;
    struct pm_local_blend blend = {.threshold = 0.3f, .start_step = 2};
    float latents[PROMPTS * LATENT], before[PROMPTS * LATENT];
    struct controlled c;
    set_up(&c);
    blend.source.has[1] = blend.target.has[2] = true;
    c.targets[1].blend = &blend;
    start(&c, false);
    fill_random(latents, PROMPTS * LATENT, 1);
    memcpy(before, latents, sizeof latents);
    c.control.store.sums[1] = 1.0f; /* the source's token 1 in the first map pixel */
    c.hook.end_step(c.hook.self, 1, latents);
    assert_memory_equal(latents, before, sizeof latents);
    c.hook.end_step(c.hook.self, 2, latents);
    assert_memory_equal(latents, before, 2 * LATENT * sizeof *latents); /* source and target 0 */
    const uint8_t *mask = c.control.masks + LATENT_HEIGHT * LATENT_WIDTH;
    for (size_t y = 0; y < LATENT_HEIGHT; y++)
        for (size_t x = 0; x < LATENT_WIDTH; x++) {
            size_t pixel = y * LATENT_WIDTH + x, at = 2 * LATENT + pixel * CHANNELS;
            bool kept = y < 8 && x < 8; /* a map pixel and its neighbours, 4 latent pixels each */
            assert_int_equal(mask[pixel], kept);
            const float *from = kept ? before + at : before + pixel * CHANNELS;
            assert_true(max_difference(latents + at, from, CHANNELS) < 1e-6);
        }
    for (size_t i = 0; i < LATENT_HEIGHT * LATENT_WIDTH; i++)
        assert_int_equal(c.control.masks[i], 0);
    pm_arena_free(&c.arena);
}

static void no_step_takes_memory_for_good(void **state)
{
    (void)state;
    static float probs[PROMPTS * CROSS];
    float latents[PROMPTS * LATENT];
    struct pm_local_blend blend = {.threshold = 0.3f};
    struct controlled c;
    set_up(&c);
    set_map(&c, 0, 0.0, 1.0);
    c.targets[0].blend = &blend;
    start(&c, true);
    size_t used = c.arena.used;
    fill_random(probs, PROMPTS * CROSS, 1);
    fill_random(latents, PROMPTS * LATENT, 1);
    for (size_t step = 0; step < 3; step++) {
        c.hook.begin_step(c.hook.self, step);
        c.hook.on_probs(c.hook.self, &c.cross, probs);
        c.hook.end_step(c.hook.self, step, latents);
        assert_int_equal(c.arena.used, used);
    }
    pm_arena_free(&c.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_map_asks_for_no_cross_layer),
        cmocka_unit_test(what_captures_and_blends_need_is_asked_for),
        cmocka_unit_test(self_layers_are_wanted_within_the_window_and_the_limit),
        cmocka_unit_test(self_attention_becomes_the_sources_where_its_window_is_open),
        cmocka_unit_test(cross_attention_becomes_its_map_of_the_sources),
        cmocka_unit_test(a_blends_maps_are_summed_after_the_edit),
        cmocka_unit_test(captures_take_maps_before_or_after_the_edit),
        cmocka_unit_test(a_blend_starts_at_its_step_and_leaves_the_others),
        cmocka_unit_test(no_step_takes_memory_for_good),
    };
    return cmocka_run_group_tests(tests, load_tokenizer, free_tokenizer);
}
