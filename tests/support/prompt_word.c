#include "prompt_word.h"

#include "test.h"

struct pm_word prompt_word(const char *prompt, size_t index)
{
    struct pm_word word = {0};
    for (size_t i = 0; i <= index; i++) assert_true(pm_words_next(&word, &prompt));
    return word;
}
