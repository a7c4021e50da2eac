#include "pm/base/hash.h"

#include "pm/base/open_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

uint64_t pm_hash64(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

/* Its pages are found at once, which is quicker than one by one, and let go of. */
static uint64_t hash_mapped(char *begin, size_t bytes, uint64_t seed)
{
    enum { ADVISE_POPULATE_READ = 22 }; /* Linux 5.14, which older C libraries do not name */
    madvise(begin, bytes, ADVISE_POPULATE_READ);
    uint64_t hash = pm_hash64(begin, bytes, seed);
    madvise(begin, bytes, MADV_DONTNEED);
    return hash;
}

uint64_t pm_hash64_map(void *map, size_t bytes, uint64_t seed)
{
    enum { BLOCK = 32 << 20 }; /* bytes; pages begin there */
    size_t blocks = (bytes + BLOCK - 1) / BLOCK;
    if (blocks <= 1) return hash_mapped(map, bytes, seed);
    uint64_t *hashes = malloc(blocks * sizeof *hashes);
    if (!hashes) pm_die("no memory for %zu hashes", blocks);
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < blocks; i++) {
        size_t left = bytes - i * BLOCK;
        hashes[i] = hash_mapped((char *)map + i * BLOCK, left < BLOCK ? left : BLOCK, seed);
    }
    uint64_t hash = pm_hash64(hashes, blocks * sizeof *hashes, seed);
    free(hashes);
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
