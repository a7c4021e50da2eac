#include "test.h"

#include "pm/edit/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text)
{
    struct pm_error err = {0};
    json_t *json;
    assert_ok(pm_json_parse(&json, text, strlen(text), "test", &err), err);
    return json;
}

static bool read_with(struct pm_recipe *recipe, const char *line, const char *defaults,
                      struct pm_error *err)
{
    json_t *json = parse(line), *given = defaults ? parse(defaults) : NULL;
    pm_recipe_resolve(json, given);
    json_decref(given);
    return pm_recipe_read(recipe, json, "edits.jsonl:17", err);
}

static struct pm_recipe read_good(const char *line, const char *defaults)
{
    struct pm_error err = {0};
    struct pm_recipe recipe;
    assert_ok(read_with(&recipe, line, defaults, &err), err);
    return recipe;
}

static void assert_line_refused(const char *line, const char *sentence)
{
    struct pm_error err = {0};
    struct pm_recipe recipe;
    if (read_with(&recipe, line, NULL, &err)) fail_msg("%s was taken", line);
    assert_int_equal(err.code, PM_E_INPUT);
    assert_string_equal(err.message, sentence);
    assert_null(recipe.json);
}

/* The target, given as the text of its keys, must be refused; one beside it is not harmed. */
static void assert_target_refused(const char *keys, const char *sentence)
{
    struct pm_error err = {0};
    struct pm_recipe recipe;
    char line[2048];
    snprintf(line, sizeof line,
             "{\"id\": \"a\", \"source\": \"a cat\", \"targets\": [{%s}, {\"prompt\": \"a dog\", "
             "\"edit\": \"replace\"}]}",
             keys);
    assert_ok(read_with(&recipe, line, NULL, &err), err);
    assert_int_equal(recipe.target_count, 2);
    assert_int_equal(recipe.targets[0].error.code, PM_E_INPUT);
    assert_string_equal(recipe.targets[0].error.message, sentence);
    assert_int_equal(recipe.targets[1].error.code, PM_OK);
    assert_string_equal(recipe.targets[1].prompt, "a dog");
    pm_recipe_free(&recipe);
}

/* A line of one cat and these targets. */
#define CAT(targets) "{\"id\": \"a\", \"source\": \"a cat\", \"targets\": [" targets "]}"
#define TARGET "edits.jsonl:17: targets[0]"

static void meta_may_hold_anything(void **state)
{
    (void)state;
    struct pm_recipe r =
        read_good("{\"id\": \"a\", \"source\": \"a cat\", \"meta\": {\"sorce\": [1]}}", NULL);
    assert_int_equal(json_object_size(json_object_get(r.json, "meta")), 1);
    pm_recipe_free(&r);
}

static void every_key_is_read(void **state)
{
    (void)state;
    static const char line[] =
        "{\"id\": \"ball\", \"source\": \"a red ball\", \"seed\": 9223372036854775807, "
        "\"noise\": \"counter\", \"targets\": [{\"prompt\": \"a red cube\", \"edit\": \"replace\", "
        "\"mapper\": \"reference\", \"cross_replace_steps\": {\"default\": [0.1, 0.8], "
        "\"cube\": 0.4, \"red\": [0.5, 1]}, \"self_replace_steps\": [0.25, 0.5], "
        "\"self_replace_max_pixels\": 256, \"equalizer\": {\"cube\": 2, \"red\": -1.5}, "
        "\"local_blend\": {\"source\": \"ball\", \"target\": [\"cube\", \"red\"], "
        "\"threshold\": 0.4, \"start\": 0.5, "
        "\"subtract\": {\"source\": [\"a\"], \"target\": \"a\", \"threshold\": 0.6}}}]}";
    struct pm_recipe r = read_good(line, NULL);
    assert_string_equal(r.id, "ball");
    assert_string_equal(r.source, "a red ball");
    assert_true(r.seed == INT64_MAX && r.noise == PM_NOISE_COUNTER && r.target_count == 1);
    const struct pm_target_recipe *t = &r.targets[0];
    if (t->error.code) fail_msg("%s", t->error.message);
    assert_string_equal(t->prompt, "a red cube");
    assert_true(t->edit == PM_EDIT_REPLACE && t->mapper == PM_MAPPER_REFERENCE);
    assert_true(t->cross.begin == 0.1 && t->cross.end == 0.8 && t->cross_words.count == 2);
    assert_string_equal(t->cross_words.words[0], "cube");
    assert_string_equal(t->cross_words.words[1], "red");
    assert_true(t->cross_windows[0].begin == 0.0 && t->cross_windows[0].end == 0.4);
    assert_true(t->cross_windows[1].begin == 0.5 && t->cross_windows[1].end == 1.0);
    assert_true(t->self.begin == 0.25 && t->self.end == 0.5 && t->self_max_pixels == 256);
    assert_int_equal(t->equalizer.count, 2);
    assert_true(t->equalizer_values[0] == 2.0 && t->equalizer_values[1] == -1.5);
    const struct pm_blend_recipe *b = &t->blend;
    assert_true(t->has_blend && b->source.count == 1 && b->target.count == 2);
    assert_string_equal(b->target.words[1], "red");
    assert_true(b->threshold == 0.4 && b->start == 0.5 && b->subtract_threshold == 0.6);
    assert_true(b->subtract_source.count == 1 && b->subtract_target.count == 1);
    pm_recipe_free(&r);
}

static void what_is_left_out_is_the_references(void **state)
{
    (void)state;
    struct pm_recipe r =
        read_good(CAT("{\"prompt\": \"a dog\", \"edit\": \"refine\", \"local_blend\": "
                      "{\"source\": \"cat\", \"target\": \"dog\", \"subtract\": {\"source\": "
                      "\"a\", \"target\": \"a\"}}}"),
                  NULL);
    const struct pm_target_recipe *t = &r.targets[0];
    assert_true(r.seed == 0 && r.noise == PM_NOISE_TORCH && t->mapper == PM_MAPPER_CORRECTED);
    assert_true(t->cross.begin == 0.0 && t->cross.end == 0.8 && t->cross_words.count == 0);
    assert_true(t->self.begin == 0.0 && t->self.end == 0.4 && t->self_max_pixels == 0);
    assert_true(t->blend.threshold == 0.3 && t->blend.start == 0.2);
    assert_true(t->blend.subtract_threshold == 0.3 && t->equalizer.count == 0);
    pm_recipe_free(&r);

    r = read_good("{\"id\": \"maps\", \"source\": \"a cat\"}", NULL);
    assert_int_equal(r.target_count, 0);
    pm_recipe_free(&r);
}

static void the_subtracted_words_have_the_blends_own_threshold(void **state)
{
    (void)state;
    struct pm_recipe r =
        read_good(CAT("{\"prompt\": \"a dog\", \"edit\": \"refine\", \"local_blend\": "
                      "{\"source\": \"cat\", \"target\": \"dog\", \"threshold\": 0.7, "
                      "\"subtract\": {\"source\": \"a\", \"target\": \"a\"}}}"),
                  NULL);
    assert_true(r.targets[0].blend.subtract_threshold == 0.7);
    pm_recipe_free(&r);
}

static void a_dictionary_without_default_edits_the_other_words_throughout(void **state)
{
    (void)state;
    struct pm_recipe r = read_good(CAT("{\"prompt\": \"a dog\", \"edit\": \"replace\", "
                                       "\"cross_replace_steps\": {\"dog\": 0.4}}"),
                                   NULL);
    assert_true(r.targets[0].cross.begin == 0.0 && r.targets[0].cross.end == 1.0);
    pm_recipe_free(&r);
}

static void reweighting_keeps_the_sources_prompt(void **state)
{
    (void)state;
    struct pm_recipe r =
        read_good(CAT("{\"edit\": \"reweight\", \"equalizer\": {\"cat\": 0}}"), NULL);
    assert_int_equal(r.targets[0].error.code, PM_OK);
    assert_string_equal(r.targets[0].prompt, "a cat");
    pm_recipe_free(&r);
}

static void defaults_fill_in_what_a_line_leaves_out_and_no_more(void **state)
{
    (void)state;
    static const char defaults[] =
        "{\"seed\": 5, \"noise\": \"counter\", \"edit\": \"refine\", \"cross_replace_steps\": 0.5, "
        "\"self_replace_steps\": 0.6, \"equalizer\": {\"dog\": 3}}";
    struct pm_error err = {0};
    json_t *given = parse(defaults);
    assert_ok(pm_recipe_check_defaults(given, "run.json: defaults", &err), err);
    json_decref(given);
    struct pm_recipe r =
        read_good("{\"id\": \"a\", \"source\": \"a cat\", \"seed\": 6, \"targets\": [{\"prompt\": "
                  "\"a dog\"}, {\"prompt\": \"a dog\", \"edit\": \"replace\", "
                  "\"self_replace_steps\": 0.1, \"equalizer\": {\"a\": 2}}]}",
                  defaults);
    const struct pm_target_recipe *t = r.targets;
    assert_true(r.seed == 6 && r.noise == PM_NOISE_COUNTER);
    assert_true(t[0].error.code == PM_OK && t[1].error.code == PM_OK);
    assert_true(t[0].edit == PM_EDIT_REFINE && t[1].edit == PM_EDIT_REPLACE);
    assert_true(t[0].cross.end == 0.5 && t[1].cross.end == 0.5);
    assert_true(t[0].self.end == 0.6 && t[1].self.end == 0.1);
    assert_string_equal(t[0].equalizer.words[0], "dog");
    assert_int_equal(t[1].equalizer.count, 1);
    assert_string_equal(t[1].equalizer.words[0], "a");
    pm_recipe_free(&r);
}

static void assert_defaults_refused(const char *defaults, const char *sentence)
{
    struct pm_error err = {0};
    json_t *json = parse(defaults);
    assert_fails(pm_recipe_check_defaults(json, "run.json: defaults", &err), err, sentence);
    json_decref(json);
}

static void defaults_that_name_one_edit_are_refused(void **state)
{
    (void)state;
    assert_defaults_refused("{\"id\": \"a\"}", "run.json: defaults: unknown key \"id\"");
    assert_defaults_refused("{\"source\": \"a\"}", "unknown key \"source\"");
    assert_defaults_refused("{\"prompt\": \"a\"}", "unknown key \"prompt\"");
    assert_defaults_refused("{\"targets\": []}", "unknown key \"targets\"");
    assert_defaults_refused("{\"meta\": {}}", "unknown key \"meta\"");
    assert_defaults_refused("{\"self_replace_step\": 1}", "did you mean \"self_replace_steps\"?");
    assert_defaults_refused("[3]", "an object {...} is wanted, not a list");
}

static void a_resolved_line_resolves_to_itself(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"id\": \"a\", \"source\": \"a cat\"}",
        "{\"id\": \"a\", \"source\": \"a cat\", \"targets\": [{\"edit\": \"reweight\", "
        "\"equalizer\": "
        "{\"cat\": 2}}, {\"prompt\": \"a dog\", \"local_blend\": {\"source\": \"cat\", \"target\": "
        "\"dog\", \"subtract\": {\"source\": \"a\", \"target\": \"a\"}}}]}",
        "{\"targets\": [7, {\"local_blend\": 3}, null]}", "[1, 2]",
        "{\"targets\": {\"prompt\": 1}}"};
    json_t *defaults = parse("{\"seed\": 4, \"edit\": \"refine\", \"self_replace_steps\": 0.2}");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        json_t *line = parse(lines[i]);
        pm_recipe_resolve(line, defaults);
        json_t *once = json_deep_copy(line);
        pm_recipe_resolve(line, NULL);
        assert_true(json_equal(line, once));
        pm_recipe_resolve(line, defaults);
        assert_true(json_equal(line, once));
        json_decref(line);
        json_decref(once);
    }
    json_decref(defaults);
}

static void a_wrong_line_is_refused(void **state)
{
    (void)state;
    assert_line_refused("{\"source\": \"a\"}", "edits.jsonl:17: \"id\" is missing");
    assert_line_refused("{\"id\": \"\", \"source\": \"a\"}", "edits.jsonl:17: \"id\" is empty");
    assert_line_refused("{\"id\": 3, \"source\": \"a\"}",
                        "edits.jsonl:17: \"id\" is a whole number; a string is wanted");
    assert_line_refused("{\"id\": \"a\"}", "edits.jsonl:17: \"source\" is missing");
    assert_line_refused("{\"id\": \"a\", \"source\": [\"a\"]}",
                        "edits.jsonl:17: \"source\" is a list; a string is wanted");
    assert_line_refused("{\"id\": \"a\", \"source\": \"a\", \"seed\": -1}",
                        "edits.jsonl:17: \"seed\" is -1; it must be from 0 to 9223372036854775807");
    assert_line_refused("{\"id\": \"a\", \"source\": \"a\", \"seed\": 1.5}",
                        "edits.jsonl:17: \"seed\" is a number; a whole number is wanted");
    assert_line_refused("{\"id\": \"a\", \"source\": \"a\", \"noise\": \"numpy\"}",
                        "edits.jsonl:17: \"noise\" is \"numpy\"; it must be one of \"torch\", "
                        "\"counter\"");
    assert_line_refused("{\"id\": \"a\", \"source\": \"a\", \"targets\": {}}",
                        "edits.jsonl:17: \"targets\" is an object; a list is wanted");
    assert_line_refused("{\"id\": \"a\", \"sorce\": \"a\"}",
                        "edits.jsonl:17: unknown key \"sorce\"; did you mean \"source\"?");
    assert_line_refused("{\"id\": \"a\", \"source\": \"a cat\", \"meta\": \"b\"}",
                        "edits.jsonl:17: \"meta\" is a string; an object {...} is wanted");
    assert_line_refused("[]", "edits.jsonl:17: an object {...} is wanted, not a list");
}

static void too_many_targets_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_recipe r;
    json_t *targets = json_array();
    for (int i = 0; i <= PM_MAX_TARGETS; i++) json_array_append_new(targets, json_object());
    json_t *line = json_pack("{ss ss so}", "id", "a", "source", "a cat", "targets", targets);
    assert_fails(pm_recipe_read(&r, line, "edits.jsonl:17", &err), err,
                 "edits.jsonl:17: 1001 targets are more than 1000");
}

#define DOG "\"prompt\": \"a dog\", \"edit\": \"replace\""

static void a_target_without_what_it_needs_is_refused(void **state)
{
    (void)state;
    assert_target_refused("\"prompt\": \"a dog\"", TARGET
                          ": \"edit\" is missing; it is \"replace\", \"refine\" or \"reweight\"");
    assert_target_refused("\"edit\": \"refine\"", TARGET ": \"prompt\" is missing");
    assert_target_refused("\"edit\": \"reweight\"", TARGET ": \"reweight\" needs an \"equalizer\"");
    assert_target_refused("\"edit\": \"swap\", \"prompt\": \"a dog\"", TARGET
                          ": \"edit\" is \"swap\"; it must be one of \"replace\", \"refine\", "
                          "\"reweight\"");
    assert_target_refused("\"edit\": \"refine\", \"prompt\": null",
                          TARGET ": \"prompt\" is null; a string is wanted");
    assert_target_refused(DOG ", \"mapper\": \"best\"",
                          TARGET ": \"mapper\" is \"best\"; it must be one of \"corrected\", "
                                 "\"reference\"");
    assert_target_refused(DOG ", \"equaliser\": {\"dog\": 2}",
                          TARGET ": unknown key \"equaliser\"; did you mean \"equalizer\"?");
    assert_target_refused(DOG ", \"self_replace_max_pixels\": 0", TARGET
                          ": \"self_replace_max_pixels\" is 0; it must be from 1 to 16777216");
}

static void a_wrong_window_is_refused(void **state)
{
    (void)state;
    assert_target_refused(DOG ", \"self_replace_steps\": [0.5, 0.4]", TARGET
                          ": \"self_replace_steps\" is [0.5, 0.4]; fractions of the steps are "
                          "wanted, 0 <= begin <= end <= 1");
    assert_target_refused(DOG ", \"self_replace_steps\": 20",
                          TARGET ": \"self_replace_steps\" is [0, 20]; fractions of the steps are "
                                 "wanted, 0 <= begin <= end <= 1");
    assert_target_refused(DOG ", \"cross_replace_steps\": [-0.1, 1]", TARGET
                          ": \"cross_replace_steps\" is [-0.1, 1]; fractions of the steps are "
                          "wanted, 0 <= begin <= end <= 1");
    assert_target_refused(DOG ", \"cross_replace_steps\": \"0.8\"",
                          TARGET ": \"cross_replace_steps\" is a fraction, or [begin, end] of two");
    assert_target_refused(DOG ", \"cross_replace_steps\": [0.1, 0.2, 0.3]",
                          TARGET ": \"cross_replace_steps\" is a fraction, or [begin, end] of two");
    assert_target_refused(DOG ", \"cross_replace_steps\": {\"dog\": [1, 0]}",
                          TARGET ": \"cross_replace_steps\" is [1, 0]; fractions of the steps are "
                                 "wanted, 0 <= begin <= end <= 1");
    assert_target_refused(DOG ", \"cross_replace_steps\": {\"\": 0.5}",
                          TARGET ": \"cross_replace_steps\" has an empty word");
    assert_target_refused(DOG ", \"self_replace_steps\": {\"default\": 0.5}",
                          TARGET ": \"self_replace_steps\" is a fraction, or [begin, end] of two");
}

static void a_wrong_equalizer_is_refused(void **state)
{
    (void)state;
    assert_target_refused(DOG ", \"equalizer\": {}",
                          TARGET ": \"equalizer\" is {\"word\": factor, ...}, not empty");
    assert_target_refused(DOG ", \"equalizer\": [2]",
                          TARGET ": \"equalizer\" is {\"word\": factor, ...}, not a list");
    assert_target_refused(DOG ", \"equalizer\": {\"dog\": \"2\"}",
                          TARGET ": \"dog\" is a string; a number is wanted");
    assert_target_refused(DOG ", \"equalizer\": {\"dog\": 1001}",
                          TARGET ": \"dog\" is 1001; it must be from -1000 to 1000");
    assert_target_refused(DOG ", \"equalizer\": {\"\": 2}",
                          TARGET ": \"equalizer\" has an empty word");
    char keys[1024] = DOG ", \"equalizer\": {";
    for (int i = 0; i <= PM_MAX_WORDS; i++)
        snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "%s\"w%d\": 2", i ? ", " : "", i);
    strcat(keys, "}");
    assert_target_refused(keys, TARGET ": \"equalizer\" has more than 32 words");
}

static void a_wrong_blend_is_refused(void **state)
{
    (void)state;
    assert_target_refused(DOG ", \"local_blend\": [\"cat\", \"dog\"]",
                          TARGET ".local_blend: an object {...} is wanted, not a list");
    assert_target_refused(DOG ", \"local_blend\": {\"target\": \"dog\"}",
                          TARGET ": local_blend needs \"source\": a word or a list of words");
    assert_target_refused(DOG ", \"local_blend\": {\"source\": \"cat\", \"target\": []}",
                          TARGET ": local_blend needs \"target\": a word or a list of words");
    assert_target_refused(DOG ", \"local_blend\": {\"source\": [\"cat\", 7], \"target\": \"dog\"}",
                          TARGET
                          ": local_blend's \"source\"[1] is a whole number; a word is wanted");
    assert_target_refused(DOG ", \"local_blend\": {\"source\": \"\", \"target\": \"dog\"}",
                          TARGET ": \"source\" has an empty word");
    assert_target_refused(DOG ", \"local_blend\": {\"source\": \"cat\", \"target\": \"dog\", "
                              "\"treshold\": 0.5}",
                          TARGET
                          ".local_blend: unknown key \"treshold\"; did you mean \"threshold\"?");
    assert_target_refused(DOG ", \"local_blend\": {\"source\": \"cat\", \"target\": \"dog\", "
                              "\"threshold\": 1.5}",
                          TARGET ".local_blend: \"threshold\" is 1.5; it must be from 0 to 1");
    assert_target_refused(
        DOG ", \"local_blend\": {\"source\": \"cat\", \"target\": \"dog\", \"start\": "
            "-1}",
        TARGET ".local_blend: \"start\" is -1; it must be from 0 to 1");
    assert_target_refused(DOG ", \"local_blend\": {\"source\": \"cat\", \"target\": \"dog\", "
                              "\"subtract\": {\"source\": \"a\"}}",
                          TARGET ": local_blend needs \"target\": a word or a list of words");
}

static void what_is_no_target_is_refused(void **state)
{
    (void)state;
    struct pm_recipe r =
        read_good("{\"id\": \"a\", \"source\": \"a\", \"targets\": [\"a dog\"]}", NULL);
    assert_string_equal(r.targets[0].error.message,
                        TARGET ": an object {...} is wanted, not a string");
    pm_recipe_free(&r);
}

#define IMAGE_LINE(keys)                                                                           \
    "{\"id\": \"a\", \"source\": \"a cat\", \"image\": \"a.png\", " keys "\"targets\": []}"

static void an_image_is_inverted_directly_unless_it_says_otherwise(void **state)
{
    (void)state;
    struct pm_recipe r = read_good(IMAGE_LINE(""), "{\"seed\": 7, \"noise\": \"counter\"}");
    assert_string_equal(r.image.path, "a.png");
    assert_true(r.image.method == PM_INVERSION_DIRECT && !r.image.must_fit);
    pm_recipe_free(&r);
    r = read_good(IMAGE_LINE("\"inversion\": \"negative-prompt\", \"fit\": \"exact\", "
                             "\"crop\": {\"top\": 3, \"right\": 9}, "),
                  NULL);
    assert_true(r.image.method == PM_INVERSION_NEGATIVE_PROMPT && r.image.must_fit);
    assert_true(r.image.top == 3 && r.image.right == 9 && r.image.left == 0 && r.image.bottom == 0);
    pm_recipe_free(&r);
}

static void null_text_inversion_has_the_references_constants_unless_it_says_otherwise(void **state)
{
    (void)state;
    struct pm_recipe r = read_good(IMAGE_LINE("\"inversion\": \"null-text\", "), NULL);
    assert_true(r.image.method == PM_INVERSION_NULL_TEXT);
    assert_int_equal(r.image.null_text.inner_steps, 10);
    assert_true(r.image.null_text.learning_rate == 0.01 && r.image.null_text.beta1 == 0.9);
    assert_true(r.image.null_text.epsilon == 1e-5 && r.image.null_text.epsilon_growth == 2e-5);
    pm_recipe_free(&r);
    r = read_good(IMAGE_LINE("\"inversion\": {\"method\": \"null-text\", \"inner_steps\": 3, "
                             "\"epsilon\": 1e-4}, "),
                  NULL);
    assert_int_equal(r.image.null_text.inner_steps, 3);
    assert_true(r.image.null_text.epsilon == 1e-4 && r.image.null_text.learning_rate == 0.01);
    pm_recipe_free(&r);
}

static void inversions_that_do_not_exist_or_cannot_be_so_are_refused(void **state)
{
    (void)state;
    assert_line_refused(
        IMAGE_LINE("\"inversion\": \"null\", "),
        "edits.jsonl:17.inversion: \"method\" is \"null\"; it must be one of \"direct\", "
        "\"ddim\", \"null-text\", \"negative-prompt\"");
    assert_line_refused(IMAGE_LINE("\"inversion\": 5, "),
                        "edits.jsonl:17: \"inversion\" is a whole number; a method's name or "
                        "{\"method\": ...} is wanted");
    assert_line_refused(IMAGE_LINE("\"inversion\": {\"inner_steps\": 5}, "),
                        "edits.jsonl:17.inversion: \"method\" is missing");
    assert_line_refused(IMAGE_LINE("\"inversion\": {\"method\": \"ddim\", \"epsilon\": 5}, "),
                        "edits.jsonl:17.inversion: unknown key \"epsilon\"; there are \"method\"");
    assert_line_refused(
        IMAGE_LINE("\"inversion\": {\"method\": \"null-text\", \"inner_steps\": 0}, "),
        "edits.jsonl:17.inversion: \"inner_steps\" is 0; it must be from 1 to 10000");
}

static void keys_without_effect_on_an_image_or_without_one_are_refused(void **state)
{
    (void)state;
    assert_line_refused(
        IMAGE_LINE("\"seed\": 1, "),
        "edits.jsonl:17: \"seed\" has no effect: the noise that an \"image\" is edited "
        "from is its inversion");
    assert_line_refused("{\"id\": \"a\", \"source\": \"a cat\", \"inversion\": \"ddim\"}",
                        "edits.jsonl:17: \"inversion\" has no effect without an \"image\"");
    assert_line_refused(IMAGE_LINE("\"crop\": {\"tip\": 3}, "),
                        "edits.jsonl:17.crop: unknown key \"tip\"; did you mean \"top\"?");
    assert_target_refused("\"prompt\": \"a dog\", \"edit\": \"replace\", "
                          "\"local_blend\": {\"background\": \"inversion\"}",
                          TARGET
                          ".local_blend: there is no \"inversion\" to be the background without "
                          "an \"image\"");
    assert_target_refused("\"prompt\": \"a dog\", \"edit\": \"replace\", \"local_blend\": {}, "
                          "\"restore\": {\"threshold\": 0.5}",
                          TARGET
                          ".restore: \"threshold\" has no effect beside a local_blend, whose "
                          "mask is used");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(meta_may_hold_anything),
        cmocka_unit_test(what_is_left_out_is_the_references),
        cmocka_unit_test(the_subtracted_words_have_the_blends_own_threshold),
        cmocka_unit_test(a_dictionary_without_default_edits_the_other_words_throughout),
        cmocka_unit_test(reweighting_keeps_the_sources_prompt),
        cmocka_unit_test(defaults_fill_in_what_a_line_leaves_out_and_no_more),
        cmocka_unit_test(defaults_that_name_one_edit_are_refused),
        cmocka_unit_test(a_resolved_line_resolves_to_itself),
        cmocka_unit_test(a_wrong_line_is_refused),
        cmocka_unit_test(too_many_targets_are_refused),
        cmocka_unit_test(a_target_without_what_it_needs_is_refused),
        cmocka_unit_test(a_wrong_window_is_refused),
        cmocka_unit_test(a_wrong_equalizer_is_refused),
        cmocka_unit_test(a_wrong_blend_is_refused),
        cmocka_unit_test(what_is_no_target_is_refused),
        cmocka_unit_test(an_image_is_inverted_directly_unless_it_says_otherwise),
        cmocka_unit_test(null_text_inversion_has_the_references_constants_unless_it_says_otherwise),
        cmocka_unit_test(inversions_that_do_not_exist_or_cannot_be_so_are_refused),
        cmocka_unit_test(keys_without_effect_on_an_image_or_without_one_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
