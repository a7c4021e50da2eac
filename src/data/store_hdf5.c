#include "store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pm_store *store_new(const char *path, MPI_Comm comm)
{
    struct pm_store *store = calloc(1, sizeof *store);
    char *copy = strdup(path);
    if (!store || !copy) pm_die("no memory to open %s", path);
    store->path = copy;
    store->comm = comm;
    store->file = store->root = -1;
    for (enum part part = 0; part < PARTS; part++) store->dataset[part] = store->type[part] = -1;
    if (comm != MPI_COMM_NULL) MPI_Comm_rank(comm, &store->rank);
    gethostname(store->host, sizeof store->host - 1);
    H5dont_atexit(); /* it crashes where a file cannot be written, as on a full disk */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return store;
}

/* Keeps the first message it is shown; of one about a system call, with its time and addresses,
 * what the system said. */
static herr_t keep_first(unsigned n, const H5E_error2_t *error, void *text)
{
    static const char mark[] = "error message = '";
    (void)n;
    char *kept = text;
    if (kept[0] || !error->desc) return 0;
    const char *said = strstr(error->desc, mark);
    said = said ? said + strlen(mark) : error->desc;
    size_t bytes = said == error->desc ? strlen(said) : strcspn(said, "'");
    snprintf(kept, PM_ERROR_BYTES, "%.*s", (int)bytes, said);
    return 0;
}

bool store_fail(struct pm_error *err, enum pm_error_code code, const char *path, const char *where,
                const char *what)
{
    char why[PM_ERROR_BYTES] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, why); /* from the innermost outwards */
    H5Eclear2(H5E_DEFAULT);
    return pm_fail(err, code, "%s: %s%s%s%s%s", path, where ? where : "", where ? ": " : "", what,
                   why[0] ? ": " : "", why);
}

hid_t store_access_serial(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(access, false, true); /* a run may be writing, and NFS may know no locks */
    return access;
}

hid_t store_access_mpi(MPI_Comm comm)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_mpio(access, comm, MPI_INFO_NULL);
    return access;
}

bool store_close_handles(struct pm_store *store)
{
    bool ok = true;
    for (enum part part = 0; part < PARTS; part++) {
        if (store->dataset[part] >= 0) ok &= H5Dclose(store->dataset[part]) >= 0;
        if (store->type[part] >= 0) ok &= H5Tclose(store->type[part]) >= 0;
        store->dataset[part] = store->type[part] = -1;
    }
    if (store->root >= 0 && store->root != store->file) ok &= H5Gclose(store->root) >= 0;
    if (store->file >= 0) ok &= H5Fclose(store->file) >= 0;
    store->file = store->root = -1;
    return ok;
}

/* Rows first .. first + count - 1 in the file, and their like in memory. */
static bool select_rows(hid_t *file_space, hid_t *memory_space, const struct pm_store *store,
                        enum part part, size_t first, size_t count)
{
    hsize_t start[STORE_MAX_RANK] = {first}, extent[STORE_MAX_RANK] = {count};
    struct axis axes[STORE_MAX_RANK];
    int rank = (int)store_axes(axes, &store->shape, part);
    for (int k = 1; k < rank; k++) extent[k] = axes[k].length;
    *memory_space = H5Screate_simple(rank, extent, NULL);
    *file_space = H5Dget_space(store->dataset[part]);
    return *memory_space >= 0 && *file_space >= 0 &&
           H5Sselect_hyperslab(*file_space, H5S_SELECT_SET, start, NULL, extent, NULL) >= 0;
}

size_t store_memory_bytes(const struct pm_store *store, enum part part)
{
    struct axis axes[STORE_MAX_RANK];
    size_t rank = store_axes(axes, &store->shape, part), bytes = H5Tget_size(store->type[part]);
    for (size_t k = 1; k < rank; k++) bytes *= axes[k].length;
    return bytes;
}

/* In one file. */
PM_MUST_CHECK static bool write_rows(struct pm_store *store, enum part part, size_t first,
                                     size_t count, const void *rows, struct pm_error *err)
{
    hid_t file_space, memory_space;
    bool ok = select_rows(&file_space, &memory_space, store, part, first, count) &&
              H5Dwrite(store->dataset[part], store->type[part], memory_space, file_space,
                       H5P_DEFAULT, rows) >= 0;
    if (!ok)
        (void)store_fail(err, PM_E_IO, store->path, store_path(&store->shape, part),
                         "cannot write");
    if (file_space >= 0) H5Sclose(file_space);
    if (memory_space >= 0) H5Sclose(memory_space);
    return ok;
}

PM_MUST_CHECK static bool read_rows(void *rows, const struct pm_store *store, enum part part,
                                    size_t first, size_t count, struct pm_error *err)
{
    hid_t file_space, memory_space;
    bool ok = select_rows(&file_space, &memory_space, store, part, first, count) &&
              H5Dread(store->dataset[part], store->type[part], memory_space, file_space,
                      H5P_DEFAULT, rows) >= 0;
    if (!ok)
        (void)store_fail(err, PM_E_IO, store->path, store_path(&store->shape, part), "cannot read");
    if (file_space >= 0) H5Sclose(file_space);
    if (memory_space >= 0) H5Sclose(memory_space);
    return ok;
}

bool store_write(struct pm_store *store, enum part part, size_t first, size_t count,
                 const void *rows, struct pm_error *err)
{
    if (!store_is_sharded(store, part)) return write_rows(store, part, first, count, rows, err);
    size_t row_bytes = store_memory_bytes(store, part);
    for (size_t done = 0, piece; done < count; done += piece) {
        struct pm_store *shard;
        size_t there;
        piece = count - done;
        PM_TRY(store_shard_rows(&shard, &there, &piece, store, part, first + done, err));
        PM_TRY(write_rows(shard, part, there, piece, (const char *)rows + done * row_bytes, err));
    }
    return true;
}

bool store_read(void *rows, const struct pm_store *store, enum part part, size_t first,
                size_t count, struct pm_error *err)
{
    PM_ASSERT(store->dataset[part] >= 0);
    struct axis axes[STORE_MAX_RANK];
    (void)store_axes(axes, &store->shape, part);
    PM_ASSERT(first <= axes[0].length && count <= axes[0].length - first);
    if (count == 0) return true;
    if (!store_is_sharded(store, part)) return read_rows(rows, store, part, first, count, err);
    size_t row_bytes = store_memory_bytes(store, part);
    for (size_t done = 0, piece; done < count; done += piece) {
        struct pm_store *shard;
        size_t there;
        piece = count - done;
        PM_TRY(store_shard_rows(&shard, &there, &piece, store, part, first + done, err));
        PM_TRY(read_rows((char *)rows + done * row_bytes, shard, part, there, piece, err));
    }
    return true;
}

/* Closes the space. */
static bool put_attribute(hid_t object, const char *name, hid_t type, hid_t space,
                          const void *values)
{
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool ok = attribute >= 0 && H5Awrite(attribute, type, values) >= 0;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return ok;
}

/* Variable-length UTF-8, which h5py reads as str. */
static bool put_text_attribute(hid_t object, const char *name, hid_t space,
                               const char *const *texts)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    bool ok = put_attribute(object, name, type, space, texts);
    H5Tclose(type);
    return ok;
}

bool store_put_text(hid_t object, const char *name, const char *text)
{
    return put_text_attribute(object, name, H5Screate(H5S_SCALAR), &text);
}

bool store_put_texts(hid_t object, const char *name, const char *const *texts, size_t count)
{
    hsize_t extent = count;
    return put_text_attribute(object, name, H5Screate_simple(1, &extent, NULL), texts);
}

bool store_put_numbers(hid_t object, const char *name, const size_t *numbers, size_t count)
{
    hsize_t extent = count;
    int64_t *values = malloc(count * sizeof *values);
    if (!values) pm_die("no memory for %zu numbers", count);
    for (size_t i = 0; i < count; i++) values[i] = (int64_t)numbers[i];
    bool ok =
        put_attribute(object, name, H5T_STD_I64LE, H5Screate_simple(1, &extent, NULL), values);
    free(values);
    return ok;
}

bool store_put_real(hid_t object, const char *name, double value)
{
    return put_attribute(object, name, H5T_IEEE_F64LE, H5Screate(H5S_SCALAR), &value);
}

bool store_agree(MPI_Comm comm, bool ok, struct pm_error *err)
{
    int rank, ranks, first_failed;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    int mine = ok ? ranks : rank;
    MPI_Allreduce(&mine, &first_failed, 1, MPI_INT, MPI_MIN, comm);
    if (first_failed == ranks) return true;
    MPI_Bcast(err, sizeof *err, MPI_BYTE, first_failed, comm);
    return false;
}

void pm_store_close(struct pm_store *store)
{
    if (!store) return;
    store_shards_free(store);
    (void)store_close_handles(store);
    if (store->temporary && store->rank == 0) unlink(store->temporary);
    for (enum part part = 0; part < PARTS; part++) free(store->batch[part].bytes);
    free(store->temporary);
    free(store->path);
    free(store);
}
