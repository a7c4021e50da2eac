#include "run_plan.h"

#include "pm/base/grow.h"
#include "pm/base/hash.h"
#include "pm/runtime/agree.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/** What is looked at of all lines together: hashes. */
struct line_mark {
    uint64_t id, recipe;
};

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* @param message  owned by the plan from now on */
static void add_problem(struct run_plan *plan, size_t item, int target, char *message)
{
    plan->problems = pm_grow(plan->problems, plan->problem_count, sizeof *plan->problems);
    plan->problems[plan->problem_count++] =
        (struct run_plan_problem){.item = item, .target = target, .message = message};
}

static char *copy_message(const char *message)
{
    char *copy = strdup(message);
    if (!copy) pm_die("no memory for a message");
    return copy;
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

/* Whether pictures are kept, and inversions, is seen to at the end. */
static void measure_image(struct run_plan *plan, const struct pm_image_recipe *image)
{
    if (!image->path) return;
    plan->shape.originals = true;
    if (image->method == PM_INVERSION_NULL_TEXT) plan->shape.embeddings = true;
}

static void survey_line(struct run_plan *plan, size_t item, struct line_mark *mark,
                        run_plan_watch *watch, void *self)
{
    struct run_plan_line line;
    struct run_plan_item *it = &plan->items[item];
    run_plan_line_load(&line, plan, item);
    mark->id = pm_hash64(line.id, strlen(line.id), 1) | 1; /* never 0 */
    mark->recipe = pm_hash64(line.text, strlen(line.text), 0);
    plan->shape.recipe_bytes = max_size(plan->shape.recipe_bytes, strlen(line.text));
    plan->shape.id_bytes = max_size(plan->shape.id_bytes, strlen(line.id));
    if (line.error.code != PM_OK) {
        add_problem(plan, item, PM_STORE_SOURCE, copy_message(line.error.message));
    } else {
        it->targets = line.recipe.target_count;
        it->cost = pm_edit_cost(plan->settings, &line.recipe, &line.prepared);
        it->bytes = pm_edit_memory_bytes(&plan->edit_memory, &line.recipe, &line.prepared,
                                         plan->settings->targets_per_pass);
        measure_prompt(plan, line.recipe.source, &line.prepared.source);
        measure_image(plan, &line.recipe.image);
    }
    for (size_t i = 0; i < it->targets; i++) {
        const struct pm_prepared_target *target = &line.prepared.targets[i];
        if (target->error.code != PM_OK) {
            add_problem(plan, item, (int)i, copy_message(target->error.message));
            continue;
        }
        measure_prompt(plan, line.recipe.targets[i].prompt, &target->tokens);
        plan->shape.blend_mask = plan->shape.blend_mask || target->has_mask;
    }
    if (watch) watch(self, plan, &line);
    run_plan_line_free(&line);
}

/* The lines of each rank, which follow each other. */
static size_t first_line(const struct run_plan *plan, int rank)
{
    return plan->manifest.count * (size_t)rank / (size_t)plan->ranks;
}

/* Rank 0 gets what the others have found out about their lines, or hands it back.
 * @param rows  [lines] of @p row_bytes bytes, each rank's in their places */
static void exchange_rows(void *rows, size_t row_bytes, bool gathers, const struct run_plan *plan)
{
    MPI_Datatype row;
    size_t ranks = (size_t)plan->ranks;
    int *counts = malloc(2 * ranks * sizeof *counts);
    if (!counts) pm_die("no memory for the shares of %d ranks", plan->ranks);
    int *firsts = counts + ranks;
    for (int i = 0; i < plan->ranks; i++) {
        firsts[i] = (int)first_line(plan, i);
        counts[i] = (int)first_line(plan, i + 1) - firsts[i];
    }
    void *mine = plan->rank ? (char *)rows + plan->first_line * row_bytes : MPI_IN_PLACE;
    MPI_Type_contiguous((int)row_bytes, MPI_BYTE, &row);
    MPI_Type_commit(&row);
    if (gathers)
        MPI_Gatherv(mine, counts[plan->rank], row, rows, counts, firsts, row, 0, plan->comm);
    else
        MPI_Scatterv(rows, counts, firsts, row, mine, counts[plan->rank], row, 0, plan->comm);
    MPI_Type_free(&row);
    free(counts);
}

/** A problem on its way to rank 0; after the last one comes one of no item. */
struct problem_message {
    size_t item;
    int target;
    char text[PM_ERROR_BYTES];
};

static void send_problems(const struct run_plan *plan)
{
    for (size_t i = 0; i <= plan->problem_count; i++) {
        struct problem_message message = {.item = SIZE_MAX};
        if (i < plan->problem_count) {
            message.item = plan->problems[i].item;
            message.target = plan->problems[i].target;
            strncpy(message.text, plan->problems[i].message, sizeof message.text - 1);
        }
        MPI_Send(&message, sizeof message, MPI_BYTE, 0, 0, plan->comm);
    }
}

static void receive_problems(struct run_plan *plan)
{
    for (int rank = 1; rank < plan->ranks; rank++)
        for (;;) {
            struct problem_message message;
            MPI_Recv(&message, sizeof message, MPI_BYTE, rank, 0, plan->comm, MPI_STATUS_IGNORE);
            if (message.item == SIZE_MAX) break;
            add_problem(plan, message.item, message.target, copy_message(message.text));
        }
}

static void merge_sizes(struct run_plan *plan)
{
    struct pm_store_shape *s = &plan->shape;
    size_t *const sizes[] = {&s->tokens,       &s->words,       &s->id_bytes,  &s->recipe_bytes,
                             &s->prompt_bytes, &s->token_bytes, &s->word_bytes};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    bool *const flags[] = {&s->blend_mask, &s->originals, &s->embeddings};
    enum { FLAGS = sizeof flags / sizeof *flags };
    uint64_t largest[COUNT + FLAGS];
    for (size_t i = 0; i < COUNT; i++) largest[i] = *sizes[i];
    for (size_t i = 0; i < FLAGS; i++) largest[COUNT + i] = *flags[i];
    MPI_Allreduce(MPI_IN_PLACE, largest, COUNT + FLAGS, MPI_UINT64_T, MPI_MAX, plan->comm);
    for (size_t i = 0; i < COUNT; i++) *sizes[i] = largest[i];
    for (size_t i = 0; i < FLAGS; i++) *flags[i] = largest[COUNT + i] != 0;
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
static bool id_table_enter(struct id_table *table, uint64_t hash, size_t item, size_t *other)
{
    size_t at = (size_t)hash & table->mask;
    for (; table->hashes[at]; at = (at + 1) & table->mask) {
        *other = table->items[at];
        if (table->hashes[at] == hash) return false;
    }
    table->hashes[at] = hash;
    table->items[at] = item;
    return true;
}

/* The whole line is wrong: its id is another's. */
static void refuse_id(struct run_plan *plan, size_t item, size_t other)
{
    struct run_plan_line line;
    struct pm_error error = {0};
    run_plan_line_read(&line, plan, item);
    pm_fail(&error, PM_E_INPUT, "%s: the id \"%s\" is line %zu's already", line.place, line.id,
            plan->manifest.lines[other].number);
    run_plan_line_free(&line);
    add_problem(plan, item, PM_STORE_SOURCE, copy_message(error.message));
    plan->items[item] = (struct run_plan_item){0};
}

/* Rank 0: ids are looked at in order, and the problems of lines whose id is refused are replaced
 * by that one. */
static void check_ids(struct run_plan *plan, const struct line_mark *marks)
{
    struct id_table ids = id_table_make(plan->manifest.count);
    struct run_plan_problem *found = plan->problems;
    size_t found_count = plan->problem_count, next = 0;
    plan->problems = NULL;
    plan->problem_count = 0;
    for (size_t i = 0; i < plan->manifest.count; i++) {
        size_t other;
        bool is_new = id_table_enter(&ids, marks[i].id, i, &other);
        bool is_refused = !is_new && plan->items[i].cost > 0;
        if (is_refused) refuse_id(plan, i, other);
        for (; next < found_count && found[next].item == i; next++)
            if (is_refused)
                free(found[next].message);
            else
                add_problem(plan, i, found[next].target, found[next].message);
    }
    free(found);
    free(ids.hashes);
    free(ids.items);
}

/* Rank 0: the entries' numbers, and the sums. */
static void number_entries(struct run_plan *plan, const struct line_mark *marks)
{
    for (size_t i = 0; i < plan->manifest.count; i++) {
        struct run_plan_item *item = &plan->items[i];
        item->first_entry = plan->entries;
        plan->entries += 1 + item->targets;
        plan->edits += item->targets ? item->targets : 1;
        plan->cost += (double)item->cost;
        plan->hash = pm_hash64(&marks[i].recipe, sizeof marks[i].recipe, plan->hash);
    }
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
    shape->levels = shape->steps + 1;
    shape->embedding_tokens = PM_TOKENS;
    shape->embedding_channels = s->model->unet.config.context_channels;
    shape->inversions = shape->originals && plan->config->capture.inversions;
    shape->embeddings = shape->embeddings && shape->inversions;
    shape->originals = shape->originals && shape->images;
}

/* On several hosts, a path may lead to several files. */
static bool check_same_manifest(const struct run_plan *plan, struct pm_error *err)
{
    uint64_t mine[2] = {plan->manifest.map_bytes, plan->manifest.count}, first[2];
    memcpy(first, mine, sizeof mine);
    MPI_Bcast(first, 2, MPI_UINT64_T, 0, plan->comm);
    bool same = memcmp(first, mine, sizeof mine) == 0;
    if (!same)
        pm_fail(err, PM_E_INPUT, "%s has %llu bytes where rank %d runs, and %llu where rank 0 does",
                plan->manifest.path, (unsigned long long)mine[0], plan->rank,
                (unsigned long long)first[0]);
    return pm_agree(plan->comm, same, err);
}

static bool open_manifest(struct run_plan *plan, struct pm_error *err)
{
    bool ok = pm_manifest_open(&plan->manifest, plan->config->manifest, err) &&
              pm_manifest_sweep(&plan->manifest, &plan->config->sweep, err);
    if (ok && plan->manifest.count > INT_MAX) /* MPI counts in int */
        ok = pm_fail(err, PM_E_INPUT, "%s has %zu lines; %d are the most", plan->manifest.path,
                     plan->manifest.count, INT_MAX);
    if (plan->ranks > 1) PM_TRY(pm_agree(plan->comm, ok, err));
    return ok && (plan->ranks == 1 || check_same_manifest(plan, err));
}

bool run_plan_make(struct run_plan *out, const struct pm_config *config,
                   const struct pm_edit_settings *settings, const struct run_captures *captures,
                   MPI_Comm comm, run_plan_watch *watch, void *self, struct pm_error *err)
{
    *out = (struct run_plan){.config = config,
                             .settings = settings,
                             .edit_memory = pm_edit_memory_make(settings, config->threads),
                             .comm = comm,
                             .ranks = 1};
    if (comm != MPI_COMM_NULL) {
        MPI_Comm_rank(comm, &out->rank);
        MPI_Comm_size(comm, &out->ranks);
    }
    PM_TRY(pm_recipe_check_defaults(config->defaults, "\"defaults\"", err));
    PM_TRY(open_manifest(out, err));
    size_t count = out->manifest.count;
    out->first_line = first_line(out, out->rank);
    out->end_line = first_line(out, out->rank + 1);
    /* of the other ranks' lines nothing is touched, so that they take no memory */
    struct line_mark *marks = calloc(count, sizeof *marks);
    out->items = calloc(count, sizeof *out->items);
    if (!out->items || !marks) pm_die("no memory for %zu edits", count);
    for (size_t i = out->first_line; i < out->end_line; i++) {
        survey_line(out, i, &marks[i], watch, self);
        pm_manifest_forget(&out->manifest, i);
    }
    if (out->ranks > 1) {
        exchange_rows(out->items, sizeof *out->items, true, out);
        exchange_rows(marks, sizeof *marks, true, out);
        if (out->rank == 0)
            receive_problems(out);
        else
            send_problems(out);
        merge_sizes(out);
    }
    if (out->rank == 0) {
        check_ids(out, marks);
        number_entries(out, marks);
    }
    if (out->ranks > 1) exchange_rows(out->items, sizeof *out->items, false, out);
    free(marks);
    finish_shape(out, captures);
    return true;
}
