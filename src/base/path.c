#include "pm/base/path.h"

#include <stdio.h>

bool pm_path_join(char *path, size_t size, const char *folder, const char *name,
                  struct pm_error *err)
{
    int n = snprintf(path, size, "%s/%s", folder, name);
    if (n >= 0 && (size_t)n < size) return true;
    return pm_fail(err, PM_E_INPUT, "the path %.200s... is too long", folder);
}
