/** @file prompt_word.h  One word of a prompt, by its number. */
#ifndef PROMPT_WORD_H
#define PROMPT_WORD_H
#include "pm/control/words.h"

/** @param index  below pm_words_count(prompt) */
struct pm_word prompt_word(const char *prompt, size_t index);
#endif
