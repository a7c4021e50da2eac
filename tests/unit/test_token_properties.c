/* What holds of token maps and alignments, whatever the prompts: generated cases, and algorithms that are
 * not those of the program. */
#include "generate.h"
#include "prompt_word.h"
#include "scenes_tokenizer.h"
#include "test.h"

#include "pm/control/token_map.h"
#include "pm/control/words.h"

#include <math.h>
#include <string.h>

enum { CASES = 100, MOST_WORDS = 14, PROMPT_BYTES = 1024, STEPS = 50 };

/** Two prompts, and their tokens. */
struct pair {
    uint64_t number;
    char source[PROMPT_BYTES], target[PROMPT_BYTES];
    struct pm_tokens from, to;
};

/* @return false when they have too many tokens */
static bool make_pair(struct pair *p, struct generator *g, bool resizes)
{
    struct pm_error err;
    p->number = g->number;
    generate_prompt(p->source, sizeof p->source, g, 1 + generate_below(g, MOST_WORDS));
    generate_variation(p->target, sizeof p->target, g, p->source, resizes);
    return pm_tokenize(&p->from, tokenizer, p->source, &err) &&
           pm_tokenize(&p->to, tokenizer, p->target, &err);
}

#define assert_of(p, cond)                                                                         \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail_msg("case %llu: \"%s\" to \"%s\": " #cond, (unsigned long long)(p)->number,       \
                     (p)->source, (p)->target);                                                    \
    } while (0)

static bool same_count_of_words(const struct pair *p)
{
    return pm_words_count(p->source) == pm_words_count(p->target);
}

/* The first token of a word, and how many it has. */
static size_t tokens_of(const struct pm_tokens *t, size_t word, size_t *first)
{
    size_t count = 0;
    for (size_t n = t->count; n-- > 0;) {
        if (t->word[n] != (int)word) continue;
        *first = n;
        count++;
    }
    return count;
}

static bool same_word(const struct pair *p, size_t word)
{
    struct pm_word a = prompt_word(p->source, word), b = prompt_word(p->target, word);
    return a.bytes == b.bytes && memcmp(a.text, b.text, a.bytes) == 0;
}

/* How much of source token w a target token n takes, by the words that they are of. */
static float replaced_share(const struct pair *p, size_t w, size_t n)
{
    int last_changed = -1;
    for (size_t word = 0; word < pm_words_count(p->source); word++)
        if (!same_word(p, word)) last_changed = (int)word;
    int source_word = p->from.word[w], target_word = p->to.word[n];
    bool is_before = target_word >= 0 && target_word <= last_changed;
    bool comes_from_before = source_word >= 0 && source_word <= last_changed;
    if (n == 0 || w == 0) return n == w ? 1.0f : 0.0f;
    if (is_before || comes_from_before) {
        size_t first = 0, target_first = 0;
        if (source_word != target_word) return 0.0f;
        size_t count = tokens_of(&p->from, (size_t)source_word, &first);
        size_t target_count = tokens_of(&p->to, (size_t)target_word, &target_first);
        if (count != target_count) return 1.0f / (float)target_count;
        return w - first == n - target_first ? 1.0f : 0.0f;
    }
    /* behind the last change all is the same, at a distance; also the padding */
    size_t source_start = 1, target_start = 1;
    while (p->from.word[source_start] >= 0 && p->from.word[source_start] <= last_changed)
        source_start++;
    while (p->to.word[target_start] >= 0 && p->to.word[target_start] <= last_changed)
        target_start++;
    return w - source_start == n - target_start ? 1.0f : 0.0f;
}

static void replacement_goes_word_for_word(void **state)
{
    (void)state;
    static float map[PM_TOKENS][PM_TOKENS];
    size_t looked_at = 0;
    for (uint64_t i = 0; i < CASES; i++) {
        struct generator g = generate(i);
        struct pair p;
        struct pm_error err = {0};
        if (!make_pair(&p, &g, false) || !same_count_of_words(&p)) continue;
        assert_ok(pm_align_replace(&map[0][0], p.source, &p.from, p.target, &p.to,
                                   PM_MAPPER_CORRECTED, &err),
                  err);
        for (size_t w = 0; w < PM_TOKENS; w++)
            for (size_t n = 0; n < PM_TOKENS; n++)
                if (map[w][n] != replaced_share(&p, w, n))
                    fail_msg("case %llu: \"%s\" to \"%s\": %g of %zu goes to %zu, not %g",
                             (unsigned long long)p.number, p.source, p.target, (double)map[w][n], w,
                             n, (double)replaced_share(&p, w, n));
        looked_at++;
    }
    assert_true(looked_at > CASES / 2);
}

/* Of a source token all goes into the target, unless the prompt's end pushes it out. */
static void rows_of_a_replacement_sum_to_one(void **state)
{
    (void)state;
    static float map[PM_TOKENS][PM_TOKENS];
    for (uint64_t i = 0; i < CASES; i++) {
        struct generator g = generate(i + 1000);
        struct pair p;
        struct pm_error err = {0};
        if (!make_pair(&p, &g, false) || !same_count_of_words(&p)) continue;
        assert_ok(pm_align_replace(&map[0][0], p.source, &p.from, p.target, &p.to,
                                   PM_MAPPER_CORRECTED, &err),
                  err);
        for (size_t w = 0; w < p.from.count; w++) {
            double sum = 0.0;
            for (size_t n = 0; n < PM_TOKENS; n++) sum += (double)map[w][n];
            assert_of(&p, fabs(sum - 1.0) < 1e-5);
        }
    }
}

/* Tokens that both have in order, by recursion on the prompts' ends with what was found kept. */
static int longest_common(const struct pair *p, size_t i, size_t j, int kept[PM_TOKENS][PM_TOKENS])
{
    if (i == p->from.count || j == p->to.count) return 0;
    if (kept[i][j] < 0) {
        int one = longest_common(p, i + 1, j, kept), other = longest_common(p, i, j + 1, kept);
        kept[i][j] = one > other ? one : other;
        if (p->from.ids[i] == p->to.ids[j]) {
            int both = 1 + longest_common(p, i + 1, j + 1, kept);
            if (both > kept[i][j]) kept[i][j] = both;
        }
    }
    return kept[i][j];
}

/* A gap costs nothing and a mismatch does, so that the best alignment is the longest subsequence that
 * both have. */
static void refinement_keeps_as_many_tokens_as_can_be(void **state)
{
    (void)state;
    static int kept[PM_TOKENS][PM_TOKENS];
    for (uint64_t i = 0; i < CASES; i++) {
        struct generator g = generate(i + 2000);
        struct pair p;
        int from[PM_TOKENS], matched = 0, last = -1;
        float alpha[PM_TOKENS];
        if (!make_pair(&p, &g, true)) continue;
        pm_align_refine(from, alpha, &p.from, &p.to);
        for (size_t n = 0; n < p.to.count; n++) {
            assert_of(&p, alpha[n] == (from[n] < 0 ? 0.0f : 1.0f));
            if (from[n] < 0) continue;
            assert_of(&p, from[n] > last && (size_t)from[n] < p.from.count);
            assert_of(&p, p.from.ids[from[n]] == p.to.ids[n]);
            last = from[n];
            matched++;
        }
        memset(kept, -1, sizeof kept);
        assert_of(&p, matched == longest_common(&p, 0, 0, kept));
    }
}

static void equal_prompts_are_mapped_as_they_are(void **state)
{
    (void)state;
    static const enum pm_edit edits[] = {PM_EDIT_REPLACE, PM_EDIT_REFINE, PM_EDIT_REWEIGHT};
    static struct pm_token_map map;
    for (uint64_t i = 0; i < CASES; i++) {
        struct generator g = generate(i + 3000);
        struct pair p;
        struct pm_error err = {0};
        if (!make_pair(&p, &g, false)) continue;
        for (size_t e = 0; e < 3; e++) {
            struct pm_token_map_spec spec = pm_token_map_spec_default(edits[e]);
            assert_ok(pm_token_map_init(&map, &spec, p.source, &p.from, p.source, &p.from, &err),
                      err);
            for (size_t w = 0; w < PM_TOKENS; w++)
                for (size_t n = 0; n < PM_TOKENS; n++)
                    assert_of(&p, map.map[w * PM_TOKENS + n] == (w == n ? 1.0f : 0.0f));
        }
    }
}

/* What stands behind a prompt's end is nobody's word. */
static void the_padding_decides_nothing(void **state)
{
    (void)state;
    static struct pm_token_map map, other;
    for (uint64_t i = 0; i < CASES; i++) {
        struct generator g = generate(i + 4000);
        struct pair p;
        struct pm_error err = {0};
        if (!make_pair(&p, &g, i % 2 == 0)) continue;
        struct pm_tokens from = p.from, to = p.to;
        for (size_t n = from.count; n < PM_TOKENS; n++) from.ids[n] = 0;
        for (size_t n = to.count; n < PM_TOKENS; n++) to.ids[n] = (int32_t)generate_below(&g, 99);
        struct pm_token_map_spec spec = pm_token_map_spec_default(
            i % 4 < 2 && same_count_of_words(&p) ? PM_EDIT_REPLACE : PM_EDIT_REFINE);
        pm_token_map_spec_window(&spec, STEPS, 0.0, generate_fraction(&g));
        assert_ok(pm_token_map_init(&map, &spec, p.source, &p.from, p.target, &p.to, &err), err);
        assert_ok(pm_token_map_init(&other, &spec, p.source, &from, p.target, &to, &err), err);
        assert_of(&p, memcmp(&map, &other, sizeof map) == 0);
    }
}

/* A refinement takes each token from one prompt or from the other. */
static void columns_of_a_refinement_sum_to_the_factor(void **state)
{
    (void)state;
    static struct pm_token_map map;
    static float a[PM_TOKENS * PM_TOKENS];
    float d[PM_TOKENS];
    for (uint64_t i = 0; i < CASES; i++) {
        struct generator g = generate(i + 5000);
        struct pair p;
        struct pm_error err = {0};
        if (!make_pair(&p, &g, true)) continue;
        struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REFINE);
        pm_token_map_spec_window(&spec, STEPS, 0.0, generate_fraction(&g));
        for (size_t n = 0; n < PM_TOKENS; n++)
            spec.equalizer[n] = (float)generate_below(&g, 5) - 2.0f;
        assert_ok(pm_token_map_init(&map, &spec, p.source, &p.from, p.target, &p.to, &err), err);
        size_t step = generate_below(&g, STEPS + 2);
        pm_token_map_at(a, d, &map, step);
        for (size_t n = 0; n < PM_TOKENS; n++) {
            float sum = d[n];
            bool is_edited = step >= spec.begin[n] && step < spec.end[n];
            for (size_t w = 0; w < PM_TOKENS; w++) sum += a[w * PM_TOKENS + n];
            assert_of(&p, sum == (is_edited ? spec.equalizer[n] : 1.0f));
        }
    }
}

/* Of windows that follow each other every step is in one. */
static void windows_part_the_steps(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20 * CASES; i++) {
        struct generator g = generate(i + 6000);
        size_t steps = 1 + generate_below(&g, 200), in_all = 0;
        double bounds[4] = {0.0, generate_fraction(&g), 0.0, 1.0};
        bounds[2] = bounds[1] + (1.0 - bounds[1]) * generate_fraction(&g);
        struct pm_token_map_spec spec = pm_token_map_spec_default(PM_EDIT_REFINE), before = spec;
        for (size_t k = 0; k < 3; k++) {
            pm_token_map_spec_window(&spec, steps, bounds[k], bounds[k + 1]);
            assert_true(spec.begin[0] <= spec.end[0] && spec.end[0] <= steps + 1);
            assert_true(k > 0 ? spec.begin[0] == before.end[0] : spec.begin[0] == 0);
            /* int(f (steps + 1)): the last step that is in it begins before f of the run is over */
            double end = bounds[k + 1] * (double)(steps + 1);
            assert_true((double)spec.end[0] <= end && end < (double)spec.end[0] + 1.0);
            in_all += spec.end[0] - spec.begin[0];
            before = spec;
        }
        assert_int_equal(in_all, steps + 1);
    }
}

/* The words named are those that have the word's letters, however it is written. */
static void every_word_of_a_prompt_is_found_in_it(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < CASES; i++) {
        struct generator g = generate(i + 7000);
        struct pair p;
        struct pm_error err = {0};
        if (!make_pair(&p, &g, false)) continue;
        size_t number = generate_below(&g, pm_words_count(p.source));
        struct pm_word word = prompt_word(p.source, number);
        char name[PROMPT_BYTES] = "";
        memcpy(name, word.text, word.bytes);
        struct pm_token_set set;
        assert_ok(pm_words_find(&set, p.source, &p.from, name, &err), err);
        for (size_t n = 0; n < p.from.count; n++)
            if (p.from.word[n] == (int)number) assert_of(&p, set.has[n]);
        for (size_t n = p.from.count; n < PM_TOKENS; n++) assert_of(&p, !set.has[n]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replacement_goes_word_for_word),
        cmocka_unit_test(rows_of_a_replacement_sum_to_one),
        cmocka_unit_test(refinement_keeps_as_many_tokens_as_can_be),
        cmocka_unit_test(equal_prompts_are_mapped_as_they_are),
        cmocka_unit_test(the_padding_decides_nothing),
        cmocka_unit_test(columns_of_a_refinement_sum_to_the_factor),
        cmocka_unit_test(windows_part_the_steps),
        cmocka_unit_test(every_word_of_a_prompt_is_found_in_it),
    };
    return cmocka_run_group_tests(tests, load_tokenizer, free_tokenizer);
}
