/** @file store.h  One HDF5 file that holds all pictures of a manifest, and survives a crash.
 *
 *  A manifest line is an ITEM: a source prompt and T >= 0 targets. Every picture is an ENTRY:
 *  the source's first, then each target's, so that item i owns the entries first_entry[i] ..
 *  first_entry[i] + T. Items and entries are numbered in manifest order. docs/format.md
 *  describes the file itself.
 *
 *  A store's life:
 *
 *      pm_store_create    all ranks     a temporary file with every dataset at its full size
 *      pm_store_put_item, pm_store_put_prompt   any rank, alone: its share of the plan
 *      pm_store_commit    all ranks     the file gets its name; from now on it is a store
 *      pm_store_put_entry, pm_store_fail_entry  any rank, alone: payload first, then the row
 *      pm_store_close     all ranks
 *
 *  and after a crash, pm_store_open and on with the entries whose row says pending. Nothing but
 *  independent writes to places fixed at creation happens after the commit, so that a rank
 *  killed at any moment costs the entry it was writing and nothing else.
 *
 *  With shards the store is an index, which shows several files as one: pm_store_create makes
 *  them, pm_store_open those that are missing, and a reader refuses a store that lacks one.
 *
 *  HDF5 keeps global state: call all of this from one thread only. The first call turns off
 *  HDF5's own error printing; what it has to say is in err's sentence. A store from elsewhere may
 *  be malicious: every name, link, type, size and index in it is checked before use. What this
 *  cannot help are faults of HDF5 itself: 1.10 can crash on damaged metadata. */
#ifndef PM_DATA_STORE_H
#define PM_DATA_STORE_H
#include "pm/base/error.h"

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

struct pm_store;

enum {
    PM_STORE_MAX_CAPTURES = 16,
    PM_STORE_MAX_DATASETS = 48,
    PM_STORE_PATH_BYTES = 64,
    PM_STORE_MAX_SHARDS = 1024,
    PM_STORE_MAX_NAME_BYTES = 200, /* of 255, since temporary files and shards have longer names */
};

enum pm_store_number {
    PM_STORE_F32,
    PM_STORE_F16, /* rounded to nearest, ties to even */
    PM_STORE_U8,  /* times 255, rounded, what is outside 0 .. 1 brought to the nearer end */
};

/** One dataset of attention maps: a number for each entry, query pixel and token, and where they
 *  are kept apart for each step, layer and head as well. Of self-attention the last axis is the
 *  pixel attended to, key = y * width + x. */
struct pm_store_capture {
    char path[PM_STORE_PATH_BYTES]; /* "/attention/NAME", NAME of letters, digits and _ */
    bool is_self;
    bool is_of_words; /* the last axis is the prompt's words instead of its tokens */
    enum pm_store_number number;
    size_t steps, layers, heads; /* lengths of these axes; 0: averaged over, no axis */
    size_t height, width;        /* of the maps */
};

/** What the axes do not say about a capture. Borrowed. */
struct pm_store_capture_about {
    bool is_before;                             /* a target's maps are those before editing */
    const size_t *layers, *steps;               /* kept, or averaged over */
    size_t layer_count, step_count, head_count; /* heads of each layer */
    unsigned blocks;                            /* that the layers are in: PM_STORE_..._BLOCKS */
};
enum { PM_STORE_DOWN_BLOCKS = 1, PM_STORE_MID_BLOCK = 2, PM_STORE_UP_BLOCKS = 4 };

enum pm_store_latents {
    PM_STORE_NO_LATENTS,
    PM_STORE_ENDS,       /* the first and the last */
    PM_STORE_TRAJECTORY, /* and the latent after each step */
};

/** Everything that fixes the datasets' sizes. Strings' bytes are the longest's, without a NUL;
 *  these and `words` may be 0 and then count as 1. All others are at least 1, where the store has
 *  what they are of. */
struct pm_store_shape {
    size_t items, entries;
    size_t tokens; /* the longest prompt's, with begin and end, without padding */
    size_t words;  /* the longest prompt's */
    size_t id_bytes, recipe_bytes, prompt_bytes, token_bytes, word_bytes;
    size_t image_height, image_width;
    size_t latent_channels, latent_height, latent_width;
    size_t steps;                                /* calls of the UNet's denoising loop */
    size_t levels;                               /* steps + 1: of an inversion */
    size_t embedding_tokens, embedding_channels; /* of null-text embeddings */
    size_t train_timesteps;                      /* the length of the alpha_cumprod table */
    bool images;
    enum pm_store_latents latents;
    bool blend_mask; /* some entry has a local blend */
    bool originals;  /* some item is of a real picture, and images are kept */
    bool inversions; /* some item is of a real picture, and inversions are kept */
    bool embeddings; /* and of some of these null-text embeddings */
    struct pm_store_capture captures[PM_STORE_MAX_CAPTURES]; /* by path, ascending */
    size_t capture_count;
    size_t shards; /* files beside the store, each with a range of items; 0: it is one file */
};

/** What the file says about itself. All strings are wanted; borrowed for the call. */
struct pm_store_about {
    const char *software;        /* "promptmill 0.3-12-gabcdef" */
    const char *config;          /* the resolved config, JSON */
    const char *model;           /* its name or path */
    const char *model_hash;      /* of its weights */
    const char *scheduler;       /* "ddim", "pndm" */
    const char *manifest_hash;   /* of all recipes: tells at once whether they have changed */
    const int32_t *timesteps;    /* [shape.steps]  what the UNet is called with, in order of use */
    const double *alpha_cumprod; /* [shape.train_timesteps]  by timestep */
    const struct pm_store_capture_about *captures; /* [shape.capture_count] */
    const size_t
        *shard_first_entry; /* [shape.shards]  of the items that pm_store_shard_item says */
};

/** One row of the plan. When read, `memory` owns what the strings point to. */
struct pm_store_item {
    const char *id;
    size_t line; /* of the manifest, from 1 */
    size_t first_entry;
    uint64_t seed;
    const char *recipe; /* the item with its defaults filled in, JSON */
    size_t entries;     /* 1 + targets. Reading only: putting ignores it */
    void *memory;       /* reading only */
};

/** What one entry was drawn from. When read, `memory` owns all that is pointed to. */
struct pm_store_prompt {
    const char *text; /* UTF-8 */
    size_t item;
    int target; /* PM_STORE_SOURCE, or the target's number in its item, from 0 */
    size_t tokens, words;
    const int32_t *token_id;   /* [tokens]  with begin and end, without padding */
    const char *const *token;  /* [tokens]  each token's text */
    const int32_t *token_word; /* [tokens]  index into word; -1: of no word */
    const char *const *word;   /* [words] */
    void *memory;              /* reading only */
};
enum { PM_STORE_SOURCE = -1 };

enum pm_store_state { PM_STORE_PENDING, PM_STORE_DONE, PM_STORE_FAILED };

/** The row that vouches for an entry. */
struct pm_store_row {
    uint8_t state; /* enum pm_store_state */
    uint8_t flags; /* PM_STORE_HAS_... */
    uint64_t checksum;
    char message[PM_ERROR_BYTES]; /* why it failed, or "" */
};
enum {
    PM_STORE_HAS_BLEND_MASK = 1,
    PM_STORE_HAS_ORIGINAL =
        2, /* a source's: it is of a real picture, which the store has parts of */
    PM_STORE_HAS_EMBEDDINGS = 4 /* a source's: its inversion has null-text embeddings */
};

/** All that may differ between two runs of the same work. */
struct pm_store_provenance {
    int32_t rank;
    uint32_t attempts; /* how often this entry was begun */
    int64_t finished;  /* seconds since 1970 */
    double seconds;    /* it took */
    char host[64];
};

/** Which picture, prompt, model, schedule and method an inversion is of: a hash of them all. */
struct pm_store_inversion_key {
    uint64_t half[2]; /* both 0: none */
};

/** What an entry's computation gave. Row-major; latents are channels first. Borrowed. What the
 *  shape has not is NULL. */
struct pm_store_payload {
    const uint8_t *image;      /* [image_height, image_width, 3] */
    const float *x_T;          /* [latent_channels, latent_height, latent_width]  the item's first
                                  latent, with its source entry; NULL with every other entry */
    const float *final_latent; /* [latent_channels, latent_height, latent_width] */
    const float *trajectory;   /* [steps, latent_channels, latent_height, latent_width]  after each
                                  step */
    const float *attention[PM_STORE_MAX_CAPTURES]; /* [capture's axes]  zero beyond the prompt's
                                                      tokens or words */
    const uint8_t *blend_mask; /* [latent_height, latent_width]  the last step's, 0 or 1; NULL: no
                                  local blend */
    /* with the source entry of a real picture, else NULL */
    const uint8_t *original;           /* [image_height, image_width, 3] */
    const double *reconstruction_psnr; /* of the source's image against it, dB */
    const struct pm_store_inversion_key *inversion_key;
    const float *inversion; /* [levels, latent_channels, latent_height, latent_width]  x_T first */
    const float
        *embeddings; /* [steps, embedding_tokens, embedding_channels]  or NULL: no null-text */
};

/** @return the first item of a shard of a new store: each has as many, or one more */
size_t pm_store_shard_item(const struct pm_store_shape *shape, size_t shard);

/** @return the shard that an item and its entries are in. Of stores with shards only. Any thread */
size_t pm_store_shard_of(const struct pm_store *store, size_t item);

/** @return the bytes a store of this shape will take on disk, within 1 % once above some MB;
 *  UINT64_MAX when no file could hold it */
uint64_t pm_store_bytes(const struct pm_store_shape *shape);

/** One dataset of a store. */
struct pm_store_dataset {
    const char *path; /* borrowed from the shape */
    uint64_t bytes;   /* of its data, to the last one; UINT64_MAX when no file could hold it */
};

/** @param datasets  [PM_STORE_MAX_DATASETS]  @return how many a store of this shape has */
size_t pm_store_datasets(struct pm_store_dataset *datasets, const struct pm_store_shape *shape);

/** @param path  of a store that is to be made. @return whether its name, the folder aside, may be one */
PM_MUST_CHECK bool pm_store_check_name(const char *path, struct pm_error *err);

/** Begin a store under a temporary name beside @p path, with all datasets at their full size.
 *  Temporary files of @p path that a dead run left an hour ago or longer are removed.
 *  Collective over @p comm; @p shape and @p about count on rank 0 and are ignored elsewhere.
 *  @return true on all ranks, *store to be closed with pm_store_close; or false on all: err says
 *  PM_E_INPUT (@p path exists or has too long a name; a size is zero or beyond bounds) or PM_E_IO */
PM_MUST_CHECK bool pm_store_create(struct pm_store **store, const char *path, MPI_Comm comm,
                                   const struct pm_store_shape *shape,
                                   const struct pm_store_about *about, struct pm_error *err);

/** Add item number @p item of the plan. A rank adds items that follow each other, and all ranks
 *  together each item once; a string longer than the shape says is a bug. Not collective. Rows are
 *  gathered and written in batches. */
PM_MUST_CHECK bool pm_store_put_item(struct pm_store *store, size_t item,
                                     const struct pm_store_item *row, struct pm_error *err);

/** Add the prompt of entry number @p entry, likewise. Not collective. */
PM_MUST_CHECK bool pm_store_put_prompt(struct pm_store *store, size_t entry,
                                       const struct pm_store_prompt *prompt, struct pm_error *err);

/** Give the store its name, once its plan is whole, and open it for entries. Collective.
 *  @return false on all ranks, with PM_E_IO, when it cannot be written or the name has been taken
 *  meanwhile; what is left to do then is pm_store_close, which removes the temporary file */
PM_MUST_CHECK bool pm_store_commit(struct pm_store *store, struct pm_error *err);

/** After the plan of a store that was opened to go on with has been put again, all of it: write
 *  what was not there as it was put. Collective. @param was_damaged  whether anything */
PM_MUST_CHECK bool pm_store_repair_plan(bool *was_damaged, struct pm_store *store,
                                        struct pm_error *err);

/** Open a store to go on with it, on any number of ranks. Collective over @p comm. A packed one
 *  (pm/data/store_pack.h) is refused. Shards that are missing are made anew, with their entries
 *  pending, and a warning is logged. */
PM_MUST_CHECK bool pm_store_open(struct pm_store **store, const char *path, MPI_Comm comm,
                                 struct pm_error *err);

/** Open a store to read it, from one process, without MPI, also while a run is writing: a row is
 *  read as it is at that moment. */
PM_MUST_CHECK bool pm_store_open_read(struct pm_store **store, const char *path,
                                      struct pm_error *err);

/** Close and free. NULL is fine. A store never committed vanishes. Collective over the ranks that
 *  opened it. */
void pm_store_close(struct pm_store *store);

/** Write an entry's payload, then its provenance, then the row that says done. Whatever the row
 *  said before is replaced. Not collective, any rank. @param seconds  the computation took
 *  @return false: PM_E_IO, and the row is as it was */
PM_MUST_CHECK bool pm_store_put_entry(struct pm_store *store, size_t entry,
                                      const struct pm_store_payload *payload, double seconds,
                                      struct pm_error *err);

/** Count that an entry is begun, before it is computed, so that an edit that kills its rank each
 *  time is known by it. Not collective, any rank. @param attempts  this one included */
PM_MUST_CHECK bool pm_store_begin_entry(uint32_t *attempts, struct pm_store *store, size_t entry,
                                        struct pm_error *err);

/** Make an entry pending again, as if nobody had begun it. Not collective, any rank. */
PM_MUST_CHECK bool pm_store_reset_entry(struct pm_store *store, size_t entry, struct pm_error *err);

/** Record that an entry failed, and why, in one sentence. Not collective, any rank. */
PM_MUST_CHECK bool pm_store_fail_entry(struct pm_store *store, size_t entry, const char *message,
                                       double seconds, struct pm_error *err);

/* Reading. On stores opened in either way; not collective. An entry number out of range is a bug.
 * A payload is meaningful only when its row says done. On false, err names file and dataset. */

/** Borrowed, valid until pm_store_close. */
const struct pm_store_shape *pm_store_shape_of(const struct pm_store *store);

/** @param rows  [count]  of the entries first .. first + count - 1 */
PM_MUST_CHECK bool pm_store_read_rows(struct pm_store_row *rows, const struct pm_store *store,
                                      size_t first, size_t count, struct pm_error *err);
PM_MUST_CHECK bool pm_store_read_provenance(struct pm_store_provenance *rows,
                                            const struct pm_store *store, size_t first,
                                            size_t count, struct pm_error *err);

/** The strings are owned by @p row: pm_store_item_free. */
PM_MUST_CHECK bool pm_store_read_item(struct pm_store_item *row, const struct pm_store *store,
                                      size_t item, struct pm_error *err);
void pm_store_item_free(struct pm_store_item *row);

/** All is owned by @p prompt: pm_store_prompt_free. */
PM_MUST_CHECK bool pm_store_read_prompt(struct pm_store_prompt *prompt,
                                        const struct pm_store *store, size_t entry,
                                        struct pm_error *err);
void pm_store_prompt_free(struct pm_store_prompt *prompt);

/** The parts of a payload, shaped as in struct pm_store_payload. Asking for a part that the
 *  store's shape does not have is a bug; x_T goes by item. */
PM_MUST_CHECK bool pm_store_read_image(uint8_t *image, const struct pm_store *store, size_t entry,
                                       struct pm_error *err);
PM_MUST_CHECK bool pm_store_read_x_T(float *latent, const struct pm_store *store, size_t item,
                                     struct pm_error *err);
PM_MUST_CHECK bool pm_store_read_final_latent(float *latent, const struct pm_store *store,
                                              size_t entry, struct pm_error *err);
PM_MUST_CHECK bool pm_store_read_trajectory(float *latents, const struct pm_store *store,
                                            size_t entry, struct pm_error *err);
/** @param maps  as floats, whatever the numbers in the file */
PM_MUST_CHECK bool pm_store_read_attention(float *maps, const struct pm_store *store,
                                           size_t capture, size_t entry, struct pm_error *err);
/** What a capture's attributes say about its means. */
struct pm_store_capture_counts {
    bool is_before;              /* a target's maps are those before editing */
    bool is_mid;                 /* all layers are in the middle of the network */
    size_t steps, layers, heads; /* that there are, kept apart or averaged over; heads of a layer */
    size_t latent_height, latent_width; /* of the picture's latent, whether it is kept or not */
};
PM_MUST_CHECK bool pm_store_read_capture_counts(struct pm_store_capture_counts *out,
                                                const struct pm_store *store, size_t capture,
                                                struct pm_error *err);
/** @return the floats of one entry's maps */
size_t pm_store_attention_floats(const struct pm_store *store, size_t capture);
PM_MUST_CHECK bool pm_store_read_blend_mask(uint8_t *mask, const struct pm_store *store,
                                            size_t entry, struct pm_error *err);
/** Of an item's real picture: to be asked for where its source's row has PM_STORE_HAS_ORIGINAL. */
PM_MUST_CHECK bool pm_store_read_original(uint8_t *image, const struct pm_store *store, size_t item,
                                          struct pm_error *err);
PM_MUST_CHECK bool pm_store_read_reconstruction_psnr(double *psnr, const struct pm_store *store,
                                                     size_t item, struct pm_error *err);
/** @param keys  [count]  of the items first .. first + count - 1; not vouched for */
PM_MUST_CHECK bool pm_store_read_inversion_keys(struct pm_store_inversion_key *keys,
                                                const struct pm_store *store, size_t first,
                                                size_t count, struct pm_error *err);
PM_MUST_CHECK bool pm_store_read_inversion(float *latents, const struct pm_store *store,
                                           size_t item, struct pm_error *err);
PM_MUST_CHECK bool pm_store_read_embeddings(float *embeddings, const struct pm_store *store,
                                            size_t item, struct pm_error *err);

/** A text the store says about itself: "software", "config", "model", "model_hash", "scheduler",
 *  "manifest_hash", "created" (ISO 8601, UTC), "run_uuid". @return true, *text owned by the caller
 *  (free) */
PM_MUST_CHECK bool pm_store_read_attribute(char **text, const struct pm_store *store,
                                           const char *name, struct pm_error *err);

/** Compute an entry's checksum from what is in the file: row, plan and payload. *good tells whether
 *  its row has the same; a pending row vouches for nothing and is good as long as it is empty.
 *  @return false only when the file cannot be read */
PM_MUST_CHECK bool pm_store_verify_entry(bool *good, const struct pm_store *store, size_t entry,
                                         struct pm_error *err);
#endif
