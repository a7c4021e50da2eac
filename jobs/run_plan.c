#include "run_plan.h"

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
    return pm_fail(err, PM_E_INPUT, "\"%s\" is %zu; this model takes multiples of %zu from %zu on", key,
                   pixels, factor, 4 * factor);
}

bool run_settings_make(struct pm_edit_settings *settings, struct pm_schedule *schedule,
                       const struct pm_config *config, const struct pm_model *model,
                       struct pm_error *err)
{
    struct pm_schedule_config from_model;
    char folder[4096];
    *settings = (struct pm_edit_settings){.model = model,
                                          .schedule = schedule,
                                          .guidance_scale = (float)config->guidance_scale,
                                          .negative_prompt = config->negative_prompt,
                                          .keeps_trajectory = config->keeps_trajectory,
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
    return pm_schedule_init(schedule, &from_model, sampler, config->steps, err);
}

/* "edits.jsonl:17: ..." once, however the sentence was made. */
static void place_error(struct pm_error *error, const char *place)
{
    struct pm_error why = *error;
    if (strncmp(why.message, place, strlen(place)) != 0)
        pm_fail(error, why.code, "%s: %s", place, why.message);
}

static bool read_line(struct run_plan_line *line, const struct run_plan *plan, size_t item)
{
    json_t *json;
    PM_TRY(pm_manifest_parse(&json, &plan->manifest, item, &line->error));
    const char *id = json_string_value(json_object_get(json, "id"));
    if (id) snprintf(line->id, sizeof line->id, "%s", id);
    pm_recipe_resolve(json, plan->config->defaults);
    PM_TRY(pm_recipe_read(&line->recipe, json, line->place, &line->error));
    if (strlen(line->recipe.id) >= PM_RECIPE_ID_BYTES)
        return pm_fail(&line->error, PM_E_INPUT, "\"id\" has %zu bytes; %d are the most",
                       strlen(line->recipe.id), PM_RECIPE_ID_BYTES - 1);
    return pm_prepare(&line->prepared, &line->recipe, plan->settings->model->tokenizer,
                      plan->settings->schedule->steps, &line->error);
}

void run_plan_line_load(struct run_plan_line *line, const struct run_plan *plan, size_t item)
{
    *line = (struct run_plan_line){0};
    pm_manifest_place(line->place, &plan->manifest, item);
    snprintf(line->id, sizeof line->id, "line-%zu", plan->manifest.lines[item].number);
    if (!read_line(line, plan, item)) place_error(&line->error, line->place);
    for (size_t i = 0; line->error.code == PM_OK && i < line->recipe.target_count; i++)
        if (line->prepared.targets[i].error.code != PM_OK)
            place_error(&line->prepared.targets[i].error, line->place);
}

void run_plan_line_free(struct run_plan_line *line)
{
    if (line->prepared.targets) pm_prepared_free(&line->prepared);
    if (line->recipe.json) pm_recipe_free(&line->recipe);
}

char *run_plan_recipe_text(const struct run_plan *plan, size_t item)
{
    json_t *json;
    struct pm_error err = {0};
    char *text = NULL;
    if (pm_manifest_parse(&json, &plan->manifest, item, &err)) {
        pm_recipe_resolve(json, plan->config->defaults);
        text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
        json_decref(json);
    }
    if (!text) text = strdup("");
    if (!text) pm_die("no memory for a recipe");
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
    plan->problems[plan->problem_count++] =
        (struct run_plan_problem){.item = item, .entry = entry, .entries = entries, .message = copy};
}

static void measure_prompt(struct run_plan *plan, const char *prompt, const struct pm_tokens *tokens)
{
    struct pm_store_shape *s = &plan->shape;
    s->prompt_bytes = max_size(s->prompt_bytes, strlen(prompt));
    s->tokens = max_size(s->tokens, tokens->count);
    s->words = max_size(s->words, pm_words_count(prompt));
    for (size_t t = 0; t < tokens->count; t++)
        s->token_bytes = max_size(
            s->token_bytes, strlen(pm_token_text(plan->settings->model->tokenizer, tokens->ids[t])));
    for (size_t w = 0; w < pm_words_count(prompt); w++)
        s->word_bytes = max_size(s->word_bytes, pm_words_at(prompt, w).bytes);
}

static void survey_line(struct run_plan *plan, size_t item, json_t *ids)
{
    struct run_plan_line line;
    struct run_plan_item *it = &plan->items[item];
    run_plan_line_load(&line, plan, item);
    if (line.error.code == PM_OK && json_object_get(ids, line.id)) {
        pm_fail(&line.error, PM_E_INPUT, "%s: the id \"%s\" is line %lld's already", line.place,
                line.id, (long long)json_integer_value(json_object_get(ids, line.id)));
    }
    json_object_set_new(ids, line.id, json_integer((json_int_t)plan->manifest.lines[item].number));
    it->first_entry = plan->entries;
    it->targets = line.error.code == PM_OK ? line.recipe.target_count : 0;
    char *recipe = run_plan_recipe_text(plan, item);
    plan->shape.recipe_bytes = max_size(plan->shape.recipe_bytes, strlen(recipe));
    plan->shape.id_bytes = max_size(plan->shape.id_bytes, strlen(line.id));
    free(recipe);
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

static void finish_shape(struct run_plan *plan)
{
    const struct pm_edit_settings *s = plan->settings;
    struct pm_store_shape *shape = &plan->shape;
    struct pm_arena scratch;
    pm_arena_init(&scratch, (size_t)1 << 24);
    pm_edit_map_size(&shape->map_height, &shape->map_width, s, &scratch);
    pm_arena_free(&scratch);
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
    shape->trajectory = s->keeps_trajectory;
}

bool run_plan_make(struct run_plan *out, const struct pm_config *config,
                   const struct pm_edit_settings *settings, struct pm_error *err)
{
    *out = (struct run_plan){.config = config, .settings = settings};
    PM_TRY(pm_recipe_check_defaults(config->defaults, "\"defaults\"", err));
    PM_TRY(pm_manifest_open(&out->manifest, config->manifest, err));
    out->items = calloc(out->manifest.count, sizeof *out->items);
    json_t *ids = json_object();
    if (!out->items || !ids) pm_die("no memory for %zu edits", out->manifest.count);
    for (size_t i = 0; i < out->manifest.count; i++) survey_line(out, i, ids);
    json_decref(ids);
    finish_shape(out);
    return true;
}

void run_plan_free(struct run_plan *plan)
{
    for (size_t i = 0; i < plan->problem_count; i++) free(plan->problems[i].message);
    free(plan->problems);
    free(plan->items);
    pm_manifest_close(&plan->manifest);
    *plan = (struct run_plan){0};
}

/* One prompt's row: texts of tokens and words as NUL-ended strings. */
static bool write_prompt(struct pm_store *store, size_t entry, size_t item, int target,
                         const char *prompt, const struct pm_tokens *tokens,
                         const struct pm_tokenizer *tokenizer, struct pm_error *err)
{
    size_t words = tokens ? pm_words_count(prompt) : 0, count = tokens ? tokens->count : 0;
    const char *token_texts[PM_TOKENS];
    int32_t token_words[PM_TOKENS];
    for (size_t t = 0; t < count; t++) {
        token_texts[t] = pm_token_text(tokenizer, tokens->ids[t]);
        token_words[t] = tokens->word[t];
    }
    char *text = malloc(strlen(prompt) + words + 1), *next = text;
    const char **word_texts = malloc((words + 1) * sizeof *word_texts);
    if (!text || !word_texts) pm_die("no memory for a prompt");
    for (size_t w = 0; w < words; w++) {
        struct pm_word word = pm_words_at(prompt, w);
        word_texts[w] = next;
        memcpy(next, word.text, word.bytes);
        next[word.bytes] = '\0';
        next += word.bytes + 1;
    }
    struct pm_store_prompt row = {.text = prompt,
                                  .item = item,
                                  .target = target,
                                  .tokens = count,
                                  .words = words,
                                  .token_id = tokens ? tokens->ids : NULL,
                                  .token = token_texts,
                                  .token_word = token_words,
                                  .word = word_texts};
    bool ok = pm_store_put_prompt(store, entry, &row, err);
    free(text);
    free(word_texts);
    return ok;
}

static bool write_line(const struct run_plan *plan, const struct run_plan_line *line, size_t item,
                       struct pm_store *store, struct pm_error *err)
{
    const struct run_plan_item *it = &plan->items[item];
    const struct pm_tokenizer *tokenizer = plan->settings->model->tokenizer;
    bool good = line->error.code == PM_OK;
    char *recipe = run_plan_recipe_text(plan, item);
    struct pm_store_item row = {.id = line->id,
                                .line = plan->manifest.lines[item].number,
                                .first_entry = it->first_entry,
                                .seed = good ? line->recipe.seed : 0,
                                .recipe = recipe};
    bool ok = pm_store_put_item(store, item, &row, err) &&
              write_prompt(store, it->first_entry, item, PM_STORE_SOURCE,
                           good ? line->recipe.source : "", good ? &line->prepared.source : NULL,
                           tokenizer, err);
    for (size_t i = 0; ok && i < it->targets; i++) {
        const struct pm_prepared_target *target = &line->prepared.targets[i];
        bool target_good = target->error.code == PM_OK;
        ok = write_prompt(store, it->first_entry + 1 + i, item, (int)i,
                          target_good ? line->recipe.targets[i].prompt : "",
                          target_good ? &target->tokens : NULL, tokenizer, err);
    }
    free(recipe);
    return ok;
}

bool run_plan_write(const struct run_plan *plan, struct pm_store *store, struct pm_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < plan->manifest.count; i++) {
        struct run_plan_line line;
        run_plan_line_load(&line, plan, i);
        /* a second line with an id, whose targets were not counted */
        if (line.error.code == PM_OK && plan->items[i].cost == 0)
            pm_fail(&line.error, PM_E_INPUT, "%s: the id is given twice", line.place);
        ok = write_line(plan, &line, i, store, err);
        run_plan_line_free(&line);
    }
    return ok;
}

bool run_plan_matches(const struct run_plan *plan, const struct pm_store *store,
                      struct pm_error *err)
{
    const struct pm_store_shape *shape = pm_store_shape_of(store);
    if (shape->items != plan->manifest.count || shape->entries != plan->entries)
        return pm_fail(err, PM_E_INPUT,
                       "the store is of %zu lines with %zu pictures, the manifest has %zu with %zu",
                       shape->items, shape->entries, plan->manifest.count, plan->entries);
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
