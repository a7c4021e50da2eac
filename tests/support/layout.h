/** @file layout.h  A stored model's tensors, to be written again in another layout.
 *
 *  Files go where temporary.h has its own. */
#ifndef LAYOUT_H
#define LAYOUT_H
#include "pm/model/component.h"

struct layout_tensor {
    char name[192];
    const char *dtype;
    size_t rank, shape[PM_TENSOR_MAX_RANK];
    size_t elements, bytes;
    unsigned char *data;
};

struct layout {
    struct layout_tensor *tensors; /* [count], in the order in which they are written */
    size_t count;
};

/** The tensors of a network of one of golden_models. Free with layout_free. */
struct layout layout_read(const char *model, enum pm_network network);
void layout_free(struct layout *layout);

/** In all names that have it, @p from becomes @p to. @return how many had it */
size_t layout_rename(struct layout *layout, const char *from, const char *to);

/** The same at the beginning of names only. */
size_t layout_rename_start(struct layout *layout, const char *from, const char *to);

struct layout_tensor *layout_find(const struct layout *layout, const char *name);

/** Other numbers: "F32" from F16, exactly; "BF16" from either, cut off. */
void layout_convert(struct layout *layout, const char *dtype);

/** Add a tensor of zeros. */
void layout_add(struct layout *layout, const char *name, const char *dtype, size_t rank,
                const size_t *shape);

/** Move all tensors of @p from to the end of @p layout. */
void layout_append(struct layout *layout, struct layout *from);

/** Write tensors first to end-1 as a .safetensors file. */
void layout_write(const struct layout *layout, size_t first, size_t end, const char *name);
#endif
