/** @file path.h  Paths put together and taken apart. */
#ifndef PM_BASE_PATH_H
#define PM_BASE_PATH_H
#include "pm/base/error.h"

#include <limits.h>
#include <stddef.h>

/** "FOLDER/NAME". @return false, with PM_E_INPUT, when that has not room in @p size bytes */
PM_MUST_CHECK bool pm_path_join(char *path, size_t size, const char *folder, const char *name,
                                struct pm_error *err);

/** The folder that a path is in, as it is written: "." for a name alone, "/" for what is in the
 *  root. One that has no room is cut. */
void pm_path_folder(char folder[PATH_MAX], const char *path);

/** What comes after the folder. @return in @p path */
const char *pm_path_name(const char *path);
#endif
