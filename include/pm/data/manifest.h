/** @file manifest.h  A JSON Lines file: one source with its targets a line, any number of lines.
 *
 *  The file is mapped, not read: lines are parsed when they are asked for. Blank lines are passed
 *  over. */
#ifndef PM_DATA_MANIFEST_H
#define PM_DATA_MANIFEST_H
#include "pm/base/json.h"

enum { PM_MANIFEST_LINE_MAX_BYTES = 1 << 20, PM_MANIFEST_PLACE_BYTES = 128 };

struct pm_manifest_line {
    size_t offset; /* bytes from the start */
    size_t bytes;
    size_t number; /* from 1, as an editor shows it */
};

struct pm_manifest {
    char *path;
    const char *name; /* the path's last part, for messages; borrowed from it */
    const char *map;
    size_t map_bytes;
    struct pm_manifest_line *lines;
    size_t count;
};

/** @return true, *out owned by the caller (pm_manifest_close); false when it cannot be read or
 *  has no line with anything on it */
PM_MUST_CHECK bool pm_manifest_open(struct pm_manifest *out, const char *path,
                                    struct pm_error *err);
void pm_manifest_close(struct pm_manifest *manifest);

/** Let the system take back the memory of the lines before @p index, now and then: they can be read
 *  again. */
void pm_manifest_forget(const struct pm_manifest *manifest, size_t index);

/** Where a line is, for messages: "edits.jsonl:17". */
void pm_manifest_place(char place[PM_MANIFEST_PLACE_BYTES], const struct pm_manifest *manifest,
                       size_t index);

/** Parse one line. Any thread. @return true, *out owned by the caller (json_decref) */
PM_MUST_CHECK bool pm_manifest_parse(json_t **out, const struct pm_manifest *manifest, size_t index,
                                     struct pm_error *err);
#endif
