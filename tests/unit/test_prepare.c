#include "scenes_tokenizer.h"
#include "test.h"

#include "pm/edit/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pm_schedule fifty_steps = {.sampler = PM_DDIM, .steps = 50, .evaluations = 50};

/** A recipe of one source and the targets whose JSON is given, made ready for 50 steps. */
struct ready {
    struct pm_recipe recipe;
    struct pm_prepared prepared;
};

static void prepare(struct ready *r, const char *source, const char *targets)
{
    struct pm_error err = {0};
    json_t *list = json_loads(targets, 0, NULL);
    assert_non_null(list);
    json_t *line = json_pack("{ss ss so}", "id", "a", "source", source, "targets", list);
    pm_recipe_resolve(line, NULL);
    assert_ok(pm_recipe_read(&r->recipe, line, "edits.jsonl:1", &err), err);
    assert_ok(pm_prepare(&r->prepared, &r->recipe, tokenizer, &fifty_steps, &err), err);
}

static void release(struct ready *r)
{
    pm_prepared_free(&r->prepared);
    pm_recipe_free(&r->recipe);
}

/* The first target must be refused; the second, always sound, must not. */
static void assert_refused(const char *target, const char *sentence)
{
    struct ready r;
    char targets[1024];
    snprintf(targets, sizeof targets,
             "[{%s}, {\"prompt\": \"a red cube on a meadow\", \"edit\": \"replace\"}]", target);
    prepare(&r, "a red ball on a meadow", targets);
    const struct pm_error *error = &r.prepared.targets[0].error;
    if (error->code != PM_E_INPUT || strcmp(error->message, sentence) != 0)
        fail_msg("message is: %s", error->message);
    assert_int_equal(r.prepared.targets[1].error.code, PM_OK);
    release(&r);
}

#define BLEND(source, target)                                                                      \
    "\"prompt\": \"a red cube on a meadow\", \"edit\": \"replace\", \"local_blend\": "             \
    "{\"source\": \"" source "\", \"target\": \"" target "\""

static void a_blend_word_that_is_not_there_is_named(void **state)
{
    (void)state;
    assert_refused(
        BLEND("bal", "cube") "}",
        "targets[0]: local_blend, source: the word \"bal\" (did you mean \"ball\"?) is not "
        "in the prompt \"a red ball on a meadow\"");
    assert_refused(
        BLEND("ball", "ball") "}",
        "targets[0]: local_blend, target: the word \"ball\" is not in the prompt \"a red "
        "cube on a meadow\"");
    assert_refused(
        BLEND("ball", "cube") ", \"subtract\": {\"source\": \"sky\", \"target\": \"red\"}}",
        "targets[0]: local_blend, subtract source: the word \"sky\" is not in the prompt "
        "\"a red ball on a meadow\"");
    assert_refused(
        BLEND("ball", "cube") ", \"subtract\": {\"source\": \"red\", \"target\": \"sky\"}}",
        "targets[0]: local_blend, subtract target: the word \"sky\" is not in the prompt "
        "\"a red cube on a meadow\"");
}

static void a_word_with_its_own_window_or_factor_must_be_there(void **state)
{
    (void)state;
    assert_refused("\"prompt\": \"a red cube on a meadow\", \"edit\": \"replace\", "
                   "\"cross_replace_steps\": {\"default\": 0.8, \"ball\": 0.4}",
                   "targets[0]: cross_replace_steps: the word \"ball\" is not in the prompt \"a "
                   "red cube on a meadow\"");
    assert_refused(
        "\"edit\": \"reweight\", \"equalizer\": {\"snow\": 2}",
        "targets[0]: equalizer: the word \"snow\" is not in the prompt \"a red ball on a meadow\"");
}

static void a_mask_of_words_that_differ_needs_some(void **state)
{
    (void)state;
    assert_refused(
        "\"prompt\": \"a red ball on a meadow\", \"edit\": \"refine\", \"local_blend\": {}",
        "targets[0]: the prompts do not differ in any word that a mask could be made from");
}

static void an_inversion_that_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct pm_schedule pndm = {.sampler = PM_PNDM, .steps = 50, .evaluations = 51};
    static const struct {
        const char *inversion;
        const struct pm_schedule *schedule;
        const char *sentence;
    } refusals[] = {
        {"{\"method\": \"direct\"}", &pndm,
         "an \"image\" is inverted by DDIM: set \"scheduler\": \"ddim\" for this run"},
        {"{\"method\": \"null-text\", \"learning_rate_decay\": 0.03}", &fifty_steps,
         "with a \"learning_rate_decay\" of 0.03 the null-text optimisation stands still at step "
         "49 "
         "of 50: below 0.0204 is wanted"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct pm_error err = {0};
        struct pm_recipe recipe;
        struct pm_prepared prepared;
        json_t *line = json_pack("{ss ss ss so}", "id", "a", "source", "a", "image", "a.png",
                                 "inversion", json_loads(refusals[i].inversion, 0, NULL));
        pm_recipe_resolve(line, NULL);
        assert_ok(pm_recipe_read(&recipe, line, "edits.jsonl:1", &err), err);
        assert_fails(pm_prepare(&prepared, &recipe, tokenizer, refusals[i].schedule, &err), err,
                     refusals[i].sentence);
        pm_recipe_free(&recipe);
    }
}

static char explained[2048];

static void note(void *self, const char *sentence)
{
    (void)self;
    size_t used = strlen(explained);
    snprintf(explained + used, sizeof explained - used, "%s\n", sentence);
}

static void all_that_is_wrong_with_a_target_is_explained(void **state)
{
    (void)state;
    struct ready r;
    prepare(
        &r, "a red ball on a meadow",
        "[{\"prompt\": \"a cat on a green mat\", \"edit\": \"replace\", "
        "\"cross_replace_steps\": {\"default\": 0.8, \"cta\": 0.4}, \"equalizer\": {\"mta\": 2, "
        "\"cat\": 2, \"grey\": 3}, \"local_blend\": {\"source\": [\"ball\", \"bell\"], "
        "\"target\": \"sea\", \"subtract\": {\"source\": \"sky\", \"target\": \"lake\"}}}, "
        "{\"prompt\": \"a red cube on a green meadow\", \"edit\": \"replace\"}, "
        "{\"prompt\": \"a red cube on a meadow\", \"edit\": \"replace\"}]");
    explained[0] = '\0';
    pm_explain(&r.recipe, &r.prepared.source, 0, tokenizer, note, NULL);
    static const char *const wanted =
        "cross_replace_steps: the word \"cta\" is not in the prompt \"a "
        "cat "
        "on a green mat\"\n"
        "equalizer: the word \"mta\" is not in the prompt \"a cat on a "
        "green "
        "mat\"\n"
        "equalizer: the word \"grey\" (did you mean \"green\"?) is not in the prompt \"a cat on a "
        "green mat\"\n"
        "local_blend, source: the word \"bell\" (did you mean \"ball\"?) is not in the prompt \"a "
        "red "
        "ball on a meadow\"\n"
        "local_blend, target: the word \"sea\" is not in the prompt \"a cat on a green mat\"\n"
        "local_blend, subtract source: the word \"sky\" is not in the prompt \"a red ball on a "
        "meadow\"\n"
        "local_blend, subtract target: the word \"lake\" is not in the prompt \"a cat on a green "
        "mat\"\n";
    if (strcmp(explained, wanted) != 0) fail_msg("explained is:\n%s", explained);
    explained[0] = '\0';
    pm_explain(&r.recipe, &r.prepared.source, 1, tokenizer, note, NULL);
    assert_string_equal(explained,
                        "\"replace\" puts word for word, but the source prompt has 6 words and the "
                        "target prompt 7; use \"refine\"\n");
    explained[0] = '\0';
    pm_explain(&r.recipe, &r.prepared.source, 2, tokenizer, note, NULL);
    assert_string_equal(explained, "");
    release(&r);
}

static void replacing_wants_as_many_words(void **state)
{
    (void)state;
    struct ready r;
    prepare(&r, "a red ball on a meadow",
            "[{\"prompt\": \"a red ball\", \"edit\": \"replace\"}, {\"prompt\": \"a red ball\", "
            "\"edit\": "
            "\"refine\"}]");
    assert_int_equal(r.prepared.targets[0].error.code, PM_E_INPUT);
    assert_non_null(strstr(r.prepared.targets[0].error.message, "targets[0]: "));
    assert_non_null(strstr(r.prepared.targets[0].error.message, "words"));
    assert_int_equal(r.prepared.targets[1].error.code, PM_OK);
    release(&r);
}

static void reweighting_another_prompt_is_refused(void **state)
{
    (void)state;
    assert_refused(
        "\"prompt\": \"a red cube on a meadow\", \"edit\": \"reweight\", \"equalizer\": "
        "{\"red\": 2}",
        "targets[0]: \"reweight\" keeps the source's prompt, but this target's is \"a red cube "
        "on a meadow\"; use \"refine\" or \"replace\" with an \"equalizer\" to change words as "
        "well");
    struct ready r; /* the same tokens are the same prompt */
    prepare(&r, "a red ball on a meadow",
            "[{\"prompt\": \"A  red ball on a meadow\", \"edit\": \"reweight\", \"equalizer\": "
            "{\"red\": "
            "2}}]");
    assert_int_equal(r.prepared.targets[0].error.code, PM_OK);
    release(&r);
}

static void a_recipes_own_error_is_kept(void **state)
{
    (void)state;
    struct ready r;
    prepare(&r, "a red ball on a meadow", "[{\"prompt\": \"a cube\"}]");
    assert_string_equal(r.prepared.targets[0].error.message, r.recipe.targets[0].error.message);
    assert_non_null(strstr(r.prepared.targets[0].error.message, "\"edit\" is missing"));
    release(&r);
}

static void an_over_long_source_fails_as_a_whole_and_a_target_alone(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct ready r;
    char prompt[512] = "a";
    for (int i = 0; i < 80; i++) strcat(prompt, " red");
    json_t *line = json_pack("{ss ss s[]}", "id", "a", "source", prompt, "targets");
    pm_recipe_resolve(line, NULL);
    assert_ok(pm_recipe_read(&r.recipe, line, "edits.jsonl:1", &err), err);
    assert_fails(pm_prepare(&r.prepared, &r.recipe, tokenizer, &fifty_steps, &err), err, "77");
    release(&r);

    char target[640], sentence[] = "targets[0]: ";
    snprintf(target, sizeof target, "[{\"prompt\": \"%s\", \"edit\": \"refine\"}]", prompt);
    prepare(&r, "a red ball on a meadow", target);
    assert_memory_equal(r.prepared.targets[0].error.message, sentence, strlen(sentence));
    assert_non_null(strstr(r.prepared.targets[0].error.message, "77"));
    release(&r);
}

static void assert_cross_open(const struct pm_token_map *map, size_t n, size_t begin, size_t end)
{
    static float a[PM_TOKENS * PM_TOKENS], d[PM_TOKENS];
    for (size_t step = 0; step <= 50; step++) {
        pm_token_map_at(a, d, map, step);
        assert_int_equal(d[n] == 0.0f, step >= begin && step < end);
    }
}

/* Self-attention's are counted over the steps asked for, the words' over one more. */
static void windows_are_the_steps_that_the_reference_counts(void **state)
{
    (void)state;
    struct ready r;
    prepare(&r, "a red ball on a meadow",
            "[{\"prompt\": \"a red cube on a meadow\", \"edit\": \"replace\"}, {\"prompt\": \"a "
            "red cube "
            "on a meadow\", \"edit\": \"replace\", \"self_replace_steps\": [0.5, 1], "
            "\"cross_replace_steps\": {\"default\": 1.0, \"cube\": [0.2, 0.4]}}]");
    const struct pm_prepared_target *t = r.prepared.targets;
    assert_true(t[0].error.code == PM_OK && t[1].error.code == PM_OK);
    assert_true(t[0].self_begin == 0 && t[0].self_end == 20);
    assert_cross_open(&t[0].map, 2, 0, 40);
    assert_true(t[1].self_begin == 25 && t[1].self_end == 50);
    for (size_t n = 0; n < t[1].tokens.count; n++) {
        if (t[1].tokens.word[n] == 2)
            assert_cross_open(&t[1].map, n, 10, 20);
        else
            assert_cross_open(&t[1].map, n, 0, 51);
    }
    release(&r);
}

static void the_equalizer_scales_its_words_tokens(void **state)
{
    (void)state;
    static float a[PM_TOKENS * PM_TOKENS], d[PM_TOKENS];
    struct ready r;
    prepare(&r, "a red ball on a meadow",
            "[{\"edit\": \"reweight\", \"equalizer\": {\"red\": -2.5}}]");
    const struct pm_prepared_target *t = r.prepared.targets;
    assert_int_equal(t->error.code, PM_OK);
    pm_token_map_at(a, d, &t->map, 0);
    for (size_t n = 0; n < PM_TOKENS; n++)
        if (t->tokens.word[n] == 1) assert_true(a[n * PM_TOKENS + n] == -2.5f);
    release(&r);
}

static void a_blend_has_the_tokens_thresholds_and_start(void **state)
{
    (void)state;
    struct ready r;
    prepare(
        &r, "a red ball on a meadow",
        "[{\"prompt\": \"a red cube on a meadow\", \"edit\": \"replace\", \"local_blend\": "
        "{\"source\": \"ball\", \"target\": [\"red\", \"cube\", \"red\"], \"threshold\": 0.25, "
        "\"subtract\": {\"source\": \"meadow\", \"target\": \"meadow\", \"threshold\": 0.75}}}, "
        "{\"prompt\": \"a red cube on a meadow\", \"edit\": \"replace\"}]");
    const struct pm_prepared_target *t = r.prepared.targets;
    assert_true(t[0].error.code == PM_OK && t[0].blends && !t[1].blends);
    const struct pm_local_blend *b = &t[0].blend;
    assert_true(b->threshold == 0.25f && b->subtract_threshold == 0.75f && b->subtracts);
    assert_int_equal(b->start_step, 10); /* int(.2 * 50) */
    size_t source = 0, target = 0;
    for (size_t n = 0; n < PM_TOKENS; n++) {
        int s = r.prepared.source.word[n], w = t[0].tokens.word[n];
        assert_int_equal(b->source.has[n], s == 2);
        assert_int_equal(b->target.has[n], w == 1 || w == 2);
        assert_int_equal(b->subtract_source.has[n], s == 5);
        assert_int_equal(b->subtract_target.has[n], w == 5);
        source += s == 2;
        target += w == 1 || w == 2;
    }
    assert_true(b->source.count == source && b->target.count == target);
    release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blend_word_that_is_not_there_is_named),
        cmocka_unit_test(a_word_with_its_own_window_or_factor_must_be_there),
        cmocka_unit_test(a_mask_of_words_that_differ_needs_some),
        cmocka_unit_test(an_inversion_that_cannot_be_is_refused),
        cmocka_unit_test(all_that_is_wrong_with_a_target_is_explained),
        cmocka_unit_test(replacing_wants_as_many_words),
        cmocka_unit_test(reweighting_another_prompt_is_refused),
        cmocka_unit_test(a_recipes_own_error_is_kept),
        cmocka_unit_test(an_over_long_source_fails_as_a_whole_and_a_target_alone),
        cmocka_unit_test(windows_are_the_steps_that_the_reference_counts),
        cmocka_unit_test(the_equalizer_scales_its_words_tokens),
        cmocka_unit_test(a_blend_has_the_tokens_thresholds_and_start),
    };
    return cmocka_run_group_tests(tests, load_tokenizer, free_tokenizer);
}
