/* promptmill plan CONFIG: everything that `run` would find wrong, and what it would take. */
#include "config_options.h"
#include "load_model.h"
#include "plan_check.h"
#include "verbs.h"

#include "pm/model/model.h"
#include "pm/runtime/exit_status.h"

#include <math.h>
#include <stdio.h>

static const char doc[] = "\nCheck a run without computing: every problem with its line, the "
                          "tokens and alignment of each "
                          "edit with --log debug, and what the run would take.";

static void print_tokens(const char *prompt, const struct pm_tokens *tokens,
                         const struct pm_tokenizer *tokenizer)
{
    printf("    \"%s\": %zu tokens:", prompt, tokens->count);
    for (size_t t = 1; t + 1 < tokens->count; t++)
        printf(" %s", pm_token_text(tokenizer, tokens->ids[t]));
    printf("\n");
}

/* Where each token of the target comes from, at the first step of the edit. */
static void print_alignment(const struct pm_tokens *source, const struct pm_prepared_target *target,
                            const struct pm_tokenizer *tokenizer)
{
    size_t first_step = target->map.begin[1];
    float a[PM_TOKENS * PM_TOKENS], d[PM_TOKENS];
    pm_token_map_at(a, d, &target->map, first_step);
    for (size_t n = 1; n + 1 < target->tokens.count; n++) {
        printf("      %-16s", pm_token_text(tokenizer, target->tokens.ids[n]));
        if (d[n] != 0.0f) printf(" its own x %g", (double)d[n]);
        for (size_t w = 0; w < PM_TOKENS; w++)
            if (a[w * PM_TOKENS + n] != 0.0f)
                printf(" <- %s x %g",
                       w < source->count ? pm_token_text(tokenizer, source->ids[w]) : "(padding)",
                       (double)a[w * PM_TOKENS + n]);
        printf("   steps %zu to %zu\n", target->map.begin[n], target->map.end[n]);
    }
}

static void print_line(const struct run_plan *plan, size_t item)
{
    const struct pm_tokenizer *tokenizer = plan->settings->model->tokenizer;
    struct run_plan_line line;
    run_plan_line_load(&line, plan, item);
    printf("%s  %s\n", line.place, line.id);
    if (line.error.code == PM_OK) {
        print_tokens(line.recipe.source, &line.prepared.source, tokenizer);
        for (size_t i = 0; i < line.recipe.target_count; i++) {
            const struct pm_prepared_target *target = &line.prepared.targets[i];
            if (target->error.code != PM_OK) continue;
            print_tokens(line.recipe.targets[i].prompt, &target->tokens, tokenizer);
            print_alignment(&line.prepared.source, target, tokenizer);
        }
    }
    run_plan_line_free(&line);
}

static void print_bytes(const struct run_plan *plan)
{
    struct pm_store_dataset datasets[PM_STORE_MAX_DATASETS];
    size_t count = pm_store_datasets(datasets, &plan->shape);
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++) {
        printf("  %-24s %20llu bytes\n", datasets[i].path, (unsigned long long)datasets[i].bytes);
        all += datasets[i].bytes;
    }
    printf("  %-24s %20llu bytes, and about %llu of the file's own\n", "in all",
           (unsigned long long)all, (unsigned long long)(pm_store_bytes(&plan->shape) - all));
}

static void print_additions(const struct pm_config *config)
{
    for (size_t i = 0; i < config->lora_count; i++)
        printf("lora        %s, weight %g\n", config->loras[i].file, config->loras[i].weight);
    for (size_t i = 0; i < config->embedding_count; i++)
        printf("embedding   %s%s%s\n", config->embeddings[i].file,
               config->embeddings[i].token ? " as " : "",
               config->embeddings[i].token ? config->embeddings[i].token : "");
}

static void print_memory(const struct run_plan *plan, const struct run_memory *host)
{
    char place[PM_MANIFEST_PLACE_BYTES];
    double rank = run_memory_rank_bytes(plan);
    double room = floor(fmax(host->host_bytes - host->weights_bytes, 0.0) / rank);
    pm_manifest_place(place, &plan->manifest, run_plan_largest(plan));
    printf(
        "memory      %.0f MB for the model, once a host, and %.0f MB for a rank, the most by %s\n",
        host->weights_bytes / 1e6, rank / 1e6, place);
    printf("            %.1f GB, as %s, have room for %.0f ranks\n", host->host_bytes / 1e9,
           plan->config->memory_bytes > 0.0 ? "\"limits.memory_bytes\" says" : "this host has",
           room);
}

static int print_plan(const struct run_plan *plan, struct plan_check *check,
                      enum pm_log_level level)
{
    const struct pm_edit_settings *s = plan->settings;
    struct pm_error err = {0};
    for (size_t i = 0; level >= PM_LOG_DEBUG && i < plan->manifest.count; i++) print_line(plan, i);
    for (size_t i = 0; i < plan->problem_count; i++) printf("%s\n", plan->problems[i].message);
    struct run_memory host = run_memory_make(plan->config, s->model, 1);
    plan_check_print(check, plan, &host);
    printf("manifest    %s: %zu lines, %zu edits, %zu of them cannot be done\n",
           plan->manifest.path, plan->manifest.count, plan->edits, plan->problem_count);
    if (check->pictures > 0)
        printf("real        %zu pictures were read, %zu of them cannot be used\n", check->pictures,
               check->bad_pictures);
    if (plan->config->sweep.axis_count > 0)
        printf("sweep       %zu settings of each of %zu lines\n", plan->config->sweep.settings,
               plan->manifest.count / plan->config->sweep.settings);
    printf("model       %s, fingerprint %s\n", plan->config->model, s->model->fingerprint);
    print_additions(plan->config);
    printf("pictures    %zu x %zu, from latents of %zu x %zu\n", plan->shape.image_width,
           plan->shape.image_height, s->latent_width, s->latent_height);
    printf("sampler     %s, %zu steps (%zu UNet evaluations), guidance scale %g\n",
           s->schedule->sampler == PM_PNDM ? "pndm" : "ddim", s->schedule->steps,
           s->schedule->evaluations, (double)s->guidance_scale);
    printf("computing   %.0f UNet samples\n", plan->cost);
    print_memory(plan, &host);
    printf("store       %s: %.1f MB\n", plan->config->store ? plan->config->store : "(none named)",
           (double)pm_store_bytes(&plan->shape) / 1e6);
    print_bytes(plan);
    if (!run_plan_check_bytes(plan, &err)) {
        pm_log(PM_LOG_ERROR, "%s", err.message);
        return PM_EXIT_INPUT;
    }
    return plan->problem_count + check->too_large + check->bad_pictures > 0 ? PM_EXIT_INPUT
                                                                            : PM_EXIT_DONE;
}

int verb_plan(int argc, char **argv)
{
    struct config_options options;
    struct pm_config config = {0};
    struct pm_model model = {0};
    struct pm_schedule schedule;
    struct pm_edit_settings settings;
    struct run_captures captures = {0};
    struct run_plan plan = {0};
    struct plan_check check = plan_check_begin();
    struct pm_error err = {0};
    bool helped;
    int status = PM_EXIT_INPUT;
    if (!config_options_parse(&options, argc, argv, doc, CONFIG_ONLY, true, &helped))
        return PM_EXIT_INPUT;
    if (helped) return PM_EXIT_DONE;
    pm_log_init(options.log_level, 0, 1);
    if (pm_config_load(&config, options.config_path, options.overrides, options.override_count,
                       &err) &&
        measure_model(&model, &config, &err) &&
        run_settings_make(&settings, &schedule, &captures, &config, &model, &err) &&
        run_plan_make(&plan, &config, &settings, &captures, MPI_COMM_NULL, plan_check_line, &check,
                      &err))
        status = print_plan(&plan, &check, options.log_level);
    else
        pm_log(PM_LOG_ERROR, "%s", err.message);
    plan_check_end(&check);
    run_plan_free(&plan);
    run_captures_free(&captures);
    pm_model_free(&model);
    pm_config_free(&config);
    return status;
}
