#include "test.h"

#include "pm/base/json.h"
#include "pm/control/align.h"
#include "pm/control/token_map.h"
#include "pm/control/words.h"

#include <string.h>

/* One pair of prompts of align.json. */
struct pair {
    const json_t *golden;
    const char *prompts[2];
    struct pm_tokens tokens[2];
};

static json_t *pairs;
static struct pm_tokenizer *tokenizers[2]; /* scenes, clip */

static int load_all(void **state)
{
    (void)state;
    struct pm_error err = {0};
    bool ok = pm_json_load(&pairs, "tests/golden/data/align.json", (size_t)64 << 20, &err) &&
              pm_tokenizer_load(&tokenizers[0], "models/scenes/tokenizer", &err) &&
              pm_tokenizer_load(&tokenizers[1], "tests/golden/data/tokenizer/clip-tokenizer", &err);
    if (!ok) print_error("%s\n", err.message);
    return ok ? 0 : -1;
}

static int free_all(void **state)
{
    (void)state;
    json_decref(pairs);
    for (size_t i = 0; i < 2; i++) pm_tokenizer_free(tokenizers[i]);
    return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* @return false for a pair that is too long, which the reference refuses too */
static bool read_pair(struct pair *pair, const json_t *golden)
{
    struct pm_error err = {0};
    const struct pm_tokenizer *tokenizer =
        tokenizers[strcmp(text_of(golden, "tokenizer"), "clip") == 0];
    pair->golden = golden;
    for (size_t p = 0; p < 2; p++) {
        const json_t *ids = json_array_get(json_object_get(golden, "ids"), p);
        pair->prompts[p] = json_string_value(json_array_get(json_object_get(golden, "prompts"), p));
        if (json_array_size(ids) > PM_TOKENS) {
            assert_fails(pm_tokenize(&pair->tokens[p], tokenizer, pair->prompts[p], &err), err,
                         "the limit is 77");
            assert_non_null(json_object_get(json_object_get(golden, "refine"), "error"));
            return false;
        }
        assert_ok(pm_tokenize(&pair->tokens[p], tokenizer, pair->prompts[p], &err), err);
        assert_int_equal(pair->tokens[p].count, json_array_size(ids));
    }
    return true;
}

/* The reference finds words only as they are written. @return whether it makes no difference: no
 * capitals, punctuation or white space but single spaces */
static bool is_plain(const char *prompt)
{
    return prompt[strspn(prompt, "abcdefghijklmnopqrstuvwxyz0123456789' -")] == '\0' &&
           prompt[0] != ' ' && !strstr(prompt, "  ");
}

/* The reference walks through a prompt by the lengths of its tokens' texts. @return whether it does
 * not stray, as it does where a token is part of a character or white space is no single space */
static bool is_walked_well(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x80) return false;
    return text[0] != ' ' && !strstr(text, "  ");
}

static bool align(float *map, const struct pair *pair, enum pm_mapper mapper, struct pm_error *err)
{
    fill_nan(map, PM_TOKENS * PM_TOKENS);
    return pm_align_replace(map, pair->prompts[0], &pair->tokens[0], pair->prompts[1],
                            &pair->tokens[1], mapper, err);
}

/* @param entries  [row, column, weight] of what is not zero */
static void assert_map(const float *map, const json_t *entries, const struct pair *pair)
{
    float expected[PM_TOKENS * PM_TOKENS] = {0};
    size_t i;
    const json_t *entry;
    json_array_foreach(entries, i, entry)
    {
        size_t row = (size_t)json_integer_value(json_array_get(entry, 0));
        size_t column = (size_t)json_integer_value(json_array_get(entry, 1));
        assert_true(row < PM_TOKENS && column < PM_TOKENS);
        expected[row * PM_TOKENS + column] = (float)json_number_value(json_array_get(entry, 2));
    }
    assert_true(json_array_size(entries) > 0);
    if (max_difference(map, expected, PM_TOKENS * PM_TOKENS) > 1e-7)
        fail_msg("\"%s\" to \"%s\"", pair->prompts[0], pair->prompts[1]);
}

static void corrected_replacement_maps_are_the_golden_ones(void **state)
{
    (void)state;
    float map[PM_TOKENS * PM_TOKENS];
    struct pair pair;
    size_t i, checked = 0;
    const json_t *golden;
    json_array_foreach(pairs, i, golden)
    {
        if (!read_pair(&pair, golden)) continue;
        struct pm_error err = {0};
        const json_t *coo = json_object_get(json_object_get(golden, "replace_fixed"), "coo");
        if (coo) {
            assert_ok(align(map, &pair, PM_MAPPER_CORRECTED, &err), err);
            assert_map(map, coo, &pair);
            checked++;
        } else {
            assert_string_equal(text_of(json_object_get(golden, "replace"), "error"), "ValueError");
            assert_fails(align(map, &pair, PM_MAPPER_CORRECTED, &err), err, "use \"refine\"");
        }
    }
    assert_true(checked >= 100);
}

static void reference_replacement_maps_have_the_published_fault(void **state)
{
    (void)state;
    float map[PM_TOKENS * PM_TOKENS];
    struct pair pair;
    size_t i, faulty = 0;
    const json_t *golden;
    json_array_foreach(pairs, i, golden)
    {
        const json_t *coo = json_object_get(json_object_get(golden, "replace"), "coo");
        /* there the reference takes other tokens for the word, which is not followed */
        bool strayed = strcmp(text_of(golden, "replace_bug_kind"), "word_walk") == 0;
        if (!read_pair(&pair, golden) || !coo || strayed) continue;
        struct pm_error err = {0};
        assert_ok(align(map, &pair, PM_MAPPER_REFERENCE, &err), err);
        assert_map(map, coo, &pair);
        faulty += json_is_true(json_object_get(golden, "replace_bug"));
    }
    assert_true(faulty >= 40);
}

static void refinements_are_the_golden_ones(void **state)
{
    (void)state;
    struct pair pair;
    size_t i;
    const json_t *golden;
    json_array_foreach(pairs, i, golden)
    {
        if (!read_pair(&pair, golden)) continue;
        const json_t *refine = json_object_get(golden, "refine");
        int from[PM_TOKENS];
        float alpha[PM_TOKENS];
        memset(from, 0x55, sizeof from);
        fill_nan(alpha, PM_TOKENS);
        pm_align_refine(from, alpha, &pair.tokens[0], &pair.tokens[1]);
        for (size_t n = 0; n < PM_TOKENS; n++) {
            assert_int_equal(
                from[n], json_integer_value(json_array_get(json_object_get(refine, "mapper"), n)));
            const json_t *share = json_array_get(json_object_get(refine, "alphas"), n);
            assert_true(alpha[n] == json_number_value(share));
        }
    }
}

static void check_words(const struct pair *pair, size_t p)
{
    const json_t *golden = json_array_get(json_object_get(pair->golden, "word_inds"), p);
    const char *word;
    json_t *places, *place;
    json_object_foreach(json_object_get(golden, "by_word"), word, places)
    {
        if (!*word || json_array_size(places) == 0) continue;
        struct pm_error err = {0};
        struct pm_token_set set;
        assert_ok(pm_words_find(&set, pair->prompts[p], &pair->tokens[p], word, &err), err);
        size_t i;
        json_array_foreach(places, i, place) assert_true(set.has[json_integer_value(place)]);
        if (is_plain(pair->prompts[p])) assert_int_equal(set.count, json_array_size(places));
    }
}

static void words_found_have_the_golden_tokens(void **state)
{
    (void)state;
    struct pair pair;
    size_t i, plain = 0;
    const json_t *golden;
    json_array_foreach(pairs, i, golden)
    {
        if (!read_pair(&pair, golden)) continue;
        for (size_t p = 0; p < 2; p++) {
            if (!is_walked_well(pair.prompts[p])) continue;
            check_words(&pair, p);
            plain += is_plain(pair.prompts[p]);
        }
    }
    assert_true(plain > 200);
}

static void equalizers_are_the_golden_ones(void **state)
{
    (void)state;
    struct pair pair;
    size_t i, checked = 0;
    const json_t *golden;
    json_array_foreach(pairs, i, golden)
    {
        const json_t *equalizer = json_object_get(golden, "equalizer_nulltext"), *word;
        if (!read_pair(&pair, golden) || !is_plain(pair.prompts[1]) || !equalizer) continue;
        struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REWEIGHT);
        size_t k;
        json_array_foreach(json_object_get(equalizer, "words"), k, word)
        {
            const char *text = json_string_value(word);
            const json_t *value = json_array_get(json_object_get(equalizer, "values"), k);
            struct pm_error err = {0};
            bool found = pm_token_map_spec_equalize(&spec, pair.prompts[1], &pair.tokens[1], text,
                                                    (float)json_number_value(value), &err);
            if (!found)
                assert_non_null(strstr(err.message, text)); /* the reference passes over it */
        }
        for (size_t n = 0; n < PM_TOKENS; n++) {
            const json_t *value = json_array_get(json_object_get(equalizer, "row"), n);
            if (spec.equalizer[n] != (float)json_number_value(value))
                fail_msg("\"%s\", token %zu: %g", pair.prompts[1], n, spec.equalizer[n]);
        }
        checked++;
    }
    assert_true(checked > 100);
}

static void set_windows(struct pm_token_map_spec *spec, const struct pair *pair,
                        const json_t *bounds, size_t steps, const char *word)
{
    double begin = 0.0, end = json_number_value(bounds);
    if (json_is_array(bounds)) {
        begin = json_number_value(json_array_get(bounds, 0));
        end = json_number_value(json_array_get(bounds, 1));
    }
    struct pm_error err = {0};
    if (!word)
        pm_token_map_spec_window(spec, steps, begin, end);
    else if (strcmp(word, "nosuchword") == 0)
        assert_fails(pm_token_map_spec_word_window(spec, steps, begin, end, pair->prompts[1],
                                                   &pair->tokens[1], word, &err),
                     err, "nosuchword");
    else
        assert_ok(pm_token_map_spec_word_window(spec, steps, begin, end, pair->prompts[1],
                                                &pair->tokens[1], word, &err),
                  err);
}

static void check_windows(const struct pair *pair, const json_t *golden)
{
    const json_t *bounds = json_object_get(golden, "cross_replace_steps");
    size_t steps = (size_t)json_integer_value(json_object_get(golden, "num_steps"));
    struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REWEIGHT);
    if (json_is_object(bounds)) {
        const json_t *all = json_object_get(bounds, "default_");
        if (all) set_windows(&spec, pair, all, steps, NULL);
        const char *word;
        json_t *value;
        json_object_foreach((json_t *)bounds, word, value) if (strcmp(word, "default_") != 0)
            set_windows(&spec, pair, value, steps, word);
    } else {
        set_windows(&spec, pair, bounds, steps, NULL);
    }
    size_t step = 0, i;
    const json_t *run;
    json_array_foreach(json_object_get(golden, "table_rle"), i, run)
    {
        const char *row = json_string_value(json_array_get(run, 1));
        size_t rows = (size_t)json_integer_value(json_array_get(run, 0));
        for (size_t end = step + rows; step < end; step++)
            for (size_t n = 0; n < PM_TOKENS; n++)
                if ((row[n] == '1') != (spec.begin[n] <= step && step < spec.end[n]))
                    fail_msg("\"%s\", step %zu, token %zu", pair->prompts[1], step, n);
    }
    assert_int_equal(step, steps + 1);
}

static void windows_are_the_golden_ones(void **state)
{
    (void)state;
    struct pair pair;
    size_t i, k;
    const json_t *golden, *windows;
    json_array_foreach(pairs, i, golden)
    {
        if (!read_pair(&pair, golden) || !is_plain(pair.prompts[1])) continue;
        json_array_foreach(json_object_get(golden, "cross_alpha"), k, windows)
            check_windows(&pair, windows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corrected_replacement_maps_are_the_golden_ones),
        cmocka_unit_test(reference_replacement_maps_have_the_published_fault),
        cmocka_unit_test(refinements_are_the_golden_ones),
        cmocka_unit_test(words_found_have_the_golden_tokens),
        cmocka_unit_test(equalizers_are_the_golden_ones),
        cmocka_unit_test(windows_are_the_golden_ones),
    };
    return cmocka_run_group_tests(tests, load_all, free_all);
}
