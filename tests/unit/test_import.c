#include "temporary.h"
#include "test.h"

#include "pm/base/json.h"
#include "pm/data/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pm_import_options plain = {.images = "pictures"};
static const struct pm_import_options published = {.images = "pictures",
                                                   .published_settings = true};
static struct pm_import_result result;

/* @return the manifest as a list of its lines */
static json_t *import(pm_import *function, const char *text,
                      const struct pm_import_options *options)
{
    struct pm_error err = {0};
    char *manifest;
    size_t bytes;
    temporary_write_text("edits.in", text);
    FILE *out = open_memstream(&manifest, &bytes);
    assert_ok(function(&result, out, temporary_path("edits.in"), options, &err), err);
    fclose(out);
    json_t *lines = json_array();
    for (char *line = strtok(manifest, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *json = json_loads(line, 0, NULL);
        assert_non_null(json);
        json_array_append_new(lines, json);
    }
    assert_int_equal(json_array_size(lines), result.lines);
    free(manifest);
    return lines;
}

static void assert_imports(pm_import *function, const char *text,
                           const struct pm_import_options *options, const char *expected)
{
    json_t *lines = import(function, text, options), *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    if (!json_equal(lines, wanted)) {
        char *got = json_dumps(lines, JSON_REAL_PRECISION(15));
        fail_msg("%s", got);
    }
    json_decref(wanted);
    json_decref(lines);
}

static void assert_refused(pm_import *function, const char *text, const char *sentence)
{
    struct pm_error err = {0};
    char *manifest;
    size_t bytes;
    temporary_write_text("edits.in", text);
    FILE *out = open_memstream(&manifest, &bytes);
    assert_fails(function(&result, out, temporary_path("edits.in"), &plain, &err), err, sentence);
    fclose(out);
    free(manifest);
}

#define PIE(keys)                                                                                  \
    "{\"000000000007\": {\"image_path\": \"1_x/7.jpg\", \"original_prompt\": \"a [red] cat\", "    \
    "\"editing_prompt\": \"a [blue] dog\"" keys "}}"

static void pie_bench_keeps_all_it_has(void **state)
{
    (void)state;
    static const char text[] = PIE(", \"editing_instruction\": \"paint\", \"editing_type_id\": "
                                   "\"1\", \"blended_word\": \"cat dog\", \"new\": [1, null]");
#define META                                                                                       \
    "\"meta\": {\"image_path\": \"1_x/7.jpg\", \"original_prompt\": \"a [red] cat\", "             \
    "\"editing_prompt\": \"a [blue] dog\", \"editing_instruction\": \"paint\", "                   \
    "\"editing_type_id\": \"1\", \"blended_word\": \"cat dog\", \"new\": [1, null], "              \
    "\"category\": \"change object\"}"
    assert_imports(
        pm_import_pie_bench, text, &plain,
        "[{\"id\": \"000000000007\", \"source\": \"a red cat\", \"image\": "
        "\"pictures/1_x/7.jpg\", \"targets\": [{\"prompt\": \"a blue dog\", \"edit\": "
        "\"refine\", \"local_blend\": {\"source\": \"cat\", \"target\": \"dog\"}}], " META "}]");
    assert_imports(pm_import_pie_bench, text, &published,
                   "[{\"id\": \"000000000007\", \"source\": \"a red cat\", \"image\": "
                   "\"pictures/1_x/7.jpg\", \"targets\": [{\"prompt\": \"a blue "
                   "dog\", \"edit\": \"refine\", \"cross_replace_steps\": 0.4, "
                   "\"self_replace_steps\": 0.6, \"equalizer\": {\"dog\": 2.0}, \"local_blend\": "
                   "{\"source\": \"cat\", \"target\": \"dog\"}}], " META "}]");
}

/* 512 at the top, 2 each of 510 rows, 512 at the bottom. */
static void pie_bench_masks_have_their_border_edited(void **state)
{
    (void)state;
    json_t *lines = import(pm_import_pie_bench, PIE(", \"mask\": [1027, 3, 262140, 99]"), &plain);
    const json_t *mask = json_object_get(json_array_get(lines, 0), "mask");
    const json_t *runs = json_object_get(mask, "runs");
    size_t edited = 0;
    for (size_t i = 1; i < json_array_size(runs); i += 2)
        edited += (size_t)json_integer_value(json_array_get(runs, i));
    assert_int_equal(json_integer_value(json_object_get(mask, "height")), 512);
    assert_int_equal(edited, 2 * 512 + 2 * 510 + 3);
    assert_int_equal(json_integer_value(json_array_get(runs, 0)), 0);
    assert_int_equal(json_integer_value(json_array_get(runs, 1)), 513); /* and 1 of the next row */
    assert_null(json_object_get(json_object_get(json_array_get(lines, 0), "meta"), "mask"));
    json_decref(lines);
}

static void pie_bench_errors_name_entry_and_field(void **state)
{
    (void)state;
    static const char entry[] = "edits.in: \"000000000007\": \"";
    const char *const wrong[][2] = {
        {PIE(", \"mask\": [5]"), "mask\": a mask is a list"},
        {PIE(", \"mask\": [262144, 1]"), "mask\": [0]: a run of 1 pixels from 262144"},
        {PIE(", \"mask\": \"0 5\""), "mask\": a mask is a list"},
        {PIE(", \"blended_word\": \"cat\""), "blended_word\" is \"cat\""},
        {PIE(", \"blended_word\": \" cat\""), "blended_word\" is \" cat\""},
        {PIE(", \"editing_type_id\": \"10\""), "editing_type_id\" is \"10\""},
        {PIE(", \"editing_type_id\": 1"), "editing_type_id\" is a whole number"},
        {"{\"000000000007\": {\"image_path\": \"a\", \"editing_prompt\": \"b\"}}",
         "original_prompt\" is missing"},
        {"{\"000000000007\": {\"image_path\": \"\"}}", "image_path\" is empty"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char sentence[128];
        snprintf(sentence, sizeof sentence, "%s%s", entry, wrong[i][1]);
        assert_refused(pm_import_pie_bench, wrong[i][0], sentence);
    }
    assert_refused(pm_import_pie_bench, "{\"a\": 1}", "\"a\" is a whole number; an object");
    assert_refused(pm_import_pie_bench, "[]", "an object of edits by their ids");
    assert_refused(pm_import_pie_bench, "{", "edits.in:1:1");
}

static void instruct_pix2pix_takes_both_names_of_the_source(void **state)
{
    (void)state;
    assert_imports(pm_import_instruct_pix2pix,
                   "{\"input\": \"a cat\", \"edit\": \"make it a dog\", \"output\": \"a dog\"}\n\n"
                   "{\"caption\": \"b\", \"output\": \"c\", \"url\": \"u\"}\n"
                   "{\"input\": \"d\", \"output\": \"e\"}\n",
                   &plain,
                   "[{\"id\": \"0000000\", \"source\": \"a cat\", \"targets\": [{\"prompt\": "
                   "\"a dog\", \"edit\": \"refine\"}], \"meta\": {\"edit\": \"make it a dog\"}}, "
                   "{\"id\": \"0000001\", \"source\": \"b\", \"targets\": [{\"prompt\": \"c\", "
                   "\"edit\": \"refine\"}], \"meta\": {\"url\": \"u\"}}, "
                   "{\"id\": \"0000002\", \"source\": \"d\", \"targets\": [{\"prompt\": \"e\", "
                   "\"edit\": \"refine\"}]}]");
}

static void instruct_pix2pix_errors_name_line_and_field(void **state)
{
    (void)state;
    const char *const wrong[][2] = {
        {"{\"input\": \"a\", \"output\": \"b\"}\n\n{\"edit\": \"a\"}", "edits.in:3: \"input\" is"},
        {"{\"caption\": 3, \"output\": \"b\"}", "edits.in:1: \"caption\" is a whole number"},
        {"{\"input\": \"a\", \"caption\": \"a\"}", "edits.in:1: \"input\" and \"caption\""},
        {"{\"input\": \"a\"}", "edits.in:1: \"output\" is missing"},
        {"[]", "edits.in:1: an object"},
        {"{\"input\"", "edits.in:1: column"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_refused(pm_import_instruct_pix2pix, wrong[i][0], wrong[i][1]);
}

static void csv_cells_become_the_keys_of_a_line(void **state)
{
    (void)state;
    assert_imports(
        pm_import_csv,
        "\xEF\xBB\xBFid,source,prompt,edit,seed,equalizer,note\r\n"
        "a,\"a \"\"big\"\" cat, asleep\",\"a\n dog\",replace,7,\"{\"\"dog\"\": 2}\",x\r\n"
        "\r\n"
        "17,b,c,,,,\n"
        "d,e,,,,,",
        &plain,
        "[{\"id\": \"a\", \"source\": \"a \\\"big\\\" cat, asleep\", \"seed\": 7, "
        "\"targets\": [{\"prompt\": \"a\\n dog\", \"edit\": \"replace\", \"equalizer\": "
        "{\"dog\": 2}}], \"meta\": {\"note\": \"x\"}}, "
        "{\"id\": \"17\", \"source\": \"b\", \"targets\": [{\"prompt\": \"c\", "
        "\"edit\": \"refine\"}]}, {\"id\": \"d\", \"source\": \"e\"}]");
    assert_string_equal(result.kept, "note");
    assert_imports(pm_import_csv, "source,mask\nx,m.png\ny,\"{\"\"height\"\": 1}\"", &plain,
                   "[{\"id\": \"0000000\", \"source\": \"x\", \"mask\": \"m.png\"}, "
                   "{\"id\": \"0000001\", \"source\": \"y\", \"mask\": {\"height\": 1}}]");
}

static void csv_errors_name_line_and_column(void **state)
{
    (void)state;
    const char *const wrong[][2] = {
        {"id,source\na,b\n\"c\nd\",e\nf", "edits.in:5: 1 cells; the header has 2"},
        {"id,source\na,b\na,c", "edits.in:3: column \"id\" is \"a\", as in a row before"},
        {"id,source\na,", "edits.in:2: column \"source\" is missing"},
        {"source,seed\na,7x", "edits.in:2: column \"seed\" is \"7x\""},
        {"source,crop\na,{", "edits.in:2: column \"crop\" is \"{\""},
        {"source\n\"a\"b", "edits.in:2: a comma or the line's end"},
        {"source\nb\n\"a\n\n", "edits.in:3: a quoted cell begins here"},
        {"source,id,source\na,b,c", "edits.in:1: two columns are named \"source\""},
        {"source,\na,b", "edits.in:1: the name of column 2"},
        {"source,\xFF\na,b", "edits.in:1: the name of column 2"},
        {"source\n\xFF", "edits.in:2: column \"source\" is"},
        {"source\n", "a header and no rows"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_refused(pm_import_csv, wrong[i][0], wrong[i][1]);
    struct pm_error err = {0};
    temporary_write("edits.in", "source\na\0b", 10);
    assert_fails(pm_import_csv(&result, stdout, temporary_path("edits.in"), &plain, &err), err,
                 "NUL bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pie_bench_keeps_all_it_has),
        cmocka_unit_test(pie_bench_masks_have_their_border_edited),
        cmocka_unit_test(pie_bench_errors_name_entry_and_field),
        cmocka_unit_test(instruct_pix2pix_takes_both_names_of_the_source),
        cmocka_unit_test(instruct_pix2pix_errors_name_line_and_field),
        cmocka_unit_test(csv_cells_become_the_keys_of_a_line),
        cmocka_unit_test(csv_errors_name_line_and_column),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
