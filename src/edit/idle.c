#include "pm/edit/idle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/** One target, and who is told. */
struct search {
    const struct pm_recipe *recipe;
    const struct pm_target_recipe *target;
    const struct pm_tokens *source_tokens;
    const struct pm_prepared_target *prepared;
    const struct pm_schedule *schedule;
    pm_idle_report *report;
    void *self;
};

static void tell(const struct search *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(const struct search *s, const char *format, ...)
{
    char sentence[PM_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    s->report(s->self, sentence);
}

/* A window of nothing at the beginning is how one turns it off. */
static void look_at_window(const struct search *s, const char *key, const char *word,
                           struct pm_window window, size_t begin, size_t end)
{
    if (begin < end || window.end <= 0.0) return;
    tell(s, "%s%s%s%s: none of the %zu steps lies from %g to %g of the run", key,
         word ? ", \"" : "", word ? word : "", word ? "\"" : "", s->schedule->steps, window.begin,
         window.end);
}

/* The steps of a word's tokens: of the first of them, since all have the same. */
static void window_of(size_t *begin, size_t *end, const struct search *s,
                      const struct pm_token_set *set)
{
    *begin = *end = 0;
    for (size_t t = 0; t < PM_TOKENS; t++) {
        if (!set->has[t]) continue;
        *begin = s->prepared->map.begin[t];
        *end = s->prepared->map.end[t];
        return;
    }
}

static bool find(struct pm_token_set *set, const struct search *s, const char *word)
{
    struct pm_error err;
    return pm_words_find(set, s->target->prompt, &s->prepared->tokens, word, &err);
}

static void look_at_windows(const struct search *s)
{
    const struct pm_target_recipe *t = s->target;
    const struct pm_token_map *map = &s->prepared->map;
    look_at_window(s, "self_replace_steps", NULL, t->self, s->prepared->self_begin,
                   s->prepared->self_end);
    /* the beginning's token has the window of all, unless a word's is the only one */
    look_at_window(s, "cross_replace_steps", NULL, t->cross, map->begin[0], map->end[0]);
    for (size_t i = 0; i < t->cross_words.count; i++) {
        struct pm_token_set set;
        size_t begin, end;
        if (!find(&set, s, t->cross_words.words[i])) continue;
        window_of(&begin, &end, s, &set);
        look_at_window(s, "cross_replace_steps", t->cross_words.words[i], t->cross_windows[i],
                       begin, end);
    }
}

static void look_at_equalizer(const struct search *s)
{
    const struct pm_target_recipe *t = s->target;
    for (size_t i = 0; i < t->equalizer.count; i++) {
        const char *word = t->equalizer.words[i];
        struct pm_token_set set;
        size_t begin, end;
        if (!find(&set, s, word)) continue;
        window_of(&begin, &end, s, &set);
        if (begin >= end)
            tell(s,
                 "equalizer, \"%s\": it counts where cross-attention is replaced, and of this "
                 "word it is in no step",
                 word);
        else if (t->equalizer_values[i] == 1.0)
            tell(s, "equalizer, \"%s\": 1 times the attention is no change", word);
    }
}

/* How often a name is found, its words following each other. */
static size_t occurrences(const struct pm_token_set *set, const struct pm_tokens *tokens,
                          const char *name)
{
    size_t words = 0, in_name = pm_words_count(name);
    for (size_t t = 0; t < PM_TOKENS; t++)
        words +=
            set->has[t] && (t == 0 || !set->has[t - 1] || tokens->word[t] != tokens->word[t - 1]);
    return in_name > 0 ? words / in_name : 0;
}

static void look_at_words(const struct search *s, const char *key, const struct pm_word_list *list,
                          const char *prompt, const struct pm_tokens *tokens)
{
    for (size_t i = 0; i < list->count; i++) {
        struct pm_token_set set;
        struct pm_error err;
        if (!pm_words_find(&set, prompt, tokens, list->words[i], &err)) continue;
        size_t count = occurrences(&set, tokens, list->words[i]);
        if (count > 1)
            tell(s, "%s: \"%s\" is in the prompt \"%s\" %zu times; all of them are meant", key,
                 list->words[i], prompt, count);
    }
}

static void look_at_all_words(const struct search *s)
{
    const struct pm_target_recipe *t = s->target;
    const struct pm_tokens *own = &s->prepared->tokens;
    look_at_words(s, "equalizer", &t->equalizer, t->prompt, own);
    look_at_words(s, "cross_replace_steps", &t->cross_words, t->prompt, own);
    if (!t->has_blend) return;
    look_at_words(s, "local_blend, source", &t->blend.source, s->recipe->source, s->source_tokens);
    look_at_words(s, "local_blend, target", &t->blend.target, t->prompt, own);
    look_at_words(s, "local_blend, subtract source", &t->blend.subtract_source, s->recipe->source,
                  s->source_tokens);
    look_at_words(s, "local_blend, subtract target", &t->blend.subtract_target, t->prompt, own);
}

static void look_at_mask(const struct search *s)
{
    const struct pm_local_blend *blend = &s->prepared->blend;
    const char *key = s->prepared->blends ? "local_blend" : "restore";
    if (!s->prepared->has_mask) return;
    if (blend->subtracts && blend->subtract_threshold >= 1.0f)
        tell(s,
             "local_blend, subtract: nowhere is attention above a threshold of %g, so that "
             "nothing is taken away",
             (double)blend->subtract_threshold);
    if (blend->start_step >= s->schedule->evaluations)
        tell(s, "local_blend: it would start after the last step, at %g of the run",
             s->target->blend.start);
    else if (blend->threshold >= 1.0f)
        tell(s,
             "%s: nowhere is attention above a threshold of %g, so that the target is its source",
             key, (double)blend->threshold);
}

static bool is_reweighted(const struct pm_target_recipe *target)
{
    for (size_t i = 0; i < target->equalizer.count; i++)
        if (target->equalizer_values[i] != 1.0) return true;
    return false;
}

static void look_at_prompt(const struct search *s)
{
    bool is_same =
        memcmp(s->source_tokens->ids, s->prepared->tokens.ids, sizeof s->source_tokens->ids) == 0;
    if (is_same && !is_reweighted(s->target))
        tell(s, "the prompt is the source's, and nothing else changes: the target is its source");
}

void pm_idle_find(const struct pm_recipe *recipe, const struct pm_prepared *prepared, size_t target,
                  const struct pm_schedule *schedule, pm_idle_report *report, void *self)
{
    struct search s = {.recipe = recipe,
                       .target = &recipe->targets[target],
                       .source_tokens = &prepared->source,
                       .prepared = &prepared->targets[target],
                       .schedule = schedule,
                       .report = report,
                       .self = self};
    PM_ASSERT(s.prepared->error.code == PM_OK);
    look_at_prompt(&s);
    look_at_windows(&s);
    look_at_equalizer(&s);
    look_at_all_words(&s);
    look_at_mask(&s);
}
