#include "run_plan.h"

#include "pm/base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

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
    char folder[4096];
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
    snprintf(folder, sizeof folder, "%s/scheduler", config->model);
    PM_TRY(pm_schedule_config_load(&from_model, folder, err));
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
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : strdup("");
    if (!text) pm_die("no memory for a recipe");
    return text;
}

static void line_begin(struct run_plan_line *line, const struct run_plan *plan, size_t item)
{
    *line = (struct run_plan_line){0};
    pm_manifest_place(line->place, &plan->manifest, item);
    snprintf(line->id, sizeof line->id, "line-%zu", plan->manifest.lines[item].number);
}

static bool read_recipe(struct run_plan_line *line, const struct run_plan *plan, size_t item)
{
    json_t *json;
    PM_TRY(pm_manifest_parse(&json, &plan->manifest, item, &line->error));
    const char *id = json_string_value(json_object_get(json, "id"));
    if (id) snprintf(line->id, sizeof line->id, "%s", id);
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
    line_begin(line, plan, item);
    (void)read_recipe(line, plan, item); /* line->error tells */
    if (!line->text) line->text = text_of(NULL);
}

void run_plan_line_load(struct run_plan_line *line, const struct run_plan *plan, size_t item)
{
    run_plan_line_read(line, plan, item);
    if (line->error.code != PM_OK ||
        !pm_prepare(&line->prepared, &line->recipe, plan->settings->model->tokenizer,
                    plan->settings->schedule->steps, &line->error))
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
    json_t *json = NULL;
    struct pm_error err = {0};
    if (!pm_manifest_parse(&json, &plan->manifest, item, &err)) json = NULL;
    if (json) pm_recipe_resolve(json, plan->config->defaults);
    char *text = text_of(json);
    json_decref(json);
    return text;
}

static void add_problem(struct run_plan *plan, size_t item, size_t entry, size_t entries,
                        const char *message)
{
    if ((plan->problem_count & (plan->problem_count - 1)) == 0) { /* a power of two: full */
        size_t capacity = plan->problem_count ? 2 * plan->problem_count : 1;
        struct run_plan_problem *p = realloc(plan->problems, capacity * sizeof *p);
        if (!p) pm_die("no memory for %zu problems", capacity);
        plan->problems = p;
    }
    char *copy = strdup(message);
    if (!copy) pm_die("no memory for a message");
    plan->problems[plan->problem_count++] = (struct run_plan_problem){
        .item = item, .entry = entry, .entries = entries, .message = copy};
}

static void measure_prompt(struct run_plan *plan, const char *prompt,
                           const struct pm_tokens *tokens)
{
    struct pm_store_shape *s = &plan->shape;
    s->prompt_bytes = max_size(s->prompt_bytes, strlen(prompt));
    s->tokens = max_size(s->tokens, tokens->count);
    for (size_t t = 0; t < tokens->count; t++)
        s->token_bytes =
            max_size(s->token_bytes,
                     strlen(pm_token_text(plan->settings->model->tokenizer, tokens->ids[t])));
    size_t words = 0;
    struct pm_word word;
    for (; pm_words_next(&word, &prompt); words++)
        s->word_bytes = max_size(s->word_bytes, word.bytes);
    s->words = max_size(s->words, words);
}

/** Which line has an id: by the id's hash, in a table with open addressing. */
struct id_table {
    uint64_t *hashes; /* 0: free */
    size_t *items;
    size_t mask; /* a power of two less one */
};

static struct id_table id_table_make(size_t count)
{
    size_t capacity = 16;
    while (capacity < 2 * count) capacity *= 2;
    struct id_table table = {.hashes = calloc(capacity, sizeof *table.hashes),
                             .items = malloc(capacity * sizeof *table.items),
                             .mask = capacity - 1};
    if (!table.hashes || !table.items) pm_die("no memory for %zu ids", count);
    return table;
}

/* Enter an id. @return true, or false with the item that has it already */
static bool id_table_enter(struct id_table *table, const char *id, size_t item, size_t *other)
{
    uint64_t hash = pm_hash64(id, strlen(id), 1) | 1; /* never 0 */
    size_t at = (size_t)hash & table->mask;
    for (; table->hashes[at]; at = (at + 1) & table->mask) {
        *other = table->items[at];
        if (table->hashes[at] == hash) return false;
    }
    table->hashes[at] = hash;
    table->items[at] = item;
    return true;
}

static void survey_line(struct run_plan *plan, size_t item, struct id_table *ids)
{
    struct run_plan_line line;
    struct run_plan_item *it = &plan->items[item];
    run_plan_line_load(&line, plan, item);
    size_t other;
    if (!id_table_enter(ids, line.id, item, &other) && line.error.code == PM_OK)
        pm_fail(&line.error, PM_E_INPUT, "%s: the id \"%s\" is line %zu's already", line.place,
                line.id, plan->manifest.lines[other].number);
    it->first_entry = plan->entries;
    it->targets = line.error.code == PM_OK ? line.recipe.target_count : 0;
    plan->shape.recipe_bytes = max_size(plan->shape.recipe_bytes, strlen(line.text));
    plan->shape.id_bytes = max_size(plan->shape.id_bytes, strlen(line.id));
    plan->hash = pm_hash64(line.text, strlen(line.text), plan->hash);
    size_t edits = it->targets ? it->targets : 1;
    if (line.error.code != PM_OK) {
        add_problem(plan, item, it->first_entry, 1, line.error.message);
        plan->failed_edits += edits;
    } else {
        it->cost = pm_edit_cost(plan->settings, &line.prepared, it->targets);
        measure_prompt(plan, line.recipe.source, &line.prepared.source);
    }
    for (size_t i = 0; i < it->targets; i++) {
        const struct pm_prepared_target *target = &line.prepared.targets[i];
        if (target->error.code != PM_OK) {
            add_problem(plan, item, it->first_entry + 1 + i, 1, target->error.message);
            plan->failed_edits++;
            continue;
        }
        measure_prompt(plan, line.recipe.targets[i].prompt, &target->tokens);
        plan->shape.blend_mask = plan->shape.blend_mask || target->has_blend;
    }
    plan->entries += 1 + it->targets;
    plan->edits += edits;
    plan->cost += (double)it->cost;
    run_plan_line_free(&line);
}

static void finish_shape(struct run_plan *plan, const struct run_captures *captures)
{
    const struct pm_edit_settings *s = plan->settings;
    struct pm_store_shape *shape = &plan->shape;
    run_captures_shape(shape, captures, plan->config);
    shape->items = plan->manifest.count;
    shape->entries = plan->entries;
    shape->tokens = max_size(shape->tokens, 1);
    shape->image_height = s->latent_height * s->model->vae.factor;
    shape->image_width = s->latent_width * s->model->vae.factor;
    shape->latent_channels = s->model->unet.config.in_channels;
    shape->latent_height = s->latent_height;
    shape->latent_width = s->latent_width;
    shape->steps = s->schedule->evaluations;
    shape->train_timesteps = s->schedule->train_timesteps;
}

bool run_plan_make(struct run_plan *out, const struct pm_config *config,
                   const struct pm_edit_settings *settings, const struct run_captures *captures,
                   struct pm_error *err)
{
    *out = (struct run_plan){.config = config, .settings = settings};
    PM_TRY(pm_recipe_check_defaults(config->defaults, "\"defaults\"", err));
    PM_TRY(pm_manifest_open(&out->manifest, config->manifest, err));
    out->items = calloc(out->manifest.count, sizeof *out->items);
    struct id_table ids = id_table_make(out->manifest.count);
    if (!out->items) pm_die("no memory for %zu edits", out->manifest.count);
    for (size_t i = 0; i < out->manifest.count; i++) {
        survey_line(out, i, &ids);
        pm_manifest_forget(&out->manifest, i);
    }
    free(ids.hashes);
    free(ids.items);
    finish_shape(out, captures);
    return true;
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

void run_plan_hash_text(char text[17], const struct run_plan *plan)
{
    snprintf(text, 17, "%016llx", (unsigned long long)plan->hash);
}

void run_plan_free(struct run_plan *plan)
{
    for (size_t i = 0; i < plan->problem_count; i++) free(plan->problems[i].message);
    free(plan->problems);
    free(plan->items);
    pm_manifest_close(&plan->manifest);
    *plan = (struct run_plan){0};
}
