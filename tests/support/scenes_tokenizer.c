#include "scenes_tokenizer.h"

#include "test.h"

struct pm_tokenizer *tokenizer;

int load_tokenizer(void **state)
{
    (void)state;
    struct pm_error err = {0};
    if (pm_tokenizer_load(&tokenizer, "models/scenes/tokenizer", &err)) return 0;
    print_error("%s\n", err.message);
    return -1;
}

int free_tokenizer(void **state)
{
    (void)state;
    pm_tokenizer_free(tokenizer);
    return 0;
}
