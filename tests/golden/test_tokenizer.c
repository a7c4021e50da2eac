#include "test.h"

#include "pm/base/json.h"
#include "pm/model/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA "tests/golden/data/tokenizer/"
#define SCENES "models/scenes/tokenizer"
#define CLIP DATA "clip-tokenizer"

static json_t *load_json(const char *path)
{
    struct pm_error err = {0};
    json_t *json;
    assert_ok(pm_json_load(&json, path, (size_t)64 << 20, &err), err);
    return json;
}

static struct pm_tokenizer *load(const char *folder)
{
    struct pm_error err = {0};
    struct pm_tokenizer *tokenizer;
    assert_ok(pm_tokenizer_load(&tokenizer, folder, &err), err);
    return tokenizer;
}

/* A folder with SD 2's padding: @p files' vocabulary and merges, and a map that says "!". */
static struct pm_tokenizer *load_padded_with_exclamation(const char *files)
{
    char folder[] = "/tmp/pm_test_tokenizer_XXXXXX", path[256], target[4096], *real;
    assert_non_null(mkdtemp(folder));
    const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", files, names[i]);
        assert_non_null(real = realpath(path, NULL));
        snprintf(target, sizeof target, "%s/%s", folder, names[i]);
        assert_int_equal(symlink(real, target), 0);
        free(real);
    }
    snprintf(path, sizeof path, "%s/special_tokens_map.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("{\"bos_token\": {\"content\": \"<|startoftext|>\", \"normalized\": true},"
          " \"eos_token\": {\"content\": \"<|endoftext|>\", \"normalized\": true},"
          " \"unk_token\": {\"content\": \"<|endoftext|>\", \"normalized\": true},"
          " \"pad_token\": \"!\"}",
          file);
    fclose(file);
    struct pm_tokenizer *tokenizer = load(folder);
    unlink(path);
    for (size_t i = 0; i < 3; i++) {
        snprintf(target, sizeof target, "%s/%s", folder, names[i]);
        unlink(target);
    }
    rmdir(folder);
    return tokenizer;
}

static void check_text(const struct pm_tokenizer *tokenizer, const json_t *expected)
{
    const char *text = json_string_value(json_object_get(expected, "text"));
    size_t count = (size_t)json_integer_value(json_object_get(expected, "n"));
    struct pm_error err = {0};
    struct pm_tokens tokens;
    memset(&tokens, 0xFF, sizeof tokens);
    if (count > PM_TOKENS) {
        char number[64];
        snprintf(number, sizeof number, "has %zu tokens", count);
        assert_fails(pm_tokenize(&tokens, tokenizer, text, &err), err, number);
        return;
    }
    assert_ok(pm_tokenize(&tokens, tokenizer, text, &err), err);
    const json_t *ids = json_object_get(expected, "ids");
    assert_int_equal(json_array_size(ids), PM_TOKENS);
    for (size_t i = 0; i < PM_TOKENS; i++)
        if (tokens.ids[i] != json_integer_value(json_array_get(ids, i)))
            fail_msg("\"%s\": token %zu is %d, not %d", text, i, (int)tokens.ids[i],
                     (int)json_integer_value(json_array_get(ids, i)));
    assert_int_equal(tokens.count, count);
}

static void check_texts(const char *path, const char *padding, struct pm_tokenizer *tokenizer)
{
    json_t *golden = load_json(path);
    const json_t *texts = json_object_get(golden, padding), *text;
    assert_int_equal(json_array_size(texts), 169);
    size_t i;
    json_array_foreach(texts, i, text) check_text(tokenizer, text);
    json_decref(golden);
    pm_tokenizer_free(tokenizer);
}

static void scenes_ids_are_those_of_hugging_face(void **state)
{
    (void)state;
    check_texts(DATA "tokenizer_scenes.json", "pad_endoftext", load(SCENES));
    check_texts(DATA "tokenizer_scenes.json", "pad_exclamation_sd2",
                load_padded_with_exclamation(SCENES));
}

static void clip_ids_are_those_of_hugging_face(void **state)
{
    (void)state;
    check_texts(DATA "tokenizer_clip.json", "pad_endoftext", load(CLIP));
    check_texts(DATA "tokenizer_clip.json", "pad_exclamation_sd2",
                load_padded_with_exclamation(CLIP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenes_ids_are_those_of_hugging_face),
        cmocka_unit_test(clip_ids_are_those_of_hugging_face),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
