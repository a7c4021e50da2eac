#include "compare_edits.h"

#include "measure_item.h"
#include "metric_table.h"
#include "store_look.h"
#include "sweep_label.h"

#include "pm/base/grow.h"
#include "pm/base/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const usual_metrics[] = {"psnr",
                                            "ssim",
                                            "psnr_outside_mask",
                                            "ssim_outside_mask",
                                            "truth_psnr_inside_mask",
                                            "truth_ssim_inside_mask"};

/** A finished edit on its way to its place. */
struct found {
    uint64_t key; /* of the edit: the same under all settings */
    size_t order; /* in which it was found */
    size_t column;
    struct compare_cell cell;
    int target;
    const double *values; /* [metrics] */
};

struct gathering {
    struct comparison *out;
    const struct pm_store *const *stores;
    struct metric_table tables[COMPARE_MAX_STORES];
    json_t *configs[COMPARE_MAX_STORES];
    size_t store_count;
    struct found *found; /* [count] */
    size_t count;
};

static char *copy(const char *text)
{
    char *result = strdup(text);
    if (!result) pm_die("no memory for a text");
    return result;
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
    return pm_hash64(text, strlen(text) + 1, seed);
}

static bool add_column(size_t *column, struct comparison *c, const struct pm_store *store,
                       const char *name, struct pm_error *err)
{
    for (*column = 0; *column < c->column_count; (*column)++)
        if (c->columns[*column].store == store && strcmp(c->columns[*column].name, name) == 0)
            return true;
    if (c->column_count == COMPARE_MAX_COLUMNS)
        return pm_fail(err, PM_E_INPUT, "more than %d settings are too many to compare",
                       COMPARE_MAX_COLUMNS);
    c->columns[c->column_count++] = (struct compare_column){.store = store, .name = copy(name)};
    return true;
}

static void add_found(struct gathering *g, struct found found)
{
    g->found = pm_grow(g->found, g->count, sizeof *g->found);
    found.order = g->count;
    g->found[g->count++] = found;
}

/* The column of a store's item, and what the edit is called apart from it. */
static bool place_item(size_t *column, uint64_t *key, struct gathering *g, size_t number,
                       const char *path, const struct pm_store_item *item, struct pm_error *err)
{
    const char *label = sweep_label(item->id, g->configs[number]);
    if (g->store_count > 1) {
        *key = hash_text(item->id, 0);
        return add_column(column, g->out, g->stores[number], path, err);
    }
    if (!label[0])
        return pm_fail(err, PM_E_INPUT,
                       "%s has no sweep, whose settings could be compared; give another store",
                       path);
    *key = pm_hash64(item->id, (size_t)(label - item->id), 0);
    return add_column(column, g->out, g->stores[number], label, err);
}

static bool gather_item(struct gathering *g, size_t number, const char *path, size_t item,
                        struct pm_error *err)
{
    const struct pm_store *store = g->stores[number];
    struct pm_store_item row;
    struct pm_store_row source, entry;
    struct pm_store_prompt prompt;
    size_t column = 0;
    uint64_t key = 0;
    PM_TRY(pm_store_read_item(&row, store, item, err));
    bool ok = place_item(&column, &key, g, number, path, &row, err) &&
              pm_store_read_rows(&source, store, row.first_entry, 1, err);
    for (size_t t = 1; ok && source.state == PM_STORE_DONE && t < row.entries; t++) {
        struct found found = {.column = column,
                              .target = (int)t - 1,
                              .cell = {item, row.first_entry + t, row.first_entry}};
        ok = pm_store_read_rows(&entry, store, found.cell.entry, 1, err);
        if (!ok || entry.state != PM_STORE_DONE) continue;
        ok = metric_table_find(&found.values, &g->tables[number], found.cell.entry, row.id, err) &&
             pm_store_read_prompt(&prompt, store, found.cell.entry, err);
        if (!ok) continue;
        found.key = hash_text(prompt.text, key + t);
        add_found(g, found);
        pm_store_prompt_free(&prompt);
    }
    pm_store_item_free(&row);
    return ok;
}

static int by_edit(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->key != y->key) return x->key > y->key ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

static bool describe_edit(struct compare_edit *edit, const struct comparison *c,
                          const struct found *first, bool keeps_label, const json_t *config,
                          struct pm_error *err)
{
    const struct pm_store *store = c->columns[first->column].store;
    struct pm_store_item item;
    struct pm_store_prompt source = {0}, target = {0};
    json_t *recipe = NULL;
    PM_TRY(pm_store_read_item(&item, store, first->cell.item, err));
    bool ok = pm_json_parse(&recipe, item.recipe, strlen(item.recipe), item.id, err) &&
              pm_store_read_prompt(&source, store, first->cell.source, err) &&
              pm_store_read_prompt(&target, store, first->cell.entry, err);
    if (ok) {
        const char *label = sweep_label(item.id, config);
        size_t bytes = strlen(item.id);
        if (!keeps_label && label[0]) bytes = (size_t)(label - item.id) - 1;
        edit->id = strndup(item.id, bytes);
        edit->category = copy(measure_category(recipe));
        edit->source_prompt = copy(source.text);
        edit->prompt = copy(target.text);
        if (!edit->id) pm_die("no memory for an id");
    }
    json_decref(recipe);
    if (source.memory) pm_store_prompt_free(&source);
    if (target.memory) pm_store_prompt_free(&target);
    pm_store_item_free(&item);
    return ok;
}

static bool make_edit(struct compare_edit *edit, const struct gathering *g,
                      const struct found *found, size_t count, struct pm_error *err)
{
    const struct comparison *c = g->out;
    size_t metrics = c->metric_count, cells = c->column_count * metrics;
    *edit = (struct compare_edit){.target = found[0].target,
                                  .values = malloc((cells + 1) * sizeof *edit->values)};
    if (!edit->values) pm_die("no memory for the metrics of an edit");
    for (size_t i = 0; i < cells; i++) edit->values[i] = NAN;
    for (size_t i = 0; i < count; i++) {
        size_t column = found[i].column;
        edit->has[column] = true;
        edit->cells[column] = found[i].cell;
        memcpy(edit->values + column * metrics, found[i].values, metrics * sizeof(double));
    }
    return describe_edit(edit, c, &found[0], g->store_count > 1, g->configs[0], err);
}

static int by_first_cell(const void *a, const void *b)
{
    const struct compare_edit *x = a, *y = b;
    for (size_t i = 0; i < COMPARE_MAX_COLUMNS; i++) {
        if (x->has[i] != y->has[i]) return x->has[i] ? -1 : 1;
        if (!x->has[i]) continue;
        return (x->cells[i].entry > y->cells[i].entry) - (x->cells[i].entry < y->cells[i].entry);
    }
    return 0;
}

/* Edits of several columns, in the first one's order. */
static bool make_edits(struct gathering *g, struct pm_error *err)
{
    struct comparison *c = g->out;
    bool ok = true;
    c->edits = calloc(g->count + 1, sizeof *c->edits);
    if (!c->edits) pm_die("no memory for %zu edits", g->count);
    if (g->count > 0) qsort(g->found, g->count, sizeof *g->found, by_edit);
    for (size_t first = 0, end; ok && first < g->count; first = end) {
        for (end = first + 1; end < g->count && g->found[end].key == g->found[first].key;) end++;
        if (end - first < 2)
            c->lonely++;
        else
            ok = make_edit(&c->edits[c->edit_count++], g, g->found + first, end - first, err);
    }
    if (ok && c->edit_count == 0)
        return pm_fail(err, PM_E_INPUT,
                       "no edit is done in two of them: none has the same id, "
                       "target and prompt");
    if (ok) qsort(c->edits, c->edit_count, sizeof *c->edits, by_first_cell);
    return ok;
}

/* Those asked for, or of the usual ones those that all tables have. */
static bool choose_metrics(struct comparison *c, const char *const *tables, size_t table_count,
                           const char *const *metrics, size_t count, struct pm_error *err)
{
    PM_ASSERT(count <= COMPARE_MAX_METRICS);
    for (size_t i = 0; i < count; i++) c->metrics[c->metric_count++] = metrics[i];
    for (size_t i = 0; count == 0 && i < sizeof usual_metrics / sizeof *usual_metrics; i++) {
        bool all = true;
        for (size_t t = 0; t < table_count; t++) {
            bool has;
            PM_TRY(metric_table_has(&has, tables[t], usual_metrics[i], err));
            all = all && has;
        }
        if (all) c->metrics[c->metric_count++] = usual_metrics[i];
    }
    return c->metric_count > 0 ||
           pm_fail(err, PM_E_INPUT, "the tables of metrics have no metric in common");
}

static bool gather(struct gathering *g, const char *const *paths, const char *const *metrics,
                   size_t metric_count, struct pm_error *err)
{
    char *tables[COMPARE_MAX_STORES] = {NULL};
    for (size_t i = 0; i < g->store_count; i++) tables[i] = metric_table_path(paths[i]);
    bool ok = choose_metrics(g->out, (const char *const *)tables, g->store_count, metrics,
                             metric_count, err);
    for (size_t i = 0; ok && i < g->store_count; i++) {
        ok = metric_table_load(&g->tables[i], tables[i], g->out->metrics, g->out->metric_count,
                               g->stores[i], err) &&
             store_read_config(&g->configs[i], g->stores[i], err);
        for (size_t item = 0; ok && item < pm_store_shape_of(g->stores[i])->items; item++)
            ok = gather_item(g, i, paths[i], item, err);
    }
    for (size_t i = 0; i < g->store_count; i++) free(tables[i]);
    return ok;
}

bool compare_edits(struct comparison *out, const char *const *paths,
                   const struct pm_store *const *stores, size_t store_count,
                   const char *const *metrics, size_t metric_count, struct pm_error *err)
{
    struct gathering g = {.out = out, .stores = stores, .store_count = store_count};
    PM_ASSERT(store_count <= COMPARE_MAX_STORES);
    *out = (struct comparison){0};
    bool ok = gather(&g, paths, metrics, metric_count, err) && make_edits(&g, err);
    for (size_t i = 0; i < store_count; i++) {
        metric_table_free(&g.tables[i]);
        json_decref(g.configs[i]);
    }
    free(g.found);
    if (!ok) comparison_free(out);
    return ok;
}

void comparison_free(struct comparison *c)
{
    for (size_t i = 0; i < c->edit_count; i++) {
        free(c->edits[i].id);
        free(c->edits[i].category);
        free(c->edits[i].source_prompt);
        free(c->edits[i].prompt);
        free(c->edits[i].values);
    }
    for (size_t i = 0; i < c->column_count; i++) free(c->columns[i].name);
    free(c->edits);
    *c = (struct comparison){0};
}
