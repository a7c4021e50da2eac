/** @file temporary.h  Files that a test writes, in a folder of their own.
 *
 *  temporary_make and temporary_remove are a group's setup and teardown (or a test's). */
#ifndef TEMPORARY_H
#define TEMPORARY_H
#include <stddef.h>

int temporary_make(void **state);

/** Removes the folder with all that is in it. */
int temporary_remove(void **state);

/** @return the path of @p name in the folder; good until the fourth call after this one */
const char *temporary_path(const char *name);

/** Write a file, over one that is there; folders in its name are made. */
void temporary_write(const char *name, const void *bytes, size_t count);
void temporary_write_text(const char *name, const char *text);

/** Write a .safetensors file: the header's length, the header, the data. */
void temporary_write_safetensors(const char *name, const char *header, const void *data,
                                 size_t data_bytes);

/** Write a copy of a file. */
void temporary_copy(const char *name, const char *from);
#endif
