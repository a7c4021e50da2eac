/** @file model_outputs.h  What all networks of a model give for the same inputs, to be compared bit
 *  by bit. */
#ifndef MODEL_OUTPUTS_H
#define MODEL_OUTPUTS_H
#include "pm/model/model.h"

struct model_outputs {
    float *values; /* text encoder, UNet, VAE decoder, VAE encoder, one after the other */
    size_t count;
};

/** @return outputs whose values are owned by the caller (free) */
struct model_outputs model_outputs_make(const struct pm_model *model);

/** Fails the running test unless both are the same bits. Frees neither. */
void assert_same_outputs(const struct model_outputs *a, const struct model_outputs *b);
#endif
