/** @file store_internal.h  What the store's own files share. See pm/data/store.h for the store.
 *
 *  store_layout.c  which datasets there are: one table, from which all else follows
 *  store_types.c   what they hold, as HDF5's types
 *  store_capture.c those of attention, which are as the shape's captures say
 *  store_hdf5.c    HDF5, wrapped: errors in words, rows in and out, attributes
 *  store_create.c  a new file, collectively
 *  store_plan.c    items and prompts, in batches, up to the commit
 *  store_open.c    an existing file, checked against the table
 *  store_shard.c   the files of a store that is of several; made in store_shard_create.c
 *  store_entry.c   payload, provenance, row, checksum
 *  store_read.c    the readers
 *  store_pack.c    a smaller copy; its file is made in store_pack_file.c
 *  store_merge.c   one of several */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H
#include "pm/data/store.h"

#include <hdf5.h>
#include <sys/stat.h>

#define STORE_FORMAT "promptmill store"
enum { STORE_FORMAT_VERSION = 1 };

/** The datasets. */
enum part {
    ENTRY,
    PROVENANCE,
    TIMESTEP,
    ALPHA_CUMPROD,
    ITEM_ID,
    ITEM_LINE,
    ITEM_FIRST_ENTRY,
    ITEM_SEED,
    ITEM_RECIPE,
    PROMPT_TEXT,
    PROMPT_ITEM,
    PROMPT_TARGET,
    PROMPT_TOKEN_COUNT,
    PROMPT_TOKEN_ID,
    PROMPT_TOKEN,
    PROMPT_TOKEN_WORD,
    PROMPT_WORD_COUNT,
    PROMPT_WORD,
    IMAGE,
    X_T,
    FINAL_LATENT,
    TRAJECTORY,
    ATTENTION, /* the first capture; the others follow */
    ATTENTION_END = ATTENTION + PM_STORE_MAX_CAPTURES,
    BLEND_MASK = ATTENTION_END,
    ORIGINAL,
    RECONSTRUCTION_PSNR,
    INVERSION_KEY,
    INVERSION_LATENT,
    INVERSION_EMBEDDING,
    PARTS
};

/** The sizes of axes and of strings: where in the shape each one is, and its axis' label. */
enum size {
    SIZE_NONE,
    SIZE_ITEM,
    SIZE_ENTRY,
    SIZE_TOKEN,
    SIZE_WORD,
    SIZE_IMAGE_Y,
    SIZE_IMAGE_X,
    SIZE_RGB,
    SIZE_CHANNEL,
    SIZE_LATENT_Y,
    SIZE_LATENT_X,
    SIZE_STEP,
    SIZE_LEVEL,
    SIZE_EMBEDDING_TOKEN,
    SIZE_EMBEDDING_CHANNEL,
    SIZE_KEY_HALF,
    SIZE_TRAIN_TIMESTEP,
    SIZE_ID_BYTES,
    SIZE_RECIPE_BYTES,
    SIZE_PROMPT_BYTES,
    SIZE_TOKEN_BYTES,
    SIZE_WORD_BYTES,
    SIZES
};

/** Counts and indices are I64, though never negative: in numpy, u64 + 1 is a float. */
enum element { U8, I32, I64, U64, F16, F32, F64, TEXT, ROW, MAKER };
enum { STORE_MAX_RANK = 7 };

/** One dataset. The first axis is the one that rows are counted along. Captures have no entry in
 *  the table: see store_path, store_element, store_axes, which are for all. */
struct part_spec {
    const char *path;
    enum element element;
    enum size axis[STORE_MAX_RANK]; /* ends with SIZE_NONE */
    const char *long_name;
    const char *units;       /* NULL: "1", no unit */
    const char *description; /* NULL: none */
    enum size text_bytes;    /* of TEXT */
};
extern const struct part_spec store_parts[PARTS];

/** Rows waiting to be written together. */
struct batch {
    char *bytes;
    size_t rows, capacity, row_bytes, first; /* first: the number of row 0 */
};

struct pm_store {
    char *path, *temporary; /* temporary: until the commit, then NULL */
    hid_t file;             /* -1 when not open */
    hid_t root; /* the group that the datasets' paths begin at: the file, or a shard's */
    struct store_shards *shards; /* NULL: one file */
    hid_t dataset[PARTS];        /* -1 when absent */
    hid_t type[PARTS];           /* as in memory */
    struct pm_store_shape shape;
    MPI_Comm comm; /* borrowed; MPI_COMM_NULL for a store opened to read */
    int rank;
    char host[64];
    struct batch batch[PARTS];     /* while the plan is put */
    size_t items_put, prompts_put; /* by this rank */
    bool plan_was_damaged;         /* put again, it differed */
};

/** An axis of a dataset. */
struct axis {
    const char *label;
    size_t length;
    enum size size; /* that the length is; SIZE_NONE: the capture's own */
};

/* layout */
const char *store_path(const struct pm_store_shape *shape, enum part part);
enum element store_element(const struct pm_store_shape *shape, enum part part);
/** @return how many axes the dataset has */
size_t store_axes(struct axis axes[STORE_MAX_RANK], const struct pm_store_shape *shape,
                  enum part part);
size_t store_size(const struct pm_store_shape *shape, enum size which);
void store_set_size(struct pm_store_shape *shape, enum size which, size_t value);
bool store_has(const struct pm_store_shape *shape, enum part part);
/** Is a part of the payload counted by items? Then the item's source vouches for it. */
bool store_is_of_item(enum part part);
/** Does an entry whose row has these flags vouch for a part of the payload? */
bool store_applies(const struct pm_store_shape *shape, enum part part, uint8_t flags,
                   bool is_source);
/** Bytes of one row in the file. @return false when that is more than one write can carry */
bool store_row_bytes(size_t *bytes, const struct pm_store_shape *shape, enum part part);
/** Strings and words of size 0 become 1. */
void store_shape_normalise(struct pm_store_shape *shape);
PM_MUST_CHECK bool store_shape_check(const struct pm_store_shape *shape, const char *path,
                                     struct pm_error *err);

/* types */
/** @return a new type, owned by the caller (H5Tclose); @p in_file: as in the file, packed */
hid_t store_type(const struct pm_store_shape *shape, enum part part, bool in_file);

/* captures */
bool store_is_capture(enum part part);
const struct pm_store_capture *store_capture(const struct pm_store_shape *shape, enum part part);
size_t store_capture_axes(struct axis axes[STORE_MAX_RANK], const struct pm_store_shape *shape,
                          const struct pm_store_capture *capture);
PM_MUST_CHECK bool store_captures_check(const struct pm_store_shape *shape, const char *path,
                                        struct pm_error *err);
/** Say in attributes what the maps are. Collective. @return false when HDF5 refused */
bool store_capture_describe(hid_t dataset, const struct pm_store_capture *capture,
                            const struct pm_store_shape *shape,
                            const struct pm_store_capture_about *about);
/** Find the file's captures: their paths, sorted. */
PM_MUST_CHECK bool store_captures_open(struct pm_store *store, struct pm_error *err);
/** Learn from the axes and the type of an opened dataset what it holds. */
PM_MUST_CHECK bool store_capture_learn(struct pm_store *store, enum part part,
                                       struct pm_error *err);
/** Numbers to what the dataset holds, and back. */
void store_capture_pack(void *out, const float *maps, size_t count, enum pm_store_number number);
void store_capture_unpack(float *maps, const void *in, size_t count, enum pm_store_number number);

/* HDF5 */
struct pm_store *store_new(const char *path, MPI_Comm comm);
/** Fail with "path: where: what: HDF5's innermost message"; where may be NULL. To be called right
 *  after the HDF5 call that failed: any other, even a close, forgets why. */
bool store_fail(struct pm_error *err, enum pm_error_code code, const char *path, const char *where,
                const char *what);
hid_t store_access_mpi(MPI_Comm comm);
enum { STORE_UUID_BYTES = 37 };
/** A random (version 4) UUID, RFC 4122. */
void store_make_uuid(char text[STORE_UUID_BYTES]);
/** Remove what dead runs left: "<path>.tmp-…", untouched for an hour. */
void store_remove_stale(const char *path);
/** Give a new dataset its place in the file for good. @return false when HDF5 refused */
bool store_set_fixed(hid_t layout, enum element element);
/** Put the closed temporary file on the disk and under its name, which must be free unless it
 *  @p replaces what is there. One rank only. */
PM_MUST_CHECK bool store_publish(const char *temporary, const char *path, bool replaces,
                                 struct pm_error *err);
/** Close all of HDF5's handles that the store has. Collective for an MPI store. */
bool store_close_handles(struct pm_store *store);
PM_MUST_CHECK bool store_write(struct pm_store *store, enum part part, size_t first, size_t count,
                               const void *rows, struct pm_error *err);
PM_MUST_CHECK bool store_read(void *rows, const struct pm_store *store, enum part part,
                              size_t first, size_t count, struct pm_error *err);
/** The bytes of a row in memory. */
size_t store_memory_bytes(const struct pm_store *store, enum part part);
/** Collective. @return false when HDF5 refused */
bool store_put_texts(hid_t object, const char *name, const char *const *texts, size_t count);
bool store_put_text(hid_t object, const char *name, const char *text);
bool store_put_numbers(hid_t object, const char *name, const size_t *numbers, size_t count);
bool store_put_real(hid_t object, const char *name, double value);
/** One rank's failure becomes all ranks', with the lowest failing rank's sentence. */
bool store_agree(MPI_Comm comm, bool ok, struct pm_error *err);

/* create */
/** An empty file at store->temporary. Collective; not agreed on. */
PM_MUST_CHECK bool store_create_file(struct pm_store *store, struct pm_error *err);
/** Create a dataset, all of it, below the root. Collective. @param link  creates groups */
PM_MUST_CHECK bool store_create_dataset(struct pm_store *store, enum part part, hid_t link,
                                        struct pm_error *err);

/* open */
/** Is there an object of this path? Only hard links are followed: others may lead out of the file.
 */
PM_MUST_CHECK bool store_find(bool *found, const struct pm_store *store, const char *path,
                              struct pm_error *err);
/** Open an existing file with @p access into a new store and check all of it. */
PM_MUST_CHECK bool store_open_file(struct pm_store *store, hid_t access, unsigned flags,
                                   struct pm_error *err);
/** Open a shard's file and check that it is what its shape and comm say.
 *  @param group   that it has when it is the right one  @param index  its store, for messages */
PM_MUST_CHECK bool store_open_shard(struct pm_store *shard, const char *group, const char *index,
                                    struct pm_error *err);
hid_t store_access_serial(void);

/* shards: store->shape.shards files with the live datasets, which an index shows as virtual ones.
 * Each is opened by each process alone, when a row of it is first wanted. */
enum { STORE_MAX_DIGITS = 20, STORE_SHARD_GROUP_BYTES = STORE_UUID_BYTES + STORE_MAX_DIGITS + 3 };
/** Is the dataset written after the commit? These lie in the shards, where there are any. */
bool store_is_live(enum part part);
/** Is the file's attribute about its shards? */
bool store_is_shard_attribute(const char *name);
bool store_is_sharded(const struct pm_store *store, enum part part);
/** Of a new store: which shard has what, put among the attributes. Collective.
 *  @param first_entry  [shape.shards] */
PM_MUST_CHECK bool store_shards_begin(struct pm_store *store, const char *uuid,
                                      const size_t *first_entry, struct pm_error *err);
/** Make a new dataset's layout virtual. @return false when HDF5 refused */
bool store_shards_map(hid_t layout, const struct pm_store *store, enum part part, hid_t space);
/** Make the files under temporary names; give them their names. Collective. */
PM_MUST_CHECK bool store_shards_create(struct pm_store *store, struct pm_error *err);
PM_MUST_CHECK bool store_shards_publish(struct pm_store *store, struct pm_error *err);
/** Of an opened index: learn which shards it has, if any; and once its shape is known, check it. */
PM_MUST_CHECK bool store_shards_find(struct pm_store *store, struct pm_error *err);
PM_MUST_CHECK bool store_shards_check(struct pm_store *store, struct pm_error *err);
/** Check every file; make those anew that are missing. Collective. */
PM_MUST_CHECK bool store_shards_complete(struct pm_store *store, struct pm_error *err);
/** Check every file. */
PM_MUST_CHECK bool store_shards_open_all(const struct pm_store *store, struct pm_error *err);
/** Where a row lies. @param shard  open until the next call  @param first  the row's number there
 *  @param count  rows wanted; then those that the shard has of them */
PM_MUST_CHECK bool store_shard_rows(struct pm_store **shard, size_t *first, size_t *count,
                                    const struct pm_store *store, enum part part, size_t row,
                                    struct pm_error *err);
/** Is this one of the files? */
bool store_shards_have(const struct pm_store *store, const struct stat *file);
/** @return the files' bytes together */
uint64_t store_shards_bytes(const struct pm_store *store);
/** Close and free; files that were not published go. */
void store_shards_free(struct pm_store *store);
#endif
