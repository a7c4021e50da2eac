/* promptmill run CONFIG: the main job. Rank 0 plans and hands out; every rank edits. */
#include "config_options.h"
#include "load_model.h"
#include "run_edit.h"
#include "run_inversions.h"
#include "run_profile.h"
#include "run_store.h"
#include "verbs.h"

#include "pm/base/clock.h"
#include "pm/base/log.h"
#include "pm/kernels/kernels.h"
#include "pm/kernels/profile.h"
#include "pm/runtime/agree.h"
#include "pm/runtime/exit_status.h"
#include "pm/runtime/queue.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char doc[] =
    "\nMake the edits of a manifest, into a store.\n\n"
    "Run it alone or under mpirun or srun, on any number of ranks: the store is the same. A store "
    "that is there already is gone on with. SIGUSR1, the time limit or the halt file end the run "
    "after the edits in hand (exit status 85: run the same command again).";

/* The config goes to all ranks from rank 0, which alone reads the file. */
static bool share_config(struct run *r, const struct config_options *options, struct pm_error *err)
{
    bool ok = true;
    char *text = NULL;
    size_t bytes = 0;
    if (r->world.rank == 0) {
        ok = pm_config_load(&r->config, options->config_path, options->overrides,
                            options->override_count, err);
        if (ok && !r->config.store)
            ok = pm_fail(err, PM_E_INPUT, "%s: \"store\" is missing", options->config_path);
    }
    PM_TRY(pm_agree(MPI_COMM_WORLD, ok, err));
    if (r->world.rank == 0) {
        text = pm_config_text(&r->config);
        bytes = strlen(text);
    }
    pm_world_broadcast_text(&text, &bytes, 0, MPI_COMM_WORLD);
    if (r->world.rank != 0)
        ok = pm_config_parse(&r->config, text, bytes, options->config_path, err);
    free(text);
    return pm_agree(MPI_COMM_WORLD, ok, err);
}

/* Products of bfloat16 round otherwise where the CPU has them: then the picture would depend on the
 * rank that makes it. */
static bool check_cpus(const struct run *r, struct pm_error *err)
{
    int has = pm_kernels_have_bf16(pm_kernels()), first = has;
    if (!r->config.is_bf16) return true;
    MPI_Bcast(&first, 1, MPI_INT, 0, MPI_COMM_WORLD);
    bool ok = has == first;
    if (!ok)
        pm_fail(err, PM_E_INPUT,
                "rank %d's CPU %s bfloat16 products, rank 0's %s: with \"precision\": \"bf16\" all "
                "must be alike",
                r->world.rank, has ? "has" : "lacks", first ? "has" : "lacks");
    PM_TRY(pm_agree(MPI_COMM_WORLD, ok, err));
    if (!has && r->world.rank == 0)
        pm_log(PM_LOG_WARNING,
               "this CPU has no bfloat16 products (%s): with \"precision\": \"fp32\" the run would "
               "be faster, and more precise",
               pm_kernels()->isa);
    return true;
}

static bool load_model(struct run *r, struct pm_error *err)
{
    PM_TRY(check_cpus(r, err));
    struct config_additions additions;
    config_additions_make(&additions, &r->config);
    PM_TRY(load_model_shared(&r->model, &r->world, r->config.model, &additions.all,
                             r->config.packed_weights, err));
    bool ok =
        run_settings_make(&r->settings, &r->schedule, &r->captures, &r->config, &r->model, err);
    return pm_agree(MPI_COMM_WORLD, ok, err);
}

/* Wrong edits do not stop the others: name them, and go on. */
static void report_problems(const struct run_plan *plan)
{
    enum { SHOWN = 20 };
    for (size_t i = 0; i < plan->problem_count && i < SHOWN; i++)
        pm_log(PM_LOG_WARNING, "%s", plan->problems[i].message);
    if (plan->problem_count > SHOWN)
        pm_log(PM_LOG_WARNING, "... and %zu more; `promptmill plan` lists them all",
               plan->problem_count - SHOWN);
}

/* The queue's side on rank 0; these run in the manager's thread. */

static void give_recipe(void *self, size_t item, char **text, size_t *bytes)
{
    const struct run *r = self;
    *text = run_plan_recipe_text(&r->plan, item);
    *bytes = strlen(*text);
}

static void take_report(void *self, const struct pm_work_result *result)
{
    struct run *r = self;
    double cost = (double)r->plan.items[result->index].cost;
    run_estimate_add(&r->estimate, cost, result->seconds);
    pm_progress_add(&r->progress, result->done, result->failed, cost);
}

/* An edit that those done say would not end before the deadline is not begun: a cheaper one may. */
static bool comes_too_late(void *self, size_t item)
{
    const struct run *r = self;
    return !run_estimate_fits(&r->estimate, (double)r->plan.items[item].cost,
                              pm_stop_seconds_left(&r->stop));
}

static bool must_stop(void *self)
{
    struct run *r = self;
    return pm_stop_requested(&r->stop) || pm_lock_is_lost(&r->lock);
}

static void show_progress(void *self)
{
    struct run *r = self;
    pm_progress_print(&r->progress);
}

/* Every rank: edit until nothing is left. A store that cannot be written ends the job. */
static void edit_all(struct run *r)
{
    struct pm_queue_callbacks callbacks = {.self = r,
                                           .payload = give_recipe,
                                           .reported = take_report,
                                           .stop = must_stop,
                                           .skips = comes_too_late,
                                           .groups = run_store_groups(r),
                                           .item_group = run_store_item_group,
                                           .rank_group = run_store_rank_group,
                                           .tick = show_progress};
    struct pm_queue *queue = pm_queue_open(MPI_COMM_WORLD, r->order, r->order_count, &callbacks);
    struct pm_work work;
    while (pm_queue_next(queue, &work)) {
        struct pm_work_result result = {.index = work.index};
        struct pm_error err = {0};
        if (!run_edit_item(r, &work, &result, &err)) pm_die("%s", err.message);
        pm_queue_report(queue, &result);
    }
    pm_queue_close(queue);
}

/* Rank 0: the run's last words and its exit status. */
static int conclude(struct run *r, size_t edits)
{
    struct pm_error err = {0};
    size_t failed, left = edits - (r->progress.done + r->progress.failed);
    if (edits > 0)
        pm_progress_finish(&r->progress);
    else
        pm_log(PM_LOG_INFO, "nothing was left to do");
    if (left > 0) {
        const char *reason = pm_stop_reason(&r->stop);
        if (!reason && pm_lock_is_lost(&r->lock))
            reason = "another run took this one for dead, and the store over";
        pm_log(PM_LOG_INFO, "stopped (%s) with %zu edits left: run the same command again",
               reason ? reason : "the time left is too short for them", left);
        return PM_EXIT_UNFINISHED;
    }
    if (!run_store_count_failed(&failed, r, &err)) pm_die("%s", err.message);
    if (failed > 0)
        pm_log(PM_LOG_WARNING, "%zu pictures could not be made; `promptmill status %s` says why",
               failed, r->config.store);
    pm_log(PM_LOG_INFO, "the store is %s", r->config.store);
    return failed > 0 ? PM_EXIT_SOME_FAILED : PM_EXIT_DONE;
}

/* FOLDER/rank-0007.log */
static bool open_log(const char *folder, int rank, struct pm_error *err)
{
    char path[PATH_MAX];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return pm_fail(err, PM_E_IO, "cannot make the folder %s: %s", folder, strerror(errno));
    int length = snprintf(path, sizeof path, "%s/rank-%04d.log", folder, rank);
    if (length >= (int)sizeof path)
        return pm_fail(err, PM_E_INPUT, "the path %.100s... is too long", folder);
    return pm_log_to_file(path, err);
}

static bool prepare_run(struct run *r, const struct config_options *options, size_t *edits,
                        struct pm_error *err)
{
    bool is_root = r->world.rank == 0, ok = true;
    double cost = 0.0;
    if (options->log_folder) ok = open_log(options->log_folder, r->world.rank, err);
    PM_TRY(pm_agree(MPI_COMM_WORLD, ok, err));
    PM_TRY(share_config(r, options, err));
    pm_stop_init(&r->stop, is_root ? r->config.halt_file : NULL, r->config.time_limit_seconds);
    r->retries_failed = options->retries_failed;
    pm_world_set_threads(&r->world, (int)r->config.threads);
    PM_TRY(load_model(r, err));
    pm_arena_init(&r->scratch, pm_model_scratch_bytes());
    r->memory =
        run_memory_make(&r->config, &r->model, (size_t)r->world.ranks_on_node, r->scratch.capacity);
    PM_TRY(run_plan_make(&r->plan, &r->config, &r->settings, &r->captures, MPI_COMM_WORLD,
                         run_texts_keep, &r->texts, err));
    if (is_root) {
        ok = run_plan_check_bytes(&r->plan, err);
        if (ok) report_problems(&r->plan);
        if (ok && r->plan.problem_count == r->plan.edits)
            ok = pm_fail(err, PM_E_INPUT, "none of the %zu edits can be done", r->plan.edits);
    }
    PM_TRY(pm_agree(MPI_COMM_WORLD, ok, err));
    PM_TRY(run_store_open(r, err));
    pm_buffer_free(&r->texts);
    PM_TRY(pm_agree(MPI_COMM_WORLD, run_inversions_open(r, err), err));
    if (is_root)
        ok = run_store_record_problems(r, err) && run_store_choose_items(r, edits, &cost, err);
    PM_TRY(pm_agree(MPI_COMM_WORLD, ok, err));
    if (is_root) pm_progress_init(&r->progress, *edits, cost);
    return true;
}

int verb_run(int argc, char **argv)
{
    struct run r = {0};
    struct config_options options;
    struct pm_error err = {0};
    bool helped;
    int status = PM_EXIT_INPUT;
    size_t edits = 0;
    if (config_options_ask_for_help(argc, argv)) {
        (void)config_options_parse(&options, argc, argv, doc, CONFIG_RUN, true, &helped);
        return PM_EXIT_DONE;
    }
    pm_world_init(&r.world, &argc, &argv);
    if (!config_options_parse(&options, argc, argv, doc, CONFIG_RUN, r.world.rank == 0, &helped)) {
        pm_world_free(&r.world);
        return PM_EXIT_INPUT;
    }
    pm_log_init(options.log_level, r.world.rank, r.world.ranks);
    if (prepare_run(&r, &options, &edits, &err)) {
        double begin = pm_clock_seconds();
        if (options.profiles) pm_profile_start();
        edit_all(&r);
        if (options.profiles) run_profile_print(pm_clock_seconds() - begin);
        if (r.world.rank == 0) status = conclude(&r, edits);
    } else if (r.world.rank == 0) {
        pm_log(PM_LOG_ERROR, "%s", err.message);
    }
    MPI_Bcast(&status, 1, MPI_INT, 0, MPI_COMM_WORLD);
    run_inversions_free(&r.inversions);
    pm_store_close(r.store);
    pm_lock_release(&r.lock);
    pm_buffer_free(&r.texts);
    run_plan_free(&r.plan);
    run_captures_free(&r.captures);
    free(r.order);
    free(r.node_of_rank);
    pm_arena_free(&r.scratch);
    pm_model_free(&r.model);
    pm_config_free(&r.config);
    pm_world_free(&r.world);
    return status;
}
