#include "export_keep.h"

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

bool export_keep_load(struct export_keep *keep, const char *path, const struct pm_store *store,
                      struct pm_error *err)
{
    const char *columns[EXPORT_MAX_CONDITIONS];
    for (size_t i = 0; i < keep->count; i++) columns[i] = keep->conditions[i].name;
    return metric_table_load(&keep->table, path, columns, keep->count, store, err);
}

void export_keep_free(struct export_keep *keep)
{
    metric_table_free(&keep->table);
    *keep = (struct export_keep){0};
}

bool export_keep_judge(bool *kept, const struct export_keep *keep, size_t entry, const char *id,
                       struct pm_error *err)
{
    const double *row;
    *kept = true;
    if (keep->count == 0) return true;
    PM_TRY(metric_table_find(&row, &keep->table, entry, id, err));
    for (size_t i = 0; i < keep->count; i++) {
        const struct export_condition *c = &keep->conditions[i];
        *kept = *kept && (c->is_least ? row[i] >= c->bound : row[i] <= c->bound);
    }
    return true;
}
