/** @file load_model.h  One model on all ranks, its weights in memory once a host. */
#ifndef LOAD_MODEL_H
#define LOAD_MODEL_H
#include "pm/data/config.h"
#include "pm/model/model.h"
#include "pm/runtime/world.h"

/** A config's LoRA and embeddings as the model takes them; borrows from the config. */
struct config_additions {
    struct pm_lora_file loras[PM_CONFIG_MAX_LORAS];
    struct pm_embedding_file embeddings[PM_CONFIG_MAX_EMBEDDINGS];
    struct pm_model_additions all; /* borrows from the above */
};
void config_additions_make(struct config_additions *out, const struct pm_config *config);

/** A config's model with what is laid over it, as far as planning needs it: no weight is loaded, see
 *  pm_model_measure. With its fingerprint.
 *  @return true, *out owned by the caller (pm_model_free) */
PM_MUST_CHECK bool measure_model(struct pm_model *out, const struct pm_config *config,
                                 struct pm_error *err);

/** pm_model_load_with, by the ranks of each host together where they can share memory
 *  (pm_node_arena_fill).
 *  @param packed  a folder with files of packed weights: where every host finds the model's there,
 *                 it maps it; else each writes one. Whatever is wrong with it, the model is loaded.
 *                 NULL: none
 *  Collective over all ranks. @return true, *out owned by the caller (pm_model_free); false on all
 *  ranks, *out empty, err with the lowest failed rank's sentence */
PM_MUST_CHECK bool load_model_shared(struct pm_model *out, const struct pm_world *world,
                                     const char *path, const struct pm_model_additions *additions,
                                     const char *packed, struct pm_error *err);
#endif
