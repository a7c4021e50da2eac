/* Two prompts, of any bytes, with a NUL between them. */
#include "fuzz.h"

#include "pm/control/align.h"
#include "pm/control/words.h"

#include <stdlib.h>
#include <string.h>

static struct pm_tokenizer *tokenizer;

static void align(const char *source, const struct pm_tokens *from, const char *target,
                  const struct pm_tokens *to)
{
    static float map[PM_TOKENS * PM_TOKENS];
    struct pm_token_set set;
    struct pm_error err;
    int index[PM_TOKENS];
    float alpha[PM_TOKENS];
    for (int mapper = PM_MAPPER_CORRECTED; mapper <= PM_MAPPER_REFERENCE; mapper++)
        (void)!pm_align_replace(map, source, from, target, to, (enum pm_mapper)mapper, &err);
    pm_align_refine(index, alpha, from, to);
    for (size_t i = 0; i < PM_TOKENS; i++)
        if (index[i] < -1 || index[i] >= PM_TOKENS) abort();
    (void)!pm_words_find(&set, source, from, target, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct pm_tokens from, to;
    struct pm_error err;
    if (!tokenizer && !pm_tokenizer_load(&tokenizer, "models/scenes/tokenizer", &err))
        pm_die("%s", err.message);
    char *source = malloc(count + 2);
    memcpy(source, bytes, count);
    source[count] = source[count + 1] = '\0';
    const char *target = source + strlen(source) + 1;
    if (pm_tokenize(&from, tokenizer, source, &err) && pm_tokenize(&to, tokenizer, target, &err))
        align(source, &from, target, &to);
    free(source);
    return 0;
}
