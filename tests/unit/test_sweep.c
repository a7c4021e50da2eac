#include "test.h"

#include "pm/data/manifest.h"
#include "pm/data/sweep.h"

#include "temporary.h"

#include <string.h>

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
    assert_ok(pm_sweep_read(&sweep, json, NULL, "run.json", &err), err);
    assert_fails(pm_sweep_apply(line, &sweep, 0, "edits.jsonl:1", &err), err,
                 "edits.jsonl:1: the sweep of \"local_blend.threshold\" changes nothing here: "
                 "targets[0] has no \"local_blend\"");
    assert_fails(pm_sweep_apply(maps, &sweep, 0, "edits.jsonl:2", &err), err,
                 "edits.jsonl:2: the sweep of \"local_blend.threshold\" changes nothing here: the "
                 "line has no targets");
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
        {"{\"mapper\": [\"\"]}", "value 1 of \"mapper\""},
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
        assert_ok(pm_manifest_parse(&line, &manifest, i, &err), err);
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
        cmocka_unit_test(a_manifest_has_each_line_under_every_setting),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
