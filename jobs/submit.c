/* promptmill submit CONFIG [SBATCH OPTION...]: check a run, propose a job for it, submit it. */
#include "command.h"
#include "config_options.h"
#include "load_model.h"
#include "propose.h"
#include "run_memory.h"
#include "verbs.h"

#include "pm/runtime/exit_status.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doc[] =
    "\nSubmit a run to Slurm. It is planned first, so that a bad manifest is refused at once; the "
    "engine is measured for some seconds; nodes, ranks, memory and time are proposed from both.\n\n"
    "promptmill's own flags come before CONFIG. What comes after it goes to sbatch as it is, and "
    "has the last word: --partition=long --time=12:00:00.";

/** One submission, from its plan to its number. */
struct submission {
    struct config_options options;
    struct pm_config config;
    struct pm_model model;
    struct pm_schedule schedule;
    struct pm_edit_settings settings;
    struct run_captures captures;
    struct run_plan plan;
    struct proposal proposal;
    char program[PATH_MAX], script[PATH_MAX], after_script[PATH_MAX];
};

/* "--name=value", "--name value", "-Nvalue" or "-N value" among sbatch's options; the last counts. */
static const char *find_option(const struct config_options *o, const char *name, char letter)
{
    const char *found = NULL;
    size_t length = strlen(name);
    for (size_t i = 0; i < o->rest_count; i++) {
        const char *at = o->rest[i], *next = i + 1 < o->rest_count ? o->rest[i + 1] : NULL;
        if (strncmp(at, "--", 2) == 0 && strncmp(at + 2, name, length) == 0) {
            if (at[2 + length] == '=') found = at + 2 + length + 1;
            if (at[2 + length] == '\0') found = next;
        } else if (letter && at[0] == '-' && at[1] == letter) {
            found = at[2] ? at + 2 : next;
        }
    }
    return found;
}

static bool plan_run(struct submission *s, struct pm_error *err)
{
    const struct config_options *o = &s->options;
    PM_TRY(pm_config_load(&s->config, o->config_path, o->overrides, o->override_count, err));
    if (!s->config.store)
        return pm_fail(err, PM_E_INPUT, "%s: \"store\" is missing", o->config_path);
    PM_TRY(measure_model(&s->model, &s->config, err));
    PM_TRY(run_settings_make(&s->settings, &s->schedule, &s->captures, &s->config, &s->model, err));
    PM_TRY(run_plan_make(&s->plan, &s->config, &s->settings, &s->captures, MPI_COMM_NULL, NULL,
                         NULL, err));
    PM_TRY(run_plan_check_bytes(&s->plan, err));
    for (size_t i = 0; i < s->plan.problem_count; i++)
        pm_log(PM_LOG_WARNING, "%s", s->plan.problems[i].message);
    if (s->plan.problem_count == s->plan.edits)
        return pm_fail(err, PM_E_INPUT, "none of the %zu edits can be done", s->plan.edits);
    if (s->plan.problem_count == 0 || o->keeps_going) return true;
    return pm_fail(
        err, PM_E_INPUT,
        "%zu of %zu edits cannot be done; nothing is submitted (--keep-going submits the "
        "others)",
        s->plan.problem_count, s->plan.edits);
}

/* Slurm's scripts lie beside the program: where it was built, or where it was installed. */
static bool find_script(char path[PATH_MAX], const char *program, const char *name,
                        struct pm_error *err)
{
    static const char *const places[] = {"../slurm", "../share/promptmill/slurm"};
    int folder = (int)(strrchr(program, '/') - program);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int length = snprintf(path, PATH_MAX, "%.*s/%s/%s", folder, program, places[i], name);
        char real[PATH_MAX];
        if (length >= PATH_MAX || !realpath(path, real)) continue;
        memcpy(path, real, sizeof real);
        return true;
    }
    return pm_fail(err, PM_E_IO, "%s is neither in %.*s/%s nor in %.*s/%s; --script names yours",
                   name, folder, program, places[0], folder, program, places[1]);
}

static bool find_files(struct submission *s, struct pm_error *err)
{
    ssize_t length = readlink("/proc/self/exe", s->program, sizeof s->program - 1);
    if (length <= 0)
        return pm_fail(err, PM_E_IO, "the program's own path is not known: %s", strerror(errno));
    s->program[length] = '\0';
    if (s->options.parts > 0) PM_TRY(find_script(s->after_script, s->program, "after.sbatch", err));
    if (!s->options.script) return find_script(s->script, s->program, "edit.sbatch", err);
    if (realpath(s->options.script, s->script)) return true;
    return pm_fail(err, PM_E_IO, "cannot open %s: %s", s->options.script, strerror(errno));
}

/* Without Slurm at hand a proposal can still be looked at. */
static bool find_nodes(struct slurm_nodes *nodes, const struct submission *s, struct pm_error *err)
{
    if (slurm_find_nodes(nodes, find_option(&s->options, "partition", 'p'), err)) return true;
    if (!s->options.is_dry || err->code != PM_E_IO) return false;
    pm_log(PM_LOG_WARNING, "%s; nodes like this host are taken for granted", err->message);
    *nodes = (struct slurm_nodes){.partition = "this host",
                                  .count = 1000,
                                  .cores = (size_t)sysconf(_SC_NPROCESSORS_ONLN),
                                  .bytes = (double)sysconf(_SC_PHYS_PAGES) *
                                           (double)sysconf(_SC_PAGESIZE),
                                  .limit_seconds = INFINITY};
    return true;
}

static bool find_number(size_t *out, const struct config_options *o, const char *name, char letter,
                        struct pm_error *err)
{
    char *end;
    const char *text = find_option(o, name, letter);
    if (!text) return true;
    *out = strtoul(text, &end, 10);
    if (end != text && *end == '\0' && *out >= 1 && *out <= 1000000) return true;
    return pm_fail(err, PM_E_INPUT,
                   "--%s=%s: one whole number from 1 to 1000000 is understood here", name, text);
}

/* "1.2 h", "35 min", "40 s" */
static void format_time(char text[32], double seconds)
{
    if (seconds >= 7200.0)
        snprintf(text, 32, "%.1f h", seconds / 3600.0);
    else if (seconds >= 120.0)
        snprintf(text, 32, "%.0f min", seconds / 60.0);
    else
        snprintf(text, 32, "%.1f s", seconds);
}

static void print_proposal(const struct submission *s, const struct calibration *measured,
                           const struct slurm_nodes *nodes)
{
    const struct proposal *p = &s->proposal;
    const struct pm_edit_settings *settings = &s->settings;
    char longest[32], part[32];
    double stops_seconds = p->limit_seconds - p->lead_seconds;
    format_time(longest, p->longest_seconds);
    format_time(part, p->seconds);
    printf("plan        %zu lines, %zu edits, %zu of them cannot be done\n", s->plan.manifest.count,
           s->plan.edits, s->plan.problem_count);
    printf("store       %.1f MB\n", (double)pm_store_bytes(&s->plan.shape) / 1e6);
    printf("measured    %.3g s a UNet sample, %.3g s to decode a picture, on this host\n",
           measured->sample_seconds, measured->picture_seconds);
    if (measured->height != settings->latent_height || measured->width != settings->latent_width)
        printf(
            "            (with latents of %zu x %zu: %zu x %zu would take too long here, and were "
            "reckoned)\n",
            measured->width, measured->height, settings->latent_width, settings->latent_height);
    printf("computing   %.2f core hours; the longest line takes %s\n",
           p->core_seconds * (double)p->threads / 3600.0, longest);
    printf("proposed    %zu nodes of \"%s\", %zu ranks on each, %zu threads each, %.1f GB a node\n",
           p->nodes, nodes->partition, p->ranks_on_node, p->threads, p->node_bytes / 1e9);
    printf("            which takes %s%s\n", part, s->options.parts ? ", each part" : "");
    if (p->seconds > stops_seconds)
        printf("            more than a job may take: it requeues itself about %.0f times\n",
               ceil(p->seconds / fmax(stops_seconds, 1.0)) - 1.0);
}

/* With weights, which the plan has not loaded: untouched memory is all one page, and fast. */
static bool measure_speed(struct calibration *out, const struct submission *s, struct pm_error *err)
{
    struct pm_model model;
    struct pm_edit_settings settings = s->settings;
    struct config_additions additions;
    config_additions_make(&additions, &s->config);
    PM_TRY(pm_model_load_with(&model, s->config.model, &additions.all, err));
    settings.model = &model;
    calibrate(out, &settings, s->config.threads);
    pm_model_free(&model);
    return true;
}

static bool make_proposal(struct submission *s, struct pm_error *err)
{
    struct slurm_nodes nodes;
    struct calibration measured;
    struct proposal_wish wish = {.plan = &s->plan,
                                 .measured = &measured,
                                 .weights_bytes = (double)s->model.weights.used,
                                 .rank_bytes = run_memory_rank_bytes(&s->plan),
                                 .hours = s->options.hours,
                                 .parts = s->options.parts ? s->options.parts : 1};
    PM_TRY(find_nodes(&nodes, s, err));
    PM_TRY(find_number(&wish.nodes, &s->options, "nodes", 'N', err));
    PM_TRY(find_number(&wish.ranks_on_node, &s->options, "ntasks-per-node", '\0', err));
    PM_TRY(measure_speed(&measured, s, err));
    PM_TRY(propose(&s->proposal, &wish, &nodes, err));
    print_proposal(s, &measured, &nodes);
    return true;
}

/* The run's flags, as they were given. */
static void add_run_flags(struct command_list *command, const struct submission *s)
{
    const struct config_options *o = &s->options;
    for (size_t i = 0; i < o->override_count; i++)
        command_add(command, "--%s=%s", config_options_flag(o->overrides[i].key),
                    o->overrides[i].value);
}

static void make_command(struct command_list *command, const struct submission *s)
{
    const struct proposal *p = &s->proposal;
    unsigned long minutes = (unsigned long)ceil(p->limit_seconds / 60.0);
    command_add(command, "sbatch");
    command_add(command, "--parsable");
    command_add(command, "--nodes=%zu", p->nodes);
    command_add(command, "--ntasks-per-node=%zu", p->ranks_on_node);
    command_add(command, "--cpus-per-task=%zu", p->threads);
    command_add(command, "--mem=%.0fM", ceil(p->node_bytes / 1048576.0));
    command_add(command, "--time=%lu:%02lu:00", minutes / 60, minutes % 60);
    command_add(command, "--signal=B:USR1@%.0f", fmin(ceil(p->lead_seconds), 65535.0));
    if (s->options.parts) command_add(command, "--array=1-%zu", s->options.parts);
    for (size_t i = 0; i < s->options.rest_count; i++)
        command_add(command, "%s", s->options.rest[i]);
    command_add(command, "%s", s->script);
    command_add(command, "%s", s->options.config_path);
    add_run_flags(command, s);
}

/* What the script reads from its environment, which sbatch passes on. */
static void set_environment(const struct submission *s)
{
    char parts[32];
    snprintf(parts, sizeof parts, "%zu", s->options.parts);
    if (setenv("PROMPTMILL", s->program, 1) != 0 ||
        (s->options.parts && setenv("PROMPTMILL_PARTS", parts, 1) != 0))
        pm_die("no memory for the environment");
    printf("with        PROMPTMILL=%s%s%s\n", s->program,
           s->options.parts ? " PROMPTMILL_PARTS=" : "", s->options.parts ? parts : "");
}

/* @param id  "4711"; what sbatch prints before a cluster's name */
static bool submit(char id[SLURM_JOB_BYTES], const struct command_list *command,
                   struct pm_error *err)
{
    struct command_options patient = {.seconds = 120.0};
    struct command_result result;
    PM_TRY(command_run(&result, (const char *const *)command->arguments, &patient, err));
    snprintf(id, SLURM_JOB_BYTES, "%.*s", (int)strcspn(result.output, ";\n"), result.output);
    bool ok = result.status == 0 && id[0] != '\0' && strspn(id, "0123456789") == strlen(id);
    if (!ok)
        pm_fail(err, PM_E_INPUT, "sbatch refused the job, with status %d: see above",
                result.status);
    free(result.output);
    return ok;
}

/* The parts' stores become one, when all of them are done. */
static void make_merge_command(struct command_list *command, const struct submission *s,
                               const char *id)
{
    command_add(command, "sbatch");
    command_add(command, "--parsable");
    for (size_t i = 0; i < s->options.rest_count; i++)
        command_add(command, "%s", s->options.rest[i]);
    command_add(command, "--dependency=afterok:%s", id);
    command_add(command, "--kill-on-invalid-dep=yes");
    command_add(command, "--nodes=1");
    command_add(command, "--ntasks-per-node=1");
    command_add(command, "%s", s->after_script);
    command_add(command, "merge");
    command_add(command, "%s", s->config.store);
    for (size_t i = 1; i <= s->options.parts; i++) {
        char path[PATH_MAX];
        pm_config_part_path(path, s->config.store, i, s->options.parts);
        command_add(command, "%s", path);
    }
}

static bool submit_all(const struct submission *s, struct pm_error *err)
{
    struct command_list edits = {0}, merge = {0};
    char id[SLURM_JOB_BYTES] = "JOB", merge_id[SLURM_JOB_BYTES] = "";
    bool ok = true, submits = !s->options.is_dry;
    set_environment(s);
    make_command(&edits, s);
    command_print((const char *const *)edits.arguments);
    fflush(stdout);
    if (submits) ok = submit(id, &edits, err) && slurm_write_job(s->config.store, id, err);
    if (ok && s->options.parts) {
        make_merge_command(&merge, s, id);
        command_print((const char *const *)merge.arguments);
        fflush(stdout);
        if (submits) ok = submit(merge_id, &merge, err);
    }
    if (ok && submits)
        printf("job %s%s%s; `promptmill status %s` tells how it is\n", id,
               merge_id[0] ? ", then merged by job " : "", merge_id, s->config.store);
    command_list_free(&edits);
    command_list_free(&merge);
    return ok;
}

int verb_submit(int argc, char **argv)
{
    struct submission s = {0};
    struct pm_error err = {0};
    bool helped;
    if (!config_options_parse(&s.options, argc, argv, doc, CONFIG_SUBMIT, true, &helped))
        return PM_EXIT_INPUT;
    if (helped) return PM_EXIT_DONE;
    pm_log_init(s.options.log_level, 0, 1);
    bool ok = find_files(&s, &err) && plan_run(&s, &err) && make_proposal(&s, &err) &&
              submit_all(&s, &err);
    if (!ok) pm_log(PM_LOG_ERROR, "%s", err.message);
    run_plan_free(&s.plan);
    run_captures_free(&s.captures);
    pm_model_free(&s.model);
    pm_config_free(&s.config);
    return ok ? PM_EXIT_DONE : PM_EXIT_INPUT;
}
