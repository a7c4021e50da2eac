#include "run_texts.h"

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

/** Before the texts of a line: id, recipe, the source's prompt and the targets', NUL-ended. */
struct text_header {
    size_t bytes; /* of the texts */
    uint64_t seed;
};

static void append(struct run_texts *texts, const void *from, size_t bytes)
{
    if (texts->capacity - texts->used < bytes) {
        texts->capacity = 2 * (texts->capacity + bytes);
        texts->bytes = realloc(texts->bytes, texts->capacity);
        if (!texts->bytes) pm_die("no memory for %zu bytes of the manifest", texts->capacity);
    }
    memcpy(texts->bytes + texts->used, from, bytes);
    texts->used += bytes;
}

static void append_text(struct run_texts *texts, const char *text)
{
    append(texts, text, strlen(text) + 1);
}

void run_texts_keep(void *texts, const struct run_plan *plan, const struct run_plan_line *line)
{
    struct run_texts *t = texts;
    struct text_header header = {0};
    size_t begin = t->used;
    append(t, &header, sizeof header);
    append_text(t, line->id);
    append_text(t, line->text);
    if (plan->items[line->item].cost > 0) {
        header.seed = line->recipe.seed;
        append_text(t, line->recipe.source);
        for (size_t i = 0; i < line->recipe.target_count; i++)
            append_text(t, line->recipe.targets[i].error.code == PM_OK
                               ? line->recipe.targets[i].prompt
                               : "");
    }
    header.bytes = t->used - begin - sizeof header;
    memcpy(t->bytes + begin, &header, sizeof header);
}

/* @return the text at *next, which then is the one behind it */
static const char *next_text(const char **next)
{
    const char *text = *next;
    *next += strlen(text) + 1;
    return text;
}

static bool write_line(struct plan_writer *w, const struct text_header *header, const char *texts,
                       size_t item, struct pm_error *err)
{
    const struct run_plan_item *it = &w->plan->items[item];
    bool wrong = it->cost == 0; /* maybe since the line was kept: its id is another's */
    const char *id = next_text(&texts), *recipe = next_text(&texts);
    struct pm_store_item row = {.id = id,
                                .line = w->plan->manifest.lines[item].number,
                                .first_entry = it->first_entry,
                                .seed = wrong ? 0 : header->seed,
                                .recipe = recipe};
    PM_TRY(pm_store_put_item(w->store, item, &row, err));
    PM_TRY(write_entry(w, item, PM_STORE_SOURCE, wrong ? "" : next_text(&texts), wrong, err));
    for (size_t i = 0; i < it->targets; i++)
        PM_TRY(write_entry(w, item, (int)i, next_text(&texts), is_wrong(w, item, (int)i), err));
    return true;
}

bool run_texts_write(const struct run_texts *texts, const struct run_plan *plan,
                     struct pm_store *store, struct pm_error *err)
{
    struct plan_writer writer = {.plan = plan, .store = store};
    const char *next = texts->bytes;
    for (size_t i = plan->first_line; i < plan->end_line; i++) {
        struct text_header header;
        memcpy(&header, next, sizeof header);
        next += sizeof header;
        PM_TRY(write_line(&writer, &header, next, i, err));
        next += header.bytes;
    }
    PM_ASSERT(next == texts->bytes + texts->used);
    return true;
}

void run_texts_free(struct run_texts *texts)
{
    free(texts->bytes);
    *texts = (struct run_texts){0};
}
