/** @file csv.h  Comma-separated values, as in RFC 4180: rows of a file, and cells to write.
 *
 *      PM_TRY(pm_csv_open(&csv, "edits.csv", err));
 *      bool ok;
 *      while ((ok = pm_csv_read_row(&csv, err)) && csv.count > 0) use(pm_csv_cell(&csv, 0));
 *      pm_csv_close(&csv);
 */
#ifndef PM_DATA_CSV_H
#define PM_DATA_CSV_H
#include "pm/data/manifest.h"

#include <stdio.h>

enum { PM_CSV_MAX_COLUMNS = 256 };

/** A file being read, and the row that was read last. */
struct pm_csv {
    struct pm_manifest file; /* for its mapped text */
    const char *name;        /* the path's last part, for messages; borrowed from it */
    size_t at, line;
    char *cells; /* one after the other, each with its NUL; owned */
    size_t used;
    size_t start[PM_CSV_MAX_COLUMNS]; /* of each cell, in cells */
    size_t count;                     /* cells of the row; 0: the file's end */
    size_t row_line;                  /* the row's first line, from 1 */
};

/** A byte order mark is passed over. @return true, *csv owned by the caller (pm_csv_close); false
 *  when the file cannot be read, is empty or has NUL bytes */
PM_MUST_CHECK bool pm_csv_open(struct pm_csv *csv, const char *path, struct pm_error *err);
void pm_csv_close(struct pm_csv *csv);

/** Blank lines are passed over. @return false, with file and line, when a quote is out of place or
 *  the row has too many cells */
PM_MUST_CHECK bool pm_csv_read_row(struct pm_csv *csv, struct pm_error *err);

/** Borrowed until the next row. */
const char *pm_csv_cell(const struct pm_csv *csv, size_t column);

/** Write one cell, quoted where it has to be; commas and lines' ends are the caller's. */
void pm_csv_write(FILE *out, const char *text);
#endif
