/** @file safe_name.h  File names of ids, which may be anything. */
#ifndef PM_DATA_SAFE_NAME_H
#define PM_DATA_SAFE_NAME_H
#include "pm/base/error.h"

#include <stddef.h>

enum { PM_SAFE_NAME_BYTES = 128 };

/** One name of a file or a folder, for any text: no slash, no name that a file system or a shell
 *  takes for something else, at most PM_SAFE_NAME_BYTES - 1 bytes.
 *
 *  A text of letters, digits and the characters . _ - + = , that does not begin with . or - is its own
 *  name, if it is not too long. Of any other, the other characters become _ and the end is ~ with
 *  16 hexadecimal digits, a hash of the whole text; so different texts have different names (on file
 *  systems that tell a from A). Any thread. */
void pm_safe_name(char name[PM_SAFE_NAME_BYTES], const char *text);

/** The same for a path with folders in it: each part becomes a safe name, empty ones are left out,
 *  and it never begins with a slash.
 *  @return false when there is nothing left or the path is longer than @p size - 1 bytes */
PM_MUST_CHECK bool pm_safe_path(char *out, size_t size, const char *path, struct pm_error *err);
#endif
