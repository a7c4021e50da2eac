/** @file load_model.h  One model on all ranks, its weights in memory once a host. */
#ifndef LOAD_MODEL_H
#define LOAD_MODEL_H
#include "pm/model/model.h"
#include "pm/runtime/world.h"

/** pm_model_load, of one rank of each host where its ranks can share memory (pm_node_arena_fill).
 *  Collective over all ranks. @return true, *out owned by the caller (pm_model_free); false on all
 *  ranks, *out empty, err with the lowest failed rank's sentence */
PM_MUST_CHECK bool load_model_shared(struct pm_model *out, const struct pm_world *world,
                                     const char *folder, struct pm_error *err);
#endif
