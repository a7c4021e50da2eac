#include "store_internal.h"

#include "pm/base/path.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TIME_BYTES = 21, ABOUT_TEXTS = 6 };

/* What rank 0 knows and all must write alike. */
struct facts {
    struct pm_store_shape shape;
    char created[TIME_BYTES], run_uuid[STORE_UUID_BYTES];
};

static const char *const about_name[ABOUT_TEXTS] = {"software",   "config",    "model",
                                                    "model_hash", "scheduler", "manifest_hash"};

void store_make_uuid(char text[STORE_UUID_BYTES])
{
    uint8_t b[16];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) pm_die("no random bytes for a UUID");
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *at = text;
    for (size_t i = 0; i < sizeof b; i++)
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
}

void store_remove_stale(const char *path)
{
    enum { STALE_SECONDS = 3600 };
    char folder[PATH_MAX], *prefix;
    pm_path_folder(folder, path);
    if (asprintf(&prefix, "%s.tmp-", pm_path_name(path)) < 0)
        pm_die("no memory to create %s", path);
    DIR *dir = opendir(folder);
    for (struct dirent *file; dir && (file = readdir(dir));) {
        char *name;
        struct stat about;
        if (strncmp(file->d_name, prefix, strlen(prefix)) != 0) continue;
        if (asprintf(&name, "%s/%s", folder, file->d_name) < 0)
            pm_die("no memory to create %s", path);
        if (lstat(name, &about) == 0 && S_ISREG(about.st_mode) &&
            time(NULL) - about.st_mtime >= STALE_SECONDS)
            unlink(name);
        free(name);
    }
    if (dir) closedir(dir);
    free(prefix);
}

bool pm_store_check_name(const char *path, struct pm_error *err)
{
    const char *name = pm_path_name(path);
    size_t bytes = strlen(name);
    if (bytes > 0 && bytes <= PM_STORE_MAX_NAME_BYTES) return true;
    return pm_fail(err, PM_E_INPUT, "the store's name \"%s\" has %zu bytes; 1 to %d are wanted",
                   name, bytes, PM_STORE_MAX_NAME_BYTES);
}

/* Rank 0's part before the file exists. */
PM_MUST_CHECK static bool prepare(struct facts *facts, const char *path,
                                  const struct pm_store_shape *shape, struct pm_error *err)
{
    facts->shape = *shape;
    store_shape_normalise(&facts->shape);
    PM_TRY(store_shape_check(&facts->shape, path, err));
    PM_TRY(pm_store_check_name(path, err));
    struct stat there;
    if (lstat(path, &there) == 0)
        return pm_fail(err, PM_E_INPUT, "%s exists already; a store is never overwritten", path);
    store_remove_stale(path);
    PM_ASSERT(shape->shards <= PM_STORE_MAX_SHARDS && shape->shards <= shape->items);
    time_t now = time(NULL);
    struct tm utc;
    strftime(facts->created, TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    store_make_uuid(facts->run_uuid);
    return true;
}

/* Rank 0's text, on all ranks; owned by the caller. */
static char *share_text(const char *text, const struct pm_store *store)
{
    uint64_t bytes = store->rank == 0 ? strlen(text) + 1 : 0;
    MPI_Bcast(&bytes, 1, MPI_UINT64_T, 0, store->comm);
    char *copy = malloc(bytes);
    if (!copy) pm_die("no memory for %llu bytes", (unsigned long long)bytes);
    if (store->rank == 0) memcpy(copy, text, bytes);
    MPI_Bcast(copy, (int)bytes, MPI_CHAR, 0, store->comm);
    return copy;
}

static bool write_about(struct pm_store *store, const struct facts *facts,
                        const struct pm_store_about *about)
{
    const char *mine[ABOUT_TEXTS] = {0};
    if (store->rank == 0) {
        const char *given[ABOUT_TEXTS] = {about->software,  about->config,
                                          about->model,     about->model_hash,
                                          about->scheduler, about->manifest_hash};
        memcpy(mine, given, sizeof mine);
    }
    bool ok = true;
    for (size_t i = 0; i < ABOUT_TEXTS; i++) {
        char *text = share_text(mine[i], store);
        ok = store_put_text(store->file, about_name[i], text) && ok;
        free(text);
    }
    ok = store_put_text(store->file, "created", facts->created) && ok;
    ok = store_put_text(store->file, "run_uuid", facts->run_uuid) && ok;
    ok = store_put_text(store->file, "format", STORE_FORMAT) && ok;
    int32_t version = STORE_FORMAT_VERSION;
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute =
        H5Acreate2(store->file, "format_version", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
    ok = attribute >= 0 && H5Awrite(attribute, H5T_STD_I32LE, &version) >= 0 && ok;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return ok;
}

static bool describe(hid_t dataset, enum part part, const struct axis *axes, size_t rank)
{
    const struct part_spec *spec = &store_parts[part];
    const char *label[STORE_MAX_RANK];
    for (size_t k = 0; k < rank; k++) label[k] = axes[k].label;
    /* DIMENSION_LABELS is what H5DSset_label writes and h5py's .dims[k].label reads. */
    if (!store_put_texts(dataset, "DIMENSION_LABELS", label, rank)) return false;
    if (store_is_capture(part)) return true; /* see describe_captures */
    return store_put_text(dataset, "long_name", spec->long_name) &&
           store_put_text(dataset, "units", spec->units ? spec->units : "1") &&
           (!spec->description || store_put_text(dataset, "description", spec->description));
}

/* Rank 0's numbers, on all ranks; owned by the caller. */
static size_t *share_numbers(const size_t *numbers, size_t count, const struct pm_store *store)
{
    size_t *copy = malloc(count * sizeof *copy);
    if (!copy) pm_die("no memory for %zu numbers", count);
    if (store->rank == 0) memcpy(copy, numbers, count * sizeof *copy);
    MPI_Bcast(copy, (int)(count * sizeof *copy), MPI_BYTE, 0, store->comm);
    return copy;
}

static bool describe_captures(struct pm_store *store, const struct pm_store_about *about)
{
    bool ok = true;
    for (size_t i = 0; i < store->shape.capture_count; i++) {
        struct pm_store_capture_about mine = {0};
        if (store->rank == 0) mine = about->captures[i];
        const size_t *layers = mine.layers, *steps = mine.steps;
        MPI_Bcast(&mine, sizeof mine, MPI_BYTE, 0, store->comm);
        size_t *shared_layers = share_numbers(layers, mine.layer_count, store);
        size_t *shared_steps = share_numbers(steps, mine.step_count, store);
        mine.layers = shared_layers;
        mine.steps = shared_steps;
        ok = store_capture_describe(store->dataset[ATTENTION + i], &store->shape.captures[i],
                                    &store->shape, &mine) &&
             ok;
        free(shared_layers);
        free(shared_steps);
    }
    return ok;
}

bool store_set_fixed(hid_t layout, enum element element)
{
    bool table = element == ROW || element == MAKER; /* read before it is written */
    return H5Pset_layout(layout, H5D_CONTIGUOUS) >= 0 &&
           H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY) >= 0 &&
           H5Pset_fill_time(layout, table ? H5D_FILL_TIME_ALLOC : H5D_FILL_TIME_NEVER) >= 0;
}

/* Contiguous and allocated at once: its place in the file is known for good, so that writing a
 * row later touches nothing but that row's bytes. */
bool store_create_dataset(struct pm_store *store, enum part part, hid_t link, struct pm_error *err)
{
    const char *path = store_path(&store->shape, part);
    enum element element = store_element(&store->shape, part);
    struct axis axes[STORE_MAX_RANK];
    hsize_t extent[STORE_MAX_RANK];
    size_t rank = store_axes(axes, &store->shape, part);
    for (size_t k = 0; k < rank; k++) extent[k] = axes[k].length;
    hid_t space = H5Screate_simple((int)rank, extent, NULL);
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
    bool ok = store_is_sharded(store, part) ? store_shards_map(layout, store, part, space)
                                            : store_set_fixed(layout, element);
    hid_t type = store_type(&store->shape, part, true);
    store->type[part] = store_type(&store->shape, part, false);
    if (ok) /* the path without its slash */
        store->dataset[part] =
            H5Dcreate2(store->root, path + 1, type, space, link, layout, H5P_DEFAULT);
    ok = store->dataset[part] >= 0 && describe(store->dataset[part], part, axes, rank);
    if (!ok) (void)store_fail(err, PM_E_IO, store->temporary, path, "cannot create");
    H5Tclose(type);
    H5Pclose(layout);
    H5Sclose(space);
    return ok;
}

/* A full disk, most likely. HDF5 writes its own data collectively: the other ranks would wait for
 * this one for ever, and what it could not write it tries again when it is closed. */
static void end_job(MPI_File *file, int *code, ...)
{
    char why[MPI_MAX_ERROR_STRING];
    int length;
    (void)file;
    MPI_Error_string(*code, why, &length);
    pm_die("the new store cannot be written: %s", why);
}

static bool end_job_on_errors(hid_t file, hid_t access)
{
    void *handle;
    MPI_Errhandler handler;
    if (H5Fget_vfd_handle(file, access, &handle) < 0) return false;
    MPI_File_create_errhandler(end_job, &handler);
    MPI_File_set_errhandler(*(MPI_File *)handle, handler);
    MPI_Errhandler_free(&handler);
    return true;
}

bool store_create_file(struct pm_store *store, struct pm_error *err)
{
    hid_t access = store_access_mpi(store->comm);
    store->file = store->root = H5Fcreate(store->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    bool ok = store->file >= 0 && end_job_on_errors(store->file, access);
    if (!ok) (void)store_fail(err, PM_E_IO, store->temporary, NULL, "cannot create");
    H5Pclose(access);
    return ok;
}

/* Which entries each shard begins with is what rank 0 says. */
PM_MUST_CHECK static bool begin_shards(struct pm_store *store, const struct facts *facts,
                                       const struct pm_store_about *about, struct pm_error *err)
{
    if (store->shape.shards == 0) return true;
    const size_t *mine = store->rank == 0 ? about->shard_first_entry : NULL;
    size_t *first_entry = share_numbers(mine, store->shape.shards, store);
    bool ok = store_shards_begin(store, facts->run_uuid, first_entry, err);
    free(first_entry);
    return ok;
}

/* All ranks, with the same arguments. */
PM_MUST_CHECK static bool create_file(struct pm_store *store, const struct facts *facts,
                                      const struct pm_store_about *about, struct pm_error *err)
{
    PM_TRY(store_agree(store->comm, store_create_file(store, err), err));
    PM_TRY(store_agree(store->comm, begin_shards(store, facts, about, err), err));

    bool ok = write_about(store, facts, about);
    if (!ok) (void)store_fail(err, PM_E_IO, store->temporary, NULL, "cannot write attributes");
    hid_t link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(link, 1);
    for (enum part part = 0; ok && part < PARTS; part++) {
        if (!store_has(&store->shape, part)) continue;
        ok = store_create_dataset(store, part, link, err);
    }
    H5Pclose(link);
    PM_TRY(store_agree(store->comm, ok, err));
    ok = describe_captures(store, about);
    if (!ok) (void)store_fail(err, PM_E_IO, store->temporary, NULL, "cannot write attributes");
    PM_TRY(store_agree(store->comm, ok, err));

    if (store->rank == 0)
        ok = store_write(store, TIMESTEP, 0, store->shape.steps, about->timesteps, err) &&
             store_write(store, ALPHA_CUMPROD, 0, store->shape.train_timesteps,
                         about->alpha_cumprod, err);
    PM_TRY(store_agree(store->comm, ok, err));
    return !store->shards || store_shards_create(store, err);
}

bool pm_store_create(struct pm_store **out, const char *path, MPI_Comm comm,
                     const struct pm_store_shape *shape, const struct pm_store_about *about,
                     struct pm_error *err)
{
    struct pm_store *store = store_new(path, comm);
    struct facts facts = {0};
    bool ok = store->rank != 0 || prepare(&facts, path, shape, err);
    ok = store_agree(comm, ok, err);
    if (ok) {
        MPI_Bcast(&facts, sizeof facts, MPI_BYTE, 0, comm);
        store->shape = facts.shape;
        if (asprintf(&store->temporary, "%s.tmp-%s", path, facts.run_uuid) < 0)
            pm_die("no memory to create %s", path);
        ok = create_file(store, &facts, about, err);
    }
    if (!ok) {
        pm_store_close(store);
        return false;
    }
    *out = store;
    return true;
}
