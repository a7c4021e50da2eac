#include "pm/base/shared_arena.h"

#include "arena_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static bool map(struct pm_arena *out, size_t capacity, int file, struct pm_error *err)
{
    size_t mapped = capacity;
    char *base = arena_map(&mapped, MAP_SHARED, file);
    if (!base) return pm_fail(err, PM_E_IO, "cannot map %zu bytes: %s", capacity, strerror(errno));
    *out = (struct pm_arena){.base = base, .capacity = mapped};
    return true;
}

bool pm_shared_arena_create(struct pm_arena *out, struct pm_arena_offer *offer, const char *name,
                            size_t capacity, struct pm_error *err)
{
    *out = (struct pm_arena){0};
    struct rlimit limit; /* going over it would end the process */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < capacity)
        return pm_fail(err, PM_E_IO, "files may have %llu bytes (ulimit -f), not %zu",
                       (unsigned long long)limit.rlim_cur, capacity);
    int file = memfd_create(name, MFD_CLOEXEC);
    if (file < 0)
        return pm_fail(err, PM_E_IO, "cannot create a file in memory: %s", strerror(errno));
    struct stat status;
    bool ok = ftruncate(file, (off_t)capacity) == 0 && fstat(file, &status) == 0;
    if (!ok)
        pm_fail(err, PM_E_IO, "cannot give a file in memory %zu bytes: %s", capacity,
                strerror(errno));
    ok = ok && map(out, capacity, file, err);
    if (!ok) {
        close(file);
        return false;
    }
    *offer = (struct pm_arena_offer){.process = getpid(),
                                     .file = file,
                                     .device = status.st_dev,
                                     .inode = status.st_ino,
                                     .capacity = out->capacity};
    return true;
}

bool pm_shared_arena_attach(struct pm_arena *out, const struct pm_arena_offer *offer,
                            struct pm_error *err)
{
    *out = (struct pm_arena){0};
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)offer->process, offer->file);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return pm_fail(err, PM_E_IO, "cannot open %s: %s", path, strerror(errno));
    struct stat status;
    /* in another PID namespace that number is another process's */
    bool ok = (fstat(file, &status) == 0 && status.st_dev == offer->device &&
               status.st_ino == offer->inode) ||
              pm_fail(err, PM_E_IO, "%s is another file than the one that was offered", path);
    ok = ok && map(out, offer->capacity, file, err);
    close(file);
    return ok;
}

void pm_arena_offer_close(struct pm_arena_offer *offer)
{
    close(offer->file);
    *offer = (struct pm_arena_offer){.file = -1};
}
