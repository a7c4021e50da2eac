#include "test.h"

#include "pm/data/manifest.h"
#include "pm/data/sweep.h"

#include "temporary.h"

#include <string.h>
#include <time.h>

static json_t *parse(const char *text)
{
    struct pm_error err = {0};
    json_t *json;
    assert_ok(pm_json_parse(&json, text, strlen(text), "test", &err), err);
    return json;
}

static const char three_keys[] = "{\"seed\": [7, 8], \"cross_replace_steps\": [0.4, [0.2, 0.8], "
                                 "{\"cube\": 0.5, \"default\": 1}], "
                                 "\"equalizer\": [null, {\"red\": -2.5}]}";
#define SELF "\"self_replace_steps\": {\"uniform\": [0.1, 0.9]}"
#define SEED "\"seed\": {\"uniform\": [10, 13]}"
static const char line_text[] =
    "{\"id\": \"a\", \"source\": \"a red ball\", \"seed\": 1, \"targets\": [{\"prompt\": \"a red "
    "cube\", "
    "\"edit\": \"replace\", \"cross_replace_steps\": 0.9}, {\"prompt\": \"a blue ball\"}]}";

static void every_setting_has_a_label_of_its_own(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sweep sweep;
    json_t *json = parse(three_keys);
    assert_ok(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err);
    assert_int_equal(sweep.settings, 12);
    static const char *const wanted[] = {
        "cross=0.4,equalizer=none,seed=7",     "cross=0.4,equalizer=none,seed=8",
        "cross=0.4,equalizer=red:-2.5,seed=7", "cross=0.4,equalizer=red:-2.5,seed=8",
        "cross=0.2-0.8,equalizer=none,seed=7", "cross=0.2-0.8,equalizer=none,seed=8",
    };
    char label[PM_SWEEP_LABEL_BYTES];
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        pm_sweep_label(label, &sweep, i);
        assert_string_equal(label, wanted[i]);
    }
    pm_sweep_label(label, &sweep, 11);
    assert_string_equal(label, "cross=cube:0.5+default:1,equalizer=red:-2.5,seed=8");
    json_decref(json);
}

static void a_setting_replaces_what_the_line_says(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sweep sweep;
    json_t *json = parse(three_keys), *line = parse(line_text);
    assert_ok(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err);
    assert_ok(pm_sweep_apply(line, &sweep, 3, "edits.jsonl:1", &err), err);
    json_t *wanted = parse("{\"id\": \"a/cross=0.4,equalizer=red:-2.5,seed=8\", \"source\": \"a "
                           "red ball\", \"seed\": 8, "
                           "\"targets\": [{\"prompt\": \"a red cube\", \"edit\": \"replace\", "
                           "\"cross_replace_steps\": "
                           "0.4, \"equalizer\": {\"red\": -2.5}}, {\"prompt\": \"a blue ball\", "
                           "\"cross_replace_steps\": 0.4, \"equalizer\": {\"red\": -2.5}}]}");
    assert_true(json_equal(line, wanted));
    json_decref(wanted);
    json_decref(line);
    json_decref(json);
}

static void a_threshold_goes_into_the_default_blend_too(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sweep sweep;
    json_t *json = parse("{\"local_blend.threshold\": [0.6]}");
    json_t *defaults = parse("{\"local_blend\": {\"source\": \"ball\", \"threshold\": 0.3}}");
    json_t *line = parse(line_text);
    assert_ok(pm_sweep_read(&sweep, json, defaults, "run.json", &err), err);
    assert_ok(pm_sweep_apply(line, &sweep, 0, "edits.jsonl:1", &err), err);
    json_t *blend = parse("{\"source\": \"ball\", \"threshold\": 0.6}");
    for (size_t i = 0; i < 2; i++) {
        const json_t *target = json_array_get(json_object_get(line, "targets"), i);
        assert_true(json_equal(json_object_get(target, "local_blend"), blend));
    }
    assert_true(json_number_value(
                    json_object_get(json_object_get(defaults, "local_blend"), "threshold")) == 0.3);
    json_decref(blend);
    json_decref(line);
    json_decref(defaults);
    json_decref(json);
}

static void a_setting_that_changes_nothing_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sweep sweep;
    json_t *json = parse("{\"local_blend.threshold\": [0.6]}"), *line = parse(line_text);
    json_t *maps = parse("{\"id\": \"maps\", \"source\": \"a ball\"}");
    json_t *inversions = parse("{\"inversion\": [\"direct\", \"null-text\"]}");
    assert_ok(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err);
    assert_fails(pm_sweep_apply(line, &sweep, 0, "edits.jsonl:1", &err), err,
                 "edits.jsonl:1: the sweep of \"local_blend.threshold\" changes nothing here: "
                 "targets[0] has no \"local_blend\"");
    assert_fails(pm_sweep_apply(maps, &sweep, 0, "edits.jsonl:2", &err), err,
                 "edits.jsonl:2: the sweep of \"local_blend.threshold\" changes nothing here: the "
                 "line has no targets");
    assert_ok(pm_sweep_read(&sweep, inversions, NULL, "run.json", &err), err);
    assert_fails(pm_sweep_apply(maps, &sweep, 0, "edits.jsonl:3", &err), err,
                 "edits.jsonl:3: the sweep of \"inversion\" changes nothing here: the line has no "
                 "\"image\"");
    json_decref(inversions);
    json_decref(maps);
    json_decref(line);
    json_decref(json);
}

static void wrong_sweeps_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *sentence;
    } cases[] = {
        {"{\"seeds\": [1]}", "\"seed\""},
        {"{\"steps\": [10, 20]}", "\"steps\""},
        {"{\"seed\": []}", "\"seed\" is empty; a list of values is wanted"},
        {"{\"seed\": 7}", "a list of values is wanted"},
        {"{\"seed\": [1, 2, 1]}", "\"seed\" has 1 twice"},
        {"{\"cross_replace_steps\": [0.5, 0.50]}", "\"cross_replace_steps\" has 0.5 twice"},
        {"{\"mapper\": [\"\"]}", "value 1 of \"mapper\" is a string whose name is empty"},
        {"{\"equalizer\": [null, {\"a word of a hundred bytes, which is more than there is room "
         "for in "
         "an id of whatever length\": 0.12345}]}",
         "value 2 of \"equalizer\" is an object whose name is too long for an id"},
        {"{" SELF "}", "\"random\" is missing: how often to draw"},
        {"{\"random\": 2, \"seed\": [1]}", "has nothing to draw"},
        {"{\"random_seed\": 2}", "has nothing to draw"},
        {"{\"random\": 0, " SELF "}", "\"random\""},
        {"{\"random\": 1000001, " SELF "}", "\"random\""},
        {"{\"random\": 600000, \"mapper\": [\"corrected\", \"reference\"], " SELF "}",
         "more than 1000000 settings"},
        {"{\"random\": 2, \"seed\": {\"uniform\": [3, 3]}}", "the lower one first"},
        {"{\"random\": 2, \"seed\": {\"uniform\": [0, 1.5]}}", "whole numbers from 0 to 2^53"},
        {"{\"random\": 2, \"seed\": {\"normal\": [0, 1]}}", "unknown key \"normal\""},
        {"{\"random\": 2, \"mapper\": {\"uniform\": [0, 1]}}", "cannot be drawn"},
        {"[1]", "an object {...} is wanted, not a list"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_error err = {0};
        struct pm_sweep sweep;
        json_t *json = parse(cases[i].json);
        assert_fails(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err, cases[i].sentence);
        json_decref(json);
    }
}

/* A list of whole numbers, so many. @return owned by the caller */
static json_t *numbers(size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, json_integer((json_int_t)i));
    return list;
}

static void sweeps_that_are_too_large_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sweep sweep;
    struct pm_manifest manifest;
    json_t *json = json_pack("{s:o}", "seed", numbers(10001));
    assert_fails(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err,
                 "run.json: \"sweep\": \"seed\" has 10001 values; 10000 are the most");
    json_decref(json);
    json = json_pack("{s:o, s:o}", "cross_replace_steps", numbers(1000), "seed", numbers(1001));
    assert_fails(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err,
                 "run.json: \"sweep\" has more than 1000000 settings");
    json_decref(json);

    json = json_pack("{s:o, s:o}", "cross_replace_steps", numbers(1000), "seed", numbers(1000));
    assert_ok(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err);
    assert_int_equal(sweep.settings, 1000000);
    char lines[2 * 51 + 1] = "";
    for (size_t i = 0; i < 51; i++) strcat(lines, "1\n");
    temporary_write_text("many.jsonl", lines);
    assert_ok(pm_manifest_open(&manifest, temporary_path("many.jsonl"), &err), err);
    assert_fails(pm_manifest_sweep(&manifest, &sweep, &err), err,
                 "51 lines with 1000000 settings each are too many; 50000000 are the most in all");
    pm_manifest_close(&manifest);
    json_decref(json);
}

/* As many as there may be: what was given twice is looked for in no more than a moment. */
static void ten_thousand_values_are_read_at_once(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sweep sweep;
    json_t *json = json_pack("{s:o}", "seed", numbers(10000));
    clock_t start = clock();
    assert_ok(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err);
    assert_true(clock() - start < CLOCKS_PER_SEC);
    json_decref(json);
}

/* The value that a sweep gives a line in one of its settings. */
static double drawn(const char *sweep_text, const char *id, size_t setting, const char *key)
{
    struct pm_error err = {0};
    struct pm_sweep sweep;
    json_t *json = parse(sweep_text), *line = parse(line_text);
    json_object_set_new(line, "id", json_string(id));
    assert_ok(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err);
    assert_ok(pm_sweep_apply(line, &sweep, setting, "edits.jsonl:1", &err), err);
    const json_t *target = json_array_get(json_object_get(line, "targets"), 1);
    const json_t *value = json_object_get(line, key);
    double number = json_number_value(value ? value : json_object_get(target, key));
    json_decref(line);
    json_decref(json);
    return number;
}

static void draws_lie_in_their_range_and_fill_it(void **state)
{
    (void)state;
    enum { DRAWS = 400 };
    double sum = 0.0;
    size_t counts[4] = {0};
    for (size_t i = 0; i < DRAWS; i++) {
        double self = drawn("{\"random\": 400, " SELF ", " SEED "}", "a", i, "self_replace_steps");
        double seed = drawn("{\"random\": 400, " SELF ", " SEED "}", "a", i, "seed");
        assert_true(self >= 0.1 && self <= 0.9);
        assert_true(seed >= 10.0 && seed <= 13.0 && seed == (double)(size_t)seed);
        sum += self;
        counts[(size_t)seed - 10]++;
    }
    assert_true(sum / DRAWS > 0.45 && sum / DRAWS < 0.55); /* sigma of the mean: 0.012 */
    for (size_t i = 0; i < 4; i++) assert_in_range(counts[i], 60, 140); /* 100, sigma 9 */
}

static void a_draw_depends_on_seed_line_number_and_key_alone(void **state)
{
    (void)state;
    const char *key = "self_replace_steps";
    double value = drawn("{\"random\": 4, " SELF "}", "a", 2, key);
    assert_true(value == drawn("{\"random\": 9, " SELF ", " SEED "}", "a", 2, key));
    assert_true(value == drawn("{\"random\": 4, \"mapper\": [\"corrected\", \"reference\"], " SELF
                               "}",
                               "a", 6, key));
    assert_true(value != drawn("{\"random\": 4, \"random_seed\": 1, " SELF "}", "a", 2, key));
    assert_true(value != drawn("{\"random\": 4, " SELF "}", "b", 2, key));
    assert_true(value != drawn("{\"random\": 4, " SELF "}", "a", 3, key));
    /* pinned: a store that was begun must be gone on with by later programs */
    assert_int_equal((int)(value * 1e6 + 0.5), 580922);
}

static void draws_have_their_numbers_as_labels(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sweep sweep;
    char label[PM_SWEEP_LABEL_BYTES];
    json_t *json = parse("{\"random\": 3, " SELF ", \"equalizer\": [null, {\"a/b\": 2}]}");
    assert_ok(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err);
    assert_int_equal(sweep.settings, 6);
    pm_sweep_label(label, &sweep, 5);
    assert_string_equal(label, "equalizer=a_b:2,draw=2");
    pm_sweep_label(label, &sweep, 0);
    assert_string_equal(label, "equalizer=none,draw=0");
    json_decref(json);
}

static void a_manifest_has_each_line_under_every_setting(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_sweep sweep;
    struct pm_manifest manifest;
    char place[PM_MANIFEST_PLACE_BYTES], name[64];
    json_t *json = parse("{\"seed\": [7, 8, 9]}");
    assert_ok(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err);
    temporary_write_text("two.jsonl", "{\"id\": \"a\"}\n\n{\"id\": \"b\"}\n");
    assert_ok(pm_manifest_open(&manifest, temporary_path("two.jsonl"), &err), err);
    assert_ok(pm_manifest_sweep(&manifest, &sweep, &err), err);
    assert_int_equal(manifest.count, 6);
    static const char *const ids[] = {"a/seed=7", "a/seed=8", "a/seed=9",
                                      "b/seed=7", "b/seed=8", "b/seed=9"};
    for (size_t i = 0; i < 6; i++) {
        json_t *line;
        assert_ok(pm_manifest_parse(&line, &manifest, i, "here", &err), err);
        assert_string_equal(json_string_value(json_object_get(line, "id")), ids[i]);
        assert_int_equal(json_integer_value(json_object_get(line, "seed")), 7 + (int)(i % 3));
        json_decref(line);
    }
    pm_manifest_place(place, &manifest, 4);
    assert_string_equal(place, "two.jsonl:3 (seed=8)");
    pm_manifest_name(name, sizeof name, &manifest, 4);
    assert_string_equal(name, "line-3/seed=8");
    pm_manifest_close(&manifest);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_has_a_label_of_its_own),
        cmocka_unit_test(a_setting_replaces_what_the_line_says),
        cmocka_unit_test(a_threshold_goes_into_the_default_blend_too),
        cmocka_unit_test(a_setting_that_changes_nothing_is_refused),
        cmocka_unit_test(wrong_sweeps_are_refused),
        cmocka_unit_test(sweeps_that_are_too_large_are_refused),
        cmocka_unit_test(ten_thousand_values_are_read_at_once),
        cmocka_unit_test(draws_lie_in_their_range_and_fill_it),
        cmocka_unit_test(a_draw_depends_on_seed_line_number_and_key_alone),
        cmocka_unit_test(draws_have_their_numbers_as_labels),
        cmocka_unit_test(a_manifest_has_each_line_under_every_setting),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
