/** @file run_capture.h  A config's captures of attention with a model and a schedule: which layers
 *  and steps they come to, what the engine is to keep, what the store has room for. */
#ifndef RUN_CAPTURE_H
#define RUN_CAPTURE_H
#include "pm/data/config.h"
#include "pm/data/store.h"
#include "pm/edit/edit_image.h"

/** In the config's order, which is the store's. */
struct run_captures {
    size_t count;
    struct pm_attention_capture_spec specs[PM_STORE_MAX_CAPTURES];
    struct pm_store_capture datasets[PM_STORE_MAX_CAPTURES];
    struct pm_store_capture_about abouts[PM_STORE_MAX_CAPTURES];
    struct pm_arena memory; /* of the lists */
};

/** @param settings  whose model, schedule and latent size count
 *  @return true, *out owned by the caller (run_captures_free); false when the model has not what is
 *  asked for: err lists what it has */
PM_MUST_CHECK bool run_captures_make(struct run_captures *out, const struct pm_config *config,
                                     const struct pm_edit_settings *settings, struct pm_error *err);
void run_captures_free(struct run_captures *captures);

/** What the config keeps, into a shape. */
void run_captures_shape(struct pm_store_shape *shape, const struct run_captures *captures,
                        const struct pm_config *config);

/** A picture as the store keeps it: maps with zeros up to the longest prompt's tokens or words, and
 *  nothing that the shape has not. @return borrows from the picture and from @p arena */
struct pm_store_payload run_captures_payload(const struct pm_picture *picture, bool is_source,
                                             const struct pm_store_shape *shape,
                                             struct pm_arena *arena);
#endif
