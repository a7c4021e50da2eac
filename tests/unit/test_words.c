#include "prompt_word.h"
#include "scenes_tokenizer.h"
#include "test.h"

#include "pm/control/words.h"

#include <string.h>

static bool find(struct pm_token_set *set, const char *prompt, const char *word,
                 struct pm_error *err)
{
    struct pm_tokens tokens;
    assert_ok(pm_tokenize(&tokens, tokenizer, prompt, err), *err);
    memset(set, 0x01, sizeof *set);
    return pm_words_find(set, prompt, &tokens, word, err);
}

/* The tokens found must be exactly those of the words named, given as '1's by word. */
static void assert_words(const char *prompt, const char *word, const char *expected)
{
    struct pm_error err = {0};
    struct pm_token_set set;
    struct pm_tokens tokens;
    assert_ok(find(&set, prompt, word, &err), err);
    assert_ok(pm_tokenize(&tokens, tokenizer, prompt, &err), err);
    assert_int_equal(pm_words_count(prompt), strlen(expected));
    size_t count = 0;
    for (size_t n = 0; n < PM_TOKENS; n++) {
        bool in = tokens.word[n] >= 0 && expected[tokens.word[n]] == '1';
        if (set.has[n] != in) fail_msg("\"%s\" in \"%s\": token %zu", word, prompt, n);
        count += in;
    }
    assert_int_equal(set.count, count);
}

static void assert_not_found(const char *prompt, const char *word, const char *sentence)
{
    struct pm_error err = {0};
    struct pm_token_set set;
    assert_fails(find(&set, prompt, word, &err), err, sentence);
    assert_int_equal(err.code, PM_E_INPUT);
}

static void words_are_parted_by_any_white_space(void **state)
{
    (void)state;
    const char *prompt = " \t two\u3000red\u00A0\n balls, ";
    assert_int_equal(pm_words_count(prompt), 3);
    const char *const words[] = {"two", "red", "balls,"};
    for (size_t i = 0; i < 3; i++) {
        struct pm_word word = prompt_word(prompt, i);
        assert_int_equal(word.bytes, strlen(words[i]));
        assert_memory_equal(word.text, words[i], word.bytes);
    }
    assert_int_equal(pm_words_count(""), 0);
    assert_int_equal(pm_words_count("   "), 0);
}

static void a_word_is_found_wherever_it_is(void **state)
{
    (void)state;
    assert_words("a star next to a star", "star", "010001");
    assert_words("a star next to a star", "a", "100010");
}

static void case_and_punctuation_around_do_not_matter(void **state)
{
    (void)state;
    assert_words("A Cat, a dog, (CAT) and \"cat.\"", "cat", "0100101");
    assert_words("a cat and a dog", "Cat,", "01000");
    assert_words("a STRASSE", "straße", "01");
    assert_words("ein CAFÉ", "cafe\u0301", "01");
    assert_words("ΟΔΟΣ", "οδος", "1");
}

static void punctuation_within_a_word_matters(void **state)
{
    (void)state;
    assert_words("the cat's black-and-white tail", "cat's", "0100");
    assert_not_found("the cat's black-and-white tail", "black", "is not in the prompt");
}

static void a_word_of_punctuation_is_found_as_it_is(void **state)
{
    (void)state;
    assert_words("a cat - a dog", "-", "00100");
}

static void words_in_a_row_are_found_together(void **state)
{
    (void)state;
    assert_words("an oak tree, a tree and an Oak Tree", "oak  tree", "011000011");
    assert_words("the the the cat", "the the", "1110");
    assert_not_found("a tree of oak", "oak tree",
                     "the words of \"oak tree\" do not follow each other in the prompt");
    assert_not_found("a ball", "a ball on a meadow",
                     "the word \"on\" of \"a ball on a meadow\" is not in the prompt \"a ball\"");
    assert_not_found(
        "a red cube", "red cub",
        "the word \"cub\" of \"red cub\" (did you mean \"cube\"?) is not in the prompt");
}

static void a_word_that_is_missing_is_named_with_the_nearest(void **state)
{
    (void)state;
    assert_not_found(
        "a cat on a mat", "cet",
        "the word \"cet\" (did you mean \"cat\"?) is not in the prompt \"a cat on a mat\"");
    assert_not_found("a red ball", "zeppelin",
                     "the word \"zeppelin\" is not in the prompt \"a red ball\"");
    assert_not_found("", "cat", "the word \"cat\" is not in the prompt \"\"");
}

static void words_that_are_none_are_refused(void **state)
{
    (void)state;
    assert_not_found("a cat", "", "is empty");
    assert_not_found("a cat", " \t", "is empty");
    assert_not_found("a cat", "c\xFFt", "is not UTF-8");
}

static void a_failed_search_leaves_an_empty_set(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct pm_token_set set;
    assert_false(find(&set, "a cat", "dog", &err));
    assert_int_equal(set.count, 0);
    for (size_t n = 0; n < PM_TOKENS; n++) assert_false(set.has[n]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_parted_by_any_white_space),
        cmocka_unit_test(a_word_is_found_wherever_it_is),
        cmocka_unit_test(case_and_punctuation_around_do_not_matter),
        cmocka_unit_test(punctuation_within_a_word_matters),
        cmocka_unit_test(a_word_of_punctuation_is_found_as_it_is),
        cmocka_unit_test(words_in_a_row_are_found_together),
        cmocka_unit_test(a_word_that_is_missing_is_named_with_the_nearest),
        cmocka_unit_test(words_that_are_none_are_refused),
        cmocka_unit_test(a_failed_search_leaves_an_empty_set),
    };
    return cmocka_run_group_tests(tests, load_tokenizer, free_tokenizer);
}
