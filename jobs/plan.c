/* promptmill plan CONFIG: everything that `run` would find wrong, and what it would take. */
#include "config_options.h"
#include "load_model.h"
#include "plan_check.h"
#include "plan_show.h"
#include "verbs.h"

#include "pm/model/model.h"
#include "pm/runtime/exit_status.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char doc[] = "\nCheck a run without computing: every problem with its line, and what "
                          "the run would take; with --show ID how a line's prompts are aligned, "
                          "with --log debug those of all lines.";

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

/** What is shown of the lines: of all, or of one id. */
struct shown {
    size_t lines, targets, problems;
};

static struct shown show_lines(const struct run_plan *plan, const struct plan_check *check,
                               const char *id)
{
    struct shown shown = {0};
    for (size_t i = 0; i < plan->manifest.count; i++) {
        struct run_plan_line line;
        run_plan_line_load(&line, plan, i);
        if (!id || strcmp(line.id, id) == 0) {
            plan_show_line(&line, plan->settings);
            if (id) shown.problems += plan_check_print_line(check, plan, i);
            shown.lines++;
            shown.targets += line.recipe.target_count;
        }
        run_plan_line_free(&line);
    }
    if (shown.targets > 0)
        printf("| the same   : in its place   + new, with attention of its own   - left out\n");
    return shown;
}

static int print_shown(const struct run_plan *plan, const struct plan_check *check, const char *id)
{
    struct shown shown = show_lines(plan, check, id);
    if (shown.lines == 0)
        pm_log(PM_LOG_ERROR, "%s has no line whose id is \"%s\"", plan->manifest.path, id);
    return shown.lines == 0 || shown.problems > 0 ? PM_EXIT_INPUT : PM_EXIT_DONE;
}

static void print_summary(const struct run_plan *plan, const struct plan_check *check)
{
    printf("manifest    %s: %zu lines, %zu edits, %zu of them cannot be done\n",
           plan->manifest.path, plan->manifest.count, plan->edits, plan->problem_count);
    if (check->pictures > 0)
        printf("real        %zu pictures and masks were read, %zu of them cannot be used\n",
               check->pictures, check->bad_pictures);
}

static int print_plan(const struct run_plan *plan, struct plan_check *check,
                      enum pm_log_level level)
{
    const struct pm_edit_settings *s = plan->settings;
    struct pm_error err = {0};
    if (level >= PM_LOG_DEBUG) show_lines(plan, check, NULL);
    struct run_memory host = run_memory_make(plan->config, s->model, 1, pm_model_scratch_bytes());
    plan_check_print(check, plan, &host);
    print_summary(plan, check);
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

/* Leave out a setting that may be wrong. @return false when there is none of that number */
static bool leave_out(struct pm_config *config, size_t number)
{
    struct pm_capture *c = &config->capture;
    if (number == 0) config->width = 0;
    if (number == 1) config->height = 0;
    if (number == 2) config->negative_prompt = "";
    if (number < 3) return true;
    number -= 3;
    if (number >= c->attention_count) return false;
    c->attention_count--;
    memmove(&c->attention[number], &c->attention[number + 1],
            (c->attention_count - number) * sizeof *c->attention);
    return true;
}

/* All that is wrong with the settings, not only the first: what is wrong is left out, so that the rest,
 * and then the lines, can be looked at.
 * @return false when they cannot; what is wrong has been logged, and *wrong counts it */
static bool make_settings(struct pm_edit_settings *settings, struct pm_schedule *schedule,
                          struct run_captures *captures, struct pm_config *config,
                          const struct pm_model *model, const char *path, size_t *wrong)
{
    struct pm_error err = {0}, other = {0};
    while (!run_settings_make(settings, schedule, captures, config, model, &err)) {
        pm_log(PM_LOG_ERROR, "%s: %s", path, err.message);
        (*wrong)++;
        struct pm_config trial;
        bool helps = false;
        for (size_t number = 0; !helps; number++) {
            trial = *config;
            if (!leave_out(&trial, number)) return false;
            helps = run_settings_make(settings, schedule, captures, &trial, model, &other) ||
                    strcmp(other.message, err.message) != 0;
            run_captures_free(captures);
        }
        *config = trial;
    }
    return true;
}

/** All that the verb makes, to be released together. */
struct planning {
    struct config_options options;
    struct pm_config config;
    struct pm_model model;
    struct pm_schedule schedule;
    struct pm_edit_settings settings;
    struct run_captures captures;
    struct run_plan plan;
    struct plan_check check;
};

static int print_all(struct planning *p, size_t wrong)
{
    if (p->options.shown_id) return print_shown(&p->plan, &p->check, p->options.shown_id);
    if (wrong == 0) return print_plan(&p->plan, &p->check, p->options.log_level);
    plan_check_print(&p->check, &p->plan, NULL);
    print_summary(&p->plan, &p->check);
    return PM_EXIT_INPUT;
}

static int make_plan(struct planning *p, struct pm_error *err)
{
    size_t wrong = 0, width, height;
    if (!pm_config_load(&p->config, p->options.config_path, p->options.overrides,
                        p->options.override_count, err) ||
        !measure_model(&p->model, &p->config, err)) {
        pm_log(PM_LOG_ERROR, "%s", err->message);
        return PM_EXIT_INPUT;
    }
    width = p->config.width;
    height = p->config.height;
    if (!make_settings(&p->settings, &p->schedule, &p->captures, &p->config, &p->model,
                       p->options.config_path, &wrong))
        return PM_EXIT_INPUT;
    p->check = plan_check_begin(width == p->config.width && height == p->config.height);
    if (!run_plan_make(&p->plan, &p->config, &p->settings, &p->captures, MPI_COMM_NULL,
                       plan_check_line, &p->check, err)) {
        pm_log(PM_LOG_ERROR, "%s", err->message);
        return PM_EXIT_INPUT;
    }
    return print_all(p, wrong);
}

int verb_plan(int argc, char **argv)
{
    struct pm_error err = {0};
    bool helped;
    struct planning *p = calloc(1, sizeof *p);
    if (!p) pm_die("no memory for a plan");
    int status = PM_EXIT_INPUT;
    if (!config_options_parse(&p->options, argc, argv, doc, CONFIG_PLAN, true, &helped)) {
        free(p);
        return PM_EXIT_INPUT;
    }
    pm_log_init(p->options.log_level, 0, 1);
    status = helped ? PM_EXIT_DONE : make_plan(p, &err);
    plan_check_end(&p->check);
    run_plan_free(&p->plan);
    run_captures_free(&p->captures);
    pm_model_free(&p->model);
    pm_config_free(&p->config);
    free(p);
    return status;
}
