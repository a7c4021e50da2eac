/* A manifest: its lines, made ready for a model. */
#include "fuzz.h"

#include "pm/data/manifest.h"
#include "pm/edit/prepare.h"

#include <stdlib.h>

static struct pm_tokenizer *tokenizer;
static struct pm_schedule schedule;

static void load(void)
{
    struct pm_error err;
    struct pm_schedule_config config;
    if (tokenizer) return;
    if (!pm_tokenizer_load(&tokenizer, "models/scenes/tokenizer", &err) ||
        !pm_schedule_config_load(&config, "models/scenes/scheduler", &err) ||
        !pm_schedule_init(&schedule, &config, PM_DDIM, 10, &err))
        pm_die("%s", err.message);
}

static void prepare(json_t *line)
{
    struct pm_recipe recipe;
    struct pm_prepared prepared;
    struct pm_error err;
    pm_recipe_resolve(line, NULL);
    if (!pm_recipe_read(&recipe, line, "line", &err)) return;
    if (pm_prepare(&prepared, &recipe, tokenizer, &schedule, &err)) pm_prepared_free(&prepared);
    pm_recipe_free(&recipe);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct pm_manifest manifest;
    struct pm_error err;
    load();
    if (!pm_manifest_open(&manifest, fuzz_file(bytes, count), &err)) return 0;
    for (size_t i = 0; i < manifest.count; i++) {
        char place[PM_MANIFEST_PLACE_BYTES];
        json_t *line;
        pm_manifest_place(place, &manifest, i);
        if (pm_manifest_parse(&line, &manifest, i, place, &err)) prepare(line);
    }
    pm_manifest_close(&manifest);
    return 0;
}
