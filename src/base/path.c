#include "pm/base/path.h"

#include <stdio.h>
#include <string.h>

bool pm_path_join(char *path, size_t size, const char *folder, const char *name,
                  struct pm_error *err)
{
    int n = snprintf(path, size, "%s/%s", folder, name);
    if (n >= 0 && (size_t)n < size) return true;
    return pm_fail(err, PM_E_INPUT, "the path %.200s... is too long", folder);
}

void pm_path_folder(char folder[PATH_MAX], const char *path)
{
    size_t length = (size_t)(pm_path_name(path) - path);
    if (length == 0)
        strcpy(folder, ".");
    else
        snprintf(folder, PATH_MAX, "%.*s", length > 1 ? (int)length - 1 : 1, path);
}

const char *pm_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
