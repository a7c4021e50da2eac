#include "tokenizer_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { WORD_BYTES_MAX = 200 };

PM_MUST_CHECK static bool check_characters(const char *text, struct pm_error *err)
{
    size_t bytes = strlen(text);
    if (bytes == 0 || bytes > WORD_BYTES_MAX)
        return pm_fail(err, PM_E_INPUT, "a new word has %zu bytes; 1 to %d are allowed", bytes,
                       (int)WORD_BYTES_MAX);
    for (size_t at = 0; at < bytes;) {
        int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                              (utf8proc_ssize_t)(bytes - at), &c);
        if (n <= 0) return pm_fail(err, PM_E_INPUT, "a new word is not UTF-8");
        if (pm_is_white_space(c))
            return pm_fail(err, PM_E_INPUT, "the new word \"%s\" has white space in it", text);
        at += (size_t)n;
    }
    return true;
}

/* Write "word", then "word_1", …: what its tokens are called. */
static void name_token(char name[WORD_BYTES_MAX + 24], const char *text, size_t index)
{
    if (index == 0)
        snprintf(name, WORD_BYTES_MAX + 24, "%s", text);
    else
        snprintf(name, WORD_BYTES_MAX + 24, "%s_%zu", text, index);
}

static void make_known(json_t *known, const char *text)
{
    /* a token's text may be half a character, which no check should refuse */
    if (json_object_set_new_nocheck(known, text, json_null()) != 0) pm_die("no memory for a token");
}

/* So that many words do not each look at all of them. */
static void know_all(struct pm_tokenizer *tokenizer)
{
    if (tokenizer->known) return;
    tokenizer->known = json_object();
    if (!tokenizer->known) pm_die("no memory for %zu tokens", tokenizer->size);
    for (size_t i = 0; i < tokenizer->size; i++) make_known(tokenizer->known, tokenizer->texts[i]);
    for (size_t i = 0; i < tokenizer->added_count; i++)
        make_known(tokenizer->known, tokenizer->added[i].text);
}

PM_MUST_CHECK static bool check_is_new(const struct pm_tokenizer *tokenizer, const char *name,
                                       struct pm_error *err)
{
    size_t bytes;
    char *normalised = pm_tokenizer_normalise(name, strlen(name), &bytes);
    bool is_new = !json_object_get(tokenizer->known, normalised);
    free(normalised);
    return is_new || pm_fail(err, PM_E_INPUT,
                             "the new word \"%s\" is a token that the tokenizer has already; "
                             "choose another, such as \"<%s>\"",
                             name, name);
}

/* Room for more ids and added tokens. */
static void grow(struct pm_tokenizer *tokenizer, size_t count)
{
    size_t ids = tokenizer->size + count, added = tokenizer->added_count + count;
    const char **texts = realloc(tokenizer->texts, ids * sizeof *texts);
    if (texts) tokenizer->texts = texts;
    struct added_token *tokens = realloc(tokenizer->added, added * sizeof *tokens);
    if (tokens) tokenizer->added = tokens;
    if (!texts || !tokens) pm_die("no memory for %zu tokens", ids);
}

bool pm_tokenizer_add_word(struct pm_tokenizer *tokenizer, const char *text, size_t count,
                           struct pm_error *err)
{
    char name[WORD_BYTES_MAX + 24];
    PM_ASSERT(count > 0);
    PM_TRY(check_characters(text, err));
    know_all(tokenizer);
    for (size_t i = 0; i < count; i++) {
        name_token(name, text, i);
        PM_TRY(check_is_new(tokenizer, name, err));
    }
    grow(tokenizer, count);
    for (size_t i = 0; i < count; i++) {
        struct added_token *added = &tokenizer->added[tokenizer->added_count++];
        name_token(name, text, i);
        *added = (struct added_token){.id = (int32_t)tokenizer->size,
                                      .ids = i == 0 ? count : 1,
                                      .normalised = true,
                                      .name = strdup(name)};
        if (!added->name) pm_die("no memory for a word");
        added->text = pm_tokenizer_normalise(name, strlen(name), &added->bytes);
        pm_tokenizer_look_for(tokenizer, added->text);
        tokenizer->texts[tokenizer->size++] = added->name;
        make_known(tokenizer->known, added->name);
        make_known(tokenizer->known, added->text);
    }
    return true;
}
