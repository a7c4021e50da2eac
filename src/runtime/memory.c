#include "pm/runtime/memory.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static double least(double a, double b)
{
    return b < a ? b : a;
}

/* The number in a file; infinite when there is none, as in "max". */
static double read_limit(const char *path)
{
    double bytes;
    FILE *file = fopen(path, "r");
    if (!file) return INFINITY;
    if (fscanf(file, "%lf", &bytes) != 1 || !(bytes > 0.0)) bytes = INFINITY;
    fclose(file);
    return bytes;
}

/* Of a group and all above it. A container may show its own group as the highest one, so that the
 * path leads nowhere: then only that one is there. */
static double read_group(const char *mount, const char *group, const char *name)
{
    char path[PATH_MAX];
    double limit = INFINITY;
    for (size_t length = strlen(group);;) {
        if (snprintf(path, sizeof path, "%s%.*s/%s", mount, (int)length, group, name) < PATH_MAX)
            limit = least(limit, read_limit(path));
        if (length == 0) return limit;
        while (length > 0 && group[--length] != '/') {
        }
    }
}

static double read_host(const char *root)
{
    char path[PATH_MAX], line[256];
    double kilobytes, bytes = INFINITY;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    FILE *file = fopen(path, "r");
    if (!file) return INFINITY;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "MemTotal: %lf", &kilobytes) == 1) bytes = kilobytes * 1024.0;
    fclose(file);
    return bytes;
}

double pm_memory_bytes(const char *root)
{
    char path[PATH_MAX], mount[PATH_MAX], line[PATH_MAX];
    double bytes = read_host(root);
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    if (!file) return bytes;
    while (fgets(line, sizeof line, file)) { /* NUMBER:CONTROLLERS:GROUP */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = NULL;
        if (controllers) group = strchr(++controllers, ':');
        if (!group) continue;
        *group++ = '\0';
        bool is_memory = strcmp(controllers, "memory") == 0;
        if (!is_memory && controllers[0] != '\0') continue;
        if (snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, is_memory ? "/memory" : "") >=
            PATH_MAX)
            continue;
        bytes = least(bytes,
                      read_group(mount, group, is_memory ? "memory.limit_in_bytes" : "memory.max"));
    }
    fclose(file);
    return bytes;
}
