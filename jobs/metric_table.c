#include "metric_table.h"

#include "store_look.h"

#include "pm/base/hash.h"
#include "pm/data/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NO_COLUMN = PM_CSV_MAX_COLUMNS };

char *metric_table_path(const char *store)
{
    return store_path_with(store, ".metrics.csv");
}

static size_t find_column(const struct pm_csv *csv, const char *name)
{
    for (size_t i = 0; i < csv->count; i++)
        if (strcmp(pm_csv_cell(csv, i), name) == 0) return i;
    return NO_COLUMN;
}

bool metric_table_has(bool *has, const char *path, const char *column, struct pm_error *err)
{
    struct pm_csv csv;
    PM_TRY(pm_csv_open(&csv, path, err));
    bool ok = pm_csv_read_row(&csv, err);
    *has = ok && find_column(&csv, column) != NO_COLUMN;
    pm_csv_close(&csv);
    return ok;
}

/** Where in a row everything is. */
struct places {
    size_t entry, id; /* id: NO_COLUMN when there is none */
    size_t columns[PM_CSV_MAX_COLUMNS];
};

static bool read_header(struct places *out, struct pm_csv *csv, const char *const *columns,
                        size_t count, struct pm_error *err)
{
    PM_TRY(pm_csv_read_row(csv, err));
    out->entry = find_column(csv, "entry");
    out->id = find_column(csv, "id");
    if (out->entry == NO_COLUMN)
        return pm_fail(err, PM_E_FORMAT, "%s has no column \"entry\"", csv->name);
    for (size_t i = 0; i < count; i++) {
        out->columns[i] = find_column(csv, columns[i]);
        if (out->columns[i] == NO_COLUMN)
            return pm_fail(err, PM_E_INPUT, "%s has no column \"%s\"", csv->name, columns[i]);
    }
    return true;
}

static bool read_number(double *out, const struct pm_csv *csv, size_t column, struct pm_error *err)
{
    const char *text = column < csv->count ? pm_csv_cell(csv, column) : "";
    char *end;
    *out = strtod(text, &end);
    if (text[0] == '\0') *out = NAN;
    if (*end == '\0') return true;
    return pm_fail(err, PM_E_FORMAT, "%s:%zu: \"%.40s\" is no number", csv->name, csv->row_line,
                   text);
}

static bool read_row(struct metric_table *table, const struct pm_csv *csv,
                     const struct places *places, size_t entries, struct pm_error *err)
{
    double number;
    PM_TRY(read_number(&number, csv, places->entry, err));
    if (!(number >= 0.0 && number < (double)entries && number == floor(number)))
        return pm_fail(err, PM_E_INPUT,
                       "%s:%zu: the store has no entry %g: it is not the table's store", csv->name,
                       csv->row_line, number);
    size_t entry = (size_t)number;
    const char *id = places->id < csv->count ? pm_csv_cell(csv, places->id) : NULL;
    table->id_hash[entry] = id ? pm_hash64(id, strlen(id), 0) | 1 : UINT64_MAX;
    for (size_t i = 0; i < table->count; i++)
        PM_TRY(read_number(&table->values[entry * table->count + i], csv, places->columns[i], err));
    return true;
}

bool metric_table_load(struct metric_table *out, const char *path, const char *const *columns,
                       size_t count, const struct pm_store *store, struct pm_error *err)
{
    size_t entries = pm_store_shape_of(store)->entries;
    struct places places;
    struct pm_csv csv;
    PM_ASSERT(count <= PM_CSV_MAX_COLUMNS);
    PM_TRY(pm_csv_open(&csv, path, err));
    *out = (struct metric_table){.count = count,
                                 .values = calloc(entries, (count + 1) * sizeof *out->values),
                                 .id_hash = calloc(entries, sizeof *out->id_hash)};
    if (!out->values || !out->id_hash) pm_die("no memory for the metrics of %zu edits", entries);
    bool ok = read_header(&places, &csv, columns, count, err);
    while (ok && (ok = pm_csv_read_row(&csv, err)) && csv.count > 0)
        ok = read_row(out, &csv, &places, entries, err);
    pm_csv_close(&csv);
    if (!ok) metric_table_free(out);
    return ok;
}

void metric_table_free(struct metric_table *table)
{
    free(table->values);
    free(table->id_hash);
    *table = (struct metric_table){0};
}

bool metric_table_find(const double **row, const struct metric_table *table, size_t entry,
                       const char *id, struct pm_error *err)
{
    uint64_t hash = table->id_hash[entry];
    if (hash == 0)
        return pm_fail(
            err, PM_E_INPUT,
            "the table of metrics does not have \"%.80s\" (entry %zu); make it anew with "
            "`promptmill measure`",
            id, entry);
    if (hash != UINT64_MAX && hash != (pm_hash64(id, strlen(id), 0) | 1))
        return pm_fail(
            err, PM_E_INPUT,
            "entry %zu is \"%.80s\" here and another edit in the table of metrics: it is "
            "of another store",
            entry, id);
    *row = table->values + entry * table->count;
    return true;
}
