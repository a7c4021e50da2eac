/** @file checkpoint_impl.h  What checkpoint.c and checkpoint_hash.c share. */
#ifndef PM_MODEL_CHECKPOINT_IMPL_H
#define PM_MODEL_CHECKPOINT_IMPL_H
#include "pm/model/checkpoint.h"
#include "pm/model/component_config.h"

/** Where its tokenizer is; fails where there is none. */
PM_MUST_CHECK bool pm_checkpoint_tokenizer_folder(char path[PM_CONFIG_PATH_BYTES],
                                                  const struct pm_checkpoint *checkpoint,
                                                  struct pm_error *err);
#endif
