#include "run_plan.h"

#include <stdlib.h>
#include <string.h>

/* One prompt's row: texts of tokens and words as NUL-ended strings. */
static bool write_prompt(struct pm_store *store, size_t entry, size_t item, int target,
                         const char *prompt, const struct pm_tokens *tokens,
                         const struct pm_tokenizer *tokenizer, struct pm_error *err)
{
    size_t words = tokens ? pm_words_count(prompt) : 0, count = tokens ? tokens->count : 0;
    const char *token_texts[PM_TOKENS];
    int32_t token_words[PM_TOKENS];
    for (size_t t = 0; t < count; t++) {
        token_texts[t] = pm_token_text(tokenizer, tokens->ids[t]);
        token_words[t] = tokens->word[t];
    }
    char *text = malloc(strlen(prompt) + words + 1), *next = text;
    const char **word_texts = malloc((words + 1) * sizeof *word_texts);
    if (!text || !word_texts) pm_die("no memory for a prompt");
    const char *rest = prompt;
    for (size_t w = 0; w < words; w++) {
        struct pm_word word;
        bool found = pm_words_next(&word, &rest);
        PM_ASSERT(found);
        word_texts[w] = next;
        memcpy(next, word.text, word.bytes);
        next[word.bytes] = '\0';
        next += word.bytes + 1;
    }
    struct pm_store_prompt row = {.text = prompt,
                                  .item = item,
                                  .target = target,
                                  .tokens = count,
                                  .words = words,
                                  .token_id = tokens ? tokens->ids : NULL,
                                  .token = token_texts,
                                  .token_word = token_words,
                                  .word = word_texts};
    bool ok = pm_store_put_prompt(store, entry, &row, err);
    free(text);
    free(word_texts);
    return ok;
}

/** Writing goes through the problems that the survey found, in the order of lines and targets. */
struct plan_writer {
    const struct run_plan *plan;
    struct pm_store *store;
    size_t next_problem;
};

/* Was this target found wrong? To be asked in order. */
static bool is_wrong(struct plan_writer *w, size_t item, int target)
{
    const struct run_plan_problem *problem = NULL;
    for (; w->next_problem < w->plan->problem_count; w->next_problem++) {
        problem = &w->plan->problems[w->next_problem];
        if (problem->item > item || (problem->item == item && problem->target >= target)) break;
    }
    return w->next_problem < w->plan->problem_count && problem->item == item &&
           problem->target == target;
}

static bool write_entry(struct plan_writer *w, size_t item, int target, const char *prompt,
                        bool wrong, struct pm_error *err)
{
    const struct pm_tokenizer *tokenizer = w->plan->settings->model->tokenizer;
    struct pm_tokens tokens;
    size_t entry = w->plan->items[item].first_entry + (size_t)(target + 1);
    if (!wrong) PM_TRY(pm_tokenize(&tokens, tokenizer, prompt, err));
    return write_prompt(w->store, entry, item, target, wrong ? "" : prompt, wrong ? NULL : &tokens,
                        tokenizer, err);
}

static bool write_line(struct plan_writer *w, const struct run_plan_line *line, size_t item,
                       struct pm_error *err)
{
    const struct run_plan_item *it = &w->plan->items[item];
    bool wrong = it->cost == 0;
    struct pm_store_item row = {.id = line->id,
                                .line = w->plan->manifest.lines[item].number,
                                .first_entry = it->first_entry,
                                .seed = wrong ? 0 : line->recipe.seed,
                                .recipe = line->text};
    PM_TRY(pm_store_put_item(w->store, item, &row, err));
    PM_TRY(write_entry(w, item, PM_STORE_SOURCE, line->recipe.source, wrong, err));
    for (size_t i = 0; i < it->targets; i++)
        PM_TRY(write_entry(w, item, (int)i, line->recipe.targets[i].prompt,
                           is_wrong(w, item, (int)i), err));
    return true;
}

bool run_plan_write(const struct run_plan *plan, struct pm_store *store, struct pm_error *err)
{
    struct plan_writer writer = {.plan = plan, .store = store};
    bool ok = true;
    for (size_t i = plan->first_line; ok && i < plan->end_line; i++) {
        struct run_plan_line line;
        run_plan_line_read(&line, plan, i);
        ok = write_line(&writer, &line, i, err);
        run_plan_line_free(&line);
        pm_manifest_forget(&plan->manifest, i);
    }
    return ok;
}

/* One by one, to name the first difference. */
static bool compare_recipes(const struct run_plan *plan, const struct pm_store *store,
                            struct pm_error *err)
{
    for (size_t i = 0; i < plan->manifest.count; i++) {
        struct pm_store_item item;
        PM_TRY(pm_store_read_item(&item, store, i, err));
        char *recipe = run_plan_recipe_text(plan, i);
        bool same = strcmp(recipe, item.recipe) == 0;
        free(recipe);
        pm_store_item_free(&item);
        char place[PM_MANIFEST_PLACE_BYTES];
        pm_manifest_place(place, &plan->manifest, i);
        if (!same)
            return pm_fail(err, PM_E_INPUT, "%s is not what the store was begun with", place);
    }
    return true;
}

bool run_plan_matches(const struct run_plan *plan, const struct pm_store *store,
                      struct pm_error *err)
{
    const struct pm_store_shape *shape = pm_store_shape_of(store), *s = &plan->shape;
    if (shape->items != plan->manifest.count || shape->entries != plan->entries)
        return pm_fail(err, PM_E_INPUT,
                       "the store is of %zu lines with %zu pictures, the manifest has %zu with %zu",
                       shape->items, shape->entries, plan->manifest.count, plan->entries);
    char *hash, mine[17];
    PM_TRY(pm_store_read_attribute(&hash, store, "manifest_hash", err));
    run_plan_hash_text(mine, plan);
    bool same_manifest = strcmp(hash, mine) == 0;
    free(hash);
    if (!same_manifest) PM_TRY(compare_recipes(plan, store, err));
    bool has_room = shape->tokens >= s->tokens && shape->words >= s->words &&
                    shape->id_bytes >= s->id_bytes && shape->recipe_bytes >= s->recipe_bytes &&
                    shape->prompt_bytes >= s->prompt_bytes &&
                    shape->token_bytes >= s->token_bytes && shape->word_bytes >= s->word_bytes;
    return has_room ||
           pm_fail(err, PM_E_INPUT, "the manifest is not what the store was begun with");
}
