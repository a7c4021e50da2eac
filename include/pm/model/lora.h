/** @file lora.h  Low-rank adapters (LoRA) that are added to weights while these are loaded.
 *
 *  A layer's weight W [out, in] or [out, in, kernel, kernel] becomes
 *
 *      W + weight · alpha / rank · up down        up [out, rank], down [rank, in (kernel kernel)]
 *
 *  with the file's alpha, or without one alpha = rank. Linears may be written as 1x1 convolutions
 *  and the other way round. Files are added in the order in which they are given. Keys of kohya's
 *  scripts and of diffusers and PEFT are known, in one file also side by side. Refused by name: a
 *  key that is no LoRA's or that no layer has; half a pair; a pair of two schemes, or two pairs for
 *  one layer, of which other loaders drop one; another shape; DoRA, LoHa, LoKr and Tucker's form.
 *  Sources: Hu et al. 2021 (arXiv 2106.09685); huggingface/peft tuners/lora/layer.py. */
#ifndef PM_MODEL_LORA_H
#define PM_MODEL_LORA_H
#include "pm/base/arena.h"
#include "pm/base/error.h"

#include <stddef.h>
#include <stdint.h>

/** One file and how much of it: 1 as it was trained. */
struct pm_lora_file {
    const char *path;
    double weight;
};

/** What a layer is part of. */
enum pm_lora_network { PM_LORA_UNET, PM_LORA_TEXT_ENCODER };

/** Some files, opened. */
struct pm_loras;

/** Map the files and pair their tensors. @return true, *out owned by the caller (pm_loras_close);
 *  else err names file and key */
PM_MUST_CHECK bool pm_loras_open(struct pm_loras **out, const struct pm_lora_file *files,
                                 size_t count, struct pm_error *err);
/** @param loras  NULL: nothing is done */
void pm_loras_close(struct pm_loras *loras);

/** The model has a tensor of this name and shape: what the files have for it is of use.
 *  @param name  in the diffusers layout, "…to_q.weight"
 *  @return false when a pair is of another shape; err has all three */
PM_MUST_CHECK bool pm_loras_match(struct pm_loras *loras, enum pm_lora_network network,
                                  const char *name, size_t rank, const size_t *shape,
                                  struct pm_error *err);

/** Add to the weight of a tensor that was matched what the files have for it, if anything.
 *  @param values   [rows, ...] as its shape was, changed in place
 *  @param scratch  given back as it was */
void pm_loras_add(float *values, const struct pm_loras *loras, enum pm_lora_network network,
                  const char *name, size_t rows, struct pm_arena *scratch);

/** Fail if a pair is for a layer that was not matched. */
PM_MUST_CHECK bool pm_loras_check_all_used(const struct pm_loras *loras, struct pm_error *err);

/** A fingerprint of contents, order and weights, chained like pm_hash64; @p seed for none. */
uint64_t pm_loras_hash(const struct pm_loras *loras, uint64_t seed);
#endif
