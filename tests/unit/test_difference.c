#include "scenes_tokenizer.h"
#include "test.h"

#include "pm/control/difference.h"

#include <string.h>

/* The words that a set of tokens is of, must be just those. */
static void assert_words(const struct pm_token_set *set, const char *prompt, const char *words)
{
    struct pm_error err = {0};
    struct pm_tokens tokens;
    struct pm_token_set expected = {0}, one;
    assert_ok(pm_tokenize(&tokens, tokenizer, prompt, &err), err);
    const char *rest = words;
    struct pm_word word;
    while (pm_words_next(&word, &rest)) {
        char text[32] = {0};
        memcpy(text, word.text, word.bytes);
        assert_ok(pm_words_find(&one, prompt, &tokens, text, &err), err);
        for (size_t t = 0; t < PM_TOKENS; t++) expected.has[t] = expected.has[t] || one.has[t];
    }
    size_t count = 0;
    for (size_t t = 0; t < PM_TOKENS; t++) {
        if (set->has[t] != expected.has[t]) fail_msg("token %zu of \"%s\"", t, prompt);
        count += set->has[t];
    }
    assert_int_equal(set->count, count);
}

static void assert_difference(enum pm_edit edit, const char *source, const char *in_source,
                              const char *target, const char *in_target)
{
    struct pm_error err = {0};
    struct pm_tokens a, b;
    struct pm_token_set from, to;
    assert_ok(pm_tokenize(&a, tokenizer, source, &err), err);
    assert_ok(pm_tokenize(&b, tokenizer, target, &err), err);
    pm_words_differing(&from, &to, edit, &a, &b);
    assert_words(&from, source, in_source);
    assert_words(&to, target, in_target);
}

static void replaced_words_differ_in_both_prompts(void **state)
{
    (void)state;
    assert_difference(PM_EDIT_REPLACE, "a red ball on a meadow", "ball",
                      "a red mushroom on a meadow", "mushroom");
    assert_difference(PM_EDIT_REPLACE, "a red ball", "red ball", "a blue cactus", "blue cactus");
}

static void added_words_differ_in_the_target_and_removed_ones_in_the_source(void **state)
{
    (void)state;
    assert_difference(PM_EDIT_REFINE, "a red ball on a meadow", "",
                      "a striped red ball on a meadow at night", "striped at night");
    assert_difference(PM_EDIT_REFINE, "a striped red ball", "striped", "a red ball", "");
}

static void equal_prompts_do_not_differ(void **state)
{
    (void)state;
    assert_difference(PM_EDIT_REFINE, "a red ball", "", "a red ball", "");
    assert_difference(PM_EDIT_REPLACE, "a red ball", "", "a red ball", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced_words_differ_in_both_prompts),
        cmocka_unit_test(added_words_differ_in_the_target_and_removed_ones_in_the_source),
        cmocka_unit_test(equal_prompts_do_not_differ),
    };
    return cmocka_run_group_tests(tests, load_tokenizer, free_tokenizer);
}
