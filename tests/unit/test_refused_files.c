/* What is refused of files from outside, and in which words: a table of files for each reader. */
#include "temporary.h"
#include "test.h"

#include "pm/base/json.h"
#include "pm/base/open_file.h"
#include "pm/data/config.h"
#include "pm/data/csv.h"
#include "pm/data/import.h"
#include "pm/data/manifest.h"
#include "pm/data/store.h"
#include "pm/edit/recipe.h"
#include "pm/model/model.h"
#include "pm/model/tensor_set.h"
#include "pm/model/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINI "tests/golden/data/models/mini-sd1/"

/** What is written and what is said of it. */
struct refusal {
    const char *text, *sentence;
};

static void configs_are_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"{\"manifest\": \"a.jsonl\"}", "\"model\" is missing"},
        {"{\"model\": \"m\"}", "\"manifest\" is missing"},
        {"{\"model\": \"m\", \"manifest\": \"a\", \"part\": \"3 of 8\"}",
         "\"part\" is \"3 of 8\"; \"PART/PARTS\" is wanted, as \"3/8\", with at most"},
        {"{\"model\": \"m\", \"manifest\": \"a\", \"part\": \"9/8\"}", "\"part\" is \"9/8\""},
        {"{\"model\": \"m\", \"manifest\": \"a\", \"seed\": 3, \"defaults\": {\"seed\": 4}}",
         "\"seed\" is given twice, also in \"defaults\""},
        {"[]", "an object {...} is wanted, not a list"},
        {"{\"model\": \"m\", \"manifest\": \"a\", \"stepps\": 3}", "did you mean \"steps\"?"},
    };
    struct pm_config config;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct pm_error err = {0};
        temporary_write_text("config.json", refusals[i].text);
        assert_fails(pm_config_load(&config, temporary_path("config.json"), NULL, 0, &err), err,
                     refusals[i].sentence);
    }
}

static void overrides_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct pm_config_override override;
        const char *sentence;
    } refusals[] = {
        {{"steps", "many", PM_CONFIG_NUMBER}, "\"steps\" is given as \"many\"; a number is wanted"},
        {{"negative_prompt", "\xff", PM_CONFIG_TEXT}, "which is no UTF-8"},
        {{"scheduler", "euler", PM_CONFIG_TEXT}, "\"scheduler\" is \"euler\""},
    };
    struct pm_config config;
    temporary_write_text("config.json", "{\"model\": \"m\", \"manifest\": \"a\"}");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct pm_error err = {0};
        assert_fails(
            pm_config_load(&config, temporary_path("config.json"), &refusals[i].override, 1, &err),
            err, refusals[i].sentence);
    }
}

static void keys_that_no_config_has_are_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"stepps", "a config has no key \"stepps\"; did you mean \"steps\"?"},
        {"elephant", "a config has no key \"elephant\""},
        {"limits.thread", "a config has no key \"thread\"; did you mean \"threads\"?"},
        {"store.elephant", "a config has no key \"elephant\""},
    };
    struct pm_config config;
    struct pm_error err = {0};
    static const char text[] = "{\"model\": \"m\", \"manifest\": \"a\"}";
    assert_ok(pm_config_parse(&config, text, sizeof text - 1, "config.json", &err), err);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const json_t *value;
        if (pm_config_value(&value, &config, refusals[i].text, &err))
            fail_msg("%s was found", refusals[i].text);
        assert_string_equal(err.message, refusals[i].sentence);
    }
    pm_config_free(&config);
}

static void a_line_is_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"\"image\": \"\", \"targets\": []", "\"image\" is empty"},
        {"\"targets\": [{\"prompt\": \"b\", \"edit\": \"refine\", \"restore\": \"all\"}]",
         "\"restore\" is \"mask\" or {\"feather\": pixels, \"threshold\": ...}"},
        {"\"targets\": [{\"edit\": \"refine\", \"prompt\": 3}]", "\"prompt\" is a whole number"},
        {"\"targets\": [], \"meta\": 3", "\"meta\" is a whole number; an object {...} is wanted"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct pm_error err = {0};
        struct pm_recipe recipe;
        char text[512];
        json_t *json;
        snprintf(text, sizeof text, "{\"id\": \"a\", \"source\": \"a\", %s}", refusals[i].text);
        assert_ok(pm_json_parse(&json, text, strlen(text), "a.jsonl:1", &err), err);
        pm_recipe_resolve(json, NULL);
        bool ok = pm_recipe_read(&recipe, json, "a.jsonl:1", &err);
        if (ok && recipe.target_count > 0) {
            err = recipe.targets[0].error;
            ok = err.code == PM_OK;
        }
        if (ok || !strstr(err.message, refusals[i].sentence))
            fail_msg("%s: %s", text, ok ? "taken" : err.message);
        pm_recipe_free(&recipe);
    }
}

static void strings_with_nul_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    const char *out = NULL;
    json_t *object = json_object();
    json_object_set_new(object, "id", json_stringn("a\0b", 3));
    assert_fails(pm_json_string(object, "a.jsonl:1", "id", &out, &err), err,
                 "a.jsonl:1: \"id\" has a NUL character in it");
    json_decref(object);
}

/* A text of a beginning, so many pieces, and an end. @return owned by the caller */
static char *repeat(const char *begin, const char *piece, size_t count, const char *end)
{
    size_t bytes = strlen(begin) + strlen(piece) * count + strlen(end) + 1;
    char *text = malloc(bytes), *at = text;
    assert_non_null(text);
    at = stpcpy(at, begin);
    for (size_t i = 0; i < count; i++) at = stpcpy(at, piece);
    stpcpy(at, end);
    return text;
}

static void lists_that_are_too_long_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_csv csv;
    struct pm_manifest manifest;
    struct pm_import_result result;
    static const struct pm_import_options options = {.images = "images"};
    char *text = repeat("a", ",a", PM_CSV_MAX_COLUMNS, "\n");
    temporary_write_text("wide.csv", text);
    free(text);
    assert_ok(pm_csv_open(&csv, temporary_path("wide.csv"), &err), err);
    assert_fails(pm_csv_read_row(&csv, &err), err, "wide.csv:1: more than 256 cells");
    pm_csv_close(&csv);

    text = repeat("source,prompt,edit\n", "word ", PM_MANIFEST_LINE_MAX_BYTES / 5, ",a,refine\n");
    temporary_write_text("long.csv", text);
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    assert_fails(pm_import_csv(&result, nowhere, temporary_path("long.csv"), &options, &err), err,
                 "a manifest's have at most 1048576");
    fclose(nowhere);
    free(text);

    json_t *json;
    text = repeat("{\"id\": \"", "x", PM_MANIFEST_LINE_MAX_BYTES, "\"}\n");
    temporary_write_text("long.jsonl", text);
    free(text);
    assert_ok(pm_manifest_open(&manifest, temporary_path("long.jsonl"), &err), err);
    assert_fails(pm_manifest_parse(&json, &manifest, 0, "here", &err), err,
                 "here: the line has 1048586 bytes; 1048576 are the most");
    assert_null(json);
    pm_manifest_close(&manifest);
    temporary_write_text("list.jsonl", "[1, 2]\n");
    assert_ok(pm_manifest_open(&manifest, temporary_path("list.jsonl"), &err), err);
    assert_fails(pm_manifest_parse(&json, &manifest, 0, "here", &err), err,
                 "here: an object {...} is wanted, not a list");
    assert_null(json); /* it is freed, and a caller that still looks at it sees that */
    pm_manifest_close(&manifest);
    temporary_write_text("empty.jsonl", "\n \n");
    assert_fails(pm_manifest_open(&manifest, temporary_path("empty.jsonl"), &err), err,
                 "empty.jsonl has no edits in it");
}

static void an_index_of_too_many_files_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_tensor_set set;
    char *text = repeat("{\"weight_map\": {\"a\": \"0.safetensors\"", "", 0, "");
    for (size_t i = 1; i <= 1000; i++) {
        char *longer;
        assert_true(asprintf(&longer, "%s, \"a%zu\": \"%zu.safetensors\"", text, i, i) > 0);
        free(text);
        text = longer;
    }
    char *whole = repeat(text, "}}", 1, "");
    temporary_write_text("many/model.safetensors.index.json", whole);
    for (size_t i = 0; i <= 1000; i++) {
        char name[64];
        snprintf(name, sizeof name, "many/%zu.safetensors", i);
        char header[128];
        snprintf(header, sizeof header,
                 "{\"a%.0zu\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}", i);
        temporary_write_safetensors(name, header, "\0\0\0", 4);
    }
    assert_fails(pm_tensor_set_open(&set, temporary_path("many"), "model", &err), err,
                 "names more than 1000 files");
    free(whole);
    free(text);
}

#define VOCABULARY                                                                                 \
    "{\"a\": 0, \"b\": 1, \"a</w>\": 2, \"b</w>\": 3, \"ab\": 4, \"ab</w>\": 5, "                  \
    "\"<|startoftext|>\": 6, \"<|endoftext|>\": 7}"

static void merges_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_tokenizer *made = NULL;
    temporary_write_text("tokenizer/vocab.json", VOCABULARY);
    char *text = repeat("#version: 0.2\n", "a", 5000, " b\n");
    temporary_write_text("tokenizer/merges.txt", text);
    free(text);
    assert_fails(pm_tokenizer_load(&made, temporary_path("tokenizer"), &err), err,
                 "the line has a NUL character or more than");
    temporary_write_text("tokenizer/merges.txt",
                         "a b\na b</w>\na a\na a\na a\na a\na a\na a\na a\n");
    assert_false(pm_tokenizer_load(&made, temporary_path("tokenizer"), &err));
    temporary_write_text("tokenizer/merges.txt", "a\n");
    assert_false(pm_tokenizer_load(&made, temporary_path("tokenizer"), &err));
    assert_non_null(strstr(err.message, "merges.txt:1"));
}

/* A folder of a model with one config of another kind. */
static void networks_are_refused(void **state)
{
    (void)state;
    static const struct refusal unets[] = {
        {"{\"block_out_channels\": []}", "\"block_out_channels\""},
        {"{}", "\"block_out_channels\" is missing"},
        {"{\"block_out_channels\": [7], \"norm_num_groups\": 7, \"attention_head_dim\": 1, "
         "\"down_block_types\": [\"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\"]}",
         "a first level of 7 channels has no time embedding"},
    };
    static const struct refusal encoders[] = {
        {"[]", "an object {...} is wanted, not a list"},
        {"{\"model_type\": \"t5\"}", "\"model_type\" is \"t5\"; only clip_text_model is supported"},
        {"{\"hidden_act\": \"relu\"}", "\"hidden_act\" is \"relu\""},
    };
    struct pm_arena memory;
    pm_arena_init(&memory, (size_t)1 << 28);
    for (size_t i = 0; i < 3; i++) {
        struct pm_error err = {0};
        struct pm_unet unet;
        struct pm_text_encoder encoder;
        temporary_copy("unet/diffusion_pytorch_model.safetensors",
                       MINI "unet/diffusion_pytorch_model.safetensors");
        temporary_copy("text_encoder/model.safetensors", MINI "text_encoder/model.safetensors");
        temporary_write_text("unet/config.json", unets[i].text);
        temporary_write_text("text_encoder/config.json", encoders[i].text);
        assert_fails(pm_unet_load(&unet, temporary_path("unet"), &memory, &err), err,
                     unets[i].sentence);
        assert_fails(pm_text_encoder_load(&encoder, temporary_path("text_encoder"), &memory, &err),
                     err, encoders[i].sentence);
        memory.used = 0;
    }
    pm_arena_free(&memory);
}

static void what_is_no_file_is_refused_at_once(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_store *store;
    size_t bytes = 0;
    temporary_write_text("file", "four");
    assert_int_equal(mkfifo(temporary_path("pipe"), 0600), 0);
    assert_int_equal(symlink(temporary_path("pipe"), temporary_path("to-the-pipe")), 0);
    assert_int_equal(symlink("file", temporary_path("to-the-file")), 0);
    static const char *const not_files[] = {"pipe", "to-the-pipe", "."};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pm_open_file(NULL, temporary_path(not_files[i]), &err), -1);
        assert_non_null(strstr(err.message, "is not a regular file"));
        assert_null(pm_open_stream(temporary_path(not_files[i]), &err));
        assert_fails(pm_store_open_read(&store, temporary_path(not_files[i]), &err), err,
                     "is not a regular file");
    }
    int fd = pm_open_file(&bytes, temporary_path("to-the-file"), &err);
    assert_true(fd >= 0 && bytes == 4);
    close(fd);
    assert_null(pm_open_stream(temporary_path("nowhere"), &err));
    assert_non_null(strstr(err.message, "cannot open"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configs_are_refused),
        cmocka_unit_test(overrides_are_refused),
        cmocka_unit_test(keys_that_no_config_has_are_refused),
        cmocka_unit_test(a_line_is_refused),
        cmocka_unit_test(strings_with_nul_are_refused),
        cmocka_unit_test(lists_that_are_too_long_are_refused),
        cmocka_unit_test(an_index_of_too_many_files_is_refused),
        cmocka_unit_test(merges_are_refused),
        cmocka_unit_test(networks_are_refused),
        cmocka_unit_test(what_is_no_file_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
