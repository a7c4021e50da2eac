#include "pm/model/packed_file.h"

#include "pm/base/hash.h"
#include "pm/base/open_file.h"
#include "pm/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 16 << 20,  /* what one checksum is of */
    HEADER_BYTES = 64 << 10, /* a multiple of any page's size, so that the numbers can be mapped */
    MOST_BLOCKS = 8000,
};

static const char magic[16] = "pm packed 1";

/** The file begins with it. Numbers are as the host has them, like all that follows. */
struct header {
    char magic[16];
    char fingerprint[PM_HASH_TEXT_BYTES], program[PM_HASH_TEXT_BYTES];
    char padding[6];
    uint64_t precision, bytes;
    uint64_t blocks[MOST_BLOCKS];
    uint64_t self; /* hash of all before it */
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the numbers begin behind it");

static size_t block_count(size_t bytes)
{
    return (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

static bool path_of(char path[PATH_MAX], const struct pm_packed_key *key, const char *folder,
                    struct pm_error *err)
{
    char name[PM_HASH_TEXT_BYTES + sizeof "-fp32.packed"];
    snprintf(name, sizeof name, "%s-%s.packed", key->fingerprint,
             key->precision == PM_BF16 ? "bf16" : "fp32");
    return pm_path_join(path, PATH_MAX, folder, name, err);
}

/* All but the checksums of the numbers. */
static bool describe(struct header *out, const struct pm_arena *arena,
                     const struct pm_packed_key *key, struct pm_error *err)
{
    *out = (struct header){.precision = key->precision, .bytes = arena->used};
    memcpy(out->magic, magic, sizeof magic);
    snprintf(out->fingerprint, sizeof out->fingerprint, "%s", key->fingerprint);
    PM_TRY(pm_hash_file_text(out->program, "/proc/self/exe", err));
    if (block_count(arena->used) <= MOST_BLOCKS) return true;
    return pm_fail(err, PM_E_INPUT, "%zu bytes of packed weights are too many for a file",
                   arena->used);
}

static uint64_t hash_of_itself(const struct header *header)
{
    return pm_hash64(header, offsetof(struct header, self), 0);
}

static bool check_header(const struct header *header, size_t file_bytes,
                         const struct header *wanted, const char *path, struct pm_error *err)
{
    if (memcmp(header->magic, magic, sizeof magic) != 0 || header->self != hash_of_itself(header))
        return pm_fail(err, PM_E_FORMAT, "%s is no file of packed weights, or a damaged one", path);
    if (strcmp(header->program, wanted->program) != 0)
        return pm_fail(err, PM_E_FORMAT, "%s was written by another build of promptmill", path);
    if (strcmp(header->fingerprint, wanted->fingerprint) != 0 ||
        header->precision != wanted->precision || header->bytes != wanted->bytes)
        return pm_fail(err, PM_E_FORMAT, "%s is of another model", path);
    if (file_bytes == HEADER_BYTES + header->bytes) return true;
    return pm_fail(err, PM_E_FORMAT, "%s has %zu bytes; %llu are wanted", path, file_bytes,
                   (unsigned long long)(HEADER_BYTES + header->bytes));
}

static uint64_t hash_of_block(const struct pm_arena *arena, size_t block)
{
    size_t begin = block * BLOCK_BYTES, left = arena->used - begin;
    return pm_hash64(arena->base + begin, left < BLOCK_BYTES ? left : BLOCK_BYTES, 0);
}

/* @return how many of the share's blocks are not what they were */
static size_t count_damaged(const struct pm_arena *arena, const struct header *header, size_t share,
                            size_t shares)
{
    size_t blocks = block_count(arena->used), damaged = 0;
#pragma omp parallel for schedule(dynamic) reduction(+ : damaged)
    for (size_t i = share; i < blocks; i += shares)
        damaged += hash_of_block(arena, i) != header->blocks[i];
    return damaged;
}

static bool map_file(struct pm_arena *arena, int file, size_t file_bytes,
                     const struct header *wanted, size_t share, size_t shares, const char *path,
                     struct pm_error *err)
{
    static struct header header; /* large */
    if (file_bytes < sizeof header ||
        pread(file, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return pm_fail(err, PM_E_FORMAT, "%s has %zu bytes: too short for packed weights", path,
                       file_bytes);
    PM_TRY(check_header(&header, file_bytes, wanted, path, err));
    if (mmap(arena->base, arena->used, PROT_READ, MAP_SHARED | MAP_FIXED, file, HEADER_BYTES) ==
        MAP_FAILED)
        return pm_fail(err, PM_E_IO, "cannot map %s: %s", path, strerror(errno));
    size_t damaged = count_damaged(arena, &header, share, shares);
    return damaged == 0 || pm_fail(err, PM_E_FORMAT, "%s is damaged in %zu of %zu places", path,
                                   damaged, block_count(arena->used));
}

bool pm_packed_file_map(struct pm_arena *arena, const struct pm_packed_key *key, const char *folder,
                        size_t share, size_t shares, struct pm_error *err)
{
    static struct header wanted; /* large */
    char path[PATH_MAX];
    size_t bytes;
    PM_TRY(path_of(path, key, folder, err));
    if (access(path, F_OK) != 0)
        return pm_fail(err, PM_E_IO, "there is no %s yet: %s", path, strerror(errno));
    PM_TRY(describe(&wanted, arena, key, err));
    int file = pm_open_file(&bytes, path, err);
    if (file < 0) return false;
    bool ok = map_file(arena, file, bytes, &wanted, share, shares, path, err);
    close(file);
    if (ok) pm_arena_seal(arena);
    return ok;
}

static bool write_all(int file, const void *from, size_t bytes)
{
    const char *next = from;
    while (bytes > 0) {
        ssize_t n = write(file, next, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        next += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Does the path lead to the open file? Not when who had the lock has just renamed it. */
static bool is_at(const char *path, int file)
{
    struct stat here, open_one;
    return fstat(file, &open_one) == 0 && stat(path, &here) == 0 &&
           here.st_dev == open_one.st_dev && here.st_ino == open_one.st_ino;
}

/* Not synced, which would take a slow disk half a minute in which no edit begins: what a crash leaves of
 * it, the checksums tell. */
static bool write_file(int file, const struct pm_arena *arena, struct header *header)
{
    static const char padding[HEADER_BYTES - sizeof *header];
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < block_count(arena->used); i++)
        header->blocks[i] = hash_of_block(arena, i);
    header->self = hash_of_itself(header);
    return ftruncate(file, 0) == 0 && write_all(file, header, sizeof *header) &&
           write_all(file, padding, sizeof padding) && write_all(file, arena->base, arena->used);
}

bool pm_packed_file_save(const struct pm_arena *arena, const struct pm_packed_key *key,
                         const char *folder, struct pm_error *err)
{
    static struct header header; /* large */
    char path[PATH_MAX], part[PATH_MAX + 8];
    PM_TRY(path_of(path, key, folder, err));
    PM_TRY(describe(&header, arena, key, err));
    snprintf(part, sizeof part, "%s.part", path);
    int file = open(part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0666);
    if (file < 0) return pm_fail(err, PM_E_IO, "cannot write %s: %s", part, strerror(errno));
    bool ok = true;
    if (flock(file, LOCK_EX | LOCK_NB) == 0 && is_at(part, file)) {
        ok = write_file(file, arena, &header) && rename(part, path) == 0;
        if (!ok) {
            pm_fail(err, PM_E_IO, "cannot write %s: %s", path, strerror(errno));
            unlink(part);
        }
    }
    close(file);
    return ok;
}
