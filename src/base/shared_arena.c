#include "pm/base/shared_arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Far from where Linux puts programs, libraries, stacks and the sanitizers' shadows; the last one
 * is for machines with 39-bit addresses. All are multiples of any huge page's size. */
static const uintptr_t places[] = {(uintptr_t)0x20 << 40, (uintptr_t)0x30 << 40,
                                   (uintptr_t)0x18 << 40, (uintptr_t)0x40 << 32};

/* @return false with errno set when that range is not free */
static bool map_at(void *base, size_t capacity, int protection, int file)
{
    void *got =
        mmap(base, capacity, protection, MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, file, 0);
    if (got == MAP_FAILED) return false;
    if (got != base) { /* Linux before 4.17 takes the address for a wish */
        munmap(got, capacity);
        errno = EEXIST;
        return false;
    }
    madvise(base, capacity, MADV_HUGEPAGE);
    return true;
}

static bool map_anywhere(struct pm_arena *out, size_t capacity, int file, struct pm_error *err)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        void *base = (void *)places[i]; /* NOLINT(performance-no-int-to-ptr) */
        if (!map_at(base, capacity, PROT_READ | PROT_WRITE, file)) continue;
        *out = (struct pm_arena){.base = base, .capacity = capacity};
        return true;
    }
    return pm_fail(err, PM_E_IO, "none of %zu places has %zu bytes of address space: %s",
                   sizeof places / sizeof *places, capacity, strerror(errno));
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
    ok = ok && map_anywhere(out, capacity, file, err);
    if (!ok) {
        close(file);
        return false;
    }
    *offer = (struct pm_arena_offer){.process = getpid(),
                                     .file = file,
                                     .device = status.st_dev,
                                     .inode = status.st_ino,
                                     .base = out->base,
                                     .capacity = capacity};
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
    if (ok && !map_at(offer->base, offer->capacity, PROT_READ | PROT_WRITE, file))
        ok = pm_fail(err, PM_E_IO, "cannot map %zu bytes at %p: %s", offer->capacity, offer->base,
                     strerror(errno));
    close(file);
    if (ok) *out = (struct pm_arena){.base = offer->base, .capacity = offer->capacity};
    return ok;
}

void pm_arena_offer_close(struct pm_arena_offer *offer)
{
    close(offer->file);
    *offer = (struct pm_arena_offer){.file = -1};
}
