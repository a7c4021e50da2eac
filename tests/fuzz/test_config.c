/* A run's config. */
#include "fuzz.h"

#include "pm/data/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct pm_config config, again;
    struct pm_error err;
    if (!pm_config_load(&config, fuzz_file(bytes, count), NULL, 0, &err)) return 0;
    char *text = pm_config_text(&config);
    if (pm_config_parse(&again, text, strlen(text), "resolved", &err)) {
        if (!pm_config_same_results(&config, &again, &err)) abort();
        pm_config_free(&again);
    }
    free(text);
    pm_config_free(&config);
    return 0;
}
