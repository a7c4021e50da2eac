#include "run_texts.h"

#include <stdlib.h>
#include <string.h>

/* One prompt's row: texts of tokens and words as NUL-ended strings. */
static bool write_prompt(struct pm_store *store, size_t entry, size_t item, int target,
                         const char *prompt, const struct pm_tokens *tokens,
                         const struct pm_tokenizer *tokenizer, struct pm_error *err)
{
    size_t words = pm_words_count(prompt);
    const char *token_texts[PM_TOKENS];
    int32_t token_words[PM_TOKENS];
    for (size_t t = 0; t < tokens->count; t++) {
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
                                  .tokens = tokens->count,
                                  .words = words,
                                  .token_id = tokens->ids,
                                  .token = token_texts,
                                  .token_word = token_words,
                                  .word = word_texts};
    bool ok = pm_store_put_prompt(store, entry, &row, err);
    free(text);
    free(word_texts);
    return ok;
}

/** Before the texts of a line: id and recipe, NUL-ended; then, unless the line is wrong, the source's
 *  prompt and the targets', each NUL-ended and followed by its tokens. */
struct text_header {
    size_t bytes; /* of the texts */
    uint64_t seed;
};

static void append_text(struct pm_buffer *texts, const char *text)
{
    pm_buffer_put(texts, text, strlen(text) + 1);
}

/* @param tokens  NULL: nothing is made of the prompt */
static void append_prompt(struct pm_buffer *texts, const char *prompt,
                          const struct pm_tokens *tokens)
{
    size_t count = tokens ? tokens->count : 0;
    append_text(texts, tokens ? prompt : "");
    pm_buffer_put(texts, &count, sizeof count);
    if (!tokens) return;
    pm_buffer_put(texts, tokens->ids, count * sizeof *tokens->ids);
    pm_buffer_put(texts, tokens->word, count * sizeof *tokens->word);
}

void run_texts_keep(void *texts, const struct run_plan *plan, const struct run_plan_line *line)
{
    struct pm_buffer *t = texts;
    struct text_header header = {0};
    size_t begin = t->used;
    pm_buffer_put(t, &header, sizeof header);
    append_text(t, line->id);
    append_text(t, line->text);
    if (plan->items[line->item].cost > 0) {
        header.seed = line->recipe.seed;
        append_prompt(t, line->recipe.source, &line->prepared.source);
        for (size_t i = 0; i < line->recipe.target_count; i++) {
            const struct pm_prepared_target *target = &line->prepared.targets[i];
            append_prompt(t, line->recipe.targets[i].prompt,
                          target->error.code == PM_OK ? &target->tokens : NULL);
        }
    }
    header.bytes = t->used - begin - sizeof header;
    memcpy(t->bytes + begin, &header, sizeof header);
}

/* @return the text at *next, which then is what is behind it */
static const char *next_text(const char **next)
{
    const char *text = *next;
    *next += strlen(text) + 1;
    return text;
}

static void copy_next(void *out, size_t bytes, const char **next)
{
    memcpy(out, *next, bytes);
    *next += bytes;
}

static void next_tokens(struct pm_tokens *out, const char **next)
{
    copy_next(&out->count, sizeof out->count, next);
    copy_next(out->ids, out->count * sizeof *out->ids, next);
    copy_next(out->word, out->count * sizeof *out->word, next);
}

static bool write_line(struct pm_store *store, const struct run_plan *plan, size_t item,
                       const struct text_header *header, const char *texts, struct pm_error *err)
{
    const struct run_plan_item *it = &plan->items[item];
    const struct pm_tokenizer *tokenizer = plan->settings->model->tokenizer;
    bool wrong = it->cost == 0; /* maybe since the line was kept: its id is another's */
    const char *id = next_text(&texts), *recipe = next_text(&texts);
    struct pm_store_item row = {.id = id,
                                .line = plan->manifest.lines[item].number,
                                .first_entry = it->first_entry,
                                .seed = wrong ? 0 : header->seed,
                                .recipe = recipe};
    PM_TRY(pm_store_put_item(store, item, &row, err));
    for (size_t i = 0; i <= it->targets; i++) {
        struct pm_tokens tokens = {.count = 0};
        const char *prompt = wrong ? "" : next_text(&texts);
        if (!wrong) next_tokens(&tokens, &texts);
        PM_TRY(write_prompt(store, it->first_entry + i, item, (int)i + PM_STORE_SOURCE, prompt,
                            &tokens, tokenizer, err));
    }
    return true;
}

bool run_texts_write(const struct pm_buffer *texts, const struct run_plan *plan,
                     struct pm_store *store, struct pm_error *err)
{
    const char *next = texts->bytes;
    for (size_t i = plan->first_line; i < plan->end_line; i++) {
        struct text_header header;
        copy_next(&header, sizeof header, &next);
        PM_TRY(write_line(store, plan, i, &header, next, err));
        next += header.bytes;
    }
    PM_ASSERT(next == texts->bytes + texts->used);
    return true;
}
