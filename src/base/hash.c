#include "pm/base/hash.h"

#include "pm/base/open_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

enum { PIECE_BYTES = 32 << 20 }; /* a multiple of any page's size */

uint64_t pm_hash64(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

/* Its pages are found at once, which is quicker than one by one, and let go of. */
static uint64_t hash_mapped(char *begin, size_t bytes)
{
    enum { ADVISE_POPULATE_READ = 22 }; /* Linux 5.14, which older C libraries do not name */
    madvise(begin, bytes, ADVISE_POPULATE_READ);
    uint64_t hash = pm_hash64(begin, bytes, 0);
    madvise(begin, bytes, MADV_DONTNEED);
    return hash;
}

/* A share of a file's pieces. @param first  how many there were before */
static void hash_pieces(uint64_t *hashes, char *map, size_t bytes, size_t count, size_t first,
                        size_t share, size_t shares)
{
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < count; i++) {
        size_t left = bytes - i * PIECE_BYTES;
        hashes[i] =
            (first + i) % shares != share
                ? 0
                : hash_mapped(map + i * PIECE_BYTES, left < PIECE_BYTES ? left : PIECE_BYTES);
    }
}

static uint64_t hash_of_pieces(const uint64_t *hashes, size_t count, uint64_t seed)
{
    return count == 1 && seed == 0 ? hashes[0] : pm_hash64(hashes, count * sizeof *hashes, seed);
}

/* Of known pieces; too few, when a file has grown meanwhile, are no hash of anything. */
static uint64_t take_known(struct pm_hash_pieces *pieces, size_t count, uint64_t seed)
{
    size_t first = pieces->used;
    pieces->used += count;
    return pieces->used <= pieces->count ? hash_of_pieces(pieces->hashes + first, count, seed) : 0;
}

uint64_t pm_hash64_map(void *map, size_t bytes, uint64_t seed, struct pm_hash_pieces *pieces)
{
    struct pm_hash_pieces own = {.shares = 1}, *all = pieces ? pieces : &own;
    size_t count = bytes > 0 ? (bytes + PIECE_BYTES - 1) / PIECE_BYTES : 1;
    if (all->are_known) return take_known(all, count, seed);
    uint64_t *hashes = realloc(all->hashes, (all->count + count) * sizeof *hashes);
    if (!hashes) pm_die("no memory for %zu hashes", count);
    all->hashes = hashes;
    hash_pieces(hashes + all->count, map, bytes, count, all->count, all->share, all->shares);
    all->count += count;
    if (pieces) return 0;
    uint64_t hash = hash_of_pieces(hashes, count, seed);
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
