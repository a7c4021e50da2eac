#include "test.h"

#include "golden.h"

#include "pm/data/config.h"
#include "pm/edit/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_profile(struct pm_config *c, const char *profile, const char *more)
{
    char text[2048];
    struct pm_error err = {0};
    int n =
        snprintf(text, sizeof text,
                 "{\"model\": \"m\", \"manifest\": \"e\", \"profile\": \"%s\"%s}", profile, more);
    assert_ok(pm_config_parse(c, text, (size_t)n, "c.json", &err), err);
    assert_ok(pm_recipe_check_defaults(c->defaults, "defaults", &err), err);
}

static double number(const struct pm_config *c, const char *key)
{
    const json_t *value = json_object_get(c->defaults, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* The goldens' own parameters, as the authors' classes had them. */
static void a_profile_has_what_its_goldens_were_made_with(void **state)
{
    (void)state;
    static const struct {
        const char *profile, *golden;
        enum pm_config_scheduler scheduler;
    } cases[] = {
        {"ptp-stable", "edits/scenes/01_replace_stable", PM_SCHEDULER_PNDM},
        {"ptp-stable", "edits/mini-sd1/m1_replace_blend_stable", PM_SCHEDULER_PNDM},
        {"ptp-null-text", "edits/scenes/02_replace_blend_multitoken_nulltext", PM_SCHEDULER_DDIM}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_config c;
        struct golden golden = golden_open("%s", cases[i].golden);
        const json_t *g = golden.json, *blend = json_object_get(g, "local_blend");
        read_profile(&c, cases[i].profile, "");
        assert_int_equal(c.scheduler, cases[i].scheduler);
        assert_true(c.guidance_scale == json_number_value(json_object_get(g, "guidance")));
        assert_true(number(&c, "cross_replace_steps") ==
                    json_number_value(json_object_get(g, "cross")));
        assert_true(number(&c, "self_replace_steps") ==
                    json_number_value(json_object_get(g, "self")));
        double side = json_number_value(json_array_get(json_object_get(g, "lat_hw"), 0)) *
                      number(&c, "self_replace_max_side");
        assert_true(side * side ==
                    json_number_value(json_object_get(g, "self_replace_max_pixels")));
        double steps = json_number_value(json_object_get(g, "steps"));
        if (json_is_object(blend))
            assert_true(number(&c, "local_blend.start") * steps ==
                        json_number_value(json_object_get(blend, "start_step")));
        golden_close(&golden);
        pm_config_free(&c);
    }
}

static void pnpinversion_is_direct_inversion_and_refinement(void **state)
{
    (void)state;
    struct pm_config c;
    read_profile(&c, "pnpinversion", "");
    assert_string_equal(json_string_value(json_object_get(c.defaults, "inversion")), "direct");
    assert_string_equal(json_string_value(json_object_get(c.defaults, "edit")), "refine");
    assert_true(number(&c, "cross_replace_steps") == 0.4 &&
                number(&c, "self_replace_steps") == 0.6);
    assert_true(number(&c, "seed") == 1234);
    pm_config_free(&c);
}

static void ip2p_replaces_self_attention_everywhere_and_no_cross_attention(void **state)
{
    (void)state;
    struct pm_config c;
    read_profile(&c, "ip2p", "");
    assert_int_equal(c.steps, 100);
    assert_true(number(&c, "cross_replace_steps") == 0.0);
    assert_true(number(&c, "self_replace_max_side") == 1.0);
    pm_config_free(&c);
}

static void what_the_config_says_goes_before_the_profile(void **state)
{
    (void)state;
    struct pm_config c;
    read_profile(&c, "ptp-stable",
                 ", \"steps\": 7, \"scheduler\": \"ddim\", \"seed\": 3, \"defaults\": "
                 "{\"self_replace_max_pixels\": 64, \"local_blend.start\": 0.5}");
    assert_int_equal(c.steps, 7);
    assert_int_equal(c.scheduler, PM_SCHEDULER_DDIM);
    assert_true(number(&c, "seed") == 3);
    assert_true(number(&c, "local_blend.start") == 0.5);
    assert_true(number(&c, "local_blend.threshold") == 0.3);
    assert_null(json_object_get(c.defaults, "self_replace_max_side"));
    pm_config_free(&c);
}

static void a_resolved_config_stays_as_it_is(void **state)
{
    (void)state;
    struct pm_config c, again;
    struct pm_error err = {0};
    read_profile(&c, "ptp-null-text", ", \"seed\": 5");
    char *text = pm_config_text(&c);
    assert_ok(pm_config_parse(&again, text, strlen(text), "again", &err), err);
    char *text_again = pm_config_text(&again);
    assert_string_equal(text, text_again);
    free(text);
    free(text_again);
    pm_config_free(&c);
    pm_config_free(&again);
}

static void a_profile_is_another_way_to_say_its_keys(void **state)
{
    (void)state;
    struct pm_config c, spelled_out;
    struct pm_error err = {0};
    read_profile(&c, "ip2p", "");
    char *text = pm_config_text(&c);
    json_t *json = json_loads(text, 0, NULL);
    json_object_del(json, "profile");
    char *without = json_dumps(json, 0);
    assert_ok(pm_config_parse(&spelled_out, without, strlen(without), "c", &err), err);
    assert_ok(pm_config_same_results(&c, &spelled_out, &err), err);
    free(text);
    free(without);
    json_decref(json);
    pm_config_free(&c);
    pm_config_free(&spelled_out);
}

static void an_unknown_profile_is_refused_with_what_there_is(void **state)
{
    (void)state;
    struct pm_config c;
    struct pm_error err = {0};
    const char *text = "{\"model\": \"m\", \"manifest\": \"e\", \"profile\": \"ptp\"}";
    assert_fails(pm_config_parse(&c, text, strlen(text), "c.json", &err), err,
                 "c.json: \"profile\" is \"ptp\"");
    assert_non_null(strstr(err.message, "\"ptp-null-text\""));
}

static void blend_defaults_are_for_blends_that_do_not_say_it(void **state)
{
    (void)state;
    struct pm_config c;
    struct pm_recipe recipe;
    struct pm_error err = {0};
    const char *line =
        "{\"id\": \"a\", \"source\": \"a cat\", \"targets\": ["
        "{\"prompt\": \"a dog\", \"edit\": \"replace\", \"local_blend\": {}},"
        "{\"prompt\": \"a dog\", \"edit\": \"replace\", \"local_blend\": {\"start\": 0.7}},"
        "{\"prompt\": \"a dog\", \"edit\": \"replace\"}]}";
    read_profile(&c, "ptp-stable", "");
    json_t *json = json_loads(line, 0, NULL);
    pm_recipe_resolve(json, c.defaults);
    assert_ok(pm_recipe_read(&recipe, json, "line", &err), err);
    assert_true(recipe.targets[0].blend.start == 0.0 && recipe.targets[0].blend.threshold == 0.3);
    assert_true(recipe.targets[1].blend.start == 0.7);
    assert_false(recipe.targets[2].has_blend);
    pm_recipe_free(&recipe);
    pm_config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_profile_has_what_its_goldens_were_made_with),
        cmocka_unit_test(pnpinversion_is_direct_inversion_and_refinement),
        cmocka_unit_test(ip2p_replaces_self_attention_everywhere_and_no_cross_attention),
        cmocka_unit_test(what_the_config_says_goes_before_the_profile),
        cmocka_unit_test(a_resolved_config_stays_as_it_is),
        cmocka_unit_test(a_profile_is_another_way_to_say_its_keys),
        cmocka_unit_test(an_unknown_profile_is_refused_with_what_there_is),
        cmocka_unit_test(blend_defaults_are_for_blends_that_do_not_say_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
