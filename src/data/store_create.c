#include "store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { UUID_BYTES = 37, TIME_BYTES = 21, ABOUT_TEXTS = 5 };

/* What rank 0 knows and all must write alike. */
struct facts {
    struct pm_store_shape shape;
    char created[TIME_BYTES], run_uuid[UUID_BYTES];
};

static const char *const about_name[ABOUT_TEXTS] = {"software", "config", "model", "model_hash",
                                                    "scheduler"};

/* A random (version 4) UUID, RFC 4122. */
static void make_uuid(char text[UUID_BYTES])
{
    uint8_t b[16];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) pm_die("no random bytes for a UUID");
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *at = text;
    for (size_t i = 0; i < sizeof b; i++)
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
}

/* Remove what dead runs left: "<path>.tmp-…", untouched for an hour. */
static void remove_stale(const char *path)
{
    enum { STALE_SECONDS = 3600 };
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("./");
    char *prefix;
    if (!folder || asprintf(&prefix, "%s.tmp-", base) < 0) pm_die("no memory to create %s", path);
    DIR *dir = opendir(folder);
    for (struct dirent *file; dir && (file = readdir(dir));) {
        char *name;
        struct stat about;
        if (strncmp(file->d_name, prefix, strlen(prefix)) != 0) continue;
        if (asprintf(&name, "%s%s", folder, file->d_name) < 0)
            pm_die("no memory to create %s", path);
        if (lstat(name, &about) == 0 && S_ISREG(about.st_mode) &&
            time(NULL) - about.st_mtime >= STALE_SECONDS)
            unlink(name);
        free(name);
    }
    if (dir) closedir(dir);
    free(prefix);
    free(folder);
}

/* Rank 0's part before the file exists. */
PM_MUST_CHECK static bool prepare(struct facts *facts, const char *path,
                                  const struct pm_store_shape *shape, struct pm_error *err)
{
    facts->shape = *shape;
    store_shape_normalise(&facts->shape);
    PM_TRY(store_shape_check(&facts->shape, path, err));
    struct stat there;
    if (lstat(path, &there) == 0)
        return pm_fail(err, PM_E_INPUT, "%s exists already; a store is never overwritten", path);
    remove_stale(path);
    time_t now = time(NULL);
    struct tm utc;
    strftime(facts->created, TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    make_uuid(facts->run_uuid);
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
        const char *given[ABOUT_TEXTS] = {about->software, about->config, about->model,
                                          about->model_hash, about->scheduler};
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

static bool describe(hid_t dataset, enum part part)
{
    const struct part_spec *spec = &store_parts[part];
    const char *label[STORE_MAX_RANK];
    size_t rank = store_rank(part);
    for (size_t k = 0; k < rank; k++) label[k] = store_axis_label(spec->axis[k]);
    /* DIMENSION_LABELS is what H5DSset_label writes and h5py's .dims[k].label reads. */
    return store_put_text(dataset, "long_name", spec->long_name) &&
           store_put_text(dataset, "units", spec->units ? spec->units : "1") &&
           (!spec->description || store_put_text(dataset, "description", spec->description)) &&
           store_put_texts(dataset, "DIMENSION_LABELS", label, rank);
}

/* Contiguous and allocated at once: its place in the file is known for good, so that writing a
 * row later touches nothing but that row's bytes. */
PM_MUST_CHECK static bool create_dataset(struct pm_store *store, enum part part, hid_t link,
                                         struct pm_error *err)
{
    const struct part_spec *spec = &store_parts[part];
    hsize_t extent[STORE_MAX_RANK];
    int rank = (int)store_rank(part);
    for (int k = 0; k < rank; k++) extent[k] = store_size(&store->shape, spec->axis[k]);
    hid_t space = H5Screate_simple(rank, extent, NULL);
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(layout, H5D_CONTIGUOUS);
    H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY);
    bool table = spec->element == ROW || spec->element == MAKER; /* read before it is written */
    H5Pset_fill_time(layout, table ? H5D_FILL_TIME_ALLOC : H5D_FILL_TIME_NEVER);
    hid_t type = store_type(&store->shape, part, true);
    store->type[part] = store_type(&store->shape, part, false);
    store->dataset[part] =
        H5Dcreate2(store->file, spec->path, type, space, link, layout, H5P_DEFAULT);
    bool ok = store->dataset[part] >= 0 && describe(store->dataset[part], part);
    if (!ok) (void)store_fail(err, PM_E_IO, store->temporary, spec->path, "cannot create");
    H5Tclose(type);
    H5Pclose(layout);
    H5Sclose(space);
    return ok;
}

/* All ranks, with the same arguments. */
PM_MUST_CHECK static bool create_file(struct pm_store *store, const struct facts *facts,
                                      const struct pm_store_about *about, struct pm_error *err)
{
    hid_t access = store_access_mpi(store->comm);
    store->file = H5Fcreate(store->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    bool ok = store->file >= 0;
    if (!ok) (void)store_fail(err, PM_E_IO, store->temporary, NULL, "cannot create");
    H5Pclose(access);
    PM_TRY(store_agree(store->comm, ok, err));

    ok = write_about(store, facts, about);
    if (!ok) (void)store_fail(err, PM_E_IO, store->temporary, NULL, "cannot write attributes");
    hid_t link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(link, 1);
    for (enum part part = 0; ok && part < PARTS; part++) {
        if (!store_has(&store->shape, part)) continue;
        ok = create_dataset(store, part, link, err);
    }
    H5Pclose(link);
    PM_TRY(store_agree(store->comm, ok, err));

    if (store->rank == 0)
        ok = store_write(store, TIMESTEP, 0, store->shape.steps, about->timesteps, err) &&
             store_write(store, ALPHA_CUMPROD, 0, store->shape.train_timesteps,
                         about->alpha_cumprod, err);
    return store_agree(store->comm, ok, err);
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
