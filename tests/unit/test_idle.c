/* What of an edit has no effect, told in so many words. */
#include "scenes_tokenizer.h"
#include "test.h"

#include "pm/edit/idle.h"

#include <stdio.h>
#include <string.h>

static const struct pm_schedule ten_steps = {.sampler = PM_DDIM, .steps = 10, .evaluations = 10};

static char told[1024];

static void note(void *self, const char *sentence)
{
    (void)self;
    size_t used = strlen(told);
    snprintf(told + used, sizeof told - used, "%s\n", sentence);
}

/* @param target  JSON; the source is "a red ball and a blue ball" */
static void look_at(const char *target)
{
    struct pm_error err = {0};
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    json_t *list = json_pack("[o]", json_loads(target, 0, NULL));
    assert_non_null(list);
    json_t *line =
        json_pack("{ss ss so}", "id", "a", "source", "a red ball and a blue ball", "targets", list);
    pm_recipe_resolve(line, NULL);
    assert_ok(pm_recipe_read(&recipe, line, "edits.jsonl:1", &err), err);
    assert_ok(pm_prepare(&prepared, &recipe, tokenizer, &ten_steps, &err), err);
    if (prepared.targets[0].error.code) fail_msg("%s", prepared.targets[0].error.message);
    *told = '\0';
    pm_idle_find(&recipe, &prepared, 0, &ten_steps, note, NULL);
    pm_prepared_free(&prepared);
    pm_recipe_free(&recipe);
}

static void assert_told(const char *sentences)
{
    if (strcmp(told, sentences) != 0) fail_msg("told is:\n%s", told);
}

#define CUBE "{\"prompt\": \"a red cube and a blue ball\", \"edit\": \"replace\""

static void an_edit_of_which_all_counts_is_not_talked_about(void **state)
{
    (void)state;
    look_at(CUBE
            ", \"equalizer\": {\"red\": 2}, \"cross_replace_steps\": {\"default\": 0.8, "
            "\"cube\": [0.1, 0.4]}, \"local_blend\": {\"source\": \"red\", \"target\": \"cube\"}}");
    assert_told("");
}

static void windows_that_are_off_are_meant_to_be(void **state)
{
    (void)state;
    look_at(CUBE ", \"cross_replace_steps\": 0, \"self_replace_steps\": 0}");
    assert_told("");
}

static void windows_between_two_steps_are_told(void **state)
{
    (void)state;
    look_at(CUBE ", \"cross_replace_steps\": {\"default\": [0.5, 0.501], \"cube\": [0.31, 0.32]}, "
                 "\"self_replace_steps\": [0.2, 0.21]}");
    assert_told(
        "self_replace_steps: none of the 10 steps lies from 0.2 to 0.21 of the run\n"
        "cross_replace_steps: none of the 10 steps lies from 0.5 to 0.501 of the run\n"
        "cross_replace_steps, \"cube\": none of the 10 steps lies from 0.31 to 0.32 of the run\n");
}

static void equalizers_that_do_nothing_are_told(void **state)
{
    (void)state;
    look_at(CUBE ", \"equalizer\": {\"red\": 1, \"cube\": 3}, \"cross_replace_steps\": "
                 "{\"default\": 0.8, \"cube\": 0}}");
    assert_told(
        "equalizer, \"red\": 1 times the attention is no change\n"
        "equalizer, \"cube\": it counts where cross-attention is replaced, and of this word "
        "it is in no step\n");
}

static void words_that_are_there_twice_are_told_with_their_number(void **state)
{
    (void)state;
    look_at(CUBE ", \"equalizer\": {\"a\": 2}, \"local_blend\": {\"source\": \"ball\", "
                 "\"target\": [\"cube\", \"blue ball\"]}}");
    assert_told("equalizer: \"a\" is in the prompt \"a red cube and a blue ball\" 2 times; all of "
                "them are meant\n"
                "local_blend, source: \"ball\" is in the prompt \"a red ball and a blue ball\" 2 "
                "times; all of them are meant\n");
}

static void blends_that_never_blend_are_told(void **state)
{
    (void)state;
    look_at(CUBE ", \"local_blend\": {\"source\": \"red\", \"target\": \"cube\", \"start\": 1}}");
    assert_told("local_blend: it would start after the last step, at 1 of the run\n");
    look_at(CUBE
            ", \"local_blend\": {\"source\": \"red\", \"target\": \"cube\", \"threshold\": 1}}");
    assert_told("local_blend: nowhere is attention above a threshold of 1, so that the target is "
                "its source\n");
    look_at(CUBE ", \"local_blend\": {\"source\": \"red\", \"target\": \"cube\", \"subtract\": "
                 "{\"source\": \"ball\", \"target\": \"blue\", \"threshold\": 1}}}");
    assert_told(
        "local_blend, subtract source: \"ball\" is in the prompt \"a red ball and a blue "
        "ball\" 2 times; all of them are meant\n"
        "local_blend, subtract: nowhere is attention above a threshold of 1, so that nothing "
        "is taken away\n");
}

static void a_restored_edit_of_an_empty_mask_is_told(void **state)
{
    (void)state;
    look_at(CUBE ", \"restore\": {\"threshold\": 1}}");
    assert_told("restore: nowhere is attention above a threshold of 1, so that the target is its "
                "source\n");
    look_at(CUBE ", \"restore\": \"mask\"}");
    assert_told("");
}

static void a_target_that_is_its_source_is_told(void **state)
{
    (void)state;
    static const char same[] =
        "the prompt is the source's, and nothing else changes: the target is "
        "its source\n";
    look_at("{\"prompt\": \"a red ball and a blue ball\", \"edit\": \"refine\"}");
    assert_told(same);
    look_at("{\"prompt\": \"a red ball and a blue ball\", \"edit\": \"refine\", "
            "\"equalizer\": {\"red\": 2}}");
    assert_told("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_of_which_all_counts_is_not_talked_about),
        cmocka_unit_test(windows_that_are_off_are_meant_to_be),
        cmocka_unit_test(windows_between_two_steps_are_told),
        cmocka_unit_test(equalizers_that_do_nothing_are_told),
        cmocka_unit_test(words_that_are_there_twice_are_told_with_their_number),
        cmocka_unit_test(blends_that_never_blend_are_told),
        cmocka_unit_test(a_restored_edit_of_an_empty_mask_is_told),
        cmocka_unit_test(a_target_that_is_its_source_is_told),
    };
    return cmocka_run_group_tests(tests, load_tokenizer, free_tokenizer);
}
