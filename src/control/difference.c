#include "pm/control/difference.h"

#include "pm/base/error.h"

#include <string.h>

static void add_word(struct pm_token_set *set, const struct pm_tokens *tokens, int word)
{
    for (size_t t = 0; t < tokens->count; t++) {
        if (tokens->word[t] != word || set->has[t]) continue;
        set->has[t] = true;
        set->count++;
    }
}

/* A word's tokens follow each other. @return how many there are, from *first on */
static size_t tokens_of(size_t *first, const struct pm_tokens *tokens, int word)
{
    size_t count = 0;
    for (size_t t = 0; t < tokens->count; t++) {
        if (tokens->word[t] != word) continue;
        if (count == 0) *first = t;
        count++;
    }
    return count;
}

static bool same_word(const struct pm_tokens *a, const struct pm_tokens *b, int word)
{
    size_t i = 0, j = 0, count = tokens_of(&i, a, word);
    return tokens_of(&j, b, word) == count &&
           memcmp(a->ids + i, b->ids + j, count * sizeof *a->ids) == 0;
}

void pm_words_differing(struct pm_token_set *in_source, struct pm_token_set *in_target,
                        enum pm_edit edit, const struct pm_tokens *source,
                        const struct pm_tokens *target)
{
    PM_ASSERT(edit != PM_EDIT_REWEIGHT);
    *in_source = *in_target = (struct pm_token_set){0};
    if (edit == PM_EDIT_REPLACE) {
        for (size_t t = 0; t < source->count; t++)
            if (source->word[t] >= 0 && !same_word(source, target, source->word[t])) {
                add_word(in_source, source, source->word[t]);
                add_word(in_target, target, source->word[t]);
            }
        return;
    }
    int from[PM_TOKENS];
    float alpha[PM_TOKENS];
    bool kept[PM_TOKENS] = {false};
    pm_align_refine(from, alpha, source, target);
    for (size_t t = 0; t < target->count; t++) {
        if (from[t] >= 0)
            kept[from[t]] = true;
        else if (target->word[t] >= 0)
            add_word(in_target, target, target->word[t]);
    }
    for (size_t t = 0; t < source->count; t++)
        if (!kept[t] && source->word[t] >= 0) add_word(in_source, source, source->word[t]);
}
