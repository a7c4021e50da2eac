/** @file checkpoint.h  A model on disk: a folder in the diffusers layout, or one file
 *  (single_file.h).
 *
 *  <folder>/model_index.json names the components; tokenizer/, text_encoder/, unet/, vae/ and
 *  scheduler/ hold them. A file has no tokenizer, which must be given. */
#ifndef PM_MODEL_CHECKPOINT_H
#define PM_MODEL_CHECKPOINT_H
#include "pm/base/hash.h"
#include "pm/model/single_file.h"
#include "pm/model/tokenizer.h"

/** What is to be different from what the checkpoint says; NULL: nothing. */
struct pm_checkpoint_options {
    const char *tokenizer;  /* a folder with vocab.json and merges.txt */
    const char *configs;    /* of one file: see pm_single_file_options */
    const char *prediction; /* "epsilon" or "v_prediction" */
};

struct pm_checkpoint {
    char *path;                         /* owned */
    struct pm_checkpoint_options given; /* owned copies */
    struct pm_single_file *file;        /* owned; NULL: a folder */
    json_t *scheduler;                  /* owned: its scheduler_config.json, or a file's stand-in */
    char *scheduler_path;               /* owned: what messages about it begin with */
};

/** Look at what there is, the networks aside.
 *  @param options  borrowed for the call
 *  @return true, *out owned by the caller (pm_checkpoint_close) */
PM_MUST_CHECK bool pm_checkpoint_open(struct pm_checkpoint *out, const char *path,
                                      const struct pm_checkpoint_options *options,
                                      struct pm_error *err);
/** Also of one that is all zeros. */
void pm_checkpoint_close(struct pm_checkpoint *checkpoint);

/** @return true, *out owned by the caller (pm_component_close), before the checkpoint is closed */
PM_MUST_CHECK bool pm_checkpoint_component(struct pm_component *out,
                                           const struct pm_checkpoint *checkpoint,
                                           enum pm_network network, struct pm_error *err);

/** @return true, *out owned by the caller (pm_tokenizer_free); else err, where a file comes without
 *  one, with what to do */
PM_MUST_CHECK bool pm_checkpoint_tokenizer(struct pm_tokenizer **out,
                                           const struct pm_checkpoint *checkpoint,
                                           struct pm_error *err);

/** A hash of all that decides a result; reads every file.
 *  @param pieces  NULL, or shared out: without meaning until they are known. See pm_hash64_map */
PM_MUST_CHECK bool pm_checkpoint_fingerprint(char text[PM_HASH_TEXT_BYTES],
                                             const struct pm_checkpoint *checkpoint,
                                             struct pm_hash_pieces *pieces, struct pm_error *err);
#endif
