/** @file import_lines.h  What the importers share. */
#ifndef IMPORT_LINES_H
#define IMPORT_LINES_H
#include "pm/base/json.h"
#include "pm/data/import.h"

/** Write one line of a manifest and count it. @param line  stolen */
PM_MUST_CHECK bool pm_import_write(struct pm_import_result *result, FILE *out, json_t *line,
                                   const char *where, struct pm_error *err);

/** A string that has to be there and to have something in it. */
PM_MUST_CHECK bool pm_import_text(const char **out, const json_t *object, const char *where,
                                  const char *key, struct pm_error *err);

/** The number @p index as an id: "0000017". */
enum { PM_IMPORT_ID_BYTES = 24 };
void pm_import_number(char id[PM_IMPORT_ID_BYTES], size_t index);
#endif
