/** @file buffer.h  Bytes that are put one after the other.
 *
 *      struct pm_buffer text = {0};
 *      pm_buffer_put(&text, "one", 3);
 *      pm_buffer_free(&text); */
#ifndef PM_BASE_BUFFER_H
#define PM_BASE_BUFFER_H
#include <stddef.h>
#include <string.h>

struct pm_buffer {
    char *bytes; /* owned (pm_buffer_free, or free); may move when more is put */
    size_t used, capacity;
};

/** More capacity, for @p bytes at least. Without memory, the program ends. */
void pm_buffer_grow(struct pm_buffer *buffer, size_t bytes);

/** @return where the next @p bytes go; what is written there counts once it is added to used */
static inline char *pm_buffer_reserve(struct pm_buffer *buffer, size_t bytes)
{
    if (buffer->capacity - buffer->used < bytes) pm_buffer_grow(buffer, bytes);
    return buffer->bytes + buffer->used;
}

static inline void pm_buffer_put(struct pm_buffer *buffer, const void *from, size_t bytes)
{
    memcpy(pm_buffer_reserve(buffer, bytes), from, bytes);
    buffer->used += bytes;
}

/** Empty afterwards. */
void pm_buffer_free(struct pm_buffer *buffer);
#endif
