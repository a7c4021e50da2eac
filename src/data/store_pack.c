#include "pm/data/store_pack.h"

#include "store_pack_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pack {
    const struct pm_store_pack_options *options;
    struct pm_store_pack_report *report;
    struct pm_store *live, *packed;
    struct pack_part parts[PARTS];
    uint8_t *state; /* [entries]  what each is in the copy: enum pm_store_state */
    char *chunk;    /* the largest dataset's, as in memory */
    uint64_t bytes_done, bytes;
};

struct pm_store_pack_options pm_store_pack_options_default(void)
{
    return (struct pm_store_pack_options){.level = 4};
}

/* Is this row vouched for? The plan always is. */
PM_MUST_CHECK static bool is_kept(bool *kept, const struct pack *p, enum part part, size_t row,
                                  struct pm_error *err)
{
    uint64_t entry = row;
    *kept = part != ENTRY || p->state[row] != PM_STORE_PENDING;
    if (!p->parts[part].is_payload) return true;
    if (store_is_of_item(part)) PM_TRY(store_read(&entry, p->live, ITEM_FIRST_ENTRY, row, 1, err));
    *kept = entry < p->live->shape.entries && p->state[entry] == PM_STORE_DONE;
    return true;
}

/* The kept ones of @p count rows into the chunk, zeros elsewhere. */
PM_MUST_CHECK static bool read_kept(bool *any, struct pack *p, enum part part, size_t first,
                                    size_t count, struct pm_error *err)
{
    size_t bytes = p->parts[part].row_bytes, run = 0;
    *any = false;
    memset(p->chunk, 0, count * bytes);
    for (size_t i = 0; i <= count; i++) {
        bool kept = false;
        if (i < count) PM_TRY(is_kept(&kept, p, part, first + i, err));
        if (kept) {
            run++;
            continue;
        }
        if (run == 0) continue;
        size_t begin = i - run;
        PM_TRY(store_read(p->chunk + begin * bytes, p->live, part, first + begin, run, err));
        *any = true;
        run = 0;
    }
    return true;
}

PM_MUST_CHECK static bool advance(struct pack *p, uint64_t bytes, struct pm_error *err)
{
    p->bytes_done += bytes;
    if (!p->options->progress || p->options->progress(p->options->context, p->bytes_done, p->bytes))
        return true;
    return pm_fail(err, PM_E_INPUT, "stopped before the end: %s was not written", p->packed->path);
}

/* Rows of one dataset, chunk by chunk; @p first is where a chunk begins. A chunk with nothing in it
 * is left out: HDF5 reads zeros there. */
PM_MUST_CHECK static bool copy_rows(struct pack *p, enum part part, size_t first, size_t count,
                                    struct pm_error *err)
{
    size_t chunk_rows = p->parts[part].chunk_rows;
    bool skips = p->report->damaged > 0 && !p->options->keeps_going; /* no copy will be made */
    for (size_t done = 0, rows; done < count; done += rows) {
        bool any = false;
        rows = count - done < chunk_rows ? count - done : chunk_rows;
        if (!skips) PM_TRY(read_kept(&any, p, part, first + done, rows, err));
        if (any) PM_TRY(store_write(p->packed, part, first + done, rows, p->chunk, err));
        PM_TRY(advance(p, rows * p->parts[part].row_bytes, err));
    }
    return true;
}

/* What the copy may say of these entries. */
PM_MUST_CHECK static bool check_entries(struct pack *p, size_t first, size_t count,
                                        struct pm_error *err)
{
    struct pm_store_row rows[STORE_PACK_GROUP];
    PM_TRY(store_read(rows, p->live, ENTRY, first, count, err));
    for (size_t i = 0; i < count; i++) {
        struct pm_error why = {0};
        bool good = false;
        bool readable = pm_store_verify_entry(&good, p->live, first + i, &why);
        p->state[first + i] = readable && good ? rows[i].state : PM_STORE_PENDING;
        if (readable && good) continue;
        p->report->damaged++;
        if (p->options->damaged)
            p->options->damaged(p->options->context, p->live, first + i, why.message);
    }
    return true;
}

/* The plan first; then the entries in groups, each checked and copied while the system still has
 * its bytes in memory; then what is not counted by entries, and the rows that vouch. */
PM_MUST_CHECK static bool copy_all(struct pack *p, struct pm_error *err)
{
    size_t entries = p->live->shape.entries;
    for (enum part part = 0; part < PARTS; part++)
        if (part != ENTRY && !p->parts[part].is_payload)
            PM_TRY(copy_rows(p, part, 0, p->parts[part].rows, err));
    for (size_t first = 0; first < entries; first += STORE_PACK_GROUP) {
        size_t count = entries - first < STORE_PACK_GROUP ? entries - first : STORE_PACK_GROUP;
        PM_TRY(check_entries(p, first, count, err));
        for (enum part part = 0; part < PARTS; part++)
            if (!store_is_of_item(part) && p->parts[part].is_payload && p->parts[part].rows > 0)
                PM_TRY(copy_rows(p, part, first, count, err));
    }
    for (enum part part = 0; part < PARTS; part++)
        if (store_is_of_item(part)) PM_TRY(copy_rows(p, part, 0, p->parts[part].rows, err));
    PM_TRY(copy_rows(p, ENTRY, 0, entries, err));
    if (p->report->damaged == 0 || p->options->keeps_going) return true;
    return pm_fail(err, PM_E_FORMAT, "%s: %zu of %zu pictures are damaged; %s was not written",
                   p->live->path, p->report->damaged, entries, p->packed->path);
}

PM_MUST_CHECK static bool check_names(const char *from, const char *to, bool replaces,
                                      struct pm_error *err)
{
    struct stat live, there;
    PM_TRY(pm_store_check_name(to, err));
    if (lstat(to, &there) != 0) return true;
    if (stat(to, &there) != 0 || !S_ISREG(there.st_mode))
        return pm_fail(err, PM_E_INPUT, "%s exists already and is no file", to);
    if (stat(from, &live) == 0 && live.st_dev == there.st_dev && live.st_ino == there.st_ino)
        return pm_fail(err, PM_E_INPUT, "%s is the store %s itself; a copy needs another name", to,
                       from);
    if (replaces) return true;
    return pm_fail(err, PM_E_INPUT, "%s exists already; it is replaced only when told to", to);
}

static void prepare(struct pack *p)
{
    size_t chunk = 0, entries = p->live->shape.entries;
    store_pack_cut(p->parts, p->live);
    for (enum part part = 0; part < PARTS; part++) {
        const struct pack_part *cut = &p->parts[part];
        PM_ASSERT(!cut->is_payload || store_is_of_item(part) || cut->rows == 0 ||
                  cut->rows == entries);
        if (cut->chunk_rows * cut->row_bytes > chunk) chunk = cut->chunk_rows * cut->row_bytes;
        p->bytes += cut->rows * cut->row_bytes;
    }
    p->state = calloc(entries, 1);
    p->chunk = malloc(chunk);
    if (!p->state || !p->chunk) pm_die("no memory for %zu bytes to pack %s", chunk, p->live->path);
}

bool pm_store_pack(const char *from, const char *to, const struct pm_store_pack_options *options,
                   struct pm_store_pack_report *report, struct pm_error *err)
{
    struct pack p = {.options = options, .report = report};
    struct stat status;
    PM_ASSERT(options->level >= 1 && options->level <= 9);
    *report = (struct pm_store_pack_report){0};
    PM_TRY(check_names(from, to, options->replaces, err));
    PM_TRY(pm_store_open_read(&p.live, from, err));
    if (stat(to, &status) == 0 && store_shards_have(p.live, &status)) {
        pm_store_close(p.live);
        return pm_fail(err, PM_E_INPUT, "%s is a part of the store %s; a copy needs another name",
                       to, from);
    }
    report->entries = p.live->shape.entries;
    if (stat(from, &status) == 0) report->bytes_before = (uint64_t)status.st_size;
    report->bytes_before += store_shards_bytes(p.live);
    prepare(&p);
    store_remove_stale(to);
    char uuid[STORE_UUID_BYTES];
    store_make_uuid(uuid);
    p.packed = store_new(to, MPI_COMM_NULL);
    p.packed->shape = p.live->shape;
    p.packed->shape.shards = 0; /* all in one file */
    if (asprintf(&p.packed->temporary, "%s.tmp-%s", to, uuid) < 0) pm_die("no memory for %s", to);
    bool ok = store_pack_create(p.packed, p.live, p.parts, options->level, err) &&
              copy_all(&p, err) &&
              store_pack_finish(p.packed, options->replaces, &report->bytes_after, err);
    if (!ok && err->code == PM_E_IO) store_pack_abandon(p.packed);
    pm_store_close(p.packed);
    pm_store_close(p.live);
    free(p.state);
    free(p.chunk);
    return ok;
}
