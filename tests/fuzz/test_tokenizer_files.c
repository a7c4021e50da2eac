/* A tokenizer's files: the first byte says which of them the others are. */
#include "fuzz.h"

#include "pm/model/tokenizer.h"

#include <string.h>

static const char *const names[] = {
    "vocab.json",        "merges.txt",    "special_tokens_map.json", "tokenizer_config.json",
    "added_tokens.json", "tokenizer.json"};
#define VOCABULARY                                                                                 \
    "{\"a\": 0, \"b\": 1, \"a</w>\": 2, \"b</w>\": 3, \"ab\": 4, \"ab</w>\": 5, "                  \
    "\"<|startoftext|>\": 6, \"<|endoftext|>\": 7}"
static const char *const sound[] = {VOCABULARY, "#version: 0.2\na b\na b</w>\n", "{}", "{}", "{}",
                                    NULL};
enum { NAMES = sizeof names / sizeof *names, WHOLE = NAMES - 1 /* tokenizer.json */ };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct pm_tokenizer *tokenizer;
    struct pm_tokens tokens;
    struct pm_error err;
    if (count == 0) return 0;
    for (size_t i = 0; i < NAMES; i++)
        if (i == bytes[0] % NAMES)
            fuzz_write(names[i], bytes + 1, count - 1);
        else if (sound[i])
            fuzz_write(names[i], (const uint8_t *)sound[i], strlen(sound[i]));
        else
            fuzz_remove(names[i]);
    if (bytes[0] % NAMES == WHOLE) fuzz_remove("vocab.json"); /* which would go first */
    if (!pm_tokenizer_load(&tokenizer, fuzz_folder(), &err)) return 0;
    (void)!pm_tokenize(&tokens, tokenizer, "ab b <|endoftext|> \xC3\xA4 abba", &err);
    for (size_t i = 0; i <= pm_tokenizer_size(tokenizer); i++)
        (void)pm_token_text(tokenizer, (int32_t)i);
    pm_tokenizer_free(tokenizer);
    return 0;
}
