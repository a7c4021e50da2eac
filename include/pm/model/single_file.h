/** @file single_file.h  A checkpoint of one .safetensors file, all networks in it, under their
 *  original names (original_names.h).
 *
 *  Where the file has averaged weights (model_ema.…) beside those of the last step, the latter are
 *  taken, as diffusers does; files pruned to the averaged ones have them under the same names. */
#ifndef PM_MODEL_SINGLE_FILE_H
#define PM_MODEL_SINGLE_FILE_H
#include "pm/model/original_config.h"

struct pm_single_file {
    struct pm_safetensors file;
    struct pm_original_model model;
};

/** What is known of the model beside the file; NULL: as original_config.h has it. Borrowed for the
 *  call. */
struct pm_single_file_options {
    const char *configs;    /* a folder in the diffusers layout: its config.json files, and
                               scheduler_config.json, say what the model is, where it has them */
    const char *prediction; /* "epsilon" or "v_prediction" */
};

/** Map a file and see what it is. @return true, *out owned by the caller (pm_single_file_close);
 *  else err says what it is instead, how a pickled one is converted, or what is missing */
PM_MUST_CHECK bool pm_single_file_open(struct pm_single_file *out, const char *path,
                                       const struct pm_single_file_options *options,
                                       struct pm_error *err);
void pm_single_file_close(struct pm_single_file *file);

/** One network, its tensors under the names of the diffusers layout.
 *  @return true, *out owned by the caller (pm_component_close); its tensors' data borrowed from the
 *  file. Else err names a tensor whose name nobody knows */
PM_MUST_CHECK bool pm_single_file_component(struct pm_component *out,
                                            const struct pm_single_file *file,
                                            enum pm_network network, struct pm_error *err);
#endif
