/** @file words.h  The words of a prompt, and the tokens of a word that a person names.
 *
 *  A prompt's words are what white space parts, as in struct pm_tokens. */
#ifndef PM_CONTROL_WORDS_H
#define PM_CONTROL_WORDS_H
#include "pm/base/error.h"
#include "pm/model/tokenizer.h"

#include <stddef.h>

/** Some of a prompt's tokens. */
struct pm_token_set {
    bool has[PM_TOKENS];
    size_t count; /* how many of has[] are true */
};

/** A word where it stands in its prompt, borrowed from it and not ended by 0. */
struct pm_word {
    const char *text;
    size_t bytes;
};

/** The words one after the other: `const char *rest = prompt; while (pm_words_next(&word, &rest))`.
 *  @return false when there is none left */
bool pm_words_next(struct pm_word *word, const char **rest);

size_t pm_words_count(const char *prompt);

/** The tokens of @p word wherever it is in @p prompt. Case and punctuation around a word do not
 *  matter ("cat" is found in "A Cat, asleep", and the comma's token is then its token too); several
 *  words ("oak tree") are found where they follow each other.
 *  @param tokens  of @p prompt
 *  @return false when it is nowhere; err (PM_E_INPUT) has the word, the prompt, and the prompt's
 *  nearest word when one is near */
PM_MUST_CHECK bool pm_words_find(struct pm_token_set *out, const char *prompt,
                                 const struct pm_tokens *tokens, const char *word,
                                 struct pm_error *err);
#endif
