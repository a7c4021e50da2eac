#include "store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool bad(const struct pm_store *store, enum part part, const char *what,
                struct pm_error *err)
{
    return store_fail(err, PM_E_FORMAT, store->path, store_path(&store->shape, part), what);
}

bool store_find(bool *found, const struct pm_store *store, const char *path, struct pm_error *err)
{
    char part[STORE_SHARD_GROUP_BYTES + PM_STORE_PATH_BYTES];
    *found = false;
    for (const char *end = path; *end;) {
        end = strchrnul(end + 1, '/');
        snprintf(part, sizeof part, "%.*s", (int)(end - path), path);
        htri_t exists = H5Lexists(store->root, part + 1, H5P_DEFAULT);
        if (exists == 0) return true;
        H5L_info_t link;
        if (exists < 0 || H5Lget_info(store->root, part + 1, &link, H5P_DEFAULT) < 0)
            return store_fail(err, PM_E_FORMAT, store->path, path, "cannot be found");
        if (link.type != H5L_TYPE_HARD)
            return store_fail(err, PM_E_FORMAT, store->path, path,
                              "is a link that may lead to another file");
    }
    *found = true;
    return true;
}

/* The data must lie in this file, or be shown by it as those of its shards. */
PM_MUST_CHECK static bool check_storage(const struct pm_store *store, enum part part,
                                        struct pm_error *err)
{
    hid_t layout = H5Dget_create_plist(store->dataset[part]);
    bool is_virtual = layout >= 0 && H5Pget_layout(layout) == H5D_VIRTUAL;
    bool is_sharded = store_is_sharded(store, part);
    bool inside = layout >= 0 && is_virtual == is_sharded &&
                  (is_virtual || H5Pget_external_count(layout) == 0);
    if (layout >= 0) H5Pclose(layout);
    return inside ||
           bad(store, part,
               is_sharded ? "it does not show the shards" : "its data lie outside this file", err);
}

/* The first dataset that has a size settles it, the others must agree. */
PM_MUST_CHECK static bool settle(struct pm_store *store, enum part part, enum size which,
                                 const char *label, size_t value, struct pm_error *err)
{
    char what[128];
    size_t known = store_size(&store->shape, which);
    if (value == known && value > 0) return true;
    if (value > 0 && known == 0) {
        store_set_size(&store->shape, which, value);
        return true;
    }
    snprintf(what, sizeof what,
             known ? "its size \"%s\" is %zu, elsewhere %zu" : "its size \"%s\" is %zu", label,
             value, known);
    return bad(store, part, what, err);
}

PM_MUST_CHECK static bool check_axes(struct pm_store *store, enum part part, struct pm_error *err)
{
    hsize_t extent[STORE_MAX_RANK] = {0};
    char what[64];
    struct axis axes[STORE_MAX_RANK];
    int wanted = (int)store_axes(axes, &store->shape, part);
    hid_t space = H5Dget_space(store->dataset[part]);
    int rank = space >= 0 && H5Sget_simple_extent_type(space) == H5S_SIMPLE
                   ? H5Sget_simple_extent_ndims(space)
                   : -1;
    if (rank == wanted) H5Sget_simple_extent_dims(space, extent, NULL);
    if (space >= 0) H5Sclose(space);
    if (rank != wanted) {
        snprintf(what, sizeof what, "it has %d axes, not %d", rank < 0 ? 0 : rank, wanted);
        return bad(store, part, what, err);
    }
    for (int k = 0; k < rank; k++)
        if (axes[k].size != SIZE_NONE)
            PM_TRY(settle(store, part, axes[k].size, axes[k].label, extent[k], err));
        else if (axes[k].length != extent[k])
            return bad(store, part, "its keys are not as many as its pixels", err);
    return true;
}

PM_MUST_CHECK static bool check_type(struct pm_store *store, enum part part, struct pm_error *err)
{
    hid_t type = H5Dget_type(store->dataset[part]);
    bool text = store_element(&store->shape, part) == TEXT;
    bool ok = type >= 0;
    if (ok && text) ok = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
    size_t bytes = ok ? H5Tget_size(type) : 0;
    if (ok && text && !settle(store, part, store_parts[part].text_bytes, "bytes", bytes, err)) {
        H5Tclose(type);
        return false;
    }
    if (ok) {
        hid_t wanted = store_type(&store->shape, part, true);
        ok = H5Tequal(type, wanted) > 0;
        H5Tclose(wanted);
        store->type[part] = store_type(&store->shape, part, false);
    }
    if (type >= 0) H5Tclose(type);
    return ok || bad(store, part, "it is not of the type that a store has there", err);
}

PM_MUST_CHECK static bool open_dataset(struct pm_store *store, enum part part, struct pm_error *err)
{
    bool found;
    struct pm_store_shape *shape = &store->shape;
    if (store_is_capture(part) && !store_has(shape, part)) return true;
    PM_TRY(store_find(&found, store, store_path(shape, part), err));
    if (part == IMAGE) shape->images = found;
    if (part == X_T && found) shape->latents = PM_STORE_ENDS;
    if (part == TRAJECTORY && found) {
        if (shape->latents == PM_STORE_NO_LATENTS) return bad(store, X_T, "is missing", err);
        shape->latents = PM_STORE_TRAJECTORY;
    }
    if (part == BLEND_MASK) shape->blend_mask = found;
    if (part == ORIGINAL) shape->originals = found;
    if (part == INVERSION_KEY) shape->inversions = found;
    if (part == INVERSION_EMBEDDING) shape->embeddings = found && shape->inversions;
    if (!found) return !store_has(shape, part) || bad(store, part, "is missing", err);
    store->dataset[part] = H5Dopen2(store->root, store_path(shape, part) + 1, H5P_DEFAULT);
    if (store->dataset[part] < 0) return bad(store, part, "cannot be opened", err);
    PM_TRY(check_storage(store, part, err));
    if (store_is_capture(part)) PM_TRY(store_capture_learn(store, part, err));
    PM_TRY(check_axes(store, part, err));
    return check_type(store, part, err);
}

PM_MUST_CHECK static bool check_format(const struct pm_store *store, struct pm_error *err)
{
    char *format;
    struct pm_error ignored = {0};
    bool ours = pm_store_read_attribute(&format, store, "format", &ignored);
    if (ours) {
        ours = strcmp(format, STORE_FORMAT) == 0;
        free(format);
    }
    if (!ours) return pm_fail(err, PM_E_FORMAT, "%s is not a promptmill store", store->path);
    int64_t version = 0;
    hid_t attribute = H5Aopen(store->file, "format_version", H5P_DEFAULT);
    hid_t space = attribute >= 0 ? H5Aget_space(attribute) : -1;
    if (space >= 0 && H5Sget_simple_extent_npoints(space) == 1)
        (void)H5Aread(attribute, H5T_NATIVE_INT64, &version);
    if (space >= 0) H5Sclose(space);
    if (attribute >= 0) H5Aclose(attribute);
    if (version == STORE_FORMAT_VERSION) return true;
    return pm_fail(err, PM_E_FORMAT, "%s has format version %lld; this program reads version %d",
                   store->path, (long long)version, STORE_FORMAT_VERSION);
}

/* Why H5Fopen failed. Its words are taken first: the next call of HDF5 forgets them. */
static bool cannot_open(const struct pm_store *store, struct pm_error *err)
{
    (void)store_fail(err, PM_E_IO, store->path, NULL, "cannot open");
    if (H5Fis_hdf5(store->path) != 0) return false;
    return pm_fail(err, PM_E_FORMAT, "%s is not a promptmill store, nor any HDF5 file",
                   store->path);
}

bool store_open_file(struct pm_store *store, hid_t access, unsigned flags, struct pm_error *err)
{
    store_shards_free(store);
    store->file = store->root = H5Fopen(store->path, flags, access);
    if (store->file < 0) return cannot_open(store, err);
    PM_TRY(check_format(store, err));
    store->shape = (struct pm_store_shape){0};
    PM_TRY(store_shards_find(store, err));
    PM_TRY(store_captures_open(store, err));
    for (enum part part = 0; part < PARTS; part++) PM_TRY(open_dataset(store, part, err));
    if (store_shape_check(&store->shape, store->path, err))
        return !store->shards || store_shards_check(store, err);
    err->code = PM_E_FORMAT;
    return false;
}

/* HDF5's own words for a missing file are long. */
PM_MUST_CHECK static bool check_access(const char *path, int mode, struct pm_error *err)
{
    struct stat status;
    if (access(path, mode) != 0 || stat(path, &status) != 0)
        return pm_fail(err, PM_E_IO, "cannot open %s: %s", path, strerror(errno));
    if (S_ISREG(status.st_mode)) return true;
    return pm_fail(err, PM_E_IO, "%s is not a regular file", path); /* HDF5 would wait for a pipe */
}

/* Ranks can write, each alone, only what is at its final place. */
PM_MUST_CHECK static bool check_writable(const struct pm_store *store, struct pm_error *err)
{
    for (enum part part = 0; part < PARTS; part++) {
        if (store->dataset[part] < 0 || store_is_sharded(store, part)) continue;
        hid_t layout = H5Dget_create_plist(store->dataset[part]);
        bool fixed = layout >= 0 && H5Pget_layout(layout) == H5D_CONTIGUOUS;
        if (layout >= 0) H5Pclose(layout);
        if (!fixed)
            return pm_fail(err, PM_E_INPUT, "%s is a packed store; it is read-only", store->path);
    }
    return true;
}

bool store_open_shard(struct pm_store *shard, const char *group, const char *index,
                      struct pm_error *err)
{
    bool writes = shard->comm != MPI_COMM_NULL, found = false;
    hid_t access = writes ? store_access_mpi(shard->comm) : store_access_serial();
    shard->file = shard->root =
        H5Fopen(shard->path, writes ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (shard->file < 0) return cannot_open(shard, err);
    PM_TRY(store_find(&found, shard, group, err));
    if (found) shard->root = H5Gopen2(shard->file, group + 1, H5P_DEFAULT);
    if (!found || shard->root < 0)
        return pm_fail(err, PM_E_FORMAT, "%s is not this shard of %s, but another file",
                       shard->path, index);
    for (enum part part = 0; part < PARTS; part++) {
        if (!store_is_live(part) || !store_has(&shard->shape, part)) continue;
        PM_TRY(store_find(&found, shard, store_path(&shard->shape, part), err));
        if (!found) return bad(shard, part, "is missing", err);
        shard->dataset[part] =
            H5Dopen2(shard->root, store_path(&shard->shape, part) + 1, H5P_DEFAULT);
        if (shard->dataset[part] < 0) return bad(shard, part, "cannot be opened", err);
        PM_TRY(check_storage(shard, part, err));
        PM_TRY(check_axes(shard, part, err));
        PM_TRY(check_type(shard, part, err));
    }
    return !writes || check_writable(shard, err);
}

bool pm_store_open(struct pm_store **out, const char *path, MPI_Comm comm, struct pm_error *err)
{
    struct pm_store *store = store_new(path, comm);
    bool ok = store->rank != 0 || check_access(path, R_OK | W_OK, err);
    ok = store_agree(comm, ok, err);
    if (ok) {
        hid_t mpi = store_access_mpi(comm);
        ok = store_open_file(store, mpi, H5F_ACC_RDWR, err) && check_writable(store, err);
        H5Pclose(mpi);
        ok = store_agree(comm, ok, err);
    }
    ok = ok && (!store->shards || store_shards_complete(store, err));
    if (!ok) {
        pm_store_close(store);
        return false;
    }
    *out = store;
    return true;
}

bool pm_store_open_read(struct pm_store **out, const char *path, struct pm_error *err)
{
    PM_TRY(check_access(path, R_OK, err));
    struct pm_store *store = store_new(path, MPI_COMM_NULL);
    hid_t serial = store_access_serial();
    bool ok = store_open_file(store, serial, H5F_ACC_RDONLY, err) &&
              (!store->shards || store_shards_open_all(store, err));
    H5Pclose(serial);
    if (!ok) {
        pm_store_close(store);
        return false;
    }
    *out = store;
    return true;
}
