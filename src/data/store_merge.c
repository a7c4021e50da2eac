#include "pm/data/store_merge.h"

#include "pm/data/config.h"

#include "store_pack_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BATCH_BYTES = 1 << 20, NOBODY = 0 };

struct merge {
    const char *const *from;
    size_t count;
    struct pm_store *first, *merged;
    struct pm_config config; /* of the whole */
    struct pack_part parts[PARTS];
    uint32_t *owner; /* [entries]  1 + the store that an entry is from; NOBODY */
    char *buffer;    /* of BATCH_BYTES, or of the largest row */
    struct pm_store_merge_report *report;
};

/* The config of a store, without its part. */
PM_MUST_CHECK static bool read_whole_config(struct pm_config *out, char **text,
                                            const struct pm_store *store, struct pm_error *err)
{
    char *own;
    PM_TRY(pm_store_read_attribute(&own, store, "config", err));
    *text = pm_config_whole_text(own, strlen(own));
    free(own);
    if (!*text) return pm_fail(err, PM_E_FORMAT, "%s: its config cannot be read", store->path);
    bool ok = pm_config_parse(out, *text, strlen(*text), store->path, err);
    if (!ok) free(*text);
    return ok;
}

PM_MUST_CHECK static bool check_text(const struct merge *m, const struct pm_store *store,
                                     const char *name, const char *what, struct pm_error *err)
{
    char *mine, *theirs;
    PM_TRY(pm_store_read_attribute(&mine, m->first, name, err));
    bool ok = pm_store_read_attribute(&theirs, store, name, err);
    if (ok) {
        ok = strcmp(mine, theirs) == 0 || pm_fail(err, PM_E_INPUT, "%s is of another %s than %s",
                                                  store->path, what, m->first->path);
        free(theirs);
    }
    free(mine);
    return ok;
}

/* Rows of one must fit into the other, whatever a damaged file says. */
static bool has_same_rows(const struct pm_store *a, const struct pm_store *b)
{
    for (enum part part = 0; part < PARTS; part++) {
        struct axis mine[STORE_MAX_RANK], theirs[STORE_MAX_RANK];
        size_t my_bytes, their_bytes;
        if (store_has(&a->shape, part) != store_has(&b->shape, part)) return false;
        if (!store_has(&a->shape, part)) continue;
        size_t my_rank = store_axes(mine, &a->shape, part);
        if (my_rank != store_axes(theirs, &b->shape, part)) return false;
        for (size_t k = 0; k < my_rank; k++)
            if (mine[k].length != theirs[k].length) return false;
        if (!store_row_bytes(&my_bytes, &a->shape, part) ||
            !store_row_bytes(&their_bytes, &b->shape, part) || my_bytes != their_bytes ||
            strcmp(store_path(&a->shape, part), store_path(&b->shape, part)) != 0)
            return false;
    }
    return true;
}

/* Is it of the same work as the first? */
PM_MUST_CHECK static bool check_kin(const struct merge *m, const struct pm_store *store,
                                    struct pm_error *err)
{
    struct pm_config config;
    char *text;
    PM_TRY(check_text(m, store, "manifest_hash", "manifest", err));
    PM_TRY(check_text(m, store, "model_hash", "model", err));
    PM_TRY(read_whole_config(&config, &text, store, err));
    free(text);
    struct pm_error why = {0};
    bool same = pm_config_same_results(&m->config, &config, &why);
    pm_config_free(&config);
    if (!same)
        return pm_fail(err, PM_E_INPUT, "%s is of another run than %s: %s", store->path,
                       m->first->path, why.message);
    return has_same_rows(m->first, store) ||
           pm_fail(err, PM_E_FORMAT,
                   "%s and %s are of one run, but not of one shape: one of them "
                   "is damaged",
                   m->first->path, store->path);
}

/* What every store has alike. */
PM_MUST_CHECK static bool copy_plan(struct merge *m, struct pm_error *err)
{
    for (enum part part = 0; part < PARTS; part++) {
        const struct pack_part *p = &m->parts[part];
        if (p->is_payload || part == ENTRY || part == PROVENANCE) continue;
        size_t batch = BATCH_BYTES / p->row_bytes + 1;
        for (size_t done = 0, count; done < p->rows; done += count) {
            count = p->rows - done < batch ? p->rows - done : batch;
            PM_TRY(store_read(m->buffer, m->first, part, done, count, err));
            PM_TRY(store_write(m->merged, part, done, count, m->buffer, err));
        }
    }
    return true;
}

PM_MUST_CHECK static bool copy_row(struct merge *m, const struct pm_store *from, enum part part,
                                   size_t row, struct pm_error *err)
{
    PM_TRY(store_read(m->buffer, from, part, row, 1, err));
    return store_write(m->merged, part, row, 1, m->buffer, err);
}

/* Payload, provenance, then the row that vouches. */
PM_MUST_CHECK static bool copy_entry(struct merge *m, const struct pm_store *from, size_t entry,
                                     const struct pm_store_row *row, struct pm_error *err)
{
    uint64_t item;
    int32_t target;
    PM_TRY(store_read(&item, from, PROMPT_ITEM, entry, 1, err));
    PM_TRY(store_read(&target, from, PROMPT_TARGET, entry, 1, err));
    bool is_done = row->state == PM_STORE_DONE, is_source = target == PM_STORE_SOURCE;
    for (enum part part = IMAGE; is_done && part < PARTS; part++)
        if (m->parts[part].rows > 0 && store_applies(&from->shape, part, row->flags, is_source))
            PM_TRY(copy_row(m, from, part, store_is_of_item(part) ? item : entry, err));
    PM_TRY(copy_row(m, from, PROVENANCE, entry, err));
    return store_write(m->merged, ENTRY, entry, 1, row, err);
}

/* An edit that cannot be done is known to every part, and recorded by each in the same words. */
PM_MUST_CHECK static bool check_twin(struct merge *m, const struct pm_store *from, size_t entry,
                                     const struct pm_store_row *row, struct pm_error *err)
{
    struct pm_store_row twin;
    struct pm_store_prompt prompt;
    struct pm_store_item item;
    PM_TRY(store_read(&twin, m->merged, ENTRY, entry, 1, err));
    if (row->state == PM_STORE_FAILED && row->state == twin.state && row->checksum == twin.checksum)
        return true;
    PM_TRY(pm_store_read_prompt(&prompt, from, entry, err));
    bool ok = pm_store_read_item(&item, from, prompt.item, err);
    pm_store_prompt_free(&prompt);
    PM_TRY(ok);
    pm_fail(err, PM_E_INPUT, "%s and %s both have entry %zu, of \"%.100s\"",
            m->from[m->owner[entry] - 1], from->path, entry, item.id);
    pm_store_item_free(&item);
    return false;
}

PM_MUST_CHECK static bool take_entry(struct merge *m, size_t index, const struct pm_store *from,
                                     size_t entry, const struct pm_store_row *row,
                                     struct pm_error *err)
{
    bool good;
    PM_TRY(pm_store_verify_entry(&good, from, entry, err));
    if (!good)
        return pm_fail(err, PM_E_FORMAT,
                       "%s: entry %zu is damaged: run this part again, which makes it anew",
                       from->path, entry);
    if (row->state == PM_STORE_PENDING) return true;
    if (m->owner[entry] != NOBODY) return check_twin(m, from, entry, row, err);
    m->owner[entry] = (uint32_t)index + 1;
    *(row->state == PM_STORE_DONE ? &m->report->done : &m->report->failed) += 1;
    return copy_entry(m, from, entry, row, err);
}

PM_MUST_CHECK static bool take_all(struct merge *m, size_t index, const struct pm_store *from,
                                   struct pm_error *err)
{
    enum { ROWS = 256 };
    struct pm_store_row rows[ROWS];
    size_t entries = m->report->entries;
    PM_TRY(check_kin(m, from, err));
    for (size_t first = 0, count; first < entries; first += count) {
        count = entries - first < ROWS ? entries - first : ROWS;
        PM_TRY(pm_store_read_rows(rows, from, first, count, err));
        for (size_t i = 0; i < count; i++)
            PM_TRY(take_entry(m, index, from, first + i, &rows[i], err));
    }
    return true;
}

static bool replace_text(hid_t object, const char *name, const char *text)
{
    return H5Adelete(object, name) >= 0 && store_put_text(object, name, text);
}

PM_MUST_CHECK static bool begin(struct merge *m, const char *to, struct pm_error *err)
{
    char uuid[STORE_UUID_BYTES], *config;
    store_make_uuid(uuid);
    PM_TRY(read_whole_config(&m->config, &config, m->first, err));
    store_pack_cut(m->parts, m->first);
    size_t bytes = 2 * BATCH_BYTES;
    for (enum part part = 0; part < PARTS; part++)
        if (m->parts[part].row_bytes + BATCH_BYTES > bytes)
            bytes = m->parts[part].row_bytes + BATCH_BYTES;
    m->report->entries = m->first->shape.entries;
    m->owner = calloc(m->report->entries, sizeof *m->owner);
    m->buffer = malloc(bytes);
    if (!m->owner || !m->buffer) pm_die("no memory to merge into %s", to);
    store_remove_stale(to);
    m->merged = store_new(to, MPI_COMM_NULL);
    m->merged->shape = m->first->shape;
    m->merged->shape.shards = 0; /* all in one file */
    if (asprintf(&m->merged->temporary, "%s.tmp-%s", to, uuid) < 0) pm_die("no memory for %s", to);
    bool ok = store_pack_create(m->merged, m->first, m->parts, STORE_PACK_FIXED, err);
    if (ok && !(replace_text(m->merged->file, "config", config) &&
                replace_text(m->merged->file, "run_uuid", uuid)))
        ok = store_fail(err, PM_E_IO, to, NULL, "cannot write attributes");
    free(config);
    return ok && copy_plan(m, err);
}

/* The name must be free, or may be given up; but not for a store that it is made of. */
PM_MUST_CHECK static bool check_names(const char *to, const char *const *from, size_t count,
                                      bool replaces, struct pm_error *err)
{
    struct stat there, source;
    PM_TRY(pm_store_check_name(to, err));
    if (lstat(to, &there) != 0) return true;
    for (size_t i = 0; i < count; i++)
        if (stat(from[i], &source) == 0 && source.st_dev == there.st_dev &&
            source.st_ino == there.st_ino)
            return pm_fail(err, PM_E_INPUT,
                           "%s is one of the stores to be merged: a new name is "
                           "wanted for what comes of them",
                           to);
    if (replaces && S_ISREG(there.st_mode)) return true;
    return pm_fail(err, PM_E_INPUT, "%s exists already%s", to,
                   S_ISREG(there.st_mode) ? "; it is replaced only when told to"
                                          : " and is no file");
}

bool pm_store_merge(const char *to, const char *const *from, size_t count, bool replaces,
                    struct pm_store_merge_report *report, struct pm_error *err)
{
    struct merge m = {.from = from, .count = count, .report = report};
    uint64_t bytes;
    PM_ASSERT(count > 0 && count < UINT32_MAX);
    *report = (struct pm_store_merge_report){0};
    PM_TRY(check_names(to, from, count, replaces, err));
    PM_TRY(pm_store_open_read(&m.first, from[0], err));
    bool ok = begin(&m, to, err) && take_all(&m, 0, m.first, err);
    for (size_t i = 1; ok && i < count; i++) {
        struct pm_store *store;
        ok = pm_store_open_read(&store, from[i], err);
        if (!ok) break;
        ok = take_all(&m, i, store, err);
        pm_store_close(store);
    }
    report->left = report->entries - report->done - report->failed;
    ok = ok && store_pack_finish(m.merged, replaces, &bytes, err);
    if (!ok && m.merged && err->code == PM_E_IO) store_pack_abandon(m.merged);
    pm_store_close(m.merged);
    pm_store_close(m.first);
    pm_config_free(&m.config);
    free(m.owner);
    free(m.buffer);
    return ok;
}
