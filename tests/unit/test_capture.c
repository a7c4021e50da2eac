#include "test.h"

#include "pm/data/capture.h"

#include <string.h>

static struct pm_error err;

/* The caller frees *json. */
static bool read_text(struct pm_capture *out, json_t **json, const char *text)
{
    *json = json_loads(text, 0, NULL);
    assert_non_null(*json);
    err = (struct pm_error){0};
    return pm_capture_read(out, *json, "run.json", &err);
}

static void nothing_said_keeps_one_mean_map_a_token(void **state)
{
    (void)state;
    struct pm_capture c;
    json_t *json;
    assert_ok(read_text(&c, &json, "{}"), err);
    assert_true(c.images && c.latents == PM_STORE_ENDS && c.attention_count == 1);
    const struct pm_capture_attention *a = &c.attention[0];
    assert_string_equal(a->name, "cross_mean");
    assert_true(!a->is_self && !a->is_before && !a->of_words && !a->has_size);
    assert_true(a->number == PM_STORE_F32 && a->steps == PM_CAPTURE_MEAN &&
                a->layers == PM_CAPTURE_MEAN && a->heads == PM_CAPTURE_MEAN);
    const json_t *first = json_array_get(json_object_get(json, "attention"), 0);
    assert_int_equal(json_object_size(first), 9); /* all that there is to say is said */
    json_decref(json);
}

static void every_key_is_read(void **state)
{
    (void)state;
    struct pm_capture c;
    json_t *json;
    assert_ok(
        read_text(&c, &json,
                  "{\"images\": false, \"latents\": \"trajectory\", \"attention\": ["
                  "{\"name\": \"w\", \"size\": [8, 12], \"layers\": \"each\", \"heads\": \"each\", "
                  "\"steps\": [0, 9, 49], \"tokens\": \"words\", \"when\": \"before\", "
                  "\"dtype\": \"u8\"}, "
                  "{\"name\": \"S_2\", \"kind\": \"self\", \"layers\": [4], \"dtype\": \"f16\"}]}"),
        err);
    assert_true(!c.images && c.latents == PM_STORE_TRAJECTORY && c.attention_count == 2);
    const struct pm_capture_attention *self = &c.attention[0], *words = &c.attention[1];
    assert_string_equal(self->name, "S_2"); /* sorted as bytes are */
    assert_true(self->is_self && self->layers == PM_CAPTURE_LISTED && !self->has_size &&
                self->number == PM_STORE_F16);
    assert_int_equal(json_integer_value(json_array_get(self->listed_layers, 0)), 4);
    assert_true(words->of_words && words->is_before && words->number == PM_STORE_U8 &&
                words->has_size && words->height == 8 && words->width == 12);
    assert_true(words->steps == PM_CAPTURE_LISTED && words->layers == PM_CAPTURE_EACH &&
                words->heads == PM_CAPTURE_EACH && json_array_size(words->listed_steps) == 3);
    json_decref(json);
}

static void the_order_of_captures_means_nothing(void **state)
{
    (void)state;
    struct pm_capture c;
    json_t *one, *other;
    assert_ok(read_text(&c, &one, "{\"attention\": [{\"name\": \"a\"}, {\"name\": \"b\"}]}"), err);
    assert_ok(read_text(&c, &other, "{\"attention\": [{\"name\": \"b\"}, {\"name\": \"a\"}]}"),
              err);
    assert_true(json_equal(one, other));
    json_decref(one);
    json_decref(other);
    assert_ok(read_text(&c, &one, "{\"attention\": []}"), err);
    assert_int_equal(c.attention_count, 0);
    json_decref(one);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"trajectory\": true}", "unknown key \"trajectory\""},
        {"{\"latents\": \"all\"}", "\"latents\" is \"all\""},
        {"{\"attention\": {}}", "is to be a list of captures, not an object"},
        {"{\"attention\": [1]}", "run.json"},
        {"{\"attention\": [{}]}", "\"name\" of a capture is missing"},
        {"{\"attention\": [{\"name\": \"a/b\"}]}", "the name \"a/b\" is not of 1 to"},
        {"{\"attention\": [{\"name\": \"\"}]}", "the name \"\" is not of 1 to"},
        {"{\"attention\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}",
         "two captures have the name \"a\""},
        {"{\"attention\": [{\"name\": \"a\", \"layer\": 1}]}", "did you mean \"layers\"?"},
        {"{\"attention\": [{\"name\": \"a\", \"size\": [16]}]}", "\"size\" is to be"},
        {"{\"attention\": [{\"name\": \"a\", \"size\": \"16\"}]}", "\"size\" is to be"},
        {"{\"attention\": [{\"name\": \"a\", \"steps\": []}]}", "\"steps\" is to be \"mean\""},
        {"{\"attention\": [{\"name\": \"a\", \"steps\": [3, 3]}]}", "ascending"},
        {"{\"attention\": [{\"name\": \"a\", \"layers\": [-1]}]}", "ascending"},
        {"{\"attention\": [{\"name\": \"a\", \"layers\": [1.5]}]}", "ascending"},
        {"{\"attention\": [{\"name\": \"a\", \"heads\": [1]}]}", "\"heads\" is to be \"mean\" or"},
        {"{\"attention\": [{\"name\": \"a\", \"kind\": \"self\", \"tokens\": \"all\"}]}",
         "the capture \"a\": self-attention has no \"tokens\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_capture c;
        json_t *json;
        assert_fails(read_text(&c, &json, cases[i][0]), err, cases[i][1]);
        json_decref(json);
    }
}

static void seventeen_captures_are_one_too_many(void **state)
{
    (void)state;
    struct pm_capture c;
    json_t *list = json_array();
    for (int i = 0; i <= PM_STORE_MAX_CAPTURES; i++)
        json_array_append_new(list, json_pack("{so}", "name", json_sprintf("c%d", i)));
    json_t *json = json_pack("{so}", "attention", list);
    err = (struct pm_error){0};
    assert_fails(pm_capture_read(&c, json, "run.json", &err), err, "17 captures; 16 are the most");
    json_array_remove(list, 0);
    err = (struct pm_error){0};
    assert_ok(pm_capture_read(&c, json, "run.json", &err), err);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_keeps_one_mean_map_a_token),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(the_order_of_captures_means_nothing),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(seventeen_captures_are_one_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
