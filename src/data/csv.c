#include "pm/data/csv.h"

#include <stdlib.h>
#include <string.h>

bool pm_csv_open(struct pm_csv *c, const char *path, struct pm_error *err)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    *c = (struct pm_csv){.line = 1};
    PM_TRY(pm_manifest_open(&c->file, path, err));
    c->name = c->file.name;
    if (memchr(c->file.map, '\0', c->file.map_bytes)) {
        pm_csv_close(c);
        return pm_fail(err, PM_E_FORMAT, "%s is not a text file in UTF-8: it has NUL bytes", path);
    }
    if (c->file.map_bytes >= 3 && memcmp(c->file.map, byte_order_mark, 3) == 0) c->at = 3;
    /* a row is never longer than the file, and each cell has a NUL for its comma or line's end */
    c->cells = malloc(c->file.map_bytes + 2);
    if (!c->cells) pm_die("no memory for %s", path);
    return true;
}

void pm_csv_close(struct pm_csv *c)
{
    free(c->cells);
    pm_manifest_close(&c->file);
    *c = (struct pm_csv){0};
}

const char *pm_csv_cell(const struct pm_csv *c, size_t column)
{
    return c->cells + c->start[column];
}

static void append(struct pm_csv *c, char byte)
{
    c->line += byte == '\n';
    c->cells[c->used++] = byte;
}

/* After the opening quote, up to and with the closing one. */
static bool read_quoted(struct pm_csv *c, struct pm_error *err)
{
    size_t first_line = c->line;
    while (c->at < c->file.map_bytes) {
        char byte = c->file.map[c->at++];
        if (byte != '"') {
            append(c, byte);
        } else if (c->at < c->file.map_bytes && c->file.map[c->at] == '"') {
            append(c, '"');
            c->at++;
        } else if (c->at == c->file.map_bytes || strchr(",\r\n", c->file.map[c->at])) {
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
static bool read_cell(struct pm_csv *c, bool *ends_row, struct pm_error *err)
{
    if (c->count == PM_CSV_MAX_COLUMNS)
        return pm_fail(err, PM_E_FORMAT, "%s:%zu: more than %d cells", c->name, c->line,
                       PM_CSV_MAX_COLUMNS);
    c->start[c->count++] = c->used;
    if (c->at < c->file.map_bytes && c->file.map[c->at] == '"') {
        c->at++;
        PM_TRY(read_quoted(c, err));
    } else {
        while (c->at < c->file.map_bytes && !strchr(",\r\n", c->file.map[c->at]))
            append(c, c->file.map[c->at++]);
    }
    append(c, '\0');
    *ends_row = c->at == c->file.map_bytes || c->file.map[c->at] != ',';
    if (c->at < c->file.map_bytes && c->file.map[c->at] == '\r') c->at++;
    if (c->at < c->file.map_bytes && c->file.map[c->at] == (*ends_row ? '\n' : ',')) {
        c->line += *ends_row;
        c->at++;
    }
    return true;
}

bool pm_csv_read_row(struct pm_csv *c, struct pm_error *err)
{
    do {
        c->count = c->used = 0;
        c->row_line = c->line;
        if (c->at == c->file.map_bytes) return true;
        for (bool ends_row = false; !ends_row;) PM_TRY(read_cell(c, &ends_row, err));
    } while (c->count == 1 && !*pm_csv_cell(c, 0));
    return true;
}

void pm_csv_write(FILE *out, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"') putc('"', out);
        putc(*text, out);
    }
    putc('"', out);
}
