#include "pm/data/manifest.h"

#include "pm/base/open_file.h"
#include "pm/base/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool map_file(struct pm_manifest *m, struct pm_error *err)
{
    size_t bytes;
    bool ok = true;
    int fd = pm_open_file(&bytes, m->path, err);
    if (fd < 0) return false;
    if (bytes > 0) {
        void *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        ok = map != MAP_FAILED ||
             pm_fail(err, PM_E_IO, "cannot map %s: %s", m->path, strerror(errno));
        if (ok) {
            m->map = map;
            m->map_bytes = bytes;
        }
    }
    close(fd);
    return ok;
}

static bool is_blank(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!strchr(" \t\r", text[i]) || text[i] == '\0') return false;
    return true;
}

static void append_line(struct pm_manifest *m, size_t *capacity, struct pm_manifest_line line)
{
    if (m->count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        struct pm_manifest_line *lines = realloc(m->lines, *capacity * sizeof *lines);
        if (!lines) pm_die("no memory for the %zu lines of %s", *capacity, m->path);
        m->lines = lines;
    }
    m->lines[m->count++] = line;
}

static void find_lines(struct pm_manifest *m)
{
    size_t capacity = 0, offset = 0;
    for (size_t number = 1; offset < m->map_bytes; number++) {
        const char *start = m->map + offset;
        const char *end = memchr(start, '\n', m->map_bytes - offset);
        size_t bytes = end ? (size_t)(end - start) : m->map_bytes - offset;
        if (!is_blank(start, bytes))
            append_line(
                m, &capacity,
                (struct pm_manifest_line){.offset = offset, .bytes = bytes, .number = number});
        offset += bytes + 1;
    }
}

bool pm_manifest_open(struct pm_manifest *out, const char *path, struct pm_error *err)
{
    *out = (struct pm_manifest){.path = strdup(path)};
    if (!out->path) pm_die("no memory for a path");
    out->name = pm_path_name(out->path);
    bool ok = map_file(out, err);
    if (ok) find_lines(out);
    if (ok && out->count == 0) ok = pm_fail(err, PM_E_INPUT, "%s has no edits in it", path);
    if (!ok) pm_manifest_close(out);
    return ok;
}

bool pm_manifest_sweep(struct pm_manifest *manifest, const struct pm_sweep *sweep,
                       struct pm_error *err)
{
    enum { MOST = 50000000 };
    size_t settings = sweep->settings, count = manifest->count;
    PM_ASSERT(!manifest->sweep);
    if (sweep->axis_count == 0) return true;
    if (count > MOST / settings)
        return pm_fail(err, PM_E_INPUT,
                       "%zu lines with %zu settings each are too many; %d are the most in all",
                       count, settings, MOST);
    struct pm_manifest_line *lines =
        realloc(manifest->lines, count * settings * sizeof *manifest->lines);
    if (!lines) pm_die("no memory for %zu lines with %zu settings each", count, settings);
    for (size_t i = count * settings; i-- > 0;)
        lines[i] = lines[i / settings]; /* i / settings <= i */
    manifest->lines = lines;
    manifest->count = count * settings;
    manifest->sweep = sweep;
    return true;
}

void pm_manifest_close(struct pm_manifest *manifest)
{
    if (manifest->map) munmap((void *)manifest->map, manifest->map_bytes);
    free(manifest->lines);
    free(manifest->path);
    *manifest = (struct pm_manifest){0};
}

void pm_manifest_forget(const struct pm_manifest *manifest, size_t index)
{
    enum { EVERY_LINES = 65536 };
    if (index % EVERY_LINES != EVERY_LINES - 1) return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE),
           bytes = manifest->lines[index].offset / page * page;
    madvise((void *)manifest->map, bytes, MADV_DONTNEED);
}

static void label_of(char label[PM_SWEEP_LABEL_BYTES], const struct pm_manifest *manifest,
                     size_t index)
{
    label[0] = '\0';
    if (manifest->sweep) pm_sweep_label(label, manifest->sweep, index % manifest->sweep->settings);
}

void pm_manifest_place(char place[PM_MANIFEST_PLACE_BYTES], const struct pm_manifest *manifest,
                       size_t index)
{
    char label[PM_SWEEP_LABEL_BYTES];
    label_of(label, manifest, index);
    snprintf(place, PM_MANIFEST_PLACE_BYTES, label[0] ? "%.100s:%zu (%.100s)" : "%.100s:%zu",
             manifest->name, manifest->lines[index].number, label);
}

void pm_manifest_name(char *name, size_t size, const struct pm_manifest *manifest, size_t index)
{
    char label[PM_SWEEP_LABEL_BYTES];
    label_of(label, manifest, index);
    snprintf(name, size, label[0] ? "line-%zu/%s" : "line-%zu", manifest->lines[index].number,
             label);
}

bool pm_manifest_parse(json_t **out, const struct pm_manifest *manifest, size_t index,
                       const char *place, struct pm_error *err)
{
    const struct pm_manifest_line *line = &manifest->lines[index];
    *out = NULL;
    if (line->bytes > PM_MANIFEST_LINE_MAX_BYTES)
        return pm_fail(err, PM_E_INPUT, "%s: the line has %zu bytes; %d are the most", place,
                       line->bytes, PM_MANIFEST_LINE_MAX_BYTES);
    PM_TRY(pm_json_parse(out, manifest->map + line->offset, line->bytes, place, err));
    bool ok =
        json_is_object(*out) || pm_fail(err, PM_E_INPUT, "%s: an object {...} is wanted, not %s",
                                        place, pm_json_kind(*out));
    if (ok && manifest->sweep)
        ok = pm_sweep_apply(*out, manifest->sweep, index % manifest->sweep->settings, place, err);
    if (ok) return true;
    json_decref(*out);
    *out = NULL;
    return false;
}
