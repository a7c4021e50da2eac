#include "pm/control/words.h"

#include "pm/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* @return bytes of the character at @p text; what is no UTF-8 counts as a character a byte */
static size_t decode(int32_t *c, const char *text, size_t bytes)
{
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, c);
    return n > 0 ? (size_t)n : 1;
}

/* Take the first word from *text on, which moves behind it. @return false at the end */
bool pm_words_next(struct pm_word *word, const char **text)
{
    const char *start = NULL, *at = *text;
    while (*at) {
        int32_t c = (unsigned char)*at;
        size_t n = c < 0x80 ? 1 : decode(&c, at, strlen(at));
        if (!start && !pm_is_white_space(c)) start = at;
        if (start && pm_is_white_space(c)) break;
        at += n;
    }
    *text = at;
    if (start) *word = (struct pm_word){.text = start, .bytes = (size_t)(at - start)};
    return start != NULL;
}

size_t pm_words_count(const char *prompt)
{
    struct pm_word word;
    size_t count = 0;
    while (pm_words_next(&word, &prompt)) count++;
    return count;
}

static bool is_punctuation(int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

/* The word without punctuation around it, unless it is nothing else. */
static struct pm_word strip(struct pm_word word)
{
    size_t begin = word.bytes, end = 0;
    for (size_t at = 0; at < word.bytes;) {
        int32_t c;
        size_t n = decode(&c, word.text + at, word.bytes - at);
        if (!is_punctuation(c)) {
            if (begin > at) begin = at;
            end = at + n;
        }
        at += n;
    }
    if (end == 0) return word;
    return (struct pm_word){.text = word.text + begin, .bytes = end - begin};
}

/* What two words have in common that are the same to a reader. @return owned; NULL if no UTF-8 */
static char *fold(struct pm_word word)
{
    utf8proc_uint8_t *folded = NULL;
    struct pm_word bare = strip(word);
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)bare.text, (utf8proc_ssize_t)bare.bytes, &folded,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    if (n == UTF8PROC_ERROR_NOMEM) pm_die("no memory for a word of %zu bytes", word.bytes);
    return (char *)folded;
}

/* The folded words of a text, at most PM_TOKENS, then NULL. */
struct folded_words {
    char *words[PM_TOKENS + 1];
    size_t count;
};

static bool fold_words(struct folded_words *out, const char *text)
{
    struct pm_word word;
    while (out->count < PM_TOKENS && pm_words_next(&word, &text)) {
        if (!(out->words[out->count] = fold(word))) return false;
        out->count++;
    }
    return true;
}

static void free_words(struct folded_words *folded)
{
    for (size_t i = 0; i < folded->count; i++) free(folded->words[i]);
}

static bool has_word(const struct folded_words *prompt, const char *word)
{
    for (size_t i = 0; i < prompt->count; i++)
        if (strcmp(prompt->words[i], word) == 0) return true;
    return false;
}

static bool fail_to_find(const struct folded_words *in, const char *prompt,
                         const struct folded_words *wanted, const char *word, struct pm_error *err)
{
    size_t missing = 0;
    while (missing < wanted->count && has_word(in, wanted->words[missing])) missing++;
    if (missing == wanted->count)
        return pm_fail(err, PM_E_INPUT,
                       "the words of \"%s\" do not follow each other in the prompt \"%s\"", word,
                       prompt);
    const char *lost = wanted->words[missing];
    const char *near = pm_nearest_word(lost, (const char *const *)in->words);
    char of_phrase[PM_ERROR_BYTES] = "";
    if (wanted->count > 1) snprintf(of_phrase, sizeof of_phrase, " of \"%s\"", word);
    return pm_fail(err, PM_E_INPUT, "the word \"%s\"%s%s%s%s is not in the prompt \"%s\"",
                   wanted->count > 1 ? lost : word, of_phrase, near ? " (did you mean \"" : "",
                   near ? near : "", near ? "\"?)" : "", prompt);
}

bool pm_words_find(struct pm_token_set *out, const char *prompt, const struct pm_tokens *tokens,
                   const char *word, struct pm_error *err)
{
    struct folded_words in = {0}, wanted = {0};
    bool sound = fold_words(&in, prompt);
    PM_ASSERT(sound); /* the tokenizer has taken it */
    bool ok =
        fold_words(&wanted, word) ||
        pm_fail(err, PM_E_INPUT, "a word to be found in the prompt \"%s\" is not UTF-8", prompt);
    if (ok && wanted.count == 0)
        ok = pm_fail(err, PM_E_INPUT, "the word to be found in the prompt \"%s\" is empty", prompt);

    bool chosen[PM_TOKENS] = {0}, any = false; /* words */
    for (size_t i = 0; ok && i + wanted.count <= in.count; i++) {
        size_t same = 0;
        while (same < wanted.count && strcmp(in.words[i + same], wanted.words[same]) == 0) same++;
        if (same < wanted.count) continue;
        memset(chosen + i, true, wanted.count);
        any = true;
    }
    if (ok && !any) ok = fail_to_find(&in, prompt, &wanted, word, err);
    *out = (struct pm_token_set){0};
    for (size_t n = 0; ok && n < tokens->count; n++) {
        PM_ASSERT(tokens->word[n] < (int)in.count);
        if (tokens->word[n] < 0 || !chosen[tokens->word[n]]) continue;
        out->has[n] = true;
        out->count++;
    }
    free_words(&in);
    free_words(&wanted);
    return ok;
}
