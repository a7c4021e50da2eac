/** @file model.h  A Stable Diffusion checkpoint (checkpoint.h), loaded whole. What is not supported
 *  is refused by name. */
#ifndef PM_MODEL_MODEL_H
#define PM_MODEL_MODEL_H
#include "pm/base/hash.h"
#include "pm/model/checkpoint.h"
#include "pm/model/embeddings.h"
#include "pm/model/text_encoder.h"
#include "pm/model/tokenizer.h"
#include "pm/model/unet.h"
#include "pm/model/vae.h"

/** What comes to a checkpoint from elsewhere. All borrowed for the calls that take it. */
struct pm_model_additions {
    struct pm_checkpoint_options options;
    enum pm_precision precision;      /* of the UNet's products; all else is float32 */
    const struct pm_lora_file *loras; /* [lora_count], added in this order */
    size_t lora_count;
    const struct pm_embedding_file *embeddings; /* [embedding_count] */
    size_t embedding_count;
};

struct pm_model {
    struct pm_checkpoint checkpoint;  /* owned */
    enum pm_precision precision;      /* of the UNet's products */
    struct pm_tokenizer *tokenizer;   /* owned */
    struct pm_loras *loras;           /* owned; NULL: none */
    struct pm_embeddings *embeddings; /* owned; NULL: none. Their words are the tokenizer's */
    struct pm_text_encoder text_encoder;
    struct pm_unet unet;
    struct pm_vae vae;
    struct pm_arena weights;              /* owned; read-only. No addresses are in it */
    struct pm_arena layers;               /* owned: the networks' lists of layers, with addresses */
    char fingerprint[PM_HASH_TEXT_BYTES]; /* of all files that decide a result, how much of each
                                             LoRA is added, and what the new words are */
};

/** Load and pack everything. @return true, *out owned by the caller (pm_model_free) */
PM_MUST_CHECK bool pm_model_load(struct pm_model *out, const char *path, struct pm_error *err);
void pm_model_free(struct pm_model *model);

/** The same with additions. */
PM_MUST_CHECK bool pm_model_load_with(struct pm_model *out, const char *path,
                                      const struct pm_model_additions *additions,
                                      struct pm_error *err);

/** The same without reading or packing a weight, in a moment and with next to no memory: what cannot
 *  be loaded is refused as by pm_model_load_with, and weights.used is what it would take. Of *out,
 *  nothing may be computed with, and the fingerprint is "" until pm_model_fingerprint. */
PM_MUST_CHECK bool pm_model_measure(struct pm_model *out, const char *path,
                                    const struct pm_model_additions *additions,
                                    struct pm_error *err);

/** Set the fingerprint of a model that was opened or measured: reads all of its files.
 *  @param pieces  NULL; or as of pm_checkpoint_fingerprint, for ranks that share the reading */
PM_MUST_CHECK bool pm_model_fingerprint(struct pm_model *opened, struct pm_hash_pieces *pieces,
                                        struct pm_error *err);

/** The same in steps, for ranks that share the weights. Each opens the model, which reads all but the
 *  networks. @return true, *out owned by the caller (pm_model_free) */
PM_MUST_CHECK bool pm_model_open(struct pm_model *out, const char *path,
                                 const struct pm_model_additions *additions, struct pm_error *err);

/** Then each loads and packs its share of the networks into an arena that all of them have as
 *  model->weights. @param memory  empty; all numbers that are loaded go there
 *  @param share  of @p shares: which part to load; 0 of 1: all. All of the memory is taken */
PM_MUST_CHECK bool pm_model_load_weights(struct pm_arena *memory, struct pm_model *opened,
                                         size_t share, size_t shares, struct pm_error *err);

/** Or each measures the networks, as pm_model_measure does, … */
PM_MUST_CHECK bool pm_model_measure_weights(struct pm_model *opened, struct pm_error *err);

/** … and takes the weights from the file of them in a folder (packed_file.h): then the model is as
 *  loaded. Its fingerprint must be set. @param share, shares  as of pm_packed_file_map
 *  @return true; else err with the reason, and the weights can only be dropped */
PM_MUST_CHECK bool pm_model_map_packed(struct pm_model *measured, const char *folder, size_t share,
                                       size_t shares, struct pm_error *err);

/** The model is as it was opened. */
void pm_model_drop_weights(struct pm_model *model);

/** Write that file, of a model that was loaded and has its fingerprint. */
PM_MUST_CHECK bool pm_model_save_packed(const struct pm_model *model, const char *folder,
                                        struct pm_error *err);

/** Room for the weights of anything: address space only. */
size_t pm_model_weights_bytes(void);

/** Room for a forward pass of anything: address space only. */
size_t pm_model_scratch_bytes(void);
#endif
