#include "pm/base/open_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int pm_open_file(size_t *bytes, const char *path, struct pm_error *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* of a pipe, at once */
    if (fd < 0) {
        pm_fail(err, PM_E_IO, "cannot open %s: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        pm_fail(err, PM_E_IO, "%s is not a regular file", path);
        return -1;
    }
    if (bytes) *bytes = (size_t)status.st_size;
    return fd;
}

FILE *pm_open_stream(const char *path, struct pm_error *err)
{
    int fd = pm_open_file(NULL, path, err);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "rb");
    if (fd >= 0 && !file) pm_die("no memory to read %s", path);
    return file;
}
