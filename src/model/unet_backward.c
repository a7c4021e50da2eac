#include "unet_step.h"

#include <string.h>

enum { MAX_SKIPS = PM_MAX_LEVELS * (PM_MAX_BLOCK_LAYERS + 1) + 1 };

struct way_back {
    const struct pm_unet_record *record;
    float *grad_context;
    float *skips[MAX_SKIPS]; /* gradients on their way across */
    size_t skip_count;
    struct pm_arena *scratch;
};

static size_t input_floats(const struct way_back *w, const struct pm_unet_step *step)
{
    return w->record->batch * step->height * step->width * step->channels;
}

static size_t most_input_floats(const struct way_back *w)
{
    size_t most = 0;
    for (const struct pm_unet_step *s = w->record->last; s; s = s->before)
        if (input_floats(w, s) > most) most = input_floats(w, s);
    return most;
}

static void split(float *grad_x, const float *grad_y, const struct pm_unet_step *s,
                  struct way_back *w)
{
    size_t rows = w->record->batch * s->height * s->width;
    float *across = pm_arena_floats(w->scratch, rows * s->skip_channels);
    pm_kernels()->concat_channels_backward(grad_x, s->channels, across, s->skip_channels, grad_y,
                                           rows);
    w->skips[w->skip_count++] = across;
}

static void join(float *grad_x, const float *grad_y, const struct pm_unet_step *s,
                 struct way_back *w)
{
    const float *across = w->skips[--w->skip_count];
    for (size_t i = 0; i < input_floats(w, s); i++) grad_x[i] = grad_y[i] + across[i];
}

/** @param grad_x  by the step's input; NULL: only the text's is wanted of a transformer */
static void step_backward(float *grad_x, const float *grad_y, const struct pm_unet_step *s,
                          struct way_back *w)
{
    const struct pm_kernels *k = pm_kernels();
    const struct pm_unet *u = w->record->unet;
    size_t batch = w->record->batch;
    switch (s->operation) {
    case PM_UNET_CONV:
        k->conv_backward(grad_x, grad_y, s->conv, batch, s->height, s->width, w->scratch);
        break;
    case PM_UNET_RESNET:
        pm_resnet_backward(grad_x, grad_y, s->x, s->middle, s->resnet, batch, s->height, s->width,
                           w->scratch);
        break;
    case PM_UNET_TRANSFORMER:
        pm_transformer_backward(w->grad_context, grad_x, grad_y, &s->transformer_record,
                                s->transformer, batch, s->height, s->width, w->record->tokens,
                                w->scratch);
        break;
    case PM_UNET_SKIP:
        join(grad_x, grad_y, s, w);
        break;
    case PM_UNET_CONCAT:
        split(grad_x, grad_y, s, w);
        break;
    case PM_UNET_RESIZE:
        k->resize_nearest_backward(grad_x, grad_y, batch, s->height, s->width, s->out_height,
                                   s->out_width, s->channels);
        break;
    case PM_UNET_NORM:
        k->group_norm_backward(grad_x, grad_y, s->x, u->norm_out.gamma, u->norm_out.beta, NULL,
                               batch, s->height * s->width, s->channels, u->config.groups,
                               u->config.eps, PM_SILU, w->scratch);
        break;
    }
}

void pm_unet_backward(float *grad_context, float *grad_latents, const struct pm_unet_record *record,
                      const float *cotangent, struct pm_arena *scratch)
{
    size_t mark = scratch->used;
    struct way_back w = {.record = record, .grad_context = grad_context, .scratch = scratch};
    size_t floats = most_input_floats(&w);
    float *grads[2] = {pm_arena_floats(scratch, floats), pm_arena_floats(scratch, floats)};
    const float *grad_y = cotangent;
    memset(grad_context, 0,
           record->batch * record->tokens * record->unet->config.context_channels *
               sizeof *grad_context);
    for (const struct pm_unet_step *s = record->last; s; s = s->before) {
        if (!grad_latents && s == record->first_transformer) {
            step_backward(NULL, grad_y, s, &w);
            break;
        }
        float *grad_x = s->before ? grad_y == grads[0] ? grads[1] : grads[0] : grad_latents;
        step_backward(grad_x, grad_y, s, &w);
        grad_y = grad_x;
    }
    scratch->used = mark;
}
