#include "store_shard_impl.h"

#include "pm/base/log.h"
#include "pm/base/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = PREFIX_BYTES + STORE_MAX_DIGITS };

static void shard_name(char name[NAME_BYTES], const struct pm_store *store, size_t shard)
{
    snprintf(name, NAME_BYTES, "%s%zu", store->shards->prefix, shard);
}

bool store_shards_begin(struct pm_store *store, const char *uuid, const size_t *first_entry,
                        struct pm_error *err)
{
    char prefix[PREFIX_BYTES];
    size_t count = store->shape.shards;
    const char *name = pm_path_name(store->path);
    int prefix_bytes = snprintf(prefix, sizeof prefix, "%s.shard-", name);
    PM_ASSERT(prefix_bytes < PREFIX_BYTES);
    size_t *first_item = malloc(count * sizeof *first_item);
    if (!first_item) pm_die("no memory for %zu shards", count);
    for (size_t i = 0; i < count; i++) first_item[i] = pm_store_shard_item(&store->shape, i);
    store_shards_lay_out(store, prefix, uuid, first_item, first_entry);
    bool ok = store_put_text(store->file, "shard_prefix", prefix) &&
              store_put_numbers(store->file, "shard_first_item", first_item, count) &&
              store_put_numbers(store->file, "shard_first_entry", first_entry, count);
    free(first_item);
    return ok ||
           store_fail(err, PM_E_IO, store->temporary, "the shards' names", "cannot be written");
}

bool store_shards_map(hid_t layout, const struct pm_store *store, enum part part, hid_t space)
{
    struct axis axes[STORE_MAX_RANK];
    hsize_t start[STORE_MAX_RANK] = {0}, extent[STORE_MAX_RANK];
    size_t rank = store_axes(axes, &store->shape, part);
    bool ok = true;
    for (size_t k = 1; k < rank; k++) extent[k] = axes[k].length;
    for (size_t i = 0; ok && i < store->shards->count; i++) {
        char name[NAME_BYTES], group[STORE_SHARD_GROUP_BYTES],
            path[STORE_SHARD_GROUP_BYTES + PM_STORE_PATH_BYTES];
        shard_name(name, store, i);
        store_shard_group_path(group, store, i);
        snprintf(path, sizeof path, "%s%s", group, store_path(&store->shape, part));
        start[0] = store_shard_first_row(store, part, i);
        extent[0] = store_shard_first_row(store, part, i + 1) - start[0];
        hid_t there = H5Screate_simple((int)rank, extent, NULL), here = H5Scopy(space);
        ok = H5Sselect_hyperslab(here, H5S_SELECT_SET, start, NULL, extent, NULL) >= 0 &&
             H5Pset_virtual(layout, here, name, path, there) >= 0;
        H5Sclose(here);
        H5Sclose(there);
    }
    return ok;
}

/* An empty file under a temporary name, all its rows pending. */
static bool make_shard(struct pm_store *store, size_t shard, struct pm_error *err)
{
    struct store_shards *shards = store->shards;
    struct shard *s = &shards->shard[shard];
    char group[STORE_SHARD_GROUP_BYTES];
    struct pm_store *made = store_shard_new(store, shard);
    if (asprintf(&s->temporary, "%s.tmp-%s.shard-%zu", store->path, shards->uuid, shard) < 0 ||
        !(made->temporary = strdup(s->temporary)))
        pm_die("no memory for the shards of %s", store->path);
    store_shard_group_path(group, store, shard);
    bool ok = store_create_file(made, err);
    hid_t link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(link, 1);
    if (ok) {
        made->root = H5Gcreate2(made->file, group, link, H5P_DEFAULT, H5P_DEFAULT);
        ok = made->root >= 0 && store_put_text(made->file, "format", "promptmill shard") &&
             store_put_text(made->file, "run_uuid", shards->uuid) &&
             store_put_numbers(made->file, "shard", &shard, 1);
        if (!ok) (void)store_fail(err, PM_E_IO, made->temporary, NULL, "cannot be written");
    }
    for (enum part part = 0; ok && part < PARTS; part++)
        if (store_is_live(part) && store_has(&store->shape, part))
            ok = store_create_dataset(made, part, link, err);
    H5Pclose(link);
    if (!store_close_handles(made) && ok)
        ok = store_fail(err, PM_E_IO, made->temporary, NULL, "cannot be closed");
    if (ok) {
        free(made->temporary); /* else it goes with the store */
        made->temporary = NULL;
    } else {
        free(s->temporary);
        s->temporary = NULL;
    }
    pm_store_close(made);
    return ok;
}

/* Each is seen to by one rank, a host's by one of its own where ranks are numbered by hosts. */
static bool is_mine(const struct pm_store *store, size_t shard)
{
    int ranks;
    MPI_Comm_size(store->comm, &ranks);
    return (int)(shard * (size_t)ranks / store->shards->count) == store->rank;
}

bool store_shards_create(struct pm_store *store, struct pm_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < store->shards->count; i++) {
        struct stat there;
        if (!is_mine(store, i)) continue;
        ok = lstat(store->shards->shard[i].path, &there) != 0 ||
             pm_fail(err, PM_E_INPUT, "%s exists already; a shard is never overwritten",
                     store->shards->shard[i].path);
        ok = ok && make_shard(store, i, err);
    }
    return store_agree(store->comm, ok, err);
}

bool store_shards_publish(struct pm_store *store, struct pm_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < store->shards->count; i++) {
        struct shard *s = &store->shards->shard[i];
        if (!s->temporary) continue;
        ok = store_publish(s->temporary, s->path, false, err);
        if (!ok) continue;
        free(s->temporary);
        s->temporary = NULL;
    }
    return store_agree(store->comm, ok, err);
}

bool store_shards_complete(struct pm_store *store, struct pm_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < store->shards->count; i++) {
        struct shard *s = &store->shards->shard[i];
        if (!is_mine(store, i)) continue;
        if (access(s->path, F_OK) != 0 && errno == ENOENT) {
            pm_log(PM_LOG_WARNING, "%s is missing: its %zu pictures will be made again", s->path,
                   s[1].first_entry - s->first_entry);
            ok = make_shard(store, i, err);
        } else {
            ok = store_shard_open(store, i, err);
        }
    }
    PM_TRY(store_agree(store->comm, ok, err));
    return store_shards_publish(store, err);
}
