#include "pm/edit/explain.h"

#include "pm/control/words.h"

/** Who is told. */
struct listener {
    pm_explain_report *report;
    void *self;
};

static void look_for(const struct listener *l, const struct pm_word_list *words, const char *which,
                     const char *prompt, const struct pm_tokens *tokens)
{
    for (size_t i = 0; i < words->count; i++) {
        struct pm_token_set set;
        struct pm_error err = {0};
        if (pm_words_find(&set, prompt, tokens, words->words[i], &err)) continue;
        pm_fail(&err, err.code, "%s: %s", which, err.message);
        l->report(l->self, err.message);
    }
}

static void look_at_alignment(const struct listener *l, const struct pm_target_recipe *target,
                              const char *source_prompt, const struct pm_tokens *source,
                              const struct pm_tokens *tokens)
{
    float map[PM_TOKENS * PM_TOKENS];
    struct pm_error err = {0};
    if (target->edit != PM_EDIT_REPLACE) return;
    if (!pm_align_replace(map, source_prompt, source, target->prompt, tokens, target->mapper, &err))
        l->report(l->self, err.message);
}

void pm_explain(const struct pm_recipe *recipe, const struct pm_tokens *source, size_t target,
                const struct pm_tokenizer *tokenizer, pm_explain_report *report, void *self)
{
    const struct pm_target_recipe *t = &recipe->targets[target];
    const struct listener l = {.report = report, .self = self};
    struct pm_tokens tokens;
    struct pm_error err = {0};
    PM_ASSERT(t->error.code == PM_OK);
    if (!pm_tokenize(&tokens, tokenizer, t->prompt, &err)) return;
    look_for(&l, &t->cross_words, "cross_replace_steps", t->prompt, &tokens);
    look_for(&l, &t->equalizer, "equalizer", t->prompt, &tokens);
    look_at_alignment(&l, t, recipe->source, source, &tokens);
    look_for(&l, &t->blend.source, "local_blend, source", recipe->source, source);
    look_for(&l, &t->blend.target, "local_blend, target", t->prompt, &tokens);
    look_for(&l, &t->blend.subtract_source, "local_blend, subtract source", recipe->source, source);
    look_for(&l, &t->blend.subtract_target, "local_blend, subtract target", t->prompt, &tokens);
}
