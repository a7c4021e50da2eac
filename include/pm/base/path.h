/** @file path.h  Paths put together. */
#ifndef PM_BASE_PATH_H
#define PM_BASE_PATH_H
#include "pm/base/error.h"

#include <stddef.h>

/** "FOLDER/NAME". @return false, with PM_E_INPUT, when that has not room in @p size bytes */
PM_MUST_CHECK bool pm_path_join(char *path, size_t size, const char *folder, const char *name,
                                struct pm_error *err);
#endif
