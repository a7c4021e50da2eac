#include "pm/base/buffer.h"

#include "pm/base/error.h"

#include <stdlib.h>

void pm_buffer_grow(struct pm_buffer *buffer, size_t bytes)
{
    buffer->capacity = 2 * (buffer->capacity + bytes);
    buffer->bytes = realloc(buffer->bytes, buffer->capacity);
    if (!buffer->bytes) pm_die("no memory for %zu bytes", buffer->capacity);
}

void pm_buffer_free(struct pm_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct pm_buffer){0};
}
