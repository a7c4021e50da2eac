#include "import_lines.h"

#include "pm/data/manifest.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 256, PLACE_BYTES = 256 };

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

/* A file being read, and the row that was read last. */
struct csv {
    const char *name, *text;
    size_t bytes, at, line;
    char *cells; /* one after the other, each with its NUL */
    size_t used;
    size_t start[MAX_COLUMNS]; /* of each cell, in cells */
    size_t count, row_line;
};

static const char *cell(const struct csv *c, size_t column)
{
    return c->cells + c->start[column];
}

static void append(struct csv *c, char byte)
{
    c->line += byte == '\n';
    c->cells[c->used++] = byte;
}

/* After the opening quote, up to and with the closing one. */
static bool read_quoted(struct csv *c, struct pm_error *err)
{
    size_t first_line = c->line;
    while (c->at < c->bytes) {
        char byte = c->text[c->at++];
        if (byte != '"') {
            append(c, byte);
        } else if (c->at < c->bytes && c->text[c->at] == '"') {
            append(c, '"');
            c->at++;
        } else if (c->at == c->bytes || strchr(",\r\n", c->text[c->at])) {
            return true;
        } else {
            return pm_fail(err, PM_E_FORMAT,
                           "%s:%zu: a comma or the line's end is wanted after a quoted cell",
                           c->name, c->line);
        }
    }
    return pm_fail(err, PM_E_FORMAT, "%s:%zu: a quoted cell begins here and never ends", c->name,
                   first_line);
}

/* @param ends_row  whether it was the row's last */
static bool read_cell(struct csv *c, bool *ends_row, struct pm_error *err)
{
    if (c->count == MAX_COLUMNS)
        return pm_fail(err, PM_E_FORMAT, "%s:%zu: more than %d cells", c->name, c->line,
                       MAX_COLUMNS);
    c->start[c->count++] = c->used;
    if (c->at < c->bytes && c->text[c->at] == '"') {
        c->at++;
        PM_TRY(read_quoted(c, err));
    } else {
        while (c->at < c->bytes && !strchr(",\r\n", c->text[c->at])) append(c, c->text[c->at++]);
    }
    append(c, '\0');
    *ends_row = c->at == c->bytes || c->text[c->at] != ',';
    if (c->at < c->bytes && c->text[c->at] == '\r') c->at++;
    if (c->at < c->bytes && c->text[c->at] == (*ends_row ? '\n' : ',')) {
        c->line += *ends_row;
        c->at++;
    }
    return true;
}

/* Blank lines are passed over. @return true with count 0 at the end of the file */
static bool read_row(struct csv *c, struct pm_error *err)
{
    do {
        c->count = c->used = 0;
        c->row_line = c->line;
        if (c->at == c->bytes) return true;
        for (bool ends_row = false; !ends_row;) PM_TRY(read_cell(c, &ends_row, err));
    } while (c->count == 1 && !*cell(c, 0));
    return true;
}

static struct column find_column(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) return known[i];
    return (struct column){name, IN_META, TEXT};
}

/* @param columns  [MAX_COLUMNS]  names borrowed from @p names, which the caller frees */
static bool read_header(struct column *columns, size_t *count, char **names, struct csv *c,
                        struct pm_import_result *result, struct pm_error *err)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    if (c->bytes >= 3 && memcmp(c->text, byte_order_mark, 3) == 0) c->at = 3;
    PM_TRY(read_row(c, err));
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

static bool fill_row(json_t *objects[3], const struct csv *c, const struct column *columns,
                     size_t count, const char *where, struct pm_error *err)
{
    if (c->count != count)
        return pm_fail(err, PM_E_FORMAT, "%s: %zu cells; the header has %zu", where, c->count,
                       count);
    for (size_t i = 0; i < count; i++) {
        if (!*cell(c, i)) continue;
        json_t *value = read_value(cell(c, i), &columns[i], where, err);
        if (!value) return false;
        json_object_set_new(objects[columns[i].place], columns[i].name, value);
    }
    if (json_object_get(objects[IN_LINE], "source")) return true;
    return pm_fail(err, PM_E_INPUT, "%s: column \"source\" is missing or empty", where);
}

static bool import_row(struct pm_import_result *result, FILE *out, const struct csv *c,
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
    struct pm_manifest file;
    struct column columns[MAX_COLUMNS];
    char *names = NULL;
    size_t count;
    *result = (struct pm_import_result){0};
    PM_TRY(pm_manifest_open(&file, path, err)); /* for its mapped text */
    if (memchr(file.map, '\0', file.map_bytes)) {
        pm_manifest_close(&file);
        return pm_fail(err, PM_E_FORMAT, "%s is not a text file in UTF-8: it has NUL bytes", path);
    }
    struct csv c = {.name = file.name, .text = file.map, .bytes = file.map_bytes, .line = 1};
    /* a row is never longer than the file, and each cell has a NUL for its comma or line's end */
    c.cells = malloc(file.map_bytes + 2);
    if (!c.cells) pm_die("no memory for %s", path);
    json_t *ids = json_object();
    bool ok = read_header(columns, &count, &names, &c, result, err);
    while (ok && (ok = read_row(&c, err)) && c.count > 0)
        ok = import_row(result, out, &c, columns, count, ids, err);
    if (ok && result->lines == 0)
        ok = pm_fail(err, PM_E_FORMAT, "%s has a header and no rows", path);
    json_decref(ids);
    free(names);
    free(c.cells);
    pm_manifest_close(&file);
    return ok;
}
