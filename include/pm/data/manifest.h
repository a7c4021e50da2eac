/** @file manifest.h  A JSON Lines file: one source with its targets a line, any number of lines.
 *
 *  The file is mapped, not read: lines are parsed when they are asked for. Blank lines are passed
 *  over.
 *
 *  With a sweep (pm/data/sweep.h) each line is there once for every setting, one after the other. */
#ifndef PM_DATA_MANIFEST_H
#define PM_DATA_MANIFEST_H
#include "pm/data/sweep.h"

enum { PM_MANIFEST_LINE_MAX_BYTES = 1 << 20, PM_MANIFEST_PLACE_BYTES = 256 };

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
    struct pm_manifest_line *lines; /* [count] */
    size_t count;
    const struct pm_sweep *sweep; /* borrowed; NULL: none */
};

/** @return true, *out owned by the caller (pm_manifest_close); false when it cannot be read or
 *  has no line with anything on it */
PM_MUST_CHECK bool pm_manifest_open(struct pm_manifest *out, const char *path,
                                    struct pm_error *err);

/** Have each line once for every setting of the sweep. To be called once.
 *  @param sweep  borrowed  @return false when that is too much */
PM_MUST_CHECK bool pm_manifest_sweep(struct pm_manifest *manifest, const struct pm_sweep *sweep,
                                     struct pm_error *err);
void pm_manifest_close(struct pm_manifest *manifest);

/** Let the system take back the memory of the lines before @p index, now and then: they can be read
 *  again. */
void pm_manifest_forget(const struct pm_manifest *manifest, size_t index);

/** Where a line is, for messages: "edits.jsonl:17", with a sweep "edits.jsonl:17 (seed=3)". */
void pm_manifest_place(char place[PM_MANIFEST_PLACE_BYTES], const struct pm_manifest *manifest,
                       size_t index);

/** A name for a line whose own cannot be read: "line-17", with a sweep "line-17/seed=3". */
void pm_manifest_name(char *name, size_t size, const struct pm_manifest *manifest, size_t index);

/** Parse one line, with its setting in it. Any thread.
 *  @param place  of the line, to begin err with: see pm_manifest_place
 *  @return true, *out owned by the caller (json_decref); false, *out NULL */
PM_MUST_CHECK bool pm_manifest_parse(json_t **out, const struct pm_manifest *manifest, size_t index,
                                     const char *place, struct pm_error *err);
#endif
