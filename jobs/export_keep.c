#include "export_keep.h"

#include "pm/base/hash.h"
#include "pm/data/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool export_condition_read(struct export_condition *out, const char *text, struct pm_error *err)
{
    size_t length = strcspn(text, "<>=");
    const char *sign = text + length;
    bool is_sign = (sign[0] == '<' || sign[0] == '>') && sign[1] == '=';
    char *end = NULL;
    *out = (struct export_condition){.is_least = sign[0] == '>'};
    if (is_sign) out->bound = strtod(sign + 2, &end);
    if (!is_sign || length == 0 || length >= EXPORT_NAME_BYTES || end == sign + 2 || *end ||
        isnan(out->bound))
        return pm_fail(err, PM_E_INPUT,
                       "\"%.60s\" is no condition; METRIC>=NUMBER or METRIC<=NUMBER is wanted, as "
                       "\"ssim>=0.4\"",
                       text);
    memcpy(out->name, text, length);
    return true;
}

/** Where in a row everything is. */
struct columns {
    size_t entry, id; /* id: PM_CSV_MAX_COLUMNS when there is none */
    size_t metric[EXPORT_MAX_CONDITIONS];
};

static size_t find_column(const struct pm_csv *csv, const char *name)
{
    for (size_t i = 0; i < csv->count; i++)
        if (strcmp(pm_csv_cell(csv, i), name) == 0) return i;
    return PM_CSV_MAX_COLUMNS;
}

static bool read_header(struct columns *out, const struct export_keep *keep, struct pm_csv *csv,
                        struct pm_error *err)
{
    PM_TRY(pm_csv_read_row(csv, err));
    out->entry = find_column(csv, "entry");
    out->id = find_column(csv, "id");
    if (out->entry == PM_CSV_MAX_COLUMNS)
        return pm_fail(err, PM_E_FORMAT, "%s has no column \"entry\"", csv->name);
    for (size_t i = 0; i < keep->count; i++) {
        out->metric[i] = find_column(csv, keep->conditions[i].name);
        if (out->metric[i] == PM_CSV_MAX_COLUMNS)
            return pm_fail(err, PM_E_INPUT, "%s has no column \"%s\"", csv->name,
                           keep->conditions[i].name);
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

static bool read_row(struct export_keep *keep, const struct pm_csv *csv,
                     const struct columns *columns, size_t entries, struct pm_error *err)
{
    double number;
    PM_TRY(read_number(&number, csv, columns->entry, err));
    if (!(number >= 0.0 && number < (double)entries && number == floor(number)))
        return pm_fail(err, PM_E_INPUT,
                       "%s:%zu: the store has no entry %g: it is not the table's store", csv->name,
                       csv->row_line, number);
    size_t entry = (size_t)number;
    const char *id = columns->id < csv->count ? pm_csv_cell(csv, columns->id) : NULL;
    keep->id_hash[entry] = id ? pm_hash64(id, strlen(id), 0) | 1 : UINT64_MAX;
    for (size_t i = 0; i < keep->count; i++)
        PM_TRY(read_number(&keep->values[entry * keep->count + i], csv, columns->metric[i], err));
    return true;
}

bool export_keep_load(struct export_keep *keep, const char *table, const struct pm_store *store,
                      struct pm_error *err)
{
    size_t entries = pm_store_shape_of(store)->entries;
    struct columns columns;
    struct pm_csv csv;
    PM_TRY(pm_csv_open(&csv, table, err));
    keep->values = calloc(entries, keep->count * sizeof *keep->values);
    keep->id_hash = calloc(entries, sizeof *keep->id_hash);
    if (!keep->values || !keep->id_hash) pm_die("no memory for the metrics of %zu edits", entries);
    bool ok = read_header(&columns, keep, &csv, err);
    while (ok && (ok = pm_csv_read_row(&csv, err)) && csv.count > 0)
        ok = read_row(keep, &csv, &columns, entries, err);
    pm_csv_close(&csv);
    return ok;
}

void export_keep_free(struct export_keep *keep)
{
    free(keep->values);
    free(keep->id_hash);
    *keep = (struct export_keep){0};
}

bool export_keep_judge(bool *kept, const struct export_keep *keep, size_t entry, const char *id,
                       struct pm_error *err)
{
    *kept = true;
    if (keep->count == 0) return true;
    uint64_t hash = keep->id_hash[entry];
    if (hash == 0)
        return pm_fail(err, PM_E_INPUT,
                       "the table of metrics does not have \"%.80s\" (entry %zu); "
                       "make it anew with `promptmill measure`",
                       id, entry);
    if (hash != UINT64_MAX && hash != (pm_hash64(id, strlen(id), 0) | 1))
        return pm_fail(
            err, PM_E_INPUT,
            "entry %zu is \"%.80s\" here and another edit in the table of metrics: it is "
            "of another store",
            entry, id);
    for (size_t i = 0; i < keep->count; i++) {
        const struct export_condition *c = &keep->conditions[i];
        double value = keep->values[entry * keep->count + i];
        *kept = *kept && (c->is_least ? value >= c->bound : value <= c->bound);
    }
    return true;
}
