#include "run_store.h"

#include "verbs.h"

#include "pm/runtime/agree.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool create_store(struct run *r, struct pm_error *err)
{
    bool is_root = r->world.rank == 0, ok = true;
    char software[128];
    snprintf(software, sizeof software, "promptmill %s", program_version);
    char *config = is_root ? pm_config_text(&r->config) : NULL;
    int32_t timesteps[PM_MAX_TRAIN_TIMESTEPS + 1];
    size_t mark = r->scratch.used;
    double *alphas = pm_arena_bytes(&r->scratch, r->schedule.train_timesteps * sizeof *alphas);
    for (size_t i = 0; i < r->schedule.evaluations; i++)
        timesteps[i] = (int32_t)r->schedule.timesteps[i];
    for (size_t i = 0; i < r->schedule.train_timesteps; i++) alphas[i] = r->schedule.alpha_cumprod[i];
    struct pm_store_about about = {.software = software,
                                   .config = config,
                                   .model = r->config.model,
                                   .model_hash = r->model.fingerprint,
                                   .scheduler = r->schedule.sampler == PM_PNDM ? "pndm" : "ddim",
                                   .timesteps = timesteps,
                                   .alpha_cumprod = alphas};
    bool created =
        pm_store_create(&r->store, r->config.store, MPI_COMM_WORLD, &r->plan.shape, &about, err);
    free(config);
    r->scratch.used = mark;
    PM_TRY(created);
    if (is_root) ok = run_plan_write(&r->plan, r->store, err);
    PM_TRY(pm_agree(MPI_COMM_WORLD, ok, err));
    return pm_store_commit(r->store, err);
}

/* Rank 0: is what the store was begun with what is asked for now? */
static bool check_store(const struct run *r, struct pm_error *err)
{
    char *text, *hash;
    struct pm_config before;
    PM_TRY(pm_store_read_attribute(&text, r->store, "config", err));
    bool ok = pm_config_parse(&before, text, strlen(text), r->config.store, err);
    free(text);
    PM_TRY(ok);
    ok = pm_config_same_results(&before, &r->config, err);
    pm_config_free(&before);
    PM_TRY(ok);
    PM_TRY(pm_store_read_attribute(&hash, r->store, "model_hash", err));
    ok = strcmp(hash, r->model.fingerprint) == 0;
    if (!ok) pm_fail(err, PM_E_INPUT, "the model's files have changed (%s, now %s)", hash, r->model.fingerprint);
    free(hash);
    return ok && run_plan_matches(&r->plan, r->store, err);
}

static bool go_on_with_store(struct run *r, struct pm_error *err)
{
    bool ok = true;
    PM_TRY(pm_store_open(&r->store, r->config.store, MPI_COMM_WORLD, err));
    if (r->world.rank == 0 && !check_store(r, err)) {
        struct pm_error why = *err;
        ok = pm_fail(err, PM_E_INPUT, "%s cannot be gone on with: %s", r->config.store, why.message);
    }
    return pm_agree(MPI_COMM_WORLD, ok, err);
}

bool run_store_open(struct run *r, struct pm_error *err)
{
    int is_there = r->world.rank == 0 && access(r->config.store, F_OK) == 0;
    MPI_Bcast(&is_there, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return is_there ? go_on_with_store(r, err) : create_store(r, err);
}

bool run_store_record_problems(struct run *r, struct pm_error *err)
{
    for (size_t i = 0; i < r->plan.problem_count; i++) {
        const struct run_plan_problem *problem = &r->plan.problems[i];
        struct pm_store_row row;
        PM_TRY(pm_store_read_rows(&row, r->store, problem->entry, 1, err));
        if (row.state == PM_STORE_FAILED) continue;
        PM_TRY(pm_store_fail_entry(r->store, problem->entry, problem->message, 0.0, err));
    }
    return true;
}

static const struct run_plan *sorted_plan; /* qsort's comparison takes no context */

static int by_cost(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    size_t cost_x = sorted_plan->items[x].cost, cost_y = sorted_plan->items[y].cost;
    if (cost_x != cost_y) return cost_x > cost_y ? -1 : 1;
    return (x > y) - (x < y);
}

bool run_store_choose_items(struct run *r, size_t *edits, double *cost, struct pm_error *err)
{
    struct pm_store_row *rows = malloc((PM_MAX_TARGETS + 1) * sizeof *rows);
    r->order = malloc(r->plan.manifest.count * sizeof *r->order);
    if (!rows || !r->order) pm_die("no memory for %zu edits", r->plan.manifest.count);
    bool ok = true;
    for (size_t i = 0; ok && i < r->plan.manifest.count; i++) {
        const struct run_plan_item *item = &r->plan.items[i];
        if (item->cost == 0) continue;
        ok = pm_store_read_rows(rows, r->store, item->first_entry, item->targets + 1, err);
        size_t pending = 0, pending_targets = 0;
        for (size_t t = 0; ok && t <= item->targets; t++) {
            pending += rows[t].state == PM_STORE_PENDING;
            pending_targets += t > 0 && rows[t].state == PM_STORE_PENDING;
        }
        if (pending == 0) continue;
        *edits += pending_targets ? pending_targets : 1;
        *cost += (double)item->cost;
        r->order[r->order_count++] = i;
    }
    free(rows);
    sorted_plan = &r->plan;
    qsort(r->order, r->order_count, sizeof *r->order, by_cost);
    return ok;
}
