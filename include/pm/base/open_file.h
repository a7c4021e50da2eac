/** @file open_file.h  Files from outside, opened for reading: what is no file is not waited for. */
#ifndef PM_BASE_OPEN_FILE_H
#define PM_BASE_OPEN_FILE_H
#include "pm/base/error.h"

#include <stddef.h>
#include <stdio.h>

/** Links are followed; a folder, a pipe or a device at their end is refused.
 *  @param bytes  how many the file has, or NULL
 *  @return a descriptor, the caller's to close; -1 with err (PM_E_IO) */
int pm_open_file(size_t *bytes, const char *path, struct pm_error *err);

/** The same as a stream. @return NULL with err */
FILE *pm_open_stream(const char *path, struct pm_error *err);
#endif
