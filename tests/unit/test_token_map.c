#include "scenes_tokenizer.h"
#include "test.h"

#include "pm/control/token_map.h"

#include <math.h>
#include <string.h>

enum { STEPS = 50 };

static struct pm_tokens tokenize(const char *prompt)
{
    struct pm_error err = {0};
    struct pm_tokens tokens;
    assert_ok(pm_tokenize(&tokens, tokenizer, prompt, &err), err);
    return tokens;
}

static struct pm_token_map make_map(const struct pm_token_map_spec *spec, const char *source,
                                    const char *target)
{
    struct pm_error err = {0};
    struct pm_tokens source_tokens = tokenize(source), target_tokens = tokenize(target);
    struct pm_token_map map;
    memset(&map, 0xFF, sizeof map);
    assert_ok(pm_token_map_init(&map, spec, source, &source_tokens, target, &target_tokens, &err),
              err);
    return map;
}

/* A and d at a step. */
struct at {
    float a[PM_TOKENS][PM_TOKENS], d[PM_TOKENS];
};

static struct at map_at(const struct pm_token_map *map, size_t step)
{
    struct at at;
    fill_nan(&at.a[0][0], PM_TOKENS * PM_TOKENS);
    fill_nan(at.d, PM_TOKENS);
    pm_token_map_at(&at.a[0][0], at.d, map, step);
    return at;
}

static void assert_idle(const struct pm_token_map *map, size_t step)
{
    struct at at = map_at(map, step);
    assert_true(pm_token_map_is_idle(map, step));
    for (size_t n = 0; n < PM_TOKENS; n++) {
        assert_true(at.d[n] == 1.0f);
        for (size_t w = 0; w < PM_TOKENS; w++) assert_true(at.a[w][n] == 0.0f);
    }
}

static void equal_prompts_give_the_sources_attention(void **state)
{
    (void)state;
    const enum pm_edit edits[] = {PM_EDIT_REPLACE, PM_EDIT_REFINE, PM_EDIT_REWEIGHT};
    for (size_t i = 0; i < 3; i++) {
        struct pm_token_map_spec spec = pm_token_map_spec_default(edits[i]);
        struct pm_token_map map = make_map(&spec, "a red star", "a red star");
        struct at at = map_at(&map, 1000);
        for (size_t n = 0; n < PM_TOKENS; n++) {
            assert_true(at.d[n] == 0.0f);
            for (size_t w = 0; w < PM_TOKENS; w++) assert_true(at.a[w][n] == (w == n));
        }
    }
}

static void a_replaced_words_attention_is_shared_out(void **state)
{
    (void)state;
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REPLACE);
    /* ball is one token, star three: s t ar */
    struct pm_token_map map = make_map(&spec, "a ball on a road", "a star on a road");
    struct at at = map_at(&map, 0);
    for (size_t n = 2; n < 5; n++) assert_true(at.a[2][n] == 1.0f / 3.0f);
    assert_true(at.a[3][5] == 1.0f);
    for (size_t w = 0; w < 74; w++) {
        float sum = 0.0f;
        for (size_t n = 0; n < PM_TOKENS; n++) sum += at.a[w][n];
        assert_float_equal(sum, 1.0f, 1e-6f);
    }

    spec.mapper = PM_MAPPER_REFERENCE;
    map = make_map(&spec, "a ball on a road", "a star on a road");
    at = map_at(&map, 0);
    assert_true(at.a[3][5] == 0.0f && at.a[5][5] == 1.0f);
}

static void replace_wants_as_many_words(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_token_map map;
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REPLACE);
    struct pm_tokens source = tokenize("a ball"), target = tokenize("a red ball");
    assert_fails(pm_token_map_init(&map, &spec, "a ball", &source, "a red ball", &target, &err),
                 err, "the source prompt has 2 words and the target prompt 3; use \"refine\"");
}

static void a_new_word_keeps_the_targets_attention(void **state)
{
    (void)state;
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REFINE);
    struct pm_token_map map = make_map(&spec, "a ball", "a red ball");
    struct at at = map_at(&map, 0);
    assert_true(at.d[2] == 1.0f && at.d[3] == 0.0f);
    assert_true(at.a[2][3] == 1.0f && at.a[2][2] == 0.0f);
}

static void the_equalizer_scales_both_parts(void **state)
{
    (void)state;
    struct pm_error err = {0};
    const char *prompt = "a red ball";
    struct pm_tokens target = tokenize(prompt);
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REFINE);
    assert_ok(pm_token_map_spec_equalize(&spec, prompt, &target, "red", -2.0f, &err), err);
    assert_ok(pm_token_map_spec_equalize(&spec, prompt, &target, "ball", 3.0f, &err), err);
    struct pm_token_map map = make_map(&spec, "a ball", prompt);
    struct at at = map_at(&map, 0);
    assert_true(at.d[2] == -2.0f && at.a[2][3] == 3.0f && at.d[3] == 0.0f);
    assert_true(at.a[1][1] == 1.0f);
}

static void equalizers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_tokens target = tokenize("a ball");
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REWEIGHT);
    assert_fails(pm_token_map_spec_equalize(&spec, "a ball", &target, "ball", NAN, &err), err,
                 "the equalizer of \"ball\" is not a finite number");
    assert_fails(pm_token_map_spec_equalize(&spec, "a ball", &target, "bell", 2.0f, &err), err,
                 "did you mean \"ball\"?");
}

static void windows_close_at_the_references_steps(void **state)
{
    (void)state;
    const struct {
        double end;
        size_t step;
    } bounds[] = {{0.0, 0}, {0.2, 10}, {0.4, 20}, {0.8, 40}, {1.0, 51}};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REPLACE);
        pm_token_map_spec_window(&spec, STEPS, 0.0, bounds[i].end);
        struct pm_token_map map = make_map(&spec, "a red ball", "a red cube");
        for (size_t step = 0; step < bounds[i].step; step++)
            assert_false(pm_token_map_is_idle(&map, step));
        assert_idle(&map, bounds[i].step);
    }
}

static void a_word_has_its_own_window(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_tokens target = tokenize("a red cube");
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REPLACE);
    pm_token_map_spec_window(&spec, STEPS, 0.0, 0.8);
    assert_ok(
        pm_token_map_spec_word_window(&spec, STEPS, 0.1, 0.4, "a red cube", &target, "cube", &err),
        err);
    struct pm_token_map map = make_map(&spec, "a red ball", "a red cube");
    for (size_t step = 0; step <= STEPS; step++) {
        struct at at = map_at(&map, step);
        float cube = step >= 5 && step < 20 ? 1.0f : 0.0f, others = step < 40 ? 1.0f : 0.0f;
        assert_true(at.a[3][3] == cube && at.d[3] == 1.0f - cube);
        assert_true(at.a[2][2] == others && at.d[2] == 1.0f - others);
    }
    assert_fails(
        pm_token_map_spec_word_window(&spec, STEPS, 0.1, 0.4, "a red cube", &target, "ball", &err),
        err, "\"ball\"");
}

static void the_map_changes_with_its_phase_alone(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_tokens target = tokenize("a red star");
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REPLACE);
    pm_token_map_spec_window(&spec, STEPS, 0.2, 0.8);
    assert_ok(
        pm_token_map_spec_word_window(&spec, STEPS, 0.0, 0.4, "a red star", &target, "star", &err),
        err);
    assert_ok(
        pm_token_map_spec_word_window(&spec, STEPS, 0.4, 0.4, "a red star", &target, "red", &err),
        err);
    struct pm_token_map map = make_map(&spec, "a red ball", "a red star");
    for (size_t step = 0; step + 1 < STEPS; step++) {
        struct at now = map_at(&map, step), next = map_at(&map, step + 1);
        bool same = memcmp(&now, &next, sizeof now) == 0;
        size_t phase = pm_token_map_phase(&map, step);
        assert_int_equal(pm_token_map_phase(&map, step + 1), same ? phase : phase + 1);
    }
    assert_int_equal(pm_token_map_phase(&map, 0), 0);
    assert_int_equal(pm_token_map_phase(&map, STEPS), 3);
}

static void a_map_without_a_window_is_idle(void **state)
{
    (void)state;
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REWEIGHT);
    pm_token_map_spec_window(&spec, STEPS, 0.6, 0.3);
    struct pm_token_map map = make_map(&spec, "a ball", "a ball");
    for (size_t step = 0; step <= STEPS; step++) assert_idle(&map, step);
    assert_int_equal(pm_token_map_phase(&map, STEPS), 0);
}

static void an_edit_of_new_words_alone_is_idle(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_tokens target = tokenize("a red ball");
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REFINE);
    pm_token_map_spec_window(&spec, STEPS, 0.0, 0.0);
    assert_ok(
        pm_token_map_spec_word_window(&spec, STEPS, 0.0, 1.0, "a red ball", &target, "red", &err),
        err);
    struct pm_token_map map = make_map(&spec, "a ball", "a red ball");
    assert_idle(&map, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_prompts_give_the_sources_attention),
        cmocka_unit_test(a_replaced_words_attention_is_shared_out),
        cmocka_unit_test(replace_wants_as_many_words),
        cmocka_unit_test(a_new_word_keeps_the_targets_attention),
        cmocka_unit_test(the_equalizer_scales_both_parts),
        cmocka_unit_test(equalizers_that_cannot_be_are_refused),
        cmocka_unit_test(windows_close_at_the_references_steps),
        cmocka_unit_test(a_word_has_its_own_window),
        cmocka_unit_test(the_map_changes_with_its_phase_alone),
        cmocka_unit_test(a_map_without_a_window_is_idle),
        cmocka_unit_test(an_edit_of_new_words_alone_is_idle),
    };
    return cmocka_run_group_tests(tests, load_tokenizer, free_tokenizer);
}
