#include "pm/control/align.h"

#include "pm/control/words.h"

#include <string.h>

static bool same_word(struct pm_word a, struct pm_word b)
{
    return a.bytes == b.bytes && memcmp(a.text, b.text, a.bytes) == 0;
}

/* @return how many tokens from @p first on belong to @p word */
static size_t word_tokens(const struct pm_tokens *tokens, size_t first, size_t word)
{
    size_t n = first;
    while (n < tokens->count && tokens->word[n] == (int)word) n++;
    return n - first;
}

/* Count the words of both prompts.
 * @return one more than the last word that differs, of those that both have; 0 when none does */
static size_t changed_words_end(size_t *source_words, size_t *target_words, const char *source,
                                const char *target)
{
    size_t end = 0;
    struct pm_word a, b;
    for (*source_words = *target_words = 0;;) {
        bool has_a = pm_words_next(&a, &source), has_b = pm_words_next(&b, &target);
        if (!has_a && !has_b) return end;
        *source_words += has_a;
        *target_words += has_b;
        if (has_a && has_b && !same_word(a, b)) end = *source_words;
    }
}

bool pm_align_replace(float *map, const char *source_prompt, const struct pm_tokens *source,
                      const char *target_prompt, const struct pm_tokens *target,
                      enum pm_mapper mapper, struct pm_error *err)
{
    size_t words, target_words;
    size_t changed_end = changed_words_end(&words, &target_words, source_prompt, target_prompt);
    if (words != target_words)
        return pm_fail(err, PM_E_INPUT,
                       "\"replace\" puts word for word, but the source prompt has %zu words and "
                       "the target prompt %zu; use \"refine\"",
                       words, target_words);
    memset(map, 0, PM_TOKENS * PM_TOKENS * sizeof *map);
    map[0] = 1.0f; /* start */
    size_t i = 1, j = 1;
    for (size_t w = 0; w < changed_end; w++) {
        size_t n = word_tokens(source, i, w), m = word_tokens(target, j, w);
        PM_ASSERT(n > 0 && m > 0);
        for (size_t row = 0; row < n; row++) {
            for (size_t column = 0; column < m; column++) {
                float equal = row == column ? 1.0f : 0.0f;
                map[(i + row) * PM_TOKENS + j + column] = n == m ? equal : 1.0f / (float)m;
            }
        }
        i += n;
        j += m;
    }
    for (; i < PM_TOKENS && j < PM_TOKENS; i++, j++)
        map[(mapper == PM_MAPPER_REFERENCE ? j : i) * PM_TOKENS + j] = 1.0f;
    return true;
}

enum { LEFT, UP, DIAGONAL };

void pm_align_refine(int *from, float *alpha, const struct pm_tokens *source,
                     const struct pm_tokens *target)
{
    /* score[i][j], step[i][j]: of the first i source and j target tokens */
    int score[PM_TOKENS + 1][PM_TOKENS + 1] = {{0}}; /* a gap costs nothing */
    unsigned char step[PM_TOKENS + 1][PM_TOKENS + 1];
    for (size_t i = 1; i <= source->count; i++) {
        for (size_t j = 1; j <= target->count; j++) {
            int left = score[i][j - 1], up = score[i - 1][j];
            int match = source->ids[i - 1] == target->ids[j - 1] ? 1 : -1;
            int diagonal = score[i - 1][j - 1] + match;
            /* of equals the reference takes the new token first, then the dropped one */
            step[i][j] = left >= up && left >= diagonal ? LEFT : up >= diagonal ? UP : DIAGONAL;
            score[i][j] = step[i][j] == LEFT ? left : step[i][j] == UP ? up : diagonal;
        }
    }
    for (size_t n = 0; n < PM_TOKENS; n++) from[n] = n < target->count ? -1 : (int)n;
    for (size_t i = source->count, j = target->count; i > 0 && j > 0;) {
        unsigned char taken = step[i][j];
        if (taken == DIAGONAL) from[j - 1] = (int)(i - 1);
        if (taken != UP) j--;
        if (taken != LEFT) i--;
    }
    for (size_t n = 0; n < PM_TOKENS; n++) alpha[n] = from[n] < 0 ? 0.0f : 1.0f;
}
