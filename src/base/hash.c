#include "pm/base/hash.h"

#include "pm/base/open_file.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

uint64_t pm_hash64(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

static uint64_t hash_blocks(char *map, size_t bytes, uint64_t seed)
{
    enum { BLOCK = 32 << 20 }; /* bytes; pages begin there */
    XXH3_state_t *state = XXH3_createState();
    if (!state || XXH3_64bits_reset_withSeed(state, seed) != XXH_OK) pm_die("no memory for a hash");
    for (size_t done = 0; done < bytes; done += BLOCK) {
        size_t count = bytes - done < BLOCK ? bytes - done : BLOCK;
        (void)XXH3_64bits_update(state, map + done, count);
        madvise(map + done, count, MADV_DONTNEED);
    }
    uint64_t hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return hash;
}

uint64_t pm_hash64_map(void *map, size_t bytes, uint64_t seed)
{
    enum { ADVISE_POPULATE_READ = 22 }; /* Linux 5.14, which older C libraries do not name */
    uint64_t hash = 0;
    /* Finding pages takes as long as hashing them: another thread goes ahead. */
#pragma omp parallel num_threads(2) if (omp_get_max_threads() > 1)
    {
        if (omp_get_thread_num() == 0)
            hash = hash_blocks(map, bytes, seed);
        else
            madvise(map, bytes, ADVISE_POPULATE_READ);
    }
    madvise(map, bytes, MADV_DONTNEED);
    return hash;
}

void pm_hash_text(char text[PM_HASH_TEXT_BYTES], const void *data, size_t bytes)
{
    XXH128_hash_t h = XXH3_128bits(data, bytes);
    snprintf(text, PM_HASH_TEXT_BYTES, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
}

bool pm_hash_file_text(char text[PM_HASH_TEXT_BYTES], const char *path, struct pm_error *err)
{
    size_t bytes;
    int fd = pm_open_file(&bytes, path, err);
    if (fd < 0) return false;
    void *map = bytes ? mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (map == MAP_FAILED) return pm_fail(err, PM_E_IO, "cannot map %s: %s", path, strerror(errno));
    pm_hash_text(text, map, bytes);
    if (map) munmap(map, bytes);
    return true;
}
