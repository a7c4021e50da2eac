#include "run_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool choose_size(size_t *latent, const char *key, size_t pixels,
                        const struct pm_model *model, struct pm_error *err)
{
    size_t factor = model->vae.factor;
    if (pixels == 0) pixels = model->unet.config.sample_size * factor;
    *latent = pixels / factor;
    if (pixels % factor == 0 && *latent >= 4) return true;
    return pm_fail(err, PM_E_INPUT, "\"%s\" is %zu; this model takes multiples of %zu from %zu on",
                   key, pixels, factor, 4 * factor);
}

bool run_settings_make(struct pm_edit_settings *settings, struct pm_schedule *schedule,
                       struct run_captures *captures, const struct pm_config *config,
                       const struct pm_model *model, struct pm_error *err)
{
    struct pm_schedule_config from_model;
    *settings = (struct pm_edit_settings){.model = model,
                                          .schedule = schedule,
                                          .guidance_scale = (float)config->guidance_scale,
                                          .negative_prompt = config->negative_prompt,
                                          .keeps_trajectory =
                                              config->capture.latents == PM_STORE_TRAJECTORY,
                                          .latents_only = !config->capture.images,
                                          .targets_per_pass = config->targets_per_pass};
    PM_TRY(choose_size(&settings->latent_width, "width", config->width, model, err));
    PM_TRY(choose_size(&settings->latent_height, "height", config->height, model, err));
    PM_TRY(pm_schedule_config_read(&from_model, model->checkpoint.scheduler,
                                   model->checkpoint.scheduler_path, err));
    enum pm_sampler sampler = config->scheduler == PM_SCHEDULER_MODEL  ? from_model.sampler
                              : config->scheduler == PM_SCHEDULER_PNDM ? PM_PNDM
                                                                       : PM_DDIM;
    struct pm_tokens negative;
    if (!pm_tokenize(&negative, model->tokenizer, config->negative_prompt, err))
        return pm_fail(err, PM_E_INPUT, "\"negative_prompt\": %s", err->message);
    PM_TRY(pm_schedule_init(schedule, &from_model, sampler, config->steps, err));
    PM_TRY(run_captures_make(captures, config, settings, err));
    settings->captures = captures->specs;
    settings->capture_count = captures->count;
    return true;
}

/* "edits.jsonl:17: ..." once, however the sentence was made. */
static void place_error(struct pm_error *error, const char *place)
{
    struct pm_error why = *error;
    if (strncmp(why.message, place, strlen(place)) != 0)
        pm_fail(error, why.code, "%s: %s", place, why.message);
}

static char *text_of(const json_t *json)
{
    char *text = json ? pm_json_text(json) : strdup("");
    if (!text) pm_die("no memory for a recipe");
    return text;
}

/* What the line is called, if only by its number. */
static void name_line(struct run_plan_line *line, const struct run_plan *plan, const json_t *json)
{
    const char *id = json_string_value(json_object_get(json, "id"));
    if (id)
        (void)stpncpy(line->id, id, sizeof line->id - 1);
    else
        pm_manifest_name(line->id, sizeof line->id, &plan->manifest, line->item);
}

static bool read_recipe(struct run_plan_line *line, const struct run_plan *plan, size_t item)
{
    json_t *json;
    bool is_parsed = pm_manifest_parse(&json, &plan->manifest, item, line->place, &line->error);
    name_line(line, plan, json);
    PM_TRY(is_parsed);
    pm_recipe_resolve(json, plan->config->defaults);
    line->text = text_of(json);
    PM_TRY(pm_recipe_read(&line->recipe, json, line->place, &line->error));
    if (strlen(line->recipe.id) >= PM_RECIPE_ID_BYTES)
        return pm_fail(&line->error, PM_E_INPUT, "\"id\" has %zu bytes; %d are the most",
                       strlen(line->recipe.id), PM_RECIPE_ID_BYTES - 1);
    return true;
}

void run_plan_line_read(struct run_plan_line *line, const struct run_plan *plan, size_t item)
{
    *line = (struct run_plan_line){.item = item};
    pm_manifest_place(line->place, &plan->manifest, item);
    (void)read_recipe(line, plan, item); /* line->error tells */
    if (!line->text) line->text = text_of(NULL);
}

void run_plan_line_load(struct run_plan_line *line, const struct run_plan *plan, size_t item)
{
    run_plan_line_read(line, plan, item);
    if (line->error.code != PM_OK ||
        !pm_edit_prepare(&line->prepared, &line->recipe, plan->settings, &line->error))
        place_error(&line->error, line->place);
    for (size_t i = 0; line->error.code == PM_OK && i < line->recipe.target_count; i++)
        if (line->prepared.targets[i].error.code != PM_OK)
            place_error(&line->prepared.targets[i].error, line->place);
}

void run_plan_line_free(struct run_plan_line *line)
{
    if (line->prepared.targets) pm_prepared_free(&line->prepared);
    if (line->recipe.json) pm_recipe_free(&line->recipe);
    free(line->text);
}

char *run_plan_recipe_text(const struct run_plan *plan, size_t item)
{
    json_t *json;
    char place[PM_MANIFEST_PLACE_BYTES];
    struct pm_error err = {0};
    pm_manifest_place(place, &plan->manifest, item);
    if (pm_manifest_parse(&json, &plan->manifest, item, place, &err))
        pm_recipe_resolve(json, plan->config->defaults);
    char *text = text_of(json);
    json_decref(json);
    return text;
}

bool run_plan_check_bytes(const struct run_plan *plan, struct pm_error *err)
{
    struct pm_store_dataset datasets[PM_STORE_MAX_DATASETS];
    uint64_t bytes = pm_store_bytes(&plan->shape);
    double most = plan->config->store_bytes;
    size_t largest = 0, count = pm_store_datasets(datasets, &plan->shape);
    for (size_t i = 1; i < count; i++)
        if (datasets[i].bytes > datasets[largest].bytes) largest = i;
    if (bytes == UINT64_MAX)
        return pm_fail(err, PM_E_INPUT,
                       "%s would be too large for a store: one picture's may take 2 GiB, all 4 EiB",
                       datasets[largest].path);
    if (most == 0.0 || (double)bytes <= most) return true;
    return pm_fail(err, PM_E_INPUT,
                   "the store would take %llu bytes; \"limits.store_bytes\" allows %.0f (%s alone "
                   "takes %llu)",
                   (unsigned long long)bytes, most, datasets[largest].path,
                   (unsigned long long)datasets[largest].bytes);
}

size_t run_plan_problem_entry(const struct run_plan *plan, const struct run_plan_problem *problem)
{
    return plan->items[problem->item].first_entry + (size_t)(problem->target + 1);
}

size_t run_plan_largest(const struct run_plan *plan)
{
    size_t largest = 0;
    for (size_t i = 1; i < plan->manifest.count; i++)
        if (plan->items[i].bytes > plan->items[largest].bytes) largest = i;
    return largest;
}

void run_plan_hash_text(char text[17], const struct run_plan *plan)
{
    snprintf(text, 17, "%016llx", (unsigned long long)plan->hash);
}

/* One by one, to name the first difference. */
static bool compare_recipes(const struct run_plan *plan, const struct pm_store *store,
                            struct pm_error *err)
{
    for (size_t i = 0; i < plan->manifest.count; i++) {
        struct pm_store_item item;
        PM_TRY(pm_store_read_item(&item, store, i, err));
        char *recipe = run_plan_recipe_text(plan, i);
        bool same = strcmp(recipe, item.recipe) == 0;
        free(recipe);
        pm_store_item_free(&item);
        char place[PM_MANIFEST_PLACE_BYTES];
        pm_manifest_place(place, &plan->manifest, i);
        if (!same)
            return pm_fail(err, PM_E_INPUT, "%s is not what the store was begun with", place);
    }
    return true;
}

bool run_plan_matches(const struct run_plan *plan, const struct pm_store *store,
                      struct pm_error *err)
{
    const struct pm_store_shape *shape = pm_store_shape_of(store), *s = &plan->shape;
    if (shape->items != plan->manifest.count || shape->entries != plan->entries)
        return pm_fail(err, PM_E_INPUT,
                       "the store is of %zu lines with %zu pictures, the manifest has %zu with %zu",
                       shape->items, shape->entries, plan->manifest.count, plan->entries);
    char *hash, mine[17];
    PM_TRY(pm_store_read_attribute(&hash, store, "manifest_hash", err));
    run_plan_hash_text(mine, plan);
    bool same_manifest = strcmp(hash, mine) == 0;
    free(hash);
    if (!same_manifest) PM_TRY(compare_recipes(plan, store, err));
    bool has_room = shape->tokens >= s->tokens && shape->words >= s->words &&
                    shape->id_bytes >= s->id_bytes && shape->recipe_bytes >= s->recipe_bytes &&
                    shape->prompt_bytes >= s->prompt_bytes &&
                    shape->token_bytes >= s->token_bytes && shape->word_bytes >= s->word_bytes;
    return has_room ||
           pm_fail(err, PM_E_INPUT, "the manifest is not what the store was begun with");
}

void run_plan_free(struct run_plan *plan)
{
    for (size_t i = 0; i < plan->problem_count; i++) free(plan->problems[i].message);
    free(plan->problems);
    free(plan->items);
    pm_manifest_close(&plan->manifest);
    *plan = (struct run_plan){0};
}
