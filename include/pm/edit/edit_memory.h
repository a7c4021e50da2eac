/** @file edit_memory.h  The memory an edit works in, to be known before it is begun. */
#ifndef PM_EDIT_EDIT_MEMORY_H
#define PM_EDIT_EDIT_MEMORY_H
#include "pm/edit/edit_settings.h"
#include "pm/edit/prepare.h"

/** What is the same for all edits of a run. */
struct pm_edit_memory {
    const struct pm_edit_settings *settings; /* borrowed */
    size_t threads;
    size_t blend_height, blend_width; /* of the maps that local blends look at */
    size_t decode_bytes, encode_bytes, gradient_bytes;
};

/** @param threads  of OpenMP */
struct pm_edit_memory pm_edit_memory_make(const struct pm_edit_settings *settings, size_t threads);

/** Bytes that pm_invert_image, where the recipe has an image, and pm_edit_image take from their
 *  arena: never too few, and a few percent too many at most. Follows those two and what they call;
 *  tests/unit/test_edit_memory.c holds it against them.
 *  @param targets_per_pass  as in the settings, or fewer, to see what that would save */
size_t pm_edit_memory_bytes(const struct pm_edit_memory *memory, const struct pm_recipe *recipe,
                            const struct pm_prepared *prepared, size_t targets_per_pass);
#endif
