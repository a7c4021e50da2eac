#include "test.h"

#include "pm/model/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCENES "models/scenes/tokenizer"

static const char VOCABULARY[] = "{\"a\": 0, \"b\": 1, \"a</w>\": 2, \"b</w>\": 3, \"ab\": 4, "
                                 "\"ab</w>\": 5, \"\u00C4\u0142\": 6,"
                                 " \"<|startoftext|>\": 7, \"<|endoftext|>\": 8}";
static const char MERGES[] = "#version: 0.2\na b\na b</w>\n";

static char folder[64];
static const char *const file_names[] = {
    "vocab.json",        "merges.txt",    "special_tokens_map.json", "tokenizer_config.json",
    "added_tokens.json", "tokenizer.json"};

static const char *file_path(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(file_path(name), "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* A sound folder, for a test to break. */
static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/pm_test_tokenizer_XXXXXX");
    if (!mkdtemp(folder)) return -1;
    write_file("vocab.json", VOCABULARY);
    write_file("merges.txt", MERGES);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof file_names / sizeof *file_names; i++)
        unlink(file_path(file_names[i]));
    return rmdir(folder);
}

static void assert_refused(const char *sentence)
{
    struct pm_error err = {0};
    struct pm_tokenizer *tokenizer = NULL;
    assert_fails(pm_tokenizer_load(&tokenizer, folder, &err), err, sentence);
    assert_null(tokenizer);
}

static struct pm_tokenizer *load(const char *path)
{
    struct pm_error err = {0};
    struct pm_tokenizer *tokenizer;
    assert_ok(pm_tokenizer_load(&tokenizer, path, &err), err);
    return tokenizer;
}

static struct pm_tokens tokenize(const struct pm_tokenizer *tokenizer, const char *prompt)
{
    struct pm_error err = {0};
    struct pm_tokens tokens;
    memset(&tokens, 0x55, sizeof tokens);
    assert_ok(pm_tokenize(&tokens, tokenizer, prompt, &err), err);
    return tokens;
}

static void missing_files_are_named(void **state)
{
    (void)state;
    unlink(file_path("merges.txt"));
    assert_refused("merges.txt");
    unlink(file_path("vocab.json"));
    assert_refused("vocab.json");
}

static void a_vocabulary_that_is_no_vocabulary_is_refused(void **state)
{
    (void)state;
    write_file("vocab.json", "[1, 2]");
    assert_refused("vocab.json: an object of tokens and their ids is wanted, not a list");
    write_file("vocab.json", "{\"a\": 0");
    assert_refused("vocab.json:1:");
    write_file("vocab.json", "{}");
    assert_refused("vocab.json has no token \"<|startoftext|>\", the bos_token");
    write_file("vocab.json", "{\"a\": 0, \"a\": 1}");
    assert_refused("duplicate");
    write_file("vocab.json", "{\"\xFF\": 0}");
    assert_refused("vocab.json:1:");
}

static void ids_are_whole_numbers_in_range_and_unique(void **state)
{
    (void)state;
    write_file("vocab.json", "{\"a\": 0, \"b\": \"1\"}");
    assert_refused("the id of \"b\" is a string");
    write_file("vocab.json", "{\"a\": 0, \"b\": 1.0}");
    assert_refused("the id of \"b\" is a number");
    write_file("vocab.json", "{\"a\": 0, \"b\": 2}");
    assert_refused("the id of \"b\" is 2; 2 tokens have ids from 0 to 1");
    write_file("vocab.json", "{\"a\": 0, \"b\": -1}");
    assert_refused("the id of \"b\" is -1");
    write_file("vocab.json", "{\"a\": 0, \"b\": 4294967296}");
    assert_refused("the id of \"b\" is 4294967296");
    write_file("vocab.json", "{\"a\": 0, \"b\": 0}");
    assert_refused("has id 0, which another token has too");
}

static void special_tokens_must_be_in_the_vocabulary(void **state)
{
    (void)state;
    write_file("vocab.json", "{\"a\": 0, \"<|startoftext|>\": 1}");
    assert_refused("vocab.json has no token \"<|endoftext|>\", the eos_token");
    write_file("vocab.json", VOCABULARY);
    write_file("special_tokens_map.json", "{\"pad_token\": \"<pad>\"}");
    assert_refused("vocab.json has no token \"<pad>\", the pad_token");
    write_file("special_tokens_map.json", "{\"pad_token\": \"\"}");
    assert_refused("special_tokens_map.json: pad_token has no text");
    write_file("special_tokens_map.json", "{\"pad_token\": {}}");
    assert_refused("special_tokens_map.json: pad_token has no text");
    write_file("special_tokens_map.json", "{\"pad_token\": 3}");
    assert_refused("\"pad_token\" is a whole number");
    write_file("special_tokens_map.json",
               "{\"eos_token\": {\"content\": \"a\", \"lstrip\": true}}");
    assert_refused("eos_token asks for lstrip");
    write_file("special_tokens_map.json", "[]");
    assert_refused("special_tokens_map.json: an object is wanted, not a list");
}

static void a_broken_merge_is_named_by_its_line(void **state)
{
    (void)state;
    write_file("merges.txt", "#version: 0.2\na b\nab\n");
    assert_refused("merges.txt:3: \"ab\" is not two tokens");
    write_file("merges.txt", "a b c\n");
    assert_refused("merges.txt:1: \"a b c\" is not two tokens");
    write_file("merges.txt", "a \n");
    assert_refused("merges.txt:1: \"a \" is not two tokens");
    write_file("merges.txt", " a\n");
    assert_refused("merges.txt:1: \" a\" is not two tokens");
    write_file("merges.txt", "a b\n\nx b\n");
    assert_refused("merges.txt:3: \"x\" is not in vocab.json");
    write_file("merges.txt", "b a\n");
    assert_refused("merges.txt:1: the two together, \"ba\", are not in vocab.json");
    write_file("vocab.json", "{\"a\": 0, \"aa\": 1, \"aaa\": 2, \"aaaa\": 3, \"aaaaa\": 4, "
                             "\"<|startoftext|>\": 5, \"<|endoftext|>\": 6}");
    write_file("merges.txt", "a a\na aa\naa a\na aaa\naaa a\naa aa\na aaaa\naaaa a\n");
    assert_refused("merges.txt:8: more merges than the 7 tokens of vocab.json");
    write_file("vocab.json", VOCABULARY);
    write_file("merges.txt", "a b\na b\n");
    assert_refused("merges.txt:2: \"a b\" is there twice");
}

static void a_merges_file_without_lines_ends_soon(void **state)
{
    (void)state;
    char long_line[6000];
    memset(long_line, 'a', sizeof long_line);
    long_line[sizeof long_line - 1] = '\0';
    write_file("merges.txt", long_line);
    assert_refused("merges.txt:1: the line has a NUL character or more than");
    unlink(file_path("merges.txt"));
    write_file("merges.txt", "");
    assert_int_equal(truncate(file_path("merges.txt"), (off_t)1 << 20), 0);
    assert_refused("merges.txt:1: the line has a NUL character or more than");
    unlink(file_path("merges.txt"));
    assert_int_equal(symlink("/dev/zero", file_path("merges.txt")), 0);
    assert_refused("merges.txt is not a regular file");
}

static void huge_files_are_refused(void **state)
{
    (void)state;
    assert_int_equal(truncate(file_path("vocab.json"), ((off_t)8 << 20) + 1), 0);
    assert_refused("is larger than 8388608 bytes");
    write_file("vocab.json", VOCABULARY);
    FILE *file = fopen(file_path("merges.txt"), "w");
    assert_non_null(file);
    char blank[4096];
    memset(blank, '\n', sizeof blank);
    for (size_t i = 0; i <= ((size_t)8 << 20) / sizeof blank; i++)
        fwrite(blank, 1, sizeof blank, file);
    assert_int_equal(fclose(file), 0);
    assert_refused("is larger than 8388608 bytes");
}

static void a_folder_name_beyond_the_systems_limit_is_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_tokenizer *tokenizer;
    char name[5000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_fails(pm_tokenizer_load(&tokenizer, name, &err), err,
                 "the folder's name has 4999 bytes");
}

static void a_small_vocabulary_merges_and_pads(void **state)
{
    (void)state;
    write_file("special_tokens_map.json", "{\"pad_token\": \"b\"}");
    struct pm_tokenizer *tokenizer = load(folder);
    /* "b" is an added token here and is cut out first; c is unknown, which is the end token */
    struct pm_tokens tokens = tokenize(tokenizer, "Aab ca");
    const int32_t expected[] = {7, 0, 2, 1, 8, 2, 8, 1, 1};
    const int16_t words[] = {-1, 0, 0, 0, 1, 1, -1, -1, -1};
    assert_memory_equal(tokens.ids, expected, sizeof expected);
    assert_memory_equal(tokens.word, words, sizeof words);
    assert_int_equal(tokens.count, 7);
    assert_int_equal(tokens.ids[PM_TOKENS - 1], 1);
    pm_tokenizer_free(tokenizer);
}

static void saved_words_have_the_ids_that_the_file_says(void **state)
{
    (void)state;
    write_file("added_tokens.json", "{\"<cat>_1\": 10, \"<|endoftext|>\": 8, \"<cat>\": 9, "
                                    "\"<Dog>\": 11}");
    struct pm_tokenizer *tokenizer = load(folder);
    assert_int_equal(pm_tokenizer_size(tokenizer), 12);
    struct pm_tokens tokens = tokenize(tokenizer, "a <dog> <cat>");
    const int32_t expected[] = {7, 2, 11, 9, 10, 8};
    assert_memory_equal(tokens.ids, expected, sizeof expected);
    pm_tokenizer_free(tokenizer);
}

static void saved_words_that_do_not_fit_the_vocabulary_are_refused(void **state)
{
    (void)state;
    write_file("added_tokens.json", "{\"<cat>\": 10}");
    assert_refused("added_tokens.json: \"<cat>\" has no id from 0 on that follows the 9");
    write_file("added_tokens.json", "{\"<cat>\": 10, \"<|endoftext|>\": 8}");
    assert_refused("added_tokens.json has no token with the id 9");
    write_file("added_tokens.json", "{\"<cat>\": 10, \"<dog>\": 10}");
    assert_refused("added_tokens.json has no token with the id 9");
    write_file("added_tokens.json", "{\"<cat>\": 8}");
    assert_refused("\"<cat>\" has the id 8, which is \"<|endoftext|>\"");
    write_file("added_tokens.json", "{\"<c at>\": 9}");
    assert_refused("added_tokens.json: the new word \"<c at>\" has white space in it");
    write_file("added_tokens.json", "{\"<cat>\": -1}");
    assert_refused("has no id from 0 on");
    write_file("added_tokens.json", "[]");
    assert_refused("added_tokens.json: an object is wanted, not a list");
}

static void the_map_goes_before_the_config(void **state)
{
    (void)state;
    write_file("tokenizer_config.json", "{\"pad_token\": \"a\"}");
    struct pm_tokenizer *tokenizer = load(folder);
    assert_int_equal(tokenize(tokenizer, "").ids[2], 0);
    pm_tokenizer_free(tokenizer);
    write_file("special_tokens_map.json", "{\"pad_token\": \"b\"}");
    tokenizer = load(folder);
    assert_int_equal(tokenize(tokenizer, "").ids[2], 1);
    pm_tokenizer_free(tokenizer);
}

static void special_tokens_are_found_as_their_flag_says(void **state)
{
    (void)state;
    struct pm_tokenizer *tokenizer = load(folder);
    assert_int_equal(tokenize(tokenizer, "<|endoftext|>").count, 3);
    assert_int_equal(tokenize(tokenizer, "<|ENDOFTEXT|>").count, 15);
    pm_tokenizer_free(tokenizer);
    write_file("special_tokens_map.json",
               "{\"pad_token\": {\"content\": \"<|endoftext|>\", \"normalized\": true}}");
    tokenizer = load(folder);
    assert_int_equal(tokenize(tokenizer, "<|ENDOFTEXT|>").count, 3);
    pm_tokenizer_free(tokenizer);
}

static void a_token_reads_as_its_bytes(void **state)
{
    (void)state;
    struct pm_tokenizer *tokenizer = load(folder);
    assert_int_equal(pm_tokenizer_size(tokenizer), 9);
    assert_string_equal(pm_token_text(tokenizer, 5), "ab");
    assert_string_equal(pm_token_text(tokenizer, 6), "\xC4\xA0"); /* the byte of U+0142 is A0 */
    assert_string_equal(pm_token_text(tokenizer, 8), "<|endoftext|>");
    assert_null(pm_token_text(tokenizer, 9));
    assert_null(pm_token_text(tokenizer, -1));
    pm_tokenizer_free(tokenizer);
}

static void an_empty_prompt_is_start_and_end(void **state)
{
    (void)state;
    struct pm_tokenizer *tokenizer = load(SCENES);
    const char *const empty[] = {"", "  ", "\t\n", "\u3000"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        struct pm_tokens tokens = tokenize(tokenizer, empty[i]);
        assert_int_equal(tokens.count, 2);
        for (size_t j = 0; j < PM_TOKENS; j++) assert_int_equal(tokens.word[j], -1);
    }
    pm_tokenizer_free(tokenizer);
}

static void words_are_counted_at_white_space(void **state)
{
    (void)state;
    struct pm_tokenizer *tokenizer = load(SCENES);
    struct pm_tokens tokens = tokenize(tokenizer, " \u00A0red,\t \u3000ball <|endoftext|>! it's");
    /* red , ball <end> ! it 's in some number of tokens: words never go back, and end at 3 */
    assert_int_equal(tokens.word[0], -1);
    assert_int_equal(tokens.word[1], 0);
    for (size_t i = 2; i + 1 < tokens.count; i++)
        assert_in_range(tokens.word[i] - tokens.word[i - 1], 0, 1);
    assert_int_equal(tokens.word[tokens.count - 2], 3);
    assert_int_equal(tokens.word[tokens.count - 1], -1);
    pm_tokenizer_free(tokenizer);
}

static void bytes_that_are_no_utf8_are_told_by_position(void **state)
{
    (void)state;
    struct pm_tokenizer *tokenizer = load(SCENES);
    struct pm_error err = {0};
    struct pm_tokens tokens;
    assert_fails(pm_tokenize(&tokens, tokenizer, "a \xC3\x28 cat", &err), err,
                 "not UTF-8: byte 3 of 8 (0xC3)");
    assert_fails(pm_tokenize(&tokens, tokenizer, "cut \xE2\x82", &err), err, "byte 5 of 6 (0xE2)");
    assert_fails(pm_tokenize(&tokens, tokenizer, "\xC0\x80", &err), err, "byte 1 of 2");
    assert_fails(pm_tokenize(&tokens, tokenizer, "\xED\xA0\x80", &err), err, "byte 1 of 3");
    pm_tokenizer_free(tokenizer);
}

static void the_limit_is_77_tokens(void **state)
{
    (void)state;
    struct pm_tokenizer *tokenizer = load(SCENES);
    struct pm_error err = {0};
    struct pm_tokens tokens;
    char prompt[40000];
    for (size_t i = 0; i < 76; i++) memcpy(prompt + 2 * i, "a ", 3);
    assert_fails(pm_tokenize(&tokens, tokenizer, prompt, &err), err,
                 "the prompt has 78 tokens, start and end among them; the limit is 77");
    prompt[150] = '\0';
    assert_int_equal(tokenize(tokenizer, prompt).count, 77);
    memset(prompt, 'x', 16384);
    prompt[16384] = '\0';
    assert_fails(pm_tokenize(&tokens, tokenizer, prompt, &err), err, "tokens, start and end");
    memset(prompt, 'x', sizeof prompt);
    prompt[sizeof prompt - 1] = '\0';
    assert_fails(pm_tokenize(&tokens, tokenizer, prompt, &err), err,
                 "the prompt has 39999 bytes; the most it may have is 16384");
    pm_tokenizer_free(tokenizer);
}

#define test_with_folder(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

static void a_file_of_the_whole_is_read_where_there_is_no_vocabulary(void **state)
{
    (void)state;
    struct pm_tokenizer *apart = load(folder);
    char whole[1024];
    const char *words = "\"added_tokens\": [{\"id\": 9, \"content\": \"<x>\"}]";
    snprintf(whole, sizeof whole,
             "{%s, \"model\": {\"vocab\": %s, \"merges\": [\"a b\", [\"a\", \"b</w>\"]]}}", words,
             VOCABULARY);
    write_file("tokenizer.json", whole);
    struct pm_tokenizer *still_apart = load(folder);
    assert_int_equal(pm_tokenizer_size(still_apart), 9);
    unlink(file_path("vocab.json"));
    struct pm_tokenizer *one = load(folder);
    assert_int_equal(pm_tokenizer_size(one), 10);
    struct pm_tokens a = tokenize(apart, "ab aab"), b = tokenize(one, "ab aab");
    assert_memory_equal(a.ids, b.ids, sizeof a.ids);
    assert_int_equal(tokenize(one, "ab<x>").ids[2], 9);
    pm_tokenizer_free(apart);
    pm_tokenizer_free(still_apart);
    pm_tokenizer_free(one);
}

static void a_wrong_file_of_the_whole_is_refused_with_the_entry(void **state)
{
    (void)state;
    unlink(file_path("vocab.json"));
    write_file("tokenizer.json", "{\"model\": {}}");
    assert_refused("tokenizer.json: an object of tokens and their ids is wanted");
    char whole[1024];
    snprintf(whole, sizeof whole, "{\"model\": {\"vocab\": %s, \"merges\": [\"a b\", [\"a\"]]}}",
             VOCABULARY);
    write_file("tokenizer.json", whole);
    assert_refused("tokenizer.json: \"merges\"[1]: \"a \" is not two tokens");
    char large[6000];
    snprintf(large, sizeof large, "{\"model\": {\"vocab\": %s, \"merges\": [\"%05000d b\"]}}",
             VOCABULARY, 0);
    write_file("tokenizer.json", large);
    assert_refused("tokenizer.json: \"merges\"[0] is longer than 4096 bytes");
    snprintf(whole, sizeof whole, "{\"model\": {\"vocab\": %s}}", VOCABULARY);
    write_file("tokenizer.json", whole);
    assert_refused("tokenizer.json: \"merges\" is no list of at most 9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_with_folder(missing_files_are_named),
        test_with_folder(a_vocabulary_that_is_no_vocabulary_is_refused),
        test_with_folder(ids_are_whole_numbers_in_range_and_unique),
        test_with_folder(special_tokens_must_be_in_the_vocabulary),
        test_with_folder(a_broken_merge_is_named_by_its_line),
        test_with_folder(a_merges_file_without_lines_ends_soon),
        test_with_folder(huge_files_are_refused),
        cmocka_unit_test(a_folder_name_beyond_the_systems_limit_is_refused),
        test_with_folder(a_small_vocabulary_merges_and_pads),
        test_with_folder(saved_words_have_the_ids_that_the_file_says),
        test_with_folder(saved_words_that_do_not_fit_the_vocabulary_are_refused),
        test_with_folder(the_map_goes_before_the_config),
        test_with_folder(special_tokens_are_found_as_their_flag_says),
        test_with_folder(a_token_reads_as_its_bytes),
        cmocka_unit_test(an_empty_prompt_is_start_and_end),
        cmocka_unit_test(words_are_counted_at_white_space),
        cmocka_unit_test(bytes_that_are_no_utf8_are_told_by_position),
        test_with_folder(a_file_of_the_whole_is_read_where_there_is_no_vocabulary),
        test_with_folder(a_wrong_file_of_the_whole_is_refused_with_the_entry),
        cmocka_unit_test(the_limit_is_77_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
