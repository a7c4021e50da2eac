#include "run_store.h"

#include "store_look.h"
#include "verbs.h"

#include "pm/base/log.h"
#include "pm/base/path.h"
#include "pm/runtime/agree.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ROW_BATCH = 4096 };

/* Rank 0: files come with holes, so that a disk that is too small would show only later. */
static bool check_room(const struct run *r, struct pm_error *err)
{
    char folder[PATH_MAX];
    struct statvfs disk;
    uint64_t wanted = pm_store_bytes(&r->plan.shape) / r->config.parts; /* the rest stays holes */
    pm_path_folder(folder, r->config.store);
    if (statvfs(folder, &disk) != 0) return true; /* creating will tell */
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (room >= wanted) return true;
    return pm_fail(err, PM_E_IO, "%s takes %llu bytes, and its disk has %llu left", r->config.store,
                   (unsigned long long)wanted, (unsigned long long)room);
}

/* Rank 0: which entries lie where, when each host is to have a file. @return owned by the caller */
static size_t *divide_store(struct run *r)
{
    struct pm_store_shape *shape = &r->plan.shape;
    size_t nodes = (size_t)r->world.nodes;
    if (r->config.store_files != PM_CONFIG_FILE_A_NODE) return NULL;
    shape->shards = nodes < PM_STORE_MAX_SHARDS ? nodes : PM_STORE_MAX_SHARDS;
    if (shape->shards > shape->items) shape->shards = shape->items;
    size_t *first_entry = malloc(shape->shards * sizeof *first_entry);
    if (!first_entry) pm_die("no memory for %zu shards", shape->shards);
    for (size_t i = 0; i < shape->shards; i++)
        first_entry[i] = r->plan.items[pm_store_shard_item(shape, i)].first_entry;
    return first_entry;
}

static bool create_store(struct run *r, struct pm_error *err)
{
    bool is_root = r->world.rank == 0;
    char software[128];
    size_t *shard_first_entry = is_root ? divide_store(r) : NULL;
    PM_TRY(pm_agree(MPI_COMM_WORLD, !is_root || check_room(r, err), err));
    snprintf(software, sizeof software, "promptmill %s", program_version);
    char *config = is_root ? pm_config_text(&r->config) : NULL;
    int32_t timesteps[PM_MAX_TRAIN_TIMESTEPS + 1];
    size_t mark = r->scratch.used;
    double *alphas = pm_arena_bytes(&r->scratch, r->schedule.train_timesteps * sizeof *alphas);
    for (size_t i = 0; i < r->schedule.evaluations; i++)
        timesteps[i] = (int32_t)r->schedule.timesteps[i];
    for (size_t i = 0; i < r->schedule.train_timesteps; i++)
        alphas[i] = r->schedule.alpha_cumprod[i];
    char manifest_hash[17];
    run_plan_hash_text(manifest_hash, &r->plan);
    struct pm_store_about about = {.software = software,
                                   .manifest_hash = manifest_hash,
                                   .config = config,
                                   .model = r->config.model,
                                   .model_hash = r->model.fingerprint,
                                   .scheduler = r->schedule.sampler == PM_PNDM ? "pndm" : "ddim",
                                   .timesteps = timesteps,
                                   .alpha_cumprod = alphas,
                                   .captures = r->captures.abouts,
                                   .shard_first_entry = shard_first_entry};
    bool created =
        pm_store_create(&r->store, r->config.store, MPI_COMM_WORLD, &r->plan.shape, &about, err);
    free(config);
    free(shard_first_entry);
    r->scratch.used = mark;
    PM_TRY(created);
    PM_TRY(pm_agree(MPI_COMM_WORLD, run_texts_write(&r->texts, &r->plan, r->store, err), err));
    return pm_store_commit(r->store, err);
}

/* Rank 0: the files are as they were begun. */
static bool check_files(const struct run *r, struct pm_error *err)
{
    bool has_shards = pm_store_shape_of(r->store)->shards > 0;
    enum pm_config_files files = has_shards ? PM_CONFIG_FILE_A_NODE : PM_CONFIG_ONE_FILE;
    if (r->config.store_files == PM_CONFIG_FILES_UNSAID || r->config.store_files == files)
        return true;
    return pm_fail(err, PM_E_INPUT, "\"store.files\" was \"%s\" and is now \"%s\"",
                   has_shards ? "node" : "one", has_shards ? "one" : "node");
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
    if (!ok)
        pm_fail(err, PM_E_INPUT, "the model's files have changed (%s, now %s)", hash,
                r->model.fingerprint);
    free(hash);
    return ok && check_files(r, err) && run_plan_matches(&r->plan, r->store, err);
}

/* What the store says of prompts and items is written anew where it has changed. */
static bool repair_plan(struct run *r, struct pm_error *err)
{
    bool was_damaged;
    PM_TRY(pm_agree(MPI_COMM_WORLD, run_texts_write(&r->texts, &r->plan, r->store, err), err));
    PM_TRY(pm_store_repair_plan(&was_damaged, r->store, err));
    if (was_damaged && r->world.rank == 0)
        pm_log(PM_LOG_WARNING, "the items or prompts in %s were damaged: they are written again",
               r->config.store);
    return true;
}

/* Every rank looks at its share of the rows; what a checksum does not vouch for is done again. */
static bool reset_damaged(struct run *r, struct pm_error *err)
{
    size_t entries = pm_store_shape_of(r->store)->entries, damaged = 0;
    size_t rank = (size_t)r->world.rank, ranks = (size_t)r->world.ranks;
    for (size_t i = entries * rank / ranks; i < entries * (rank + 1) / ranks; i++) {
        bool good;
        PM_TRY(pm_store_verify_entry(&good, r->store, i, err));
        if (good) continue;
        PM_TRY(pm_store_reset_entry(r->store, i, err));
        damaged++;
    }
    if (damaged > 0)
        pm_log(PM_LOG_WARNING, "%zu pictures in %s were damaged: they will be made again", damaged,
               r->config.store);
    return true;
}

/* Rank 0: what failed before is tried again, but for what the plan says cannot be done. */
static bool reset_failed(struct run *r, struct pm_error *err)
{
    struct pm_store_row *rows = malloc(ROW_BATCH * sizeof *rows);
    if (!rows) pm_die("no memory for %d rows", ROW_BATCH);
    size_t entries = pm_store_shape_of(r->store)->entries;
    bool ok = true;
    for (size_t first = 0; ok && first < entries; first += ROW_BATCH) {
        size_t count = entries - first < ROW_BATCH ? entries - first : ROW_BATCH;
        ok = pm_store_read_rows(rows, r->store, first, count, err);
        for (size_t i = 0; ok && i < count; i++)
            if (rows[i].state == PM_STORE_FAILED)
                ok = pm_store_reset_entry(r->store, first + i, err);
    }
    free(rows);
    return ok;
}

static bool go_on_with_store(struct run *r, struct pm_error *err)
{
    bool ok = true;
    PM_TRY(pm_store_open(&r->store, r->config.store, MPI_COMM_WORLD, err));
    if (r->world.rank == 0 && !check_store(r, err)) {
        struct pm_error why = *err;
        ok =
            pm_fail(err, PM_E_INPUT, "%s cannot be gone on with: %s", r->config.store, why.message);
    }
    PM_TRY(pm_agree(MPI_COMM_WORLD, ok, err));
    PM_TRY(repair_plan(r, err));
    PM_TRY(pm_agree(MPI_COMM_WORLD, reset_damaged(r, err), err));
    ok = r->world.rank != 0 || !r->retries_failed || reset_failed(r, err);
    return pm_agree(MPI_COMM_WORLD, ok, err);
}

static bool take_lock(struct run *r, struct pm_error *err)
{
    bool ok = r->world.rank != 0 || store_take_lock(&r->lock, r->config.store, err);
    return pm_agree(MPI_COMM_WORLD, ok, err);
}

static void gather_nodes(struct run *r)
{
    bool is_root = r->world.rank == 0;
    r->node_of_rank = is_root ? malloc((size_t)r->world.ranks * sizeof *r->node_of_rank) : NULL;
    if (is_root && !r->node_of_rank) pm_die("no memory for %d ranks", r->world.ranks);
    MPI_Gather(&r->world.node, 1, MPI_INT, r->node_of_rank, 1, MPI_INT, 0, MPI_COMM_WORLD);
}

bool run_store_open(struct run *r, struct pm_error *err)
{
    gather_nodes(r);
    PM_TRY(take_lock(r, err));
    int is_there = r->world.rank == 0 && access(r->config.store, F_OK) == 0;
    MPI_Bcast(&is_there, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return is_there ? go_on_with_store(r, err) : create_store(r, err);
}

bool run_store_record_problems(struct run *r, struct pm_error *err)
{
    for (size_t i = 0; i < r->plan.problem_count; i++) {
        const struct run_plan_problem *problem = &r->plan.problems[i];
        size_t entry = run_plan_problem_entry(&r->plan, problem);
        struct pm_store_row row;
        PM_TRY(pm_store_read_rows(&row, r->store, entry, 1, err));
        if (row.state == PM_STORE_FAILED) continue;
        PM_TRY(pm_store_fail_entry(r->store, entry, problem->message, 0.0, err));
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

/* states[entries] of all rows. */
static bool read_states(uint8_t *states, const struct pm_store *store, struct pm_error *err)
{
    size_t entries = pm_store_shape_of(store)->entries;
    struct pm_store_row *rows = malloc(ROW_BATCH * sizeof *rows);
    if (!rows) pm_die("no memory for %d rows", ROW_BATCH);
    bool ok = true;
    for (size_t first = 0; ok && first < entries; first += ROW_BATCH) {
        size_t count = entries - first < ROW_BATCH ? entries - first : ROW_BATCH;
        ok = pm_store_read_rows(rows, store, first, count, err);
        for (size_t i = 0; ok && i < count; i++) states[first + i] = rows[i].state;
    }
    free(rows);
    return ok;
}

bool run_store_count_failed(size_t *failed, const struct run *r, struct pm_error *err)
{
    uint8_t *states = malloc(r->plan.entries);
    if (!states) pm_die("no memory for %zu rows", r->plan.entries);
    bool ok = read_states(states, r->store, err);
    *failed = 0;
    for (size_t i = 0; ok && i < r->plan.entries; i++) *failed += states[i] == PM_STORE_FAILED;
    free(states);
    return ok;
}

/* Is anything of the item to be done? */
static bool is_pending(size_t *edits, const struct run_plan_item *item, const uint8_t *state)
{
    size_t pending_targets = 0;
    for (size_t t = 1; t <= item->targets; t++) pending_targets += state[t] == PM_STORE_PENDING;
    if (pending_targets == 0 && state[0] != PM_STORE_PENDING) return false;
    *edits += pending_targets ? pending_targets : 1;
    return true;
}

bool run_store_choose_items(struct run *r, size_t *edits, double *cost, struct pm_error *err)
{
    size_t count = 0;
    uint8_t *states = malloc(r->plan.entries);
    r->order = malloc(r->plan.manifest.count * sizeof *r->order);
    if (!states || !r->order) pm_die("no memory for %zu edits", r->plan.manifest.count);
    bool ok = read_states(states, r->store, err);
    for (size_t i = 0; ok && i < r->plan.manifest.count; i++)
        if (r->plan.items[i].cost > 0) r->order[count++] = i;
    sorted_plan = &r->plan;
    qsort(r->order, count, sizeof *r->order, by_cost);
    /* the parts are dealt out like cards, so that they take the same time */
    for (size_t k = r->config.part - 1; k < count; k += r->config.parts) {
        const struct run_plan_item *item = &r->plan.items[r->order[k]];
        if (!is_pending(edits, item, states + item->first_entry)) continue;
        *cost += (double)item->cost;
        r->order[r->order_count++] = r->order[k];
    }
    free(states);
    return ok;
}

size_t run_store_groups(const struct run *r)
{
    size_t shards = pm_store_shape_of(r->store)->shards, nodes = (size_t)r->world.nodes;
    return shards < nodes ? shards : nodes;
}

size_t run_store_item_group(void *run, size_t item)
{
    const struct run *r = run;
    return pm_store_shard_of(r->store, item) % run_store_groups(r);
}

size_t run_store_rank_group(void *run, int rank)
{
    const struct run *r = run;
    return (size_t)r->node_of_rank[rank] % run_store_groups(r);
}
