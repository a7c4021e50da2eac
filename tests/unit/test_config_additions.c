#include "test.h"

#include "temporary.h"

#include "pm/base/hash.h"
#include "pm/data/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse(struct pm_config *out, const char *additions, struct pm_error *err)
{
    char text[2048];
    int n =
        snprintf(text, sizeof text, "{\"model\": \"m\", \"manifest\": \"e.jsonl\", %s}", additions);
    return pm_config_parse(out, text, (size_t)n, "c.json", err);
}

static bool load(struct pm_config *out, const char *additions,
                 const struct pm_config_override *overrides, size_t count, struct pm_error *err)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"model\": \"m\", \"manifest\": \"e.jsonl\", %s}", additions);
    temporary_write_text("c.json", text);
    temporary_write_text("a.safetensors", "A");
    temporary_write_text("sub/b.safetensors", "B");
    return pm_config_load(out, temporary_path("c.json"), overrides, count, err);
}

static void entries_are_read_with_their_defaults(void **state)
{
    (void)state;
    struct pm_config c;
    struct pm_error err = {0};
    assert_ok(parse(&c,
                    "\"lora\": [{\"file\": \"a\", \"weight\": -0.5}, {\"file\": \"b\"}],"
                    "\"embeddings\": [{\"file\": \"c\", \"token\": \"<x>\"}, {\"file\": \"d\"}]",
                    &err),
              err);
    assert_int_equal(c.lora_count, 2);
    assert_string_equal(c.loras[0].file, "a");
    assert_true(c.loras[0].weight == -0.5 && c.loras[1].weight == 1.0);
    assert_int_equal(c.embedding_count, 2);
    assert_string_equal(c.embeddings[0].token, "<x>");
    assert_string_equal(c.embeddings[1].file, "d");
    assert_null(c.embeddings[1].token);
    pm_config_free(&c);
    assert_ok(parse(&c, "\"steps\": 2", &err), err);
    assert_int_equal(c.lora_count + c.embedding_count, 0);
    pm_config_free(&c);
}

static void wrong_entries_are_refused_with_their_place(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\"lora\": \"a\"", "c.json: \"lora\" is a string; a list of {\"file\": ...} is wanted"},
        {"\"lora\": [{\"file\": \"a\"}, {\"weight\": 1}]", "\"lora\"[1]: \"file\" is missing"},
        {"\"lora\": [{\"file\": \"a\", \"weigth\": 1}]", "\"weight\""},
        {"\"lora\": [{\"file\": \"a\", \"weight\": 1000}]", "\"lora\"[0]: \"weight\""},
        {"\"lora\": [{\"file\": 3}]", "\"lora\"[0]: \"file\""},
        {"\"embeddings\": [\"a\"]", "\"embeddings\"[0]"},
        {"\"embeddings\": [{\"file\": \"a\", \"token\": 1}]", "\"embeddings\"[0]: \"token\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pm_config c;
        struct pm_error err = {0};
        assert_fails(parse(&c, cases[i][0], &err), err, cases[i][1]);
    }
    char many[2048] = "\"lora\": [{\"file\": \"a\"}";
    for (size_t i = 0; i < PM_CONFIG_MAX_LORAS; i++) strcat(many, ", {\"file\": \"a\"}");
    strcat(many, "]");
    struct pm_config c;
    struct pm_error err = {0};
    assert_fails(parse(&c, many, &err), err, "\"lora\" lists 17 files; 16 are the most");
}

static void files_are_found_beside_the_config_and_hashed(void **state)
{
    (void)state;
    struct pm_config c;
    struct pm_error err = {0};
    char hash[PM_HASH_TEXT_BYTES];
    assert_ok(load(&c, "\"embeddings\": [{\"file\": \"sub/b.safetensors\"}]", NULL, 0, &err), err);
    assert_non_null(strstr(c.embeddings[0].file, "/sub/b.safetensors"));
    assert_true(c.embeddings[0].file[0] == '/');
    char *text = pm_config_text(&c);
    pm_hash_text(hash, "B", 1);
    assert_non_null(strstr(text, hash));
    free(text);
    pm_config_free(&c);
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\"lora\": [{\"file\": \"a.safetensors\", \"hash\": \"%s\"}]",
             hash);
    assert_fails(load(&c, wanted, NULL, 0, &err), err, "\"lora\"[0]: the hash of ");
    assert_fails(load(&c, "\"lora\": [{\"file\": \"none\"}]", NULL, 0, &err), err,
                 "\"lora\"[0]: cannot open ");
    assert_fails(load(&c, "\"lora\": [{\"file\": \".\"}]", NULL, 0, &err), err,
                 "is not a regular file");
}

static void flags_replace_the_list_and_add_up(void **state)
{
    (void)state;
    struct pm_config c;
    struct pm_error err = {0};
    char lora[512], plain[512], token[512], own[512];
    assert_ok(load(&c, "\"steps\": 2", NULL, 0, &err), err);
    pm_config_free(&c);
    snprintf(lora, sizeof lora, "%s:-0.25", temporary_path("a.safetensors"));
    snprintf(plain, sizeof plain, "%s", temporary_path("sub/b.safetensors"));
    snprintf(token, sizeof token, "<x>=%s", temporary_path("a.safetensors"));
    snprintf(own, sizeof own, "=%s", temporary_path("sub/b.safetensors"));
    const struct pm_config_override flags[] = {{"lora", lora, PM_CONFIG_LORA},
                                               {"embeddings", token, PM_CONFIG_EMBEDDING},
                                               {"lora", plain, PM_CONFIG_LORA},
                                               {"embeddings", own, PM_CONFIG_EMBEDDING}};
    assert_ok(load(&c, "\"lora\": [{\"file\": \"none\"}]", flags, 4, &err), err);
    assert_int_equal(c.lora_count, 2);
    assert_true(c.loras[0].weight == -0.25 && c.loras[1].weight == 1.0);
    assert_string_equal(c.loras[1].file, plain);
    assert_int_equal(c.embedding_count, 2);
    assert_string_equal(c.embeddings[0].token, "<x>");
    assert_null(c.embeddings[1].token);
    pm_config_free(&c);
    const struct pm_config_override wrong = {"embeddings", "file", PM_CONFIG_EMBEDDING};
    assert_fails(load(&c, "\"steps\": 2", &wrong, 1, &err), err, "TOKEN=FILE or =FILE is wanted");
}

/* What differs is told by its place; where a file lies does not count. */
static void results_depend_on_content_weight_token_and_order(void **state)
{
    (void)state;
    static const char base[] = "\"lora\": [{\"file\": \"a\", \"hash\": \"1\", \"weight\": 1}, "
                               "{\"file\": \"b\", \"hash\": \"2\"}], \"embeddings\": [{\"file\": "
                               "\"c\", \"hash\": \"3\", \"token\": \"<x>\"}]";
    static const struct {
        const char *from, *to, *difference; /* NULL: none */
    } cases[] = {
        {"\"a\"", "\"elsewhere\"", NULL},
        {"\"weight\": 1", "\"weight\": 1.0", NULL},
        {"\"weight\": 1", "\"weight\": 0.8", "\"lora\"[0].weight was 1 and is now 0.8"},
        {"\"2\"", "\"4\"", "\"lora\"[1].hash was \"2\" and is now \"4\""},
        {"\"<x>\"", "\"<y>\"", "\"embeddings\"[0].token was \"<x>\" and is now \"<y>\""},
        {", \"token\": \"<x>\"", "", "token was \"<x>\" and is now absent"},
        {", {\"file\": \"b\", \"hash\": \"2\"}", "", "\"lora\" listed 2 files and now lists 1"}};
    struct pm_config a;
    struct pm_error err = {0};
    assert_ok(parse(&a, base, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char changed[1024];
        struct pm_config b;
        const char *at = strstr(base, cases[i].from);
        assert_non_null(at);
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - base), base, cases[i].to,
                 at + strlen(cases[i].from));
        assert_ok(parse(&b, changed, &err), err);
        if (cases[i].difference)
            assert_fails(pm_config_same_results(&a, &b, &err), err, cases[i].difference);
        else
            assert_ok(pm_config_same_results(&a, &b, &err), err);
        pm_config_free(&b);
    }
    pm_config_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_read_with_their_defaults),
        cmocka_unit_test(wrong_entries_are_refused_with_their_place),
        cmocka_unit_test(files_are_found_beside_the_config_and_hashed),
        cmocka_unit_test(flags_replace_the_list_and_add_up),
        cmocka_unit_test(results_depend_on_content_weight_token_and_order),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
