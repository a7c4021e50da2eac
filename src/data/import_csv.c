#include "import_lines.h"

#include "pm/data/csv.h"

#include <stdlib.h>
#include <string.h>

enum { PLACE_BYTES = 256 };

/* Where a column's cells go, and as what. */
enum place { IN_LINE, IN_TARGET, IN_META };
enum kind {
    TEXT,
    JSON,
    TEXT_OR_OBJECT, /* an object when it begins with { */
};
struct column {
    const char *name;
    enum place place;
    enum kind kind;
};

static const struct column known[] = {
    {"id", IN_LINE, TEXT},
    {"source", IN_LINE, TEXT},
    {"seed", IN_LINE, JSON},
    {"noise", IN_LINE, TEXT},
    {"image", IN_LINE, TEXT},
    {"crop", IN_LINE, JSON},
    {"fit", IN_LINE, TEXT},
    {"mask", IN_LINE, TEXT_OR_OBJECT},
    {"inversion", IN_LINE, TEXT_OR_OBJECT},
    {"prompt", IN_TARGET, TEXT},
    {"edit", IN_TARGET, TEXT},
    {"mapper", IN_TARGET, TEXT},
    {"cross_replace_steps", IN_TARGET, JSON},
    {"self_replace_steps", IN_TARGET, JSON},
    {"self_replace_max_pixels", IN_TARGET, JSON},
    {"equalizer", IN_TARGET, JSON},
    {"local_blend", IN_TARGET, JSON},
    {"restore", IN_TARGET, TEXT_OR_OBJECT},
};

static struct column find_column(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) return known[i];
    return (struct column){name, IN_META, TEXT};
}

/* @param columns  [PM_CSV_MAX_COLUMNS]  names borrowed from @p names, which the caller frees */
static bool read_header(struct column *columns, size_t *count, char **names, struct pm_csv *c,
                        struct pm_import_result *result, struct pm_error *err)
{
    PM_TRY(pm_csv_read_row(c, err));
    *names = malloc(c->used + 1);
    if (!*names) pm_die("no memory for the header of %s", c->name);
    memcpy(*names, c->cells, c->used);
    *count = c->count;
    for (size_t i = 0; i < c->count; i++) {
        columns[i] = find_column(*names + c->start[i]);
        json_t *name = json_string(columns[i].name);
        bool is_text = json_string_length(name) > 0;
        json_decref(name);
        if (!is_text)
            return pm_fail(err, PM_E_FORMAT, "%s:%zu: the name of column %zu is empty or not UTF-8",
                           c->name, c->row_line, i + 1);
        for (size_t j = 0; j < i; j++)
            if (strcmp(columns[i].name, columns[j].name) == 0)
                return pm_fail(err, PM_E_FORMAT, "%s:%zu: two columns are named \"%s\"", c->name,
                               c->row_line, columns[i].name);
        size_t used = strlen(result->kept);
        if (columns[i].place == IN_META)
            snprintf(result->kept + used, sizeof result->kept - used, "%s%s", used ? ", " : "",
                     columns[i].name);
    }
    return true;
}

/* @return NULL with err set */
static json_t *read_value(const char *text, const struct column *column, const char *where,
                          struct pm_error *err)
{
    bool is_json = column->kind == JSON || (column->kind == TEXT_OR_OBJECT && text[0] == '{');
    json_error_t why = {.text = "it is not UTF-8"};
    json_t *value = is_json ? json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why)
                            : json_string(text);
    if (!value)
        pm_fail(err, PM_E_INPUT, "%s: column \"%s\" is \"%.60s\": %s", where, column->name, text,
                why.text);
    return value;
}

/* A name for the row, which no other has. @param ids  an object used as a set */
static bool name_row(json_t *line, json_t *ids, size_t index, const char *where,
                     struct pm_error *err)
{
    char number[PM_IMPORT_ID_BYTES];
    pm_import_number(number, index);
    pm_json_set_missing(line, "id", json_string(number));
    const char *id = json_string_value(json_object_get(line, "id"));
    if (json_object_get(ids, id))
        return pm_fail(err, PM_E_INPUT, "%s: column \"id\" is \"%s\", as in a row before", where,
                       id);
    json_object_set_new(ids, id, json_true());
    return true;
}

static bool fill_row(json_t *objects[3], const struct pm_csv *c, const struct column *columns,
                     size_t count, const char *where, struct pm_error *err)
{
    if (c->count != count)
        return pm_fail(err, PM_E_FORMAT, "%s: %zu cells; the header has %zu", where, c->count,
                       count);
    for (size_t i = 0; i < count; i++) {
        if (!*pm_csv_cell(c, i)) continue;
        json_t *value = read_value(pm_csv_cell(c, i), &columns[i], where, err);
        if (!value) return false;
        json_object_set_new(objects[columns[i].place], columns[i].name, value);
    }
    if (json_object_get(objects[IN_LINE], "source")) return true;
    return pm_fail(err, PM_E_INPUT, "%s: column \"source\" is missing or empty", where);
}

static bool import_row(struct pm_import_result *result, FILE *out, const struct pm_csv *c,
                       const struct column *columns, size_t count, json_t *ids,
                       struct pm_error *err)
{
    char where[PLACE_BYTES];
    snprintf(where, sizeof where, "%.200s:%zu", c->name, c->row_line);
    json_t *objects[3] = {json_object(), json_object(), json_object()};
    json_t *line = objects[IN_LINE], *target = objects[IN_TARGET], *meta = objects[IN_META];
    bool ok = fill_row(objects, c, columns, count, where, err) &&
              name_row(line, ids, result->lines, where, err);
    if (ok && json_object_size(target) > 0) {
        pm_json_set_missing(target, "edit", json_string("refine"));
        json_object_set_new(line, "targets", json_pack("[O]", target));
    }
    if (ok && json_object_size(meta) > 0) json_object_set(line, "meta", meta);
    ok = ok && pm_import_write(result, out, json_incref(line), where, err);
    for (size_t i = 0; i < 3; i++) json_decref(objects[i]);
    return ok;
}

bool pm_import_csv(struct pm_import_result *result, FILE *out, const char *path,
                   const struct pm_import_options *options, struct pm_error *err)
{
    (void)options;
    struct pm_csv c;
    struct column columns[PM_CSV_MAX_COLUMNS];
    char *names = NULL;
    size_t count;
    *result = (struct pm_import_result){0};
    PM_TRY(pm_csv_open(&c, path, err));
    json_t *ids = json_object();
    bool ok = read_header(columns, &count, &names, &c, result, err);
    while (ok && (ok = pm_csv_read_row(&c, err)) && c.count > 0)
        ok = import_row(result, out, &c, columns, count, ids, err);
    if (ok && result->lines == 0)
        ok = pm_fail(err, PM_E_FORMAT, "%s has a header and no rows", path);
    json_decref(ids);
    free(names);
    pm_csv_close(&c);
    return ok;
}
