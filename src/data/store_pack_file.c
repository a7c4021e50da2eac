#include "store_pack_file.h"

#include "pm/data/store_pack.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What HDF5's iterations are handed. */
struct copying {
    const char *path; /* for messages */
    hid_t to;
    struct pm_error *err;
};

/* @return the number of axes */
static int extents(hsize_t extent[STORE_MAX_RANK], const struct pm_store *live, enum part part)
{
    hid_t space = H5Dget_space(live->dataset[part]);
    int rank = H5Sget_simple_extent_dims(space, extent, NULL);
    H5Sclose(space);
    PM_ASSERT(rank >= 1); /* checked when the store was opened */
    return rank;
}

void store_pack_cut(struct pack_part parts[PARTS], const struct pm_store *live)
{
    for (enum part part = 0; part < PARTS; part++) {
        struct pack_part *p = &parts[part];
        hsize_t extent[STORE_MAX_RANK];
        *p = (struct pack_part){.is_payload = part >= IMAGE};
        if (live->dataset[part] < 0) continue;
        (void)extents(extent, live, part);
        p->row_bytes = store_memory_bytes(live, part);
        p->rows = extent[0];
        p->chunk_rows = 1;
        size_t most = p->is_payload ? STORE_PACK_GROUP : SIZE_MAX;
        while (p->chunk_rows < p->rows && p->chunk_rows < most &&
               2 * p->chunk_rows * p->row_bytes <= PM_STORE_CHUNK_BYTES)
            p->chunk_rows *= 2;
        if (p->chunk_rows > p->rows) p->chunk_rows = p->rows;
    }
}

/* The attribute's value, owned by the caller; variable-length parts are reclaimed by it, too. */
static void *attribute_value(hid_t attribute, hid_t type, hid_t space)
{
    enum { MAX_BYTES = 1 << 26 };
    hssize_t count = H5Sget_simple_extent_npoints(space);
    size_t bytes = H5Tget_size(type);
    if (bytes == 0 || count < 0 || (size_t)count > MAX_BYTES / bytes) return NULL;
    void *value = calloc((size_t)count + 1, bytes);
    if (!value || H5Aread(attribute, type, value) >= 0) return value;
    free(value);
    return NULL;
}

static herr_t copy_attribute(hid_t from, const char *name, const H5A_info_t *info, void *context)
{
    (void)info;
    struct copying *copying = context;
    void *value = NULL;
    if (store_is_shard_attribute(name)) return 0; /* all is in one file */
    hid_t attribute = H5Aopen(from, name, H5P_DEFAULT);
    hid_t space = attribute >= 0 ? H5Aget_space(attribute) : -1;
    hid_t own_type = attribute >= 0 ? H5Aget_type(attribute) : -1;
    hid_t type = own_type >= 0 ? H5Tcopy(own_type) : -1; /* not one that the file has by name */
    /* A reference is an address in the old file, and would be wrong in the new one. */
    bool ok = space >= 0 && type >= 0 && H5Tdetect_class(type, H5T_REFERENCE) == 0 &&
              (value = attribute_value(attribute, type, space));
    if (ok) {
        hid_t copy = H5Acreate2(copying->to, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
        ok = copy >= 0 && H5Awrite(copy, type, value) >= 0;
        if (copy >= 0) H5Aclose(copy);
    }
    if (!ok)
        (void)store_fail(copying->err, PM_E_FORMAT, copying->path, name,
                         "this attribute cannot be copied");
    if (value) H5Dvlen_reclaim(type, space, H5P_DEFAULT, value);
    free(value);
    if (type >= 0) H5Tclose(type);
    if (own_type >= 0) H5Tclose(own_type);
    if (space >= 0) H5Sclose(space);
    if (attribute >= 0) H5Aclose(attribute);
    return ok ? 0 : -1;
}

PM_MUST_CHECK static bool copy_attributes(hid_t to, hid_t from, const char *path,
                                          struct pm_error *err)
{
    struct copying copying = {.path = path, .to = to, .err = err};
    err->message[0] = '\0';
    if (H5Aiterate2(from, H5_INDEX_NAME, H5_ITER_INC, NULL, copy_attribute, &copying) >= 0)
        return true;
    if (err->message[0]) return false;
    return store_fail(err, PM_E_FORMAT, path, NULL, "its attributes cannot be read");
}

static bool set_packed(hid_t layout, const hsize_t *chunk, int rank, int level)
{
    return H5Pset_chunk(layout, rank, chunk) >= 0 && H5Pset_shuffle(layout) >= 0 &&
           H5Pset_deflate(layout, (unsigned)level) >= 0 && H5Pset_fletcher32(layout) >= 0 &&
           H5Pset_fill_time(layout, H5D_FILL_TIME_ALLOC) >= 0;
}

PM_MUST_CHECK static bool create_dataset(struct pm_store *packed, const struct pm_store *live,
                                         enum part part, size_t chunk_rows, int level,
                                         struct pm_error *err)
{
    hsize_t extent[STORE_MAX_RANK], chunk[STORE_MAX_RANK];
    int rank = extents(extent, live, part);
    memcpy(chunk, extent, sizeof chunk);
    chunk[0] = chunk_rows;
    hid_t space = H5Screate_simple(rank, extent, NULL);
    hid_t type = store_type(&live->shape, part, true);
    packed->type[part] = store_type(&live->shape, part, false);
    hid_t link = H5Pcreate(H5P_LINK_CREATE), layout = H5Pcreate(H5P_DATASET_CREATE);
    bool ok =
        H5Pset_create_intermediate_group(link, 1) >= 0 &&
        (level == STORE_PACK_FIXED ? store_set_fixed(layout, store_element(&live->shape, part))
                                   : set_packed(layout, chunk, rank, level)) &&
        H5Pset_obj_track_times(layout, false) >= 0; /* the same bytes each time */
    const char *path = store_path(&live->shape, part);
    if (ok)
        packed->dataset[part] =
            H5Dcreate2(packed->file, path, type, space, link, layout, H5P_DEFAULT);
    ok = ok && packed->dataset[part] >= 0;
    if (!ok) (void)store_fail(err, PM_E_IO, packed->path, path, "cannot create");
    H5Pclose(layout);
    H5Pclose(link);
    H5Tclose(type);
    H5Sclose(space);
    return ok && copy_attributes(packed->dataset[part], live->dataset[part], live->path, err);
}

PM_MUST_CHECK static bool copy_others(hid_t to, hid_t from, const char *path, struct pm_error *err);

/* A group that both files have: what the copy has not yet is copied into it. */
static bool copy_into_group(hid_t from, const char *name, const struct copying *copying)
{
    hid_t mine = H5Oopen(copying->to, name, H5P_DEFAULT);
    hid_t theirs = H5Oopen(from, name, H5P_DEFAULT);
    bool ok = mine >= 0 && theirs >= 0;
    if (!ok) (void)store_fail(copying->err, PM_E_FORMAT, copying->path, name, "cannot be opened");
    if (ok && H5Iget_type(mine) == H5I_GROUP)
        ok = copy_others(mine, theirs, copying->path, copying->err);
    if (theirs >= 0) H5Oclose(theirs);
    if (mine >= 0) H5Oclose(mine);
    return ok;
}

static herr_t copy_link(hid_t from, const char *name, const H5L_info_t *link, void *context)
{
    struct copying *copying = context;
    htri_t there = H5Lexists(copying->to, name, H5P_DEFAULT);
    if (there > 0) return copy_into_group(from, name, copying) ? 0 : -1;
    herr_t copied = -1;
    if (there == 0 && link->type == H5L_TYPE_HARD)
        copied = H5Ocopy(from, name, copying->to, name, H5P_DEFAULT, H5P_DEFAULT);
    else if (there == 0)
        copied = H5Lcopy(from, name, copying->to, name, H5P_DEFAULT, H5P_DEFAULT);
    if (copied < 0)
        (void)store_fail(copying->err, PM_E_FORMAT, copying->path, name, "cannot be copied");
    return copied;
}

/* A group's attributes, and those of its members that are in no table. Only groups that hold parts
 * are descended into, so not deeper than the table's paths. */
static bool copy_others(hid_t to, hid_t from, const char *path, struct pm_error *err)
{
    struct copying copying = {.path = path, .to = to, .err = err};
    PM_TRY(copy_attributes(to, from, path, err));
    if (H5Literate(from, H5_INDEX_NAME, H5_ITER_INC, NULL, copy_link, &copying) >= 0) return true;
    if (err->message[0]) return false;
    return store_fail(err, PM_E_FORMAT, path, NULL, "its groups cannot be read");
}

PM_MUST_CHECK static bool check_filters(struct pm_error *err)
{
    static const H5Z_filter_t filters[] = {H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE,
                                           H5Z_FILTER_FLETCHER32};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (H5Zfilter_avail(filters[i]) <= 0)
            return pm_fail(err, PM_E_INPUT, "this HDF5 was built without gzip (zlib)");
    return true;
}

bool store_pack_create(struct pm_store *packed, const struct pm_store *live,
                       const struct pack_part parts[PARTS], int level, struct pm_error *err)
{
    if (level != STORE_PACK_FIXED)
        PM_TRY(check_filters(err)); /* without gzip, HDF5 would leave it out and say nothing */
    hid_t access = store_access_serial();
    packed->file = packed->root = H5Fcreate(packed->temporary, H5F_ACC_EXCL, H5P_DEFAULT, access);
    bool ok = packed->file >= 0;
    if (!ok) (void)store_fail(err, PM_E_IO, packed->path, NULL, "cannot create");
    H5Pclose(access);
    for (enum part part = 0; ok && part < PARTS; part++)
        if (parts[part].rows > 0)
            ok = create_dataset(packed, live, part, parts[part].chunk_rows, level, err);
    return ok && copy_others(packed->file, live->file, live->path, err);
}

bool store_pack_finish(struct pm_store *packed, bool replaces, uint64_t *bytes,
                       struct pm_error *err)
{
    struct stat status;
    if (H5Fflush(packed->file, H5F_SCOPE_GLOBAL) < 0)
        return store_fail(err, PM_E_IO, packed->path, NULL, "cannot write");
    if (!store_close_handles(packed))
        return store_fail(err, PM_E_IO, packed->path, NULL, "cannot close");
    bool known = stat(packed->temporary, &status) == 0;
    PM_TRY(store_publish(packed->temporary, packed->path, replaces, err));
    *bytes = known ? (uint64_t)status.st_size : 0;
    free(packed->temporary);
    packed->temporary = NULL;
    return true;
}

void store_pack_abandon(struct pm_store *packed)
{
    int file = open(packed->temporary, O_WRONLY | O_TRUNC);
    if (file >= 0) close(file);
    for (enum part part = 0; part < PARTS; part++) packed->dataset[part] = -1;
    packed->file = packed->root = -1;
}
