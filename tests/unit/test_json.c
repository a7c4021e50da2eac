#include "test.h"

#include "generate.h"
#include "temporary.h"

#include "pm/base/json.h"

#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text)
{
    struct pm_error err = {0};
    json_t *json = NULL;
    assert_ok(pm_json_parse(&json, text, strlen(text), "here", &err), err);
    return json;
}

static void assert_not_parsed(const char *text, size_t bytes, const char *sentence)
{
    struct pm_error err = {0};
    json_t *json = NULL;
    assert_fails(pm_json_parse(&json, text, bytes, "edits.jsonl:17", &err), err, sentence);
    assert_int_equal(err.code, PM_E_FORMAT);
    assert_null(json);
}

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_not_parsed("{\"a\": 1", 7, "edits.jsonl:17: column 7:");
    assert_not_parsed("", 0, "edits.jsonl:17:");
    assert_not_parsed("{\"a\": 1} {}", 11, "edits.jsonl:17:");
    assert_not_parsed("{\"a\": 1, \"a\": 2}", 16, "duplicate object key");
    assert_not_parsed("[\"\xff\"]", 5, "edits.jsonl:17:");
    assert_not_parsed("[NaN]", 5, "edits.jsonl:17:");
}

static void only_the_given_bytes_are_parsed(void **state)
{
    (void)state;
    struct pm_error err = {0};
    json_t *json = NULL;
    assert_ok(pm_json_parse(&json, "[12]junk", 4, "here", &err), err);
    assert_int_equal(json_integer_value(json_array_get(json, 0)), 12);
    json_decref(json);
}

static void a_file_is_read_whole(void **state)
{
    (void)state;
    enum { LETTERS = 200001 }; /* larger than the first buffer */
    struct pm_error err = {0};
    json_t *json = NULL;
    char *text = test_malloc(LETTERS + 3);
    memset(text, 'x', LETTERS + 2);
    text[0] = text[LETTERS + 1] = '"';
    text[LETTERS + 2] = '\0';
    char *list = test_malloc(LETTERS + 8);
    strcpy(list, "[");
    strcat(list, text);
    strcat(list, "]");
    temporary_write_text("large.json", list);
    assert_ok(pm_json_load(&json, temporary_path("large.json"), LETTERS + 4, &err), err);
    assert_int_equal(json_string_length(json_array_get(json, 0)), LETTERS);
    json_decref(json);
    assert_fails(pm_json_load(&json, temporary_path("large.json"), LETTERS + 3, &err), err,
                 "large.json is larger than 200004 bytes");
    test_free(text);
    test_free(list);
}

static void a_file_of_pythons_may_have_infinite_numbers(void **state)
{
    (void)state;
    struct pm_error err = {0};
    json_t *json = NULL;
    temporary_write_text("python.json", "{\"a\": -Infinity, \"b\": [Infinity, 1], \"Infinity\": "
                                        "\"\\\"-Infinity\"}");
    assert_fails(pm_json_load(&json, temporary_path("python.json"), 99, &err), err,
                 "python.json:1");
    assert_ok(pm_json_load_python(&json, temporary_path("python.json"), 99, &err), err);
    assert_true(json_is_null(json_object_get(json, "a")));
    assert_true(json_is_null(json_array_get(json_object_get(json, "b"), 0)));
    assert_string_equal(json_string_value(json_object_get(json, "Infinity")), "\"-Infinity");
    json_decref(json);
    temporary_write_text("cut.json", "{\"a\": -Infinit");
    assert_fails(pm_json_load_python(&json, temporary_path("cut.json"), 99, &err), err,
                 "cut.json:1");
    temporary_write_text("cut.json", "\"\\");
    assert_fails(pm_json_load_python(&json, temporary_path("cut.json"), 99, &err), err,
                 "cut.json:1");
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct pm_error err = {0};
    json_t *json = NULL;
    assert_fails(pm_json_load(&json, temporary_path("none.json"), 99, &err), err,
                 "/none.json: No such file");
    assert_int_equal(err.code, PM_E_IO);
    assert_fails(pm_json_load(&json, temporary_path("."), 99, &err), err, "is not a regular file");
    assert_int_equal(err.code, PM_E_IO);
    temporary_write_text("broken.json", "{\n \"a\": ?}");
    assert_fails(pm_json_load(&json, temporary_path("broken.json"), 99, &err), err,
                 "/broken.json:2:7: ");
    temporary_write_text("twice.json", "{\"a\": 1,\n \"a\": 2}");
    assert_fails(pm_json_load(&json, temporary_path("twice.json"), 99, &err), err, "twice.json:2:");
}

static void an_absent_key_leaves_the_default(void **state)
{
    (void)state;
    json_t *json = parse("{}");
    struct pm_error err = {0};
    const char *text = "kept";
    bool flag = true;
    double number = 1.5;
    size_t size = 7;
    uint64_t wide = 8;
    int choice = 9;
    static const char *const names[] = {"a", NULL};
    assert_ok(pm_json_string(json, "here", "k", &text, &err), err);
    assert_ok(pm_json_bool(json, "here", "k", &flag, &err), err);
    assert_ok(pm_json_number(json, "here", "k", 5.0, 6.0, &number, &err), err);
    assert_ok(pm_json_size(json, "here", "k", 10, 11, &size, &err), err);
    assert_ok(pm_json_uint64(json, "here", "k", 1, &wide, &err), err);
    assert_ok(pm_json_choice(json, "here", "k", names, &choice, &err), err);
    assert_string_equal(text, "kept");
    assert_true(flag && number == 1.5 && size == 7 && wide == 8 && choice == 9);
    json_decref(json);
}

static void values_are_read(void **state)
{
    (void)state;
    json_t *json = parse("{\"s\": \"W\u00FCrfel\", \"f\": false, \"x\": -0.25, \"n\": 3, \"u\": "
                         "9223372036854775807, \"c\": \"two\"}");
    struct pm_error err = {0};
    const char *text = NULL;
    bool flag = true;
    double number = 0.0, whole = 0.0;
    size_t size = 0;
    uint64_t wide = 0;
    int choice = -1;
    static const char *const names[] = {"one", "two", NULL};
    assert_ok(pm_json_string(json, "here", "s", &text, &err), err);
    assert_ok(pm_json_bool(json, "here", "f", &flag, &err), err);
    assert_ok(pm_json_number(json, "here", "x", -0.25, 0.0, &number, &err), err);
    assert_ok(pm_json_number(json, "here", "n", 0.0, 3.0, &whole, &err), err);
    assert_ok(pm_json_size(json, "here", "n", 3, 3, &size, &err), err);
    assert_ok(pm_json_uint64(json, "here", "u", INT64_MAX, &wide, &err), err);
    assert_ok(pm_json_choice(json, "here", "c", names, &choice, &err), err);
    assert_string_equal(text, "W\u00FCrfel");
    assert_true(!flag && number == -0.25 && whole == 3.0 && size == 3 && choice == 1);
    assert_true(wide == INT64_MAX);
    json_decref(json);
}

/* Each getter on {"k": value} must fail with its sentence. */
static void assert_refused(const char *json_text, const char *kind, const char *sentence)
{
    static const char *const names[] = {"ddim", "pndm", NULL};
    struct pm_error err = {0};
    json_t *json = parse(json_text);
    const char *text;
    bool flag;
    double number;
    size_t size;
    uint64_t wide;
    int choice;
    bool ok =
        strcmp(kind, "string") == 0   ? pm_json_string(json, "c.json", "k", &text, &err)
        : strcmp(kind, "bool") == 0   ? pm_json_bool(json, "c.json", "k", &flag, &err)
        : strcmp(kind, "number") == 0 ? pm_json_number(json, "c.json", "k", -1, 2, &number, &err)
        : strcmp(kind, "size") == 0   ? pm_json_size(json, "c.json", "k", 2, 1000, &size, &err)
        : strcmp(kind, "uint64") == 0 ? pm_json_uint64(json, "c.json", "k", 99, &wide, &err)
                                      : pm_json_choice(json, "c.json", "k", names, &choice, &err);
    if (ok) fail_msg("%s was taken as a %s", json_text, kind);
    assert_int_equal(err.code, PM_E_INPUT);
    assert_string_equal(err.message, sentence);
    json_decref(json);
}

static void a_wrong_value_is_refused_with_what_is_wanted(void **state)
{
    (void)state;
    assert_refused("{\"k\": 3}", "string", "c.json: \"k\" is a whole number; a string is wanted");
    assert_refused("{\"k\": null}", "string", "c.json: \"k\" is null; a string is wanted");
    assert_refused("{\"k\": \"true\"}", "bool",
                   "c.json: \"k\" is a string; true or false is wanted");
    assert_refused("{\"k\": [1]}", "number", "c.json: \"k\" is a list; a number is wanted");
    assert_refused("{\"k\": 2.5}", "number", "c.json: \"k\" is 2.5; it must be from -1 to 2");
    assert_refused("{\"k\": -1.5}", "number", "c.json: \"k\" is -1.5; it must be from -1 to 2");
    assert_refused("{\"k\": 2.0}", "size", "c.json: \"k\" is a number; a whole number is wanted");
    assert_refused("{\"k\": 1}", "size", "c.json: \"k\" is 1; it must be from 2 to 1000");
    assert_refused("{\"k\": 1001}", "size", "c.json: \"k\" is 1001; it must be from 2 to 1000");
    assert_refused("{\"k\": -3}", "size", "c.json: \"k\" is -3; it must be from 2 to 1000");
    assert_refused("{\"k\": -3}", "uint64", "c.json: \"k\" is -3; it must be from 0 to 99");
    assert_refused("{\"k\": 100}", "uint64", "c.json: \"k\" is 100; it must be from 0 to 99");
    assert_refused("{\"k\": true}", "uint64",
                   "c.json: \"k\" is true or false; a whole number is wanted");
    assert_refused("{\"k\": \"dpm\"}", "choice",
                   "c.json: \"k\" is \"dpm\"; it must be one of \"ddim\", \"pndm\"");
    assert_refused("{\"k\": {}}", "choice", "c.json: \"k\" is an object; a string is wanted");
}

static void an_unknown_key_is_refused_with_the_nearest_known_one(void **state)
{
    (void)state;
    static const char *const known[] = {"steps", "guidance_scale", "seed", NULL};
    struct pm_error err = {0};
    json_t *good = parse("{\"seed\": 1, \"steps\": 2}"), *slip = parse("{\"guidance_scal\": 7}");
    json_t *strange = parse("{\"elephant\": 1}"), *list = parse("[]");
    assert_ok(pm_json_check_keys(good, "c.json", known, &err), err);
    assert_fails(pm_json_check_keys(slip, "c.json", known, &err), err,
                 "c.json: unknown key \"guidance_scal\"; did you mean \"guidance_scale\"?");
    assert_fails(
        pm_json_check_keys(strange, "c.json", known, &err), err,
        "c.json: unknown key \"elephant\"; there are \"steps\", \"guidance_scale\", \"seed\"");
    assert_null(strstr(err.message, "did you mean"));
    assert_fails(pm_json_check_keys(list, "c.json", known, &err), err,
                 "c.json: an object {...} is wanted, not a list");
    assert_fails(pm_json_check_keys(NULL, "c.json", known, &err), err, "not null");
    json_decref(good);
    json_decref(slip);
    json_decref(strange);
    json_decref(list);
}

static void a_long_list_of_what_there_is_ends_in_an_ellipsis(void **state)
{
    (void)state;
    static const char *const many[] = {"cross_replace_steps",     "self_replace_steps",
                                       "cross_replace_max_side",  "self_replace_max_side",
                                       "equalizer_after_replace", "local_blend_threshold",
                                       "negative_prompt",         NULL};
    struct pm_error err = {0};
    json_t *strange = parse("{\"x\": 1}");
    assert_fails(pm_json_check_keys(strange, "c.json", many, &err), err,
                 "unknown key \"x\"; there are \"cross_replace_steps\", \"self_replace_steps\", ");
    size_t length = strlen(err.message);
    assert_string_equal(err.message + length - 15, "threshold\", ...");
    json_decref(strange);
}

static void the_nearest_word_is_the_one_with_the_fewest_slips(void **state)
{
    (void)state;
    static const char *const words[] = {"cat", "cart", "meadow", NULL};
    assert_string_equal(pm_nearest_word("cat", words), "cat");
    assert_string_equal(pm_nearest_word("catr", words), "cat"); /* the first of equals */
    assert_string_equal(pm_nearest_word("cartt", words), "cart");
    assert_string_equal(pm_nearest_word("medow", words), "meadow");
    assert_null(pm_nearest_word("dog", words));
    static const char *const far[] = {"crop", "inversions", NULL};
    assert_null(pm_nearest_word("prompt", far));
    assert_null(pm_nearest_word("iterations", far));
    assert_string_equal(pm_nearest_word("invresion", far), "inversions");
    assert_null(pm_nearest_word("", words));
    char long_word[128];
    memset(long_word, 'm', sizeof long_word);
    long_word[127] = '\0';
    const char *const long_words[] = {long_word, NULL};
    assert_null(pm_nearest_word(long_word, words));
    assert_null(pm_nearest_word("m", long_words));
}

static json_t *generate_string(struct generator *g)
{
    static const char *const parts[] = {"a",    "red ball", "\"", "\\", "/",  "\n",
                                        "\x01", "\x7f",     "ü",  "猫", "\t", ""};
    char text[256] = "";
    for (size_t n = generate_below(g, 8); n > 0; n--)
        strcat(text, parts[generate_below(g, sizeof parts / sizeof *parts)]);
    return json_string(text);
}

static json_t *generate_number(struct generator *g)
{
    static const double reals[] = {0.8,  0.4,    1.0,    -0.0, 0.0, 1e-7, -2.5e300, 1e16,
                                   1e17, 123456, 5e-324, 1e22, 0.1, 1e-5, 1.0 / 3,  1e-4};
    static const json_int_t wholes[] = {0, -1, 7, 1234567890123, INT64_MAX, INT64_MIN, -10, 100};
    if (generate_below(g, 2) == 0)
        return json_real(reals[generate_below(g, sizeof reals / sizeof *reals)]);
    return json_integer(wholes[generate_below(g, sizeof wholes / sizeof *wholes)]);
}

static json_t *generate_value(struct generator *g, size_t depth)
{
    size_t kind = generate_below(g, depth > 0 ? 7 : 4);
    if (kind == 0) return generate_string(g);
    if (kind == 1) return generate_number(g);
    if (kind == 2) return json_boolean(generate_below(g, 2));
    if (kind == 3) return json_null();
    json_t *out = kind == 4 ? json_array() : json_object();
    for (size_t n = generate_below(g, kind == 6 ? 40 : 5); n > 0; n--) {
        json_t *value = generate_value(g, depth - 1);
        if (kind == 4) {
            json_array_append_new(out, value);
        } else {
            json_t *key = generate_string(g);
            json_object_set_new(out, json_string_value(key), value);
            json_decref(key);
        }
    }
    return out;
}

static void a_text_is_janssons_compact_one_with_keys_in_order(void **state)
{
    (void)state;
    enum { CASES = 300 };
    for (size_t i = 0; i < CASES; i++) {
        struct generator g = generate(i);
        json_t *json = generate_value(&g, 3);
        char *text = pm_json_text(json);
        char *expected = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
        if (strcmp(text, expected) != 0)
            fail_msg("case %llu: %s, not %s", (unsigned long long)g.number, text, expected);
        free(text);
        free(expected);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(only_the_given_bytes_are_parsed),
        cmocka_unit_test(a_file_is_read_whole),
        cmocka_unit_test(a_file_of_pythons_may_have_infinite_numbers),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(an_absent_key_leaves_the_default),
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(a_text_is_janssons_compact_one_with_keys_in_order),
        cmocka_unit_test(a_wrong_value_is_refused_with_what_is_wanted),
        cmocka_unit_test(an_unknown_key_is_refused_with_the_nearest_known_one),
        cmocka_unit_test(a_long_list_of_what_there_is_ends_in_an_ellipsis),
        cmocka_unit_test(the_nearest_word_is_the_one_with_the_fewest_slips),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
