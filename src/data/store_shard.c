#include "store_shard_impl.h"

#include "pm/base/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* HDF5's file handles are large, and a process may have only so many files open. */
enum { MAX_OPEN_SHARDS = 32 };

bool store_is_live(enum part part)
{
    return part == ENTRY || part == PROVENANCE || part >= IMAGE;
}

bool store_is_sharded(const struct pm_store *store, enum part part)
{
    return store->shape.shards > 0 && store_is_live(part);
}

bool store_is_shard_attribute(const char *name)
{
    return strcmp(name, "shard_prefix") == 0 || strcmp(name, "shard_first_item") == 0 ||
           strcmp(name, "shard_first_entry") == 0;
}

void store_shard_group_path(char path[STORE_SHARD_GROUP_BYTES], const struct pm_store *store,
                            size_t shard)
{
    snprintf(path, STORE_SHARD_GROUP_BYTES, "/%s/%zu", store->shards->uuid, shard);
}

size_t store_shard_first_row(const struct pm_store *store, enum part part, size_t shard)
{
    const struct shard *s = &store->shards->shard[shard];
    return store_is_of_item(part) ? s->first_item : s->first_entry;
}

void store_shards_lay_out(struct pm_store *store, const char *prefix, const char *uuid,
                          const size_t *first_item, const size_t *first_entry)
{
    size_t count = store->shape.shards;
    int folder = (int)(pm_path_name(store->path) - store->path); /* with its slash */
    struct store_shards *shards = calloc(1, sizeof *shards + (count + 1) * sizeof *shards->shard);
    if (!shards) pm_die("no memory for the %zu shards of %s", count, store->path);
    store->shards = shards;
    shards->count = count;
    snprintf(shards->prefix, sizeof shards->prefix, "%s", prefix);
    snprintf(shards->uuid, sizeof shards->uuid, "%s", uuid);
    for (size_t i = 0; i < count; i++) {
        struct shard *s = &shards->shard[i];
        s->first_item = first_item[i];
        s->first_entry = first_entry[i];
        if (asprintf(&s->path, "%.*s%s%zu", folder, store->path, prefix, i) < 0)
            pm_die("no memory for the shards of %s", store->path);
    }
    shards->shard[count].first_item = store->shape.items;
    shards->shard[count].first_entry = store->shape.entries;
}

struct pm_store *store_shard_new(const struct pm_store *store, size_t shard)
{
    const struct shard *s = &store->shards->shard[shard];
    struct pm_store *out =
        store_new(s->path, store->comm == MPI_COMM_NULL ? MPI_COMM_NULL : MPI_COMM_SELF);
    out->shape = store->shape;
    out->shape.shards = 0;
    out->shape.items = s[1].first_item - s->first_item;
    out->shape.entries = s[1].first_entry - s->first_entry;
    return out;
}

/* @return whether the attribute has just so many numbers, all as an index or a count may be */
static bool read_numbers(size_t *numbers, hsize_t count, hid_t file, const char *name)
{
    int64_t *values = malloc(count * sizeof *values);
    if (!values) pm_die("no memory for %llu numbers", (unsigned long long)count);
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    hid_t space = attribute >= 0 ? H5Aget_space(attribute) : -1;
    bool ok = space >= 0 && H5Sget_simple_extent_npoints(space) == (hssize_t)count &&
              H5Aread(attribute, H5T_NATIVE_INT64, values) >= 0;
    for (hsize_t i = 0; ok && i < count; i++) {
        ok = values[i] >= 0;
        numbers[i] = (size_t)values[i];
    }
    if (space >= 0) H5Sclose(space);
    if (attribute >= 0) H5Aclose(attribute);
    free(values);
    return ok;
}

static size_t count_numbers(hid_t file, const char *name)
{
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    hid_t space = attribute >= 0 ? H5Aget_space(attribute) : -1;
    hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : 0;
    if (space >= 0) H5Sclose(space);
    if (attribute >= 0) H5Aclose(attribute);
    return count > 0 ? (size_t)count : 0;
}

/* Texts that become parts of paths. */
static bool is_plain(const char *text, size_t most)
{
    return *text && *text != '.' && strlen(text) <= most && !strchr(text, '/');
}

bool store_shards_find(struct pm_store *store, struct pm_error *err)
{
    if (H5Aexists(store->file, "shard_prefix") <= 0) return true;
    char *prefix = NULL, *uuid = NULL;
    size_t count = count_numbers(store->file, "shard_first_item");
    size_t numbers[2][PM_STORE_MAX_SHARDS];
    bool ok = count > 0 && count <= PM_STORE_MAX_SHARDS &&
              read_numbers(numbers[0], count, store->file, "shard_first_item") &&
              read_numbers(numbers[1], count, store->file, "shard_first_entry") &&
              pm_store_read_attribute(&prefix, store, "shard_prefix", err) &&
              pm_store_read_attribute(&uuid, store, "run_uuid", err) &&
              is_plain(prefix, PREFIX_BYTES - 1) && is_plain(uuid, STORE_UUID_BYTES - 1);
    if (ok) {
        store->shape.shards = count;
        store_shards_lay_out(store, prefix, uuid, numbers[0], numbers[1]);
    }
    free(prefix);
    free(uuid);
    return ok ||
           pm_fail(err, PM_E_FORMAT, "%s: what it says about its shards is damaged", store->path);
}

bool store_shards_check(struct pm_store *store, struct pm_error *err)
{
    struct shard *s = store->shards->shard;
    size_t count = store->shards->count;
    s[count].first_item = store->shape.items;
    s[count].first_entry = store->shape.entries;
    bool ok = s[0].first_item == 0 && s[0].first_entry == 0;
    for (size_t i = 0; ok && i < count; i++)
        ok = s[i].first_item < s[i + 1].first_item && s[i].first_entry < s[i + 1].first_entry &&
             s[i + 1].first_item <= store->shape.items &&
             s[i + 1].first_entry <= store->shape.entries;
    return ok || pm_fail(err, PM_E_FORMAT, "%s: its shards do not have all entries, each once",
                         store->path);
}

static void close_least_used(struct store_shards *shards)
{
    struct shard *least = NULL;
    for (size_t i = 0; i < shards->count; i++) {
        struct shard *s = &shards->shard[i];
        if (s->store && (!least || s->last_use < least->last_use)) least = s;
    }
    PM_ASSERT(least);
    pm_store_close(least->store);
    least->store = NULL;
    shards->open--;
}

bool store_shard_open(const struct pm_store *store, size_t shard, struct pm_error *err)
{
    struct shard *s = &store->shards->shard[shard];
    char group[STORE_SHARD_GROUP_BYTES];
    if (access(s->path, F_OK) != 0)
        return pm_fail(err, PM_E_IO,
                       "%s is missing (%s), and with it the entries %zu to %zu of %s; a run makes "
                       "them again",
                       s->path, strerror(errno), s->first_entry, s[1].first_entry - 1, store->path);
    if (store->shards->open == MAX_OPEN_SHARDS) close_least_used(store->shards);
    struct pm_store *opened = store_shard_new(store, shard);
    store_shard_group_path(group, store, shard);
    if (!store_open_shard(opened, group, store->path, err)) {
        pm_store_close(opened);
        return false;
    }
    s->store = opened;
    store->shards->open++;
    return true;
}

/* @return the shard that has the row */
static size_t find_shard(const struct pm_store *store, enum part part, size_t row)
{
    size_t low = 0, high = store->shards->count; /* it is one of low .. high - 1 */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (store_shard_first_row(store, part, middle) <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

bool store_shard_rows(struct pm_store **shard, size_t *first, size_t *count,
                      const struct pm_store *store, enum part part, size_t row,
                      struct pm_error *err)
{
    size_t index = find_shard(store, part, row);
    struct shard *s = &store->shards->shard[index];
    if (!s->store) PM_TRY(store_shard_open(store, index, err));
    s->last_use = ++store->shards->uses;
    *shard = s->store;
    *first = row - store_shard_first_row(store, part, index);
    size_t left = store_shard_first_row(store, part, index + 1) - row;
    if (*count > left) *count = left;
    return true;
}

bool store_shards_open_all(const struct pm_store *store, struct pm_error *err)
{
    for (size_t i = 0; i < store->shards->count; i++) {
        struct pm_store *shard;
        size_t first, count = 1;
        PM_TRY(store_shard_rows(&shard, &first, &count, store, ENTRY,
                                store->shards->shard[i].first_entry, err));
    }
    return true;
}

bool store_shards_have(const struct pm_store *store, const struct stat *file)
{
    struct stat status;
    for (size_t i = 0; i < store->shape.shards; i++)
        if (stat(store->shards->shard[i].path, &status) == 0 && status.st_dev == file->st_dev &&
            status.st_ino == file->st_ino)
            return true;
    return false;
}

uint64_t store_shards_bytes(const struct pm_store *store)
{
    uint64_t bytes = 0;
    struct stat status;
    for (size_t i = 0; i < store->shape.shards; i++)
        if (stat(store->shards->shard[i].path, &status) == 0) bytes += (uint64_t)status.st_size;
    return bytes;
}

void store_shards_free(struct pm_store *store)
{
    for (size_t i = 0; store->shards && i < store->shards->count; i++) {
        struct shard *s = &store->shards->shard[i];
        pm_store_close(s->store);
        if (s->temporary) unlink(s->temporary);
        free(s->temporary);
        free(s->path);
    }
    free(store->shards);
    store->shards = NULL;
}

size_t pm_store_shard_item(const struct pm_store_shape *shape, size_t shard)
{
    return shape->items / shape->shards * shard +
           shape->items % shape->shards * shard / shape->shards;
}

size_t pm_store_shard_of(const struct pm_store *store, size_t item)
{
    PM_ASSERT(item < store->shape.items && store->shape.shards > 0);
    return find_shard(store, X_T, item);
}
